//! Tempo's HTTP API: traces by id, search, tags, TraceQL metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use gameday_signal::{Span, Timestamp, TraceId};
use gameday_traces::{
    MetricsRequest, QueryLimits, SearchRequest, TagScope, TagsRequest, TraceQuery,
};
use gameday_wire::tempo as shapes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::common::{Params, json_answer, parse_step_ms, parse_time, serialized, text};
use crate::collector::parse_go_duration;
use crate::shared::Shared;

/// The routes of a Tempo.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(
            "/api/echo",
            get(|| async { text(StatusCode::OK, "echo\n") }),
        )
        .route("/ready", get(|| async { text(StatusCode::OK, "ready\n") }))
        .route("/api/traces/{id}", get(trace_v1))
        .route("/api/v2/traces/{id}", get(trace_v2))
        .route("/api/search", get(search))
        .route("/api/search/tags", get(tags_v1))
        .route("/api/search/tag/{tag}/values", get(tag_values_v1))
        .route("/api/v2/search/tags", get(tags_v2))
        .route("/api/v2/search/tag/{tag}/values", get(tag_values_v2))
        .route("/api/metrics/query_range", get(query_range))
        .route("/api/metrics/query", get(query_instant))
        .route("/status/buildinfo", get(buildinfo))
        .route("/api/status/buildinfo", get(buildinfo))
        .route("/metrics", get(metrics))
        .with_state(shared)
}

fn bad(message: impl Into<String>) -> Response {
    text(StatusCode::BAD_REQUEST, message)
}

/// An id as clients write it: up to 32 hexadecimal digits, leading zeros left out.
fn read_id(id: &str) -> Result<TraceId, Response> {
    format!("{id:0>32}").parse().map_err(|_| {
        bad(format!(
            "trace IDs can only contain hex characters: invalid trace id {id:?}"
        ))
    })
}

fn find(shared: &Shared, id: &str) -> Result<Option<Vec<Span>>, Response> {
    Ok(shared.traces().get(read_id(id)?).map(|trace| trace.spans))
}

fn wants_protobuf(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("application/protobuf"))
}

fn protobuf(body: Vec<u8>) -> Response {
    let mut response = Body::from(body).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/protobuf"),
    );
    response
}

async fn trace_v1(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match find(&shared, &id) {
        Err(refusal) => refusal,
        Ok(None) => text(StatusCode::NOT_FOUND, "trace not found"),
        Ok(Some(spans)) if wants_protobuf(&headers) => protobuf(shapes::trace_protobuf_v1(&spans)),
        Ok(Some(spans)) => json_answer(StatusCode::OK, &shapes::trace_json_v1(&spans)),
    }
}

async fn trace_v2(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match find(&shared, &id) {
        Err(refusal) => refusal,
        Ok(None) => text(StatusCode::NOT_FOUND, "trace not found"),
        Ok(Some(spans)) if wants_protobuf(&headers) => protobuf(shapes::trace_protobuf_v2(&spans)),
        Ok(Some(spans)) => json_answer(StatusCode::OK, &shapes::trace_json_v2(&spans)),
    }
}

/// Seconds since the epoch, as search takes them.
fn seconds(params: &Params, name: &str) -> Result<Option<Timestamp>, Response> {
    match params.get(name) {
        // Zero means "not given", as in Tempo.
        None | Some("0") => Ok(None),
        Some(value) => parse_time(value).map(Some).ok_or_else(|| {
            bad(format!(
                "invalid {name}: must be a unix timestamp in seconds"
            ))
        }),
    }
}

/// Seconds, nanoseconds or RFC 3339, as metrics queries take them.
fn instant(params: &Params, name: &str) -> Result<Option<Timestamp>, Response> {
    match params.get(name) {
        // A number with more than 12 digits counts nanoseconds: as seconds it would lie 30,000 years ahead.
        Some(value) if value.len() > 12 && value.bytes().all(|byte| byte.is_ascii_digit()) => value
            .parse()
            .map(|nanos| Some(Timestamp::from_nanos(nanos)))
            .map_err(|_| bad(format!("invalid {name}"))),
        _ => seconds(params, name),
    }
}

async fn search(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let query = search_query(&params)?;
        let defaults = SearchRequest::default();
        let request = SearchRequest {
            start: seconds(&params, "start")?.unwrap_or(defaults.start),
            end: search_end(&params)?.unwrap_or(defaults.end),
            limit: params
                .number("limit")
                .map_err(bad)?
                .filter(|limit| *limit > 0)
                .unwrap_or(defaults.limit),
            spans_per_span_set: params
                .number("spss")
                .map_err(bad)?
                .unwrap_or(defaults.spans_per_span_set),
        };
        if request.end < request.start {
            return Err(bad("http parameter start must be before end"));
        }
        QueryLimits::default()
            .check_search(&request)
            .map_err(|error| bad(error.to_string()))?;
        Ok(serialized(&shared.traces().search(&query, &request)))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

/// The end of a search. A whole second means all of it: what happens within the current one is found at once. A fraction means itself.
fn search_end(params: &Params) -> Result<Option<Timestamp>, Response> {
    let end = seconds(params, "end")?;
    let is_whole = params
        .get("end")
        .is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    Ok(end.map(|end| {
        if is_whole {
            end + Duration::from_secs(1)
        } else {
            end
        }
    }))
}

/// The query `q`, or one made of the older parameters `tags`, `minDuration` and `maxDuration`.
fn search_query(params: &Params) -> Result<TraceQuery, Response> {
    let invalid = |error: &dyn std::fmt::Display| bad(format!("invalid TraceQL query: {error}"));
    let Some(query) = params.get("q") else {
        let duration = |name: &str| -> Result<Option<Duration>, Response> {
            let Some(text) = params.get(name) else {
                return Ok(None);
            };
            parse_go_duration(text)
                .map(Some)
                .map_err(|reason| bad(format!("invalid {name}: {reason}")))
        };
        let (min, max) = (duration("minDuration")?, duration("maxDuration")?);
        if let (Some(min), Some(max)) = (min, max)
            && max <= min
        {
            return Err(bad("invalid maxDuration: must be greater than minDuration"));
        }
        let tags = params.get("tags").unwrap_or_default();
        return TraceQuery::from_tags(tags, min, max).map_err(|error| invalid(&error));
    };
    let query = TraceQuery::parse(query).map_err(|error| invalid(&error))?;
    if query.is_metrics() {
        return Err(bad(
            "invalid TraceQL query: a metrics query finds no traces: ask /api/metrics/query_range",
        ));
    }
    Ok(query)
}

/// The filter of a tag request. Editors send unfinished queries (`{resource.cluster = }`): the finished comparisons in them filter.
fn tag_filter(params: &Params) -> Option<TraceQuery> {
    params.get("q").map(TraceQuery::parse_lenient)
}

fn tags_request<'a>(
    params: &Params,
    query: Option<&'a TraceQuery>,
) -> Result<TagsRequest<'a>, Response> {
    Ok(TagsRequest {
        query,
        start: seconds(params, "start")?.unwrap_or(Timestamp::MIN),
        end: seconds(params, "end")?.unwrap_or(Timestamp::MAX),
        limit: params.number("limit").map_err(bad)?.unwrap_or(0),
    })
}

fn scope_of(params: &Params) -> Result<Option<TagScope>, Response> {
    let scope = params.get("scope").unwrap_or_default();
    TagScope::from_text(scope).ok_or_else(|| bad(format!("invalid scope: {scope}")))
}

async fn tags_v1(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let scope = scope_of(&params)?;
        let filter = tag_filter(&params);
        let request = tags_request(&params, filter.as_ref())?;
        Ok(serialized(&shared.traces().tag_names(scope, &request)))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn tags_v2(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let scope = scope_of(&params)?;
        let filter = tag_filter(&params);
        let request = tags_request(&params, filter.as_ref())?;
        Ok(serialized(&shared.traces().tag_names_v2(scope, &request)))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn tag_values_v1(
    State(shared): State<Arc<Shared>>,
    Path(tag): Path<String>,
    params: Params,
) -> Response {
    let outcome = || -> Result<Response, Response> {
        let filter = tag_filter(&params);
        let request = tags_request(&params, filter.as_ref())?;
        Ok(serialized(&shared.traces().tag_values(&tag, &request)))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn tag_values_v2(
    State(shared): State<Arc<Shared>>,
    Path(tag): Path<String>,
    params: Params,
) -> Response {
    let outcome = || -> Result<Response, Response> {
        let filter = tag_filter(&params);
        let request = tags_request(&params, filter.as_ref())?;
        Ok(serialized(&shared.traces().tag_values_v2(&tag, &request)))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

/// The query and the range of a metrics request: `start` and `end`, or `since` (an hour where nothing is given).
fn metrics_request(
    shared: &Shared,
    params: &Params,
) -> Result<(TraceQuery, MetricsRequest), Response> {
    let source = params
        .get("q")
        .or_else(|| params.get("query"))
        .ok_or_else(|| bad("missing parameter q"))?;
    let query = TraceQuery::parse(source)
        .map_err(|error| bad(format!("invalid TraceQL query: {error}")))?;
    let since_ms = params
        .get("since")
        .map_or(Some(3_600_000), parse_step_ms)
        .ok_or_else(|| bad("invalid since: must be a duration"))?;
    let end = instant(params, "end")?.unwrap_or_else(|| shared.now());
    let since = Duration::from_millis(since_ms.unsigned_abs());
    let start = instant(params, "start")?.unwrap_or(end - since);
    QueryLimits::default()
        .check_metrics(start, end)
        .map_err(|error| bad(error.to_string()))?;
    let step_ms = params
        .get("step")
        .map_or(Some(0), parse_step_ms)
        .ok_or_else(|| bad("invalid step: must be a duration"))?;
    let mut request =
        MetricsRequest::new(start, end, Duration::from_millis(step_ms.unsigned_abs()));
    if let Some(exemplars) = params.number("exemplars").map_err(bad)? {
        request.exemplars = exemplars;
    }
    Ok((query, request))
}

async fn query_range(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (query, request) = metrics_request(&shared, &params)?;
        let answer = shared
            .traces()
            .query_range(&query, &request)
            .map_err(|error| bad(error.to_string()))?;
        Ok(serialized(&answer))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn query_instant(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let (query, request) = metrics_request(&shared, &params)?;
        let answer = shared
            .traces()
            .query_instant(&query, &request)
            .map_err(|error| bad(error.to_string()))?;
        Ok(serialized(&answer))
    };
    outcome().unwrap_or_else(|refusal| refusal)
}

async fn buildinfo() -> Response {
    json_answer(
        StatusCode::OK,
        &json!({"version": crate::TEMPO_VERSION, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": ""}),
    )
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    text(StatusCode::OK, crate::own_metrics::own_metrics(&shared))
}
