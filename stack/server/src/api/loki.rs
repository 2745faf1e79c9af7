//! Loki's HTTP API: queries, labels, statistics, detected fields and patterns.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::any;
use gameday_logs::{
    Direction, QueryData, RangeRequest, VolumeAggregation, default_step, query_instant, query_range,
};
use gameday_signal::{Timestamp, parse_duration};
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::common::{Params, json_answer, parse_time, serialized, success, text};
use crate::shared::Shared;

/// The routes of a Loki.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/ready", any(|| async { text(StatusCode::OK, "ready\n") }))
        .route("/metrics", any(metrics))
        .route(
            "/services",
            any(|| async {
                text(
                    StatusCode::OK,
                    "server => Running\ningester => Running\nquerier => Running\n",
                )
            }),
        )
        .route(
            "/config",
            any(|| async { text(StatusCode::OK, "auth_enabled: false\n") }),
        )
        .route("/loki/api/v1/status/buildinfo", any(buildinfo))
        .route("/loki/api/v1/query", any(instant))
        .route("/loki/api/v1/query_range", any(range))
        .route("/loki/api/v1/labels", any(labels))
        .route("/loki/api/v1/label", any(labels))
        .route("/loki/api/v1/label/{name}/values", any(label_values))
        .route("/loki/api/v1/series", any(series))
        .route("/loki/api/v1/index/stats", any(index_stats))
        .route("/loki/api/v1/index/volume", any(volume))
        .route("/loki/api/v1/index/volume_range", any(volume_range))
        .route("/loki/api/v1/detected_fields", any(detected_fields))
        .route(
            "/loki/api/v1/detected_field/{name}/values",
            any(detected_field_values),
        )
        .route("/loki/api/v1/detected_labels", any(detected_labels))
        .route("/loki/api/v1/patterns", any(patterns))
        .route("/loki/api/v1/format_query", any(format_query))
        .with_state(shared)
}

/// Loki's default and largest number of lines.
const LIMIT_DEFAULT: usize = 100;
/// Loki looks back an hour where no start is given.
const SINCE_DEFAULT: Duration = Duration::from_secs(3600);
/// Labels and series are looked for in the last six hours where no start is given.
const SINCE_LABELS: Duration = Duration::from_secs(6 * 3600);

pub(crate) fn bad(message: impl std::fmt::Display) -> Response {
    text(StatusCode::BAD_REQUEST, message.to_string())
}

/// A time as Loki takes it: nanoseconds, seconds with a fraction, or RFC 3339.
pub(crate) fn time(params: &Params, name: &str) -> Result<Option<Timestamp>, Response> {
    let Some(value) = params.get(name) else {
        return Ok(None);
    };
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    // As in Loki: a whole number with ten digits or fewer counts seconds, a longer one nanoseconds.
    if digits && value.len() > 10 {
        return value
            .parse()
            .map(|nanos| Some(Timestamp::from_nanos(nanos)))
            .map_err(|_| bad(format!("could not parse '{name}' parameter: {value}")));
    }
    parse_time(value).map(Some).ok_or_else(|| {
        bad(format!(
            "could not parse '{name}' parameter: cannot parse {value:?} to a valid timestamp"
        ))
    })
}

fn span(params: &Params, name: &str) -> Result<Option<Duration>, Response> {
    let parse = |value: &str| {
        let secs = value
            .parse::<f64>()
            .ok()
            .and_then(|secs| Duration::try_from_secs_f64(secs).ok());
        secs.or_else(|| parse_duration(value).ok()).ok_or_else(|| {
            bad(format!(
                "could not parse '{name}' parameter: cannot parse {value:?} to a valid duration"
            ))
        })
    };
    params.get(name).map(parse).transpose()
}

/// `start` and `end`, or `since`.
fn window(
    shared: &Shared,
    params: &Params,
    since_default: Duration,
) -> Result<(Timestamp, Timestamp), Response> {
    let end = time(params, "end")?.unwrap_or_else(|| shared.now());
    let since = span(params, "since")?.unwrap_or(since_default);
    let start = time(params, "start")?.unwrap_or(end - since);
    Ok((start, end))
}

fn direction(params: &Params) -> Result<Direction, Response> {
    match params.get("direction").map(str::to_lowercase).as_deref() {
        None | Some("backward") => Ok(Direction::Backward),
        Some("forward") => Ok(Direction::Forward),
        Some(other) => Err(bad(format!("invalid direction '{other}'"))),
    }
}

pub(crate) fn limit(params: &Params) -> Result<usize, Response> {
    match params.number::<i64>("limit").map_err(bad)? {
        None => Ok(LIMIT_DEFAULT),
        Some(limit) if limit > 0 => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
        Some(_) => Err(bad("limit must be a positive value")),
    }
}

fn categorizes(headers: &HeaderMap) -> bool {
    let flags = headers
        .get("x-loki-response-encoding-flags")
        .and_then(|value| value.to_str().ok());
    flags.is_some_and(|flags| {
        flags
            .split(',')
            .any(|flag| flag.trim() == "categorize-labels")
    })
}

fn answered(data: &QueryData) -> Response {
    serialized(&json!({"status": "success", "data": data}))
}

async fn instant(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let query = params.required("query").map_err(bad)?;
        let at = time(&params, "time")?.unwrap_or_else(|| shared.now());
        let data = query_instant(
            &shared.logs(),
            query,
            at,
            limit(&params)?,
            direction(&params)?,
        )
        .map_err(bad)?;
        Ok(answered(&data))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn range(State(shared): State<Arc<Shared>>, headers: HeaderMap, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let query = params.required("query").map_err(bad)?;
        let (start, end) = window(&shared, &params, SINCE_DEFAULT)?;
        let request = RangeRequest {
            start,
            end,
            step: span(&params, "step")?.unwrap_or_else(|| default_step(start, end)),
            interval: span(&params, "interval")?.unwrap_or_default(),
            limit: limit(&params)?,
            direction: direction(&params)?,
            categorize_labels: categorizes(&headers),
        };
        let data = query_range(&shared.logs(), query, &request).map_err(bad)?;
        Ok(answered(&data))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn labels(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (start, end) = window(&shared, &params, SINCE_LABELS)?;
        let names = shared
            .logs()
            .label_names(start, end, params.get("query"))
            .map_err(bad)?;
        Ok(success(&json!(names)))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn label_values(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    params: Params,
) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (start, end) = window(&shared, &params, SINCE_LABELS)?;
        let values = shared
            .logs()
            .label_values(&name, start, end, params.get("query"))
            .map_err(bad)?;
        Ok(success(&json!(values)))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn series(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (start, end) = window(&shared, &params, SINCE_LABELS)?;
        let selectors: Vec<&str> = params.all("match[]").chain(params.all("match")).collect();
        let found = shared.logs().series(&selectors, start, end).map_err(bad)?;
        Ok(success(&json!(found)))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn index_stats(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (start, end) = window(&shared, &params, SINCE_LABELS)?;
        let stats = shared
            .logs()
            .index_stats(params.get("query"), start, end)
            .map_err(bad)?;
        Ok(serialized(&stats))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

struct VolumeRequest<'a> {
    query: &'a str,
    target_labels: Vec<&'a str>,
    aggregate_by: VolumeAggregation,
    limit: usize,
}

fn volume_request(params: &Params) -> Result<VolumeRequest<'_>, Response> {
    let aggregate_by = match params.get("aggregateBy") {
        None | Some("series") => VolumeAggregation::Series,
        Some("labels") => VolumeAggregation::Labels,
        Some(other) => return Err(bad(format!("invalid aggregation option: {other}"))),
    };
    let target_labels = params
        .get("targetLabels")
        .map(|labels| labels.split(',').collect())
        .unwrap_or_default();
    Ok(VolumeRequest {
        query: params.required("query").map_err(bad)?,
        target_labels,
        aggregate_by,
        limit: limit(params)?,
    })
}

async fn volume(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (start, end) = window(&shared, &params, SINCE_DEFAULT)?;
        let request = volume_request(&params)?;
        let store = shared.logs();
        let data = store.volume(
            request.query,
            start,
            end,
            &request.target_labels,
            request.aggregate_by,
            request.limit,
        );
        Ok(answered(&data.map_err(bad)?))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn volume_range(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (start, end) = window(&shared, &params, SINCE_DEFAULT)?;
        let step = span(&params, "step")?.unwrap_or_else(|| default_step(start, end));
        let request = volume_request(&params)?;
        let store = shared.logs();
        let data = store.volume_range(
            request.query,
            start,
            end,
            step,
            &request.target_labels,
            request.aggregate_by,
            request.limit,
        );
        Ok(answered(&data.map_err(bad)?))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn detected_fields(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (start, end) = window(&shared, &params, SINCE_DEFAULT)?;
        let query = params.required("query").map_err(bad)?;
        let lines = params
            .number("line_limit")
            .map_err(bad)?
            .unwrap_or(LIMIT_DEFAULT);
        let limit = params.number("limit").map_err(bad)?.unwrap_or(1000);
        let fields = shared
            .logs()
            .detected_fields(query, start, end, lines, limit)
            .map_err(bad)?;
        Ok(serialized(&fields))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn detected_field_values(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    params: Params,
) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (start, end) = window(&shared, &params, SINCE_DEFAULT)?;
        let query = params.required("query").map_err(bad)?;
        let lines = params
            .number("line_limit")
            .map_err(bad)?
            .unwrap_or(LIMIT_DEFAULT);
        let limit = params.number("limit").map_err(bad)?.unwrap_or(1000);
        let values = shared
            .logs()
            .detected_field_values(&name, query, start, end, lines, limit)
            .map_err(bad)?;
        Ok(json_answer(
            StatusCode::OK,
            &json!({"values": values, "limit": limit}),
        ))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn detected_labels(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (start, end) = window(&shared, &params, SINCE_LABELS)?;
        let labels = shared
            .logs()
            .detected_labels(params.get("query"), start, end)
            .map_err(bad)?;
        Ok(serialized(&labels))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn patterns(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (start, end) = window(&shared, &params, SINCE_DEFAULT)?;
        let query = params.required("query").map_err(bad)?;
        let step = span(&params, "step")?.unwrap_or_else(|| default_step(start, end));
        let found = shared
            .logs()
            .patterns(query, start, end, step)
            .map_err(bad)?;
        Ok(success(&json!(found)))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn format_query(params: Params) -> Response {
    let query = match params.required("query") {
        Ok(query) => query,
        Err(error) => return bad(error),
    };
    match gameday_logs::format_query(query) {
        Ok(formatted) => success(&json!(formatted)),
        Err(error) => json_answer(
            StatusCode::BAD_REQUEST,
            &json!({"status": "invalid-query", "error": error.to_string()}),
        ),
    }
}

async fn buildinfo() -> Response {
    json_answer(
        StatusCode::OK,
        &json!({"version": crate::LOKI_VERSION, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": ""}),
    )
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    text(StatusCode::OK, crate::own_metrics::own_metrics(&shared))
}
