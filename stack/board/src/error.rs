//! What is wrong with a dashboard or a provisioning file.

/// A mistake in a file that Grafana would read, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no JSON.
    #[error("{file}:{line}:{column}: {message}")]
    Json {
        /// The name of the file.
        file: String,
        /// Counted from one.
        line: usize,
        /// Counted from one.
        column: usize,
        /// What the reader expected.
        message: String,
    },
    /// The text is no YAML, or no data source provisioning.
    #[error(transparent)]
    Yaml(#[from] gameday_yaml::FileError),
    /// A value is not what Grafana takes there.
    #[error("{file}: {path}: expected {expected}, got {got}")]
    Shape {
        /// The name of the file.
        file: String,
        /// Where in the document, such as `panels[3].targets[0]`.
        path: String,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        got: String,
    },
    /// A regular expression does not compile.
    #[error("{file}: {path}: invalid regular expression {pattern:?}: {reason}")]
    Pattern {
        /// The name of the file.
        file: String,
        /// Where in the document.
        path: String,
        /// The expression.
        pattern: String,
        /// Why.
        reason: String,
    },
    /// The document nests too deeply or holds too many panels.
    #[error("{file}: {path}: too many {what}, the limit is {limit}")]
    TooMany {
        /// The name of the file.
        file: String,
        /// Where in the document.
        path: String,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}
