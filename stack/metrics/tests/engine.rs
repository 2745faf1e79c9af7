//! The engine through its public API, case by case.

use gameday_metrics::{Engine, EngineConfig, QueryError, SampleValue, Store, StoreConfig, Value};
use gameday_signal::{Labels, stale_nan};
use proptest::prelude::*;

/// `x_total{l="a"}` grows by 1 a second, `x_total{l="b"}` by 2 with a reset after 5 minutes; `g` ends after 10 minutes.
fn store() -> Store {
    let mut store = Store::new(StoreConfig::default());
    let a = Labels::new([("__name__", "x_total"), ("l", "a")]);
    let b = Labels::new([("__name__", "x_total"), ("l", "b")]);
    let g = Labels::new([("__name__", "g")]);
    for second in (0..=1200).step_by(15) {
        let at = second * 1000;
        store.append(&a, at, second as f64).expect("in order");
        store
            .append(&b, at, (second % 300 * 2) as f64)
            .expect("in order");
        let value = match second {
            ..600 => 1.0,
            600 => stale_nan(),
            _ => continue,
        };
        store.append(&g, at, value).expect("in order");
    }
    store
}

fn check(query: &str, second: i64, expected: &[(&str, f64)]) {
    let output = Engine::default()
        .instant(&store(), query, second * 1000)
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    let shown: Vec<(String, f64)> = match output.value {
        Value::Scalar { value, .. } => vec![(String::new(), value)],
        Value::Vector(samples) => samples
            .into_iter()
            .map(|sample| {
                let SampleValue::Float(value) = sample.value else {
                    panic!("{query}: a histogram");
                };
                (sample.labels.to_string(), value)
            })
            .collect(),
        other => panic!("{query}: {other:?}"),
    };
    let shown: Vec<(&str, f64)> = shown
        .iter()
        .map(|(labels, value)| (labels.as_str(), *value))
        .collect();
    let same = shown.len() == expected.len()
        && shown.iter().zip(expected).all(|(shown, expected)| {
            shown.0 == expected.0 && (shown.1 - expected.1).abs() < 1e-9 * expected.1.abs().max(1.0)
        });
    assert!(same, "{query}: {shown:?} instead of {expected:?}");
}

#[test]
fn instant_values() {
    check("1 + 2 * 3 ^ 2", 0, &[("", 19.0)]);
    check("g", 590, &[(r#"{__name__="g"}"#, 1.0)]);
    // The stale marker ends the series at once.
    check("g", 600, &[]);
    check("rate(x_total{l=\"a\"}[5m])", 900, &[(r#"{l="a"}"#, 1.0)]);
    check(
        "sum by (l) (increase(x_total[5m]))",
        899,
        &[(r#"{l="a"}"#, 300.0), (r#"{l="b"}"#, 598.0)],
    );
    check("resets(x_total{l=\"b\"}[10m])", 899, &[(r#"{l="b"}"#, 1.0)]);
    check(
        "x_total > 800",
        900,
        &[(r#"{__name__="x_total", l="a"}"#, 900.0)],
    );
    check("absent(nothing{job=\"a\"})", 0, &[(r#"{job="a"}"#, 1.0)]);
    check(
        "topk(1, x_total)",
        299,
        &[(r#"{__name__="x_total", l="b"}"#, 570.0)],
    );
    check(
        "x_total{l=\"a\"} / on () group_left g",
        300,
        &[(r#"{l="a"}"#, 300.0)],
    );
    check(
        "max_over_time(rate(x_total{l=\"a\"}[1m])[10m:1m])",
        900,
        &[(r#"{l="a"}"#, 1.0)],
    );
}

#[test]
fn ranges_have_a_value_a_step() {
    let output = Engine::default()
        .range(&store(), "sum(rate(x_total[1m]))", 300_000, 360_000, 30_000)
        .expect("valid");
    let Value::Matrix(series) = output.value else {
        panic!("a matrix");
    };
    assert_eq!(series.len(), 1);
    let times: Vec<i64> = series[0]
        .points
        .iter()
        .map(|point| point.timestamp_ms)
        .collect();
    assert_eq!(times, [300_000, 330_000, 360_000]);
}

#[test]
fn failures_say_what_is_wrong() {
    for (query, expected) in [
        (
            "x_total + on () x_total",
            "found duplicate series for the match group {} on the right hand-side of the operation: [{__name__=\"x_total\", l=\"a\"}, {__name__=\"x_total\", l=\"b\"}];many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        (
            "rat(x_total[5m])",
            "1:1: parse error: unknown function with name \"rat\"",
        ),
        (
            "rate({__name__=~\"x_total|g\", l=\"\"}[5m]) or label_replace(x_total, \"l\", \"\", \"l\", \".*\")",
            "vector cannot contain metrics with the same labelset",
        ),
    ] {
        let error = Engine::default()
            .instant(&store(), query, 300_000)
            .expect_err("refused");
        assert_eq!(error.to_string(), expected, "{query}");
    }
    let error = Engine::default().range(&store(), "g", 0, 11_001_000, 1000);
    assert!(matches!(error, Err(QueryError::TooManyPoints(11_000))));
}

#[test]
fn work_is_limited() {
    let engine = Engine::new(EngineConfig {
        max_visited_samples: 1000,
        ..EngineConfig::default()
    });
    let query = "quantile_over_time(0.5, x_total[10m])";
    assert!(
        engine
            .instant(&store(), "sum_over_time(x_total[10m])", 900_000)
            .is_ok()
    );
    assert_eq!(
        engine.range(&store(), query, 600_000, 1_200_000, 15_000),
        Err(QueryError::TooMuchWork)
    );
    let engine = Engine::new(EngineConfig {
        max_samples: 100,
        ..EngineConfig::default()
    });
    assert_eq!(
        engine.range(&store(), "x_total", 0, 1_200_000, 15_000),
        Err(QueryError::TooManySamples)
    );
    assert_eq!(
        engine.instant(&store(), "max_over_time(g[100y:1s])", 0),
        Err(QueryError::TooManySamples)
    );
}

/// The figures are those of Prometheus 2.42 for the same samples, less the one at the open end of each window.
#[test]
fn samples_are_counted_on_request() {
    let store = store();
    let engine = Engine::default().with_counted_samples();
    for (query, instant, range) in [
        ("1 + 1", 0, 0),
        ("x_total", 2, 10),
        ("x_total @ 600", 2, 10),
        ("timestamp(x_total)", 2, 10),
        ("rate(x_total[5m])", 40, 200),
        ("rate(x_total[5m]) + rate(x_total[1m])", 48, 240),
        ("max_over_time(x_total[2m:30s])", 8, 40),
        ("sum(rate(x_total[5m] @ 600))", 40, 200),
    ] {
        let total = engine
            .instant(&store, query, 600_000)
            .map(|own| own.total_samples);
        assert_eq!(total, Ok(instant), "{query}");
        let total = engine
            .range(&store, query, 600_000, 660_000, 15_000)
            .map(|own| own.total_samples);
        assert_eq!(total, Ok(range), "{query}");
    }
    for (query, instant) in [("x_total[5m]", 40), ("x_total[2m:30s]", 8)] {
        let total = engine
            .instant(&store, query, 600_000)
            .map(|own| own.total_samples);
        assert_eq!(total, Ok(instant), "{query}");
    }
    let uncounted = Engine::default().instant(&store, "x_total", 600_000);
    assert_eq!(uncounted.map(|own| own.total_samples), Ok(0));
}

/// Functions for which an instant query does not read the whole window.
const SUMMARISED: [&str; 13] = [
    "rate",
    "increase",
    "delta",
    "resets",
    "count_over_time",
    "sum_over_time",
    "avg_over_time",
    "last_over_time",
    "first_over_time",
    "ts_of_last_over_time",
    "ts_of_first_over_time",
    "present_over_time",
    "absent_over_time",
];

/// The bits of the values of a query at one time, alone and as a step of a range query, which reads all samples.
fn both_ways(store: &Store, query: &str, at: i64) -> [Vec<(String, u64)>; 2] {
    let engine = Engine::new(EngineConfig {
        experimental: true,
        ..EngineConfig::default()
    });
    let bits = |value: &SampleValue| value.as_float().map_or(0, f64::to_bits);
    let instant = engine.instant(store, query, at).expect("valid").value;
    let range = engine
        .range(store, query, at - 1000, at + 1000, 1000)
        .expect("valid")
        .value;
    let (Value::Vector(instant), Value::Matrix(range)) = (instant, range) else {
        panic!("a vector and a matrix");
    };
    let mut alone: Vec<(String, u64)> = instant
        .iter()
        .map(|sample| (sample.labels.to_string(), bits(&sample.value)))
        .collect();
    let mut step: Vec<(String, u64)> = range
        .iter()
        .filter_map(|series| {
            let point = series
                .points
                .iter()
                .find(|point| point.timestamp_ms == at)?;
            Some((series.labels.to_string(), bits(&point.value)))
        })
        .collect();
    alone.sort();
    step.sort();
    [alone, step]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Counters with resets, gaps and stale markers; whole and broken numbers; and, where they are `wild`, numbers that no counter
    /// has: negative, huge, infinite, not a number.
    #[test]
    fn the_fast_path_equals_the_plain_one(
        steps in prop::collection::vec((0_u8..30, 0_u8..50, 1_i64..5), 0..2000),
        whole in any::<bool>(),
        wild in any::<bool>(),
        at in 0_i64..60_000,
        minutes in 1_i64..2000,
    ) {
        let mut store = Store::new(StoreConfig::default());
        let (mut time, mut value) = (0, 0.0);
        for (kind, growth, gap) in steps {
            time += gap * 15_000;
            let growth = if whole { f64::from(growth) } else { f64::from(growth) / 3.0 };
            value = if kind == 0 { growth } else { value + growth };
            let sample = match kind {
                1 => stale_nan(),
                2 if wild => -value,
                3 if wild => f64::NAN,
                4 if wild => [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1e17][usize::from(growth as u64 as u8 % 4)],
                _ => value,
            };
            let x = Labels::new([("__name__", "x_total")]);
            store.append(&x, time, sample).expect("in order");
        }
        for function in SUMMARISED {
            let query = format!("{function}(x_total[{minutes}m])");
            let [alone, step] = both_ways(&store, &query, at * 1000);
            prop_assert_eq!(alone, step, "{}", query);
        }
    }
}

#[test]
fn deep_expressions_do_not_overflow_the_stack() {
    let engine = Engine::default();
    let store = store();
    let nested = format!("{}1{}", "(".repeat(120), ")".repeat(120));
    assert!(engine.instant(&store, &nested, 0).is_ok());
    let chain = vec!["x_total"; 250].join(" + ");
    assert!(engine.instant(&store, &chain, 300_000).is_ok());
    let calls = format!("{}x_total{}", "abs(".repeat(120), ")".repeat(120));
    assert!(engine.range(&store, &calls, 0, 60_000, 1000).is_ok());
    let too_deep = format!("{}1{}", "(".repeat(20_000), ")".repeat(20_000));
    assert!(engine.instant(&store, &too_deep, 0).is_err());
}
