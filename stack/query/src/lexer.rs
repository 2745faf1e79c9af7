//! Source text to tokens, for three languages that differ in their operators and in what an identifier may hold.

use crate::literal::{parse_number, read_string};
use crate::{ParseError, SourceSpan};

/// What a token is. The text itself is `token.span.text(source)`.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenKind {
    /// A name or a keyword: which of the two, the parser knows.
    Identifier,
    /// A number.
    Number(f64),
    /// A number with a unit, such as `5m`, `1h30m` or `10KB`; the language reads it.
    Quantity,
    /// A string literal, with its escapes resolved.
    String(String),
    /// An operator or a punctuation mark, as the rules list it.
    Operator(&'static str),
    /// Text that is no token: the message says why. It is the last token but [`TokenKind::End`].
    Invalid(String),
    /// The end of the source.
    End,
}

/// A piece of the source.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it stands.
    pub span: SourceSpan,
}

impl Token {
    /// Whether it is the operator `text`.
    pub fn is_operator(&self, text: &str) -> bool {
        matches!(self.kind, TokenKind::Operator(own) if own == text)
    }

    /// The operator, where it is one.
    pub fn operator(&self) -> Option<&'static str> {
        if let TokenKind::Operator(operator) = self.kind {
            Some(operator)
        } else {
            None
        }
    }
}

/// What the languages differ in.
#[derive(Clone, Copy)]
pub struct LexRules {
    /// Whether an identifier may begin with this character.
    pub identifier_start: fn(char) -> bool,
    /// Whether an identifier may go on with this character.
    pub identifier_continue: fn(char) -> bool,
    /// Operators and punctuation; of two that fit the longer one counts, in any order.
    pub operators: &'static [&'static str],
    /// What begins a comment that ends with the line.
    pub comment: Option<&'static str>,
    /// What the message about a character that fits nowhere begins with, for example `unexpected character: `.
    pub unexpected: &'static str,
}

/// Whether `character` begins an identifier of Prometheus: a letter or `_`.
pub fn is_identifier_start(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}

/// Whether `character` continues an identifier of Prometheus: a letter, a digit or `_`.
pub fn is_identifier_continue(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Reads one token after the other; the rules may change between two of them, as they do inside braces.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    source: &'a str,
    offset: usize,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of `source`.
    pub fn new(source: &'a str) -> Self {
        Self { source, offset: 0 }
    }

    /// The whole source.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a str {
        &self.source[self.offset..]
    }

    /// The byte that is read next.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Goes on `bytes` further on, without looking at them; to the end where there are fewer.
    pub fn skip(&mut self, bytes: usize) {
        self.offset = (self.offset + bytes).min(self.source.len());
        while !self.source.is_char_boundary(self.offset) {
            self.offset += 1;
        }
    }

    /// Skips white space and comments.
    pub fn skip_blank(&mut self, rules: &LexRules) {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            self.offset += blank;
            let rest = self.rest();
            match rules.comment {
                Some(mark) if rest.starts_with(mark) => {
                    self.offset += rest.find(['\n', '\r']).unwrap_or(rest.len());
                }
                _ if blank == 0 => return,
                _ => {}
            }
        }
    }

    /// The next token.
    pub fn next_token(&mut self, rules: &LexRules) -> Token {
        self.skip_blank(rules);
        let start = self.offset;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return self.token(start, TokenKind::End);
        };
        let second_is_digit = rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        if first.is_ascii_digit() || (first == '.' && second_is_digit) {
            return self.number();
        }
        if matches!(first, '"' | '\'' | '`') {
            return self.string();
        }
        if (rules.identifier_start)(first) {
            self.offset += rest
                .find(|character| !(rules.identifier_continue)(character))
                .unwrap_or(rest.len());
            return self.token(start, TokenKind::Identifier);
        }
        let operator = rules
            .operators
            .iter()
            .filter(|operator| rest.starts_with(**operator))
            .max_by_key(|operator| operator.len());
        if let Some(operator) = operator {
            self.offset += operator.len();
            return self.token(start, TokenKind::Operator(operator));
        }
        self.offset += first.len_utf8();
        let message = format!("{}{first:?}", rules.unexpected);
        self.token(start, TokenKind::Invalid(message))
    }

    fn token(&self, start: usize, kind: TokenKind) -> Token {
        Token {
            kind,
            span: SourceSpan::new(start, self.offset),
        }
    }

    fn number(&mut self) -> Token {
        let start = self.offset;
        self.offset += number_length(self.rest());
        let text = &self.source[start..self.offset];
        let kind = if let Some(value) = parse_number(text) {
            if value.is_infinite() {
                TokenKind::Invalid(format!(
                    "error parsing number: strconv.ParseFloat: parsing {text:?}: value out of range"
                ))
            } else {
                TokenKind::Number(value)
            }
        } else if text.contains(|character: char| character.is_alphabetic()) {
            TokenKind::Quantity
        } else {
            TokenKind::Invalid(bad_number(text))
        };
        self.token(start, kind)
    }

    fn string(&mut self) -> Token {
        let start = self.offset;
        match read_string(self.rest()) {
            Ok((length, value)) => {
                self.offset += length;
                self.token(start, TokenKind::String(value))
            }
            Err(error) => {
                let place = start + error.offset;
                self.offset = self.source.len();
                let end = if error.offset == 0 {
                    self.offset
                } else {
                    place
                };
                Token {
                    kind: TokenKind::Invalid(error.message),
                    span: SourceSpan::new(place, end),
                }
            }
        }
    }
}

/// The message about a number or quantity that cannot be read.
pub fn bad_number(text: &str) -> String {
    format!("bad number or duration syntax: {text:?}")
}

/// The length of the longest run that looks like a number with an optional unit.
fn number_length(text: &str) -> usize {
    let hexadecimal = text.starts_with("0x") || text.starts_with("0X");
    let mut previous = ' ';
    for (offset, character) in text.char_indices() {
        let sign = matches!(character, '+' | '-')
            && matches!(previous, 'e' | 'E')
            && !hexadecimal
            && is_decimal(&text[..offset - 1])
            && text[offset + 1..].starts_with(|next: char| next.is_ascii_digit());
        if !(sign || character.is_alphanumeric() || matches!(character, '.' | '_')) {
            return offset;
        }
        previous = character;
    }
    text.len()
}

fn is_decimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'_'))
}

/// All tokens of `source`: the last one is [`TokenKind::End`], the one before it may be [`TokenKind::Invalid`].
pub fn tokenize(source: &str, rules: &LexRules) -> Vec<Token> {
    let mut lexer = Lexer::new(source);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token(rules);
        let (end, invalid) = (
            token.kind == TokenKind::End,
            matches!(token.kind, TokenKind::Invalid(_)),
        );
        tokens.push(token);
        if end {
            return tokens;
        }
        if invalid {
            tokens.push(Token {
                kind: TokenKind::End,
                span: SourceSpan::at(source.len()),
            });
            return tokens;
        }
    }
}

/// Tokens with a reading position: what a recursive descent walks over.
#[derive(Clone, Debug)]
pub struct TokenStream<'a> {
    source: &'a str,
    tokens: Vec<Token>,
    index: usize,
}

impl<'a> TokenStream<'a> {
    /// A stream over the tokens of `source`; an end is added where there is none.
    pub fn new(source: &'a str, mut tokens: Vec<Token>) -> Self {
        if tokens.last().is_none_or(|last| last.kind != TokenKind::End) {
            tokens.push(Token {
                kind: TokenKind::End,
                span: SourceSpan::at(source.len()),
            });
        }
        Self {
            source,
            tokens,
            index: 0,
        }
    }

    /// The whole source.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// The next token, which stays where it is.
    pub fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    /// The token `ahead` tokens behind the next one; the end where there are fewer.
    pub fn peek_at(&self, ahead: usize) -> &Token {
        &self.tokens[(self.index + ahead).min(self.tokens.len() - 1)]
    }

    /// The text of the next token.
    pub fn peek_text(&self) -> &'a str {
        self.peek().span.text(self.source)
    }

    /// Takes the next token; the end can be taken any number of times.
    pub fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        if self.index + 1 < self.tokens.len() {
            self.index += 1;
        }
        token
    }

    /// Takes the next token if it is the operator `text`.
    pub fn eat(&mut self, text: &str) -> bool {
        let found = self.peek().is_operator(text);
        if found {
            self.advance();
        }
        found
    }

    /// Whether the next token is the identifier `word`, in any case.
    pub fn at_word(&self, word: &str) -> bool {
        self.peek().kind == TokenKind::Identifier && self.peek_text().eq_ignore_ascii_case(word)
    }

    /// Takes the next token if it is the identifier `word`, in any case.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// Where the last taken token ended.
    pub fn last_end(&self) -> usize {
        self.index
            .checked_sub(1)
            .map_or(0, |index| self.tokens[index].span.end)
    }

    /// An error at the next token. Where that is no token at all, what is wrong with it is said instead.
    pub fn error(&self, message: impl Into<String>) -> ParseError {
        let token = self.peek();
        let message = if let TokenKind::Invalid(reason) = &token.kind {
            reason.clone()
        } else {
            message.into()
        };
        ParseError::new(self.source, token.span, message)
    }

    /// An error at `span`.
    pub fn error_at(&self, span: SourceSpan, message: impl Into<String>) -> ParseError {
        ParseError::new(self.source, span, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: LexRules = LexRules {
        identifier_start: |c| is_identifier_start(c) || c == ':',
        identifier_continue: |c| is_identifier_continue(c) || matches!(c, ':' | '.'),
        operators: &["=", "=~", "==", "(", ")", "[", "]", "+", "-"],
        comment: Some("#"),
        unexpected: "unexpected character: ",
    };

    fn check(source: &str, expected: &[(&str, &str)]) {
        let shown: Vec<(String, &str)> = tokenize(source, &RULES)
            .iter()
            .map(|token| {
                let kind = match &token.kind {
                    TokenKind::Identifier => "name".to_owned(),
                    TokenKind::Number(value) => format!("number {value}"),
                    TokenKind::Quantity => "quantity".to_owned(),
                    TokenKind::String(value) => format!("string {value}"),
                    TokenKind::Operator(_) => "operator".to_owned(),
                    TokenKind::Invalid(message) => message.clone(),
                    TokenKind::End => "end".to_owned(),
                };
                (kind, token.span.text(source))
            })
            .collect();
        let shown: Vec<(&str, &str)> = shown
            .iter()
            .map(|(kind, text)| (kind.as_str(), *text))
            .collect();
        assert_eq!(shown, expected, "{source}");
    }

    #[test]
    fn tokens_of_all_kinds() {
        check(
            "a:b.c=~'x' # no\n==1e-3 5m+0x1F",
            &[
                ("name", "a:b.c"),
                ("operator", "=~"),
                ("string x", "'x'"),
                ("operator", "=="),
                ("number 0.001", "1e-3"),
                ("quantity", "5m"),
                ("operator", "+"),
                ("number 31", "0x1F"),
                ("end", ""),
            ],
        );
        check(
            "1h30m-3 .5",
            &[
                ("quantity", "1h30m"),
                ("operator", "-"),
                ("number 3", "3"),
                ("number 0.5", ".5"),
                ("end", ""),
            ],
        );
    }

    #[test]
    fn what_is_no_token_ends_the_list() {
        check(
            "a ? b",
            &[
                ("name", "a"),
                ("unexpected character: '?'", "?"),
                ("end", ""),
            ],
        );
        check(
            "2.5.",
            &[
                ("bad number or duration syntax: \"2.5.\"", "2.5."),
                ("end", ""),
            ],
        );
        check("'a", &[("unterminated quoted string", "'a"), ("end", "")]);
    }

    #[test]
    fn streams_stop_at_the_end() {
        let mut stream = TokenStream::new("By (", tokenize("By (", &RULES));
        assert!(stream.eat_word("by"));
        assert!(!stream.eat(")") && stream.eat("("));
        assert_eq!(stream.last_end(), 4);
        for _ in 0..3 {
            assert_eq!(stream.advance().kind, TokenKind::End);
        }
        assert_eq!(stream.error("unexpected end").position.column, 5);
    }
}
