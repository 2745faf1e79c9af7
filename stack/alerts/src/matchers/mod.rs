//! Conditions on labels as people write them: the classic syntax, the UTF-8 syntax, and the fallback between them.
//!
//! Alertmanager reads matchers in the UTF-8 syntax and falls back to the classic one, and where both can read a text but disagree
//! the classic one decides, so that old configurations keep their meaning. [`parse_matchers`] and [`parse_matcher`] do the same.

mod classic;
mod utf8;

use gameday_signal::{MatchOp, Matcher, MatcherError};

pub use classic::{parse_classic_matcher, parse_classic_matchers};
pub use utf8::{parse_utf8_matcher, parse_utf8_matchers};

/// Why a matcher was refused; the texts are those of Alertmanager.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub(crate) String);

/// Reads a list of matchers (`{a="b",c=~"d.*"}`, the braces may be left out) as Alertmanager does by default.
///
/// # Errors
/// Where neither syntax can read the text; the message is that of the classic syntax, as in Alertmanager.
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, ParseError> {
    fallback(parse_utf8_matchers(text), parse_classic_matchers(text))
}

/// Reads one matcher (`a="b"`) as Alertmanager does by default.
///
/// # Errors
/// Where neither syntax can read the text, or where there are braces around it.
pub fn parse_matcher(text: &str) -> Result<Matcher, ParseError> {
    if text.starts_with('{') || text.ends_with('}') {
        return Err(ParseError(format!(
            "unexpected open or close brace: {text}"
        )));
    }
    fallback(parse_utf8_matcher(text), parse_classic_matcher(text))
}

fn fallback<T: PartialEq>(
    utf8: Result<T, ParseError>,
    classic: Result<T, ParseError>,
) -> Result<T, ParseError> {
    match (utf8, classic) {
        (Err(_), classic) => classic,
        (Ok(utf8), Ok(classic)) if utf8 != classic => Ok(classic),
        (Ok(utf8), _) => Ok(utf8),
    }
}

/// Whether Alertmanager takes `name` as a label name: any text that is not empty.
pub(crate) fn is_valid_label_name(name: &str) -> bool {
    !name.is_empty()
}

/// Renders one matcher as Alertmanager does.
pub(crate) fn render_matcher(matcher: &Matcher) -> String {
    let (name, op, value) = (matcher.name(), matcher.op().as_str(), matcher.value());
    if name.chars().any(is_reserved) {
        format!("{}{op}{}", go_quote(name), go_quote(value))
    } else {
        let escaped = value
            .replace('\\', "\\\\")
            .replace('\n', "\\n")
            .replace('"', "\\\"");
        format!("{name}{op}\"{escaped}\"")
    }
}

/// Renders a list of matchers as Alertmanager does (`{a="b",c=~"d"}`); it is part of a group's key.
pub(crate) fn render_matchers(matchers: &[Matcher]) -> String {
    let parts: Vec<_> = matchers.iter().map(render_matcher).collect();
    format!("{{{}}}", parts.join(","))
}

/// Characters that the UTF-8 syntax only takes within quotes.
fn is_reserved(character: char) -> bool {
    character.is_whitespace() || "{}!=~,\\\"'`".contains(character)
}

/// Quotes as Go's `strconv.Quote` does.
pub(crate) fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            control if control.is_ascii_control() => {
                let escaped = format!("\\x{:02x}", u32::from(control));
                quoted.push_str(&escaped);
            }
            control if control.is_control() => {
                let escaped = format!("\\u{:04x}", u32::from(control));
                quoted.push_str(&escaped);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Builds a matcher; the error names the pattern as Go's regexp package does.
fn build(name: &str, op: MatchOp, value: &str) -> Result<Matcher, ParseError> {
    Matcher::new(name, op, value).map_err(|error| ParseError(go_regexp_error(&error)))
}

/// Go's texts for the three mistakes that people make; the engine's own for the rest.
fn go_regexp_error(error: &MatcherError) -> String {
    let pattern = &error.pattern;
    let detail = match error.reason.as_str() {
        "unclosed character class" => format!(
            "missing closing ]: `{})$`",
            &pattern[pattern.rfind('[').unwrap_or_default()..]
        ),
        "unclosed group" => format!("missing closing ): `^(?:{pattern})$`"),
        "unopened group" => format!("unexpected ): `^(?:{pattern})$`"),
        reason => format!("{reason}: `{pattern}`"),
    };
    format!("error parsing regexp: {detail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_syntaxes_and_the_choice_between_them() {
        for (text, expected) in [
            ("foo=bar", "{foo=\"bar\"}"),
            ("{\"a b\"=c}", "{\"a b\"=\"c\"}"),
            // Only the classic syntax reads these.
            ("foo=a\\nb", "{foo=\"a\\nb\"}"),
            ("foo=", "{foo=\"\"}"),
            // Both read it, but not alike: a classic value keeps the escape's meaning.
            ("foo=\"\\\\d\"", "{foo=\"\\\\d\"}"),
            ("b=2,a!~\"1|2\"", "{b=\"2\",a!~\"1|2\"}"),
        ] {
            assert_eq!(render_matchers(&parse_matchers(text).unwrap()), expected);
        }
        assert_eq!(
            parse_matcher("{a=b}").unwrap_err().to_string(),
            "unexpected open or close brace: {a=b}"
        );
    }

    #[test]
    fn a_bad_pattern_is_named_as_in_go() {
        for (text, expected) in [
            (
                "a=~\"[b\"",
                "error parsing regexp: missing closing ]: `[b)$`",
            ),
            (
                "a=~\"(b\"",
                "error parsing regexp: missing closing ): `^(?:(b)$`",
            ),
        ] {
            assert_eq!(parse_matchers(text).unwrap_err().to_string(), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn random_text_never_panics(text in "\\PC*|[{}=~!,\"\\\\a-c ]*") {
            let _ = parse_matchers(&text);
            let _ = parse_matcher(&text);
        }
    }
}
