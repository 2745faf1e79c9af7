//! A game day while it is played: the stack, the services, the load and the receivers, on one clock.
//!
//! ```text
//!   Scenario -> Game::start -> [ services <- load ]  --telemetry-->  stack --notifications--> receivers
//!                                  ^ faults                            ^ every question of a step goes through the public APIs
//! ```

mod closing;
mod delivering;
mod diagnosing;
mod drilling;
mod faulting;
mod messages;
mod progress;
mod silencing;
mod waiting;
mod watching;

use std::collections::BTreeSet;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use gameday_env::{Env, Mode, Sim, SimConfig};
use gameday_server::board::Datasources;
use gameday_server::{NotifyMode, Stack, StackFiles, StackOptions};
use gameday_signal::{Event, EventKind, Labels, Timestamp, TraceId};

use crate::failure::{Failure, FailureKind};
use crate::faults::FaultGuard;
use crate::load::{Load, Window};
use crate::receivers::Receivers;
use crate::scenario::Scenario;
use crate::target::{Exporters, MachineLoad, Target};
use crate::timeline::DrillDown;
use crate::verify::{
    ActiveAlert, AlertRule, ApiAddresses, Apis, ManagedAlert, TraceSpan, VectorSample,
};
use crate::world::{ClockChoice, RunOptions, StepError};

pub use waiting::{AlertState, Waited};
pub use watching::Flags;

/// A game day that is being played.
pub struct Game {
    // Fields are dropped in this order: faults are taken back while the services can still be told.
    faults: Vec<FaultGuard>,
    load: Option<Load>,
    target: Target,
    exporters: Exporters,
    stack: Stack,
    receivers: Receivers,
    apis: Apis,
    scenario: Arc<Scenario>,
    options: RunOptions,
    rules: Vec<AlertRule>,
    expected: BTreeSet<String>,
    focus: Option<Focus>,
    drill_downs: Vec<DrillDown>,
    /// The silences that steps began.
    silences: Vec<String>,
    /// What else runs on this machine; none in virtual time, which does not feel it.
    machine: Option<MachineLoad>,
    /// The links between metrics, logs and traces.
    links: Datasources,
    /// The trace of the last drill-down.
    trail: Option<(TraceId, Vec<TraceSpan>)>,
    flags: Flags,
    /// When the last `When` ended: the limits of the following steps count from here.
    acted_at: Timestamp,
    started: Timestamp,
    injected_at: Option<Timestamp>,
    sim: Rc<Sim>,
}

/// The alert that the next steps call "it".
#[derive(Clone, Debug)]
pub struct Focus {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// What a person should read, as of the evaluation at which it fired.
    pub annotations: Labels,
    /// When it began to fire.
    pub fired_at: Timestamp,
}

/// The earliest and the observed moment of an alert's firing.
#[derive(Clone, Copy, Debug)]
pub struct EarliestFiring {
    /// The earliest moment that the rule and its timing allow.
    pub earliest: Timestamp,
    /// When it fired.
    pub observed: Timestamp,
}

/// Virtual time that stands still for this long on the wall clock ends the process.
const WATCHDOG: Duration = Duration::from_secs(60);
/// On the compressed real clock answers take as long as ever, so every limit gets this much more.
const COMPRESSED_GRACE: Duration = Duration::from_millis(3500);
/// Above this share of the machine's processor time, taken by others, what fails on the real clock may be their doing.
const FOREIGN_MAX: f64 = 0.35;
/// On the real clock the machine itself takes time.
const REAL_GRACE: Duration = Duration::from_secs(2);

impl Game {
    /// Starts everything that the scenario needs.
    ///
    /// # Errors
    /// Where the scenario or a file under test is invalid, or something cannot be started.
    pub fn start(options: &RunOptions, name: &str) -> Result<Self, StepError> {
        let scenario = Arc::new(Scenario::load(&options.root, name)?);
        let files = scenario.stack_files()?;
        let links = files.datasources().map_err(Failure::scenario)?;
        let mode = match options.clock {
            ClockChoice::Virtual => Mode::Virtual {
                epoch: scenario.settings.epoch,
                speed: options.speed,
            },
            ClockChoice::Real => Mode::Real,
        };
        let seed = options.seed.unwrap_or(scenario.settings.seed);
        let sim = Sim::new(&SimConfig {
            mode,
            seed,
            watchdog: WATCHDOG,
        })
        .map(Rc::new)
        .map_err(|error| StepError::internal(format!("cannot start a runtime: {error}")))?;
        let env = sim.env().clone();
        let flags = Flags::default();
        let parts = sim.block_on(start_parts(&env, &scenario, &files, options))?;
        let (receivers, stack, target, exporters, apis) = parts;
        let rules = sim.block_on(apis.alert_rules())?;
        let load = Load::start(&env, scenario.load_spec(), scenario.bad_events());
        let now = env.now();
        let game = Self {
            faults: Vec::new(),
            load: Some(load),
            target,
            exporters,
            stack,
            receivers,
            apis,
            scenario,
            options: options.clone(),
            rules,
            expected: BTreeSet::new(),
            focus: None,
            drill_downs: Vec::new(),
            silences: Vec::new(),
            machine: match options.clock {
                ClockChoice::Virtual => None,
                ClockChoice::Real => MachineLoad::start(),
            },
            links,
            trail: None,
            flags,
            acted_at: now,
            started: now,
            injected_at: None,
            sim,
        };
        game.sim.block_on(async { game.start_watchers() });
        Ok(game)
    }

    fn env(&self) -> &Env {
        self.sim.env()
    }

    /// The time on the clock of the game.
    pub fn now(&self) -> Timestamp {
        self.env().now()
    }

    /// When the game began.
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Whether time is virtual.
    pub fn is_virtual(&self) -> bool {
        self.options.clock == ClockChoice::Virtual
    }

    /// The scenario.
    pub fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The receivers.
    pub fn receivers(&self) -> &Receivers {
        &self.receivers
    }

    /// What is being played, in a line.
    pub fn describe(&self) -> String {
        let alerts = self.rules.len();
        let services = self.target.services().join(", ");
        format!(
            "{}: services {services}; {alerts} alerts under test",
            self.scenario.settings.title
        )
    }

    /// A duration of a feature on the clock of the game: divided where the run is compressed.
    pub fn scaled(&self, duration: Duration) -> Duration {
        self.options
            .compress
            .map_or(duration, |divisor| duration / divisor)
    }

    /// What durations are divided by: 1 where the run is not compressed.
    pub fn compression(&self) -> f64 {
        self.options.compress.map_or(1.0, f64::from)
    }

    /// The reverse of [`Self::scaled`].
    pub fn unscaled(&self, duration: Duration) -> Duration {
        self.options
            .compress
            .map_or(duration, |divisor| duration * divisor)
    }

    /// A limit of a feature on the clock of the game, with the grace that the real clock needs.
    fn limit(&self, duration: Duration) -> Duration {
        match (self.options.clock, self.options.compress) {
            (ClockChoice::Virtual, _) => duration,
            (ClockChoice::Real, None) => duration + REAL_GRACE,
            (ClockChoice::Real, Some(_)) => self.scaled(duration) + COMPRESSED_GRACE,
        }
    }

    /// Runs the game until `future` is ready, unless the user ends it.
    fn run<F: Future>(&self, future: F) -> Result<F::Output, StepError> {
        if self.is_virtual() {
            return Ok(self.sim.block_on(future));
        }
        self.sim.block_on(async {
            tokio_select(future, gameday_env::interrupted())
                .await
                .map_err(|signal| {
                    self.flags.interrupt();
                    StepError::failed(
                        "the game day to be played to its end",
                        format!("it was interrupted by {signal}"),
                    )
                })
        })
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// Where the game is aborted or interrupted meanwhile.
    pub fn play_for(&mut self, duration: Duration) -> Result<(), StepError> {
        let clock = self.env().clock().clone();
        let until = clock.now() + self.scaled(duration);
        while clock.now() < until {
            let next = until.min(clock.now() + self.look_interval());
            self.run(clock.sleep_until(next))?;
            self.check_aborted()?;
        }
        Ok(())
    }

    /// Writes something into the journal.
    pub fn note(&self, kind: EventKind) {
        self.env().record(kind);
    }

    /// Whether an abort condition held or the user ended the run.
    pub fn aborted(&self) -> bool {
        self.flags.aborted().is_some() || self.flags.interrupted()
    }

    /// Makes a failed assertion, or an answer that did not come, inconclusive where the machine was busy with other work: on the real clock that delays scrapes,
    /// evaluations and answers, and a pressure that has to share reaches no threshold. It never makes anything pass.
    pub fn on_busy_machine(&self, error: StepError) -> StepError {
        let share = self.machine.as_ref().and_then(MachineLoad::foreign_share);
        match share {
            Some(share)
                if share > FOREIGN_MAX
                    && matches!(error.kind, FailureKind::Assertion | FailureKind::Target) =>
            {
                let observed = format!(
                    "{}; other work took {:.0} % of this machine's processors meanwhile",
                    error.observed,
                    share * 100.0
                );
                StepError {
                    kind: FailureKind::Inconclusive,
                    observed,
                    ..error
                }
            }
            _ => error,
        }
    }

    /// Why a scenario whose steps all passed has still proven nothing, or shown something bad.
    pub fn closing_error(&mut self) -> Option<StepError> {
        let sent = self
            .load
            .as_ref()
            .map_or(0, |load| load.recorder().summary().sent);
        if sent == 0 {
            return Some(StepError::inconclusive(
                "load on the system",
                "no request was sent",
            ));
        }
        for guard in self.faults.drain(..) {
            let name = guard.name().to_owned();
            let what = if guard.is_of_receiver() {
                "messages"
            } else {
                "requests"
            };
            match guard.end(gameday_signal::FaultEnd::Dropped) {
                Ok(report) if report.touched == 0 => {
                    let expected = format!("fault {name:?} to touch {what}");
                    return Some(StepError::inconclusive(expected, "it touched none"));
                }
                Ok(_) => {}
                Err(failure) => return Some(failure.into()),
            }
        }
        let unexpected = self.unexpected_alerts();
        let first = unexpected.first()?;
        let observed = format!("{first} fired, which no step and no `may_fire` names");
        Some(StepError::failed("no other alert to fire", observed))
    }

    /// Begins a part of the game day.
    pub fn phase(&self, phase: &str) {
        self.env().record(EventKind::PhaseStarted {
            phase: phase.to_owned(),
        });
        self.flags.set_phase(phase);
    }

    /// The moment from which the limits of the steps count.
    pub fn acted_at(&self) -> Timestamp {
        self.acted_at
    }

    /// Makes now the moment from which the limits of the following steps count.
    pub fn mark_action(&mut self) {
        self.acted_at = self.now();
    }

    /// Begins a new window of the load's counts.
    pub fn load_mark(&self) {
        if let Some(load) = &self.load {
            load.recorder().mark();
        }
    }

    /// The load's counts since the last mark.
    pub fn load_since_mark(&self) -> Window {
        self.load
            .as_ref()
            .map(|load| load.recorder().since_mark())
            .unwrap_or_default()
    }

    /// Changes the rate of the load.
    ///
    /// # Errors
    /// Where the rate is no number from 0 up.
    pub fn set_load(&mut self, requests_per_second: f64) -> Result<(), StepError> {
        if !(requests_per_second.is_finite() && requests_per_second >= 0.0) {
            return Err(StepError::invalid(format!(
                "load of {requests_per_second} req/s: expected a number from 0 up"
            )));
        }
        if let Some(load) = &self.load {
            self.sim
                .block_on(async { load.set_rate(requests_per_second) });
        }
        self.acted_at = self.now();
        Ok(())
    }

    /// Asks Prometheus.
    ///
    /// # Errors
    /// Where it cannot be reached or refuses the query.
    pub fn query(&self, promql: &str) -> Result<Vec<VectorSample>, StepError> {
        let scaled = self.scaled_query(promql)?;
        Ok(self.run(self.apis.query(&scaled, None))??)
    }

    /// A PromQL expression with its durations divided, where the run is compressed.
    fn scaled_query(&self, promql: &str) -> Result<String, StepError> {
        match self.options.compress {
            None => Ok(promql.to_owned()),
            Some(divisor) => gameday_server::scale_promql(promql, divisor)
                .map_err(|error| StepError::invalid(error).asked(promql)),
        }
    }

    /// The alerts that are pending or firing.
    ///
    /// # Errors
    /// Where Prometheus cannot be reached.
    pub fn active_alerts(&self) -> Result<Vec<ActiveAlert>, StepError> {
        Ok(self.run(self.apis.active_alerts())??)
    }

    /// The alerts that Alertmanager holds.
    ///
    /// # Errors
    /// Where it cannot be reached.
    pub fn managed_alerts(&self) -> Result<Vec<ManagedAlert>, StepError> {
        Ok(self.run(self.apis.managed_alerts())??)
    }

    /// The alerts that Alertmanager holds, once for each group that they are in.
    ///
    /// # Errors
    /// Where it cannot be reached.
    pub fn grouped_alerts(&self) -> Result<Vec<ManagedAlert>, StepError> {
        Ok(self.run(self.apis.grouped_alerts())??)
    }

    /// The rule of that alert, as it is loaded.
    ///
    /// # Errors
    /// Where no alert has that name, with the nearest names.
    pub fn alert_rule(&self, name: &str) -> Result<AlertRule, StepError> {
        self.rules
            .iter()
            .find(|rule| rule.name == name)
            .cloned()
            .ok_or_else(|| {
                let known: BTreeSet<&str> =
                    self.rules.iter().map(|rule| rule.name.as_str()).collect();
                let message = format!("no alert is called {name:?} in the rules under test");
                crate::failure::Failure::scenario(message)
                    .did_you_mean(name, known)
                    .into()
            })
    }

    /// Checks that alertmanager.yml has that receiver.
    ///
    /// # Errors
    /// Where it has not, with the nearest names.
    pub fn check_receiver(&self, name: &str) -> Result<(), StepError> {
        let known = self.stack.receiver_names();
        if known.iter().any(|own| own == name) {
            return Ok(());
        }
        let message = format!("no receiver is called {name:?} in alertmanager.yml");
        Err(crate::failure::Failure::scenario(message)
            .did_you_mean(name, known.iter().map(String::as_str))
            .into())
    }

    /// Notes that a step expects this alert.
    pub fn expect_alert(&mut self, name: &str) {
        self.expected.insert(name.to_owned());
    }

    /// Makes an alert the one that the next steps call "it".
    pub fn set_focus(&mut self, name: &str, labels: &Labels) {
        let firing = self
            .events()
            .into_iter()
            .rev()
            .find_map(|event| match event.kind {
                EventKind::AlertFiring {
                    labels: own,
                    annotations,
                    ..
                } if own == *labels => Some((event.at, annotations)),
                _ => None,
            });
        let (fired_at, annotations) = firing.unwrap_or((self.now(), Labels::empty()));
        self.focus = Some(Focus {
            name: name.to_owned(),
            labels: labels.clone(),
            annotations,
            fired_at,
        });
    }

    /// The alert that the last steps spoke of.
    ///
    /// # Errors
    /// Where none did.
    pub fn focus(&self) -> Result<Focus, StepError> {
        self.focus.clone().ok_or_else(|| {
            StepError::invalid(
                "\"it\" means the alert of an earlier step: first say which one should be firing",
            )
        })
    }

    /// The journal so far.
    pub fn events(&self) -> Vec<Event> {
        self.env().journal().events()
    }

    /// The alerts that began to fire since `from`.
    pub fn fired_since(&self, from: Timestamp) -> Vec<Labels> {
        let of = |event: Event| match event.kind {
            EventKind::AlertFiring { labels, .. } if event.at >= from => Some(labels),
            _ => None,
        };
        self.events().into_iter().filter_map(of).collect()
    }

    /// When that alert last began to fire.
    pub fn fired_at(&self, name: &str) -> Option<Timestamp> {
        self.events()
            .into_iter()
            .rev()
            .find_map(|event| match event.kind {
                EventKind::AlertFiring { labels, .. } if labels.value_of("alertname") == name => {
                    Some(event.at)
                }
                _ => None,
            })
    }

    /// Whether that alert has fired.
    pub fn has_fired(&self, name: &str) -> bool {
        self.fired_at(name).is_some()
    }

    /// The alerts that fired although no step and no setting named them.
    pub fn unexpected_alerts(&self) -> BTreeSet<Labels> {
        let allowed = |labels: &Labels| {
            let name = labels.value_of("alertname");
            self.expected.contains(name)
                || self
                    .scenario
                    .settings
                    .may_fire
                    .iter()
                    .any(|own| own == name)
        };
        self.fired_since(self.started)
            .into_iter()
            .filter(|labels| !allowed(labels))
            .collect()
    }

    /// The text of the runbook that an alert names.
    pub fn runbook(&self, url: &str) -> Option<String> {
        self.scenario.runbook(url)
    }

    /// A link to the graph of an alert's expression.
    pub fn graph_link(&self, name: &str) -> String {
        let query = self
            .rules
            .iter()
            .find(|rule| rule.name == name)
            .map_or("", |rule| &rule.query);
        format!(
            "{}/graph?g0.expr={}&g0.tab=0",
            self.apis.addresses().prometheus,
            crate::verify::encode(query)
        )
    }

    /// What an expression and its parts are worth now, for the failure of a step.
    pub fn explain_expression(&self, query: &str) -> String {
        match self.run(self.apis.query(query, None)) {
            Ok(Ok(samples)) if samples.is_empty() => {
                "its expression returns nothing now".to_owned()
            }
            Ok(Ok(samples)) => {
                let shown: Vec<String> = samples
                    .iter()
                    .take(5)
                    .map(|sample| format!("{} {:.4}", sample.labels, sample.value))
                    .collect();
                format!("its expression returns {}", shown.join("; "))
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }
    }
}

/// The first of the two that is ready: the future, or the name of a signal.
async fn tokio_select<F: Future>(
    future: F,
    signal: impl Future<Output = &'static str>,
) -> Result<F::Output, &'static str> {
    let future = std::pin::pin!(future);
    let signal = std::pin::pin!(signal);
    match futures::future::select(future, signal).await {
        futures::future::Either::Left((output, _)) => Ok(output),
        futures::future::Either::Right((name, _)) => Err(name),
    }
}

type Parts = (Receivers, Stack, Target, Exporters, Apis);

async fn start_parts(
    env: &Env,
    scenario: &Arc<Scenario>,
    files: &StackFiles,
    options: &RunOptions,
) -> Result<Parts, StepError> {
    let unreachable = |error: String| StepError {
        kind: crate::failure::FailureKind::Target,
        ..StepError::failed("the game day can start", error)
    };
    let receivers = Receivers::start(env)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let stack_options = StackOptions {
        compress: options.compress,
        notify: NotifyMode::Capture(Receivers::address()),
        span_metrics: options.span_metrics
            || scenario.wants_span_metrics()
            || files.wants_span_metrics(),
        ..StackOptions::default()
    };
    let stack = Stack::start(env, files, stack_options)
        .await
        .map_err(|error| StepError::from(crate::failure::Failure::scenario(error.to_string())))?;
    let target = Target::start(env, scenario, options).await?;
    let exporters = Exporters::start(env, scenario, options.compress).await?;
    let addresses = stack.addresses();
    let api_addresses = ApiAddresses {
        prometheus: format!("http://{}", addresses.prometheus),
        alertmanager: format!("http://{}", addresses.alertmanager),
        loki: format!("http://{}", addresses.loki),
        tempo: format!("http://{}", addresses.tempo),
    };
    let apis = Apis::new(env, api_addresses);
    Ok((receivers, stack, target, exporters, apis))
}
