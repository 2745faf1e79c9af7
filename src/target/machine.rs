//! What else runs on this machine: a game day on the real clock feels it, and must not be judged by it.

use std::collections::{BTreeMap, BTreeSet};

/// Processor time of the machine and of this process with its children, since a moment.
#[derive(Clone, Debug)]
pub struct MachineLoad {
    begin: Reading,
}

/// Processor time in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Reading {
    /// Of all cores, idle or not.
    total: u64,
    /// Of these, not idle.
    busy: u64,
    /// Of this process and what descends from it.
    own: u64,
}

impl MachineLoad {
    /// Begins to measure; none where there is no `/proc` as Linux has it.
    pub fn start() -> Option<Self> {
        read().map(|begin| Self { begin })
    }

    /// The share of the machine's processor time, 0 to 1, that others have used since the start.
    pub fn foreign_share(&self) -> Option<f64> {
        share(self.begin, read()?)
    }
}

fn share(begin: Reading, end: Reading) -> Option<f64> {
    let total = end.total.checked_sub(begin.total).filter(|it| *it > 0)?;
    let busy = end.busy.saturating_sub(begin.busy);
    // What has ended meanwhile is missing, so this may be less than it was.
    let own = end.own.saturating_sub(begin.own);
    Some(busy.saturating_sub(own) as f64 / total as f64)
}

fn read() -> Option<Reading> {
    let (total, busy) = parse_machine(&std::fs::read_to_string("/proc/stat").ok()?)?;
    let own_stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let own = parse_process(&own_stat)?;
    let mut processes = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        // Processes come and go while they are listed.
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok();
        if let Some(process) = stat.as_deref().and_then(parse_process) {
            processes.insert(process.pid, process);
        }
    }
    Some(Reading {
        total,
        busy,
        own: descendants_ticks(own.pid, &processes),
    })
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Process {
    pid: u64,
    parent: u64,
    ticks: u64,
}

/// The ticks of a process and of everything that descends from it.
fn descendants_ticks(pid: u64, processes: &BTreeMap<u64, Process>) -> u64 {
    let mut family = BTreeSet::from([pid]);
    loop {
        let before = family.len();
        for process in processes.values() {
            if family.contains(&process.parent) {
                family.insert(process.pid);
            }
        }
        if family.len() == before {
            break;
        }
    }
    let ticks = family.iter().filter_map(|pid| processes.get(pid));
    ticks.map(|process| process.ticks).sum()
}

/// All and busy ticks of the first line of `/proc/stat` (proc(5): user nice system idle iowait irq softirq steal).
fn parse_machine(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map(|field| field.parse().ok())
        .collect::<Option<_>>()?;
    let idle = ticks.get(3)? + ticks.get(4)?;
    let total: u64 = ticks.iter().sum();
    Some((total, total - idle))
}

/// `/proc/<pid>/stat`: the name in parentheses may hold anything; the parent is field 4, utime and stime are 14 and 15.
fn parse_process(text: &str) -> Option<Process> {
    let (pid, _) = text.split_once(' ')?;
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        pid: pid.parse().ok()?,
        parent: number(1)?,
        ticks: number(11)? + number(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_used_is_the_rest() {
        let reading = |total, busy, own| Reading { total, busy, own };
        for (begin, end, expected) in [
            (reading(0, 0, 0), reading(1000, 700, 200), Some(0.5)),
            (reading(1000, 700, 200), reading(1100, 760, 260), Some(0.0)),
            // A child that has ended takes its time with it.
            (reading(0, 0, 500), reading(1000, 700, 200), Some(0.7)),
            (reading(5, 5, 5), reading(5, 5, 5), None),
        ] {
            assert_eq!(share(begin, end), expected, "{begin:?} {end:?}");
        }
    }

    #[test]
    fn the_files_of_the_kernel_are_read() {
        let stat = "cpu  100 5 50 800 40 1 2 2 0 0\ncpu0 1 2 3\n";
        assert_eq!(parse_machine(stat), Some((1000, 160)));
        assert_eq!(parse_machine("cpu x"), None);
        let process = parse_process("77 (a) b (c) S 12 77 77 0 -1 0 1 0 0 0 250 50 0 0 20 0");
        let expected = Process {
            pid: 77,
            parent: 12,
            ticks: 300,
        };
        assert_eq!(process, Some(expected));
        assert_eq!(parse_process("nonsense"), None);
    }

    #[test]
    fn children_of_children_are_own() {
        let process = |pid, parent, ticks| (pid, Process { pid, parent, ticks });
        let processes = BTreeMap::from([
            process(1, 0, 1000),
            process(5, 9, 10),
            process(9, 7, 20),
            process(7, 1, 40),
        ]);
        assert_eq!(descendants_ticks(7, &processes), 70);
    }
}
