//! What is appended, for those who send it on.

use std::collections::VecDeque;
use std::sync::Arc;

use gameday_signal::{Exemplar, Histogram, Labels};

use super::Store;

/// One thing that was appended to a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Tapped {
    /// The series.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// What it was.
    pub value: TappedValue,
}

/// What was appended.
#[derive(Clone, Debug, PartialEq)]
pub enum TappedValue {
    /// A number; the stale marker ends the series.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
    /// An exemplar.
    Exemplar(Exemplar),
}

/// A bounded queue of what was appended; the oldest goes where there is too much.
#[derive(Debug)]
pub(super) struct Tap {
    waiting: VecDeque<Tapped>,
    limit: usize,
    dropped: u64,
}

impl Tap {
    pub(super) fn push(&mut self, labels: &Labels, timestamp_ms: i64, value: TappedValue) {
        if self.waiting.len() >= self.limit {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(Tapped {
            labels: labels.clone(),
            timestamp_ms,
            value,
        });
    }
}

impl Store {
    /// Begins to keep what is appended until [`Store::take_tapped`] takes it, at most `limit` things.
    pub fn start_tap(&mut self, limit: usize) {
        if self.tap.is_none() {
            self.tap = Some(Tap {
                waiting: VecDeque::new(),
                limit: limit.max(1),
                dropped: 0,
            });
        }
    }

    /// Ends that; what was kept is gone.
    pub fn stop_tap(&mut self) {
        self.tap = None;
    }

    /// Takes what was appended since the last call, in that order, and how much was dropped because there was too much.
    pub fn take_tapped(&mut self) -> (Vec<Tapped>, u64) {
        match &mut self.tap {
            Some(tap) => (
                std::mem::take(&mut tap.waiting).into(),
                std::mem::take(&mut tap.dropped),
            ),
            None => (Vec::new(), 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreConfig;

    #[test]
    fn what_was_taken_is_tapped_and_what_was_refused_is_not() {
        let mut store = Store::new(StoreConfig::default());
        let labels = Labels::new([("__name__", "x")]);
        assert!(store.append(&labels, 1, 1.0).is_ok());
        store.start_tap(2);
        assert!(store.append(&labels, 2, 2.0).is_ok());
        assert!(store.append(&labels, 1, 3.0).is_err());
        assert!(store.append(&labels, 2, 2.0).is_ok(), "a repeated sample");
        let found = |store: &mut Store| {
            let (tapped, dropped) = store.take_tapped();
            let times: Vec<i64> = tapped.iter().map(|own| own.timestamp_ms).collect();
            (times, dropped)
        };
        assert_eq!(found(&mut store), (vec![2], 0));
        for at_ms in 3..6 {
            assert!(store.append(&labels, at_ms, 0.0).is_ok());
        }
        assert_eq!(found(&mut store), (vec![4, 5], 1), "the oldest is dropped");
        assert_eq!(found(&mut store), (vec![], 0));
    }
}
