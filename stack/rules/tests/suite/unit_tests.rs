//! Unit tests of rules: what they say when they fail.

use gameday_rules::unittest::{
    FileResult, OwnedFile, TestFile, TestOptions, render_junit, render_text, run_test_file,
};
use gameday_rules::{Language, SourceFile};
use proptest::prelude::*;

use crate::promql::PromQl;

const RULES: &str = r#"
groups:
- name: g
  rules:
  - alert: Down
    expr: up == 0
    for: 2m
    labels: {severity: page, team: '{{ $externalLabels.team }}'}
    annotations: {summary: '{{ $labels.job }} is down, see {{ $externalURL }}'}
  - record: up:sum
    expr: sum(up)
"#;

fn run(text: &str, options: &TestOptions) -> FileResult {
    let find = |pattern: &str| match pattern {
        "rules.yml" => Ok(vec![OwnedFile {
            path: "rules.yml".to_owned(),
            text: RULES.to_owned(),
        }]),
        other => Err(format!("no file matches {other:?}")),
    };
    let file = SourceFile {
        path: "tests.yml",
        text,
        language: Language::PromQl,
    };
    run_test_file(file, &find, &PromQl::new(false), options)
}

fn text_of(alert_test: &str) -> String {
    format!(
        r#"rule_files: [rules.yml]
tests:
- name: a pod goes away
  interval: 1m
  external_labels: {{team: core}}
  external_url: http://p
  input_series:
  - {{series: 'up{{job="a"}}', values: '1 0 1 0 0 0 0 1'}}
  alert_rule_test:
  - {alert_test}
"#
    )
}

#[test]
fn a_failure_shows_how_the_state_went() {
    let text = text_of("{eval_time: 7m, alertname: Down, exp_alerts: [{exp_labels: {job: a}}]}");
    let result = run(&text, &TestOptions::default());
    assert_eq!(
        render_text(&[result]),
        r#"Unit Testing:  tests.yml
  FAILED:
  test "a pod goes away":
    tests.yml:10: alertname: Down, time: 7m,
        exp:[
            0:
              Labels:{alertname="Down", job="a"}
              Annotations:{}
            ]
        got:[]
        timeline:
                1m  pending, value 0: {job="a", severity="page", team="core"}
                2m  no longer pending: {job="a", severity="page", team="core"}
                3m  pending, value 0: {job="a", severity="page", team="core"}
                5m  firing, value 0: {job="a", severity="page", team="core"}
                7m  resolved: {job="a", severity="page", team="core"}
"#
    );
}

#[test]
fn subsets_are_compared_on_request() {
    let part = "{eval_time: 6m, alertname: Down, exp_alerts: [{exp_labels: {severity: page}}]}";
    assert!(!run(&text_of(part), &TestOptions::default()).passed());
    let subset = TestOptions {
        subset: true,
        ..TestOptions::default()
    };
    assert!(run(&text_of(part), &subset).passed());
    let said = part.replace("exp_alerts", "match: subset, exp_alerts");
    assert!(run(&text_of(&said), &TestOptions::default()).passed());
    let exact = part.replace("exp_alerts", "match: exact, exp_alerts");
    assert!(!run(&text_of(&exact), &subset).passed());
    let odd = part.replace(
        "severity: page}",
        "severity: page}, exp_annotations: {nothing: ''}",
    );
    assert!(!run(&text_of(&odd), &subset).passed());
    let other = part.replace("severity: page", "severity: ticket");
    assert!(!run(&text_of(&other), &subset).passed());
}

#[test]
fn templates_see_the_labels_and_url_of_the_test() {
    let full = "{eval_time: 6m, alertname: Down, exp_alerts: [{exp_labels: {job: a, severity: page, team: core}, exp_annotations: {summary: 'a is down, see http://p'}}]}";
    let result = run(&text_of(full), &TestOptions::default());
    assert!(result.passed(), "{}", render_text(&[result]));
}

#[test]
fn mistakes_have_a_place_and_a_hint() {
    let check = |text: &str, expected: &str| {
        let shown = render_text(&[run(text, &TestOptions::default())]);
        assert!(shown.contains(expected), "{shown}");
    };
    check(
        &text_of("{eval_time: 6m, alertname: Dwon, exp_alerts: [{}]}"),
        "hint: no rule has this name; did you mean \"Down\"?",
    );
    check(
        "tests: [{interval: 1m, input_serie: []}]",
        "did you mean \"input_series\"?",
    );
    check(
        "rule_files: [x.yml]",
        "tests.yml:1:14: no file matches \"x.yml\"",
    );
    check(
        "tests: [{alert_rule_test: [{eval_time: 5m}]}]",
        "misses required attribute alertname at eval_time 5m",
    );
    check(
        "group_eval_order: [a, a]",
        "group name repeated in evaluation order: a",
    );
    check(
        "tests: [{start_timestamp: yesterday}]",
        "start_timestamp is neither seconds nor RFC 3339",
    );
    check(
        "tests: [{input_series: [{series: 'x{', values: '1'}]}]",
        "parse error",
    );
    check(
        "tests: [{promql_expr_test: [{expr: 'sum(', eval_time: 0}]}]",
        "parse error",
    );
    check(
        "evaluation_interval: 1ms\ntests: [{promql_expr_test: [{expr: '1', eval_time: 100d}]}]",
        "more than the limit of",
    );
    check(
        "tests: [{interval: 1s, input_series: [{series: x, values: '0+1x120'}], promql_expr_test: [{expr: x, eval_time: 90s, exp_samples: [{labels: x, value: 90}]}]}]",
        "eval_time is no multiple of the evaluation_interval of 1m",
    );
}

#[test]
fn long_windows_have_no_sample_limit() {
    // promtool refuses the window of this test, which has 20,000 samples.
    let text = "evaluation_interval: 1h\ntests: [{interval: 1m, input_series: [{series: x, values: '0+1x20000'}], promql_expr_test: [{expr: 'count_over_time(x[14d])', eval_time: 333h, exp_samples: [{value: 19981}]}]}]";
    let result = run(text, &TestOptions::default());
    assert!(result.passed(), "{}", render_text(&[result]));
}

#[test]
fn junit_names_what_failed() {
    let text =
        text_of("{eval_time: 0m, alertname: Down, exp_alerts: [{exp_labels: {job: '<a>'}}]}");
    let results = [
        run(&text, &TestOptions::default()),
        run("tests: [{name: ok}]", &TestOptions::default()),
        run("tests: 1", &TestOptions::default()),
    ];
    let junit = render_junit(&results);
    for part in [
        r#"<testsuite name="tests.yml" tests="1" failures="1" errors="0">"#,
        r#"<failure message="alertname: Down, time: 0s,">"#,
        r#"job=&quot;&lt;a&gt;&quot;"#,
        r#"<testcase classname="tests.yml" name="ok"/>"#,
        r#"tests="1" failures="0" errors="1""#,
    ] {
        assert!(junit.contains(part), "{part} is not in {junit}");
    }
}

proptest! {
    #[test]
    fn random_files_never_panic(text in "(tests:|\n|- |  |name: |interval: |1m|eval_time: |values: |series: |[|]|\\{|\\}|x|'|[ -~]){0,50}") {
        let _ = TestFile::parse("t.yml", &text);
    }
}
