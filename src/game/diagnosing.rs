//! What many traces say together: the edge of the service graph that fails, the span that explains what got worse.

use std::time::Duration;

use gameday_server::traces::{ServiceEdge, failing_edge};
use gameday_signal::{Timestamp, TraceId};

use super::Game;
use crate::timeline::DrillDown;
use crate::verify::{self, TraceSpan};
use crate::world::StepError;

/// An edge fails when this share of its calls does: less is what any system has.
const FAILING: f64 = 0.05;
/// The values of the service graph are given out every 15 s, and a call without a server waits 10 s: then two points are there.
const GRAPH: Duration = Duration::from_secs(60);
/// Edges that the reasoning names.
const EDGES_SHOWN: usize = 8;
/// Fewer traces than this prove nothing.
const TRACES_MIN: usize = 5;

impl Game {
    /// Looks at the service graph since the last injection for the edge where the failures begin.
    ///
    /// # Errors
    /// Where there is no graph, no edge fails, or it is another one.
    pub fn failing_edge_leads(&mut self, client: &str, server: &str) -> Result<String, StepError> {
        let expected =
            format!("the failing edge of the service graph to lead from {client} to {server}");
        let start = self.injected_at.unwrap_or(self.started);
        let deadline = self.now() + self.limit(GRAPH);
        loop {
            let (query, edges) = self.run(verify::edges_of(&self.apis, start, self.now()))??;
            let found = failing_edge(&edges, FAILING).cloned();
            let right = found
                .as_ref()
                .is_some_and(|edge| edge.client == client && edge.server == server);
            if !right && self.now() < deadline {
                self.play_for(Duration::from_secs(5))?;
                continue;
            }
            return self.judge_edge(&edges, found, right, query, expected);
        }
    }

    fn judge_edge(
        &mut self,
        edges: &[ServiceEdge],
        found: Option<ServiceEdge>,
        right: bool,
        query: String,
        expected: String,
    ) -> Result<String, StepError> {
        let Some(edge) = found else {
            let error = if edges.is_empty() {
                StepError::inconclusive(expected, "the service graph has no edge")
            } else {
                let shown: Vec<String> = edges.iter().take(EDGES_SHOWN).map(told).collect();
                StepError::failed(expected, format!("no edge fails: {}", shown.join("; ")))
            };
            return Err(error.asked(query));
        };
        let finding = format!(
            "calls from {} to {} fail ({:.0} % of {:.0})",
            edge.client,
            edge.server,
            100.0 * edge.failed_ratio(),
            edge.requests
        );
        let mut reasoning: Vec<String> = edges.iter().take(EDGES_SHOWN).map(told).collect();
        reasoning.push(format!(
            "the server of that edge calls nobody who fails: {finding}"
        ));
        let example = self.failing_trace(&edge.client)?;
        if let Some((id, spans)) = &example {
            reasoning.push(format!("an example is trace {id}"));
            self.trail = Some((*id, spans.clone()));
        }
        let (trace_id, spans) = example.unwrap_or_default();
        self.note_diagnosis(
            right,
            DrillDown {
                title: finding.clone(),
                query: query.clone(),
                log_lines: Vec::new(),
                trace_id: if spans.is_empty() {
                    String::new()
                } else {
                    trace_id.to_string()
                },
                spans: verify::rows(&spans),
                reasoning: reasoning.clone(),
            },
        );
        if right {
            Ok(finding)
        } else {
            let observed = format!("{finding}: {}", reasoning.join("; "));
            Err(StepError::failed(expected, observed).asked(query))
        }
    }

    /// A trace since the last injection in which a call of `client` failed.
    fn failing_trace(
        &mut self,
        client: &str,
    ) -> Result<Option<(TraceId, Vec<TraceSpan>)>, StepError> {
        let query =
            format!("{{ resource.service.name = {client:?} && kind = client && status = error }}");
        let start = self.injected_at.unwrap_or(self.started);
        let ids = self.run(self.apis.search_traces(&query, start, self.now(), 5))??;
        for id in ids {
            if let Some(spans) = self.run(self.apis.trace(id))?? {
                return Ok(Some((id, spans)));
            }
        }
        Ok(None)
    }

    /// Compares the traces of an endpoint since the last injection with those before it.
    ///
    /// # Errors
    /// Where there are too few traces, nothing got worse, or another span explains it.
    pub fn root_cause_is(
        &mut self,
        endpoint: &str,
        of: &str,
        span: &str,
        service: &str,
    ) -> Result<String, StepError> {
        let expected = format!("the root cause of {endpoint} of {of} to be {span} of {service}");
        let Some(injected_at) = self.injected_at else {
            return Err(StepError::invalid(
                "no fault was injected: this step compares the time after an injection with the time before",
            ));
        };
        let (begin, now) = (self.started, self.now());
        // What was on its way at the injection belongs to neither side.
        let before = self.sample(endpoint, of, begin, injected_at - self.scaled(SETTLED))?;
        let after = self.sample(endpoint, of, injected_at + self.scaled(SETTLED), now)?;
        let query = after.query.clone();
        let (steady, incident) = (before.traces.len(), after.traces.len());
        if steady < TRACES_MIN || incident < TRACES_MIN {
            let observed = format!(
                "{incident} traces since the injection and {steady} before: {TRACES_MIN} of each are the least"
            );
            return Err(StepError::inconclusive(expected, observed).asked(query));
        }
        let cause = verify::root_cause(&after, &before);
        let reasoning: Vec<String> = cause
            .to_string()
            .lines()
            .map(|line| line.trim().to_owned())
            .collect();
        let right = cause
            .culprit()
            .is_some_and(|own| own.name == span && own.service == service);
        let title = reasoning.first().cloned().unwrap_or_default();
        // The trace in which the culprit took longest shows it best.
        let took = |spans: &[TraceSpan]| {
            let own = spans.iter().filter(|own| {
                cause.culprit().is_some_and(|culprit| {
                    own.name == culprit.name && own.service == culprit.service
                })
            });
            own.map(|own| own.duration).max().unwrap_or_default()
        };
        let example = after
            .traces
            .iter()
            .max_by_key(|(id, spans)| (took(spans), *id));
        let (trace_id, spans) = example.cloned().unwrap_or_default();
        self.trail = Some((trace_id, spans.clone()));
        self.note_diagnosis(
            right,
            DrillDown {
                title: title.clone(),
                query: query.clone(),
                log_lines: Vec::new(),
                trace_id: trace_id.to_string(),
                spans: verify::rows(&spans),
                reasoning: reasoning.clone(),
            },
        );
        if right {
            Ok(format!(
                "{} (for example trace {trace_id})",
                reasoning.join("; ")
            ))
        } else {
            Err(StepError::failed(expected, reasoning.join("; "))
                .asked(query)
                .linked(self.trace_link(trace_id)))
        }
    }

    fn sample(
        &mut self,
        endpoint: &str,
        of: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<verify::Sample, StepError> {
        Ok(self.run(verify::traces_of(&self.apis, of, endpoint, start, end))??)
    }
}

/// Requests around the injection are left out of the comparison.
const SETTLED: Duration = Duration::from_secs(10);

fn told(edge: &ServiceEdge) -> String {
    format!(
        "{} -> {}: {:.0} of {:.0} calls failed, {:.1} ms each",
        edge.client,
        edge.server,
        edge.failed,
        edge.requests,
        1e3 * edge.mean_seconds()
    )
}
