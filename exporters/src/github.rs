//! A local double of the GitHub API that the DORA exporter reads, driven by the game day.
//!
//! ```text
//!   POST /-/pushes        a commit goes through the pipeline: {"outcome": "success" | "failure" | "cancelled", ...}
//!   POST /-/rollback      the version before the last good one is deployed again
//!   POST /-/misbehave     {"status": 401 | 403 | 429 | 500 | 502, "lease": "5m", "html": true, "retry_after": 60}
//!   POST /-/limit         {"remaining": 3, "reset_in": "10m"}
//!   DELETE /-/misbehave   undoes both
//!   GET /repos/{owner}/{repo}/actions/runs, /deployments, /deployments/{id}/statuses, /commits/{sha}, /pulls
//! ```
//!
//! A push is written down with all its later moments at once; what a reader sees is what has happened by then. So the double needs
//! no task of its own, and the same reads at the same times see the same.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, NetError};
use gameday_signal::{Timestamp, parse_duration};
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::civil::format_rfc3339;
use crate::server::{self, Asked};

/// Pushes that are kept; older ones are forgotten.
const PUSHES_MAX: usize = 2000;
/// Items of a page at most, as GitHub has it.
const PER_PAGE_MAX: usize = 100;
/// Requests an hour for a token, as GitHub has it.
const LIMIT: u64 = 5000;

/// How long a rollback takes.
pub const ROLLBACK: Duration = Duration::from_secs(60);

/// The double. A clone is the same one.
#[derive(Clone)]
pub struct GitHub {
    env: Env,
    repository: String,
    token: Option<String>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    pushes: Vec<Push>,
    misbehaviour: Option<Misbehaviour>,
    limit: Option<(u64, Timestamp)>,
    served: u64,
}

/// A commit on its way through the pipeline.
#[derive(Clone, Debug)]
struct Push {
    number: u64,
    sha: String,
    committed_at: Timestamp,
    triggered_at: Timestamp,
    built_at: Timestamp,
    deployed_at: Timestamp,
    conclusion: Outcome,
    environment: String,
}

/// How a push ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is built and deployed.
    #[default]
    Success,
    /// Its pipeline fails: nothing is deployed.
    Failure,
    /// It is built, and its deployment fails.
    DeployFailure,
    /// Somebody cancels its pipeline.
    Cancelled,
}

/// What a scenario says of a push.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewPush {
    /// How it ends.
    pub outcome: Outcome,
    /// How long ago it was committed (default 10m).
    pub commit_age: Option<String>,
    /// How long the pipeline takes (default 5m).
    pub build: Option<String>,
    /// How long the deployment takes after that (default 1m).
    pub deploy: Option<String>,
    /// How long ago the pipeline was triggered, for a history before the game day (default 0s).
    pub age: Option<String>,
    /// Where to (default production).
    pub environment: Option<String>,
}

#[derive(Clone, Debug)]
struct Misbehaviour {
    status: StatusCode,
    html: bool,
    retry_after: Option<u64>,
    until: Timestamp,
}

/// What a scenario says of an API that refuses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMisbehaviour {
    /// The status of every answer.
    pub status: u16,
    /// Whether the body is a page for people in the place of JSON.
    #[serde(default)]
    pub html: bool,
    /// The `Retry-After` header, in seconds.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// How long it lasts: it ends by itself.
    pub lease: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLimit {
    remaining: u64,
    reset_in: String,
}

/// Serves the double of `repository` (`owner/name`) at `address` as tasks of the host of `env`; with a token it wants that one.
///
/// # Errors
/// Where the address is taken or cannot be bound.
pub async fn start(
    env: &Env,
    address: &Address,
    repository: &str,
    token: Option<String>,
) -> Result<(GitHub, Option<SocketAddr>), NetError> {
    let double = GitHub {
        env: env.clone(),
        repository: repository.to_owned(),
        token,
        state: Arc::default(),
    };
    let own = double.clone();
    let answer = move |asked: Asked| {
        let own = own.clone();
        async move { own.answer(&asked) }
    };
    let socket = server::start(env, address, answer).await?;
    Ok((double, socket))
}

type Reply = Response<Full<Bytes>>;

impl GitHub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit goes through the pipeline from now on; the answer is its hash.
    ///
    /// # Errors
    /// Where a duration is none.
    pub fn push(&self, new: &NewPush) -> Result<String, String> {
        let duration = |text: &Option<String>, default: u64| match text {
            None => Ok(Duration::from_secs(default)),
            Some(text) => parse_duration(text).map_err(|error| error.to_string()),
        };
        let triggered_at = self.env.now() - duration(&new.age, 0)?;
        let built_at = triggered_at + duration(&new.build, 300)?;
        let deployed_at = built_at + duration(&new.deploy, 60)?;
        let committed_at = triggered_at - duration(&new.commit_age, 600)?;
        let mut state = self.lock();
        let number = state.pushes.last().map_or(1, |push| push.number + 1);
        let sha = sha(number);
        let environment = new.environment.clone();
        state.keep(Push {
            number,
            sha: sha.clone(),
            committed_at,
            triggered_at,
            built_at,
            deployed_at,
            conclusion: new.outcome,
            environment: environment.unwrap_or_else(|| "production".to_owned()),
        });
        Ok(sha)
    }

    /// The good version before the last one that went live is deployed again, which takes so long; none where there is none.
    pub fn roll_back(&self, takes: Duration) -> Option<String> {
        let now = self.env.now();
        let mut state = self.lock();
        let mut live = state
            .pushes
            .iter()
            .rev()
            .filter(|push| push.conclusion == Outcome::Success && push.deployed_at <= now);
        let current = live.next()?.sha.clone();
        let before = live.find(|push| push.sha != current)?.clone();
        let number = state.pushes.last().map_or(1, |push| push.number + 1);
        state.keep(Push {
            number,
            triggered_at: now,
            built_at: now + takes / 2,
            deployed_at: now + takes,
            ..before.clone()
        });
        Some(before.sha)
    }

    fn answer(&self, asked: &Asked) -> Reply {
        if let Some(path) = asked.path.strip_prefix("/-/") {
            return self.control(&asked.method, path, &asked.body);
        }
        let now = self.env.now();
        if let Some(refused) = self.refuse(asked, now) {
            return refused;
        }
        let Some(path) = asked
            .path
            .strip_prefix("/repos/")
            .and_then(|path| path.strip_prefix(self.repository.as_str()))
        else {
            return self.limited(message(StatusCode::NOT_FOUND, "Not Found"), now);
        };
        let state = self.lock();
        let pushes: Vec<Push> = state.pushes.iter().rev().cloned().collect();
        drop(state);
        let found = match path.split('/').skip(1).collect::<Vec<_>>()[..] {
            ["actions", "runs"] => Some(self.runs(asked, &pushes, now)),
            ["deployments"] => Some(paged(asked, deployments(&pushes, now))),
            ["deployments", id, "statuses"] => {
                statuses(&pushes, id, now).map(|it| paged(asked, it))
            }
            ["commits", sha] => commit(&pushes, sha).map(|it| (it, None)),
            ["pulls"] => Some(paged(asked, pulls(&pushes, now))),
            _ => None,
        };
        let reply = match found {
            Some(found) => conditional(asked, found),
            None => message(StatusCode::NOT_FOUND, "Not Found"),
        };
        self.limited(reply, now)
    }

    /// What stands in the way of an answer: a scripted misbehaviour, a wrong token, the rate limit.
    fn refuse(&self, asked: &Asked, now: Timestamp) -> Option<Reply> {
        let mut state = self.lock();
        if state
            .misbehaviour
            .as_ref()
            .is_some_and(|it| it.until <= now)
        {
            state.misbehaviour = None;
        }
        if let Some(misbehaviour) = &state.misbehaviour {
            let mut reply = if misbehaviour.html {
                server::text(misbehaviour.status, "<html><body>Unicorn!</body></html>")
            } else {
                message(misbehaviour.status, "scripted by the game day")
            };
            if let Some(secs) = misbehaviour.retry_after {
                reply.headers_mut().insert(header::RETRY_AFTER, secs.into());
            }
            return Some(reply);
        }
        let given = asked
            .headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes);
        if let Some(token) = &self.token {
            let wanted = [format!("Bearer {token}"), format!("token {token}")];
            if !wanted.iter().any(|it| Some(it.as_bytes()) == given) {
                return Some(message(StatusCode::UNAUTHORIZED, "Bad credentials"));
            }
        }
        if state.limit.is_some_and(|(_, reset)| reset <= now) {
            state.limit = None;
        }
        if let Some((remaining, _)) = &mut state.limit {
            if *remaining == 0 {
                drop(state);
                let reply = message(StatusCode::FORBIDDEN, "API rate limit exceeded");
                return Some(self.limited(reply, now));
            }
            *remaining -= 1;
        }
        state.served += 1;
        None
    }

    /// The headers of the rate limit.
    fn limited(&self, mut reply: Reply, now: Timestamp) -> Reply {
        let state = self.lock();
        let hour = Duration::from_secs(3600);
        let (remaining, reset) = state
            .limit
            .unwrap_or((LIMIT - state.served % LIMIT, now.floor_to(hour) + hour));
        let headers = reply.headers_mut();
        headers.insert("x-ratelimit-limit", LIMIT.into());
        headers.insert("x-ratelimit-remaining", remaining.into());
        headers.insert("x-ratelimit-reset", reset.as_secs().into());
        reply
    }

    fn control(&self, method: &Method, path: &str, body: &Bytes) -> Reply {
        let done = |value: Value| server::json(StatusCode::OK, &value);
        let outcome = match (method.as_str(), path) {
            ("POST", "pushes") => read::<NewPush>(body)
                .and_then(|new| self.push(&new))
                .map(|sha| json!({"sha": sha})),
            ("POST", "rollback") => self
                .roll_back(ROLLBACK)
                .map(|sha| json!({"sha": sha}))
                .ok_or_else(|| "there is no version to go back to".to_owned()),
            ("POST", "misbehave") => read::<NewMisbehaviour>(body)
                .and_then(|new| self.misbehave(&new).map(|()| json!({"status": new.status}))),
            ("POST", "limit") => read::<NewLimit>(body).and_then(|new| {
                let reset_in = parse_duration(&new.reset_in).map_err(|error| error.to_string())?;
                self.lock().limit = Some((new.remaining, self.env.now() + reset_in));
                Ok(json!({"remaining": new.remaining}))
            }),
            ("DELETE", "misbehave") => {
                self.behave();
                Ok(json!({}))
            }
            _ => {
                return message(
                    StatusCode::NOT_FOUND,
                    "see /-/pushes, /-/rollback, /-/misbehave and /-/limit",
                );
            }
        };
        match outcome {
            Ok(value) => done(value),
            Err(error) => message(StatusCode::BAD_REQUEST, &error),
        }
    }

    /// Refuses everything for a while.
    ///
    /// # Errors
    /// Where the status is none, or the lease is zero or no duration.
    pub fn misbehave(&self, new: &NewMisbehaviour) -> Result<(), String> {
        let status = StatusCode::from_u16(new.status).map_err(|error| error.to_string())?;
        let lease = parse_duration(&new.lease).map_err(|error| format!("lease: {error}"))?;
        if lease.is_zero() {
            return Err("lease: is zero, expected a duration such as \"5m\"".to_owned());
        }
        self.lock().misbehaviour = Some(Misbehaviour {
            status,
            html: new.html,
            retry_after: new.retry_after,
            until: self.env.now() + lease,
        });
        Ok(())
    }

    /// Answers well again, whatever was scripted.
    pub fn behave(&self) {
        let mut state = self.lock();
        (state.misbehaviour, state.limit) = (None, None);
    }

    fn runs(&self, asked: &Asked, pushes: &[Push], now: Timestamp) -> (Value, Option<String>) {
        let runs: Vec<Value> = pushes
            .iter()
            .filter(|push| push.triggered_at <= now)
            .map(|push| push.run(&self.repository, now))
            .collect();
        let total = runs.len();
        let (page, link) = paged(asked, runs);
        (json!({"total_count": total, "workflow_runs": page}), link)
    }
}

/// One page of the items, and the link to the next where there is one.
fn paged(asked: &Asked, items: Vec<Value>) -> (Value, Option<String>) {
    let number = |name: &str, default: usize| {
        let given = asked.query.get(name).and_then(|it| it.parse().ok());
        given.filter(|it| *it > 0).unwrap_or(default)
    };
    let per_page = number("per_page", 30).min(PER_PAGE_MAX);
    let page = number("page", 1);
    let begin = (page - 1).saturating_mul(per_page);
    let more = items.len() > begin.saturating_add(per_page);
    let host = asked
        .headers
        .get(header::HOST)
        .and_then(|it| it.to_str().ok());
    let link = more.then(|| {
        let (host, path) = (host.unwrap_or_default(), &asked.path);
        format!(
            "<http://{host}{path}?per_page={per_page}&page={}>; rel=\"next\"",
            page + 1
        )
    });
    let page: Vec<Value> = items.into_iter().skip(begin).take(per_page).collect();
    (Value::Array(page), link)
}

fn read<T: for<'de> Deserialize<'de>>(body: &Bytes) -> Result<T, String> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn message(status: StatusCode, text: &str) -> Reply {
    server::json(
        status,
        &json!({"message": text, "documentation_url": "https://docs.github.com/rest"}),
    )
}

/// An answer with its entity tag, or 304 where the reader has it already. FNV-1a is enough to tell answers apart.
fn conditional(asked: &Asked, (value, link): (Value, Option<String>)) -> Reply {
    let body = value.to_string();
    let hash = body.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let tag = format!("\"{hash:016x}\"");
    let given = asked.headers.get(header::IF_NONE_MATCH);
    let mut reply = if given.is_some_and(|it| it.as_bytes() == tag.as_bytes()) {
        server::text(StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        server::json(StatusCode::OK, &value)
    };
    for (name, value) in [(header::ETAG, Some(tag)), (header::LINK, link)] {
        if let Some(value) = value.and_then(|it| HeaderValue::try_from(it).ok()) {
            reply.headers_mut().insert(name, value);
        }
    }
    reply
}

impl State {
    fn keep(&mut self, push: Push) {
        if self.pushes.len() == PUSHES_MAX {
            self.pushes.remove(0);
        }
        self.pushes.push(push);
    }
}

/// A hash of forty digits that depends on nothing but the number.
fn sha(number: u64) -> String {
    let mut state = number;
    let mut digits = String::with_capacity(48);
    while digits.len() < 40 {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        digits = format!("{digits}{:016x}", mixed ^ mixed >> 31);
    }
    digits.truncate(40);
    digits
}

impl Push {
    fn run(&self, repository: &str, now: Timestamp) -> Value {
        let done = self.built_at <= now;
        let conclusion = match self.conclusion {
            Outcome::Success | Outcome::DeployFailure => "success",
            Outcome::Failure => "failure",
            Outcome::Cancelled => "cancelled",
        };
        let updated = if done { self.built_at } else { now };
        json!({
            "id": self.number,
            "name": "deploy",
            "head_branch": "main",
            "head_sha": self.sha,
            "run_number": self.number,
            "run_attempt": 1,
            "event": "push",
            "status": if done { "completed" } else { "in_progress" },
            "conclusion": done.then_some(conclusion),
            "created_at": format_rfc3339(self.triggered_at),
            "run_started_at": format_rfc3339(self.triggered_at),
            "updated_at": format_rfc3339(updated),
            "html_url": format!("https://github.com/{repository}/actions/runs/{}", self.number),
        })
    }

    /// Whether it has come to a deployment.
    fn deploys(&self, now: Timestamp) -> bool {
        self.built_at <= now && matches!(self.conclusion, Outcome::Success | Outcome::DeployFailure)
    }
}

fn deployments(pushes: &[Push], now: Timestamp) -> Vec<Value> {
    pushes
        .iter()
        .filter(|push| push.deploys(now))
        .map(|push| {
            json!({
                "id": push.number,
                "sha": push.sha,
                "ref": "main",
                "task": "deploy",
                "environment": push.environment,
                "created_at": format_rfc3339(push.built_at),
                "updated_at": format_rfc3339(push.deployed_at.min(now)),
            })
        })
        .collect()
}

fn statuses(pushes: &[Push], id: &str, now: Timestamp) -> Option<Vec<Value>> {
    let id: u64 = id.parse().ok()?;
    let push = pushes
        .iter()
        .find(|push| push.number == id && push.deploys(now))?;
    let status = |number: u64, state: &str, at: Timestamp| json!({"id": number, "state": state, "created_at": format_rfc3339(at), "updated_at": format_rfc3339(at)});
    let mut statuses = vec![status(id * 2, "in_progress", push.built_at)];
    if push.deployed_at <= now {
        let state = if push.conclusion == Outcome::Success {
            "success"
        } else {
            "failure"
        };
        // Newest first.
        statuses.insert(0, status(id * 2 + 1, state, push.deployed_at));
    }
    Some(statuses)
}

fn commit(pushes: &[Push], sha: &str) -> Option<Value> {
    let push = pushes.iter().find(|push| push.sha == sha)?;
    let date = format_rfc3339(push.committed_at);
    let who = json!({"name": "gameday", "email": "gameday@example.com", "date": date});
    Some(json!({"sha": sha, "commit": {"message": "a change", "author": who, "committer": who}}))
}

fn pulls(pushes: &[Push], now: Timestamp) -> Vec<Value> {
    pushes
        .iter()
        .filter(|push| push.triggered_at <= now)
        .map(|push| {
            json!({
                "number": push.number,
                "state": "closed",
                "merge_commit_sha": push.sha,
                "created_at": format_rfc3339(push.committed_at),
                "updated_at": format_rfc3339(push.triggered_at),
                "merged_at": format_rfc3339(push.triggered_at),
            })
        })
        .collect()
}
