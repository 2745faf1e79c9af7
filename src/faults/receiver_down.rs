//! `receiver_down`: a receiver closes every connection without an answer, as one whose process has died behind its load balancer.

use fake_service::{FaultError, Settings};

use super::ReceiverFaultKind;
use crate::receivers::ReceiverFault;

pub(super) const KIND: ReceiverFaultKind = ReceiverFaultKind {
    name: "receiver_down",
    summary: "a receiver of notifications closes every connection without an answer",
    settings: &[],
    example: r#"{"type": "receiver_down", "lease": "10m"}"#,
    read,
};

#[expect(
    clippy::unnecessary_wraps,
    reason = "kinds with settings can refuse them"
)]
fn read(_: &mut Settings) -> Result<ReceiverFault, FaultError> {
    Ok(ReceiverFault {
        down: true,
        ..ReceiverFault::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::checks::{read, refusal};

    #[test]
    fn it_has_no_settings() {
        assert!(read(r#"{"type": "receiver_down", "lease": "1m"}"#).down);
        let error = refusal(r#"{"type": "receiver_down", "lease": "1m", "status_code": 500}"#);
        assert!(error.starts_with("status_code: unknown setting"), "{error}");
    }
}
