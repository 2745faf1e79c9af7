//! The binary operators that PromQL, LogQL and TraceQL's metrics share.

use crate::Binding;

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BinaryOp {
    /// `^`
    Pow,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `atan2`
    Atan2,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `<`
    Less,
    /// `>=`
    GreaterOrEqual,
    /// `<=`
    LessOrEqual,
    /// `and`
    And,
    /// `unless`
    Unless,
    /// `or`
    Or,
    /// `</`: keeps the observations of a native histogram below a bound.
    TrimUpper,
    /// `>/`: keeps the observations of a native histogram above a bound.
    TrimLower,
}

/// Operators with their text.
const OPERATORS: [(BinaryOp, &str); 18] = [
    (BinaryOp::Pow, "^"),
    (BinaryOp::Mul, "*"),
    (BinaryOp::Div, "/"),
    (BinaryOp::Mod, "%"),
    (BinaryOp::Atan2, "atan2"),
    (BinaryOp::Add, "+"),
    (BinaryOp::Sub, "-"),
    (BinaryOp::Equal, "=="),
    (BinaryOp::NotEqual, "!="),
    (BinaryOp::Greater, ">"),
    (BinaryOp::Less, "<"),
    (BinaryOp::GreaterOrEqual, ">="),
    (BinaryOp::LessOrEqual, "<="),
    (BinaryOp::And, "and"),
    (BinaryOp::Unless, "unless"),
    (BinaryOp::Or, "or"),
    (BinaryOp::TrimUpper, "</"),
    (BinaryOp::TrimLower, ">/"),
];

impl BinaryOp {
    /// The operator that is written `text`; words in any case.
    pub fn from_text(text: &str) -> Option<Self> {
        OPERATORS
            .iter()
            .find(|(_, own)| own.eq_ignore_ascii_case(text))
            .map(|(operator, _)| *operator)
    }

    /// How it is written.
    pub fn as_str(self) -> &'static str {
        OPERATORS
            .iter()
            .find(|(operator, _)| *operator == self)
            .map_or("", |(_, text)| text)
    }

    /// How tightly it binds: `or`, then `and` and `unless`, comparisons, `+ -`, `* / % atan2`, and `^` tightest, which alone
    /// associates to the right. A unary minus binds like `*`, so that `-1^2` is -1.
    pub fn binding(self) -> Binding {
        match self {
            Self::Or => Binding::left_associative(1),
            Self::And | Self::Unless => Binding::left_associative(2),
            Self::Equal
            | Self::NotEqual
            | Self::Greater
            | Self::Less
            | Self::GreaterOrEqual
            | Self::LessOrEqual
            | Self::TrimUpper
            | Self::TrimLower => Binding::left_associative(3),
            Self::Add | Self::Sub => Binding::left_associative(4),
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => Binding::left_associative(5),
            Self::Pow => Binding::right_associative(6),
        }
    }

    /// The binding power of the operand of a unary plus or minus.
    pub const UNARY_POWER: u8 = Binding::prefix(5);

    /// Whether it compares, and so filters unless `bool` is given.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Greater
                | Self::Less
                | Self::GreaterOrEqual
                | Self::LessOrEqual
        )
    }

    /// Whether it is `and`, `or` or `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// The value of an arithmetic operator in IEEE 754 (so `1/0` is +Inf and `%` has the sign of the dividend, as C's fmod);
    /// `None` for the others.
    pub fn arithmetic(self, left: f64, right: f64) -> Option<f64> {
        match self {
            Self::Pow => Some(left.powf(right)),
            Self::Mul => Some(left * right),
            Self::Div => Some(left / right),
            Self::Mod => Some(left % right),
            Self::Atan2 => Some(left.atan2(right)),
            Self::Add => Some(left + right),
            Self::Sub => Some(left - right),
            _ => None,
        }
    }

    /// Whether a comparison holds; `None` for the others. NaN is unequal to everything.
    pub fn compare(self, left: f64, right: f64) -> Option<bool> {
        match self {
            Self::Equal => Some(left == right),
            Self::NotEqual => Some(left != right),
            Self::Greater => Some(left > right),
            Self::Less => Some(left < right),
            Self::GreaterOrEqual => Some(left >= right),
            Self::LessOrEqual => Some(left <= right),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_unique_and_read_back() {
        for (operator, text) in OPERATORS {
            assert_eq!(BinaryOp::from_text(text), Some(operator));
            assert_eq!(operator.as_str(), text);
        }
        assert_eq!(BinaryOp::from_text("UNLESS"), Some(BinaryOp::Unless));
        assert_eq!(BinaryOp::from_text("=>"), None);
    }

    #[test]
    fn computes_like_go() {
        for (operator, left, right, expected) in [
            (BinaryOp::Mod, -5.0, 3.0, -2.0),
            (BinaryOp::Pow, 2.0, -1.0, 0.5),
            (BinaryOp::Div, 1.0, 0.0, f64::INFINITY),
            (BinaryOp::Atan2, 0.0, -1.0, std::f64::consts::PI),
        ] {
            assert_eq!(operator.arithmetic(left, right), Some(expected));
        }
        assert_eq!(BinaryOp::NotEqual.compare(f64::NAN, f64::NAN), Some(true));
        assert_eq!(BinaryOp::And.compare(1.0, 1.0), None);
    }
}
