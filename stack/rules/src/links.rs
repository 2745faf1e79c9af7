//! Where the link of an alert leads: to its expression, in Prometheus or in Grafana.

use std::fmt::Write;

use crate::backend::Language;

/// The link below the external URL to an expression.
pub(crate) fn link_to(language: Language, expression: &str) -> String {
    match language {
        Language::PromQl => gameday_template::table_link(expression),
        Language::LogQl => explore_link(expression),
    }
}

/// Grafana's Explore with the expression, as Loki's ruler links to it (grafanaLinkForExpression in pkg/ruler/base/ruler.go).
fn explore_link(expression: &str) -> String {
    let left = format!(
        r#"{{"queries":[{{"expr":"{}","queryType":"range"}}]}}"#,
        json_text(expression)
    );
    let mut link = "/explore?left=".to_owned();
    for byte in left.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                link.push(char::from(byte));
            }
            b' ' => link.push('+'),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                link.push('%');
                link.push(char::from(DIGITS[usize::from(byte >> 4)]));
                link.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    link
}

/// The inside of a JSON text as Go writes it, which escapes what HTML would take for markup.
fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_explore() {
        assert_eq!(
            link_to(Language::LogQl, "rate({a=\"b\"} |~ \"<\\n\"[1m]) > 0"),
            "/explore?left=%7B%22queries%22%3A%5B%7B%22expr%22%3A%22rate%28%7Ba%3D%5C%22b%5C%22%7D+%7C~+%5C%22%5Cu003c%5C%5Cn%5C%22%5B1m%5D%29+%5Cu003e+0%22%2C%22queryType%22%3A%22range%22%7D%5D%7D"
        );
        assert_eq!(
            link_to(Language::PromQl, "up == 0"),
            "/graph?g0.expr=up+%3D%3D+0&g0.tab=1"
        );
    }
}
