//! A tree back to its canonical text, as Prometheus prints it.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use gameday_query::is_classic_label_name;
use gameday_signal::{Matcher, Quoted, escaped_byte, format_duration};

use super::{
    Aggregate, AtModifier, Binary, DurationExpr, DurationValue, Expr, ExprKind, Modifiers,
    Subquery, VectorSelector,
};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number { value, duration } => write_number(f, *value, *duration),
            ExprKind::String(text) => Quoted(text).fmt(f),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
            ExprKind::Unary { negative, operand } => {
                write!(f, "{}{operand}", if *negative { '-' } else { '+' })
            }
            ExprKind::Binary(binary) => binary.fmt(f),
            ExprKind::Aggregate(aggregate) => aggregate.fmt(f),
            ExprKind::Call { function, args } => {
                write!(f, "{}(", function.name)?;
                for (index, arg) in args.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    arg.fmt(f)?;
                }
                f.write_str(")")
            }
            ExprKind::Vector(selector) => {
                write_series(f, selector)?;
                write_at(f, &selector.modifiers)?;
                write_extended(f, selector)?;
                write_offset(f, &selector.modifiers)
            }
            ExprKind::Matrix { selector, range } => {
                write_series(f, selector)?;
                write!(f, "[{range}]")?;
                write_extended(f, selector)?;
                write_at(f, &selector.modifiers)?;
                write_offset(f, &selector.modifiers)
            }
            ExprKind::Subquery(subquery) => subquery.fmt(f),
        }
    }
}

impl Display for Binary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.left, self.op.as_str())?;
        if self.return_bool {
            f.write_str(" bool")?;
        }
        if let Some(matching) = &self.matching {
            matching.fmt(f)?;
        }
        write!(f, " {}", self.right)
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let grouping = self.grouping.to_string();
        write!(f, "{}{grouping}", self.op.as_str())?;
        if !grouping.is_empty() {
            f.write_str(" ")?;
        }
        match &self.param {
            Some(param) => write!(f, "({param}, {})", self.expr),
            None => write!(f, "({})", self.expr),
        }
    }
}

impl Display for Subquery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}:", self.expr, self.range)?;
        if let Some(step) = &self.step {
            step.fmt(f)?;
        }
        f.write_str("]")?;
        write_at(f, &self.modifiers)?;
        write_offset(f, &self.modifiers)
    }
}

impl Display for DurationValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Millis(ms) => f.write_str(&duration_text(*ms)),
            Self::Expr(expr) => expr.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal { secs, duration } => write_number(f, *secs, *duration),
            Self::Step => f.write_str("step()"),
            Self::Range => f.write_str("range()"),
            Self::Unary { negative, operand } => {
                write!(f, "{}{operand}", if *negative { "-" } else { "" })
            }
            Self::Binary { op, left, right } => write!(f, "{left} {} {right}", op.as_str()),
            Self::Extreme { max, left, right } => {
                let name = if *max { "max_of" } else { "min_of" };
                write!(f, "{name}({left}, {right})")
            }
            Self::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

fn duration_text(ms: i64) -> String {
    let text = format_duration(Duration::from_millis(ms.unsigned_abs()));
    if ms < 0 { format!("-{text}") } else { text }
}

/// Plain digits without an exponent, as Go's `FormatFloat(f, 'f', -1, 64)`.
pub(crate) fn format_float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        (if value > 0.0 { "+Inf" } else { "-Inf" }).to_owned()
    } else {
        value.to_string()
    }
}

fn write_number(f: &mut Formatter<'_>, value: f64, duration: bool) -> fmt::Result {
    if duration {
        f.write_str(&duration_text((value * 1000.0).round() as i64))
    } else {
        f.write_str(&format_float(value))
    }
}

/// Whether a text can be a label name: any UTF-8 but the empty text.
pub(crate) fn is_label_name(text: &str) -> bool {
    !text.is_empty()
        && !text
            .chars()
            .any(|character| escaped_byte(character).is_some())
}

fn write_series(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    f.write_str(&selector.name)?;
    let mut conditions: Vec<String> = selector
        .matchers
        .iter()
        .filter(|matcher| {
            selector.name.is_empty()
                || matcher.name() != "__name__"
                || matcher.value() != selector.name
        })
        .map(matcher_text)
        .collect();
    if conditions.is_empty() {
        return Ok(());
    }
    conditions.sort();
    write!(f, "{{{}}}", conditions.join(","))
}

fn matcher_text(matcher: &Matcher) -> String {
    let (name, op, value) = (
        matcher.name(),
        matcher.op().as_str(),
        Quoted(matcher.value()),
    );
    if is_classic_label_name(name) {
        format!("{name}{op}{value}")
    } else {
        format!("{}{op}{value}", Quoted(name))
    }
}

fn write_at(f: &mut Formatter<'_>, modifiers: &Modifiers) -> fmt::Result {
    match modifiers.at {
        None => Ok(()),
        Some(AtModifier::Timestamp(ms)) => write!(f, " @ {:.3}", ms as f64 / 1000.0),
        Some(AtModifier::Start) => f.write_str(" @ start()"),
        Some(AtModifier::End) => f.write_str(" @ end()"),
    }
}

fn write_offset(f: &mut Formatter<'_>, modifiers: &Modifiers) -> fmt::Result {
    match &modifiers.offset {
        DurationValue::Millis(0) => Ok(()),
        offset => write!(f, " offset {offset}"),
    }
}

fn write_extended(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    if selector.anchored {
        f.write_str(" anchored")
    } else if selector.smoothed {
        f.write_str(" smoothed")
    } else {
        Ok(())
    }
}
