//! Go's time layouts: `Mon Jan 2 15:04:05 -0700 MST 2006` is the pattern.

use jiff::tz::{Offset, TimeZone};
use jiff::{Zoned, civil};

/// A part of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Literal(&'a str),
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    Zone,
    /// The offset as it is laid out, and whether UTC is `Z`.
    Offset(&'a str, bool),
    /// The separator, the digits, and whether trailing zeros go.
    Fraction(char, usize, bool),
}

/// What a layout may hold, the longer before the shorter that it starts with.
const PARTS: [(&str, Part<'static>); 35] = [
    ("January", Part::LongMonth),
    ("Jan", Part::Month),
    ("Monday", Part::LongWeekday),
    ("Mon", Part::Weekday),
    ("MST", Part::Zone),
    ("002", Part::ZeroYearDay),
    ("01", Part::ZeroMonth),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("1", Part::NumMonth),
    ("2006", Part::LongYear),
    ("__2", Part::UnderYearDay),
    ("_2", Part::UnderDay),
    ("2", Part::Day),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::UpperPm),
    ("pm", Part::LowerPm),
    ("-07:00:00", Part::Offset("07:00:00", false)),
    ("-070000", Part::Offset("070000", false)),
    ("-07:00", Part::Offset("07:00", false)),
    ("-0700", Part::Offset("0700", false)),
    ("-07", Part::Offset("07", false)),
    ("Z07:00:00", Part::Offset("07:00:00", true)),
    ("Z070000", Part::Offset("070000", true)),
    ("Z07:00", Part::Offset("07:00", true)),
    ("Z0700", Part::Offset("0700", true)),
    ("Z07", Part::Offset("07", true)),
    // These two never match: fractions are found apart, since they have any length.
    ("\0.0", Part::Fraction('.', 1, false)),
    ("\0.9", Part::Fraction('.', 1, true)),
];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

fn parts(layout: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut literal = 0;
    let mut at = 0;
    while at < layout.len() {
        if let Some((length, part)) = part_at(&layout[at..]) {
            if literal < at {
                parts.push(Part::Literal(&layout[literal..at]));
            }
            parts.push(part);
            at += length;
            literal = at;
        } else {
            at += layout[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    if literal < layout.len() {
        parts.push(Part::Literal(&layout[literal..]));
    }
    parts
}

fn part_at(rest: &str) -> Option<(usize, Part<'_>)> {
    if let Some(digits) = rest.strip_prefix(['.', ',']) {
        let separator = if rest.starts_with('.') { '.' } else { ',' };
        let first = digits
            .chars()
            .next()
            .filter(|one| matches!(one, '0' | '9'))?;
        let count = digits.chars().take_while(|one| *one == first).count();
        let next = digits[count..].chars().next();
        if next.is_some_and(|next| next.is_ascii_digit()) {
            return None;
        }
        return Some((count + 1, Part::Fraction(separator, count, first == '9')));
    }
    // `_2006` is an underscore and a year, and a month's name goes on in lower case for other words (`Janet`).
    if rest.starts_with("_2006") {
        return None;
    }
    let (text, part) = PARTS.iter().find(|(text, _)| rest.starts_with(text))?;
    let lower = rest[text.len()..]
        .chars()
        .next()
        .is_some_and(|next| next.is_ascii_lowercase());
    if lower && matches!(part, Part::Month | Part::Weekday) {
        return None;
    }
    Some((text.len(), *part))
}

/// Go's Time.Format.
pub(crate) fn format(zoned: &Zoned, layout: &str) -> String {
    let mut out = String::new();
    for part in parts(layout) {
        write_part(&mut out, zoned, part);
    }
    out
}

fn write_part(out: &mut String, zoned: &Zoned, part: Part<'_>) {
    let month = MONTHS[usize::try_from(zoned.month() - 1).unwrap_or(0)];
    let weekday = WEEKDAYS[usize::try_from(zoned.weekday().to_sunday_zero_offset()).unwrap_or(0)];
    let hour12 = (zoned.hour() + 11) % 12 + 1;
    let morning = zoned.hour() < 12;
    let text = match part {
        Part::Literal(text) => text.to_owned(),
        Part::LongMonth => month.to_owned(),
        Part::Month => month[..3].to_owned(),
        Part::NumMonth => zoned.month().to_string(),
        Part::ZeroMonth => format!("{:02}", zoned.month()),
        Part::LongWeekday => weekday.to_owned(),
        Part::Weekday => weekday[..3].to_owned(),
        Part::Day => zoned.day().to_string(),
        Part::UnderDay => format!("{:2}", zoned.day()),
        Part::ZeroDay => format!("{:02}", zoned.day()),
        Part::UnderYearDay => format!("{:3}", zoned.day_of_year()),
        Part::ZeroYearDay => format!("{:03}", zoned.day_of_year()),
        Part::Hour => format!("{:02}", zoned.hour()),
        Part::Hour12 => hour12.to_string(),
        Part::ZeroHour12 => format!("{hour12:02}"),
        Part::Minute => zoned.minute().to_string(),
        Part::ZeroMinute => format!("{:02}", zoned.minute()),
        Part::Second => zoned.second().to_string(),
        Part::ZeroSecond => format!("{:02}", zoned.second()),
        Part::LongYear => format!("{:04}", zoned.year()),
        Part::Year => format!("{:02}", zoned.year().rem_euclid(100)),
        Part::UpperPm => if morning { "AM" } else { "PM" }.to_owned(),
        Part::LowerPm => if morning { "am" } else { "pm" }.to_owned(),
        Part::Zone => zoned.strftime("%Z").to_string(),
        Part::Offset(shape, z_for_utc) => offset_text(zoned.offset(), shape, z_for_utc),
        Part::Fraction(separator, digits, trim) => {
            let all = format!("{:09}", zoned.subsec_nanosecond());
            let mut shown = all[..digits.min(9)].to_owned();
            if trim {
                shown.truncate(shown.trim_end_matches('0').len());
            }
            if shown.is_empty() {
                String::new()
            } else {
                format!("{separator}{shown}")
            }
        }
    };
    out.push_str(&text);
}

fn offset_text(offset: Offset, shape: &str, z_for_utc: bool) -> String {
    let seconds = offset.seconds();
    if z_for_utc && seconds == 0 {
        return "Z".to_owned();
    }
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, rest) = (seconds.abs() / 3600, seconds.abs() % 3600);
    let (minutes, seconds) = (rest / 60, rest % 60);
    match shape {
        "07" => format!("{sign}{hours:02}"),
        "0700" => format!("{sign}{hours:02}{minutes:02}"),
        "07:00" => format!("{sign}{hours:02}:{minutes:02}"),
        "070000" => format!("{sign}{hours:02}{minutes:02}{seconds:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// What a text in a layout has said so far.
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanos: i32,
    afternoon: Option<bool>,
    offset: Option<i32>,
}

/// Go's time.Parse.
pub(crate) fn parse(layout: &str, text: &str) -> Result<Zoned, String> {
    let failed = || {
        format!(
            "parsing time {} as {}: cannot parse it",
            crate::text::quote(text),
            crate::text::quote(layout)
        )
    };
    let mut fields = Fields {
        year: 0,
        month: 1,
        day: 1,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        afternoon: None,
        offset: None,
    };
    let mut rest = text;
    let parts = parts(layout);
    for (index, part) in parts.iter().enumerate() {
        rest = parse_part(*part, rest, &mut fields).ok_or_else(failed)?;
        // A fraction may follow the seconds even where the layout has none.
        let second = matches!(part, Part::Second | Part::ZeroSecond);
        let fraction_next = matches!(parts.get(index + 1), Some(Part::Fraction(..)));
        if second && !fraction_next && rest.starts_with(['.', ',']) {
            rest =
                parse_part(Part::Fraction('.', 9, true), rest, &mut fields).ok_or_else(failed)?;
        }
    }
    if !rest.is_empty() {
        return Err(format!(
            "parsing time {}: extra text: {}",
            crate::text::quote(text),
            crate::text::quote(rest)
        ));
    }
    match fields.afternoon {
        Some(true) if fields.hour < 12 => fields.hour += 12,
        Some(false) if fields.hour == 12 => fields.hour = 0,
        _ => {}
    }
    let zone = match fields.offset {
        None | Some(0) => TimeZone::UTC,
        Some(seconds) => TimeZone::fixed(Offset::from_seconds(seconds).map_err(|_| failed())?),
    };
    civil::DateTime::new(
        fields.year,
        fields.month,
        fields.day,
        fields.hour,
        fields.minute,
        fields.second,
        fields.nanos,
    )
    .and_then(|time| time.to_zoned(zone))
    .map_err(|_| format!("parsing time {}: out of range", crate::text::quote(text)))
}

/// Reads one part; gives what follows it.
fn parse_part<'a>(part: Part<'_>, text: &'a str, fields: &mut Fields) -> Option<&'a str> {
    let name = |names: &[&str], short: bool| {
        names.iter().position(|name| {
            let name = if short { &name[..3] } else { name };
            text.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        })
    };
    match part {
        Part::Literal(literal) => return text.strip_prefix(literal),
        Part::LongMonth | Part::Month => {
            let short = part == Part::Month;
            let index = name(&MONTHS, short)?;
            fields.month = i8::try_from(index).ok()? + 1;
            return text.get(if short { 3 } else { MONTHS[index].len() }..);
        }
        Part::LongWeekday | Part::Weekday => {
            let short = part == Part::Weekday;
            let index = name(&WEEKDAYS, short)?;
            return text.get(if short { 3 } else { WEEKDAYS[index].len() }..);
        }
        Part::UpperPm | Part::LowerPm => {
            fields.afternoon = Some(match text.get(..2)? {
                "PM" | "pm" => true,
                "AM" | "am" => false,
                _ => return None,
            });
            return text.get(2..);
        }
        Part::Zone => {
            let length = text.bytes().take_while(u8::is_ascii_uppercase).count();
            return (length >= 3).then(|| &text[length..]);
        }
        Part::Offset(shape, z_for_utc) => return parse_offset(text, shape, z_for_utc, fields),
        Part::Fraction(..) => {
            let Some(digits) = text.strip_prefix(['.', ',']) else {
                return Some(text);
            };
            let count = digits.bytes().take_while(u8::is_ascii_digit).count();
            let padded = format!("{:0<9}", &digits[..count.min(9)]);
            fields.nanos = padded.parse().ok()?;
            return Some(&digits[count..]);
        }
        _ => {}
    }
    let widest = match part {
        Part::LongYear => 4,
        Part::ZeroYearDay | Part::UnderYearDay => 3,
        _ => 2,
    };
    let trimmed = text.trim_start_matches(' ');
    let length = trimmed
        .bytes()
        .take(widest)
        .take_while(u8::is_ascii_digit)
        .count();
    let number: i16 = trimmed[..length].parse().ok()?;
    let small = i8::try_from(number.min(100)).ok()?;
    match part {
        Part::LongYear => fields.year = number,
        Part::Year => fields.year = number + if number >= 69 { 1900 } else { 2000 },
        Part::NumMonth | Part::ZeroMonth => fields.month = small,
        Part::Day | Part::UnderDay | Part::ZeroDay => fields.day = small,
        Part::Hour | Part::Hour12 | Part::ZeroHour12 => fields.hour = small,
        Part::Minute | Part::ZeroMinute => fields.minute = small,
        Part::Second | Part::ZeroSecond => fields.second = small,
        _ => {}
    }
    Some(&trimmed[length..])
}

fn parse_offset<'a>(
    text: &'a str,
    shape: &str,
    z_for_utc: bool,
    fields: &mut Fields,
) -> Option<&'a str> {
    if z_for_utc && let Some(rest) = text.strip_prefix('Z') {
        fields.offset = Some(0);
        return Some(rest);
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let written = text.get(1..=shape.len())?;
    let digits = written.replace(':', "");
    if digits.len() != shape.replace(':', "").len() {
        return None;
    }
    let part = |from: usize| -> Option<i32> {
        match digits.get(from..from + 2) {
            Some(two) => two.parse().ok(),
            None => Some(0),
        }
    };
    fields.offset = Some(sign * (part(0)? * 3600 + part(2)? * 60 + part(4)?));
    text.get(1 + shape.len()..)
}

#[cfg(test)]
mod tests {
    use gameday_signal::Timestamp;

    use crate::Time;

    #[test]
    fn lays_out_as_go_does() {
        let time = Time::from(Timestamp::from_millis(1_435_065_584_128));
        for (layout, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2015-06-23T13:19:44Z"),
            (
                "Mon, 02 Jan 2006 15:04:05 MST",
                "Tue, 23 Jun 2015 13:19:44 UTC",
            ),
            ("Jan _2 3:04PM", "Jun 23 1:19PM"),
            ("15:04:05.000", "13:19:44.128"),
            ("15:04:05.999999", "13:19:44.128"),
            ("02.01.2006 at 15h", "23.06.2015 at 13h"),
            ("Monday January 2 __2 002", "Tuesday June 23 174 174"),
            ("-0700 -07:00 -07", "+0000 +00:00 +00"),
        ] {
            assert_eq!(time.format(layout), expected, "{layout}");
        }
        let berlin = time.in_zone("Europe/Berlin").expect("a known zone");
        assert_eq!(berlin.format("15:04 MST -07:00"), "15:19 CEST +02:00");
        assert_eq!(
            time.in_zone("Nowhere/X").map(|time| time.to_string()),
            Err("unknown time zone Nowhere/X".to_owned())
        );
        assert_eq!(Time::zero().to_string(), "0001-01-01 00:00:00 +0000 UTC");
    }

    #[test]
    fn reads_what_it_wrote() {
        for (layout, text) in [
            ("2006-01-02", "2026-11-21"),
            ("2006-01-02T15:04:05Z07:00", "2026-11-21T03:04:05+02:00"),
            ("Jan 2, 2006 at 3:04pm", "Nov 21, 2026 at 3:04pm"),
        ] {
            let time = Time::parse(layout, text).expect(text);
            assert_eq!(time.format(layout), text);
        }
        assert!(Time::parse("2006-01-02", "tomorrow").is_err());
        assert!(Time::parse("2006-01-02", "2026-13-41").is_err());
    }
}
