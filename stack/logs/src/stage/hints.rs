//! What later stages and the grouping need of a parser, so that it can stop early in a metric query.

use super::labels::{ERROR, EXTRACTED, LineLabels};

/// Which labels are worth reading.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    /// No label at all: `sum(rate({..} | json [5m]))` only counts.
    none: bool,
    /// Only these; empty where all may matter.
    required: Vec<String>,
    /// Whether errors were asked for by name, so that they do not fail the query.
    pub(crate) preserve_error: bool,
}

impl Hints {
    /// What a metric query needs: `used` by its stages and its `unwrap`, `groups` by its grouping.
    pub(crate) fn for_samples(
        used: &[String],
        groups: &[String],
        without: bool,
        no_labels: bool,
    ) -> Self {
        let mut required: Vec<String> = Vec::new();
        for label in used.iter().chain(groups) {
            // A clashing name is parsed under its own name before it is known to clash.
            for name in [Some(label.as_str()), label.strip_suffix(EXTRACTED)]
                .into_iter()
                .flatten()
            {
                if !name.is_empty() && !required.iter().any(|own| own == name) {
                    required.push(name.to_owned());
                }
            }
        }
        if no_labels && required.is_empty() {
            return Self {
                none: true,
                ..Self::default()
            };
        }
        if !no_labels && (without || groups.is_empty()) {
            return Self::default();
        }
        Self {
            none: false,
            preserve_error: required.iter().any(|label| label == ERROR),
            required,
        }
    }

    /// Whether a parser may be skipped for this line.
    pub(crate) fn is_satisfied(&self, labels: &LineLabels) -> bool {
        self.none || self.all_read(labels)
    }

    /// Whether every required label has been parsed.
    pub(crate) fn all_read(&self, labels: &LineLabels) -> bool {
        !self.required.is_empty() && self.required.iter().all(|name| labels.was_parsed(name))
    }

    /// Whether only some labels are needed.
    pub(crate) fn is_limited(&self) -> bool {
        !self.required.is_empty()
    }

    /// Whether `name` is worth reading.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.required.is_empty() || self.required.iter().any(|own| own == name)
    }

    /// Whether a name that begins with `prefix` can be worth reading.
    pub(crate) fn wants_prefix(&self, prefix: &str) -> bool {
        self.required.is_empty() || self.required.iter().any(|own| own.starts_with(prefix))
    }
}
