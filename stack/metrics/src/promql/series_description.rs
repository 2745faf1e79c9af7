//! The notation of series in unit tests: `x{a="b"} 1 2+3x4 _ stale {{count:1 sum:2}}`.

use std::sync::Arc;

use gameday_query::{
    KahanSum, ParseError, SourceSpan, is_identifier_continue, is_identifier_start, parse_number,
    read_string,
};
use gameday_signal::{BucketSpan, CounterResetHint, Histogram, Labels, LabelsBuilder, stale_nan};

use crate::histogram::Native;

/// A series with its values, one an interval.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesDescription {
    /// The series.
    pub labels: Labels,
    /// Its values.
    pub values: Vec<SequenceValue>,
}

/// What a series has at one interval.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceValue {
    /// Nothing: `_`.
    Omitted,
    /// A number; `stale` is [`stale_nan`].
    Float(f64),
    /// A native histogram.
    Histogram {
        /// The histogram.
        histogram: Arc<Histogram>,
        /// Whether a counter reset hint was written.
        hint_set: bool,
    },
}

/// No more values than this come from one description, since `1x1000000000` is short to write.
const MAX_VALUES: u64 = 1_000_000;

/// Reads a series with its values, as promtool's unit tests write them: `a+bxn` are n + 1 values from `a` in steps of `b`, `axn` n
/// + 1 times `a`, `_xn` n times nothing.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse_series_description(source: &str) -> Result<SeriesDescription, ParseError> {
    let mut parser = Parser { source, offset: 0 };
    parser.skip_blanks();
    let labels = parser.metric()?;
    let mut values = Vec::new();
    while !parser.rest().is_empty() {
        if !parser.skip_blanks() {
            return Err(parser.unexpected("series values", "a space"));
        }
        if !parser.rest().is_empty() {
            parser.item(&mut values)?;
        }
    }
    Ok(SeriesDescription { labels, values })
}

/// Reads a series without values, such as `up{job="a"}`.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse_metric(source: &str) -> Result<Labels, ParseError> {
    let description = parse_series_description(source)?;
    if description.values.is_empty() {
        Ok(description.labels)
    } else {
        Err(ParseError::new(
            source,
            SourceSpan::new(0, source.len()),
            "expected a metric without values",
        ))
    }
}

struct Parser<'a> {
    source: &'a str,
    offset: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.source[self.offset..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.offset += text.len();
        }
        found
    }

    fn skip_blanks(&mut self) -> bool {
        let rest = self.rest();
        let blanks = rest.len() - rest.trim_start().len();
        self.offset += blanks;
        blanks > 0
    }

    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.source, SourceSpan::at(self.offset), message)
    }

    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let found = match self.peek() {
            None => "end of input".to_owned(),
            Some(character) => format!("{:?}", character.to_string()),
        };
        self.error(format!(
            "unexpected {found} in {context}, expected {expected}"
        ))
    }

    fn word(&mut self, colons: bool) -> &'a str {
        let rest = self.rest();
        if !rest.starts_with(|c| is_identifier_start(c) || (colons && c == ':')) {
            return "";
        }
        let length = rest
            .find(|c| !(is_identifier_continue(c) || (colons && c == ':')))
            .unwrap_or(rest.len());
        self.offset += length;
        &rest[..length]
    }

    fn string(&mut self) -> Result<String, ParseError> {
        let start = self.offset;
        match read_string(self.rest()) {
            Ok((length, value)) => {
                self.offset += length;
                Ok(value)
            }
            Err(error) => Err(ParseError::new(
                self.source,
                SourceSpan::at(start + error.offset),
                error.message,
            )),
        }
    }

    fn metric(&mut self) -> Result<Labels, ParseError> {
        let mut builder = LabelsBuilder::default();
        let name = self.word(true);
        builder.set("__name__", name);
        if self.eat("{") {
            self.labels(&mut builder)?;
        } else if name.is_empty() {
            return Err(self.unexpected("series", "a metric name or \"{\""));
        }
        Ok(builder.build())
    }

    fn labels(&mut self, builder: &mut LabelsBuilder) -> Result<(), ParseError> {
        loop {
            self.skip_blanks();
            if self.eat("}") {
                return Ok(());
            }
            let quoted = matches!(self.peek(), Some('"' | '\'' | '`'));
            let name = if quoted {
                self.string()?
            } else {
                self.word(false).to_owned()
            };
            if name.is_empty() {
                return Err(self.unexpected("label set", "identifier or \"}\""));
            }
            self.skip_blanks();
            if self.eat("=") {
                self.skip_blanks();
                if !matches!(self.peek(), Some('"' | '\'' | '`')) {
                    return Err(self.unexpected("label set", "string"));
                }
                builder.set(&name, &self.string()?);
            } else if quoted {
                builder.set("__name__", &name);
            } else {
                return Err(self.unexpected("label set", "\"=\""));
            }
            self.skip_blanks();
            if !self.eat(",") && !self.rest().starts_with('}') {
                return Err(self.unexpected("label set", "\",\" or \"}\""));
            }
        }
    }

    fn item(&mut self, values: &mut Vec<SequenceValue>) -> Result<(), ParseError> {
        if self.eat("{{") {
            return self.histogram_item(values);
        }
        if self.eat("_") {
            let times = self.times()?.unwrap_or(1);
            return self.repeat(values, times, |_| SequenceValue::Omitted);
        }
        let start = if self.eat("stale") {
            stale_nan()
        } else {
            self.signed_number(true)?
        };
        if let Some(times) = self.times()? {
            return self.repeat(values, times + 1, |_| SequenceValue::Float(start));
        }
        if matches!(self.peek(), Some('+' | '-')) {
            let step = self.signed_number(false)?;
            let Some(times) = self.times()? else {
                return Err(self.unexpected("series values", "a repetition such as x5"));
            };
            let mut value = start;
            return self.repeat(values, times + 1, |index| {
                if index > 0 {
                    value += step;
                }
                SequenceValue::Float(value)
            });
        }
        values.push(SequenceValue::Float(start));
        Ok(())
    }

    fn repeat(
        &self,
        values: &mut Vec<SequenceValue>,
        times: u64,
        mut value: impl FnMut(u64) -> SequenceValue,
    ) -> Result<(), ParseError> {
        if values.len() as u64 + times > MAX_VALUES {
            return Err(self.error(format!("too many series values, the limit is {MAX_VALUES}")));
        }
        values.extend((0..times).map(&mut value));
        Ok(())
    }

    fn times(&mut self) -> Result<Option<u64>, ParseError> {
        if !self.eat("x") {
            return Ok(None);
        }
        let rest = self.rest();
        let length = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let Ok(times) = rest[..length].parse::<u64>() else {
            return Err(self.error(format!(
                "invalid repetition in series values: {:?}",
                &rest[..length]
            )));
        };
        self.offset += length;
        Ok(Some(times.min(MAX_VALUES)))
    }

    /// A number with an optional sign; hexadecimal ones are not allowed, because of the `x` of repetitions.
    fn signed_number(&mut self, sign_is_optional: bool) -> Result<f64, ParseError> {
        let start = self.offset;
        let sign = self.eat("+") || self.eat("-");
        debug_assert!(sign || sign_is_optional, "the caller has seen the sign");
        let rest = self.rest();
        let mut length = 0;
        let mut previous = ' ';
        for (offset, character) in rest.char_indices() {
            let exponent_sign = matches!(character, '+' | '-') && matches!(previous, 'e' | 'E');
            let letter = character.is_ascii_alphabetic() && character != 'x';
            if !(exponent_sign
                || letter
                || character.is_ascii_digit()
                || matches!(character, '.' | '_'))
            {
                break;
            }
            previous = character;
            length = offset + character.len_utf8();
        }
        self.offset += length;
        let text = &self.source[start..self.offset];
        let value = parse_number(text).or_else(|| {
            let digits = text.trim_start_matches(['+', '-']);
            let secs = gameday_signal::parse_duration(digits).ok()?.as_secs_f64();
            Some(if text.starts_with('-') { -secs } else { secs })
        });
        value.ok_or_else(|| {
            ParseError::new(
                self.source,
                SourceSpan::new(start, self.offset.max(start)),
                format!("unexpected {text:?} in series values, expected number or \"stale\""),
            )
        })
    }

    // Histograms.

    fn histogram_item(&mut self, values: &mut Vec<SequenceValue>) -> Result<(), ParseError> {
        let (start, hint_set) = self.histogram()?;
        let start = Arc::new(start);
        if let Some(times) = self.times()? {
            return self.repeat(values, times + 1, |_| SequenceValue::Histogram {
                histogram: start.clone(),
                hint_set,
            });
        }
        let negative = self.rest().starts_with('-');
        if !self.eat("+{{") && !self.eat("-{{") {
            values.push(SequenceValue::Histogram {
                histogram: start,
                hint_set,
            });
            return Ok(());
        }
        let (step, step_hint_set) = self.histogram()?;
        let Some(times) = self.times()? else {
            return Err(self.unexpected("series values", "a repetition such as x5"));
        };
        if start.schema > step.schema {
            return Err(self.error(format!(
                "error combining histograms: cannot merge from schema {} to {}",
                step.schema, start.schema
            )));
        }
        let mut current = start.clone();
        let mut all = vec![current.clone()];
        for _ in 0..times.min(MAX_VALUES) {
            let mut next = Native::new(&current);
            let combined = if negative {
                next.sub(&step)
            } else {
                next.add(&step)
            };
            if combined.is_err() {
                return Err(
                    self.error("cannot combine histograms with exponential and custom buckets")
                );
            }
            current = Arc::new(next.to_histogram());
            all.push(current.clone());
        }
        self.repeat(values, all.len() as u64, |index| SequenceValue::Histogram {
            histogram: all[index as usize].clone(),
            hint_set: step_hint_set,
        })
    }

    /// The inside of `{{...}}`, the closing braces included.
    fn histogram(&mut self) -> Result<(Histogram, bool), ParseError> {
        let mut histogram = Histogram::default();
        let (mut offset, mut negative_offset, mut hint_set) = (0, 0, false);
        let mut seen: Vec<&str> = Vec::new();
        loop {
            let blank = self.skip_blanks();
            if self.eat("}}") {
                break;
            }
            if !blank && !seen.is_empty() {
                return Err(self.unexpected("histogram description", "a space"));
            }
            let key = self.word(false);
            if key.is_empty() {
                return Err(self.unexpected(
                    "histogram description",
                    "histogram description key, e.g. buckets:[5 10 7]",
                ));
            }
            if seen.contains(&key) {
                return Err(self.error(format!("duplicate key {key:?} in histogram")));
            }
            seen.push(key);
            if !self.eat(":") {
                return Err(self.error("missing `:` for histogram descriptor"));
            }
            match key {
                "schema" => histogram.schema = self.integer()?,
                "sum" => histogram.sum = self.signed_number(true)?,
                "count" => histogram.count = self.signed_number(true)?,
                "z_bucket" => histogram.zero_count = self.signed_number(true)?,
                "z_bucket_w" => histogram.zero_threshold = self.signed_number(true)?,
                "custom_values" => histogram.custom_values = self.numbers()?,
                "buckets" => histogram.positive_buckets = self.numbers()?,
                "offset" => offset = self.integer()?,
                "n_buckets" => histogram.negative_buckets = self.numbers()?,
                "n_offset" => negative_offset = self.integer()?,
                "counter_reset_hint" => {
                    histogram.counter_reset_hint = self.hint()?;
                    hint_set = true;
                }
                _ => {
                    return Err(self.error(format!("bad histogram descriptor found: {key:?}")));
                }
            }
        }
        histogram.positive_spans = spans(offset, &histogram.positive_buckets);
        histogram.negative_spans = spans(negative_offset, &histogram.negative_buckets);
        Ok((histogram, hint_set))
    }

    fn integer(&mut self) -> Result<i32, ParseError> {
        let rest = self.rest();
        let length = rest
            .char_indices()
            .find(|(index, c)| !(c.is_ascii_digit() || (*index == 0 && *c == '-')))
            .map_or(rest.len(), |(index, _)| index);
        let Ok(value) = rest[..length].parse() else {
            return Err(self.unexpected("histogram description", "a whole number"));
        };
        self.offset += length;
        Ok(value)
    }

    fn numbers(&mut self) -> Result<Vec<f64>, ParseError> {
        if !self.eat("[") {
            return Err(self.unexpected("histogram description", "\"[\""));
        }
        let mut values = Vec::new();
        loop {
            self.skip_blanks();
            if self.eat("]") {
                return Ok(values);
            }
            values.push(self.signed_number(true)?);
            if !matches!(self.peek(), Some(' ' | '\t' | ']')) {
                return Err(self.unexpected("histogram description", "a space or \"]\""));
            }
        }
    }

    fn hint(&mut self) -> Result<CounterResetHint, ParseError> {
        match self.word(false) {
            "unknown" => Ok(CounterResetHint::Unknown),
            "reset" => Ok(CounterResetHint::CounterReset),
            "not_reset" => Ok(CounterResetHint::NotCounterReset),
            "gauge" => Ok(CounterResetHint::Gauge),
            other => Err(self.error(format!(
                "error parsing counter_reset_hint: unknown value {other}"
            ))),
        }
    }
}

fn spans(offset: i32, buckets: &[f64]) -> Vec<BucketSpan> {
    if buckets.is_empty() {
        return Vec::new();
    }
    vec![BucketSpan {
        offset,
        length: u32::try_from(buckets.len()).unwrap_or(u32::MAX),
    }]
}

/// A classic histogram at one time, on its way to a native one with custom buckets.
#[derive(Clone, Debug, Default)]
pub struct ClassicHistogram {
    /// Upper bounds and cumulative counts; +Inf may be left out where `count` is known.
    pub buckets: Vec<(f64, f64)>,
    /// The observations.
    pub count: Option<f64>,
    /// Their sum.
    pub sum: f64,
}

impl ClassicHistogram {
    /// The same as a native histogram with custom buckets; `None` where the counts are not cumulative.
    pub fn to_custom_buckets(&self) -> Option<Histogram> {
        let mut buckets = self.buckets.clone();
        buckets.sort_by(|left, right| left.0.total_cmp(&right.0));
        let count = self
            .count
            .or_else(|| buckets.last().map(|(_, count)| *count))?;
        if buckets.last().is_none_or(|(bound, _)| bound.is_finite()) {
            buckets.push((f64::INFINITY, count));
        }
        let mut previous = KahanSum::default();
        let mut counts = Vec::with_capacity(buckets.len());
        for (_, cumulative) in &buckets {
            let own = cumulative - previous.value();
            if own < 0.0 || *cumulative > count {
                return None;
            }
            counts.push(own);
            previous = KahanSum::new(*cumulative);
        }
        let histogram = Histogram {
            schema: crate::histogram::CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: spans(0, &counts),
            positive_buckets: counts,
            custom_values: buckets[..buckets.len() - 1]
                .iter()
                .map(|(bound, _)| *bound)
                .collect(),
            ..Histogram::default()
        };
        Some(Native::new(&histogram).to_histogram())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_values() {
        let description = parse_series_description("m{a=\"b\"} 1 2+3x2 _ _x2 4x1 stale -1-1x1 NaN")
            .expect("valid");
        assert_eq!(description.labels.to_string(), r#"{__name__="m", a="b"}"#);
        let shown: Vec<String> = description
            .values
            .iter()
            .map(|value| match value {
                SequenceValue::Omitted => "_".to_owned(),
                SequenceValue::Float(value) if gameday_signal::is_stale(*value) => {
                    "stale".to_owned()
                }
                SequenceValue::Float(value) => value.to_string(),
                SequenceValue::Histogram { .. } => "histogram".to_owned(),
            })
            .collect();
        assert_eq!(shown.join(" "), "1 2 5 8 _ _ _ 4 4 stale -1 -2 NaN");
    }

    #[test]
    fn refuses_mistakes() {
        for source in [
            "m 1+1",
            "m a",
            "m{a=b} 1",
            "m 1x",
            "1 2",
            "m {{schema:}}",
            "m {{foo:1}}",
        ] {
            assert!(parse_series_description(source).is_err(), "{source}");
        }
        assert!(parse_series_description("m 1x99999999999999999999").is_err());
    }
}
