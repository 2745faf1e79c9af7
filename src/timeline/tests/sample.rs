//! Records made by hand: an incident from t0 to t11, one that failed, and one full of hostile texts.

use std::time::Duration;

use gameday_signal::{Event, EventKind, FaultEnd, Labels, Timestamp};

use crate::timeline::*;

/// 2026-01-05T09:00:00Z, a Monday.
const EPOCH_SECS: i64 = 1_767_603_600;
/// The fault comes after half an hour.
const T0_SECS: f64 = 1800.0;

fn at(secs: f64) -> Timestamp {
    Timestamp::from_millis(EPOCH_SECS * 1000 + (secs * 1000.0).round() as i64)
}

struct Journal(Vec<Event>);

impl Journal {
    /// Records an event `secs` after the beginning and returns its number.
    fn add(&mut self, secs: f64, kind: EventKind) -> u64 {
        let seq = self.0.len() as u64;
        self.0.push(Event {
            at: at(secs),
            seq,
            kind,
        });
        seq
    }
}

fn fast_burn() -> Labels {
    Labels::new([
        ("alertname", "LatencyFastBurn"),
        ("severity", "critical"),
        ("service", "checkout"),
        ("slo", "checkout-latency"),
    ])
}

fn slow_burn() -> Labels {
    fast_burn()
        .with("alertname", "LatencySlowBurn")
        .with("severity", "warning")
}

fn slack(status: &str, value: &str) -> EventKind {
    let firing = status == "firing";
    let (tag, colour) = if firing {
        ("FIRING:1", "danger")
    } else {
        ("RESOLVED", "good")
    };
    let payload = format!(
        r##"{{"channel":"#checkout-oncall","username":"Alertmanager","attachments":[{{"fallback":"[{tag}] LatencyFastBurn","color":"{colour}","title":"[{tag}] LatencyFastBurn checkout (critical)","title_link":"http://alertmanager:9093/#/alerts?receiver=slack","text":"*Checkout is slow*: {value} of the requests of the last hour took longer than 500 ms.\nBurn rate over 1h and 5m is above 14.4: the month's error budget would be gone in *2 days*.","fields":[{{"title":"Severity","value":"critical","short":true}},{{"title":"Service","value":"`checkout`","short":true}}],"actions":[{{"type":"button","text":"Runbook","url":"https://runbooks.example/latency-fast-burn.md"}},{{"type":"button","text":"Dashboard","url":"https://grafana.example/d/golden-signals"}}],"footer":"gameday"}}]}}"##
    );
    let both = vec![fast_burn()];
    EventKind::Notified {
        receiver: "slack".to_owned(),
        integration: "slack".to_owned(),
        status: status.to_owned(),
        group_labels: Labels::new([("alertname", "LatencyFastBurn"), ("service", "checkout")]),
        firing: if firing { both.clone() } else { Vec::new() },
        resolved: if firing { Vec::new() } else { both },
        payload,
    }
}

fn journal() -> Journal {
    let fault = || "slow-checkout-db".to_owned();
    let slo = || "checkout-latency".to_owned();
    let mut journal = Journal(Vec::new());
    let mut add = |secs: f64, kind| journal.add(secs, kind);
    let phase = |phase: &str| EventKind::PhaseStarted {
        phase: phase.to_owned(),
    };
    add(0.0, phase("steady state"));
    add(
        0.0,
        EventKind::LoadChanged {
            requests_per_second: 10.0,
        },
    );
    add(1800.0, phase("fault in force"));
    add(
        1800.0,
        EventKind::FaultInjected {
            fault: fault(),
            description: "latency of 800ms, jitter 100ms, on db.query of checkout".to_owned(),
        },
    );
    add(1800.12, EventKind::FaultTouched { fault: fault() });
    add(
        1800.973,
        EventKind::FirstBadEvent {
            slo: slo(),
            detail: "GET /api/checkout took 853 ms, threshold 500 ms".to_owned(),
        },
    );
    add(
        1815.0,
        EventKind::SliBreached {
            slo: slo(),
            bad_ratio: 0.42,
            threshold: 0.01,
        },
    );
    add(
        1980.0,
        EventKind::AlertPending {
            labels: slow_burn(),
            value: 6.1,
        },
    );
    add(
        2122.0,
        EventKind::AlertPending {
            labels: fast_burn(),
            value: 14.55,
        },
    );
    add(
        2182.0,
        EventKind::AlertFiring {
            labels: fast_burn(),
            annotations: Labels::new([
                (
                    "summary",
                    "Checkout burns its latency budget 14.4 times too fast",
                ),
                (
                    "runbook_url",
                    "https://runbooks.example/latency-fast-burn.md",
                ),
                ("dashboard_url", "https://grafana.example/d/golden-signals"),
            ]),
            value: 17.0,
        },
    );
    add(2212.04, slack("firing", "17 %"));
    add(
        2275.0,
        EventKind::Acknowledged {
            alert: "LatencyFastBurn".to_owned(),
        },
    );
    add(
        2290.5,
        EventKind::Diagnosed {
            trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
            finding: "slowest span is db.query of checkout".to_owned(),
        },
    );
    add(2400.0, phase("recovery"));
    add(
        2400.0,
        EventKind::FaultCleared {
            fault: fault(),
            end: FaultEnd::Cleared,
            touched: 5987,
        },
    );
    add(
        2401.0,
        EventKind::FaultProvenGone {
            fault: fault(),
            evidence: "a probe of GET /api/checkout took 31 ms".to_owned(),
        },
    );
    add(
        2415.0,
        EventKind::SliRestored {
            slo: slo(),
            bad_ratio: 0.0,
        },
    );
    add(
        2690.0,
        EventKind::AlertDropped {
            labels: slow_burn(),
        },
    );
    add(
        2692.0,
        EventKind::AlertResolved {
            labels: fast_burn(),
            fired_at: at(2182.0),
        },
    );
    add(2699.02, slack("resolved", "0 %"));
    journal
}

fn steps() -> Vec<StepRecord> {
    [
        ("Given", "the game day \"latency-injection\"", "4 services, 10 requests/s"),
        ("And", "the stack is quiet for 30 minutes", "no alert pending or firing"),
        ("When", "fault \"slow-checkout-db\" is injected", "in force at 09:30:00"),
        ("Then", "alert \"LatencyFastBurn\" should become pending within 6 minutes", "after 5m22s"),
        ("And", "alert \"LatencyFastBurn\" should be firing within 8 minutes with", "after 6m22s"),
        ("And", "receiver \"slack\" should be notified of it once within 1 minute, with its value, dashboard and runbook", "after 30.04s: value 17 %, both links"),
        ("And", "the burn rate of \"checkout-latency\" over 1h should exceed 14.4", "17"),
        ("And", "a warning log line of \"checkout\" should lead to a trace whose slowest span is \"db.query\"", "db.query, 811ms of 842ms"),
        ("And", "the runbook of \"LatencyFastBurn\" should exist with every required section", "6 sections"),
        ("When", "fault \"slow-checkout-db\" is cleared", "cleared at 09:40:00, proven gone"),
        ("Then", "alert \"LatencyFastBurn\" should resolve within 6 minutes", "after 4m52s"),
        ("And", "receiver \"slack\" should be told that it is resolved", "after 7.02s"),
        ("And", "no other alert should have fired", "1 alert fired"),
    ]
    .into_iter()
    .enumerate()
    .map(|(index, (keyword, text, observed))| {
        let place = Place::new("features/latency-injection.feature", 6 + index);
        let mut step = StepRecord::new(keyword, text, place);
        step.status = StepStatus::Passed;
        step.observed = observed.to_owned();
        if text.ends_with("with") {
            let row = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
            step.table = vec![row("severity", "critical"), row("service", "checkout")];
        }
        step
    })
    .collect()
}

/// A value every 15 seconds.
fn series(name: &str, ended_secs: f64, value: impl Fn(f64) -> f64) -> ChartSeries {
    let count = (ended_secs / 15.0) as usize;
    ChartSeries {
        name: name.to_owned(),
        points: (0..=count)
            .map(|index| index as f64 * 15.0)
            .map(|secs| (at(secs), value(secs)))
            .collect(),
    }
}

/// A repeatable wobble between -1 and 1.
fn wobble(secs: f64) -> f64 {
    (secs * 0.7).sin() * 0.6 + (secs * 0.13).sin() * 0.4
}

/// The share of bad requests in a window that ends at `secs`, if all are bad from 1801 to 2400 s.
fn bad_share(secs: f64, window_secs: f64) -> f64 {
    let from = (secs - window_secs).max(0.0);
    let bad = (secs.min(2400.0) - from.max(1801.0)).max(0.0);
    if secs > from {
        bad / (secs - from)
    } else {
        0.0
    }
}

fn charts(ended_secs: f64) -> Vec<Chart> {
    let threshold = |name: &str, value| Threshold {
        name: name.to_owned(),
        value,
    };
    vec![
        Chart {
            title: "SLI checkout-latency: requests slower than 500 ms".to_owned(),
            unit: "ratio".to_owned(),
            query: "1 - sum(rate(http_request_duration_seconds_bucket{service=\"checkout\", le=\"0.5\"}[1m])) / sum(rate(http_request_duration_seconds_count{service=\"checkout\"}[1m]))".to_owned(),
            series: vec![series("bad ratio over 1m", ended_secs, |secs| bad_share(secs, 60.0))],
            thresholds: vec![threshold("objective 99 %", 0.01)],
        },
        Chart {
            title: "Burn rate of checkout-latency".to_owned(),
            query: "slo:burn_rate:ratio{slo=\"checkout-latency\"}".to_owned(),
            series: vec![
                series("over 1h", ended_secs, |secs| bad_share(secs, 3600.0) * 100.0),
                series("over 5m", ended_secs, |secs| bad_share(secs, 300.0) * 100.0),
                series("over 6h", ended_secs, |secs| bad_share(secs, 21_600.0) * 100.0),
            ],
            thresholds: vec![threshold("page", 14.4), threshold("ticket", 6.0)],
            ..Chart::default()
        },
        Chart {
            title: "Latency of GET /api/checkout".to_owned(),
            unit: "s".to_owned(),
            series: vec![
                series("p95", ended_secs, |secs| {
                    let slow = (1800.0..=2400.0).contains(&secs);
                    let base = if slow { 0.88 } else { 0.035 };
                    if (600.0..660.0).contains(&secs) { f64::NAN } else { base * (1.0 + 0.06 * wobble(secs)) }
                }),
                series("p50", ended_secs, |secs| {
                    let slow = (1800.0..=2400.0).contains(&secs);
                    let base = if slow { 0.81 } else { 0.018 };
                    base * (1.0 + 0.03 * wobble(secs + 40.0))
                }),
            ],
            thresholds: vec![threshold("SLO", 0.5)],
            ..Chart::default()
        },
    ]
}

fn drill_down() -> DrillDown {
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let log = |secs, severity: &str, message: &str, trace_id: &str| LogLine {
        at: at(secs),
        service: "checkout".to_owned(),
        severity: severity.to_owned(),
        line: format!(
            "{{\"level\":\"{severity}\",\"msg\":\"{message}\",\"trace_id\":\"{trace_id}\",\"service\":\"checkout\"}}"
        ),
        trace_id: trace_id.to_owned(),
    };
    let span = |service: &str,
                name: &str,
                depth,
                from_ms,
                took_ms,
                self_ms,
                attributes: &[(&str, &str)]| SpanRow {
        service: service.to_owned(),
        name: name.to_owned(),
        start_offset: Duration::from_micros(from_ms),
        duration: Duration::from_micros(took_ms),
        self_time: Duration::from_micros(self_ms),
        depth,
        error: false,
        attributes: attributes
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    };
    DrillDown {
        title: "slow query in checkout's database".to_owned(),
        query: "{service_name=\"checkout\"} | json | level=`warn` |= \"slow\"".to_owned(),
        log_lines: vec![
            log(
                1843.2,
                "warn",
                "slow query: 804 ms",
                "5b8efff798038103d269b633813fc60c",
            ),
            log(2287.1, "warn", "slow query: 811 ms", trace_id),
        ],
        trace_id: trace_id.to_owned(),
        spans: vec![
            span(
                "frontend",
                "GET /api/checkout",
                0,
                0,
                842_000,
                1_500,
                &[("http.response.status_code", "200")],
            ),
            span(
                "frontend",
                "POST checkout:8080",
                1,
                1_000,
                840_500,
                2_100,
                &[],
            ),
            span(
                "checkout",
                "POST /checkout",
                2,
                2_200,
                838_400,
                6_300,
                &[("http.route", "/checkout")],
            ),
            span(
                "checkout",
                "db.query",
                3,
                4_100,
                811_000,
                811_000,
                &[
                    ("db.system.name", "sqlite"),
                    ("db.query.text", "SELECT price FROM carts WHERE id = ?"),
                ],
            ),
            span(
                "checkout",
                "POST payments:8080",
                3,
                816_000,
                21_100,
                900,
                &[],
            ),
            span("payments", "POST /pay", 4, 817_000, 20_200, 20_200, &[]),
        ],
        reasoning: vec![
            "The log line of 09:38:07.100 names trace 0af7651916cd43dd8448eb211c80319c.".to_owned(),
            "Of its 842ms the span db.query of checkout takes 811ms by itself, 96.3 %.".to_owned(),
        ],
    }
}

fn alerts() -> Vec<AlertRecord> {
    let mut fast = AlertRecord::new("LatencyFastBurn", Expectation::Expected);
    fast.slo = Some("checkout-latency".to_owned());
    fast.timing = Some(AlertTiming {
        windows: vec![
            WindowCondition::burn_rate(Duration::from_secs(3600), 14.4, 0.99),
            WindowCondition::burn_rate(Duration::from_secs(300), 14.4, 0.99),
        ],
        bad_ratio_before: 0.0,
        bad_ratio_during: 1.0,
        recorded_before: Duration::from_secs(1800),
        crossed_at: None,
        scrape_interval: Duration::from_secs(15),
        scrape_phase: Some(Duration::from_secs(3)),
        evaluation_interval: Duration::from_secs(15),
        evaluation_phase: Some(Duration::from_secs(7)),
        for_duration: Duration::from_secs(60),
        group_wait: Duration::from_secs(30),
    });
    let mut slow = AlertRecord::new("LatencySlowBurn", Expectation::Allowed);
    slow.slo = Some("checkout-latency".to_owned());
    vec![fast, slow]
}

/// A latency incident from t0 to t11, in which everything held.
pub(super) fn latency() -> RunRecord {
    let ended_secs = 3000.0;
    let mut record = RunRecord::new("latency-injection", "Latency injection", at(0.0));
    record.description =
        "A slow database behind checkout burns the latency budget; the owner must be paged before the month's budget suffers."
            .to_owned();
    record.gameday_version = "0.1.0".to_owned();
    record.seed = 42;
    record.ended = at(ended_secs);
    let name = "a slow database burns the latency budget and pages the owner";
    let mut scenario = ScenarioRecord::new("Latency injection", name, at(0.0));
    scenario.place = Place::new("features/latency-injection.feature", 5);
    scenario.ended = at(ended_secs);
    scenario.verdict = Verdict::held();
    scenario.steps = steps();
    scenario.events = journal().0;
    scenario.faults = FaultRecord::from_events(&scenario.events);
    scenario.charts = charts(ended_secs);
    scenario.drill_downs = vec![drill_down()];
    scenario.alerts = alerts();
    scenario.slos = vec![SloRecord {
        name: "checkout-latency".to_owned(),
        objective: 0.99,
        window: Duration::from_secs(30 * 86_400),
        total_events: 6140,
        bad_events: 5987,
        budget_burnt_ratio: Some(0.0231),
        burn_rate_max: Some(25.0),
    }];
    let quantile = |quantile, ms| LatencyQuantile {
        quantile,
        latency: Duration::from_millis(ms),
    };
    let endpoint = |endpoint: &str, sent, failed, ms| EndpointLoad {
        endpoint: endpoint.to_owned(),
        sent,
        failed,
        latency_p95: Duration::from_millis(ms),
    };
    scenario.load = Some(LoadSummary {
        sent: 29_987,
        answered: 29_987,
        failed: 3,
        latencies: vec![
            quantile(0.5, 19),
            quantile(0.95, 861),
            quantile(0.99, 934),
            quantile(1.0, 1012),
        ],
        endpoints: vec![
            endpoint("GET /api/checkout", 14_990, 0, 902),
            endpoint("GET /api/users", 9010, 3, 31),
            endpoint("GET /", 5987, 0, 9),
        ],
    });
    record.scenarios.push(scenario);
    record.conclude();
    record
}

/// The same incident with a rule that never fires, played on the real clock in compressed time; and a scenario that was not
/// reached by any load.
pub(super) fn failed() -> RunRecord {
    let mut record = latency();
    record.name = "error-burst".to_owned();
    record.title = "Error burst".to_owned();
    record.clock = ClockKind::Real;
    record.compress = Some(60.0);
    let scenario = &mut record.scenarios[0];
    scenario.events.retain(|event| {
        !matches!(
            &event.kind,
            EventKind::AlertFiring { .. }
                | EventKind::AlertResolved { .. }
                | EventKind::Notified { .. }
                | EventKind::Acknowledged { .. }
        )
    });
    let unexpected = Labels::new([("alertname", "HighCpu"), ("severity", "warning")]);
    scenario.events.push(Event {
        at: at(2000.0),
        seq: 900,
        kind: EventKind::AlertFiring {
            labels: unexpected.clone(),
            annotations: Labels::empty(),
            value: 0.93,
        },
    });
    let missing = AlertRecord::new("ErrorFastBurn", Expectation::Expected);
    scenario.alerts.push(missing);
    for step in &mut scenario.steps[4..] {
        step.status = StepStatus::Skipped;
        step.observed = String::new();
    }
    scenario.steps[3].status = StepStatus::Failed;
    scenario.steps[3].failure = Some(StepFailure {
        expected: "alert \"ErrorFastBurn\" pending within 6 minutes of 09:30:00, at the latest at 09:36:00".to_owned(),
        observed: "it was never seen; HighCpu is firing\nits expression returned no series".to_owned(),
        query: "sum(rate(http_requests_total{status_code=~\"5..\"}[5m])) / clamp_min(sum(rate(http_requests_total[5m])), 1)".to_owned(),
        nearest: vec![3, 900],
        link: Some("http://localhost:3000/explore?from=1".to_owned()),
    });
    scenario.verdict = Verdict::new(
        Outcome::Failed,
        [
            "alert \"ErrorFastBurn\" was never seen",
            "alert HighCpu fired, which nobody expected",
        ],
    );
    let mut unproven = ScenarioRecord::new("Error burst", "no load at all", at(0.0));
    unproven.ended = at(600.0);
    unproven.verdict = Verdict::new(Outcome::Inconclusive, ["the load sent no request"]);
    let mut step = StepRecord::new("Then", "no alert should have fired", Place::new("f", 9));
    step.status = StepStatus::Inconclusive;
    step.observed = "no series found".to_owned();
    unproven.steps.push(step);
    record.scenarios.push(unproven);
    record.conclude();
    record
}

/// Texts that want out of their format, each with a mark by which a test finds it.
pub(super) const HOSTILE: &str = "HOSTILE<script>alert('x')</script>\"]]>&lt;|`*_~[a](javascript:b)\u{1b}[2J\u{9b}31m\u{202e}\0\r\n# h\n{{ 7*7 }}</pre></title></svg>\u{ffff}";

/// A record in which every text that can come from outside is hostile.
pub(super) fn hostile() -> RunRecord {
    let text = || HOSTILE.to_owned();
    let mut record = failed();
    record.name = text();
    record.title = text();
    record.description = text();
    record.gameday_version = text();
    for scenario in &mut record.scenarios {
        scenario.feature = text();
        scenario.name = text();
        scenario.place = Place::new(text(), 3);
        scenario.verdict.reasons = vec![text()];
        for step in &mut scenario.steps {
            step.keyword = text();
            step.text = text();
            step.observed = text();
            step.table = vec![vec![text(), text()]];
            step.place = Place::new(text(), 1);
            if let Some(failure) = &mut step.failure {
                failure.expected = text();
                failure.observed = text();
                failure.query = text();
                failure.link = Some(format!("javascript:{HOSTILE}"));
            }
        }
        scenario.events = hostile_events();
        scenario.faults = FaultRecord::from_events(&scenario.events);
        for chart in &mut scenario.charts {
            chart.title = text();
            chart.unit = text();
            chart.query = text();
            for series in &mut chart.series {
                series.name = text();
                series.points.push((at(5.0), f64::NEG_INFINITY));
            }
            for threshold in &mut chart.thresholds {
                threshold.name = text();
            }
        }
        for drill_down in &mut scenario.drill_downs {
            drill_down.title = text();
            drill_down.query = text();
            drill_down.trace_id = text();
            drill_down.reasoning = vec![text()];
            for log in &mut drill_down.log_lines {
                log.service = text();
                log.severity = text();
                log.line = text();
                log.trace_id = text();
            }
            for span in &mut drill_down.spans {
                span.service = text();
                span.name = text();
                span.attributes = vec![(text(), text())];
            }
        }
        for slo in &mut scenario.slos {
            slo.name = text();
            slo.budget_burnt_ratio = Some(f64::INFINITY);
        }
        for endpoint in scenario
            .load
            .iter_mut()
            .flat_map(|load| &mut load.endpoints)
        {
            endpoint.endpoint = text();
        }
        for alert in &mut scenario.alerts {
            alert.name = text();
            alert.slo = Some(text());
        }
    }
    record.conclude();
    record
}

fn hostile_events() -> Vec<Event> {
    let text = || HOSTILE.to_owned();
    let labels = || {
        Labels::new([
            ("alertname", HOSTILE),
            ("severity", HOSTILE),
            (HOSTILE, HOSTILE),
        ])
    };
    let mut journal = Journal(Vec::new());
    let kinds = vec![
        EventKind::PhaseStarted { phase: text() },
        EventKind::FaultInjected {
            fault: text(),
            description: text(),
        },
        EventKind::FaultTouched { fault: text() },
        EventKind::FirstBadEvent {
            slo: text(),
            detail: text(),
        },
        EventKind::SliBreached {
            slo: text(),
            bad_ratio: f64::NAN,
            threshold: f64::INFINITY,
        },
        EventKind::AlertPending {
            labels: labels(),
            value: f64::NAN,
        },
        EventKind::AlertFiring {
            labels: labels(),
            annotations: Labels::new([("runbook_url", "javascript:alert(1)"), (HOSTILE, HOSTILE)]),
            value: f64::INFINITY,
        },
        EventKind::RuleFailed {
            rule: text(),
            error: text(),
        },
        notified(&labels(), "slack", text()),
        notified(&labels(), "slack", hostile_slack()),
        notified(
            &labels(),
            "webhook",
            serde_json::json!({ HOSTILE: HOSTILE }).to_string(),
        ),
        EventKind::NotificationFailed {
            receiver: text(),
            integration: text(),
            error: text(),
        },
        EventKind::NotificationMuted {
            receiver: text(),
            alerts: vec![labels()],
            reason: text(),
        },
        EventKind::Acknowledged { alert: text() },
        EventKind::Diagnosed {
            trace_id: text(),
            finding: text(),
        },
        EventKind::TargetHealthChanged {
            labels: labels(),
            up: false,
            error: text(),
        },
        EventKind::ServiceChanged {
            service: text(),
            state: text(),
            version: text(),
        },
        EventKind::Deployed {
            service: text(),
            version: text(),
            outcome: text(),
        },
        EventKind::FaultCleared {
            fault: text(),
            end: FaultEnd::LeaseExpired,
            touched: 1,
        },
        EventKind::FaultProvenGone {
            fault: text(),
            evidence: text(),
        },
        EventKind::SliRestored {
            slo: text(),
            bad_ratio: 0.0,
        },
        EventKind::AlertResolved {
            labels: labels(),
            fired_at: at(0.0),
        },
        EventKind::AlertDropped { labels: labels() },
        EventKind::StepPassed {
            step: text(),
            observed: text(),
        },
        EventKind::StepFailed {
            step: text(),
            reason: text(),
        },
        EventKind::Note { text: text() },
    ];
    for (index, kind) in kinds.into_iter().enumerate() {
        journal.add(T0_SECS + index as f64, kind);
    }
    journal.0
}

fn notified(labels: &Labels, integration: &str, payload: String) -> EventKind {
    EventKind::Notified {
        receiver: HOSTILE.to_owned(),
        integration: integration.to_owned(),
        status: HOSTILE.to_owned(),
        group_labels: labels.clone(),
        firing: vec![labels.clone()],
        resolved: Vec::new(),
        payload,
    }
}

fn hostile_slack() -> String {
    serde_json::json!({
        "channel": HOSTILE,
        "username": HOSTILE,
        "text": HOSTILE,
        "blocks": [{"type": "header", "text": {"type": "plain_text", "text": HOSTILE}}],
        "attachments": [{
            "color": "red\" onload=\"alert(1)",
            "pretext": HOSTILE,
            "title": HOSTILE,
            "title_link": "javascript:alert(1)",
            "text": format!("<javascript:alert(1)|{HOSTILE}> <https://a.example/\"onclick=x|go>"),
            "fields": [{"title": HOSTILE, "value": HOSTILE}],
            "actions": [{"type": "button", "text": HOSTILE, "url": "data:text/html,<script>"}],
            "footer": HOSTILE
        }]
    })
    .to_string()
}
