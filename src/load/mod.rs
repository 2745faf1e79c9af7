//! Open-loop load: requests start when their time has come, whether or not earlier ones have been answered.
//!
//! ```text
//!   arrivals (Poisson or constant, rate can change) -> pick from the mix -> one task a request -> Recorder
//! ```
//!
//! Latency counts from the intended start, so a stalled system cannot hide its stall (no coordinated omission).

mod arrivals;
mod events;
mod mix;
mod recorder;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Env, HttpClient};
use gameday_signal::{EventKind, Timestamp};
use http::Request;

pub use arrivals::{Arrivals, Wave};
pub use events::{BadCounter, EventCounts, ScrapeTimes};
pub use mix::{MixEntry, RequestMix};
pub use recorder::{BadEvent, LatencySummary, LoadSummary, Recorder, Window};

/// What load is put on the system.
#[derive(Clone, Debug)]
pub struct LoadSpec {
    /// Where the requests go, `http://frontend:8080`.
    pub base_url: String,
    /// Requests that start each second, on average.
    pub requests_per_second: f64,
    /// How they are spread over the second.
    pub arrivals: Arrivals,
    /// How the rate swings over the day.
    pub wave: Option<Wave>,
    /// What is asked for.
    pub mix: RequestMix,
    /// How long a client waits for an answer.
    pub timeout: Duration,
}

/// Load that runs as tasks of the host `load` until it is dropped.
pub struct Load {
    shared: Arc<Shared>,
    env: Env,
}

struct Shared {
    spec: LoadSpec,
    /// The request of each entry of the mix; none where its address is no address.
    requests: Vec<Option<Request<Bytes>>>,
    recorder: Recorder,
    rate: std::sync::Mutex<f64>,
}

/// Requests under way at a time; one more is counted as shed, so that an unanswered flood cannot eat the memory.
const IN_FLIGHT_MAX: u64 = 10_000;
/// The longest wait before the rate is looked at again, so that a change takes effect soon.
const RATE_LOOK: Duration = Duration::from_secs(1);
/// Latencies are clamped to this in the summary.
const LATENCY_MAX: Duration = Duration::from_secs(3600);

impl Load {
    /// Starts the load. `watch` says which answers count as bad events.
    pub fn start(env: &Env, spec: LoadSpec, watch: Vec<BadEvent>) -> Self {
        let env = env.on("load");
        let rate = std::sync::Mutex::new(spec.requests_per_second);
        let shared = Arc::new(Shared {
            recorder: Recorder::new(env.clone(), watch),
            rate,
            requests: spec
                .mix
                .entries()
                .iter()
                .map(|entry| entry.request(&spec.base_url).ok())
                .collect(),
            spec,
        });
        env.record(EventKind::LoadChanged {
            requests_per_second: shared.spec.requests_per_second,
        });
        env.spawn(inject(env.clone(), Arc::clone(&shared)));
        Self { shared, env }
    }

    /// Changes the rate from now on.
    pub fn set_rate(&self, requests_per_second: f64) {
        *self.shared.lock_rate() = requests_per_second;
        self.env.record(EventKind::LoadChanged {
            requests_per_second,
        });
    }

    /// What was sent and answered so far.
    pub fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.env.crash("load");
    }
}

impl Shared {
    fn lock_rate(&self) -> std::sync::MutexGuard<'_, f64> {
        self.rate
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn rate_at(&self, now: Timestamp) -> f64 {
        let rate = *self.lock_rate();
        self.spec.wave.map_or(rate, |wave| rate * wave.factor(now))
    }
}

async fn inject(env: Env, shared: Arc<Shared>) {
    let mut arrivals = env.rng("load/arrivals");
    let mut choices = env.rng("load/mix");
    let client = env.http_client();
    let mut intended = env.now();
    loop {
        let rate = shared.rate_at(intended);
        let gap = shared.spec.arrivals.gap(rate, &mut arrivals);
        // A Poisson process has no memory, so drawing again after a second changes nothing but follows a new rate; a constant
        // one keeps its beat. Without load there is only the waiting for some.
        if gap > RATE_LOOK && (shared.spec.arrivals == Arrivals::Poisson || rate <= 0.0) {
            intended = intended + RATE_LOOK;
            env.clock().sleep_until(intended).await;
            continue;
        }
        intended = intended + gap;
        env.clock().sleep_until(intended).await;
        let Some(entry) = shared.spec.mix.pick(&mut choices) else {
            return;
        };
        if shared.recorder.in_flight() >= IN_FLIGHT_MAX {
            shared.recorder.shed();
            continue;
        }
        shared.recorder.sent(intended);
        // Boxed, because a task's future is copied five times before it has ended.
        env.spawn(Box::pin(ask(
            env.clone(),
            client.clone(),
            Arc::clone(&shared),
            entry,
            intended,
        )));
    }
}

async fn ask(env: Env, client: HttpClient, shared: Arc<Shared>, entry: usize, intended: Timestamp) {
    let status = match &shared.requests[entry] {
        Some(request) => send(&client, request.clone(), shared.spec.timeout).await,
        None => None,
    };
    let entry = shared.spec.mix.entry(entry);
    let latency = env.now().since(intended).min(LATENCY_MAX);
    shared
        .recorder
        .answered(intended, latency, status, &entry.path);
}

async fn send(client: &HttpClient, request: Request<Bytes>, limit: Duration) -> Option<u16> {
    client
        .send(request, limit)
        .await
        .ok()
        .map(|answer| answer.status().as_u16())
}
