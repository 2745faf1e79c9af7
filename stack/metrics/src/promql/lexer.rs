//! PromQL's tokens: other rules apply outside, inside braces and inside brackets.

use gameday_query::{
    LexRules, Lexer, SourceSpan, Token, TokenKind, bad_number, is_identifier_continue,
    is_identifier_start,
};

const OUTSIDE: LexRules = LexRules {
    identifier_start: |c| is_identifier_start(c) || c == ':',
    identifier_continue: |c| is_identifier_continue(c) || c == ':',
    operators: &[
        "(", ")", "{", "}", "[", "]", ",", "+", "-", "*", "/", "%", "^", "=", "==", "!=", "<",
        "<=", "</", ">", ">=", ">/", "@",
    ],
    comment: Some("#"),
    unexpected: "unexpected character: ",
};

const IN_BRACES: LexRules = LexRules {
    identifier_start: is_identifier_start,
    identifier_continue: is_identifier_continue,
    operators: &["}", ",", "=", "=~", "!=", "!~"],
    comment: Some("#"),
    unexpected: "unexpected character inside braces: ",
};

const IN_BRACKETS: LexRules = LexRules {
    identifier_start: is_identifier_start,
    identifier_continue: is_identifier_continue,
    operators: &["(", ")", "]", ":", ",", "+", "-", "*", "/", "%", "^"],
    comment: Some("#"),
    unexpected: "unexpected character in duration expression: ",
};

/// The words that may stand in a duration expression.
const DURATION_WORDS: [&str; 4] = ["step", "range", "min_of", "max_of"];

/// Reads all tokens; text that is none ends the list with a message in the words of Prometheus.
pub(super) fn tokenize(source: &str) -> Vec<Token> {
    let mut state = State {
        lexer: Lexer::new(source),
        parens: 0,
        in_braces: false,
        in_brackets: false,
    };
    let mut tokens = Vec::new();
    loop {
        let token = state.next();
        let last = matches!(token.kind, TokenKind::End | TokenKind::Invalid(_));
        tokens.push(token);
        if last {
            return tokens;
        }
    }
}

struct State<'a> {
    lexer: Lexer<'a>,
    parens: usize,
    in_braces: bool,
    in_brackets: bool,
}

impl State<'_> {
    fn next(&mut self) -> Token {
        let rules = if self.in_braces {
            &IN_BRACES
        } else if self.in_brackets {
            &IN_BRACKETS
        } else {
            &OUTSIDE
        };
        self.lexer.skip_blank(rules);
        if let Some(invalid) = self.refused_pair() {
            return invalid;
        }
        let token = self.lexer.next_token(rules);
        match &token.kind {
            TokenKind::End => self.end(token),
            TokenKind::Operator(operator) => self.operator(operator, token.clone()),
            TokenKind::Number(_) | TokenKind::Quantity => self.number(token),
            TokenKind::Identifier if self.in_brackets => self.duration_word(token),
            TokenKind::String(_) if self.in_brackets => {
                let quote = self.text(token.span).chars().next().unwrap_or('"');
                invalid(token.span, format!("{}{quote:?}", IN_BRACKETS.unexpected))
            }
            _ => token,
        }
    }

    fn text(&self, span: SourceSpan) -> &str {
        span.text(self.lexer.source())
    }

    /// `=~`, `!~` and the like are two characters that Prometheus refuses with a message of their own where they do not belong.
    fn refused_pair(&self) -> Option<Token> {
        let mut rest = self.lexer.rest().chars();
        let (first, second) = (rest.next()?, rest.next());
        let span = SourceSpan::new(
            self.lexer.offset(),
            self.lexer.offset() + 1 + second.map_or(0, char::len_utf8),
        );
        let (shown, inside) = (
            second.map_or_else(|| "end of input".to_owned(), |c| format!("{c:?}")),
            if self.in_braces { " inside braces" } else { "" },
        );
        match (first, second) {
            ('=', Some('~')) if !self.in_braces => Some(invalid(
                span,
                format!("unexpected character after '=': {shown}"),
            )),
            ('!', Some('=')) => None,
            ('!', Some('~')) if self.in_braces => None,
            ('!', _) => Some(invalid(
                span,
                format!("unexpected character after '!'{inside}: {shown}"),
            )),
            _ => None,
        }
    }

    fn end(&self, token: Token) -> Token {
        let message = if self.in_braces {
            "unexpected end of input inside braces"
        } else if self.in_brackets {
            "unexpected end of input in duration expression"
        } else if self.parens > 0 {
            "unclosed left parenthesis"
        } else {
            return token;
        };
        invalid(token.span, message.to_owned())
    }

    fn operator(&mut self, operator: &str, token: Token) -> Token {
        match operator {
            "{" => self.in_braces = true,
            "}" if self.in_braces => self.in_braces = false,
            "}" => return invalid(token.span, "unexpected character: '}'".to_owned()),
            "[" => self.in_brackets = true,
            "]" if self.in_brackets => self.in_brackets = false,
            "]" => return invalid(token.span, "unexpected right bracket ']'".to_owned()),
            "(" => self.parens += 1,
            ")" if self.parens == 0 => {
                return invalid(token.span, "unexpected right parenthesis ')'".to_owned());
            }
            ")" => self.parens -= 1,
            _ => {}
        }
        token
    }

    fn number(&self, token: Token) -> Token {
        let text = self.text(token.span);
        if self.in_braces {
            let first = text.chars().next().unwrap_or('0');
            return invalid(token.span, format!("{}{first:?}", IN_BRACES.unexpected));
        }
        let well_formed = if token.kind == TokenKind::Quantity {
            is_duration_shape(text)
        } else {
            has_good_underscores(text)
        };
        if well_formed {
            token
        } else {
            invalid(token.span, bad_number(text))
        }
    }

    fn duration_word(&self, token: Token) -> Token {
        let word = self.text(token.span).to_ascii_lowercase();
        if DURATION_WORDS.contains(&word.as_str()) {
            return token;
        }
        let first = self.text(token.span).chars().next().unwrap_or(' ');
        invalid(
            token.span,
            format!("unexpected character: {first:?}, expected ':'"),
        )
    }
}

fn invalid(span: SourceSpan, message: String) -> Token {
    Token {
        kind: TokenKind::Invalid(message),
        span,
    }
}

/// Whether the text is a run of digits and unit letters; whether the units exist and stand in order is found out later.
fn is_duration_shape(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..]
            .bytes()
            .take_while(u8::is_ascii_alphabetic)
            .count();
        let unit = &rest[digits..digits + letters];
        let known = match unit.as_bytes() {
            [first] | [first, b's'] => b"smhdwy".contains(first),
            _ => false,
        };
        if digits == 0 || !known {
            return false;
        }
        rest = &rest[digits + letters..];
    }
    true
}

/// Whether every underscore stands between digits.
fn has_good_underscores(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(index, byte)| {
        *byte != b'_'
            || (index > 0
                && (bytes[index - 1].is_ascii_hexdigit()
                    || matches!(bytes[index - 1], b'x' | b'X'))
                && bytes.get(index + 1).is_some_and(u8::is_ascii_hexdigit))
    })
}
