//! The receivers of a game day: an HTTP server that takes every notification in the place of Slack, PagerDuty or a webhook, answers
//! as they would, and keeps what it got, the refused attempts included. A fault makes one of them misbehave, for as long as its lease.

mod message;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, NetError, ServeOptions, serve};
use gameday_signal::{EventKind, Timestamp};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};

pub use message::{Message, MessageStatus};

/// How a receiver misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReceiverFault {
    /// The status it answers with; its ordinary one where none is given.
    pub status: Option<u16>,
    /// How long it takes.
    pub delay: Duration,
    /// The `Retry-After` header, in seconds.
    pub retry_after_secs: Option<u64>,
    /// It closes the connection without an answer.
    pub down: bool,
}

/// What became of a fault of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverFaultState {
    /// Attempts to notify that it touched.
    pub touched: u64,
    /// Whether it is still in force: its lease has not run out.
    pub in_force: bool,
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
    /// By the name of the fault.
    faults: BTreeMap<String, InForce>,
}

struct InForce {
    receiver: String,
    fault: ReceiverFault,
    until: Timestamp,
    touched: u64,
}

/// A message may have this many bytes.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Attempts that are kept; a game day that sends more has gone wrong.
const MESSAGES_MAX: usize = 50_000;
/// The header that names the receiver of alertmanager.yml.
pub const RECEIVER_HEADER: &str = "x-gameday-receiver";
/// The header that names the kind of integration.
pub const INTEGRATION_HEADER: &str = "x-gameday-integration";
/// The header of a probe: it is answered as a message would be, and not kept.
pub const PROBE_HEADER: &str = "x-gameday-probe";

/// What the body of an answer is: bytes, or the break of the connection.
type Body = UnsyncBoxBody<Bytes, Broken>;

/// The error that makes the server close the connection before it has answered.
#[derive(Debug, thiserror::Error)]
#[error("a fault closes the connection")]
struct Broken;

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

    async fn take(&self, request: Request<hyper::body::Incoming>) -> Response<Body> {
        let header = |name: &str| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let (receiver, integration) = (header(RECEIVER_HEADER), header(INTEGRATION_HEADER));
        let is_probe = request.headers().contains_key(PROBE_HEADER);
        let body = match Limited::new(request.into_body(), MESSAGE_BYTES_MAX)
            .collect()
            .await
        {
            Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            Err(_) => return answer(StatusCode::PAYLOAD_TOO_LARGE, "too large", None),
        };
        let fault = self.undergo(&receiver, is_probe);
        // It is kept as unanswered until it is answered: its sender may lose patience meanwhile.
        let kept = (!is_probe).then(|| self.keep(&receiver, &integration, body));
        if !fault.delay.is_zero() {
            self.env.clock().sleep(fault.delay).await;
        }
        if fault.down {
            let broken = futures::stream::once(futures::future::ready(Err(Broken)));
            return Response::new(StreamBody::new(broken).boxed_unsync());
        }
        let status = fault
            .status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(StatusCode::OK);
        self.answered(kept.flatten(), status);
        answer(
            status,
            vendor_reply(&integration, status),
            fault.retry_after_secs,
        )
    }

    /// What the faults in force make of a message to that receiver: delays add up, the hardest answer wins.
    fn undergo(&self, receiver: &str, is_probe: bool) -> ReceiverFault {
        let now = self.env.now();
        let mut state = self.lock();
        let mut sum = ReceiverFault::default();
        let of_it = |own: &InForce| own.receiver == receiver && own.until > now;
        for (name, own) in state.faults.iter_mut().filter(|(_, own)| of_it(own)) {
            sum.delay += own.fault.delay;
            sum.down |= own.fault.down;
            if own.fault.status.is_some() {
                sum.status = own.fault.status;
                sum.retry_after_secs = own.fault.retry_after_secs;
            }
            if is_probe {
                continue;
            }
            own.touched += 1;
            if own.touched == 1 {
                self.env.record(EventKind::FaultTouched {
                    fault: name.clone(),
                });
            }
        }
        sum
    }

    /// Keeps a message and gives its place, if there is room.
    fn keep(&self, receiver: &str, integration: &str, body: String) -> Option<usize> {
        let mut state = self.lock();
        if state.messages.len() >= MESSAGES_MAX {
            return None;
        }
        state.messages.push(Message {
            at: self.env.now(),
            receiver: receiver.to_owned(),
            integration: integration.to_owned(),
            body,
            answered: None,
        });
        Some(state.messages.len() - 1)
    }

    /// Notes how a message that was kept has been answered.
    fn answered(&self, kept: Option<usize>, status: StatusCode) {
        let now = self.env.now();
        let mut state = self.lock();
        if let Some(own) = kept.and_then(|index| state.messages.get_mut(index)) {
            own.at = now;
            own.answered = Some(status.as_u16());
        }
    }

    /// Every attempt to notify, in the order of arrival.
    pub fn attempts(&self) -> Vec<Message> {
        self.lock().messages.clone()
    }

    /// Everything that was accepted, in the order of arrival.
    pub fn accepted(&self) -> Vec<Message> {
        let state = self.lock();
        let accepted = state.messages.iter().filter(|own| own.is_accepted());
        accepted.cloned().collect()
    }

    /// Makes `receiver` misbehave until the fault of that name is taken back, or its lease runs out.
    pub fn put_fault(&self, name: &str, receiver: &str, fault: ReceiverFault, lease: Duration) {
        let in_force = InForce {
            receiver: receiver.to_owned(),
            fault,
            until: self.env.now() + lease,
            touched: 0,
        };
        self.lock().faults.insert(name.to_owned(), in_force);
    }

    /// What has become of the fault of that name so far.
    pub fn fault_state(&self, name: &str) -> Option<ReceiverFaultState> {
        let now = self.env.now();
        let state = self.lock();
        state.faults.get(name).map(|own| ReceiverFaultState {
            touched: own.touched,
            in_force: own.until > now,
        })
    }

    /// Takes the fault of that name back and tells what became of it.
    pub fn take_fault(&self, name: &str) -> Option<ReceiverFaultState> {
        let ended = self.fault_state(name);
        self.lock().faults.remove(name);
        ended
    }
}

fn answer(status: StatusCode, body: &'static str, retry_after_secs: Option<u64>) -> Response<Body> {
    let body = Full::new(Bytes::from_static(body.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
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

#[cfg(test)]
mod tests {
    use gameday_env::{HttpClient, Mode, Sim, SimConfig};

    use super::*;

    /// Plays `game` with receivers and a client on a virtual clock.
    fn play<F: Future<Output = ()>>(game: impl FnOnce(Env, Receivers, HttpClient) -> F) {
        let mode = Mode::Virtual {
            epoch: Timestamp::from_secs(1_000_000),
            speed: None,
        };
        let watchdog = Duration::from_secs(10);
        let config = SimConfig {
            mode,
            seed: 1,
            watchdog,
        };
        let sim = Sim::new(&config).expect("a runtime can be started");
        let env = sim.env().clone();
        sim.block_on(async {
            let receivers = Receivers::start(&env).await.expect("the address is free");
            let client = env.on("alertmanager").http_client();
            game(env, receivers, client).await;
        });
    }

    /// Sends a message to a receiver: the status and the `Retry-After` of the answer, or an error.
    async fn send(
        client: &HttpClient,
        receiver: &str,
        probe: bool,
    ) -> Result<(u16, Option<String>), String> {
        let mut request = Request::post(format!("http://{}/", Receivers::address()))
            .header(RECEIVER_HEADER, receiver)
            .header(INTEGRATION_HEADER, "slack");
        if probe {
            request = request.header(PROBE_HEADER, "x");
        }
        let request = request
            .body(Bytes::from_static(b"{}"))
            .expect("it is a valid request");
        let answer = client.send(request, Duration::from_secs(30)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let retry_after = answer.headers().get(http::header::RETRY_AFTER);
        let retry_after = retry_after.map(|own| String::from_utf8_lossy(own.as_bytes()).into());
        Ok((answer.status().as_u16(), retry_after))
    }

    #[test]
    fn a_fault_hits_its_receiver_until_its_lease_is_over() {
        play(|env, receivers, client| async move {
            let fault = ReceiverFault {
                status: Some(429),
                retry_after_secs: Some(7),
                ..ReceiverFault::default()
            };
            receivers.put_fault("limited", "slack", fault, Duration::from_secs(60));
            let refused = Ok((429, Some("7".to_owned())));
            assert_eq!(send(&client, "slack", false).await, refused);
            assert_eq!(send(&client, "log", false).await, Ok((200, None)));
            // A probe meets the fault, and is neither counted nor kept.
            assert_eq!(send(&client, "slack", true).await, refused);
            let state = receivers.fault_state("limited").expect("it was put");
            assert_eq!((state.touched, state.in_force), (1, true));
            env.clock().sleep(Duration::from_secs(60)).await;
            assert_eq!(send(&client, "slack", false).await, Ok((200, None)));
            let state = receivers.take_fault("limited").expect("it was put");
            assert_eq!((state.touched, state.in_force), (1, false));
            assert_eq!(receivers.take_fault("limited"), None);
            let answers: Vec<_> = receivers
                .attempts()
                .iter()
                .map(|own| own.answered)
                .collect();
            assert_eq!(answers, [Some(429), Some(200), Some(200)]);
            assert_eq!(receivers.accepted().len(), 2);
        });
    }

    #[test]
    fn one_that_is_down_closes_the_connection_and_a_slow_one_takes_its_time() {
        play(|env, receivers, client| async move {
            let down = ReceiverFault {
                down: true,
                ..ReceiverFault::default()
            };
            receivers.put_fault("gone", "slack", down, Duration::from_secs(60));
            let error = send(&client, "slack", false).await.expect_err("it is down");
            assert!(error.contains("receivers:9099"), "{error}");
            receivers.take_fault("gone");
            let slow = ReceiverFault {
                delay: Duration::from_secs(20),
                ..ReceiverFault::default()
            };
            receivers.put_fault("slow", "slack", slow, Duration::from_secs(60));
            let before = env.now();
            assert_eq!(send(&client, "slack", false).await, Ok((200, None)));
            assert!(env.now().since(before) >= Duration::from_secs(20));
            let attempts = receivers.attempts();
            assert_eq!(attempts[0].answered, None);
            assert_eq!(attempts[1].at, before + Duration::from_secs(20));
        });
    }

    #[test]
    fn an_impatient_sender_leaves_an_unanswered_message() {
        play(|_, receivers, client| async move {
            let slow = ReceiverFault {
                delay: Duration::from_secs(50),
                ..ReceiverFault::default()
            };
            receivers.put_fault("slow", "slack", slow, Duration::from_secs(600));
            assert!(send(&client, "slack", false).await.is_err());
            assert_eq!(receivers.attempts()[0].answered, None);
            assert!(receivers.accepted().is_empty());
        });
    }
}
