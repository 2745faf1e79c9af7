//! What goes on beside the steps: the objectives are watched for the timeline, the abort conditions for safety.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gameday_env::Env;
use gameday_signal::EventKind;

use super::Game;
use crate::failure::FailureKind;
use crate::scenario::{AbortSettings, SloSettings};
use crate::verify::Apis;
use crate::world::StepError;

/// What the watchers tell the steps. A clone is the same flags.
#[derive(Clone, Default)]
pub struct Flags(Arc<Inner>);

#[derive(Default)]
struct Inner {
    interrupted: AtomicBool,
    aborted: Mutex<Option<String>>,
    phase: Mutex<String>,
}

impl Flags {
    /// Notes that the user ended the run.
    pub fn interrupt(&self) {
        self.0.interrupted.store(true, Ordering::Relaxed);
    }

    /// Whether the user ended the run.
    pub fn interrupted(&self) -> bool {
        self.0.interrupted.load(Ordering::Relaxed)
    }

    fn abort(&self, reason: String) {
        let mut aborted = self
            .0
            .aborted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        aborted.get_or_insert(reason);
    }

    /// Why the run was aborted.
    pub fn aborted(&self) -> Option<String> {
        self.0
            .aborted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set_phase(&self, phase: &str) {
        phase.clone_into(&mut self.0.phase.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn phase(&self) -> String {
        self.0
            .phase
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How often objectives and abort conditions are asked, on an uncompressed clock: the evaluation interval of the defaults.
const WATCH: Duration = Duration::from_secs(15);
/// The window over which an objective counts as breached: the short one of the fast burn.
const SLI_WINDOW: &str = "5m";

impl Game {
    /// Starts the watchers as tasks of the host `gameday`.
    pub(super) fn start_watchers(&self) {
        let env = self.env().clone();
        let interval = self.scaled(WATCH);
        for slo in &self.scenario.settings.slos {
            let query = slo.bad_ratio_over(SLI_WINDOW);
            let query = self.scaled_query(&query).unwrap_or(query);
            env.spawn(watch_objective(
                env.clone(),
                self.apis.clone(),
                slo.clone(),
                query,
                interval,
            ));
        }
        for condition in &self.scenario.settings.abort {
            let query = self
                .scaled_query(&condition.expr)
                .unwrap_or_else(|_| condition.expr.clone());
            let flags = self.flags.clone();
            env.spawn(watch_abort(
                env.clone(),
                self.apis.clone(),
                condition.clone(),
                query,
                flags,
                interval,
            ));
        }
        self.start_progress();
    }

    /// Fails where an abort condition has held: all faults are taken back first.
    pub(super) fn check_aborted(&mut self) -> Result<(), StepError> {
        let Some(reason) = self.flags.aborted() else {
            return Ok(());
        };
        self.end_faults(gameday_signal::FaultEnd::Aborted);
        Err(StepError {
            kind: FailureKind::Assertion,
            ..StepError::failed("no abort condition to hold", format!("aborted: {reason}"))
        })
    }
}

async fn watch_objective(
    env: Env,
    apis: Apis,
    slo: SloSettings,
    query: String,
    interval: Duration,
) {
    let budget = slo.budget();
    let mut breached = false;
    loop {
        env.clock().sleep(interval).await;
        let Ok(samples) = apis.query(&query, None).await else {
            continue;
        };
        let Some(bad_ratio) = samples
            .iter()
            .map(|sample| sample.value)
            .filter(|value| !value.is_nan())
            .max_by(f64::total_cmp)
        else {
            continue;
        };
        let slo = slo.name.clone();
        match (breached, bad_ratio > budget) {
            (false, true) => env.record(EventKind::SliBreached {
                slo,
                bad_ratio,
                threshold: budget,
            }),
            (true, false) => env.record(EventKind::SliRestored { slo, bad_ratio }),
            _ => continue,
        }
        breached = !breached;
    }
}

async fn watch_abort(
    env: Env,
    apis: Apis,
    condition: AbortSettings,
    query: String,
    flags: Flags,
    interval: Duration,
) {
    loop {
        env.clock().sleep(interval).await;
        let Ok(samples) = apis.query(&query, None).await else {
            continue;
        };
        // A scalar is true when it is not zero; a vector when it has an element.
        let holds = samples
            .iter()
            .any(|sample| !sample.labels.is_empty() || sample.value != 0.0);
        if holds {
            env.record(EventKind::Note {
                text: format!(
                    "abort condition holds: {} ({})",
                    condition.reason, condition.expr
                ),
            });
            flags.abort(condition.reason);
            return;
        }
    }
}
