//! Connections over HTTP/1.1 that wait for their next request.
//!
//! Made for virtual time: the pool of hyper-util begins a task for each request, so that its connection finds the way back; here the
//! request itself brings it back, once the answer has been read.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gameday_signal::Timestamp;
use http::Uri;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;

/// How long an unused connection is kept.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// Unused connections to one server.
const IDLE_LANES_MAX: usize = 64;

/// A connection that takes one request at a time.
pub(crate) struct Lane {
    pub(crate) sender: SendRequest<Full<Bytes>>,
    /// Whether its other end is an HTTP proxy, which is told the whole address.
    pub(crate) is_proxied: bool,
}

/// The unused connections of a client.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Idle>);

/// By host and port, the latest used ones last, since when. A tree, so that connections end in the same order on every run.
type Lanes = BTreeMap<Box<str>, Vec<(Timestamp, Lane)>>;

#[derive(Default)]
struct Idle {
    plain: Lanes,
    tls: Lanes,
    /// When all were looked through last.
    swept_at: Option<Timestamp>,
}

impl Idle {
    fn lanes(&mut self, uri: &Uri) -> &mut Lanes {
        if uri.scheme_str() == Some("https") {
            &mut self.tls
        } else {
            &mut self.plain
        }
    }

    /// Closes what has waited for too long.
    fn sweep(&mut self, now: Timestamp) {
        let swept_at = *self.swept_at.get_or_insert(now);
        if now.since(swept_at) < IDLE_MAX {
            return;
        }
        self.swept_at = Some(now);
        for lanes in [&mut self.plain, &mut self.tls] {
            lanes.retain(|_, lanes| {
                lanes.retain(|(since, lane)| is_fresh(*since, lane, now));
                !lanes.is_empty()
            });
        }
    }
}

fn is_fresh(since: Timestamp, lane: &Lane, now: Timestamp) -> bool {
    now.since(since) < IDLE_MAX && !lane.sender.is_closed()
}

fn authority(uri: &Uri) -> &str {
    uri.authority().map_or("", |authority| authority.as_str())
}

impl Pool {
    /// A connection to the server of `uri` that was open when it was last seen.
    pub(crate) fn take(&self, uri: &Uri, now: Timestamp) -> Option<Lane> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = idle.lanes(uri).get_mut(authority(uri))?;
        while let Some((since, lane)) = lanes.pop() {
            if is_fresh(since, &lane, now) {
                return Some(lane);
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read.
    pub(crate) fn put(&self, uri: &Uri, lane: Lane, now: Timestamp) {
        if lane.sender.is_closed() {
            return;
        }
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.sweep(now);
        let all = idle.lanes(uri);
        match all.get_mut(authority(uri)) {
            Some(lanes) if lanes.len() >= IDLE_LANES_MAX => {}
            Some(lanes) => lanes.push((now, lane)),
            None => {
                all.insert(authority(uri).into(), vec![(now, lane)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::clock::Clock;
    use crate::host::Env;
    use crate::net::{Address, Connection};
    use crate::sim::{Mode, Sim, SimConfig};
    use http::Request;

    const LIMIT: Duration = Duration::from_secs(1);

    /// Answers requests without a body on a connection until it is closed, or until so many are answered.
    async fn answer(mut connection: Connection, most: usize) -> usize {
        let mut answered = 0;
        let mut read = Vec::new();
        while answered < most {
            let mut bytes = [0; 512];
            match connection.read(&mut bytes).await {
                Ok(0) | Err(_) => break,
                Ok(count) => read.extend_from_slice(&bytes[..count]),
            }
            if read.ends_with(b"\r\n\r\n") {
                read.clear();
                answered += 1;
                let text = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                if connection.write_all(text).await.is_err() {
                    break;
                }
            }
        }
        answered
    }

    async fn ask(env: &Env, client: &crate::HttpClient) {
        let request = Request::get("http://server:80/").body(Bytes::new());
        let answer = client.send(request.expect("a request"), LIMIT).await;
        assert_eq!(answer.expect("an answer").body(), "ok", "{:?}", env.now());
    }

    fn run<F: Future<Output = ()>>(test: impl FnOnce(Env, Clock) -> F) {
        let sim = Sim::new(&SimConfig {
            mode: Mode::Virtual {
                epoch: Timestamp::EPOCH,
                speed: None,
            },
            seed: 1,
            watchdog: Duration::from_secs(20),
        })
        .expect("a runtime");
        let env = sim.env().clone();
        sim.block_on(test(env.clone(), env.clock().clone()));
    }

    #[test]
    fn a_connection_takes_the_next_request_until_it_is_closed_or_old() {
        run(|env, clock| async move {
            let mut listener = env
                .listen(&Address::new("server", 80))
                .await
                .expect("a free address");
            let client = env.on("caller").http_client();
            let server = async {
                let mut answered = Vec::new();
                for most in [2, 9, 9] {
                    let connection = listener.accept().await.expect("a connection");
                    answered.push(answer(connection, most).await);
                }
                answered
            };
            let caller = async {
                // The first connection is closed by the server after two, the second is too old for its third.
                for _ in 0..4 {
                    ask(&env, &client).await;
                }
                clock.sleep(IDLE_MAX).await;
                ask(&env, &client).await;
                drop(client);
            };
            let (answered, ()) = tokio::join!(server, caller);
            assert_eq!(answered, [2, 2, 1]);
        });
    }
}
