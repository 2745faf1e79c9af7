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

mod alert;
mod api;
mod config;
mod delivery;
mod effect;
mod engine;
mod flush;
mod group;
mod inhibit;
mod integrations;
mod matchers;
mod message;
mod notification_log;
mod reach;
mod render;
mod rfc3339;
mod route;
mod routes_test;
mod sigv4;
mod silence;
mod snapshot;
mod templates;

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
pub use message::{
    Answer, ClientOptions, EmailAuth, EmailMessage, OAuth2Options, OutgoingRequest, Step,
    TlsOptions,
};
pub use notification_log::NotificationReason;
pub use render::FileReader;
pub use routes_test::{CaseReport, RoutesReport, RoutesTest};
pub use silence::{PostableSilence, SilenceError, SilenceMatcher, SilenceState};
pub use snapshot::SnapshotError;
pub use templates::{TemplateProblem, Templates};
