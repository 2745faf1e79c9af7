//! Whole reports.

use gameday_signal::Timestamp;

use super::*;

#[test]
fn an_empty_record_renders() {
    let record = RunRecord::new("empty", "Empty", Timestamp::EPOCH);
    for (name, text) in report_files(&record) {
        assert!(text.contains("nconclusive"), "{name}: {text}");
    }
    for (name, text) in overview_files(std::slice::from_ref(&record), &[]) {
        assert!(text.contains("inconclusive"), "{name}: {text}");
    }
    assert!(render_console(&record, ConsoleOptions::default()).contains("INCONCLUSIVE"));
}
