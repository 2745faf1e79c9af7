//! The incident timeline: what a run leaves behind, and everything that shows it.
//!
//! ```text
//!   harness -> RunRecord -+-> incidents: t0 to t11, measures, stages of the time to page
//!                         |
//!                         +-> console, Markdown, HTML, JSON, JUnit     (one run)
//!                         +-> overview: verdicts, precision, coverage  (all runs)
//! ```
//!
//! Entry functions: [`write_report`] and [`write_overview`]; [`render_console`] for the terminal.
//!
//! Invariants: a renderer reads a [`RunRecord`] and nothing else: no clock, no network, no environment, so the same record gives
//! the same bytes. Whatever telemetry says is hostile: it is made visible (`text`) and then escaped for the format it is shown in.
//! A moment that was not reached is never invented: it is `None`, and shown as "not reached".

mod chart;
mod chart_words;
mod console;
mod drill_down;
mod fault_windows;
mod files;
mod html;
mod html_parts;
mod incidents;
mod json;
mod junit;
mod lanes;
mod lines;
mod markdown;
mod markdown_text;
mod message;
mod moments;
mod overview;
mod record;
mod stage_bar;
mod stages;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod timing;
mod units;

pub use console::{ConsoleOptions, render_console};
pub use drill_down::{DrillDown, LogLine, SpanRow, waterfall};
pub use files::{overview_files, report_files, write_overview, write_report};
pub use html::render_html;
pub use incidents::{Incident, Muted, incidents, primary};
pub use json::{Error, JSON_FORMAT, parse_json, render_json};
pub use junit::{render_junit, render_junit_all};
pub use markdown::render_markdown;
pub use moments::{Mark, Measures, Moment, Moments};
pub use overview::{
    AlertCoverage, AlertScore, KnownAlert, alert_coverage, overall_verdict, overview_line,
    render_overview_html, render_overview_markdown,
};
pub use record::{
    AlertRecord, Chart, ChartSeries, ClockKind, EndpointLoad, Expectation, FaultRecord,
    LatencyQuantile, LoadSummary, Outcome, Place, RunRecord, ScenarioRecord, SloRecord,
    StepFailure, StepRecord, StepStatus, Threshold, Verdict,
};
pub use stages::{Stage, StageKind};
pub use timing::{AlertTiming, Bounds, TheoreticalMoments, WindowCondition};
