//! The UTF-8 syntax of matchers: any label name, quoted where it holds a reserved character.

use gameday_signal::{MatchOp, Matcher};

use super::{ParseError, build, is_reserved};

/// Reads a list in the UTF-8 syntax.
///
/// # Errors
/// Where the text does not follow the syntax; the message starts with the columns of the offending part, counted from 0.
pub fn parse_utf8_matchers(text: &str) -> Result<Vec<Matcher>, ParseError> {
    Parser {
        lexer: Lexer {
            text,
            offset: 0,
            column: 0,
        },
        matchers: Vec::new(),
    }
    .parse()
}

/// Reads exactly one matcher in the UTF-8 syntax, without braces.
///
/// # Errors
/// Where the text does not follow the syntax or holds none or several matchers.
pub fn parse_utf8_matcher(text: &str) -> Result<Matcher, ParseError> {
    if text.starts_with('{') || text.ends_with('}') {
        return Err(ParseError(format!(
            "unexpected open or close brace: {text}"
        )));
    }
    let mut matchers = parse_utf8_matchers(text)?;
    match (matchers.pop(), matchers.len()) {
        (Some(matcher), 0) => Ok(matcher),
        (None, _) => Err(ParseError("no matchers".to_owned())),
        (Some(_), rest) => Err(ParseError(format!(
            "expected 1 matcher, found {}",
            rest + 1
        ))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    OpenBrace,
    CloseBrace,
    Comma,
    Operator(MatchOp),
    Quoted,
    Unquoted,
}

#[derive(Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    /// Columns count characters from 0.
    start: usize,
    end: usize,
}

impl Token<'_> {
    /// The text without quotes and escapes.
    fn unquoted(&self) -> Result<String, ParseError> {
        if self.kind != Kind::Quoted {
            return Ok(self.text.to_owned());
        }
        unquote_go(self.text).ok_or_else(|| {
            ParseError(format!(
                "{}:{}: {}: invalid input",
                self.start, self.end, self.text
            ))
        })
    }
}

#[derive(Clone)]
struct Lexer<'a> {
    text: &'a str,
    offset: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    /// The next token; None at the end.
    fn next(&mut self) -> Result<Option<Token<'a>>, ParseError> {
        let rest = &self.text[self.offset..];
        let blank = rest.len() - rest.trim_start().len();
        self.advance(blank);
        let rest = &self.text[self.offset..];
        let Some(first) = rest.chars().next() else {
            return Ok(None);
        };
        let (kind, length) = match first {
            '{' => (Kind::OpenBrace, 1),
            '}' => (Kind::CloseBrace, 1),
            ',' => (Kind::Comma, 1),
            '=' if rest.starts_with("=~") => (Kind::Operator(MatchOp::Regex), 2),
            '=' => (Kind::Operator(MatchOp::Equal), 1),
            '!' if rest.starts_with("!=") => (Kind::Operator(MatchOp::NotEqual), 2),
            '!' if rest.starts_with("!~") => (Kind::Operator(MatchOp::NotRegex), 2),
            '!' => return Err(self.lone_exclamation(rest)),
            '"' => (Kind::Quoted, self.quoted_length(rest)?),
            first if !is_reserved(first) => {
                (Kind::Unquoted, rest.find(is_reserved).unwrap_or(rest.len()))
            }
            _ => {
                return Err(ParseError(format!(
                    "{}:{}: {first}: invalid input",
                    self.column,
                    self.column + 1
                )));
            }
        };
        let start = self.column;
        let text = &rest[..length];
        self.advance(length);
        Ok(Some(Token {
            kind,
            text,
            start,
            end: self.column,
        }))
    }

    fn advance(&mut self, bytes: usize) {
        self.column += self.text[self.offset..self.offset + bytes].chars().count();
        self.offset += bytes;
    }

    fn lone_exclamation(&self, rest: &str) -> ParseError {
        let (start, end) = (self.column, self.column + 1);
        ParseError(if rest.len() == 1 {
            format!("{start}:{end}: unexpected end of input, expected one of '=~'")
        } else {
            format!("{start}:{end}: !: expected one of '=~'")
        })
    }

    /// The length of a quoted text with its quotes.
    fn quoted_length(&self, rest: &str) -> Result<usize, ParseError> {
        let mut escaped = false;
        for (offset, character) in rest.char_indices().skip(1) {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return Ok(offset + 1),
                _ => {}
            }
        }
        Err(ParseError(format!(
            "{}:{}: {rest}: missing end \"",
            self.column,
            self.column + rest.chars().count()
        )))
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    matchers: Vec<Matcher>,
}

const END: &str = "end of input";
const COMMA_OR_BRACE: &str = "expected a comma or close brace";
const OPERATOR: &str = "expected an operator such as '=', '!=', '=~' or '!~'";

impl<'a> Parser<'a> {
    fn parse(mut self) -> Result<Vec<Matcher>, ParseError> {
        let Some(first) = self.peek()? else {
            return Ok(self.matchers);
        };
        let has_open_brace = first.kind == Kind::OpenBrace;
        if has_open_brace {
            self.lexer.next()?;
        }
        match self.peek()? {
            None
            | Some(Token {
                kind: Kind::CloseBrace,
                ..
            }) => {}
            Some(_) => self.parse_list()?,
        }
        self.parse_close_brace(has_open_brace)?;
        match self.lexer.next() {
            Err(error) => Err(because(&error.0, "expected end of input")),
            Ok(None) => Ok(self.matchers),
            Ok(Some(token)) => Err(ParseError(format!(
                "{}:{}: {}: expected end of input",
                token.start, token.end, token.text
            ))),
        }
    }

    fn peek(&self) -> Result<Option<Token<'a>>, ParseError> {
        self.lexer.clone().next()
    }

    fn parse_list(&mut self) -> Result<(), ParseError> {
        loop {
            self.parse_matcher()?;
            let separator = self
                .peek()
                .map_err(|error| because(&error.0, COMMA_OR_BRACE))?;
            match separator {
                None
                | Some(Token {
                    kind: Kind::CloseBrace,
                    ..
                }) => return Ok(()),
                Some(Token {
                    kind: Kind::Comma, ..
                }) => self.lexer.next()?,
                Some(token) => return Err(because(&unexpected(&token), COMMA_OR_BRACE)),
            };
            let next = self.peek().map_err(|error| {
                because(&error.0, "expected a matcher or close brace after comma")
            })?;
            match next {
                None
                | Some(Token {
                    kind: Kind::CloseBrace,
                    ..
                }) => return Ok(()),
                Some(Token {
                    kind: Kind::Quoted | Kind::Unquoted,
                    ..
                }) => {}
                Some(token) => {
                    return Err(because(
                        &unexpected(&token),
                        "expected a matcher or close brace after comma",
                    ));
                }
            }
        }
    }

    fn parse_matcher(&mut self) -> Result<(), ParseError> {
        let is_text = |kind| matches!(kind, Kind::Quoted | Kind::Unquoted);
        let name = self.expect(is_text, "expected label name")?.unquoted()?;
        let operator = self.expect(|kind| matches!(kind, Kind::Operator(_)), OPERATOR)?;
        let Kind::Operator(op) = operator.kind else {
            return Err(because(&unexpected(&operator), OPERATOR));
        };
        let value = self.expect(is_text, "expected label value")?.unquoted()?;
        let matcher = build(&name, op, &value)
            .map_err(|error| ParseError(format!("failed to create matcher: {error}")))?;
        self.matchers.push(matcher);
        Ok(())
    }

    fn expect(
        &mut self,
        accepts: impl Fn(Kind) -> bool,
        reason: &str,
    ) -> Result<Token<'a>, ParseError> {
        match self.lexer.next() {
            Err(error) => Err(because(&error.0, reason)),
            Ok(None) => Err(because(END, reason)),
            Ok(Some(token)) if accepts(token.kind) => Ok(token),
            Ok(Some(token)) => Err(because(&unexpected(&token), reason)),
        }
    }

    fn parse_close_brace(&mut self, has_open_brace: bool) -> Result<(), ParseError> {
        let next = self.peek();
        let is_close = matches!(
            next,
            Ok(Some(Token {
                kind: Kind::CloseBrace,
                ..
            }))
        );
        if has_open_brace && !is_close {
            let column = self.lexer.column;
            let found = match next {
                Err(error) => error.0,
                Ok(None) => END.to_owned(),
                Ok(Some(token)) => unexpected(&token),
            };
            return Err(ParseError(format!(
                "0:{column}: {found}: expected close brace"
            )));
        }
        if is_close {
            self.lexer.next()?;
            if !has_open_brace {
                return Err(ParseError(format!(
                    "0:{}: }}: expected opening brace",
                    self.lexer.column
                )));
            }
        }
        Ok(())
    }
}

fn because(found: &str, reason: &str) -> ParseError {
    ParseError(format!("{found}: {reason}"))
}

fn unexpected(token: &Token<'_>) -> String {
    format!("{}:{}: unexpected {}", token.start, token.end, token.text)
}

/// Go's `strconv.Unquote` for a double-quoted text; None where it is malformed or no UTF-8.
fn unquote_go(quoted: &str) -> Option<String> {
    let body = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body.chars();
    while let Some(character) = rest.next() {
        if character == '\n' || character == '"' {
            return None;
        }
        if character != '\\' {
            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.next()?;
        match escape {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' | '"' => bytes.push(escape as u8),
            'x' => bytes.push(u8::try_from(digits(&mut rest, 2, 16, None)?).ok()?),
            '0'..='7' => bytes.push(u8::try_from(digits(&mut rest, 2, 8, Some(escape))?).ok()?),
            'u' | 'U' => {
                let length = if escape == 'u' { 4 } else { 8 };
                let character = char::from_u32(digits(&mut rest, length, 16, None)?)?;
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

fn digits(
    rest: &mut std::str::Chars<'_>,
    length: usize,
    radix: u32,
    first: Option<char>,
) -> Option<u32> {
    let mut number = first.map_or(Some(0), |digit| digit.to_digit(radix))?;
    for _ in 0..length {
        number = number
            .checked_mul(radix)?
            .checked_add(rest.next()?.to_digit(radix)?)?;
    }
    Some(number)
}
