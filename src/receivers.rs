//! The receivers of a game day: an HTTP server that takes every notification in the place of Slack, PagerDuty or a webhook, answers
//! as they would, and keeps what it got.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, NetError, ServeOptions, serve};
use gameday_signal::Timestamp;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;

/// A notification as a receiver got it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// When it arrived.
    pub at: Timestamp,
    /// The receiver of alertmanager.yml.
    pub receiver: String,
    /// The kind of integration (`slack`, `webhook`, ...).
    pub integration: String,
    /// What was sent.
    pub body: String,
    /// The status that it was answered with.
    pub answered: u16,
}

/// Whether a message says that an alert fires or that it is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStatus {
    /// It fires.
    Firing,
    /// It is resolved.
    Resolved,
}

/// How a receiver misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReceiverFault {
    /// The status it answers with, 200 where none is given.
    pub status: Option<u16>,
    /// How long it takes.
    pub delay: Duration,
    /// The `Retry-After` header, in seconds.
    pub retry_after_secs: Option<u64>,
    /// It closes the connection without an answer.
    pub down: bool,
}

/// The receivers. A clone is the same receivers.
#[derive(Clone)]
pub struct Receivers {
    env: Env,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    messages: Vec<Message>,
    faults: BTreeMap<String, ReceiverFault>,
}

/// A message may have this many bytes.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Messages that are kept; a game day that sends more has gone wrong, and the count goes on.
const MESSAGES_MAX: usize = 50_000;
/// The header that names the receiver of alertmanager.yml.
pub const RECEIVER_HEADER: &str = "x-gameday-receiver";
/// The header that names the kind of integration.
pub const INTEGRATION_HEADER: &str = "x-gameday-integration";

impl Receivers {
    /// Where the receivers listen.
    pub fn address() -> Address {
        Address::new("receivers", 9099)
    }

    /// Starts listening.
    ///
    /// # Errors
    /// Where the address is taken.
    pub async fn start(env: &Env) -> Result<Self, NetError> {
        let env = env.on("receivers");
        let listener = env.listen(&Self::address()).await?;
        let receivers = Self {
            env: env.clone(),
            state: Arc::default(),
        };
        let taking = receivers.clone();
        let service = tower::service_fn(move |request| {
            let receivers = taking.clone();
            async move { Ok::<_, Infallible>(receivers.take(request).await) }
        });
        serve(&env, listener, service, ServeOptions::default());
        Ok(receivers)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn take(&self, request: Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
        let header = |name: &str| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let (receiver, integration) = (header(RECEIVER_HEADER), header(INTEGRATION_HEADER));
        let body = match Limited::new(request.into_body(), MESSAGE_BYTES_MAX)
            .collect()
            .await
        {
            Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            Err(_) => return answer(StatusCode::PAYLOAD_TOO_LARGE, "too large", None),
        };
        let fault = self
            .lock()
            .faults
            .get(&receiver)
            .copied()
            .unwrap_or_default();
        self.env.clock().sleep(fault.delay).await;
        if fault.down {
            // The nearest thing to a closed door once the request has been read: never answer.
            std::future::pending::<()>().await;
        }
        let status = fault
            .status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(StatusCode::OK);
        let reply = vendor_reply(&integration, status);
        let mut state = self.lock();
        if state.messages.len() < MESSAGES_MAX {
            let at = self.env.now();
            state.messages.push(Message {
                at,
                receiver,
                integration,
                body,
                answered: status.as_u16(),
            });
        }
        answer(status, reply, fault.retry_after_secs)
    }

    /// Everything that was accepted, in the order of arrival.
    pub fn accepted(&self) -> Vec<Message> {
        self.lock()
            .messages
            .iter()
            .filter(|message| message.answered < 300)
            .cloned()
            .collect()
    }

    /// Makes `receiver` misbehave, or well again.
    pub fn set_fault(&self, receiver: &str, fault: Option<ReceiverFault>) {
        let mut state = self.lock();
        match fault {
            Some(fault) => drop(state.faults.insert(receiver.to_owned(), fault)),
            None => drop(state.faults.remove(receiver)),
        }
    }
}

fn answer(
    status: StatusCode,
    body: &'static str,
    retry_after_secs: Option<u64>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    if let Some(secs) = retry_after_secs {
        response
            .headers_mut()
            .insert(http::header::RETRY_AFTER, secs.into());
    }
    response
}

/// What the vendor itself answers.
fn vendor_reply(integration: &str, status: StatusCode) -> &'static str {
    if !status.is_success() {
        return "{\"error\":\"injected by the game day\"}";
    }
    match integration {
        "slack" => "ok",
        "telegram" => "{\"ok\":true,\"result\":{}}",
        "pagerduty" => "{\"status\":\"success\",\"message\":\"Event processed\"}",
        _ => "{}",
    }
}

impl Message {
    /// What the message says about the alert of that name; none where it does not speak of it.
    ///
    /// A webhook names its alerts with their states. Messages for people are searched for the name, and count as resolved
    /// where their title or colour says so, so this works for messages of a real Alertmanager as well.
    pub fn status_of(&self, alert: &str) -> Option<MessageStatus> {
        let json: Option<Value> = serde_json::from_str(&self.body).ok();
        if let Some(alerts) = json.as_ref().and_then(|body| body["alerts"].as_array()) {
            let own = |entry: &&Value| entry["labels"]["alertname"] == alert;
            let firing = alerts
                .iter()
                .filter(own)
                .any(|entry| entry["status"] == "firing");
            let mentioned = alerts.iter().any(|entry| own(&entry));
            return mentioned.then_some(if firing {
                MessageStatus::Firing
            } else {
                MessageStatus::Resolved
            });
        }
        if !contains_word(&self.body, alert) {
            return None;
        }
        let colour = json
            .as_ref()
            .and_then(|body| body["attachments"][0]["color"].as_str());
        let resolved = match colour {
            Some(colour) => colour == "good",
            None => {
                self.body.contains("[RESOLVED]")
                    || self.body.contains("\"event_action\":\"resolve\"")
            }
        };
        Some(if resolved {
            MessageStatus::Resolved
        } else {
            MessageStatus::Firing
        })
    }

    /// Whether a person who reads the message can see `text` (JSON escapes are undone first).
    pub fn shows(&self, text: &str) -> bool {
        self.body.contains(text) || self.readable().contains(text)
    }

    /// The texts of the message without their JSON.
    pub fn readable(&self) -> String {
        fn collect(value: &Value, out: &mut Vec<String>) {
            match value {
                Value::String(text) => out.push(text.clone()),
                Value::Array(values) => values.iter().for_each(|value| collect(value, out)),
                Value::Object(pairs) => pairs.values().for_each(|value| collect(value, out)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        let mut texts = Vec::new();
        match serde_json::from_str(&self.body) {
            Ok(json) => collect(&json, &mut texts),
            Err(_) => texts.push(self.body.clone()),
        }
        texts.join("\n")
    }
}

/// Whether `word` stands in `text` and is not a part of a longer name.
fn contains_word(text: &str, word: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(integration: &str, body: &str) -> Message {
        Message {
            at: Timestamp::EPOCH,
            receiver: "r".to_owned(),
            integration: integration.to_owned(),
            body: body.to_owned(),
            answered: 200,
        }
    }

    #[test]
    fn a_webhook_names_its_alerts() {
        let body = r#"{"status":"firing","alerts":[{"status":"resolved","labels":{"alertname":"A"}},{"status":"firing","labels":{"alertname":"B"}}]}"#;
        let message = message("webhook", body);
        assert_eq!(message.status_of("A"), Some(MessageStatus::Resolved));
        assert_eq!(message.status_of("B"), Some(MessageStatus::Firing));
        assert_eq!(message.status_of("C"), None);
    }

    #[test]
    fn slack_is_read_as_a_person_reads_it() {
        let firing = message(
            "slack",
            r#"{"attachments":[{"color":"danger","title":"[FIRING:1] LatencyFastBurn"}]}"#,
        );
        assert_eq!(
            firing.status_of("LatencyFastBurn"),
            Some(MessageStatus::Firing)
        );
        assert_eq!(firing.status_of("Latency"), None);
        let resolved = message(
            "slack",
            r#"{"attachments":[{"color":"good","title":"LatencyFastBurn"}]}"#,
        );
        assert_eq!(
            resolved.status_of("LatencyFastBurn"),
            Some(MessageStatus::Resolved)
        );
    }

    #[test]
    fn escapes_are_undone() {
        assert!(
            message("slack", r#"{"text":"a \"b\" http:\/\/c\/d"}"#).shows("a \"b\" http://c/d")
        );
    }
}
