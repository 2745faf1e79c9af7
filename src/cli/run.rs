//! `gameday run`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gameday_env::Stopwatch;
use gameday_signal::format_duration;

use super::{on_terminal, say};
use crate::failure::Failure;
use crate::runner::{PlayedFeature, feature_names, play_named, worst};
use crate::timeline::{self, ConsoleOptions, RunRecord};
use crate::world::{ClockChoice, Progress, RunOptions};

/// Options of `gameday run`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The game days to play.
    #[arg(
        value_name = "NAME",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    names: Vec<String>,
    /// Plays all game days.
    #[arg(long)]
    all: bool,
    /// Whether time jumps (virtual) or runs (real: sockets on loopback, services as child processes).
    #[arg(long, value_enum, default_value_t)]
    clock: ClockChoice,
    /// Holds virtual time back to a multiple of real time, for example 60x.
    #[arg(long, value_name = "60x", value_parser = parse_speed)]
    speed: Option<f64>,
    /// Divides every duration of rules, routes, scrapes and windows, on the real clock: 60 makes an hour a minute.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3600))]
    compress: Option<u32>,
    /// The seed, in the place of the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where the reports go.
    #[arg(long, value_name = "DIR", default_value = "reports/out")]
    out: PathBuf,
    /// Shows no progress.
    #[arg(long, short)]
    quiet: bool,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('x').unwrap_or(text);
    match number.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err(format!(
            "{text:?} is no speed, expected for example \"60x\""
        )),
    }
}

pub(super) fn run(root: &Path, args: &Args) -> Result<ExitCode, Failure> {
    if args.clock == ClockChoice::Real && args.speed.is_some() {
        return Err(Failure::usage(
            "--speed holds virtual time back; the real clock has a speed of its own",
        )
        .hinted("--compress N makes a real run shorter"));
    }
    if args.clock == ClockChoice::Virtual && args.compress.is_some() {
        return Err(Failure::usage("--compress shortens the windows of a run on the real clock; virtual time needs no shortening")
            .hinted("add --clock real, or leave --compress out"));
    }
    let names = if args.all {
        feature_names(root)
    } else {
        args.names.clone()
    };
    if names.is_empty() {
        return Err(Failure::scenario(format!(
            "no game day in {}",
            root.join("features").display()
        )));
    }
    let mut options = RunOptions::new(root);
    options.clock = args.clock;
    options.speed = args.speed;
    options.compress = args.compress;
    options.seed = args.seed;
    options.progress = match (args.quiet, on_terminal()) {
        (true, _) => Progress::Silent,
        (false, true) => Progress::Terminal,
        (false, false) => Progress::Lines,
    };
    let watch = Stopwatch::start();
    let played = play_all(&options, &names)?;
    for feature in &played {
        finish(&args.out, feature)?;
    }
    if args.all {
        overview(root, &args.out, &played, &watch)?;
    }
    Ok(match worst(played.iter().map(|feature| feature.failure)) {
        None => ExitCode::SUCCESS,
        Some(kind) => ExitCode::from(kind.exit_code()),
    })
}

/// Plays one after the other, or side by side where nobody watches and time is virtual.
fn play_all(options: &RunOptions, names: &[String]) -> Result<Vec<PlayedFeature>, Failure> {
    if names.len() == 1 || options.clock == ClockChoice::Real || options.speed.is_some() {
        return names.iter().map(|name| play_named(options, name)).collect();
    }
    let silent = RunOptions {
        progress: Progress::Silent,
        ..options.clone()
    };
    gameday_env::side_by_side(names, |name| play_named(&silent, name))
        .into_iter()
        .collect()
}

/// The console's options for the standard output: colour on a terminal only, unless NO_COLOR asks for none.
fn console_options() -> ConsoleOptions {
    let colour = std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    ConsoleOptions {
        colour,
        ..ConsoleOptions::default()
    }
}

/// Prints what a run has shown and writes its reports.
fn finish(out: &Path, feature: &PlayedFeature) -> Result<(), Failure> {
    if on_terminal() {
        // The changing line of the progress ends here.
        say("")?;
    }
    say(timeline::render_console(&feature.record, console_options()))?;
    let files = timeline::write_report(&feature.record, out).map_err(|error| {
        Failure::internal(format!(
            "cannot write the report to {}: {error}",
            out.display()
        ))
    })?;
    let names: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    say(format!("report: {}", names.join(", ")))
}

fn overview(
    root: &Path,
    out: &Path,
    played: &[PlayedFeature],
    watch: &Stopwatch,
) -> Result<(), Failure> {
    let records: Vec<RunRecord> = played
        .iter()
        .map(|feature| feature.record.clone())
        .collect();
    let known = super::check::known_alerts(root)?;
    timeline::write_overview(&records, &known, out).map_err(|error| {
        Failure::internal(format!(
            "cannot write the overview to {}: {error}",
            out.display()
        ))
    })?;
    for feature in played {
        let reasons = feature.record.verdict.reasons.join("; ");
        let reasons = if reasons.is_empty() {
            reasons
        } else {
            format!(": {reasons}")
        };
        say(format!(
            "{:<22} {}{reasons}",
            feature.record.name,
            feature.record.verdict.outcome.as_str()
        ))?;
    }
    let virtual_time: std::time::Duration = records.iter().map(RunRecord::played).sum();
    say(format!(
        "{} game days, {} of game time in {:.1} s of wall time",
        records.len(),
        format_duration(virtual_time),
        watch.elapsed().as_secs_f64()
    ))
}
