//! What a store with a folder keeps.

mod common;

use std::fs;
use std::path::PathBuf;

use common::{at, shop, span, trace_id};
use gameday_traces::{DiskConfig, Limits, Refusal, TraceStore};

/// A folder of its own for each test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self, config: DiskConfig) -> (TraceStore, gameday_traces::ReplayReport) {
        TraceStore::open(&self.0, Limits::default(), config, at(60_000)).expect("the folder opens")
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(&self.0)
            .expect("the folder is there")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
            .collect();
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_was_acknowledged_is_there_again() {
    let folder = Folder::new("again");
    let (mut store, replay) = folder.open(DiskConfig::default());
    assert_eq!((replay.files, replay.spans), (0, 0));
    for one in shop() {
        assert_eq!(store.append(vec![one], at(60_000)).accepted, 1);
    }
    let before: Vec<_> = store.all_spans().collect();
    // No farewell: a process that is killed says none.
    drop(store);
    let (mut store, replay) = folder.open(DiskConfig::default());
    assert_eq!(
        (
            replay.files,
            replay.spans,
            replay.left_out,
            replay.repairs.len()
        ),
        (1, 9, 0, 0)
    );
    assert_eq!(store.all_spans().collect::<Vec<_>>(), before);
    // It goes on in a new file, and sent again counts as known.
    assert_eq!(store.append(shop(), at(60_000)).duplicates, 9);
    store.append(vec![span(7, 1, 0, "mailer", "send", 100, 1)], at(60_000));
    drop(store);
    let (store, replay) = folder.open(DiskConfig::default());
    assert_eq!((replay.files, replay.spans), (2, 10));
    assert!(store.get(trace_id(7)).is_some() && store.stats().disk_bytes > 0);
}

#[test]
fn a_torn_end_costs_nothing_else() {
    let folder = Folder::new("torn");
    let (mut store, _) = folder.open(DiskConfig::default());
    store.append(vec![span(1, 1, 0, "a", "x", 0, 1)], at(60_000));
    let whole = fs::metadata(&folder.files()[0]).unwrap().len();
    store.append(vec![span(2, 1, 0, "a", "x", 0, 1)], at(60_000));
    drop(store);
    let path = folder.files()[0].clone();
    let bytes = fs::read(&path).unwrap();
    for length in whole as usize..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let (store, replay) = folder.open(DiskConfig::default());
        assert_eq!(
            (replay.spans, replay.repairs.len()),
            (1, usize::from(length > whole as usize)),
            "{length}"
        );
        assert!(store.get(trace_id(1)).is_some());
    }
    let mut flipped = bytes.clone();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(&path, &flipped).unwrap();
    let (_, replay) = folder.open(DiskConfig::default());
    let lost = bytes.len() as u64 - whole;
    let told = format!(
        "00000001.log:{whole}: the log has a record with a wrong checksum, {lost} bytes dropped"
    );
    assert_eq!((replay.spans, replay.repairs), (1, vec![told]));
    // What was cut is told once, and costs no other file.
    let (mut store, replay) = folder.open(DiskConfig::default());
    assert_eq!((replay.spans, replay.repairs.len()), (1, 0));
    store.append(vec![span(3, 1, 0, "a", "x", 0, 1)], at(60_000));
    drop(store);
    fs::write(&path, &flipped).unwrap();
    let (store, replay) = folder.open(DiskConfig::default());
    assert_eq!((replay.spans, replay.repairs.len()), (2, 1));
    assert!(store.get(trace_id(3)).is_some());
}

#[test]
fn old_files_go() {
    let folder = Folder::new("old");
    let config = DiskConfig {
        file_bytes: 1,
        ..DiskConfig::default()
    };
    let (mut store, _) = folder.open(config.clone());
    for trace in 1..=4 {
        store.append(
            vec![span(trace, 1, 0, "a", "x", trace as i64 * 1_000, 1)],
            at(60_000),
        );
    }
    assert_eq!(folder.files().len(), 4);
    let retention = Limits::default().retention;
    let evicted = store.tick(at(2_500) + retention);
    assert_eq!((evicted.traces, folder.files().len()), (2, 2));
    drop(store);
    let (store, replay) = folder.open(config);
    assert_eq!((replay.spans, store.stats().traces), (2, 2));
    drop(store);
    let small = DiskConfig {
        max_bytes: fs::metadata(&folder.files()[0]).unwrap().len(),
        ..DiskConfig::default()
    };
    let (mut store, _) = folder.open(small);
    store.tick(at(60_000));
    assert_eq!(folder.files().len(), 1);
}

#[test]
fn a_disk_that_refuses_is_said() {
    let folder = Folder::new("refuses");
    let (mut store, _) = folder.open(DiskConfig::default());
    fs::remove_dir_all(&folder.0).unwrap();
    let report = store.append(shop(), at(60_000));
    assert_eq!((report.accepted, report.refused_spans()), (0, 9));
    assert!(
        report.refused.contains_key(&Refusal::NotWritten),
        "{report:?}"
    );
    assert!(
        report
            .message()
            .unwrap()
            .contains("00000001.log: cannot write"),
        "{report:?}"
    );
    assert_eq!(store.stats().spans, 0);
}
