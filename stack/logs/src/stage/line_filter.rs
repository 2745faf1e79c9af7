//! Line filters.

use memchr::memmem::Finder;
use regex::Regex;

use super::ip::IpMatcher;
use super::pattern::Pattern;
use crate::logql::{LineFilter, LineFilterOp, LineMatch};

/// What a line is compared with.
#[derive(Clone, Debug)]
enum Test {
    Contains(Box<Finder<'static>>),
    Regex(Regex),
    Pattern(Pattern),
    Ip(IpMatcher),
    /// The empty text, which every line contains.
    Always,
}

impl Test {
    fn holds(&self, line: &str) -> bool {
        match self {
            Self::Contains(finder) => finder.find(line.as_bytes()).is_some(),
            Self::Regex(regex) => regex.is_match(line),
            Self::Pattern(pattern) => pattern.matches(line),
            Self::Ip(matcher) => matcher.is_in(line),
            Self::Always => true,
        }
    }
}

/// A filter that was compiled.
#[derive(Clone, Debug)]
pub(crate) struct CompiledLineFilter {
    tests: Vec<Test>,
    /// Whether no alternative may hold (`!=` and the like).
    negated: bool,
}

/// A pattern of a line filter may take this many bytes when compiled.
const REGEX_SIZE_LIMIT: usize = 4 << 20;

/// Compiles a regular expression that looks anywhere in a text.
pub(crate) fn compile_regex(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(REGEX_SIZE_LIMIT)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            let reason = last.trim_start_matches("error: ");
            format!("error parsing regexp: {reason}: `{pattern}`")
        })
}

impl CompiledLineFilter {
    pub(crate) fn new(filter: &LineFilter) -> Result<Self, String> {
        let negated = filter.op.is_negated();
        let mut tests = Vec::new();
        for alternative in &filter.alternatives {
            tests.push(match alternative {
                LineMatch::Ip(pattern) => {
                    if !matches!(
                        filter.op,
                        LineFilterOp::Contains | LineFilterOp::NotContains
                    ) {
                        return Err("ip: invalid operation".to_owned());
                    }
                    Test::Ip(IpMatcher::new(pattern).map_err(|error| error.to_string())?)
                }
                LineMatch::Text(text) => match filter.op {
                    LineFilterOp::Contains | LineFilterOp::NotContains => contains(text),
                    LineFilterOp::Regex | LineFilterOp::NotRegex => {
                        Test::Regex(compile_regex(text)?)
                    }
                    LineFilterOp::Pattern | LineFilterOp::NotPattern => {
                        Test::Pattern(Pattern::filter(text).map_err(|error| error.to_string())?)
                    }
                },
            });
        }
        Ok(Self { tests, negated })
    }

    pub(crate) fn holds(&self, line: &str) -> bool {
        self.tests.iter().any(|test| test.holds(line)) != self.negated
    }

    /// A text that every line which passes contains, for the search over a whole block.
    pub(crate) fn required_literal(&self) -> Option<String> {
        if self.negated || self.tests.len() != 1 {
            return None;
        }
        match &self.tests[0] {
            Test::Contains(finder) => String::from_utf8(finder.needle().to_vec()).ok(),
            Test::Pattern(pattern) => pattern
                .literals()
                .max_by_key(|literal| literal.len())
                .map(str::to_owned),
            Test::Regex(_) | Test::Ip(_) | Test::Always => None,
        }
    }

    /// Whether the filter is nothing but the search for its required literal.
    pub(crate) fn is_only_literal(&self) -> bool {
        !self.negated && self.tests.len() == 1 && matches!(self.tests[0], Test::Contains(_))
    }
}

fn contains(text: &str) -> Test {
    if text.is_empty() {
        Test::Always
    } else {
        Test::Contains(Box::new(Finder::new(text.as_bytes()).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(op: LineFilterOp, alternatives: &[&str], line: &str, expected: bool) {
        let filter = LineFilter {
            op,
            alternatives: alternatives
                .iter()
                .map(|text| LineMatch::Text((*text).to_owned()))
                .collect(),
        };
        let compiled = CompiledLineFilter::new(&filter).expect("a valid filter");
        assert_eq!(compiled.holds(line), expected, "{filter} on {line}");
    }

    #[test]
    fn alternatives_and_negation() {
        check(LineFilterOp::Contains, &["a", "b"], "xb", true);
        check(LineFilterOp::Contains, &["a", "b"], "xc", false);
        check(LineFilterOp::NotContains, &["a", "b"], "xb", false);
        check(LineFilterOp::NotContains, &["a", "b"], "xc", true);
        check(LineFilterOp::Regex, &["^a.c$"], "abc", true);
        check(LineFilterOp::NotRegex, &["b"], "abc", false);
        check(LineFilterOp::Pattern, &["<_> b"], "a b", true);
        // The empty text is in every line.
        check(LineFilterOp::NotContains, &[""], "abc", false);
    }
}
