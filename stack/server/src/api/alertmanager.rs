//! Alertmanager's API v2. The engine knows every shape; here are only routes and statuses.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use gameday_alerts::{PostableAlert, PostableSilence, Query, SilenceError};
use http::StatusCode;
use serde_json::json;

use super::common::{json_answer, serialized, text};
use crate::shared::Shared;

/// A post of alerts or a silence may have this many bytes.
const BODY_BYTES_MAX: usize = 32 << 20;

/// The routes of an Alertmanager.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/v2/status", get(status))
        .route("/api/v2/receivers", get(receivers))
        .route("/api/v2/alerts", get(alerts).post(post_alerts))
        .route("/api/v2/alerts/groups", get(groups))
        .route("/api/v2/silences", get(silences).post(post_silence))
        .route("/api/v2/silence/{id}", get(silence).delete(expire_silence))
        .route("/-/healthy", get(|| async { text(StatusCode::OK, "OK") }))
        .route("/-/ready", get(|| async { text(StatusCode::OK, "OK") }))
        .route("/-/reload", post(reload))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

/// API v2 answers an error with its text as a JSON string.
fn refused(status: StatusCode, message: impl std::fmt::Display) -> Response {
    json_answer(status, &json!(message.to_string()))
}

fn read_query(raw: Option<String>) -> Result<Query, Response> {
    let raw = raw.unwrap_or_default();
    let pairs = form_urlencoded::parse(raw.as_bytes()).into_owned();
    Query::new(pairs).map_err(|error| refused(StatusCode::BAD_REQUEST, error))
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    serialized(&shared.alerts().status_view())
}

async fn receivers(State(shared): State<Arc<Shared>>, RawQuery(raw): RawQuery) -> Response {
    read_query(raw).map_or_else(
        |refusal| refusal,
        |query| serialized(&shared.alerts().receivers_view(&query)),
    )
}

async fn alerts(State(shared): State<Arc<Shared>>, RawQuery(raw): RawQuery) -> Response {
    let now = shared.now();
    read_query(raw).map_or_else(
        |refusal| refusal,
        |query| serialized(&shared.alerts().alerts_view(&query, now)),
    )
}

async fn groups(State(shared): State<Arc<Shared>>, RawQuery(raw): RawQuery) -> Response {
    let now = shared.now();
    read_query(raw).map_or_else(
        |refusal| refusal,
        |query| serialized(&shared.alerts().groups_view(&query, now)),
    )
}

async fn post_alerts(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let posted: Vec<PostableAlert> = match serde_json::from_slice(&body) {
        Ok(posted) => posted,
        Err(error) => {
            return refused(
                StatusCode::BAD_REQUEST,
                format!("parsing alerts body failed: {error}"),
            );
        }
    };
    let outcome = shared.alerts().receive(posted, shared.now());
    shared.alerts_changed();
    match outcome {
        Ok(()) => text(StatusCode::OK, ""),
        Err(error) => refused(StatusCode::BAD_REQUEST, error),
    }
}

async fn silences(State(shared): State<Arc<Shared>>, RawQuery(raw): RawQuery) -> Response {
    let now = shared.now();
    read_query(raw).map_or_else(
        |refusal| refusal,
        |query| serialized(&shared.alerts().silences_view(&query, now)),
    )
}

async fn silence(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    match shared.alerts().silence_view(&id, shared.now()) {
        Some(view) => serialized(&view),
        None => text(StatusCode::NOT_FOUND, ""),
    }
}

async fn post_silence(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let posted: PostableSilence = match serde_json::from_slice(&body) {
        Ok(posted) => posted,
        Err(error) => {
            return refused(
                StatusCode::BAD_REQUEST,
                format!("parsing silence body failed: {error}"),
            );
        }
    };
    let outcome = shared.alerts().set_silence(posted, shared.now());
    shared.alerts_changed();
    match outcome {
        Ok(id) => json_answer(StatusCode::OK, &json!({"silenceID": id})),
        Err(error) => silence_refusal(&error),
    }
}

async fn expire_silence(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    let outcome = shared.alerts().expire_silence(&id, shared.now());
    shared.alerts_changed();
    match outcome {
        Ok(()) => text(StatusCode::OK, ""),
        Err(error) => silence_refusal(&error),
    }
}

fn silence_refusal(error: &SilenceError) -> Response {
    let status = if matches!(error, SilenceError::NotFound) {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::BAD_REQUEST
    };
    refused(status, error)
}

async fn reload(State(shared): State<Arc<Shared>>) -> Response {
    match shared.reload_alertmanager() {
        Ok(()) => text(StatusCode::OK, ""),
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("failed to reload config: {error}"),
        ),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    text(StatusCode::OK, crate::own_metrics::own_metrics(&shared))
}
