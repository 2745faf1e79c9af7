//! Prometheus' HTTP API v1: queries and metadata of series.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{any, get};
use gameday_metrics::{Engine, QueryError, QueryOutput, SampleValue, Store, Value as PromValue};
use gameday_signal::{Labels, Matcher, Timestamp};
use http::StatusCode;
use serde_json::{Value, json};

use super::common::{
    ErrorType, Params, failure, format_value, json_bytes, parse_step_ms, parse_time,
    push_json_text, push_time, success, text,
};
use super::{federate, prometheus_status};
use crate::shared::Shared;

/// A range query may return this many points a series.
const POINTS_MAX: i64 = 11_000;

/// The routes of a Prometheus server.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/v1/query", any(query))
        .route("/api/v1/query_range", any(query_range))
        .route("/api/v1/query_exemplars", any(query_exemplars))
        .route("/api/v1/format_query", any(format_query))
        .route("/api/v1/series", any(series))
        .route("/api/v1/labels", any(labels))
        .route("/api/v1/label/{name}/values", get(label_values))
        .merge(prometheus_status::routes())
        .merge(federate::routes())
        .fallback(|| async { text(StatusCode::NOT_FOUND, "404 page not found\n") })
        .with_state(shared)
}

fn bad_data(message: impl Into<String>) -> Response {
    failure(ErrorType::BadData, message)
}

fn query_failure(error: &QueryError) -> Response {
    match error {
        QueryError::TooManySamples | QueryError::Execution(_) => {
            failure(ErrorType::Execution, error.to_string())
        }
        QueryError::Parse(error) => bad_data(format!("invalid parameter \"query\": {error}")),
        other => bad_data(other.to_string()),
    }
}

/// The time limit of a query must be readable. The engine has no clock: its limits are samples, which the time follows.
fn check_timeout(params: &Params) -> Result<(), Response> {
    match params.get("timeout") {
        Some(text) if parse_step_ms(text).is_none() => Err(bad_data(format!(
            "invalid parameter \"timeout\": cannot parse {text:?} to a valid duration"
        ))),
        _ => Ok(()),
    }
}

/// A time parameter in milliseconds.
fn time_ms(params: &Params, name: &str) -> Result<Option<i64>, String> {
    let parse = |text: &str| {
        let message = || {
            let place = if name == "time" {
                "Invalid time value for 'time': "
            } else {
                ""
            };
            format!("invalid parameter {name:?}: {place}cannot parse {text:?} to a valid timestamp")
        };
        parse_time(text)
            .map(gameday_signal::Timestamp::as_millis)
            .ok_or_else(message)
    };
    params.get(name).map(parse).transpose()
}

async fn query(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let now = shared.now().as_millis();
        let at = time_ms(&params, "time").map_err(bad_data)?.unwrap_or(now);
        let source = params.get("query").unwrap_or_default();
        check_timeout(&params)?;
        run_query(&shared, &params, |engine, store| {
            engine.instant(store, source, at)
        })
    };
    outcome().unwrap_or_else(|response| response)
}

async fn query_range(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, Response> {
        let source = params.get("query").unwrap_or_default();
        check_timeout(&params)?;
        let missing = |name: &str| {
            bad_data(format!(
                "invalid parameter {name:?}: cannot parse \"\" to a valid timestamp"
            ))
        };
        let start = time_ms(&params, "start")
            .map_err(bad_data)?
            .ok_or_else(|| missing("start"))?;
        let end = time_ms(&params, "end")
            .map_err(bad_data)?
            .ok_or_else(|| missing("end"))?;
        if end < start {
            return Err(bad_data(
                "invalid parameter \"end\": end timestamp must not be before start time",
            ));
        }
        let step = params.get("step").unwrap_or_default();
        let step = parse_step_ms(step).ok_or_else(|| {
            bad_data(format!(
                "invalid parameter \"step\": cannot parse {step:?} to a valid duration"
            ))
        })?;
        if step <= 0 {
            return Err(bad_data(
                "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        if (end - start) / step > POINTS_MAX {
            return Err(bad_data(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
            ));
        }
        run_query(&shared, &params, |engine, store| {
            engine.range(store, source, start, end, step)
        })
    };
    outcome().unwrap_or_else(|response| response)
}

/// Evaluates and answers, with what it took where `stats` asks for that.
fn run_query(
    shared: &Shared,
    params: &Params,
    evaluate: impl FnOnce(&Engine, &Store) -> Result<QueryOutput, QueryError>,
) -> Result<Response, Response> {
    let mut engine = shared.engine_for(params).map_err(bad_data)?;
    let limit = params.number("limit").map_err(bad_data)?;
    let wants_stats = params.get("stats").is_some_and(|text| !text.is_empty());
    if wants_stats {
        engine = engine.with_counted_samples();
    }
    let asked = shared.now();
    let store = shared.metrics();
    let begun = shared.now();
    let output = evaluate(&engine, &store).map_err(|error| query_failure(&error))?;
    let ended = shared.now();
    drop(store);
    let stats = wants_stats.then(|| query_stats(&output, [asked, begun, ended]));
    Ok(answer(output, limit, stats.as_ref()))
}

/// What Prometheus tells of a query (util/stats, `QueryStats`); times in seconds. Here the series are found while the expression
/// is evaluated and results are sorted by the evaluation itself: those two phases take no time of their own.
fn query_stats(output: &QueryOutput, [asked, begun, ended]: [Timestamp; 3]) -> Value {
    let secs =
        |from: Timestamp, to: Timestamp| to.as_nanos().saturating_sub(from.as_nanos()) as f64 / 1e9;
    json!({
        "timings": {
            "evalTotalTime": secs(begun, ended),
            "resultSortTime": 0,
            "queryPreparationTime": 0,
            "innerEvalTime": secs(begun, ended),
            "execQueueTime": secs(asked, begun),
            "execTotalTime": secs(asked, ended),
        },
        "samples": {
            "totalQueryableSamples": output.total_samples,
            "peakSamples": output.peak_samples,
        },
    })
}

/// The answer to a query. It is written by hand, because a large matrix as a tree of JSON values takes ten times its size.
fn answer(mut output: QueryOutput, limit: Option<usize>, stats: Option<&Value>) -> Response {
    let mut warnings = std::mem::take(&mut output.warnings);
    if let Some(limit) = limit.filter(|limit| *limit > 0) {
        let cut = match &mut output.value {
            PromValue::Vector(samples) if samples.len() > limit => {
                samples.truncate(limit);
                true
            }
            PromValue::Matrix(series) if series.len() > limit => {
                series.truncate(limit);
                true
            }
            _ => false,
        };
        if cut {
            warnings.push("results truncated due to limit".to_owned());
        }
    }
    let mut out = String::from("{\"status\":\"success\",\"data\":{\"resultType\":");
    write_result(&mut out, &output.value);
    if let Some(stats) = stats {
        append(&mut out, format_args!(",\"stats\":{stats}"));
    }
    out.push('}');
    for (name, notes) in [("warnings", &warnings), ("infos", &output.infos)] {
        if !notes.is_empty() {
            append(&mut out, format_args!(",\"{name}\":{}", json!(notes)));
        }
    }
    out.push('}');
    json_bytes(StatusCode::OK, out)
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

fn write_result(out: &mut String, value: &PromValue) {
    match value {
        PromValue::Scalar {
            timestamp_ms,
            value,
        } => {
            out.push_str("\"scalar\",\"result\":[");
            push_time(out, *timestamp_ms);
            append(out, format_args!(",\"{}\"]", format_value(*value)));
        }
        PromValue::String { timestamp_ms, text } => {
            out.push_str("\"string\",\"result\":[");
            push_time(out, *timestamp_ms);
            out.push(',');
            push_json_text(out, text);
            out.push(']');
        }
        PromValue::Vector(samples) => {
            out.push_str("\"vector\",\"result\":[");
            for (index, sample) in samples.iter().enumerate() {
                out.push_str(if index == 0 {
                    "{\"metric\":"
                } else {
                    ",{\"metric\":"
                });
                write_labels(out, &sample.labels);
                out.push_str(if matches!(sample.value, SampleValue::Float(_)) {
                    ",\"value\":"
                } else {
                    ",\"histogram\":"
                });
                write_point(out, sample.timestamp_ms, &sample.value);
                out.push('}');
            }
            out.push(']');
        }
        PromValue::Matrix(series) => {
            out.push_str("\"matrix\",\"result\":[");
            for (index, series) in series.iter().enumerate() {
                out.push_str(if index == 0 {
                    "{\"metric\":"
                } else {
                    ",{\"metric\":"
                });
                write_labels(out, &series.labels);
                let is_float = |value: &SampleValue| matches!(value, SampleValue::Float(_));
                for (name, floats) in [("values", true), ("histograms", false)] {
                    let mut points = series
                        .points
                        .iter()
                        .filter(|point| is_float(&point.value) == floats)
                        .peekable();
                    if points.peek().is_none() {
                        continue;
                    }
                    append(out, format_args!(",\"{name}\":["));
                    for (index, point) in points.enumerate() {
                        if index > 0 {
                            out.push(',');
                        }
                        write_point(out, point.timestamp_ms, &point.value);
                    }
                    out.push(']');
                }
                out.push('}');
            }
            out.push(']');
        }
    }
}

fn write_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_json_text(out, name);
        out.push(':');
        push_json_text(out, value);
    }
    out.push('}');
}

fn write_point(out: &mut String, timestamp_ms: i64, value: &SampleValue) {
    out.push('[');
    push_time(out, timestamp_ms);
    match value {
        SampleValue::Float(value) => append(out, format_args!(",\"{}\"]", format_value(*value))),
        SampleValue::Histogram(histogram) => {
            let buckets: Vec<Value> = gameday_metrics::buckets(histogram)
                .iter()
                .filter(|bucket| bucket.count != 0.0)
                .map(|bucket| {
                    // Prometheus' codes: 0 open left, 1 open right, 2 open both, 3 closed both.
                    let rule = match (bucket.lower_inclusive, bucket.upper_inclusive) {
                        (false, true) => 0,
                        (true, false) => 1,
                        (false, false) => 2,
                        (true, true) => 3,
                    };
                    json!([
                        rule,
                        format_value(bucket.lower),
                        format_value(bucket.upper),
                        format_value(bucket.count)
                    ])
                })
                .collect();
            let mut body =
                json!({"count": format_value(histogram.count), "sum": format_value(histogram.sum)});
            if !buckets.is_empty() {
                body["buckets"] = Value::Array(buckets);
            }
            append(out, format_args!(",{body}]"));
        }
    }
}

/// The groups of matchers of all `match[]` parameters.
pub(crate) fn match_groups(params: &Params) -> Result<Vec<Vec<Matcher>>, String> {
    let selectors = params.all("match[]");
    selectors
        .map(|selector| {
            gameday_metrics::parse_selector(selector)
                .map_err(|error| format!("invalid parameter \"match[]\": {error}"))
        })
        .collect()
}

fn window(params: &Params) -> Result<(i64, i64), String> {
    Ok((
        time_ms(params, "start")?.unwrap_or(i64::MIN),
        time_ms(params, "end")?.unwrap_or(i64::MAX),
    ))
}

async fn series(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, String> {
        let groups = match_groups(&params)?;
        if groups.is_empty() {
            return Err("no match[] parameter provided".to_owned());
        }
        let (start, end) = window(&params)?;
        let limit = params
            .number("limit")?
            .filter(|limit| *limit > 0)
            .unwrap_or(usize::MAX);
        let sets = shared.metrics().label_sets(&groups, start, end);
        let cut: Vec<Value> = sets
            .iter()
            .take(limit)
            .map(|labels| json!(labels))
            .collect();
        Ok(success(&json!(cut)))
    };
    outcome().unwrap_or_else(bad_data)
}

async fn labels(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, String> {
        let groups = match_groups(&params)?;
        let (start, end) = window(&params)?;
        let limit = params
            .number("limit")?
            .filter(|limit| *limit > 0)
            .unwrap_or(usize::MAX);
        let names = shared.metrics().label_names(&groups, start, end);
        Ok(success(&json!(
            names.into_iter().take(limit).collect::<Vec<_>>()
        )))
    };
    outcome().unwrap_or_else(bad_data)
}

async fn label_values(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    params: Params,
) -> Response {
    let outcome = || -> Result<Response, String> {
        let name = unescape_name(&name);
        if name.is_empty() {
            return Err("invalid label name: \"\"".to_owned());
        }
        let groups = match_groups(&params)?;
        let (start, end) = window(&params)?;
        let limit = params
            .number("limit")?
            .filter(|limit| *limit > 0)
            .unwrap_or(usize::MAX);
        let values = shared.metrics().label_values(&name, &groups, start, end);
        Ok(success(&json!(
            values.into_iter().take(limit).collect::<Vec<_>>()
        )))
    };
    outcome().unwrap_or_else(bad_data)
}

/// Undoes the `U__` escaping of names in paths: `U__a_2e_b` is `a.b`, `__` is an underscore.
fn unescape_name(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__") else {
        return name.to_owned();
    };
    let mut out = String::new();
    let mut rest = escaped;
    while let Some(start) = rest.find('_') {
        out.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            out.push('_');
            rest = after;
            continue;
        }
        let code = rest
            .find('_')
            .and_then(|end| Some((end, u32::from_str_radix(&rest[..end], 16).ok()?)));
        match code.and_then(|(end, code)| Some((end, char::from_u32(code)?))) {
            Some((end, character)) => {
                out.push(character);
                rest = &rest[end + 1..];
            }
            None => return name.to_owned(),
        }
    }
    out.push_str(rest);
    out
}

async fn query_exemplars(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, String> {
        let source = params.required("query")?;
        let expr = shared
            .engine()
            .parse(source)
            .map_err(|error| error.to_string())?;
        let groups: Vec<Vec<Matcher>> = expr
            .selectors()
            .into_iter()
            .map(|selector| selector.matchers.clone())
            .collect();
        let (start, end) = window(&params)?;
        let found = shared.metrics().exemplars(&groups, start, end);
        let series: Vec<Value> = found
            .iter()
            .map(|series| {
                let exemplars: Vec<Value> = series
                    .exemplars
                    .iter()
                    .map(|(at_ms, exemplar)| {
                        json!({"labels": exemplar.labels, "value": format_value(exemplar.value), "timestamp": *at_ms as f64 / 1000.0})
                    })
                    .collect();
                json!({"seriesLabels": series.labels, "exemplars": exemplars})
            })
            .collect();
        Ok(success(&json!(series)))
    };
    outcome().unwrap_or_else(bad_data)
}

async fn format_query(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, String> {
        let source = params.required("query")?;
        let expr = shared
            .engine()
            .parse(source)
            .map_err(|error| format!("invalid parameter \"query\": {error}"))?;
        Ok(success(&json!(expr.pretty())))
    };
    outcome().unwrap_or_else(bad_data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_read() {
        for (escaped, name) in [
            ("job", "job"),
            ("U__a_2e_b", "a.b"),
            ("U__a__b", "a_b"),
            ("U__a_zz_b", "U__a_zz_b"),
        ] {
            assert_eq!(unescape_name(escaped), name);
        }
    }
}
