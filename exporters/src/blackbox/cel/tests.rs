use proptest::prelude::*;
use serde_json::json;

use super::*;

fn body() -> serde_json::Value {
    json!({
        "status": "ok",
        "count": 3,
        "ratio": 0.5,
        "big": 9_007_199_254_740_993_i64,
        "none": null,
        "tags": ["a", "b"],
        "checks": [{"name": "db", "up": true, "ms": 12}, {"name": "mq", "up": false, "ms": 7}],
        "nested": {"a-b": {"c": true}},
    })
}

#[test]
fn expressions_hold_or_not() {
    for (text, expected) in [
        ("body.status == 'ok'", true),
        ("body.status != \"ok\"", false),
        // JSON's numbers are doubles, and compare with ints all the same.
        ("body.count == 3", true),
        ("body.count > 2 && body.count < 3u + 1u", true),
        ("body.count + 1.0 == 4.0", true),
        ("body.ratio >= 0.5 || body.nope", true),
        ("body.nope || body.ratio >= 0.5", true),
        ("body.nope && false", false),
        ("body.none == null", true),
        ("has(body.status) && !has(body.nope)", true),
        ("'a' in body.tags && !('c' in body.tags)", true),
        ("'status' in body", true),
        ("body.tags[1] == 'b' && body['tags'][0] == 'a'", true),
        ("body.tags + ['c'] == ['a', 'b', 'c']", true),
        ("size(body.tags) == 2 && body.tags.size() == 2", true),
        ("body.checks.all(c, c.ms < 20)", true),
        ("body.checks.all(c, c.up)", false),
        ("body.checks.exists(c, c.name == 'mq' && !c.up)", true),
        ("body.checks.exists_one(c, c.up)", true),
        ("body.checks.filter(c, c.up).map(c, c.name) == ['db']", true),
        ("body.checks.map(c, c.up, c.ms * 2.0) == [24.0]", true),
        ("body.all(key, key.size() > 2)", true),
        ("body.nested['a-b'].c", true),
        (
            "body.status.startsWith('o') && body.status.endsWith('k')",
            true,
        ),
        ("body.status.contains('x')", false),
        (
            "body.status.matches('^o.$') && matches(body.status, 'k')",
            true,
        ),
        ("body.count > 1 ? body.status == 'ok' : body.nope", true),
        ("type(body.count) == double && type(1u) == uint", true),
        ("type(body.tags) == list && type(type(1)) == type", true),
        ("int(body.count) % 2 == 1", true),
        ("string(body.count) == '3' && double('1.5') == 1.5", true),
        ("-5 / 2 == -2 && -5 % 2 == -1", true),
        ("1 + 2 * 3 - 4 == 3 && (1 + 2) * 3 == 9", true),
        ("-9223372036854775808 < 0 && 0xff == 255", true),
        ("1e3 == 1000 && .5 == 0.5 && 1.5e-1 == 0.15", true),
        ("'\\u00e9\\n\\x41\\101' == 'é\\nAA'", true),
        ("r'\\d' == '\\\\d' && b'\\xff' != b'a'", true),
        ("'''it's''' == \"it's\"", true),
        ("{'a': 1, 'b': 2}.b == 2 && {1: 'x'}[1u] == 'x'", true),
        ("[1, 2,] == [1.0, 2u]", true),
        ("false < true && 'a' < 'b' && 1 < 1.5 && 2u > 1", true),
        ("1 == '1'", false),
        ("body.big == 9007199254740992", true),
        ("!!true // and a remark", true),
        ("size('é') == 1 && size(b'ab') == 2 && size({}) == 0", true),
    ] {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(expression.judge(&body()), Ok(expected), "{text}");
    }
}

#[test]
fn what_cannot_be_evaluated_says_why() {
    for (text, expected) in [
        ("body.nope", "no such key: nope"),
        ("body.status", "the result is no bool but string"),
        ("body.count + 1 == 4.0", "no such overload: +(double, int)"),
        ("body.status < 1", "no such overload: compare(string, int)"),
        ("body.status && true", "no such overload: &&(string)"),
        ("body.tags[2] == 'x'", "index out of bounds: 2"),
        ("body.tags[-1] == 'x'", "index out of bounds: -1"),
        ("1 / 0 == 1", "/ by zero"),
        ("9223372036854775807 + 1 > 0", "integer overflow"),
        ("body.status.matches('(')", "regex parse error"),
        ("body.status.size() > 0 && body.status.x", "no field \"x\""),
        (
            "body.status.all(c, true)",
            "no such overload: a macro(string)",
        ),
        ("int('x') == 1", "int(\"x\")"),
        ("{'a': 1, 'a': 2}.a == 1", "twice"),
        ("body.checks.all(c, c.nope)", "no such key: nope"),
    ] {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let error = expression.judge(&body()).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn mistakes_are_told_with_their_column() {
    for (text, expected) in [
        ("", "column 1: expected a value, found the end"),
        ("body.", "column 6: expected a name after the dot"),
        (
            "body.status = 'ok'",
            "column 13: expected the end, found \"=\"",
        ),
        (
            "status == 'ok'",
            "column 1: undeclared reference to \"status\"",
        ),
        (
            "body.status.lower() == 'ok'",
            "undeclared reference to \"lower\"",
        ),
        (
            "timestamp(body.at) > 0",
            "timestamp() is not supported here",
        ),
        ("size(1, 2)", "size() takes 1 arguments, not 2"),
        ("has(body)", "has() takes a selection"),
        ("'abc", "column 1: the text has no end"),
        ("'\\q'", "column 1: unknown escape \\q"),
        (
            "body.tags.all(1, true)",
            "column 15: expected the name of an item",
        ),
        ("for == 1", "\"for\" is a reserved word"),
        ("1 ~ 2", "column 3: unexpected '~'"),
        ("9223372036854775808 > 0", "expected a value"),
        ("99999999999999999999", "invalid number"),
        ("(1", "column 3: expected ), found the end"),
    ] {
        let error = Expression::parse(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let deep = "(".repeat(200);
    assert!(
        Expression::parse(&deep)
            .expect_err("too deep")
            .contains("levels")
    );
    let long = vec!["true"; 2000].join(" && ");
    let expression = Expression::parse(&long).expect("chains of && are no nesting");
    assert_eq!(expression.judge(&json!(1)), Ok(true));
    let sum = vec!["1"; 200].join(" + ");
    assert!(
        Expression::parse(&sum)
            .expect_err("too long")
            .contains("operators")
    );
}

#[test]
fn an_evaluation_ends() {
    let many = json!(vec![1; 200]);
    let nested = "body.all(a, body.all(b, body.all(c, a == b)))";
    let expression = Expression::parse(nested).expect("good");
    let error = expression.judge(&many).expect_err("too much");
    assert!(error.contains("steps"), "{error}");
}

proptest! {
    #[test]
    fn random_texts_never_panic(text in ".{0,60}") {
        if let Ok(expression) = Expression::parse(&text) {
            let _ = expression.judge(&body());
        }
    }

    #[test]
    fn random_words_never_panic(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "body", ".", "status", "(", ")", "[", "]", "{", "}", "'a'", "1", "-", "2u", "1.5", "==", "<",
            "&&", "||", "!", "?", ":", ",", "in", "size", "all", "map", "x", "null", "true", "%", "*",
        ]),
        0..20,
    )) {
        if let Ok(expression) = Expression::parse(&words.join(" ")) {
            let _ = expression.judge(&body());
        }
    }
}
