//! The DORA exporter: how a team delivers, from what GitHub knows.
//!
//! ```text
//!   GitHub API -> Api (tokens, pages, entity tags, rate limits) -> History (changes) -> Measures -> /metrics
//! ```
//!
//! The four measures are those of the DORA research program: deployment frequency, lead time for changes (here in three parts), change
//! failure rate and time to restore; each is classified as elite, high, medium or low by a table that the configuration may replace.
//! While the API does not answer, the last good history stands and `dora_exporter_last_poll_successful` is 0.

mod api;
mod history;
mod levels;
mod measures;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gameday_env::{Address, Env, NetError};
use gameday_signal::Timestamp;
use http::StatusCode;

use crate::exposition::Exposition;
use crate::server::{self, Asked};

pub use api::ApiError;
pub use history::{Change, ChangeOutcome, History};
pub use levels::{Level, Levels};
pub use measures::{Measures, Window};

use api::Api;

/// Where the DORA exporter is.
pub const PORT: u16 = 8000;

/// What the exporter reads, and how often.
#[derive(Clone, Debug)]
pub struct DoraConfig {
    /// Where the API is: `https://api.github.com`, or for example `http://api.github:8080` for a double.
    pub base_url: String,
    /// `owner/name`.
    pub repository: String,
    /// The file that holds the token; it is read anew for each poll, so that it may be changed.
    pub token_file: Option<PathBuf>,
    /// The workflow that deploys, by its name; none takes every workflow.
    pub workflow: Option<String>,
    /// The branch that is deployed.
    pub branch: String,
    /// The environment that counts.
    pub environment: String,
    /// How often the API is asked.
    pub poll_interval: Duration,
    /// The table of the classification.
    pub levels: Levels,
}

impl DoraConfig {
    /// The exporter of `repository` behind `base_url`: every minute, branch main, environment production.
    pub fn of(base_url: &str, repository: &str) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            repository: repository.to_owned(),
            token_file: None,
            workflow: None,
            branch: "main".to_owned(),
            environment: "production".to_owned(),
            poll_interval: Duration::from_secs(60),
            levels: Levels::default(),
        }
    }
}

/// What the polls found so far.
#[derive(Default)]
struct State {
    history: History,
    polled: bool,
    last_ok: bool,
    last_success: Option<Timestamp>,
    last_error: Option<String>,
    errors: BTreeMap<&'static str, u64>,
    requests: BTreeMap<u16, u64>,
    limit: Option<api::RateLimit>,
}

/// Starts the exporter: polls the API and serves `/metrics`, as tasks of the host of `env`; over TCP, the socket it got.
///
/// # Errors
/// Where the address is taken or cannot be bound.
pub async fn start(
    env: &Env,
    address: &Address,
    config: DoraConfig,
) -> Result<Option<SocketAddr>, NetError> {
    let state = Arc::new(Mutex::new(State::default()));
    let (own, shown, levels) = (env.clone(), Arc::clone(&state), config.levels.clone());
    let repository = config.repository.clone();
    let answer = move |asked: Asked| {
        let reply = match asked.path.as_str() {
            "/metrics" => server::exposition(expose(&shown, &repository, &levels, own.now())),
            "/-/healthy" => server::text(StatusCode::OK, "ok\n"),
            "/" => {
                let state = shown.lock().unwrap_or_else(PoisonError::into_inner);
                let problem = state.last_error.as_deref().unwrap_or("none");
                server::text(
                    StatusCode::OK,
                    format!("the DORA exporter: see /metrics; last problem: {problem}\n"),
                )
            }
            _ => server::text(StatusCode::NOT_FOUND, "see /metrics\n"),
        };
        std::future::ready(reply)
    };
    let socket = server::start(env, address, answer).await?;
    let polling = env.clone();
    env.spawn(async move { poll_for_ever(&polling, config, &state).await });
    Ok(socket)
}

async fn poll_for_ever(env: &Env, config: DoraConfig, state: &Mutex<State>) {
    let interval = config.poll_interval.max(Duration::from_secs(1));
    let mut api = Api::new(env, config);
    loop {
        let outcome = api.poll().await;
        let now = env.now();
        let mut next = now + interval;
        {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.polled = true;
            state.last_ok = outcome.is_ok();
            state.limit = api.limit();
            state.requests.clone_from(api.requests());
            match outcome {
                Ok(history) => {
                    state.history = history;
                    state.last_success = Some(now);
                    state.last_error = None;
                }
                Err(error) => {
                    *state.errors.entry(error.reason()).or_default() += 1;
                    state.last_error = Some(error.to_string());
                    if let ApiError::RateLimited { until } = error {
                        next = next.max(until);
                    }
                }
            }
        }
        env.clock().sleep_until(next).await;
    }
}

fn expose(state: &Mutex<State>, repository: &str, levels: &Levels, now: Timestamp) -> String {
    let state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let mut out = Exposition::default();
    let labels = [("repository", repository)];
    let flag = |value: bool| f64::from(u8::from(value));
    if state.polled {
        out.gauge(
            "dora_exporter_last_poll_successful",
            "Whether the API answered the last poll.",
            &labels,
            flag(state.last_ok),
        );
    }
    if let Some(at) = state.last_success {
        out.gauge(
            "dora_exporter_last_success_timestamp_seconds",
            "When the API last answered a poll.",
            &labels,
            at.as_secs_f64(),
        );
    }
    for (reason, count) in &state.errors {
        out.counter(
            "dora_exporter_errors_total",
            "Polls that failed, by reason.",
            &[("reason", reason), ("repository", repository)],
            *count as f64,
        );
    }
    for (status, count) in &state.requests {
        out.counter(
            "dora_exporter_api_requests_total",
            "Requests to the API by status; 0 where there was no answer.",
            &[("repository", repository), ("status", &status.to_string())],
            *count as f64,
        );
    }
    if let Some(limit) = state.limit {
        out.gauge(
            "dora_exporter_rate_limit_remaining",
            "Requests that the API still takes before the reset.",
            &labels,
            limit.remaining as f64,
        );
        out.gauge(
            "dora_exporter_rate_limit_reset_timestamp_seconds",
            "When the API's rate limit is reset.",
            &labels,
            limit.reset.as_secs_f64(),
        );
    }
    // Before the first answer there is nothing to say: a rate of zero would be a lie.
    if state.last_success.is_some() {
        measures::expose(&state.history, repository, levels, now, &mut out);
    }
    out.finish()
}
