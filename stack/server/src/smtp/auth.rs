//! AUTH (RFC 4954): CRAM-MD5, PLAIN and LOGIN, the first that the server offers and that there is a secret for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gameday_alerts::EmailAuth;

use super::conversation::{Conversation, Reply};
use crate::relabel::md5;

/// Proves to the server who sends.
pub(super) async fn log_in(
    server: &mut Conversation,
    login: &EmailAuth,
    mechanisms: &str,
    host: &str,
    is_secret: bool,
) -> Result<(), String> {
    let mut missing = Vec::new();
    for mechanism in mechanisms.split(' ') {
        match mechanism {
            "CRAM-MD5" if login.secret.is_empty() => {
                missing.push("missing secret for CRAM-MD5 auth mechanism");
            }
            "CRAM-MD5" => return told("CRAM-MD5", cram_md5(server, login).await),
            "PLAIN" if login.password.is_empty() => {
                missing.push("missing password for PLAIN auth mechanism");
            }
            "PLAIN" => {
                // Go's net/smtp: a password in clear goes to the own host at most.
                let is_own = matches!(host, "localhost" | "127.0.0.1" | "::1");
                if !is_secret && !is_own {
                    return told("PLAIN", Err("unencrypted connection".to_owned()));
                }
                return told("PLAIN", plain(server, login).await);
            }
            "LOGIN" if login.password.is_empty() => {
                missing.push("missing password for LOGIN auth mechanism");
            }
            "LOGIN" => return told("LOGIN", by_questions(server, login).await),
            _ => {}
        }
    }
    Err(if missing.is_empty() {
        format!("find auth mechanism: unknown auth mechanism: {mechanisms}")
    } else {
        format!("find auth mechanism: {}", missing.join("; "))
    })
}

fn told(mechanism: &str, result: Result<(), String>) -> Result<(), String> {
    result.map_err(|error| format!("{mechanism} auth: {error}"))
}

async fn plain(server: &mut Conversation, login: &EmailAuth) -> Result<(), String> {
    let text = format!("{}\0{}\0{}", login.identity, login.username, login.password);
    let reply = server
        .command(&format!("AUTH PLAIN {}", STANDARD.encode(text)))
        .await?;
    reply.expect(235).map(|_| ())
}

async fn cram_md5(server: &mut Conversation, login: &EmailAuth) -> Result<(), String> {
    let challenge = question(server.command("AUTH CRAM-MD5").await?)?;
    let digest = hmac_md5(login.secret.as_bytes(), &challenge);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let answer = STANDARD.encode(format!("{} {hex}", login.username));
    server.command(&answer).await?.expect(235).map(|_| ())
}

async fn by_questions(server: &mut Conversation, login: &EmailAuth) -> Result<(), String> {
    let mut reply = server.command("AUTH LOGIN").await?;
    // Two questions, of which each has its own answer; a server that goes on asking is refused.
    for _ in 0..2 {
        let asked = question(reply)?;
        let answer = match String::from_utf8_lossy(&asked)
            .to_ascii_lowercase()
            .as_str()
        {
            "username:" => &login.username,
            "password:" => &login.password,
            other => return Err(format!("unexpected server challenge {other:?}")),
        };
        reply = server.command(&STANDARD.encode(answer)).await?;
        if reply.code == 235 {
            return Ok(());
        }
    }
    reply.expect(235).map(|_| ())
}

/// The challenge in a reply.
fn question(reply: Reply) -> Result<Vec<u8>, String> {
    let reply = reply.expect(334)?;
    STANDARD
        .decode(reply.lines.join("").trim())
        .map_err(|_| "the server's challenge is no base64".to_owned())
}

/// RFC 2104 with MD5, whose blocks have 64 bytes.
fn hmac_md5(key: &[u8], message: &[u8]) -> [u8; 16] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..16].copy_from_slice(&md5::md5(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8, text: &[u8]| {
        let mut bytes: Vec<u8> = block.iter().map(|byte| byte ^ pad).collect();
        bytes.extend_from_slice(text);
        md5::md5(&bytes)
    };
    padded(0x5c, &padded(0x36, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_of_rfc_2202() {
        let hex = |key: &[u8], message: &[u8]| -> String {
            hmac_md5(key, message)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect()
        };
        for (key, message, expected) in [
            (
                &[0x0b; 16][..],
                &b"Hi There"[..],
                "9294727a3638bb1c13f48ef8158bfc9d",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "750c783e6ab0b503eaa86e310a5db738",
            ),
            (
                &[0xaa; 80],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd",
            ),
        ] {
            assert_eq!(hex(key, message), expected);
        }
    }
}
