//! Reading the GitHub API: tokens, pages, entity tags, rate limits.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Env, HttpClient};
use gameday_signal::Timestamp;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use serde_json::Value;

use super::DoraConfig;
use super::history::{Deployment, History, Run};
use crate::civil::parse_rfc3339;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pages that are read of one list: a thousand items are more than thirty days of most.
const PAGES_MAX: u32 = 10;
/// How far back the exporter looks: the longest window and a week more, for what was restored later.
const LOOK_BACK: Duration = Duration::from_secs(37 * 86_400);
/// Answers that are kept with their entity tags.
const CACHED_MAX: usize = 4000;

/// Why a poll failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The token cannot be read.
    #[error("cannot read the token from {file}: {reason}")]
    Token {
        /// The file.
        file: String,
        /// What the operating system says.
        reason: String,
    },
    /// There was no answer.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// The token is missing or wrong.
    #[error("401 unauthorized: {0} (is the token right, and may it read actions and deployments?)")]
    Unauthorized(String),
    /// The rate limit is used up; nothing is asked before its reset.
    #[error("the rate limit is used up until {until}")]
    RateLimited {
        /// When it is reset.
        until: Timestamp,
    },
    /// The token may not read this.
    #[error("403 forbidden: {0}")]
    Forbidden(String),
    /// There is no such repository, or the token may not see it.
    #[error("404 not found: {0} (is the repository right, and may the token see it?)")]
    NotFound(String),
    /// Another status.
    #[error("{status}: {url}")]
    Status {
        /// The status.
        status: u16,
        /// What was asked.
        url: String,
    },
    /// What came is not what the API sends.
    #[error("{url} did not answer with the JSON of the API: {reason}")]
    NotJson {
        /// What was asked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ApiError {
    /// Its label in `dora_exporter_errors_total`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Token { .. } => "token",
            Self::Unreachable(_) => "unreachable",
            Self::Unauthorized(_) => "unauthorized",
            Self::RateLimited { .. } => "rate_limited",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::Status { .. } => "status",
            Self::NotJson { .. } => "not_json",
        }
    }
}

/// What the API says of its rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RateLimit {
    pub(super) remaining: u64,
    pub(super) reset: Timestamp,
}

/// Asks the API.
pub(super) struct Api {
    env: Env,
    client: HttpClient,
    config: DoraConfig,
    /// As it was read at the begin of the poll.
    token: Option<String>,
    /// By address: the entity tag, the body and the address of the next page.
    cache: BTreeMap<String, Cached>,
    /// Commit times and deployment ends never change: they are asked for once.
    commits: BTreeMap<String, Option<Timestamp>>,
    ended: BTreeMap<u64, Deployment>,
    requests: BTreeMap<u16, u64>,
    limit: Option<RateLimit>,
}

#[derive(Clone)]
struct Cached {
    tag: HeaderValue,
    body: Value,
    next: Option<String>,
}

impl Api {
    pub(super) fn new(env: &Env, config: DoraConfig) -> Self {
        Self {
            env: env.clone(),
            client: env.http_client(),
            config,
            token: None,
            cache: BTreeMap::new(),
            commits: BTreeMap::new(),
            ended: BTreeMap::new(),
            requests: BTreeMap::new(),
            limit: None,
        }
    }

    /// The rate limit as of the last answer.
    pub(super) fn limit(&self) -> Option<RateLimit> {
        self.limit
    }

    /// Requests by status.
    pub(super) fn requests(&self) -> &BTreeMap<u16, u64> {
        &self.requests
    }

    /// Reads everything anew; what has not changed costs an empty answer each.
    pub(super) async fn poll(&mut self) -> Result<History, ApiError> {
        self.token = self.read_token()?;
        let since = self.env.now() - LOOK_BACK;
        let root = format!("{}/repos/{}", self.config.base_url, self.config.repository);
        let runs = self.runs(&root, since).await?;
        let deployments = self.deployments(&root, since).await?;
        let url = format!("{root}/pulls?state=closed&sort=updated&direction=desc&per_page=100");
        let pulls = self.list(&url, "", |item| {
            time_of(item, "updated_at").is_none_or(|at| at >= since)
        });
        let merged_at = pulls
            .await?
            .iter()
            .filter_map(|item| time_of(item, "merged_at"))
            .collect();
        let shas: Vec<&String> = runs
            .iter()
            .map(|run| &run.sha)
            .chain(deployments.iter().map(|it| &it.sha))
            .collect();
        let mut unknown: Vec<String> = shas
            .into_iter()
            .filter(|sha| !self.commits.contains_key(*sha))
            .cloned()
            .collect();
        unknown.sort();
        unknown.dedup();
        for sha in unknown {
            let committed_at = self.committed_at(&root, &sha).await?;
            self.commits.insert(sha, committed_at);
        }
        let commits = &self.commits;
        let history = History::new(&runs, &deployments, |sha| {
            commits.get(sha).copied().flatten()
        });
        Ok(History {
            merged_at,
            ..history
        })
    }

    fn read_token(&self) -> Result<Option<String>, ApiError> {
        let Some(file) = &self.config.token_file else {
            return Ok(None);
        };
        match std::fs::read_to_string(file) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => Err(ApiError::Token {
                file: file.display().to_string(),
                reason: error.to_string(),
            }),
        }
    }

    async fn runs(&mut self, root: &str, since: Timestamp) -> Result<Vec<Run>, ApiError> {
        let url = format!(
            "{root}/actions/runs?branch={}&per_page=100",
            self.config.branch
        );
        let items = self.list(&url, "workflow_runs", |item| {
            time_of(item, "created_at").is_none_or(|at| at >= since)
        });
        let items = items.await?;
        let wanted = |item: &&Value| {
            let is_own = |name: &String| text_of(item, "name") == Some(name.as_str());
            self.config.workflow.as_ref().is_none_or(is_own)
        };
        let run = |item: &Value| {
            Some(Run {
                sha: text_of(item, "head_sha")?.to_owned(),
                triggered_at: time_of(item, "run_started_at")
                    .or_else(|| time_of(item, "created_at"))?,
                completed_at: time_of(item, "updated_at")?,
                conclusion: text_of(item, "conclusion")?.to_owned(),
            })
        };
        Ok(items
            .iter()
            .filter(wanted)
            .filter(|item| text_of(item, "status") == Some("completed"))
            .filter_map(run)
            .collect())
    }

    async fn deployments(
        &mut self,
        root: &str,
        since: Timestamp,
    ) -> Result<Vec<Deployment>, ApiError> {
        let environment = &self.config.environment;
        let url = format!("{root}/deployments?environment={environment}&per_page=100");
        let items = self.list(&url, "", |item| {
            time_of(item, "created_at").is_none_or(|at| at >= since)
        });
        let items = items.await?;
        let mut deployments = Vec::new();
        for item in &items {
            let (Some(id), Some(sha), Some(created_at)) = (
                item.get("id").and_then(Value::as_u64),
                text_of(item, "sha"),
                time_of(item, "created_at"),
            ) else {
                continue;
            };
            if text_of(item, "environment") != Some(self.config.environment.as_str()) {
                continue;
            }
            if let Some(ended) = self.ended.get(&id) {
                deployments.push(ended.clone());
                continue;
            }
            let url = format!("{root}/deployments/{id}/statuses?per_page=100");
            let statuses = self.list(&url, "", |_| true).await?;
            let last = statuses.iter().find_map(|status| {
                let succeeded = match text_of(status, "state")? {
                    "success" => true,
                    "failure" | "error" => false,
                    _ => return None,
                };
                Some((time_of(status, "created_at")?, succeeded))
            });
            let deployment = Deployment {
                sha: sha.to_owned(),
                created_at,
                ended_at: last.map_or(created_at, |(at, _)| at),
                succeeded: last.map(|(_, succeeded)| succeeded),
            };
            if last.is_some() && self.ended.len() < CACHED_MAX {
                self.ended.insert(id, deployment.clone());
            }
            deployments.push(deployment);
        }
        Ok(deployments)
    }

    /// When a commit was made; none where the API does not know it (any more).
    async fn committed_at(&mut self, root: &str, sha: &str) -> Result<Option<Timestamp>, ApiError> {
        if self.commits.len() >= CACHED_MAX {
            self.commits.clear();
        }
        match self.get(&format!("{root}/commits/{sha}")).await {
            Ok(found) => {
                let committer = found.body.get("commit").and_then(|it| it.get("committer"));
                Ok(committer.and_then(|it| time_of(it, "date")))
            }
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The items of a list, page by page, as long as `goes_on` holds for the last of a page. `field` holds the items where the answer
    /// is an object.
    async fn list(
        &mut self,
        url: &str,
        field: &str,
        goes_on: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>, ApiError> {
        let mut items = Vec::new();
        let mut url = url.to_owned();
        for _ in 0..PAGES_MAX {
            let page = self.get(&url).await?;
            let list = if field.is_empty() {
                Some(&page.body)
            } else {
                page.body.get(field)
            };
            let Some(list) = list.and_then(Value::as_array) else {
                let reason = "there is no list in it".to_owned();
                return Err(ApiError::NotJson { url, reason });
            };
            let more = list.last().is_some_and(&goes_on);
            items.extend(list.iter().cloned());
            match page.next.filter(|_| more) {
                Some(next) => url = next,
                None => break,
            }
        }
        Ok(items)
    }

    async fn get(&mut self, url: &str) -> Result<Cached, ApiError> {
        if let Some(limit) = self.limit.filter(|it| it.remaining == 0)
            && limit.reset > self.env.now()
        {
            return Err(ApiError::RateLimited { until: limit.reset });
        }
        let request = self.request(url)?;
        let answer = match self.client.send(request, TIMEOUT).await {
            Ok(answer) => answer,
            Err(error) => {
                *self.requests.entry(0).or_default() += 1;
                return Err(ApiError::Unreachable(error.to_string()));
            }
        };
        let status = answer.status();
        *self.requests.entry(status.as_u16()).or_default() += 1;
        self.limit = limit_of(answer.headers()).or(self.limit);
        if status == StatusCode::NOT_MODIFIED
            && let Some(cached) = self.cache.get(url)
        {
            return Ok(cached.clone());
        }
        if status != StatusCode::OK {
            return Err(self.refused(url, &answer));
        }
        let body: Value =
            serde_json::from_slice(answer.body()).map_err(|error| ApiError::NotJson {
                url: url.to_owned(),
                reason: error.to_string(),
            })?;
        let tag = answer.headers().get(header::ETAG).cloned();
        let page = Cached {
            tag: tag.clone().unwrap_or_else(|| HeaderValue::from_static("")),
            body,
            next: next_page(answer.headers()),
        };
        if tag.is_some() {
            if self.cache.len() >= CACHED_MAX {
                self.cache.clear();
            }
            self.cache.insert(url.to_owned(), page.clone());
        }
        Ok(page)
    }

    fn request(&self, url: &str) -> Result<Request<Bytes>, ApiError> {
        let mut builder = Request::get(url)
            .header(header::ACCEPT, "application/vnd.github+json")
            .header(header::USER_AGENT, "gameday-dora-exporter")
            .header("X-GitHub-Api-Version", "2022-11-28");
        if let Some(token) = &self.token {
            builder = builder.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(cached) = self.cache.get(url) {
            builder = builder.header(header::IF_NONE_MATCH, &cached.tag);
        }
        builder
            .body(Bytes::new())
            .map_err(|error| ApiError::Unreachable(format!("{url}: {error}")))
    }

    fn refused(&self, url: &str, answer: &Response<Bytes>) -> ApiError {
        let parsed: Option<Value> = serde_json::from_slice(answer.body()).ok();
        let said = parsed.as_ref().and_then(|it| text_of(it, "message"));
        let said = said.map_or_else(|| url.to_owned(), |said| format!("{said} ({url})"));
        let now = self.env.now();
        let used_up = limit_of(answer.headers()).filter(|limit| limit.remaining == 0);
        let retry_after = answer
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|secs| now + Duration::from_secs(secs));
        let limited = retry_after.or(used_up.map(|limit| limit.reset));
        match (answer.status(), limited) {
            (StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS, Some(until)) => {
                ApiError::RateLimited { until }
            }
            (StatusCode::TOO_MANY_REQUESTS, None) => ApiError::RateLimited {
                until: now + Duration::from_secs(60),
            },
            (StatusCode::UNAUTHORIZED, _) => ApiError::Unauthorized(said),
            (StatusCode::FORBIDDEN, None) => ApiError::Forbidden(said),
            (StatusCode::NOT_FOUND, _) => ApiError::NotFound(said),
            (status, _) => ApiError::Status {
                status: status.as_u16(),
                url: url.to_owned(),
            },
        }
    }
}

fn limit_of(headers: &HeaderMap) -> Option<RateLimit> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    Some(RateLimit {
        remaining: number("x-ratelimit-remaining")?,
        reset: Timestamp::from_secs(i64::try_from(number("x-ratelimit-reset")?).ok()?),
    })
}

/// The address in `Link: <...>; rel="next"` (RFC 8288).
fn next_page(headers: &HeaderMap) -> Option<String> {
    let links = headers.get(header::LINK)?.to_str().ok()?;
    links.split(',').find_map(|link| {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        parameters
            .contains("rel=\"next\"")
            .then(|| address.to_owned())
    })
}

fn text_of<'a>(item: &'a Value, field: &str) -> Option<&'a str> {
    item.get(field)?.as_str()
}

fn time_of(item: &Value, field: &str) -> Option<Timestamp> {
    parse_rfc3339(text_of(item, field)?)
}
