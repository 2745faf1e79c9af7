//! Loki's push API, both ways: JSON, and snappy-compressed `logproto.PushRequest`.

use gameday_signal::{Labels, LabelsBuilder, Timestamp};
use prost::Message;
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};

use crate::compression::{CompressionError, snappy_decode, snappy_encode};

/// Why a push is refused: it is answered with 400 and must not be sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LokiPushError {
    /// It could not be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// It is no such message.
    #[error("invalid protobuf: {0}")]
    Protobuf(String),
    /// It is no such JSON.
    #[error("invalid JSON: {0}")]
    Json(String),
    /// The labels of a stream cannot be read.
    #[error("couldn't parse labels {labels:?}: column {column}: {reason}")]
    Labels {
        /// The labels as they came.
        labels: String,
        /// Where they are wrong, in bytes from 1.
        column: usize,
        /// What was expected.
        reason: String,
    },
}

/// One line of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushEntry {
    /// When it happened.
    pub timestamp: Timestamp,
    /// The line.
    pub line: String,
    /// Structured metadata, in the order in which it was sent.
    pub metadata: Vec<(String, String)>,
}

/// The lines of one stream of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushStream {
    /// The labels of the stream.
    pub labels: Labels,
    /// Its lines.
    pub entries: Vec<PushEntry>,
}

#[derive(Deserialize)]
struct JsonRequest {
    streams: Vec<JsonStream>,
}

#[derive(Deserialize)]
struct JsonStream {
    stream: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<JsonEntry>,
}

struct JsonEntry(PushEntry);

/// `["<nanoseconds>", "<line>"]`, with an optional object of texts behind.
impl<'de> Deserialize<'de> for JsonEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        impl<'de> Visitor<'de> for Parts {
            type Value = JsonEntry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of timestamp, line and, if need be, structured metadata")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<JsonEntry, A::Error> {
                let missing = |what: &str| A::Error::custom(format!("the {what} is missing"));
                let text: String = parts.next_element()?.ok_or_else(|| missing("timestamp"))?;
                let nanos: i64 = text.parse().map_err(|_| {
                    A::Error::custom(format!(
                        "expected a timestamp in nanoseconds as text, found {text:?}"
                    ))
                })?;
                let line = parts.next_element()?.ok_or_else(|| missing("line"))?;
                let metadata: Option<Pairs> = parts.next_element()?;
                while parts.next_element::<IgnoredAny>()?.is_some() {}
                Ok(JsonEntry(PushEntry {
                    timestamp: Timestamp::from_nanos(nanos),
                    line,
                    metadata: metadata.map(|pairs| pairs.0).unwrap_or_default(),
                }))
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

/// An object of texts, in its own order.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[derive(Clone, PartialEq, Eq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamMessage>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct StreamMessage {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryMessage>,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct EntryMessage {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<TimestampMessage>,
    #[prost(string, tag = "2")]
    line: String,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<PairMessage>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct TimestampMessage {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct PairMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Reads a push in JSON (already decompressed).
///
/// # Errors
/// Where the body is no such JSON; a timestamp has to be text.
pub fn decode_loki_json(body: &[u8]) -> Result<Vec<PushStream>, LokiPushError> {
    let request: JsonRequest =
        serde_json::from_slice(body).map_err(|error| LokiPushError::Json(error.to_string()))?;
    Ok(request
        .streams
        .into_iter()
        .map(|stream| PushStream {
            labels: Labels::new(&stream.stream),
            entries: stream.values.into_iter().map(|entry| entry.0).collect(),
        })
        .collect())
}

/// Reads a push in snappy-compressed protobuf, at most `limit_bytes` when decompressed.
///
/// # Errors
/// Where the body is too large, is no such message, or holds labels that cannot be read.
pub fn decode_loki_protobuf(
    body: &[u8],
    limit_bytes: usize,
) -> Result<Vec<PushStream>, LokiPushError> {
    let raw = snappy_decode(body, limit_bytes)?;
    let request = PushRequest::decode(raw.as_slice())
        .map_err(|error| LokiPushError::Protobuf(error.to_string()))?;
    request
        .streams
        .into_iter()
        .map(|stream| {
            Ok(PushStream {
                labels: parse_labels(&stream.labels)?,
                entries: stream.entries.into_iter().map(entry).collect(),
            })
        })
        .collect()
}

fn entry(message: EntryMessage) -> PushEntry {
    let at = message.timestamp.unwrap_or_default();
    PushEntry {
        timestamp: Timestamp::from_nanos(
            at.seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(i64::from(at.nanos)),
        ),
        line: message.line,
        metadata: message
            .metadata
            .into_iter()
            .map(|pair| (pair.name, pair.value))
            .collect(),
    }
}

/// Writes a push as snappy-compressed protobuf.
pub fn encode_loki_protobuf(streams: &[PushStream]) -> Vec<u8> {
    let request = PushRequest {
        streams: streams
            .iter()
            .map(|stream| StreamMessage {
                labels: stream.labels.to_string(),
                entries: stream
                    .entries
                    .iter()
                    .map(|entry| EntryMessage {
                        timestamp: Some(TimestampMessage {
                            seconds: entry.timestamp.as_secs(),
                            nanos: entry.timestamp.as_nanos().rem_euclid(1_000_000_000) as i32,
                        }),
                        line: entry.line.clone(),
                        metadata: entry
                            .metadata
                            .iter()
                            .map(|(name, value)| PairMessage {
                                name: name.clone(),
                                value: value.clone(),
                            })
                            .collect(),
                    })
                    .collect(),
            })
            .collect(),
    };
    snappy_encode(&request.encode_to_vec())
}

/// Reads `{a="b", c="d"}`: names may be quoted, values are quoted as in Go, with `"`, `'` or backquotes.
fn parse_labels(text: &str) -> Result<Labels, LokiPushError> {
    let mut reader = LabelReader { text, at: 0 };
    reader.labels().map_err(|reason| LokiPushError::Labels {
        labels: text.chars().take(256).collect(),
        column: reader.at + 1,
        reason,
    })
}

struct LabelReader<'a> {
    text: &'a str,
    at: usize,
}

impl LabelReader<'_> {
    fn labels(&mut self) -> Result<Labels, String> {
        let mut builder = LabelsBuilder::default();
        self.expect('{')?;
        if !self.take('}') {
            loop {
                let name = self.name()?;
                self.expect('=')?;
                let value = self.quoted()?;
                if builder.get(&name).is_some() {
                    return Err(format!("label name {name:?} is not unique"));
                }
                builder.set(&name, &value);
                if self.take('}') {
                    break;
                }
                self.expect(',')?;
                // A comma may stand before the closing brace.
                if self.take('}') {
                    break;
                }
            }
        }
        self.skip_blanks();
        if self.at < self.text.len() {
            return Err("expected the end of the labels".to_owned());
        }
        Ok(builder.build())
    }

    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_ascii_start().len();
    }

    fn take(&mut self, character: char) -> bool {
        self.skip_blanks();
        let found = self.text[self.at..].starts_with(character);
        if found {
            self.at += character.len_utf8();
        }
        found
    }

    fn expect(&mut self, character: char) -> Result<(), String> {
        if self.take(character) {
            Ok(())
        } else {
            Err(format!("expected {character:?}"))
        }
    }

    fn name(&mut self) -> Result<String, String> {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        if rest.starts_with(['"', '\'', '`']) {
            return self.quoted();
        }
        let length = rest
            .bytes()
            .enumerate()
            .position(|(index, byte)| {
                !(byte.is_ascii_alphabetic()
                    || byte == b'_'
                    || (index > 0 && byte.is_ascii_digit()))
            })
            .unwrap_or(rest.len());
        if length == 0 {
            return Err("expected a label name".to_owned());
        }
        self.at += length;
        Ok(rest[..length].to_owned())
    }

    fn quoted(&mut self) -> Result<String, String> {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let quote = rest
            .chars()
            .next()
            .filter(|character| matches!(character, '"' | '\'' | '`'))
            .ok_or("expected a quoted value")?;
        let mut value = String::new();
        let mut characters = rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            if character == quote {
                self.at += at + 1;
                return Ok(value);
            }
            if character == '\\' && quote != '`' {
                value.push(escape(&mut characters)?);
            } else {
                value.push(character);
            }
        }
        Err("the value is not closed".to_owned())
    }
}

/// Reads what stands behind a backslash (strconv.Unquote).
fn escape(characters: &mut impl Iterator<Item = (usize, char)>) -> Result<char, String> {
    let (_, kind) = characters.next().ok_or("the value is not closed")?;
    let digits = match kind {
        'n' => return Ok('\n'),
        't' => return Ok('\t'),
        'r' => return Ok('\r'),
        'a' => return Ok('\x07'),
        'b' => return Ok('\x08'),
        'f' => return Ok('\x0c'),
        'v' => return Ok('\x0b'),
        '\\' | '"' | '\'' => return Ok(kind),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        other => return Err(format!("unknown escape \\{other}")),
    };
    let code: String = characters.take(digits).map(|(_, digit)| digit).collect();
    u32::from_str_radix(&code, 16)
        .ok()
        .and_then(char::from_u32)
        .ok_or_else(|| format!("invalid escape \\{kind}{code}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn streams() -> Vec<PushStream> {
        vec![PushStream {
            labels: Labels::new([("app", "check\"out\n"), ("env", "prod")]),
            entries: vec![
                PushEntry {
                    timestamp: Timestamp::from_nanos(1_700_000_000_000_000_007),
                    line: "hello".to_owned(),
                    metadata: vec![("trace_id".to_owned(), "ab".to_owned())],
                },
                PushEntry {
                    timestamp: Timestamp::from_nanos(1),
                    line: String::new(),
                    metadata: Vec::new(),
                },
            ],
        }]
    }

    #[test]
    fn reads_both_encodings() {
        let json = r#"{"streams":[{"stream":{"env":"prod","app":"check\"out\n"},"values":[
            ["1700000000000000007","hello",{"trace_id":"ab"}],["1",""]]}]}"#;
        assert_eq!(decode_loki_json(json.as_bytes()), Ok(streams()));
        let body = encode_loki_protobuf(&streams());
        assert_eq!(decode_loki_protobuf(&body, 1 << 16), Ok(streams()));
        assert!(decode_loki_protobuf(&body, 10).is_err());
    }

    #[test]
    fn refuses_bad_json() {
        for (json, expected) in [
            (
                r#"{"streams":[{"stream":{},"values":[[1,"x"]]}]}"#,
                "invalid type: integer `1`, expected a string",
            ),
            (
                r#"{"streams":[{"stream":{},"values":[["x","x"]]}]}"#,
                "expected a timestamp in nanoseconds as text, found \"x\"",
            ),
            (
                r#"{"streams":[{"stream":{},"values":[["1"]]}]}"#,
                "the line is missing",
            ),
            (
                r#"{"streams":[{"stream":{"a":1},"values":[]}]}"#,
                "invalid type: integer `1`, expected a string",
            ),
            (
                r#"{"streams":[{"stream":{},"values":[["1","x",{"a":1}]]}]}"#,
                "invalid type: integer `1`, expected a string",
            ),
            (r#"{}"#, "missing field `streams`"),
        ] {
            let error = decode_loki_json(json.as_bytes())
                .expect_err(json)
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn reads_labels() {
        for (text, expected) in [
            ("{}", "{}"),
            (r#"{a="b"}"#, r#"{a="b"}"#),
            (
                r#" { a = "b\n\u00e9" , c='d"', e=`\f`, } "#,
                r#"{a="b\né", c="d\"", e="\\f"}"#,
            ),
            (r#"{"a.b"="c"}"#, r#"{"a.b"="c"}"#),
        ] {
            let labels = parse_labels(text).map(|labels| labels.to_string());
            assert_eq!(labels, Ok(expected.to_owned()), "{text}");
        }
        for text in [
            "",
            "{",
            "{a}",
            "{a=b}",
            r#"{a="b" c="d"}"#,
            r#"{a="b"} x"#,
            r#"{a="\q"}"#,
            r#"{a="1",a="2"}"#,
        ] {
            assert!(parse_labels(text).is_err(), "{text}");
        }
        assert_eq!(
            parse_labels("{a=b}").map_err(|error| error.to_string()),
            Err("couldn't parse labels \"{a=b}\": column 4: expected a quoted value".to_owned())
        );
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "[{}a=\"'`\\\\,xu0 ]{0,30}") {
            let _ = decode_loki_json(&bytes);
            let _ = decode_loki_protobuf(&bytes, 1 << 16);
            let _ = decode_loki_protobuf(&snappy_encode(&bytes), 1 << 16);
            let _ = parse_labels(&text);
        }

        #[test]
        fn labels_round_trip(name in "[a-z.]{1,8}", value in "\\PC{1,12}") {
            let labels = Labels::new([(name, value)]);
            prop_assert_eq!(parse_labels(&labels.to_string()), Ok(labels));
        }
    }
}
