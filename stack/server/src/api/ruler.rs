//! The API of Loki's ruler: its rules as YAML, and rules and alerts as Prometheus shows them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use gameday_rules::{Language, RuleDefinition, RuleKind};
use gameday_signal::format_duration;
use http::{StatusCode, header};
use serde::Serialize;

use super::common::{Params, text};
use super::prometheus_status::{alerts_of, rules_of};
use crate::shared::Shared;

/// The routes of a ruler. Rules are files: they are changed there, and read again by `POST /-/reload` of Prometheus.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    let mut routes = Router::new()
        .route("/prometheus/api/v1/rules", get(prometheus_rules))
        .route("/prometheus/api/v1/alerts", get(prometheus_alerts));
    // The second one is Cortex' older path.
    for root in ["/loki/api/v1/rules", "/api/prom/rules"] {
        let in_namespace = get(namespace).post(read_only).delete(read_only);
        let in_group = get(group).delete(read_only);
        routes = routes
            .route(root, get(all))
            .route(&format!("{root}/{{namespace}}"), in_namespace)
            .route(&format!("{root}/{{namespace}}/{{group}}"), in_group);
    }
    routes.with_state(shared)
}

async fn prometheus_rules(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    rules_of(&shared, Language::LogQl, &params)
}

async fn prometheus_alerts(State(shared): State<Arc<Shared>>) -> Response {
    alerts_of(&shared, Language::LogQl)
}

/// As in a Loki whose rules lie in local files.
async fn read_only() -> Response {
    text(
        StatusCode::INTERNAL_SERVER_ERROR,
        "local ruler storage is read-only: change the rule files and reload\n",
    )
}

async fn all(State(shared): State<Arc<Shared>>) -> Response {
    match namespaces(&shared) {
        Ok(found) if found.is_empty() => text(StatusCode::NOT_FOUND, "no rule groups found\n"),
        Ok(found) => yaml(&found),
        Err(refusal) => refusal,
    }
}

async fn namespace(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    match namespaces(&shared).map(|mut found| found.remove_entry(&name)) {
        Ok(Some(own)) => yaml(&BTreeMap::from([own])),
        Ok(None) => text(StatusCode::NOT_FOUND, "no rule groups found\n"),
        Err(refusal) => refusal,
    }
}

async fn group(
    State(shared): State<Arc<Shared>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let found = match namespaces(&shared) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let groups = found.get(&namespace).map(Vec::as_slice);
    match groups
        .unwrap_or_default()
        .iter()
        .find(|group| group.name == name)
    {
        Some(group) => yaml(group),
        None => text(StatusCode::NOT_FOUND, "group does not exist\n"),
    }
}

/// A group as the YAML of the API has it.
#[derive(Serialize)]
struct GroupYaml {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
    rules: Vec<RuleYaml>,
}

#[derive(Serialize)]
struct RuleYaml {
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<String>,
    expr: String,
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    hold: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// Groups by namespace, which is the name of their file.
fn namespaces(shared: &Shared) -> Result<BTreeMap<String, Vec<GroupYaml>>, Response> {
    let files = shared.files().rule_files();
    let files = files.map_err(|error| text(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    let mut namespaces: BTreeMap<String, Vec<GroupYaml>> = BTreeMap::new();
    for file in files {
        if file.language != Language::LogQl {
            continue;
        }
        let name = std::path::Path::new(&file.path).file_name();
        let name = name.map_or(file.path.clone(), |name| {
            name.to_string_lossy().into_owned()
        });
        let groups = file.groups.iter().map(|group| GroupYaml {
            name: group.name.clone(),
            interval: group.interval.map(format_duration),
            limit: (group.limit > 0).then_some(group.limit),
            rules: group.rules.iter().map(rule).collect(),
        });
        namespaces.entry(name).or_default().extend(groups);
    }
    Ok(namespaces)
}

fn rule(rule: &RuleDefinition) -> RuleYaml {
    let duration = |own: Duration| (!own.is_zero()).then(|| format_duration(own));
    let mut shown = RuleYaml {
        record: None,
        alert: None,
        expr: rule.expr.clone(),
        hold: None,
        keep_firing_for: None,
        labels: rule.labels.iter().cloned().collect(),
        annotations: BTreeMap::new(),
    };
    match &rule.kind {
        RuleKind::Recording => shown.record = Some(rule.name.clone()),
        RuleKind::Alerting {
            hold,
            keep_firing_for,
            annotations,
        } => {
            shown.alert = Some(rule.name.clone());
            shown.hold = duration(*hold);
            shown.keep_firing_for = duration(*keep_firing_for);
            shown.annotations = annotations.iter().cloned().collect();
        }
    }
    shown
}

fn yaml(value: &impl Serialize) -> Response {
    let rendered = match gameday_yaml::to_string(value) {
        Ok(rendered) => rendered,
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let mut response = text(StatusCode::OK, rendered);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/yaml"),
    );
    response
}
