//! Rule files as Prometheus defines them (model/rulefmt).

use std::time::Duration;

use gameday_query::Position;

/// A rule file that holds no mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleFile {
    /// The name under which it was read.
    pub path: String,
    /// The language of its expressions.
    pub language: crate::Language,
    /// Its groups in the order of the file.
    pub groups: Vec<GroupDefinition>,
    /// What is odd in it, without being wrong.
    pub warnings: Vec<crate::Problem>,
}

/// A group of rules that are evaluated one after the other at the same timestamp.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupDefinition {
    /// Its name, once in its file.
    pub name: String,
    /// How often it is evaluated; the global interval where it says nothing.
    pub interval: Option<Duration>,
    /// How far in the past its queries look; the global offset where it says nothing.
    pub query_offset: Option<Duration>,
    /// How many series or alerts one of its rules may give; 0 is no limit.
    pub limit: usize,
    /// Labels for every rule that does not set them itself.
    pub labels: Vec<(String, String)>,
    /// Its rules in order.
    pub rules: Vec<RuleDefinition>,
    /// Where it stands.
    pub at: Position,
}

/// A recording or alerting rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleDefinition {
    /// What it does.
    pub kind: RuleKind,
    /// The name of the series or alert.
    pub name: String,
    /// The expression as it was written.
    pub expr: String,
    /// Labels, templates in alerting rules; those of the group are among them.
    pub labels: Vec<(String, String)>,
    /// Where it stands.
    pub at: Position,
    /// Where its expression stands.
    pub expr_at: Position,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// It stores the result of its expression.
    Recording,
    /// It fires for each element of the result of its expression.
    Alerting {
        /// How long an element must be there before the alert fires.
        hold: Duration,
        /// How long the alert goes on firing without its element.
        keep_firing_for: Duration,
        /// Templates of what a person should read.
        annotations: Vec<(String, String)>,
    },
}
