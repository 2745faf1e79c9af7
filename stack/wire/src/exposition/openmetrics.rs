//! OpenMetrics 1.0 (github.com/prometheus/OpenMetrics, specification/OpenMetrics.md), the text format.

use std::borrow::Cow;

use gameday_signal::{Exemplar, LabelsBuilder, Timestamp};

use super::lexer::{Grammar, Line, unescape};
use super::strict::Families;
use super::{Entry, Pairs, ParseError, SampleEntry, metric_type, read_series};
use crate::SampleValue;
use crate::number::parse_float;

/// "The combined length of the label names and values of an Exemplar's LabelSet MUST NOT exceed 128 UTF-8 character code points."
const EXEMPLAR_CHARACTERS_MAX: usize = 128;

pub(super) fn parse(body: &str, visit: &mut dyn FnMut(Entry<'_>)) -> Result<(), ParseError> {
    let mut families = Families::default();
    let mut pairs = Vec::new();
    let mut ended = false;
    let mut count = 0;
    // A line feed ends each line; the one behind `# EOF` may be missing.
    let lines = body.strip_suffix('\n').unwrap_or(body).split('\n');
    for (index, text) in lines.enumerate() {
        count = index + 1;
        let mut line = Line::new(text, count, Grammar::OpenMetrics);
        if ended {
            return Err(line.error("nothing may follow \"# EOF\""));
        }
        if text == "# EOF" {
            ended = true;
        } else if text.is_empty() {
            return Err(line.error("blank lines are not allowed"));
        } else if text.starts_with('#') {
            let entry = metadata(&mut line, &mut families)?;
            visit(entry);
        } else {
            let entry = sample(&mut line, &mut families, &mut pairs)?;
            visit(Entry::Sample(entry));
        }
    }
    let end = Line::new("", count + 1, Grammar::OpenMetrics);
    if !ended {
        return Err(end.error("data does not end with \"# EOF\""));
    }
    families.finish().map_err(|message| end.error(message))
}

/// Reads `# HELP`, `# TYPE` or `# UNIT`; there are no other comments.
fn metadata<'a>(line: &mut Line<'a>, families: &mut Families) -> Result<Entry<'a>, ParseError> {
    line.at += 1;
    let keyword = if line.take(b' ') { line.word() } else { "" };
    if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
        return Err(line.error_at(
            0,
            "expected \"# HELP\", \"# TYPE\", \"# UNIT\" or \"# EOF\"",
        ));
    }
    let mut name = Cow::Borrowed("");
    if line.take(b' ') {
        name = if line.peek() == Some(b'"') {
            line.quoted()?
        } else {
            Cow::Borrowed(line.metric_name())
        };
    }
    if name.is_empty() || !line.take(b' ') {
        return Err(line.error(format!(
            "expected a metric name and a blank behind {keyword}, found {}",
            line.found()
        )));
    }
    let at = line.at;
    let text = line.rest();
    let refused = |message: String| line.error_at(at, message);
    families.enter(&name).map_err(refused)?;
    Ok(match keyword {
        "HELP" => {
            families.help().map_err(refused)?;
            let help = if text.contains('\\') {
                Cow::Owned(unescape(text, true))
            } else {
                Cow::Borrowed(text)
            };
            Entry::Help { name, help }
        }
        "TYPE" => {
            let kind = metric_type(text, Grammar::OpenMetrics)
                .ok_or_else(|| refused(format!("invalid metric type {text:?}")))?;
            families.kind(kind).map_err(refused)?;
            Entry::Type { name, kind }
        }
        _ => {
            families.unit(text).map_err(refused)?;
            Entry::Unit {
                name,
                unit: Cow::Borrowed(text),
            }
        }
    })
}

fn sample<'a>(
    line: &mut Line<'a>,
    families: &mut Families,
    pairs: &mut Pairs<'a>,
) -> Result<SampleEntry<'a>, ParseError> {
    let mut series = read_series(line, families.current_kind(), pairs)?;
    expect_blank(line, "the series")?;
    let value = number(line)?;
    let mut timestamp = None;
    let mut exemplar = None;
    if line.take(b' ') {
        if line.peek() != Some(b'#') {
            timestamp = Some(seconds(line)?);
            if !line.is_done() {
                expect_blank(line, "the timestamp")?;
                exemplar = Some(read_exemplar(line)?);
            }
        } else {
            exemplar = Some(read_exemplar(line)?);
        }
    }
    if !line.is_done() {
        return Err(line.error(format!(
            "expected the end of the line, found {}",
            line.found()
        )));
    }
    series.kind = families
        .sample(pairs, value, timestamp, exemplar.is_some())
        .map_err(|message| line.error_at(0, message))?;
    Ok(SampleEntry {
        series,
        value: SampleValue::Float(value),
        timestamp_ms: timestamp.map(|secs| (secs * 1000.0) as i64),
        exemplars: exemplar.into_iter().collect(),
    })
}

fn expect_blank(line: &mut Line<'_>, behind: &str) -> Result<(), ParseError> {
    if line.take(b' ') {
        Ok(())
    } else {
        Err(line.error(format!(
            "expected one blank behind {behind}, found {}",
            line.found()
        )))
    }
}

fn number(line: &mut Line<'_>) -> Result<f64, ParseError> {
    let at = line.at;
    let word = line.word();
    parse_float(word).ok_or_else(|| line.error_at(at, format!("expected a value, found {word:?}")))
}

/// Reads a timestamp: seconds, neither NaN nor infinite.
fn seconds(line: &mut Line<'_>) -> Result<f64, ParseError> {
    let at = line.at;
    let word = line.word();
    parse_float(word)
        .filter(|secs| secs.is_finite())
        .ok_or_else(|| {
            line.error_at(
                at,
                format!("expected a timestamp in seconds, found {word:?}"),
            )
        })
}

/// Reads `# {labels} value [timestamp]`.
fn read_exemplar(line: &mut Line<'_>) -> Result<Exemplar, ParseError> {
    let start = line.at;
    if !line.take(b'#') {
        return Err(line.error(format!(
            "expected '#' of an exemplar, found {}",
            line.found()
        )));
    }
    expect_blank(line, "the '#' of an exemplar")?;
    if line.peek() != Some(b'{') {
        return Err(line.error(format!(
            "expected the label set of an exemplar, found {}",
            line.found()
        )));
    }
    let mut labels = LabelsBuilder::default();
    let mut characters = 0;
    let mut twice = None;
    line.label_set(true, |name, value| {
        characters += name.chars().count() + value.chars().count();
        if labels.get(&name).is_some() {
            twice = Some(name.to_string());
        }
        labels.set(&name, &value);
    })?;
    if let Some(name) = twice {
        return Err(line.error_at(start, format!("label name {name:?} is not unique")));
    }
    if characters > EXEMPLAR_CHARACTERS_MAX {
        return Err(line.error_at(
            start,
            format!(
                "exemplar labels have {characters} characters, the limit is {EXEMPLAR_CHARACTERS_MAX}"
            ),
        ));
    }
    expect_blank(line, "the labels of an exemplar")?;
    let value = number(line)?;
    let timestamp = if line.take(b' ') {
        Some(Timestamp::from_secs_f64(seconds(line)?))
    } else {
        None
    };
    Ok(Exemplar {
        labels: labels.build(),
        value,
        timestamp,
    })
}
