//! Patterns: literal text and captures, `<method> <_> <status>`.

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error("at least one capture is required")]
    NoCapture,
    #[error("named captures are not allowed: found '<{0}>'")]
    NamedCapture(String),
    #[error("found consecutive capture '<{0}><{1}>': invalid expression")]
    Consecutive(String, String),
    #[error("duplicate capture name ({0}): invalid expression")]
    Duplicate(String),
    #[error("parse error : syntax error: unexpected $end, expecting LITERAL or IDENTIFIER")]
    Empty,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// Its name; none for `<_>`.
    Capture(Option<String>),
}

/// A pattern that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    /// The pattern of the stage `| pattern`: it must capture something.
    pub(crate) fn parser(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::read(text);
        if pattern.parts.is_empty() {
            return Err(PatternError::Empty);
        }
        let names: Vec<&str> = pattern.names().collect();
        if names.is_empty() {
            return Err(PatternError::NoCapture);
        }
        pattern.refuse_consecutive()?;
        if let Some(name) = names
            .iter()
            .enumerate()
            .find_map(|(index, name)| names[..index].contains(name).then_some(name))
        {
            return Err(PatternError::Duplicate((*name).to_owned()));
        }
        Ok(pattern)
    }

    /// The pattern of the filters `|>` and `!>`: it must name nothing.
    pub(crate) fn filter(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::read(text);
        pattern.refuse_consecutive()?;
        let named = pattern.names().next().map(str::to_owned);
        named.map_or(Ok(pattern), |name| Err(PatternError::NamedCapture(name)))
    }

    /// The names of the captures in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Capture(Some(name)) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Calls `capture` with each named capture of `line`; where a literal is missing, the capture before it takes the rest.
    pub(crate) fn captures<'p, 'l>(
        &'p self,
        line: &'l str,
        mut capture: impl FnMut(&'p str, &'l str),
    ) {
        if line.is_empty() {
            return;
        }
        let mut rest = line;
        let mut parts = self.parts.as_slice();
        if let Some((Part::Literal(literal), tail)) = parts.split_first() {
            let Some(after) = rest.strip_prefix(literal.as_str()) else {
                return;
            };
            rest = after;
            parts = tail;
        }
        while let Some((Part::Capture(name), tail)) = parts.split_first() {
            let found = match tail.first() {
                Some(Part::Literal(literal)) => rest.find(literal.as_str()).map(|at| (at, literal)),
                _ => None,
            };
            let (value, end) = match found {
                Some((at, literal)) => (&rest[..at], Some(at + literal.len())),
                None => (rest, None),
            };
            if let Some(name) = name {
                capture(name, value);
            }
            let Some(end) = end else { return };
            rest = &rest[end..];
            parts = &tail[1..];
        }
    }

    /// Whether the whole line has the form of the pattern; no capture may be empty.
    pub(crate) fn matches(&self, line: &str) -> bool {
        let Some(last) = self.parts.last() else {
            return line.is_empty();
        };
        if line.is_empty() {
            return false;
        }
        let mut rest = line;
        for (index, part) in self.parts.iter().enumerate() {
            let Part::Literal(literal) = part else {
                continue;
            };
            match rest.find(literal.as_str()) {
                None => return false,
                Some(0) if index != 0 => return false,
                Some(at) => rest = &rest[at + literal.len()..],
            }
        }
        matches!(last, Part::Capture(_)) != rest.is_empty()
    }

    /// The literal parts, which every matching line contains.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(literal) => Some(literal.as_str()),
            Part::Capture(_) => None,
        })
    }

    fn read(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(name) = capture_at(rest) {
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(Part::Capture((name != "_").then(|| name.to_owned())));
                rest = &rest[name.len() + 2..];
            } else {
                literal.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Self { parts }
    }

    fn refuse_consecutive(&self) -> Result<(), PatternError> {
        for pair in self.parts.windows(2) {
            if let [Part::Capture(left), Part::Capture(right)] = pair {
                let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "_".to_owned());
                return Err(PatternError::Consecutive(name(left), name(right)));
            }
        }
        Ok(())
    }
}

/// The name of the capture that `text` begins with.
fn capture_at(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('<')?;
    let end = inner.find('>')?;
    let name = &inner[..end];
    let mut bytes = name.bytes();
    let starts = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    (starts && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, line: &str) -> String {
        let pattern = Pattern::parser(pattern).expect("a valid pattern");
        let mut out = Vec::new();
        pattern.captures(line, |name, value| out.push(format!("{name}={value}")));
        out.join("|")
    }

    #[test]
    fn captures_between_literals() {
        for (pattern, line, expected) in [
            (
                "<method> <path> <status>",
                "GET /home 200",
                "method=GET|path=/home|status=200",
            ),
            (
                "<method> <_> <status>",
                "GET /home 200",
                "method=GET|status=200",
            ),
            ("[<ip>] <rest>", "[::1] x y", "ip=::1|rest=x y"),
            ("[<ip>] <rest>", "no bracket", ""),
            ("<a> <b>", "POST", "a=POST"),
            ("<a>.", "x.y", "a=x"),
            ("<a> <1b> <c>", "x <1b> y", "a=x|c=y"),
        ] {
            assert_eq!(captured(pattern, line), expected, "{pattern} on {line}");
        }
    }

    #[test]
    fn filters_whole_lines() {
        for (pattern, line, expected) in [
            ("<_> /api 200", "GET /api 200", true),
            ("<_> bar", "foo bar baz", false),
            ("<_> baz", "foo bar baz", true),
            ("foo <_>", "foo bar", true),
            ("foo <_>", "foo ", false),
            ("<_> bar <_>", " bar ", false),
            ("foo", "foo", true),
            ("", "", true),
            ("", "x", false),
            ("<_>", "x", true),
        ] {
            let filter = Pattern::filter(pattern).expect("a valid pattern");
            assert_eq!(filter.matches(line), expected, "{pattern} on {line}");
        }
    }

    #[test]
    fn refuses_what_loki_refuses() {
        for (error, expected) in [
            (
                Pattern::parser("no capture"),
                "at least one capture is required",
            ),
            (
                Pattern::parser("<a><b>"),
                "found consecutive capture '<a><b>': invalid expression",
            ),
            (
                Pattern::parser("<a> <a>"),
                "duplicate capture name (a): invalid expression",
            ),
            (
                Pattern::filter("<verb> x"),
                "named captures are not allowed: found '<verb>'",
            ),
        ] {
            assert_eq!(
                error.map_err(|error| error.to_string()),
                Err(expected.to_owned())
            );
        }
    }
}
