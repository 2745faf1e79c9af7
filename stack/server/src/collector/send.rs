//! Sending OTLP to another collector, over HTTP or gRPC.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameday_env::{Address, Env, Http2Client, HttpClient, HttpOptions};
use gameday_wire::gzip;
use gameday_wire::otlp::{Encoding, Signal, rejected_of};
use http::{HeaderMap, header};

use super::components::{OtlpExporter, OtlpProtocol, Retry};
use super::outlet::{Outlet, Request};
use super::telemetry::{SEND_FAILED, SENT, index};
use crate::shared::Shared;

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It was taken, but for so many items.
    Taken { rejected: u64 },
    /// It may be taken later; the other side may say when.
    Later(Option<Duration>),
    /// It will never be taken.
    Refused,
}

enum Client {
    Http(Box<HttpClient>),
    Grpc(Box<Http2Client>),
}

/// Sends what an outlet holds, for ever. Several may do so side by side.
pub(super) async fn send_all(env: Env, shared: Arc<Shared>, outlet: Arc<Outlet>) {
    let config = &outlet.config;
    let client = client_of(&env, &shared, config).await;
    let labels = format!("exporter=\"{}\"", outlet.id);
    loop {
        let request = outlet.next().await;
        let rejected = deliver(&env, &client, config, &request).await;
        outlet.done(&request);
        let mut collector = shared.collector();
        let telemetry = collector.telemetry();
        let sent = request.items.saturating_sub(rejected);
        telemetry.count(&SENT, request.signal, &labels, sent);
        telemetry.count(&SEND_FAILED, request.signal, &labels, rejected);
    }
}

/// How long until a file of TLS that cannot be read is looked at again.
const TLS_AGAIN: Duration = Duration::from_secs(30);

async fn client_of(env: &Env, shared: &Shared, config: &OtlpExporter) -> Client {
    let folder = shared.files().folder();
    let tls = loop {
        let Some(settings) = &config.tls else {
            break None;
        };
        let read = |file: &str| std::fs::read_to_string(folder.join(file));
        match settings.options(&read) {
            Ok(options) => break Some(options),
            // What comes meanwhile waits in the queue, whose counters tell of it.
            Err(_) => env.clock().sleep(TLS_AGAIN).await,
        }
    };
    match config.protocol {
        OtlpProtocol::Http => Client::Http(Box::new(env.http_client_with(HttpOptions {
            tls: tls.unwrap_or_default(),
            ..HttpOptions::default()
        }))),
        OtlpProtocol::Grpc => {
            let address = Address::new(config.host.clone(), config.port);
            Client::Grpc(Box::new(env.http2_client(address, tls)))
        }
    }
}

/// Sends a request until it is taken, refused or given up; gives the number of items that did not arrive.
async fn deliver(env: &Env, client: &Client, config: &OtlpExporter, request: &Request) -> u64 {
    let body = if config.gzip {
        Bytes::from(gzip(&request.body))
    } else {
        request.body.clone()
    };
    let begin = env.now();
    let mut wait = config.retry.initial_interval;
    loop {
        let answer = match client {
            Client::Http(client) => over_http(client, config, request.signal, &body).await,
            Client::Grpc(client) => over_grpc(client, config, request.signal, &body).await,
        };
        let asked = match answer {
            Answer::Taken { rejected } => return rejected.min(request.items),
            Answer::Refused => return request.items,
            Answer::Later(asked) => asked,
        };
        let pause = asked.unwrap_or(wait).max(Duration::from_millis(1));
        if is_given_up(&config.retry, env.now().since(begin) + pause) {
            return request.items;
        }
        env.clock().sleep(pause).await;
        wait = wait
            .mul_f64(config.retry.multiplier.clamp(1.0, 100.0))
            .min(config.retry.max_interval);
    }
}

fn is_given_up(retry: &Retry, elapsed: Duration) -> bool {
    !retry.enabled || (!retry.max_elapsed_time.is_zero() && elapsed > retry.max_elapsed_time)
}

async fn over_http(
    client: &HttpClient,
    config: &OtlpExporter,
    signal: Signal,
    body: &Bytes,
) -> Answer {
    let mut request = http::Request::post(&config.urls[index(signal)])
        .header(header::CONTENT_TYPE, Encoding::Protobuf.content_type())
        .header(header::USER_AGENT, "gameday");
    if config.gzip {
        request = request.header(header::CONTENT_ENCODING, "gzip");
    }
    for (name, value) in &config.headers {
        request = request.header(name, value);
    }
    let Ok(request) = request.body(body.clone()) else {
        return Answer::Refused;
    };
    match client.send(request, config.timeout).await {
        Ok(answer) => match answer.status().as_u16() {
            200..=299 => Answer::Taken {
                rejected: rejected_of(answer.body()),
            },
            // The statuses that OTLP calls retryable.
            429 | 502 | 503 | 504 => Answer::Later(retry_after(answer.headers())),
            _ => Answer::Refused,
        },
        Err(_) => Answer::Later(None),
    }
}

/// The wait that a server asks for, in seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.parse().ok().map(Duration::from_secs)
}

async fn over_grpc(
    client: &Http2Client,
    config: &OtlpExporter,
    signal: Signal,
    body: &Bytes,
) -> Answer {
    let service = match signal {
        Signal::Traces => "trace.v1.TraceService",
        Signal::Logs => "logs.v1.LogsService",
        Signal::Metrics => "metrics.v1.MetricsService",
    };
    let url = format!(
        "{}://{}:{}/opentelemetry.proto.collector.{service}/Export",
        if config.tls.is_some() {
            "https"
        } else {
            "http"
        },
        config.host,
        config.port
    );
    let mut request = http::Request::post(url)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, "gameday");
    if config.gzip {
        request = request.header("grpc-encoding", "gzip");
    }
    for (name, value) in &config.headers {
        request = request.header(name, value);
    }
    // One byte for the compression, four for the length.
    let mut message = Vec::with_capacity(5 + body.len());
    message.push(u8::from(config.gzip));
    message.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    message.extend_from_slice(body);
    let Ok(request) = request.body(Bytes::from(message)) else {
        return Answer::Refused;
    };
    let Ok((answer, trailers)) = client.send(request, config.timeout).await else {
        return Answer::Later(None);
    };
    // A failure is an answer of trailers alone, which stand in the head.
    let status = trailers
        .get("grpc-status")
        .or_else(|| answer.headers().get("grpc-status"))
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u32>().ok());
    match status {
        Some(0) => Answer::Taken {
            rejected: rejected_of(answer.body().get(5..).unwrap_or_default()),
        },
        // CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS: those that OTLP calls retryable.
        // RESOURCE_EXHAUSTED is so only with a RetryInfo; sending again is what its sender hopes for.
        Some(1 | 4 | 8 | 10 | 11 | 14 | 15) => Answer::Later(None),
        Some(_) => Answer::Refused,
        // A proxy that knows no gRPC.
        None => match answer.status().as_u16() {
            429 | 502 | 503 | 504 => Answer::Later(retry_after(answer.headers())),
            _ => Answer::Refused,
        },
    }
}
