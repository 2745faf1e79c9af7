//! `detected_level`: the severity of a line, from its labels, its metadata or its text.

use std::borrow::Cow;

use gameday_signal::Labels;

use super::otlp::SEVERITY_NUMBER;
use crate::Metadata;
use crate::stage::json::{Event, Value, walk};
use crate::stage::logfmt::Decoder;

/// The name of the metadata entry that holds it.
pub(crate) const DETECTED_LEVEL: &str = "detected_level";

/// Fields that may say it (the default of Loki's `log_level_fields`).
const FIELDS: [&str; 13] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
    "Severity_Text",
];

/// JSON objects are searched to this depth (the default of Loki's `log_level_from_json_max_depth`).
const JSON_DEPTH_MAX: usize = 2;

/// Words in free text and the level that they mean.
const WORDS: [(&str, &str); 9] = [
    ("trace", "trace"),
    ("debug", "debug"),
    ("fatal", "fatal"),
    ("critical", "critical"),
    ("error", "error"),
    ("err", "error"),
    ("warning", "warn"),
    ("warn", "warn"),
    ("info", "info"),
];

/// The level of a line, where `of_labels` is what [`level_of_labels`] finds for its stream; none where `metadata` already has
/// `detected_level`, which is then normalised in place.
pub(crate) fn detect_level(
    of_labels: Option<&str>,
    metadata: &mut Metadata,
    line: &str,
) -> Option<Cow<'static, str>> {
    let told = Told::by(metadata);
    if let Some((index, value)) = told.detected {
        if let Some(known) = known_level(value) {
            metadata.set_value(index, known);
        }
        return None;
    }
    if let Some(said) = of_labels.or(told.field.map(|(_, value)| value)) {
        let level = known_level(said).map_or_else(|| Cow::Owned(said.to_owned()), Cow::Borrowed);
        return (!level.is_empty()).then_some(level);
    }
    Some(Cow::Borrowed(match told.severity_number {
        Some(number) => of_severity_number(number),
        None => of_line(line),
    }))
}

/// What a line's metadata tells about its level.
#[derive(Default)]
struct Told<'a> {
    /// `detected_level` itself, and where it stands.
    detected: Option<(usize, &'a str)>,
    /// The first of [`FIELDS`] that is there, and its rank.
    field: Option<(usize, &'a str)>,
    severity_number: Option<&'a str>,
}

impl<'a> Told<'a> {
    /// Of a name that stands there twice the first counts.
    fn by(metadata: &'a Metadata) -> Self {
        let mut told = Self::default();
        for (index, (name, value)) in metadata.iter().enumerate() {
            // All of them begin so, and most other names do not.
            if !matches!(name.as_bytes(), [b'd' | b'l' | b'L' | b's' | b'S', ..]) {
                continue;
            }
            if name == DETECTED_LEVEL {
                told.detected.get_or_insert((index, value));
            } else if name == SEVERITY_NUMBER {
                told.severity_number.get_or_insert(value);
            } else if let Some(rank) = FIELDS.iter().position(|field| *field == name)
                && told.field.is_none_or(|(before, _)| rank < before)
            {
                told.field = Some((rank, value));
            }
        }
        told
    }
}

/// The level that a stream's labels say its lines have.
pub(crate) fn level_of_labels(labels: &Labels) -> Option<&str> {
    FIELDS.iter().find_map(|field| labels.get(field))
}

/// The standard name of a level, whatever its case or abbreviation.
fn known_level(text: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 14] = [
        ("trace", "trace"),
        ("trc", "trace"),
        ("debug", "debug"),
        ("dbg", "debug"),
        ("info", "info"),
        ("inf", "info"),
        ("information", "info"),
        ("warn", "warn"),
        ("wrn", "warn"),
        ("warning", "warn"),
        ("error", "error"),
        ("err", "error"),
        ("critical", "critical"),
        ("fatal", "fatal"),
    ];
    NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, level)| *level)
}

/// OpenTelemetry's severity numbers, four to a level (data model, field SeverityNumber).
fn of_severity_number(text: &str) -> &'static str {
    match text.parse::<i64>() {
        Ok(1..=4) => "trace",
        Ok(5..=8) => "debug",
        Ok(9..=12) | Err(_) => "info",
        Ok(13..=16) => "warn",
        Ok(17..=20) => "error",
        Ok(21..=24) => "fatal",
        Ok(_) => "unknown",
    }
}

fn of_line(line: &str) -> &'static str {
    let trimmed = line.trim();
    let field = if trimmed.starts_with('{') && trimmed.ends_with('}') {
        of_json(line)
    } else if memchr::memchr(b'=', line.as_bytes()).is_some() {
        of_logfmt(line)
    } else {
        None
    };
    field.unwrap_or_else(|| of_words(line))
}

/// The level field of a JSON line; only the top and one object below it are searched.
fn of_json(line: &str) -> Option<&'static str> {
    let mut depth = 0usize;
    let mut found = None;
    // A malformed rest of the line does not take back what was found before it.
    let _ = walk(line, &mut |event| {
        match event {
            Event::Enter(_) => {
                depth += 1;
                return if depth < JSON_DEPTH_MAX {
                    crate::stage::json::Next::Into
                } else {
                    depth -= 1;
                    crate::stage::json::Next::Over
                };
            }
            Event::Leave => depth -= 1,
            Event::Value(key, Value::String(raw)) if FIELDS.contains(&key) => {
                found = Some(known_level(raw));
                return crate::stage::json::Next::Stop;
            }
            Event::Value(..) => {}
        }
        crate::stage::json::Next::Into
    });
    found.flatten()
}

fn of_logfmt(line: &str) -> Option<&'static str> {
    let mut best: Option<(usize, Option<&'static str>)> = None;
    let mut decoder = Decoder::new(line);
    while let Some(pair) = decoder.next_pair() {
        let Ok((key, value)) = pair else { break };
        let rank = FIELDS
            .iter()
            .position(|field| field.eq_ignore_ascii_case(key));
        if let Some(rank) = rank
            && best.is_none_or(|(before, _)| rank < before)
        {
            best = Some((rank, known_level(&value)));
        }
    }
    best.and_then(|(_, level)| level)
}

/// The first level word that stands alone in the line.
fn of_words(line: &str) -> &'static str {
    // Lines are short, and most are lower case already where it matters: one pass that allocates is enough.
    let lower = line.to_ascii_lowercase();
    let mut best = (lower.len(), "unknown");
    for (word, level) in WORDS {
        if let Some(position) = bounded(&lower, word)
            && position < best.0
        {
            best = (position, level);
        }
    }
    best.1
}

fn bounded(line: &str, word: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    memchr::memmem::find_iter(bytes, word).find(|position| {
        let left = position.checked_sub(1).map(|before| bytes[before]);
        let right = bytes.get(position + word.len()).copied();
        left.is_none_or(|byte| b" \t\n[({\"'=|".contains(&byte))
            && right.is_none_or(|byte| b" \t\n[](){}:,!\"'=|".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_level_where_it_is_said() {
        for (labels, metadata, line, expected) in [
            (vec![("level", "WARNING")], vec![], "error", Some("warn")),
            (vec![("level", "loud")], vec![], "error", Some("loud")),
            (vec![], vec![("severity_text", "Err")], "", Some("error")),
            (
                vec![],
                vec![("severity_text", "Err"), ("level", "inf"), ("level", "dbg")],
                "",
                Some("info"),
            ),
            (
                vec![],
                vec![("severity_number", "9")],
                "error",
                Some("info"),
            ),
            (vec![], vec![("severity_number", "0")], "", Some("unknown")),
            (vec![], vec![("detected_level", "FATAL")], "", None),
            (
                vec![],
                vec![],
                r#"{"msg":"error","level":"info"}"#,
                Some("info"),
            ),
            (vec![], vec![], r#"{"a":{"level":"dbg"}}"#, Some("debug")),
            (
                vec![],
                vec![],
                r#"{"a":{"b":{"level":"dbg"}}}"#,
                Some("unknown"),
            ),
            (vec![], vec![], "msg=x lvl=trc", Some("trace")),
            (vec![], vec![], "ERROR: it broke", Some("error")),
            (vec![], vec![], "terror in errands", Some("unknown")),
            (vec![], vec![], "[warn] then error", Some("warn")),
        ] {
            let labels = Labels::new(labels);
            let mut metadata: Metadata = metadata.into_iter().collect();
            assert_eq!(
                detect_level(level_of_labels(&labels), &mut metadata, line).as_deref(),
                expected,
                "{line}"
            );
            assert!(metadata.iter().all(|(_, value)| value != "FATAL"));
        }
    }
}
