//! How long it takes to dispatch 10,000 firing alerts in 1,000 groups under 100 inhibition rules, messages included.
//!
//! `cargo bench -p gameday-alerts`

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark measures the time and prints it"
)]

use std::fmt::Write as _;
use std::time::Instant;

use gameday_alerts::{Alertmanager, Config, Effect, Options, Outcome, PostableAlert, Step};
use gameday_signal::{Labels, Timestamp};

const ALERTS: usize = 10_000;
const GROUPS: usize = 1000;
const RULES: usize = 100;

fn config() -> Config {
    let mut yaml = String::from(
        "route: {receiver: web, group_by: [alertname], group_wait: 0s}\n\
         receivers: [{name: web, webhook_configs: [{url: 'http://web/'}]}]\ninhibit_rules:\n",
    );
    for rule in 0..RULES {
        let _ = writeln!(
            yaml,
            "- {{source_matchers: [severity=critical, tier=\"{rule}\"], target_matchers: [severity=~\"warning|info\", tier=\"{rule}\"], equal: [cluster, namespace]}}"
        );
    }
    Config::load("alertmanager.yml", &yaml).unwrap()
}

fn alerts() -> Vec<PostableAlert> {
    let severities = ["critical", "warning", "info", "none"];
    (0..ALERTS)
        .map(|index| PostableAlert {
            labels: Labels::new([
                ("alertname", format!("Alert{}", index % GROUPS)),
                ("cluster", format!("cluster-{}", index % 7)),
                (
                    "instance",
                    format!("10.0.{}.{}:9100", index / 250, index % 250),
                ),
                ("job", "node".to_owned()),
                ("namespace", format!("namespace-{}", index % 50)),
                ("severity", severities[index % 4].to_owned()),
                ("tier", format!("{}", index % RULES)),
            ]),
            annotations: Labels::new([
                ("summary", "something is wrong with this instance"),
                ("runbook_url", "https://runbooks.example.org/alert"),
            ]),
            ..PostableAlert::default()
        })
        .collect()
}

fn main() {
    let now = Timestamp::from_secs(1_800_000_000);
    let mut engine = Alertmanager::new(
        config(),
        Options {
            started_at: now,
            ..Options::default()
        },
    );
    let alerts = alerts();
    let start = Instant::now();
    engine.receive(alerts, now).unwrap();
    let received = start.elapsed();
    let effects = engine.tick(now);
    let ticked = start.elapsed();
    let (mut messages, mut bytes, mut told) = (0, 0, 0);
    for effect in effects {
        let Effect::Notify(notification) = effect else {
            continue;
        };
        if let Step::Request(request) =
            engine.next_step(&notification, &[], &|_| Err(String::new()), now)
        {
            bytes += request.body.len();
        }
        messages += 1;
        told += notification.alerts.len();
        engine.report(notification.id, Outcome::Delivered, now);
    }
    let done = start.elapsed();
    println!(
        "{ALERTS} alerts, {GROUPS} groups, {RULES} inhibition rules: {messages} messages about {told} alerts, {bytes} bytes"
    );
    println!(
        "receive {received:.1?}, flush {:.1?}, render and report {:.1?}, together {done:.1?}",
        ticked - received,
        done - ticked
    );
    let start = Instant::now();
    let snapshot = engine.snapshot();
    println!(
        "snapshot of {} bytes in {:.1?}",
        snapshot.len(),
        start.elapsed()
    );
}
