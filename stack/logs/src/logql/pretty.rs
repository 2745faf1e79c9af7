//! A query over several lines, as Loki's `/format_query` and Grafana's "prettify" lay it out.

use gameday_signal::Quoted;

use super::ast::{Expr, LogExpr, LogRange, MetricExpr, Stage};
use super::display::{grouping_text, operator_text, vector_head, window};
use super::error::ParseError;
use super::parse::parse_expr;

/// An expression that is longer than this is split (Loki's MaxCharsPerLine).
const LINE_CHARS_MAX: usize = 100;

/// Reads a query and lays it out.
///
/// # Errors
/// What is wrong with the query.
pub fn format_query(source: &str) -> Result<String, ParseError> {
    Ok(match parse_expr(source)? {
        Expr::Log(logs) => pretty_log(&logs, 0),
        Expr::Metric(metric) => pretty_metric(&metric, 0),
    })
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn fits(text: &str) -> bool {
    text.len() <= LINE_CHARS_MAX
}

fn pretty_log(logs: &LogExpr, level: usize) -> String {
    let whole = logs.to_string();
    if fits(&whole) || logs.stages.is_empty() {
        return indent(level) + &whole;
    }
    let mut lines = vec![indent(level) + &logs.selector()];
    for stage in &logs.stages {
        lines.push(pretty_stage(stage, level + 1));
    }
    lines.join("\n")
}

fn pretty_stage(stage: &Stage, level: usize) -> String {
    match stage {
        Stage::LineFilters(filters) if !fits(&stage.to_string()) => filters
            .iter()
            .map(|filter| indent(level) + &filter.to_string())
            .collect::<Vec<_>>()
            .join("\n"),
        Stage::Decolorize => stage.to_string(),
        _ => indent(level) + &stage.to_string(),
    }
}

fn pretty_range(range: &LogRange, level: usize) -> String {
    let mut text = pretty_log(&range.logs, level);
    if let Some(unwrap) = &range.unwrap {
        text.push('\n');
        text.push_str(&indent(level + 1));
        text.push_str(&unwrap.to_string());
    }
    text + " " + &window(range.interval, range.offset_nanos)
}

fn pretty_metric(expr: &MetricExpr, level: usize) -> String {
    let whole = expr.to_string();
    if fits(&whole) {
        return indent(level) + &whole;
    }
    let margin = indent(level);
    match expr {
        MetricExpr::Literal(_) | MetricExpr::VectorOf(_) => margin + &whole,
        MetricExpr::Range {
            op,
            parameter,
            range,
            grouping,
        } => {
            let mut text = format!("{margin}{}(\n", op.as_str());
            if let Some(parameter) = parameter {
                text = format!(
                    "{text}{}",
                    format_args!("{}{parameter},\n", indent(level + 1))
                );
            }
            text.push_str(&pretty_range(range, level + 1));
            text = format!("{text}{}", format_args!("\n{margin})"));
            if let Some(grouping) = grouping {
                text.push_str(&grouping_text(grouping));
            }
            text
        }
        MetricExpr::Vector {
            op,
            parameter,
            inner,
            grouping,
        } => {
            let mut text = format!("{margin}{}(\n", vector_head(*op, grouping));
            if *parameter != 0 {
                text = format!(
                    "{text}{}",
                    format_args!("{}{parameter},\n", indent(level + 1))
                );
            }
            text.push_str(&pretty_metric(inner, level + 1));
            text + "\n" + &margin + ")"
        }
        MetricExpr::Binary {
            op,
            return_bool,
            matching,
            left,
            right,
        } => format!(
            "{}\n{margin}{}\n{}",
            pretty_metric(left, level + 1),
            operator_text(op.as_str(), *return_bool, matching),
            pretty_metric(right, level + 1)
        ),
        MetricExpr::LabelReplace {
            inner,
            destination,
            replacement,
            source,
            regex,
        } => {
            let mut text = format!(
                "{margin}label_replace(\n{}",
                pretty_metric(inner, level + 1)
            );
            for argument in [destination, replacement, source, regex] {
                text = format!(
                    "{text}{}",
                    format_args!(",\n{}{}", indent(level + 1), Quoted(argument))
                );
            }
            text + "\n" + &margin + ")"
        }
    }
}
