//! A tree back to text, in the form of Loki's `String()`.

use std::fmt;
use std::time::Duration;

use gameday_query::{Cardinality, Grouping, VectorMatching};
use gameday_signal::{Matcher, Quoted, format_duration};

use super::ast::{
    Expr, Extraction, LabelFilter, LabelFormat, LineFilter, LineMatch, LogExpr, LogRange,
    MetricExpr, NameOrMatcher, Stage, Unwrap, VectorOp,
};
use crate::stage::units::{format_bytes, format_go_duration};

fn write_matcher(f: &mut fmt::Formatter<'_>, matcher: &Matcher) -> fmt::Result {
    write!(
        f,
        "{}{}{}",
        matcher.name(),
        matcher.op().as_str(),
        Quoted(matcher.value())
    )
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(logs) => fmt::Display::fmt(logs, f),
            Self::Metric(metric) => fmt::Display::fmt(metric, f),
        }
    }
}

impl LogExpr {
    /// The selector without its stages.
    pub fn selector(&self) -> String {
        Self {
            matchers: self.matchers.clone(),
            stages: Vec::new(),
        }
        .to_string()
    }
}

impl fmt::Display for LogExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, matcher) in self.matchers.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write_matcher(f, matcher)?;
        }
        f.write_str("}")?;
        for stage in &self.stages {
            write!(f, " {stage}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LineFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not (a or b) is neither a nor b, which is how Loki writes it.
        let between = if self.op.is_negated() {
            format!(" {} ", self.op.as_str())
        } else {
            " or ".to_owned()
        };
        write!(f, "{} ", self.op.as_str())?;
        for (index, alternative) in self.alternatives.iter().enumerate() {
            if index > 0 {
                f.write_str(&between)?;
            }
            match alternative {
                LineMatch::Text(text) => write!(f, "{}", Quoted(text))?,
                LineMatch::Ip(pattern) => write!(f, "ip({})", Quoted(pattern))?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineFilters(filters) => {
                write_list(f, filters, " ", |f, filter| write!(f, "{filter}"))
            }
            Self::Json => f.write_str("| json"),
            Self::JsonExpressions(list) => {
                f.write_str("| json ")?;
                write_extractions(f, list)
            }
            Self::Logfmt { strict, keep_empty } => {
                f.write_str("| logfmt")?;
                write_flags(f, *strict, *keep_empty)
            }
            Self::LogfmtExpressions {
                strict,
                keep_empty,
                extractions,
            } => {
                f.write_str("| logfmt")?;
                write_flags(f, *strict, *keep_empty)?;
                f.write_str(" ")?;
                write_extractions(f, extractions)
            }
            Self::Regexp(regex) => write!(f, "| regexp {}", Quoted(regex)),
            Self::Pattern(pattern) => write!(f, "| pattern {}", Quoted(pattern)),
            Self::Unpack => f.write_str("| unpack"),
            Self::LabelFilter(filter) => write!(f, "| {filter}"),
            Self::LineFormat(template) => write!(f, "| line_format {}", Quoted(template)),
            Self::LabelFormat(formats) => {
                f.write_str("| label_format ")?;
                write_list(f, formats, ",", |f, format| match format {
                    LabelFormat::Rename { to, from } => write!(f, "{to}={from}"),
                    LabelFormat::Template { to, template } => {
                        write!(f, "{to}={}", Quoted(template))
                    }
                })
            }
            Self::Drop(list) => {
                f.write_str("| drop ")?;
                write_names(f, list)
            }
            Self::Keep(list) => {
                f.write_str("| keep ")?;
                write_names(f, list)
            }
            Self::Decolorize => f.write_str("| decolorize"),
        }
    }
}

fn write_list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}

fn write_flags(f: &mut fmt::Formatter<'_>, strict: bool, keep_empty: bool) -> fmt::Result {
    if strict {
        f.write_str(" --strict")?;
    }
    if keep_empty {
        f.write_str(" --keep-empty")?;
    }
    Ok(())
}

fn write_extractions(f: &mut fmt::Formatter<'_>, list: &[Extraction]) -> fmt::Result {
    write_list(f, list, ",", |f, extraction| {
        write!(f, "{}={}", extraction.label, Quoted(&extraction.expression))
    })
}

fn write_names(f: &mut fmt::Formatter<'_>, list: &[NameOrMatcher]) -> fmt::Result {
    write_list(f, list, ",", |f, item| match item {
        NameOrMatcher::Name(name) => f.write_str(name),
        NameOrMatcher::Matcher(matcher) => write_matcher(f, matcher),
    })
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(matcher) => write_matcher(f, matcher),
            Self::Ip {
                name,
                negated,
                pattern,
            } => {
                let op = if *negated { "!=" } else { "=" };
                write!(f, "{name}{op}ip({})", Quoted(pattern))
            }
            Self::Number { name, op, value } => write!(f, "{name}{}{value}", op.as_str()),
            Self::Duration { name, op, nanos } => {
                write!(f, "{name}{}{}", op.as_str(), format_go_duration(*nanos))
            }
            Self::Bytes { name, op, bytes } => {
                write!(f, "{name}{}{}", op.as_str(), format_bytes(*bytes))
            }
            Self::And(left, right) => write!(f, "( {left} , {right} )"),
            Self::Or(left, right) => write!(f, "( {left} or {right} )"),
        }
    }
}

impl fmt::Display for Unwrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.conversion.as_str() {
            Some(function) => write!(f, "| unwrap {function}({})", self.label)?,
            None => write!(f, "| unwrap {}", self.label)?,
        }
        for filter in &self.filters {
            write!(f, " | {filter}")?;
        }
        Ok(())
    }
}

/// `[5m]` with its offset.
pub(super) fn window(interval: Duration, offset_nanos: i64) -> String {
    let mut text = format!("[{}]", format_duration(interval));
    if offset_nanos != 0 {
        text.push_str(" offset ");
        text.push_str(&format_go_duration(offset_nanos));
    }
    text
}

impl fmt::Display for LogRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.logs)?;
        if let Some(unwrap) = &self.unwrap {
            write!(f, " {unwrap}")?;
        }
        f.write_str(&window(self.interval, self.offset_nanos))
    }
}

/// ` by (a,b)` or ` without (a,b)`.
pub(super) fn grouping_text(grouping: &Grouping) -> String {
    let word = if grouping.without { "without" } else { "by" };
    format!(" {word} ({})", grouping.labels.join(","))
}

/// The operator with `bool`, `on` and `group_left`.
pub(super) fn operator_text(op: &str, return_bool: bool, matching: &VectorMatching) -> String {
    let mut text = op.to_owned();
    if return_bool {
        text.push_str(" bool");
    }
    let group = match matching.cardinality {
        Cardinality::ManyToOne => " group_left",
        Cardinality::OneToMany => " group_right",
        Cardinality::OneToOne | Cardinality::ManyToMany => "",
    };
    if matching.on || !matching.labels.is_empty() || !group.is_empty() {
        let word = if matching.on { "on" } else { "ignoring" };
        text.push_str(&format_list(word, &matching.labels));
        text.push_str(group);
        if !matching.include.is_empty() {
            text.push_str(" (");
            text.push_str(&matching.include.join(","));
            text.push(')');
        }
    }
    text
}

fn format_list(word: &str, labels: &[String]) -> String {
    format!(" {word} ({})", labels.join(","))
}

/// What stands in front of the parenthesis of a vector aggregation.
pub(super) fn vector_head(op: VectorOp, grouping: &Grouping) -> String {
    let mut text = op.as_str().to_owned();
    if grouping.without || !grouping.labels.is_empty() {
        text.push_str(&grouping_text(grouping));
    }
    text
}

impl fmt::Display for MetricExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range {
                op,
                parameter,
                range,
                grouping,
            } => {
                write!(f, "{}(", op.as_str())?;
                if let Some(parameter) = parameter {
                    write!(f, "{parameter},")?;
                }
                write!(f, "{range})")?;
                grouping
                    .as_ref()
                    .map_or(Ok(()), |grouping| f.write_str(&grouping_text(grouping)))
            }
            Self::Vector {
                op,
                parameter,
                inner,
                grouping,
            } => {
                write!(f, "{}(", vector_head(*op, grouping))?;
                if *parameter != 0 {
                    write!(f, "{parameter},")?;
                }
                write!(f, "{inner})")
            }
            Self::Binary {
                op,
                return_bool,
                matching,
                left,
                right,
            } => write!(
                f,
                "({left} {} {right})",
                operator_text(op.as_str(), *return_bool, matching)
            ),
            // Loki writes what it cannot read. An operation is folded into its value when it is read.
            Self::Literal(value) if value.is_nan() => f.write_str("(0 / 0)"),
            Self::Literal(f64::INFINITY) => f.write_str("(1e+308 * 10)"),
            Self::Literal(f64::NEG_INFINITY) => f.write_str("(-1e+308 * 10)"),
            Self::Literal(value) => write!(f, "{}", GoFloat(*value)),
            Self::VectorOf(value) => write!(f, "vector({value:.6})"),
            Self::LabelReplace {
                inner,
                destination,
                replacement,
                source,
                regex,
            } => write!(
                f,
                "label_replace({inner},{},{},{},{})",
                Quoted(destination),
                Quoted(replacement),
                Quoted(source),
                Quoted(regex)
            ),
        }
    }
}

/// A number as Go's `%v` has it.
pub(crate) struct GoFloat(pub(crate) f64);

impl fmt::Display for GoFloat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        if value.is_nan() {
            return f.write_str("NaN");
        }
        if value.is_infinite() {
            return f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        }
        let magnitude = value.abs();
        if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
            let text = format!("{value:e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            return write!(f, "{mantissa}e{sign}{digits:0>2}");
        }
        write!(f, "{value}")
    }
}
