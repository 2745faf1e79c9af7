//! `/patterns`: lines grouped by what they have in common.
//!
//! A tree of fixed depth as in Drain (He, Zhu, Zheng, Lyu, "Drain: An Online Log Parsing Approach with Fixed Depth Tree", 2017):
//! lines with the same number of words and the same beginning are compared, and words that differ become `<_>`.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::Timestamp;
use serde::Serialize;

use crate::QueryError;
use crate::logql::{Expr, parse_expr};
use crate::stage::{Hints, Pipeline, compile};
use crate::store::{Needs, Scan, Store};

/// A pattern and how often its lines came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PatternSeries {
    /// The common words, with `<_>` for those that differ.
    pub pattern: String,
    /// Seconds of each step, and lines in it.
    pub samples: Vec<(i64, u64)>,
}

/// Lines belong together when this share of their words agrees (Drain's similarity threshold; Loki takes 0.3).
const SIMILARITY_MIN: f64 = 0.3;
/// A pattern of more words is not useful to anybody.
const WORDS_MAX: usize = 80;
/// The most patterns that are told apart.
const PATTERNS_MAX: usize = 300;

struct Cluster {
    words: Vec<Option<String>>,
    counts: BTreeMap<i64, u64>,
    total: u64,
}

impl Store {
    /// The patterns of the lines of a log query, the most frequent first, with a count for each `step`.
    ///
    /// # Errors
    /// Where `query` is no log query.
    pub fn patterns(
        &self,
        query: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<Vec<PatternSeries>, QueryError> {
        let logs = match parse_expr(query)? {
            Expr::Log(logs) => logs,
            Expr::Metric(_) => return Err(QueryError::NotAMetric),
        };
        let step = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX).max(1);
        let mut pipeline =
            Pipeline::new(compile(&logs.stages).unwrap_or_default(), Hints::default());
        let scan = Scan {
            from: start.as_nanos(),
            to: end.as_nanos(),
            backward: false,
            needs: Needs {
                text: true,
                metadata: true,
            },
            literals: pipeline.required_literals().0,
            ..Scan::default()
        };
        // By number of words and first word: only lines that share both are compared.
        let mut leaves: BTreeMap<(usize, String), Vec<Cluster>> = BTreeMap::new();
        let mut clusters = 0;
        self.scan(&logs.matchers, &scan, |stream, lines| {
            pipeline.set_stream(&stream.labels);
            lines.for_each(&mut |line| {
                pipeline.labels.reset();
                line.add_metadata_to(&mut pipeline.labels);
                let timestamp = Timestamp::from_nanos(line.timestamp);
                if let Some(text) = pipeline.process(timestamp, line.text) {
                    let at = line.timestamp.div_euclid(step) * step;
                    clusters += usize::from(add(&mut leaves, text, at, clusters < PATTERNS_MAX));
                }
                true
            });
            true
        });
        let mut found: Vec<Cluster> = leaves.into_values().flatten().collect();
        found.sort_by(|left, right| {
            right
                .total
                .cmp(&left.total)
                .then_with(|| left.words.cmp(&right.words))
        });
        Ok(found.into_iter().map(Cluster::into_series).collect())
    }
}

impl Cluster {
    fn similarity(&self, words: &[&str]) -> f64 {
        let same = self
            .words
            .iter()
            .zip(words)
            .filter(|(own, word)| own.as_deref() == Some(**word))
            .count();
        same as f64 / words.len().max(1) as f64
    }

    fn into_series(self) -> PatternSeries {
        let words: Vec<&str> = self
            .words
            .iter()
            .map(|word| word.as_deref().unwrap_or("<_>"))
            .collect();
        PatternSeries {
            pattern: words.join(" "),
            samples: self
                .counts
                .into_iter()
                .map(|(at, count)| (at.div_euclid(1_000_000_000), count))
                .collect(),
        }
    }
}

/// Adds a line to the pattern that it fits best; true where it began a new one.
fn add(
    leaves: &mut BTreeMap<(usize, String), Vec<Cluster>>,
    line: &str,
    at: i64,
    may_grow: bool,
) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.is_empty() || words.len() > WORDS_MAX {
        return false;
    }
    let first = if has_digit(words[0]) { "<_>" } else { words[0] };
    let leaf = leaves.entry((words.len(), first.to_owned())).or_default();
    let best = leaf
        .iter_mut()
        .map(|cluster| (cluster.similarity(&words), cluster))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    if let Some((_, cluster)) = best {
        for (own, word) in cluster.words.iter_mut().zip(&words) {
            if own.as_deref() != Some(*word) {
                *own = None;
            }
        }
        *cluster.counts.entry(at).or_default() += 1;
        cluster.total += 1;
        return false;
    }
    if !may_grow {
        return false;
    }
    leaf.push(Cluster {
        // Words with digits are taken for values from the start.
        words: words
            .iter()
            .map(|word| (!has_digit(word)).then(|| (*word).to_owned()))
            .collect(),
        counts: BTreeMap::from([(at, 1)]),
        total: 1,
    });
    true
}

fn has_digit(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}
