//! Instants, with the methods of Go's time.Time.

use std::fmt;

use gameday_signal::Timestamp;
use jiff::tz::TimeZone;
use jiff::{Zoned, civil};

use crate::functions::text;
use crate::time_format::{format, parse};
use crate::{Param, Signature, Value};

/// An instant in a time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Time(pub(crate) Zoned);

/// The default form of Go's Time.String.
const DEFAULT_LAYOUT: &str = "2006-01-02 15:04:05.999999999 -0700 MST";
const NANOS_PER_SECOND: i128 = 1_000_000_000;

impl Time {
    pub(crate) const METHODS: &'static [Signature] = &[
        Signature::new("Add", &[Param::Duration]),
        Signature::new("AddDate", &[Param::Int, Param::Int, Param::Int]),
        Signature::new("After", &[Param::Time]),
        Signature::new("Before", &[Param::Time]),
        Signature::new("Compare", &[Param::Time]),
        Signature::new("Day", &[]),
        Signature::new("Equal", &[Param::Time]),
        Signature::new("Format", &[Param::String]),
        Signature::new("Hour", &[]),
        Signature::new("IsZero", &[]),
        Signature::new("Local", &[]),
        Signature::new("Minute", &[]),
        Signature::new("Month", &[]),
        Signature::new("Nanosecond", &[]),
        Signature::new("Round", &[Param::Duration]),
        Signature::new("Second", &[]),
        Signature::new("String", &[]),
        Signature::new("Sub", &[Param::Time]),
        Signature::new("Truncate", &[Param::Duration]),
        Signature::new("UTC", &[]),
        Signature::new("Unix", &[]),
        Signature::new("UnixMicro", &[]),
        Signature::new("UnixMilli", &[]),
        Signature::new("UnixNano", &[]),
        Signature::new("Weekday", &[]),
        Signature::new("Year", &[]),
        Signature::new("YearDay", &[]),
    ];

    /// Go's zero time, the first second of the year 1 in UTC.
    pub fn zero() -> Self {
        Self(
            civil::date(1, 1, 1)
                .to_zoned(TimeZone::UTC)
                .unwrap_or_else(|_| jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC)),
        )
    }

    /// The instant in UTC, of `secs` seconds since the Unix epoch, cut to milliseconds as in Prometheus.
    ///
    /// # Errors
    /// Where it is not a number, or does not fit 64 bits of nanoseconds.
    pub fn from_secs_f64(secs: f64) -> Result<Self, String> {
        if !secs.is_finite() {
            return Err("value is NaN or Inf".to_owned());
        }
        let nanos = secs * 1e9;
        if !(i64::MIN as f64..=i64::MAX as f64).contains(&nanos) {
            return Err(format!(
                "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
                crate::format_float(secs)
            ));
        }
        // model.TimeFromUnixNano counts in milliseconds.
        let millis = nanos as i64 / 1_000_000;
        Ok(Self::from(Timestamp::from_millis(millis)))
    }

    /// The instant, as far as nanoseconds in 64 bits reach.
    pub fn timestamp(&self) -> Timestamp {
        let nanos = self.0.timestamp().as_nanosecond();
        Timestamp::from_nanos(nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }

    /// The same instant in another IANA time zone; the empty name and `UTC` are UTC.
    ///
    /// # Errors
    /// Where the zone is unknown.
    pub fn in_zone(&self, name: &str) -> Result<Self, String> {
        let zone = match name {
            "" | "UTC" | "Local" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| format!("unknown time zone {name}"))?,
        };
        Ok(Self(self.0.with_time_zone(zone)))
    }

    /// Go's Time.Format.
    pub fn format(&self, layout: &str) -> String {
        format(&self.0, layout)
    }

    /// Go's time.Parse: text in a layout, in UTC where it names no offset.
    ///
    /// # Errors
    /// Where the text is not in the layout.
    pub fn parse(layout: &str, text: &str) -> Result<Self, String> {
        parse(layout, text).map(Self)
    }

    /// RFC 3339 with as many digits of the second as there are, as Go writes it in JSON.
    pub fn rfc3339(&self) -> String {
        self.format("2006-01-02T15:04:05.999999999Z07:00")
    }

    fn is_zero(&self) -> bool {
        self.0.timestamp() == Self::zero().0.timestamp()
    }

    fn nanos(&self) -> i128 {
        self.0.timestamp().as_nanosecond()
    }

    fn with_nanos(&self, nanos: i128) -> Result<Self, String> {
        jiff::Timestamp::from_nanosecond(nanos)
            .map(|stamp| Self(stamp.to_zoned(self.0.time_zone().clone())))
            .map_err(|_| "time out of range".to_owned())
    }

    /// Rounds to a multiple of `step` counted from the zero time.
    fn rounded(&self, step: i64, to_nearest: bool) -> Result<Self, String> {
        if step <= 0 {
            return Ok(self.clone());
        }
        let since_zero = self.nanos() - Self::zero().nanos();
        let rest = since_zero.rem_euclid(i128::from(step));
        let up = to_nearest && rest * 2 >= i128::from(step);
        let change = if up { i128::from(step) - rest } else { -rest };
        self.with_nanos(self.nanos() + change)
    }

    /// Calls a method of time.Time.
    pub(crate) fn call(&self, method: &str, arguments: &[Value]) -> Result<Value, String> {
        let nanos_of = |index: usize| match arguments.get(index) {
            Some(Value::Duration(nanos) | Value::Int(nanos)) => *nanos,
            _ => 0,
        };
        let other = match arguments.first() {
            Some(Value::Time(other)) => other.nanos(),
            _ => 0,
        };
        let zoned = &self.0;
        let int = |number: i128| {
            Value::Int(number.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
        };
        Ok(match method {
            "Add" => Value::Time(self.with_nanos(self.nanos() + i128::from(nanos_of(0)))?),
            "AddDate" => Value::Time(self.add_date(nanos_of(0), nanos_of(1), nanos_of(2))?),
            "After" => Value::Bool(self.nanos() > other),
            "Before" => Value::Bool(self.nanos() < other),
            "Compare" => Value::Int(self.nanos().cmp(&other) as i64),
            "Equal" => Value::Bool(self.nanos() == other),
            "Format" => Value::from(self.format(text(arguments, 0))),
            "IsZero" => Value::Bool(self.is_zero()),
            "UTC" | "Local" => Value::Time(Self(zoned.with_time_zone(TimeZone::UTC))),
            "Round" => Value::Time(self.rounded(nanos_of(0), true)?),
            "Truncate" => Value::Time(self.rounded(nanos_of(0), false)?),
            "Sub" => match int(self.nanos() - other) {
                Value::Int(nanos) => Value::Duration(nanos),
                other => other,
            },
            "String" => Value::from(self.to_string()),
            "Unix" => int(self.nanos().div_euclid(NANOS_PER_SECOND)),
            "UnixMilli" => int(self.nanos().div_euclid(1_000_000)),
            "UnixMicro" => int(self.nanos().div_euclid(1000)),
            "UnixNano" => int(self.nanos()),
            "Month" => Value::from(self.format("January")),
            "Weekday" => Value::from(self.format("Monday")),
            "Year" => Value::Int(zoned.year().into()),
            "Day" => Value::Int(zoned.day().into()),
            "YearDay" => Value::Int(zoned.day_of_year().into()),
            "Hour" => Value::Int(zoned.hour().into()),
            "Minute" => Value::Int(zoned.minute().into()),
            "Second" => Value::Int(zoned.second().into()),
            _ => Value::Int(zoned.subsec_nanosecond().into()),
        })
    }

    /// Go's AddDate: a day that the month does not have runs over into the next.
    fn add_date(&self, years: i64, months: i64, days: i64) -> Result<Self, String> {
        let out_of_range = || "time out of range".to_owned();
        let month_index = (i64::from(self.0.year()).saturating_add(years))
            .saturating_mul(12)
            .saturating_add(i64::from(self.0.month()) - 1)
            .saturating_add(months);
        let year = i16::try_from(month_index.div_euclid(12)).map_err(|_| out_of_range())?;
        let month = month_index.rem_euclid(12) as i8 + 1;
        let first = civil::Date::new(year, month, 1).map_err(|_| out_of_range())?;
        let days = i32::try_from(days.saturating_add(i64::from(self.0.day()) - 1))
            .map_err(|_| out_of_range())?;
        let span = jiff::Span::new()
            .try_days(days)
            .map_err(|_| out_of_range())?;
        first
            .checked_add(span)
            .and_then(|date| {
                date.to_datetime(self.0.time())
                    .to_zoned(self.0.time_zone().clone())
            })
            .map(Self)
            .map_err(|_| out_of_range())
    }
}

impl From<Timestamp> for Time {
    fn from(timestamp: Timestamp) -> Self {
        let stamp = jiff::Timestamp::from_nanosecond(i128::from(timestamp.as_nanos()))
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Self(stamp.to_zoned(TimeZone::UTC))
    }
}

/// Go's Time.String, without the monotonic clock.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(DEFAULT_LAYOUT))
    }
}
