//! Real pressure, for game days in real time: bounded by caps, undone by guards, and gone with the process.

#![expect(
    clippy::disallowed_methods,
    reason = "real pressure burns real time on real threads; virtual time has a model instead"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gameday_env::Env;

/// The slice of time in which a worker is busy for its share (stress-ng's and Chaos Mesh's cpu-load-slice).
const SLICE: Duration = Duration::from_millis(10);
/// Threads that burn, whatever is asked for.
const WORKERS_MAX: usize = 64;
/// Memory that is taken, whatever is asked for.
const MEMORY_MAX: u64 = 1 << 30;
/// Bytes that are written, whatever is asked for.
const DISK_MAX: u64 = 1 << 30;
/// Memory and disk grow in such pieces.
const PIECE: usize = 1 << 20;
/// How often they grow while they ramp up.
const STEP: Duration = Duration::from_millis(250);

/// Keeps real pressure up.
#[must_use = "dropping the guard takes the pressure off"]
pub(crate) struct StressGuard(Arc<AtomicBool>);

impl Drop for StressGuard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Keeps `workers` threads, at most one a core, busy for `load` (0 to 1) of the time.
pub(crate) fn burn(workers: usize, load: f64, ramp: Duration) -> StressGuard {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..workers.min(cores).min(WORKERS_MAX) {
        let stop = Arc::clone(&stop);
        thread::spawn(move || burn_until(&stop, load, ramp));
    }
    StressGuard(stop)
}

fn burn_until(stop: &AtomicBool, load: f64, ramp: Duration) {
    let begin = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let slice = Instant::now();
        let busy = SLICE.mul_f64(load * ramped(begin.elapsed(), ramp));
        while slice.elapsed() < busy {
            std::hint::spin_loop();
        }
        thread::sleep(SLICE.saturating_sub(slice.elapsed()));
    }
}

fn ramped(elapsed: Duration, ramp: Duration) -> f64 {
    if elapsed >= ramp {
        1.0
    } else {
        elapsed.as_secs_f64() / ramp.as_secs_f64()
    }
}

/// Takes and touches so much memory.
pub(crate) fn take_memory(env: &Env, bytes: u64, ramp: Duration) -> StressGuard {
    let held = Arc::new(Mutex::new(Vec::new()));
    grow(env, bytes.min(MEMORY_MAX), ramp, move |pieces| {
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        while held.len() < pieces {
            // Another value than zero: a page of zeros need not be there.
            held.push(vec![0xA5_u8; PIECE]);
        }
        Ok(())
    })
}

/// Writes so many bytes to a file without a name.
///
/// # Errors
/// Where the file cannot be made.
pub(crate) fn fill_disk(env: &Env, bytes: u64, ramp: Duration) -> io::Result<StressGuard> {
    let mut file = nameless_file(env)?;
    let piece = vec![0xA5_u8; PIECE];
    let mut written = 0;
    Ok(grow(env, bytes.min(DISK_MAX), ramp, move |pieces| {
        while written < pieces {
            file.write_all(&piece)?;
            written += 1;
        }
        Ok(())
    }))
}

fn nameless_file(env: &Env) -> io::Result<File> {
    let name = format!("gameday-{}-{}", env.host(), std::process::id());
    let path = std::env::temp_dir().join(name);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// Calls `reach` with a number of pieces that grows up to `bytes` over `ramp`, and holds what it holds until the guard is dropped.
fn grow(
    env: &Env,
    bytes: u64,
    ramp: Duration,
    mut reach: impl FnMut(usize) -> io::Result<()> + Send + 'static,
) -> StressGuard {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let clock = env.clock().clone();
    let pieces = bytes as f64 / PIECE as f64;
    env.spawn(async move {
        let begin = clock.now();
        while !stopped.load(Ordering::Relaxed) {
            let share = ramped(clock.now().since(begin), ramp);
            // A disk or a memory that is really full is pressure enough.
            if reach((pieces * share) as usize).is_err() {
                break;
            }
            clock.sleep(STEP).await;
        }
        while !stopped.load(Ordering::Relaxed) {
            clock.sleep(STEP).await;
        }
    });
    StressGuard(stop)
}
