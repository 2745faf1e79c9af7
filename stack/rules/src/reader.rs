//! Maps, lists, texts and durations out of a YAML tree; what is not as it should be becomes a problem.

use std::time::Duration;

use gameday_query::Position;
use gameday_signal::did_you_mean;
use gameday_signal::parse_duration;

use crate::problem::{Problem, Problems};
use gameday_yaml::{Key, Kind, Node};

/// Reads a YAML tree and collects what is wrong in it.
pub(crate) struct Reader<'a> {
    pub(crate) problems: Problems<'a>,
    /// Whether keys that nobody knows are passed over.
    pub(crate) ignore_unknown_fields: bool,
}

impl Reader<'_> {
    pub(crate) fn add(&mut self, at: Position, message: impl Into<String>) {
        self.problems.add(Problem::new(at, message));
    }

    pub(crate) fn unknown(&mut self, key: &Key, place: &str, known: &[&str]) {
        if self.ignore_unknown_fields {
            return;
        }
        let hint = did_you_mean(&key.name, known.iter().copied())
            .unwrap_or_else(|| format!("{place} has the keys {}", known.join(", ")));
        self.problems.add(
            Problem::new(key.at, format!("unknown key {:?} in {place}", key.name))
                .with_length(key.name.chars().count())
                .with_hint(hint),
        );
    }

    /// The entries of a map; an error where the node is none.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(Key, Node)] {
        match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            Kind::Scalar(_) | Kind::List(_) => {
                self.add(node.at, format!("{what} must be a map"));
                &[]
            }
        }
    }

    pub(crate) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.kind {
            Kind::List(nodes) => nodes,
            Kind::Null => &[],
            Kind::Scalar(_) | Kind::Map(_) => {
                self.add(node.at, format!("{what} must be a list"));
                &[]
            }
        }
    }

    pub(crate) fn text(&mut self, node: &Node, what: &str) -> String {
        match &node.kind {
            Kind::Scalar(scalar) => scalar.text.clone(),
            Kind::Null => String::new(),
            Kind::List(_) | Kind::Map(_) => {
                self.add(node.at, format!("{what} must be a text"));
                String::new()
            }
        }
    }

    pub(crate) fn duration(&mut self, node: &Node, what: &str) -> Duration {
        let text = self.text(node, what);
        match parse_duration(&text) {
            Ok(duration) => duration,
            Err(_) if matches!(node.kind, Kind::Null) => Duration::ZERO,
            Err(error) => {
                self.problems.add(
                    Problem::new(node.at, format!("{what}: {error}"))
                        .with_length(text.chars().count()),
                );
                Duration::ZERO
            }
        }
    }

    pub(crate) fn texts(&mut self, node: &Node, what: &str) -> Vec<(String, String)> {
        self.entries(node, what)
            .iter()
            .map(|(key, value)| {
                let value = self.text(value, &format!("{what}: the value of {:?}", key.name));
                (key.name.clone(), value)
            })
            .collect()
    }
}
