//! Groups, recording rules and the alert state machine, second by second.

use std::time::Duration;

use crate::world::{Checker, Script, World, element};
use gameday_rules::{
    Effect, Language, Options, Rules, SourceFile, parse_rule_file, scale_durations,
};
use gameday_signal::{EventKind, Labels, Timestamp};

fn options() -> Options {
    Options {
        evaluation_interval: Duration::from_secs(60),
        external_labels: Labels::new([("cluster", "eu"), ("severity", "none")]),
        external_url: "http://p.example".into(),
        ..Options::default()
    }
}

fn load(text: &str, options: Options) -> Rules {
    let files = [SourceFile {
        path: "rules.yml",
        text,
        language: Language::PromQl,
    }];
    Rules::load(&files, &Checker, options, Timestamp::EPOCH).expect("valid rules")
}

/// What happened, each effect in a line.
fn lines(effects: &[Effect]) -> Vec<String> {
    let mut lines = Vec::new();
    for effect in effects {
        match effect {
            Effect::Send(alerts) => lines.extend(alerts.iter().map(|alert| {
                format!(
                    "send {} from {} to {}",
                    alert.name(),
                    alert.starts_at.as_secs(),
                    alert.ends_at.as_secs()
                )
            })),
            Effect::Event(EventKind::AlertPending { value, .. }) => {
                lines.push(format!("pending {value}"));
            }
            Effect::Event(EventKind::AlertFiring { value, .. }) => {
                lines.push(format!("firing {value}"));
            }
            Effect::Event(EventKind::AlertDropped { .. }) => lines.push("dropped".into()),
            Effect::Event(EventKind::AlertResolved { fired_at, .. }) => {
                lines.push(format!("resolved, fired at {}", fired_at.as_secs()));
            }
            Effect::Event(EventKind::RuleFailed { rule, error }) => {
                lines.push(format!("{rule} failed: {error}"));
            }
            Effect::Event(other) => lines.push(format!("{other:?}")),
        }
    }
    lines
}

/// Runs from deadline to deadline up to `until`; gives what happened by second, seconds without anything left out.
fn run(rules: &mut Rules, world: &mut World, until: i64) -> Vec<(i64, Vec<String>)> {
    let mut happened = Vec::new();
    while let Some(at) = rules.next_deadline()
        && at <= Timestamp::from_secs(until)
    {
        let lines = lines(&rules.tick(at, world));
        if !lines.is_empty() {
            happened.push((at.as_secs(), lines));
        }
    }
    happened
}

fn check(text: &str, script: Script, until: i64, expected: &[(i64, &[&str])]) -> World {
    let mut rules = load(text, options());
    let mut world = World::new(script);
    let happened = run(&mut rules, &mut world, until);
    let happened: Vec<(i64, Vec<&str>)> = happened
        .iter()
        .map(|(at, lines)| (*at, lines.iter().map(String::as_str).collect()))
        .collect();
    let expected: Vec<(i64, Vec<&str>)> = expected
        .iter()
        .map(|(at, lines)| (*at, lines.to_vec()))
        .collect();
    assert_eq!(happened, expected);
    world
}

#[test]
fn an_alert_holds_fires_and_resolves() {
    let world = check(
        "groups: [{name: g, rules: [{alert: A, expr: x, for: 2m}]}]",
        |_, _, second| {
            // Seen from 120 to 360, not at 240; then again from 420 on.
            let seen = (120..=180).contains(&second) || (300..=540).contains(&second);
            Ok(if seen {
                vec![element([("__name__", "x"), ("job", "a")], second as f64)]
            } else {
                Vec::new()
            })
        },
        780,
        &[
            (120, &["pending 120"]),
            (240, &["dropped"]),
            (300, &["pending 300"]),
            (420, &["firing 420", "send A from 420 to 660"]),
            // One minute after 420 is not more than the resend delay; two are.
            (540, &["send A from 420 to 780"]),
            (600, &["resolved, fired at 420", "send A from 420 to 600"]),
            (720, &["send A from 420 to 600"]),
        ],
    );
    assert_eq!(
        world.written(r#"{__name__="ALERTS", alertname="A", alertstate="pending", job="a"}"#),
        ["120=1", "180=1", "240=stale", "300=1", "360=1", "420=stale"]
    );
    assert_eq!(
        world.written(r#"{__name__="ALERTS", alertname="A", alertstate="firing", job="a"}"#),
        ["420=1", "480=1", "540=1", "600=stale"]
    );
    assert_eq!(
        world.written(r#"{__name__="ALERTS_FOR_STATE", alertname="A", job="a"}"#),
        [
            "120=120",
            "180=120",
            "240=stale",
            "300=300",
            "360=300",
            "420=300",
            "480=300",
            "540=300",
            "600=stale"
        ]
    );
}

#[test]
fn keep_firing_for_bridges_gaps() {
    check(
        "groups: [{name: g, interval: 30s, rules: [{alert: A, expr: x, keep_firing_for: 1m}]}]",
        |_, _, second| {
            let seen = second <= 60 || second == 120;
            Ok(if seen {
                vec![element([], 1.0)]
            } else {
                Vec::new()
            })
        },
        240,
        &[
            (30, &["pending 1", "firing 1", "send A from 30 to 270"]),
            (120, &["send A from 30 to 360"]),
            // First missed at 150, over at 210.
            (210, &["resolved, fired at 30", "send A from 30 to 210"]),
        ],
    );
}

#[test]
fn a_resolved_alert_is_sent_for_fifteen_minutes() {
    let mut rules = load(
        "groups: [{name: g, rules: [{alert: A, expr: x}]}]",
        options(),
    );
    let mut world = World::new(|_, _, second| {
        Ok(if second == 60 {
            vec![element([], 1.0)]
        } else {
            Vec::new()
        })
    });
    let happened = run(&mut rules, &mut world, 3600);
    let sent: Vec<i64> = happened.iter().map(|(at, _)| *at).collect();
    // Resolved at 120 and kept while no more than 15 minutes have passed since.
    assert_eq!(sent, [60, 120, 240, 360, 480, 600, 720, 840, 960]);
}

#[test]
fn labels_are_the_identity_of_an_alert() {
    // A value among the labels makes a new alert each time, which never reaches its `for`.
    check(
        "groups: [{name: g, rules: [{alert: A, expr: x, for: 1m, labels: {v: '{{ $value }}'}}]}]",
        |_, _, second| Ok(vec![element([], second as f64)]),
        180,
        &[
            (60, &["pending 60"]),
            (120, &["pending 120", "dropped"]),
            (180, &["pending 180", "dropped"]),
        ],
    );
    let duplicate = "vector contains metrics with the same labelset after applying alert labels";
    check(
        "groups: [{name: g, rules: [{alert: A, expr: x, labels: {job: ''}}]}]",
        |_, _, _| {
            Ok(vec![
                element([("job", "a")], 1.0),
                element([("job", "b")], 1.0),
            ])
        },
        180,
        &[(60, &[format!("A failed: {duplicate}").as_str()])],
    );
}

#[test]
fn templates_see_labels_value_and_the_store() {
    let text = r#"
groups:
- name: g
  labels: {team: core, severity: page}
  rules:
  - alert: A
    expr: x
    labels: {severity: '{{ if gt $value 0.5 }}critical{{ else }}warning{{ end }}'}
    annotations:
      summary: '{{ $labels.job }} at {{ $value | humanizePercentage }} in {{ $externalLabels.cluster }}'
      up: '{{ query "up" | first | value }} of {{ $externalURL }}'
      bad: '{{ $value.x }}'
"#;
    let mut rules = load(text, options());
    let mut world = World::new(|_, expr, _| {
        Ok(match expr {
            "up" => vec![element([("__name__", "up")], 7.0)],
            _ => vec![element([("job", "a")], 0.75)],
        })
    });
    let effects = rules.tick(Timestamp::from_secs(60), &mut world);
    let Some(Effect::Send(alerts)) = effects.last() else {
        panic!("no alert was sent: {effects:?}");
    };
    assert_eq!(
        alerts[0].labels,
        Labels::new([
            ("alertname", "A"),
            ("job", "a"),
            ("severity", "critical"),
            ("team", "core"),
            ("cluster", "eu"),
        ])
    );
    let annotations = &alerts[0].annotations;
    assert_eq!(annotations.value_of("summary"), "a at 75% in eu");
    assert_eq!(annotations.value_of("up"), "7 of http://p.example");
    assert_eq!(
        annotations.value_of("bad"),
        "<error expanding template: error executing template __alert_A: template: __alert_A:1:121: executing \"__alert_A\" at <$value.x>: can't evaluate field x in type float64>"
    );
    assert_eq!(
        alerts[0].generator_url,
        "http://p.example/graph?g0.expr=x&g0.tab=1"
    );
    assert!(lines(&effects)[2].starts_with("A failed: error executing template __alert_A"));
    // The journal hears of it once.
    let effects = rules.tick(Timestamp::from_secs(120), &mut world);
    assert_eq!(lines(&effects), Vec::<String>::new());
}

#[test]
fn recording_rules_feed_the_rules_after_them() {
    let text = r#"
groups:
- name: g
  rules:
  - {record: first, expr: x, labels: {job: new, gone: ''}}
  - {record: second, expr: first}
"#;
    let world = check(
        text,
        |world, expr, second| {
            Ok(match expr {
                "x" if second <= 120 => {
                    vec![element(
                        [("__name__", "x"), ("job", "a"), ("gone", "y")],
                        second as f64,
                    )]
                }
                "first" => world
                    .last(r#"{__name__="first", job="new"}"#)
                    .map(|value| element([("__name__", "first"), ("a", "b")], value))
                    .into_iter()
                    .collect(),
                _ => Vec::new(),
            })
        },
        240,
        &[],
    );
    assert_eq!(
        world.written(r#"{__name__="first", job="new"}"#),
        ["60=60", "120=120", "180=stale"]
    );
    assert_eq!(
        world.written(r#"{__name__="second", a="b"}"#),
        ["60=60", "120=120", "180=stale"]
    );
}

#[test]
fn limits_and_failures_write_nothing() {
    let text = r#"
groups:
- {name: g, limit: 1, rules: [{record: r, expr: two}, {alert: A, expr: two}, {record: s, expr: fail}]}
"#;
    let world = check(
        text,
        |_, expr, second| match expr {
            "fail" if second == 180 => Err("it failed".into()),
            "two" if second != 120 => {
                Ok(vec![element([("a", "1")], 1.0), element([("a", "2")], 1.0)])
            }
            _ => Ok(vec![element([], 1.0)]),
        },
        180,
        &[
            (
                60,
                &[
                    "r failed: exceeded limit of 1 with 2 series",
                    "A failed: exceeded limit of 1 with 2 alerts",
                ],
            ),
            (120, &["pending 1", "firing 1", "send A from 120 to 360"]),
            (
                180,
                &[
                    "r failed: exceeded limit of 1 with 2 series",
                    "A failed: exceeded limit of 1 with 2 alerts",
                    "s failed: it failed",
                ],
            ),
        ],
    );
    // A rule that fails ends none of its series.
    assert_eq!(world.written(r#"{__name__="r"}"#), ["120=1"]);
    assert_eq!(world.written(r#"{__name__="s"}"#), ["60=1", "120=1"]);
}

#[test]
fn slots_are_aligned_and_missed_ones_skipped() {
    let mut rules = load(
        "groups: [{name: g, interval: 45s, query_offset: 10s, rules: [{record: r, expr: x}]}]",
        options(),
    );
    let mut world = World::new(|_, _, second| Ok(vec![element([], second as f64)]));
    for at in [44, 45, 60, 100, 300] {
        rules.tick(Timestamp::from_secs(at), &mut world);
    }
    assert_eq!(
        world.written(r#"{__name__="r"}"#),
        ["35=35", "80=80", "260=260"]
    );
    let group = &rules.groups()[0];
    assert_eq!(group.missed_iterations, 3);
    assert_eq!(group.next_evaluation, Timestamp::from_secs(315));
}

#[test]
fn loading_again_keeps_what_is_still_there() {
    let text = "groups: [{name: g, rules: [{alert: A, expr: x, for: 2m}, {record: r, expr: x}]}, {name: h, rules: [{record: t, expr: x}]}]";
    let mut rules = load(text, options());
    let mut world = World::new(|_, _, _| Ok(vec![element([], 1.0)]));
    run(&mut rules, &mut world, 120);
    let changed = [SourceFile {
        path: "rules.yml",
        text: "groups: [{name: g, rules: [{alert: A, expr: y, for: 2m}, {record: u, expr: x}]}]",
        language: Language::PromQl,
    }];
    let broken = [SourceFile {
        path: "rules.yml",
        text: "groups: [{name: g, rules: [{alert: A, expr: y!}]}]",
        language: Language::PromQl,
    }];
    let now = Timestamp::from_secs(130);
    assert!(rules.reload(&broken, &Checker, options(), now).is_err());
    rules
        .reload(&changed, &Checker, options(), now)
        .expect("valid rules");
    let happened = run(&mut rules, &mut world, 400);
    assert_eq!(
        happened[0],
        (
            180,
            vec!["firing 1".to_owned(), "send A from 180 to 420".to_owned()]
        )
    );
    assert_eq!(
        world.written(r#"{__name__="r"}"#),
        ["60=1", "120=1", "180=stale"]
    );
    // The group that is gone gets two intervals.
    assert_eq!(
        world.written(r#"{__name__="t"}"#),
        ["60=1", "120=1", "250=stale"]
    );
}

#[test]
fn the_time_before_a_restart_counts() {
    let text = "groups: [{name: g, rules: [{alert: A, expr: x, for: 30m}]}]";
    // The server went down at 9700 and is asked for the second time at 10080.
    for (spent_secs, expected_active_at) in [
        // Less than the grace period was left of the 30 minutes: it fires when the grace period is over.
        (29 * 60, 10_080 + 600 - 1800),
        // The 380 seconds of the outage do not count.
        (10 * 60, 9700 - 600 + 380),
        // It was firing.
        (40 * 60, 9700 - 2400),
    ] {
        let started = Timestamp::from_secs(10_020 - 60);
        let files = [SourceFile {
            path: "rules.yml",
            text,
            language: Language::PromQl,
        }];
        let restored = Options {
            restore: true,
            ..options()
        };
        let mut rules = Rules::load(&files, &Checker, restored, started).expect("valid rules");
        let mut world = World::new(|_, _, _| Ok(vec![element([("job", "a")], 1.0)]));
        let series = Labels::new([
            ("__name__", "ALERTS_FOR_STATE"),
            ("alertname", "A"),
            ("job", "a"),
        ]);
        let down_at = 9700;
        let active_at = down_at - spent_secs;
        gameday_rules::Backend::append(
            &mut world,
            &series,
            Timestamp::from_secs(down_at),
            &gameday_rules::SampleValue::Float(active_at as f64),
        )
        .expect("stored");
        run(&mut rules, &mut world, 10_079);
        assert_eq!(
            world
                .written(r#"{__name__="ALERTS_FOR_STATE", alertname="A", job="a"}"#)
                .len(),
            1,
            "nothing is written before the state is restored"
        );
        run(&mut rules, &mut world, 10_080);
        let alert = &rules.alerts()[0];
        assert_eq!(alert.active_at.as_secs(), expected_active_at);
    }
}

#[test]
fn durations_can_be_divided() {
    let text = "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: 'x[1h]', for: 10m, keep_firing_for: 1ms}]}]";
    let mut file =
        parse_rule_file("r.yml", text, &Checker, Default::default()).expect("a valid file");
    scale_durations(&mut file, 60.0, &|expr| expr.replace("1h", "1m"));
    assert_eq!(file.groups[0].interval, Some(Duration::from_secs(1)));
    assert_eq!(file.groups[0].rules[0].expr, "x[1m]");
    let gameday_rules::RuleKind::Alerting {
        hold,
        keep_firing_for,
        ..
    } = &file.groups[0].rules[0].kind
    else {
        panic!("an alerting rule");
    };
    assert_eq!(*hold, Duration::from_secs(10));
    assert_eq!(*keep_firing_for, Duration::from_millis(1));
}
