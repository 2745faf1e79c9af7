//! A store in a folder on the disk.

use std::fs;
use std::path::Path;

use gameday_disk::DiskFiles;
use gameday_metrics::{Engine, Store, StoreConfig, Value};
use gameday_signal::Labels;

fn open(folder: &Path) -> Store {
    let files = DiskFiles::new(folder).expect("a folder");
    let (store, recovery) =
        Store::open(StoreConfig::default(), Box::new(files)).expect("readable files");
    assert_eq!(recovery.repairs, Vec::<String>::new());
    store
}

#[test]
fn a_killed_process_loses_nothing_that_was_committed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("killed");
    let _ = fs::remove_dir_all(&folder);
    let up = Labels::new([("__name__", "up"), ("job", "checkout")]);
    for round in 0..4_i64 {
        let mut store = open(&folder);
        for index in 0..1000 {
            let at = (round * 1000 + index) * 1000;
            store.append(&up, at, 1.0).expect("in order");
        }
        store.commit().expect("written");
        if round == 1 {
            store.checkpoint().expect("written");
        }
        // Nothing is closed, flushed or dropped: as after a kill.
        std::mem::forget(store);
    }
    let store = open(&folder);
    let output = Engine::default()
        .instant(&store, "count_over_time(up[2h])", 4_000_000)
        .expect("valid");
    let Value::Vector(samples) = output.value else {
        panic!("a vector");
    };
    assert_eq!(samples[0].value.as_float(), Some(4000.0));
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("the folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "00000003.block",
            "00000003.heads",
            "00000003.wal",
            "00000004.wal"
        ]
    );
}
