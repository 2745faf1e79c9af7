//! The fuzz targets of `fuzz/targets` on the stable compiler: changed seeds, as long as `GAMEDAY_FUZZ_SECS` says; each target gets some
//! thousand cases where it says nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use gameday_env::{Rng, Stopwatch, environment_variable};

#[path = "../../../../fuzz/targets/metrics.rs"]
mod metrics;
mod metrics_cases;
#[path = "../../../../fuzz/targets/settings.rs"]
mod settings;
mod settings_cases;
#[path = "../../../../fuzz/targets/telemetry.rs"]
mod telemetry;
mod telemetry_cases;

/// A target: its name, what it runs, texts that it takes, and pieces that its language is made of.
struct Target {
    name: &'static str,
    run: fn(&[u8]),
    seeds: &'static [&'static str],
    pieces: &'static [&'static str],
}

fn targets() -> impl Iterator<Item = &'static Target> {
    metrics_cases::TARGETS
        .iter()
        .chain(telemetry_cases::TARGETS)
        .chain(settings_cases::TARGETS)
}

/// Cases of a target where nothing else is asked for.
const CASES: u64 = 1_000;
const BYTES_MAX: usize = 4096;
/// Cases that are kept to be changed further.
const KEPT_MAX: usize = 200;

fn pick<'t, T>(list: &'t [T], random: &mut Rng) -> &'t T {
    &list[random.below(list.len() as u64) as usize]
}

/// Changes a case at a few places.
fn change(case: &mut Vec<u8>, target: &Target, kept: &[Vec<u8>], random: &mut Rng) {
    for _ in 0..=random.below(4) {
        let at = random.below(case.len() as u64 + 1) as usize;
        let end = (at + random.below(16) as usize).min(case.len());
        match random.below(8) {
            0 if at < case.len() => case[at] ^= 1 << random.below(8),
            1 if at < case.len() => case[at] = *pick(&[0, 1, 0x7f, 0x80, 0xff], random),
            2 => drop(case.drain(at..end)),
            3 => {
                let copy = case[at..end].repeat(1 + random.below(40) as usize);
                case.splice(at..at, copy);
            }
            4 => {
                let other = pick(kept, random);
                let from = random.below(other.len() as u64 + 1) as usize;
                case.truncate(at);
                case.extend_from_slice(&other[from..]);
            }
            _ => {
                let piece = pick(target.pieces, random).bytes();
                case.splice(at..at, piece);
            }
        }
        case.truncate(BYTES_MAX);
    }
}

/// Runs cases until `enough` says so; the first that panics is told.
fn fuzz(target: &Target, seed: u64, enough: impl Fn(u64) -> bool) {
    let mut random = Rng::named(seed, target.name);
    let mut kept: Vec<Vec<u8>> = target
        .seeds
        .iter()
        .map(|seed| seed.as_bytes().to_vec())
        .collect();
    let mut cases = 0;
    while !enough(cases) {
        cases += 1;
        let mut case = pick(&kept, &mut random).clone();
        change(&mut case, target, &kept, &mut random);
        let ran = catch_unwind(AssertUnwindSafe(|| (target.run)(&case)));
        assert!(
            ran.is_ok(),
            "{} panics (seed {seed}, case {cases}) on {:?}",
            target.name,
            String::from_utf8_lossy(&case)
        );
        if kept.len() < KEPT_MAX {
            kept.push(case);
        } else if random.below(20) == 0 {
            let seeds = target.seeds.len();
            let place = seeds + random.below((KEPT_MAX - seeds) as u64) as usize;
            kept[place] = case;
        }
    }
}

#[test]
fn no_bytes_make_a_reader_panic() {
    let secs: Option<u64> =
        environment_variable("GAMEDAY_FUZZ_SECS").and_then(|secs| secs.parse().ok());
    let Some(secs) = secs else {
        for target in targets() {
            fuzz(target, 1, |cases| cases >= CASES);
        }
        return;
    };
    let seed = environment_variable("GAMEDAY_FUZZ_SEED").and_then(|seed| seed.parse().ok());
    let only = environment_variable("GAMEDAY_FUZZ_TARGET");
    let targets: Vec<&Target> = targets()
        .filter(|target| only.as_deref().is_none_or(|only| only == target.name))
        .collect();
    let share = Duration::from_secs(secs) / targets.len().max(1) as u32;
    for target in targets {
        let watch = Stopwatch::start();
        fuzz(target, seed.unwrap_or(1), |_| watch.elapsed() >= share);
    }
}
