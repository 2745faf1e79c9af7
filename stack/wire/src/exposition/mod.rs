//! What a target exposes: text 0.0.4, OpenMetrics 1.0 and protobuf.
//!
//! [`parse`] reads a body once, front to back, and hands each entry to a visitor without building labels: a scraper looks the
//! [`SeriesText::key`] up in its cache and asks for [`SeriesText::labels`] only when the series is new. OpenMetrics is read
//! strictly: what the specification forbids is an error of the target.

mod lexer;
mod openmetrics;
mod protobuf;
mod strict;
mod text;
mod write;

use std::borrow::Cow;

use gameday_signal::{Exemplar, Labels, LabelsBuilder, MetricType};

use crate::SampleValue;
use crate::number::{format_open_metrics_float, parse_float};
use lexer::{Grammar, Line};

pub(crate) use protobuf::absolute_counts;
pub use write::{FamilyWriter, write_exemplar};

/// The exposition formats that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0 text.
    OpenMetrics,
    /// Length-delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

impl Format {
    /// The content type of an answer in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// Why a target's Content-Type says nothing about the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentTypeError {
    /// There is none, or it cannot be read.
    #[error(
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol specified for target"
    )]
    Missing,
    /// It names something else.
    #[error(
        "received unsupported Content-Type {0:?} and no fallback_scrape_protocol specified for target"
    )]
    Unsupported(String),
}

/// Chooses the format as Prometheus 3 does: by the media type, else `fallback` (`fallback_scrape_protocol`), else an error.
///
/// # Errors
/// Where neither the content type nor `fallback` names a format.
pub fn format_of(
    content_type: Option<&str>,
    fallback: Option<Format>,
) -> Result<Format, ContentTypeError> {
    let given = content_type.unwrap_or_default();
    let mut parts = given.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    match media_type.as_str() {
        "application/openmetrics-text" => return Ok(Format::OpenMetrics),
        "text/plain" => return Ok(Format::Text),
        "application/vnd.google.protobuf" => {
            // As prometheus/common's expfmt: the message and the framing have to be the known ones.
            let mut parameters = parts.filter_map(|part| part.split_once('='));
            if parameters.all(|(key, value)| match key.to_ascii_lowercase().as_str() {
                "proto" => value.trim_matches('"') == "io.prometheus.client.MetricFamily",
                "encoding" => value.trim_matches('"') == "delimited",
                _ => true,
            }) {
                return Ok(Format::Protobuf);
            }
        }
        _ => {}
    }
    fallback.ok_or_else(|| {
        if given.is_empty() {
            ContentTypeError::Missing
        } else {
            ContentTypeError::Unsupported(given.to_owned())
        }
    })
}

/// What is wrong with an exposition, and where (both count from 1; a protobuf body has byte offsets in line 0).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ParseError {
    /// The line.
    pub line: usize,
    /// The byte in the line.
    pub column: usize,
    /// What was expected and what was found.
    pub message: String,
}

/// How to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseOptions {
    /// Take native histograms; else only their classic buckets count.
    pub native_histograms: bool,
    /// Take the classic buckets of a native histogram too (`always_scrape_classic_histograms`).
    pub always_classic: bool,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            native_histograms: true,
            always_classic: false,
        }
    }
}

/// A series as the target wrote it.
#[derive(Clone, Copy, Debug)]
pub struct SeriesText<'a> {
    text: &'a str,
    kind: MetricType,
    grammar: Grammar,
}

impl<'a> SeriesText<'a> {
    /// The text from the name to the closing brace: the key of a scrape cache.
    pub fn key(&self) -> &'a str {
        self.text
    }

    /// The labels, with `__name__`; `le` of histograms and `quantile` of summaries are normalised to float text (`1` is `1.0`).
    pub fn labels(&self) -> Labels {
        let mut builder = LabelsBuilder::default();
        self.for_each(|name, value| {
            let normal = match self.kind {
                MetricType::Histogram if name == "le" => normal_float(&value),
                MetricType::Summary if name == "quantile" => normal_float(&value),
                _ => None,
            };
            builder.set(&name, normal.as_deref().unwrap_or(&value));
        });
        builder.build()
    }

    /// The names of labels that were written with an empty value, which [`SeriesText::labels`] leaves out.
    pub fn empty_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.for_each(|name, value| {
            if value.is_empty() {
                names.push(name.into_owned());
            }
        });
        names
    }

    /// Names and values as they were written, in that order, the metric name as `__name__`.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(Cow<'a, str>, Cow<'a, str>)) {
        let mut line = Line::new(self.text, 1, self.grammar);
        let name = line.metric_name();
        if !name.is_empty() {
            visit(Cow::Borrowed("__name__"), Cow::Borrowed(name));
        }
        line.skip_blanks();
        if line.peek() == Some(b'{') {
            line.label_set(!name.is_empty(), visit)
                .expect("invariant: the text was read once before it was handed out");
        }
    }
}

fn normal_float(text: &str) -> Option<String> {
    parse_float(text).map(format_open_metrics_float)
}

/// A sample of an exposition.
#[derive(Clone, Debug)]
pub struct SampleEntry<'a> {
    /// Its series.
    pub series: SeriesText<'a>,
    /// Its value.
    pub value: SampleValue,
    /// Its own time, where the target gave one.
    pub timestamp_ms: Option<i64>,
    /// Examples of what it counted.
    pub exemplars: Vec<Exemplar>,
}

/// One entry of an exposition.
#[derive(Clone, Debug)]
pub enum Entry<'a> {
    /// What a person should know about a family.
    Help {
        /// The family.
        name: Cow<'a, str>,
        /// The words.
        help: Cow<'a, str>,
    },
    /// The type of a family.
    Type {
        /// The family.
        name: Cow<'a, str>,
        /// The type.
        kind: MetricType,
    },
    /// The unit of a family.
    Unit {
        /// The family.
        name: Cow<'a, str>,
        /// The unit.
        unit: Cow<'a, str>,
    },
    /// A sample.
    Sample(SampleEntry<'a>),
}

/// Reads a whole exposition and hands each entry to `visit`, in order. Entries before an error have been handed out: a scraper
/// takes none of them, as Prometheus does.
///
/// # Errors
/// At the first thing that the format does not allow.
pub fn parse(
    body: &[u8],
    format: Format,
    options: ParseOptions,
    visit: &mut dyn FnMut(Entry<'_>),
) -> Result<(), ParseError> {
    if format == Format::Protobuf {
        return protobuf::parse(body, options, visit);
    }
    let body = std::str::from_utf8(body).map_err(|error| {
        let before = &body[..error.valid_up_to()];
        ParseError {
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: before
                .iter()
                .rev()
                .take_while(|byte| **byte != b'\n')
                .count()
                + 1,
            message: "invalid UTF-8".to_owned(),
        }
    })?;
    if format == Format::Text {
        text::parse(body, visit)
    } else {
        openmetrics::parse(body, visit)
    }
}

/// The labels of a series as they were written.
type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Reads a series: an optional classic name and an optional label set; refuses a label name that is given twice.
/// `pairs` then holds the labels, the metric name as `__name__`.
fn read_series<'a>(
    line: &mut Line<'a>,
    kind: MetricType,
    pairs: &mut Pairs<'a>,
) -> Result<SeriesText<'a>, ParseError> {
    let start = line.at;
    let name = line.metric_name();
    let mut end = line.at;
    line.skip_blanks();
    pairs.clear();
    if !name.is_empty() {
        pairs.push((Cow::Borrowed("__name__"), Cow::Borrowed(name)));
    }
    if line.peek() == Some(b'{') {
        let mut twice: Option<Cow<'a, str>> = None;
        line.label_set(!name.is_empty(), |name, value| {
            if pairs.iter().any(|(own, _)| *own == name) {
                twice = Some(name);
            } else {
                pairs.push((name, value));
            }
        })?;
        if let Some(twice) = twice {
            let message = if !name.is_empty() && twice == "__name__" {
                "the metric name is given twice".to_owned()
            } else {
                format!("label name {twice:?} is not unique")
            };
            return Err(line.error_at(start, message));
        }
        end = line.at;
    } else if name.is_empty() {
        return Err(line.error(format!("expected a metric name, found {}", line.found())));
    }
    Ok(SeriesText {
        text: &line.text[start..end],
        kind,
        grammar: line.grammar,
    })
}

/// The words of `# TYPE`; `untyped` belongs to the text format alone, the last four to OpenMetrics alone.
fn metric_type(word: &str, grammar: Grammar) -> Option<MetricType> {
    Some(match (word, grammar) {
        ("counter", _) => MetricType::Counter,
        ("gauge", _) => MetricType::Gauge,
        ("histogram", _) => MetricType::Histogram,
        ("summary", _) => MetricType::Summary,
        ("untyped", Grammar::Text) | ("unknown", Grammar::OpenMetrics) => MetricType::Unknown,
        ("gaugehistogram", Grammar::OpenMetrics) => MetricType::GaugeHistogram,
        ("info", Grammar::OpenMetrics) => MetricType::Info,
        ("stateset", Grammar::OpenMetrics) => MetricType::StateSet,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
