//! What a person sees while a game day is played: phase, time, rate, latency, errors, burn rate and alerts.

use std::io::Write;
use std::time::Duration;

use gameday_env::{Env, Stopwatch};
use gameday_signal::format_duration;

use super::{Flags, Game};
use crate::scenario::SloSettings;
use crate::verify::Apis;
use crate::world::Progress;

/// How often a line is written, on an uncompressed clock.
const LINE: Duration = Duration::from_secs(300);
/// How often the changing line of a terminal changes, on an uncompressed clock.
const TERMINAL: Duration = Duration::from_secs(15);
/// A terminal is not drawn more often than this on the wall clock.
const DRAW_MIN: Duration = Duration::from_millis(80);

struct Watch {
    env: Env,
    apis: Apis,
    flags: Flags,
    queries: Queries,
    started: gameday_signal::Timestamp,
    compress: Option<u32>,
}

/// The queries behind the line, already scaled.
struct Queries {
    rate: String,
    p95: String,
    errors: String,
    burn: Option<(String, String)>,
}

impl Game {
    /// Starts showing progress, if it is wanted.
    pub(super) fn start_progress(&self) {
        let interval = match self.options.progress {
            Progress::Silent => return,
            Progress::Lines => self.scaled(LINE),
            Progress::Terminal => self.scaled(TERMINAL),
        };
        let scaled = |query: &str| {
            self.scaled_query(query)
                .unwrap_or_else(|_| query.to_owned())
        };
        let burn = |slo: &SloSettings| {
            (
                slo.name.clone(),
                scaled(&format!(
                    "max({} / {})",
                    slo.bad_ratio_over("1h"),
                    slo.budget()
                )),
            )
        };
        let queries = Queries {
            rate: scaled("sum(rate(http_requests_total{service=\"frontend\"}[1m]))"),
            p95: scaled(
                "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{service=\"frontend\"}[1m])))",
            ),
            errors: scaled(
                "sum(rate(http_requests_total{service=\"frontend\", status_code=~\"5..\"}[1m])) / sum(rate(http_requests_total{service=\"frontend\"}[1m]))",
            ),
            burn: self.scenario.settings.slos.first().map(burn),
        };
        let watch = Watch {
            env: self.env().clone(),
            apis: self.apis.clone(),
            flags: self.flags.clone(),
            queries,
            started: self.started,
            compress: self.options.compress,
        };
        let terminal = self.options.progress == Progress::Terminal;
        self.env().spawn(show(watch, interval, terminal));
    }
}

async fn show(watch: Watch, interval: Duration, terminal: bool) {
    let mut drawn = Stopwatch::start();
    loop {
        watch.env.clock().sleep(interval).await;
        if terminal && drawn.elapsed() < DRAW_MIN {
            continue;
        }
        drawn = Stopwatch::start();
        let line = watch.line().await;
        let mut out = std::io::stderr().lock();
        // Progress that cannot be shown is not worth a failure.
        let _ = if terminal {
            write!(out, "\r\x1b[2K{line}\r")
        } else {
            writeln!(out, "{line}")
        };
        let _ = out.flush();
    }
}

impl Watch {
    async fn line(&self) -> String {
        let played = self.env.now().since(self.started);
        let played = Duration::from_secs(
            self.compress
                .map_or(played, |divisor| played * divisor)
                .as_secs(),
        );
        let rate = self.value(&self.queries.rate).await;
        let p95 = self.value(&self.queries.p95).await;
        let errors = self.value(&self.queries.errors).await.or(rate.map(|_| 0.0));
        let burn = match &self.queries.burn {
            Some((name, query)) => self
                .value(query)
                .await
                .map(|value| format!(" | burn rate {name} 1h {value:.1}")),
            None => None,
        };
        let alerts = self.apis.active_alerts().await.unwrap_or_default();
        let mut states: Vec<String> = alerts
            .iter()
            .map(|alert| format!("{} {}", alert.labels.value_of("alertname"), alert.state))
            .collect();
        states.sort();
        states.dedup();
        let states = if states.is_empty() {
            "none".to_owned()
        } else {
            states.join(", ")
        };
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        format!(
            "{:>8} {:<28} {:>7} req/s | p95 {:>7} | errors {:>6}{} | alerts: {states}",
            format_duration(played),
            self.flags.phase(),
            or_dash(rate.map(|value| format!("{value:.1}"))),
            or_dash(p95.map(|value| format!("{:.0} ms", value * 1000.0))),
            or_dash(errors.map(|value| format!("{:.1} %", value * 100.0))),
            burn.unwrap_or_default(),
        )
    }

    async fn value(&self, query: &str) -> Option<f64> {
        let samples = self.apis.query(query, None).await.ok()?;
        samples
            .first()
            .map(|sample| sample.value)
            .filter(|value| value.is_finite())
    }
}
