//! Steps about service level objectives and any other query.

use std::time::Duration;

use gameday_signal::format_duration;

use super::{Arguments, StepDef, StepKind};
use crate::world::{StepError, World};

pub(super) const STEPS: &[StepDef] = &[
    StepDef {
        kind: StepKind::Then,
        pattern: "the burn rate of {string} over {duration} should exceed {number}",
        example: "the burn rate of \"checkout-latency\" over 1h should exceed 14.4",
        doc: "The share of bad events over the window, divided by the budget of the objective, is larger now.",
        play: burn_rate_exceeds,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the burn rate of {string} over {duration} should stay below {number}",
        example: "the burn rate of \"checkout-availability\" over 1h should stay below 1",
        doc: "The same, smaller now.",
        play: burn_rate_below,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the SLI of {string} should be back within {duration}",
        example: "the SLI of \"checkout-latency\" should be back within 6 minutes",
        doc: "Waits, counted from now, until the share of bad events over 5 minutes is within the budget of the objective again.",
        play: sli_back,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the query {string} should exceed {number} within {duration}",
        example: "the query 'sum(rate(http_requests_total[5m]))' should exceed 5 within 2 minutes",
        doc: "PromQL, in single quotes so that it may hold double ones: every series of the answer is larger at some moment within the limit.",
        play: query_exceeds,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the query {string} should fall below {number} within {duration}",
        example: "the query 'process_cpu_usage_percent' should fall below 80 within 10 minutes",
        doc: "The same, smaller.",
        play: query_below,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the query {string} should exceed {duration} within {duration}",
        example: "the query 'dora_open_failure_seconds' should exceed 1 minute within 2 minutes",
        doc: "The same of a query that measures seconds of the game day; on a compressed clock both times are compressed.",
        play: time_exceeds,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the query {string} should fall below {duration} within {duration}",
        example: "the query 'dora_time_to_restore_seconds' should fall below 1h within 1 minute",
        doc: "The same, smaller.",
        play: time_below,
    },
    StepDef {
        kind: StepKind::Then,
        pattern: "the largest {string} by {string} should be {string}",
        example: "the largest 'sum by (endpoint) (rate(http_requests_total{status_code=~\"5..\"}[5m]))' by 'endpoint' should be '/api/checkout'",
        doc: "Of the series that the query returns, the one with the largest value has this label value.",
        play: largest,
    },
];

fn burn_rate_exceeds(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    burn_rate(world, arguments, "exceed", |burn, limit| burn > limit)
}

fn burn_rate_below(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    burn_rate(world, arguments, "stay below", |burn, limit| burn < limit)
}

fn burn_rate(
    world: &mut World,
    arguments: &Arguments,
    verb: &str,
    holds: fn(f64, f64) -> bool,
) -> Result<String, StepError> {
    let window = format_duration(arguments.duration(1)?);
    let limit = arguments.number(2)?;
    let game = world.game()?;
    let slo = game.scenario().slo(arguments.text(0))?.clone();
    let query = slo.bad_ratio_over(&window);
    let expected = format!(
        "the burn rate of {} over {window} to {verb} {limit}",
        slo.name
    );
    let samples = game.query(&query)?;
    let Some(bad_ratio) = samples
        .iter()
        .map(|sample| sample.value)
        .max_by(f64::total_cmp)
    else {
        return Err(StepError::inconclusive(expected, "the query returned no series").asked(query));
    };
    let burn = bad_ratio / slo.budget();
    let observed = format!(
        "burn rate {burn:.2} ({:.2} % bad over {window})",
        bad_ratio * 100.0
    );
    if holds(burn, limit) {
        Ok(observed)
    } else {
        Err(StepError::failed(expected, observed).asked(query))
    }
}

fn sli_back(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let within = arguments.duration(1)?;
    let game = world.game()?;
    let slo = game.scenario().slo(arguments.text(0))?.clone();
    let (query, budget) = (slo.bad_ratio_over("5m"), slo.budget());
    let waited = game.wait_for_query(&query, within, |samples| {
        !samples.is_empty() && samples.iter().all(|sample| sample.value <= budget)
    })?;
    let worst = waited
        .seen
        .iter()
        .map(|sample| sample.value)
        .max_by(f64::total_cmp);
    let expected = format!(
        "at most {:.2} % bad over 5m within {}",
        budget * 100.0,
        format_duration(within)
    );
    match (waited.found, worst) {
        (Some(()), Some(worst)) => {
            // The watcher of the timeline looks every evaluation interval; it must see it as well.
            game.play_for(std::time::Duration::from_secs(15))?;
            Ok(format!(
                "{:.2} % bad after {}",
                worst * 100.0,
                format_duration(waited.after)
            ))
        }
        (_, None) => {
            Err(StepError::inconclusive(expected, "the query returned no series").asked(query))
        }
        (None, Some(worst)) => {
            Err(StepError::failed(expected, format!("{:.2} % bad", worst * 100.0)).asked(query))
        }
    }
}

fn query_exceeds(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let limit = arguments.number(1)?;
    query(world, arguments, Direction::Above, limit, f64::to_string)
}

fn query_below(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let limit = arguments.number(1)?;
    query(world, arguments, Direction::Below, limit, f64::to_string)
}

fn time_exceeds(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    time(world, arguments, Direction::Above)
}

fn time_below(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    time(world, arguments, Direction::Below)
}

fn time(
    world: &mut World,
    arguments: &Arguments,
    direction: Direction,
) -> Result<String, StepError> {
    let limit = arguments.duration(1)?.as_secs_f64();
    // On a compressed clock the system measures the compressed times; they are told as those of the feature.
    let compression = world.game()?.compression();
    query(world, arguments, direction, limit / compression, |secs| {
        let told = Duration::try_from_secs_f64(secs * compression);
        told.map_or_else(|_| secs.to_string(), format_duration)
    })
}

/// Where every value has to lie.
#[derive(Clone, Copy)]
enum Direction {
    Above,
    Below,
}

fn query(
    world: &mut World,
    arguments: &Arguments,
    direction: Direction,
    limit: f64,
    tell: impl Fn(&f64) -> String,
) -> Result<String, StepError> {
    let (verb, holds): (_, fn(f64, f64) -> bool) = match direction {
        Direction::Above => ("exceed", |value, limit| value > limit),
        Direction::Below => ("fall below", |value, limit| value < limit),
    };
    let query = arguments.text(0).to_owned();
    let within = arguments.duration(2)?;
    let game = world.game()?;
    let waited = game.wait_for_query(&query, within, |samples| {
        !samples.is_empty() && samples.iter().all(|sample| holds(sample.value, limit))
    })?;
    let values: Vec<String> = waited
        .seen
        .iter()
        .map(|sample| format!("{} {}", sample.labels, tell(&sample.value)))
        .collect();
    let values = values.join("; ");
    let expected = format!(
        "the query to {verb} {} within {}",
        tell(&limit),
        format_duration(within)
    );
    if waited.found.is_some() {
        Ok(format!("{values} after {}", format_duration(waited.after)))
    } else if waited.seen.is_empty() {
        Err(StepError::inconclusive(expected, "the query returned no series").asked(query))
    } else {
        Err(StepError::failed(expected, values).asked(query))
    }
}

fn largest(world: &mut World, arguments: &Arguments) -> Result<String, StepError> {
    let (query, label, wanted) = (arguments.text(0), arguments.text(1), arguments.text(2));
    let game = world.game()?;
    let samples = game.query(query)?;
    let expected = format!("{label}={wanted:?} to have the largest value");
    let Some(top) = samples
        .iter()
        .filter(|sample| !sample.value.is_nan())
        .max_by(|a, b| a.value.total_cmp(&b.value))
    else {
        return Err(StepError::inconclusive(expected, "the query returned no series").asked(query));
    };
    let total: f64 = samples
        .iter()
        .map(|sample| sample.value)
        .filter(|value| value.is_finite())
        .sum();
    let observed = format!(
        "{label}={:?} with {:.4} of {total:.4}",
        top.labels.value_of(label),
        top.value
    );
    if top.labels.value_of(label) == wanted {
        Ok(observed)
    } else {
        Err(StepError::failed(expected, observed).asked(query))
    }
}
