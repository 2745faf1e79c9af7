//! Dates as GitHub and HTTP write them.

use gameday_signal::{Timestamp, days_from_civil};

/// Reads `2023-11-14T22:13:20Z`, with or without a fraction or an offset.
pub(crate) fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once(['T', ' '])?;
    let mut date = date.split('-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, offset_secs) = if let Some(clock) = rest.strip_suffix('Z') {
        (clock, 0)
    } else {
        let at = rest.rfind(['+', '-'])?;
        let (hours, minutes) = rest[at + 1..].split_once(':')?;
        let secs = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
        let sign = if rest[at..].starts_with('-') { -1 } else { 1 };
        (&rest[..at], sign * secs)
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (
        clock.next()?.ok()?,
        clock.next()?.ok()?,
        clock.next()?.ok()?,
    );
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second)
        && (1970..=2261).contains(&year)
        && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !valid {
        return None;
    }
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanos: i64 = digits.parse().ok()?;
    let secs = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(Timestamp::from_nanos(
        (secs - offset_secs) * 1_000_000_000 + nanos,
    ))
}

/// Writes `2023-11-14T22:13:20Z`, to the second, as GitHub does.
pub(crate) fn format_rfc3339(at: Timestamp) -> String {
    let mut text = at.to_string();
    text.truncate("2023-11-14T22:13:20".len());
    text.push('Z');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_times_of_the_api() {
        for (text, nanos) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
            ("2023-11-14T22:13:20.5Z", 1_700_000_000_500_000_000),
            ("2023-11-14T23:13:20+01:00", 1_700_000_000_000_000_000),
        ] {
            assert_eq!(
                parse_rfc3339(text),
                Some(Timestamp::from_nanos(nanos)),
                "{text}"
            );
        }
        for text in [
            "",
            "yesterday",
            "2023-11-14",
            "2023-13-14T22:13:20Z",
            "2023-11-14T22:13:20",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
        let at = Timestamp::from_millis(1_700_000_000_123);
        assert_eq!(format_rfc3339(at), "2023-11-14T22:13:20Z");
    }
}
