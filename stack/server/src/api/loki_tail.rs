//! Loki's `/tail`: new log lines over a WebSocket as they arrive.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use gameday_logs::{Direction, QueryResult, RangeRequest, TailBatch, TailId, query_range};
use gameday_signal::Timestamp;

use super::common::Params;
use super::loki::{bad, limit, time};
use super::websocket::{Heard, WebSocket, accept};
use crate::shared::Shared;

/// Lines of one message; Loki's own number.
const LINES_PER_MESSAGE: usize = 100;
/// How long a tail may be asked to wait for late lines; Loki's own limit.
const DELAY_SECS_MAX: u64 = 5;
/// A tail shows an hour of the past where no start is given.
const SINCE_DEFAULT: Duration = Duration::from_secs(3600);
/// Lines may lie this far in the future (`creation_grace_period`).
const FUTURE: Duration = Duration::from_secs(600);

/// The routes of tails.
pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/loki/api/v1/tail", get(tail))
        .route("/api/prom/tail", get(tail))
        .with_state(shared)
}

struct TailRequest {
    query: String,
    start: Timestamp,
    limit: usize,
    delay: Duration,
}

async fn tail(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    let params = Params::of_uri(request.uri());
    let asked = match tail_request(&shared, &params) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    // The query is checked before the handshake, so that a client hears of a mistake as of any other.
    let opened = shared.logs().open_tail(&asked.query);
    let id = match opened {
        Ok(id) => id,
        Err(error) => return bad(error),
    };
    let guard = OpenTail {
        shared: Arc::clone(&shared),
        id,
    };
    // Taken at the moment at which the tail begins, so that no line is told twice.
    let past = past(&shared, &asked);
    let (response, upgrade) = match accept(&mut request) {
        Ok(accepted) => accepted,
        Err(refusal) => return refusal,
    };
    let env = shared.env().on("loki");
    env.clone().spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            let socket = WebSocket::new(env, upgraded);
            serve(&guard, socket, past, asked.delay).await;
        }
    });
    response
}

fn tail_request(shared: &Shared, params: &Params) -> Result<TailRequest, Response> {
    let delay = params.number::<u64>("delay_for").map_err(bad)?.unwrap_or(0);
    if delay > DELAY_SECS_MAX {
        return Err(bad(format!(
            "delay_for can't be greater than {DELAY_SECS_MAX}"
        )));
    }
    Ok(TailRequest {
        query: params.required("query").map_err(bad)?.to_owned(),
        start: time(params, "start")?.unwrap_or_else(|| shared.now() - SINCE_DEFAULT),
        limit: limit(params)?,
        delay: Duration::from_secs(delay),
    })
}

/// A tail that closes with its connection.
struct OpenTail {
    shared: Arc<Shared>,
    id: TailId,
}

impl Drop for OpenTail {
    fn drop(&mut self) {
        self.shared.logs().close_tail(self.id);
    }
}

async fn serve(tail: &OpenTail, mut socket: WebSocket, past: Vec<TailBatch>, delay: Duration) {
    for batch in past {
        if !socket.send(&message(&batch)).await {
            return;
        }
    }
    let clock = tail.shared.env().clock().clone();
    loop {
        let wake = tail.shared.logs_wake.notified();
        tokio::pin!(wake);
        // A line that arrives between the look and the wait must wake: the interest is told first.
        wake.as_mut().enable();
        loop {
            let batch = tail.shared.logs().poll_tail(tail.id, LINES_PER_MESSAGE);
            let Some(batch) = batch else { break };
            if !socket.send(&message(&batch)).await {
                return;
            }
        }
        let waited = async {
            wake.await;
            clock.sleep(delay).await;
        };
        tokio::select! {
            biased;
            heard = socket.heard() => match heard {
                Heard::Closed(reason) => return socket.close(reason).await,
                Heard::Ping(payload) => {
                    if !socket.pong(&payload).await {
                        return;
                    }
                }
            },
            () = waited => {}
        }
    }
}

/// The lines that are there already, in messages.
fn past(shared: &Shared, asked: &TailRequest) -> Vec<TailBatch> {
    let store = shared.logs();
    let request = RangeRequest {
        start: asked.start,
        end: shared.now() + FUTURE,
        step: Duration::from_secs(1),
        interval: Duration::ZERO,
        limit: asked.limit,
        direction: Direction::Forward,
        categorize_labels: false,
    };
    let Ok(data) = query_range(&store, &asked.query, &request) else {
        return Vec::new();
    };
    let QueryResult::Streams(streams) = data.result else {
        return Vec::new();
    };
    let mut batches = Vec::new();
    for mut stream in streams {
        while !stream.values.is_empty() {
            let rest = stream
                .values
                .split_off(stream.values.len().min(LINES_PER_MESSAGE));
            batches.push(TailBatch {
                streams: vec![stream.clone()],
                dropped_entries: Vec::new(),
            });
            stream.values = rest;
        }
    }
    batches
}

fn message(batch: &TailBatch) -> String {
    // A batch is texts and numbers alone.
    serde_json::to_string(batch).unwrap_or_default()
}
