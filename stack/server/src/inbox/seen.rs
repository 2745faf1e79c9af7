//! What a person sees of a payload.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// A message as a person sees it; every text is raw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Seen {
    /// The headline.
    pub(crate) title: String,
    /// Where the headline leads.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) link: String,
    /// To whom or where, in the payload's own words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) to: String,
    /// The text.
    pub(crate) text: String,
    /// Names and values side by side.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fields: Vec<(String, String)>,
    /// Buttons and links: their words and where they lead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<(String, String)>,
    /// The text as HTML, where the message is an e-mail.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) html: String,
}

/// Fields and alerts of one message that are shown.
const PARTS_MAX: usize = 100;

/// Reads a payload as the receiver of that kind shows it; none where it is nothing that we know.
pub(crate) fn seen(integration: &str, payload: &str) -> Option<Seen> {
    if integration == "email" {
        return email(payload);
    }
    if matches!(integration, "pushover" | "sns") {
        return Some(form(integration, payload));
    }
    let json: Value = serde_json::from_str(payload).ok()?;
    let own = match integration {
        "slack" | "rocketchat" | "mattermost" => chat(&json),
        "discord" => discord(&json),
        "telegram" => with(&json, "/chat_id", "", "/text"),
        "pagerduty" => pagerduty(&json),
        "opsgenie" => opsgenie(&json),
        "msteams" => Seen {
            title: text(&json, "/title"),
            text: text(&json, "/text"),
            ..Seen::default()
        },
        "msteamsv2" => msteamsv2(&json),
        "webex" => with(&json, "/roomId", "", "/markdown"),
        "victorops" => with(
            &json,
            "/entity_id",
            "/entity_display_name",
            "/state_message",
        ),
        "wechat" => with(&json, "/touser", "", "/text/content"),
        "jira" => jira(&json),
        _ => webhook(&json),
    };
    // A payload of another shape (a template of one's own, a second request) is shown as it is.
    Some(own).filter(|own| !(own.title.is_empty() && own.text.is_empty()))
}

/// The text at a JSON pointer; a number is one too.
fn text(json: &Value, pointer: &str) -> String {
    match json.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn with(json: &Value, to: &str, title: &str, body: &str) -> Seen {
    let at = |pointer: &str| match pointer {
        "" => String::new(),
        pointer => text(json, pointer),
    };
    Seen {
        to: at(to),
        title: at(title),
        text: at(body),
        ..Seen::default()
    }
}

fn list<'a>(json: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    let found = json.pointer(pointer).and_then(Value::as_array);
    found.map_or(&[][..], Vec::as_slice).iter().take(PARTS_MAX)
}

fn join(texts: impl Iterator<Item = String>) -> String {
    let full: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
    full.join("\n")
}

/// Slack, Rocket.Chat and Mattermost: a text and attachments.
fn chat(json: &Value) -> Seen {
    let mut own = Seen {
        to: text(json, "/channel"),
        text: text(json, "/text"),
        ..Seen::default()
    };
    for attachment in list(json, "/attachments") {
        if own.title.is_empty() {
            own.title = text(attachment, "/title");
            own.link = text(attachment, "/title_link");
        }
        let parts = ["/pretext", "/text", "/footer"];
        let parts = parts.into_iter().map(|part| text(attachment, part));
        own.text = join([own.text.clone()].into_iter().chain(parts));
        own.fields.extend(
            list(attachment, "/fields").map(|field| (text(field, "/title"), text(field, "/value"))),
        );
        let actions = list(attachment, "/actions");
        own.links.extend(actions.map(|action| {
            let link = ["/url", "/msg"].map(|pointer| text(action, pointer));
            (text(action, "/text"), link.concat())
        }));
    }
    own
}

fn discord(json: &Value) -> Seen {
    let embeds = list(json, "/embeds").map(|embed| text(embed, "/description"));
    Seen {
        title: text(json, "/embeds/0/title"),
        text: join([text(json, "/content")].into_iter().chain(embeds)),
        ..Seen::default()
    }
}

fn pagerduty(json: &Value) -> Seen {
    let details = json
        .pointer("/payload/custom_details")
        .or(json.pointer("/details"));
    let details = details.and_then(Value::as_object).into_iter().flatten();
    let mut fields = vec![
        ("action".to_owned(), text(json, "/event_action")),
        ("severity".to_owned(), text(json, "/payload/severity")),
        ("source".to_owned(), text(json, "/payload/source")),
    ];
    fields.extend(details.take(PARTS_MAX).map(|(name, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (name.clone(), value)
    }));
    fields.retain(|(_, value)| !value.is_empty());
    let summary = ["/payload/summary", "/description"].map(|pointer| text(json, pointer));
    Seen {
        title: summary.concat(),
        link: text(json, "/client_url"),
        text: text(json, "/dedup_key"),
        fields,
        links: list(json, "/links")
            .map(|link| (text(link, "/text"), text(link, "/href")))
            .collect(),
        ..Seen::default()
    }
}

fn opsgenie(json: &Value) -> Seen {
    let details = json.pointer("/details").and_then(Value::as_object);
    Seen {
        title: text(json, "/message"),
        text: join(
            ["/description", "/note", "/source"]
                .map(|part| text(json, part))
                .into_iter(),
        ),
        fields: details
            .into_iter()
            .flatten()
            .take(PARTS_MAX)
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        ..Seen::default()
    }
}

fn msteamsv2(json: &Value) -> Seen {
    let mut texts = list(json, "/attachments/0/content/body").map(|block| text(block, "/text"));
    Seen {
        title: texts.next().unwrap_or_default(),
        text: join(texts),
        ..Seen::default()
    }
}

fn jira(json: &Value) -> Seen {
    let mut own = with(
        json,
        "/fields/project/key",
        "/fields/summary",
        "/fields/description",
    );
    if own.text.is_empty() {
        let mut texts = Vec::new();
        collect(json.pointer("/fields/description"), &mut texts);
        own.text = texts.join("\n");
    }
    own
}

/// The texts in Jira's document format.
fn collect(value: Option<&Value>, texts: &mut Vec<String>) {
    match value {
        Some(Value::Object(node)) => {
            if let Some(Value::String(text)) = node.get("text") {
                texts.push(text.clone());
            }
            collect(node.get("content"), texts);
        }
        Some(Value::Array(nodes)) => nodes.iter().for_each(|node| collect(Some(node), texts)),
        _ => {}
    }
}

/// Alertmanager's own payload: the alerts with their labels and annotations.
fn webhook(json: &Value) -> Seen {
    let pairs = |value: Option<&Value>| -> BTreeMap<String, String> {
        let pairs = value.and_then(Value::as_object).into_iter().flatten();
        pairs
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect()
    };
    let line = |pairs: &BTreeMap<String, String>| {
        let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let group = pairs(json.pointer("/groupLabels"));
    let alerts = list(json, "/alerts").map(|alert| {
        let labels = line(&pairs(alert.get("labels")));
        let annotations = pairs(alert.get("annotations"));
        let told = annotations
            .iter()
            .map(|(name, value)| format!("  {name}: {value}"));
        let first = format!("{} {labels}", text(alert, "/status"));
        join([first].into_iter().chain(told))
    });
    let text_of_alerts = join(alerts);
    let title = match (text(json, "/title"), text(json, "/status")) {
        (title, _) if !title.is_empty() => title,
        (_, status) if status.is_empty() => String::new(),
        (_, status) => format!("[{}] {}", status.to_uppercase(), line(&group)),
    };
    Seen {
        title,
        text: if text_of_alerts.is_empty() {
            text(json, "/message")
        } else {
            text_of_alerts
        },
        ..Seen::default()
    }
}

/// The forms of Pushover and SNS.
fn form(integration: &str, payload: &str) -> Seen {
    let pairs: BTreeMap<String, String> = form_urlencoded::parse(payload.as_bytes())
        .into_owned()
        .collect();
    let at = |name: &str| pairs.get(name).cloned().unwrap_or_default();
    if integration == "sns" {
        return Seen {
            to: at("TopicArn"),
            title: at("Subject"),
            text: at("Message"),
            ..Seen::default()
        };
    }
    Seen {
        title: at("title"),
        text: at("message"),
        link: at("url"),
        ..Seen::default()
    }
}

/// An e-mail as Alertmanager writes it: headers, then parts in quoted-printable.
fn email(payload: &str) -> Option<Seen> {
    let (head, body) = payload.split_once("\r\n\r\n")?;
    let head = head.replace("\r\n ", " ");
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| encoded_words(value))
            .unwrap_or_default()
    };
    let content_type = header("Content-Type");
    let boundary = content_type.split("boundary=").nth(1)?.trim_matches('"');
    let mut own = Seen {
        to: header("To"),
        title: header("Subject"),
        ..Seen::default()
    };
    for part in body.split(&format!("--{boundary}")) {
        let Some((head, text)) = part.split_once("\r\n\r\n") else {
            continue;
        };
        let text = quoted_printable(text);
        if head.contains("text/html") {
            own.html = text;
        } else {
            own.text = text;
        }
    }
    Some(own)
}

/// Undoes RFC 2047, as far as Alertmanager writes it.
fn encoded_words(value: &str) -> String {
    const START: &str = "=?utf-8?q?";
    if !value.starts_with(START) {
        return value.to_owned();
    }
    let words = value.split_whitespace().map(|word| {
        let word = word.strip_prefix(START).unwrap_or(word);
        word.strip_suffix("?=").unwrap_or(word).replace('_', " ")
    });
    quoted_printable(&words.collect::<String>())
}

/// Undoes quoted-printable (RFC 2045, 6.7).
fn quoted_printable(text: &str) -> String {
    let text = text.replace("=\r\n", "").replace("\r\n", "\n");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let byte = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if first == b'=' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_shows_its_headline_and_its_text() {
        for (integration, payload, title, text) in [
            (
                "slack",
                r##"{"channel":"#a","attachments":[{"title":"T","title_link":"http://x","text":"B","fields":[{"title":"f","value":"v"}]}]}"##,
                "T",
                "B",
            ),
            (
                "discord",
                r#"{"content":"c","embeds":[{"title":"T","description":"B"}]}"#,
                "T",
                "c\nB",
            ),
            ("telegram", r#"{"chat_id":"1","text":"B"}"#, "", "B"),
            ("msteams", r#"{"title":"T","text":"B"}"#, "T", "B"),
            (
                "msteamsv2",
                r#"{"attachments":[{"content":{"body":[{"type":"TextBlock","text":"T"},{"text":"B"}]}}]}"#,
                "T",
                "B",
            ),
            (
                "pagerduty",
                r#"{"event_action":"trigger","dedup_key":"k","payload":{"summary":"T","custom_details":{"firing":"x","n":1}}}"#,
                "T",
                "k",
            ),
            (
                "opsgenie",
                r#"{"message":"T","description":"B","details":{"a":"b"}}"#,
                "T",
                "B",
            ),
            ("pushover", "title=T+1&message=B%3Cb%3E", "T 1", "B<b>"),
            ("sns", "Subject=T&Message=B", "T", "B"),
            (
                "jira",
                r#"{"fields":{"summary":"T","description":{"content":[{"content":[{"text":"B"}]}]}}}"#,
                "T",
                "B",
            ),
            (
                "webhook",
                r#"{"status":"firing","groupLabels":{"alertname":"A"},"alerts":[{"status":"firing","labels":{"alertname":"A"},"annotations":{"summary":"S"}}]}"#,
                "[FIRING] alertname=A",
                "firing alertname=A\n  summary: S",
            ),
            (
                "email",
                "Subject: =?utf-8?q?T_=C3=BC?=\r\nTo: a@x\r\nContent-Type: multipart/alternative;  boundary=bb\r\n\r\n--bb\r\nContent-Type: text/html\r\n\r\n<p>=C3=BC=\r\nx</p>\r\n--bb--\r\n",
                "T ü",
                "",
            ),
        ] {
            let own = seen(integration, payload).expect(integration);
            assert_eq!(
                (own.title.as_str(), own.text.as_str()),
                (title, text),
                "{integration}"
            );
        }
        let mail = seen(
            "email",
            "Content-Type: x; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>=C3=BC=\r\nx</p>\r\n--b--\r\n",
        );
        assert_eq!(mail.expect("a mail").html, "<p>üx</p>");
        for (integration, payload) in [("slack", "no JSON"), ("webhook", "{}"), ("email", "x")] {
            assert_eq!(seen(integration, payload), None);
        }
    }
}
