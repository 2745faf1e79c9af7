//! Plays a feature: cucumber finds the steps, the world plays them, the record remembers.
//!
//! Cucumber runs on a plain executor, outside every simulation: each scenario's world owns a simulation of its own and a step runs
//! it for as long as the step takes. So every scenario starts at its own epoch, and cucumber's machinery (its wall-clock stamps, its
//! threads for retries) never touches virtual time.

use std::cell::RefCell;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cucumber::event::ScenarioFinished;
use cucumber::gherkin::{self, Feature, GherkinEnv, StepType};
use cucumber::step::{Collection, Context};
use cucumber::{Cucumber, Event, Writer, cli, parser, runner};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use gameday_signal::{EventKind, Timestamp};

use crate::failure::{Failure, FailureKind};
use crate::scenario::{Scenario, read_limited};
use crate::steps::{self, Arguments, StepKind};
use crate::timeline::{
    ClockKind, Outcome, Place, RunRecord, ScenarioRecord, StepFailure, StepRecord, StepStatus,
    Verdict,
};
use crate::world::{ClockChoice, PlayedStep, RunOptions, StepError, World};

/// A feature that was played.
#[derive(Clone, Debug)]
pub struct PlayedFeature {
    /// Everything that is known of the run.
    pub record: RunRecord,
    /// The worst failure, none where everything held.
    pub failure: Option<FailureKind>,
}

/// A feature file may have this many bytes.
const FEATURE_BYTES_MAX: u64 = 1 << 20;
/// Journal entries that are shown beside a failed step.
const NEAREST_EVENTS: usize = 5;

/// Plays `features/<name>.feature` under the root of `options`.
///
/// # Errors
/// Where the feature or its scenario is missing or invalid. What fails while it is played is part of the record.
pub fn play_named(options: &RunOptions, name: &str) -> Result<PlayedFeature, Failure> {
    let path = options
        .root
        .join("features")
        .join(format!("{name}.feature"));
    if !path.is_file() {
        let known = feature_names(&options.root);
        let message = format!(
            "no game day is called {name:?}: {} is missing",
            path.display()
        );
        return Err(Failure::scenario(message).did_you_mean(name, known.iter().map(String::as_str)));
    }
    play_file(options, &path)
}

/// The names of all features under `root`, sorted.
pub fn feature_names(root: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(root.join("features")) else {
        return Vec::new();
    };
    let name_of = |path: PathBuf| {
        (path.extension()? == "feature").then(|| Some(path.file_stem()?.to_str()?.to_owned()))?
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| name_of(entry.path()))
        .collect();
    names.sort();
    names
}

/// Plays a feature file.
///
/// # Errors
/// As for [`play_named`].
pub fn play_file(options: &RunOptions, path: &Path) -> Result<PlayedFeature, Failure> {
    let feature = read_feature(path)?;
    check_steps(&feature, path)?;
    let name = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default();
    let scenario = game_day_of(&feature)
        .map(|own| Scenario::load(&options.root, own))
        .transpose()?;
    if let (Some(scenario), Some(divisor)) = (&scenario, options.compress) {
        scenario.check_compression(divisor)?;
    }
    let epoch = scenario
        .as_ref()
        .map_or(Timestamp::EPOCH, |scenario| scenario.settings.epoch);
    let mut record = RunRecord::new(name, feature.name.clone(), epoch);
    record.description = feature
        .description
        .clone()
        .unwrap_or_default()
        .trim()
        .to_owned();
    if let Some(scenario) = &scenario {
        record.title.clone_from(&scenario.settings.title);
        record
            .description
            .clone_from(&scenario.settings.description);
        record.seed = options.seed.unwrap_or(scenario.settings.seed);
    }
    record.clock = match options.clock {
        ClockChoice::Virtual => ClockKind::Virtual,
        ClockChoice::Real => ClockKind::Real,
    };
    record.speed = options.speed;
    record.compress = options.compress.map(f64::from);
    let played = play(options, feature, path);
    let mut failure = None;
    for (scenario, kind) in played {
        failure = failure.max_by_severity(kind);
        record.scenarios.push(scenario);
    }
    if let Some(first) = record.scenarios.first() {
        record.epoch = first.started;
    }
    record.ended = record
        .scenarios
        .iter()
        .map(|scenario| scenario.ended)
        .max()
        .unwrap_or(record.epoch);
    record.conclude();
    if record.scenarios.is_empty() {
        failure = Some(FailureKind::Inconclusive);
    }
    Ok(PlayedFeature { record, failure })
}

/// Reads a feature, with the place of a mistake.
pub(crate) fn read_feature(path: &Path) -> Result<Feature, Failure> {
    let text = read_limited(path, FEATURE_BYTES_MAX)?;
    let mut feature = Feature::parse(&text, GherkinEnv::default()).map_err(|error| {
        Failure::scenario(format!("{}: {error}", path.display()))
            .hinted("a feature begins with \"Feature:\", then \"Background:\" and \"Scenario:\" with Given, When and Then")
    })?;
    feature.path = Some(path.to_path_buf());
    Ok(feature)
}

/// All steps of a feature with their places, those of the backgrounds included.
pub(crate) fn steps_of(feature: &Feature) -> Vec<&gherkin::Step> {
    let background = feature
        .background
        .iter()
        .flat_map(|background| &background.steps);
    let rule_background = feature
        .rules
        .iter()
        .filter_map(|rule| rule.background.as_ref())
        .flat_map(|background| &background.steps);
    let scenarios = feature
        .scenarios
        .iter()
        .chain(feature.rules.iter().flat_map(|rule| &rule.scenarios));
    background
        .chain(rule_background)
        .chain(scenarios.flat_map(|scenario| &scenario.steps))
        .collect()
}

fn kind_of(step: &gherkin::Step) -> StepKind {
    match step.ty {
        StepType::Given => StepKind::Given,
        StepType::When => StepKind::When,
        StepType::Then => StepKind::Then,
    }
}

/// Refuses a feature with a step that nobody knows: it would be skipped, and what is skipped proves nothing.
pub(crate) fn check_steps(feature: &Feature, path: &Path) -> Result<(), Failure> {
    // Outline placeholders are filled in before a step is played; only plain steps can be checked here.
    let unknown = steps_of(feature)
        .into_iter()
        .filter(|step| !step.value.contains('<'))
        .find(|step| steps::find(kind_of(step), &step.value).is_none());
    let Some(step) = unknown else { return Ok(()) };
    let place = format!(
        "{}:{}:{}",
        path.display(),
        step.position.line,
        step.position.col
    );
    let failure = Failure::scenario(format!(
        "{place}: unknown step: {} {}",
        step.keyword.trim(),
        step.value
    ));
    let failure = match steps::nearest_example(&step.value) {
        Some(example) => failure.hinted(format!("did you mean: {example}")),
        None => failure,
    };
    Err(failure.hinted("`gameday steps` prints every step with an example"))
}

/// The game day that a feature plays.
pub(crate) fn game_day_of(feature: &Feature) -> Option<&str> {
    steps_of(feature).into_iter().find_map(|step| {
        step.value
            .strip_prefix("the game day \"")?
            .strip_suffix('"')
    })
}

type Played = Rc<RefCell<Vec<(ScenarioRecord, Option<FailureKind>)>>>;

fn play(
    options: &RunOptions,
    feature: Feature,
    path: &Path,
) -> Vec<(ScenarioRecord, Option<FailureKind>)> {
    let played: Played = Rc::default();
    let mut collection = Collection::new();
    for (regex, step) in steps::compiled() {
        collection = match step.kind {
            StepKind::Given => collection.given(None, regex.clone(), dispatch),
            StepKind::When => collection.when(None, regex.clone(), dispatch),
            StepKind::Then => collection.then(None, regex.clone(), dispatch),
        };
    }
    let mut own_options = options.clone();
    own_options.span_metrics |= steps_of(&feature)
        .iter()
        .any(|step| steps::wants_span_metrics(&step.value));
    let (results, path) = (Rc::clone(&played), path.to_path_buf());
    let runner = runner::Basic::default()
        .steps(collection)
        // One at a time: a scenario's simulation occupies this thread.
        .max_concurrent_scenarios(1)
        .before(move |_, _, _, world: &mut World| {
            world.options.clone_from(&own_options);
            futures::future::ready(()).boxed_local()
        })
        .after(move |feature, rule, scenario, finished, world| {
            let written = write_down(feature, rule, scenario, finished, world, &path);
            results.borrow_mut().push(written);
            futures::future::ready(()).boxed_local()
        });
    let cucumber: Cucumber<World, _, Feature, _, _, cli::Empty> =
        Cucumber::custom(OneFeature, runner, Silent).with_default_cli();
    // The writer that comes back has nothing to tell.
    let _ = futures::executor::block_on(cucumber.run(feature));
    played.take()
}

/// Gives cucumber the feature that is already parsed.
struct OneFeature;

impl parser::Parser<Feature> for OneFeature {
    type Cli = cli::Empty;
    type Output = futures::stream::Iter<std::vec::IntoIter<parser::Result<Feature>>>;

    fn parse(self, feature: Feature, _: cli::Empty) -> Self::Output {
        use cucumber::feature::Ext;
        let expanded = feature.expand_examples().map_err(parser::Error::from);
        futures::stream::iter(vec![expanded])
    }
}

/// The record is written by the hooks; cucumber itself stays silent.
struct Silent;

impl Writer<World> for Silent {
    type Cli = cli::Empty;

    async fn handle_event(
        &mut self,
        _: parser::Result<Event<cucumber::event::Cucumber<World>>>,
        _: &cli::Empty,
    ) {
    }
}

impl cucumber::writer::Normalized for Silent {}

impl cucumber::World for World {
    type Error = Infallible;

    async fn new() -> Result<Self, Infallible> {
        // The hook before the scenario puts the real options in.
        Ok(Self::new(RunOptions::new(".")))
    }
}

/// Plays whatever step the words mean. A step that does not hold panics, which is how cucumber is told; the world keeps the
/// reason.
#[expect(
    clippy::needless_pass_by_value,
    reason = "this is the shape of cucumber's step functions"
)]
fn dispatch(world: &mut World, context: Context) -> LocalBoxFuture<'_, ()> {
    let outcome = play_step(world, &context.step);
    if let Err(error) = outcome {
        std::panic::panic_any(error);
    }
    futures::future::ready(()).boxed_local()
}

fn play_step(world: &mut World, step: &gherkin::Step) -> Result<(), String> {
    let started = world.now();
    world.step_text.clone_from(&step.value);
    let outcome = match steps::find(kind_of(step), &step.value) {
        Some((definition, texts)) => {
            let table = step
                .table
                .as_ref()
                .map(|table| table.rows.clone())
                .unwrap_or_default();
            (definition.play)(world, &Arguments::new(texts, table))
        }
        None => Err(StepError::invalid("nobody knows this step")),
    };
    let outcome = match (outcome, &world.game) {
        (Err(error), Some(game)) => Err(game.on_busy_machine(error)),
        (outcome, _) => outcome,
    };
    // The step that starts the game begins with it.
    let started = if started == Timestamp::EPOCH {
        world.now()
    } else {
        started
    };
    if let Some(game) = &world.game {
        let step_line = format!("{} {}", step.keyword.trim(), step.value);
        game.note(match &outcome {
            Ok(observed) => EventKind::StepPassed {
                step: step_line,
                observed: observed.clone(),
            },
            Err(error) => EventKind::StepFailed {
                step: step_line,
                reason: error.to_string(),
            },
        });
    }
    let told = outcome.as_ref().err().map(ToString::to_string);
    world.played.push(PlayedStep {
        started,
        ended: world.now(),
        outcome,
    });
    told.map_or(Ok(()), Err)
}

fn write_down(
    feature: &Feature,
    rule: Option<&gherkin::Rule>,
    scenario: &gherkin::Scenario,
    finished: &ScenarioFinished,
    world: Option<&mut World>,
    path: &Path,
) -> (ScenarioRecord, Option<FailureKind>) {
    let mut record = ScenarioRecord::new(
        feature.name.clone(),
        scenario.name.clone(),
        Timestamp::EPOCH,
    );
    record.place = place(path, scenario.position);
    let Some(world) = world else {
        record.verdict = Verdict::new(
            Outcome::Error,
            [format!("the scenario could not be started: {finished:?}")],
        );
        return (record, Some(FailureKind::Internal));
    };
    let mut error = world
        .played
        .iter()
        .find_map(|step| step.outcome.as_ref().err().cloned());
    let aborted = world.game.as_ref().is_some_and(|game| game.aborted());
    if let Some(game) = &mut world.game {
        if error.is_none() {
            let closing = game.closing_error();
            error = closing.map(|error| game.on_busy_machine(error));
        }
        game.close(&mut record);
    }
    let steps = all_steps(feature, rule, scenario);
    record.steps = steps
        .enumerate()
        .map(|(index, step)| step_record(step, world.played.get(index), path, &record))
        .collect();
    if error.is_none() && !matches!(finished, ScenarioFinished::StepPassed) {
        // A panic that is not a step's own way to fail is a bug, whatever its words are.
        error = Some(StepError::internal(format!(
            "the scenario ended before its last step: {}",
            describe(finished)
        )));
    }
    let kind = error.as_ref().map(|error| error.kind);
    record.verdict = verdict(error.as_ref(), aborted);
    // The world is dropped by cucumber later; the simulation ends here.
    world.game = None;
    (record, kind)
}

fn describe(finished: &ScenarioFinished) -> String {
    match finished {
        ScenarioFinished::StepFailed(_, _, error) => error.to_string(),
        other => format!("{other:?}"),
    }
}

fn verdict(error: Option<&StepError>, aborted: bool) -> Verdict {
    let Some(error) = error else {
        return Verdict::held();
    };
    let outcome = match error.kind {
        _ if aborted => Outcome::Aborted,
        FailureKind::Assertion => Outcome::Failed,
        FailureKind::Inconclusive => Outcome::Inconclusive,
        FailureKind::Usage
        | FailureKind::Scenario
        | FailureKind::Target
        | FailureKind::Internal => Outcome::Error,
    };
    Verdict::new(outcome, [error.to_string()])
}

fn all_steps<'a>(
    feature: &'a Feature,
    rule: Option<&'a gherkin::Rule>,
    scenario: &'a gherkin::Scenario,
) -> impl Iterator<Item = &'a gherkin::Step> {
    let background = feature
        .background
        .iter()
        .flat_map(|background| &background.steps);
    let rule_background = rule
        .and_then(|rule| rule.background.as_ref())
        .into_iter()
        .flat_map(|background| &background.steps);
    background.chain(rule_background).chain(&scenario.steps)
}

fn place(path: &Path, position: gherkin::LineCol) -> Place {
    Place::new(path.display().to_string(), position.line)
}

fn step_record(
    step: &gherkin::Step,
    played: Option<&PlayedStep>,
    path: &Path,
    record: &ScenarioRecord,
) -> StepRecord {
    let mut own = StepRecord::new(
        step.keyword.trim(),
        step.value.clone(),
        place(path, step.position),
    );
    own.table = step
        .table
        .as_ref()
        .map(|table| table.rows.clone())
        .unwrap_or_default();
    let Some(played) = played else { return own };
    own.started = played.started;
    own.ended = played.ended;
    match &played.outcome {
        Ok(observed) => {
            own.status = StepStatus::Passed;
            own.observed.clone_from(observed);
        }
        Err(error) => {
            own.status = if error.kind == FailureKind::Inconclusive {
                StepStatus::Inconclusive
            } else {
                StepStatus::Failed
            };
            own.observed.clone_from(&error.observed);
            let before = record
                .events
                .iter()
                .filter(|event| event.at <= played.ended);
            let mut nearest: Vec<u64> = before
                .filter(|event| {
                    !matches!(
                        event.kind,
                        EventKind::StepPassed { .. } | EventKind::StepFailed { .. }
                    )
                })
                .map(|event| event.seq)
                .collect();
            let nearest = nearest.split_off(nearest.len().saturating_sub(NEAREST_EVENTS));
            own.failure = Some(StepFailure {
                expected: error.expected.clone(),
                observed: error.observed.clone(),
                query: error.query.clone(),
                nearest,
                link: error.link.clone(),
            });
        }
    }
    own
}

/// The worse of two failures: a bug before an unreachable target, that before an invalid file, that before a failed assertion,
/// that before an inconclusive run.
trait MaxBySeverity {
    fn max_by_severity(self, other: Option<FailureKind>) -> Self;
}

impl MaxBySeverity for Option<FailureKind> {
    fn max_by_severity(self, other: Self) -> Self {
        let severity = |kind: Self| match kind {
            None => 0,
            Some(FailureKind::Inconclusive) => 1,
            Some(FailureKind::Assertion) => 2,
            Some(FailureKind::Scenario | FailureKind::Usage) => 3,
            Some(FailureKind::Target) => 4,
            Some(FailureKind::Internal) => 5,
        };
        if severity(other) > severity(self) {
            other
        } else {
            self
        }
    }
}

/// The worst failure of several runs.
pub fn worst(failures: impl IntoIterator<Item = Option<FailureKind>>) -> Option<FailureKind> {
    failures.into_iter().fold(None, Option::max_by_severity)
}
