//! Prometheus remote write 1.0 and 2.0.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use gameday_metrics::{AppendError, Store};
use gameday_wire::CompressionError;
use gameday_wire::remote_write::{RemoteWriteError, Version, WriteBatch, decode_remote_write};

use super::ReceiveHost;
use super::body::{BODY_BYTES_MAX, raw, text_of};

pub(super) fn routes<H: ReceiveHost>(host: H) -> Router {
    Router::new()
        .route("/api/v1/write", post(write::<H>))
        .with_state(host)
}

/// What became of a request.
#[derive(Default)]
struct Written {
    samples: u64,
    histograms: u64,
    exemplars: u64,
    /// Samples that were refused for good, and why the first was.
    refused: u64,
    message: String,
}

async fn write<H: ReceiveHost>(State(host): State<H>, headers: HeaderMap, body: Body) -> Response {
    let plain = |status: StatusCode, message: String| (status, message).into_response();
    let content_type = text_of(&headers, &header::CONTENT_TYPE);
    let Some(version) = Version::of_content_type(content_type) else {
        let message = format!("unsupported Content-Type {content_type:?} of remote write");
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    };
    let encoding = text_of(&headers, &header::CONTENT_ENCODING);
    // Version 1.0 clients may leave the encoding out.
    if !(encoding == "snappy" || encoding.is_empty()) {
        let message = format!("unsupported Content-Encoding {encoding:?}, expected snappy");
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    }
    let body = match raw(&host.clock(), body).await {
        Ok(body) => body,
        Err(refusal) => return plain(refusal.status, refusal.message),
    };
    let batch = match decode_remote_write(&body, version, BODY_BYTES_MAX) {
        Ok(batch) => batch,
        Err(error) => {
            let status = match error {
                RemoteWriteError::Compression(CompressionError::TooLarge { .. }) => {
                    StatusCode::PAYLOAD_TOO_LARGE
                }
                _ => StatusCode::BAD_REQUEST,
            };
            return plain(status, error.to_string());
        }
    };
    host.push_metadata(batch.metadata.clone());
    let written = host.with_metrics(|store| append(store, batch));
    host.count(
        "prometheus_remote_storage_samples_in_total",
        written.samples + written.histograms,
    );
    if let Some(error) = host.commit_error() {
        // They are in memory, so that they are the same when they come again.
        return plain(StatusCode::INTERNAL_SERVER_ERROR, error);
    }
    let mut response = if written.refused > 0 {
        plain(StatusCode::BAD_REQUEST, written.message)
    } else {
        StatusCode::NO_CONTENT.into_response()
    };
    if version == Version::V2 {
        for (name, value) in [
            ("x-prometheus-remote-write-samples-written", written.samples),
            (
                "x-prometheus-remote-write-histograms-written",
                written.histograms,
            ),
            (
                "x-prometheus-remote-write-exemplars-written",
                written.exemplars,
            ),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from(value));
        }
    }
    response
}

/// Appends what fits; samples that do not are refused alone.
fn append(store: &mut Store, batch: WriteBatch) -> Written {
    let mut written = Written {
        refused: batch.rejected,
        message: batch.message,
        ..Written::default()
    };
    for series in batch.series {
        let labels = &series.labels;
        let refuse = |written: &mut Written, error: AppendError| {
            written.refused += 1;
            if written.message.is_empty() {
                written.message = format!("{error} (series: {labels})");
            }
        };
        let mut reference = None;
        for sample in &series.samples {
            let reference = *reference.get_or_insert_with(|| store.series_ref(labels));
            match store.append_ref(reference, sample.timestamp_ms, sample.value) {
                Ok(()) => written.samples += 1,
                Err(error) => refuse(&mut written, error),
            }
        }
        for (at_ms, histogram) in series.histograms {
            match store.append_histogram(labels, at_ms, histogram) {
                Ok(_) => written.histograms += 1,
                Err(error) => refuse(&mut written, error),
            }
        }
        let at_ms = series
            .samples
            .last()
            .map_or(0, |sample| sample.timestamp_ms);
        for exemplar in series.exemplars {
            store.append_exemplar(labels, at_ms, exemplar);
            written.exemplars += 1;
        }
    }
    written
}
