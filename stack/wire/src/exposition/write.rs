//! Expositions of our own: text 0.0.4 and OpenMetrics 1.0, byte for byte the same for the same families.

use std::fmt::Write as _;

use gameday_signal::{Exemplar, Labels, MetricMetadata, MetricType};

use super::Format;
use super::lexer::{is_classic_label_name, is_classic_metric_name};
use super::protobuf::quote;
use crate::number::{format_go_float, format_open_metrics_float};

/// Writes an exposition, family by family, in the order in which it is told.
#[derive(Debug)]
pub struct FamilyWriter {
    open_metrics: bool,
    out: String,
}

impl FamilyWriter {
    /// A writer of text 0.0.4, or of OpenMetrics where `format` says so (protobuf is not written: text stands in for it, and
    /// [`FamilyWriter::content_type`] says which was written).
    pub fn new(format: Format) -> Self {
        Self {
            open_metrics: format == Format::OpenMetrics,
            out: String::new(),
        }
    }

    /// Chooses what a client gets: OpenMetrics where its Accept header names it, else text 0.0.4.
    pub fn negotiate(accept: Option<&str>) -> Self {
        let wants = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
        Self::new(if wants {
            Format::OpenMetrics
        } else {
            Format::Text
        })
    }

    /// The Content-Type of what is written.
    pub fn content_type(&self) -> &'static str {
        if self.open_metrics {
            Format::OpenMetrics.content_type()
        } else {
            Format::Text.content_type()
        }
    }

    /// Writes the metadata of a family; its samples follow. In OpenMetrics `_total` of a counter and `_info` are left out of the
    /// family's name; types that the older format does not have become `untyped` there.
    pub fn family(&mut self, name: &str, metadata: &MetricMetadata) {
        let kind = metadata.kind;
        let suffix = match kind {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            _ => "",
        };
        let family = if self.open_metrics {
            name.strip_suffix(suffix).unwrap_or(name)
        } else {
            name
        };
        if !metadata.help.is_empty() {
            self.keyword("HELP", family);
            for character in metadata.help.chars() {
                match character {
                    '\\' => self.out.push_str("\\\\"),
                    '\n' => self.out.push_str("\\n"),
                    '"' if self.open_metrics => self.out.push_str("\\\""),
                    other => self.out.push(other),
                }
            }
            self.out.push('\n');
        }
        self.keyword("TYPE", family);
        self.out.push_str(match kind {
            MetricType::Unknown if !self.open_metrics => "untyped",
            MetricType::Info | MetricType::StateSet if !self.open_metrics => "gauge",
            MetricType::GaugeHistogram if !self.open_metrics => "histogram",
            // A counter without `_total` has no place in OpenMetrics.
            MetricType::Counter if self.open_metrics && family == name => "unknown",
            _ => kind.as_str(),
        });
        self.out.push('\n');
        if self.open_metrics && family.ends_with(&format!("_{}", metadata.unit)) {
            self.keyword("UNIT", family);
            self.out.push_str(&metadata.unit);
            self.out.push('\n');
        }
    }

    fn keyword(&mut self, keyword: &str, name: &str) {
        self.out.push_str("# ");
        self.out.push_str(keyword);
        self.out.push(' ');
        if is_classic_metric_name(name) {
            self.out.push_str(name);
        } else {
            quote(&mut self.out, name);
        }
        self.out.push(' ');
    }

    /// Writes a sample with, if need be, a label whose value is empty: a scraper that honours labels then leaves its own out.
    pub fn sample_with_empty(&mut self, labels: &Labels, value: f64, empty: Option<&str>) {
        self.sample(labels, value, None, None);
        let Some(empty) = empty else { return };
        // The value stands behind the last blank, and a quoted text may hold blanks before it.
        let Some(at) = self.out.rfind(' ') else {
            return;
        };
        let tail = self.out.split_off(at);
        let label = format!("{empty}=\"\"");
        if self.out.ends_with('}') {
            self.out.pop();
            self.out.push(',');
        } else {
            self.out.push('{');
        }
        self.out.push_str(&label);
        self.out.push('}');
        self.out.push_str(&tail);
    }

    /// Writes a sample; `labels` hold its name as `__name__`. The exemplar is only written in OpenMetrics.
    pub fn sample(
        &mut self,
        labels: &Labels,
        value: f64,
        timestamp_ms: Option<i64>,
        exemplar: Option<&Exemplar>,
    ) {
        let name = labels.metric_name();
        let is_classic = is_classic_metric_name(name);
        let has_labels = labels.iter().any(|(label, _)| label != "__name__");
        if is_classic {
            self.out.push_str(name);
        }
        if has_labels || !is_classic {
            self.out.push('{');
            if !is_classic {
                quote(&mut self.out, name);
            }
            let rest = labels.iter().filter(|(label, _)| *label != "__name__");
            write_pairs(&mut self.out, rest, !is_classic);
            self.out.push('}');
        }
        self.out.push(' ');
        self.out.push_str(&if self.open_metrics {
            format_open_metrics_float(value)
        } else {
            format_go_float(value)
        });
        if let Some(ms) = timestamp_ms {
            self.out.push(' ');
            if self.open_metrics {
                self.out.push_str(&(ms as f64 / 1000.0).to_string());
            } else {
                self.out.push_str(&ms.to_string());
            }
        }
        if let Some(exemplar) = exemplar.filter(|_| self.open_metrics) {
            write_exemplar(&mut self.out, exemplar);
        }
        self.out.push('\n');
    }

    /// The whole exposition.
    pub fn finish(mut self) -> String {
        if self.open_metrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// Writes ` # {labels} value timestamp`, as it stands behind an OpenMetrics sample.
pub fn write_exemplar(out: &mut String, exemplar: &Exemplar) {
    out.push_str(" # {");
    write_pairs(out, exemplar.labels.iter(), false);
    out.push_str("} ");
    out.push_str(&format_open_metrics_float(exemplar.value));
    if let Some(at) = exemplar.timestamp {
        let nanos = at.as_nanos();
        let (secs, rest) = (
            nanos.div_euclid(1_000_000_000),
            nanos.rem_euclid(1_000_000_000),
        );
        let _ = write!(out, " {secs}.{rest:09}");
    }
}

fn write_pairs<'a>(
    out: &mut String,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    mut comma: bool,
) {
    for (name, value) in pairs {
        if comma {
            out.push(',');
        }
        comma = true;
        if is_classic_label_name(name) {
            out.push_str(name);
        } else {
            quote(out, name);
        }
        out.push('=');
        quote(out, value);
    }
}
