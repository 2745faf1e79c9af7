//! What a store with a folder keeps.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use gameday_logs::{
    Direction, DiskConfig, Entry, Limits, QueryResult, RangeRequest, Recovery, Store, query_range,
};
use gameday_signal::{Labels, Timestamp};

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("logs-disk")
            .join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self, config: DiskConfig) -> (Store, Recovery) {
        self.open_with(limits(), config, NOW)
    }

    fn open_with(&self, limits: Limits, config: DiskConfig, now: i64) -> (Store, Recovery) {
        Store::open(&self.0, limits, config, at(now)).expect("the folder opens")
    }

    /// The files of a kind with their sizes.
    fn files(&self, kind: &str) -> Vec<(PathBuf, u64)> {
        let mut files: Vec<(PathBuf, u64)> = fs::read_dir(&self.0)
            .expect("the folder is there")
            .map(|entry| entry.expect("an entry"))
            .map(|entry| (entry.path(), entry.metadata().expect("metadata").len()))
            .filter(|(path, _)| path.extension().is_some_and(|own| own == kind))
            .collect();
        files.sort();
        files
    }

    fn bytes(&self) -> u64 {
        ["wal", "segment", "heads"]
            .iter()
            .flat_map(|kind| self.files(kind))
            .map(|(_, bytes)| bytes)
            .sum()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NOW: i64 = 1_700_000_000;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn stream(app: &str) -> Labels {
    Labels::new([("app", app), ("service_name", app)])
}

/// Appends `count` lines from `first` on, one a millisecond, with metadata on every second one.
fn fill(store: &mut Store, app: &str, first: i64, count: i64) {
    let entries = (first..first + count)
        .map(|number| {
            let time = at(NOW - 3600) + Duration::from_millis(number as u64);
            let mut entry = Entry::new(time, json_line(number as u64));
            if number % 2 == 0 {
                let id = format!("{:032x}", scramble(number as u64));
                entry.metadata.push("trace_id", &id);
            }
            entry
        })
        .collect();
    let appended = store.append(&stream(app), entries, at(NOW));
    assert_eq!(appended.rejected, 0, "{:?}", appended.reasons);
}

/// Steele and Vigna's SplitMix64, one step: cheap noise.
fn scramble(number: u64) -> u64 {
    let mut value = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A line of about 260 bytes as services write them.
fn json_line(number: u64) -> String {
    let noise = scramble(number);
    let routes = ["/api/checkout", "/api/cart", "/api/users/me", "/api/search"];
    let levels = ["info", "info", "info", "warn"];
    format!(
        r#"{{"ts":"2023-11-14T22:13:{:02}.{:03}Z","level":"{}","msg":"request served","method":"GET","route":"{}","status":{},"duration_ms":{}.{:03},"trace_id":"{:016x}{:016x}","user":"u-{}","region":"eu-central-1","host":"checkout-7d9f{}","bytes":{}}}"#,
        number / 1000 % 60,
        number % 1000,
        levels[(noise % 4) as usize],
        routes[(noise >> 2) as usize % 4],
        if noise.is_multiple_of(97) { 500 } else { 200 },
        noise % 250,
        noise % 1000,
        noise,
        scramble(noise),
        noise % 10_000,
        noise % 8,
        noise % 50_000
    )
}

/// Everything that a store holds, as text.
fn dump(store: &Store) -> Vec<String> {
    let request = RangeRequest {
        start: at(NOW - 86_400),
        end: at(NOW + 60),
        step: Duration::from_secs(60),
        interval: Duration::ZERO,
        limit: 1_000_000,
        direction: Direction::Forward,
        categorize_labels: false,
    };
    let data = query_range(store, "{app=~\".+\"}", &request).expect("a good query");
    let QueryResult::Streams(streams) = data.result else {
        panic!("not streams");
    };
    let mut lines = Vec::new();
    for stream in streams {
        for entry in stream.values {
            let time = entry.timestamp.as_nanos();
            lines.push(format!("{time} {:?} {}", stream.stream, entry.line));
        }
    }
    lines.sort();
    lines
}

fn limits() -> Limits {
    Limits {
        query_entries_max: 1_000_000,
        ..Limits::default()
    }
}

/// Checkpoints come after a few hundred lines.
fn small() -> DiskConfig {
    DiskConfig {
        wal_bytes: 20_000,
        ..DiskConfig::default()
    }
}

/// No checkpoint comes by itself.
fn large() -> DiskConfig {
    DiskConfig {
        wal_bytes: u64::MAX,
        ..DiskConfig::default()
    }
}

#[test]
fn what_was_committed_is_there_again() {
    for (name, config) in [("small", small()), ("large", large())] {
        let folder = Folder::new(name);
        let (mut expected, mut entries) = (Vec::new(), 0);
        // Each round is a process that is killed; some write checkpoints.
        for round in 0..5 {
            let (mut store, recovery) = folder.open(config.clone());
            assert_eq!(recovery.repairs, Vec::<String>::new());
            assert_eq!(recovery.lines, entries);
            assert_eq!(dump(&store), expected, "{name}, round {round}");
            for batch in 0..10 {
                fill(&mut store, "a", round * 1000 + batch * 100, 100);
                fill(&mut store, "b", round * 10 + batch, 1);
                store.commit().expect("written");
            }
            // Late lines, and lines that are there already.
            fill(&mut store, "a", round * 500, 50);
            store.commit().expect("written");
            if round % 2 == 1 {
                store.checkpoint().expect("written");
                fill(&mut store, "c", round, 1);
                store.commit().expect("written");
            }
            expected = dump(&store);
            assert!(!expected.is_empty());
            // A late line that stands in a sealed block already is kept twice and read once.
            entries = store.stats().entries;
            fill(&mut store, "never", 1, 1);
            // Never committed, so it may be lost.
        }
    }
}

#[test]
fn a_damaged_log_is_cut_and_told() {
    for damage in ["truncated", "changed"] {
        let folder = Folder::new(damage);
        let (mut store, _) = folder.open(large());
        fill(&mut store, "a", 0, 10);
        store.commit().expect("written");
        let good = dump(&store);
        let (path, size) = folder.files("wal")[0].clone();
        fill(&mut store, "a", 10, 10);
        store.commit().expect("written");
        drop(store);
        let mut bytes = fs::read(&path).expect("the log");
        if damage == "truncated" {
            bytes.pop();
        } else if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        let dropped = bytes.len() as u64 - size;
        fs::write(&path, bytes).expect("written");
        let (mut store, recovery) = folder.open(large());
        assert_eq!(dump(&store), good, "{damage}");
        let reason = match damage {
            "truncated" => "ends in the middle of a record",
            _ => "has a record with a wrong checksum",
        };
        let told = format!("00000001.wal:{size}: the log {reason}, {dropped} bytes dropped");
        assert_eq!(recovery.repairs, [told]);
        // And it goes on from there.
        fill(&mut store, "a", 10, 10);
        store.commit().expect("written");
        let expected = dump(&store);
        drop(store);
        let (again, recovery) = folder.open(large());
        assert_eq!(recovery.repairs, Vec::<String>::new());
        assert_eq!(dump(&again), expected);
    }
}

#[test]
fn random_damage_never_panics() {
    let folder = Folder::new("random");
    let (mut store, _) = folder.open(large());
    fill(&mut store, "a", 0, 1500);
    store.checkpoint().expect("written");
    fill(&mut store, "a", 1500, 100);
    store.commit().expect("written");
    let whole = dump(&store).len() as u64;
    drop(store);
    for kind in ["segment", "heads", "wal"] {
        let (path, size) = folder.files(kind)[0].clone();
        let good = fs::read(&path).expect("a file");
        for offset in (0..size as usize).step_by(size as usize / 20 + 1) {
            let mut bytes = good.clone();
            bytes[offset] ^= 0x55;
            fs::write(&path, bytes).expect("written");
            let (store, recovery) = folder.open(large());
            assert_eq!(recovery.repairs.len(), 1, "{kind} at {offset}");
            assert!(recovery.lines < whole, "{kind} at {offset}");
            drop(store);
            fs::write(&path, &good).expect("written");
        }
    }
}

#[test]
fn names_of_a_stream_that_came_again_are_told_apart() {
    let folder = Folder::new("names");
    let (mut store, _) = folder.open(large());
    let push = |store: &mut Store, secs: i64, name: &str| {
        let mut entry = Entry::new(at(secs), format!("{name} {secs}"));
        entry.metadata.push(name, "v");
        let appended = store.append(&stream("a"), vec![entry], at(NOW));
        assert_eq!(appended.accepted, 1, "{:?}", appended.reasons);
    };
    push(&mut store, NOW - 10, "first");
    store.checkpoint().expect("written");
    let before = dump(&store);
    drop(store);
    // The same stream in another folder, with other numbers for its names; its heads take the place of the first ones.
    let other = Folder::new("names-other");
    let (mut store, _) = other.open(large());
    push(&mut store, NOW - 5, "second");
    store.commit().expect("written");
    let after = dump(&store);
    drop(store);
    let (wal, _) = other.files("wal")[0].clone();
    fs::copy(wal, folder.0.join("00000007.wal")).expect("copied");
    let (store, recovery) = folder.open(large());
    assert_eq!(recovery.repairs, Vec::<String>::new());
    assert_eq!(dump(&store), [before, after].concat());
}

#[test]
fn retention_by_time_and_size_removes_segments() {
    let folder = Folder::new("retention");
    let (mut store, _) = folder.open(large());
    for round in 0..4 {
        // More than a head holds, so that each segment has blocks.
        fill(&mut store, "a", round * 10_000, 2_000);
        store.checkpoint().expect("written");
    }
    assert_eq!(folder.files("segment").len(), 4);
    drop(store);
    // All lines of the first round are older than an hour less 5 seconds.
    let hour = Limits {
        retention: Some(Duration::from_secs(3595)),
        ..limits()
    };
    let (store, recovery) = folder.open_with(hour, large(), NOW);
    assert_eq!(folder.files("segment").len(), 3);
    assert!(recovery.lines < 8_000, "{recovery:?}");
    drop(store);
    let tight = DiskConfig {
        bytes_max: folder.bytes() * 2 / 3,
        ..large()
    };
    let (mut store, recovery) = folder.open(tight.clone());
    assert!(folder.files("segment").len() < 3);
    assert!(recovery.lines > 2_000, "{recovery:?}");
    assert!(store.stats().disk_bytes <= tight.bytes_max);
    fill(&mut store, "a", 40_000, 100);
    store.commit().expect("written");
}

#[test]
fn json_lines_take_a_quarter_of_their_size() {
    let folder = Folder::new("ratio");
    let (mut store, _) = folder.open(DiskConfig::default());
    for batch in 0..40 {
        fill(&mut store, "a", batch * 500, 500);
        store.commit().expect("written");
    }
    store.checkpoint().expect("written");
    let (stats, bytes) = (store.stats(), folder.bytes());
    assert_eq!(stats.disk_bytes, bytes);
    let ratio = bytes as f64 / stats.raw_bytes as f64;
    assert!(
        ratio <= 0.25,
        "{bytes} of {} are {ratio:.3}",
        stats.raw_bytes
    );
}
