//! A message as its receiver sees it.

use gameday_signal::Timestamp;
use serde_json::Value;

/// A notification as a receiver got it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// When it was answered, or arrived where it was not.
    pub at: Timestamp,
    /// The receiver of alertmanager.yml.
    pub receiver: String,
    /// The kind of integration (`slack`, `webhook`, ...).
    pub integration: String,
    /// What was sent.
    pub body: String,
    /// The status that it was answered with; none where the connection broke, or the sender did not wait for the answer.
    pub answered: Option<u16>,
}

/// Whether a message says that an alert fires or that it is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStatus {
    /// It fires.
    Firing,
    /// It is resolved.
    Resolved,
}

impl Message {
    /// Whether the receiver has taken it.
    pub fn is_accepted(&self) -> bool {
        self.answered
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// What the sender was told, in words: `accepted`, `refused with 429` or `no answer`.
    pub fn outcome(&self) -> String {
        match self.answered {
            Some(_) if self.is_accepted() => "accepted".to_owned(),
            Some(status) => format!("refused with {status}"),
            None => "no answer".to_owned(),
        }
    }

    /// Whether the message tells that an alert of that name with these labels fires or fired: a webhook by its labels, a message for
    /// people by the name and the values that it shows.
    pub fn tells_of(&self, alert: &str, labels: &[(String, String)]) -> bool {
        let json: Option<Value> = serde_json::from_str(&self.body).ok();
        if let Some(alerts) = json.as_ref().and_then(|body| body["alerts"].as_array()) {
            return alerts.iter().any(|entry| {
                let own = &entry["labels"];
                own["alertname"] == alert && labels.iter().all(|(name, value)| own[name] == *value)
            });
        }
        let text = self.readable();
        contains_word(&text, alert) && labels.iter().all(|(_, value)| contains_word(&text, value))
    }

    /// What the message says about the alert of that name; none where it does not speak of it.
    ///
    /// A webhook names its alerts with their states. Messages for people are searched for the name, and count as resolved
    /// where their title or colour says so, so this works for messages of a real Alertmanager as well.
    pub fn status_of(&self, alert: &str) -> Option<MessageStatus> {
        let json: Option<Value> = serde_json::from_str(&self.body).ok();
        if let Some(alerts) = json.as_ref().and_then(|body| body["alerts"].as_array()) {
            let own = |entry: &&Value| entry["labels"]["alertname"] == alert;
            let firing = alerts
                .iter()
                .filter(own)
                .any(|entry| entry["status"] == "firing");
            let mentioned = alerts.iter().any(|entry| own(&entry));
            return mentioned.then_some(if firing {
                MessageStatus::Firing
            } else {
                MessageStatus::Resolved
            });
        }
        if !contains_word(&self.body, alert) {
            return None;
        }
        let colour = json
            .as_ref()
            .and_then(|body| body["attachments"][0]["color"].as_str());
        let resolved = match colour {
            Some(colour) => colour == "good",
            None => {
                self.body.contains("[RESOLVED]")
                    || self.body.contains("\"event_action\":\"resolve\"")
            }
        };
        Some(if resolved {
            MessageStatus::Resolved
        } else {
            MessageStatus::Firing
        })
    }

    /// Whether a person who reads the message can see `text` (JSON escapes are undone first).
    pub fn shows(&self, text: &str) -> bool {
        self.body.contains(text) || self.readable().contains(text)
    }

    /// The texts of the message without their JSON.
    pub fn readable(&self) -> String {
        fn collect(value: &Value, out: &mut Vec<String>) {
            match value {
                Value::String(text) => out.push(text.clone()),
                Value::Array(values) => values.iter().for_each(|value| collect(value, out)),
                Value::Object(pairs) => pairs.values().for_each(|value| collect(value, out)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        let mut texts = Vec::new();
        match serde_json::from_str(&self.body) {
            Ok(json) => collect(&json, &mut texts),
            Err(_) => texts.push(self.body.clone()),
        }
        texts.join("\n")
    }
}

/// Whether `word` stands in `text` and is not a part of a longer name.
fn contains_word(text: &str, word: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(integration: &str, body: &str) -> Message {
        Message {
            at: Timestamp::EPOCH,
            receiver: "r".to_owned(),
            integration: integration.to_owned(),
            body: body.to_owned(),
            answered: Some(200),
        }
    }

    #[test]
    fn a_webhook_names_its_alerts() {
        let body = r#"{"status":"firing","alerts":[{"status":"resolved","labels":{"alertname":"A"}},{"status":"firing","labels":{"alertname":"B"}}]}"#;
        let message = message("webhook", body);
        assert_eq!(message.status_of("A"), Some(MessageStatus::Resolved));
        assert_eq!(message.status_of("B"), Some(MessageStatus::Firing));
        assert_eq!(message.status_of("C"), None);
    }

    #[test]
    fn slack_is_read_as_a_person_reads_it() {
        let firing = message(
            "slack",
            r#"{"attachments":[{"color":"danger","title":"[FIRING:1] LatencyFastBurn"}]}"#,
        );
        assert_eq!(
            firing.status_of("LatencyFastBurn"),
            Some(MessageStatus::Firing)
        );
        assert_eq!(firing.status_of("Latency"), None);
        let resolved = message(
            "slack",
            r#"{"attachments":[{"color":"good","title":"LatencyFastBurn"}]}"#,
        );
        assert_eq!(
            resolved.status_of("LatencyFastBurn"),
            Some(MessageStatus::Resolved)
        );
    }

    #[test]
    fn escapes_are_undone() {
        assert!(
            message("slack", r#"{"text":"a \"b\" http:\/\/c\/d"}"#).shows("a \"b\" http://c/d")
        );
    }

    #[test]
    fn alerts_of_one_message_are_told_apart_by_their_labels() {
        let labels = |value: &str| vec![("instance".to_owned(), value.to_owned())];
        let webhook = message(
            "webhook",
            r#"{"alerts":[{"status":"firing","labels":{"alertname":"A","instance":"one"}},{"status":"firing","labels":{"alertname":"B","instance":"two"}}]}"#,
        );
        let slack = message("slack", r#"{"text":"A of one:8080\nA of three"}"#);
        for (message, alert, instance, expected) in [
            (&webhook, "A", "one", true),
            (&webhook, "A", "two", false),
            (&webhook, "B", "two", true),
            (&slack, "A", "one", true),
            (&slack, "A", "thr", false),
            (&slack, "B", "one", false),
        ] {
            assert_eq!(
                message.tells_of(alert, &labels(instance)),
                expected,
                "{alert} {instance}"
            );
        }
    }

    #[test]
    fn outcomes_are_told_in_words() {
        let mut own = message("slack", "{}");
        for (answered, expected) in [
            (Some(200), "accepted"),
            (Some(429), "refused with 429"),
            (None, "no answer"),
        ] {
            own.answered = answered;
            assert_eq!(own.outcome(), expected);
        }
    }
}
