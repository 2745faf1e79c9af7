//! The script language of Prometheus' PromQL tests: `load`, `eval` and `expect`.

mod compare;
mod script;

use std::collections::BTreeMap;

use gameday_metrics::{
    AtModifier, ClassicHistogram, Engine, EngineConfig, Expr, ExprKind, QueryError, QueryOutput,
    SequenceValue, Store, StoreConfig, Value,
};
use gameday_signal::Labels;

use compare::{compare_points, compare_result};
use script::{Check, Command, Eval, Load, Steps, parse_script};

/// How one evaluation went.
pub(crate) struct Outcome {
    pub(crate) line: usize,
    pub(crate) failure: Option<String>,
}

/// Runs a script and returns how each of its evaluations went.
pub(crate) fn run(script: &str) -> Vec<Outcome> {
    let engine = Engine::new(EngineConfig {
        delayed_name_removal: true,
        experimental: true,
        ..EngineConfig::default()
    });
    let mut store = Store::new(StoreConfig::default());
    let mut outcomes = Vec::new();
    for command in parse_script(script) {
        match command {
            Command::Clear => store = Store::new(StoreConfig::default()),
            Command::Load(load) => {
                if let Err(error) = append(&mut store, &load) {
                    outcomes.push(Outcome {
                        line: load.line,
                        failure: Some(error),
                    });
                }
            }
            Command::Eval(eval) => outcomes.push(Outcome {
                line: eval.line,
                failure: evaluate(&engine, &store, &eval).err(),
            }),
            Command::Bad(line, message) => outcomes.push(Outcome {
                line,
                failure: Some(message),
            }),
        }
    }
    outcomes
}

fn append(store: &mut Store, load: &Load) -> Result<(), String> {
    let mut classic: BTreeMap<(Labels, i64), ClassicHistogram> = BTreeMap::new();
    // Of a series that is given twice the last description counts.
    let series: BTreeMap<&Labels, &gameday_metrics::SeriesDescription> = load
        .series
        .iter()
        .map(|series| (&series.labels, series))
        .collect();
    for series in series.values() {
        for (index, value) in series.values.iter().enumerate() {
            let time = index as i64 * load.step_ms;
            let result = match value {
                SequenceValue::Omitted => continue,
                SequenceValue::Float(value) => {
                    if load.with_nhcb {
                        collect(&mut classic, &series.labels, time, *value);
                    }
                    store.append(&series.labels, time, *value)
                }
                SequenceValue::Histogram { histogram, .. } => {
                    store.append_histogram(&series.labels, time, (**histogram).clone())
                }
            };
            result.map_err(|error| format!("{}: {error}", series.labels))?;
        }
    }
    for ((labels, time), histogram) in classic {
        let histogram = histogram
            .to_custom_buckets()
            .ok_or_else(|| format!("{labels}: counts that are not cumulative"))?;
        store
            .append_histogram(&labels, time, histogram)
            .map_err(|error| format!("{labels}: {error}"))?;
    }
    Ok(())
}

/// Collects the parts of classic histograms, for `load_with_nhcb`.
fn collect(
    classic: &mut BTreeMap<(Labels, i64), ClassicHistogram>,
    labels: &Labels,
    time: i64,
    value: f64,
) {
    let name = labels.metric_name();
    let Some((base, part)) = ["_bucket", "_count", "_sum"]
        .iter()
        .find_map(|suffix| Some((name.strip_suffix(suffix)?, *suffix)))
    else {
        return;
    };
    let key = labels.without("le").with("__name__", base);
    let bound = labels.value_of("le").parse::<f64>();
    if part == "_bucket" && bound.as_ref().map_or(true, |bound| bound.is_nan()) {
        return;
    }
    let histogram = classic.entry((key, time)).or_default();
    match (part, bound) {
        ("_bucket", Ok(bound)) => histogram.buckets.push((bound, value)),
        ("_count", _) => histogram.count = Some(value),
        _ => histogram.sum = value,
    }
}

fn evaluate(engine: &Engine, store: &Store, eval: &Eval) -> Result<(), String> {
    match eval.steps {
        Steps::Range(start, end, step) => {
            let result = engine.range(store, &eval.query, start, end, step);
            if let Some(output) = check_failure(eval, result)? {
                check_notes(eval, &output)?;
                compare_result(eval, &output.value)?;
            }
            Ok(())
        }
        Steps::Instant(time) => {
            instant(engine, store, eval, &eval.query, time)?;
            let Some(fixed) = with_fixed_times(engine, &eval.query, time) else {
                return Ok(());
            };
            let times = if time == 0 {
                vec![-1000, 0, 1000]
            } else {
                vec![-10 * time, 0, time / 5, time, 10 * time]
            };
            for other in times {
                instant(engine, store, eval, &fixed, other)
                    .map_err(|error| format!("{fixed} at {other}: {error}"))?;
            }
            Ok(())
        }
    }
}

/// An instant query, and the same as the middle of a range query.
fn instant(
    engine: &Engine,
    store: &Store,
    eval: &Eval,
    query: &str,
    time: i64,
) -> Result<(), String> {
    let Some(output) = check_failure(eval, engine.instant(store, query, time))? else {
        return Ok(());
    };
    check_notes(eval, &output)?;
    compare_result(eval, &output.value)?;
    let context_dependent = ["start()", "end()", "range()", "step()"]
        .iter()
        .any(|word| query.contains(word));
    if eval.ordered || eval.only_instant() || context_dependent {
        return Ok(());
    }
    let minute = 60_000;
    let range = engine
        .range(store, query, time - minute, time + minute, minute)
        .map_err(|error| format!("as a range query: {error}"))?;
    let Value::Matrix(series) = range.value else {
        return Err("a range query gave no matrix".to_owned());
    };
    if !series.is_sorted_by(|left, right| left.labels < right.labels) {
        return Err("the series of the range query are not sorted".to_owned());
    }
    compare_points(eval, &series, time).map_err(|error| format!("as a range query: {error}"))
}

/// The output, or `None` where it failed as expected.
fn check_failure(
    eval: &Eval,
    result: Result<QueryOutput, QueryError>,
) -> Result<Option<QueryOutput>, String> {
    match (result, &eval.fail) {
        (Ok(output), None) => Ok(Some(output)),
        (Ok(_), Some(_)) => Err("expected a failure".to_owned()),
        (Err(error), None) => Err(format!("failed: {error}")),
        (Err(error), Some(check)) => {
            let text = error.to_string();
            if check.matches(&text) {
                Ok(None)
            } else {
                Err(format!("failed with {text:?}, expected {check:?}"))
            }
        }
    }
}

fn check_notes(eval: &Eval, output: &QueryOutput) -> Result<(), String> {
    for (what, notes, expected, none) in [
        (
            "warning",
            &output.warnings,
            &eval.warnings,
            eval.no_warnings,
        ),
        ("info", &output.infos, &eval.infos, eval.no_infos),
    ] {
        if none && !notes.is_empty() {
            return Err(format!("unexpected {what}: {notes:?}"));
        }
        if expected.is_empty() {
            continue;
        }
        for check in expected {
            if !notes.iter().any(|note| check.matches(note)) {
                return Err(format!("no {what} matches {check:?}, there are {notes:?}"));
            }
        }
        for note in notes {
            let listed = expected.iter().any(|check: &Check| check.matches(note));
            if !listed {
                return Err(format!("{what} {note:?} matches no expectation"));
            }
        }
    }
    Ok(())
}

/// The query with `@ time` at every selector; `None` where a function depends on the evaluation time all the same.
fn with_fixed_times(engine: &Engine, query: &str, time: i64) -> Option<String> {
    const UNSAFE: [&str; 15] = [
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "end",
        "hour",
        "minute",
        "month",
        "predict_linear",
        "range",
        "start",
        "step",
        "time",
        "timestamp",
        "year",
    ];
    let mut expr = engine.parse(query).ok()?;
    let mut safe = true;
    expr.walk(&mut |inner| {
        if let ExprKind::Call { function, .. } = &inner.kind {
            safe &= !UNSAFE.contains(&function.name);
        }
    });
    fix_times(&mut expr, AtModifier::Timestamp(time));
    safe.then(|| expr.to_string())
}

fn fix_times(expr: &mut Expr, at: AtModifier) {
    match &mut expr.kind {
        ExprKind::Number { .. } | ExprKind::String(_) => {}
        ExprKind::Paren(inner) | ExprKind::Unary { operand: inner, .. } => fix_times(inner, at),
        ExprKind::Binary(binary) => {
            fix_times(&mut binary.left, at);
            fix_times(&mut binary.right, at);
        }
        ExprKind::Aggregate(aggregate) => {
            if let Some(param) = &mut aggregate.param {
                fix_times(param, at);
            }
            fix_times(&mut aggregate.expr, at);
        }
        ExprKind::Call { args, .. } => args.iter_mut().for_each(|arg| fix_times(arg, at)),
        ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => {
            selector.modifiers.at.get_or_insert(at);
        }
        // What is inside a subquery follows it.
        ExprKind::Subquery(subquery) => {
            subquery.modifiers.at.get_or_insert(at);
        }
    }
}
