//! The functions of Alertmanager's notification templates (alertmanager/template).

use std::sync::Arc;

use base64::Engine as _;
use gameday_signal::Timestamp;

use crate::functions::text;
use crate::prometheus::{re_replace_all, regex, to_float};
use crate::text::{query_unescape, title_and_lower};
use crate::{FunctionSet, Host, Param, SafeKind, Signature, Time, Value, humanize_duration, json};

/// What the templates of one notification can call.
#[derive(Clone, Copy, Debug)]
pub struct AlertmanagerFunctions {
    /// The time at which the notification is made.
    pub now: Timestamp,
}

const ANY: Param = Param::Any;
const STRING: Param = Param::String;
const TIME: Param = Param::Time;

pub(crate) const SIGNATURES: &[Signature] = &[
    Signature::variadic("append", &[Param::List], ANY),
    Signature::new("base64decode", &[STRING]),
    Signature::new("base64encode", &[STRING]),
    Signature::new("date", &[STRING, TIME]),
    Signature::variadic("dict", &[], ANY),
    Signature::new("humanizeDuration", &[ANY]),
    Signature::new("join", &[STRING, Param::Strings]),
    Signature::variadic("list", &[], ANY),
    Signature::new("match", &[STRING, STRING]),
    Signature::new("mustToDate", &[STRING, STRING]),
    Signature::new("now", &[]),
    Signature::new("reReplaceAll", &[STRING, STRING, STRING]),
    Signature::new("safeHtml", &[STRING]),
    Signature::new("safeUrl", &[STRING]),
    Signature::new("since", &[TIME]),
    Signature::variadic("stringSlice", &[], STRING),
    Signature::new("title", &[STRING]),
    Signature::new("toDate", &[STRING, STRING]),
    Signature::new("toJson", &[ANY]),
    Signature::new("toLower", &[STRING]),
    Signature::new("toUpper", &[STRING]),
    Signature::new("trimSpace", &[STRING]),
    Signature::new("tz", &[STRING, TIME]),
    Signature::new("urlUnescape", &[STRING]),
];

impl FunctionSet for AlertmanagerFunctions {
    fn dialect(&self) -> &'static str {
        "Alertmanager"
    }

    fn signatures(&self) -> &'static [Signature] {
        SIGNATURES
    }

    fn call(&self, name: &str, arguments: &[Value], _: &mut dyn Host) -> Result<Value, String> {
        let first = arguments.first().unwrap_or(&Value::Nil);
        let first_text = || text(arguments, 0);
        let time = |index: usize| match arguments.get(index) {
            Some(Value::Time(time)) => time.clone(),
            _ => Time::zero(),
        };
        Ok(match name {
            "append" => {
                let list = first.as_list().unwrap_or_default();
                Value::list(list.iter().chain(&arguments[1..]).cloned())
            }
            "base64decode" => {
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(first_text())
                    .map_err(|error| format!("illegal base64 data: {error}"))?;
                Value::from(String::from_utf8_lossy(&bytes).into_owned())
            }
            "base64encode" => {
                Value::from(base64::engine::general_purpose::STANDARD.encode(first_text()))
            }
            "date" => Value::from(time(1).format(first_text())),
            "dict" => dict(arguments)?,
            "humanizeDuration" => Value::from(humanize_duration(to_float(first)?)),
            "join" => Value::from(join(first_text(), arguments.get(1))),
            "list" | "stringSlice" => Value::list(arguments.iter().cloned()),
            "match" => Value::Bool(regex(first_text())?.is_match(text(arguments, 1))),
            "mustToDate" => Value::Time(Time::parse(first_text(), text(arguments, 1))?),
            "now" => Value::Time(Time::from(self.now)),
            "reReplaceAll" => re_replace_all(arguments)?,
            "safeHtml" => Value::Safe(SafeKind::Html, Arc::from(first_text())),
            "safeUrl" => Value::Safe(SafeKind::Url, Arc::from(first_text())),
            "since" => {
                let nanos = i128::from(self.now.as_nanos()) - time(0).0.timestamp().as_nanosecond();
                let clamped = nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
                Value::Duration(clamped as i64)
            }
            "title" => Value::from(title_and_lower(first_text())),
            "toDate" => Value::Time(
                Time::parse(first_text(), text(arguments, 1)).unwrap_or_else(|_| Time::zero()),
            ),
            "toJson" => Value::from(json::to_json(first)),
            "toLower" => Value::from(first_text().to_lowercase()),
            "toUpper" => Value::from(first_text().to_uppercase()),
            "trimSpace" => Value::text(first_text().trim()),
            "tz" => Value::Time(time(1).in_zone(first_text())?),
            "urlUnescape" => Value::from(query_unescape(first_text())?),
            other => return Err(format!("{other:?} is not a defined function")),
        })
    }
}

/// Keys and values in turn as a map.
fn dict(arguments: &[Value]) -> Result<Value, String> {
    if !arguments.len().is_multiple_of(2) {
        return Err("expecting even number of arguments".to_owned());
    }
    let mut entries = Vec::with_capacity(arguments.len() / 2);
    for pair in arguments.chunks_exact(2) {
        let key = pair[0].as_str().ok_or_else(|| {
            format!(
                "dictionary keys must be strings, got {}",
                pair[0].type_name()
            )
        })?;
        entries.push((key, pair[1].clone()));
    }
    Ok(Value::any_map(entries))
}

fn join(separator: &str, list: Option<&Value>) -> String {
    let texts: Vec<&str> = list
        .and_then(Value::as_list)
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    texts.join(separator)
}
