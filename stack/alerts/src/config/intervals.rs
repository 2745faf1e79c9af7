//! `time_intervals`: calendars that a route is muted or active in.

use gameday_signal::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::yaml::block;

block! {
    /// A named list of calendars; it holds where one of them does.
    NamedIntervals {
        name: String = String::new(),
        time_intervals: Vec<TimeInterval> = Vec::new(),
    }
    check(named) {
        if named.name.is_empty() {
            return Err("missing name in time interval".to_owned());
        }
        Ok(())
    }
}

block! {
    /// A calendar; every part that is given has to hold, and of each part one range.
    TimeInterval {
        times: Vec<TimeRange> = Vec::new(),
        weekdays: Vec<Range<Weekday>> = Vec::new(),
        days_of_month: Vec<Range<DayOfMonth>> = Vec::new(),
        months: Vec<Range<Month>> = Vec::new(),
        years: Vec<Range<Year>> = Vec::new(),
        location: Option<Location> = None,
    }
    check(_interval) { Ok(()) }
}

impl NamedIntervals {
    /// Whether `now` lies within one of the calendars.
    pub(crate) fn contains(&self, now: Timestamp) -> bool {
        self.time_intervals
            .iter()
            .any(|interval| interval.contains(now))
    }
}

impl TimeInterval {
    /// Whether `now` lies within.
    pub(crate) fn contains(&self, now: Timestamp) -> bool {
        let instant = jiff::Timestamp::from_nanosecond(i128::from(now.as_nanos()))
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let zone = self
            .location
            .as_ref()
            .map_or(TimeZone::UTC, |location| location.zone.clone());
        let local = instant.to_zoned(zone);
        let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
        let day = i64::from(local.day());
        let days_in_month = i64::from(local.days_in_month());
        let within = |ranges: &[(i64, i64)], value: i64| {
            ranges.is_empty()
                || ranges
                    .iter()
                    .any(|(begin, end)| (*begin..=*end).contains(&value))
        };
        let times: Vec<_> = self
            .times
            .iter()
            // The end is exclusive.
            .map(|range| (range.start_minute, range.end_minute - 1))
            .collect();
        within(&times, minute)
            && (self.days_of_month.is_empty()
                || self
                    .days_of_month
                    .iter()
                    .any(|range| day_within(range, day, days_in_month)))
            && within(&pairs(&self.months), i64::from(local.month()))
            && within(
                &pairs(&self.weekdays),
                i64::from(local.weekday().to_sunday_zero_offset()),
            )
            && within(&pairs(&self.years), i64::from(local.year()))
    }
}

fn pairs<M>(ranges: &[Range<M>]) -> Vec<(i64, i64)> {
    ranges
        .iter()
        .map(|range| (range.begin, range.end))
        .collect()
}

/// Negative days count from the end of the month; a range that begins after the month's end does not hold at all.
fn day_within(range: &Range<DayOfMonth>, day: i64, days_in_month: i64) -> bool {
    let from_start = |day: i64| {
        if day < 0 {
            days_in_month + day + 1
        } else {
            day
        }
    };
    let (begin, end) = (from_start(range.begin), from_start(range.end));
    begin <= days_in_month && (begin..=end.min(days_in_month)).contains(&day)
}

/// From a minute of the day up to, but without, another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeRange {
    start_minute: i64,
    end_minute: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTimeRange {
    #[serde(default)]
    start_time: String,
    #[serde(default)]
    end_time: String,
}

impl<'de> Deserialize<'de> for TimeRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawTimeRange::deserialize(deserializer)?;
        if raw.start_time.is_empty() || raw.end_time.is_empty() {
            return Err(D::Error::custom(
                "both start and end times must be provided",
            ));
        }
        let start_minute = parse_time(&raw.start_time).map_err(D::Error::custom)?;
        let end_minute = parse_time(&raw.end_time).map_err(D::Error::custom)?;
        if start_minute >= end_minute {
            return Err(D::Error::custom(
                "start time cannot be equal or greater than end time",
            ));
        }
        Ok(Self {
            start_minute,
            end_minute,
        })
    }
}

impl Serialize for TimeRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        RawTimeRange {
            start_time: text(self.start_minute),
            end_time: text(self.end_minute),
        }
        .serialize(serializer)
    }
}

/// `HH:MM` from `00:00` to `24:00`, as minutes.
fn parse_time(text: &str) -> Result<i64, String> {
    let invalid = || format!("couldn't parse timestamp {text}, invalid format");
    let bytes = text.as_bytes();
    if bytes.len() != 5 || bytes[2] != b':' {
        return Err(invalid());
    }
    let two_digits = |at: usize| {
        let pair = &bytes[at..at + 2];
        pair.iter()
            .all(u8::is_ascii_digit)
            .then(|| i64::from(pair[0] - b'0') * 10 + i64::from(pair[1] - b'0'))
    };
    match (two_digits(0), two_digits(3)) {
        (Some(hour @ 0..=23), Some(minute @ 0..=59)) => Ok(hour * 60 + minute),
        (Some(24), Some(0)) => Ok(24 * 60),
        _ => Err(invalid()),
    }
}

/// What a range counts: how a member is read and which ranges are right.
pub(crate) trait Member: Sized {
    /// Reads one member.
    fn parse(text: &str) -> Result<i64, String>;
    /// Refuses ranges that cannot be.
    fn check(begin: i64, end: i64, text: &str) -> Result<(), String>;
    /// Writes one member.
    fn render(member: i64) -> String {
        member.to_string()
    }
}

/// An inclusive range, written `begin:end` or as one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range<M> {
    begin: i64,
    end: i64,
    member: std::marker::PhantomData<M>,
}

impl<'de, M: Member> Deserialize<'de> for Range<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?.to_lowercase();
        let (begin, end) = text.split_once(':').unwrap_or((&text, &text));
        if end.contains(':') {
            return Err(D::Error::custom(format!(
                "couldn't parse range {text}, invalid format"
            )));
        }
        let begin = M::parse(begin).map_err(D::Error::custom)?;
        let end = M::parse(end).map_err(D::Error::custom)?;
        M::check(begin, end, &text).map_err(D::Error::custom)?;
        Ok(Self {
            begin,
            end,
            member: std::marker::PhantomData,
        })
    }
}

impl<M: Member> Serialize for Range<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let begin = M::render(self.begin);
        if self.begin == self.end {
            serializer.serialize_str(&begin)
        } else {
            serializer.collect_str(&format_args!("{begin}:{}", M::render(self.end)))
        }
    }
}

/// Sunday is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Weekday;

const WEEKDAYS: [&str; 7] = [
    "sunday",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
];

impl Member for Weekday {
    fn parse(text: &str) -> Result<i64, String> {
        WEEKDAYS
            .iter()
            .position(|name| *name == text)
            .map(|position| position as i64)
            .ok_or_else(|| format!("{text} is not a valid weekday"))
    }

    fn check(begin: i64, end: i64, _text: &str) -> Result<(), String> {
        if begin > end {
            return Err("start day cannot be before end day".to_owned());
        }
        Ok(())
    }

    fn render(member: i64) -> String {
        WEEKDAYS[usize::try_from(member).unwrap_or_default() % 7].to_owned()
    }
}

/// 1 to 31, or -1 (the last day) to -31.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DayOfMonth;

fn parse_number(text: &str) -> Result<i64, String> {
    text.parse()
        .map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
}

impl Member for DayOfMonth {
    fn parse(text: &str) -> Result<i64, String> {
        parse_number(text)
    }

    fn check(begin: i64, end: i64, _text: &str) -> Result<(), String> {
        for day in [begin, end] {
            if day == 0 || !(-31..=31).contains(&day) {
                return Err(format!(
                    "{day} is not a valid day of the month: out of range"
                ));
            }
        }
        if begin < 0 && end > 0 {
            return Err("end day must be negative if start day is negative".to_owned());
        }
        // The shortest month has 28 days: what is wrong there is always wrong.
        let in_february = |day: i64| if day < 0 { 28 + day } else { day };
        if in_february(begin) > in_february(end) {
            return Err(format!("end day {end} is always before start day {begin}"));
        }
        Ok(())
    }
}

/// January is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Month;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Member for Month {
    fn parse(text: &str) -> Result<i64, String> {
        match MONTHS.iter().position(|name| *name == text) {
            Some(position) => Ok(position as i64 + 1),
            None => text
                .parse()
                .map_err(|_| format!("{text} is not a valid month")),
        }
    }

    fn check(begin: i64, end: i64, _text: &str) -> Result<(), String> {
        if begin > end {
            let name = |month: i64| {
                usize::try_from(month - 1)
                    .ok()
                    .and_then(|index| MONTHS.get(index))
                    .copied()
                    .unwrap_or_default()
            };
            return Err(format!(
                "end month {} is before start month {}",
                name(end),
                name(begin)
            ));
        }
        Ok(())
    }
}

/// A year of the Gregorian calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Year;

impl Member for Year {
    fn parse(text: &str) -> Result<i64, String> {
        parse_number(text)
    }

    fn check(begin: i64, end: i64, _text: &str) -> Result<(), String> {
        if begin > end {
            return Err(format!("end year {end} is before start year {begin}"));
        }
        Ok(())
    }
}

/// A zone of the IANA database that is built in, so that every machine has the same one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Location {
    name: String,
    zone: TimeZone,
}

impl<'de> Deserialize<'de> for Location {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let zone = match name.as_str() {
            // Go's "Local" is the zone of the machine, which no game day may depend on.
            "" | "UTC" | "Local" => TimeZone::UTC,
            _ => TimeZoneDatabase::bundled()
                .get(&name)
                .map_err(|_| D::Error::custom(format!("unknown time zone {name}")))?,
        };
        Ok(Self { name, zone })
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str, inside: &[&str], outside: &[&str]) {
        let interval: TimeInterval = gameday_yaml::from_str(yaml).unwrap();
        for (instants, expected) in [(inside, true), (outside, false)] {
            for text in instants {
                let instant: jiff::Timestamp = text.parse().unwrap();
                let now = Timestamp::from_secs(instant.as_second());
                assert_eq!(interval.contains(now), expected, "{yaml}: {text}");
            }
        }
    }

    #[test]
    fn times_are_exclusive_at_their_end() {
        check(
            "times: [{start_time: '09:00', end_time: '17:00'}, {start_time: '23:00', end_time: '24:00'}]",
            &[
                "2026-11-20T09:00:00Z",
                "2026-11-20T16:59:59Z",
                "2026-11-20T23:59:59Z",
            ],
            &[
                "2026-11-20T08:59:59Z",
                "2026-11-20T17:00:00Z",
                "2026-11-20T00:00:00Z",
            ],
        );
    }

    #[test]
    fn days_count_from_the_end_too() {
        check(
            "days_of_month: ['-3:-1', '1', '30:31']",
            &[
                "2026-02-26T12:00:00Z",
                "2026-02-28T12:00:00Z",
                "2026-02-01T00:00:00Z",
                "2026-04-30T00:00:00Z",
            ],
            &["2026-02-25T12:00:00Z", "2026-03-28T12:00:00Z"],
        );
        // The range begins after the end of February: it does not hold there.
        check(
            "days_of_month: ['30:31']",
            &["2026-03-31T00:00:00Z"],
            &["2026-02-28T00:00:00Z"],
        );
        check(
            "days_of_month: ['20:31']",
            &["2026-02-28T00:00:00Z"],
            &["2026-02-19T00:00:00Z"],
        );
    }

    #[test]
    fn weekdays_months_and_years() {
        check(
            "weekdays: ['monday:friday']\nmonths: ['november', '1:2']\nyears: ['2025:2026']",
            &["2026-11-20T00:00:00Z", "2026-01-01T00:00:00Z"],
            &[
                "2026-11-21T00:00:00Z",
                "2026-03-02T00:00:00Z",
                "2027-11-19T00:00:00Z",
            ],
        );
    }

    #[test]
    fn a_location_moves_with_its_daylight_saving() {
        check(
            "times: [{start_time: '08:00', end_time: '09:00'}]\nlocation: Europe/Berlin",
            &["2026-07-01T06:00:00Z", "2026-12-01T07:59:59Z"],
            &["2026-07-01T07:00:00Z", "2026-12-01T06:59:59Z"],
        );
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        for (yaml, expected) in [
            (
                "times: [{start_time: '9:00', end_time: '17:00'}]",
                "couldn't parse timestamp 9:00, invalid format",
            ),
            (
                "times: [{start_time: '09:00'}]",
                "both start and end times must be provided",
            ),
            (
                "times: [{start_time: '09:00', end_time: '09:00'}]",
                "start time cannot be equal or greater than end time",
            ),
            (
                "weekdays: [monday:sunday]",
                "start day cannot be before end day",
            ),
            ("weekdays: [funday]", "funday is not a valid weekday"),
            (
                "days_of_month: ['0']",
                "0 is not a valid day of the month: out of range",
            ),
            (
                "days_of_month: ['-1:1']",
                "end day must be negative if start day is negative",
            ),
            (
                "days_of_month: ['10:5']",
                "end day 5 is always before start day 10",
            ),
            (
                "months: ['march:january']",
                "end month january is before start month march",
            ),
            (
                "years: ['2026:2025']",
                "end year 2025 is before start year 2026",
            ),
            ("location: Mars/Olympus", "unknown time zone Mars/Olympus"),
            ("weekday: [monday]", "unknown field `weekday`"),
        ] {
            let error = gameday_yaml::from_str::<TimeInterval>(yaml).unwrap_err();
            assert!(error.to_string().contains(expected), "{yaml}: {error}");
        }
    }
}
