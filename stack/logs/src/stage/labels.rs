//! The labels of one line while it passes its pipeline.
//!
//! A name can come from three sources, and each later source hides the earlier: stream labels, structured metadata, what a parser
//! read. A parser does not hide: what clashes with an earlier source is named `<name>_extracted`.
//!
//! Names and values of a line stand in one text that is emptied for the next line, so that a line costs no allocation.

use std::borrow::Cow;

use gameday_signal::Labels;

use crate::LabelSet;

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Stream,
    Metadata,
    Parsed,
}

/// The label that holds an error's kind.
pub(crate) const ERROR: &str = "__error__";
/// The label that holds what exactly was wrong.
pub(crate) const ERROR_DETAILS: &str = "__error_details__";
/// The label that says that a metric query asked for its errors.
pub(crate) const PRESERVE_ERROR: &str = "__preserve_error__";
/// What a clashing name ends with.
pub(crate) const EXTRACTED: &str = "_extracted";

#[derive(Clone, Copy, Debug)]
struct Slot {
    source: Source,
    name: (u32, u32),
    value: (u32, u32),
}

/// The labels of a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineLabels {
    stream: Labels,
    text: String,
    slots: Vec<Slot>,
    /// Stream labels that were taken away.
    removed: Vec<(u32, u32)>,
    /// Names that a parser set and a later stage took away: they are not read again.
    read_before: Vec<(u32, u32)>,
    pub(crate) error: Option<Cow<'static, str>>,
    pub(crate) error_details: Option<String>,
}

impl LineLabels {
    /// Begins the lines of another stream.
    pub(crate) fn set_stream(&mut self, stream: &Labels) {
        self.stream = stream.clone();
        self.reset();
    }

    /// Begins another line.
    pub(crate) fn reset(&mut self) {
        self.text.clear();
        self.slots.clear();
        self.removed.clear();
        self.read_before.clear();
        self.error = None;
        self.error_details = None;
    }

    fn str(&self, range: (u32, u32)) -> &str {
        &self.text[range.0 as usize..range.1 as usize]
    }

    fn keep(&mut self, text: &str) -> (u32, u32) {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        (start, self.text.len() as u32)
    }

    /// Adds an entry of structured metadata.
    pub(crate) fn add_metadata(&mut self, name: &str, value: &str) {
        if name == ERROR || name == ERROR_DETAILS {
            // A sender's own error labels count as errors of the pipeline, as in Loki.
            if name == ERROR {
                self.error = Some(Cow::Owned(value.to_owned()));
            } else {
                self.error_details = Some(value.to_owned());
            }
            return;
        }
        if self.stream.get(name).is_some() {
            self.set(Source::Metadata, &format!("{name}{EXTRACTED}"), value);
        } else {
            self.set(Source::Metadata, name, value);
        }
    }

    /// Whether a parser has to give `name` another name.
    pub(crate) fn clashes(&self, name: &str) -> bool {
        self.stream.get(name).is_some()
            || self
                .slots
                .iter()
                .any(|slot| slot.source == Source::Metadata && self.str(slot.name) == name)
    }

    /// Whether a parser has set `name` on this line.
    pub(crate) fn was_parsed(&self, name: &str) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.source == Source::Parsed && self.str(slot.name) == name)
            || self
                .read_before
                .iter()
                .any(|range| self.str(*range) == name)
    }

    /// The value of `name`, if the line has the label.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.get_with_source(name).map(|(value, _)| value)
    }

    /// The value of `name` and where it comes from.
    pub(crate) fn get_with_source(&self, name: &str) -> Option<(&str, Source)> {
        let slot = self
            .slots
            .iter()
            .filter(|slot| self.str(slot.name) == name)
            .min_by_key(|slot| slot.source);
        if let Some(slot) = slot {
            return Some((self.str(slot.value), slot.source));
        }
        if self.removed.iter().any(|range| self.str(*range) == name) {
            return None;
        }
        self.stream.get(name).map(|value| (value, Source::Stream))
    }

    /// Sets a label. A parsed label replaces one of the line's metadata; metadata does not replace a parsed one.
    pub(crate) fn set(&mut self, source: Source, name: &str, value: &str) {
        let value = self.keep(value);
        let mut own = None;
        let mut index = 0;
        while index < self.slots.len() {
            let slot = self.slots[index];
            if self.str(slot.name) != name {
                index += 1;
            } else if slot.source > source {
                return;
            } else if slot.source < source {
                self.slots.remove(index);
            } else {
                own = Some(index);
                index += 1;
            }
        }
        if let Some(index) = own {
            self.slots[index].value = value;
            return;
        }
        let name = self.keep(name);
        self.slots.push(Slot {
            source,
            name,
            value,
        });
    }

    /// Takes `name` away from all sources.
    pub(crate) fn remove(&mut self, name: &str) {
        let range = self.keep(name);
        let mut index = 0;
        while index < self.slots.len() {
            if self.str(self.slots[index].name) == name {
                if self.slots[index].source == Source::Parsed {
                    self.read_before.push(range);
                }
                self.slots.remove(index);
            } else {
                index += 1;
            }
        }
        self.removed.push(range);
    }

    /// Notes an error; the first one of a line is kept only by those who ask for it.
    pub(crate) fn set_error(&mut self, kind: &'static str, details: Option<String>) {
        self.error = Some(Cow::Borrowed(kind));
        if details.is_some() {
            self.error_details = details;
        }
    }

    /// Calls `visit` with every label but the error's, with its source.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&str, &str, Source)) {
        for (name, value) in self.stream.iter() {
            let hidden = self.removed.iter().any(|range| self.str(*range) == name)
                || self.slots.iter().any(|slot| self.str(slot.name) == name);
            if !hidden {
                visit(name, value, Source::Stream);
            }
        }
        for slot in &self.slots {
            visit(self.str(slot.name), self.str(slot.value), slot.source);
        }
    }

    /// Whether the labels are those of the stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.slots.is_empty() && self.removed.is_empty() && self.error.is_none()
    }

    /// The stream's labels.
    pub(crate) fn stream(&self) -> &Labels {
        &self.stream
    }

    /// All labels, the error's among them.
    pub(crate) fn to_label_set(&self) -> LabelSet {
        if self.is_stream() {
            return LabelSet::from(&self.stream);
        }
        let mut pairs = Vec::new();
        self.for_each(|name, value, _| pairs.push((name.to_owned(), value.to_owned())));
        self.push_error(&mut pairs);
        LabelSet::new(pairs)
    }

    /// All labels of one source; the error's labels count as parsed.
    pub(crate) fn of_source(&self, wanted: Source) -> LabelSet {
        let mut pairs = Vec::new();
        self.for_each(|name, value, source| {
            if source == wanted {
                pairs.push((name.to_owned(), value.to_owned()));
            }
        });
        if wanted == Source::Parsed {
            self.push_error(&mut pairs);
        }
        LabelSet::new(pairs)
    }

    fn push_error(&self, pairs: &mut Vec<(String, String)>) {
        if let Some(kind) = &self.error {
            pairs.push((ERROR.to_owned(), kind.to_string()));
        }
        if let Some(details) = &self.error_details {
            pairs.push((ERROR_DETAILS.to_owned(), details.clone()));
        }
    }
}

/// Writes a name with every character that no label may have replaced by `_`.
pub(crate) fn sanitize(name: &str, out: &mut String) {
    let name = name.trim();
    if out.is_empty() && name.starts_with(|first: char| first.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(name.chars().map(|character| {
        if character.is_ascii_alphanumeric() || character == '_' {
            character
        } else {
            '_'
        }
    }));
}

/// Whether `name` can stand as it is.
pub(crate) fn is_sane(name: &str) -> bool {
    !name.is_empty()
        && !name.as_bytes()[0].is_ascii_digit()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_hide_each_other() {
        let mut labels = LineLabels::default();
        labels.set_stream(&Labels::new([("app", "a"), ("k", "s")]));
        labels.add_metadata("k", "m");
        labels.add_metadata("md", "m");
        assert_eq!(labels.get("k"), Some("s"));
        assert_eq!(labels.get("k_extracted"), Some("m"));
        assert!(labels.clashes("md") && labels.clashes("k") && !labels.clashes("x"));
        labels.set(Source::Parsed, "k_extracted", "p");
        assert_eq!(
            labels.get_with_source("k_extracted"),
            Some(("p", Source::Parsed))
        );
        labels.set(Source::Metadata, "k_extracted", "late");
        assert_eq!(labels.get("k_extracted"), Some("p"));
        labels.remove("app");
        labels.remove("k_extracted");
        assert!(labels.was_parsed("k_extracted"));
        assert_eq!(labels.to_label_set().to_string(), r#"{k="s", md="m"}"#);
        assert_eq!(
            labels.of_source(Source::Metadata).to_string(),
            r#"{md="m"}"#
        );
        labels.reset();
        assert!(labels.is_stream());
    }

    #[test]
    fn names_are_made_sane() {
        for (name, expected) in [("a-b", "a_b"), ("9x", "_9x"), (" é ", "_"), ("a.b", "a_b")] {
            let mut out = String::new();
            sanitize(name, &mut out);
            assert_eq!(out, expected);
            assert!(!is_sane(name));
        }
        assert!(is_sane("a_1") && !is_sane(""));
    }
}
