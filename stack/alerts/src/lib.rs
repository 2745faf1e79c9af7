//! Alertmanager: routing, grouping, inhibition, silences, time intervals and notifications.
//!
//! ```text
//!   alertmanager.yml -> Config -> routes, inhibition rules, intervals, receivers
//!                                    |
//!   PostableAlert -> receive -> [alerts] -> [groups] -> tick -> inhibited? muted? silenced? known? -> Effect::Notify
//!                                                                                                         |
//!        report(id, Outcome) <- Step::Finished <- next_step(notification, answers) -> Step::Request, Step::Email
//!                                                     ^------------ the caller sends it and adds the answer
//! ```
//!
//! [`Alertmanager`] is the entry. The caller
//! 1. posts alerts with [`receive`](Alertmanager::receive),
//! 2. calls [`tick`](Alertmanager::tick) whenever [`next_deadline`](Alertmanager::next_deadline) is reached (it may move to an
//!    earlier moment with every other call),
//! 3. for each [`Effect::Notify`] asks [`next_step`](Alertmanager::next_step), sends what it is given and asks again with the
//!    answer, until there is an [`Outcome`], and hands that to [`report`](Alertmanager::report),
//! 4. saves [`snapshot`](Alertmanager::snapshot) when [`state_generation`](Alertmanager::state_generation) has grown.
//!
//! The views of API v2 ([`alerts_view`](Alertmanager::alerts_view) and its like) are ready to be written as JSON. [`RoutesTest`]
//! plays test files of routes.
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
    Answer, ClientOptions, EmailAuth, EmailMessage, OAuth2Options, OutgoingRequest, ProxyOptions,
    Step, TlsOptions,
};
pub use notification_log::NotificationReason;
pub use render::FileReader;
pub use routes_test::{CaseReport, RoutesReport, RoutesTest};
pub use silence::{PostableSilence, SilenceError, SilenceMatcher, SilenceState};
pub use snapshot::SnapshotError;
pub use templates::{TemplateProblem, Templates};
