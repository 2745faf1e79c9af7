//! Random configurations and alert sequences: who is told what, and when.
//!
//! Posts happen at whole seconds, flushes at 0.4 s beside them, so that neither a slow machine nor a drifting timer changes the
//! order. What 0.25 does differently from 0.3x is kept out: an alert of each group fires throughout, because 0.25 keeps an empty
//! group alive for up to 30 s; nothing repeats exactly at its repeat interval.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use gameday_alerts::{
    Alertmanager, Config, Effect, Options, Outcome, PostableAlert, PostableSilence, Step,
};
use gameday_signal::Timestamp;
use serde_json::{Value, json};

use crate::server::{Server, is_installed};
use crate::sink::Sink;

/// How long a run takes, in seconds.
const SECONDS: u64 = 14;
/// How far apart the two may be.
const TOLERANCE: f64 = 0.35;

/// SplitMix64: the same seed gives the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

const GROUP_BY: [&str; 5] = [
    "[]",
    "[alertname]",
    "[team]",
    "[alertname, severity]",
    "[team, severity]",
];

fn config(random: &mut Random, port: u16) -> String {
    let mut routes = String::new();
    for _ in 0..random.below(3) {
        let matcher = random.pick(&["team=x", "severity=~\"w.*\"", "alertname!=A", "team=\"\""]);
        let receiver = random.pick(&["one", "two", "three"]);
        let continues = random.pick(&["true", "false"]);
        // An empty list in a child groups all alerts into one since 0.28; 0.25 inherits the parent's list.
        let group_by = random.pick(&GROUP_BY[1..]);
        routes.push_str(&format!(
            "  - matchers: ['{matcher}']\n    receiver: {receiver}\n    continue: {continues}\n    group_by: {group_by}\n"
        ));
    }
    let routes = if routes.is_empty() {
        routes
    } else {
        format!("  routes:\n{routes}")
    };
    let mut receivers = String::new();
    for name in ["one", "two", "three"] {
        receivers.push_str(&format!("- name: {name}\n  webhook_configs:\n"));
        for index in 0..=random.below(2) {
            let send_resolved = random.pick(&["true", "true", "false"]);
            receivers.push_str(&format!(
                "  - url: http://127.0.0.1:{port}/{name}/{index}\n    send_resolved: {send_resolved}\n"
            ));
        }
    }
    let equal = random.pick(&["[]", "[team]", "[alertname]", "[zone]"]);
    let source = random.pick(&["severity=critical", "instance=\"1\"", "alertname=B"]);
    let repeat = random.pick(&["3s", "5s", "1h"]);
    let group_by = random.pick(&GROUP_BY);
    format!(
        "route:\n  receiver: one\n  group_by: {group_by}\n  group_wait: 1s400ms\n  group_interval: 2s\n  repeat_interval: {repeat}\n{routes}inhibit_rules:\n- source_matchers: ['{source}']\n  target_matchers: ['severity=warning']\n  equal: {equal}\nreceivers:\n{receivers}"
    )
}

/// What happens at a second.
enum Act {
    Post(Vec<(BTreeMap<String, String>, bool)>),
    Silence(&'static str, &'static str),
}

fn acts(random: &mut Random) -> Vec<(u64, Act)> {
    let labels = |name: &str, team: &str, severity: &str, instance: &str| {
        let pairs = [
            ("alertname", name),
            ("team", team),
            ("severity", severity),
            ("instance", instance),
        ];
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let mut anchors = Vec::new();
    for name in ["A", "B"] {
        for team in ["x", ""] {
            for severity in ["warning", "critical"] {
                anchors.push((labels(name, team, severity, "anchor"), false));
            }
        }
    }
    let mut acts = vec![(0, Act::Post(anchors))];
    for _ in 0..12 {
        let alert = labels(
            random.pick(&["A", "B"]),
            random.pick(&["x", ""]),
            random.pick(&["warning", "critical"]),
            random.pick(&["1", "2", "3"]),
        );
        let starts = 1 + random.below(SECONDS - 4);
        acts.push((starts, Act::Post(vec![(alert.clone(), false)])));
        if random.below(3) > 0 {
            let ends = starts + 1 + random.below(SECONDS - 2 - starts);
            acts.push((ends, Act::Post(vec![(alert, true)])));
        }
    }
    if random.below(2) == 0 {
        let (name, value) =
            [("instance", "2"), ("alertname", "A")][usize::try_from(random.below(2)).unwrap()];
        acts.push((1 + random.below(6), Act::Silence(name, value)));
    }
    // At most one post of an alert a second, so that the order within a second does not matter.
    acts.sort_by_key(|(second, _)| *second);
    let mut seen = std::collections::BTreeSet::new();
    acts.retain(|(second, act)| match act {
        Act::Post(alerts) => alerts
            .iter()
            .all(|(labels, _)| seen.insert((*second, labels.clone()))),
        Act::Silence(..) => true,
    });
    acts
}

/// A message: when, to whom, and its alerts with their states.
type Line = (f64, String, Vec<String>);

fn line(at: f64, path: &str, body: &str) -> Line {
    let json: Value = serde_json::from_str(body).unwrap();
    let alerts = json["alerts"].as_array().unwrap();
    let mut alerts: Vec<_> = alerts
        .iter()
        .map(|alert| format!("{} {}", alert["labels"], alert["status"]))
        .collect();
    alerts.sort();
    (at, path.to_owned(), alerts)
}

fn post_body(alerts: &[(BTreeMap<String, String>, bool)], now: &str) -> Value {
    alerts
        .iter()
        .map(|(labels, resolved)| {
            let mut alert = json!({ "labels": labels });
            if *resolved {
                alert["endsAt"] = json!(now);
            } else {
                alert["startsAt"] = json!(now);
            }
            alert
        })
        .collect()
}

fn silence_body(name: &str, value: &str, now: &str, until: &str) -> Value {
    json!({
        "matchers": [{"name": name, "value": value, "isRegex": false}],
        "startsAt": now, "endsAt": until, "createdBy": "oracle", "comment": "oracle"
    })
}

fn theirs(config: &str, sink: &Sink, acts: &[(u64, Act)]) -> Vec<Line> {
    let server = Server::start(config);
    let start = Instant::now();
    for (second, act) in acts {
        let due = Duration::from_secs(*second);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        let now = Timestamp::from_nanos(
            i64::try_from(
                std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap()
                    .as_nanos(),
            )
            .unwrap(),
        );
        match act {
            Act::Post(alerts) => {
                let body = post_body(alerts, &now.to_string());
                server.request("POST", "/api/v2/alerts", &body.to_string());
            }
            Act::Silence(name, value) => {
                let until = now + Duration::from_millis(5200);
                // A start in the past is a start now.
                let body = silence_body(name, value, &now.to_string(), &until.to_string());
                server.request("POST", "/api/v2/silences", &body.to_string());
            }
        }
    }
    std::thread::sleep(Duration::from_secs(SECONDS).saturating_sub(start.elapsed()));
    let taken = sink.taken();
    taken
        .iter()
        .map(|taken| {
            line(
                taken.at.duration_since(start).as_secs_f64(),
                &taken.path,
                &taken.body,
            )
        })
        .collect()
}

fn ours(config: &str, acts: &[(u64, Act)]) -> Vec<Line> {
    let epoch = Timestamp::from_secs(1_800_000_000);
    let mut engine = Alertmanager::new(
        Config::load("alertmanager.yml", config).unwrap(),
        Options::default(),
    );
    let mut lines = Vec::new();
    let mut run = |engine: &mut Alertmanager, until: Timestamp| {
        while let Some(now) = engine.next_deadline().filter(|deadline| *deadline <= until) {
            for effect in engine.tick(now) {
                let Effect::Notify(notification) = effect else {
                    continue;
                };
                let step =
                    engine.next_step(&notification, &[], &|_| Err("no files".to_owned()), now);
                let Step::Request(request) = step else {
                    panic!("{step:?}")
                };
                let path = request.url.splitn(4, '/').nth(3).unwrap().to_owned();
                let body = String::from_utf8(request.body).unwrap();
                lines.push(line(
                    now.since(epoch).as_secs_f64(),
                    &format!("/{path}"),
                    &body,
                ));
                engine.report(notification.id, Outcome::Delivered, now);
            }
        }
    };
    for (second, act) in acts {
        let now = epoch + Duration::from_secs(*second);
        run(&mut engine, now);
        match act {
            Act::Post(alerts) => {
                let alerts: Vec<PostableAlert> =
                    serde_json::from_value(post_body(alerts, &now.to_string())).unwrap();
                engine.receive(alerts, now).unwrap();
            }
            Act::Silence(name, value) => {
                let until = (now + Duration::from_millis(5200)).to_string();
                let silence: PostableSilence =
                    serde_json::from_value(silence_body(name, value, &now.to_string(), &until))
                        .unwrap();
                engine.set_silence(silence, now).unwrap();
            }
        }
    }
    run(&mut engine, epoch + Duration::from_secs(SECONDS));
    lines
}

/// Pairs the messages up; gives what has no partner.
fn differences(ours: &[Line], theirs: &[Line]) -> Vec<String> {
    let mut unmatched: Vec<_> = theirs.iter().collect();
    let mut differences = Vec::new();
    for mine in ours {
        let partner = unmatched.iter().position(|their| {
            (mine.0 - their.0).abs() < TOLERANCE && (&mine.1, &mine.2) == (&their.1, &their.2)
        });
        match partner {
            Some(index) => drop(unmatched.remove(index)),
            None => differences.push(format!("only ours:   {mine:?}")),
        }
    }
    differences.extend(
        unmatched
            .iter()
            .map(|their| format!("only theirs: {their:?}")),
    );
    differences
}

#[test]
fn receivers_are_told_the_same() {
    if !is_installed() {
        return;
    }
    let Ok(seeds) = std::env::var("ORACLE") else {
        println!("skipped: set ORACLE=<number of runs> on a machine that has nothing else to do");
        return;
    };
    let first = std::env::var("ORACLE_SEED").map_or(1, |seed| seed.parse::<u64>().unwrap());
    let count = seeds.parse::<u64>().unwrap();
    let runs: Vec<_> = (first..first + count)
        .map(|seed| {
            std::thread::spawn(move || {
                let mut random = Random(seed);
                let sink = Sink::http();
                let config = config(&mut random, sink.port);
                let acts = acts(&mut random);
                let theirs = theirs(&config, &sink, &acts);
                let ours = ours(&config, &acts);
                (seed, config, theirs.len(), differences(&ours, &theirs))
            })
        })
        .collect();
    let mut failures = Vec::new();
    for run in runs {
        let (seed, config, messages, differences) = run.join().unwrap();
        println!(
            "seed {seed}: {messages} messages, {} differences",
            differences.len()
        );
        if !differences.is_empty() {
            failures.push(format!(
                "seed {seed}:\n{config}\n{}",
                differences.join("\n")
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
