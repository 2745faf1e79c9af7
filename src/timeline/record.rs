//! What a run leaves behind: plain data, filled in by the harness, read by every renderer.

use std::time::Duration;

use gameday_signal::{Event, EventKind, FaultEnd, Labels, Timestamp};
use serde::{Deserialize, Serialize};

use super::drill_down::DrillDown;
use super::timing::AlertTiming;
use super::units;

/// One run of one game day. Instants are nanoseconds since the Unix epoch on the clock of the game day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The game day's name, which is its folder under `scenarios/`.
    pub name: String,
    /// The name for people.
    pub title: String,
    /// What is broken and what must hold, in a sentence or two.
    pub description: String,
    /// The version of gameday that played it.
    pub gameday_version: String,
    /// The seed from which every random stream came.
    pub seed: u64,
    /// The clock it was played on.
    pub clock: ClockKind,
    /// The multiple of real time that virtual time was held back to.
    pub speed: Option<f64>,
    /// The number that every duration of rules, routes, scrapes and windows was divided by.
    pub compress: Option<f64>,
    /// When the run began.
    pub epoch: Timestamp,
    /// When the run ended.
    pub ended: Timestamp,
    /// The scenarios of its feature, in the order of the feature.
    pub scenarios: Vec<ScenarioRecord>,
    /// What the run has shown.
    pub verdict: Verdict,
}

impl RunRecord {
    /// A run that has not shown anything yet: virtual clock, no scenario, inconclusive.
    pub fn new(name: impl Into<String>, title: impl Into<String>, epoch: Timestamp) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            description: String::new(),
            gameday_version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: 0,
            clock: ClockKind::Virtual,
            speed: None,
            compress: None,
            epoch,
            ended: epoch,
            scenarios: Vec::new(),
            verdict: Verdict::new(Outcome::Inconclusive, ["the run has not ended"]),
        }
    }

    /// The time played, which is the sum over the scenarios, since each begins at an epoch of its own.
    pub fn played(&self) -> Duration {
        self.scenarios.iter().map(ScenarioRecord::played).sum()
    }

    /// Derives the verdict from the verdicts of the scenarios: the worst one, with the reasons of all that did not hold.
    /// A run without a scenario is inconclusive.
    pub fn conclude(&mut self) {
        let outcome = self
            .scenarios
            .iter()
            .map(|scenario| scenario.verdict.outcome)
            .max()
            .unwrap_or(Outcome::Inconclusive);
        let mut reasons: Vec<String> = self
            .scenarios
            .iter()
            .filter(|scenario| scenario.verdict.outcome != Outcome::Held)
            .flat_map(|scenario| {
                let name = &scenario.name;
                let reasons = &scenario.verdict.reasons;
                reasons
                    .iter()
                    .map(move |reason| format!("{name}: {reason}"))
            })
            .collect();
        if self.scenarios.is_empty() {
            reasons.push("no scenario was played".to_owned());
        }
        self.verdict = Verdict { outcome, reasons };
    }
}

/// The clock of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// Time that jumps to the next timer.
    Virtual,
    /// The wall clock.
    Real,
}

impl ClockKind {
    /// `virtual` or `real`, as on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Real => "real",
        }
    }
}

/// What a run or a scenario has shown, the best first: the worst of several is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that must hold held.
    Held,
    /// Nothing failed, but nothing is proven: no request sent, none touched by the fault, no series found.
    Inconclusive,
    /// An abort condition held and ended the run.
    Aborted,
    /// An assertion failed.
    Failed,
    /// The run itself broke.
    Error,
}

impl Outcome {
    /// The word for it, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Inconclusive => "inconclusive",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
            Self::Error => "error",
        }
    }
}

/// An outcome with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was shown.
    pub outcome: Outcome,
    /// Why, a line each.
    pub reasons: Vec<String>,
}

impl Verdict {
    /// An outcome with its reasons.
    pub fn new<R: Into<String>>(outcome: Outcome, reasons: impl IntoIterator<Item = R>) -> Self {
        Self {
            outcome,
            reasons: reasons.into_iter().map(Into::into).collect(),
        }
    }

    /// Everything held.
    pub fn held() -> Self {
        Self::new(Outcome::Held, Vec::<String>::new())
    }
}

/// A line of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file, as the user would name it.
    pub file: String,
    /// The line, counted from 1; 0 when it is not known.
    pub line: usize,
}

impl Place {
    /// A line of a file.
    pub fn new(file: impl Into<String>, line: usize) -> Self {
        Self {
            file: file.into(),
            line,
        }
    }
}

/// Renders `file:line`, the form that editors and terminals turn into a link.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 {
            f.write_str(&self.file)
        } else {
            write!(f, "{}:{}", self.file, self.line)
        }
    }
}

/// One scenario of a feature, as it was played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenarioRecord {
    /// The feature that it stands in.
    pub feature: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it has shown.
    pub verdict: Verdict,
    /// Its steps, those of the background first.
    pub steps: Vec<StepRecord>,
    /// The journal.
    pub events: Vec<Event>,
    /// The charts: SLIs, burn rates, latencies, whatever the harness asked for.
    pub charts: Vec<Chart>,
    /// The ways from an alert to its cause.
    pub drill_downs: Vec<DrillDown>,
    /// The requests that were sent.
    pub load: Option<LoadSummary>,
    /// The faults that were injected, in the order of their injection.
    pub faults: Vec<FaultRecord>,
    /// The service level objectives of the scenario.
    pub slos: Vec<SloRecord>,
    /// The alert rules that the scenario is about, with what is known of their timing.
    pub alerts: Vec<AlertRecord>,
}

impl ScenarioRecord {
    /// A scenario that begins at `started` and has shown nothing yet.
    pub fn new(feature: impl Into<String>, name: impl Into<String>, started: Timestamp) -> Self {
        Self {
            feature: feature.into(),
            name: name.into(),
            place: Place::default(),
            started,
            ended: started,
            verdict: Verdict::new(Outcome::Inconclusive, ["the scenario has not ended"]),
            steps: Vec::new(),
            events: Vec::new(),
            charts: Vec::new(),
            drill_downs: Vec::new(),
            load: None,
            faults: Vec::new(),
            slos: Vec::new(),
            alerts: Vec::new(),
        }
    }

    /// How long it took on the clock of the game day.
    pub fn played(&self) -> Duration {
        self.ended.since(self.started)
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// It held.
    Passed,
    /// It did not hold.
    Failed,
    /// There was nothing to judge by.
    Inconclusive,
    /// It was not reached.
    Skipped,
}

impl StepStatus {
    /// The word for it, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::Skipped => "skipped",
        }
    }
}

/// A step of a scenario, as it was played.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// `Given`, `When`, `Then`, `And` or `But`.
    pub keyword: String,
    /// The step as it is written.
    pub text: String,
    /// The rows of its table.
    pub table: Vec<Vec<String>>,
    /// Where it stands.
    pub place: Place,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How it ended.
    pub status: StepStatus,
    /// What was seen.
    pub observed: String,
    /// What a person needs to understand why it did not hold.
    pub failure: Option<StepFailure>,
}

impl StepRecord {
    /// A step that has not been reached.
    pub fn new(keyword: impl Into<String>, text: impl Into<String>, place: Place) -> Self {
        Self {
            keyword: keyword.into(),
            text: text.into(),
            table: Vec::new(),
            place,
            started: Timestamp::EPOCH,
            ended: Timestamp::EPOCH,
            status: StepStatus::Skipped,
            observed: String::new(),
            failure: None,
        }
    }
}

/// Why a step did not hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepFailure {
    /// What should have been seen, and by when.
    pub expected: String,
    /// What was seen instead.
    pub observed: String,
    /// The query that was asked; empty when none was.
    pub query: String,
    /// The nearest entries of the journal, by their `seq`.
    pub nearest: Vec<u64>,
    /// Where to look further: an address, or a place in the report such as `index.html#s1-drill`, the drill-downs of its first
    /// scenario.
    pub link: Option<String>,
}

/// A chart over the time of the scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The unit of its values: `s`, `ratio` (shown in percent), `req/s` or any other word; empty for plain numbers.
    pub unit: String,
    /// The query behind it; empty when there is none.
    pub query: String,
    /// Its lines.
    pub series: Vec<ChartSeries>,
    /// Values that mean something.
    pub thresholds: Vec<Threshold>,
}

/// A line of a chart: a value holds until the next one, not-a-number is a gap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChartSeries {
    /// What it is.
    pub name: String,
    /// Its values, in the order of time.
    #[serde(with = "units::points")]
    pub points: Vec<(Timestamp, f64)>,
}

/// A value that means something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// What it means.
    pub name: String,
    /// The value.
    #[serde(with = "gameday_signal::number")]
    pub value: f64,
}

/// The requests of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadSummary {
    /// Requests whose intended start has come.
    pub sent: u64,
    /// Requests that were answered, whatever the answer.
    pub answered: u64,
    /// Requests that were answered with an error or not at all.
    pub failed: u64,
    /// Latencies by quantile (0 to 1), counted from the intended start.
    pub latencies: Vec<LatencyQuantile>,
    /// The same by endpoint.
    pub endpoints: Vec<EndpointLoad>,
}

/// The latency that a share of the requests stayed under.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyQuantile {
    /// The share, 0 to 1; 1 is the slowest request.
    pub quantile: f64,
    /// The latency.
    #[serde(rename = "latency_ns", with = "units::nanos")]
    pub latency: Duration,
}

/// The requests to one endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointLoad {
    /// The endpoint, with its method.
    pub endpoint: String,
    /// Requests that were sent to it.
    pub sent: u64,
    /// Those that failed.
    pub failed: u64,
    /// The 95th percentile of their latency.
    #[serde(rename = "latency_p95_ns", with = "units::nanos")]
    pub latency_p95: Duration,
}

/// A fault that was injected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// Its name in the scenario.
    pub name: String,
    /// Its kind and settings, in a line.
    pub description: String,
    /// When it went into force.
    pub injected: Timestamp,
    /// When it came to its end.
    pub cleared: Option<Timestamp>,
    /// How it came to its end.
    pub end: Option<FaultEnd>,
    /// The requests that it touched.
    pub touched: u64,
    /// The evidence that nothing of it is left.
    pub proven_gone: Option<String>,
}

impl FaultRecord {
    /// Reads the faults of a scenario out of its journal, in the order of their injection.
    pub fn from_events(events: &[Event]) -> Vec<Self> {
        let mut faults: Vec<Self> = Vec::new();
        for event in events {
            match &event.kind {
                EventKind::FaultInjected { fault, description } => faults.push(Self {
                    name: fault.clone(),
                    description: description.clone(),
                    injected: event.at,
                    cleared: None,
                    end: None,
                    touched: 0,
                    proven_gone: None,
                }),
                EventKind::FaultCleared {
                    fault,
                    end,
                    touched,
                } => {
                    let open = |own: &&mut Self| own.name == *fault && own.cleared.is_none();
                    if let Some(own) = faults.iter_mut().rev().find(open) {
                        own.cleared = Some(event.at);
                        own.end = Some(*end);
                        own.touched = *touched;
                    }
                }
                EventKind::FaultProvenGone { fault, evidence } => {
                    if let Some(own) = faults.iter_mut().rev().find(|own| own.name == *fault) {
                        own.proven_gone = Some(evidence.clone());
                    }
                }
                _ => {}
            }
        }
        faults
    }
}

/// A service level objective and what the incident cost it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SloRecord {
    /// Its name.
    pub name: String,
    /// The share of good events that is promised, 0 to 1.
    pub objective: f64,
    /// The window over which it is promised.
    #[serde(rename = "window_ms", with = "units::millis")]
    pub window: Duration,
    /// All events from t1 to t9.
    pub total_events: u64,
    /// The bad events among them.
    pub bad_events: u64,
    /// The share of the window's error budget that was burnt from t1 to t9; 1 is all of it.
    #[serde(with = "units::maybe_number")]
    pub budget_burnt_ratio: Option<f64>,
    /// The highest burn rate that was seen.
    #[serde(with = "units::maybe_number")]
    pub burn_rate_max: Option<f64>,
}

/// Whether an alert was meant to fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// A step says that it must fire.
    Expected,
    /// The scenario says that it may fire.
    Allowed,
    /// Nobody said that it would.
    Unexpected,
}

impl Expectation {
    /// The word for it, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Allowed => "allowed",
            Self::Unexpected => "unexpected",
        }
    }
}

/// An alert rule that the scenario is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// Its name.
    pub name: String,
    /// Labels that tell the instance that is meant from others of the same name; empty for all of them.
    pub labels: Labels,
    /// Whether it was meant to fire.
    pub expectation: Expectation,
    /// The SLO that it watches over.
    pub slo: Option<String>,
    /// Its expression; empty when it is not known.
    pub expr: String,
    /// What decides when it can fire at the earliest.
    pub timing: Option<AlertTiming>,
}

impl AlertRecord {
    /// An alert of which nothing but the name is known.
    pub fn new(name: impl Into<String>, expectation: Expectation) -> Self {
        Self {
            name: name.into(),
            labels: Labels::empty(),
            expectation,
            slo: None,
            expr: String::new(),
            timing: None,
        }
    }

    /// Whether an alert with these labels is the one that is meant.
    pub fn covers(&self, labels: &Labels) -> bool {
        labels.value_of("alertname") == self.name
            && self
                .labels
                .iter()
                .all(|(name, value)| labels.value_of(name) == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_scenario_decides() {
        let mut run = RunRecord::new("a", "A", Timestamp::EPOCH);
        run.conclude();
        assert_eq!(run.verdict.outcome, Outcome::Inconclusive);
        for (outcome, expected) in [
            (Outcome::Held, Outcome::Held),
            (Outcome::Inconclusive, Outcome::Inconclusive),
            (Outcome::Failed, Outcome::Failed),
            (Outcome::Aborted, Outcome::Failed),
        ] {
            let mut scenario = ScenarioRecord::new("f", "s", Timestamp::EPOCH);
            scenario.verdict = Verdict::new(outcome, ["because"]);
            run.scenarios.push(scenario);
            run.conclude();
            assert_eq!(run.verdict.outcome, expected);
        }
        assert_eq!(run.verdict.reasons.len(), 3);
        assert_eq!(run.verdict.reasons[0], "s: because");
    }

    #[test]
    fn faults_are_read_out_of_the_journal() {
        let event = |secs, kind| Event {
            at: Timestamp::from_secs(secs),
            seq: 0,
            kind,
        };
        let injected = || EventKind::FaultInjected {
            fault: "f".to_owned(),
            description: "latency".to_owned(),
        };
        let cleared = |touched| EventKind::FaultCleared {
            fault: "f".to_owned(),
            end: FaultEnd::Cleared,
            touched,
        };
        let faults = FaultRecord::from_events(&[
            event(1, injected()),
            event(2, cleared(7)),
            event(3, injected()),
            event(4, cleared(9)),
        ]);
        let seen: Vec<_> = faults
            .iter()
            .map(|fault| (fault.injected.as_secs(), fault.touched))
            .collect();
        assert_eq!(seen, [(1, 7), (3, 9)]);
    }
}
