//! The page: plain HTML without scripts. Every text on it is escaped, and links lead to http and https only.

use super::{Delivery, Inbox, InboxMessage, Seen, seen};

/// Messages on the page.
const SHOWN_MAX: usize = 200;
/// Characters of one text on the page.
const TEXT_CHARS_MAX: usize = 20_000;

const HEAD: &str = "<!doctype html><html lang=en><head><meta charset=utf-8><meta http-equiv=refresh content=10>\
<meta name=viewport content=\"width=device-width\"><title>Receivers</title><style>\
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1c1e21;background:#fff}\
article{border:1px solid #d0d4da;border-left:.3rem solid #8a919c;border-radius:.3rem;margin:1rem 0;padding:.6rem 1rem}\
article.firing{border-left-color:#c0392b}article.resolved{border-left-color:#2e8b57}\
h2{font-size:1.05rem;margin:.3rem 0}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.4rem 0;font:13px/1.4 ui-monospace,monospace}\
small,dt{color:#5a6270}dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem;margin:.4rem 0}dd{margin:0;overflow-wrap:anywhere}\
.failed{color:#a30200}nav a{margin-right:1rem}iframe{border:1px solid #d0d4da;width:100%;height:20rem;background:#fff}\
@media(prefers-color-scheme:dark){body{background:#16181c;color:#e3e6ea}article,iframe{border-color:#3a3f47}small,dt{color:#9aa3af}a{color:#7ab7ff}.failed{color:#ff8a80}}\
</style></head><body><h1>Receivers</h1>";

/// The page of the messages to `receiver`, or to all; `receivers` are the names in alertmanager.yml.
pub(crate) fn page(inbox: &Inbox, receivers: &[String], receiver: Option<&str>) -> String {
    let mut out = String::from(HEAD);
    out.push_str("<nav><a href=\"/receivers\">all</a>");
    for name in receivers {
        let query: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        out.extend([
            "<a href=\"/receivers?receiver=",
            &query,
            "\">",
            &escaped(name),
            "</a>",
        ]);
    }
    out.push_str("</nav><p><small>");
    let messages: Vec<InboxMessage> = inbox.newest(receiver).take(SHOWN_MAX).collect();
    let whom = match receiver {
        Some(name) => format!(" to {}", escaped(name)),
        None => String::new(),
    };
    let told = match inbox.count() {
        0 => "No message yet. They arrive when an alert fires.".to_owned(),
        count => format!(
            "{} of {count} messages{whom}, the newest first. As JSON: <a href=\"/receivers/messages\">/receivers/messages</a>.",
            messages.len()
        ),
    };
    out.push_str(&told);
    out.push_str("</small></p>");
    for message in messages {
        write_message(&mut out, &message);
    }
    out.push_str("</body></html>\n");
    out
}

fn write_message(out: &mut String, message: &InboxMessage) {
    let class = match message.status.as_str() {
        "firing" => " class=firing",
        "resolved" => " class=resolved",
        _ => "",
    };
    out.extend([
        "<article",
        class,
        "><small>",
        &message.at.to_string(),
        " · <b>",
        &escaped(&message.receiver),
        "</b> · ",
        &escaped(&message.integration),
        " · ",
        &escaped(&message.status),
        " · ",
        &delivery(message),
        "</small>",
    ]);
    match seen(&message.integration, &message.payload) {
        Some(own) => {
            write_seen(out, &own);
            out.extend([
                "<details><summary><small>as it was sent</small></summary><pre>",
                &escaped(&message.payload),
                "</pre></details>",
            ]);
        }
        None => out.extend(["<pre>", &escaped(&message.payload), "</pre>"]),
    }
    out.push_str("</article>");
}

fn delivery(message: &InboxMessage) -> String {
    let attempt = match message.attempt {
        0 | 1 => String::new(),
        number => format!(" (attempt {number})"),
    };
    let told = match &message.delivery {
        Delivery::Kept => "kept here".to_owned(),
        Delivery::Sent => "sent".to_owned(),
        Delivery::Received => "received here".to_owned(),
        Delivery::Retried { error } => {
            format!(
                "<span class=failed>not delivered, tried again: {}</span>",
                escaped(error)
            )
        }
        Delivery::Failed { error } => {
            format!(
                "<span class=failed>not delivered: {}</span>",
                escaped(error)
            )
        }
    };
    format!("{told}{attempt}")
}

fn write_seen(out: &mut String, own: &Seen) {
    if !own.title.is_empty() {
        out.extend(["<h2>", &linked(&own.title, &own.link), "</h2>"]);
    }
    if !own.to.is_empty() {
        out.extend(["<small>to ", &escaped(&own.to), "</small>"]);
    }
    if !own.text.is_empty() {
        out.extend(["<pre>", &escaped(&own.text), "</pre>"]);
    }
    if !own.html.is_empty() {
        // A sandbox without any permission: no script, no form, no way out.
        out.extend([
            "<iframe sandbox title=\"the e-mail\" srcdoc=\"",
            &escaped(&own.html),
            "\"></iframe>",
        ]);
    }
    if !own.fields.is_empty() {
        out.push_str("<dl>");
        for (name, value) in &own.fields {
            out.extend([
                "<dt>",
                &escaped(name),
                "</dt><dd>",
                &escaped(value),
                "</dd>",
            ]);
        }
        out.push_str("</dl>");
    }
    for (words, link) in &own.links {
        out.extend([&linked(words, link), " "]);
    }
}

/// A link where the address is one that may be followed, else the words alone.
fn linked(words: &str, link: &str) -> String {
    let lower = link.to_ascii_lowercase();
    if lower.starts_with("http://") || lower.starts_with("https://") {
        format!(
            "<a rel=\"noopener noreferrer nofollow\" href=\"{}\">{}</a>",
            escaped(link),
            escaped(words)
        )
    } else {
        escaped(words)
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        if index >= TEXT_CHARS_MAX {
            out.push('…');
            break;
        }
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control and direction marks could make a text look like another.
            '\n' | '\t' => out.push(character),
            other if other.is_control() || is_direction_mark(other) => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use gameday_signal::Timestamp;

    use super::*;

    #[test]
    fn hostile_telemetry_stays_text() {
        let evil = "<script>alert('x')</script>\" onload=\"\u{202e}";
        let payload = serde_json::json!({
            "channel": evil,
            "attachments": [{
                "title": evil,
                "title_link": "javascript:alert(1)",
                "text": evil,
                "fields": [{"title": evil, "value": evil}],
                "actions": [{"text": evil, "url": "https://x/\"><script>"}],
            }],
        });
        let mut inbox = Inbox::default();
        for (integration, payload) in [
            ("slack", payload.to_string()),
            (evil, evil.to_owned()),
            (
                "email",
                format!(
                    "Subject: {evil}\r\nContent-Type: m; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n{evil}\r\n--b--"
                ),
            ),
        ] {
            inbox.keep(InboxMessage {
                number: 0,
                notification: None,
                at: Timestamp::EPOCH,
                receiver: evil.to_owned(),
                integration: integration.to_owned(),
                status: evil.to_owned(),
                delivery: Delivery::Failed {
                    error: evil.to_owned(),
                },
                attempt: 2,
                payload,
            });
        }
        let page = page(&inbox, &[evil.to_owned()], Some(evil));
        assert_eq!(page.matches("<article").count(), 3);
        for forbidden in ["<script", "onload=\"", "javascript:alert(1)\"", "\u{202e}"] {
            assert!(!page.contains(forbidden), "{forbidden} in {page}");
        }
    }

    #[test]
    fn the_page_says_who_got_what() {
        let mut inbox = Inbox::default();
        inbox.keep(InboxMessage {
            number: 0,
            notification: None,
            at: Timestamp::from_secs(1_700_000_000),
            receiver: "slack".to_owned(),
            integration: "slack".to_owned(),
            status: "firing".to_owned(),
            delivery: Delivery::Kept,
            attempt: 1,
            payload: r#"{"attachments":[{"title":"[FIRING:1] Slow","title_link":"http://d/"}]}"#
                .to_owned(),
        });
        let page = page(&inbox, &["slack".to_owned(), "mail".to_owned()], None);
        for expected in [
            "2023-11-14T22:13:20.000Z",
            "<b>slack</b> · slack · firing · kept here",
            "href=\"http://d/\">[FIRING:1] Slow</a>",
            "<a href=\"/receivers?receiver=mail\">mail</a>",
            "1 of 1 messages",
        ] {
            assert!(page.contains(expected), "{expected} in {page}");
        }
    }
}
