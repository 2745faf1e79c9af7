//! Rule files with mistakes, and what is said about them.

use crate::world::Checker;
use gameday_rules::{NameValidation, ParseOptions, parse_rule_file};
use proptest::prelude::*;

fn problems(text: &str) -> Vec<String> {
    match parse_rule_file("r.yml", text, &Checker, ParseOptions::default()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(problems(text), expected, "{text}");
}

#[test]
fn says_everything_that_is_wrong_and_where() {
    check(
        r#"groups:
- name: g
  intervall: 1m
  rules:
  - alert: A
    expr: |
      sum(x)
        / y!z
    for: 5 m
    annotation: {a: b}
  - record: r{a="b"}
    for: 1m
    expr: "a!"
  - expr: 1
  - record: a
    alert: b
    expr: 1
  - record: c
  - alert: D
    expr: 1
    labels: {__name__: x}
    annotations:
      summary: >-
        {{ $labels.job }}
        is {{ default "a" .x }}
- name: g
- {}
"#,
        &[
            r#"r.yml:3:3: unknown key "intervall" in a group (did you mean "interval"?)"#,
            r#"r.yml:8:12: group "g", rule 1, "A": could not parse expression: unexpected character: '!'"#,
            r#"r.yml:9:10: for: not a valid duration string: "5 m", expected for example "5m" or "1h30m" (units y, w, d, h, m, s, ms, largest first)"#,
            r#"r.yml:10:5: unknown key "annotation" in a rule (did you mean "annotations"?)"#,
            r#"r.yml:11:13: group "g", rule 2, "r{a=\"b\"}": braces present in the recording rule name (should it be in `expr`? labels of the result are set by `labels`)"#,
            r#"r.yml:12:5: group "g", rule 2, "r{a=\"b\"}": invalid field 'for' in recording rule"#,
            r#"r.yml:13:13: group "g", rule 2, "r{a=\"b\"}": could not parse expression: unexpected character: '!'"#,
            r#"r.yml:14:5: group "g", rule 3: one of 'record' or 'alert' must be set"#,
            r#"r.yml:15:5: group "g", rule 4, "a": only one of 'record' and 'alert' must be set"#,
            r#"r.yml:18:5: group "g", rule 5, "c": field 'expr' must be set in rule"#,
            r#"r.yml:21:14: group "g", rule 6, "D": invalid label name: __name__ (the name of the series is set by `record`)"#,
            r#"r.yml:25:15: group "g", rule 6, "D": annotation "summary": function "default" not defined (`default` belongs to Helm/Sprig; Prometheus has no such function; use {{ if .X }}{{ .X }}{{ else }}N/A{{ end }})"#,
            r#"r.yml:26:9: group name "g" is repeated in the same file, first in line 2"#,
            r#"r.yml:27:3: the group must have a name"#,
        ],
    );
}

#[test]
fn says_what_is_no_yaml() {
    check(
        "groups:\n- name: a\n  name: b\n",
        &[r#"r.yml:3:3: the key "name" is already set in line 2"#],
    );
    check("groups: {}\n", &["r.yml:1:9: groups must be a list"]);
    check("- a\n", &["r.yml:1:1: a rule file must be a map"]);
    check(
        "groups:\n- name: [a]\n  limit: x\n",
        &[
            "r.yml:2:3: the group must have a name",
            "r.yml:2:9: name must be a text",
            r#"r.yml:3:10: limit must be a whole number, not "x""#,
        ],
    );
    assert!(problems("groups: [").len() == 1);
    assert!(problems("groups:\n\t- name: a")[0].contains("tabs"));
    assert!(problems("a: *b")[0].starts_with("r.yml:1:4: not valid YAML"));
    check("", &[]);
    check("groups:\n", &[]);
}

#[test]
fn takes_anchors_and_merged_maps() {
    let text = "groups:\n- name: g\n  rules:\n  - &a {alert: A, expr: x, labels: {s: t}}\n  - {<<: *a, alert: B}\n  - *a\n";
    let file = parse_rule_file("r.yml", text, &Checker, ParseOptions::default()).expect("valid");
    let names: Vec<&str> = file.groups[0]
        .rules
        .iter()
        .map(|rule| rule.name.as_str())
        .collect();
    assert_eq!(names, ["A", "B", "A"]);
    assert_eq!(
        file.groups[0].rules[1].labels,
        [("s".to_owned(), "t".to_owned())]
    );
}

#[test]
fn draws_the_line() {
    let text = "groups:\n- name: g\n  rules:\n  - record: a\n    expr: sum(a!)\n";
    let errors = parse_rule_file("r.yml", text, &Checker, ParseOptions::default())
        .expect_err("a bad expression");
    assert_eq!(
        errors.render(),
        concat!(
            "error: group \"g\", rule 1, \"a\": could not parse expression: unexpected character: '!'\n",
            " --> r.yml:5:16\n",
            "  |\n",
            "5 |     expr: sum(a!)\n",
            "  |                ^\n",
        )
    );
}

#[test]
fn warns_of_rules_that_write_the_same_series() {
    let text = "groups:\n- name: g\n  rules:\n  - {record: a, expr: x}\n  - {record: a, expr: y}\n---\ngroups: []\n";
    let file = parse_rule_file("r.yml", text, &Checker, ParseOptions::default()).expect("valid");
    let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            r#"r.yml:5:5: the rule "a" has the same labels in line 4 (two rules that write the same series disturb each other)"#,
            "r.yml:6:1: only the first document of the file is read (put the groups into one document)",
        ]
    );
}

#[test]
fn names_are_judged_by_the_scheme() {
    let text = "groups: [{name: g, rules: [{alert: a, expr: 1, annotations: {a-b: c}}]}]";
    let legacy = ParseOptions {
        names: NameValidation::Legacy,
        ..ParseOptions::default()
    };
    assert!(parse_rule_file("r.yml", text, &Checker, ParseOptions::default()).is_ok());
    assert!(parse_rule_file("r.yml", text, &Checker, legacy).is_err());
}

proptest! {
    #[test]
    fn random_files_never_panic(text in "(groups:|\n|- |  |name: |rules: |alert: |expr: |[|]|\\{|\\}|\\||>|&a |\\*a|<<: |\"|'|x|é|\t|---|[ -~]){0,60}") {
        let _ = problems(&text);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = problems(&String::from_utf8_lossy(&bytes));
    }
}
