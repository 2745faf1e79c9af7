//! `/proc`, as far as the service and its host's exporter read it. Only in real time: what stands there is not of the simulation.

use std::fs;

/// The kernel's unit of processor time for user space, in ticks a second (USER_HZ, 100 on every Linux of today).
pub(crate) const USER_HZ: f64 = 100.0;

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Process {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Resident memory.
    pub(crate) resident_bytes: u64,
}

/// This process; nothing where `/proc` is not that of Linux.
pub(crate) fn own_process() -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    parse_process(&stat, &status)
}

fn parse_process(stat: &str, status: &str) -> Option<Process> {
    // The second field is the name in parentheses and may hold anything (proc(5)); utime and stime are fields 14 and 15.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    let cpu_seconds = (ticks()? + ticks()?) / USER_HZ;
    let resident_kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?
        .trim()
        .strip_suffix(" kB")?
        .trim()
        .parse()
        .ok()?;
    Some(Process {
        cpu_seconds,
        resident_bytes: resident_kib << 10,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_process_with_a_difficult_name() {
        let stat =
            "77 (a) b (c) S 1 77 77 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 100 1000000 500";
        let status = "Name:\ta) b (c\nVmRSS:\t    2048 kB\nThreads:\t4\n";
        let process = parse_process(stat, status).expect("a process");
        assert_eq!(process.resident_bytes, 2 << 20);
        assert!((process.cpu_seconds - 3.0).abs() < 1e-9);
        assert_eq!(parse_process("nonsense", status), None);
        assert!(own_process().expect("this process").resident_bytes > 0);
    }
}
