//! The service graph as its reader sees it: edges out of the series of [`crate::Generator`], and the one that fails.

use std::collections::{BTreeMap, BTreeSet};

use gameday_signal::Labels;

/// Calls from one service to another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceEdge {
    /// The caller; `user` for who sends no spans.
    pub client: String,
    /// The called.
    pub server: String,
    /// `database`, `messaging_system`, `virtual_node`, or the empty text for an ordinary call.
    pub connection_type: String,
    /// Calls, in the unit of the series: a count, or calls a second of a `rate()`.
    pub requests: f64,
    /// Failed calls, in the same unit.
    pub failed: f64,
    /// Seconds that the server took for all calls, in the same unit.
    pub server_seconds: f64,
}

impl ServiceEdge {
    /// The share of failed calls, 0 to 1; 0 where there were no calls.
    pub fn failed_ratio(&self) -> f64 {
        if self.requests > 0.0 {
            self.failed / self.requests
        } else {
            0.0
        }
    }

    /// The mean time of a call in seconds; 0 where there were no calls.
    pub fn mean_seconds(&self) -> f64 {
        if self.requests > 0.0 {
            self.server_seconds / self.requests
        } else {
            0.0
        }
    }
}

/// The edges that series named `traces_service_graph_request_*` describe, sorted by client and server. Series of other names and
/// labels that are no part of an edge, such as dimensions, are passed over; what is the same edge is added up. Series whose name
/// a function has taken away may be given one after the other with [`Labels::with`] `__name__`.
pub fn service_edges<'a>(series: impl IntoIterator<Item = (&'a Labels, f64)>) -> Vec<ServiceEdge> {
    let mut edges: BTreeMap<(&str, &str, &str), ServiceEdge> = BTreeMap::new();
    for (labels, value) in series {
        let name = labels.metric_name();
        let Some(name) = name
            .strip_prefix("traces_service_graph_request_")
            .filter(|_| value.is_finite())
        else {
            continue;
        };
        if !matches!(name, "total" | "failed_total" | "server_seconds_sum") {
            continue;
        }
        let key = (
            labels.value_of("client"),
            labels.value_of("server"),
            labels.value_of("connection_type"),
        );
        let edge = edges.entry(key).or_default();
        match name {
            "total" => edge.requests += value,
            "failed_total" => edge.failed += value,
            _ => edge.server_seconds += value,
        }
    }
    edges
        .into_iter()
        .map(|((client, server, connection_type), edge)| ServiceEdge {
            client: client.to_owned(),
            server: server.to_owned(),
            connection_type: connection_type.to_owned(),
            ..edge
        })
        .collect()
}

/// The edge where failures begin: of the edges that fail for at least `threshold` (0 to 1) of their calls the one whose server calls
/// nobody over such an edge itself; of several the one with the highest share, then with the most failures. In a circle of failing
/// edges it is the worst one.
pub fn failing_edge(edges: &[ServiceEdge], threshold: f64) -> Option<&ServiceEdge> {
    let failing: Vec<&ServiceEdge> = edges
        .iter()
        .filter(|edge| edge.failed > 0.0 && edge.failed_ratio() >= threshold)
        .collect();
    let passing_on: BTreeSet<&str> = failing
        .iter()
        .filter(|edge| edge.client != edge.server)
        .map(|edge| edge.client.as_str())
        .collect();
    let worst = |edges: &[&'_ ServiceEdge]| -> Option<usize> {
        let mut best: Option<usize> = None;
        for (index, edge) in edges.iter().enumerate() {
            let better = best.is_none_or(|best| {
                let found = edges[best];
                let order = edge.failed_ratio().total_cmp(&found.failed_ratio());
                order.then(edge.failed.total_cmp(&found.failed)).is_gt()
            });
            if better {
                best = Some(index);
            }
        }
        best
    };
    let last: Vec<&ServiceEdge> = failing
        .iter()
        .copied()
        .filter(|edge| !passing_on.contains(edge.server.as_str()))
        .collect();
    match worst(&last) {
        Some(index) => Some(last[index]),
        None => worst(&failing).map(|index| failing[index]),
    }
}
