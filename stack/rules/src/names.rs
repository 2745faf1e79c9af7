//! Which names of metrics and labels are valid.

/// Which names of metrics and labels are valid (`metric_name_validation_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameValidation {
    /// Any text, the default of Prometheus 3.
    #[default]
    Utf8,
    /// Letters, digits and underscores, and colons for metrics, as before Prometheus 3.
    Legacy,
}

impl NameValidation {
    /// Whether a label or annotation may have this name.
    pub fn is_label_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_classic(name, false),
        }
    }

    /// Whether a series may have this name.
    pub fn is_metric_name(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => is_classic(name, true),
        }
    }
}

fn is_classic(name: &str, colons: bool) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || (colons && byte == b':');
    let mut bytes = name.bytes();
    bytes.next().is_some_and(letter) && bytes.all(|byte| letter(byte) || byte.is_ascii_digit())
}
