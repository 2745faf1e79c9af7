//! The public query APIs of Prometheus, Alertmanager, Loki and Tempo, as any client calls them.

use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Env, HttpClient, HttpErrorKind};
use gameday_signal::{Labels, SpanId, Timestamp, TraceId, parse_duration};
use http::Request;
use serde_json::Value;

use crate::scenario::parse_rfc3339;

/// The base addresses of the four servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAddresses {
    /// Prometheus, `http://prometheus:9090`.
    pub prometheus: String,
    /// Alertmanager, `http://alertmanager:9093`.
    pub alertmanager: String,
    /// Loki, `http://loki:3100`.
    pub loki: String,
    /// Tempo, `http://tempo:3200`.
    pub tempo: String,
}

/// Why an API gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// It could not be reached.
    #[error("{0}")]
    Unreachable(String),
    /// It refused the query.
    #[error("{url} answered {status}: {message}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// Its answer has not the documented shape.
    #[error("{url} answered in an unexpected shape: {reason}")]
    Shape {
        /// What was asked.
        url: String,
        /// What is missing.
        reason: String,
    },
}

/// A series with its value at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// A series over a stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its points.
    pub points: Vec<(Timestamp, f64)>,
}

/// An alert as /api/v1/alerts lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveAlert {
    /// Its labels.
    pub labels: Labels,
    /// What a person should read.
    pub annotations: Labels,
    /// `pending` or `firing`.
    pub state: String,
    /// When its expression first held.
    pub active_at: String,
    /// The value of its expression.
    pub value: f64,
}

/// An alerting rule as /api/v1/rules lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRule {
    /// The name of the alert.
    pub name: String,
    /// The expression.
    pub query: String,
    /// `for`.
    pub hold: Duration,
    /// The evaluation interval of its group.
    pub interval: Duration,
    /// Its group.
    pub group: String,
    /// The file of the group.
    pub file: String,
    /// The labels it adds.
    pub labels: Labels,
    /// The annotations it adds, as templates.
    pub annotations: Labels,
    /// `ok`, `err` or `unknown`.
    pub health: String,
    /// The last error.
    pub last_error: String,
}

/// When Prometheus does what.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Phases {
    /// The scrape interval.
    pub scrape_interval: Duration,
    /// How long after a multiple of the interval a scrape begins.
    pub scrape_phase: Option<Duration>,
    /// The same for the evaluation of the rule group.
    pub evaluation_phase: Option<Duration>,
}

/// An alert as Alertmanager lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagedAlert {
    /// Its labels.
    pub labels: Labels,
    /// `active`, `suppressed` or `unprocessed`.
    pub state: String,
    /// The fingerprints of the alerts that inhibit it.
    pub inhibited_by: Vec<String>,
    /// The silences that match it.
    pub silenced_by: Vec<String>,
    /// The time intervals that mute it.
    pub muted_by: Vec<String>,
    /// Its own fingerprint.
    pub fingerprint: String,
}

/// A log line as Loki gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// The line.
    pub line: String,
    /// Stream labels, structured metadata and parsed labels.
    pub labels: Labels,
}

/// A span as Tempo gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSpan {
    /// Its id.
    pub span_id: SpanId,
    /// The span that caused it, or none.
    pub parent_span_id: SpanId,
    /// The operation.
    pub name: String,
    /// The service.
    pub service: String,
    /// When it began.
    pub start: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// Whether it failed.
    pub error: bool,
    /// The words that go with its status.
    pub status_message: String,
    /// Its attributes as text.
    pub attributes: Vec<(String, String)>,
    /// The attributes of what sent it, as text.
    pub resource: Vec<(String, String)>,
}

/// An exemplar as Prometheus gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarSample {
    /// The series that it is an example of.
    pub series: Labels,
    /// Its own labels.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// When it was observed.
    pub at: Timestamp,
}

/// A client of the four APIs.
#[derive(Clone)]
pub struct Apis {
    client: HttpClient,
    addresses: ApiAddresses,
}

/// No query of a game day takes this long, on a healthy stack.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Apis {
    /// A client that dials from the host of `env`.
    pub fn new(env: &Env, addresses: ApiAddresses) -> Self {
        Self {
            client: env.http_client(),
            addresses,
        }
    }

    /// Where the servers are.
    pub fn addresses(&self) -> &ApiAddresses {
        &self.addresses
    }

    async fn get(&self, url: String) -> Result<Option<Value>, ApiError> {
        let request = Request::get(&url)
            .header("accept", "application/json")
            .body(Bytes::new())
            .map_err(|error| ApiError::Unreachable(format!("{url}: {error}")))?;
        let answer =
            self.client
                .send(request, TIMEOUT)
                .await
                .map_err(|error| match error.kind {
                    HttpErrorKind::TooLarge => ApiError::Shape {
                        url: url.clone(),
                        reason: error.reason,
                    },
                    _ => ApiError::Unreachable(error.to_string()),
                })?;
        let status = answer.status();
        if status == http::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(answer.body());
        let json: Result<Value, _> = serde_json::from_str(&text);
        if !status.is_success() {
            let message = json
                .ok()
                .and_then(|body| body["error"].as_str().map(str::to_owned))
                .unwrap_or_else(|| text.chars().take(500).collect());
            return Err(ApiError::Refused {
                url,
                status: status.as_u16(),
                message,
            });
        }
        json.map(Some).map_err(|error| ApiError::Shape {
            url,
            reason: error.to_string(),
        })
    }

    async fn data(&self, url: String) -> Result<Value, ApiError> {
        let mut body = self
            .get(url.clone())
            .await?
            .ok_or_else(|| ApiError::Refused {
                url: url.clone(),
                status: 404,
                message: "not found".to_owned(),
            })?;
        match body.get_mut("data").map(Value::take) {
            Some(data) => Ok(data),
            None => Err(ApiError::Shape {
                url,
                reason: "no \"data\"".to_owned(),
            }),
        }
    }

    /// The value of a PromQL expression now or at a time.
    ///
    /// # Errors
    /// Where Prometheus cannot be reached or refuses the query.
    pub async fn query(
        &self,
        promql: &str,
        at: Option<Timestamp>,
    ) -> Result<Vec<VectorSample>, ApiError> {
        let time = at
            .map(|at| format!("&time={}", seconds(at)))
            .unwrap_or_default();
        let url = format!(
            "{}/api/v1/query?query={}{time}",
            self.addresses.prometheus,
            encode(promql)
        );
        let data = self.data(url.clone()).await?;
        instant_samples(&data, &url)
    }

    /// A PromQL expression over a stretch of time.
    ///
    /// # Errors
    /// Where Prometheus cannot be reached or refuses the query.
    pub async fn query_range(
        &self,
        promql: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<Vec<RangeSeries>, ApiError> {
        let url = format!(
            "{}/api/v1/query_range?query={}&start={}&end={}&step={}",
            self.addresses.prometheus,
            encode(promql),
            seconds(start),
            seconds(end),
            step.as_secs_f64()
        );
        let data = self.data(url.clone()).await?;
        let series = list(&data["result"], &url)?;
        series
            .iter()
            .map(|entry| {
                let points = list(&entry["values"], &url)?;
                let points = points
                    .iter()
                    .map(|point| sample_of(point, &url))
                    .collect::<Result<_, _>>()?;
                Ok(RangeSeries {
                    labels: labels_of(&entry["metric"]),
                    points,
                })
            })
            .collect()
    }

    /// The alerts that are pending or firing, those of Loki's ruler after those of Prometheus.
    ///
    /// # Errors
    /// Where Prometheus cannot be reached.
    pub async fn active_alerts(&self) -> Result<Vec<ActiveAlert>, ApiError> {
        let alerts = self.of_rulers("alerts", "alerts").await?;
        Ok(alerts
            .iter()
            .map(|alert| ActiveAlert {
                labels: labels_of(&alert["labels"]),
                annotations: labels_of(&alert["annotations"]),
                state: text(&alert["state"]),
                active_at: text(&alert["activeAt"]),
                value: number(&alert["value"]),
            })
            .collect())
    }

    /// What an API says that Prometheus and Loki's ruler share. A Loki without a ruler has no rules and no alerts.
    async fn of_rulers(&self, path: &str, member: &str) -> Result<Vec<Value>, ApiError> {
        let url = format!("{}/api/v1/{path}", self.addresses.prometheus);
        let data = self.data(url.clone()).await?;
        let mut all = list(&data[member], &url)?.clone();
        let url = format!("{}/prometheus/api/v1/{path}", self.addresses.loki);
        if let Ok(mut data) = self.data(url).await
            && let Value::Array(own) = data[member].take()
        {
            all.extend(own);
        }
        Ok(all)
    }

    /// The alerting rules that are loaded, those of Loki's ruler after those of Prometheus.
    ///
    /// # Errors
    /// Where Prometheus cannot be reached.
    pub async fn alert_rules(&self) -> Result<Vec<AlertRule>, ApiError> {
        let mut rules = Vec::new();
        for group in self.of_rulers("rules?type=alert", "groups").await? {
            let members = group["rules"].as_array();
            for rule in members.into_iter().flatten() {
                rules.push(AlertRule {
                    name: text(&rule["name"]),
                    query: text(&rule["query"]),
                    hold: Duration::from_secs_f64(number(&rule["duration"]).max(0.0)),
                    interval: Duration::from_secs_f64(number(&group["interval"]).max(0.0)),
                    group: text(&group["name"]),
                    file: text(&group["file"]),
                    labels: labels_of(&rule["labels"]),
                    annotations: labels_of(&rule["annotations"]),
                    health: text(&rule["health"]),
                    last_error: text(&rule["lastError"]),
                });
            }
        }
        Ok(rules)
    }

    /// When scrapes and the evaluations of a rule group happen, as the status of Prometheus shows it.
    ///
    /// # Errors
    /// Where Prometheus cannot be reached.
    pub async fn phases(&self, group: &str) -> Result<Phases, ApiError> {
        let targets_url = format!("{}/api/v1/targets?state=active", self.addresses.prometheus);
        let targets = self.data(targets_url).await?;
        let scrape = targets["activeTargets"]
            .as_array()
            .into_iter()
            .flatten()
            .find_map(|target| {
                let interval = parse_duration(target["scrapeInterval"].as_str()?).ok()?;
                Some((interval, parse_rfc3339(target["lastScrape"].as_str()?)))
            });
        let groups = self.of_rulers("rules?type=alert", "groups").await?;
        let own = groups.iter().find(|own| own["name"] == group);
        let evaluation = own.and_then(|own| {
            let interval = Duration::try_from_secs_f64(number(&own["interval"])).ok()?;
            Some((interval, parse_rfc3339(own["lastEvaluation"].as_str()?)?))
        });
        let phase = |at: Timestamp, interval: Duration| at.since(at.floor_to(interval));
        let (scrape_interval, last_scrape) = scrape.unwrap_or_default();
        Ok(Phases {
            scrape_interval,
            scrape_phase: last_scrape.map(|at| phase(at, scrape_interval)),
            evaluation_phase: evaluation.map(|(interval, at)| phase(at, interval)),
        })
    }

    /// The alerts that Alertmanager holds, the suppressed ones included.
    ///
    /// # Errors
    /// Where Alertmanager cannot be reached.
    pub async fn managed_alerts(&self) -> Result<Vec<ManagedAlert>, ApiError> {
        let url = format!("{}/api/v2/alerts", self.addresses.alertmanager);
        let body = self.get(url.clone()).await?.unwrap_or_default();
        Ok(list(&body, &url)?.iter().map(managed_alert).collect())
    }

    /// The same alerts once for each group that they are in. Only here does Alertmanager tell what mutes them: it is the group's
    /// route that has time intervals.
    ///
    /// # Errors
    /// Where Alertmanager cannot be reached.
    pub async fn grouped_alerts(&self) -> Result<Vec<ManagedAlert>, ApiError> {
        let url = format!("{}/api/v2/alerts/groups", self.addresses.alertmanager);
        let body = self.get(url.clone()).await?.unwrap_or_default();
        let mut alerts = Vec::new();
        for group in list(&body, &url)? {
            alerts.extend(list(&group["alerts"], &url)?.iter().map(managed_alert));
        }
        Ok(alerts)
    }

    /// Begins a silence, whose JSON is as API v2 has it, and gives its id.
    ///
    /// # Errors
    /// Where Alertmanager cannot be reached or refuses it.
    pub async fn begin_silence(&self, silence: &Value) -> Result<String, ApiError> {
        let url = format!("{}/api/v2/silences", self.addresses.alertmanager);
        let request = Request::post(&url)
            .header("content-type", "application/json")
            .body(Bytes::from(silence.to_string()));
        let body = self.act(url.clone(), request).await?;
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        let id = json["silenceID"].as_str().map(str::to_owned);
        id.ok_or(ApiError::Shape {
            url,
            reason: "no \"silenceID\"".to_owned(),
        })
    }

    /// Ends a silence before its time.
    ///
    /// # Errors
    /// Where Alertmanager cannot be reached or does not know it.
    pub async fn end_silence(&self, id: &str) -> Result<(), ApiError> {
        let url = format!("{}/api/v2/silence/{id}", self.addresses.alertmanager);
        let request = Request::delete(&url).body(Bytes::new());
        self.act(url, request).await.map(|_| ())
    }

    /// Sends what changes something, and gives the text of the answer.
    async fn act(
        &self,
        url: String,
        request: Result<Request<Bytes>, http::Error>,
    ) -> Result<String, ApiError> {
        let unreachable = |error: String| ApiError::Unreachable(format!("{url}: {error}"));
        let request = request.map_err(|error| unreachable(error.to_string()))?;
        let answer = self.client.send(request, TIMEOUT).await;
        let answer = answer.map_err(|error| unreachable(error.to_string()))?;
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        if answer.status().is_success() {
            return Ok(text);
        }
        Err(ApiError::Refused {
            url,
            status: answer.status().as_u16(),
            message: text.chars().take(500).collect(),
        })
    }

    /// The newest log lines of a LogQL query, the newest first.
    ///
    /// # Errors
    /// Where Loki cannot be reached or refuses the query.
    pub async fn logs(
        &self,
        logql: &str,
        start: Timestamp,
        end: Timestamp,
        limit: usize,
    ) -> Result<Vec<LogLine>, ApiError> {
        let url = format!(
            "{}/loki/api/v1/query_range?query={}&start={}&end={}&limit={limit}&direction=backward",
            self.addresses.loki,
            encode(logql),
            start.as_nanos(),
            end.as_nanos()
        );
        let data = self.data(url.clone()).await?;
        let mut lines = Vec::new();
        for stream in list(&data["result"], &url)? {
            let labels = labels_of(&stream["stream"]);
            for value in list(&stream["values"], &url)? {
                let nanos: i64 = text(&value[0]).parse().map_err(|_| ApiError::Shape {
                    url: url.clone(),
                    reason: "no timestamp".to_owned(),
                })?;
                lines.push(LogLine {
                    at: Timestamp::from_nanos(nanos),
                    line: text(&value[1]),
                    labels: labels.clone(),
                });
            }
        }
        lines.sort_by_key(|line| std::cmp::Reverse(line.at));
        Ok(lines)
    }

    /// The spans of a trace in the order of their starts; none where Tempo does not know it.
    ///
    /// # Errors
    /// Where Tempo cannot be reached.
    pub async fn trace(&self, id: TraceId) -> Result<Option<Vec<TraceSpan>>, ApiError> {
        let url = format!("{}/api/v2/traces/{id}", self.addresses.tempo);
        let Some(body) = self.get(url.clone()).await? else {
            return Ok(None);
        };
        let mut spans = Vec::new();
        for resource in body["trace"]["resourceSpans"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let sender = attributes_of(&resource["resource"]["attributes"]);
            for scope in resource["scopeSpans"].as_array().into_iter().flatten() {
                for span in scope["spans"].as_array().into_iter().flatten() {
                    spans.push(trace_span(span, &sender, &url)?);
                }
            }
        }
        spans.sort_by_key(|span| (span.start, span.span_id));
        Ok(if spans.is_empty() { None } else { Some(spans) })
    }

    /// The exemplars of the series that a PromQL expression names, the oldest first.
    ///
    /// # Errors
    /// Where Prometheus cannot be reached or refuses the query.
    pub async fn exemplars(
        &self,
        promql: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<ExemplarSample>, ApiError> {
        let url = format!(
            "{}/api/v1/query_exemplars?query={}&start={}&end={}",
            self.addresses.prometheus,
            encode(promql),
            seconds(start),
            seconds(end)
        );
        let data = self.data(url.clone()).await?;
        let mut found = Vec::new();
        for own in list(&data, &url)? {
            let series = labels_of(&own["seriesLabels"]);
            for exemplar in list(&own["exemplars"], &url)? {
                found.push(ExemplarSample {
                    series: series.clone(),
                    labels: labels_of(&exemplar["labels"]),
                    value: number(&exemplar["value"]),
                    at: Timestamp::from_secs_f64(number(&exemplar["timestamp"])),
                });
            }
        }
        found.sort_by_key(|own| own.at);
        Ok(found)
    }

    /// The ids of the traces that a TraceQL query finds.
    ///
    /// # Errors
    /// Where Tempo cannot be reached or refuses the query.
    pub async fn search_traces(
        &self,
        traceql: &str,
        start: Timestamp,
        end: Timestamp,
        limit: usize,
    ) -> Result<Vec<TraceId>, ApiError> {
        let url = format!(
            "{}/api/search?q={}&start={}&end={}&limit={limit}",
            self.addresses.tempo,
            encode(traceql),
            start.as_secs(),
            end.as_secs() + 1
        );
        let body = self.get(url.clone()).await?.unwrap_or_default();
        Ok(body["traces"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|trace| format!("{:0>32}", text(&trace["traceID"])).parse().ok())
            .collect())
    }
}

fn trace_span(span: &Value, sender: &[(String, String)], url: &str) -> Result<TraceSpan, ApiError> {
    let shape = |reason: &str| ApiError::Shape {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    let nanos = |key: &str| -> Result<i64, ApiError> {
        let value = &span[key];
        value
            .as_i64()
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
            .ok_or_else(|| shape(key))
    };
    let start = Timestamp::from_nanos(nanos("startTimeUnixNano")?);
    let end = Timestamp::from_nanos(nanos("endTimeUnixNano")?);
    let service = sender.iter().find(|(key, _)| key == "service.name");
    Ok(TraceSpan {
        span_id: span_id(&span["spanId"]).ok_or_else(|| shape("spanId"))?,
        parent_span_id: span_id(&span["parentSpanId"]).unwrap_or_default(),
        name: text(&span["name"]),
        service: service.map(|(_, value)| value.clone()).unwrap_or_default(),
        start,
        duration: end.since(start),
        error: span["status"]["code"] == "STATUS_CODE_ERROR" || span["status"]["code"] == 2,
        status_message: text(&span["status"]["message"]),
        attributes: attributes_of(&span["attributes"]),
        resource: sender.to_vec(),
    })
}

/// Tempo's JSON has ids in base64, OTLP's in hexadecimal: their lengths tell them apart.
fn span_id(value: &Value) -> Option<SpanId> {
    use base64::Engine as _;
    let text = value.as_str()?;
    if text.len() == 16
        && let Ok(id) = text.parse()
    {
        return Some(id);
    }
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .ok()?;
    SpanId::from_bytes(&bytes).ok()
}

fn attributes_of(attributes: &Value) -> Vec<(String, String)> {
    let pairs = attributes.as_array().into_iter().flatten();
    pairs
        .map(|pair| (text(&pair["key"]), any_value(&pair["value"])))
        .collect()
}

fn any_value(value: &Value) -> String {
    let Some((_, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        return String::new();
    };
    match inner {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn managed_alert(alert: &Value) -> ManagedAlert {
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    ManagedAlert {
        labels: labels_of(&alert["labels"]),
        state: text(&alert["status"]["state"]),
        inhibited_by: texts(&alert["status"]["inhibitedBy"]),
        silenced_by: texts(&alert["status"]["silencedBy"]),
        muted_by: texts(&alert["status"]["mutedBy"]),
        fingerprint: text(&alert["fingerprint"]),
    }
}

fn instant_samples(data: &Value, url: &str) -> Result<Vec<VectorSample>, ApiError> {
    if data["resultType"] == "scalar" {
        let (_, value) = sample_of(&data["result"], url)?;
        return Ok(vec![VectorSample {
            labels: Labels::empty(),
            value,
        }]);
    }
    list(&data["result"], url)?
        .iter()
        .map(|entry| {
            let (_, value) = sample_of(&entry["value"], url)?;
            Ok(VectorSample {
                labels: labels_of(&entry["metric"]),
                value,
            })
        })
        .collect()
}

fn sample_of(pair: &Value, url: &str) -> Result<(Timestamp, f64), ApiError> {
    match (pair[0].as_f64(), parse_value(&pair[1])) {
        (Some(secs), Some(value)) => Ok((Timestamp::from_secs_f64(secs), value)),
        _ => Err(ApiError::Shape {
            url: url.to_owned(),
            reason: format!("no sample: {pair}"),
        }),
    }
}

fn parse_value(value: &Value) -> Option<f64> {
    match value.as_str()? {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

fn list<'a>(value: &'a Value, url: &str) -> Result<&'a Vec<Value>, ApiError> {
    value.as_array().ok_or_else(|| ApiError::Shape {
        url: url.to_owned(),
        reason: "expected a list".to_owned(),
    })
}

fn text(value: &Value) -> String {
    value.as_str().map(str::to_owned).unwrap_or_default()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .or_else(|| parse_value(value))
        .unwrap_or_default()
}

fn labels_of(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    Labels::new(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())))
}

fn seconds(at: Timestamp) -> String {
    let millis = at.as_millis();
    format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000))
}

/// Percent-encodes everything that is not unreserved (RFC 3986, section 2.3).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(b"0123456789ABCDEF"[usize::from(byte >> 4)]));
            out.push(char::from(b"0123456789ABCDEF"[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_queries() {
        assert_eq!(
            encode("a{b=\"ü\"} > 1"),
            "a%7Bb%3D%22%C3%BC%22%7D%20%3E%201"
        );
    }

    #[test]
    fn reads_both_forms_of_span_ids() {
        let expected = Some("00f067aa0ba902b7".parse().expect("a valid id"));
        assert_eq!(span_id(&Value::from("00f067aa0ba902b7")), expected);
        assert_eq!(span_id(&Value::from("APBnqguпa")), None);
        assert_eq!(span_id(&Value::from("APBnqgupArc=")), expected);
    }

    #[test]
    fn reads_special_values() {
        assert_eq!(parse_value(&Value::from("+Inf")), Some(f64::INFINITY));
        assert!(parse_value(&Value::from("NaN")).is_some_and(f64::is_nan));
        assert_eq!(parse_value(&Value::from("x")), None);
    }
}
