//! The way of a person on call: log line or exemplar, trace, cause.

use std::time::Duration;

use gameday_signal::{EventKind, TraceId, format_duration};

use super::Game;
use crate::timeline::{DrillDown, LogLine as ReportLine};
use crate::verify::{self, Beginning, Found, LogLine, Trail};
use crate::world::StepError;

/// Log lines that the report shows.
pub(super) const LINES_SHOWN: usize = 5;
/// How long a line and its trace may be on their way: the services send every second or two.
const ARRIVAL: Duration = Duration::from_secs(30);

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
        let (query, found) = self.follow_line(level, service, &expected)?;
        self.judge_slowest(&query, &found, span, expected)
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
        let (query, found) = self.follow_line(level, service, &expected)?;
        let Some(failing) = verify::deepest_failure(&found.spans) else {
            return Err(StepError::failed(
                expected,
                format!("no span of trace {} failed", found.trace_id),
            )
            .asked(query));
        };
        let finding = format!(
            "{} of {} is the deepest span that failed",
            failing.name, failing.service
        );
        let right = failing.name == span && failing.service == of;
        self.judge_trail(&query, &found, finding, right, expected)
    }

    /// Follows the exemplar with the largest value since the last injection to its trace and looks at the span with the most time of
    /// its own.
    ///
    /// # Errors
    /// Where there is no exemplar, it names no trace, the trace is not found, or another span is the slowest.
    pub fn drill_down_from_exemplar(
        &mut self,
        promql: &str,
        span: &str,
    ) -> Result<String, StepError> {
        let expected =
            format!("an exemplar of {promql} to lead to a trace whose slowest span is {span}");
        let found = self.follow(Beginning::Exemplars(promql), &expected)?;
        self.judge_slowest(promql, &found, span, expected)
    }

    /// Looks for the logs of the trace of the last drill-down.
    ///
    /// # Errors
    /// Where no drill-down was made, or no line of that level and service belongs to the trace.
    pub fn trace_has_line(&mut self, level: &str, service: &str) -> Result<String, StepError> {
        let expected = format!("the logs of that trace to have a line ({level}) of {service}");
        let Some((trace_id, spans)) = self.trail.clone() else {
            return Err(StepError::invalid(
                "no trace yet: this step goes after one that leads to a trace",
            ));
        };
        let deadline = self.now() + self.limit(ARRIVAL);
        loop {
            let asked = verify::logs_of(&self.apis, &self.links, trace_id, &spans);
            let (query, lines) = self.run(asked)??;
            let is_wanted = |line: &&LogLine| {
                let own = ["level", "detected_level", "severity_text"];
                let levels = own.map(|name| line.labels.value_of(name).to_lowercase());
                line.labels.value_of("service_name") == service
                    && (levels.contains(&level.to_lowercase())
                        || line.line.contains(&format!("\"level\":\"{level}\"")))
            };
            if let Some(line) = lines.iter().find(is_wanted) {
                return Ok(format!(
                    "trace {trace_id} has {} lines, one of them: {}",
                    lines.len(),
                    line.line
                ));
            }
            if self.now() >= deadline {
                let observed = match lines.first() {
                    None => format!("trace {trace_id} has no log line"),
                    Some(line) => format!(
                        "trace {trace_id} has {} lines, none such, for example: {} {}",
                        lines.len(),
                        line.labels,
                        line.line
                    ),
                };
                return Err(StepError::failed(expected, observed)
                    .asked(query)
                    .linked(self.trace_link(trace_id)));
            }
            self.play_for(Duration::from_secs(1))?;
        }
    }

    /// Finds a log line since the last injection that names a trace which is found.
    fn follow_line(
        &mut self,
        level: &str,
        service: &str,
        expected: &str,
    ) -> Result<(String, Trail), StepError> {
        let query = format!("{{service_name=\"{service}\"}} | json | level=\"{level}\"");
        let found = self.follow(Beginning::Logs(&query), expected)?;
        Ok((query, found))
    }

    /// Goes from a beginning since the last injection to a trace, as soon as there is one.
    fn follow(&mut self, from: Beginning<'_>, expected: &str) -> Result<Trail, StepError> {
        let start = self.injected_at.unwrap_or(self.started);
        let deadline = self.now() + self.limit(ARRIVAL);
        loop {
            let way = verify::drill_down(&self.apis, &self.links, from, start, self.now());
            let error = match self.run(way)?? {
                Found::Trace(trail) => {
                    self.trail = Some((trail.trace_id, trail.spans.clone()));
                    return Ok(*trail);
                }
                Found::NoTrace(observed) => StepError::failed(expected, observed),
                Found::Nothing(observed) => StepError::inconclusive(expected, observed),
            };
            if self.now() >= deadline {
                let (Beginning::Logs(query) | Beginning::Exemplars(query)) = from;
                return Err(error.asked(query));
            }
            self.play_for(Duration::from_secs(1))?;
        }
    }

    fn judge_slowest(
        &mut self,
        query: &str,
        found: &Trail,
        span: &str,
        expected: String,
    ) -> Result<String, StepError> {
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
        self.judge_trail(query, found, finding, right, expected)
    }

    /// Keeps what the trace showed for the report, and says whether it is what was expected.
    fn judge_trail(
        &mut self,
        query: &str,
        found: &Trail,
        finding: String,
        right: bool,
        expected: String,
    ) -> Result<String, StepError> {
        self.note_trail(query, found, &finding, right);
        if right {
            return Ok(format!("{finding} (trace {})", found.trace_id));
        }
        Err(StepError::failed(expected, finding)
            .asked(query)
            .linked(self.trace_link(found.trace_id)))
    }

    fn note_trail(&mut self, query: &str, found: &Trail, finding: &str, right: bool) {
        let mut reasoning = found.reasoning.clone();
        reasoning.push(finding.to_owned());
        self.note_diagnosis(
            right,
            DrillDown {
                title: finding.to_owned(),
                query: query.to_owned(),
                log_lines: report_lines(found),
                trace_id: found.trace_id.to_string(),
                spans: verify::rows(&found.spans),
                reasoning,
            },
        );
    }

    /// Writes a diagnosis into the report, and into the journal where it is the right one.
    pub(super) fn note_diagnosis(&mut self, right: bool, drill_down: DrillDown) {
        if right {
            self.env().record(EventKind::Diagnosed {
                trace_id: drill_down.trace_id.clone(),
                finding: drill_down.title.clone(),
            });
        }
        self.drill_downs.push(drill_down);
    }

    pub(super) fn trace_link(&self, trace_id: TraceId) -> String {
        format!("{}/api/v2/traces/{trace_id}", self.apis.addresses().tempo)
    }
}

/// The line that led to the trace and some of the others, the oldest first.
fn report_lines(found: &Trail) -> Vec<ReportLine> {
    let shown = |line: &LogLine| ReportLine {
        at: line.at,
        service: line.labels.value_of("service_name").to_owned(),
        severity: line.labels.value_of("level").to_owned(),
        line: line.line.clone(),
        trace_id: line.labels.value_of("trace_id").to_owned(),
    };
    let leading = found.line.and_then(|index| found.lines.get(index));
    let mut lines: Vec<ReportLine> = leading.map(shown).into_iter().collect();
    let others = found.lines.iter().filter(|line| Some(*line) != leading);
    lines.extend(others.take(LINES_SHOWN - 1).map(shown));
    lines.sort_by_key(|line| line.at);
    lines
}
