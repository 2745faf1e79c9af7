//! What happens to services beside faults: crashes and restarts, and changes that go through the pipeline.

use std::time::Duration;

use bytes::Bytes;
use gameday_exporters::github::{NewMisbehaviour, Outcome, ROLLBACK};
use gameday_signal::{EventKind, format_duration};
use http::{Method, Request};

use super::Game;
use crate::failure::Failure;
use crate::target::{PIPELINE, PIPELINE_RUN, push_of};
use crate::world::StepError;

impl Game {
    /// Ends a service as a crash does; its machine stays.
    ///
    /// # Errors
    /// Where there is no such service, it is not running, or a fault is in force in it (nobody could take that back).
    pub fn crash(&mut self, service: &str) -> Result<(), StepError> {
        self.target.check_service(service, &self.scenario.path)?;
        let held = self.faults.iter().find(|fault| {
            let settings = self.scenario.fault(fault.name());
            settings.is_ok_and(|settings| settings.service == service)
        });
        if let Some(fault) = held {
            return Err(StepError::invalid(format!(
                "fault {:?} is in force in {service}: clear it before the crash, which would take it away unseen",
                fault.name()
            )));
        }
        self.phase(&format!("{service} crashes"));
        self.load_mark();
        self.sim.block_on(self.target.crash(service))?;
        self.acted_at = self.now();
        self.injected_at = Some(self.acted_at);
        Ok(())
    }

    /// Starts a service again that has crashed.
    ///
    /// # Errors
    /// Where there is no such service, it runs, or cannot be started.
    pub fn restart(&mut self, service: &str) -> Result<(), StepError> {
        self.target.check_service(service, &self.scenario.path)?;
        self.phase("recovery");
        let restarting = self.target.restart(service, &self.options);
        self.sim.block_on(restarting)?;
        self.acted_at = self.now();
        Ok(())
    }

    /// Gives the pipeline a past: `count` changes that went live, spread evenly over the last `over`.
    ///
    /// # Errors
    /// Where the scenario has no pipeline.
    pub fn past_changes(&mut self, count: u32, over: Duration) -> Result<(), StepError> {
        let github = self.exporters.github()?;
        for index in 0..count {
            // The oldest first, each in the middle of its part.
            let age = over * (2 * (count - index) - 1) / (2 * count);
            let push = push_of(Outcome::Success, age, |duration| duration);
            github.push(&push).map_err(StepError::internal)?;
        }
        Ok(())
    }

    /// A commit goes through the pipeline; returns when its end is reached: live, or failed.
    ///
    /// # Errors
    /// Where the scenario has no pipeline, or the game is aborted or interrupted meanwhile.
    pub fn change(&mut self, outcome: Outcome) -> Result<String, StepError> {
        let push = push_of(outcome, Duration::ZERO, |duration| self.scaled(duration));
        let github = self.exporters.github()?;
        let sha = github.push(&push).map_err(StepError::internal)?;
        let failed = outcome != Outcome::Success;
        self.phase(if failed {
            "a change fails"
        } else {
            "a change goes live"
        });
        self.play_for(if failed { PIPELINE_RUN } else { PIPELINE })?;
        self.acted_at = self.now();
        self.note_deployed(&sha, if failed { "failure" } else { "success" });
        Ok(sha)
    }

    /// The last good version before the one that is live is deployed again.
    ///
    /// # Errors
    /// Where the scenario has no pipeline, or there is no such version.
    pub fn roll_back(&mut self) -> Result<String, StepError> {
        let github = self.exporters.github()?;
        let sha = github
            .roll_back(self.scaled(ROLLBACK))
            .ok_or_else(|| StepError::invalid("there is no version to go back to"))?;
        self.phase("rollback");
        self.acted_at = self.now();
        self.note_deployed(&sha, "rolled_back");
        Ok(sha)
    }

    /// The API of the pipeline answers every request with that status, for at most `lease`.
    ///
    /// # Errors
    /// Where the scenario has no pipeline, or the status is none.
    pub fn break_pipeline_api(
        &mut self,
        status: u16,
        html: bool,
        lease: Duration,
    ) -> Result<(), StepError> {
        let misbehaviour = NewMisbehaviour {
            status,
            html,
            retry_after: None,
            lease: format_duration(self.scaled(lease)),
        };
        let github = self.exporters.github()?;
        github
            .misbehave(&misbehaviour)
            .map_err(StepError::invalid)?;
        self.phase(&format!("the API of the pipeline answers {status}"));
        self.acted_at = self.now();
        Ok(())
    }

    /// The API of the pipeline answers as ever again.
    ///
    /// # Errors
    /// Where the scenario has no pipeline.
    pub fn mend_pipeline_api(&mut self) -> Result<(), StepError> {
        self.exporters.github()?.behave();
        self.phase("recovery");
        self.acted_at = self.now();
        Ok(())
    }

    /// Pushes to a group of the Pushgateway, `job/deploy/environment/production`.
    ///
    /// # Errors
    /// Where it cannot be reached, or refuses what is pushed (with its words).
    pub fn push(&mut self, method: Method, group: &str, body: String) -> Result<(), StepError> {
        let url = format!(
            "http://{}/metrics/{group}",
            self.stack.addresses().pushgateway
        );
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("content-type", "text/plain; version=0.0.4")
            .body(Bytes::from(body))
            .map_err(|error| StepError::invalid(format!("{url}: {error}")))?;
        let client = self.env().on("pipeline").http_client();
        let answer = self.run(client.send(request, PUSH_TIMEOUT))?;
        let answer = answer.map_err(|error| Failure::target(error.to_string()))?;
        if !answer.status().is_success() {
            let words = String::from_utf8_lossy(answer.body()).trim().to_owned();
            return Err(StepError::invalid(format!(
                "the Pushgateway answered {}: {words}",
                answer.status()
            )));
        }
        self.acted_at = self.now();
        Ok(())
    }

    fn note_deployed(&self, sha: &str, outcome: &str) {
        let repository = self.scenario.settings.exporters.dora.clone();
        self.env().record(EventKind::Deployed {
            service: repository.unwrap_or_default(),
            version: sha.chars().take(SHA_SHOWN).collect(),
            outcome: outcome.to_owned(),
        });
    }
}

/// The Pushgateway answers from memory.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// Characters of a commit that people read.
const SHA_SHOWN: usize = 7;
