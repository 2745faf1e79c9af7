//! Waiting for something to become true, with a limit.

use std::time::Duration;

use gameday_signal::{Labels, Timestamp};

use super::Game;
use crate::receivers::{Message, MessageStatus};
use crate::verify::{ActiveAlert, VectorSample};
use crate::world::StepError;

/// The states of an alert that steps speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// Its expression holds, `for` is not over.
    Pending,
    /// It fires.
    Firing,
}

impl AlertState {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// What came of waiting. Durations are the feature's: a compressed run is told as if it were none.
#[derive(Clone, Debug)]
pub struct Waited<T, S> {
    /// What was waited for, where it came.
    pub found: Option<T>,
    /// How long it took, or how long was waited in vain.
    pub after: Duration,
    /// What was seen at the last look.
    pub seen: Vec<S>,
}

/// How often is looked, on an uncompressed clock.
const LOOK: Duration = Duration::from_secs(1);
/// How often is looked on a compressed clock, at most.
const LOOK_MIN: Duration = Duration::from_millis(50);

impl Game {
    /// How often a condition is looked at.
    pub(super) fn look_interval(&self) -> Duration {
        self.scaled(LOOK).max(LOOK_MIN)
    }

    /// Looks again and again until `look` finds something or `limit` (the feature's, counted from `from`) is over. The last look
    /// is at the limit itself.
    fn wait<T, S>(
        &mut self,
        from: Timestamp,
        limit: Duration,
        mut look: impl FnMut(&Self) -> Result<(Option<T>, Vec<S>), StepError>,
    ) -> Result<Waited<T, S>, StepError> {
        let deadline = from + self.limit(limit);
        let clock = self.env().clock().clone();
        loop {
            let (found, seen) = look(self)?;
            let now = clock.now();
            if found.is_some() || now >= deadline {
                return Ok(Waited {
                    found,
                    after: self.unscaled(now.since(from)),
                    seen,
                });
            }
            self.check_aborted()?;
            let next = deadline.min(now + self.look_interval());
            self.run(clock.sleep_until(next))?;
        }
    }

    /// Waits until an alert of that name is in one of `states`, with these labels.
    ///
    /// # Errors
    /// Where Prometheus cannot be reached, or the game is aborted or interrupted.
    pub fn wait_for_alert(
        &mut self,
        name: &str,
        states: &[AlertState],
        labels: &[(String, String)],
        limit: Duration,
    ) -> Result<Waited<ActiveAlert, ActiveAlert>, StepError> {
        let right = |own: &Labels| {
            labels
                .iter()
                .all(|(label, value)| own.value_of(label) == value)
        };
        self.wait(self.acted_at, limit, |game| {
            let alerts = game.active_alerts()?;
            let seen: Vec<ActiveAlert> = alerts
                .into_iter()
                .filter(|alert| alert.labels.value_of("alertname") == name)
                .collect();
            let in_state =
                |alert: &&ActiveAlert| states.iter().any(|state| state.as_str() == alert.state);
            let found = seen
                .iter()
                .filter(in_state)
                .find(|alert| right(&alert.labels))
                .cloned();
            Ok((found, seen))
        })
    }

    /// Waits until no alert of that name is pending or firing.
    ///
    /// # Errors
    /// As for [`Self::wait_for_alert`].
    pub fn wait_for_inactive(
        &mut self,
        name: &str,
        limit: Duration,
    ) -> Result<Waited<(), ActiveAlert>, StepError> {
        self.wait(self.acted_at, limit, |game| {
            let alerts = game.active_alerts()?;
            let seen: Vec<ActiveAlert> = alerts
                .into_iter()
                .filter(|alert| alert.labels.value_of("alertname") == name)
                .collect();
            Ok((seen.is_empty().then_some(()), seen))
        })
    }

    /// Waits until the answer of a query is right.
    ///
    /// # Errors
    /// As for [`Self::wait_for_alert`].
    pub fn wait_for_query(
        &mut self,
        promql: &str,
        limit: Duration,
        right: impl Fn(&[VectorSample]) -> bool,
    ) -> Result<Waited<(), VectorSample>, StepError> {
        let from = self.now();
        self.wait(from, limit, |game| {
            let samples = game.query(promql)?;
            Ok((right(&samples).then_some(()), samples))
        })
    }

    /// Waits for a message that says that an alert fires or is resolved; counted from `from`, or from the last action.
    ///
    /// # Errors
    /// Where there is no such receiver, or the game is aborted or interrupted.
    pub fn wait_for_message(
        &mut self,
        receiver: &str,
        alert: &str,
        status: MessageStatus,
        from: Option<Timestamp>,
        limit: Duration,
    ) -> Result<Option<Message>, StepError> {
        self.check_receiver(receiver)?;
        let since = self.fired_at(alert).unwrap_or(self.started);
        let begin = from.unwrap_or_else(|| self.now());
        let waited = self.wait(begin, limit, |game| {
            let right =
                |message: &Message| message.at >= since && message.status_of(alert) == Some(status);
            let found = game.messages_to(receiver).into_iter().find(right);
            Ok((found, Vec::<()>::new()))
        })?;
        Ok(waited.found)
    }

    /// Waits for an attempt to notify a receiver, accepted or not, that is right; the limit counts from `from`.
    ///
    /// # Errors
    /// As for [`Self::wait_for_message`].
    pub fn wait_for_attempt(
        &mut self,
        receiver: &str,
        from: Timestamp,
        limit: Duration,
        right: impl Fn(&Message) -> bool,
    ) -> Result<Option<Message>, StepError> {
        self.check_receiver(receiver)?;
        let waited = self.wait(from, limit, |game| {
            let found = game.attempts_to(receiver).into_iter().find(&right);
            Ok((found, Vec::<()>::new()))
        })?;
        Ok(waited.found)
    }
}
