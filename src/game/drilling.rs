//! The way of a person on call: log line, trace, cause.

use std::time::Duration;

use gameday_signal::{EventKind, TraceId, format_duration};
use regex::Regex;

use super::Game;
use crate::timeline::{DrillDown, LogLine as ReportLine};
use crate::verify::{self, LogLine, TraceSpan};
use crate::world::StepError;

/// Log lines that are looked at, the newest first.
const LINES_MAX: usize = 200;
/// Log lines that the report shows.
const LINES_SHOWN: usize = 5;
/// How long a line and its trace may be on their way: the services send every second or two.
const ARRIVAL: Duration = Duration::from_secs(30);
/// The pattern of derived fields: both seeds' `traceID=` and `trace_id=`, and the JSON form.
const TRACE_ID_PATTERN: &str = r#"(?:trace_?[iI][dD])"?\s*[=:]\s*"?([0-9a-f]{32})"#;

/// A trace with the line that led to it.
struct Found {
    query: String,
    lines: Vec<LogLine>,
    line: LogLine,
    trace_id: TraceId,
    spans: Vec<TraceSpan>,
}

impl Game {
    /// Follows a log line to its trace and looks at the span with the most time of its own.
    ///
    /// # Errors
    /// Where there is no such line, it names no trace, the trace is not found, or another span is the slowest.
    pub fn drill_down_to_slowest(
        &mut self,
        level: &str,
        service: &str,
        span: &str,
    ) -> Result<String, StepError> {
        let expected = format!(
            "a log line ({level}) of {service} to lead to a trace whose slowest span is {span}"
        );
        let found = self.follow(level, service, &expected)?;
        let Some((slowest, own)) = verify::slowest(&found.spans) else {
            return Err(StepError::inconclusive(expected, "the trace has no span"));
        };
        let total = found
            .spans
            .iter()
            .map(|span| span.duration)
            .max()
            .unwrap_or_default();
        let share = 100.0 * own.as_secs_f64() / total.as_secs_f64().max(1e-9);
        let finding = format!(
            "{} of {} took {} of its own, {share:.0} % of the {} of the request",
            slowest.name,
            slowest.service,
            format_duration(own),
            format_duration(total)
        );
        let right = slowest.name == span;
        self.note_diagnosis(&found, &finding, right);
        if right {
            Ok(format!("{finding} (trace {})", found.trace_id))
        } else {
            Err(StepError::failed(expected, finding)
                .asked(found.query)
                .linked(self.trace_link(found.trace_id)))
        }
    }

    /// Follows a log line to its trace and looks at the deepest span that failed.
    ///
    /// # Errors
    /// As for [`Self::drill_down_to_slowest`].
    pub fn drill_down_to_failing(
        &mut self,
        level: &str,
        service: &str,
        span: &str,
        of: &str,
    ) -> Result<String, StepError> {
        let expected = format!(
            "a log line ({level}) of {service} to lead to a trace whose failing span is {span} of {of}"
        );
        let found = self.follow(level, service, &expected)?;
        let Some(failing) = verify::deepest_failure(&found.spans) else {
            return Err(StepError::failed(
                expected,
                format!("no span of trace {} failed", found.trace_id),
            )
            .asked(found.query));
        };
        let finding = format!(
            "{} of {} is the deepest span that failed",
            failing.name, failing.service
        );
        let right = failing.name == span && failing.service == of;
        self.note_diagnosis(&found, &finding, right);
        if right {
            Ok(format!("{finding} (trace {})", found.trace_id))
        } else {
            Err(StepError::failed(expected, finding)
                .asked(found.query)
                .linked(self.trace_link(found.trace_id)))
        }
    }

    /// Finds a log line since the last injection that names a trace which is found.
    fn follow(&mut self, level: &str, service: &str, expected: &str) -> Result<Found, StepError> {
        let query = format!("{{service_name=\"{service}\"}} | json | level=\"{level}\"");
        let start = self.injected_at.unwrap_or(self.started);
        let deadline = self.now() + self.limit(ARRIVAL);
        let pattern =
            Regex::new(TRACE_ID_PATTERN).map_err(|error| StepError::internal(error.to_string()))?;
        loop {
            let lines = self.run(self.apis.logs(&query, start, self.now(), LINES_MAX))??;
            for line in &lines {
                let Some(trace_id) = derived_trace_id(line, &pattern) else {
                    continue;
                };
                if let Some(spans) = self.run(self.apis.trace(trace_id))?? {
                    // A trace whose root has not arrived yet would show the wrong picture.
                    let complete = spans.iter().any(|span| span.parent_span_id.is_none());
                    if complete {
                        return Ok(Found {
                            query,
                            line: line.clone(),
                            lines: lines.clone(),
                            trace_id,
                            spans,
                        });
                    }
                }
            }
            if self.now() >= deadline {
                let observed = match lines.first() {
                    None => "no such log line".to_owned(),
                    Some(line) => format!(
                        "{} lines, none leads to a complete trace, for example: {}",
                        lines.len(),
                        line.line
                    ),
                };
                let error = if lines.is_empty() {
                    StepError::inconclusive(expected, observed)
                } else {
                    StepError::failed(expected, observed)
                };
                return Err(error.asked(query));
            }
            self.play_for(Duration::from_secs(1))?;
        }
    }

    fn note_diagnosis(&mut self, found: &Found, finding: &str, right: bool) {
        if right {
            let trace_id = found.trace_id.to_string();
            self.env().record(EventKind::Diagnosed {
                trace_id,
                finding: finding.to_owned(),
            });
        }
        let shown = |line: &LogLine| ReportLine {
            at: line.at,
            service: line.labels.value_of("service_name").to_owned(),
            severity: line.labels.value_of("level").to_owned(),
            line: line.line.clone(),
            trace_id: line.labels.value_of("trace_id").to_owned(),
        };
        let mut log_lines: Vec<ReportLine> = vec![shown(&found.line)];
        log_lines.extend(
            found
                .lines
                .iter()
                .filter(|line| **line != found.line)
                .take(LINES_SHOWN - 1)
                .map(shown),
        );
        log_lines.sort_by_key(|line| line.at);
        self.drill_downs.push(DrillDown {
            title: finding.to_owned(),
            query: found.query.clone(),
            log_lines,
            trace_id: found.trace_id.to_string(),
            spans: verify::rows(&found.spans),
            reasoning: vec![
                format!(
                    "the log line at {} names trace {}",
                    found.line.at, found.trace_id
                ),
                format!("the trace has {} spans", found.spans.len()),
                finding.to_owned(),
            ],
        });
    }

    fn trace_link(&self, trace_id: TraceId) -> String {
        format!("{}/api/v2/traces/{trace_id}", self.apis.addresses().tempo)
    }
}

/// The trace that a line names: by a label (structured metadata, as OTLP logs have it), or by the pattern in its text.
fn derived_trace_id(line: &LogLine, pattern: &Regex) -> Option<TraceId> {
    let label = ["trace_id", "traceID", "traceid"]
        .iter()
        .find_map(|name| line.labels.get(name));
    let text = label.or_else(|| Some(pattern.captures(&line.line)?.get(1)?.as_str()))?;
    text.parse().ok().filter(|id: &TraceId| !id.is_none())
}

#[cfg(test)]
mod tests {
    use gameday_signal::{Labels, Timestamp};

    use super::*;

    #[test]
    fn both_patterns_of_the_seeds_and_json_lead_to_a_trace() {
        let pattern = Regex::new(TRACE_ID_PATTERN).expect("a valid pattern");
        let id = "0af7651916cd43dd8448eb211c80319c";
        for text in [
            format!("x traceID={id} y"),
            format!("trace_id={id}"),
            format!("{{\"trace_id\":\"{id}\"}}"),
        ] {
            let line = LogLine {
                at: Timestamp::EPOCH,
                line: text.clone(),
                labels: Labels::empty(),
            };
            assert_eq!(
                derived_trace_id(&line, &pattern)
                    .map(|id| id.to_string())
                    .as_deref(),
                Some(id),
                "{text}"
            );
        }
        let labels = Labels::new([("trace_id", id)]);
        let line = LogLine {
            at: Timestamp::EPOCH,
            line: "no id".to_owned(),
            labels,
        };
        assert!(derived_trace_id(&line, &pattern).is_some());
    }
}
