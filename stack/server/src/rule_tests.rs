//! The engines as what unit tests of rules run on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gameday_logs::{Entry, Limits, Store as LogStore};
use gameday_metrics::{
    Engine, EngineConfig, Expr, QueryError, SampleValue as MetricValue, SequenceValue, Store,
    StoreConfig, histogram_text, parse_metric, parse_series_description,
};
use gameday_query::{ParseError, SourceSpan};
use gameday_rules::unittest::TestEngine;
use gameday_rules::{Backend, Element, ExprChecker, Language, SampleValue};
use gameday_signal::{BucketSpan, Histogram, Labels, Matcher, Timestamp};

/// PromQL and LogQL, with stores of its own for each test.
pub(crate) struct PromQl {
    engine: Engine,
}

impl PromQl {
    pub(crate) fn new(experimental: bool) -> Self {
        let config = EngineConfig {
            // promtool's tests stop at 10,000 samples; ours do not stop.
            max_samples: usize::MAX,
            experimental,
            ..EngineConfig::default()
        };
        Self {
            engine: Engine::new(config),
        }
    }
}

impl ExprChecker for PromQl {
    fn check(&self, language: Language, expr: &str) -> Result<String, ParseError> {
        if language == Language::LogQl {
            return gameday_logs::check_rule(expr);
        }
        match self.engine.parse(expr) {
            Ok(parsed) => Ok(parsed.to_string()),
            Err(QueryError::Parse(error)) => Err(error),
            Err(other) => Err(ParseError::new(
                expr,
                SourceSpan::new(0, expr.len()),
                other.to_string(),
            )),
        }
    }
}

/// The stores of a test and the engine that asks them.
pub(crate) struct TestStore {
    engine: Engine,
    store: Store,
    logs: LogStore,
    parsed: std::cell::RefCell<BTreeMap<String, Arc<Expr>>>,
}

fn value_of(value: MetricValue) -> SampleValue {
    match value {
        MetricValue::Float(value) => SampleValue::Float(value),
        MetricValue::Histogram(histogram) => SampleValue::Histogram(histogram),
    }
}

impl TestStore {
    fn logql(&self, expr: &str, at: Timestamp) -> Result<Vec<Element>, String> {
        let samples =
            gameday_logs::evaluate(&self.logs, expr, at).map_err(|error| error.to_string())?;
        let element = |(labels, value)| Element {
            labels,
            value: SampleValue::Float(value),
        };
        Ok(samples.into_iter().map(element).collect())
    }

    fn promql(&self, expr: &str, at: Timestamp) -> Result<Vec<Element>, String> {
        let known = self.parsed.borrow().get(expr).cloned();
        let parsed = match known {
            Some(parsed) => parsed,
            None => {
                let parsed = Arc::new(self.engine.parse(expr).map_err(|error| error.to_string())?);
                self.parsed
                    .borrow_mut()
                    .insert(expr.to_owned(), Arc::clone(&parsed));
                parsed
            }
        };
        let output = self
            .engine
            .instant_expr(&self.store, &parsed, at.as_millis())
            .map_err(|error| error.to_string())?;
        let samples = output
            .value
            .into_vector()
            .ok_or("rule result is not a vector or scalar")?;
        Ok(samples
            .into_iter()
            .map(|sample| Element {
                labels: sample.labels,
                value: value_of(sample.value),
            })
            .collect())
    }
}

impl Backend for TestStore {
    fn query(&self, language: Language, expr: &str, at: Timestamp) -> Result<Vec<Element>, String> {
        match language {
            Language::PromQl => self.promql(expr, at),
            Language::LogQl => self.logql(expr, at),
        }
    }

    fn append(
        &mut self,
        labels: &Labels,
        at: Timestamp,
        value: &SampleValue,
    ) -> Result<(), String> {
        let result = match value {
            SampleValue::Float(value) => self.store.append(labels, at.as_millis(), *value),
            SampleValue::Histogram(histogram) => {
                self.store
                    .append_histogram(labels, at.as_millis(), Histogram::clone(histogram))
            }
        };
        result.map(drop).map_err(|error| error.to_string())
    }

    fn last_samples(
        &self,
        _: &[Matcher],
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Vec<(Labels, Timestamp, f64)>, String> {
        Ok(Vec::new())
    }
}

impl TestEngine for PromQl {
    type Store = TestStore;

    fn new_store(&self, evaluation_interval: Duration) -> TestStore {
        let config = EngineConfig {
            default_subquery_step_ms: i64::try_from(evaluation_interval.as_millis())
                .unwrap_or(i64::MAX),
            ..self.engine.config().clone()
        };
        TestStore {
            engine: Engine::new(config),
            store: Store::new(StoreConfig::default()),
            logs: LogStore::new(log_limits()),
            parsed: std::cell::RefCell::default(),
        }
    }

    fn parse_series(&self, text: &str) -> Result<(Labels, Vec<Option<SampleValue>>), ParseError> {
        let parsed = match parse_series_description(text) {
            Ok(parsed) => parsed,
            Err(error) => {
                return parse_metric(text)
                    .map(|labels| (labels, Vec::new()))
                    .map_err(|_| error);
            }
        };
        let values = parsed.values.into_iter().map(|value| match value {
            SequenceValue::Omitted => None,
            SequenceValue::Float(value) => Some(SampleValue::Float(value)),
            SequenceValue::Histogram { histogram, .. } => Some(SampleValue::Histogram(histogram)),
        });
        Ok((parsed.labels, values.collect()))
    }

    fn parse_stream(&self, text: &str) -> Result<Labels, ParseError> {
        // The labels of a stream are written as those of a series without a name.
        let labels = parse_metric(text)?;
        let whole = SourceSpan::new(0, text.len());
        if labels.metric_name().is_empty() && !labels.is_empty() {
            Ok(labels)
        } else {
            let message = "a stream has labels and no name";
            Err(ParseError::new(text, whole, message).with_hint("for example {app=\"checkout\"}"))
        }
    }

    fn append_line(
        &self,
        store: &mut TestStore,
        stream: &Labels,
        at: Timestamp,
        line: &str,
        metadata: &[(String, String)],
    ) -> Result<(), String> {
        let entry = Entry {
            timestamp: at,
            line: line.to_owned(),
            metadata: metadata.iter().cloned().collect(),
        };
        let appended = store.logs.append(stream, vec![entry], at);
        appended.message().map_or(Ok(()), Err)
    }

    fn same_histogram(&self, expected: &Histogram, got: &Histogram) -> bool {
        let plain = |histogram: &Histogram| {
            (
                histogram.counter_reset_hint,
                histogram.schema,
                [
                    histogram.zero_threshold,
                    histogram.zero_count,
                    histogram.count,
                    histogram.sum,
                ]
                .map(f64::to_bits),
                filled(&histogram.positive_spans, &histogram.positive_buckets),
                filled(&histogram.negative_spans, &histogram.negative_buckets),
                histogram.custom_values.clone(),
            )
        };
        plain(expected) == plain(got)
    }

    fn histogram_text(&self, histogram: &Histogram) -> String {
        histogram_text(histogram)
    }
}

/// Streams have the labels that the test gives them, and no more.
fn log_limits() -> Limits {
    Limits {
        discover_service_name: false,
        discover_log_levels: false,
        ..Limits::default()
    }
}

/// The buckets that are not empty, however they were laid out.
fn filled(spans: &[BucketSpan], counts: &[f64]) -> Vec<(i64, u64)> {
    let mut filled = Vec::new();
    let mut counts = counts.iter();
    let mut index = 0_i64;
    for span in spans {
        index += i64::from(span.offset);
        for _ in 0..span.length {
            let count = counts.next().copied().unwrap_or_default();
            if count != 0.0 {
                filled.push((index, count.to_bits()));
            }
            index += 1;
        }
    }
    filled
}
