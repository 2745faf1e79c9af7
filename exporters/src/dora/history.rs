//! What happened: the changes that went, or failed to go, to production.

use gameday_signal::Timestamp;

/// A run of the pipeline, as the API has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) sha: String,
    pub(crate) triggered_at: Timestamp,
    pub(crate) completed_at: Timestamp,
    /// `success`, `failure`, `timed_out`, `cancelled`, ...
    pub(crate) conclusion: String,
}

/// A deployment in its last state, as the API has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deployment {
    pub(crate) sha: String,
    pub(crate) created_at: Timestamp,
    /// When it came to its last state.
    pub(crate) ended_at: Timestamp,
    /// `success`, `failure` or `error`; none while it is under way.
    pub(crate) succeeded: Option<bool>,
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It is, or was, live and nobody took it back.
    Live,
    /// It went live and was rolled back.
    RolledBack,
    /// Its pipeline or its deployment failed.
    Failed,
}

/// A change that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its commit.
    pub sha: String,
    /// When that was made, where it is known.
    pub committed_at: Option<Timestamp>,
    /// When its pipeline was triggered.
    pub triggered_at: Timestamp,
    /// When its pipeline was complete.
    pub built_at: Timestamp,
    /// When it was live, or had failed.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: ChangeOutcome,
    /// Whether it brought an earlier commit back.
    pub is_rollback: bool,
    /// Where it failed: when the service was good again.
    pub restored_at: Option<Timestamp>,
}

/// The changes in the order of their ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The changes.
    pub changes: Vec<Change>,
    /// When pull requests were merged.
    pub merged_at: Vec<Timestamp>,
}

impl History {
    /// Makes changes of runs and deployments; `committed_at` knows the times of commits.
    ///
    /// A run belongs to the deployment of its commit that was created after it was triggered, and before the same commit was
    /// triggered again. A run that was cancelled or skipped is no change. Where a repository has no deployments at all, a successful
    /// run is live when it is complete.
    pub(crate) fn new(
        runs: &[Run],
        deployments: &[Deployment],
        committed_at: impl Fn(&str) -> Option<Timestamp>,
    ) -> Self {
        let mut changes = Vec::new();
        let mut taken = vec![false; deployments.len()];
        let mut runs: Vec<&Run> = runs.iter().collect();
        runs.sort_by_key(|run| (run.triggered_at, run.sha.as_str()));
        for (index, run) in runs.iter().enumerate() {
            let again = runs[index + 1..]
                .iter()
                .find(|later| later.sha == run.sha)
                .map_or(Timestamp::MAX, |later| later.triggered_at);
            let position = deployments.iter().position(|it| {
                it.sha == run.sha && it.created_at >= run.triggered_at && it.created_at < again
            });
            if let Some(position) = position {
                taken[position] = true;
            }
            let deployment = position.map(|position| &deployments[position]);
            let ended = match (run.conclusion.as_str(), deployment) {
                ("success", Some(it)) => it.succeeded.map(|succeeded| (it.ended_at, succeeded)),
                ("success", None) if deployments.is_empty() => Some((run.completed_at, true)),
                ("failure" | "timed_out" | "startup_failure", _) => Some((run.completed_at, false)),
                _ => None,
            };
            if let Some((ended_at, succeeded)) = ended {
                changes.push(Change {
                    sha: run.sha.clone(),
                    committed_at: committed_at(&run.sha),
                    triggered_at: run.triggered_at,
                    built_at: run.completed_at,
                    ended_at,
                    outcome: if succeeded {
                        ChangeOutcome::Live
                    } else {
                        ChangeOutcome::Failed
                    },
                    is_rollback: false,
                    restored_at: None,
                });
            }
        }
        for (deployment, taken) in deployments.iter().zip(taken) {
            if let (false, Some(succeeded)) = (taken, deployment.succeeded) {
                changes.push(Change {
                    sha: deployment.sha.clone(),
                    committed_at: committed_at(&deployment.sha),
                    triggered_at: deployment.created_at,
                    built_at: deployment.created_at,
                    ended_at: deployment.ended_at,
                    outcome: if succeeded {
                        ChangeOutcome::Live
                    } else {
                        ChangeOutcome::Failed
                    },
                    is_rollback: false,
                    restored_at: None,
                });
            }
        }
        changes
            .sort_by(|left, right| (left.ended_at, &left.sha).cmp(&(right.ended_at, &right.sha)));
        mark_rollbacks(&mut changes);
        mark_restores(&mut changes);
        let merged_at = Vec::new();
        Self { changes, merged_at }
    }
}

/// A commit that goes live again, with others between, takes these back.
fn mark_rollbacks(changes: &mut [Change]) {
    for index in 0..changes.len() {
        if changes[index].outcome != ChangeOutcome::Live {
            continue;
        }
        let earlier = (0..index).rev().find(|&before| {
            changes[before].outcome != ChangeOutcome::Failed
                && changes[before].sha == changes[index].sha
        });
        let Some(earlier) = earlier else {
            continue;
        };
        let restored_at = changes[index].ended_at;
        let mut took_back = false;
        for between in &mut changes[earlier + 1..index] {
            if between.outcome == ChangeOutcome::Live {
                between.outcome = ChangeOutcome::RolledBack;
                between.restored_at = Some(restored_at);
                took_back = true;
            }
        }
        changes[index].is_rollback = took_back;
    }
}

/// What failed on the way is restored when the next change is live.
fn mark_restores(changes: &mut [Change]) {
    let mut restored_at = None;
    for change in changes.iter_mut().rev() {
        match change.outcome {
            ChangeOutcome::Live => restored_at = Some(change.ended_at),
            ChangeOutcome::Failed => change.restored_at = restored_at,
            ChangeOutcome::RolledBack => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(minute * 60)
    }

    fn run(sha: &str, minute: i64, conclusion: &str) -> Run {
        Run {
            sha: sha.to_owned(),
            triggered_at: at(minute),
            completed_at: at(minute + 5),
            conclusion: conclusion.to_owned(),
        }
    }

    fn deployment(sha: &str, minute: i64, succeeded: Option<bool>) -> Deployment {
        Deployment {
            sha: sha.to_owned(),
            created_at: at(minute),
            ended_at: at(minute + 1),
            succeeded,
        }
    }

    fn shown(runs: &[Run], deployments: &[Deployment]) -> Vec<String> {
        let history = History::new(runs, deployments, |_| None);
        let minutes = |at: Timestamp| at.as_secs() / 60;
        history
            .changes
            .iter()
            .map(|it| {
                format!(
                    "{} {:?} at {}{}{}",
                    it.sha,
                    it.outcome,
                    minutes(it.ended_at),
                    it.restored_at
                        .map(|at| format!(" restored at {}", minutes(at)))
                        .unwrap_or_default(),
                    if it.is_rollback { " (rollback)" } else { "" }
                )
            })
            .collect()
    }

    #[test]
    fn failed_pipelines_are_restored_by_the_next_change_that_is_live() {
        let runs = [
            run("a", 0, "success"),
            run("b", 100, "failure"),
            run("c", 110, "cancelled"),
            run("d", 200, "success"),
        ];
        let deployments = [
            deployment("a", 5, Some(true)),
            deployment("d", 205, Some(true)),
        ];
        assert_eq!(
            shown(&runs, &deployments),
            [
                "a Live at 6",
                "b Failed at 105 restored at 206",
                "d Live at 206"
            ]
        );
    }

    #[test]
    fn a_commit_that_comes_back_takes_back_what_was_between() {
        let runs = [
            run("a", 0, "success"),
            run("b", 100, "success"),
            run("a", 130, "success"),
        ];
        let deployments = [
            deployment("a", 5, Some(true)),
            deployment("b", 105, Some(true)),
            deployment("a", 135, Some(true)),
        ];
        assert_eq!(
            shown(&runs, &deployments),
            [
                "a Live at 6",
                "b RolledBack at 106 restored at 136",
                "a Live at 136 (rollback)"
            ]
        );
    }

    #[test]
    fn what_is_under_way_is_no_change_yet() {
        let runs = [run("a", 0, "success"), run("b", 10, "success")];
        let deployments = [deployment("a", 5, None), deployment("b", 15, Some(false))];
        assert_eq!(shown(&runs, &deployments), ["b Failed at 16"]);
    }

    #[test]
    fn runs_alone_and_deployments_alone_are_changes_too() {
        assert_eq!(shown(&[run("a", 0, "success")], &[]), ["a Live at 5"]);
        assert_eq!(
            shown(&[], &[deployment("a", 5, Some(true))]),
            ["a Live at 6"]
        );
    }
}
