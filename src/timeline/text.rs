//! How a value becomes text for people, and how text from telemetry becomes harmless.
//!
//! Labels, log lines, span names, payloads and errors come from the system under test, which may be broken or hostile. Every
//! renderer sends them through [`visible`] (or [`visible_lines`]) and then through the escape of its own format.

use std::fmt::Write as _;
use std::time::Duration;

use gameday_signal::{Labels, Timestamp};

/// A shown text may have this many characters: enough for any message that a person reads, too little to fill a screen for ever.
const SHOWN_CHARS_MAX: usize = 2000;
/// A shown payload may have this many lines.
const SHOWN_LINES_MAX: usize = 200;

/// The text on one line, with every character that a terminal, a browser or a reader could be misled by written out:
/// control characters, line ends, marks that turn the direction of text around, invisible ones. Long texts are cut.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (count, character) in text.chars().enumerate() {
        if count == SHOWN_CHARS_MAX {
            let left = text.chars().count() - SHOWN_CHARS_MAX;
            let _ = write!(shown, "… ({left} more characters)");
            break;
        }
        push_visible(&mut shown, character);
    }
    shown
}

/// The same for a text of several lines; tabs become four spaces.
pub(super) fn visible_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .take(SHOWN_LINES_MAX)
        .map(|line| visible(&line.replace('\t', "    ")))
        .collect();
    let left = text.lines().count().saturating_sub(SHOWN_LINES_MAX);
    if left > 0 {
        lines.push(format!("… ({left} more lines)"));
    }
    lines
}

fn push_visible(shown: &mut String, character: char) {
    match character {
        '\n' => shown.push_str("\\n"),
        '\r' => shown.push_str("\\r"),
        '\t' => shown.push_str("\\t"),
        '\0'..='\x1f' | '\x7f' => {
            let _ = write!(shown, "\\x{:02x}", u32::from(character));
        }
        _ if misleads(character) => {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        }
        _ => shown.push(character),
    }
}

/// C1 controls, soft hyphen, marks of direction, separators of lines and paragraphs, invisible operators, the byte order mark,
/// interlinear annotations, tags and noncharacters (Unicode TR 36 and "Trojan Source", CVE-2021-42574).
fn misleads(character: char) -> bool {
    matches!(
        character,
        '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{e0000}'..='\u{e007f}'
    ) || u32::from(character) & 0xfffe == 0xfffe
}

/// At most `max` characters, the last one `…` when some are left out.
pub(super) fn clip(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut clipped: String = text.chars().take(max.saturating_sub(1)).collect();
    clipped.push('…');
    clipped
}

/// Text for XML, HTML and SVG, in elements and in quoted attributes.
pub(super) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in visible(text).chars() {
        push_xml(&mut escaped, character);
    }
    escaped
}

/// Text of several lines for XML; the line ends stay.
pub(super) fn xml_lines(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for line in visible_lines(text) {
        line.chars()
            .for_each(|character| push_xml(&mut escaped, character));
        escaped.push('\n');
    }
    escaped
}

fn push_xml(escaped: &mut String, character: char) {
    match character {
        '&' => escaped.push_str("&amp;"),
        '<' => escaped.push_str("&lt;"),
        '>' => escaped.push_str("&gt;"),
        '"' => escaped.push_str("&quot;"),
        '\'' => escaped.push_str("&#39;"),
        _ => escaped.push(character),
    }
}

/// A duration for people, exact to the millisecond below a day: `250ms`, `5.25s`, `5m03s`, `1h05m03s`, `2d03h`.
pub(super) fn duration(duration: Duration) -> String {
    let us = duration.as_micros();
    match us {
        1..1000 => return format!("{us}us"),
        // A tenth of a millisecond tells short spans apart.
        1000..100_000 if us % 1000 >= 100 => {
            return format!("{}.{}ms", us / 1000, us / 100 % 10);
        }
        _ => {}
    }
    let ms = duration.as_millis();
    let (days, hours, mins) = (ms / 86_400_000, ms / 3_600_000 % 24, ms / 60_000 % 60);
    let (secs, rest_ms) = (ms / 1000 % 60, ms % 1000);
    let mut fraction = String::new();
    if rest_ms > 0 {
        fraction = format!(".{rest_ms:03}");
        fraction.truncate(fraction.trim_end_matches('0').len());
    }
    match (days, hours, mins, secs) {
        (0, 0, 0, 0) if ms > 0 => format!("{ms}ms"),
        (0, 0, 0, _) => format!("{secs}{fraction}s"),
        (0, 0, _, _) => format!("{mins}m{secs:02}{fraction}s"),
        (0, _, _, _) => format!("{hours}h{mins:02}m{secs:02}{fraction}s"),
        (_, _, 0, _) => format!("{days}d{hours:02}h"),
        _ => format!("{days}d{hours:02}h{mins:02}m"),
    }
}

/// A difference for people, with its sign.
pub(super) fn signed_ms(ms: i64) -> String {
    let text = duration(Duration::from_millis(ms.unsigned_abs()));
    if ms < 0 { format!("-{text}") } else { text }
}

/// A difference for a headline: whole seconds from a minute on.
pub(super) fn rounded_ms(ms: i64) -> String {
    if ms.unsigned_abs() < 60_000 {
        signed_ms(ms)
    } else {
        let secs = (ms.unsigned_abs() + 500) / 1000;
        let sign = if ms < 0 { "-" } else { "" };
        format!("{sign}{}", duration(Duration::from_secs(secs)))
    }
}

/// An instant as the time since `zero`, always with a sign: `+5m03s`, `-30m00s`.
pub(super) fn since(at: Timestamp, zero: Timestamp) -> String {
    if at < zero {
        format!("-{}", duration(zero.since(at)))
    } else {
        format!("+{}", duration(at.since(zero)))
    }
}

/// The clock time in UTC, `09:30:00`, with milliseconds where there are any.
pub(super) fn clock(at: Timestamp) -> String {
    let ms = at.as_millis().rem_euclid(86_400_000);
    let (hours, mins, secs) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let whole = format!("{hours:02}:{mins:02}:{secs:02}");
    match ms % 1000 {
        0 => whole,
        rest_ms => format!("{whole}.{rest_ms:03}"),
    }
}

/// The day in UTC, `2026-01-05`.
pub(super) fn day(at: Timestamp) -> String {
    let full = at.to_string();
    full.split_once('T')
        .map_or(String::new(), |(day, _)| day.to_owned())
}

/// A number for people: whole numbers as they are, others with four significant digits.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if value == value.trunc() && value.abs() < 1e15 {
        // Adding zero turns -0 into 0.
        return format!("{}", value + 0.0);
    }
    let magnitude = value.abs().log10().floor();
    if !(-6.0..15.0).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    // The magnitude lies between -6 and 15 here.
    let decimals = (3 - magnitude as i32).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A value with its unit; a `ratio` is shown in percent and seconds as a duration.
pub(super) fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "ratio" if value.is_finite() => format!("{} %", number(value * 100.0)),
        "s" if value.is_finite() && value != 0.0 && value.abs() < 1.0 => {
            format!("{} ms", number(value * 1000.0))
        }
        "" | "ratio" => number(value),
        unit => format!("{} {}", number(value), visible(unit)),
    }
}

/// A label set as Prometheus writes it, without `alertname`: `{severity="critical"}`.
pub(super) fn labels(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != "alertname")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", pairs.join(", "))
    }
}

/// An alert as one reads it: its name, then its other labels.
pub(super) fn alert(own: &Labels) -> String {
    let name = own.value_of("alertname");
    let name = if name.is_empty() {
        "(no alertname)"
    } else {
        name
    };
    format!("{name}{}", labels(own))
}

/// `1 request`, `2 requests`, with thousands set apart.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        thousands(number),
        if number == 1 { one } else { many }
    )
}

/// A whole number with thousands set apart by a comma.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whether a link may be one: only the web, and places below the report itself; never `javascript:` or `data:`.
pub(super) fn safe_link(address: &str) -> Option<&str> {
    let address = address.trim();
    let clean = address.chars().all(|character| {
        !character.is_control() && !character.is_whitespace() && !misleads(character)
    });
    let web = address.starts_with("https://") || address.starts_with("http://");
    // Before the first slash, question mark or hash a colon would make it a scheme; "//" would name a host.
    let head = address.split(['/', '?', '#']).next().unwrap_or_default();
    let relative = !head.contains(':') && !address.starts_with("//") && !address.contains('\\');
    (clean && !address.is_empty() && (web || relative)).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_misleads_becomes_visible() {
        for (text, expected) in [
            ("plain ünï 漢字", "plain ünï 漢字"),
            ("\x1b[31mred", "\\x1b[31mred"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("user\u{202e}txt.exe", "user\\u{202e}txt.exe"),
            ("\u{feff}\u{ffff}\0", "\\u{feff}\\u{ffff}\\x00"),
        ] {
            assert_eq!(visible(text), expected);
        }
        assert!(visible(&"x".repeat(3000)).ends_with("x… (1000 more characters)"));
        assert_eq!(visible_lines(&"x\n".repeat(300)).len(), SHOWN_LINES_MAX + 1);
    }

    #[test]
    fn durations_read_well() {
        for (ms, expected) in [
            (0, "0s"),
            (250, "250ms"),
            (5250, "5.25s"),
            (303_000, "5m03s"),
            (303_040, "5m03.04s"),
            (3_903_000, "1h05m03s"),
            (183_600_000, "2d03h"),
            (183_660_000, "2d03h01m"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), expected);
        }
        for (us, expected) in [
            (42, "42us"),
            (1500, "1.5ms"),
            (1099, "1ms"),
            (99_900, "99.9ms"),
            (100_900, "100ms"),
        ] {
            assert_eq!(duration(Duration::from_micros(us)), expected);
        }
        for (ms, expected) in [(614_027, "10m14s"), (59_960, "59.96s"), (-61_500, "-1m02s")] {
            assert_eq!(rounded_ms(ms), expected);
        }
    }

    #[test]
    fn clocks_are_short() {
        for (nanos, expected) in [
            (0, "00:00:00"),
            (34_200_250_000_000, "09:30:00.250"),
            (34_200_000_000_001, "09:30:00"),
        ] {
            assert_eq!(clock(Timestamp::from_nanos(nanos)), expected);
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (14.4, "14.4"),
            (1.0 / 3.0, "0.3333"),
            (99.999_99, "100"),
            (123_456.7, "123457"),
            (0.000_012_34, "0.00001234"),
            (1.5e-9, "1.500e-9"),
            (1e300, "1.000e300"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), expected);
        }
        assert_eq!(with_unit(0.144, "ratio"), "14.4 %");
        assert_eq!(with_unit(0.8, "s"), "800 ms");
        assert_eq!(thousands(1_234_567), "1,234,567");
    }

    #[test]
    fn only_the_web_is_linked_to() {
        for address in [
            "https://a.example/x?y=1#z",
            "http://a",
            "runbooks/a.md",
            "#event-3",
        ] {
            assert_eq!(safe_link(address), Some(address));
        }
        for address in [
            "",
            "javascript:alert(1)",
            " JavaScript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "//evil.example",
            "\\\\evil",
            "https://a b",
            "https://a\u{202e}b",
        ] {
            assert_eq!(safe_link(address), None, "{address:?}");
        }
    }
}
