//! TraceQL's tokens: those of the shared lexer, and attributes such as `span.http.status_code` and `span:name` as one token each.

use gameday_query::{LexRules, Lexer, SourceSpan, Token, TokenKind};

/// What may stand before a dot or a colon.
const SCOPES: [&str; 7] = [
    "trace",
    "span",
    "resource",
    "event",
    "link",
    "instrumentation",
    "parent",
];

const RULES: LexRules = LexRules {
    identifier_start: |c| c.is_alphabetic() || c == '_',
    identifier_continue: |c| c.is_alphanumeric() || c == '_',
    operators: &[
        "{", "}", "(", ")", ",", "|", "&&", "||", "!", "=", "!=", "=~", "!~", "<", "<=", ">", ">=",
        ">>", "<<", "~", "!>", "!<", "!>>", "!<<", "&>", "&<", "&>>", "&<<", "&~", "+", "-", "*",
        "/", "%", "^", ".",
    ],
    comment: Some("//"),
    unexpected: "syntax error: unexpected ",
};

/// All tokens of `source`; an attribute or a scoped intrinsic is an identifier that holds its scope.
pub(crate) fn tokenize(source: &str) -> Vec<Token> {
    let mut lexer = Lexer::new(source);
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank(&RULES);
        let start = lexer.offset();
        if let Some(length) = attribute_length(lexer.rest()) {
            lexer.skip(length);
            tokens.push(Token {
                kind: TokenKind::Identifier,
                span: SourceSpan::new(start, lexer.offset()),
            });
            continue;
        }
        let mut token = lexer.next_token(&RULES);
        if token.span.text(source).starts_with('\'') {
            token.kind = TokenKind::Invalid(
                "syntax error: strings are quoted by \" or `, not by '".to_owned(),
            );
        }
        let last = matches!(token.kind, TokenKind::End | TokenKind::Invalid(_));
        tokens.push(token);
        if last {
            return tokens;
        }
    }
}

/// Whether an attribute's name may hold `character` without quotes.
pub(crate) fn is_attribute_character(character: char) -> bool {
    !character.is_whitespace()
        && !matches!(
            character,
            '{' | '}' | '(' | ')' | '=' | '~' | '!' | '<' | '>' | '&' | '|' | '^' | ','
        )
}

/// The length of the attribute or scoped intrinsic that `text` begins with.
fn attribute_length(text: &str) -> Option<usize> {
    let scope = SCOPES.iter().find(|scope| {
        text.strip_prefix(**scope)
            .is_some_and(|rest| rest.starts_with(['.', ':']))
    });
    let prefix = scope.map_or(0, |scope| scope.len());
    let rest = &text[prefix..];
    if let Some(name) = rest.strip_prefix(':') {
        let length = name
            .find(|c: char| !c.is_alphanumeric())
            .unwrap_or(name.len());
        return Some(prefix + 1 + length);
    }
    let name = rest.strip_prefix('.')?;
    // `.5` and `.24h` are numbers.
    if prefix == 0 && name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let length = name_length(name);
    (length > 0).then_some(prefix + 1 + length)
}

/// The length of a name whose parts may be quoted: `foo."bar baz".x`.
fn name_length(text: &str) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    for (offset, character) in text.char_indices() {
        if quoted {
            if escaped {
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == '"' {
                quoted = false;
            }
        } else if character == '"' {
            quoted = true;
        } else if !is_attribute_character(character) {
            return offset;
        }
    }
    text.len()
}

/// The name without its quotes and escapes; `None` where a quote is not closed.
pub(crate) fn unquote_name(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut quoted = false;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' if quoted => match characters.next()? {
                escaped @ ('"' | '\\') => name.push(escaped),
                other => {
                    name.push('\\');
                    name.push(other);
                }
            },
            other => name.push(other),
        }
    }
    (!quoted).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_one_token() {
        for (source, expected) in [
            (".foo", vec![".foo"]),
            (".foo3+bar-baz", vec![".foo3+bar-baz"]),
            (r#"."foo bar".baz"#, vec![r#"."foo bar".baz"#]),
            (
                r#"span.a."b \" c" = 1"#,
                vec![r#"span.a."b \" c""#, "=", "1"],
            ),
            ("parent.span.foo", vec!["parent.span.foo"]),
            ("span:childCount>2", vec!["span:childCount", ">", "2"]),
            ("{.a}|.b", vec!["{", ".a", "}", "|", ".b"]),
            (".3 .24h", vec![".3", ".24h"]),
            ("spanset.a", vec!["spanset", ".a"]),
            ("a /* b", vec!["a", "/", "*", "b"]),
            ("1 // all of it\n2", vec!["1", "2"]),
        ] {
            let mut texts: Vec<&str> = tokenize(source)
                .iter()
                .map(|token| token.span.text(source))
                .collect();
            assert_eq!(texts.pop(), Some(""), "{source}");
            assert_eq!(texts, expected, "{source}");
        }
    }

    #[test]
    fn names_lose_their_quotes() {
        for (text, name) in [
            ("foo", Some("foo")),
            (r#""foo bar".x"#, Some("foo bar.x")),
            (r#""a\\b\"c""#, Some("a\\b\"c")),
            (r#""open"#, None),
        ] {
            assert_eq!(unquote_name(text).as_deref(), name, "{text}");
        }
    }
}
