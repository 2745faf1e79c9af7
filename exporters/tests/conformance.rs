//! Third-party data: the metric names and types of the real exporters. Reads the folder of CONFORMANCE_DIR, or `../shared/conformance`
//! beside the workspace; skips where neither is there.

mod targets;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gameday_exporters::blackbox;
use gameday_exporters::node::{self, Source};
use gameday_signal::Timestamp;
use world::play;

/// Families of the collectors that the list of types lacks: newer kernels' fields of meminfo, and families that its source makes up
/// at run time.
const NOT_IN_THE_LIST: [&str; 3] = ["node_memory_", "node_filesystem_", "node_uname_info"];

#[expect(clippy::disallowed_methods, reason = "the one setting of this test")]
fn read(file: &str) -> Option<String> {
    let folder = std::env::var("CONFORMANCE_DIR").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance"),
        PathBuf::from,
    );
    fs::read_to_string(folder.join("exporters").join(file)).ok()
}

#[test]
fn node_families_have_the_types_of_the_real_one() {
    let Some(text) = read("node_exporter_metric_types.txt") else {
        println!("skipped: node_exporter_metric_types.txt is not there (set CONFORMANCE_DIR)");
        return;
    };
    let real: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let own = node::expose(&Source::machine(Timestamp::EPOCH, BTreeMap::new()));
    let mut held = 0;
    for line in own.lines() {
        let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|it| it.split_once(' '))
        else {
            continue;
        };
        match real.get(name) {
            Some(real) => {
                assert_eq!(kind, *real, "{name}");
                held += 1;
            }
            None => assert!(
                NOT_IN_THE_LIST.iter().any(|it| name.starts_with(it)),
                "{name}"
            ),
        }
    }
    println!("node_exporter_metric_types.txt: {held} families with their type");
    assert!(held > 60, "{held}");
}

#[test]
fn blackbox_names_are_those_of_the_real_one() {
    let Some(text) = read("blackbox_metric_names.txt") else {
        println!("skipped: blackbox_metric_names.txt is not there (set CONFORMANCE_DIR)");
        return;
    };
    let names: BTreeSet<&str> = text.lines().map(|line| line.trim_matches('"')).collect();
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let keep = Arc::clone(&seen);
    play(|env| async move {
        targets::start(&env).await;
        let config = targets::config();
        for (name, target) in [
            ("http_2xx", "web/health"),
            ("json_ok", "web/health"),
            ("icmp", "web"),
            ("chat", "ws://chat/"),
            ("https_2xx", "https://web/"),
            ("tls_banner", "web:443"),
            ("irc", "irc:6667"),
            ("dns_soa", "dns:53"),
            ("grpc", "health:50051"),
        ] {
            let module = &config.modules[name];
            let limit = Duration::from_secs(5);
            let report = blackbox::probe(&env, name, module, target, limit).await;
            assert!(report.success, "{}", report.log.join("\n"));
            let types = report
                .exposition
                .lines()
                .filter_map(|it| it.strip_prefix("# TYPE "));
            let names = types.filter_map(|it| Some(it.split_once(' ')?.0.to_owned()));
            keep.lock().expect("no panic").extend(names);
        }
    });
    let seen = seen.lock().expect("no panic");
    for name in seen.iter() {
        assert!(names.contains(name.as_str()), "{name} is not one of theirs");
    }
    for name in &names {
        assert!(seen.contains(*name), "{name}");
    }
    println!(
        "blackbox_metric_names.txt: {} of {}",
        seen.len(),
        names.len()
    );
}
