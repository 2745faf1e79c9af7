//! Rule files, rule groups and the alert state machine.
//!
//! ```text
//!   rules.yml --yaml + parse--> RuleFile --> Rules: groups of rules with their state
//!                                              | tick(now, backend)
//!        backend.query(expr, slot) <-----------+-----------> backend.append(series, slot, value)
//!                                              |
//!                        Vec<Effect>: alerts to send, events for the journal
//! ```
//!
//! Entry: [`Rules::load`], then [`Rules::tick`] whenever [`Rules::next_deadline`] is reached. PromQL and LogQL rules both run
//! here: what reads expressions is an [`ExprChecker`], what evaluates them a [`Backend`]. [`unittest`] runs promtool's tests.
//!
//! Invariants: no clock, every time is told; the rules of a group run in order at the same timestamp and each sees what those
//! before it wrote; a file with a mistake changes nothing, and all its mistakes are reported with their places.

mod alerting;
mod backend;
mod definition;
mod expand;
mod group;
mod links;
mod names;
mod options;
mod parse;
mod problem;
mod reader;
mod recording;
mod rules;
mod status;
pub mod unittest;

pub use alerting::{ActiveAlert, AlertState};
pub use backend::{Backend, Element, ExprChecker, Language, SampleValue};
pub use definition::{GroupDefinition, RuleDefinition, RuleFile, RuleKind};
pub use names::NameValidation;
pub use options::{Options, Phase};
pub use parse::{ParseOptions, parse_rule_file};
pub use problem::{FileErrors, Problem};
pub use rules::{Effect, Rules, SourceFile, scale_durations};
pub use status::{AlertingStatus, GroupStatus, Health, RuleStatus};
