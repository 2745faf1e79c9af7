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
