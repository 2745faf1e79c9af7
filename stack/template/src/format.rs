//! Go's fmt: how values print, alone and through `printf`.

use std::fmt::Write as _;

use crate::float::format_float_precision;
use crate::text::{push_quoted, quote};
use crate::{Value, duration};

/// Widths and precisions above this are refused (fmt's own limit).
const WIDTH_LIMIT: i64 = 1_000_000;

/// How a template prints a value.
pub(crate) fn print_value(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
        Value::Str(text) | Value::Safe(_, text) => text.to_string(),
        other => plain(other),
    }
}

/// Go's `%v`.
pub(crate) fn plain(value: &Value) -> String {
    let mut out = String::new();
    Spec::plain().write(&mut out, value);
    out
}

/// fmt.Sprint: a space between two operands of which neither is a text.
pub(crate) fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    let mut previous_text = true;
    for (index, value) in values.iter().enumerate() {
        let is_text = value.as_str().is_some();
        if index > 0 && !is_text && !previous_text {
            out.push(' ');
        }
        previous_text = is_text;
        Spec::plain().write(&mut out, value);
    }
    out
}

/// fmt.Sprintln: a space between all operands and a newline at the end.
pub(crate) fn sprintln(values: &[Value]) -> String {
    let texts: Vec<String> = values.iter().map(plain).collect();
    format!("{}\n", texts.join(" "))
}

/// One conversion of a format.
#[derive(Clone, Debug)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    /// `%+v` names the fields of structs and says nothing about signs.
    plus_v: bool,
    /// `%#v` quotes texts.
    sharp_v: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    verb: char,
}

impl Spec {
    fn plain() -> Self {
        Self {
            minus: false,
            plus: false,
            sharp: false,
            plus_v: false,
            sharp_v: false,
            space: false,
            zero: false,
            width: None,
            precision: None,
            verb: 'v',
        }
    }

    fn pad(&self, out: &mut String, text: &str) {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        let fill = |out: &mut String, with: char| out.extend(std::iter::repeat_n(with, missing));
        if self.minus {
            out.push_str(text);
            fill(out, ' ');
        } else if self.zero {
            fill(out, '0');
            out.push_str(text);
        } else {
            fill(out, ' ');
            out.push_str(text);
        }
    }

    fn write(&self, out: &mut String, value: &Value) {
        match value {
            Value::Nil if self.verb == 'v' => self.pad(out, "<nil>"),
            Value::Nil => {
                let _ = write!(out, "%!{}(<nil>)", self.verb);
            }
            Value::Bool(truth) if matches!(self.verb, 'v' | 't') => {
                self.pad(out, if *truth { "true" } else { "false" });
            }
            Value::Bool(_) => self.bad(out, value),
            Value::Int(number) => self.int(out, *number, value),
            Value::Float(number) => self.float(out, *number, value),
            Value::Str(text) | Value::Safe(_, text) => self.text(out, text, value),
            Value::Time(time) => self.text(out, &time.to_string(), value),
            Value::Duration(nanos) => match self.verb {
                'v' | 's' | 'q' => self.text(out, &duration::text(*nanos), value),
                _ => self.int(out, *nanos, value),
            },
            Value::List(values) => {
                out.push('[');
                for (index, one) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    self.write(out, one);
                }
                out.push(']');
            }
            Value::Map(map) => {
                out.push_str("map[");
                for (index, (key, one)) in map.entries.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    self.text(out, key, &Value::text(key));
                    out.push(':');
                    self.write(out, one);
                }
                out.push(']');
            }
            Value::Struct(fields) => {
                out.push('{');
                for (index, (name, one)) in fields.fields.iter().enumerate() {
                    if index > 0 {
                        out.push(' ');
                    }
                    if self.plus_v {
                        out.push_str(name);
                        out.push(':');
                    }
                    self.write(out, one);
                }
                out.push('}');
            }
            Value::Object(object) => match object.text() {
                Some(text) if matches!(self.verb, 'v' | 's' | 'q' | 'x' | 'X') => {
                    self.text(out, &text, value);
                }
                _ => self.write(out, object.plain()),
            },
        }
    }

    fn bad(&self, out: &mut String, value: &Value) {
        // The value is written with the flags of the verb that does not fit it.
        let _ = write!(out, "%!{}({}=", self.verb, value.type_name());
        let spec = Self {
            verb: 'v',
            ..self.clone()
        };
        spec.write(out, value);
        out.push(')');
    }

    fn text(&self, out: &mut String, text: &str, value: &Value) {
        let cut: String = match self.precision {
            Some(precision) => text.chars().take(precision).collect(),
            None => text.to_owned(),
        };
        match self.verb {
            'v' if self.sharp_v => self.pad(out, &quote(&cut)),
            'v' | 's' => self.pad(out, &cut),
            'q' if self.sharp && !cut.contains('`') => self.pad(out, &format!("`{cut}`")),
            'q' => self.pad(out, &quote(&cut)),
            'x' | 'X' => {
                let bytes =
                    &text.as_bytes()[..self.precision.unwrap_or(text.len()).min(text.len())];
                let separator = if self.space { " " } else { "" };
                let prefix = if self.sharp { "0x" } else { "" };
                let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let joined = format!("{prefix}{}", hex.join(separator));
                self.pad(
                    out,
                    &if self.verb == 'X' {
                        joined.to_uppercase()
                    } else {
                        joined
                    },
                );
            }
            _ => self.bad(out, value),
        }
    }

    fn int(&self, out: &mut String, number: i64, value: &Value) {
        let magnitude = number.unsigned_abs();
        let (digits, prefix) = match self.verb {
            'v' | 'd' => (magnitude.to_string(), ""),
            'b' => (format!("{magnitude:b}"), "0b"),
            'o' => (format!("{magnitude:o}"), "0"),
            'O' => (format!("{magnitude:o}"), "0o"),
            'x' => (format!("{magnitude:x}"), "0x"),
            'X' => (format!("{magnitude:X}"), "0X"),
            'c' | 'q' | 'U' => return self.character(out, number),
            _ => return self.bad(out, value),
        };
        let shown_prefix = self.verb == 'O' || (self.sharp && self.verb != 'd' && self.verb != 'v');
        let sign = match (number < 0, self.plus, self.space) {
            (true, _, _) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let prefix = if shown_prefix { prefix } else { "" };
        let mut wanted = self.precision.unwrap_or(0);
        if self.precision.is_none() && self.zero && !self.minus {
            wanted = self.width.unwrap_or(0).saturating_sub(sign.len());
        }
        let zeros = "0".repeat(wanted.saturating_sub(digits.len()));
        let digits = if self.precision == Some(0) && number == 0 {
            String::new()
        } else {
            digits
        };
        let unpadded = Self {
            zero: false,
            ..self.clone()
        };
        unpadded.pad(out, &format!("{sign}{prefix}{zeros}{digits}"));
    }

    fn character(&self, out: &mut String, number: i64) {
        let character = u32::try_from(number)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or('\u{fffd}');
        let text = match self.verb {
            'c' => character.to_string(),
            'q' => {
                let mut quoted = String::from("'");
                push_quoted(&mut quoted, character, '\'');
                quoted.push('\'');
                quoted
            }
            _ if self.sharp => format!("U+{number:04X} '{character}'"),
            _ => format!("U+{number:04X}"),
        };
        self.pad(out, &text);
    }

    fn float(&self, out: &mut String, number: f64, value: &Value) {
        let (format, default) = match self.verb {
            'v' => ('g', None),
            'g' | 'G' => (self.verb, None),
            'e' | 'E' | 'f' => (self.verb, Some(6)),
            'F' => ('f', Some(6)),
            _ => return self.bad(out, value),
        };
        let text = format_float_precision(number, format, self.precision.or(default));
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(rest) => (&text[..1], rest),
            None => ("+", text.as_str()),
        };
        let special = number.is_nan() || number.is_infinite();
        let sign = match sign {
            "-" => "-",
            _ if self.plus => "+",
            _ if self.space => " ",
            _ if number.is_infinite() => "+",
            _ => "",
        };
        if self.zero && !self.minus && !special {
            let missing = self
                .width
                .unwrap_or(0)
                .saturating_sub(sign.len() + digits.len());
            out.push_str(sign);
            out.push_str(&"0".repeat(missing));
            out.push_str(digits);
            return;
        }
        let unpadded = Self {
            zero: false,
            ..self.clone()
        };
        unpadded.pad(out, &format!("{sign}{digits}"));
    }
}

/// fmt.Sprintf.
pub(crate) fn sprintf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut arguments = Arguments {
        values,
        next: 0,
        reordered: false,
        bad_index: false,
    };
    let mut rest = format;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        rest = conversion(&rest[start + 1..], &mut arguments, &mut out);
    }
    out.push_str(rest);
    if !arguments.reordered && arguments.next < values.len() {
        out.push_str("%!(EXTRA ");
        for (index, value) in values[arguments.next..].iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            match value {
                Value::Nil => out.push_str("<nil>"),
                other => {
                    out.push_str(&other.type_name());
                    out.push('=');
                    out.push_str(&plain(other));
                }
            }
        }
        out.push(')');
    }
    out
}

/// The operands of a format and how far it has come.
struct Arguments<'a> {
    values: &'a [Value],
    next: usize,
    reordered: bool,
    bad_index: bool,
}

impl<'a> Arguments<'a> {
    fn take(&mut self) -> Option<&'a Value> {
        let value = self.values.get(self.next);
        if value.is_some() {
            self.next += 1;
        }
        value
    }

    /// `[3]`: the next operand is the third.
    fn index<'f>(&mut self, rest: &'f str) -> &'f str {
        let Some(inner) = rest.strip_prefix('[') else {
            return rest;
        };
        self.reordered = true;
        let Some((number, after)) = inner.split_once(']') else {
            self.bad_index = true;
            return inner;
        };
        match number.parse::<usize>() {
            Ok(number) if (1..=self.values.len()).contains(&number) => self.next = number - 1,
            _ => self.bad_index = true,
        }
        after
    }
}

/// Writes one conversion, whose `%` has been read; gives what follows it.
fn conversion<'f>(format: &'f str, arguments: &mut Arguments<'_>, out: &mut String) -> &'f str {
    let mut spec = Spec::plain();
    let mut rest = format;
    while let Some(flag) = rest.chars().next() {
        match flag {
            '-' => spec.minus = true,
            '+' => spec.plus = true,
            '#' => spec.sharp = true,
            ' ' => spec.space = true,
            '0' => spec.zero = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    arguments.bad_index = false;
    rest = arguments.index(rest);
    let (width, after) = number(rest, arguments, out, "%!(BADWIDTH)");
    rest = after;
    if let Some(width) = width {
        spec.minus |= width < 0;
        spec.width = usize::try_from(width.unsigned_abs()).ok();
    }
    if let Some(after) = rest.strip_prefix('.') {
        rest = arguments.index(after);
        let (precision, after) = number(rest, arguments, out, "%!(BADPREC)");
        rest = after;
        spec.precision = Some(usize::try_from(precision.unwrap_or(0)).unwrap_or(0));
    }
    rest = arguments.index(rest);
    let Some(verb) = rest.chars().next() else {
        out.push_str("%!(NOVERB)");
        return rest;
    };
    rest = &rest[verb.len_utf8()..];
    spec.verb = verb;
    if spec.minus {
        spec.zero = false;
    }
    if verb == 'v' {
        (spec.plus_v, spec.sharp_v) = (spec.plus, spec.sharp);
        (spec.plus, spec.sharp) = (false, false);
    }
    if verb == '%' {
        out.push('%');
    } else if arguments.bad_index {
        let _ = write!(out, "%!{verb}(BADINDEX)");
    } else if let Some(value) = arguments.take() {
        if verb == 'T' {
            Spec { verb: 's', ..spec }.pad(out, &value.type_name());
        } else {
            spec.write(out, value);
        }
    } else {
        let _ = write!(out, "%!{verb}(MISSING)");
    }
    rest
}

/// A width or precision: digits, or `*` for the next operand.
fn number<'f>(
    rest: &'f str,
    arguments: &mut Arguments<'_>,
    out: &mut String,
    bad: &str,
) -> (Option<i64>, &'f str) {
    if let Some(after) = rest.strip_prefix('*') {
        return match arguments.take() {
            Some(Value::Int(number)) if number.abs() <= WIDTH_LIMIT => (Some(*number), after),
            _ => {
                out.push_str(bad);
                (None, after)
            }
        };
    }
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    match rest[..length].parse::<i64>() {
        Ok(number) if number <= WIDTH_LIMIT => (Some(number), &rest[length..]),
        _ => (None, &rest[length..]),
    }
}
