//! What the command says and how it exits, above all when something is wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A small project in a folder of its own.
struct Project(PathBuf);

const SCENARIO: &str = "title: A small one\nload:\n  requests_per_second: 5\n  mix:\n    - path: /api/checkout\nslos:\n  - name: checkout-latency\n    objective: 0.99\n    bad_ratio: slo:sli_error:ratio_rate$window{slo=\"latency\", service=\"checkout\"}\nfaults:\n  slow:\n    type: latency\n    service: checkout\n    lease: 1h\n    with: {latency: 1s, target: database}\n";
const FEATURE: &str = "Feature: small\n  Scenario: one\n    Given the game day \"small\"\n    And the stack is quiet for 5 minutes\n";

impl Project {
    fn new(name: &str) -> Self {
        let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("cli")
            .join(name);
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("scenarios/small")).unwrap();
        std::fs::create_dir_all(root.join("features")).unwrap();
        let project = Self(root);
        project.write("scenarios/small/scenario.yaml", SCENARIO);
        project.write("features/small.feature", FEATURE);
        project
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs the command and gives its exit code and everything that it said.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        gameday(&self.0, arguments)
    }
}

fn gameday(root: &Path, arguments: &[&str]) -> (i32, String) {
    let out = root.join("out");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gameday"));
    command.arg("--root").arg(root).args(arguments);
    if arguments.first() == Some(&"run") {
        command.arg("--quiet").arg("--out").arg(out);
    }
    let output = command.output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code().unwrap(), said)
}

fn check(project: &Project, arguments: &[&str], code: i32, expected: &[&str]) {
    let (got, said) = project.run(arguments);
    assert_eq!(got, code, "{said}");
    for text in expected {
        assert!(said.contains(text), "{text:?} is not in:\n{said}");
    }
}

#[test]
fn a_small_game_day_holds() {
    let project = Project::new("holds");
    check(&project, &["run", "small"], 0, &["held", "report:"]);
    for file in ["index.html", "report.md", "report.json", "junit.xml"] {
        assert!(project.0.join("out/small").join(file).is_file(), "{file}");
    }
    check(&project, &["list"], 0, &["small", "A small one"]);
    check(&project, &["check"], 0, &["0 errors"]);
}

#[test]
fn a_failed_assertion_shows_what_was_expected_and_seen() {
    let project = Project::new("fails");
    let step = "    Then alert \"LatencyFastBurn\" should be firing within 1 minute\n";
    project.write("features/small.feature", &format!("{FEATURE}{step}"));
    check(
        &project,
        &["run", "small"],
        1,
        &[
            "LatencyFastBurn firing within 1m",
            "it was inactive for 1m",
            "slo:sli_error:ratio_rate1h",
        ],
    );
}

#[test]
fn nothing_passes_by_accident() {
    let project = Project::new("inconclusive");
    project.write(
        "scenarios/small/scenario.yaml",
        &SCENARIO.replace("requests_per_second: 5", "requests_per_second: 0"),
    );
    check(
        &project,
        &["run", "small"],
        5,
        &["inconclusive", "0 requests sent"],
    );
}

/// What cannot be done to a service, a silence or a pipeline is told as a mistake of the feature, and leaves no fault behind.
#[test]
fn impossible_steps_are_refused() {
    let project = Project::new("impossible");
    for (steps, expected) in [
        (
            &["When service \"chekout\" crashes"][..],
            "did you mean \"checkout\"?",
        ),
        (
            &["When service \"checkout\" is restarted"],
            "only what has crashed can be restarted",
        ),
        (
            &[
                "When service \"users\" crashes",
                "And service \"users\" crashes",
            ],
            "service \"users\" is not running",
        ),
        (
            &[
                "When fault \"slow\" is injected",
                "And service \"checkout\" crashes",
            ],
            "fault \"slow\" is in force in checkout: clear it before the crash",
        ),
        (
            &["When fault \"slow\" is cleared"],
            "fault \"slow\" is not in force",
        ),
        (
            &[
                "When fault \"slow\" is injected",
                "And fault \"slow\" is injected",
            ],
            "fault \"slow\" is already in force",
        ),
        (&["When the silence ends"], "no silence is in force"),
        (
            &["When every alert is silenced for 1 hour with"],
            "a table of labels says what is silenced",
        ),
        (
            &["When a pipeline run fails"],
            "this game day has no pipeline",
        ),
        (
            &["When the API of the pipeline answers 700 for 1 hour"],
            "700 is no HTTP status",
        ),
        (
            &[
                "Then receiver \"slakc\" should not be notified of alert \"ServiceDown\" for 1 minute",
            ],
            "did you mean \"slack\"?",
        ),
    ] {
        let lines: String = steps.iter().map(|step| format!("    {step}\n")).collect();
        project.write("features/small.feature", &format!("{FEATURE}{lines}"));
        check(&project, &["run", "small"], 3, &[expected]);
    }
}

/// A service that crashes and is restarted, and one that hangs until its fault is cleared, are as they were.
#[test]
fn what_crashed_or_hung_works_again() {
    let project = Project::new("crash");
    let scenario = SCENARIO.replace("type: latency", "type: hang");
    let scenario = scenario.replace("    with: {latency: 1s, target: database}\n", "");
    project.write("scenarios/small/scenario.yaml", &scenario);
    let steps = "    When service \"checkout\" crashes
    Then the query 'up{instance=\"checkout:8080\"}' should fall below 1 within 20 seconds
    When service \"checkout\" is restarted
    Then the query 'up' should exceed 0 within 20 seconds
    When fault \"slow\" is injected
    Then the query 'up{instance=\"checkout:8080\"}' should fall below 1 within 30 seconds
    When fault \"slow\" is cleared
    Then the query 'up' should exceed 0 within 20 seconds
    And the query 'min(rate(http_requests_total{service=\"checkout\", status_code=\"200\"}[1m]))' should exceed 0 within 2 minutes
    And no alert should have fired\n";
    project.write("features/small.feature", &format!("{FEATURE}{steps}"));
    check(&project, &["run", "small"], 0, &["held"]);
}

/// Faults of receivers are checked as those of services are.
#[test]
fn faults_of_receivers_are_checked() {
    let project = Project::new("receivers");
    let fault = |of: &str| {
        let text = format!("{SCENARIO}  lost:\n    lease: 10m\n{of}");
        project.write("scenarios/small/scenario.yaml", &text);
    };
    for (of, expected) in [
        (
            "    type: receiver_down\n    receiver: slakc\n",
            "no receiver is called \"slakc\" in alertmanager.yml",
        ),
        (
            "    type: receiver_error\n    receiver: slack\n    with: {status_code: 200}\n",
            "fault \"lost\": status_code: 200 does not fit",
        ),
        (
            "    type: hang\n    receiver: slack\n",
            "\"hang\" is a fault of services, not of receivers",
        ),
        (
            "    type: receiver_down\n    service: checkout\n",
            "unknown kind of fault \"receiver_down\"",
        ),
        (
            "    type: receiver_down\n",
            "must name either a service or a receiver",
        ),
    ] {
        fault(of);
        check(&project, &["check"], 3, &[expected]);
    }
    fault("    type: receiver_down\n    receiver: slack\n");
    check(&project, &["check"], 0, &["0 errors"]);
}

#[test]
fn slips_get_the_nearest_names() {
    let project = Project::new("slips");
    check(
        &project,
        &["run", "smal"],
        3,
        &["no game day is called \"smal\"", "did you mean \"small\"?"],
    );
    let with =
        |step: &str| project.write("features/small.feature", &format!("{FEATURE}    {step}\n"));
    with("Then alert \"LatencyFastBrun\" should be firing within 1 minute");
    check(
        &project,
        &["run", "small"],
        3,
        &[
            "no alert is called \"LatencyFastBrun\"",
            "did you mean \"LatencyFastBurn\"?",
        ],
    );
    check(
        &project,
        &["check"],
        3,
        &[
            "small.feature:5:",
            "unknown alert: \"LatencyFastBrun\"",
            "did you mean",
        ],
    );
    with("When fault \"slwo\" is injected");
    check(
        &project,
        &["run", "small"],
        3,
        &["no fault is called \"slwo\"", "did you mean \"slow\"?"],
    );
    with("Then the alert might perhaps fire");
    check(
        &project,
        &["run", "small"],
        3,
        &["small.feature:5:5: unknown step", "gameday steps"],
    );
}

#[test]
fn mistakes_in_files_have_their_place() {
    let project = Project::new("files");
    project.write(
        "scenarios/small/scenario.yaml",
        &SCENARIO.replace("requests_per_second", "request_per_second"),
    );
    check(
        &project,
        &["run", "small"],
        3,
        &["scenario.yaml:3:3", "request_per_second"],
    );
    project.write(
        "scenarios/small/scenario.yaml",
        &SCENARIO.replace(
            "service: checkout\n    lease",
            "service: chekout\n    lease",
        ),
    );
    check(
        &project,
        &["check"],
        3,
        &[
            "no service is called \"chekout\"",
            "did you mean \"checkout\"?",
        ],
    );
    project.write(
        "scenarios/small/scenario.yaml",
        &SCENARIO.replace("target: database", "target: databse"),
    );
    check(
        &project,
        &["check"],
        3,
        &[
            "fault \"slow\"",
            "unknown target \"databse\"",
            "did you mean",
        ],
    );

    let with_config = SCENARIO.replacen("load:", "config: config\nload:", 1);
    project.write("scenarios/small/scenario.yaml", &with_config);
    project.write(
        "scenarios/small/config/prometheus.yml",
        "rule_files: [rules/*.yml]\nscrape_configs: []\n",
    );
    project.write(
        "scenarios/small/config/rules/a.yml",
        "groups:\n  - name: a\n    rules:\n      - alert: Broken\n        expr: rat(x[5m]) > 1\n",
    );
    check(
        &project,
        &["check"],
        3,
        &[
            "rules/a.yml:5:15",
            "unknown function",
            "did you mean \"rate\"?",
        ],
    );
    check(
        &project,
        &["run", "small"],
        3,
        &["rules/a.yml:5:15", "did you mean \"rate\"?"],
    );
}

#[test]
fn wrong_usage_is_told() {
    let project = Project::new("usage");
    check(&project, &["run"], 2, &["required"]);
    check(
        &project,
        &["run", "small", "--compress", "60"],
        2,
        &["--compress", "add --clock real"],
    );
    check(
        &project,
        &["run", "small", "--speed", "fast"],
        2,
        &["is no speed"],
    );
    check(&project, &["--help"], 0, &["Exit codes", "inconclusive"]);
}

#[test]
fn rules_and_routes_are_tested() {
    let project = Project::new("tests");
    project.write(
        "rules.yml",
        "groups:\n  - name: a\n    rules:\n      - alert: Down\n        expr: up == 0\n        for: 2m\n",
    );
    let test = "rule_files: [rules.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n      - {series: 'up{job=\"a\"}', values: '0x10'}\n    alert_rule_test:\n      - eval_time: 5m\n        alertname: Down\n        exp_alerts:\n          - exp_labels: {job: a}\n";
    project.write("test.yml", test);
    let path = project.0.join("test.yml").display().to_string();
    check(&project, &["test", "rules", &path], 0, &["SUCCESS"]);
    project.write(
        "test.yml",
        &test.replace("exp_labels: {job: a}", "exp_labels: {job: b}"),
    );
    check(&project, &["test", "rules", &path], 1, &["FAILED"]);
}

#[test]
fn logql_rules_are_tested() {
    let project = Project::new("logql-tests");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/loki");
    let path = sample.join("checkout_test.yml").display().to_string();
    check(&project, &["test", "rules", &path], 0, &["SUCCESS"]);

    let rules = std::fs::read_to_string(sample.join("rules/checkout.yml")).unwrap();
    let test = std::fs::read_to_string(&path).unwrap();
    project.write("checkout_test.yml", &test);
    let path = project.0.join("checkout_test.yml").display().to_string();
    project.write("rules/checkout.yml", &rules.replace("> 20", "> 200"));
    check(
        &project,
        &["test", "rules", &path],
        1,
        &[
            "FAILED",
            "alertname: CardsRefused, time: 8m",
            "it was never pending",
        ],
    );
    project.write("rules/checkout.yml", &rules.replace("for: 2m", "for: 3m"));
    check(
        &project,
        &["test", "rules", &path],
        1,
        &["6m  pending, value 31", "got:[]"],
    );
    project.write(
        "rules/checkout.yml",
        &rules.replace("count_over_time", "cont_over_time"),
    );
    check(
        &project,
        &["test", "rules", &path],
        1,
        &["checkout.yml:9:", "did you mean \"count_over_time\"?"],
    );
    project.write("rules/checkout.yml", &rules);
    project.write("checkout_test.yml", &test.replace("every: 2s", "evry: 2s"));
    check(
        &project,
        &["test", "rules", &path],
        1,
        &["checkout_test.yml:12:", "did you mean \"every\"?"],
    );
}

#[test]
fn a_starter_project_checks_and_plays() {
    let project = Project::new("starter");
    let dir = project.0.join("fresh");
    let (code, said) = gameday(&project.0, &["init", &dir.display().to_string()]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = gameday(&dir, &["check"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        dir.join("scenarios/latency-injection/config/rules/slo-latency.yml")
            .is_file()
    );
}

/// What leads from a fault to its cause, and how each step says that it is another one.
#[test]
fn drill_downs_hold_and_can_fail() {
    const INJECTED: &str = "    When fault \"slow\" is injected\n    And 2 minutes pass\n";
    let project = Project::new("drills");
    let play = |steps: &str, code: i32, expected: &[&str]| {
        project.write("features/small.feature", &format!("{FEATURE}{steps}"));
        check(&project, &["run", "small"], code, expected);
    };
    let exemplars = "an exemplar of 'http_request_duration_seconds_bucket{service=\"checkout\"}'";
    let failing = "the failing edge of the service graph should lead from";
    let cause = "the root cause of \"GET /api/checkout\" of \"frontend\" should be";
    let line = "a \"warn\" log line of \"checkout\" should lead to a trace whose slowest span is";
    play(
        &format!(
            "{INJECTED}    Then {line} \"db.query\"\n    And the logs of that trace should have a \"warn\" line of \"checkout\"\n    And {exemplars} should lead to a trace whose slowest span is \"db.query\"\n    And {cause} \"db.query\" of \"checkout\"\n"
        ),
        0,
        &["held"],
    );
    let report = std::fs::read_to_string(project.0.join("out/small/report.md")).unwrap();
    for text in [
        "derived field",
        "exemplars the largest is",
        "of the excess",
        "before",
    ] {
        assert!(report.contains(text), "{text:?} is not in:\n{report}");
    }
    for (step, code, expected) in [
        (format!("{line} \"GET /\""), 1, "db.query of checkout took"),
        (
            format!("{exemplars} should lead to a trace whose slowest span is \"GET /\""),
            1,
            "db.query of checkout took",
        ),
        (
            "an exemplar of 'up' should lead to a trace whose slowest span is \"db.query\"".to_owned(),
            5,
            "no exemplar",
        ),
        (
            "the logs of that trace should have a \"warn\" line of \"checkout\"".to_owned(),
            3,
            "no trace yet",
        ),
        (
            format!("{line} \"db.query\"\n    And the logs of that trace should have a \"error\" line of \"checkout\""),
            1,
            "none such",
        ),
        (format!("{failing} \"checkout\" to \"orders\""), 1, "no edge fails: "),
        (format!("{cause} \"GET /api/checkout\" of \"frontend\""), 1, "root cause: checkout: db.query takes longer"),
        (
            "the root cause of \"GET /nothing\" of \"frontend\" should be \"db.query\" of \"checkout\"".to_owned(),
            5,
            "0 traces since the injection",
        ),
    ] {
        play(&format!("{INJECTED}    Then {step}\n"), code, &[expected]);
    }
    play(
        &format!("    Then {cause} \"db.query\" of \"checkout\"\n"),
        3,
        &["no fault was injected"],
    );
}
