//! E-mail over SMTP.

use std::collections::BTreeMap;
use std::time::Duration;

use gameday_signal::Timestamp;

use crate::config::global::Global;
use crate::config::http::{HttpConfig, TlsConfig};
use crate::config::receiver::Integration;
use crate::config::values::{HostPort, Secret};
use crate::config::yaml::block;
use crate::message::{Answer, EmailAuth, EmailMessage, Step};
use crate::render::{Context, hex_sha256};

block! {
    /// Puts all messages of a group into one thread.
    Threading {
        enabled: bool = false,
        thread_by_date: String = String::new(),
    }
    check(_threading) { Ok(()) }
}

block! {
    /// `email_configs`.
    EmailConfig {
        send_resolved: bool = false,
        to: String = String::new(),
        from: String = String::new(),
        hello: String = String::new(),
        smarthost: HostPort = HostPort::default(),
        auth_username: String = String::new(),
        auth_password: Secret = Secret::default(),
        auth_password_file: String = String::new(),
        auth_secret: Secret = Secret::default(),
        auth_secret_file: String = String::new(),
        auth_identity: String = String::new(),
        headers: BTreeMap<String, String> = BTreeMap::new(),
        html: String = "{{ template \"email.default.html\" . }}".to_owned(),
        text: String = String::new(),
        require_tls: Option<bool> = None,
        tls_config: Option<TlsConfig> = None,
        force_implicit_tls: Option<bool> = None,
        threading: Threading = Threading::default(),
    }
    check(email) {
        if email.to.is_empty() {
            return Err("missing to address in email config".to_owned());
        }
        let mut headers = BTreeMap::new();
        for (name, value) in std::mem::take(&mut email.headers) {
            let name = canonical_header(&name);
            if headers.insert(name.clone(), value).is_some() {
                return Err(format!("duplicate header {name:?} in email config"));
            }
        }
        email.headers = headers;
        if email.threading.enabled {
            for name in ["References", "In-Reply-To"] {
                if email.headers.contains_key(name) {
                    return Err(format!(
                        "conflicting configuration: threading.enabled conflicts with custom {name} header"
                    ));
                }
            }
            if !matches!(email.threading.thread_by_date.as_str(), "none" | "daily") {
                return Err("threading.thread_by_date must be either 'none' or 'daily'".to_owned());
            }
        }
        Ok(())
    }
}

/// Go's `textproto.CanonicalMIMEHeaderKey`: the first letter and every letter after a hyphen are upper case.
fn canonical_header(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|character| {
            let canonical = if upper {
                character.to_ascii_uppercase()
            } else {
                character.to_ascii_lowercase()
            };
            upper = character == '-';
            canonical
        })
        .collect()
}

impl Integration for EmailConfig {
    const KIND: &'static str = "email";

    fn inherit(&mut self, global: &Global) -> Result<(), String> {
        let or = |own: &mut String, global: &String| {
            if own.is_empty() {
                own.clone_from(global);
            }
        };
        if self.tls_config.is_none() {
            self.tls_config.clone_from(&global.smtp_tls_config);
        }
        if self.smarthost == HostPort::default() {
            self.smarthost.clone_from(&global.smtp_smarthost);
        }
        if self.smarthost == HostPort::default() {
            return Err("no global SMTP smarthost set".to_owned());
        }
        or(&mut self.from, &global.smtp_from);
        if self.from.is_empty() {
            return Err("no global SMTP from set".to_owned());
        }
        or(&mut self.hello, &global.smtp_hello);
        or(&mut self.auth_username, &global.smtp_auth_username);
        if self.auth_password.is_empty() && self.auth_password_file.is_empty() {
            self.auth_password.clone_from(&global.smtp_auth_password);
            self.auth_password_file
                .clone_from(&global.smtp_auth_password_file);
        }
        if self.auth_secret.is_empty() && self.auth_secret_file.is_empty() {
            self.auth_secret.clone_from(&global.smtp_auth_secret);
            self.auth_secret_file
                .clone_from(&global.smtp_auth_secret_file);
        }
        or(&mut self.auth_identity, &global.smtp_auth_identity);
        self.require_tls.get_or_insert(global.smtp_require_tls);
        if self.force_implicit_tls.is_none() {
            self.force_implicit_tls = global.smtp_force_implicit_tls;
        }
        Ok(())
    }

    fn send_resolved(&self) -> bool {
        self.send_resolved
    }

    fn http_mut(&mut self) -> Option<&mut HttpConfig> {
        None
    }

    fn step(&self, context: &Context<'_>, _answers: &[Answer]) -> Result<Step, String> {
        Ok(Step::Email(Box::new(self.message(context)?)))
    }
}

/// The subject, where no header says otherwise.
const DEFAULT_SUBJECT: &str = "{{ template \"email.default.subject\" . }}";

impl EmailConfig {
    fn message(&self, context: &Context<'_>) -> Result<EmailMessage, String> {
        let expand = |what: &str, template: &str| {
            context
                .text(template)
                .map_err(|error| format!("execute {what} template: {error}"))
        };
        let from = addresses(&expand("'from'", &self.from)?)
            .map_err(|error| format!("parse 'from' addresses: {error}"))?;
        let [from] = from.as_slice() else {
            return Err(format!(
                "must be exactly one 'from' address (got: {})",
                from.len()
            ));
        };
        let to = addresses(&expand("'to'", &self.to)?)
            .map_err(|error| format!("parse 'to' addresses: {error}"))?;
        let auth = if self.auth_username.is_empty() {
            None
        } else {
            Some(EmailAuth {
                username: self.auth_username.clone(),
                password: context.secret(&self.auth_password, &self.auth_password_file)?,
                secret: context.secret(&self.auth_secret, &self.auth_secret_file)?,
                identity: self.auth_identity.clone(),
            })
        };
        Ok(EmailMessage {
            host: self.smarthost.host.clone(),
            port: self.smarthost.port.clone(),
            hello: self.hello.clone(),
            implicit_tls: self
                .force_implicit_tls
                .unwrap_or(self.smarthost.port == "465"),
            require_tls: self.require_tls.unwrap_or(true),
            tls: context.tls_options(self.tls_config.as_ref())?,
            auth,
            from: from.clone(),
            to,
            data: self.mime(context)?.into_bytes(),
            timeout: context.time_left(Duration::ZERO),
        })
    }

    /// Headers and parts.
    fn mime(&self, context: &Context<'_>) -> Result<String, String> {
        let mut headers = self.headers.clone();
        for (name, value) in [
            ("Subject", DEFAULT_SUBJECT),
            ("To", &self.to),
            ("From", &self.from),
        ] {
            headers
                .entry(name.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        let mut mail = String::new();
        for (name, template) in &headers {
            let value = context
                .text(template)
                .map_err(|error| format!("execute {name:?} header template: {error}"))?;
            mail.push_str(&header(name, &encode_header(&value)));
        }
        let notification = context.notification;
        // The same notification has the same id and boundary in every run, unlike upstream's random ones.
        let unique = hex_sha256(
            format!(
                "{} {} {} {}",
                notification.group_key,
                notification.integration,
                notification.flushed_at,
                notification.id.0
            )
            .as_bytes(),
        );
        if !headers.contains_key("Message-Id") {
            let id = format!(
                "<{}.{}@alertmanager>",
                context.now.as_nanos(),
                &unique[..16]
            );
            mail.push_str(&header("Message-Id", &id));
        }
        if self.threading.enabled {
            let day = match self.threading.thread_by_date.as_str() {
                "none" => String::new(),
                _ => context.now.to_string().chars().take(10).collect(),
            };
            let root = format!("<alert-{}-{day}@alertmanager>", &context.group_hash()[..16]);
            mail.push_str(&header("References", &root));
            mail.push_str(&header("In-Reply-To", &root));
        }
        let boundary = &unique[..60];
        mail.push_str(&header("Date", &rfc1123z(context.now)));
        mail.push_str(&header(
            "Content-Type",
            &format!("multipart/alternative;  boundary={boundary}"),
        ));
        mail.push_str(&header("MIME-Version", "1.0"));
        mail.push_str("\r\n");
        // The part that mail programs shall prefer comes last (RFC 2046, 5.1.4).
        if !self.text.is_empty() {
            let text = context
                .text(&self.text)
                .map_err(|error| format!("execute text template: {error}"))?;
            mail.push_str(&part(boundary, "text/plain; charset=UTF-8", &text));
        }
        if !self.html.is_empty() {
            let html = context
                .html(&self.html)
                .map_err(|error| format!("execute html template: {error}"))?;
            mail.push_str(&part(boundary, "text/html; charset=UTF-8", &html));
        }
        mail.push_str("--");
        mail.push_str(boundary);
        mail.push_str("--\r\n");
        Ok(mail)
    }
}

fn header(name: &str, value: &str) -> String {
    format!("{name}: {value}\r\n")
}

fn part(boundary: &str, content_type: &str, body: &str) -> String {
    format!(
        "--{boundary}\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Type: {content_type}\r\n\r\n{}\r\n",
        quoted_printable(body)
    )
}

/// Go's `mime.QEncoding`: a header that is not printable ASCII becomes encoded words of at most 75 characters (RFC 2047).
fn encode_header(value: &str) -> String {
    const WORD_START: &str = "=?utf-8?q?";
    const WORD_END: &str = "?=";
    let is_plain = |character: char| matches!(character, ' '..='~' | '\t');
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    let room = 75 - WORD_START.len() - WORD_END.len();
    let mut words = Vec::new();
    let mut word = String::new();
    for character in value.chars() {
        let encoded = match character {
            ' ' => "_".to_owned(),
            '!'..='~' if !matches!(character, '=' | '?' | '_') => character.to_string(),
            other => percent(other, '='),
        };
        // A character is never split between two words.
        if word.len() + encoded.len() > room {
            words.push(std::mem::take(&mut word));
        }
        word.push_str(&encoded);
    }
    words.push(word);
    words
        .iter()
        .map(|word| format!("{WORD_START}{word}{WORD_END}"))
        .collect::<Vec<_>>()
        .join("\r\n ")
}

/// The bytes of a character as `=XX`.
fn percent(character: char, mark: char) -> String {
    let mut buffer = [0; 4];
    let bytes = character.encode_utf8(&mut buffer).as_bytes();
    bytes
        .iter()
        .map(|byte| format!("{mark}{byte:02X}"))
        .collect()
}

/// Quoted-printable (RFC 2045, 6.7): lines of at most 76 characters, line feeds as CRLF.
fn quoted_printable(text: &str) -> String {
    const MAX_LINE: usize = 76;
    let mut encoded = String::with_capacity(text.len() + text.len() / 8);
    let text = text.replace("\r\n", "\n");
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            encoded.push_str("\r\n");
        }
        let mut column = 0;
        let mut characters = line.chars().peekable();
        while let Some(character) = characters.next() {
            let is_last = characters.peek().is_none();
            let written = match character {
                '=' => "=3D".to_owned(),
                // White space at the end of a line would be lost.
                ' ' | '\t' if is_last => percent(character, '='),
                ' '..='~' | '\t' => character.to_string(),
                other => percent(other, '='),
            };
            for unit in units(&written) {
                // The last column is for the mark of a soft line break, unless the line ends here.
                if column + unit.len() > MAX_LINE - 1 {
                    encoded.push_str("=\r\n");
                    column = 0;
                }
                encoded.push_str(unit);
                column += unit.len();
            }
        }
    }
    encoded
}

/// An encoded character in parts that must not be split: `=XX` each, or the character itself.
fn units(written: &str) -> impl Iterator<Item = &str> {
    let step = if written.len() >= 3 && written.starts_with('=') {
        3
    } else {
        written.len()
    };
    (0..written.len())
        .step_by(step.max(1))
        .map(move |start| &written[start..start + step])
}

/// Go's `time.RFC1123Z` in UTC (`Fri, 20 Nov 2026 00:00:00 +0000`).
fn rfc1123z(now: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(now.as_nanos()))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .strftime("%a, %d %b %Y %H:%M:%S +0000")
        .to_string()
}

/// The bare addresses of a list such as `Ops <ops@example.org>, me@example.org`.
fn addresses(list: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for entry in split_addresses(list) {
        let entry = entry.trim();
        let bare = match (entry.rfind('<'), entry.ends_with('>')) {
            (Some(start), true) => &entry[start + 1..entry.len() - 1],
            (None, false) => entry,
            _ => return Err(format!("mail: unclosed angle-addr in {entry:?}")),
        };
        let (local, domain) = bare.rsplit_once('@').unwrap_or_default();
        let is_bad = |part: &str| {
            part.is_empty()
                || part.chars().any(|character| {
                    character.is_whitespace() || character.is_control() || "<>,".contains(character)
                })
        };
        if is_bad(local) || is_bad(domain) {
            return Err(format!(
                "mail: no address: {entry:?}, expected for example \"ops@example.org\""
            ));
        }
        found.push(bare.to_owned());
    }
    Ok(found)
}

/// Splits at commas outside of quotes.
fn split_addresses(list: &str) -> Vec<&str> {
    let mut in_quotes = false;
    list.split(move |character| {
        if character == '"' {
            in_quotes = !in_quotes;
        }
        character == ',' && !in_quotes
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_lines_are_short_and_whole() {
        assert_eq!(quoted_printable("a=b ü \n x\t"), "a=3Db =C3=BC=20\r\n x=09");
        let long = quoted_printable(&"ü".repeat(100));
        assert!(
            long.lines()
                .all(|line| line.len() <= 76 && !line.ends_with("=C")),
            "{long}"
        );
        assert_eq!(long.replace("=\r\n", ""), "=C3=BC".repeat(100));
        assert_eq!(quoted_printable(&"x".repeat(75)), "x".repeat(75));
    }

    #[test]
    fn headers_are_encoded_where_they_have_to_be() {
        assert_eq!(encode_header("[FIRING:1] A (b)"), "[FIRING:1] A (b)");
        assert_eq!(encode_header("ü_ a"), "=?utf-8?q?=C3=BC=5F_a?=");
        assert!(
            encode_header(&"ü".repeat(50))
                .lines()
                .all(|line| line.trim_start().len() <= 75)
        );
        // No line of a header can be forged by a label.
        assert!(!encode_header("a\r\nBcc: x@y").contains("\r\nBcc"));
    }

    #[test]
    fn address_lists() {
        for (list, expected) in [
            ("a@b", Ok(vec!["a@b"])),
            (
                "Ops <o@x.org>, \"Me, too\" <m@x.org>",
                Ok(vec!["o@x.org", "m@x.org"]),
            ),
            ("nobody", Err(())),
            ("a@b>", Err(())),
            ("a b@c", Err(())),
        ] {
            let found = addresses(list);
            let found = found
                .as_ref()
                .map(|list| list.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(found.map_err(|_| ()), expected, "{list}");
        }
    }

    #[test]
    fn dates_are_those_of_rfc_1123() {
        assert_eq!(
            rfc1123z(Timestamp::from_secs(1_795_132_800)),
            "Fri, 20 Nov 2026 00:00:00 +0000"
        );
    }
}
