//! Alertmanager: routing, grouping, inhibition, silences, time intervals and notifications.
//!
//! ```text
//!   alertmanager.yml -> Config ----------------------------.
//!                                                           v
//!   PostableAlert -> receive -> [alerts] -> route -> [groups] -> tick -> inhibit -> mute -> silence -> log -> Effect::Notify
//!                                                           ^                                                     |
//!                                             report(id, Outcome) <--- the caller sends, judges the answer <------'
//! ```
//!
//! [`Alertmanager`] is the entry: [`receive`](Alertmanager::receive), [`tick`](Alertmanager::tick),
//! [`report`](Alertmanager::report), [`next_deadline`](Alertmanager::next_deadline).
//!
//! Invariants: the engine is told the time and does no I/O; the same calls with the same times give the same effects; what was
//! accepted is notified, or an effect says why it was not; an integration that hangs delays no other group; nothing that is shown
//! holds a secret.

#![expect(dead_code, reason = "the messages that read these settings come next")]

mod alert;
mod api;
mod config;
mod effect;
mod engine;
mod group;
mod inhibit;
mod integrations;
mod matchers;
mod notification_log;
mod rfc3339;
mod route;
mod silence;
mod snapshot;

pub use alert::{AlertError, PostableAlert};
pub use api::{
    AlertGroup, AlertStatus, GettableAlert, GettableSilence, Query, QueryError, StatusView,
};
pub use api::{
    ClusterStatus, ConfigView, ReceiverReference, ReceiverView, SilenceStatus, VersionInfo,
};
pub use config::{Config, ConfigError};
pub use effect::{
    Disposition, Effect, IntegrationRef, Notification, NotificationId, NotifiedAlert, Outcome,
};
pub use effect::{Suppressed, SuppressedBy};
pub use engine::{Alertmanager, Options, ReceiveError};
pub use matchers::{ParseError, parse_matcher, parse_matchers};
pub use matchers::{
    parse_classic_matcher, parse_classic_matchers, parse_utf8_matcher, parse_utf8_matchers,
};
pub use notification_log::NotificationReason;
pub use silence::{PostableSilence, SilenceError, SilenceMatcher, SilenceState};
pub use snapshot::SnapshotError;
