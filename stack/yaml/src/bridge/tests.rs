//! Settings from YAML: what is read, and how mistakes are told.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    name: String,
    port: Option<u16>,
    on: bool,
    ratio: f64,
    labels: BTreeMap<String, String>,
    rules: Vec<Rule>,
    kind: Kind,
    codes: BTreeMap<u16, String>,
    placed: Option<Spanned<String>>,
    pair: Option<(i8, char)>,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    expr: String,
}

#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Plain,
    Limit(u32),
    Window {
        seconds: u32,
    },
}

fn settings(text: &str) -> Settings {
    from_str(text).unwrap_or_else(|mistake| panic!("{text}: {mistake}"))
}

#[test]
fn fields_say_how_their_scalars_are_read() {
    let read = settings(
        "name: 9090\nport: 0x10\non: yes\nratio: 1\nlabels: {a: true, 7: null text}\nrules:\n- expr: |\n    up\nkind: {limit: 3}\ncodes: {404: x}\nplaced:   here\npair: [-1, c]\n",
    );
    assert_eq!(
        read,
        Settings {
            name: "9090".to_owned(),
            port: Some(16),
            on: true,
            ratio: 1.0,
            labels: [("7", "null text"), ("a", "true")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            rules: vec![Rule {
                expr: "up\n".to_owned()
            }],
            kind: Kind::Limit(3),
            codes: [(404, "x".to_owned())].into(),
            placed: Some(Spanned {
                value: "here".to_owned(),
                at: Position {
                    line: 11,
                    column: 11
                }
            }),
            pair: Some((-1, 'c')),
        }
    );
    assert_eq!(settings(""), Settings::default());
    assert_eq!(settings("# nothing\n---\n"), Settings::default());
    assert_eq!(
        settings("port: ~\nlabels:\nrules: null"),
        Settings::default()
    );
    assert_eq!(
        settings("kind: {window: {seconds: 1}}").kind,
        Kind::Window { seconds: 1 }
    );
    let merged = settings("labels: &all {a: b}\nrules: []\ncodes: {1: x, <<: {2: y}}");
    assert_eq!(merged.codes.len(), 2);
}

#[test]
fn mistakes_have_the_innermost_place() {
    for (text, expected) in [
        (
            "prot: 1",
            "1:1: unknown field `prot`, did you mean \"port\"?",
        ),
        (
            "rules:\n- exrp: up",
            "2:3: unknown field `exrp`, did you mean \"expr\"?",
        ),
        (
            "rules:\n- query: up",
            "2:3: unknown field `query`, expected one of `expr`",
        ),
        ("rules:\n- {}", "2:3: missing field `expr`"),
        (
            "port: 70000",
            "1:7: invalid type: integer `70000`, expected u16",
        ),
        (
            "port: \"x\"",
            "1:7: invalid type: string \"x\", expected u16",
        ),
        (
            "on: maybe",
            "1:5: invalid type: string \"maybe\", expected a boolean",
        ),
        (
            "on: 'yes'",
            "1:5: invalid type: string \"yes\", expected a boolean",
        ),
        (
            "name: [a]",
            "1:7: invalid type: sequence, expected a string",
        ),
        ("name:", "1:5: invalid type: null, expected a string"),
        ("labels: [a]", "1:9: invalid type: sequence, expected a map"),
        (
            "labels: {a: {}}",
            "1:13: invalid type: map, expected a string",
        ),
        (
            "kind: limt",
            "1:7: unknown variant `limt`, did you mean \"limit\"?",
        ),
        (
            "kind: limit",
            "1:7: the name stands alone, expected a map with it as its key",
        ),
        (
            "codes: {x: y}",
            "1:9: invalid type: string \"x\", expected u16",
        ),
        (
            "pair: [1]",
            "1:7: invalid length 1, expected a tuple of size 2",
        ),
        (
            "name: a\nname: b",
            "2:1: the key \"name\" is already set in line 1",
        ),
        (
            "name: a\n---\nname: b",
            "2:1: a second document begins here, only one is read",
        ),
        ("rules:\n\t- {}", "2:2: not valid YAML"),
    ] {
        let mistake = from_str::<Settings>(text).expect_err(text);
        assert!(
            mistake.to_string().starts_with(expected),
            "{text}: {mistake}"
        );
    }
}

#[test]
fn what_aliases_stand_for_is_limited() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        let ten = [alias.as_str(); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{ten}]").expect("a String takes all");
    }
    let mistake = from_str::<serde_json::Value>(&text).expect_err("a bomb");
    assert!(
        mistake.message.contains("stands for more than"),
        "{mistake}"
    );
    let deep = "[".repeat(100_000);
    let mistake = from_str::<serde_json::Value>(&deep).expect_err("too deep");
    assert!(mistake.message.contains("recursion limit"), "{mistake}");
    let deep = format!("{}x{}", "[".repeat(70), "]".repeat(70));
    let mistake = from_str::<serde_json::Value>(&deep).expect_err("too deep");
    assert!(
        mistake.message.contains("nested more than 64 deep"),
        "{mistake}"
    );
}

#[test]
fn a_file_is_named_and_its_line_shown() {
    let error = from_file::<Settings>("s.yml", "name: a\nprot: 1\n").expect_err("a slip");
    assert_eq!(
        error.to_string(),
        "s.yml:2:1: unknown field `prot`, did you mean \"port\"?\nprot: 1\n^"
    );
    let long = format!("name: a\nlabels: {{{}, x: [1]}}", ["k"; 400].join(": v, "));
    let error = from_file::<Settings>("s.yml", &long)
        .expect_err("a slip")
        .to_string();
    assert!(error.lines().all(|line| line.len() < 200), "{error}");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(text in "[ -~\\n\\té]{0,80}") {
        let _ = from_file::<Settings>("x", &text);
        let _ = from_str::<serde_json::Value>(&text);
    }

    #[test]
    fn tokens_of_yaml_never_panic(parts in prop::collection::vec(prop::sample::select(vec!["a", ": ", "\n", "- ", "  ", "&x ", "*x", "[", "]", "{", "}", ",", "|", ">", "'", "\"", "<<", "!!str ", "#", "---\n", "? ", "null", "1"]), 0..24)) {
        let _ = from_str::<Settings>(&parts.concat());
        let _ = from_str::<serde_json::Value>(&parts.concat());
    }
}
