//! Silences, as a person on call begins and ends them.

use std::time::Duration;

use gameday_signal::EventKind;
use serde_json::{Value, json};

use super::Game;
use crate::world::StepError;

/// Who begins the silences of steps.
const AUTHOR: &str = "gameday";

impl Game {
    /// Silences what has all of these labels, from now on.
    ///
    /// # Errors
    /// Where Alertmanager cannot be reached or refuses the silence.
    pub fn silence(
        &mut self,
        matchers: &[(String, String)],
        duration: Duration,
        comment: &str,
    ) -> Result<String, StepError> {
        let now = self.now();
        let matcher = |(name, value): &(String, String)| json!({"name": name, "value": value, "isRegex": false, "isEqual": true});
        let silence = json!({
            "matchers": matchers.iter().map(matcher).collect::<Vec<Value>>(),
            "startsAt": now.to_string(),
            "endsAt": (now + self.scaled(duration)).to_string(),
            "createdBy": AUTHOR,
            "comment": comment,
        });
        let id = self.run(self.apis.begin_silence(&silence))??;
        self.silences.push(id.clone());
        self.acted_at = self.now();
        self.env().record(EventKind::Note {
            text: format!("silence begins: {}: {comment}", told(matchers)),
        });
        Ok(id)
    }

    /// Ends every silence that a step began.
    ///
    /// # Errors
    /// Where no step began one, or Alertmanager cannot be reached or does not know it any more.
    pub fn end_silences(&mut self) -> Result<usize, StepError> {
        let silences = std::mem::take(&mut self.silences);
        if silences.is_empty() {
            return Err(StepError::invalid(
                "no silence is in force: a step begins one with: When alert \"...\" is silenced for 1 hour",
            ));
        }
        for id in &silences {
            self.run(self.apis.end_silence(id))??;
        }
        self.acted_at = self.now();
        self.env().record(EventKind::Note {
            text: "the silence ends".to_owned(),
        });
        Ok(silences.len())
    }
}

/// Matchers as people write them: `alertname="ServiceDown"`.
fn told(matchers: &[(String, String)]) -> String {
    let one = |(name, value): &(String, String)| format!("{name}={value:?}");
    matchers.iter().map(one).collect::<Vec<_>>().join(", ")
}
