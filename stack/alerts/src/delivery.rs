//! A delivery: from a notification to its outcome, with retries, until the deadline of its flush.

use std::collections::BTreeSet;
use std::time::Duration;

use gameday_signal::Timestamp;

use crate::effect::{Disposition, Effect, Notification, NotificationId, Outcome};
use crate::engine::{Alertmanager, Timer};
use crate::group::GroupId;
use crate::message::{Answer, Step};
use crate::notification_log::LogKey;
use crate::render::{Context, FileReader};

/// The first pause before a retry, its growth and its limit (cenkalti/backoff's exponential defaults, without their jitter, so that
/// the same run gives the same seconds).
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const BACKOFF_GROWTH: f64 = 1.5;
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// A notification that has not been delivered yet.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    /// None after a reload: then only the delivery is noted.
    pub(crate) group: Option<GroupId>,
    pub(crate) notification: Notification,
    pub(crate) log_key: LogKey,
    pub(crate) firing: BTreeSet<u64>,
    pub(crate) resolved: BTreeSet<u64>,
    pub(crate) repeat_interval: Duration,
    pub(crate) last_error: String,
    /// When it is sent again; a timer at any other moment is void.
    pub(crate) retry_at: Option<Timestamp>,
}

impl Alertmanager {
    /// The next step of the delivery of a notification: a request or e-mail to send, or the outcome to report.
    ///
    /// Start without answers, and append the answer to each request. What goes wrong on the way to a server (no connection, a
    /// time-out) is for the caller to report as [`Outcome::Retry`]. `read_file` reads the files that hold secrets.
    pub fn next_step(
        &self,
        notification: &Notification,
        answers: &[Answer],
        read_file: &FileReader<'_>,
        now: Timestamp,
    ) -> Step {
        let external_url = &self.options.external_url;
        let context = Context::new(notification, &self.templates, external_url, read_file, now);
        let integration = &notification.integration;
        let step = self
            .config
            .receiver(&integration.receiver)
            .and_then(|receiver| {
                receiver.step(integration.kind, integration.index, &context, answers)
            });
        match step {
            Some(Ok(Step::Request(mut request))) => {
                // An integration may have read a secret after it has made the request.
                request.secrets = context.secrets();
                Step::Request(request)
            }
            Some(Ok(step)) => step,
            Some(Err(error)) => Step::Finished(Outcome::Failed { error }),
            None => Step::Finished(Outcome::Failed {
                error: format!("{integration} is no longer configured"),
            }),
        }
    }

    /// Takes what became of a notification.
    pub fn report(&mut self, id: NotificationId, outcome: Outcome, now: Timestamp) -> Disposition {
        let Some(flight) = self.in_flight.get_mut(&id) else {
            return Disposition::Late;
        };
        match outcome {
            Outcome::Delivered => self.delivered(id, None, now),
            Outcome::DeliveredAs { receipt } => self.delivered(id, Some(receipt), now),
            Outcome::Failed { .. } => {
                let Some(group) = self.in_flight.remove(&id).and_then(|flight| flight.group) else {
                    return Disposition::Late;
                };
                self.answer(group, false, now);
                Disposition::Failed
            }
            Outcome::Retry { after, error } => {
                flight.last_error = error;
                if flight.group.is_none() {
                    self.in_flight.remove(&id);
                    return Disposition::Late;
                }
                let pause = backoff(flight.notification.attempt).max(after.unwrap_or_default());
                let at = now + pause;
                let deadline = flight.notification.deadline;
                if at >= deadline {
                    return Disposition::GiveUpAt(deadline);
                }
                flight.retry_at = Some(at);
                self.set_timer(at, Timer::Retry(id));
                Disposition::RetryAt(at)
            }
        }
    }

    pub(crate) fn retry(&mut self, id: NotificationId, at: Timestamp, effects: &mut Vec<Effect>) {
        let Some(flight) = self.in_flight.get_mut(&id) else {
            return;
        };
        if flight.retry_at != Some(at) {
            return;
        }
        flight.retry_at = None;
        flight.notification.attempt += 1;
        effects.push(Effect::Notify(flight.notification.clone()));
    }

    /// Gives up what a flush could not deliver before its deadline.
    pub(crate) fn time_out(
        &mut self,
        id: GroupId,
        at: Timestamp,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let is_due = self
            .groups
            .get(&id)
            .and_then(|group| group.flush.as_ref())
            .is_some_and(|flush| flush.deadline == at);
        if !is_due {
            return;
        }
        let late: Vec<_> = self
            .in_flight
            .iter()
            .filter(|(_, flight)| flight.group == Some(id))
            .map(|(notification, _)| *notification)
            .collect();
        for notification in late {
            let Some(flight) = self.in_flight.remove(&notification) else {
                continue;
            };
            effects.push(Effect::GaveUp {
                id: notification,
                integration: flight.notification.integration,
                attempts: flight.notification.attempt,
                error: flight.last_error,
            });
            self.answer(id, false, now);
        }
    }

    /// Notes that the receiver knows.
    fn delivered(
        &mut self,
        id: NotificationId,
        receipt: Option<String>,
        now: Timestamp,
    ) -> Disposition {
        let Some(flight) = self.in_flight.remove(&id) else {
            return Disposition::Late;
        };
        self.log.set(
            flight.log_key,
            flight.firing,
            flight.resolved,
            receipt,
            flight.repeat_interval,
            now,
        );
        self.set_maintenance(now);
        let Some(group) = flight.group else {
            return Disposition::Late;
        };
        self.answer(group, true, now);
        Disposition::Done
    }

    /// Counts one integration of a flush as answered.
    fn answer(&mut self, id: GroupId, succeeded: bool, now: Timestamp) {
        let Some(flush) = self
            .groups
            .get_mut(&id)
            .and_then(|group| group.flush.as_mut())
        else {
            return;
        };
        flush.pending = flush.pending.saturating_sub(1);
        flush.failed |= !succeeded;
        if flush.pending == 0 {
            self.finish_flush(id, now);
        }
    }

    pub(crate) fn finish_flush(&mut self, id: GroupId, now: Timestamp) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        let Some(flush) = group.flush.take() else {
            return;
        };
        if !flush.failed {
            group.forget(&flush.resolved);
            if group.alerts.is_empty() {
                self.groups.remove(&id);
                return;
            }
        }
        if group.overdue {
            group.next_flush = now;
            self.set_timer(now, Timer::Flush(id));
        }
    }
}

/// The pause after the given attempt.
fn backoff(attempt: u32) -> Duration {
    let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
    let secs = FIRST_BACKOFF.as_secs_f64() * BACKOFF_GROWTH.powi(exponent);
    Duration::try_from_secs_f64(secs)
        .unwrap_or(MAX_BACKOFF)
        .min(MAX_BACKOFF)
}
