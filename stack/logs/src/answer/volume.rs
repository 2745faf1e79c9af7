//! `/index/stats`, `/index/volume` and `/index/volume_range`.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::{MatchOp, Matcher, Timestamp};
use serde::Serialize;

use super::labels::matchers_of;
use super::result::{MatrixSeries, QueryData, QueryResult, VectorSample};
use crate::store::{Needs, Scan, Store};
use crate::{LabelSet, ParseError};

/// How much lies between two times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IndexStats {
    /// Streams.
    pub streams: u64,
    /// Blocks, the growing ones among them.
    pub chunks: u64,
    /// Bytes of lines and metadata; blocks on the border count whole.
    pub bytes: u64,
    /// Lines; blocks on the border count whole.
    pub entries: u64,
}

/// What a volume is summed up by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VolumeAggregation {
    /// By the values of the target labels, together.
    #[default]
    Series,
    /// By label names.
    Labels,
}

impl Store {
    /// How much the selector picks between `start` and `end`.
    ///
    /// # Errors
    /// Where `query` is no selector.
    pub fn index_stats(
        &self,
        query: Option<&str>,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<IndexStats, ParseError> {
        let matchers = matchers_of(query)?;
        let mut stats = IndexStats::default();
        let (from, to) = (start.as_nanos(), end.as_nanos());
        for stream in self.streams_between(&matchers, start, end) {
            stats.streams += 1;
            for block in &stream.blocks {
                if block.min_ts <= to && block.max_ts >= from {
                    stats.chunks += 1;
                    stats.entries += u64::from(block.count);
                    stats.bytes += u64::from(block.text_bytes) + u64::from(block.metadata_bytes);
                }
            }
            if stream
                .head
                .timestamps
                .iter()
                .any(|ts| (from..=to).contains(ts))
            {
                stats.chunks += 1;
                stats.entries += stream.head.len() as u64;
                stats.bytes += (stream.head.text.len() + stream.head.metadata.len()) as u64;
            }
        }
        Ok(stats)
    }

    /// Bytes by label values (or names) between `start` and `end`, the largest `limit` of them: a vector.
    ///
    /// # Errors
    /// Where `query` is no selector.
    pub fn volume(
        &self,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        target_labels: &[&str],
        aggregate_by: VolumeAggregation,
        limit: usize,
    ) -> Result<QueryData, ParseError> {
        let whole = end.since(start).saturating_add(Duration::from_nanos(1));
        let sums = self.volumes(query, start, end, whole, target_labels, aggregate_by)?;
        let mut samples: Vec<VectorSample> = sums
            .into_iter()
            .map(|(metric, points)| VectorSample {
                metric,
                timestamp: end,
                value: points.values().map(|bytes| *bytes as f64).sum(),
            })
            .collect();
        samples.sort_by(|left, right| {
            right
                .value
                .total_cmp(&left.value)
                .then_with(|| left.metric.cmp(&right.metric))
        });
        samples.truncate(limit);
        Ok(answer(QueryResult::Vector(samples)))
    }

    /// The same for each step: a matrix of the series that are largest over the whole range.
    ///
    /// # Errors
    /// Where `query` is no selector.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the parameters of the HTTP request"
    )]
    pub fn volume_range(
        &self,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
        target_labels: &[&str],
        aggregate_by: VolumeAggregation,
        limit: usize,
    ) -> Result<QueryData, ParseError> {
        let step = step.max(Duration::from_millis(1));
        let sums = self.volumes(query, start, end, step, target_labels, aggregate_by)?;
        let total = |points: &BTreeMap<i64, u64>| points.values().sum::<u64>();
        let mut series: Vec<(LabelSet, BTreeMap<i64, u64>)> = sums.into_iter().collect();
        series.sort_by(|left, right| {
            total(&right.1)
                .cmp(&total(&left.1))
                .then_with(|| left.0.cmp(&right.0))
        });
        series.truncate(limit);
        let matrix = series
            .into_iter()
            .map(|(metric, points)| MatrixSeries {
                metric,
                values: points
                    .into_iter()
                    .map(|(at, bytes)| (Timestamp::from_nanos(at), bytes as f64))
                    .collect(),
            })
            .collect();
        Ok(answer(QueryResult::Matrix(matrix)))
    }

    /// Bytes by labels and by the start of each step.
    fn volumes(
        &self,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
        target_labels: &[&str],
        aggregate_by: VolumeAggregation,
    ) -> Result<BTreeMap<LabelSet, BTreeMap<i64, u64>>, ParseError> {
        let matchers = matchers_of(Some(query))?;
        let step = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX).max(1);
        let scan = Scan {
            from: start.as_nanos(),
            to: end.as_nanos().saturating_add(1),
            backward: false,
            needs: Needs {
                text: true,
                metadata: true,
            },
            literals: Vec::new(),
            ..Scan::default()
        };
        let mut sums: BTreeMap<LabelSet, BTreeMap<i64, u64>> = BTreeMap::new();
        self.scan(&matchers, &scan, |stream, lines| {
            let keys = keys(&stream.labels, &matchers, target_labels, aggregate_by);
            let mut points: BTreeMap<i64, u64> = BTreeMap::new();
            lines.for_each(&mut |line| {
                let number = (line.timestamp.saturating_sub(scan.from)) / step;
                let at = scan.from.saturating_add(number.saturating_mul(step));
                *points.entry(at).or_default() += (line.text.len() + line.metadata_bytes()) as u64;
                true
            });
            for key in keys {
                let sum = sums.entry(key).or_default();
                for (at, bytes) in &points {
                    *sum.entry(*at).or_default() += bytes;
                }
            }
            true
        });
        Ok(sums)
    }
}

fn answer(result: QueryResult) -> QueryData {
    QueryData {
        result,
        categorize_labels: false,
        lines_processed: 0,
        bytes_processed: 0,
    }
}

/// What the bytes of a stream count for: its values of the target labels, or each of its label names. Without target labels
/// those of the matchers count; a selector of everything counts by all labels.
fn keys(
    labels: &gameday_signal::Labels,
    matchers: &[Matcher],
    target_labels: &[&str],
    aggregate_by: VolumeAggregation,
) -> Vec<LabelSet> {
    let is_target = |name: &str| {
        if !target_labels.is_empty() {
            return target_labels.contains(&name);
        }
        let named: Vec<&Matcher> = matchers
            .iter()
            .filter(|matcher| !(matcher.op() == MatchOp::Regex && matcher.value() == ".+"))
            .collect();
        named.is_empty() || matchers.iter().any(|matcher| matcher.name() == name)
    };
    match aggregate_by {
        VolumeAggregation::Series => {
            vec![LabelSet::from(labels).filtered(is_target)]
        }
        VolumeAggregation::Labels => labels
            .iter()
            .filter(|(name, _)| target_labels.is_empty() || target_labels.contains(name))
            .map(|(name, _)| LabelSet::new(vec![(name.to_owned(), String::new())]))
            .collect(),
    }
}
