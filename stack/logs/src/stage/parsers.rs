//! The stages that read labels from a line.

use regex::{CaptureLocations, Regex};

use super::hints::Hints;
use super::json::{Event, Found, JsonError, Next, PathStep, Value, follow, walk};
use super::label_filter::CompiledLabelFilter;
use super::labels::{EXTRACTED, LineLabels, PRESERVE_ERROR, Source, is_sane, sanitize};
use super::logfmt::Decoder;
use super::pattern::Pattern;

/// Notes an error of a parser.
fn note_error(labels: &mut LineLabels, hints: &Hints, kind: &'static str, details: Option<String>) {
    labels.set_error(kind, details);
    if hints.preserve_error {
        labels.set(Source::Parsed, PRESERVE_ERROR, "true");
    }
}

/// Sets a parsed label under its own name or, where that clashes, under `<name>_extracted`; what is not wanted, or was read
/// before, is left out.
fn put(labels: &mut LineLabels, hints: &Hints, name: &str, value: &str) {
    if labels.clashes(name) {
        let name = format!("{name}{EXTRACTED}");
        if hints.wants(&name) && !labels.was_parsed(&name) {
            labels.set(Source::Parsed, &name, value);
        }
    } else if hints.wants(name) && !labels.was_parsed(name) {
        labels.set(Source::Parsed, name, value);
    }
}

/// The name of a nested value: the names of the objects around it, joined by `_`.
#[derive(Clone, Debug, Default)]
pub(crate) struct JsonPrefix {
    text: String,
    lengths: Vec<usize>,
}

impl JsonPrefix {
    fn clear(&mut self) {
        self.text.clear();
        self.lengths.clear();
    }

    fn push(&mut self, key: &str) {
        self.lengths.push(self.text.len());
        self.append(key);
    }

    fn append(&mut self, key: &str) {
        if key.trim().is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push('_');
        }
        sanitize(key, &mut self.text);
    }

    fn pop(&mut self) {
        let length = self.lengths.pop().unwrap_or(0);
        self.text.truncate(length);
    }

    /// Calls `with` with the full name of `key`; names that say nothing are left out.
    fn name<T>(&mut self, key: &str, with: impl FnOnce(&str) -> T) -> Option<T> {
        if self.text.is_empty() && is_sane(key) {
            return Some(with(key));
        }
        let length = self.text.len();
        self.append(key);
        let result = (!self.text.is_empty() && self.text.len() > length).then(|| with(&self.text));
        self.text.truncate(length);
        result
    }
}

/// `| json`. `early` are filters that follow directly: where one of them refuses the line anyway, nothing is read. Returns
/// whether the line goes on.
pub(crate) fn json(
    line: &str,
    labels: &mut LineLabels,
    hints: &Hints,
    early: &[CompiledLabelFilter],
    prefix: &mut JsonPrefix,
) -> bool {
    if hints.is_satisfied(labels) {
        return true;
    }
    if !early.is_empty() && !hints.is_limited() && !may_pass(line, labels, early, prefix) {
        return false;
    }
    prefix.clear();
    let result = walk(line, &mut |event| {
        match event {
            Event::Enter(key) => {
                prefix.push(key);
                if !hints.wants_prefix(&prefix.text) {
                    prefix.pop();
                    return Next::Over;
                }
            }
            Event::Leave => prefix.pop(),
            Event::Value(_, Value::Null | Value::Array(_)) => {}
            Event::Value(key, value) => {
                let stop = prefix.name(key, |name| {
                    if hints.is_limited() && !labels.clashes(name) && !hints.wants(name) {
                        return false;
                    }
                    if let Some(text) = value.text() {
                        put(labels, hints, name, &text);
                    }
                    hints.all_read(labels)
                });
                if stop == Some(true) {
                    return Next::Stop;
                }
            }
        }
        Next::Into
    });
    if let Err(error) = result {
        note_error(labels, hints, "JSONParserErr", Some(error.to_string()));
    }
    true
}

/// Whether the filters behind `| json` can let the line pass; only the labels that they look at are read.
fn may_pass(
    line: &str,
    labels: &LineLabels,
    early: &[CompiledLabelFilter],
    prefix: &mut JsonPrefix,
) -> bool {
    // A label that is there already is not the one that JSON would set.
    let mut open: Vec<&CompiledLabelFilter> = early
        .iter()
        .filter(|filter| {
            filter
                .deciding_label()
                .is_some_and(|name| labels.get(name).is_none())
        })
        .collect();
    if open.is_empty() {
        return true;
    }
    let mut passes = true;
    prefix.clear();
    // A malformed line ends the search; what was not found by then is not there.
    let _ = walk(line, &mut |event| {
        match event {
            Event::Enter(key) => {
                prefix.push(key);
                let wanted = open.iter().any(|filter| {
                    filter
                        .deciding_label()
                        .is_some_and(|name| name.starts_with(prefix.text.as_str()))
                });
                if !wanted {
                    prefix.pop();
                    return Next::Over;
                }
            }
            Event::Leave => prefix.pop(),
            Event::Value(_, Value::Null | Value::Array(_)) => {}
            Event::Value(key, value) => {
                prefix.name(key, |name| {
                    open.retain(|filter| {
                        if filter.deciding_label() != Some(name) {
                            return true;
                        }
                        passes = passes && filter.may_pass(value.text().as_deref());
                        false
                    });
                });
                if !passes || open.is_empty() {
                    return Next::Stop;
                }
            }
        }
        Next::Into
    });
    passes && open.iter().all(|filter| filter.may_pass(None))
}

/// `| json a="b.c"`.
pub(crate) fn json_expressions(
    line: &str,
    labels: &mut LineLabels,
    hints: &Hints,
    paths: &[(String, Vec<PathStep>)],
) {
    if line.is_empty() || hints.is_satisfied(labels) {
        return;
    }
    if !line.starts_with(['"', '{', '[']) {
        note_error(labels, hints, "JSONParserErr", None);
        return;
    }
    let mut missing = false;
    for (name, path) in paths {
        let clashing;
        let target = if labels.clashes(name) {
            clashing = format!("{name}{EXTRACTED}");
            &clashing
        } else {
            name
        };
        match follow(line, path) {
            Ok(Some(Found::Text(text))) => labels.set(Source::Parsed, target, &text),
            Ok(Some(Found::Raw(raw))) => labels.set(Source::Parsed, target, raw),
            Ok(Some(Found::Null)) => labels.set(Source::Parsed, target, ""),
            Ok(None) | Err(_) => missing = true,
        }
    }
    if missing {
        for (name, _) in paths {
            if labels.get(name).is_none() {
                labels.set(Source::Parsed, name, "");
            }
        }
    }
}

/// `| logfmt`.
pub(crate) fn logfmt(
    line: &str,
    labels: &mut LineLabels,
    hints: &Hints,
    strict: bool,
    keep_empty: bool,
    name: &mut String,
) {
    if hints.is_satisfied(labels) {
        return;
    }
    let mut decoder = Decoder::new(line);
    while let Some(pair) = decoder.next_pair() {
        let (key, value) = match pair {
            Ok(pair) => pair,
            Err(error) if strict => {
                note_error(labels, hints, "LogfmtParserErr", Some(error.to_string()));
                return;
            }
            Err(_) => continue,
        };
        let key = if is_sane(key) {
            key
        } else {
            name.clear();
            sanitize(key, name);
            name.as_str()
        };
        if key.is_empty() || (value.is_empty() && !keep_empty) {
            continue;
        }
        put(labels, hints, key, &value);
        if hints.all_read(labels) {
            return;
        }
    }
}

/// `| logfmt a="b"`.
pub(crate) fn logfmt_expressions(
    line: &str,
    labels: &mut LineLabels,
    hints: &Hints,
    keys: &[(String, String)],
    strict: bool,
) {
    if hints.is_satisfied(labels) {
        return;
    }
    for (label, _) in keys {
        if !labels.clashes(label) {
            labels.set(Source::Parsed, label, "");
        }
    }
    let mut decoder = Decoder::new(line);
    let mut name = String::new();
    while let Some(pair) = decoder.next_pair() {
        let (key, value) = match pair {
            Ok(pair) => pair,
            Err(error) if strict => {
                note_error(labels, hints, "LogfmtParserErr", Some(error.to_string()));
                return;
            }
            Err(_) => continue,
        };
        name.clear();
        sanitize(key, &mut name);
        let label = keys
            .iter()
            .find(|(_, own)| *own == name)
            .or_else(|| keys.iter().find(|(own, _)| *own == name));
        let Some((label, _)) = label else { continue };
        if labels.clashes(label) {
            put(labels, hints, label, &value);
        } else {
            labels.set(Source::Parsed, label, &value);
        }
    }
}

/// `| regexp`, compiled.
#[derive(Clone, Debug)]
pub(crate) struct RegexpParser {
    regex: Regex,
    /// The groups with their labels.
    names: Vec<(usize, String)>,
    locations: CaptureLocations,
}

impl RegexpParser {
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        let regex = super::line_filter::compile_regex(pattern).map_err(|error| {
            if error.contains("duplicate capture group name") {
                "duplicate extracted label name".to_owned()
            } else {
                error
            }
        })?;
        let names: Vec<(usize, String)> = regex
            .capture_names()
            .enumerate()
            .filter_map(|(index, name)| Some((index, name?.to_owned())))
            .collect();
        if names.is_empty() {
            return Err("at least one named capture must be supplied".to_owned());
        }
        let locations = regex.capture_locations();
        Ok(Self {
            regex,
            names,
            locations,
        })
    }

    pub(crate) fn read(&mut self, line: &str, labels: &mut LineLabels, hints: &Hints) {
        if self
            .regex
            .captures_read(&mut self.locations, line)
            .is_none()
        {
            return;
        }
        for (index, name) in &self.names {
            let value = self
                .locations
                .get(*index)
                .map_or("", |(start, end)| &line[start..end]);
            put(labels, hints, name, value);
        }
    }
}

/// `| pattern`.
pub(crate) fn pattern(line: &str, labels: &mut LineLabels, hints: &Hints, pattern: &Pattern) {
    if hints.is_satisfied(labels) {
        return;
    }
    pattern.captures(line, |name, value| put(labels, hints, name, value));
}

/// `| unpack`: the labels of Promtail's `pack` stage, and the line that it packed.
pub(crate) fn unpack(line: &str, labels: &mut LineLabels, hints: &Hints) -> Option<String> {
    /// The key of the packed line.
    const ENTRY: &str = "_entry";
    if line.is_empty() || hints.is_satisfied(labels) {
        return None;
    }
    if !line.starts_with('{') {
        let details = JsonError::NotAnObject.to_string();
        note_error(labels, hints, "JSONParserErr", Some(details));
        return None;
    }
    let mut entry = None;
    let mut packed: Vec<(String, String)> = Vec::new();
    let result = walk(line, &mut |event| {
        match event {
            Event::Enter(_) => return Next::Over,
            Event::Value(ENTRY, Value::String(raw)) => {
                entry = Some(super::json::unescape(raw).into_owned());
            }
            Event::Value(key, Value::String(raw)) => {
                let mut name = String::new();
                sanitize(key, &mut name);
                packed.push((name, super::json::unescape(raw).into_owned()));
            }
            Event::Value(..) | Event::Leave => {}
        }
        Next::Into
    });
    if let Err(error) = result {
        note_error(labels, hints, "JSONParserErr", Some(error.to_string()));
        return None;
    }
    if entry.is_some() {
        for (name, value) in &packed {
            put(labels, hints, name, value);
        }
    }
    entry
}
