//! Instants as Go writes and reads them in JSON.

use gameday_signal::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};

/// Go's zero time, which stands for an instant that is not known.
pub(crate) const ZERO: &str = "0001-01-01T00:00:00Z";

/// Reads RFC 3339 with any offset; Go's zero time is none.
pub(crate) fn parse(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() || text.starts_with("0001-01-01T00:00:00") {
        return Ok(None);
    }
    let instant: jiff::Timestamp = text.parse().map_err(|_| {
        format!("cannot parse {text:?} as RFC 3339, expected for example \"2026-11-21T03:00:00Z\"")
    })?;
    let nanos = i64::try_from(instant.as_nanosecond())
        .map_err(|_| format!("{text:?} lies beyond the years 1677 to 2262"))?;
    Ok(Some(Timestamp::from_nanos(nanos)))
}

/// For serde: an instant that may be left out, null or Go's zero time.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        Some(text) => parse(&text).map_err(D::Error::custom),
        None => Ok(None),
    }
}

/// Go's `time.RFC3339Nano`: the fraction without trailing zeros.
pub(crate) fn nano(instant: Timestamp) -> String {
    let (whole, nanos) = split(instant);
    if nanos == 0 {
        return format!("{whole}Z");
    }
    let fraction = format!("{nanos:09}");
    format!("{whole}.{}Z", fraction.trim_end_matches('0'))
}

/// go-openapi's `strfmt.DateTime`: always three digits of a fraction.
pub(crate) fn millis(instant: Timestamp) -> String {
    let (whole, nanos) = split(instant);
    format!("{whole}.{:03}Z", nanos / 1_000_000)
}

/// Up to the second, and the nanoseconds behind.
fn split(instant: Timestamp) -> (String, i64) {
    let whole = Timestamp::from_secs(instant.as_secs()).to_string();
    let nanos = instant.as_nanos().rem_euclid(1_000_000_000);
    (whole.trim_end_matches(".000Z").to_owned(), nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_as_go_does() {
        for (text, as_nano, as_millis) in [
            (
                "2026-11-21T03:00:00Z",
                "2026-11-21T03:00:00Z",
                "2026-11-21T03:00:00.000Z",
            ),
            (
                "2026-11-21T04:00:00.5+01:00",
                "2026-11-21T03:00:00.5Z",
                "2026-11-21T03:00:00.500Z",
            ),
            (
                "1969-12-31T23:59:59.000000001Z",
                "1969-12-31T23:59:59.000000001Z",
                "1969-12-31T23:59:59.000Z",
            ),
        ] {
            let instant = parse(text).unwrap().unwrap();
            assert_eq!(
                (nano(instant).as_str(), millis(instant).as_str()),
                (as_nano, as_millis)
            );
        }
        assert_eq!(parse(ZERO), Ok(None));
        assert!(parse("yesterday").is_err());
    }
}
