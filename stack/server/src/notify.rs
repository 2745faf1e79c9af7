//! Sending notifications: the engine says what, this sends it and reports what became of it.

use std::sync::Arc;

use bytes::Bytes;
use gameday_alerts::{
    Answer, EmailMessage, Notification, NotifiedAlert, Outcome, OutgoingRequest, Step,
};
use gameday_env::{Address, HttpClient};
use gameday_signal::{EventKind, Labels};
use http::{Method, Request};

use crate::shared::Shared;

/// Where notifications go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyMode {
    /// To the addresses of alertmanager.yml.
    Direct,
    /// To one HTTP server, whatever alertmanager.yml says: the receivers of a game day. The receiver and the kind of integration
    /// are told in the headers `x-gameday-receiver` and `x-gameday-integration`; addresses and credentials stay at home.
    Capture(Address),
}

/// A notification takes at most this many requests (PagerDuty's and Jira's take several).
const STEPS_MAX: usize = 8;

/// Sends one notification and reports the outcome.
pub(crate) async fn deliver(
    shared: Arc<Shared>,
    client: HttpClient,
    mode: NotifyMode,
    notification: Notification,
) {
    let mut answers: Vec<Answer> = Vec::new();
    let mut sent = String::new();
    let outcome = loop {
        if answers.len() >= STEPS_MAX {
            break Outcome::Failed {
                error: format!("more than {STEPS_MAX} requests for one notification"),
            };
        }
        match next_step(&shared, &mode, &notification, &answers) {
            Step::Finished(outcome) => break outcome,
            Step::Email(message) => {
                sent = String::from_utf8_lossy(&message.data).into_owned();
                break send_email(&shared, &client, &mode, &notification, &message).await;
            }
            Step::Request(request) => {
                sent = String::from_utf8_lossy(&request.body).into_owned();
                match send_request(&client, &mode, &notification, &request).await {
                    Ok(answer) => answers.push(answer),
                    Err(error) => break Outcome::Retry { after: None, error },
                }
            }
        }
    };
    record(&shared, &notification, &outcome, sent);
    shared
        .alerts()
        .report(notification.id, outcome, shared.now());
    shared.alerts_changed();
}

fn next_step(
    shared: &Shared,
    mode: &NotifyMode,
    notification: &Notification,
    answers: &[Answer],
) -> Step {
    let capturing = matches!(mode, NotifyMode::Capture(_));
    // Secrets are not needed where nothing leaves the house; a team's CI has none.
    let read_secret = |path: &str| match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(_) if capturing => Ok("http://secret.invalid/".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    shared
        .alerts()
        .next_step(notification, answers, &read_secret, shared.now())
}

async fn send_request(
    client: &HttpClient,
    mode: &NotifyMode,
    notification: &Notification,
    request: &OutgoingRequest,
) -> Result<Answer, String> {
    let (url, capturing) = match mode {
        NotifyMode::Direct => (request.url.clone(), false),
        NotifyMode::Capture(address) => (format!("http://{address}/"), true),
    };
    let method =
        Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut builder = Request::builder().method(method).uri(&url);
    if capturing {
        builder = builder
            .header("x-gameday-receiver", &notification.integration.receiver)
            .header("x-gameday-integration", notification.integration.kind)
            .header("content-type", "application/json");
    } else {
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
    }
    // The address may hold a secret: an error names only the integration.
    let built = builder
        .body(Bytes::from(request.body.clone()))
        .map_err(|_| "the address is invalid".to_owned())?;
    let answer = client
        .send(built, request.timeout)
        .await
        .map_err(|error| error.reason)?;
    let headers = answer.headers().iter();
    Ok(Answer {
        status: answer.status().as_u16(),
        headers: headers
            .map(|(name, value)| {
                (
                    name.to_string(),
                    String::from_utf8_lossy(value.as_bytes()).into_owned(),
                )
            })
            .collect(),
        body: answer.body().to_vec(),
    })
}

async fn send_email(
    shared: &Shared,
    client: &HttpClient,
    mode: &NotifyMode,
    notification: &Notification,
    message: &EmailMessage,
) -> Outcome {
    match mode {
        NotifyMode::Capture(_) => {
            let request = OutgoingRequest {
                method: "POST",
                url: String::new(),
                headers: Vec::new(),
                body: message.data.clone(),
                timeout: message.timeout,
                client: gameday_alerts::ClientOptions::default(),
            };
            match send_request(client, mode, notification, &request).await {
                Ok(answer) if answer.is_success() => Outcome::Delivered,
                Ok(answer) => Outcome::Retry {
                    after: None,
                    error: format!("unexpected status code {}", answer.status),
                },
                Err(error) => Outcome::Retry { after: None, error },
            }
        }
        NotifyMode::Direct => crate::smtp::send(shared.env(), message).await,
    }
}

fn labels_of<'a>(alerts: impl Iterator<Item = &'a NotifiedAlert>) -> Vec<Labels> {
    alerts.map(|alert| alert.labels.clone()).collect()
}

fn record(shared: &Shared, notification: &Notification, outcome: &Outcome, payload: String) {
    let integration = notification.integration.kind.to_owned();
    let receiver = notification.integration.receiver.clone();
    shared.count("alertmanager_notifications_total", 1);
    let kind = match outcome {
        Outcome::Delivered | Outcome::DeliveredAs { .. } => EventKind::Notified {
            receiver,
            integration,
            status: notification.status().to_owned(),
            group_labels: notification.group_labels.clone(),
            firing: labels_of(notification.firing()),
            resolved: labels_of(notification.resolved()),
            payload,
        },
        Outcome::Retry { error, .. } | Outcome::Failed { error } => {
            shared.count("alertmanager_notifications_failed_total", 1);
            let again = if matches!(outcome, Outcome::Retry { .. }) {
                "; it is tried again"
            } else {
                ""
            };
            EventKind::NotificationFailed {
                receiver,
                integration,
                error: format!("{error}{again}"),
            }
        }
    };
    shared.env().record(kind);
}
