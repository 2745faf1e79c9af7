//! One request, observed once: its span, its log line and its metrics.

use std::borrow::Cow;
use std::sync::Arc;

use gameday_env::Env;
use gameday_signal::{Timestamp, hex};

use crate::config::Level;
use crate::metrics::Answered;
use crate::service::Inner;
use crate::telemetry::{Side, Span};
use crate::trace_context::TraceParent;

/// The status of a request whose caller has gone before the answer (nginx's "client closed request").
const CLIENT_CLOSED: u16 = 499;
/// The label `endpoint` of requests that no endpoint takes.
pub(crate) const UNMATCHED: &str = "unmatched";

/// A request that is being answered. Where its caller goes away, dropping it observes that.
pub(crate) struct Observation {
    service: Arc<Inner>,
    method: &'static str,
    endpoint: &'static str,
    span: Option<Span>,
    start: Timestamp,
}

impl Observation {
    /// A request has come in.
    pub(crate) fn begin(
        service: &Arc<Inner>,
        method: &'static str,
        endpoint: &'static str,
        span_name: &'static str,
        path: &str,
        parent: Option<TraceParent>,
    ) -> Self {
        service.metrics.began();
        service.host.began();
        let start = service.env.now();
        let mut span = service
            .telemetry
            .span_at(Side::Server, span_name, parent, start);
        span.set("http.request.method", method);
        span.set("url.scheme", "http");
        span.set("url.path", path.to_owned());
        if endpoint != UNMATCHED {
            span.set("http.route", endpoint);
        }
        span.set_shared("server.address", &service.server_address);
        span.set("server.port", i64::from(service.config.listen.port));
        Self {
            service: Arc::clone(service),
            method,
            endpoint,
            span: Some(span),
            start,
        }
    }

    /// What callees are told.
    pub(crate) fn context(&self) -> Option<TraceParent> {
        self.span.as_ref().map(Span::context)
    }

    /// The request has been answered; `reason` says why it failed.
    pub(crate) fn finish(mut self, status: u16, reason: Option<&str>) {
        self.observe(status, reason);
    }

    fn observe(&mut self, status: u16, reason: Option<&str>) {
        let Some(mut span) = self.span.take() else {
            return;
        };
        let env: &Env = &self.service.env;
        let now = env.now();
        let duration = now.since(self.start);
        let context = span.context();
        if status != CLIENT_CLOSED {
            span.set("http.response.status_code", i64::from(status));
        }
        if status >= 500 || status == CLIENT_CLOSED {
            let error_type = if status == CLIENT_CLOSED {
                Cow::Borrowed("cancelled")
            } else {
                Cow::Owned(status.to_string())
            };
            span.fail(error_type, reason.unwrap_or_default().to_owned());
        }
        span.end(now);
        self.service.host.ended();
        self.service.metrics.ended(&Answered {
            method: self.method,
            endpoint: self.endpoint,
            status,
            duration,
            at: now,
            span: context.sampled.then_some(context),
        });
        self.log(status, now, context, reason);
    }

    fn log(&self, status: u16, now: Timestamp, span: TraceParent, reason: Option<&str>) {
        let config = &self.service.config;
        let duration = now.since(self.start);
        let slow = duration > config.slow_over;
        let level = match status {
            500.. => Level::Error,
            CLIENT_CLOSED => Level::Warn,
            _ if slow => Level::Warn,
            _ => Level::Info,
        };
        if level < config.log_level || (level == Level::Info && !self.service.takes_access_line()) {
            return;
        }
        let mut line = String::with_capacity(384);
        let word = if slow && status < 500 {
            "slow request: "
        } else {
            ""
        };
        // In tenths of a millisecond: formatting a float costs as much as all the rest.
        let tenths = duration.as_micros() / 100;
        let (ms, tenth) = (tenths / 10, tenths % 10);
        let (mut trace_id, mut span_id) = ([0; 32], [0; 16]);
        let trace_id = hex(&span.trace_id.0, &mut trace_id);
        let span_id = hex(&span.span_id.0, &mut span_id);
        let (method, endpoint) = (self.method, self.endpoint);
        let mut digits = [itoa::Buffer::new(); 3];
        let [status_digits, ms_digits, tenth_digits] = &mut digits;
        let status = status_digits.format(status);
        let (ms, tenth) = (ms_digits.format(ms), tenth_digits.format(tenth));
        // Method, endpoint and name come from tables and need no escaping. Put together by hand, since every request has such a
        // line: `write!` costs five times as much.
        for part in [
            r#"{"message":""#,
            word,
            method,
            " ",
            endpoint,
            " ",
            status,
            " in ",
            ms,
            ".",
            tenth,
            r#" ms","level":""#,
            level.as_str(),
            r#"","service":""#,
            &config.name,
            r#"","method":""#,
            method,
            r#"","endpoint":""#,
            endpoint,
            r#"","status_code":"#,
            status,
            r#","duration_ms":"#,
            ms,
            ".",
            tenth,
            r#","trace_id":""#,
            trace_id,
            r#"","span_id":""#,
            span_id,
            "\"",
        ] {
            line.push_str(part);
        }
        if let Some(reason) = reason {
            line.push_str(r#","error":"#);
            line.push_str(&serde_json::Value::from(reason).to_string());
        }
        line.push('}');
        self.service.telemetry.log(level, line, span, now);
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.observe(
            CLIENT_CLOSED,
            Some("the caller went away before the answer"),
        );
    }
}
