//! Reads the dashboards and data sources that a real Grafana uses, where the conformance data is: in the folder that
//! CONFORMANCE_DIR names, or beside the workspace; without them the test says so and passes.

use std::fs;
use std::path::{Path, PathBuf};

use gameday_board::{Dashboard, Datasources};

fn folder() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test that is told by the environment where its data lies"
    )]
    let named = std::env::var("CONFORMANCE_DIR").ok().map(PathBuf::from);
    let folder = named.unwrap_or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance")
    });
    let grafana = folder.join("grafana");
    grafana.is_dir().then_some(grafana)
}

#[test]
fn dashboards_and_data_sources_of_a_real_grafana() {
    let Some(folder) = folder() else {
        println!("skipped: no conformance data");
        return;
    };
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let mut panels = 0;
    let mut links = 0;
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        if name.ends_with(".json") {
            let dashboard = Dashboard::parse(&name, &text).unwrap();
            let queries = dashboard.queries().count();
            println!(
                "{name}: {} panels, {queries} queries, {} variables",
                dashboard.panels.len(),
                dashboard.variables.len()
            );
            assert!(
                queries > 0 && dashboard.queries().all(|(_, query)| !query.expr.is_empty()),
                "{name}"
            );
            assert_eq!(dashboard.findings(), [], "{name}");
            panels += dashboard.panels.len();
        } else if name.ends_with(".yaml") {
            let sources = Datasources::parse(&name, &text, |_| None).unwrap();
            assert_eq!(sources.broken_links(), [""; 0], "{name}");
            links += sources
                .0
                .iter()
                .map(|own| own.derived_fields.len() + own.exemplar_destinations.len())
                .sum::<usize>();
            println!("{name}: {} data sources", sources.0.len());
        }
    }
    assert!(panels >= 15 && links >= 2, "{panels} panels, {links} links");
}
