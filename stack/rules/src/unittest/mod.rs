//! Unit tests of rules, in promtool's file format.
//!
//! ```text
//!   tests.yml --> TestFile --> for each group: a fresh store, series appended as time goes on, rules evaluated,
//!   rules.yml --> RuleFile       alerts compared when their time comes, expressions at the end --> FileResult
//! ```
//!
//! Beyond promtool: no limit on samples, labels and annotations may be compared as subsets, and a failure shows how the
//! alert's state went. LogQL rules are tested in the same files: `logql_rule_files`, `input_logs` and `logql_expr_test`.

mod compare;
mod file;
mod load;
mod logs;
mod report;
mod run;

pub use file::{
    AlertTest, ExpectedAlert, ExpectedSample, ExprTest, InputSeries, TestFile, TestGroup,
};
pub use logs::{InputLine, InputLogs};
pub use report::{Failure, FileResult, GroupResult, render_junit, render_text};
pub use run::{OwnedFile, TestEngine, TestOptions, run_test_file};
