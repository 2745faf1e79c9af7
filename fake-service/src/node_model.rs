//! The model of a host in the kernel's own formats.
//!
//! What [`Host`](crate::host::Host) computes (busy core-seconds, memory, disk, requests) is written as `/proc` would show it. The
//! rest follows from it by fixed factors, given beside each file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gameday_exporters::node::Volume;

use crate::host::Snapshot;

use crate::procfs::USER_HZ;

/// The part of the busy time that is user time; pressure is user time as a whole.
const USER_PART: f64 = 0.7;
/// The part of all time that is waiting for the disk.
const IOWAIT_PART: f64 = 0.002;
/// The root file system: 20 GB, 30 % full.
const ROOT_BYTES: f64 = 20e9;
const ROOT_USED: f64 = 0.30;
/// Bytes of one inode's share of a volume (mke2fs's default bytes-per-inode).
const BYTES_PER_INODE: f64 = 16_384.0;

/// The mount point of a host's data volume.
pub(crate) fn data_mountpoint(host: &str) -> String {
    format!("/var/lib/{host}")
}

/// The root file system, on which nothing happens.
pub(crate) fn root_volume() -> Volume {
    volume(ROOT_BYTES, ROOT_USED)
}

/// The data volume.
pub(crate) fn data_volume(snapshot: &Snapshot) -> Volume {
    volume(snapshot.limits.disk_bytes as f64, snapshot.disk_ratio)
}

fn volume(size_bytes: f64, used: f64) -> Volume {
    let free_bytes = (size_bytes * (1.0 - used)).round();
    let files = (size_bytes / BYTES_PER_INODE).round();
    Volume {
        size_bytes,
        free_bytes,
        avail_bytes: free_bytes,
        files,
        files_free: (files * (1.0 - used)).round(),
        read_only: false,
    }
}

/// The files of a host.
pub(crate) fn files(host: &str, snapshot: &Snapshot) -> BTreeMap<String, String> {
    [
        ("/proc/stat", stat(snapshot)),
        ("/proc/meminfo", meminfo(snapshot)),
        ("/proc/diskstats", diskstats(snapshot)),
        (
            "/proc/1/mounts",
            "/dev/vda1 / ext4 rw,relatime 0 0\n".to_owned(),
        ),
        ("/proc/net/dev", net_dev(snapshot)),
        (
            "/sys/class/net/eth0/statistics/rx_nohandler",
            "0\n".to_owned(),
        ),
        ("/proc/loadavg", loadavg(snapshot)),
        ("/proc/pressure/cpu", pressure(cpu_waiting(snapshot), 0.0)),
        (
            "/proc/pressure/io",
            pressure(io_waiting(snapshot), io_waiting(snapshot) * 0.8),
        ),
        ("/proc/pressure/memory", pressure(0.0, 0.0)),
        ("/proc/vmstat", vmstat(snapshot)),
        ("/proc/sys/kernel/ostype", "Linux\n".to_owned()),
        ("/proc/sys/kernel/osrelease", "6.1.0-gameday\n".to_owned()),
        (
            "/proc/sys/kernel/version",
            "#1 SMP PREEMPT_DYNAMIC gameday\n".to_owned(),
        ),
        ("/proc/sys/kernel/hostname", format!("{host}\n")),
        ("/proc/sys/kernel/domainname", "(none)\n".to_owned()),
        ("/etc/os-release", OS_RELEASE.to_owned()),
        (
            "/sys/devices/system/clocksource/clocksource0/available_clocksource",
            "tsc\n".to_owned(),
        ),
        (
            "/sys/devices/system/clocksource/clocksource0/current_clocksource",
            "tsc\n".to_owned(),
        ),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text))
    .collect()
}

const OS_RELEASE: &str =
    "ID=gameday\nNAME=\"gameday\"\nPRETTY_NAME=\"gameday (modelled host)\"\nVERSION_ID=\"1\"\n";

/// All cores alike. A request switches contexts some twenty times and interrupts five times; the machine itself, each second, 200
/// and 100 times.
fn stat(snapshot: &Snapshot) -> String {
    let cores = snapshot.limits.cpu_cores.ceil().max(1.0);
    let work = snapshot.busy_secs - snapshot.squeezed_secs;
    let user = work * USER_PART + snapshot.squeezed_secs;
    let system = work * (1.0 - USER_PART);
    let total = snapshot.uptime_secs * snapshot.limits.cpu_cores;
    let iowait = (total - snapshot.busy_secs).max(0.0) * IOWAIT_PART;
    let idle = (total - snapshot.busy_secs - iowait).max(0.0);
    let line = |name: &str, share: f64| {
        let ticks = |secs: f64| (secs * share * USER_HZ).round();
        format!(
            "{name} {} 0 {} {} {} 0 0 0 0 0\n",
            ticks(user),
            ticks(system),
            ticks(idle),
            ticks(iowait)
        )
    };
    let mut out = line("cpu ", 1.0);
    for core in 0..cores as u32 {
        out.push_str(&line(&format!("cpu{core}"), 1.0 / cores));
    }
    let requests = snapshot.requests as f64;
    let uptime = snapshot.uptime_secs;
    let running = 1.0 + snapshot.busy_cores.round();
    let _ = write!(
        out,
        "intr {}\nctxt {}\nbtime {}\nprocesses {}\nprocs_running {running}\nprocs_blocked 0\nsoftirq 0\n",
        (requests * 5.0 + uptime * 100.0).round(),
        (requests * 20.0 + uptime * 200.0).round(),
        snapshot.booted.as_secs(),
        (200.0 + uptime / 10.0).round(),
    );
    out
}

/// Of the memory that is used, three quarters are anonymous; of the rest, half is the page cache, so `MemAvailable` is what the
/// model calls free.
fn meminfo(snapshot: &Snapshot) -> String {
    let total = snapshot.limits.memory_bytes as f64 / 1024.0;
    let used = total * snapshot.memory_ratio;
    let available = total - used;
    let cache = available * 0.5;
    let anonymous = used * 0.75;
    let slab = used * 0.1;
    let mut out = String::with_capacity(2048);
    for (name, kib) in [
        ("MemTotal", total),
        ("MemFree", available - cache),
        ("MemAvailable", available),
        ("Buffers", cache * 0.1),
        ("Cached", cache * 0.9),
        ("SwapCached", 0.0),
        ("Active", anonymous * 0.5 + cache * 0.5),
        ("Inactive", anonymous * 0.5 + cache * 0.5),
        ("Active(anon)", anonymous * 0.5),
        ("Inactive(anon)", anonymous * 0.5),
        ("Active(file)", cache * 0.5),
        ("Inactive(file)", cache * 0.5),
        ("Unevictable", 0.0),
        ("Mlocked", 0.0),
        ("SwapTotal", 0.0),
        ("SwapFree", 0.0),
        ("Dirty", 64.0),
        ("Writeback", 0.0),
        ("AnonPages", anonymous),
        ("Mapped", used * 0.1),
        ("Shmem", used * 0.01),
        ("KReclaimable", slab * 0.6),
        ("Slab", slab),
        ("SReclaimable", slab * 0.6),
        ("SUnreclaim", slab * 0.4),
        ("KernelStack", 2048.0),
        ("PageTables", used * 0.01),
        ("NFS_Unstable", 0.0),
        ("Bounce", 0.0),
        ("WritebackTmp", 0.0),
        ("CommitLimit", total * 0.5),
        ("Committed_AS", used),
        ("VmallocTotal", 34_359_738_367.0),
        ("VmallocUsed", 16_384.0),
        ("VmallocChunk", 0.0),
        ("Percpu", 1024.0),
        ("AnonHugePages", 0.0),
        ("Hugetlb", 0.0),
        ("DirectMap4k", total),
    ] {
        let _ = writeln!(out, "{name}: {} kB", kib.max(0.0).round());
    }
    for name in [
        "HugePages_Total",
        "HugePages_Free",
        "HugePages_Rsvd",
        "HugePages_Surp",
    ] {
        let _ = writeln!(out, "{name}: 0");
    }
    out.push_str("Hugepagesize: 2048 kB\n");
    out
}

/// A request in ten writes a block of 4 KiB in 0.2 ms; nothing is read after the start.
fn diskstats(snapshot: &Snapshot) -> String {
    let writes = (snapshot.requests as f64 / 10.0 + snapshot.uptime_secs).round();
    let sectors = writes * 8.0;
    let busy_ms = (writes * 0.2).round();
    format!(
        "254 0 vda 5000 200 400000 900 {writes} 0 {sectors} {busy_ms} 0 {busy_ms} {busy_ms} 0 0 0 0 {} 0\n",
        (writes / 10.0).round(),
    )
}

/// A request brings 600 bytes in four packets and takes 900 away in four.
fn net_dev(snapshot: &Snapshot) -> String {
    let requests = snapshot.requests as f64;
    let idle = snapshot.uptime_secs;
    let packets = (requests * 4.0 + idle * 2.0).round();
    format!(
        "Inter-| Receive | Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n  eth0: {} {packets} 0 0 0 0 0 0 {} {packets} 0 0 0 0 0 0\n",
        (requests * 600.0 + idle * 120.0).round(),
        (requests * 900.0 + idle * 120.0).round(),
    )
}

fn loadavg(snapshot: &Snapshot) -> String {
    let [one, five, fifteen] = snapshot.load_averages;
    format!("{one:.2} {five:.2} {fifteen:.2} 1/200 4242\n")
}

/// Who competes with pressure waits for half of the time that pressure takes, spread over the cores.
fn cpu_waiting(snapshot: &Snapshot) -> f64 {
    snapshot.squeezed_secs / snapshot.limits.cpu_cores * 0.5
}

fn io_waiting(snapshot: &Snapshot) -> f64 {
    snapshot.uptime_secs * IOWAIT_PART
}

fn pressure(some_secs: f64, full_secs: f64) -> String {
    let line = |name: &str, secs: f64| {
        let micros = (secs * 1e6).round();
        format!("{name} avg10=0.00 avg60=0.00 avg300=0.00 total={micros}\n")
    };
    line("some", some_secs) + &line("full", full_secs)
}

/// A request faults on thirty pages.
fn vmstat(snapshot: &Snapshot) -> String {
    let requests = snapshot.requests as f64;
    let written_kib = (requests / 10.0 + snapshot.uptime_secs).round() * 4.0;
    format!(
        "pgpgin 200000\npgpgout {written_kib}\npswpin 0\npswpout 0\npgfault {}\npgmajfault 1000\noom_kill 0\n",
        (requests * 30.0 + snapshot.uptime_secs * 50.0).round(),
    )
}
