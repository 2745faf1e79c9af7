//! `receiver_latency`: a receiver takes every message, late. Alertmanager waits until the next flush of the group; a receiver that is
//! slow must not hold up the others.

use fake_service::{FaultError, Setting, Settings};

use super::ReceiverFaultKind;
use crate::receivers::ReceiverFault;

pub(super) const KIND: ReceiverFaultKind = ReceiverFaultKind {
    name: "receiver_latency",
    summary: "a receiver of notifications answers late",
    settings: &[Setting {
        name: "latency",
        summary: "how long it takes to answer",
    }],
    example: r#"{"type": "receiver_latency", "latency": "20s", "lease": "10m"}"#,
    read,
};

fn read(settings: &mut Settings) -> Result<ReceiverFault, FaultError> {
    Ok(ReceiverFault {
        delay: settings.duration("latency")?,
        ..ReceiverFault::default()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::checks::{read, refusal};

    #[test]
    fn a_latency_is_read() {
        let slow = read(r#"{"type": "receiver_latency", "latency": "20s", "lease": "1m"}"#);
        assert_eq!(slow.delay, Duration::from_secs(20));
        let error = refusal(r#"{"type": "receiver_latency", "lease": "1m"}"#);
        assert!(error.starts_with("latency: is missing"), "{error}");
    }
}
