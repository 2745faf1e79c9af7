//! `receiver_error`: a receiver refuses every message with a status.
//!
//! Alertmanager tries again after 429 and 5xx, until the next flush of the group; any other status is final. `Retry-After` of a 429
//! makes it wait at least that long.

use std::time::Duration;

use fake_service::{FaultError, Setting, Settings};

use super::ReceiverFaultKind;
use crate::receivers::ReceiverFault;

pub(super) const KIND: ReceiverFaultKind = ReceiverFaultKind {
    name: "receiver_error",
    summary: "a receiver of notifications refuses every message with a status code",
    settings: &[
        Setting {
            name: "status_code",
            summary: "what the sender is told, 400 to 599 (default 500)",
        },
        Setting {
            name: "retry_after",
            summary: "the Retry-After header, in whole seconds; for 429 and 503 (default none)",
        },
    ],
    example: r#"{"type": "receiver_error", "status_code": 429, "retry_after": "30s", "lease": "10m"}"#,
    read,
};

fn read(settings: &mut Settings) -> Result<ReceiverFault, FaultError> {
    let status = settings.number("status_code", 400.0..=599.0, Some(500.0))? as u16;
    let retry_after = settings.optional_duration("retry_after")?;
    if retry_after.is_some() && ![429, 503].contains(&status) {
        return Err(FaultError::new(
            "retry_after",
            format!("means nothing beside a status of {status}"),
            "status_code 429 or 503",
        ));
    }
    if retry_after.is_some_and(|pause| pause.subsec_nanos() != 0 || pause == Duration::ZERO) {
        return Err(FaultError::new(
            "retry_after",
            "is no whole number of seconds",
            "a duration such as \"30s\"",
        ));
    }
    Ok(ReceiverFault {
        status: Some(status),
        retry_after_secs: retry_after.map(|pause| pause.as_secs()),
        ..ReceiverFault::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::checks::{read, refusal};

    #[test]
    fn a_status_and_a_pause_are_read() {
        let plain = read(r#"{"type": "receiver_error", "lease": "1m"}"#);
        assert_eq!((plain.status, plain.retry_after_secs), (Some(500), None));
        let limited = read(
            r#"{"type": "receiver_error", "status_code": 429, "retry_after": "30s", "lease": "1m"}"#,
        );
        assert_eq!(
            (limited.status, limited.retry_after_secs),
            (Some(429), Some(30))
        );
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (json, expected) in [
            (
                r#"{"type": "receiver_error", "status_code": 200, "lease": "1m"}"#,
                "status_code: 200 does not fit, expected a number from 400 to 599",
            ),
            (
                r#"{"type": "receiver_error", "retry_after": "30s", "lease": "1m"}"#,
                "retry_after: means nothing beside a status of 500",
            ),
            (
                r#"{"type": "receiver_error", "status_code": 429, "retry_after": "500ms", "lease": "1m"}"#,
                "retry_after: is no whole number of seconds",
            ),
        ] {
            assert!(refusal(json).starts_with(expected), "{json}");
        }
    }
}
