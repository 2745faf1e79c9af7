//! The moments t0 to t11 of an incident, and what is measured between them.

use gameday_signal::{Event, Timestamp};
use serde::{Deserialize, Serialize};

use super::record::SloRecord;

/// A moment of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "Moment::name says what each of them is")]
pub enum Moment {
    T0,
    T1,
    T2,
    T3,
    T4,
    T5,
    T6,
    T7,
    T8,
    T9,
    T10,
    T11,
}

impl Moment {
    /// All of them in order.
    pub const ALL: [Self; 12] = [
        Self::T0,
        Self::T1,
        Self::T2,
        Self::T3,
        Self::T4,
        Self::T5,
        Self::T6,
        Self::T7,
        Self::T8,
        Self::T9,
        Self::T10,
        Self::T11,
    ];

    /// `t0` to `t11`.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::T0 => "t0",
            Self::T1 => "t1",
            Self::T2 => "t2",
            Self::T3 => "t3",
            Self::T4 => "t4",
            Self::T5 => "t5",
            Self::T6 => "t6",
            Self::T7 => "t7",
            Self::T8 => "t8",
            Self::T9 => "t9",
            Self::T10 => "t10",
            Self::T11 => "t11",
        }
    }

    /// What happens then.
    pub fn name(self) -> &'static str {
        match self {
            Self::T0 => "fault injected",
            Self::T1 => "first bad event",
            Self::T2 => "SLI over its threshold",
            Self::T3 => "alert pending",
            Self::T4 => "alert firing",
            Self::T5 => "notification delivered",
            Self::T6 => "acknowledged",
            Self::T7 => "first correct diagnosis",
            Self::T8 => "mitigation applied",
            Self::T9 => "SLI back",
            Self::T10 => "alert resolved",
            Self::T11 => "resolved notification delivered",
        }
    }
}

/// When a moment was reached, and which entry of the journal shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The instant.
    pub at: Timestamp,
    /// The `seq` of the event.
    pub event: u64,
}

impl Mark {
    /// The mark of an event.
    pub(super) fn of(event: &Event) -> Self {
        Self {
            at: event.at,
            event: event.seq,
        }
    }
}

/// The moments of one incident; none where a moment was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    /// t0.
    #[serde(rename = "t0_fault_injected")]
    pub fault_injected: Option<Mark>,
    /// t1.
    #[serde(rename = "t1_first_bad_event")]
    pub first_bad_event: Option<Mark>,
    /// t2.
    #[serde(rename = "t2_sli_breached")]
    pub sli_breached: Option<Mark>,
    /// t3.
    #[serde(rename = "t3_pending")]
    pub pending: Option<Mark>,
    /// t4.
    #[serde(rename = "t4_firing")]
    pub firing: Option<Mark>,
    /// t5.
    #[serde(rename = "t5_notified")]
    pub notified: Option<Mark>,
    /// t6.
    #[serde(rename = "t6_acknowledged")]
    pub acknowledged: Option<Mark>,
    /// t7.
    #[serde(rename = "t7_diagnosed")]
    pub diagnosed: Option<Mark>,
    /// t8.
    #[serde(rename = "t8_mitigated")]
    pub mitigated: Option<Mark>,
    /// t9.
    #[serde(rename = "t9_sli_restored")]
    pub sli_restored: Option<Mark>,
    /// t10.
    #[serde(rename = "t10_resolved")]
    pub resolved: Option<Mark>,
    /// t11.
    #[serde(rename = "t11_resolved_notified")]
    pub resolved_notified: Option<Mark>,
}

impl Moments {
    /// When `moment` was reached.
    pub fn get(&self, moment: Moment) -> Option<Mark> {
        match moment {
            Moment::T0 => self.fault_injected,
            Moment::T1 => self.first_bad_event,
            Moment::T2 => self.sli_breached,
            Moment::T3 => self.pending,
            Moment::T4 => self.firing,
            Moment::T5 => self.notified,
            Moment::T6 => self.acknowledged,
            Moment::T7 => self.diagnosed,
            Moment::T8 => self.mitigated,
            Moment::T9 => self.sli_restored,
            Moment::T10 => self.resolved,
            Moment::T11 => self.resolved_notified,
        }
    }

    /// Milliseconds from one moment to another, negative when they came the other way round; none if either is missing.
    pub fn between_ms(&self, from: Moment, to: Moment) -> Option<i64> {
        let (from, to) = (self.get(from)?.at, self.get(to)?.at);
        Some(to.as_millis() - from.as_millis())
    }
}

/// What is measured between the moments; none where a moment was not reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// Whether no bad event was seen, so that the first two count from t0 and not from t1: a service that nobody called was gone.
    #[serde(default)]
    pub from_injection: bool,
    /// t4 - t1.
    pub time_to_detect_ms: Option<i64>,
    /// t5 - t1.
    pub time_to_page_ms: Option<i64>,
    /// t6 - t5.
    pub time_to_acknowledge_ms: Option<i64>,
    /// t7 - t5.
    pub time_to_diagnose_ms: Option<i64>,
    /// t8 - t5.
    pub time_to_mitigate_ms: Option<i64>,
    /// t9 - t1.
    pub time_to_restore_ms: Option<i64>,
    /// t10 - t9.
    pub reset_ms: Option<i64>,
    /// The share of the error budget that was burnt from t1 to t9; 1 is all of it.
    #[serde(with = "super::units::maybe_number")]
    pub budget_burnt_ratio: Option<f64>,
}

impl Measures {
    pub(super) fn of(moments: &Moments, slo: Option<&SloRecord>) -> Self {
        let from_injection = moments.get(Moment::T1).is_none() && moments.get(Moment::T0).is_some();
        let begin = if from_injection {
            Moment::T0
        } else {
            Moment::T1
        };
        Self {
            from_injection,
            time_to_detect_ms: moments.between_ms(begin, Moment::T4),
            time_to_page_ms: moments.between_ms(begin, Moment::T5),
            time_to_acknowledge_ms: moments.between_ms(Moment::T5, Moment::T6),
            time_to_diagnose_ms: moments.between_ms(Moment::T5, Moment::T7),
            time_to_mitigate_ms: moments.between_ms(Moment::T5, Moment::T8),
            time_to_restore_ms: moments.between_ms(Moment::T1, Moment::T9),
            reset_ms: moments.between_ms(Moment::T9, Moment::T10),
            budget_burnt_ratio: slo.and_then(|slo| slo.budget_burnt_ratio),
        }
    }

    /// The times with their names and definitions, in the order of an incident.
    pub fn times_ms(&self) -> [(&'static str, &'static str, Option<i64>); 7] {
        let (detect, page) = if self.from_injection {
            ("t4 - t0", "t5 - t0")
        } else {
            ("t4 - t1", "t5 - t1")
        };
        [
            ("time to detect", detect, self.time_to_detect_ms),
            ("time to page", page, self.time_to_page_ms),
            (
                "time to acknowledge",
                "t6 - t5",
                self.time_to_acknowledge_ms,
            ),
            ("time to diagnose", "t7 - t5", self.time_to_diagnose_ms),
            ("time to mitigate", "t8 - t5", self.time_to_mitigate_ms),
            ("time to restore", "t9 - t1", self.time_to_restore_ms),
            ("reset", "t10 - t9", self.reset_ms),
        ]
    }
}
