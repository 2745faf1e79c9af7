//! The four measures over a window, and their exposition.

use std::time::Duration;

use gameday_signal::Timestamp;

use super::history::{Change, ChangeOutcome, History};
use super::levels::{Level, Levels};
use crate::exposition::Exposition;

/// Over how long a measure looks back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The label `window`.
    pub name: &'static str,
    /// Its length in days.
    pub days: u32,
}

/// The windows that are exposed; classifications are over the last.
pub(super) const WINDOWS: [Window; 2] = [
    Window {
        name: "7d",
        days: 7,
    },
    Window {
        name: "30d",
        days: 30,
    },
];

/// The four measures over one window. What cannot be told without a change is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Measures {
    /// Changes that went live, a day.
    pub deployments_per_day: f64,
    /// The medians of the three parts of the lead time and of their sum: commit to trigger, trigger to build complete, build
    /// complete to live.
    pub lead_time_secs: Option<[f64; 4]>,
    /// Changes that failed or were rolled back, 0 to 1 of all.
    pub change_failure_ratio: Option<f64>,
    /// The mean time from a failure to its restore.
    pub time_to_restore_secs: Option<f64>,
}

/// The labels `stage` of the lead time.
const STAGES: [&str; 4] = [
    "commit_to_trigger",
    "trigger_to_build",
    "build_to_deploy",
    "total",
];

impl Measures {
    /// The measures of the changes that ended within the window before `now`.
    pub fn over(history: &History, window: Window, now: Timestamp) -> Self {
        let begin = now - Duration::from_secs(u64::from(window.days) * 86_400);
        let within = |at: Timestamp| at > begin && at <= now;
        let changes: Vec<&Change> = history
            .changes
            .iter()
            .filter(|it| within(it.ended_at))
            .collect();
        let deployed = changes
            .iter()
            .filter(|it| it.outcome != ChangeOutcome::Failed)
            .count();
        let failed = changes
            .iter()
            .filter(|it| it.outcome != ChangeOutcome::Live)
            .count();
        let restores: Vec<f64> = changes
            .iter()
            .filter_map(|it| Some(it.restored_at?.since(it.ended_at).as_secs_f64()))
            .collect();
        let ratio = |part: usize, all: usize| (all > 0).then(|| part as f64 / all as f64);
        Self {
            deployments_per_day: deployed as f64 / f64::from(window.days),
            lead_time_secs: lead_time(&changes),
            change_failure_ratio: ratio(failed, changes.len()),
            time_to_restore_secs: (!restores.is_empty())
                .then(|| restores.iter().sum::<f64>() / restores.len() as f64),
        }
    }
}

/// A rollback brings nothing new, so it has no lead time.
fn lead_time(changes: &[&Change]) -> Option<[f64; 4]> {
    let mut parts: [Vec<f64>; 4] = Default::default();
    for change in changes {
        let (Some(committed_at), false) = (change.committed_at, change.is_rollback) else {
            continue;
        };
        if change.outcome == ChangeOutcome::Failed {
            continue;
        }
        let secs = [
            change.triggered_at.since(committed_at),
            change.built_at.since(change.triggered_at),
            change.ended_at.since(change.built_at),
            change.ended_at.since(committed_at),
        ];
        for (part, duration) in parts.iter_mut().zip(secs) {
            part.push(duration.as_secs_f64());
        }
    }
    let [commit, build, deploy, total] = parts.map(median);
    Some([commit?, build?, deploy?, total?])
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// Writes everything that the history tells.
pub(super) fn expose(
    history: &History,
    repository: &str,
    levels: &Levels,
    now: Timestamp,
    out: &mut Exposition,
) {
    let labels = [("repository", repository)];
    totals(history, repository, out);
    for window in WINDOWS {
        let measures = Measures::over(history, window, now);
        expose_window(&measures, window, repository, out);
        if window == WINDOWS[WINDOWS.len() - 1] {
            classify(&measures, repository, levels, out);
        }
        let begin = now - Duration::from_secs(u64::from(window.days) * 86_400);
        let merged = history
            .merged_at
            .iter()
            .filter(|at| **at > begin && **at <= now)
            .count();
        out.gauge(
            "dora_merged_pull_requests",
            "Pull requests that were merged within the window.",
            &[("repository", repository), ("window", window.name)],
            merged as f64,
        );
    }
    let last = |wanted: fn(&Change) -> bool| {
        history
            .changes
            .iter()
            .filter(|it| wanted(it))
            .map(|it| it.ended_at)
            .next_back()
    };
    for (name, help, at) in [
        (
            "dora_last_deployment_timestamp_seconds",
            "When a change last went live.",
            last(|it| it.outcome != ChangeOutcome::Failed),
        ),
        (
            "dora_last_failure_timestamp_seconds",
            "When a change last failed, or went live that was rolled back later.",
            last(|it| it.outcome != ChangeOutcome::Live),
        ),
    ] {
        if let Some(at) = at {
            out.gauge(name, help, &labels, at.as_secs_f64());
        }
    }
    let open = history
        .changes
        .iter()
        .find(|it| it.outcome != ChangeOutcome::Live && it.restored_at.is_none());
    out.gauge(
        "dora_open_failure_seconds",
        "How long the oldest failure that is not restored has lasted; 0 where there is none.",
        &labels,
        open.map_or(0.0, |it| now.since(it.ended_at).as_secs_f64()),
    );
}

fn totals(history: &History, repository: &str, out: &mut Exposition) {
    for (outcome, name) in [
        (ChangeOutcome::Failed, "failure"),
        (ChangeOutcome::RolledBack, "rolled_back"),
        (ChangeOutcome::Live, "success"),
    ] {
        let count = history
            .changes
            .iter()
            .filter(|it| it.outcome == outcome)
            .count();
        out.gauge(
            "dora_changes",
            "Changes that the API still knows, by how they ended.",
            &[("outcome", name), ("repository", repository)],
            count as f64,
        );
    }
}

fn expose_window(measures: &Measures, window: Window, repository: &str, out: &mut Exposition) {
    let labels = [("repository", repository), ("window", window.name)];
    out.gauge(
        "dora_deployment_frequency_per_day",
        "Changes that went live, a day.",
        &labels,
        measures.deployments_per_day,
    );
    if let Some(ratio) = measures.change_failure_ratio {
        out.gauge(
            "dora_change_failure_rate",
            "Changes that failed or were rolled back, 0 to 1 of all.",
            &labels,
            ratio,
        );
    }
    if let Some(secs) = measures.time_to_restore_secs {
        out.gauge(
            "dora_time_to_restore_seconds",
            "The mean time from a failure to the next good state.",
            &labels,
            secs,
        );
    }
    for (stage, secs) in STAGES
        .into_iter()
        .zip(measures.lead_time_secs.into_iter().flatten())
    {
        out.gauge(
            "dora_lead_time_seconds",
            "The median time from a commit until it was live, by stage.",
            &[
                ("repository", repository),
                ("stage", stage),
                ("window", window.name),
            ],
            secs,
        );
    }
}

fn classify(measures: &Measures, repository: &str, levels: &Levels, out: &mut Exposition) {
    let classes = [
        (
            "change_failure_rate",
            measures
                .change_failure_ratio
                .map(|it| levels.of_failure_ratio(it)),
        ),
        (
            "deployment_frequency",
            Some(levels.of_frequency(measures.deployments_per_day)),
        ),
        (
            "lead_time",
            measures.lead_time_secs.map(|it| levels.of_lead_time(it[3])),
        ),
        (
            "time_to_restore",
            measures
                .time_to_restore_secs
                .map(|it| levels.of_restore(it)),
        ),
    ];
    for (measure, class) in classes {
        let Some(class) = class else {
            continue;
        };
        for level in Level::ALL {
            out.gauge(
                "dora_classification",
                "1 for the level that the measure is of over 30 days.",
                &[
                    ("level", level.name()),
                    ("measure", measure),
                    ("repository", repository),
                ],
                f64::from(u8::from(level == class)),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![5.0, 1.0, 3.0], Some(3.0)),
            (vec![4.0, 1.0], Some(2.5)),
        ] {
            assert_eq!(median(values), expected);
        }
    }
}
