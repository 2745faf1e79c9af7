//! The collectors: kernel formats -> samples, with the names and labels of prometheus/node_exporter.

use super::source::Source;
use crate::exposition::Exposition;

/// The kernel's unit of processor time for user space, in ticks a second (USER_HZ, 100 on every Linux of today).
pub(super) const USER_HZ: f64 = 100.0;

type Collector = fn(&Source, &mut Exposition);

/// The collectors by name, as `node_scrape_collector_success` has them.
const COLLECTORS: [(&str, Collector); 12] = [
    ("cpu", cpu),
    ("diskstats", diskstats),
    ("filesystem", filesystem),
    ("loadavg", loadavg),
    ("meminfo", meminfo),
    ("netdev", netdev),
    ("os", os),
    ("pressure", pressure),
    ("stat", stat),
    ("time", time),
    ("uname", uname),
    ("vmstat", vmstat),
];

/// Runs all of them.
pub(super) fn collect_all(source: &Source, out: &mut Exposition) {
    for (name, collect) in COLLECTORS {
        collect(source, out);
        let labels = [("collector", name)];
        out.gauge(
            "node_scrape_collector_duration_seconds",
            "How long the collector took (not measured: zero).",
            &labels,
            0.0,
        );
        out.gauge(
            "node_scrape_collector_success",
            "Whether the collector succeeded.",
            &labels,
            1.0,
        );
    }
}

/// The columns of a processor's line in `/proc/stat`.
const CPU_MODES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];

fn cpu(source: &Source, out: &mut Exposition) {
    for line in source.read("/proc/stat").lines() {
        let Some((core, ticks)) = line.strip_prefix("cpu").and_then(|it| it.split_once(' ')) else {
            continue;
        };
        if core.is_empty() {
            continue;
        }
        let secs: Vec<f64> = numbers(ticks).map(|it| it / USER_HZ).collect();
        let mut modes: Vec<(&str, f64)> = CPU_MODES.into_iter().zip(secs.iter().copied()).collect();
        modes.sort_by_key(|(mode, _)| *mode);
        for (mode, value) in modes {
            out.counter(
                "node_cpu_seconds_total",
                "Seconds that the cores spent in each mode.",
                &[("cpu", core), ("mode", mode)],
                value,
            );
        }
        for (mode, column) in [("nice", 9), ("user", 8)] {
            out.counter(
                "node_cpu_guest_seconds_total",
                "Seconds that the cores spent in guests in each mode.",
                &[("cpu", core), ("mode", mode)],
                secs.get(column).copied().unwrap_or_default(),
            );
        }
    }
}

fn stat(source: &Source, out: &mut Exposition) {
    let text = source.read("/proc/stat");
    for (field, kind, name, help) in [
        ("intr", "counter", "node_intr_total", "Interrupts served."),
        (
            "ctxt",
            "counter",
            "node_context_switches_total",
            "Context switches.",
        ),
        ("processes", "counter", "node_forks_total", "Forks."),
        (
            "btime",
            "gauge",
            "node_boot_time_seconds",
            "When the node booted, in seconds since the Unix epoch.",
        ),
        (
            "procs_running",
            "gauge",
            "node_procs_running",
            "Processes that can run.",
        ),
        (
            "procs_blocked",
            "gauge",
            "node_procs_blocked",
            "Processes that wait for input or output.",
        ),
    ] {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(' '))
            .and_then(|rest| numbers(rest).next());
        if let Some(value) = value {
            out.sample(kind, name, help, &[], value);
        }
    }
}

fn meminfo(source: &Source, out: &mut Exposition) {
    for line in source.read("/proc/meminfo").lines() {
        let Some((field, rest)) = line.split_once(':') else {
            continue;
        };
        let Some(value) = numbers(rest).next() else {
            continue;
        };
        let field = field.replace('(', "_").replace(')', "");
        let (name, value) = if rest.trim_end().ends_with("kB") {
            (format!("node_memory_{field}_bytes"), value * 1024.0)
        } else {
            (format!("node_memory_{field}"), value)
        };
        let help = format!("Memory information field {field}.");
        out.gauge(&name, &help, &[], value);
    }
}

/// Columns of `/proc/diskstats` after the device: metric, factor, help (Documentation/admin-guide/iostats.rst).
const DISK_COLUMNS: [(&str, f64, &str); 17] = [
    ("reads_completed_total", 1.0, "Reads completed."),
    ("reads_merged_total", 1.0, "Reads merged."),
    ("read_bytes_total", 512.0, "Bytes read."),
    (
        "read_time_seconds_total",
        0.001,
        "Seconds spent by all reads.",
    ),
    ("writes_completed_total", 1.0, "Writes completed."),
    ("writes_merged_total", 1.0, "Writes merged."),
    ("written_bytes_total", 512.0, "Bytes written."),
    (
        "write_time_seconds_total",
        0.001,
        "Seconds spent by all writes.",
    ),
    ("io_now", 1.0, "Inputs and outputs in progress."),
    (
        "io_time_seconds_total",
        0.001,
        "Seconds spent with input or output.",
    ),
    (
        "io_time_weighted_seconds_total",
        0.001,
        "Seconds spent with input or output, weighted.",
    ),
    ("discards_completed_total", 1.0, "Discards completed."),
    ("discards_merged_total", 1.0, "Discards merged."),
    ("discarded_sectors_total", 1.0, "Sectors discarded."),
    (
        "discard_time_seconds_total",
        0.001,
        "Seconds spent by all discards.",
    ),
    ("flush_requests_total", 1.0, "Flush requests completed."),
    (
        "flush_requests_time_seconds_total",
        0.001,
        "Seconds spent by all flush requests.",
    ),
];

fn diskstats(source: &Source, out: &mut Exposition) {
    for line in source.read("/proc/diskstats").lines() {
        let mut fields = line.split_whitespace();
        let (Some(major), Some(minor), Some(device)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if is_ignored_disk(device) {
            continue;
        }
        let udev = source.read(&format!("/run/udev/data/b{major}:{minor}"));
        let property = |name: &str| {
            udev.lines()
                .find_map(|line| {
                    line.strip_prefix("E:")?
                        .strip_prefix(name)?
                        .strip_prefix('=')
                })
                .unwrap_or_default()
        };
        out.gauge(
            "node_disk_info",
            "The disks.",
            &[
                ("device", device),
                ("major", major),
                ("minor", minor),
                ("model", property("ID_MODEL")),
                ("path", property("ID_PATH")),
                ("revision", property("ID_REVISION")),
                ("serial", property("ID_SERIAL_SHORT")),
                ("wwn", property("ID_WWN")),
            ],
            1.0,
        );
        let values = fields.filter_map(|it| it.parse::<f64>().ok());
        for ((name, factor, help), value) in DISK_COLUMNS.into_iter().zip(values) {
            let kind = if name == "io_now" { "gauge" } else { "counter" };
            let name = format!("node_disk_{name}");
            out.sample(kind, &name, help, &[("device", device)], value * factor);
        }
    }
}

/// RAM disks, loops and partitions: `^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`.
fn is_ignored_disk(device: &str) -> bool {
    let stem = device.trim_end_matches(|it: char| it.is_ascii_digit());
    if stem.len() == device.len() {
        return false;
    }
    let partition = ["hd", "sd", "vd", "xvd"].iter().any(|prefix| {
        stem.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|it| it.is_ascii_lowercase()))
    });
    let nvme_partition = stem.starts_with("nvme") && stem.ends_with('p');
    matches!(stem, "ram" | "loop" | "fd") || partition || nvme_partition
}

/// File systems that hold no files of anybody's (node_exporter's default exclusion).
const IGNORED_FS_TYPES: [&str; 26] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    "",
    "none",
];
/// Mount points that are left out with all below them (the default exclusion of Debian's package).
const IGNORED_MOUNTS: [&str; 6] = ["/dev", "/proc", "/run", "/sys", "/mnt", "/media"];

fn filesystem(source: &Source, out: &mut Exposition) {
    let mut seen = Vec::new();
    for [device, mountpoint, fs_type, options] in source.mounts() {
        let below = |parent: &str| {
            mountpoint
                .strip_prefix(parent)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let container = ["/var/lib/docker/", "/var/lib/containers/storage/"]
            .iter()
            .any(|prefix| mountpoint.starts_with(prefix));
        let ignored = container
            || IGNORED_FS_TYPES.contains(&fs_type.as_str())
            || IGNORED_MOUNTS.iter().any(|parent| below(parent));
        let key = (device.clone(), mountpoint.clone());
        if ignored || seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let labels = [
            ("device", device.as_str()),
            ("fstype", fs_type.as_str()),
            ("mountpoint", mountpoint.as_str()),
        ];
        let volume = source.volume(&mountpoint);
        let error = f64::from(u8::from(volume.is_none()));
        out.gauge(
            "node_filesystem_device_error",
            "Whether the file system could not be asked.",
            &labels,
            error,
        );
        let Some(volume) = volume else {
            continue;
        };
        let read_only = volume.read_only || options.split(',').any(|option| option == "ro");
        for (name, help, value) in [
            (
                "avail_bytes",
                "Room that users may take, in bytes.",
                volume.avail_bytes,
            ),
            ("files", "File nodes.", volume.files),
            ("files_free", "Free file nodes.", volume.files_free),
            ("free_bytes", "Free room in bytes.", volume.free_bytes),
            (
                "readonly",
                "Whether it is read-only.",
                f64::from(u8::from(read_only)),
            ),
            ("size_bytes", "Size in bytes.", volume.size_bytes),
        ] {
            out.gauge(&format!("node_filesystem_{name}"), help, &labels, value);
        }
    }
}

/// The columns of `/proc/net/dev`.
const NET_COLUMNS: [&str; 16] = [
    "receive_bytes",
    "receive_packets",
    "receive_errs",
    "receive_drop",
    "receive_fifo",
    "receive_frame",
    "receive_compressed",
    "receive_multicast",
    "transmit_bytes",
    "transmit_packets",
    "transmit_errs",
    "transmit_drop",
    "transmit_fifo",
    "transmit_colls",
    "transmit_carrier",
    "transmit_compressed",
];

fn netdev(source: &Source, out: &mut Exposition) {
    for line in source.read("/proc/net/dev").lines().skip(2) {
        let Some((device, columns)) = line.split_once(':') else {
            continue;
        };
        let device = device.trim();
        if device == "lo" {
            continue;
        }
        let no_handler = source.read(&format!("/sys/class/net/{device}/statistics/rx_nohandler"));
        let values = NET_COLUMNS.into_iter().zip(numbers(columns));
        let more = numbers(&no_handler)
            .next()
            .map(|it| ("receive_nohandler", it));
        for (column, value) in values.chain(more) {
            let help = format!("Network device statistic {column}.");
            let name = format!("node_network_{column}_total");
            out.counter(&name, &help, &[("device", device)], value);
        }
    }
}

fn loadavg(source: &Source, out: &mut Exposition) {
    let text = source.read("/proc/loadavg");
    for (name, value) in ["1", "5", "15"].into_iter().zip(numbers(&text)) {
        let help = format!("{name}m load average.");
        out.gauge(&format!("node_load{name}"), &help, &[], value);
    }
}

fn pressure(source: &Source, out: &mut Exposition) {
    for (resource, line, name) in [
        ("cpu", "some", "node_pressure_cpu_waiting_seconds_total"),
        ("io", "some", "node_pressure_io_waiting_seconds_total"),
        ("io", "full", "node_pressure_io_stalled_seconds_total"),
        (
            "memory",
            "some",
            "node_pressure_memory_waiting_seconds_total",
        ),
        (
            "memory",
            "full",
            "node_pressure_memory_stalled_seconds_total",
        ),
    ] {
        let micros = source
            .read(&format!("/proc/pressure/{resource}"))
            .lines()
            .find(|it| it.starts_with(line))
            .and_then(|it| it.rsplit_once("total=")?.1.parse::<f64>().ok());
        if let Some(micros) = micros {
            let help = "Seconds that processes waited for, or were all stalled on, the resource.";
            out.counter(name, help, &[], micros / 1e6);
        }
    }
}

fn vmstat(source: &Source, out: &mut Exposition) {
    for line in source.read("/proc/vmstat").lines() {
        let Some((field, value)) = line.split_once(' ') else {
            continue;
        };
        // ^(oom_kill|pgpg|pswp|pg.*fault).*
        let wanted = ["oom_kill", "pgpg", "pswp"]
            .iter()
            .any(|it| field.starts_with(it))
            || (field.starts_with("pg") && field.contains("fault"));
        if let (true, Ok(value)) = (wanted, value.trim().parse()) {
            let help = format!("/proc/vmstat information field {field}.");
            out.sample(
                "untyped",
                &format!("node_vmstat_{field}"),
                &help,
                &[],
                value,
            );
        }
    }
}

fn uname(source: &Source, out: &mut Exposition) {
    let kernel = |file: &str| {
        source
            .read(&format!("/proc/sys/kernel/{file}"))
            .trim()
            .to_owned()
    };
    out.gauge(
        "node_uname_info",
        "What uname says.",
        &[
            ("domainname", &kernel("domainname")),
            ("machine", std::env::consts::ARCH),
            ("nodename", &kernel("hostname")),
            ("release", &kernel("osrelease")),
            ("sysname", &kernel("ostype")),
            ("version", &kernel("version")),
        ],
        1.0,
    );
}

fn time(source: &Source, out: &mut Exposition) {
    let now = source.now.as_secs_f64();
    out.gauge(
        "node_time_seconds",
        "Seconds since the Unix epoch.",
        &[],
        now,
    );
    let zone = [("time_zone", "UTC")];
    out.gauge(
        "node_time_zone_offset_seconds",
        "The offset of the time zone in seconds.",
        &zone,
        0.0,
    );
    let folder = "/sys/devices/system/clocksource/clocksource0";
    for name in source
        .read(&format!("{folder}/available_clocksource"))
        .split_whitespace()
    {
        let labels = [("clocksource", name), ("device", "0")];
        out.gauge(
            "node_time_clocksource_available_info",
            "Clock sources that can be used.",
            &labels,
            1.0,
        );
    }
    let current = source.read(&format!("{folder}/current_clocksource"));
    let labels = [("clocksource", current.trim()), ("device", "0")];
    out.gauge(
        "node_time_clocksource_current_info",
        "The clock source that is used.",
        &labels,
        1.0,
    );
}

fn os(source: &Source, out: &mut Exposition) {
    let text = source.read("/etc/os-release");
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']))
            .unwrap_or_default()
    };
    out.gauge(
        "node_os_info",
        "The operating system.",
        &[
            ("build_id", field("BUILD_ID")),
            ("id", field("ID")),
            ("id_like", field("ID_LIKE")),
            ("image_id", field("IMAGE_ID")),
            ("image_version", field("IMAGE_VERSION")),
            ("name", field("NAME")),
            ("pretty_name", field("PRETTY_NAME")),
            ("variant", field("VARIANT")),
            ("variant_id", field("VARIANT_ID")),
            ("version", field("VERSION")),
            ("version_codename", field("VERSION_CODENAME")),
            ("version_id", field("VERSION_ID")),
        ],
        1.0,
    );
    let version = field("VERSION_ID");
    if let Ok(number) = version.parse() {
        let labels = [
            ("id", field("ID")),
            ("id_like", field("ID_LIKE")),
            ("name", field("NAME")),
        ];
        out.gauge(
            "node_os_version",
            "Major and minor version of the operating system.",
            &labels,
            number,
        );
    }
}

fn numbers(text: &str) -> impl Iterator<Item = f64> + '_ {
    text.split_whitespace().map_while(|it| it.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_loops_are_ignored() {
        for (device, ignored) in [
            ("sda", false),
            ("sda1", true),
            ("vda", false),
            ("xvdb2", true),
            ("nvme0n1", false),
            ("nvme0n1p3", true),
            ("loop7", true),
            ("ram0", true),
            ("zram0", false),
            ("dm-0", false),
            ("md127", false),
        ] {
            assert_eq!(is_ignored_disk(device), ignored, "{device}");
        }
    }
}
