//! The stack's own receivers: a page and an API of every message that was sent, and an address that takes messages.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderName, StatusCode, header};
use serde_json::{Value, json};

use super::common::{json_answer, text};
use crate::inbox::{Delivery, InboxMessage, page, seen};
use crate::shared::Shared;

/// A posted message may have this many bytes.
const BODY_BYTES_MAX: usize = 4 << 20;
/// Messages in one answer, where nobody asks for fewer.
const MESSAGES_MAX: usize = 1000;

/// Nothing of a message may load or run anything.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
];

/// The routes, beside those of Alertmanager.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/receivers") }))
        .route("/receivers", get(show))
        .route("/receivers/messages", get(messages))
        .route("/receivers/{name}", post(take))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

fn parameter(raw: Option<&str>, name: &str) -> Option<String> {
    form_urlencoded::parse(raw?.as_bytes())
        .find(|(own, _)| own == name)
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
}

async fn show(State(shared): State<Arc<Shared>>, RawQuery(raw): RawQuery) -> Response {
    let receiver = parameter(raw.as_deref(), "receiver");
    let names: Vec<String> = shared
        .alerts()
        .config()
        .receiver_names()
        .map(str::to_owned)
        .collect();
    let html = page(&shared.inbox(), &names, receiver.as_deref());
    (HEADERS, html).into_response()
}

/// The newest messages first: `receiver` and `limit` choose.
async fn messages(State(shared): State<Arc<Shared>>, RawQuery(raw): RawQuery) -> Response {
    let receiver = parameter(raw.as_deref(), "receiver");
    let limit = match parameter(raw.as_deref(), "limit").map(|text| text.parse::<usize>()) {
        None => MESSAGES_MAX,
        Some(Ok(limit)) => limit.min(MESSAGES_MAX),
        Some(Err(_)) => {
            let error = json!("invalid limit, expected a number");
            return json_answer(StatusCode::BAD_REQUEST, &error);
        }
    };
    let inbox = shared.inbox();
    let list: Vec<Value> = inbox
        .newest(receiver.as_deref())
        .take(limit)
        .map(|message| {
            let mut value = json!(message);
            value["seen"] = json!(seen(&message.integration, &message.payload));
            value
        })
        .collect();
    json_answer(StatusCode::OK, &json!(list))
}

/// Takes a message, as Slack's or anybody's webhook would.
async fn take(
    State(shared): State<Arc<Shared>>,
    Path(receiver): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let integration = headers
        .get("x-gameday-integration")
        .and_then(|value| value.to_str().ok());
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let guessed = if json.get("attachments").is_some() || json.get("blocks").is_some() {
        "slack"
    } else if json.get("embeds").is_some() {
        "discord"
    } else {
        "webhook"
    };
    let status = json.get("status").and_then(Value::as_str);
    shared.inbox().keep(InboxMessage {
        number: 0,
        notification: None,
        at: shared.now(),
        receiver,
        integration: integration.unwrap_or(guessed).to_owned(),
        status: status.unwrap_or_default().to_owned(),
        delivery: Delivery::Received,
        attempt: 1,
        payload: String::from_utf8_lossy(&body).into_owned(),
    });
    text(StatusCode::OK, "ok")
}
