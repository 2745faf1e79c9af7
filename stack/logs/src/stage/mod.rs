//! The stages of a pipeline, compiled.

mod format;
mod functions;
mod hints;
mod ip;
pub(crate) mod json;
mod label_filter;
pub(crate) mod labels;
mod line_filter;
pub(crate) mod logfmt;
mod parsers;
mod path;
mod pattern;
mod pipeline;
pub(crate) mod units;

pub(crate) use hints::Hints;
pub(crate) use label_filter::CompiledLabelFilter;
pub(crate) use labels::{LineLabels, Source};
pub(crate) use line_filter::compile_regex;
pub(crate) use pipeline::{CompiledStage, Pipeline};

use crate::logql::{LabelFilter, Stage};

/// Compiles the stages; the error has Loki's words.
pub(crate) fn compile(stages: &[Stage]) -> Result<Vec<CompiledStage>, String> {
    let mut compiled = Vec::new();
    for stage in stages {
        CompiledStage::push(stage, &mut compiled)?;
    }
    Ok(compiled)
}

/// Whether a filter can be compiled.
pub(crate) fn check_filter(filter: &LabelFilter) -> Result<(), String> {
    CompiledLabelFilter::new(filter).map(drop)
}

/// Reads the fields of a line with the parser of that name; false where the line is not of its form.
pub(crate) fn parse_fields(parser: &str, line: &str, labels: &mut LineLabels) -> bool {
    let hints = Hints::default();
    if parser == "json" {
        parsers::json(
            line,
            labels,
            &hints,
            &[],
            &mut parsers::JsonPrefix::default(),
        );
    } else {
        parsers::logfmt(line, labels, &hints, true, false, &mut String::new());
    }
    labels.error.is_none()
}

/// The label of each value of a JSON line with the way to it.
pub(crate) fn json_paths(line: &str) -> Vec<(String, Vec<String>)> {
    let mut path: Vec<String> = Vec::new();
    let mut found = Vec::new();
    // A malformed rest does not take back what was found before it.
    let _ = json::walk(line, &mut |event| {
        match event {
            json::Event::Enter(key) => path.push(key.to_owned()),
            json::Event::Leave => drop(path.pop()),
            json::Event::Value(key, _) => {
                let mut full = path.clone();
                full.push(key.to_owned());
                let mut name = String::new();
                for part in &full {
                    if !name.is_empty() {
                        name.push('_');
                    }
                    labels::sanitize(part, &mut name);
                }
                found.push((name, full));
            }
        }
        json::Next::Into
    });
    found
}
