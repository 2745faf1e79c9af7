//! One request, observed once: its span, its log line and its metrics.

use std::borrow::Cow;
use std::sync::Arc;

use gameday_env::Env;
use gameday_signal::{Timestamp, hex};

use crate::config::Level;
use crate::metrics::Answered;
use crate::service::Inner;
use crate::telemetry::{Attributes, Side, Span};
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
    /// Method and route; of a request that no endpoint takes, the method.
    span_name: &'static str,
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
        let path = if path == endpoint {
            Cow::Borrowed(endpoint)
        } else {
            Cow::Owned(path.to_owned())
        };
        let mut attributes = Attributes::new()
            .with("http.request.method", method)
            .with("url.scheme", "http")
            .with("url.path", path);
        if endpoint != UNMATCHED {
            attributes = attributes.with("http.route", endpoint);
        }
        attributes = attributes
            .with_shared("server.address", &service.server_address)
            .with("server.port", i64::from(service.config.listen.port));
        let span = service
            .telemetry
            .span_at(Side::Server, span_name, parent, start, attributes);
        Self {
            service: Arc::clone(service),
            method,
            endpoint,
            span_name,
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
        let mut digits = [itoa::Buffer::new(); 2];
        let [status_digits, ms_digits] = &mut digits;
        let status = status_digits.format(status);
        let (ms, tenth) = (
            ms_digits.format(tenths / 10),
            ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"][(tenths % 10) as usize],
        );
        let (mut trace_id, mut span_id) = ([0; 32], [0; 16]);
        // Method, endpoint and name come from tables and need no escaping. Put together by hand, since every request has such a
        // line: `write!` costs five times as much, and a loop over the parts twice as much.
        line.push_str(r#"{"message":""#);
        line.push_str(word);
        line.push_str(self.span_name);
        if self.endpoint == UNMATCHED {
            line.push(' ');
            line.push_str(UNMATCHED);
        }
        line.push(' ');
        line.push_str(status);
        line.push_str(" in ");
        line.push_str(ms);
        line.push('.');
        line.push_str(tenth);
        line.push_str(r#" ms","level":""#);
        line.push_str(level.as_str());
        line.push_str(r#"","service":""#);
        line.push_str(&config.name);
        line.push_str(r#"","method":""#);
        line.push_str(self.method);
        line.push_str(r#"","endpoint":""#);
        line.push_str(self.endpoint);
        line.push_str(r#"","status_code":"#);
        line.push_str(status);
        line.push_str(r#","duration_ms":"#);
        line.push_str(ms);
        line.push('.');
        line.push_str(tenth);
        line.push_str(r#","trace_id":""#);
        line.push_str(hex(&span.trace_id.0, &mut trace_id));
        line.push_str(r#"","span_id":""#);
        line.push_str(hex(&span.span_id.0, &mut span_id));
        line.push('"');
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
