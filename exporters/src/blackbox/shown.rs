//! A configuration as it is shown, at `/config` and for `debug=true`: as it stands in the file, without its secrets.

use std::fmt::Write as _;

use serde_json::Value;

/// The keys whose values nobody may read; what the real one calls a secret.
const SECRETS: [&str; 9] = [
    "password",
    "credentials",
    "bearer_token",
    "client_secret",
    "client_certificate_key",
    "key",
    "secrets",
    "proxy_connect_header",
    "ca_key",
];
/// What stands in their place.
const MASK: &str = "<secret>";

/// A value as YAML, without its secrets.
pub(super) fn yaml(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

fn write(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    // Writing to a String cannot fail.
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let _ = write!(out, "{indent}{}:", scalar(&Value::String(key.clone())));
                if SECRETS.contains(&key.as_str()) && !is_empty(value) {
                    let _ = writeln!(out, " {MASK}");
                } else {
                    write_after(out, value, depth);
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                write(&mut inner, item, depth + 1);
                let rest = inner.trim_start();
                let _ = write!(out, "{indent}- {rest}");
            }
        }
        scalar_or_empty => {
            let _ = writeln!(out, "{indent}{}", scalar(scalar_or_empty));
        }
    }
}

fn write_after(out: &mut String, value: &Value, depth: usize) {
    if is_empty(value) || !(value.is_object() || value.is_array()) {
        let _ = writeln!(out, " {}", scalar(value));
        return;
    }
    out.push('\n');
    write(out, value, depth + 1);
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A scalar, or an empty collection; texts that could be read as anything else are in quotes.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let plain =
                |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.' | '/');
            let is_plain = text.starts_with(|it: char| it.is_ascii_alphabetic())
                && text.chars().all(plain)
                && !matches!(text.as_str(), "true" | "false" | "null" | "yes" | "no");
            if is_plain {
                text.clone()
            } else {
                value.to_string()
            }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let value = json!({"modules": {"a b": {
            "prober": "http",
            "http": {
                "basic_auth": {"username": "me", "password": "it"},
                "headers": {},
                "bearer_token": "",
                "tls_config": {"key": "-----BEGIN", "ca_file": "/ca.pem"},
                "valid_status_codes": [200, 201],
                "rules": [{"header": "x", "regexp": "a: b"}, {"header": "yes"}],
            },
        }}});
        let expected = r#"modules:
  "a b":
    http:
      basic_auth:
        password: <secret>
        username: me
      bearer_token: ""
      headers: {}
      rules:
        - header: x
          regexp: "a: b"
        - header: "yes"
      tls_config:
        ca_file: "/ca.pem"
        key: <secret>
      valid_status_codes:
        - 200
        - 201
    prober: http
"#;
        assert_eq!(yaml(&value), expected);
    }
}
