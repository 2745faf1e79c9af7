//! Relabelling, as Prometheus' model/relabel does it: of targets, samples, alerts and what is sent on.
//!
//! [`process`] runs a list of [`Relabel`] steps over a label set and says whether it is kept.

pub(crate) mod md5;

use gameday_signal::{Labels, LabelsBuilder};
use regex::{Captures, Regex, RegexBuilder};
use serde::{Deserialize, Deserializer};

/// What a step does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Sets `target_label` to `replacement` where the regex matches.
    #[default]
    Replace,
    /// Drops what the regex does not match.
    Keep,
    /// Drops what the regex matches.
    Drop,
    /// Drops what is not equal to `target_label`.
    KeepEqual,
    /// Drops what is equal to `target_label`.
    DropEqual,
    /// Sets `target_label` to the hash of the sources, modulo `modulus`.
    HashMod,
    /// Copies labels whose name the regex matches to the name in `replacement`.
    LabelMap,
    /// Removes labels whose name the regex matches.
    LabelDrop,
    /// Removes labels whose name the regex does not match.
    LabelKeep,
    /// Sets `target_label` to the sources in lower case.
    Lowercase,
    /// Sets `target_label` to the sources in upper case.
    Uppercase,
}

impl Action {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word.to_lowercase().as_str() {
            "replace" => Self::Replace,
            "keep" => Self::Keep,
            "drop" => Self::Drop,
            "keepequal" => Self::KeepEqual,
            "dropequal" => Self::DropEqual,
            "hashmod" => Self::HashMod,
            "labelmap" => Self::LabelMap,
            "labeldrop" => Self::LabelDrop,
            "labelkeep" => Self::LabelKeep,
            "lowercase" => Self::Lowercase,
            "uppercase" => Self::Uppercase,
            _ => return None,
        })
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }
}

/// One step, checked.
#[derive(Clone, Debug)]
pub struct Relabel {
    source_labels: Vec<String>,
    separator: String,
    pattern: String,
    regex: Regex,
    modulus: u64,
    target_label: String,
    replacement: String,
    action: Action,
}

impl PartialEq for Relabel {
    fn eq(&self, other: &Self) -> bool {
        self.source_labels == other.source_labels
            && self.separator == other.separator
            && self.pattern == other.pattern
            && self.modulus == other.modulus
            && self.target_label == other.target_label
            && self.replacement == other.replacement
            && self.action == other.action
    }
}

const DEFAULT_PATTERN: &str = "(.*)";
const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REPLACEMENT: &str = "$1";
/// A compiled pattern may take this many bytes.
const REGEX_SIZE_LIMIT: usize = 4 << 20;

/// A step as it is written; nothing is set where nothing is said, because some actions allow only some keys.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    source_labels: Option<Vec<String>>,
    separator: Option<String>,
    regex: Option<String>,
    modulus: Option<u64>,
    target_label: Option<String>,
    replacement: Option<String>,
    action: Option<String>,
}

impl<'de> Deserialize<'de> for Relabel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::check(Written::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Relabel {
    /// Checks a step as Prometheus' relabel.Config.Validate does.
    fn check(written: Written) -> Result<Self, String> {
        let word = written.action.as_deref().unwrap_or("replace");
        let action =
            Action::from_word(word).ok_or_else(|| format!("unknown relabel action {word:?}"))?;
        let name = action.as_str();
        let target_label = written.target_label.unwrap_or_default();
        let modulus = written.modulus.unwrap_or(0);
        let replacement = written
            .replacement
            .as_deref()
            .unwrap_or(DEFAULT_REPLACEMENT);
        if action == Action::HashMod && modulus == 0 {
            return Err("relabel configuration for hashmod requires non-zero modulus".to_owned());
        }
        if matches!(
            action,
            Action::Replace
                | Action::HashMod
                | Action::Lowercase
                | Action::Uppercase
                | Action::KeepEqual
                | Action::DropEqual
        ) && target_label.is_empty()
        {
            return Err(format!(
                "relabel configuration for {name} action requires 'target_label' value"
            ));
        }
        if matches!(
            action,
            Action::Lowercase | Action::Uppercase | Action::KeepEqual | Action::DropEqual
        ) && replacement != DEFAULT_REPLACEMENT
        {
            return Err(format!("'replacement' can not be set for {name} action"));
        }
        let separator = written.separator.as_deref().unwrap_or(DEFAULT_SEPARATOR);
        let pattern = written.regex.as_deref().unwrap_or(DEFAULT_PATTERN);
        let has_other =
            modulus != 0 || separator != DEFAULT_SEPARATOR || replacement != DEFAULT_REPLACEMENT;
        if matches!(action, Action::DropEqual | Action::KeepEqual)
            && (has_other || pattern != DEFAULT_PATTERN)
        {
            return Err(format!(
                "{name} action requires only 'source_labels' and `target_label`, and no other fields"
            ));
        }
        if matches!(action, Action::LabelDrop | Action::LabelKeep)
            && (has_other || !target_label.is_empty() || written.source_labels.is_some())
        {
            return Err(format!(
                "{name} action requires only 'regex', and no other fields"
            ));
        }
        let regex = RegexBuilder::new(&format!("^(?s:{pattern})$"))
            .size_limit(REGEX_SIZE_LIMIT)
            .build()
            .map_err(|error| {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default();
                let reason = last.trim_start_matches("error: ");
                format!("error parsing regexp {pattern:?}: {reason}")
            })?;
        Ok(Self {
            source_labels: written.source_labels.unwrap_or_default(),
            separator: separator.to_owned(),
            pattern: pattern.to_owned(),
            regex,
            modulus,
            target_label,
            replacement: replacement.to_owned(),
            action,
        })
    }

    /// Whether the label set is kept.
    fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        let mut value = String::new();
        for (index, name) in self.source_labels.iter().enumerate() {
            if index > 0 {
                value.push_str(&self.separator);
            }
            value.push_str(labels.get(name).unwrap_or_default());
        }
        match self.action {
            Action::Drop => return !self.regex.is_match(&value),
            Action::Keep => return self.regex.is_match(&value),
            Action::DropEqual => {
                return labels.get(&self.target_label).unwrap_or_default() != value;
            }
            Action::KeepEqual => {
                return labels.get(&self.target_label).unwrap_or_default() == value;
            }
            Action::Replace => self.replace(labels, &value),
            Action::Lowercase => {
                labels.set(&self.target_label, &value.to_lowercase());
            }
            Action::Uppercase => {
                labels.set(&self.target_label, &value.to_uppercase());
            }
            Action::HashMod => {
                let hash = md5::last_eight_bytes(value.as_bytes()) % self.modulus;
                labels.set(&self.target_label, &hash.to_string());
            }
            Action::LabelMap => {
                let mapped: Vec<(String, String)> = labels
                    .iter()
                    .filter_map(|(name, value)| {
                        let captures = self.regex.captures(name)?;
                        Some((expand(&captures, &self.replacement), value.to_owned()))
                    })
                    .collect();
                for (name, value) in mapped {
                    labels.set(&name, &value);
                }
            }
            Action::LabelDrop | Action::LabelKeep => {
                let drops = self.action == Action::LabelDrop;
                let removed: Vec<String> = labels
                    .iter()
                    .filter(|(name, _)| self.regex.is_match(name) == drops)
                    .map(|(name, _)| name.to_owned())
                    .collect();
                for name in removed {
                    labels.remove(&name);
                }
            }
        }
        true
    }

    fn replace(&self, labels: &mut LabelsBuilder, value: &str) {
        let Some(captures) = self.regex.captures(value) else {
            return;
        };
        let target = expand(&captures, &self.target_label);
        if target.is_empty() {
            return;
        }
        // An empty result removes the label.
        labels.set(&target, &expand(&captures, &self.replacement));
    }
}

/// Fills `$1`, `${1}` and `$name` in, as Go's Regexp.Expand and Rust's alike.
fn expand(captures: &Captures<'_>, template: &str) -> String {
    let mut out = String::new();
    captures.expand(template, &mut out);
    out
}

/// Runs the steps over `labels`; false where one of them drops it.
pub fn process(labels: &mut LabelsBuilder, steps: &[Relabel]) -> bool {
    steps.iter().all(|step| step.apply(labels))
}

/// Runs the steps over a label set; none where one of them drops it.
pub fn process_labels(labels: &Labels, steps: &[Relabel]) -> Option<Labels> {
    if steps.is_empty() {
        return Some(labels.clone());
    }
    let mut builder = labels.to_builder();
    process(&mut builder, steps).then(|| builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(steps: &str, expected: Option<&str>) {
        let steps: Vec<Relabel> = gameday_yaml::from_str(steps).expect("valid steps");
        let labels = Labels::new([("a", "foo"), ("b", "bar"), ("c", "baz"), ("__meta_x", "y")]);
        assert_eq!(
            process_labels(&labels, &steps)
                .map(|labels| labels.to_string())
                .as_deref(),
            expected,
            "{steps:?}"
        );
    }

    const REST: &str = r#"__meta_x="y", a="foo", b="bar", c="baz""#;

    #[test]
    fn every_action() {
        let with = |more: &str| Some(format!("{{{REST}, {more}}}"));
        for (steps, more) in [
            (
                "[{source_labels: [a], regex: 'f(.*)', target_label: d, replacement: 'ch$1-ch$1'}]",
                r#"d="choo-choo""#,
            ),
            (
                "[{source_labels: [a, b], regex: '(.*);(.*)', target_label: d, replacement: '$2${1}x'}]",
                r#"d="barfoox""#,
            ),
            (
                "[{source_labels: [a], regex: '(f).*', target_label: '${1}_x', replacement: '1'}]",
                r#"f_x="1""#,
            ),
            ("[{target_label: d, replacement: static}]", r#"d="static""#),
            (
                "[{source_labels: [a, b], separator: '', target_label: d}]",
                r#"d="foobar""#,
            ),
            (
                "[{source_labels: [b], target_label: d, action: uppercase}]",
                r#"d="BAR""#,
            ),
            (
                "[{source_labels: [c], target_label: d, modulus: 1000, action: hashmod}]",
                r#"d="976""#,
            ),
            (
                "[{regex: '__meta_(.*)', action: labelmap, replacement: 'm_$1'}]",
                r#"m_x="y""#,
            ),
        ] {
            check(steps, with(more).as_deref());
        }
        let all = format!("{{{REST}}}");
        for (steps, expected) in [
            (
                "[{source_labels: [a], regex: foo, action: keep}]",
                Some(all.as_str()),
            ),
            ("[{source_labels: [a], regex: fo, action: keep}]", None),
            ("[{source_labels: [a], regex: foo, action: drop}]", None),
            (
                "[{source_labels: [a], regex: fo, action: drop}]",
                Some(all.as_str()),
            ),
            (
                "[{source_labels: [none], regex: '', action: keep}]",
                Some(all.as_str()),
            ),
            (
                "[{source_labels: [a], target_label: b, action: keepequal}]",
                None,
            ),
            (
                "[{source_labels: [a], target_label: b, action: dropequal}]",
                Some(all.as_str()),
            ),
            (
                "[{source_labels: [a], target_label: a, action: dropequal}]",
                None,
            ),
            (
                "[{source_labels: [a], regex: nomatch, target_label: a, replacement: x}]",
                Some(all.as_str()),
            ),
            (
                "[{regex: '[bc]|__.*', action: labeldrop}]",
                Some(r#"{a="foo"}"#),
            ),
            ("[{regex: 'a', action: labelkeep}]", Some(r#"{a="foo"}"#)),
            (
                "[{regex: '.*[bcx]', action: LabelDrop}, {target_label: a, replacement: ''}]",
                Some("{}"),
            ),
        ] {
            check(steps, expected);
        }
    }

    #[test]
    fn refuses_contradictions() {
        for (step, expected) in [
            ("{action: other}", "unknown relabel action \"other\""),
            ("{action: replace}", "requires 'target_label' value"),
            (
                "{action: hashmod, target_label: a}",
                "requires non-zero modulus",
            ),
            (
                "{action: labeldrop, regex: a, source_labels: [a]}",
                "requires only 'regex'",
            ),
            (
                "{action: keepequal, source_labels: [a], target_label: b, regex: c}",
                "requires only 'source_labels' and `target_label`",
            ),
            (
                "{action: lowercase, target_label: b, replacement: c}",
                "can not be set for lowercase action",
            ),
            (
                "{action: keep, regex: '('}",
                "error parsing regexp \"(\": unclosed group",
            ),
            ("{target: b}", "unknown field"),
        ] {
            let error = gameday_yaml::from_str::<Relabel>(step)
                .expect_err(step)
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
