//! Prometheus text 0.0.4, as Prometheus' own parser reads it (model/textparse, promparse.go).

use std::borrow::Cow;

use gameday_signal::MetricType;

use super::lexer::{Grammar, Line, unescape};
use super::{Entry, Pairs, ParseError, SampleEntry, metric_type, read_series};
use crate::SampleValue;
use crate::number::parse_float;

pub(super) fn parse(body: &str, visit: &mut dyn FnMut(Entry<'_>)) -> Result<(), ParseError> {
    let mut kind = MetricType::Unknown;
    let mut pairs = Vec::new();
    for (index, text) in body.split('\n').enumerate() {
        let mut line = Line::new(text, index + 1, Grammar::Text);
        line.skip_blanks();
        match line.peek() {
            None => {}
            Some(b'#') => {
                if let Some(entry) = metadata(&mut line, &mut kind)? {
                    visit(entry);
                }
            }
            Some(_) => visit(Entry::Sample(sample(&mut line, kind, &mut pairs)?)),
        }
    }
    Ok(())
}

/// Reads `# HELP`, `# TYPE` or any other comment.
fn metadata<'a>(
    line: &mut Line<'a>,
    kind: &mut MetricType,
) -> Result<Option<Entry<'a>>, ParseError> {
    line.at += 1;
    if !matches!(line.peek(), Some(b' ' | b'\t')) {
        return Ok(None);
    }
    line.skip_blanks();
    let keyword = line.word();
    if !matches!(keyword, "HELP" | "TYPE") || line.is_done() {
        return Ok(None);
    }
    line.skip_blanks();
    let name = if line.peek() == Some(b'"') {
        line.quoted()?
    } else {
        Cow::Borrowed(line.metric_name())
    };
    if name.is_empty() || !matches!(line.peek(), None | Some(b' ' | b'\t')) {
        return Err(line.error(format!(
            "expected a metric name behind {keyword}, found {}",
            line.found()
        )));
    }
    if keyword == "HELP" {
        // One blank ends the name, what follows is the text; blanks before it do not count.
        line.skip_blanks();
        let raw = line.rest();
        let help = if raw.contains('\\') {
            Cow::Owned(unescape(raw, false))
        } else {
            Cow::Borrowed(raw)
        };
        return Ok(Some(Entry::Help { name, help }));
    }
    line.skip_blanks();
    let word = line.rest().trim_end_matches([' ', '\t']);
    *kind = metric_type(word, Grammar::Text)
        .ok_or_else(|| line.error(format!("invalid metric type {word:?}")))?;
    Ok(Some(Entry::Type { name, kind: *kind }))
}

fn sample<'a>(
    line: &mut Line<'a>,
    kind: MetricType,
    pairs: &mut Pairs<'a>,
) -> Result<SampleEntry<'a>, ParseError> {
    let series = read_series(line, kind, pairs)?;
    line.skip_blanks();
    let at = line.at;
    let word = line.word();
    let value = parse_float(word)
        .ok_or_else(|| line.error_at(at, format!("expected a value, found {word:?}")))?;
    line.skip_blanks();
    let mut timestamp_ms = None;
    if !line.is_done() {
        let at = line.at;
        let word = line.word();
        timestamp_ms = Some(word.parse().map_err(|_| {
            line.error_at(
                at,
                format!("expected a timestamp in milliseconds, found {word:?}"),
            )
        })?);
        line.skip_blanks();
        if !line.is_done() {
            return Err(line.error(format!(
                "expected the end of the line, found {}",
                line.found()
            )));
        }
    }
    Ok(SampleEntry {
        series,
        value: SampleValue::Float(value),
        timestamp_ms,
        exemplars: Vec::new(),
    })
}
