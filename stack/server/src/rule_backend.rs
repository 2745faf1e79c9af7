//! Rules over the stores of the stack.

use gameday_metrics::SampleValue as MetricValue;
use gameday_query::ParseError;
use gameday_rules::{Backend, Element, ExprChecker, Language, SampleValue};
use gameday_signal::{Labels, Matcher, Timestamp};

use crate::shared::Shared;

/// Reads the expressions of the rule files.
pub(crate) struct Checker;

impl ExprChecker for Checker {
    fn check(&self, language: Language, expr: &str) -> Result<String, ParseError> {
        match language {
            Language::PromQl => gameday_metrics::parse(expr).map(|expr| expr.to_string()),
            Language::LogQl => gameday_logs::check_rule(expr),
        }
    }
}

/// Evaluates rules on the shared stores. What LogQL rules record goes to the metrics store as well: Loki's ruler sends it to a
/// Prometheus by remote write.
pub(crate) struct StoreBackend<'a>(pub(crate) &'a Shared);

impl StoreBackend<'_> {
    fn promql(&self, expr: &str, at: Timestamp) -> Result<Vec<Element>, String> {
        let expr = self.0.expression(expr)?;
        let store = self.0.metrics();
        let output = self
            .0
            .engine()
            .instant_expr(&store, &expr, at.as_millis())
            .map_err(|error| error.to_string())?;
        let vector = output
            .value
            .into_vector()
            .ok_or("rule result is not a vector or scalar")?;
        let element = |sample: gameday_metrics::InstantSample| {
            let value = match sample.value {
                MetricValue::Float(value) => SampleValue::Float(value),
                MetricValue::Histogram(histogram) => SampleValue::Histogram(histogram),
            };
            Element {
                labels: sample.labels,
                value,
            }
        };
        Ok(vector.into_iter().map(element).collect())
    }

    fn logql(&self, expr: &str, at: Timestamp) -> Result<Vec<Element>, String> {
        let samples =
            gameday_logs::evaluate(&self.0.logs(), expr, at).map_err(|error| error.to_string())?;
        let element = |(labels, value)| Element {
            labels,
            value: SampleValue::Float(value),
        };
        Ok(samples.into_iter().map(element).collect())
    }
}

impl Backend for StoreBackend<'_> {
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
        let mut store = self.0.metrics();
        let at_ms = at.as_millis();
        let outcome = match value {
            SampleValue::Float(value) => store.append(labels, at_ms, *value).map(|_| ()),
            SampleValue::Histogram(histogram) => store
                .append_histogram(labels, at_ms, histogram.as_ref().clone())
                .map(|_| ()),
        };
        outcome.map_err(|error| error.to_string())
    }

    fn last_samples(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Labels, Timestamp, f64)>, String> {
        // A range that ends at `to` and is longer by a millisecond is closed on the left, as the caller wants it.
        let range_ms = to.since(from).as_millis() + 1;
        let conditions: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        let source = format!("{{{}}}[{range_ms}ms]", conditions.join(","));
        let store = self.0.metrics();
        let output = self
            .0
            .engine()
            .instant(&store, &source, to.as_millis())
            .map_err(|error| error.to_string())?;
        let gameday_metrics::Value::Matrix(series) = output.value else {
            return Ok(Vec::new());
        };
        let last = |series: gameday_metrics::RangeSeries| {
            let point = series.points.last()?;
            Some((
                series.labels.clone(),
                Timestamp::from_millis(point.timestamp_ms),
                point.value.as_float()?,
            ))
        };
        Ok(series.into_iter().filter_map(last).collect())
    }
}
