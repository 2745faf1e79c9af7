//! The rules from the outside.

mod files;
mod groups;
#[path = "../../../server/src/rule_tests.rs"]
mod promql;
mod unit_tests;
mod world;
