//! The rules of the house, enforced.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Who may depend on whom; ARCHITECTURE.md draws the same. Another edge is a change of the architecture: it changes this table and
/// that drawing in the same commit.
const EDGES: &[(&str, &[&str])] = &[
    ("gameday-signal", &[]),
    ("gameday-query", &["gameday-signal"]),
    ("gameday-template", &["gameday-signal"]),
    ("gameday-wire", &["gameday-signal"]),
    ("gameday-disk", &["gameday-signal"]),
    ("gameday-env", &["gameday-signal"]),
    ("gameday-yaml", &["gameday-query", "gameday-signal"]),
    (
        "gameday-metrics",
        &["gameday-disk", "gameday-query", "gameday-signal"],
    ),
    (
        "gameday-logs",
        &[
            "gameday-disk",
            "gameday-query",
            "gameday-signal",
            "gameday-template",
        ],
    ),
    (
        "gameday-traces",
        &["gameday-disk", "gameday-query", "gameday-signal"],
    ),
    (
        "gameday-rules",
        &[
            "gameday-query",
            "gameday-signal",
            "gameday-template",
            "gameday-yaml",
        ],
    ),
    (
        "gameday-alerts",
        &[
            "gameday-query",
            "gameday-signal",
            "gameday-template",
            "gameday-yaml",
        ],
    ),
    ("gameday-board", &["gameday-signal", "gameday-yaml"]),
    (
        "gameday-server",
        &[
            "gameday-alerts",
            "gameday-board",
            "gameday-disk",
            "gameday-env",
            "gameday-logs",
            "gameday-metrics",
            "gameday-query",
            "gameday-rules",
            "gameday-signal",
            "gameday-template",
            "gameday-traces",
            "gameday-wire",
            "gameday-yaml",
        ],
    ),
    (
        "fake-service",
        &["gameday-env", "gameday-exporters", "gameday-signal"],
    ),
    (
        "gameday-exporters",
        &["gameday-env", "gameday-signal", "gameday-yaml"],
    ),
    (
        "gameday",
        &[
            "fake-service",
            "gameday-env",
            "gameday-exporters",
            "gameday-server",
            "gameday-signal",
            "gameday-yaml",
        ],
    ),
];

#[test]
fn rooms_depend_only_on_whom_they_may() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let packages = metadata["packages"].as_array().unwrap();
    let own: BTreeSet<&str> = packages
        .iter()
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let edges = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the table of rooms"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            // Tests may look at other rooms; what ships may not.
            if dependency["kind"].is_null() && own.contains(on) {
                assert!(
                    edges.contains(&on),
                    "{name} depends on {on}, which the table of rooms does not allow"
                );
            }
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = [
        "src",
        "stack",
        "fake-service",
        "exporters",
        "tests",
        "benches",
    ]
    .iter()
    .map(|name| root().join(name))
    .collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(found.len() > 50);
    found
}

fn name_of(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

#[test]
fn no_source_has_what_should_not_stay() {
    // Put together here, so that this file does not find itself.
    let words = [
        ["FIX", "ME"].concat(),
        ["XX", "X:"].concat(),
        ["todo", "!("].concat(),
        ["unimplemented", "!("].concat(),
        ["#[", "ignore"].concat(),
    ];
    for (path, text) in sources() {
        for word in &words {
            assert!(
                !text.contains(word.as_str()),
                "{} has {word}",
                name_of(&path)
            );
        }
    }
}

/// Only env goes to the outside: the lints of clippy.toml say so for functions; this says it for the crate that they come from.
#[test]
fn only_env_and_the_assembly_name_tokio() {
    // This file names it to forbid it.
    let may = [
        "stack/env/",
        "stack/server/",
        "fake-service/",
        "exporters/",
        "tests/tidy.rs",
    ];
    for (path, text) in sources() {
        let name = name_of(&path);
        let names_tokio = text
            .lines()
            .any(|line| line.contains("tokio::") && !line.trim_start().starts_with("//"));
        assert!(
            !names_tokio || may.iter().any(|room| name.starts_with(room)),
            "{name} names tokio: go through env"
        );
    }
}

#[test]
fn every_source_begins_with_what_it_is() {
    for (path, text) in sources() {
        let first = text.lines().next().unwrap_or_default();
        // A module of tests is described by the module that it tests.
        let is_test = path.file_name().is_some_and(|name| name == "tests.rs")
            || name_of(&path).contains("/tests/");
        assert!(
            is_test || first.starts_with("//!"),
            "{} does not begin with a line of documentation",
            name_of(&path)
        );
    }
}

#[test]
fn every_file_under_test_is_without_mistakes() {
    let report = gameday::checking::check(&root(), &[]).unwrap();
    assert!(report.errors.is_empty(), "{}", report.errors.join("\n"));
}

#[test]
fn every_fault_is_documented_and_used() {
    let scenarios: String = gameday::runner::feature_names(&root())
        .iter()
        .map(|name| {
            std::fs::read_to_string(root().join("scenarios").join(name).join("scenario.yaml"))
                .unwrap_or_default()
        })
        .collect();
    for kind in fake_service::FAULTS {
        assert!(
            !kind.summary.is_empty() && !kind.example.is_empty(),
            "{} has no documentation",
            kind.name
        );
        let used = scenarios.contains(&format!("type: {}\n", kind.name));
        assert!(used, "no scenario uses the fault {}", kind.name);
    }
    for kind in gameday::faults::RECEIVER_FAULTS {
        let used = scenarios.contains(&format!("type: {}\n", kind.name));
        assert!(used, "no scenario uses the fault {}", kind.name);
    }
}

/// A step that no game day uses is one that nobody has seen work.
#[test]
fn every_step_is_used() {
    let mut used = BTreeSet::new();
    for name in gameday::runner::feature_names(&root()) {
        let path = root().join("features").join(format!("{name}.feature"));
        let text = std::fs::read_to_string(path).unwrap();
        for line in text.lines() {
            let words = line.trim().split_once(' ').map_or("", |(_, rest)| rest);
            for (regex, step) in gameday::steps::compiled() {
                if regex.is_match(words) {
                    used.insert(step.pattern);
                }
            }
        }
    }
    let unused: Vec<&str> = gameday::steps::all()
        .map(|step| step.pattern)
        .filter(|pattern| !used.contains(pattern))
        // Its form for warnings, which plays the same function, is used.
        .filter(|pattern| !pattern.starts_with("a {string} log line of"))
        .collect();
    assert!(unused.is_empty(), "no feature uses {unused:#?}");
}
