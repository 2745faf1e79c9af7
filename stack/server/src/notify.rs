//! Sending notifications: the engine says what, this sends it and reports what became of it.
//!
//! Each notification is a task of its own: a receiver that hangs, resets or answers rubbish delays nobody else.

use std::sync::Arc;

use bytes::Bytes;
use gameday_alerts::{
    Answer, ClientOptions, EmailMessage, Notification, NotifiedAlert, Outcome, OutgoingRequest,
    ProxyOptions as AlertProxy, Step, TlsOptions as AlertTls,
};
use gameday_env::{Address, AnswerLimit, Env, HttpOptions, ProxyOptions, TlsOptions};
use gameday_signal::{EventKind, Labels};
use http::{Method, Request};

use crate::inbox::{Delivery, InboxMessage};
use crate::outgoing::{OAuth2, Outgoing, RequestOptions};
use crate::shared::Shared;
use crate::smtp;

/// Where notifications go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyMode {
    /// To the addresses of alertmanager.yml.
    Direct,
    /// To one HTTP server, whatever alertmanager.yml says: the receivers of a game day. The receiver and the kind of integration
    /// are told in the headers `x-gameday-receiver` and `x-gameday-integration`; addresses and credentials stay at home.
    Capture(Address),
    /// Nowhere: the stack's own receivers keep them, and every delivery succeeds. Nobody needs an account for a demo.
    Keep,
}

/// A notification takes at most this many requests (PagerDuty's and Jira's take several).
const STEPS_MAX: usize = 8;
/// As much as is read of a receiver's answer: it only matters for the words of an error.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Sends notifications; a clone shares connections and tokens.
#[derive(Clone)]
pub(crate) struct Notifier {
    env: Env,
    shared: Arc<Shared>,
    outgoing: Outgoing,
    mode: NotifyMode,
}

/// What was sent last, as it may be shown.
#[derive(Default)]
struct Sent {
    payload: String,
    /// What must not be shown in an error.
    unquotable: Vec<String>,
}

impl Sent {
    fn keep(&mut self, body: &[u8], secrets: &[String]) {
        self.payload = hide(secrets, &String::from_utf8_lossy(body));
    }

    /// An error may quote a server that quotes the address or the credentials.
    fn hide_in(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Retry { after, error } => Outcome::Retry {
                after,
                error: hide(&self.unquotable, &error),
            },
            Outcome::Failed { error } => Outcome::Failed {
                error: hide(&self.unquotable, &error),
            },
            done @ (Outcome::Delivered | Outcome::DeliveredAs { .. }) => done,
        }
    }
}

fn hide(secrets: &[String], text: &str) -> String {
    secrets
        .iter()
        .filter(|secret| secret.len() >= SECRET_BYTES_MIN)
        .fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "<secret>")
        })
}

/// A shorter secret hides nothing and would riddle every text with holes.
const SECRET_BYTES_MIN: usize = 4;

impl Notifier {
    /// A notifier on the host of `env`.
    pub(crate) fn new(env: &Env, shared: &Arc<Shared>, mode: NotifyMode) -> Self {
        Self {
            env: env.clone(),
            shared: Arc::clone(shared),
            outgoing: Outgoing::new(env),
            mode,
        }
    }

    /// Sends one notification and reports the outcome.
    pub(crate) async fn deliver(self, notification: Notification) {
        let mut sent = Sent::default();
        let outcome = self.send(&notification, &mut sent).await;
        let outcome = sent.hide_in(outcome);
        self.keep(&notification, &outcome, &sent.payload);
        // The journal of a game day shows the page that was sent; a stack that runs for weeks has its own receivers, which forget.
        let payload = match self.mode {
            NotifyMode::Capture(_) => sent.payload,
            NotifyMode::Direct | NotifyMode::Keep => String::new(),
        };
        record(&self.shared, &notification, &outcome, payload);
        self.shared
            .alerts()
            .report(notification.id, outcome, self.shared.now());
        self.shared.alerts_changed();
    }

    /// Shows the attempt on the page of the stack's own receivers; a game day has receivers of its own.
    fn keep(&self, notification: &Notification, outcome: &Outcome, payload: &str) {
        let delivery = match (&self.mode, outcome) {
            (NotifyMode::Capture(_), _) => return,
            (NotifyMode::Keep, Outcome::Delivered | Outcome::DeliveredAs { .. }) => Delivery::Kept,
            (_, Outcome::Delivered | Outcome::DeliveredAs { .. }) => Delivery::Sent,
            (_, Outcome::Retry { error, .. }) => Delivery::Retried {
                error: error.clone(),
            },
            (_, Outcome::Failed { error }) => Delivery::Failed {
                error: error.clone(),
            },
        };
        self.shared.inbox().keep(InboxMessage {
            number: 0,
            notification: Some(notification.id.0),
            at: self.shared.now(),
            receiver: notification.integration.receiver.clone(),
            integration: notification.integration.kind.to_owned(),
            status: notification.status().to_owned(),
            delivery,
            attempt: notification.attempt,
            payload: payload.to_owned(),
        });
    }

    async fn send(&self, notification: &Notification, sent: &mut Sent) -> Outcome {
        let mut answers: Vec<Answer> = Vec::new();
        while answers.len() < STEPS_MAX {
            match self.next_step(notification, &answers) {
                Step::Finished(outcome) => return outcome,
                Step::Email(message) => {
                    sent.keep(&message.data, &message.secrets());
                    sent.unquotable = message.secrets();
                    return self.send_email(notification, &message).await;
                }
                Step::Request(request) => {
                    sent.keep(&request.body, &request.secrets);
                    sent.unquotable.extend(request.unquotable());
                    match self.send_request(notification, &request).await {
                        Ok(answer) => answers.push(answer),
                        Err(error) => return Outcome::Retry { after: None, error },
                    }
                }
            }
        }
        Outcome::Failed {
            error: format!("more than {STEPS_MAX} requests for one notification"),
        }
    }

    fn next_step(&self, notification: &Notification, answers: &[Answer]) -> Step {
        let capturing = !matches!(self.mode, NotifyMode::Direct);
        // Secrets are not needed where nothing leaves the house; a team's CI has none.
        let read_secret = |path: &str| match std::fs::read_to_string(path) {
            Ok(text) => Ok(text),
            Err(_) if capturing => Ok("http://secret.invalid/".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let now = self.shared.now();
        self.shared
            .alerts()
            .next_step(notification, answers, &read_secret, now)
    }

    async fn send_request(
        &self,
        notification: &Notification,
        request: &OutgoingRequest,
    ) -> Result<Answer, String> {
        let (built, options) = match &self.mode {
            NotifyMode::Direct => (direct(request)?, options(&request.client)?),
            NotifyMode::Capture(address) => (
                captured(address, notification, &request.body)?,
                RequestOptions::default(),
            ),
            NotifyMode::Keep => return Ok(vendor_answer(notification.integration.kind)),
        };
        let answer = self
            .outgoing
            .send(built, &options, request.timeout)
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

    async fn send_email(&self, notification: &Notification, message: &EmailMessage) -> Outcome {
        let address = match &self.mode {
            NotifyMode::Capture(address) => address,
            NotifyMode::Keep => return Outcome::Delivered,
            NotifyMode::Direct => {
                return match tls_options(&message.tls) {
                    Ok(tls) => smtp::send(&self.env, message, &tls).await,
                    Err(error) => Outcome::Failed {
                        error: format!("parse TLS configuration: {error}"),
                    },
                };
            }
        };
        let retry = |error: String| Outcome::Retry { after: None, error };
        let request = match captured(address, notification, &message.data) {
            Ok(request) => request,
            Err(error) => return Outcome::Failed { error },
        };
        let options = RequestOptions::default();
        match self.outgoing.send(request, &options, message.timeout).await {
            Ok(answer) if answer.status().is_success() => Outcome::Delivered,
            Ok(answer) => retry(format!(
                "unexpected status code {}",
                answer.status().as_u16()
            )),
            Err(error) => retry(error.reason),
        }
    }
}

/// What the service of an integration answers when it is content.
fn vendor_answer(kind: &str) -> Answer {
    let body = match kind {
        "slack" => "ok",
        "telegram" => r#"{"ok":true,"result":{}}"#,
        "pagerduty" => r#"{"status":"success","message":"Event processed"}"#,
        "wechat" => r#"{"errcode":0,"access_token":"kept"}"#,
        "jira" => r#"{"issues":[]}"#,
        "rocketchat" => r#"{"success":true}"#,
        _ => "{}",
    };
    Answer {
        status: 200,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}

fn direct(request: &OutgoingRequest) -> Result<Request<Bytes>, String> {
    let method =
        Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut builder = Request::builder().method(method).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    // The address may hold a secret: an error names only the integration.
    builder
        .body(Bytes::from(request.body.clone()))
        .map_err(|_| "the address or a header is invalid".to_owned())
}

fn captured(
    address: &Address,
    notification: &Notification,
    body: &[u8],
) -> Result<Request<Bytes>, String> {
    Request::post(format!("http://{address}/"))
        .header("x-gameday-receiver", &notification.integration.receiver)
        .header("x-gameday-integration", notification.integration.kind)
        .header("content-type", "application/json")
        .body(Bytes::copy_from_slice(body))
        .map_err(|error| error.to_string())
}

fn options(client: &ClientOptions) -> Result<RequestOptions, String> {
    let oauth2 = match &client.oauth2 {
        None => None,
        Some(own) => Some(OAuth2 {
            client_id: own.client_id.clone(),
            client_secret: own.client_secret.clone(),
            token_url: own.token_url.clone(),
            scopes: own.scopes.clone(),
            endpoint_params: own.endpoint_params.clone(),
            transport: transport(&own.tls, &own.proxy)?,
        }),
    };
    Ok(RequestOptions {
        transport: transport(&client.tls, &client.proxy)?,
        follow_redirects: client.follow_redirects,
        oauth2,
    })
}

fn transport(tls: &AlertTls, proxy: &AlertProxy) -> Result<HttpOptions, String> {
    let url = match &proxy.url {
        None => None,
        Some(url) => Some(
            url.parse()
                .map_err(|error: gameday_env::ProxyError| error.to_string())?,
        ),
    };
    Ok(HttpOptions {
        tls: tls_options(tls)?,
        proxy: ProxyOptions {
            url,
            no_proxy: proxy.no_proxy.clone(),
            from_environment: proxy.from_environment,
            connect_headers: proxy.connect_headers.clone(),
        },
        answer: AnswerLimit::Cut(ANSWER_BYTES_MAX),
    })
}

fn tls_options(tls: &AlertTls) -> Result<TlsOptions, String> {
    let version = |name: Option<&str>| match name {
        None => Ok(None),
        Some(name) => name
            .parse()
            .map(Some)
            .map_err(|error: gameday_env::TlsError| error.to_string()),
    };
    Ok(TlsOptions {
        ca: tls.ca.clone(),
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        server_name: tls.server_name.clone(),
        insecure_skip_verify: tls.insecure_skip_verify,
        min_version: version(tls.min_version)?,
        max_version: version(tls.max_version)?,
    })
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
