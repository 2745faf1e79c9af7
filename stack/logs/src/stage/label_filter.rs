//! Label filters.

use gameday_signal::Matcher;

use super::ip::IpMatcher;
use super::labels::{ERROR, LineLabels};
use super::units::{UnitError, parse_bytes, parse_float, parse_go_duration};
use crate::logql::{FilterOp, LabelFilter};

/// A condition that was compiled.
#[derive(Clone, Debug)]
pub(crate) enum CompiledLabelFilter {
    Text(Matcher),
    Ip {
        name: String,
        negated: bool,
        matcher: IpMatcher,
    },
    Number {
        name: String,
        op: FilterOp,
        value: f64,
    },
    Duration {
        name: String,
        op: FilterOp,
        nanos: i64,
    },
    Bytes {
        name: String,
        op: FilterOp,
        bytes: u64,
    },
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl CompiledLabelFilter {
    pub(crate) fn new(filter: &LabelFilter) -> Result<Self, String> {
        Ok(match filter {
            LabelFilter::Text(matcher) => Self::Text(matcher.clone()),
            LabelFilter::Ip {
                name,
                negated,
                pattern,
            } => Self::Ip {
                name: name.clone(),
                negated: *negated,
                matcher: IpMatcher::new(pattern).map_err(|error| error.to_string())?,
            },
            LabelFilter::Number { name, op, value } => Self::Number {
                name: name.clone(),
                op: *op,
                value: *value,
            },
            LabelFilter::Duration { name, op, nanos } => Self::Duration {
                name: name.clone(),
                op: *op,
                nanos: *nanos,
            },
            LabelFilter::Bytes { name, op, bytes } => Self::Bytes {
                name: name.clone(),
                op: *op,
                bytes: *bytes,
            },
            LabelFilter::And(left, right) => {
                Self::And(Box::new(Self::new(left)?), Box::new(Self::new(right)?))
            }
            LabelFilter::Or(left, right) => {
                Self::Or(Box::new(Self::new(left)?), Box::new(Self::new(right)?))
            }
        })
    }

    /// Whether the line passes. A value that is no number, duration or size notes an error and passes: only a filter on
    /// `__error__` removes such lines.
    pub(crate) fn holds(&self, labels: &mut LineLabels) -> bool {
        match self {
            Self::Text(matcher) => {
                let value = if matcher.name() == ERROR {
                    labels.error.as_deref()
                } else {
                    labels.get(matcher.name())
                };
                matcher.matches_value(value.unwrap_or(""))
            }
            Self::Ip {
                name,
                negated,
                matcher,
            } => {
                // Behind an error only filters on text remove lines.
                labels.error.is_some()
                    || labels
                        .get(name)
                        .is_some_and(|value| matcher.is_in(value) != *negated)
            }
            Self::And(left, right) => {
                let left = left.holds(labels);
                let right = right.holds(labels);
                left && right
            }
            Self::Or(left, right) => left.holds(labels) || right.holds(labels),
            Self::Number { name, .. } | Self::Duration { name, .. } | Self::Bytes { name, .. } => {
                match labels.get(name).map(|value| self.compare(value)) {
                    None => false,
                    Some(Ok(holds)) => holds,
                    Some(Err(error)) => {
                        if labels.error.is_none() {
                            labels.set_error("LabelFilterErr", Some(error.to_string()));
                        }
                        true
                    }
                }
            }
        }
    }

    /// The comparison of a number, duration or size with the value of its label.
    fn compare(&self, value: &str) -> Result<bool, UnitError> {
        match self {
            Self::Number { op, value: own, .. } => Ok(op.holds(&parse_float(value)?, own)),
            Self::Duration { op, nanos, .. } => Ok(op.holds(&parse_go_duration(value)?, nanos)),
            Self::Bytes { op, bytes, .. } => Ok(op.holds(&parse_bytes(value)?, bytes)),
            Self::Text(matcher) => Ok(matcher.matches_value(value)),
            Self::Ip {
                negated, matcher, ..
            } => Ok(matcher.is_in(value) != *negated),
            Self::And(..) | Self::Or(..) => Ok(true),
        }
    }

    /// The one label that alone decides, for a parser that can give up a line early; conditions on several labels have none.
    pub(crate) fn deciding_label(&self) -> Option<&str> {
        match self {
            Self::Text(matcher) => (matcher.name() != ERROR).then(|| matcher.name()),
            Self::Number { name, .. } | Self::Duration { name, .. } | Self::Bytes { name, .. } => {
                Some(name)
            }
            Self::Ip { .. } | Self::And(..) | Self::Or(..) => None,
        }
    }

    /// Whether a line whose deciding label has this value (or none) can still pass.
    pub(crate) fn may_pass(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Self::Text(matcher), value) => matcher.matches_value(value.unwrap_or("")),
            (_, None) => false,
            (_, Some(value)) => self.compare(value).unwrap_or(true),
        }
    }

    /// Adds the labels that are looked at.
    pub(crate) fn collect_labels(&self, out: &mut Vec<String>) {
        match self {
            Self::Text(matcher) => out.push(matcher.name().to_owned()),
            Self::Ip { name, .. }
            | Self::Number { name, .. }
            | Self::Duration { name, .. }
            | Self::Bytes { name, .. } => out.push(name.clone()),
            Self::And(left, right) | Self::Or(left, right) => {
                left.collect_labels(out);
                right.collect_labels(out);
            }
        }
    }
}
