//! The rules from the outside.

mod files;
mod groups;
#[path = "../promql/mod.rs"]
mod promql;
mod unit_tests;
mod world;
