//! Cross-origin requests: a page in a browser may send telemetry from anywhere.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers preflight requests and lets pages read the answers.
pub(super) async fn allow(request: Request, next: Next) -> Response {
    let wants = request
        .headers()
        .get("access-control-request-headers")
        .cloned();
    let has_origin = request.headers().contains_key("origin");
    let mut response = if request.method() == Method::OPTIONS && has_origin {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        headers.insert(
            "access-control-allow-methods",
            HeaderValue::from_static("POST"),
        );
        if let Some(wants) = wants {
            headers.insert("access-control-allow-headers", wants);
        }
        response
    } else {
        next.run(request).await
    };
    if has_origin {
        response
            .headers_mut()
            .insert("access-control-allow-origin", HeaderValue::from_static("*"));
    }
    response
}
