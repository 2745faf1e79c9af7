//! Alerts as they are posted and as they are kept.

use std::cmp::Ordering;
use std::time::Duration;

use gameday_signal::{Alert, Labels, Timestamp};
use serde::Deserialize;

use crate::rfc3339;

/// An alert as it is posted to `/api/v2/alerts`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct PostableAlert {
    /// Its identity.
    pub labels: Labels,
    /// What a person should read.
    #[serde(default)]
    pub annotations: Labels,
    /// When it began to fire; the moment of the request if it is left out.
    #[serde(default, rename = "startsAt", deserialize_with = "rfc3339::optional")]
    pub starts_at: Option<Timestamp>,
    /// When it ended or will count as ended; `resolve_timeout` from now if it is left out.
    #[serde(default, rename = "endsAt", deserialize_with = "rfc3339::optional")]
    pub ends_at: Option<Timestamp>,
    /// The expression that made it, as a link.
    #[serde(default, rename = "generatorURL")]
    pub generator_url: String,
}

impl From<Alert> for PostableAlert {
    fn from(alert: Alert) -> Self {
        Self {
            labels: alert.labels,
            annotations: alert.annotations,
            starts_at: Some(alert.starts_at),
            ends_at: Some(alert.ends_at),
            generator_url: alert.generator_url,
        }
    }
}

/// Why a posted alert was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// It ends before it starts.
    #[error("start time must be before end time")]
    EndsBeforeStart,
    /// Nothing identifies it.
    #[error("at least one label pair required")]
    NoLabels,
    /// A label or annotation without a name.
    #[error("invalid {what}: invalid name \"\"")]
    EmptyName {
        /// `label set` or `annotations`.
        what: &'static str,
    },
    /// More labels or annotations than an alert may have.
    #[error("{what}: {count} entries are more than the {limit} that an alert may have")]
    TooMany {
        /// `label set` or `annotations`.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A name or value that is too long.
    #[error("{what}: {name:?} takes {bytes} bytes, more than the {limit} bytes that it may take")]
    TooLong {
        /// `label set` or `annotations`.
        what: &'static str,
        /// The name, cut short.
        name: String,
        /// The bytes of name and value.
        bytes: usize,
        /// How many there may be.
        limit: usize,
    },
    /// The engine is full.
    #[error("{count} alerts are held already, which is the limit")]
    Full {
        /// How many are held.
        count: usize,
    },
}

/// An alert may have this many labels and this many annotations: far above anything sensible, low enough to stay harmless.
const MAX_ENTRIES: usize = 1000;
/// A label's name and value; labels are identity and go into every group key.
const MAX_LABEL_BYTES: usize = 64 << 10;
/// An annotation's name and value.
const MAX_ANNOTATION_BYTES: usize = 1 << 20;

/// An alert as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredAlert {
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) generator_url: String,
    /// When it was last posted.
    pub(crate) updated_at: Timestamp,
    /// Whether its end is only the resolve timeout.
    pub(crate) timeout: bool,
}

impl StoredAlert {
    /// Fills in what was left out and checks the rest.
    pub(crate) fn new(
        posted: PostableAlert,
        resolve_timeout: Duration,
        now: Timestamp,
    ) -> Result<Self, AlertError> {
        let timeout = posted.ends_at.is_none();
        let starts_at = posted.starts_at.or(posted.ends_at).unwrap_or(now);
        let ends_at = posted.ends_at.unwrap_or(now + resolve_timeout);
        if ends_at < starts_at {
            return Err(AlertError::EndsBeforeStart);
        }
        if posted.labels.is_empty() {
            return Err(AlertError::NoLabels);
        }
        check_entries("label set", &posted.labels, MAX_LABEL_BYTES)?;
        check_entries("annotations", &posted.annotations, MAX_ANNOTATION_BYTES)?;
        Ok(Self {
            labels: posted.labels,
            annotations: posted.annotations,
            starts_at,
            ends_at,
            generator_url: posted.generator_url,
            updated_at: now,
            timeout,
        })
    }

    /// Its identity as a number.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.labels.fingerprint()
    }

    /// Whether it has ended at `now`.
    pub(crate) fn resolved_at(&self, now: Timestamp) -> bool {
        self.ends_at <= now
    }

    /// What is kept when `self` is posted while `old` is held: where their times overlap, the earlier start, and the later end
    /// unless that was only a timeout.
    pub(crate) fn merged_over(mut self, old: &Self, now: Timestamp) -> Self {
        let overlaps = (self.ends_at > old.starts_at && self.ends_at < old.ends_at)
            || (self.starts_at > old.starts_at && self.starts_at < old.ends_at);
        if !overlaps {
            return self;
        }
        self.starts_at = self.starts_at.min(old.starts_at);
        if old.ends_at > self.ends_at {
            let takes_old_end = if self.resolved_at(now) {
                old.resolved_at(now)
            } else {
                !old.timeout
            };
            if takes_old_end {
                self.ends_at = old.ends_at;
            }
        }
        self
    }
}

fn check_entries(what: &'static str, entries: &Labels, limit: usize) -> Result<(), AlertError> {
    if entries.len() > MAX_ENTRIES {
        return Err(AlertError::TooMany {
            what,
            count: entries.len(),
            limit: MAX_ENTRIES,
        });
    }
    for (name, value) in entries.iter() {
        if name.is_empty() {
            return Err(AlertError::EmptyName { what });
        }
        let bytes = name.len() + value.len();
        if bytes > limit {
            return Err(AlertError::TooLong {
                what,
                name: name.chars().take(64).collect(),
                bytes,
                limit,
            });
        }
    }
    Ok(())
}

/// The order of alerts in a message: by `job`, then `instance` (an alert without comes last), then [`compare_label_sets`].
pub(crate) fn compare_alerts(one: &Labels, other: &Labels) -> Ordering {
    for name in ["job", "instance"] {
        let order = match (one.get(name), other.get(name)) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(left), Some(right)) => left.cmp(right),
        };
        if order.is_ne() {
            return order;
        }
    }
    compare_label_sets(one, other)
}

/// prometheus/common's `LabelSet.Before`: fewer labels first, then at the first name that differs in presence or value, where the
/// set that lacks the name comes first.
pub(crate) fn compare_label_sets(one: &Labels, other: &Labels) -> Ordering {
    let by_size = one.len().cmp(&other.len());
    if by_size.is_ne() {
        return by_size;
    }
    let (mut left, mut right) = (one.iter(), other.iter());
    loop {
        match (left.next(), right.next()) {
            (Some((left_name, left_value)), Some((right_name, right_value))) => {
                // The set whose name is smaller has a name that the other lacks.
                let order = right_name
                    .cmp(left_name)
                    .then_with(|| left_value.cmp(right_value));
                if order.is_ne() {
                    return order;
                }
            }
            _ => return Ordering::Equal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn stored(starts: i64, ends: Option<i64>, now: i64) -> StoredAlert {
        let posted = PostableAlert {
            labels: Labels::new([("alertname", "A")]),
            starts_at: Some(at(starts)),
            ends_at: ends.map(at),
            ..PostableAlert::default()
        };
        StoredAlert::new(posted, Duration::from_secs(300), at(now)).unwrap()
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        for (starts, ends, expected) in [
            (None, None, (100, 400, true)),
            (Some(50), None, (50, 400, true)),
            (None, Some(120), (120, 120, false)),
            (Some(50), Some(120), (50, 120, false)),
        ] {
            let posted = PostableAlert {
                labels: Labels::new([("a", "b")]),
                starts_at: starts.map(at),
                ends_at: ends.map(at),
                ..PostableAlert::default()
            };
            let alert = StoredAlert::new(posted, Duration::from_secs(300), at(100)).unwrap();
            let (starts, ends, timeout) = expected;
            assert_eq!(
                (alert.starts_at, alert.ends_at, alert.timeout),
                (at(starts), at(ends), timeout)
            );
        }
    }

    #[test]
    fn overlapping_posts_are_merged() {
        // A resend keeps the earlier start.
        let resend = stored(40, Some(500), 60).merged_over(&stored(10, Some(100), 20), at(60));
        assert_eq!((resend.starts_at, resend.ends_at), (at(10), at(500)));
        // A timeout of an earlier post does not outlast an explicit end.
        let resolved = stored(10, Some(60), 60).merged_over(&stored(10, None, 20), at(60));
        assert_eq!(resolved.ends_at, at(60));
        // An explicit end is not shortened by a later post without one.
        let mut again = stored(50, None, 60);
        again.ends_at = at(90);
        assert_eq!(
            again
                .merged_over(&stored(10, Some(900), 20), at(60))
                .ends_at,
            at(900)
        );
        // Without an overlap the new post stands for itself.
        let anew = stored(200, Some(300), 200).merged_over(&stored(10, Some(100), 20), at(200));
        assert_eq!(anew.starts_at, at(200));
    }

    #[test]
    fn absurd_alerts_are_refused_by_name() {
        let check = |posted: PostableAlert, expected: &str| {
            let error = StoredAlert::new(posted, Duration::ZERO, at(0)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check(PostableAlert::default(), "at least one label pair required");
        let long = "x".repeat(1 << 20);
        check(
            PostableAlert {
                labels: Labels::new([("pod", long.as_str())]),
                ..PostableAlert::default()
            },
            "label set: \"pod\" takes 1048579 bytes, more than the 65536 bytes that it may take",
        );
        let many = (0..10_000).map(|index| (format!("l{index}"), "x"));
        check(
            PostableAlert {
                labels: Labels::new(many),
                ..PostableAlert::default()
            },
            "label set: 10000 entries are more than the 1000 that an alert may have",
        );
        check(
            PostableAlert {
                labels: Labels::new([("a", "b")]),
                starts_at: Some(at(2)),
                ends_at: Some(at(1)),
                ..PostableAlert::default()
            },
            "start time must be before end time",
        );
    }

    #[test]
    fn job_and_instance_come_first() {
        let mut alerts = [
            Labels::new([("a", "1"), ("b", "1")]),
            Labels::new([("z", "1")]),
            Labels::new([("instance", "1"), ("job", "a")]),
            Labels::new([("alertname", "X"), ("instance", "0"), ("job", "b")]),
            Labels::new([("alertname", "X"), ("job", "a")]),
        ];
        alerts.sort_by(compare_alerts);
        let order: Vec<_> = alerts.iter().map(ToString::to_string).collect();
        assert_eq!(
            order,
            [
                r#"{instance="1", job="a"}"#,
                r#"{alertname="X", job="a"}"#,
                r#"{alertname="X", instance="0", job="b"}"#,
                r#"{z="1"}"#,
                r#"{a="1", b="1"}"#,
            ]
        );
    }
}
