//! `/federate`: the newest samples of what is selected, in the text format, for another Prometheus to scrape.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use gameday_metrics::SampleValue;
use gameday_signal::Labels;
use http::{HeaderValue, StatusCode, header};

use super::common::{Params, format_value, text};
use super::prometheus::match_groups;
use crate::shared::Shared;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/federate", get(federate))
}

async fn federate(State(shared): State<Arc<Shared>>, params: Params) -> Response {
    let groups = match match_groups(&params) {
        Ok(groups) => groups,
        Err(message) => return text(StatusCode::BAD_REQUEST, message),
    };
    let now_ms = shared.now().as_millis();
    let after_ms = now_ms.saturating_sub(shared.engine().config().lookback_ms);
    let mut samples = shared.metrics().newest_samples(&groups, after_ms, now_ms);
    samples.sort_by(|(left, ..), (right, ..)| {
        let names = left.metric_name().cmp(right.metric_name());
        names.then_with(|| left.cmp(right))
    });
    let config = shared.config();
    let body = exposition(&samples, config.external_labels());
    let mut response = text(StatusCode::OK, body);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// One family after the other (web/federate.go): the external labels where a series has none of that name, and an empty `instance`, so
/// that the one who scrapes does not put its own there. Native histograms cannot be written as text and are left out.
fn exposition(samples: &[(Labels, i64, SampleValue)], external: &Labels) -> String {
    let mut out = String::new();
    let mut family = "";
    for (labels, at_ms, value) in samples {
        let name = labels.metric_name();
        let Some(value) = value.as_float().filter(|_| !name.is_empty()) else {
            continue;
        };
        if name != family {
            family = name;
            // Writing to a String cannot fail.
            let _ = writeln!(out, "# TYPE {name} untyped");
        }
        let own = labels.iter().filter(|(label, _)| *label != "__name__");
        let added = external
            .iter()
            .filter(|(label, _)| labels.get(label).is_none());
        let has_instance = labels
            .get("instance")
            .or(external.get("instance"))
            .is_some();
        let instance = (!has_instance).then_some(("instance", ""));
        let pairs: Vec<String> = own
            .chain(added)
            .chain(instance)
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        let (labels, value) = (pairs.join(","), format_value(value));
        let _ = writeln!(out, "{name}{{{labels}}} {value} {at_ms}");
    }
    out
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_labels_and_an_instance_are_added() {
        let sample = |labels: &[(&str, &str)], value| {
            (
                Labels::new(labels.iter().copied()),
                1000,
                SampleValue::Float(value),
            )
        };
        let samples = [
            sample(
                &[("__name__", "up"), ("job", "a"), ("instance", "a:1")],
                1.0,
            ),
            sample(
                &[("__name__", "up"), ("cluster", "own"), ("path", "a\"\\\n")],
                0.5,
            ),
        ];
        let external = Labels::new([("cluster", "eu")]);
        let expected = concat!(
            "# TYPE up untyped\n",
            "up{instance=\"a:1\",job=\"a\",cluster=\"eu\"} 1 1000\n",
            "up{cluster=\"own\",path=\"a\\\"\\\\\\n\",instance=\"\"} 0.5 1000\n",
        );
        assert_eq!(exposition(&samples, &external), expected);
    }
}
