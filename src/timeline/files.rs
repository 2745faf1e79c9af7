//! The files of a report.

use std::io;
use std::path::{Path, PathBuf};

use super::html::render_html;
use super::json::render_json;
use super::junit::{render_junit, render_junit_all};
use super::markdown::render_markdown;
use super::overview::{KnownAlert, file_name, render_overview_html, render_overview_markdown};
use super::record::RunRecord;

/// The files of one run's report by name: `index.html`, `report.md`, `report.json`, `junit.xml`.
pub fn report_files(record: &RunRecord) -> [(&'static str, String); 4] {
    [
        ("index.html", render_html(record)),
        ("report.md", render_markdown(record)),
        ("report.json", render_json(record)),
        ("junit.xml", render_junit(record)),
    ]
}

/// The files of the overview by name: `index.html`, `overview.md`, `junit.xml`.
pub fn overview_files(records: &[RunRecord], known: &[KnownAlert]) -> [(&'static str, String); 3] {
    let all: Vec<&RunRecord> = records.iter().collect();
    [
        ("index.html", render_overview_html(records, known)),
        ("overview.md", render_overview_markdown(records, known)),
        ("junit.xml", render_junit_all(&all)),
    ]
}

/// Writes the report of a run into a folder of its name below `out`, and tells which files these are.
///
/// # Errors
/// Where the folder or a file cannot be written.
pub fn write_report(record: &RunRecord, out: &Path) -> io::Result<Vec<PathBuf>> {
    write(&out.join(file_name(&record.name)), report_files(record))
}

/// Writes the overview into `out`, and tells which files these are.
///
/// # Errors
/// Where the folder or a file cannot be written.
pub fn write_overview(
    records: &[RunRecord],
    known: &[KnownAlert],
    out: &Path,
) -> io::Result<Vec<PathBuf>> {
    write(out, overview_files(records, known))
}

fn write<const COUNT: usize>(
    folder: &Path,
    files: [(&str, String); COUNT],
) -> io::Result<Vec<PathBuf>> {
    let named = |path: &Path, error: &io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| named(folder, &error))?;
    let mut paths = Vec::with_capacity(COUNT);
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| named(&path, &error))?;
        paths.push(path);
    }
    Ok(paths)
}
