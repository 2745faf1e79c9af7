//! The machine that a service runs on: a model in virtual time, `/proc` in real time.
//!
//! The model, for a host of `C` cores with memory `M` and disk `D`:
//!
//! ```text
//!   load(t)    cores that requests keep busy: each request adds its processor time / 15 s, and the sum decays with e^(-dt / 15 s),
//!              so that a steady rate r of requests that cost c seconds each comes to r * c cores
//!   squeeze(t) cores (bytes) that pressure faults take: amount * min(1, (t - begin) / ramp_time)
//!   cpu(t)     = min(1, 0.03 + (load(t) + squeeze_cpu(t)) / C)
//!   memory(t)  = min(1, 0.30 + in_flight * 256 KiB / M + squeeze_memory(t) / M)
//!   disk(t)    = min(1, 0.40 + requests * 64 B / D + squeeze_disk(t) / D)
//!   loads      the averages of the busy cores over 1, 5 and 15 minutes, decaying as the kernel's
//!   slowdown   = 1 + min(1, squeeze_cpu(t) / C): a fair scheduler gives a service that competes with one busy process on each
//!                core half of the time, so its own work takes twice as long
//! ```
//!
//! In real time the host is the process's slice of the machine, as a container shows it: cpu(t) and memory(t) have what the process
//! really used, pressure included, in the place of the model's requests and squeezes. What else runs on the machine does not show.
//!
//! Counters are the exact integrals of these functions, so `rate()` over any window gives them back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gameday_env::Env;
use gameday_signal::Timestamp;

use crate::config::HostLimits;
use crate::procfs;

/// The share of the processor that the machine itself uses.
const BASE_CPU: f64 = 0.03;
/// The share of the memory that the machine and an idle service use.
const BASE_MEMORY: f64 = 0.30;
/// The share of the disk that is used at the start.
const BASE_DISK: f64 = 0.40;
/// How fast the load forgets: the time constant of its decay.
const LOAD_DECAY_SECS: f64 = 15.0;
/// Memory of a request that is being answered.
const REQUEST_BYTES: f64 = 262_144.0;
/// What a request leaves behind on the disk (its access log, compressed).
const LOGGED_BYTES: f64 = 64.0;
/// The part of a request's service time that is processor time; the rest is waiting.
const CPU_SHARE_OF_WORK: f64 = 0.5;

/// What a service uses of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// Processor, 0 to 1 of what the host offers.
    pub(crate) cpu_ratio: f64,
    /// Memory, 0 to 1 of what the host offers.
    pub(crate) memory_ratio: f64,
    /// Processor time since the start.
    pub(crate) cpu_seconds: f64,
    /// Memory.
    pub(crate) memory_bytes: u64,
}

/// The machine as the node exporter sees it, from the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Snapshot {
    /// When the machine started.
    pub(crate) booted: Timestamp,
    /// Seconds since then.
    pub(crate) uptime_secs: f64,
    /// Core-seconds that were not idle.
    pub(crate) busy_secs: f64,
    /// Of these, what pressure took.
    pub(crate) squeezed_secs: f64,
    /// Cores busy now.
    pub(crate) busy_cores: f64,
    /// Memory used, 0 to 1.
    pub(crate) memory_ratio: f64,
    /// Disk used, 0 to 1.
    pub(crate) disk_ratio: f64,
    /// The averages of busy cores over 1, 5 and 15 minutes.
    pub(crate) load_averages: [f64; 3],
    /// Requests answered.
    pub(crate) requests: u64,
    /// What a hundred percent are.
    pub(crate) limits: HostLimits,
}

/// What a pressure fault takes from its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Cores.
    Cpu,
    /// Bytes.
    Memory,
    /// Bytes.
    Disk,
}

/// The host of one service.
pub(crate) struct Host {
    env: Env,
    limits: HostLimits,
    /// Whether this process runs on it: where it does in real time, what it uses is measured.
    occupied: bool,
    state: Mutex<State>,
}

struct State {
    booted: Timestamp,
    /// Up to when the integrals are taken.
    accrued: Timestamp,
    /// Cores that requests keep busy, decaying.
    load: f64,
    /// Core-seconds of requests.
    work_secs: f64,
    /// Core-seconds of processor pressure that has ended.
    squeezed_secs: f64,
    requests: u64,
    in_flight: u32,
    squeezes: BTreeMap<u64, Squeeze>,
    next_id: u64,
    /// The last reading of the real process: when, and its processor time.
    last_read: Option<(Timestamp, f64, f64)>,
    load_averages: [f64; 3],
    /// When the averages were last moved on, and the busy core-seconds then.
    averaged: (Timestamp, f64),
}

struct Squeeze {
    resource: Resource,
    amount: f64,
    begin: Timestamp,
    ramp: Duration,
}

impl Squeeze {
    fn level(&self, now: Timestamp) -> f64 {
        let ramp = self.ramp.as_secs_f64();
        let elapsed = now.since(self.begin).as_secs_f64();
        if elapsed >= ramp {
            self.amount
        } else {
            self.amount * elapsed / ramp
        }
    }

    /// The integral of the level from the begin to `now`: a triangle, then a rectangle.
    fn integral(&self, now: Timestamp) -> f64 {
        let ramp = self.ramp.as_secs_f64();
        let elapsed = now.since(self.begin).as_secs_f64();
        if elapsed >= ramp {
            self.amount * (elapsed - ramp / 2.0)
        } else {
            self.amount * elapsed * elapsed / (2.0 * ramp)
        }
    }
}

/// Keeps pressure in force.
#[must_use = "dropping the guard takes the pressure off"]
pub(crate) struct SqueezeGuard {
    host: Arc<Host>,
    id: u64,
}

impl Drop for SqueezeGuard {
    fn drop(&mut self) {
        let now = self.host.env.now();
        let mut state = self.host.lock();
        if let Some(squeeze) = state.squeezes.remove(&self.id)
            && squeeze.resource == Resource::Cpu
        {
            state.squeezed_secs += squeeze.integral(now);
        }
    }
}

impl Host {
    /// The host of `env`, which starts now.
    pub(crate) fn new(env: &Env, limits: HostLimits) -> Self {
        let now = env.now();
        Self {
            env: env.clone(),
            limits,
            occupied: true,
            state: Mutex::new(State {
                booted: now,
                accrued: now,
                load: 0.0,
                work_secs: 0.0,
                squeezed_secs: 0.0,
                requests: 0,
                in_flight: 0,
                squeezes: BTreeMap::new(),
                next_id: 0,
                last_read: None,
                load_averages: [BASE_CPU * limits.cpu_cores; 3],
                averaged: (now, 0.0),
            }),
        }
    }

    /// The host of `env` after its service has crashed: only the machine itself is left.
    pub(crate) fn vacant(env: &Env, limits: HostLimits) -> Self {
        Self {
            occupied: false,
            ..Self::new(env, limits)
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a hundred percent are.
    pub(crate) fn limits(&self) -> HostLimits {
        self.limits
    }

    /// Takes `amount` of a resource, linearly growing over `ramp`, until the guard is dropped. Only the model feels it.
    pub(crate) fn squeeze(
        self: &Arc<Self>,
        resource: Resource,
        amount: f64,
        ramp: Duration,
    ) -> SqueezeGuard {
        let begin = self.env.now();
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.squeezes.insert(
            id,
            Squeeze {
                resource,
                amount,
                begin,
                ramp,
            },
        );
        let host = Arc::clone(self);
        SqueezeGuard { host, id }
    }

    /// A request has come in.
    pub(crate) fn began(&self) {
        self.lock().in_flight += 1;
    }

    /// A request has left.
    pub(crate) fn ended(&self) {
        let mut state = self.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.requests += 1;
    }

    /// So much service time has been spent on a request.
    pub(crate) fn worked(&self, work: Duration) {
        let now = self.env.now();
        let mut state = self.lock();
        let cpu_secs = work.as_secs_f64() * CPU_SHARE_OF_WORK;
        state.work_secs += cpu_secs;
        state.decay(now);
        state.load += cpu_secs / LOAD_DECAY_SECS;
    }

    /// How many times longer work takes than on an idle host.
    pub(crate) fn slowdown(&self) -> f64 {
        let state = self.lock();
        if state.squeezes.is_empty() {
            return 1.0;
        }
        let squeezed = state.squeezed(Resource::Cpu, self.env.now());
        1.0 + (squeezed / self.limits.cpu_cores).min(1.0)
    }

    /// What the service uses now: of the model in virtual time, of the process in real time.
    pub(crate) fn usage(&self) -> Usage {
        if self.env.is_virtual() {
            self.modelled_usage()
        } else {
            self.process_usage()
        }
    }

    fn modelled_usage(&self) -> Usage {
        let snapshot = self.snapshot();
        let memory_bytes = snapshot.memory_ratio * self.limits.memory_bytes as f64;
        Usage {
            cpu_ratio: snapshot.busy_cores / self.limits.cpu_cores,
            memory_ratio: snapshot.memory_ratio,
            cpu_seconds: snapshot.busy_secs,
            memory_bytes: memory_bytes as u64,
        }
    }

    /// Processor use is that since the last reading, so that a scrape sees its own interval.
    fn process_usage(&self) -> Usage {
        let now = self.env.now();
        let process = procfs::own_process().unwrap_or_default();
        let mut state = self.lock();
        let (since, before, ratio) = state.last_read.unwrap_or((state.booted, 0.0, 0.0));
        let elapsed = now.since(since).as_secs_f64();
        // Two readings in the same instant have no interval between them.
        let ratio = if elapsed < 0.1 {
            ratio
        } else {
            let ratio = (process.cpu_seconds - before) / elapsed / self.limits.cpu_cores;
            state.last_read = Some((now, process.cpu_seconds, ratio));
            ratio
        };
        Usage {
            cpu_ratio: ratio.clamp(0.0, 1.0),
            memory_ratio: process.resident_bytes as f64 / self.limits.memory_bytes as f64,
            cpu_seconds: process.cpu_seconds,
            memory_bytes: process.resident_bytes,
        }
    }

    /// The whole host now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let now = self.env.now();
        let limits = self.limits;
        let mut state = self.lock();
        state.decay(now);
        let uptime_secs = now.since(state.booted).as_secs_f64();
        let squeezed_cores = state.squeezed(Resource::Cpu, now);
        let running: f64 = state
            .squeezes
            .values()
            .filter(|squeeze| squeeze.resource == Resource::Cpu)
            .map(|squeeze| squeeze.integral(now))
            .sum();
        let squeezed_secs = state.squeezed_secs + running;
        let base_cores = BASE_CPU * limits.cpu_cores;
        let busy_cores = (base_cores + state.load + squeezed_cores).min(limits.cpu_cores);
        let measured = self.occupied && !self.env.is_virtual();
        let process = measured.then(procfs::own_process).flatten();
        let used_secs = match &process {
            Some(process) => process.cpu_seconds,
            None => state.work_secs + squeezed_secs,
        };
        let busy_secs = (base_cores * uptime_secs + used_secs).min(limits.cpu_cores * uptime_secs);
        state.average(now, busy_secs);
        let memory = match &process {
            Some(process) => process.resident_bytes as f64,
            None => {
                f64::from(state.in_flight) * REQUEST_BYTES + state.squeezed(Resource::Memory, now)
            }
        };
        let disk = state.requests as f64 * LOGGED_BYTES + state.squeezed(Resource::Disk, now);
        Snapshot {
            booted: state.booted,
            uptime_secs,
            busy_secs,
            squeezed_secs,
            busy_cores,
            memory_ratio: (BASE_MEMORY + memory / limits.memory_bytes as f64).min(1.0),
            disk_ratio: (BASE_DISK + disk / limits.disk_bytes as f64).min(1.0),
            load_averages: state.load_averages,
            requests: state.requests,
            limits,
        }
    }
}

impl State {
    fn decay(&mut self, now: Timestamp) {
        let elapsed = now.since(self.accrued).as_secs_f64();
        if elapsed > 0.0 {
            self.load *= (-elapsed / LOAD_DECAY_SECS).exp();
            self.accrued = now;
        }
    }

    /// Moves the load averages on, as the kernel does, by the mean of the busy cores since the last time.
    fn average(&mut self, now: Timestamp, busy_secs: f64) {
        let (since, before) = self.averaged;
        let elapsed = now.since(since).as_secs_f64();
        if elapsed < 1.0 {
            return;
        }
        let cores = (busy_secs - before) / elapsed;
        for (average, window_secs) in self.load_averages.iter_mut().zip([60.0, 300.0, 900.0]) {
            let kept = (-elapsed / window_secs).exp();
            *average = *average * kept + cores * (1.0 - kept);
        }
        self.averaged = (now, busy_secs);
    }

    fn squeezed(&self, resource: Resource, now: Timestamp) -> f64 {
        self.squeezes
            .values()
            .filter(|squeeze| squeeze.resource == resource)
            .map(|squeeze| squeeze.level(now))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::virtual_sim;

    #[test]
    fn a_steady_rate_comes_to_rate_times_cost() {
        let sim = virtual_sim();
        let env = sim.env().clone();
        sim.block_on(async {
            let host = Host::new(&env, HostLimits::default());
            // 20 requests a second of 40 ms work, half of it on the processor: 0.4 cores.
            for _ in 0..20 * 120 {
                env.clock().sleep(Duration::from_millis(50)).await;
                host.began();
                host.worked(Duration::from_millis(40));
                host.ended();
            }
            let snapshot = host.snapshot();
            assert!(
                (snapshot.busy_cores - 0.06 - 0.4).abs() < 0.01,
                "{snapshot:?}"
            );
            let expected = 0.06 * 120.0 + 0.4 * 120.0;
            assert!((snapshot.busy_secs - expected).abs() < 0.1, "{snapshot:?}");
        });
    }

    #[test]
    fn pressure_ramps_up_counts_and_goes_away_with_its_guard() {
        let sim = virtual_sim();
        let env = sim.env().clone();
        sim.block_on(async {
            let host = Arc::new(Host::new(&env, HostLimits::default()));
            let ramp = Duration::from_secs(60);
            let cpu = host.squeeze(Resource::Cpu, 1.8, ramp);
            let memory = host.squeeze(Resource::Memory, f64::from(256 << 20), Duration::ZERO);
            env.clock().sleep(Duration::from_secs(30)).await;
            assert!((host.slowdown() - 1.45).abs() < 1e-9);
            env.clock().sleep(Duration::from_secs(90)).await;
            let usage = host.usage();
            assert!((usage.cpu_ratio - 0.93).abs() < 1e-9, "{usage:?}");
            assert!((usage.memory_ratio - 0.80).abs() < 1e-9, "{usage:?}");
            assert!((host.snapshot().squeezed_secs - 1.8 * 90.0).abs() < 1e-6);
            drop((cpu, memory));
            env.clock().sleep(Duration::from_secs(10)).await;
            let usage = host.usage();
            assert!((usage.cpu_ratio - 0.03).abs() < 1e-9, "{usage:?}");
            assert!((usage.memory_ratio - 0.30).abs() < 1e-9, "{usage:?}");
            assert!((host.snapshot().squeezed_secs - 1.8 * 90.0).abs() < 1e-6);
        });
    }
}
