//! The way of a person on call, through the public APIs: from a log line or an exemplar to the trace, from the trace to its logs; from
//! the service graph to the edge that fails; from an endpoint's traces to the span that explains what got worse.
//!
//! Where a link leads is not known here: that is what the team's data sources say (Grafana's derived fields, exemplar destinations,
//! traces to logs).

use std::sync::Arc;
use std::time::Duration;

use gameday_server::board::{Datasource, Datasources, TracesToLogs};
use gameday_server::traces::{RootCause, ServiceEdge, Trace, service_edges};
use gameday_signal::{
    Attributes, Labels, Resource, Scope, Span, SpanKind, SpanStatus, Timestamp, TraceId,
    parse_duration,
};

use super::{ApiError, Apis, ExemplarSample, LogLine, TraceSpan};

/// Where a drill-down begins.
#[derive(Clone, Copy, Debug)]
pub enum Beginning<'a> {
    /// At the lines that a LogQL query finds.
    Logs(&'a str),
    /// At the exemplars of the series that a PromQL expression names.
    Exemplars(&'a str),
}

/// A way that led to a trace.
#[derive(Clone, Debug)]
pub struct Trail {
    /// The log lines that were found, the newest first; none where the way began at an exemplar.
    pub lines: Vec<LogLine>,
    /// The place of the line that led on.
    pub line: Option<usize>,
    /// The trace.
    pub trace_id: TraceId,
    /// Its spans.
    pub spans: Vec<TraceSpan>,
    /// How each step of the way was taken, a thought a line.
    pub reasoning: Vec<String>,
}

/// What a drill-down came to.
#[derive(Clone, Debug)]
pub enum Found {
    /// A trace.
    Trace(Box<Trail>),
    /// Something to begin with, and no link to a complete trace: why not.
    NoTrace(String),
    /// Nothing to begin with.
    Nothing(String),
}

/// Log lines that are looked at, the newest first.
const LINES_MAX: usize = 200;

/// Goes from log lines or exemplars between `start` and `end` over the links of `datasources` to a trace that is complete.
///
/// # Errors
/// Where an API cannot be reached or refuses the query.
pub async fn drill_down(
    apis: &Apis,
    datasources: &Datasources,
    from: Beginning<'_>,
    start: Timestamp,
    end: Timestamp,
) -> Result<Found, ApiError> {
    match from {
        Beginning::Logs(query) => {
            let lines = apis.logs(query, start, end, LINES_MAX).await?;
            from_lines(apis, datasources, lines).await
        }
        Beginning::Exemplars(query) => {
            let exemplars = apis.exemplars(query, start, end).await?;
            from_exemplars(apis, datasources, exemplars).await
        }
    }
}

async fn from_lines(
    apis: &Apis,
    datasources: &Datasources,
    lines: Vec<LogLine>,
) -> Result<Found, ApiError> {
    let fields = datasources
        .of_kind("loki")
        .map_or(&[][..], |own| &own.derived_fields);
    let Some(first) = lines.first() else {
        return Ok(Found::Nothing("no such log line".to_owned()));
    };
    if fields.is_empty() {
        return Ok(Found::NoTrace(
            "no data source of type loki has derivedFields".to_owned(),
        ));
    }
    for (index, line) in lines.iter().enumerate() {
        for field in fields {
            let Some(link) = field.link(&line.line, &line.labels) else {
                continue;
            };
            if let Some((trace_id, spans)) = linked_trace(apis, &link.value).await? {
                let reasoning = vec![
                    format!(
                        "the log line at {} names trace {trace_id}: derived field {}",
                        line.at, field.name
                    ),
                    format!("the trace has {} spans", spans.len()),
                ];
                return Ok(Found::Trace(Box::new(Trail {
                    line: Some(index),
                    lines,
                    trace_id,
                    spans,
                    reasoning,
                })));
            }
        }
    }
    let why: Vec<String> = fields
        .iter()
        .map(|field| match field.link(&first.line, &first.labels) {
            Some(link) => format!(
                "derived field {}: no complete trace {:?}",
                field.name, link.value
            ),
            None => field.why_not(&first.line, &first.labels),
        })
        .collect();
    Ok(Found::NoTrace(format!(
        "{} lines, none leads to a complete trace; the newest: {}",
        lines.len(),
        why.join("; ")
    )))
}

/// The exemplar with the largest value leads: it is the one that stands out of the picture.
async fn from_exemplars(
    apis: &Apis,
    datasources: &Datasources,
    mut exemplars: Vec<ExemplarSample>,
) -> Result<Found, ApiError> {
    let destinations = datasources
        .of_kind("prometheus")
        .map_or(&[][..], |own| &own.exemplar_destinations);
    exemplars.sort_by(|one, two| two.value.total_cmp(&one.value));
    let Some(first) = exemplars.first() else {
        return Ok(Found::Nothing("no exemplar".to_owned()));
    };
    for exemplar in &exemplars {
        for destination in destinations {
            let Some(link) = destination.link(&exemplar.labels) else {
                continue;
            };
            if let Some((trace_id, spans)) = linked_trace(apis, &link.value).await? {
                let reasoning = vec![
                    format!(
                        "of {} exemplars the largest is {} at {} of {}",
                        exemplars.len(),
                        exemplar.value,
                        exemplar.at,
                        exemplar.series
                    ),
                    format!("its label {} names trace {trace_id}", destination.name),
                    format!("the trace has {} spans", spans.len()),
                ];
                return Ok(Found::Trace(Box::new(Trail {
                    lines: Vec::new(),
                    line: None,
                    trace_id,
                    spans,
                    reasoning,
                })));
            }
        }
    }
    let names: Vec<&str> = destinations.iter().map(|own| own.name.as_str()).collect();
    Ok(Found::NoTrace(format!(
        "{} exemplars, none leads to a complete trace by the labels {}; the largest has {}",
        exemplars.len(),
        names.join(", "),
        first.labels
    )))
}

fn trace_id_of(text: &str) -> Option<TraceId> {
    // Leading zeros are often left out.
    if text.len() > 32 {
        return None;
    }
    format!("{text:0>32}")
        .parse()
        .ok()
        .filter(|id: &TraceId| !id.is_none())
}

/// The trace that a link's value names.
async fn linked_trace(
    apis: &Apis,
    value: &str,
) -> Result<Option<(TraceId, Vec<TraceSpan>)>, ApiError> {
    let Some(id) = trace_id_of(value) else {
        return Ok(None);
    };
    let spans = complete_trace(apis, id).await?;
    Ok(spans.map(|spans| (id, spans)))
}

/// A trace whose root has not arrived yet would show the wrong picture.
async fn complete_trace(apis: &Apis, id: TraceId) -> Result<Option<Vec<TraceSpan>>, ApiError> {
    let spans = apis.trace(id).await?;
    Ok(spans.filter(|spans| spans.iter().any(|span| span.parent_span_id.is_none())))
}

/// Where nothing says otherwise, the logs of a span are looked for this much before and after it.
const SHIFT: Duration = Duration::from_secs(60);

/// The log lines of a trace by the link of the data source of traces: the query of the span that gave lines, and the lines. Where no
/// span has lines, the queries that were asked.
///
/// # Errors
/// Where Loki cannot be reached or refuses the query.
pub async fn logs_of(
    apis: &Apis,
    datasources: &Datasources,
    trace_id: TraceId,
    spans: &[TraceSpan],
) -> Result<(String, Vec<LogLine>), ApiError> {
    let link = datasources
        .of_kind("tempo")
        .and_then(|own: &Datasource| own.traces_to_logs.as_ref());
    let Some(link) = link else {
        return Ok((
            "no data source of type tempo has tracesToLogsV2".to_owned(),
            Vec::new(),
        ));
    };
    let mut queries: Vec<String> = Vec::new();
    let mut all: Vec<LogLine> = Vec::new();
    for span in spans {
        let Some(query) = link.query(&to_span(trace_id, span)) else {
            continue;
        };
        if queries.contains(&query) {
            continue;
        }
        let start = span.start - shift(link, true);
        let end = span.start + span.duration + shift(link, false);
        all.extend(apis.logs(&query, start, end, LINES_MAX).await?);
        queries.push(query);
    }
    all.sort_by(|one, two| (one.at, &one.line).cmp(&(two.at, &two.line)));
    all.dedup();
    Ok((queries.join("; "), all))
}

fn shift(link: &TracesToLogs, before: bool) -> Duration {
    let text = if before {
        link.span_start_time_shift.trim_start_matches('-')
    } else {
        link.span_end_time_shift.as_str()
    };
    parse_duration(text).unwrap_or(SHIFT)
}

/// The edges of the service graph with what happened on them between `start` and `end`, and the queries that gave them.
///
/// # Errors
/// Where Prometheus cannot be reached or refuses a query.
pub async fn edges_of(
    apis: &Apis,
    start: Timestamp,
    end: Timestamp,
) -> Result<(String, Vec<ServiceEdge>), ApiError> {
    let window_ms = end.since(start).as_millis().max(1);
    let mut series: Vec<(Labels, f64)> = Vec::new();
    let mut first = String::new();
    for name in [
        "request_total",
        "request_failed_total",
        "request_server_seconds_sum",
    ] {
        let name = format!("traces_service_graph_{name}");
        let query =
            format!("sum by (client, server, connection_type) (increase({name}[{window_ms}ms]))");
        for sample in apis.query(&query, Some(end)).await? {
            series.push((sample.labels.with("__name__", &name), sample.value));
        }
        if first.is_empty() {
            first = query;
        }
    }
    let edges = service_edges(series.iter().map(|(labels, value)| (labels, *value)));
    Ok((first, edges))
}

/// The traces of an endpoint in a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// The query that found them.
    pub query: String,
    /// The traces.
    pub traces: Vec<(TraceId, Vec<TraceSpan>)>,
}

/// Traces of a stretch of time that are compared.
const TRACES_MAX: usize = 50;

/// Complete traces that go through the span `name` of `service`, which begins between `start` and `end`.
///
/// # Errors
/// Where Tempo cannot be reached or refuses the query.
pub async fn traces_of(
    apis: &Apis,
    service: &str,
    name: &str,
    start: Timestamp,
    end: Timestamp,
) -> Result<Sample, ApiError> {
    let query =
        format!("{{ resource.service.name = {service:?} && name = {name:?} && kind = server }}");
    // A search knows whole seconds; what is outside is left out below.
    let ids = apis
        .search_traces(&query, start, end, TRACES_MAX * 2)
        .await?;
    let mut traces = Vec::new();
    for id in ids {
        if traces.len() >= TRACES_MAX {
            break;
        }
        let Some(spans) = complete_trace(apis, id).await? else {
            continue;
        };
        let inside = spans.iter().any(|span| {
            span.service == service && span.name == name && span.start >= start && span.start < end
        });
        if inside {
            traces.push((id, spans));
        }
    }
    Ok(Sample { query, traces })
}

/// Compares the traces of an incident with those of the steady state.
pub fn root_cause(incident: &Sample, steady: &Sample) -> RootCause {
    RootCause::find(&incident.to_traces(), &steady.to_traces())
}

impl Sample {
    fn to_traces(&self) -> Vec<Trace> {
        self.traces
            .iter()
            .map(|(id, spans)| {
                Trace::new(*id, spans.iter().map(|span| to_span(*id, span)).collect())
            })
            .collect()
    }
}

fn to_span(trace_id: TraceId, own: &TraceSpan) -> Span {
    let attributes = |pairs: &[(String, String)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect::<Attributes>()
    };
    Span {
        trace_id,
        span_id: own.span_id,
        parent_span_id: own.parent_span_id,
        trace_state: String::new(),
        flags: 0,
        name: own.name.clone(),
        kind: SpanKind::Unspecified,
        start: own.start,
        end: own.start + own.duration,
        attributes: attributes(&own.attributes),
        events: Vec::new(),
        links: Vec::new(),
        status: if own.error {
            SpanStatus::Error
        } else {
            SpanStatus::Unset
        },
        status_message: own.status_message.clone(),
        resource: Arc::new(Resource {
            attributes: attributes(&own.resource),
        }),
        scope: Arc::new(Scope::default()),
    }
}
