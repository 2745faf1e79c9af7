//! Metrics queries.

mod common;

use std::time::Duration;

use common::{EPOCH_SECS, at, shop, store};
use gameday_traces::{MetricsError, MetricsRequest, TraceQuery};

/// The series of a query over 0 s to 15 s at a step of 5 s, as `labels: points`.
fn series(query: &str) -> Vec<String> {
    let store = store(shop());
    let parsed = TraceQuery::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    // The first spans begin at 0 s sharp, which belongs to the interval before.
    let request = MetricsRequest::new(at(-5_000), at(15_000), Duration::from_secs(5));
    let answer = store
        .query_range(&parsed, &request)
        .expect("a metrics query");
    answer
        .series
        .iter()
        .map(|series| {
            let points: Vec<String> = series
                .samples
                .iter()
                .map(|sample| {
                    format!(
                        "{}={}",
                        sample.timestamp_ms / 1000 - EPOCH_SECS,
                        sample.value
                    )
                })
                .collect();
            format!("{} {}", series.prom_labels, points.join(" "))
        })
        .collect()
}

fn check(query: &str, expected: &[&str]) {
    assert_eq!(series(query), expected, "{query}");
}

#[test]
fn counts_and_rates() {
    check(
        "{ } | count_over_time()",
        &[r#"{__name__="count_over_time"} 0=1 5=4 10=3 15=1"#],
    );
    check(
        "{ } | rate()",
        &[r#"{__name__="rate"} 0=0.2 5=0.8 10=0.6 15=0.2"#],
    );
    check(
        "{ } | count_over_time() by (resource.service.name)",
        &[
            r#"{"resource.service.name"="checkout"} 0=0 5=2 10=1 15=0"#,
            r#"{"resource.service.name"="frontend"} 0=1 5=1 10=1 15=0"#,
            r#"{"resource.service.name"="payments"} 0=0 5=1 10=1 15=0"#,
            r#"{"resource.service.name"="users"} 0=0 5=0 10=0 15=1"#,
        ],
    );
    check(
        "{ name = `pay` } | count_over_time() by (status, span.amount)",
        &[
            r#"{"span.amount"="70", status="error"} 0=0 5=0 10=1 15=0"#,
            r#"{"span.amount"="30", status="unset"} 0=0 5=1 10=0 15=0"#,
        ],
    );
    check(
        "{ name = `charge` } > { } | count_over_time()",
        &[r#"{__name__="count_over_time"} 0=0 5=2 10=1 15=0"#],
    );
    check("{ name = `nothing` } | rate()", &[]);
}

#[test]
fn values_over_time() {
    check(
        "{ name = `pay` } | min_over_time(duration)",
        &[r#"{__name__="min_over_time"} 5=0.1 10=0.03"#],
    );
    check(
        "{ } | max_over_time(span.amount)",
        &[r#"{__name__="max_over_time"} 5=30 10=70"#],
    );
    check(
        "{ } | sum_over_time(span.retries)",
        &[r#"{__name__="sum_over_time"} 5=2 10=0"#],
    );
    check(
        "{ name = `charge` || name = `pay` } | avg_over_time(span:duration)",
        &[r#"{__name__="avg_over_time"} 5=0.49 10=0.035"#],
    );
    check(
        "{ } | histogram_over_time(span.amount) by (name)",
        [
            r#"{"__bucket"="32", name="pay"} 0=0 5=1 10=0 15=0"#,
            r#"{"__bucket"="128", name="pay"} 0=0 5=0 10=1 15=0"#,
        ]
        .map(|text| text.replace(r#""__bucket""#, "__bucket"))
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice(),
    );
    check(
        "{ } | quantile_over_time(span.amount, 1)",
        &[r#"{p="1"} 0=0 5=32 10=128 15=0"#],
    );
}

#[test]
fn second_stages_and_arithmetic() {
    check(
        "{ } | count_over_time() by (resource.service.name) | topk(1)",
        &[
            r#"{"resource.service.name"="checkout"} 5=2 10=1"#,
            r#"{"resource.service.name"="frontend"} 0=1"#,
            r#"{"resource.service.name"="users"} 15=1"#,
        ],
    );
    check("{ } | count_over_time() by (name) | bottomk(1) > 3", &[]);
    check(
        "{ } | count_over_time() > 3",
        &[r#"{__name__="count_over_time"} 5=4"#],
    );
    check(
        "{ } | max_over_time(duration) >= 880ms",
        &[r#"{__name__="max_over_time"} 0=0.9 5=0.88"#],
    );
    check(
        "({ status = error } | count_over_time()) / ({ } | count_over_time())",
        &["{} 0=0 5=0 10=0.6666666666666666 15=0"],
    );
    check(
        "100 * ({ status = error } | rate()) / ({ } | rate()) > 5",
        &["{} 10=66.66666666666667"],
    );
    check(
        "({ } | count_over_time()) - 1 - 1",
        &[r#"{__name__="count_over_time"} 0=-1 5=2 10=1 15=-1"#],
    );
    check(
        "({ status = error } | count_over_time() by (name)) / ({ } | count_over_time())",
        &[
            r#"{name="charge"} 0=0 5=0 10=0.3333333333333333 15=0"#,
            r#"{name="pay"} 0=0 5=0 10=0.3333333333333333 15=0"#,
        ],
    );
    check("({ } | count_over_time()) / 0", &[]);
}

#[test]
fn compare_tells_what_differs() {
    let all = series("{ name = `pay` } | compare({ status = error })");
    for expected in [
        r#"{__meta_type="selection", "span.amount"="70"} 0=0 5=0 10=1 15=0"#,
        r#"{__meta_type="baseline", "span.amount"="30"} 0=0 5=1 10=0 15=0"#,
        r#"{__meta_type="baseline_total", "resource.service.name"="nil"} 0=0 5=1 10=0 15=0"#,
        r#"{__meta_type="selection", status="error"} 0=0 5=0 10=1 15=0"#,
    ] {
        assert!(
            all.iter().any(|series| series == expected),
            "{expected} is not in\n{}",
            all.join("\n")
        );
    }
}

#[test]
fn exemplars_lead_to_traces() {
    let store = store(shop());
    let query = TraceQuery::parse("{ name = `pay` } | max_over_time(duration) by (name)").unwrap();
    let request = MetricsRequest::new(at(0), at(10_000), Duration::from_secs(5));
    let answer = serde_json::to_value(store.query_range(&query, &request).unwrap()).unwrap();
    let exemplars = &answer["series"][0]["exemplars"];
    assert_eq!(
        exemplars[1],
        serde_json::json!({
            "labels": [
                {"key": "trace:id", "value": {"stringValue": "00000000000000000000000000000002"}},
                {"key": "name", "value": {"stringValue": "pay"}},
            ],
            "value": 0.03,
            "timestampMs": at(5_015).as_millis().to_string(),
        })
    );
    let without = TraceQuery::parse("{ } | rate() with(exemplars=false)").unwrap();
    assert!(
        store.query_range(&without, &request).unwrap().series[0]
            .exemplars
            .is_empty()
    );
}

#[test]
fn instant_queries_have_one_value() {
    let store = store(shop());
    let query = TraceQuery::parse("{ } | rate()").unwrap();
    let answer = store
        .query_instant(
            &query,
            &MetricsRequest::new(at(0), at(9_000), Duration::ZERO),
        )
        .unwrap();
    assert_eq!(answer.series[0].value, 7.0 / 9.0);
}

#[test]
fn limits_are_said() {
    let store = store(shop());
    let query = TraceQuery::parse("{ } | rate() by (name)").unwrap();
    let request = MetricsRequest::new(at(0), at(60_000), Duration::from_millis(1));
    assert!(matches!(
        store.query_range(&query, &request),
        Err(MetricsError::TooManyPoints { .. })
    ));
    let search = TraceQuery::parse("{ }").unwrap();
    assert_eq!(
        store.query_range(&search, &request),
        Err(MetricsError::NotMetrics)
    );
    let few = MetricsRequest {
        max_series: 2,
        ..MetricsRequest::new(at(-1), at(60_000), Duration::from_secs(5))
    };
    let answer = store.query_range(&query, &few).unwrap();
    assert_eq!((answer.series.len(), answer.status), (2, Some("PARTIAL")));
    for (range_secs, step_ms) in [
        (59, 200),
        (60, 1000),
        (900, 3000),
        (3600, 15_000),
        (21_600, 60_000),
        (86_400, 300_000),
        (2_592_000, 10_800_000),
    ] {
        assert_eq!(
            MetricsRequest::default_step(Duration::from_secs(range_secs)).as_millis(),
            step_ms,
            "{range_secs}"
        );
    }
}
