//! Recording rules (Prometheus' rules/recording.go).

use gameday_signal::{FixedMap, FixedSet, Labels};

use crate::alerting::{Evaluation, Outcome};
use crate::backend::Backend;

/// What a recording rule makes of the labels that it finds. From one evaluation to the next they are nearly always the same.
pub(crate) type Relabelled = FixedMap<Labels, Labels>;

/// Evaluates a recording rule once; `known` is what the evaluation before left there.
pub(crate) fn evaluate(
    name: &str,
    expr: &str,
    labels: &[(String, String)],
    known: &mut Relabelled,
    evaluation: &Evaluation<'_>,
    backend: &dyn Backend,
) -> Result<Outcome, String> {
    let elements = backend.query(
        evaluation.language,
        expr,
        evaluation.at - evaluation.query_offset,
    )?;
    let mut before = std::mem::take(known);
    let mut seen = FixedSet::with_capacity_and_hasher(elements.len(), Default::default());
    let mut outcome = Outcome::default();
    for element in elements {
        let series = before.remove(&element.labels).unwrap_or_else(|| {
            let mut builder = element.labels.to_builder();
            builder.set("__name__", name);
            for (label, value) in labels {
                builder.set(label, value);
            }
            builder.build()
        });
        known.insert(element.labels, series.clone());
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
