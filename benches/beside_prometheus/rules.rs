//! Unit tests of SLO rules with long windows, beside promtool. The goal: thirty days in a second of CPU.

use std::path::Path;
use std::process::{Command, Stdio};

use gameday_env::Sim;

use crate::process::{Kind, cpu_fields};
use crate::{compare, fresh_folder};

const DAYS: [u32; 3] = [1, 3, 30];
const MINUTES_OF_DAY: u32 = 24 * 60;
const WINDOWS: [&str; 5] = ["5m", "1h", "6h", "3d", "30d"];
/// Long window, short window, burn rate (Google, The Site Reliability Workbook, chapter 5).
const BURN_RATES: [(&str, &str, &str); 3] =
    [("1h", "5m", "14.4"), ("6h", "1h", "6"), ("3d", "6h", "1")];

pub(crate) fn run(_: &Sim, kinds: &[Kind]) {
    for days in DAYS {
        let folder = fresh_folder("rules");
        let written = std::fs::write(folder.join("slo.yml"), rule_file())
            .and_then(|()| std::fs::write(folder.join("test.yml"), test_file(days)));
        written.expect("the bench can write into the target folder");
        let mut figures = Vec::new();
        for kind in kinds {
            let (passed, secs) = test(*kind, &folder.join("test.yml"));
            if passed {
                figures.push(secs * 1000.0);
            } else {
                assert_eq!(*kind, Kind::Prometheus, "ours passes");
                println!("  promtool fails on {days} days after {secs:.1} s of CPU");
            }
        }
        compare(&format!("{days} days of five windows, CPU"), "ms", &figures);
    }
}

/// Whether the test passes, and the CPU seconds that it takes.
fn test(kind: Kind, file: &Path) -> (bool, f64) {
    let program = match kind {
        Kind::Gameday => env!("CARGO_BIN_EXE_gameday"),
        Kind::Prometheus => "promtool",
    };
    let before = children_cpu_secs();
    let status = Command::new(program)
        .args(["test", "rules"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the program can be started");
    (status.success(), children_cpu_secs() - before)
}

/// The CPU seconds of all children that have ended: fields 16 and 17.
fn children_cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let [user, system] = cpu_fields(&stat, 16);
    user + system
}

fn rule_file() -> String {
    let recording = WINDOWS.map(|window| {
        format!(
            "      - record: slo:error_ratio:rate{window}\n        expr: sum(rate(errors_total[{window}])) / sum(rate(requests_total[{window}]))\n"
        )
    });
    let alerts = BURN_RATES.map(|(long, short, burn_rate)| {
        format!(
            "      - alert: BudgetBurns{long}\n        expr: slo:error_ratio:rate{long} > {burn_rate} * 0.001 and slo:error_ratio:rate{short} > {burn_rate} * 0.001\n        for: 2m\n        labels: {{severity: page}}\n"
        )
    });
    let spent = "      - alert: BudgetSpent\n        expr: slo:error_ratio:rate30d > 0.001\n        labels: {severity: ticket}\n";
    let head = "groups:\n  - name: slo\n    rules:\n";
    format!("{head}{}{}{spent}", recording.concat(), alerts.concat())
}

/// One request in a hundred fails all the time, so that every alert of a small burn rate fires at the end.
fn test_file(days: u32) -> String {
    let minutes = days * MINUTES_OF_DAY;
    let series = format!(
        "rule_files: [slo.yml]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n      - {{series: 'errors_total{{job=\"checkout\"}}', values: '0+6x{minutes}'}}\n      - {{series: 'requests_total{{job=\"checkout\"}}', values: '0+600x{minutes}'}}\n    alert_rule_test:\n"
    );
    let expected = format!(
        "      - eval_time: {days}d\n        alertname: BudgetSpent\n        exp_alerts: [{{exp_labels: {{severity: ticket}}}}]\n      - eval_time: {days}d\n        alertname: BudgetBurns3d\n        exp_alerts: [{{exp_labels: {{severity: page}}}}]\n"
    );
    series + &expected
}
