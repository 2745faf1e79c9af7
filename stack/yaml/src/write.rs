//! Settings to YAML.

use gameday_query::Position;
use serde::Serialize;

use crate::error::Mistake;
use crate::scalar::{Plain, plain};
use crate::tree::{Key, Kind, Node, read};

/// Writes a value as YAML in block style, its fields in their order.
///
/// # Errors
/// Where the value cannot be serialized: a map whose keys are no texts, or more than a file may hold.
pub fn to_string(value: &impl Serialize) -> Result<String, Mistake> {
    // JSON is YAML, and keeps the order of the fields.
    let json = serde_json::to_string(value)
        .map_err(|error| Mistake::new(Position::START, error.to_string()))?;
    let mut document = read(&json);
    if let Some(mistake) = document.mistakes.pop() {
        return Err(mistake);
    }
    let mut out = String::new();
    match document.root.map(|root| root.kind) {
        Some(Kind::List(nodes)) if !nodes.is_empty() => list(&mut out, &nodes, 0),
        Some(Kind::Map(entries)) if !entries.is_empty() => map(&mut out, &entries, 0),
        other => {
            inline(&mut out, &other.unwrap_or(Kind::Null));
            out.push('\n');
        }
    }
    Ok(out)
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n("  ", depth));
}

fn list(out: &mut String, nodes: &[Node], depth: usize) {
    for node in nodes {
        indent(out, depth);
        out.push_str("- ");
        match &node.kind {
            // The first key of a map stands behind the dash.
            Kind::Map(entries) if !entries.is_empty() => {
                let mut inner = String::new();
                map(&mut inner, entries, depth + 1);
                out.push_str(inner.trim_start_matches(' '));
            }
            other => behind(out, other, depth),
        }
    }
}

fn map(out: &mut String, entries: &[(Key, Node)], depth: usize) {
    for (key, node) in entries {
        indent(out, depth);
        text(out, &key.name);
        out.push(':');
        match &node.kind {
            Kind::Map(inner) if !inner.is_empty() => {
                out.push('\n');
                map(out, inner, depth + 1);
            }
            // As Go writes it, a list within a map is not indented.
            Kind::List(nodes) if !nodes.is_empty() => {
                out.push('\n');
                list(out, nodes, depth);
            }
            other => {
                out.push(' ');
                behind(out, other, depth);
            }
        }
    }
}

/// A value at the end of a line.
fn behind(out: &mut String, kind: &Kind, depth: usize) {
    match kind {
        Kind::Scalar(scalar) if !scalar.is_plain && is_block(&scalar.text) => {
            let ends = scalar.text.ends_with('\n');
            out.push_str(if ends { "|\n" } else { "|-\n" });
            for line in scalar.text.trim_end_matches('\n').split('\n') {
                if !line.is_empty() {
                    indent(out, depth + 1);
                    out.push_str(line);
                }
                out.push('\n');
            }
        }
        Kind::List(nodes) if !nodes.is_empty() => {
            // A list within a list.
            out.push('\n');
            list(out, nodes, depth + 1);
        }
        other => {
            inline(out, other);
            out.push('\n');
        }
    }
}

/// Whether a text is best read as lines of its own.
fn is_block(lines: &str) -> bool {
    let body = lines.strip_suffix('\n').unwrap_or(lines);
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && body
            .chars()
            .all(|own| own == '\n' || !(own.is_control() || own == '\u{feff}'))
}

fn inline(out: &mut String, kind: &Kind) {
    match kind {
        Kind::Null => out.push_str("null"),
        Kind::List(_) => out.push_str("[]"),
        Kind::Map(_) => out.push_str("{}"),
        Kind::Scalar(scalar) if scalar.is_plain => out.push_str(&scalar.text),
        Kind::Scalar(scalar) => text(out, &scalar.text),
    }
}

/// A text as it is where nobody could take it for something else, in double quotes (JSON's are YAML's) where one could.
fn text(out: &mut String, own: &str) {
    let begins_plain = |first: char| first.is_alphabetic() || "_/<(".contains(first);
    // Digits may begin a number, a date or a version; a duration is none of them.
    let is_word = own.chars().all(char::is_alphanumeric);
    let is_plain = (own.starts_with(begins_plain) || is_word && !own.is_empty())
        && own
            .chars()
            .all(|one| one.is_alphanumeric() || "_-/.+=<>()$~^;!| :,@*\\".contains(one))
        && !own.contains(": ")
        && !own.contains(" #")
        && !own.ends_with([':', ' '])
        && plain(own) == Plain::Text
        && !own.chars().all(|one| one.is_ascii_digit())
        && !own.eq_ignore_ascii_case("null");
    if is_plain {
        out.push_str(own);
    } else {
        out.push_str(&serde_json::Value::from(own).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn settings_are_written_as_people_write_them() {
        let value = serde_json::json!({
            "groups": [{"name": "a", "rules": [{"expr": "up == 0", "for": "1m"}], "none": []}, "x"],
            "text": "one\ntwo",
            "yes": "yes",
            "number": 1.5,
            "empty": {},
            "nothing": null,
        });
        assert_eq!(
            to_string(&value).unwrap(),
            "empty: {}\ngroups:\n- name: a\n  none: []\n  rules:\n  - expr: up == 0\n    for: 1m\n- x\nnothing: null\nnumber: 1.5\ntext: |-\n  one\n  two\n\"yes\": \"yes\"\n"
        );
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\\n\\t\u{85}é]{0,12}".prop_map(Value::from),
            "(yes|no|null|~|1e3|0x1|- a|a: b|#|---|\\?|%|<<| a|a )".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ -;=-~]{1,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in any_value()) {
            let written = to_string(&value).unwrap();
            let read: Value = crate::from_str(&written).map_err(|error| TestCaseError::fail(format!("{error}\n{written}")))?;
            prop_assert_eq!(read, value, "{}", written);
        }
    }
}
