//! AWS signature version 4 (<https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>).

use gameday_signal::Timestamp;
use sha2::{Digest, Sha256};

use crate::render::{hex, hex_sha256};

/// With which key, where and when a request is signed.
pub(crate) struct Signer<'a> {
    pub(crate) access_key: &'a str,
    pub(crate) secret_key: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: &'a str,
    pub(crate) now: Timestamp,
}

impl Signer<'_> {
    /// The headers that sign a POST of `body` to the root of `host`.
    pub(crate) fn headers(
        &self,
        host: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> [(String, String); 2] {
        let stamp = jiff::Timestamp::from_nanosecond(i128::from(self.now.as_nanos()))
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let date_time = stamp.strftime("%Y%m%dT%H%M%SZ").to_string();
        let date = &date_time[..8];
        let signed = "content-type;host;x-amz-date";
        let canonical = format!(
            "POST\n{path}\n\ncontent-type:{content_type}\nhost:{host}\nx-amz-date:{date_time}\n\n{signed}\n{}",
            hex_sha256(body)
        );
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date_time}\n{scope}\n{}",
            hex_sha256(canonical.as_bytes())
        );
        let secret = format!("AWS4{}", self.secret_key);
        let key = [date, self.region, self.service, "aws4_request"]
            .iter()
            .fold(secret.into_bytes(), |key, part| {
                hmac_sha256(&key, part.as_bytes())
            });
        let signature = hex(&hmac_sha256(&key, to_sign.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            self.access_key
        );
        [
            ("X-Amz-Date".to_owned(), date_time),
            ("Authorization".to_owned(), authorization),
        ]
    }
}

/// HMAC (RFC 2104) with SHA-256.
fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    const BLOCK_BYTES: usize = 64;
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new()
        .chain_update(padded(0x36))
        .chain_update(message)
        .finalize();
    Sha256::new()
        .chain_update(padded(0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        // Test cases 2 and 6.
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac_sha256(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
