//! The faults in force in one service.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use gameday_env::Rng;
use gameday_signal::{Timestamp, format_duration};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Notify;

use crate::faults::{Behaviour, Effect, FaultError, FaultSpec, Ground, Point, Then};

/// Faults at a time.
const FAULTS_MAX: usize = 32;
/// Faults that ended and are remembered.
const ENDED_MAX: usize = 256;

/// The faults in force, by name. They act in the order of their names: delays add up and the hardest end wins.
pub(crate) struct FaultTable {
    /// The number of faults, so that the common case costs one load.
    active: AtomicUsize,
    state: Mutex<State>,
    /// Told when a fault has gone, for the requests that it holds.
    gone: Notify,
    ground: Ground,
    on_version: OnVersion,
}

/// Is told which version a fault makes the service claim to be.
type OnVersion = Box<dyn Fn(Option<&str>) + Send + Sync>;

#[derive(Default)]
struct State {
    faults: BTreeMap<String, InForce>,
    /// The last of each name that ended, so that what it touched can still be asked for.
    ended: BTreeMap<String, FaultState>,
    generation: u64,
}

struct InForce {
    kind: &'static str,
    json: Value,
    behaviour: Box<dyn Behaviour>,
    rng: Rng,
    since: Timestamp,
    until: Timestamp,
    generation: u64,
    touched: u64,
    first_touched: Option<Timestamp>,
    // Dropping it undoes what holds as long as the fault is in force.
    _held: Option<Box<dyn Any + Send>>,
}

/// A fault as the control API shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultState {
    /// Its name.
    pub name: String,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The fault as it was put.
    pub spec: Value,
    /// When it was put in force, in RFC 3339.
    pub since: String,
    /// How long it stays in force at most, from now.
    pub lease_remaining: String,
    /// Requests, calls or queries that it touched; for pressure, requests that were served under it.
    pub touched: u64,
    /// When it touched the first, in RFC 3339.
    pub first_touched: Option<String>,
    /// When and how it ended; none while it is in force.
    pub ended: Option<Ended>,
}

/// The end of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// When, in RFC 3339.
    pub at: String,
    /// How.
    pub by: EndedBy,
}

/// How a fault ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// Somebody took it out of force.
    Cleared,
    /// Another one of its name took its place.
    Replaced,
    /// Its lease ran out.
    LeaseExpired,
}

impl FaultTable {
    /// No faults; `on_version` is told the version that a fault makes the service claim, and when there is none any more.
    pub(crate) fn new(
        ground: Ground,
        on_version: impl Fn(Option<&str>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            active: AtomicUsize::new(0),
            state: Mutex::default(),
            gone: Notify::new(),
            ground,
            on_version: Box::new(on_version),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a fault in force, in place of one of the same name, until its lease runs out.
    ///
    /// # Errors
    /// Where there are too many faults, or this host cannot do it.
    pub(crate) fn put(
        self: &Arc<Self>,
        name: &str,
        mut spec: FaultSpec,
    ) -> Result<FaultState, FaultError> {
        let env = &self.ground.env;
        let now = env.now();
        // The old one goes first, so that the two never add up.
        self.end(name, EndedBy::Replaced);
        let mut state = self.lock();
        if state.faults.len() >= FAULTS_MAX {
            let problem = format!("there are {FAULTS_MAX} faults in force already");
            return Err(FaultError::new(
                "(the whole fault)",
                problem,
                "fewer at a time",
            ));
        }
        let held = spec.behaviour.begin(&self.ground)?;
        state.generation += 1;
        let generation = state.generation;
        let until = now + spec.lease;
        let fault = InForce {
            kind: spec.kind,
            json: spec.json,
            behaviour: spec.behaviour,
            rng: env.rng(&format!("fault/{}/{name}", env.host())),
            since: now,
            until,
            generation,
            touched: 0,
            first_touched: None,
            _held: held,
        };
        let shown = fault.shown(name, now);
        state.faults.insert(name.to_owned(), fault);
        self.changed(state);
        let table = Arc::downgrade(self);
        let (clock, name) = (env.clock().clone(), name.to_owned());
        env.spawn(async move {
            clock.sleep_until(until).await;
            expire(&table, &name, generation);
        });
        Ok(shown)
    }

    /// Takes a fault out of force; none where there is none of that name.
    pub(crate) fn remove(&self, name: &str) -> Option<FaultState> {
        self.end(name, EndedBy::Cleared)
    }

    /// Takes all faults out of force, or all of one kind.
    pub(crate) fn remove_all(&self, kind: Option<&str>) -> Vec<FaultState> {
        let names: Vec<String> = self
            .lock()
            .faults
            .iter()
            .filter(|(_, fault)| kind.is_none_or(|kind| fault.kind == kind))
            .map(|(name, _)| name.clone())
            .collect();
        names.iter().filter_map(|name| self.remove(name)).collect()
    }

    fn end(&self, name: &str, by: EndedBy) -> Option<FaultState> {
        let now = self.ground.env.now();
        let mut state = self.lock();
        let fault = state.faults.remove(name)?;
        let mut shown = fault.shown(name, now);
        let at = now.to_string();
        shown.ended = Some(Ended { at, by });
        if state.ended.len() >= ENDED_MAX {
            state.ended.pop_first();
        }
        state.ended.insert(name.to_owned(), shown.clone());
        self.changed(state);
        Some(shown)
    }

    /// The fault of that name in force, else the last one that ended.
    pub(crate) fn find(&self, name: &str) -> Option<FaultState> {
        let now = self.ground.env.now();
        let state = self.lock();
        let in_force = state.faults.get(name).map(|fault| fault.shown(name, now));
        in_force.or_else(|| state.ended.get(name).cloned())
    }

    /// The faults in force.
    pub(crate) fn list(&self) -> Vec<FaultState> {
        let now = self.ground.env.now();
        self.lock()
            .faults
            .iter()
            .map(|(name, fault)| fault.shown(name, now))
            .collect()
    }

    /// After every change: counts, tells the version and wakes the requests that are held.
    fn changed(&self, state: MutexGuard<'_, State>) {
        self.active.store(state.faults.len(), Ordering::Release);
        let version = state
            .faults
            .values()
            .find_map(|fault| fault.behaviour.version().map(String::from));
        drop(state);
        (self.on_version)(version.as_deref());
        self.gone.notify_waiters();
    }

    /// What the faults in force do at this point.
    pub(crate) fn at(&self, point: Point<'_>) -> Effect {
        if self.active.load(Ordering::Acquire) == 0 {
            return Effect::default();
        }
        let now = self.ground.env.now();
        let mut whole = Effect::default();
        for fault in self.lock().faults.values_mut() {
            if let Some(effect) = fault.behaviour.decide(point, &mut fault.rng) {
                fault.touched += 1;
                fault.first_touched.get_or_insert(now);
                whole.delay += effect.delay;
                whole.then = whole.then.max(effect.then);
            }
        }
        whole
    }

    /// Lets the effect's time pass and holds the request while a fault lets it hang; tells how it goes on.
    pub(crate) async fn undergo(&self, effect: Effect) -> Then {
        if effect.delay > Duration::ZERO {
            self.ground.env.clock().sleep(effect.delay).await;
        }
        if effect.then == Then::Hang {
            while self.holds() {
                self.gone.notified().await;
            }
            // What hung is not answered late: the connection breaks when the fault has gone.
            return Then::Abort;
        }
        effect.then
    }

    /// Whether a fault is in force that lets requests hang.
    fn holds(&self) -> bool {
        self.lock()
            .faults
            .values()
            .any(|fault| fault.kind == "hang")
    }
}

/// The lease has run out, unless the fault has been renewed or removed meanwhile.
fn expire(table: &Weak<FaultTable>, name: &str, generation: u64) {
    let Some(table) = table.upgrade() else {
        return;
    };
    let current = table.lock().faults.get(name).map(|it| it.generation);
    if current == Some(generation) {
        table.end(name, EndedBy::LeaseExpired);
    }
}

impl InForce {
    fn shown(&self, name: &str, now: Timestamp) -> FaultState {
        FaultState {
            name: name.to_owned(),
            kind: self.kind,
            spec: self.json.clone(),
            since: self.since.to_string(),
            lease_remaining: format_duration(self.until.since(now)),
            touched: self.touched,
            first_touched: self.first_touched.map(|at| at.to_string()),
            ended: None,
        }
    }
}
