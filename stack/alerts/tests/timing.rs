//! To the second: when each receiver is told what. Each test plays a script and states every message with its moment.
//!
//! A script line is `at SECOND VERB ...`:
//! - `fire NAME [label=value ...] [for SECONDS]`: posts a firing alert that starts now; without `for` it ends by the timeout,
//! - `resolve NAME [label=value ...]`: posts the same alert as ended now,
//! - `silence ID label=value until SECOND`, `expire ID`,
//! - `answer RECEIVER 200|429 SECONDS|500|400|hang`: how the receiver answers from now on,
//! - `reload FILE-TEXT` is done by the test itself.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its own script shall panic"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_alerts::{
    Alertmanager, Config, Disposition, Effect, Notification, Options, Outcome, PostableAlert,
    PostableSilence, SilenceMatcher, SuppressedBy,
};
use gameday_signal::{Labels, Timestamp};

struct Play {
    engine: Alertmanager,
    epoch: Timestamp,
    answers: BTreeMap<String, String>,
    silences: BTreeMap<String, String>,
    lines: Vec<String>,
}

/// 2026-11-20T00:00:00Z, a Friday.
const EPOCH_SECS: i64 = 1_795_132_800;

fn engine(yaml: &str) -> Alertmanager {
    let config = Config::load("alertmanager.yml", yaml).unwrap_or_else(|error| panic!("{error}"));
    let started_at = Timestamp::from_secs(EPOCH_SECS);
    Alertmanager::new(
        config,
        Options {
            started_at,
            ..Options::default()
        },
    )
}

impl Play {
    fn new(yaml: &str) -> Self {
        Self {
            engine: engine(yaml),
            epoch: Timestamp::from_secs(EPOCH_SECS),
            answers: BTreeMap::new(),
            silences: BTreeMap::new(),
            lines: Vec::new(),
        }
    }

    fn at(&self, secs: f64) -> Timestamp {
        self.epoch + Duration::from_secs_f64(secs)
    }

    fn secs(&self, instant: Timestamp) -> f64 {
        instant.since(self.epoch).as_secs_f64()
    }

    /// Lets the time run to `until`, answering every message at once.
    fn run(&mut self, until: f64) {
        let until = self.at(until);
        while let Some(deadline) = self
            .engine
            .next_deadline()
            .filter(|deadline| *deadline <= until)
        {
            let effects = self.engine.tick(deadline);
            for effect in effects {
                self.handle(effect, deadline);
            }
        }
    }

    fn handle(&mut self, effect: Effect, now: Timestamp) {
        let secs = self.secs(now);
        match effect {
            Effect::Notify(notification) => self.deliver(&notification, now),
            Effect::Suppressed(suppressed) => {
                let names: Vec<_> = suppressed.alerts.iter().map(short).collect();
                let by = match &suppressed.by {
                    SuppressedBy::Inhibition(_) => "inhibited".to_owned(),
                    SuppressedBy::ActiveTimeIntervals(names) => {
                        format!("outside of {}", names.join(","))
                    }
                    SuppressedBy::MuteTimeIntervals(names) => {
                        format!("muted by {}", names.join(","))
                    }
                    SuppressedBy::Silences(_) => "silenced".to_owned(),
                };
                self.lines.push(format!(
                    "{secs} {}: {} {by}",
                    suppressed.receiver,
                    names.join(" ")
                ));
            }
            Effect::GaveUp {
                integration,
                attempts,
                error,
                ..
            } => {
                self.lines.push(format!(
                    "{secs} {integration} gave up after {attempts}: {error}"
                ));
            }
        }
    }

    fn deliver(&mut self, notification: &Notification, now: Timestamp) {
        let secs = self.secs(now);
        let receiver = &notification.integration.receiver;
        let answer = self.answers.get(receiver).map_or("200", String::as_str);
        let mut line = format!("{secs} {receiver}:");
        for alert in &notification.alerts {
            line.push(' ');
            line.push_str(&short(&alert.labels));
            line.push_str(if alert.ends_at.is_some() { "✓" } else { "" });
        }
        let outcome = match answer {
            "hang" => None,
            "200" => Some(Outcome::Delivered),
            "400" => Some(Outcome::Failed {
                error: "400".to_owned(),
            }),
            other => Some(Outcome::Retry {
                after: other
                    .strip_prefix("429 ")
                    .map(|secs| Duration::from_secs(secs.parse().unwrap())),
                error: other.to_owned(),
            }),
        };
        if answer != "200" {
            line.push_str(" -> ");
            line.push_str(answer);
        }
        self.lines.push(line);
        if let Some(outcome) = outcome {
            let disposition = self.engine.report(notification.id, outcome, now);
            assert_ne!(disposition, Disposition::Late);
        }
    }

    fn step(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        let ["at", secs, verb, rest @ ..] = words.as_slice() else {
            panic!("no script line: {line}")
        };
        let secs: f64 = secs.parse().unwrap();
        self.run(secs);
        let now = self.at(secs);
        match (*verb, rest) {
            ("fire" | "resolve", [name, rest @ ..]) => {
                let lasts = rest.iter().position(|word| *word == "for");
                let pairs = &rest[..lasts.unwrap_or(rest.len())];
                let ends_at = match lasts {
                    Some(index) => {
                        Some(now + Duration::from_secs(rest[index + 1].parse().unwrap()))
                    }
                    None => (*verb == "resolve").then_some(now),
                };
                let mut labels = vec![("alertname", *name)];
                labels.extend(pairs.iter().map(|pair| pair.split_once('=').unwrap()));
                let alert = PostableAlert {
                    labels: Labels::new(labels),
                    // A resolved post of Prometheus keeps the start.
                    starts_at: (*verb == "fire").then_some(now),
                    ends_at,
                    ..PostableAlert::default()
                };
                self.engine.receive(vec![alert], now).unwrap();
            }
            ("silence", [id, pair, "until", end]) => {
                let (name, value) = pair.split_once('=').unwrap();
                let silence = PostableSilence {
                    id: String::new(),
                    matchers: vec![SilenceMatcher {
                        name: name.to_owned(),
                        value: value.to_owned(),
                        is_regex: false,
                        is_equal: true,
                    }],
                    starts_at: Some(now),
                    ends_at: Some(self.at(end.parse().unwrap())),
                    created_by: "me".to_owned(),
                    comment: "test".to_owned(),
                    annotations: BTreeMap::new(),
                };
                let made = self.engine.set_silence(silence, now).unwrap();
                self.silences.insert((*id).to_owned(), made);
            }
            ("expire", [id]) => self
                .engine
                .expire_silence(&self.silences[*id], now)
                .unwrap(),
            ("answer", [receiver, answer @ ..]) => {
                self.answers
                    .insert((*receiver).to_owned(), answer.join(" "));
            }
            _ => panic!("no script line: {line}"),
        }
    }
}

/// The alert's name, with its instance where it has one.
fn short(labels: &Labels) -> String {
    match labels.get("instance") {
        Some(instance) => format!("{}/{instance}", labels.value_of("alertname")),
        None => labels.value_of("alertname").to_owned(),
    }
}

fn check(yaml: &str, script: &str, until: f64, expected: &[&str]) {
    let mut play = Play::new(yaml);
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        play.step(line);
    }
    play.run(until);
    assert_eq!(play.lines, expected, "\n{}", play.lines.join("\n"));
}

/// One receiver, 30s / 5m / 1h, resolved messages on.
const SIMPLE: &str = "
global: {resolve_timeout: 5m}
route: {receiver: web, group_by: [alertname], group_wait: 30s, group_interval: 5m, repeat_interval: 1h}
receivers:
- name: web
  webhook_configs: [{url: 'http://web/'}]
";

#[test]
fn the_first_message_waits_group_wait_from_the_first_alert() {
    check(
        SIMPLE,
        "at 10 fire A instance=1 for 9999\nat 39 fire A instance=2 for 9999",
        400.0,
        &["40 web: A/1 A/2"],
    );
    // A group of its own for each value of the group labels.
    check(
        SIMPLE,
        "at 0 fire A for 9999\nat 7 fire B for 9999",
        100.0,
        &["30 web: A", "37 web: B"],
    );
}

#[test]
fn an_alert_that_started_long_ago_is_sent_at_once() {
    let mut play = Play::new(SIMPLE);
    let old = |start: f64| PostableAlert {
        labels: Labels::new([("alertname", "A")]),
        starts_at: Some(play.at(start)),
        ..PostableAlert::default()
    };
    let (waited, exactly) = (old(69.0), old(70.0));
    let mut other = Play::new(SIMPLE);
    play.engine.receive(vec![waited], play.at(100.0)).unwrap();
    play.run(200.0);
    assert_eq!(play.lines, ["100 web: A"]);
    // Exactly group_wait ago is not long enough.
    other
        .engine
        .receive(vec![exactly], other.at(100.0))
        .unwrap();
    other.run(200.0);
    assert_eq!(other.lines, ["130 web: A"]);
}

#[test]
fn changes_are_told_every_group_interval() {
    check(
        SIMPLE,
        "at 0 fire A instance=1 for 9999
         at 40 fire A instance=2 for 9999
         at 331 fire A instance=3 for 9999
         at 640 resolve A instance=1",
        1300.0,
        &[
            "30 web: A/1",
            "330 web: A/1 A/2",
            "630 web: A/1 A/2 A/3",
            "930 web: A/1✓ A/2 A/3",
        ],
    );
}

#[test]
fn the_same_message_is_repeated_after_repeat_interval_at_a_flush() {
    // 1h is a multiple of 5m, but it has to be exceeded: 30 + 3600 is not, 30 + 3900 is.
    check(
        SIMPLE,
        "at 0 fire A for 99999",
        8000.0,
        &["30 web: A", "3930 web: A", "7830 web: A"],
    );
    let odd = SIMPLE.replace("repeat_interval: 1h", "repeat_interval: 7m");
    check(
        &odd,
        "at 0 fire A for 99999",
        1300.0,
        &["30 web: A", "630 web: A", "1230 web: A"],
    );
    // A repeat interval below the group interval is the group interval.
    let short = SIMPLE.replace("repeat_interval: 1h", "repeat_interval: 1m");
    check(
        &short,
        "at 0 fire A for 99999",
        700.0,
        &["30 web: A", "330 web: A", "630 web: A"],
    );
}

#[test]
fn who_fires_and_resolves_within_one_interval_is_never_told() {
    check(SIMPLE, "at 0 fire A for 99\nat 20 resolve A", 9999.0, &[]);
    check(
        SIMPLE,
        "at 0 fire A instance=1 for 99999
         at 40 fire A instance=2 for 99999
         at 300 resolve A instance=2",
        700.0,
        // The resolved one is in the message as resolved: upstream tells of new resolved alerts.
        &["30 web: A/1", "330 web: A/1 A/2✓"],
    );
}

#[test]
fn an_alert_that_is_no_longer_posted_ends_by_the_timeout() {
    check(
        SIMPLE,
        "at 0 fire A\nat 120 fire A",
        9999.0,
        &["30 web: A", "630 web: A✓"],
    );
}

#[test]
fn a_group_that_is_all_resolved_begins_anew() {
    check(
        SIMPLE,
        "at 0 fire A for 99999
         at 100 resolve A
         at 400 fire A for 99999",
        500.0,
        // At 330 all is told and the group is gone: group_wait counts again.
        &["30 web: A", "330 web: A✓", "430 web: A"],
    );
}

#[test]
fn without_send_resolved_the_log_forgets_nevertheless() {
    let quiet = SIMPLE.replace(
        "url: 'http://web/'",
        "url: 'http://web/', send_resolved: false",
    );
    check(
        &quiet,
        "at 0 fire A for 99999
         at 100 resolve A
         at 340 fire A for 99999",
        500.0,
        &["30 web: A", "370 web: A"],
    );
}

#[test]
fn retries_back_off_until_the_next_flush() {
    check(
        SIMPLE,
        "at 0 answer web 500
         at 0 fire A for 99999
         at 33 answer web 200",
        400.0,
        // 0.5 s, then 0.75 s, then 1.125 s, then 1.6875 s.
        &[
            "30 web: A -> 500",
            "30.5 web: A -> 500",
            "31.25 web: A -> 500",
            "32.375 web: A -> 500",
            "34.0625 web: A",
        ],
    );
    check(
        SIMPLE,
        "at 0 answer web 429 20
         at 0 fire A for 99999
         at 31 answer web 200",
        400.0,
        &["30 web: A -> 429 20", "50 web: A"],
    );
}

#[test]
fn what_fails_for_good_is_tried_again_at_the_next_flush() {
    check(
        SIMPLE,
        "at 0 answer web 400
         at 0 fire A for 99999
         at 40 resolve A
         at 40 fire A for 99999
         at 329 answer web 200",
        700.0,
        &["30 web: A -> 400", "330 web: A"],
    );
    // A resolved alert whose message failed stays in the group.
    check(
        SIMPLE,
        "at 0 fire A for 99999
         at 40 resolve A
         at 300 answer web 400
         at 400 answer web 200",
        1000.0,
        &["30 web: A", "330 web: A✓ -> 400", "630 web: A✓"],
    );
}

#[test]
fn a_receiver_that_hangs_delays_nobody_else() {
    let two = "
route:
  receiver: web
  group_by: [alertname]
  group_wait: 30s
  group_interval: 1m
  routes: [{matchers: [team=x], receiver: other, group_by: ['...']}]
receivers:
- name: web
  webhook_configs: [{url: 'http://web/'}]
- name: other
  webhook_configs: [{url: 'http://other/'}]
";
    check(
        two,
        "at 0 answer web hang
         at 0 fire A for 99999
         at 0 fire B team=x for 99999
         at 70 answer web 200",
        200.0,
        &[
            "30 web: A -> hang",
            "30 other: B",
            "90 web/webhook[0] gave up after 1: no answer before the deadline",
            "90 web: A",
        ],
    );
}

const INHIBIT: &str = "
route: {receiver: web, group_by: ['...'], group_wait: 10s, group_interval: 1m, repeat_interval: 1h}
inhibit_rules:
- source_matchers: [severity=critical]
  target_matchers: [severity=warning]
  equal: [cluster]
receivers:
- name: web
  webhook_configs: [{url: 'http://web/'}]
";

#[test]
fn inhibited_alerts_are_sent_when_the_source_ends() {
    check(
        INHIBIT,
        "at 0 fire Down severity=critical cluster=a for 9999
         at 5 fire Slow severity=warning cluster=a for 9999
         at 5 fire Slow severity=warning cluster=b for 9999
         at 100 resolve Down severity=critical cluster=a",
        300.0,
        &[
            "10 web: Down",
            "15 web: Slow inhibited",
            "15 web: Slow",
            "130 web: Down✓",
            "135 web: Slow",
        ],
    );
}

#[test]
fn an_alert_that_is_inhibited_while_it_fires_leaves_without_a_word() {
    check(
        INHIBIT,
        "at 0 fire Slow severity=warning cluster=a for 9999
         at 20 fire Down severity=critical cluster=a for 9999
         at 80 resolve Slow severity=warning cluster=a",
        400.0,
        // No resolved message for Slow.
        &["10 web: Slow", "30 web: Down", "70 web: Slow inhibited"],
    );
}

#[test]
fn silences_hold_at_the_flush() {
    let together = SIMPLE.replace("group_interval: 5m", "group_interval: 1m");
    check(
        &together,
        "at 0 silence s team=x until 100
         at 0 fire A team=x for 9999
         at 50 fire A team=y for 9999",
        300.0,
        &["30 web: A silenced", "90 web: A", "150 web: A A"],
    );
    // Ended early: the next flush sends.
    check(
        &together,
        "at 0 silence s team=x until 1000
         at 0 fire A team=x for 9999
         at 95 expire s",
        300.0,
        &["30 web: A silenced", "150 web: A"],
    );
}

const INTERVALS: &str = "
route:
  receiver: web
  group_by: [alertname]
  group_wait: 10s
  group_interval: 1m
  routes:
  - matchers: [alertname=Muted]
    mute_time_intervals: [first-minutes]
  - matchers: [alertname=Active]
    active_time_intervals: [later]
    routes: [{matchers: [sub=yes]}]
time_intervals:
- name: first-minutes
  time_intervals: [{times: [{start_time: '00:00', end_time: '00:03'}]}]
- name: later
  time_intervals: [{times: [{start_time: '00:05', end_time: '24:00'}], weekdays: ['friday']}]
receivers:
- name: web
  webhook_configs: [{url: 'http://web/'}]
";

#[test]
fn time_intervals_mute_while_the_timers_go_on() {
    check(
        INTERVALS,
        "at 0 fire Muted for 9999
         at 0 fire Active for 9999
         at 0 fire Active sub=yes for 9999",
        400.0,
        &[
            "10 web: Muted muted by first-minutes",
            "10 web: Active outside of later",
            // Children do not inherit the intervals.
            "10 web: Active",
            // 180 s is the end of the interval, exclusive: the flush of 190 is the first beyond.
            "190 web: Muted",
            "310 web: Active",
        ],
    );
}

#[test]
fn a_reload_keeps_what_is_known() {
    let mut play = Play::new(SIMPLE);
    play.step("at 0 fire A for 99999");
    play.step("at 50 fire B for 99999");
    play.run(60.0);
    let config = Config::load("alertmanager.yml", SIMPLE).unwrap();
    play.engine.reload(config, play.at(60.0));
    // A is older than group_wait: its group is flushed at once, but the log knows that it was told. B's wait begins anew.
    play.step("at 70 fire A instance=2 for 99999");
    play.run(500.0);
    assert_eq!(play.lines, ["30 web: A", "90 web: B", "360 web: A/2 A"]);
}

#[test]
fn continue_tells_several_receivers_and_each_integration_by_itself() {
    let yaml = "
route:
  receiver: one
  group_wait: 0s
  routes:
  - {matchers: [team=x], receiver: one, continue: true}
  - {matchers: [team=x], receiver: two}
receivers:
- name: one
  webhook_configs: [{url: 'http://a/'}, {url: 'http://b/'}]
- name: two
  webhook_configs: [{url: 'http://c/'}]
";
    check(
        yaml,
        "at 0 fire A team=x for 9999",
        10.0,
        &["0 one: A", "0 one: A", "0 two: A"],
    );
}

#[test]
fn the_same_calls_give_the_same_effects() {
    let play = |yaml| {
        let mut play = Play::new(yaml);
        for index in 0..50 {
            play.step(&format!(
                "at {index} fire A{} instance={index} for 600",
                index % 7
            ));
        }
        play.run(5000.0);
        play.lines
    };
    assert_eq!(play(INHIBIT), play(INHIBIT));
    assert_eq!(play(SIMPLE), play(SIMPLE));
}

#[test]
fn without_any_timers_it_is_30s_5m_and_4h() {
    let yaml =
        "route: {receiver: web}\nreceivers: [{name: web, webhook_configs: [{url: 'http://web/'}]}]";
    check(
        yaml,
        "at 0 fire A for 99999\nat 31 fire B for 99999",
        15_000.0,
        // 4h after 330 is 14730, which has to be exceeded.
        &["30 web: A", "330 web: A B"],
    );
    check(
        yaml,
        "at 0 fire A for 99999",
        15_000.0,
        &["30 web: A", "14730 web: A"],
    );
}

#[test]
fn inhibition_comes_before_muting_and_muting_before_silences() {
    let yaml = "
route: {receiver: web, group_wait: 10s, group_interval: 1m, routes: [{matchers: [team=x], mute_time_intervals: [first]}]}
inhibit_rules: [{source_matchers: [alertname=Down], target_matchers: [alertname=Slow]}]
time_intervals: [{name: first, time_intervals: [{times: [{start_time: '00:00', end_time: '00:01'}]}]}]
receivers: [{name: web, webhook_configs: [{url: 'http://web/'}]}]
";
    check(
        yaml,
        "at 0 silence s team=x until 100
         at 0 fire Slow team=x for 9999
         at 0 fire Other team=x for 9999
         at 0 fire Down for 75",
        200.0,
        &[
            "10 web: Slow inhibited",
            "10 web: Other muted by first",
            "10 web: Down",
            // The interval is over, the source goes on to 75.
            "70 web: Other silenced",
            // And so is the silence.
            "130 web: Other Slow",
            "130 web: Down✓",
        ],
    );
}
