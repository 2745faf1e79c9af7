//! E-mail over SMTP.

use std::collections::BTreeMap;

use crate::config::global::Global;
use crate::config::http::{HttpConfig, TlsConfig};
use crate::config::receiver::Integration;
use crate::config::values::{HostPort, Secret};
use crate::config::yaml::block;

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

    fn http(&self) -> Option<&HttpConfig> {
        None
    }

    fn http_mut(&mut self) -> Option<&mut HttpConfig> {
        None
    }
}
