//! Template text to tokens, with Go's rules for trim markers, comments and spaces.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Pipe,
    /// A character of its own, such as the comma.
    Char,
    Assign,
    Declare,
    LeftParen,
    RightParen,
    Field,
    Variable,
    Dot,
    Identifier,
    Keyword,
    Bool,
    Nil,
    Number,
    CharConstant,
    Str,
    RawStr,
    /// The text of the token is the message.
    Error,
    Eof,
}

/// A piece of the template.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    /// Its first byte in the template.
    pub(crate) offset: usize,
    /// The text, or what is wrong.
    pub(crate) text: String,
}

const KEYWORDS: [&str; 10] = [
    "block", "break", "continue", "define", "else", "end", "if", "range", "template", "with",
];
const LEFT: &str = "{{";
const RIGHT: &str = "}}";

/// Cuts a template into tokens; the last one is `Eof` or `Error`.
pub(crate) fn tokens(input: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        input,
        position: 0,
        paren_depth: 0,
        tokens: Vec::new(),
    };
    lexer.run();
    lexer.tokens
}

struct Lexer<'a> {
    input: &'a str,
    position: usize,
    paren_depth: usize,
    tokens: Vec<Token>,
}

/// An error ends the token stream.
struct Stop;

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.input[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        self.tokens.push(Token {
            kind,
            offset: start,
            text: self.input[start..self.position].to_owned(),
        });
    }

    fn fail(&mut self, offset: usize, message: impl Into<String>) -> Result<(), Stop> {
        self.tokens.push(Token {
            kind: TokenKind::Error,
            offset,
            text: message.into(),
        });
        Err(Stop)
    }

    fn run(&mut self) {
        let mut trim_left = false;
        loop {
            let rest = self.rest();
            let skipped = if trim_left {
                rest.len() - rest.trim_start_matches(is_space).len()
            } else {
                0
            };
            self.position += skipped;
            let start = self.position;
            let Some(found) = self.rest().find(LEFT) else {
                self.position = self.input.len();
                if self.position > start {
                    self.push(TokenKind::Text, start);
                }
                self.push(TokenKind::Eof, self.position);
                return;
            };
            let delim = start + found;
            let trim_right = left_trim(&self.input[delim + LEFT.len()..]);
            let text = &self.input[start..delim];
            let text = if trim_right {
                text.trim_end_matches(is_space)
            } else {
                text
            };
            if !text.is_empty() {
                self.tokens.push(Token {
                    kind: TokenKind::Text,
                    offset: start,
                    text: text.to_owned(),
                });
            }
            self.position = delim + LEFT.len() + if trim_right { 2 } else { 0 };
            let ended = if self.rest().starts_with("/*") {
                self.comment(delim)
            } else {
                self.push(TokenKind::LeftDelim, delim);
                self.paren_depth = 0;
                self.action(delim)
            };
            match ended {
                Ok(trim) => trim_left = trim,
                Err(Stop) => return,
            }
        }
    }

    /// A comment, which must fill its action; gives whether the text after it is trimmed.
    fn comment(&mut self, delim: usize) -> Result<bool, Stop> {
        let Some(end) = self.rest().find("*/") else {
            self.fail(delim, "unclosed comment")?;
            return Ok(false);
        };
        self.position += end + 2;
        let trim = right_trim(self.rest());
        if trim {
            self.position += 2;
        }
        if !self.rest().starts_with(RIGHT) {
            self.fail(delim, "comment ends before closing delimiter")?;
        }
        self.position += RIGHT.len();
        Ok(trim)
    }

    /// The inside of an action up to its end; gives whether the text after it is trimmed.
    fn action(&mut self, delim: usize) -> Result<bool, Stop> {
        loop {
            let start = self.position;
            let trim = right_trim(self.rest());
            if trim || self.rest().starts_with(RIGHT) {
                if self.paren_depth > 0 {
                    self.fail(start, "unclosed left paren")?;
                }
                self.position += RIGHT.len() + if trim { 2 } else { 0 };
                self.push(TokenKind::RightDelim, start);
                return Ok(trim);
            }
            let Some(character) = self.peek() else {
                self.fail(delim, "unclosed action")?;
                return Ok(false);
            };
            self.position += character.len_utf8();
            self.inside(character, start)?;
        }
    }

    /// One token inside an action, whose first character has been read.
    fn inside(&mut self, character: char, start: usize) -> Result<(), Stop> {
        match character {
            space if is_space(space) => {
                // The space of a right trim marker belongs to the marker.
                while self.peek().is_some_and(is_space) && !right_trim(self.rest()) {
                    self.position += 1;
                }
                self.push(TokenKind::Space, start);
            }
            '=' => self.push(TokenKind::Assign, start),
            ':' => {
                if self.peek() != Some('=') {
                    return self.fail(start, "expected :=");
                }
                self.position += 1;
                self.push(TokenKind::Declare, start);
            }
            '|' => self.push(TokenKind::Pipe, start),
            '"' => return self.quoted('"', TokenKind::Str, start, "unterminated quoted string"),
            '\'' => {
                return self.quoted(
                    '\'',
                    TokenKind::CharConstant,
                    start,
                    "unterminated character constant",
                );
            }
            '`' => {
                let Some(end) = self.rest().find('`') else {
                    return self.fail(start, "unterminated raw quoted string");
                };
                self.position += end + 1;
                self.push(TokenKind::RawStr, start);
            }
            '$' => return self.name(TokenKind::Variable, TokenKind::Variable, start),
            '.' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => {
                return self.name(TokenKind::Field, TokenKind::Dot, start);
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.position = start;
                return self.number(start);
            }
            '(' => {
                self.paren_depth += 1;
                self.push(TokenKind::LeftParen, start);
            }
            ')' => {
                if self.paren_depth == 0 {
                    return self.fail(start, "unexpected right paren");
                }
                self.paren_depth -= 1;
                self.push(TokenKind::RightParen, start);
            }
            letter if is_word(letter) => return self.identifier(start),
            graphic if graphic.is_ascii_graphic() => self.push(TokenKind::Char, start),
            other => {
                return self.fail(
                    start,
                    format!("unrecognized character in action: {}", go_unicode(other)),
                );
            }
        }
        Ok(())
    }

    fn quoted(
        &mut self,
        quote: char,
        kind: TokenKind,
        start: usize,
        unterminated: &str,
    ) -> Result<(), Stop> {
        let mut escaped = false;
        for (index, character) in self.rest().char_indices() {
            match character {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if character == quote => {
                    self.position += index + 1;
                    self.push(kind, start);
                    return Ok(());
                }
                _ => {}
            }
        }
        self.fail(start, unterminated)
    }

    /// A field or variable; `alone` is what its sign is when no name follows.
    fn name(&mut self, kind: TokenKind, alone: TokenKind, start: usize) -> Result<(), Stop> {
        if self.at_terminator() {
            self.push(alone, start);
            return Ok(());
        }
        self.skip_word();
        self.expect_terminator()?;
        self.push(kind, start);
        Ok(())
    }

    fn identifier(&mut self, start: usize) -> Result<(), Stop> {
        self.skip_word();
        self.expect_terminator()?;
        let kind = match &self.input[start..self.position] {
            "true" | "false" => TokenKind::Bool,
            "nil" => TokenKind::Nil,
            word if KEYWORDS.contains(&word) => TokenKind::Keyword,
            _ => TokenKind::Identifier,
        };
        self.push(kind, start);
        Ok(())
    }

    fn skip_word(&mut self) {
        while let Some(character) = self.peek()
            && is_word(character)
        {
            self.position += character.len_utf8();
        }
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None => true,
            Some(character) => {
                is_space(character)
                    || matches!(character, '.' | ',' | '|' | ':' | ')' | '(')
                    || self.rest().starts_with(RIGHT)
            }
        }
    }

    fn expect_terminator(&mut self) -> Result<(), Stop> {
        match self.peek() {
            Some(character) if !self.at_terminator() => self.fail(
                self.position,
                format!("bad character {}", go_unicode(character)),
            ),
            _ => Ok(()),
        }
    }

    fn accept(&mut self, valid: &str) -> bool {
        let found = self.peek().is_some_and(|next| valid.contains(next));
        if found {
            self.position += 1;
        }
        found
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    fn number(&mut self, start: usize) -> Result<(), Stop> {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if digits.len() == 11 && self.accept("eE") || digits.len() == 23 && self.accept("pP") {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        if let Some(next) = self.peek()
            && is_word(next)
        {
            self.position += next.len_utf8();
            let text = self.input[start..self.position].to_owned();
            return self.fail(start, format!("bad number syntax: {text:?}"));
        }
        self.push(TokenKind::Number, start);
        Ok(())
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// Whether what follows `{{` is a trim marker: a minus sign and a space.
fn left_trim(after: &str) -> bool {
    let mut characters = after.chars();
    characters.next() == Some('-') && characters.next().is_some_and(is_space)
}

/// Whether a trim marker (space, minus sign) and the end of the action come next.
fn right_trim(rest: &str) -> bool {
    let mut characters = rest.chars();
    characters.next().is_some_and(is_space) && characters.as_str().starts_with("-}}")
}

/// Go's `%#U`.
fn go_unicode(character: char) -> String {
    let code = u32::from(character);
    if character.is_control() {
        format!("U+{code:04X}")
    } else {
        format!("U+{code:04X} '{character}'")
    }
}
