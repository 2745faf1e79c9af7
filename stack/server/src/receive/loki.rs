//! Loki's push API.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use gameday_wire::{CompressionError, LokiPushError, decode_loki_json, decode_loki_protobuf};

use super::ReceiveHost;
use super::body::{BODY_BYTES_MAX, decompressed, raw, text_of};

pub(super) fn routes<H: ReceiveHost>(host: H) -> Router {
    Router::new()
        .route("/loki/api/v1/push", post(push::<H>))
        .route("/api/prom/push", post(push::<H>))
        .with_state(host)
}

async fn push<H: ReceiveHost>(State(host): State<H>, headers: HeaderMap, body: Body) -> Response {
    let plain = |status: StatusCode, message: String| (status, message).into_response();
    let content_type = text_of(&headers, &header::CONTENT_TYPE);
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let encoding = text_of(&headers, &header::CONTENT_ENCODING);
    let clock = host.clock();
    let decoded = match media_type {
        "application/json" => match decompressed(&clock, &headers, body).await {
            Ok(body) => decode_loki_json(&body),
            Err(refusal) => return plain(refusal.status, refusal.message),
        },
        // Promtail and the Go clients say nothing, or `snappy`.
        "application/x-protobuf" if matches!(encoding, "" | "snappy") => {
            match raw(&clock, body).await {
                Ok(body) => decode_loki_protobuf(&body, BODY_BYTES_MAX),
                Err(refusal) => return plain(refusal.status, refusal.message),
            }
        }
        "application/x-protobuf" => {
            let message = format!("Content-Encoding {encoding:?} not supported");
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
        }
        _ => {
            let message = format!(
                "Content-Type {content_type:?} not supported, expected application/json or application/x-protobuf"
            );
            return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
        }
    };
    let streams = match decoded {
        Ok(streams) => streams,
        Err(error) => {
            let status = match error {
                LokiPushError::Compression(CompressionError::TooLarge { .. }) => {
                    StatusCode::PAYLOAD_TOO_LARGE
                }
                _ => StatusCode::BAD_REQUEST,
            };
            return plain(status, error.to_string());
        }
    };
    let lines: usize = streams.iter().map(|stream| stream.entries.len()).sum();
    let outcome = host.push_logs(streams);
    host.count("loki_distributor_lines_received_total", lines as u64);
    if outcome.rejected == 0 {
        return StatusCode::NO_CONTENT.into_response();
    }
    host.count("loki_discarded_samples_total", outcome.rejected);
    let status = if outcome.is_rate_limited {
        StatusCode::TOO_MANY_REQUESTS
    } else {
        StatusCode::BAD_REQUEST
    };
    plain(status, outcome.message)
}
