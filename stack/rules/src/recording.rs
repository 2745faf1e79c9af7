//! Recording rules (Prometheus' rules/recording.go).

use std::collections::BTreeSet;

use gameday_signal::Labels;

use crate::alerting::{Evaluation, Outcome};
use crate::backend::Backend;

/// Evaluates a recording rule once.
pub(crate) fn evaluate(
    name: &str,
    expr: &str,
    labels: &[(String, String)],
    evaluation: &Evaluation<'_>,
    backend: &dyn Backend,
) -> Result<Outcome, String> {
    let elements = backend.query(
        evaluation.language,
        expr,
        evaluation.at - evaluation.query_offset,
    )?;
    let mut seen: BTreeSet<Labels> = BTreeSet::new();
    let mut outcome = Outcome::default();
    for element in elements {
        let mut builder = element.labels.to_builder();
        builder.set("__name__", name);
        for (label, value) in labels {
            builder.set(label, value);
        }
        let series = builder.build();
        if !seen.insert(series.clone()) {
            return Err(
                "vector contains metrics with the same labelset after applying rule labels"
                    .to_owned(),
            );
        }
        outcome.samples.push((series, element.value));
    }
    let count = outcome.samples.len();
    if evaluation.limit > 0 && count > evaluation.limit {
        let limit = evaluation.limit;
        return Err(format!("exceeded limit of {limit} with {count} series"));
    }
    Ok(outcome)
}
