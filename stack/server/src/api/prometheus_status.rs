//! Prometheus' HTTP API v1: rules, alerts, targets, metadata and the server's own state.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get};
use gameday_metrics::NamedCount;
use gameday_rules::{ActiveAlert, AlertState, GroupStatus, Health, Language, RuleStatus};
use gameday_signal::{Matcher, Timestamp, format_duration};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::common::{ErrorType, Params, failure, format_value, success, text};
use crate::own_metrics::own_metrics;
use crate::shared::Shared;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    let ready = || async { text(StatusCode::OK, "Prometheus Server is Ready.\n") };
    let healthy = || async { text(StatusCode::OK, "Prometheus Server is Healthy.\n") };
    Router::new()
        .route("/api/v1/rules", get(rules))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/targets", get(targets))
        .route("/api/v1/targets/metadata", get(target_metadata))
        .route("/api/v1/scrape_pools", get(scrape_pools))
        .route("/api/v1/metadata", get(metadata))
        .route("/api/v1/alertmanagers", get(alertmanagers))
        .route("/api/v1/status/buildinfo", get(buildinfo))
        .route("/api/v1/status/config", get(config))
        .route("/api/v1/status/flags", get(flags))
        .route("/api/v1/status/runtimeinfo", get(runtimeinfo))
        .route("/api/v1/status/tsdb", get(tsdb))
        .route("/api/v1/status/walreplay", get(walreplay))
        .route("/-/ready", get(ready))
        .route("/-/healthy", get(healthy))
        .route("/-/reload", any(reload))
        .route("/metrics", get(metrics))
}

fn at(time: Option<Timestamp>) -> String {
    // Go's zero time stands for "never".
    time.map_or_else(
        || "0001-01-01T00:00:00Z".to_owned(),
        |time| time.to_string(),
    )
}

fn alert_json(alert: &ActiveAlert) -> Value {
    let mut body = json!({
        "labels": alert.labels,
        "annotations": alert.annotations,
        "state": alert.state.as_str(),
        "activeAt": alert.active_at.to_string(),
        "value": go_exponent(alert.value),
    });
    if let Some(since) = alert.keep_firing_since {
        body["keepFiringSince"] = json!(since.to_string());
    }
    body
}

/// A number as Go's `FormatFloat(value, 'e', -1, 64)` writes it, which the alerts API uses.
fn go_exponent(value: f64) -> String {
    if !value.is_finite() {
        return format_value(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

fn rule_json(rule: &RuleStatus, with_alerts: bool) -> Value {
    let health = match rule.health {
        Health::Unknown => "unknown",
        Health::Ok => "ok",
        Health::Bad => "err",
    };
    let mut body = json!({
        "name": rule.name,
        "query": rule.query,
        "health": health,
        "lastError": rule.last_error,
        "evaluationTime": 0.0,
        "lastEvaluation": at(rule.last_evaluation),
    });
    if rule.last_error.is_none()
        && let Some(object) = body.as_object_mut()
    {
        object.remove("lastError");
    }
    match &rule.alerting {
        Some(alerting) => {
            body["type"] = json!("alerting");
            body["state"] = json!(alerting.state.as_str());
            body["duration"] = json!(alerting.hold.as_secs_f64());
            body["keepFiringFor"] = json!(alerting.keep_firing_for.as_secs_f64());
            body["labels"] = json!(rule.labels);
            body["annotations"] = json!(alerting.annotations);
            let alerts: Vec<Value> = if with_alerts {
                alerting.alerts.iter().map(alert_json).collect()
            } else {
                Vec::new()
            };
            body["alerts"] = Value::Array(alerts);
        }
        None => {
            body["type"] = json!("recording");
            if !rule.labels.is_empty() {
                body["labels"] = json!(rule.labels);
            }
        }
    }
    body
}

async fn rules(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    rules_of(&shared, Language::PromQl, &params)
}

/// The groups of one language.
pub(crate) fn rules_of(shared: &Shared, language: Language, params: &Params) -> Response {
    let outcome = || -> Result<Response, String> {
        let wanted = match params.get("type") {
            None => None,
            Some("alert") => Some(true),
            Some("record") => Some(false),
            Some(other) => {
                return Err(format!(
                    "invalid parameter \"type\": not supported value {other:?}"
                ));
            }
        };
        let exclude_alerts = params.flag("exclude_alerts", false)?;
        let names: Vec<&str> = params.all("rule_name[]").collect();
        let groups: Vec<&str> = params.all("rule_group[]").collect();
        let files: Vec<&str> = params.all("file[]").collect();
        let listed = |list: &[&str], own: &str| list.is_empty() || list.contains(&own);
        let keep = |rule: &&RuleStatus| {
            wanted.is_none_or(|alerting| rule.alerting.is_some() == alerting)
                && listed(&names, &rule.name)
        };
        let filtered = !(names.is_empty() && groups.is_empty() && files.is_empty());
        let shown: Vec<Value> = shared
            .rules()
            .groups()
            .iter()
            .filter(|group| group.language == language)
            .filter(|group| listed(&groups, &group.name) && listed(&files, &group.file))
            .filter_map(|group| {
                group_json(
                    group,
                    group.rules.iter().filter(keep),
                    exclude_alerts,
                    filtered,
                )
            })
            .collect();
        Ok(success(&json!({"groups": shown})))
    };
    outcome().unwrap_or_else(|message| failure(ErrorType::BadData, message))
}

fn group_json<'a>(
    group: &GroupStatus,
    rules: impl Iterator<Item = &'a RuleStatus>,
    exclude_alerts: bool,
    filtered: bool,
) -> Option<Value> {
    let rules: Vec<Value> = rules.map(|rule| rule_json(rule, !exclude_alerts)).collect();
    if filtered && rules.is_empty() {
        return None;
    }
    Some(json!({
        "name": group.name,
        "file": group.file,
        "interval": group.interval.as_secs_f64(),
        "limit": group.limit,
        "rules": rules,
        "evaluationTime": 0.0,
        "lastEvaluation": at(group.last_evaluation),
    }))
}

async fn alerts(State(shared): State<Arc<Shared>>) -> Response {
    alerts_of(&shared, Language::PromQl)
}

/// The alerts of the rules of one language.
pub(crate) fn alerts_of(shared: &Shared, language: Language) -> Response {
    let alerts: Vec<Value> = shared
        .rules()
        .alerts_of(language)
        .iter()
        .filter(|alert| alert.state != AlertState::Inactive)
        .map(alert_json)
        .collect();
    success(&json!({"alerts": alerts}))
}

async fn targets(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let state = params.get("state").unwrap_or("any").to_lowercase();
    let pool = params.get("scrapePool");
    let scraper = shared.scraper();
    let active: Vec<Value> = scraper
        .active_targets()
        .iter()
        .filter(|_| state != "dropped")
        .filter(|target| pool.is_none_or(|pool| pool == target.scrape_pool))
        .map(|target| {
            json!({
                "discoveredLabels": target.discovered_labels,
                "labels": target.labels,
                "scrapePool": target.scrape_pool,
                "scrapeUrl": target.scrape_url,
                "globalUrl": target.scrape_url,
                "lastError": target.last_error,
                "lastScrape": at(target.last_scrape),
                "lastScrapeDuration": target.last_scrape_duration.as_secs_f64(),
                "health": target.health.as_str(),
                "scrapeInterval": format_duration(target.scrape_interval),
                "scrapeTimeout": format_duration(target.scrape_timeout),
            })
        })
        .collect();
    let dropped: Vec<Value> = scraper
        .dropped_targets()
        .iter()
        .filter(|_| state != "active")
        .map(|target| json!({"discoveredLabels": target.discovered_labels, "scrapePool": target.scrape_pool}))
        .collect();
    let counts: serde_json::Map<String, Value> = scraper
        .dropped_counts()
        .map(|(pool, count)| (pool.to_owned(), json!(count)))
        .collect();
    success(
        &json!({"activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": counts}),
    )
}

async fn scrape_pools(State(shared): State<Arc<Shared>>) -> Response {
    success(&json!({"scrapePools": shared.scraper().scrape_pools().collect::<Vec<_>>()}))
}

async fn target_metadata(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, String> {
        let limit = params
            .number("limit")?
            .filter(|limit| *limit > 0)
            .unwrap_or(usize::MAX);
        let matchers = match params.get("match_target") {
            Some(selector) => gameday_metrics::parse_selector(selector)
                .map_err(|error| format!("invalid parameter \"match_target\": {error}"))?,
            None => Vec::new(),
        };
        Ok(success(&json!(metadata_of_targets(
            &shared,
            params.get("metric"),
            &matchers,
            limit
        ))))
    };
    outcome().unwrap_or_else(|message| failure(ErrorType::BadData, message))
}

/// What the targets say about a family, or about all, each with its target.
fn metadata_of_targets(
    shared: &Shared,
    wanted: Option<&str>,
    matchers: &[Matcher],
    limit: usize,
) -> Vec<Value> {
    let targets = shared.scraper().active_targets();
    targets
        .iter()
        .filter(|target| matchers.iter().all(|matcher| matcher.matches(&target.labels)))
        .flat_map(|target| target.metadata.iter().map(move |(family, metadata)| (target, family, metadata)))
        .filter(|(_, family, _)| wanted.is_none_or(|wanted| wanted == family.as_str()))
        .map(|(target, family, metadata)| {
            json!({"target": target.labels, "metric": family, "type": metadata.kind, "help": metadata.help, "unit": metadata.unit})
        })
        .take(limit)
        .collect()
}

async fn metadata(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let outcome = || -> Result<Response, String> {
        let wanted = params.get("metric");
        let limit: usize = params.number("limit")?.unwrap_or(usize::MAX);
        let per_metric: usize = params
            .number("limit_per_metric")?
            .filter(|limit| *limit > 0)
            .unwrap_or(usize::MAX);
        let found: serde_json::Map<String, Value> = shared
            .scraper()
            .metadata()
            .into_iter()
            .filter(|(family, _)| wanted.is_none_or(|wanted| wanted == family.as_str()))
            .take(limit)
            .map(|(family, list)| {
                (
                    family,
                    json!(list.into_iter().take(per_metric).collect::<Vec<_>>()),
                )
            })
            .collect();
        Ok(success(&Value::Object(found)))
    };
    outcome().unwrap_or_else(|message| failure(ErrorType::BadData, message))
}

async fn alertmanagers(State(shared): State<Arc<Shared>>) -> Response {
    let folder = shared.files().folder();
    let read = |pattern: &str| crate::scrape::read_target_files(&folder, pattern);
    let (active, dropped) = crate::forward::alertmanager_urls(&shared.config(), &read);
    let list = |urls: Vec<String>| -> Vec<Value> {
        urls.into_iter().map(|url| json!({"url": url})).collect()
    };
    success(&json!({"activeAlertmanagers": list(active), "droppedAlertmanagers": list(dropped)}))
}

async fn buildinfo() -> Response {
    success(&json!({
        "version": crate::PROMETHEUS_VERSION,
        "revision": "gameday",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

async fn config(State(shared): State<Arc<Shared>>) -> Response {
    success(&json!({"yaml": shared.files().prometheus.text}))
}

async fn flags(State(shared): State<Arc<Shared>>) -> Response {
    let engine = shared.engine();
    let lookback = Duration::from_millis(engine.config().lookback_ms.unsigned_abs());
    let rules = shared.rules().options().clone();
    let files = shared.files();
    let data = shared.data().map(|data| data.display().to_string());
    success(&json!({
        "config.file": files.prometheus.path,
        "query.lookback-delta": format_duration(lookback),
        "query.max-samples": engine.config().max_samples.to_string(),
        "rules.alert.for-grace-period": format_duration(rules.for_grace_period),
        "rules.alert.for-outage-tolerance": format_duration(rules.for_outage_tolerance),
        "rules.alert.resend-delay": format_duration(rules.resend_delay),
        "storage.tsdb.path": data.unwrap_or_default(),
        "storage.tsdb.retention.time": retention(&shared),
        "web.enable-lifecycle": "true",
        "web.enable-otlp-receiver": "true",
        "web.enable-remote-write-receiver": "true",
        "web.external-url": rules.external_url,
    }))
}

/// The retention in Prometheus' words: by time, by size, or both.
fn retention(shared: &Shared) -> String {
    let config = crate::data::store_config(&shared.config().storage, shared.is_durable());
    let time = config
        .retention_ms
        .map(|ms| format_duration(Duration::from_millis(ms.unsigned_abs())));
    let size = config.retention_bytes.map(|bytes| format!("{bytes}B"));
    let parts: Vec<String> = time.into_iter().chain(size).collect();
    parts.join(" or ")
}

async fn runtimeinfo(State(shared): State<Arc<Shared>>) -> Response {
    let stats = shared.metrics().stats();
    let reloads = shared.reloads();
    let folder = std::env::current_dir().unwrap_or_default();
    success(&json!({
        "startTime": shared.started.to_string(),
        "serverTime": shared.now().to_string(),
        "CWD": folder.display().to_string(),
        "reloadConfigSuccess": reloads.ok,
        "lastConfigTime": reloads.succeeded_at.to_string(),
        "corruptionCount": shared.repairs,
        "goroutineCount": 1,
        "GOMAXPROCS": 1,
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": retention(&shared),
        "timeSeriesCount": stats.series,
    }))
}

/// The default number of entries of each list of `/api/v1/status/tsdb`.
const TSDB_LIMIT: usize = 10;
/// The most that may be asked for.
const TSDB_LIMIT_MAX: usize = 10_000;

async fn tsdb(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let limit = match params.number::<usize>("limit") {
        Ok(limit) => limit.unwrap_or(TSDB_LIMIT),
        Err(message) => return failure(ErrorType::BadData, message),
    };
    if limit == 0 || limit > TSDB_LIMIT_MAX {
        let message = if limit == 0 {
            "limit must be a positive number".to_owned()
        } else {
            format!("limit must not exceed {TSDB_LIMIT_MAX}")
        };
        return failure(ErrorType::BadData, message);
    }
    let store = shared.metrics();
    let stats = store.stats();
    let found = store.cardinality(limit);
    let list = |counts: &[NamedCount]| -> Vec<Value> {
        counts
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect()
    };
    success(&json!({
        "headStats": {
            "numSeries": stats.series,
            "numLabelPairs": found.label_pairs,
            "chunkCount": found.chunks,
            "minTime": stats.min_time_ms.unwrap_or(i64::MAX),
            "maxTime": stats.max_time_ms.unwrap_or(i64::MIN),
        },
        "seriesCountByMetricName": list(&found.series_by_metric),
        "labelValueCountByLabelName": list(&found.values_by_label),
        "memoryInBytesByLabelName": list(&found.bytes_by_label),
        "seriesCountByLabelValuePair": list(&found.series_by_pair),
    }))
}

async fn walreplay() -> Response {
    success(&json!({"min": 0, "max": 0, "current": 0}))
}

async fn reload(State(shared): State<Arc<Shared>>, method: http::Method) -> Response {
    if method != http::Method::POST && method != http::Method::PUT {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "Only POST or PUT requests allowed",
        );
    }
    match shared.reload_prometheus() {
        Ok(()) => text(StatusCode::OK, ""),
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("failed to reload config: {error}"),
        ),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let mut response = text(StatusCode::OK, own_metrics(&shared));
    let kind = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alert_values_have_an_exponent() {
        for (value, expected) in [
            (0.0, "0e+00"),
            (14.4, "1.44e+01"),
            (0.001, "1e-03"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(go_exponent(value), expected);
        }
    }
}
