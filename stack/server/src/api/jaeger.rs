//! Jaeger's query API, on Tempo's port: look-ups by id and search. `/api/traces` is Tempo's own path, so traces are served below
//! `/jaeger`; `/api/services` and `/api/operations` are free and served in both places.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gameday_signal::{Timestamp, parse_duration};
use gameday_traces::{JaegerOperation, JaegerQuery, JaegerResponse, JaegerTrace};
use http::StatusCode;

use super::common::{Params, serialized};
use crate::shared::Shared;

/// Jaeger's default number of traces.
const LIMIT_DEFAULT: usize = 20;
/// Jaeger's user interface looks back two days where no start is given.
const LOOK_BACK: Duration = Duration::from_secs(2 * 86_400);

/// The routes of a Jaeger query service.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/operations", get(operations))
        .route("/jaeger/api/services", get(services))
        .route("/jaeger/api/operations", get(operations))
        .route(
            "/jaeger/api/services/{service}/operations",
            get(operation_names),
        )
        .route("/jaeger/api/traces", get(search))
        .route("/jaeger/api/traces/{id}", get(trace))
        .with_state(shared)
}

fn failed(status: StatusCode, message: impl Into<String>) -> Response {
    let body: JaegerResponse<JaegerTrace> = JaegerResponse::failed(status.as_u16(), message);
    (status, serialized(&body)).into_response()
}

async fn services(State(shared): State<Arc<Shared>>) -> Response {
    serialized(&JaegerResponse::of(shared.traces().services()))
}

async fn operations(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    match params.get("service") {
        Some(service) => serialized(&JaegerResponse::<JaegerOperation>::of(
            shared.traces().operations(service, None),
        )),
        None => failed(StatusCode::BAD_REQUEST, "parameter 'service' is required"),
    }
}

async fn operation_names(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
) -> Response {
    let mut names: Vec<String> = shared
        .traces()
        .operations(&service, None)
        .into_iter()
        .map(|own| own.name)
        .collect();
    names.dedup();
    serialized(&JaegerResponse::of(names))
}

async fn trace(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let Ok(id) = format!("{id:0>32}").parse() else {
        return failed(StatusCode::BAD_REQUEST, format!("invalid trace id {id:?}"));
    };
    match shared.traces().get(id) {
        Some(trace) => serialized(&JaegerResponse::of_traces([&trace])),
        None => failed(StatusCode::NOT_FOUND, "trace not found"),
    }
}

async fn search(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    match read_query(&shared, &params) {
        Ok(query) => {
            let found = shared.traces().jaeger_search(&query);
            serialized(&JaegerResponse::of_traces(found.iter()))
        }
        Err(message) => failed(StatusCode::BAD_REQUEST, message),
    }
}

fn read_query(shared: &Shared, params: &Params) -> Result<JaegerQuery, String> {
    let service = params
        .get("service")
        .ok_or("parameter 'service' is required")?
        .to_owned();
    let duration = |name: &str| {
        let parse = |text: &str| {
            parse_duration(text).map_err(|error| format!("invalid parameter '{name}': {error}"))
        };
        params.get(name).map(parse).transpose()
    };
    // Jaeger counts microseconds.
    let time = |name: &str| -> Result<Option<Timestamp>, String> {
        let micros: Option<i64> = params.number(name)?;
        Ok(micros.map(|micros| Timestamp::from_nanos(micros.saturating_mul(1000))))
    };
    let tags: BTreeMap<String, String> = match params.get("tags") {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| format!("invalid parameter 'tags': {error}"))?,
        None => BTreeMap::new(),
    };
    let end = time("end")?.unwrap_or_else(|| shared.now());
    Ok(JaegerQuery {
        service,
        operation: params.get("operation").unwrap_or_default().to_owned(),
        tags,
        min_duration: duration("minDuration")?,
        max_duration: duration("maxDuration")?,
        start: time("start")?.unwrap_or(end - LOOK_BACK),
        end,
        limit: params.number("limit")?.unwrap_or(LIMIT_DEFAULT),
    })
}
