//! The Pushgateway: metrics of short-lived jobs, kept in groups until they are replaced or deleted.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gameday_signal::{Labels, MetricMetadata, MetricType, Timestamp};
use gameday_wire::exposition::{Entry, FamilyWriter, Format, ParseOptions, format_of, parse};
use gameday_wire::{SampleValue, format_go_float};
use serde_json::{Map, Value, json};

use super::ReceiveHost;
use super::body::{Refused, decompressed, text_of};

const PUSH_TIME: &str = "push_time_seconds";
const PUSH_TIME_HELP: &str =
    "Last Unix time when changing this group in the Pushgateway succeeded.";
const FAILURE_TIME: &str = "push_failure_time_seconds";
const FAILURE_TIME_HELP: &str =
    "Last Unix time when changing this group in the Pushgateway failed.";
/// The gateway keeps this many groups.
const GROUPS_MAX: usize = 100_000;
/// A group keeps this many samples.
const SAMPLES_MAX: usize = 1_000_000;

/// The groups and their metrics.
#[derive(Debug, Default)]
pub struct Pushgateway {
    /// By grouping key: `job` and whatever else stands in the path.
    groups: BTreeMap<Labels, Group>,
}

#[derive(Debug, Default)]
struct Group {
    families: BTreeMap<String, Family>,
    pushed_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Family {
    metadata: MetricMetadata,
    /// Labels with `__name__`, in the order in which they were pushed.
    samples: Vec<(Labels, f64)>,
    pushed_at: Option<Timestamp>,
}

impl Pushgateway {
    /// Takes metrics into a group: `replaces_all` is PUT, else only families of the same names are replaced (POST).
    ///
    /// # Errors
    /// Where they cannot be read, have timestamps, or contradict what other groups hold; the group then keeps what it has.
    pub fn push(
        &mut self,
        key: &Labels,
        body: &[u8],
        format: Format,
        replaces_all: bool,
        now: Timestamp,
    ) -> Result<(), String> {
        if !self.groups.contains_key(key) && self.groups.len() >= GROUPS_MAX {
            return Err(format!("there are {GROUPS_MAX} groups already"));
        }
        let pushed = read_families(body, format, key).and_then(|families| {
            self.check(key, &families)?;
            Ok(families)
        });
        let group = self.groups.entry(key.clone()).or_default();
        match pushed {
            Ok(mut families) => {
                if replaces_all {
                    group.families.clear();
                }
                for family in families.values_mut() {
                    family.pushed_at = Some(now);
                }
                group.families.append(&mut families);
                group.pushed_at = Some(now);
                Ok(())
            }
            Err(reason) => {
                group.failed_at = Some(now);
                Err(reason)
            }
        }
    }

    /// Whether the types agree with those of the other groups.
    fn check(&self, key: &Labels, families: &BTreeMap<String, Family>) -> Result<(), String> {
        for (name, family) in families {
            let other = self
                .groups
                .iter()
                .filter(|(own, _)| *own != key)
                .find_map(|(_, group)| group.families.get(name));
            if let Some(other) = other
                && other.metadata.kind != family.metadata.kind
            {
                return Err(format!(
                    "pushed metrics are invalid or inconsistent with existing metrics: {name} is a {}, another group has it as a {}",
                    family.metadata.kind, other.metadata.kind
                ));
            }
        }
        Ok(())
    }

    /// Deletes a group.
    pub fn delete(&mut self, key: &Labels) {
        self.groups.remove(key);
    }

    /// Deletes all groups.
    pub fn wipe(&mut self) {
        self.groups.clear();
    }

    /// Writes all metrics, family by family, those of each group with `push_time_seconds` and `push_failure_time_seconds`.
    pub fn write(&self, writer: &mut FamilyWriter) {
        let mut all: BTreeMap<&str, Vec<(&Labels, &Family)>> = BTreeMap::new();
        let times: Vec<(Family, Family)> = self
            .groups
            .iter()
            .map(|(key, group)| group.times(key))
            .collect();
        for ((key, group), (pushed, failed)) in self.groups.iter().zip(&times) {
            for (name, family) in &group.families {
                all.entry(name).or_default().push((key, family));
            }
            all.entry(PUSH_TIME).or_default().push((key, pushed));
            all.entry(FAILURE_TIME).or_default().push((key, failed));
        }
        for (name, families) in all {
            if let Some((_, first)) = families.first() {
                writer.family(name, &first.metadata);
            }
            for (key, family) in families {
                let empty = key.get("instance").is_none().then_some("instance");
                for (labels, value) in &family.samples {
                    writer.sample_with_empty(labels, *value, empty);
                }
            }
        }
    }

    /// The groups as `/api/v1/metrics` shows them.
    fn view(&self) -> Value {
        self.groups
            .iter()
            .map(|(key, group)| {
                let mut object = Map::new();
                object.insert("labels".to_owned(), json!(key));
                object.insert(
                    "last_push_successful".to_owned(),
                    Value::from(group.pushed_at >= group.failed_at),
                );
                let (pushed, failed) = group.times(key);
                let own = group
                    .families
                    .iter()
                    .map(|(name, family)| (name.as_str(), family));
                for (name, family) in own.chain([(PUSH_TIME, &pushed), (FAILURE_TIME, &failed)]) {
                    object.insert(name.to_owned(), family.view());
                }
                Value::Object(object)
            })
            .collect()
    }
}

impl Group {
    fn times(&self, key: &Labels) -> (Family, Family) {
        let family = |name: &str, help: &str, at: Option<Timestamp>| Family {
            metadata: MetricMetadata {
                kind: MetricType::Gauge,
                help: help.to_owned(),
                unit: String::new(),
            },
            samples: vec![(
                key.with("__name__", name),
                at.map_or(0.0, Timestamp::as_secs_f64),
            )],
            pushed_at: self.pushed_at,
        };
        (
            family(PUSH_TIME, PUSH_TIME_HELP, self.pushed_at),
            family(FAILURE_TIME, FAILURE_TIME_HELP, self.failed_at),
        )
    }
}

impl Family {
    fn view(&self) -> Value {
        let metrics: Vec<Value> = self
            .samples
            .iter()
            .map(|(labels, value)| json!({ "labels": labels, "value": format_go_float(*value) }))
            .collect();
        json!({
            "time_stamp": self.pushed_at.unwrap_or_default().to_string(),
            "type": self.metadata.kind.as_str().to_uppercase(),
            "help": self.metadata.help,
            "metrics": metrics,
        })
    }
}

/// Reads pushed metrics; the labels of the group are set on each.
fn read_families(
    body: &[u8],
    format: Format,
    key: &Labels,
) -> Result<BTreeMap<String, Family>, String> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut problem: Option<String> = None;
    let mut count = 0;
    let options = ParseOptions {
        native_histograms: false,
        always_classic: true,
    };
    parse(body, format, options, &mut |entry| match entry {
        Entry::Help { name, help } => {
            families.entry(name.into_owned()).or_default().metadata.help = help.into_owned();
        }
        Entry::Type { name, kind } => {
            families.entry(name.into_owned()).or_default().metadata.kind = kind;
        }
        Entry::Unit { name, unit } => {
            families.entry(name.into_owned()).or_default().metadata.unit = unit.into_owned();
        }
        Entry::Sample(sample) => {
            count += 1;
            if sample.timestamp_ms.is_some() {
                problem = Some("pushed metrics must not have timestamps".to_owned());
            }
            let mut labels = sample.series.labels().to_builder();
            for (name, value) in key.iter() {
                labels.set(name, value);
            }
            let labels = labels.build();
            let name = family_name(labels.metric_name(), &families);
            if matches!(name.as_str(), PUSH_TIME | FAILURE_TIME) {
                problem = Some(format!("pushed metrics must not contain {name}"));
            }
            if let SampleValue::Float(value) = sample.value {
                families
                    .entry(name)
                    .or_default()
                    .samples
                    .push((labels, value));
            }
        }
    })
    .map_err(|error| format!("text format parsing error: {error}"))?;
    if let Some(problem) = problem {
        return Err(problem);
    }
    if count > SAMPLES_MAX {
        return Err(format!(
            "{count} samples pushed, the limit is {SAMPLES_MAX}"
        ));
    }
    families.retain(|_, family| !family.samples.is_empty());
    for (name, family) in &families {
        let mut seen: Vec<&Labels> = family.samples.iter().map(|(labels, _)| labels).collect();
        seen.sort();
        if let Some(pair) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!(
                "pushed metrics are invalid or inconsistent with existing metrics: {name} {} was pushed twice",
                pair[0]
            ));
        }
    }
    Ok(families)
}

/// The family of a sample: histograms and summaries have several names, counters of OpenMetrics end in `_total`.
fn family_name(name: &str, families: &BTreeMap<String, Family>) -> String {
    for suffix in [
        "_bucket", "_sum", "_count", "_gsum", "_gcount", "_created", "_total", "_info",
    ] {
        if let Some(family) = name.strip_suffix(suffix)
            && let Some(known) = families.get(family)
            && !matches!(known.metadata.kind, MetricType::Gauge | MetricType::Unknown)
        {
            return family.to_owned();
        }
    }
    name.to_owned()
}

pub(super) fn routes<H: ReceiveHost>(host: H) -> Router {
    Router::new()
        .route("/metrics", get(metrics::<H>))
        .route("/metrics/{*path}", axum::routing::any(group::<H>))
        .route("/api/v1/metrics", get(api_metrics::<H>))
        .route("/api/v1/status", get(status))
        .route("/api/v1/admin/wipe", put(wipe::<H>))
        .route("/-/healthy", get(ok))
        .route("/-/ready", get(ok))
        .with_state(host)
}

async fn ok() -> &'static str {
    "OK"
}

async fn metrics<H: ReceiveHost>(State(host): State<H>, headers: HeaderMap) -> Response {
    let mut writer = FamilyWriter::negotiate(Some(text_of(&headers, &header::ACCEPT)));
    host.with_pushgateway(|gateway| gateway.write(&mut writer));
    let content_type = writer.content_type();
    ([(header::CONTENT_TYPE, content_type)], writer.finish()).into_response()
}

async fn api_metrics<H: ReceiveHost>(State(host): State<H>) -> Response {
    let data = host.with_pushgateway(|gateway| gateway.view());
    axum::Json(json!({ "status": "success", "data": data })).into_response()
}

async fn status() -> Response {
    let data =
        json!({ "build_information": { "version": env!("CARGO_PKG_VERSION") }, "flags": {} });
    axum::Json(json!({ "status": "success", "data": data })).into_response()
}

async fn wipe<H: ReceiveHost>(State(host): State<H>) -> StatusCode {
    host.with_pushgateway(Pushgateway::wipe);
    StatusCode::ACCEPTED
}

async fn group<H: ReceiveHost>(State(host): State<H>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let plain = |status: StatusCode, message: String| (status, message).into_response();
    let key = match grouping_key(&head.uri) {
        Ok(key) => key,
        Err(message) => return plain(StatusCode::BAD_REQUEST, message),
    };
    match head.method {
        Method::DELETE => {
            host.with_pushgateway(|gateway| gateway.delete(&key));
            StatusCode::ACCEPTED.into_response()
        }
        Method::PUT | Method::POST => {
            let replaces_all = head.method == Method::PUT;
            match push(&host, &key, &head.headers, body, replaces_all).await {
                Ok(()) => StatusCode::OK.into_response(),
                Err(refusal) => plain(refusal.status, refusal.message),
            }
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

async fn push<H: ReceiveHost>(
    host: &H,
    key: &Labels,
    headers: &HeaderMap,
    body: Body,
    replaces_all: bool,
) -> Result<(), Refused> {
    let clock = host.clock();
    let body = decompressed(&clock, headers, body).await?;
    // Whatever is not protobuf or OpenMetrics is taken for text, as curl sends it.
    let content_type = Some(text_of(headers, &header::CONTENT_TYPE)).filter(|own| !own.is_empty());
    let format = format_of(content_type, Some(Format::Text)).unwrap_or(Format::Text);
    host.with_pushgateway(|gateway| gateway.push(key, &body, format, replaces_all, clock.now()))
        .map_err(|reason| Refused::new(StatusCode::BAD_REQUEST, reason))
}

/// The labels in a path `/metrics/job/<job>{/<label>/<value>}`; `@base64` behind a name says how its value is written.
fn grouping_key(uri: &Uri) -> Result<Labels, String> {
    let path = uri.path().strip_prefix("/metrics/").unwrap_or_default();
    let parts: Vec<&str> = path.strip_suffix('/').unwrap_or(path).split('/').collect();
    if !matches!(parts[0], "job" | "job@base64") {
        return Err("expected a path /metrics/job/<job>{/<label>/<value>}".to_owned());
    }
    if !parts.len().is_multiple_of(2) {
        return Err(format!(
            "odd number of components in label string {:?}",
            format!("/{}", parts.get(2..).unwrap_or_default().join("/"))
        ));
    }
    let mut labels: Vec<(String, String)> = Vec::new();
    for pair in parts.chunks_exact(2) {
        let name = percent_decoded(pair[0])?;
        let (name, is_base64) = match name.strip_suffix("@base64") {
            Some(name) => (name.to_owned(), true),
            None => (name, false),
        };
        if name.is_empty() || name.starts_with("__") {
            return Err(format!("improper label name {name:?}"));
        }
        let value = if is_base64 {
            let bytes = URL_SAFE_NO_PAD
                .decode(percent_decoded(pair[1])?.trim_end_matches('='))
                .map_err(|error| format!("invalid base64 encoding in label {name:?}: {error}"))?;
            String::from_utf8(bytes).map_err(|_| format!("invalid UTF-8 in label {name:?}"))?
        } else {
            percent_decoded(pair[1])?
        };
        if name == "job" && value.is_empty() {
            return Err("job name is required".to_owned());
        }
        labels.push((name, value));
    }
    Ok(Labels::new(labels))
}

fn percent_decoded(text: &str) -> Result<String, String> {
    let invalid = || format!("invalid escape in path component {text:?}");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = rest else {
            return Err(invalid());
        };
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(invalid);
        bytes.push((digit(*high)? << 4 | digit(*low)?) as u8);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| invalid())
}
