//! The functions of `line_format` and `label_format`: Loki's own and those of sprig that it lets through.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gameday_signal::Timestamp;
use gameday_template::{FunctionSet, Host, Param, Signature, Time, Value};

use super::line_filter::compile_regex;
use super::units::{parse_bytes, parse_go_duration};

/// What a template of one line can call.
pub(crate) struct LineFunctions<'a> {
    pub(crate) line: &'a str,
    pub(crate) timestamp: Timestamp,
    /// The time of the query, which `now` answers with.
    pub(crate) now: Timestamp,
}

const S: Param = Param::String;
const A: Param = Param::Any;
const I: Param = Param::Int;

const SIGNATURES: &[Signature] = &[
    Signature::new("__line__", &[]),
    Signature::new("__timestamp__", &[]),
    Signature::new("ToLower", &[S]),
    Signature::new("ToUpper", &[S]),
    Signature::new("Replace", &[S, S, S, I]),
    Signature::new("Trim", &[S, S]),
    Signature::new("TrimLeft", &[S, S]),
    Signature::new("TrimRight", &[S, S]),
    Signature::new("TrimPrefix", &[S, S]),
    Signature::new("TrimSuffix", &[S, S]),
    Signature::new("TrimSpace", &[S]),
    Signature::new("regexReplaceAll", &[S, S, S]),
    Signature::new("regexReplaceAllLiteral", &[S, S, S]),
    Signature::new("count", &[S, S]),
    Signature::new("urldecode", &[S]),
    Signature::new("urlencode", &[S]),
    Signature::new("bytes", &[S]),
    Signature::new("duration", &[S]),
    Signature::new("duration_seconds", &[S]),
    Signature::new("unixEpochMillis", &[Param::Time]),
    Signature::new("unixEpochNanos", &[Param::Time]),
    Signature::new("toDateInZone", &[S, S, S]),
    Signature::new("unixToTime", &[S]),
    Signature::new("alignLeft", &[I, S]),
    Signature::new("alignRight", &[I, S]),
    Signature::new("b64dec", &[S]),
    Signature::new("b64enc", &[S]),
    Signature::new("lower", &[S]),
    Signature::new("upper", &[S]),
    Signature::new("title", &[S]),
    Signature::new("trunc", &[I, S]),
    Signature::new("substr", &[I, I, S]),
    Signature::new("contains", &[S, S]),
    Signature::new("hasPrefix", &[S, S]),
    Signature::new("hasSuffix", &[S, S]),
    Signature::new("indent", &[I, S]),
    Signature::new("nindent", &[I, S]),
    Signature::new("replace", &[S, S, S]),
    Signature::new("repeat", &[I, S]),
    Signature::new("trim", &[S]),
    Signature::new("trimAll", &[S, S]),
    Signature::new("trimSuffix", &[S, S]),
    Signature::new("trimPrefix", &[S, S]),
    Signature::new("int", &[A]),
    Signature::new("float64", &[A]),
    Signature::variadic("add", &[], A),
    Signature::new("sub", &[A, A]),
    Signature::variadic("mul", &[A], A),
    Signature::new("div", &[A, A]),
    Signature::new("mod", &[A, A]),
    Signature::variadic("addf", &[], A),
    Signature::variadic("subf", &[A], A),
    Signature::variadic("mulf", &[A], A),
    Signature::variadic("divf", &[A], A),
    Signature::variadic("max", &[A], A),
    Signature::variadic("min", &[A], A),
    Signature::variadic("maxf", &[A], A),
    Signature::variadic("minf", &[A], A),
    Signature::new("ceil", &[A]),
    Signature::new("floor", &[A]),
    Signature::variadic("round", &[A, I], A),
    Signature::new("fromJson", &[S]),
    Signature::new("date", &[S, A]),
    Signature::new("toDate", &[S, S]),
    Signature::new("now", &[]),
    Signature::new("unixEpoch", &[Param::Time]),
    Signature::variadic("default", &[A], A),
];

impl FunctionSet for LineFunctions<'_> {
    fn dialect(&self) -> &'static str {
        "Loki"
    }

    fn signatures(&self) -> &'static [Signature] {
        SIGNATURES
    }

    fn call(&self, name: &str, arguments: &[Value], _: &mut dyn Host) -> Result<Value, String> {
        match name {
            "__line__" => return Ok(Value::text(self.line)),
            "__timestamp__" => return Ok(Value::Time(Time::from(self.timestamp))),
            "now" => return Ok(Value::Time(Time::from(self.now))),
            _ => {}
        }
        if let Some(value) = of_text(name, arguments)? {
            return Ok(value);
        }
        if let Some(value) = of_numbers(name, arguments)? {
            return Ok(value);
        }
        of_times(name, arguments)?.ok_or_else(|| format!("{name:?} is not a defined function"))
    }
}

fn text(arguments: &[Value], index: usize) -> &str {
    arguments.get(index).and_then(Value::as_str).unwrap_or("")
}

fn whole(arguments: &[Value], index: usize) -> i64 {
    arguments.get(index).map_or(0, to_int)
}

/// Functions of texts.
fn of_text(name: &str, arguments: &[Value]) -> Result<Option<Value>, String> {
    let text = |index| text(arguments, index);
    let number = |index| whole(arguments, index);
    let first = text(0);
    let cut = |set: &str| -> Vec<char> { set.chars().collect() };
    Ok(Some(match name {
        "ToLower" | "lower" => Value::from(first.to_lowercase()),
        "ToUpper" | "upper" => Value::from(first.to_uppercase()),
        "title" => Value::from(title(first)),
        "Replace" => {
            let count = usize::try_from(number(3)).unwrap_or(usize::MAX);
            Value::from(first.replacen(text(1), text(2), count))
        }
        "replace" => Value::from(text(2).replace(first, text(1))),
        "Trim" => Value::text(first.trim_matches(cut(text(1)).as_slice())),
        "TrimLeft" => Value::text(first.trim_start_matches(cut(text(1)).as_slice())),
        "TrimRight" => Value::text(first.trim_end_matches(cut(text(1)).as_slice())),
        "TrimPrefix" => Value::text(first.strip_prefix(text(1)).unwrap_or(first)),
        "TrimSuffix" => Value::text(first.strip_suffix(text(1)).unwrap_or(first)),
        "trimPrefix" => Value::text(text(1).strip_prefix(first).unwrap_or(text(1))),
        "trimSuffix" => Value::text(text(1).strip_suffix(first).unwrap_or(text(1))),
        "trimAll" => Value::text(text(1).trim_matches(cut(first).as_slice())),
        "TrimSpace" | "trim" => Value::text(first.trim()),
        "contains" => Value::Bool(text(1).contains(first)),
        "hasPrefix" => Value::Bool(text(1).starts_with(first)),
        "hasSuffix" => Value::Bool(text(1).ends_with(first)),
        "regexReplaceAll" => {
            let replaced = compile_regex(first)?
                .replace_all(text(1), text(2))
                .into_owned();
            Value::from(replaced)
        }
        "regexReplaceAllLiteral" => {
            let regex = compile_regex(first)?;
            Value::from(
                regex
                    .replace_all(text(1), regex::NoExpand(text(2)))
                    .into_owned(),
            )
        }
        "count" => Value::Int(compile_regex(first)?.find_iter(text(1)).count() as i64),
        "urlencode" => Value::from(url_encode(first)),
        "urldecode" => Value::from(url_decode(first)?),
        "b64enc" => Value::from(STANDARD.encode(first)),
        "b64dec" => Value::from(base64_decode(first)),
        "trunc" => Value::from(trunc(number(0), text(1))),
        "substr" => Value::from(substring(number(0), number(1), text(2))),
        "alignLeft" => Value::from(align(number(0), text(1), true)?),
        "alignRight" => Value::from(align(number(0), text(1), false)?),
        "indent" => Value::from(indent(number(0), text(1))?),
        "nindent" => Value::from(format!("\n{}", indent(number(0), text(1))?)),
        "repeat" => {
            let count = usize::try_from(number(0)).unwrap_or(0);
            check_size(count.saturating_mul(text(1).len()))?;
            Value::from(text(1).repeat(count))
        }
        "fromJson" => serde_json::from_str(first).map_or(Value::Nil, |json| from_json(&json)),
        "default" => arguments
            .get(1)
            .filter(|given| given.is_true())
            .or(arguments.first())
            .cloned()
            .unwrap_or(Value::Nil),
        _ => return Ok(None),
    }))
}

/// A template must not make a line of a gigabyte.
fn check_size(bytes: usize) -> Result<(), String> {
    const BYTES_MAX: usize = 4 << 20;
    if bytes > BYTES_MAX {
        return Err(format!(
            "the result would have {bytes} bytes, the limit is {BYTES_MAX}"
        ));
    }
    Ok(())
}

/// Every word with an upper-case letter first.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at_start = true;
    for character in text.chars() {
        if at_start {
            out.extend(character.to_uppercase());
        } else {
            out.push(character);
        }
        at_start = !(character.is_alphanumeric() || character == '_' || character == '\'');
    }
    out
}

/// The first `count` characters; the last ones where it is negative.
fn trunc(count: i64, text: &str) -> String {
    let length = text.chars().count() as i64;
    if count < 0 && length + count > 0 {
        text.chars().skip((length + count) as usize).collect()
    } else if count >= 0 && length > count {
        text.chars().take(count as usize).collect()
    } else {
        text.to_owned()
    }
}

/// sprig's substr, which counts bytes and takes a negative end as the end of the text; a cut character makes U+FFFD.
fn substring(start: i64, end: i64, text: &str) -> String {
    let bytes = text.as_bytes();
    let length = bytes.len() as i64;
    let part = if start < 0 {
        &bytes[..end.clamp(0, length) as usize]
    } else if end < 0 || end > length {
        &bytes[start.min(length) as usize..]
    } else {
        &bytes[start.min(end) as usize..end as usize]
    };
    String::from_utf8_lossy(part).into_owned()
}

fn align(count: i64, text: &str, left: bool) -> Result<String, String> {
    let length = text.chars().count() as i64;
    if count < 0 || count == length {
        return Ok(text.to_owned());
    }
    if count > length {
        check_size(count as usize)?;
        let blanks = " ".repeat((count - length) as usize);
        return Ok(if left {
            format!("{text}{blanks}")
        } else {
            format!("{blanks}{text}")
        });
    }
    Ok(if left {
        text.chars().take(count as usize).collect()
    } else {
        text.chars().skip((length - count) as usize).collect()
    })
}

fn indent(count: i64, text: &str) -> Result<String, String> {
    let count = usize::try_from(count).unwrap_or(0);
    check_size(count.saturating_mul(text.lines().count().max(1)))?;
    let blanks = " ".repeat(count);
    Ok(format!(
        "{blanks}{}",
        text.replace('\n', &format!("\n{blanks}"))
    ))
}

fn base64_decode(text: &str) -> String {
    let mut padded = text.to_owned();
    if !matches!(text.len() % 4, 0 | 1) {
        padded.push_str(&"=".repeat(4 - text.len() % 4));
    }
    match STANDARD.decode(&padded) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(base64::DecodeError::InvalidByte(offset, _)) => {
            format!("illegal base64 data at input byte {offset}")
        }
        Err(_) => format!("illegal base64 data at input byte {}", padded.len()),
    }
}

fn url_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                // Writing to a String cannot fail.
                let _ = std::fmt::Write::write_fmt(&mut out, format_args!("%{byte:02X}"));
            }
        }
    }
    out
}

fn url_decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    let raw = text.as_bytes();
    while let Some(&byte) = raw.get(at) {
        at += 1;
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = text.get(at..at + 2);
                let decoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let shown = digits.unwrap_or(text.get(at..).unwrap_or(""));
                bytes.push(decoded.ok_or_else(|| format!("invalid URL escape \"%{shown}\""))?);
                at += 2;
            }
            other => bytes.push(other),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(items) => Value::list(items.iter().map(from_json)),
        serde_json::Value::Object(fields) => Value::any_map(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), from_json(value))),
        ),
    }
}

/// Functions of numbers; texts count as the numbers that they hold, as in spf13/cast.
fn of_numbers(name: &str, arguments: &[Value]) -> Result<Option<Value>, String> {
    let ints = || arguments.iter().map(to_int);
    let floats = || arguments.iter().map(to_float);
    let pair = || (whole(arguments, 0), whole(arguments, 1));
    let fold = |with: fn(f64, f64) -> f64| Value::Float(floats().reduce(with).unwrap_or(0.0));
    let first = || arguments.first().map_or(0.0, to_float);
    Ok(Some(match name {
        "int" => Value::Int(whole(arguments, 0)),
        "float64" => Value::Float(first()),
        "add" => Value::Int(ints().fold(0, i64::wrapping_add)),
        "mul" => Value::Int(ints().fold(1, i64::wrapping_mul)),
        "sub" => Value::Int(pair().0.wrapping_sub(pair().1)),
        "div" | "mod" if pair().1 == 0 => {
            return Err("runtime error: integer divide by zero".to_owned());
        }
        "div" => Value::Int(pair().0.wrapping_div(pair().1)),
        "mod" => Value::Int(pair().0.wrapping_rem(pair().1)),
        "max" => Value::Int(ints().max().unwrap_or(0)),
        "min" => Value::Int(ints().min().unwrap_or(0)),
        "addf" => Value::Float(floats().sum()),
        "subf" => fold(|left, right| left - right),
        "mulf" => fold(|left, right| left * right),
        "divf" => fold(|left, right| left / right),
        "maxf" => fold(f64::max),
        "minf" => fold(f64::min),
        "ceil" => Value::Float(first().ceil()),
        "floor" => Value::Float(first().floor()),
        "round" => {
            let scale = 10f64.powi(i32::try_from(whole(arguments, 1)).unwrap_or(0));
            let half = arguments.get(2).map_or(0.5, to_float);
            let scaled = first() * scale;
            let part = scaled - scaled.trunc();
            let rounded = if part.abs() >= half {
                if part < 0.0 {
                    scaled.floor()
                } else {
                    scaled.ceil()
                }
            } else {
                scaled.trunc()
            };
            Value::Float(rounded / scale)
        }
        "bytes" => {
            Value::Float(parse_bytes(text(arguments, 0)).map_err(|error| error.to_string())? as f64)
        }
        "duration" | "duration_seconds" => Value::Float(
            parse_go_duration(text(arguments, 0)).map_err(|error| error.to_string())? as f64 / 1e9,
        ),
        _ => return Ok(None),
    }))
}

fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Duration(number) => *number,
        Value::Float(number) => *number as i64,
        Value::Bool(truth) => i64::from(*truth),
        other => {
            let text = other.as_str().unwrap_or("");
            // cast reads the whole part of a decimal number.
            let text = text.split_once('.').map_or(text, |(whole, _)| whole);
            text.parse().unwrap_or(0)
        }
    }
}

fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(number) | Value::Duration(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        other => other.as_str().unwrap_or("").parse().unwrap_or(0.0),
    }
}

/// Functions of instants.
fn of_times(name: &str, arguments: &[Value]) -> Result<Option<Value>, String> {
    let instant = |index: usize| match arguments.get(index) {
        Some(Value::Time(time)) => time.timestamp(),
        Some(other) => Timestamp::from_secs(to_int(other)),
        None => Timestamp::EPOCH,
    };
    Ok(Some(match name {
        "unixEpoch" => Value::from(instant(0).as_secs().to_string()),
        "unixEpochMillis" => Value::from(instant(0).as_millis().to_string()),
        "unixEpochNanos" => Value::from(instant(0).as_nanos().to_string()),
        "unixToTime" => Value::Time(Time::from(unix_to_time(text(arguments, 0))?)),
        "date" => {
            let time = match arguments.get(1) {
                Some(Value::Time(time)) => time.clone(),
                _ => Time::from(instant(1)),
            };
            Value::from(time.format(text(arguments, 0)))
        }
        "toDate" => Value::Time(
            Time::parse(text(arguments, 0), text(arguments, 1)).unwrap_or_else(|_| Time::zero()),
        ),
        "toDateInZone" => {
            let (layout, zone, value) =
                (text(arguments, 0), text(arguments, 1), text(arguments, 2));
            Value::Time(parse_in_zone(layout, zone, value))
        }
        _ => return Ok(None),
    }))
}

/// Text in a layout, read as the local time of a zone; Go's zero time where it is not in the layout.
fn parse_in_zone(layout: &str, zone: &str, value: &str) -> Time {
    let Ok(parsed) = Time::parse(layout, value) else {
        return Time::zero();
    };
    let Ok(there) = parsed.in_zone(zone) else {
        return parsed;
    };
    // What the zone's clock shows at that instant is ahead of UTC by the zone's offset.
    const WALL: &str = "2006-01-02T15:04:05.999999999Z";
    let Ok(wall) = Time::parse(WALL, &there.format(WALL)) else {
        return there;
    };
    let offset = wall.timestamp().as_nanos() - parsed.timestamp().as_nanos();
    let instant = Timestamp::from_nanos(parsed.timestamp().as_nanos().saturating_sub(offset));
    Time::from(instant).in_zone(zone).unwrap_or(parsed)
}

/// Unix time whose unit its length says: days, seconds, milli-, micro- or nanoseconds.
fn unix_to_time(text: &str) -> Result<Timestamp, String> {
    let fault = |reason: &str| format!("unable to parse time '{text}': {reason}");
    let number: i64 = text.parse().map_err(|_| {
        fault(&format!(
            "strconv.ParseInt: parsing {text:?}: invalid syntax"
        ))
    })?;
    match text.len() {
        5 => Ok(Timestamp::from_secs(number.saturating_mul(86_400))),
        10 => Ok(Timestamp::from_secs(number)),
        13 => Ok(Timestamp::from_millis(number)),
        16 => Ok(Timestamp::from_nanos(number.saturating_mul(1000))),
        19 => Ok(Timestamp::from_nanos(number)),
        _ => Err(fault("%!w(<nil>)")),
    }
}
