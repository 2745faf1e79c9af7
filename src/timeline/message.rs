//! Notifications as their receiver would have seen them, read out of the payload that was sent.

use gameday_signal::{Event, EventKind};
use serde::Serialize;
use serde_json::Value;

use super::text;

/// A message has at most this many parts; Slack itself allows 100 attachments.
const PARTS_MAX: usize = 100;
/// Slack's names for colours, as its documentation of legacy attachments gives them.
const SLACK_COLOURS: [(&str, &str); 3] = [
    ("good", "#2eb886"),
    ("warning", "#daa038"),
    ("danger", "#a30200"),
];

/// A run of text in one style. `text` is raw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Run {
    pub(super) text: String,
    /// `plain`, `bold`, `italic`, `strike`, `code` or `link`.
    pub(super) style: &'static str,
    /// Where a link leads; empty for any other run, and for a link to nowhere safe.
    pub(super) href: String,
}

/// A line of runs.
pub(super) type RunLine = Vec<Run>;

/// A part of a message: an attachment of Slack, or all there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    /// `#rrggbb`, or empty.
    pub(super) colour: String,
    pub(super) before: Vec<RunLine>,
    pub(super) title: String,
    pub(super) title_href: String,
    pub(super) lines: Vec<RunLine>,
    /// Names and values side by side.
    pub(super) fields: Vec<(String, Vec<RunLine>)>,
    /// Buttons: their words and where they lead.
    pub(super) buttons: Vec<(String, String)>,
    pub(super) footer: String,
}

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Message {
    /// The channel or address, where the payload names one.
    pub(super) to: String,
    /// Who sent it, in the payload's own words.
    pub(super) from: String,
    pub(super) parts: Vec<Part>,
    /// The payload itself, laid out for reading, where it is not a chat message.
    pub(super) raw: Vec<String>,
}

/// The message of a [`EventKind::Notified`]; none for another event.
pub(super) fn message(event: &Event) -> Option<Message> {
    let EventKind::Notified {
        integration,
        payload,
        ..
    } = &event.kind
    else {
        return None;
    };
    let json: Option<Value> = serde_json::from_str(payload).ok();
    let message = match (integration.as_str(), &json) {
        ("slack", Some(json @ Value::Object(_))) => slack(json),
        (_, Some(json)) => Message {
            raw: pretty(json),
            ..Message::default()
        },
        (_, None) => Message {
            raw: text::visible_lines(payload),
            ..Message::default()
        },
    };
    Some(message)
}

fn pretty(json: &Value) -> Vec<String> {
    let text = serde_json::to_string_pretty(json)
        .expect("invariant: a JSON value that was read can be written");
    text::visible_lines(&text)
}

/// The text at `key`, or nothing.
fn text_at<'a>(json: &'a Value, key: &str) -> &'a str {
    json.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list_at<'a>(json: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    json.get(key)
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .take(PARTS_MAX)
}

/// Slack's incoming webhook: `text`, `blocks` and `attachments`.
fn slack(json: &Value) -> Message {
    let mut parts = Vec::new();
    let own = text_at(json, "text");
    if !own.is_empty() {
        parts.push(Part {
            lines: mrkdwn(own),
            ..Part::default()
        });
    }
    parts.extend(list_at(json, "blocks").filter_map(block));
    for attachment in list_at(json, "attachments") {
        parts.push(slack_attachment(attachment));
        parts.extend(list_at(attachment, "blocks").filter_map(block));
    }
    let mut message = Message {
        to: text_at(json, "channel").to_owned(),
        from: text_at(json, "username").to_owned(),
        parts,
        raw: Vec::new(),
    };
    if message.parts.is_empty() {
        message.raw = pretty(json);
    }
    message
}

fn slack_attachment(json: &Value) -> Part {
    let mut part = Part {
        colour: colour(text_at(json, "color")),
        before: mrkdwn(text_at(json, "pretext")),
        title: unescape(text_at(json, "title")),
        title_href: link(text_at(json, "title_link")),
        lines: mrkdwn(text_at(json, "text")),
        footer: unescape(text_at(json, "footer")),
        ..Part::default()
    };
    for field in list_at(json, "fields") {
        let title = unescape(text_at(field, "title"));
        part.fields.push((title, mrkdwn(text_at(field, "value"))));
    }
    for action in list_at(json, "actions") {
        let words = unescape(text_at(action, "text"));
        part.buttons.push((words, link(text_at(action, "url"))));
    }
    let says_nothing = part.title.is_empty()
        && part.lines.is_empty()
        && part.before.is_empty()
        && part.fields.is_empty();
    if says_nothing {
        // Slack shows the fallback where it cannot show the attachment.
        part.lines = mrkdwn(text_at(json, "fallback"));
    }
    part
}

/// Block Kit: header, section, context, divider; other blocks hold no text of their own.
fn block(json: &Value) -> Option<Part> {
    let text_of = |value: &Value| {
        value
            .get("text")
            .map_or("", |text| {
                text.as_str().unwrap_or_else(|| text_at(text, "text"))
            })
            .to_owned()
    };
    let mut part = Part::default();
    match text_at(json, "type") {
        "header" => part.title = unescape(&text_of(json)),
        "section" | "markdown" => {
            part.lines = mrkdwn(&text_of(json));
            for field in list_at(json, "fields") {
                part.fields
                    .push((String::new(), mrkdwn(text_at(field, "text"))));
            }
        }
        "context" => {
            let texts: Vec<&str> = list_at(json, "elements")
                .map(|element| text_at(element, "text"))
                .collect();
            part.footer = unescape(&texts.join(" "));
        }
        "actions" => {
            for element in list_at(json, "elements") {
                let words = unescape(&text_of(element));
                part.buttons.push((words, link(text_at(element, "url"))));
            }
        }
        _ => return None,
    }
    Some(part)
}

/// A colour that is safe to stand in a style: one of Slack's names or six hexadecimal digits.
fn colour(name: &str) -> String {
    if let Some((_, hex)) = SLACK_COLOURS.iter().find(|(own, _)| *own == name) {
        return (*hex).to_owned();
    }
    let digits = name.strip_prefix('#').unwrap_or(name);
    if digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        format!("#{}", digits.to_ascii_lowercase())
    } else {
        String::new()
    }
}

fn link(address: &str) -> String {
    let address = unescape(address);
    text::safe_link(&address).unwrap_or_default().to_owned()
}

/// Slack escapes these three characters and no other.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

/// Slack's own markup: `*bold*`, `_italic_`, `~strike~`, `` `code` ``, `<address|words>`.
fn mrkdwn(text: &str) -> Vec<RunLine> {
    const LINES_MAX: usize = 200;
    if text.is_empty() {
        return Vec::new();
    }
    text.lines().take(LINES_MAX).map(mrkdwn_line).collect()
}

fn mrkdwn_line(line: &str) -> RunLine {
    let mut runs: RunLine = Vec::new();
    let mut plain = String::new();
    let mut rest = line;
    let mut before: Option<char> = None;
    while let Some(first) = rest.chars().next() {
        if let Some((run, length)) = styled(rest, first, before) {
            flush(&mut plain, &mut runs);
            runs.push(run);
            before = rest[..length].chars().next_back();
            rest = &rest[length..];
        } else {
            plain.push(first);
            before = Some(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    flush(&mut plain, &mut runs);
    runs
}

fn flush(plain: &mut String, runs: &mut RunLine) {
    if !plain.is_empty() {
        runs.push(Run {
            text: unescape(plain),
            style: "plain",
            href: String::new(),
        });
        plain.clear();
    }
}

/// The styled run at the beginning of `rest` with its length in bytes, if there is one.
fn styled(rest: &str, first: char, before: Option<char>) -> Option<(Run, usize)> {
    if first == '<' {
        let end = rest.find('>')?;
        let (address, words) = match rest[1..end].split_once('|') {
            Some((address, words)) => (address, words),
            None => (&rest[1..end], &rest[1..end]),
        };
        let run = Run {
            text: unescape(words),
            style: "link",
            href: link(address),
        };
        return Some((run, end + 1));
    }
    let style = match first {
        '*' => "bold",
        '_' => "italic",
        '~' => "strike",
        '`' => "code",
        _ => return None,
    };
    // A mark inside a word, as in `db_query_seconds`, is a letter like others.
    if before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let end = rest[1..].find(first)? + 1;
    let inner = &rest[1..end];
    let after = rest[end + 1..].chars().next();
    let padded = inner.starts_with(' ') || inner.ends_with(' ');
    if inner.is_empty() || padded || after.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let run = Run {
        text: unescape(inner),
        style,
        href: String::new(),
    };
    Some((run, end + 1))
}

#[cfg(test)]
mod tests {
    use gameday_signal::{Labels, Timestamp};

    use super::*;

    fn sent(integration: &str, payload: &str) -> Message {
        let event = Event {
            at: Timestamp::EPOCH,
            seq: 0,
            kind: EventKind::Notified {
                receiver: "r".to_owned(),
                integration: integration.to_owned(),
                status: "firing".to_owned(),
                group_labels: Labels::empty(),
                firing: Vec::new(),
                resolved: Vec::new(),
                payload: payload.to_owned(),
            },
        };
        message(&event).expect("a notification")
    }

    fn check_line(line: &str, expected: &[(&str, &str)]) {
        let runs = mrkdwn_line(line);
        let seen: Vec<_> = runs
            .iter()
            .map(|run| (run.style, run.text.as_str()))
            .collect();
        assert_eq!(seen, expected, "{line}");
    }

    #[test]
    fn slack_markup_becomes_runs() {
        check_line(
            "a *b* _c_",
            &[
                ("plain", "a "),
                ("bold", "b"),
                ("plain", " "),
                ("italic", "c"),
            ],
        );
        check_line("db_query_seconds", &[("plain", "db_query_seconds")]);
        check_line("1 * 2 * 3", &[("plain", "1 * 2 * 3")]);
        check_line(
            "<https://a|run &amp; book>!",
            &[("link", "run & book"), ("plain", "!")],
        );
        check_line("&lt;b&gt; `x", &[("plain", "<b> `x")]);
        check_line("&amp;lt;", &[("plain", "&lt;")]);
    }

    #[test]
    fn links_lead_to_the_web_only() {
        let runs = mrkdwn_line("<javascript:alert(1)|click> <https://a>");
        assert_eq!(runs[0].href, "");
        assert_eq!(runs[2].href, "https://a");
    }

    #[test]
    fn reads_an_attachment() {
        let message = sent(
            "slack",
            r##"{"channel":"#page","username":"Alertmanager","attachments":[{"color":"danger","title":"[FIRING:1] A","title_link":"http://am/","text":"*now*","fields":[{"title":"severity","value":"critical","short":true}],"actions":[{"type":"button","text":"Runbook","url":"javascript:x"}]}]}"##,
        );
        assert_eq!(message.to, "#page");
        let part = &message.parts[0];
        assert_eq!(part.colour, "#a30200");
        assert_eq!(part.title_href, "http://am/");
        assert_eq!(part.lines[0][0].style, "bold");
        assert_eq!(part.fields[0].0, "severity");
        assert_eq!(part.buttons[0], ("Runbook".to_owned(), String::new()));
    }

    #[test]
    fn everything_else_is_shown_as_it_was_sent() {
        assert_eq!(sent("webhook", "{\"a\":1}").raw, ["{", "  \"a\": 1", "}"]);
        assert_eq!(sent("slack", "no json \x1b[0m").raw, ["no json \\x1b[0m"]);
        assert_eq!(sent("slack", "[1]").raw.len(), 3);
        assert_eq!(sent("slack", "{}").raw, ["{}"]);
        assert_eq!(colour("#FFaa00"), "#ffaa00");
        assert_eq!(colour("red;background:url(x)"), "");
    }
}
