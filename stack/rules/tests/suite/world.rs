//! A world for rules: expressions that the test scripts, and a store that remembers.

use std::collections::BTreeMap;

use gameday_query::{ParseError, SourceSpan};
use gameday_rules::{Backend, Element, ExprChecker, Language, SampleValue};
use gameday_signal::{Labels, Matcher, Timestamp, is_stale};

/// What the script makes of an expression at a second.
pub(crate) type Script = fn(&World, &str, i64) -> Result<Vec<Element>, String>;

/// Expressions that the test scripts, and a store that remembers.
pub(crate) struct World {
    pub(crate) script: Script,
    /// Second and value by series, in the order of writing.
    pub(crate) stored: BTreeMap<String, Vec<(i64, f64)>>,
    series: BTreeMap<String, Labels>,
}

impl World {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            script,
            stored: BTreeMap::new(),
            series: BTreeMap::new(),
        }
    }

    /// The last value of a series that has not ended.
    pub(crate) fn last(&self, series: &str) -> Option<f64> {
        let (_, value) = self.stored.get(series)?.last()?;
        (!is_stale(*value)).then_some(*value)
    }

    /// What was written to a series: `second=value`, `stale` for its end.
    pub(crate) fn written(&self, series: &str) -> Vec<String> {
        let samples = self.stored.get(series).map(Vec::as_slice);
        samples
            .unwrap_or_default()
            .iter()
            .map(|(second, value)| {
                if is_stale(*value) {
                    format!("{second}=stale")
                } else {
                    format!("{second}={value}")
                }
            })
            .collect()
    }
}

impl Backend for World {
    fn query(&self, _: Language, expr: &str, at: Timestamp) -> Result<Vec<Element>, String> {
        (self.script)(self, expr, at.as_secs())
    }

    fn append(
        &mut self,
        labels: &Labels,
        at: Timestamp,
        value: &SampleValue,
    ) -> Result<(), String> {
        let samples = self.stored.entry(labels.to_string()).or_default();
        samples.push((at.as_secs(), value.as_float()));
        self.series.insert(labels.to_string(), labels.clone());
        Ok(())
    }

    fn last_samples(
        &self,
        matchers: &[Matcher],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Labels, Timestamp, f64)>, String> {
        let mut found = Vec::new();
        for (text, labels) in &self.series {
            if !matchers.iter().all(|matcher| matcher.matches(labels)) {
                continue;
            }
            let samples = &self.stored[text];
            let within = |second: i64| (from.as_secs()..=to.as_secs()).contains(&second);
            if let Some((second, value)) = samples.iter().rev().find(|(second, _)| within(*second))
            {
                found.push((labels.clone(), Timestamp::from_secs(*second), *value));
            }
        }
        Ok(found)
    }
}

/// Takes every expression but those that hold `!`.
pub(crate) struct Checker;

impl ExprChecker for Checker {
    fn check(&self, _: Language, expr: &str) -> Result<String, ParseError> {
        match expr.find('!') {
            Some(offset) => Err(ParseError::new(
                expr,
                SourceSpan::new(offset, offset + 1),
                "unexpected character: '!'",
            )),
            None => Ok(expr.split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }
}

/// An element.
pub(crate) fn element<const N: usize>(labels: [(&str, &str); N], value: f64) -> Element {
    Element {
        labels: Labels::new(labels),
        value: SampleValue::Float(value),
    }
}
