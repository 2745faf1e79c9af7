//! The vocabulary of the features: every step, with its words, an example and what it does.
//!
//! ```text
//!   feature text -> cucumber finds the pattern -> dispatch -> StepDef::play(&mut World, arguments) -> what was observed
//! ```
//!
//! The table below is the one source: `gameday steps` prints it, `gameday check` matches features against it, and the runner plays
//! from it. To add a step, write its function in the file of its subject and add a line to that file's table.

mod alerts;
mod arguments;
mod attempts;
mod deliveries;
mod drill_down;
mod notifications;
mod objectives;
mod phases;
mod silences;

use std::sync::LazyLock;

use regex::Regex;

pub use arguments::{Arguments, NamedAlert};

use crate::world::{StepError, World};

/// Whether a step sets the stage, does something, or asserts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// `Given`: sets the stage.
    Given,
    /// `When`: does something to the system.
    When,
    /// `Then`: asserts.
    Then,
}

/// One step of the vocabulary.
pub struct StepDef {
    /// Its kind.
    pub kind: StepKind,
    /// Its words; `{string}`, `{duration}`, `{number}` and `{text}` stand for arguments, `(...)` for words that may be left out.
    pub pattern: &'static str,
    /// An example.
    pub example: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Plays it and tells what was observed.
    pub play: fn(&mut World, &Arguments) -> Result<String, StepError>,
}

/// All steps, by subject.
pub fn all() -> impl Iterator<Item = &'static StepDef> {
    [
        phases::STEPS,
        deliveries::STEPS,
        alerts::STEPS,
        notifications::STEPS,
        attempts::STEPS,
        silences::STEPS,
        objectives::STEPS,
        drill_down::STEPS,
    ]
    .into_iter()
    .flatten()
}

/// The steps with their compiled patterns.
pub fn compiled() -> &'static [(Regex, &'static StepDef)] {
    static COMPILED: LazyLock<Vec<(Regex, &'static StepDef)>> = LazyLock::new(|| {
        all()
            .map(|step| {
                let regex = Regex::new(&to_regex(step.pattern)).expect(
                    "invariant: every pattern of the vocabulary compiles, which a test proves",
                );
                (regex, step)
            })
            .collect()
    });
    &COMPILED
}

/// The step that a line of a feature means, with its arguments.
pub fn find(kind: StepKind, text: &str) -> Option<(&'static StepDef, Vec<String>)> {
    compiled()
        .iter()
        .filter(|(_, step)| step.kind == kind)
        .find_map(|(regex, step)| {
            let captures = regex.captures(text)?;
            let arguments = captures
                .iter()
                .skip(1)
                .flatten()
                .map(|group| group.as_str().to_owned())
                .collect();
            Some((*step, arguments))
        })
}

/// Whether a step asks for metrics that are made of spans, which a game day makes only then.
pub fn wants_span_metrics(text: &str) -> bool {
    [
        "service graph",
        "traces_spanmetrics_",
        "traces_service_graph_",
    ]
    .iter()
    .any(|words| text.contains(words))
}

/// The example that is nearest to a line that nobody knows.
pub fn nearest_example(text: &str) -> Option<&'static str> {
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_lowercase).collect() };
    let wanted = words(text);
    all()
        .map(|step| {
            let own = words(step.example);
            let shared = wanted.iter().filter(|word| own.contains(word)).count();
            (
                shared * 100 / own.len().max(wanted.len()).max(1),
                step.example,
            )
        })
        .filter(|(score, _)| *score >= 30)
        .max_by_key(|(score, _)| *score)
        .map(|(_, example)| example)
}

/// Turns the words of a step into an anchored regular expression.
fn to_regex(pattern: &str) -> String {
    let mut out = String::from("^");
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        let argument = ARGUMENTS.iter().find(|(name, _)| rest.starts_with(name));
        if let Some((name, regex)) = argument {
            out.push_str(regex);
            rest = &rest[name.len()..];
            continue;
        }
        match character {
            '(' => out.push_str("(?:"),
            ')' => out.push_str(")?"),
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
        rest = &rest[character.len_utf8()..];
    }
    out.push('$');
    out
}

/// What may stand for an argument. A duration is words (`5 minutes`, `1 hour 30 minutes`) or Prometheus' own form (`1h30m`).
const ARGUMENTS: [(&str, &str); 4] = [
    ("{string}", "(?:\"([^\"]*)\"|'([^']*)')"),
    ("{number}", r"(-?[0-9]+(?:\.[0-9]+)?)"),
    (
        "{duration}",
        r"([0-9]+[a-z][0-9a-z]*|[0-9]+(?:\.[0-9]+)? [a-z]+(?: [0-9]+ [a-z]+)*)",
    ),
    ("{text}", "(.+)"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every example is understood, by its own step alone.
    #[test]
    fn every_example_means_its_own_step() {
        for step in all() {
            let meanings: Vec<&str> = compiled()
                .iter()
                .filter(|(regex, other)| other.kind == step.kind && regex.is_match(step.example))
                .map(|(_, other)| other.pattern)
                .collect();
            assert_eq!(meanings, [step.pattern], "{}", step.example);
        }
    }

    #[test]
    fn a_line_that_nobody_knows_gets_the_nearest_example() {
        let example = nearest_example("alert \"X\" should become pendign within 6 minutes");
        assert_eq!(
            example,
            Some("alert \"LatencyFastBurn\" should become pending within 6 minutes")
        );
    }
}
