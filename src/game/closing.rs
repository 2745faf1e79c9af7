//! What a game leaves behind for the report.

use std::time::Duration;

use gameday_signal::{Event, EventKind, FaultEnd, Timestamp, format_duration};

use super::{EarliestFiring, Game};
use crate::load::{BadCounter, ScrapeTimes};
use crate::scenario::{SloAlertSettings, SloSettings};
use crate::timeline::{
    AlertRecord, AlertTiming, Chart, ChartSeries, Expectation, FaultRecord, LatencyQuantile,
    LoadSummary, ScenarioRecord, SloRecord, Threshold, WindowCondition,
};
use crate::verify::RangeSeries;
use crate::world::StepError;

/// Points of a chart, at most.
const CHART_POINTS: u32 = 480;
/// The scrape interval of the defaults, below which a chart shows nothing more.
const CHART_STEP_MIN: Duration = Duration::from_secs(15);
/// From this share of bad events on, every request is one: what is missing was under way when the fault began.
const ALL_ARE_BAD: f64 = 0.98;
/// The window of the charts' indicators.
const CHART_WINDOW: &str = "5m";

impl Game {
    /// Ends the load and every fault, and writes everything down that the report needs.
    pub fn close(&mut self, record: &mut ScenarioRecord) {
        let end = if self.flags.interrupted() {
            FaultEnd::Interrupted
        } else {
            FaultEnd::Dropped
        };
        self.end_faults(end);
        record.charts = self.charts();
        let alerts = self.alert_records();
        let slos = self.slo_records();
        if let Some(load) = self.load.take() {
            record.load = Some(summarise(&load.recorder().summary()));
        }
        record.started = self.started;
        record.ended = self.now();
        record.events = self.events();
        record.faults = FaultRecord::from_events(&record.events);
        record.drill_downs = std::mem::take(&mut self.drill_downs);
        record.alerts = alerts;
        record.slos = slos;
    }

    fn charts(&self) -> Vec<Chart> {
        let mut charts = vec![
            self.chart("Requests by service", "req/s", "sum by (service) (rate(http_requests_total[1m]))", "service", &[]),
            self.chart(
                "Latency, 95th percentile by service",
                "s",
                "histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket[1m])))",
                "service",
                &[],
            ),
        ];
        for slo in &self.scenario.settings.slos {
            let budget = slo.budget();
            let query = slo.bad_ratio_over(CHART_WINDOW);
            let title = format!("SLI of {}: bad events over {CHART_WINDOW}", slo.name);
            charts.push(self.chart(&title, "ratio", &query, "", &[("error budget", budget)]));
            charts.push(self.burn_rate_chart(slo));
        }
        charts.retain(|chart| chart.series.iter().any(|series| !series.points.is_empty()));
        charts
    }

    fn burn_rate_chart(&self, slo: &SloSettings) -> Chart {
        let budget = slo.budget();
        let mut chart = Chart {
            title: format!("Burn rate of {}", slo.name),
            ..Chart::default()
        };
        for window in [CHART_WINDOW, "1h", "6h"] {
            let query = format!("{} / {budget}", slo.bad_ratio_over(window));
            for series in self.range(&query) {
                chart.series.push(ChartSeries {
                    name: format!("over {window}"),
                    points: series.points,
                });
            }
            chart.query = query;
        }
        for (name, value) in [("fast burn", 14.4), ("burn", 6.0)] {
            chart.thresholds.push(Threshold {
                name: name.to_owned(),
                value,
            });
        }
        chart
    }

    fn chart(
        &self,
        title: &str,
        unit: &str,
        query: &str,
        label: &str,
        thresholds: &[(&str, f64)],
    ) -> Chart {
        let named = |series: RangeSeries| {
            let value = series.labels.value_of(label);
            let name = if value.is_empty() {
                "bad events".to_owned()
            } else {
                value.to_owned()
            };
            ChartSeries {
                name,
                points: series.points,
            }
        };
        Chart {
            title: title.to_owned(),
            unit: unit.to_owned(),
            query: query.to_owned(),
            series: self.range(query).into_iter().map(named).collect(),
            thresholds: thresholds
                .iter()
                .map(|(name, value)| Threshold {
                    name: (*name).to_owned(),
                    value: *value,
                })
                .collect(),
        }
    }

    /// A query over the whole game; nothing where the stack cannot answer any more.
    fn range(&self, query: &str) -> Vec<RangeSeries> {
        let Ok(query) = self.scaled_query(query) else {
            return Vec::new();
        };
        let played = self.now().since(self.started);
        let step = (played / CHART_POINTS).max(self.scaled(CHART_STEP_MIN));
        // Whole milliseconds, so that the points of two runs lie on the same instants.
        let step =
            Duration::from_millis(u64::try_from(step.as_millis()).unwrap_or(u64::MAX).max(1));
        self.sim
            .block_on(
                self.apis
                    .query_range(&query, self.started, self.now(), step),
            )
            .unwrap_or_default()
    }

    fn alert_records(&self) -> Vec<AlertRecord> {
        let mut names: Vec<String> = self.expected.iter().cloned().collect();
        for labels in self.fired_since(self.started) {
            let name = labels.value_of("alertname").to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.sort();
        names
            .into_iter()
            .map(|name| self.alert_record(name))
            .collect()
    }

    fn alert_record(&self, name: String) -> AlertRecord {
        let allowed = self.scenario.settings.may_fire.contains(&name);
        let expectation = match (self.expected.contains(&name), allowed) {
            (true, _) => Expectation::Expected,
            (false, true) => Expectation::Allowed,
            (false, false) => Expectation::Unexpected,
        };
        let watched = self.watched_by(&name);
        let timing = watched
            .as_ref()
            .and_then(|(slo, alert)| self.timing_of(slo, alert));
        let expr = self
            .rules
            .iter()
            .find(|rule| rule.name == name)
            .map_or(String::new(), |rule| rule.query.clone());
        let slo = watched.map(|(slo, _)| slo.name.clone());
        AlertRecord {
            slo,
            expr,
            timing,
            ..AlertRecord::new(name, expectation)
        }
    }

    /// The objective that the scenario says an alert watches over.
    fn watched_by(&self, name: &str) -> Option<(&SloSettings, &SloAlertSettings)> {
        let slos = self.scenario.settings.slos.iter();
        slos.flat_map(|slo| slo.alerts.iter().map(move |alert| (slo, alert)))
            .find(|(_, alert)| alert.alert == name)
    }

    fn timing_of(&self, slo: &SloSettings, alert: &SloAlertSettings) -> Option<AlertTiming> {
        let rule = self.rules.iter().find(|rule| rule.name == alert.alert)?;
        let injected = self.injected_at?;
        let fired = self.fired_at(&alert.alert).unwrap_or_else(|| self.now());
        let sli = slo.bad_ratio_over(CHART_WINDOW);
        let query = self.scaled_query(&sli).ok()?;
        let step = self.scaled(CHART_STEP_MIN);
        let points = self
            .sim
            .block_on(self.apis.query_range(&query, self.started, fired, step))
            .ok()?;
        let values = || points.iter().flat_map(|series| &series.points);
        let before = values()
            .filter(|(at, _)| *at <= injected)
            .map(|(_, value)| *value)
            .next_back()
            .unwrap_or(0.0);
        let during = values()
            .filter(|(at, _)| *at > injected)
            .map(|(_, value)| *value)
            .fold(0.0, f64::max);
        let phases = self.sim.block_on(self.apis.phases(&rule.group)).ok()?;
        let windows = alert.windows.iter();
        let mut timing = AlertTiming {
            windows: windows
                .map(|window| {
                    WindowCondition::burn_rate(
                        self.scaled(window.over),
                        window.burn_rate,
                        slo.objective,
                    )
                })
                .collect(),
            bad_ratio_before: before,
            bad_ratio_during: during,
            recorded_before: self.first_bad(slo).unwrap_or(injected).since(self.started),
            crossed_at: None,
            scrape_interval: phases.scrape_interval,
            scrape_phase: phases.scrape_phase,
            evaluation_interval: rule.interval,
            evaluation_phase: phases.evaluation_phase,
            for_duration: rule.hold,
            group_wait: self.scaled(
                self.stack
                    .group_wait_of(&rule.labels.with("alertname", &rule.name)),
            ),
        };
        if timing.bad_ratio_during < ALL_ARE_BAD {
            timing.crossed_at = self.crossing_of(slo, &timing);
        }
        Some(timing)
    }

    /// When the events that the load counted passed every window: where a fault hits only some requests, chance decides that.
    fn crossing_of(&self, slo: &SloSettings, timing: &AlertTiming) -> Option<Timestamp> {
        let first_bad = self.first_bad(slo)?;
        let events = self.load.as_ref()?.recorder().events_of(&slo.name)?;
        let counter = if slo.bad_event.as_ref()?.errors {
            BadCounter::OfItsOwn
        } else {
            BadCounter::RestOfGood
        };
        let times = ScrapeTimes {
            interval: timing.scrape_interval,
            phase: timing.scrape_phase?,
        };
        timing.crossing_of(first_bad, self.now(), |window, at| {
            events.bad_ratio_as_scraped(times, window, at, counter)
        })
    }

    /// When users got the first bad answer after the last injection.
    fn first_bad(&self, slo: &SloSettings) -> Option<Timestamp> {
        let injected = self.injected_at?;
        self.events()
            .into_iter()
            .find_map(|event: Event| match event.kind {
                EventKind::FirstBadEvent { slo: own, .. }
                    if own == slo.name && event.at >= injected =>
                {
                    Some(event.at)
                }
                _ => None,
            })
    }

    /// The earliest moment at which an alert of the scenario can have fired, beside the one at which it did.
    ///
    /// # Errors
    /// Where it has not fired, or the scenario does not say from which windows it follows.
    pub fn earliest_firing(&self, name: &str) -> Result<EarliestFiring, StepError> {
        self.alert_rule(name)?;
        let expected = format!("the earliest moment of alert {name}");
        let Some((slo, alert)) = self.watched_by(name) else {
            return Err(StepError::invalid(format!(
                "{name} is not listed under any objective's `alerts` in scenario.yaml"
            )));
        };
        let observed = self.fired_at(name).ok_or_else(|| {
            StepError::failed(expected.clone(), format!("alert {name} has not fired"))
        })?;
        let first_bad = self.first_bad(slo).ok_or_else(|| {
            StepError::inconclusive(
                expected.clone(),
                "no bad event was seen since the injection",
            )
        })?;
        let moments = self
            .timing_of(slo, alert)
            .and_then(|timing| timing.theoretical(first_bad));
        let moments = moments.ok_or_else(|| {
            StepError::failed(expected, "by its windows the alert could never have fired")
        })?;
        Ok(EarliestFiring {
            earliest: moments.firing.earliest,
            observed,
        })
    }

    fn slo_records(&self) -> Vec<SloRecord> {
        self.scenario
            .settings
            .slos
            .iter()
            .filter_map(|slo| self.slo_record(slo))
            .collect()
    }

    fn slo_record(&self, slo: &SloSettings) -> Option<SloRecord> {
        let events = self.events();
        let begin = self.first_bad(slo);
        let restored = events.iter().rev().find_map(|event| match &event.kind {
            EventKind::SliRestored { slo: own, .. } if *own == slo.name => Some(event.at),
            _ => None,
        });
        let end = restored.unwrap_or_else(|| self.now());
        let mut record = SloRecord {
            name: slo.name.clone(),
            objective: slo.objective,
            window: slo.window,
            total_events: 0,
            bad_events: 0,
            budget_burnt_ratio: None,
            burn_rate_max: None,
        };
        let burns = self.range(&format!("{} / {}", slo.bad_ratio_over("1h"), slo.budget()));
        let burns = burns
            .iter()
            .flat_map(|series| &series.points)
            .map(|(_, value)| *value)
            .filter(|value| value.is_finite());
        record.burn_rate_max = burns.reduce(f64::max);
        let Some(begin) = begin.filter(|begin| *begin < end) else {
            return Some(record);
        };
        // The SLI looks back 5 minutes: bad events end that long before it is restored, but the share over the whole stretch is
        // taken as the mean of the 5-minute shares, which counts each bad event once.
        let sli = self.range(&slo.bad_ratio_over(CHART_WINDOW));
        let stretch: Vec<f64> = sli
            .iter()
            .flat_map(|series| &series.points)
            .filter(|(at, value)| *at >= begin && *at <= end && value.is_finite())
            .map(|(_, value)| *value)
            .collect();
        if stretch.is_empty() {
            return Some(record);
        }
        let bad_ratio = stretch.iter().sum::<f64>() / stretch.len() as f64;
        let lasted = self.unscaled(end.since(begin));
        record.budget_burnt_ratio =
            Some(bad_ratio * lasted.as_secs_f64() / slo.window.as_secs_f64() / slo.budget());
        if let Some(total) = self.total_events(slo, end.since(begin), end) {
            record.total_events = total.round() as u64;
            record.bad_events = (total * bad_ratio).round() as u64;
        }
        Some(record)
    }

    fn total_events(&self, slo: &SloSettings, stretch: Duration, end: Timestamp) -> Option<f64> {
        let query = slo
            .events
            .as_ref()?
            .replace("$window", &format_duration(stretch));
        let samples = self.sim.block_on(self.apis.query(&query, Some(end))).ok()?;
        samples
            .iter()
            .map(|sample| sample.value)
            .find(|value| value.is_finite())
    }
}

fn summarise(summary: &crate::load::LoadSummary) -> LoadSummary {
    let latency = &summary.latency;
    let quantile = |quantile, ms: f64| LatencyQuantile {
        quantile,
        latency: Duration::from_secs_f64(ms / 1000.0),
    };
    LoadSummary {
        sent: summary.sent,
        answered: summary.answered,
        failed: summary.failed,
        latencies: vec![
            quantile(0.5, latency.p50_ms),
            quantile(0.95, latency.p95_ms),
            quantile(0.99, latency.p99_ms),
            quantile(1.0, latency.max_ms),
        ],
        endpoints: Vec::new(),
    }
}
