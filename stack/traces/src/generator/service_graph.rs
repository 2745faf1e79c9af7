//! The service graph: who calls whom, how often, how slowly, with what success.
//!
//! A call is a client span and the server span whose parent it is. The one that comes first waits for the other; what has waited
//! for too long is a call from or to something that sends no spans (a virtual node), or is left out.

use std::collections::VecDeque;
use std::time::Duration;

use gameday_signal::{
    FixedMap, LabelsBuilder, Span, SpanId, SpanKind, SpanStatus, Timestamp, TraceId,
};

use super::registry::{Family, Limits, Metric};
use super::{MetricDescription, MetricPoint, exemplar_at, label_name, push_key};

/// What the metrics are, in the order of the family.
pub(crate) const DESCRIPTIONS: [MetricDescription; 4] = [
    MetricDescription {
        name: "traces_service_graph_request_total",
        kind: "counter",
        help: "Requests between two services.",
    },
    MetricDescription {
        name: "traces_service_graph_request_failed_total",
        kind: "counter",
        help: "Failed requests between two services.",
    },
    MetricDescription {
        name: "traces_service_graph_request_server_seconds",
        kind: "histogram",
        help: "How long requests took as the server saw them, in seconds.",
    },
    MetricDescription {
        name: "traces_service_graph_request_client_seconds",
        kind: "histogram",
        help: "How long requests took as the client saw them, in seconds.",
    },
];
const TOTAL: usize = 0;
const FAILED: usize = 1;
const SERVER_SECONDS: usize = 2;
const CLIENT_SECONDS: usize = 3;

/// How the service graph is made.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceGraphConfig {
    /// How long one half of a call waits for the other.
    pub wait: Duration,
    /// Halves that wait at a time; further ones are dropped and counted.
    pub max_items: usize,
    /// The ends of the buckets in seconds.
    pub buckets: Vec<f64>,
    /// Attributes that become the labels `client_<name>` and `server_<name>`.
    pub dimensions: Vec<String>,
    /// Attributes of a client span that name a server that sends no spans, the first one first.
    pub peer_attributes: Vec<String>,
}

impl Default for ServiceGraphConfig {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(10),
            max_items: 10_000,
            // Tempo's default: 8 buckets from 0.1 s, each twice the one before.
            buckets: std::iter::successors(Some(0.1), |end| Some(end * 2.0))
                .take(8)
                .collect(),
            dimensions: Vec::new(),
            peer_attributes: [
                "peer.service",
                "db.name",
                "db.namespace",
                "db.system",
                "db.system.name",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }
}

/// What became of calls since the graph began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceGraphStats {
    /// Calls that were counted, those with virtual nodes included.
    pub edges: u64,
    /// Halves that wait at the moment.
    pub waiting: usize,
    /// Halves that were dropped because too many waited.
    pub dropped: u64,
    /// Halves that waited in vain.
    pub expired: u64,
}

/// One half of a call.
#[derive(Clone, Debug)]
struct Half {
    service: String,
    seconds: f64,
    failed: bool,
    dimensions: Vec<String>,
    /// The trace and the end of the span, for an exemplar.
    trace_id: TraceId,
    end: Timestamp,
}

/// A call that is not complete.
#[derive(Clone, Debug)]
struct Edge {
    client: Option<Half>,
    server: Option<Half>,
    messaging: bool,
    /// What the client says its server is called.
    peer: Option<String>,
    /// Whether the server span has no parent at all.
    from_outside: bool,
}

/// Pairs client and server spans.
pub(crate) struct ServiceGraph {
    config: ServiceGraphConfig,
    dimension_labels: Vec<(String, String)>,
    trace_id_label: String,
    family: Family,
    waiting: FixedMap<(TraceId, SpanId), Edge>,
    /// In the order of their deadlines, which is that of their arrival.
    deadlines: VecDeque<(Timestamp, (TraceId, SpanId))>,
    stats: ServiceGraphStats,
    key: String,
}

impl ServiceGraph {
    pub(crate) fn new(config: ServiceGraphConfig, limits: Limits, trace_id_label: &str) -> Self {
        let metrics = DESCRIPTIONS
            .iter()
            .enumerate()
            .map(|(index, description)| Metric {
                name: description.name,
                buckets: if index < SERVER_SECONDS {
                    Vec::new()
                } else {
                    config.buckets.clone()
                },
            })
            .collect();
        let dimension_labels = config
            .dimensions
            .iter()
            .map(|name| {
                (
                    format!("client_{}", label_name(name)),
                    format!("server_{}", label_name(name)),
                )
            })
            .collect();
        Self {
            dimension_labels,
            trace_id_label: trace_id_label.to_owned(),
            family: Family::new(metrics, limits),
            waiting: FixedMap::default(),
            deadlines: VecDeque::new(),
            stats: ServiceGraphStats::default(),
            key: String::new(),
            config,
        }
    }

    pub(crate) fn observe(&mut self, span: &Span, now: Timestamp) {
        let messaging = matches!(span.kind, SpanKind::Producer | SpanKind::Consumer);
        match span.kind {
            SpanKind::Client | SpanKind::Producer => {
                let database = span.kind == SpanKind::Client && is_database(span);
                let half = self.half(span);
                let peer = self.peer_of(span);
                if database && let Some(name) = &peer {
                    // A database sends no spans: what the client has seen is all there is.
                    let server = Half {
                        service: name.clone(),
                        dimensions: Vec::new(),
                        ..half.clone()
                    };
                    self.count(Some(&half), Some(&server), "database", now);
                    return;
                }
                self.join((span.trace_id, span.span_id), now, |edge| {
                    edge.client = Some(half);
                    edge.messaging |= messaging;
                    edge.peer = peer;
                });
            }
            SpanKind::Server | SpanKind::Consumer => {
                let half = self.half(span);
                // A root has no parent: its own id is as good as none.
                let outside = span.parent_span_id.is_none();
                let key = if outside {
                    span.span_id
                } else {
                    span.parent_span_id
                };
                self.join((span.trace_id, key), now, |edge| {
                    edge.server = Some(half);
                    edge.messaging |= messaging;
                    edge.from_outside = outside;
                });
            }
            SpanKind::Unspecified | SpanKind::Internal => {}
        }
    }

    /// Ends the waiting that is over at `now`.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while let Some((deadline, key)) = self.deadlines.front().copied()
            && deadline <= now
        {
            self.deadlines.pop_front();
            let Some(edge) = self.waiting.remove(&key) else {
                continue;
            };
            match (edge.client, edge.server, edge.peer) {
                (Some(client), None, Some(peer)) => {
                    let server = Half {
                        service: peer,
                        dimensions: Vec::new(),
                        ..client.clone()
                    };
                    self.count(Some(&client), Some(&server), "virtual_node", deadline);
                }
                (None, Some(server), _) if edge.from_outside => {
                    // Tempo calls whoever sends no spans so.
                    let client = Half {
                        service: "user".to_owned(),
                        dimensions: Vec::new(),
                        ..server.clone()
                    };
                    self.count(Some(&client), Some(&server), "virtual_node", deadline);
                }
                _ => self.stats.expired += 1,
            }
        }
    }

    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn collect(&mut self, now: Timestamp, points: &mut Vec<MetricPoint>) {
        self.family.collect(now, points);
    }

    pub(crate) fn series(&self) -> (usize, u64) {
        self.family.series()
    }

    pub(crate) fn stats(&self) -> ServiceGraphStats {
        ServiceGraphStats {
            waiting: self.waiting.len(),
            ..self.stats
        }
    }

    /// Adds a half to its call, and counts the call when it is complete.
    fn join(&mut self, key: (TraceId, SpanId), now: Timestamp, add: impl FnOnce(&mut Edge)) {
        if let Some(edge) = self.waiting.get_mut(&key) {
            add(edge);
            if edge.client.is_some()
                && edge.server.is_some()
                && let Some(edge) = self.waiting.remove(&key)
            {
                let kind = if edge.messaging {
                    "messaging_system"
                } else {
                    ""
                };
                self.count(edge.client.as_ref(), edge.server.as_ref(), kind, now);
            }
            return;
        }
        if self.waiting.len() >= self.config.max_items {
            self.stats.dropped += 1;
            return;
        }
        let mut edge = Edge {
            client: None,
            server: None,
            messaging: false,
            peer: None,
            from_outside: false,
        };
        add(&mut edge);
        self.waiting.insert(key, edge);
        self.deadlines.push_back((now + self.config.wait, key));
        // Deadlines of calls that are complete are passed over later; they must not pile up meanwhile.
        if self.deadlines.len() > self.config.max_items * 4 {
            let waiting = &self.waiting;
            self.deadlines.retain(|(_, key)| waiting.contains_key(key));
        }
    }

    fn count(
        &mut self,
        client: Option<&Half>,
        server: Option<&Half>,
        connection_type: &str,
        now: Timestamp,
    ) {
        let (Some(client), Some(server)) = (client, server) else {
            return;
        };
        self.stats.edges += 1;
        self.key.clear();
        for part in [&client.service, &server.service, connection_type] {
            push_key(&mut self.key, part);
        }
        client
            .dimensions
            .iter()
            .chain(&server.dimensions)
            .for_each(|value| push_key(&mut self.key, value));
        let labels = || {
            let mut labels = LabelsBuilder::default();
            labels
                .set("client", &client.service)
                .set("server", &server.service);
            labels.set("connection_type", connection_type);
            for (index, (of_client, of_server)) in self.dimension_labels.iter().enumerate() {
                labels.set(
                    of_client,
                    client.dimensions.get(index).map_or("", String::as_str),
                );
                labels.set(
                    of_server,
                    server.dimensions.get(index).map_or("", String::as_str),
                );
            }
            labels.build()
        };
        let Some(entry) = self.family.entry(&self.key, now, labels) else {
            return;
        };
        self.family.add(entry, TOTAL, 1.0, now);
        if client.failed || server.failed {
            self.family.add(entry, FAILED, 1.0, now);
        }
        let label = self.trace_id_label.as_str();
        for (metric, half) in [(SERVER_SECONDS, server), (CLIENT_SECONDS, client)] {
            self.family.observe(entry, metric, half.seconds, now, || {
                exemplar_at(half.trace_id, half.end, label, half.seconds)
            });
        }
    }

    fn half(&self, span: &Span) -> Half {
        let seconds = span.duration().as_secs_f64();
        Half {
            service: span.resource.service_name().to_owned(),
            seconds,
            failed: span.status == SpanStatus::Error,
            dimensions: self
                .config
                .dimensions
                .iter()
                .map(|name| attribute_text(span, name))
                .collect(),
            trace_id: span.trace_id,
            end: span.end,
        }
    }

    fn peer_of(&self, span: &Span) -> Option<String> {
        self.config
            .peer_attributes
            .iter()
            .map(|name| attribute_text(span, name))
            .find(|name| !name.is_empty())
    }
}

fn attribute_text(span: &Span, name: &str) -> String {
    let value = span
        .attributes
        .get(name)
        .or_else(|| span.resource.attributes.get(name));
    value.map(ToString::to_string).unwrap_or_default()
}

fn is_database(span: &Span) -> bool {
    // The names before and after version 1.25 of OpenTelemetry's semantic conventions.
    ["db.system", "db.name", "db.system.name", "db.namespace"]
        .iter()
        .any(|name| span.attributes.get(name).is_some())
}
