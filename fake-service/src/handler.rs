//! One request: faults, work, calls, queries, answer.
//!
//! ```text
//!   Point::Request -> work -> Point::Query, Point::Call -> Point::Response -> answer
//!         `------------------ one Observation ------------------'
//! ```

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Deserialize;

use crate::database::{Found, Query};
use crate::faults::{Point, Then};
use crate::observe::{Observation, UNMATCHED};
use crate::reply::{self, ReplyBody};
use crate::service::Inner;
use crate::telemetry::{Attributes, Side};
use crate::topology::{Action, Endpoint, Routed, route};
use crate::trace_context::{TRACEPARENT, TRACESTATE, TraceParent};
use crate::upstream::{Call, call};

/// The longest path (and query) of a request.
const PATH_BYTES_MAX: usize = 2048;
/// The largest body of a request.
const BODY_BYTES_MAX: usize = 64 << 10;
/// The longest name or e-mail address of a user.
const TEXT_BYTES_MAX: usize = 200;
/// The longest `tracestate` that is handed on (W3C Trace Context, 3.3.1.5).
const TRACESTATE_BYTES_MAX: usize = 512;
/// How long `/slow` may be asked to take.
const SLOW_MS_MAX: f64 = 60_000.0;

/// Answers requests on the port of the service.
#[derive(Clone)]
pub(crate) struct Handler(pub(crate) Arc<Inner>);

type Answering = Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, Infallible>> + Send>>;

impl tower::Service<Request<Incoming>> for Handler {
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answering {
        let service = Arc::clone(&self.0);
        Box::pin(async move { Ok(handle(service, request).await) })
    }
}

/// What a request comes to: a status and JSON, and the reason where it failed.
struct Outcome {
    status: StatusCode,
    body: Bytes,
    reason: Option<String>,
    allow: Option<String>,
}

impl Outcome {
    fn ok(body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            body: body.into(),
            reason: None,
            allow: None,
        }
    }

    fn failed(status: StatusCode, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self {
            status,
            body: reply::error_json(&reason).into(),
            reason: Some(reason),
            allow: None,
        }
    }

    fn found(found: Found) -> Self {
        match found {
            Found::Json(json) => Self::ok(json),
            Found::Nothing => Self::failed(StatusCode::NOT_FOUND, "no such user"),
            Found::Full => Self::failed(
                StatusCode::INSUFFICIENT_STORAGE,
                "there is no room for more users",
            ),
        }
    }
}

async fn handle(service: Arc<Inner>, mut request: Request<Incoming>) -> Response<ReplyBody> {
    let path = request.uri().path();
    let method = known_method(request.method());
    if path == "/metrics" && method == "GET" {
        return scrape(&service, request.headers()).await;
    }
    let endpoint = match route(service.config.role.endpoints(), method, path) {
        Routed::Found(endpoint, _) if endpoint.is_probe() => {
            return probe(&service, endpoint).await;
        }
        Routed::Found(endpoint, _) => endpoint,
        unroutable => {
            let outcome = refuse(method, path, unroutable);
            let parent = parent_of(request.headers());
            let observed = Observation::begin(&service, method, UNMATCHED, method, path, parent);
            observed.finish(outcome.status.as_u16(), outcome.reason.as_deref());
            return into_response(outcome);
        }
    };
    let observed = Observation::begin(
        &service,
        method,
        endpoint.route(),
        endpoint.name,
        path,
        parent_of(request.headers()),
    );
    match answer(&service, endpoint, &mut request, &observed).await {
        Some(outcome) => {
            observed.finish(outcome.status.as_u16(), outcome.reason.as_deref());
            into_response(outcome)
        }
        None => {
            // The caller sees no status at all; for the service it is a failure.
            observed.finish(500, Some("the connection was aborted"));
            reply::abort()
        }
    }
}

/// The methods that a label may bear; anything else is one label (semantic conventions, `_OTHER`).
fn known_method(method: &Method) -> &'static str {
    ["GET", "POST", "DELETE", "HEAD", "PUT", "PATCH", "OPTIONS"]
        .into_iter()
        .find(|known| method == known)
        .unwrap_or("_OTHER")
}

fn parent_of(headers: &HeaderMap) -> Option<TraceParent> {
    TraceParent::parse(headers.get(TRACEPARENT)?.as_bytes())
}

fn refuse(method: &str, path: &str, routed: Routed<'_>) -> Outcome {
    match routed {
        Routed::OtherMethod(allowed) => Outcome {
            allow: Some(allowed.join(", ")),
            ..Outcome::failed(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{method} is not allowed here, only {}", allowed.join(", ")),
            )
        },
        _ if path.len() > PATH_BYTES_MAX => Outcome::failed(
            StatusCode::URI_TOO_LONG,
            format!("the path is longer than {PATH_BYTES_MAX} bytes"),
        ),
        _ => Outcome::failed(StatusCode::NOT_FOUND, "no such endpoint"),
    }
}

fn into_response(outcome: Outcome) -> Response<ReplyBody> {
    let mut response = reply::json(outcome.status, outcome.body);
    if let Some(allow) = outcome.allow.and_then(|it| HeaderValue::try_from(it).ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Waits where a fault lets the whole service hang; whether the connection is to break.
async fn hangs(service: &Inner, endpoint: Option<&'static Endpoint>) -> bool {
    let effect = service.faults.at(Point::Request(endpoint));
    effect.then == Then::Hang && service.faults.undergo(effect).await == Then::Abort
}

async fn scrape(service: &Inner, headers: &HeaderMap) -> Response<ReplyBody> {
    if hangs(service, None).await {
        return reply::abort();
    }
    let accepts = |media_type: &str| {
        headers
            .get(header::ACCEPT)
            .and_then(|it| it.to_str().ok())
            .is_some_and(|it| it.contains(media_type))
    };
    let open_metrics = accepts("application/openmetrics-text");
    let media_type = if open_metrics {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    };
    let exposition = service.exposition(open_metrics);
    reply::with_type(
        StatusCode::OK,
        HeaderValue::from_static(media_type),
        exposition,
    )
}

/// `/health` and `/ready`. A service is ready when its database answers.
async fn probe(service: &Inner, endpoint: &'static Endpoint) -> Response<ReplyBody> {
    if hangs(service, Some(endpoint)).await {
        return reply::abort();
    }
    let broken = match &service.database {
        Some(database) if endpoint.action == Action::Ready => {
            database.run(&Query::CountUsers).err()
        }
        _ => None,
    };
    match broken {
        None => {
            let version = serde_json::Value::from(service.version());
            let name = &service.config.name;
            let body = format!(r#"{{"status":"ok","service":"{name}","version":{version}}}"#);
            reply::json(StatusCode::OK, body)
        }
        Some(error) => {
            let body = reply::error_json(&format!("the database does not answer: {error}"));
            reply::json(StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}

/// The way of a request through faults and work; none where the connection is to break.
async fn answer(
    service: &Arc<Inner>,
    endpoint: &'static Endpoint,
    request: &mut Request<Incoming>,
    observed: &Observation,
) -> Option<Outcome> {
    let effect = service.faults.at(Point::Request(Some(endpoint)));
    match service.faults.undergo(effect).await {
        Then::Continue => {}
        Then::Fail(status) => return Some(failed_by_fault(status)),
        Then::Abort | Then::Hang => return None,
    }
    let outcome = act(service, endpoint, request, observed).await;
    let effect = service.faults.at(Point::Response(endpoint));
    match service.faults.undergo(effect).await {
        Then::Continue => Some(outcome),
        Then::Fail(status) => Some(failed_by_fault(status)),
        Then::Abort | Then::Hang => None,
    }
}

/// What a fault answers looks like any failure: who looks into it must find out what it is.
fn failed_by_fault(status: u16) -> Outcome {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = status.canonical_reason().unwrap_or("failed");
    Outcome::failed(status, reason.to_lowercase())
}

async fn act(
    service: &Arc<Inner>,
    endpoint: &'static Endpoint,
    request: &mut Request<Incoming>,
    observed: &Observation,
) -> Outcome {
    let asked_ms = match endpoint.action {
        Action::Slow => slow_ms(request.uri().query()),
        _ => None,
    };
    work(
        service,
        asked_ms.unwrap_or(endpoint.work_ms),
        asked_ms.is_some(),
    )
    .await;
    let Routed::Found(_, id) = route(
        std::slice::from_ref(endpoint),
        endpoint.method(),
        request.uri().path(),
    ) else {
        return Outcome::failed(StatusCode::NOT_FOUND, "no such endpoint");
    };
    let parent = observed.context();
    let user_id = || {
        id.and_then(|id| id.parse::<i64>().ok())
            .ok_or_else(|| Outcome::failed(StatusCode::BAD_REQUEST, "the id of a user is a number"))
    };
    let outcome = match endpoint.action {
        Action::Greet => Ok(Outcome::ok(greeting(service))),
        Action::Health | Action::Ready => Ok(Outcome::ok("{}")),
        Action::Slow => Ok(Outcome::ok(r#"{"status":"slow"}"#)),
        Action::Forward { upstream, to } => {
            let tracestate = tracestate(request.headers());
            Ok(forward(service, upstream, to, id, parent, tracestate).await)
        }
        Action::PlaceOrder => Ok(place_order(service, parent, tracestate(request.headers())).await),
        Action::Charge => Ok(Outcome::ok(r#"{"status":"charged"}"#)),
        Action::ListUsers => query(service, Query::ListUsers, parent).await,
        Action::UserStats => query(service, Query::CountUsers, parent).await,
        Action::DeleteUsers => query(service, Query::DeleteUsers, parent).await,
        Action::GetUser => match user_id() {
            Ok(id) => query(service, Query::GetUser(id), parent).await,
            Err(outcome) => Err(outcome),
        },
        Action::DeleteUser => match user_id() {
            Ok(id) => query(service, Query::DeleteUser(id), parent).await,
            Err(outcome) => Err(outcome),
        },
        Action::CreateUser => match new_user(request.body_mut()).await {
            Ok(new) => query(service, new, parent).await.map(|outcome| Outcome {
                status: if outcome.status == StatusCode::OK {
                    StatusCode::CREATED
                } else {
                    outcome.status
                },
                ..outcome
            }),
            Err(outcome) => Err(outcome),
        },
    };
    outcome.unwrap_or_else(|failed| failed)
}

/// The service's own work: longer on a host under pressure; exactly so long where the caller has said it.
async fn work(service: &Inner, median_ms: f64, exactly: bool) {
    let drawn = if exactly {
        std::time::Duration::from_secs_f64(median_ms / 1000.0)
    } else {
        service.times.draw(median_ms)
    };
    let slowdown = service.host.slowdown();
    let work = if slowdown > 1.0 {
        drawn.mul_f64(slowdown)
    } else {
        drawn
    };
    service.env.clock().sleep(work).await;
    service.host.worked(drawn);
}

fn greeting(service: &Inner) -> String {
    let version = serde_json::Value::from(service.version());
    format!(
        r#"{{"service":"{}","version":{version},"message":"Hello from {}"}}"#,
        service.config.name, service.config.name
    )
}

/// `/slow?ms=1500`: the time that the caller asks for.
fn slow_ms(query: Option<&str>) -> Option<f64> {
    query?
        .split('&')
        .find_map(|pair| pair.strip_prefix("ms="))?
        .parse()
        .ok()
        .filter(|ms| (0.0..=SLOW_MS_MAX).contains(ms))
}

fn tracestate(headers: &HeaderMap) -> Option<HeaderValue> {
    headers
        .get(TRACESTATE)
        .filter(|value| value.len() <= TRACESTATE_BYTES_MAX)
        .cloned()
}

async fn forward(
    service: &Arc<Inner>,
    upstream: &str,
    name: &'static str,
    id: Option<&str>,
    parent: Option<TraceParent>,
    tracestate: Option<HeaderValue>,
) -> Outcome {
    let asked = Call {
        upstream,
        name,
        id,
        parent,
        tracestate,
    };
    // Boxed, because most requests make no call: what all of them would have to carry is five times as large with one.
    match Box::pin(call(service, &asked)).await {
        Ok((status, body)) => Outcome {
            reason: status
                .is_client_error()
                .then(|| format!("{upstream} answered {}", status.as_u16())),
            status,
            body,
            allow: None,
        },
        Err(error) => Outcome::failed(error.status, error.to_string()),
    }
}

async fn place_order(
    service: &Arc<Inner>,
    parent: Option<TraceParent>,
    tracestate: Option<HeaderValue>,
) -> Outcome {
    let order = Query::PlaceOrder(service.next_order());
    let placed = match query(service, order, parent).await {
        Ok(placed) => placed,
        Err(failed) => return failed,
    };
    let charged = forward(
        service,
        "payments",
        "POST /payments",
        None,
        parent,
        tracestate,
    )
    .await;
    if charged.status.is_success() {
        placed
    } else {
        charged
    }
}

/// Asks the database, with a span of its own.
async fn query(
    service: &Inner,
    query: Query,
    parent: Option<TraceParent>,
) -> Result<Outcome, Outcome> {
    let Some(database) = &service.database else {
        let reason = "this service has no database";
        return Err(Outcome::failed(StatusCode::INTERNAL_SERVER_ERROR, reason));
    };
    let attributes = Attributes::new()
        .with("db.system.name", "sqlite")
        .with("db.namespace", query.table())
        .with("db.collection.name", query.table())
        .with("db.operation.name", query.operation())
        .with("db.query.text", query.text())
        .with_shared("server.address", &service.server_address);
    let mut span = service
        .telemetry
        .span(Side::Client, "db.query", parent, attributes);
    // Held until the answer is there: a slow database uses its pool up.
    let _connection = database.connection().await;
    let effect = service.faults.at(Point::Query);
    let failed = match service.faults.undergo(effect).await {
        Then::Continue => None,
        Then::Fail(status) => Some((status, "database is locked")),
        Then::Abort | Then::Hang => Some((500, "the connection to the database broke")),
    };
    if let Some((status, reason)) = failed {
        span.fail("database_error", reason);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return Err(Outcome::failed(status, format!("database: {reason}")));
    }
    let time = service.times.draw(query.median_ms());
    service.env.clock().sleep(time).await;
    match database.run(&query) {
        Ok(found) => Ok(Outcome::found(found)),
        Err(error) => {
            span.fail("sqlite_error", error.to_string());
            let reason = format!("database: {error}");
            Err(Outcome::failed(StatusCode::INTERNAL_SERVER_ERROR, reason))
        }
    }
}

/// The body of `POST /users`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    email: String,
}

async fn new_user(body: &mut Incoming) -> Result<Query, Outcome> {
    let bytes = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let reason = format!("the body is larger than {BODY_BYTES_MAX} bytes");
            return Err(Outcome::failed(StatusCode::PAYLOAD_TOO_LARGE, reason));
        }
        Err(error) => {
            let reason = format!("the body broke off: {error}");
            return Err(Outcome::failed(StatusCode::BAD_REQUEST, reason));
        }
    };
    let bad = |reason: String| Outcome::failed(StatusCode::BAD_REQUEST, reason);
    let user: NewUser = serde_json::from_slice(&bytes).map_err(|error| {
        bad(format!(
            r#"expected {{"name": "...", "email": "..."}}: {error}"#
        ))
    })?;
    for (field, text) in [("name", &user.name), ("email", &user.email)] {
        if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX {
            return Err(bad(format!(
                "{field} must have 1 to {TEXT_BYTES_MAX} bytes"
            )));
        }
    }
    if !user.email.contains('@') {
        return Err(bad("email must have an @".to_owned()));
    }
    Ok(Query::CreateUser(user.name, user.email))
}
