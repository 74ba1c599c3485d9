//! Instants, durations, units of integer times, and zones (SEMANTICS 1).

use std::fmt;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

/// The first instant: 0001-01-01T00:00:00Z.
const MICROS_MIN: i64 = -62_135_596_800_000_000;
/// The last instant: 9999-12-31T23:59:59.999999Z.
const MICROS_MAX: i64 = 253_402_300_799_999_999;

/// An instant in UTC: microseconds since 1970-01-01T00:00:00Z, within the years 1 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(i64);

impl Instant {
    /// The first instant there is.
    pub const MIN: Self = Self(MICROS_MIN);
    /// The last instant there is.
    pub const MAX: Self = Self(MICROS_MAX);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The instant that many microseconds after 1970. `None` outside the years 1 to 9999.
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros < MICROS_MIN || micros > MICROS_MAX { None } else { Some(Self(micros)) }
    }

    /// The nearest instant to that many microseconds after 1970.
    pub fn from_micros_clamped(micros: i64) -> Self {
        Self(micros.clamp(MICROS_MIN, MICROS_MAX))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The instant that much later, held within the years 1 to 9999.
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_micros_clamped(self.0.saturating_add(duration.0))
    }

    /// The instant that much earlier, held within the years 1 to 9999.
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_micros_clamped(self.0.saturating_sub(duration.0))
    }

    /// `self - earlier`, which is negative where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration(self.0 - earlier.0)
    }

    /// RFC 3339 in UTC with `Z`, with as many fraction digits as needed: none, three or six.
    pub fn text(self) -> InstantText {
        InstantText::of(self)
    }

    /// The UTC day: days since 1970-01-01, floored.
    pub fn day(self) -> i32 {
        // The range of instants is some four million days either way.
        self.0.div_euclid(86_400_000_000) as i32
    }

    /// Reads an instant as people write it: RFC 3339, with `T` or a space, with or without an offset; a date alone
    /// is its midnight. Text without an offset is a local time in `zone`. Finer than microseconds floors.
    ///
    /// A local time that occurs twice is the earlier one; one that is skipped moves forward by the gap.
    /// `None` for anything else, and outside the years 1 to 9999.
    pub fn parse(text: &str, zone: &Zone) -> Option<Self> {
        let text = text.trim();
        if !text.is_ascii() {
            return None;
        }
        let utc = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(['Z', 'z']));
        let (civil, offset) = match (utc, offset_at(text)) {
            (Some(civil), _) => (civil, Some(0)),
            (None, Some(at)) => (&text[..at], Some(parse_offset(&text[at..])?)),
            (None, None) => (text, None),
        };
        let local = civil_micros(civil)?;
        match offset {
            Some(seconds) => Self::from_micros(local - seconds * 1_000_000),
            None => Self::from_local_micros(local, zone),
        }
    }

    /// The instant of a local time in `zone`, given as microseconds since 1970 on the local clock. The rules for
    /// skipped and repeated times are those of [`Instant::parse`].
    pub fn from_local_micros(local: i64, zone: &Zone) -> Option<Self> {
        if zone.is_utc() {
            return Self::from_micros(local);
        }
        let as_if_utc = jiff::Timestamp::from_microsecond(local).ok()?;
        let civil = TimeZone::UTC.to_datetime(as_if_utc);
        Self::from_timestamp(zone.0.to_ambiguous_zoned(civil).compatible().ok()?.timestamp())
    }

    /// What the clock shows in `zone`, as microseconds since 1970 on that clock.
    pub fn local_micros(self, zone: &Zone) -> i64 {
        if zone.is_utc() {
            return self.0;
        }
        // Every instant of ours is one of the library, which reaches from the year -9999.
        let offset = jiff::Timestamp::from_microsecond(self.0).map_or(0, |at| zone.0.to_offset(at).seconds());
        self.0 + i64::from(offset) * 1_000_000
    }

    fn from_timestamp(instant: jiff::Timestamp) -> Option<Self> {
        // Floor, also before 1970: jiff rounds the microsecond toward zero.
        let micros = instant.as_nanosecond().div_euclid(1_000);
        Self::from_micros(i64::try_from(micros).ok()?)
    }
}

/// Where `+hh:mm` or `-hh:mm` begins, behind the time of day.
fn offset_at(text: &str) -> Option<usize> {
    let separator = text.find(['T', 't', ' '])?;
    text[separator..].find(['+', '-']).map(|at| separator + at)
}

/// Seconds east of UTC of `+hh`, `+hhmm` or `+hh:mm`, at most a day.
fn parse_offset(text: &str) -> Option<i64> {
    let (sign, digits) = (text.strip_prefix('+').map_or(-1, |_| 1), &text[1..]);
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if digits.len() == 4 => digits.split_at(2),
        None => (digits, "00"),
    };
    let number = |part: &str, end: i64| {
        let two = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<i64>().ok().filter(|n| two && *n < end)
    };
    Some(sign * (number(hours, 24)? * 3600 + number(minutes, 60)? * 60))
}

/// Microseconds since 1970 on the clock that the text shows, floored. `None` where it is not a date and time.
fn civil_micros(text: &str) -> Option<i64> {
    // The library's parser also takes offsets and zones in brackets and drops them; neither is left here.
    if text.len() < 10 || text.contains(['[', 'Z', 'z']) {
        return None;
    }
    let civil: jiff::civil::DateTime = whole_nanoseconds(text.trim_end()).parse().ok()?;
    let days = civil.date().since(jiff::civil::date(1970, 1, 1)).ok()?.get_days();
    let of_day = i64::from(civil.hour()) * 3600 + i64::from(civil.minute()) * 60 + i64::from(civil.second());
    // A fraction is never negative, so cutting its digits floors, also before 1970.
    Some((i64::from(days) * 86_400 + of_day) * 1_000_000 + i64::from(civil.subsec_nanosecond() / 1_000))
}

impl fmt::Display for Instant {
    /// As [`Instant::text`].
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text())
    }
}

/// An instant as text, without memory of the heap.
#[derive(Clone, Copy)]
pub struct InstantText {
    bytes: [u8; InstantText::BYTES_MAX],
    len: usize,
}

impl InstantText {
    /// The length of `2026-01-31T23:59:59.999999Z`.
    const BYTES_MAX: usize = 27;

    fn of(instant: Instant) -> Self {
        let (day, of_day) = (instant.0.div_euclid(86_400_000_000), instant.0.rem_euclid(86_400_000_000));
        let (year, month, date) = civil_from_days(day);
        // All of them have at most four digits, the fraction has six.
        let (year, seconds, micros) = (year as u32, (of_day / 1_000_000) as u32, (of_day % 1_000_000) as u32);
        let mut text = Self { bytes: *b"0000-00-00T00:00:00.000000Z", len: Self::BYTES_MAX };
        text.two(0, year / 100);
        text.two(2, year % 100);
        text.two(5, month);
        text.two(8, date);
        text.two(11, seconds / 3_600);
        text.two(14, seconds / 60 % 60);
        text.two(17, seconds % 60);
        match micros {
            0 => text.len = 20,
            _ => {
                text.two(20, micros / 10_000);
                text.two(22, micros / 100 % 100);
                text.two(24, micros % 100);
                if micros % 1_000 == 0 {
                    text.len = 24;
                }
            }
        }
        text.bytes[text.len - 1] = b'Z';
        text
    }

    fn two(&mut self, at: usize, number: u32) {
        self.bytes[at] = b'0' + (number / 10) as u8;
        self.bytes[at + 1] = b'0' + (number % 10) as u8;
    }
}

impl std::ops::Deref for InstantText {
    type Target = str;

    fn deref(&self) -> &str {
        // Digits and signs alone.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// The Gregorian year, month and day of a day number since 1970-01-01, for the years 1 to 9999.
pub fn civil_from_days(day: i64) -> (i64, u32, u32) {
    // Counts from 0000-03-01, so that a leap day is the last of its year.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let date = (of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, date)
}

/// The text without the digits of a fraction past nanoseconds: they floor, and the library's parser takes no more.
fn whole_nanoseconds(text: &str) -> &str {
    const DIGITS_MAX: usize = 9;
    let Some(point) = text.find(['.', ',']) else { return text };
    let fraction = &text.as_bytes()[point + 1..];
    match fraction.len() > DIGITS_MAX && fraction.iter().all(u8::is_ascii_digit) {
        true => &text[..point + 1 + DIGITS_MAX],
        false => text,
    }
}

/// `YYYY-MM-DD` for a day number since 1970-01-01.
pub fn format_day(day: i32) -> String {
    let (year, month, date) = civil_from_days(i64::from(day));
    format!("{year:04}-{month:02}-{date:02}")
}

/// The day number of `YYYY-MM-DD`, within the years 1 to 9999.
pub fn parse_day(text: &str) -> Option<i32> {
    let text = text.trim();
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    Instant::from_micros(civil_micros(text)?).map(Instant::day)
}

/// The day number, if it lies within the years 1 to 9999.
pub fn checked_day(day: i64) -> Option<i32> {
    Instant::from_micros(day.checked_mul(86_400_000_000)?).map(Instant::day)
}

/// A length of time in whole microseconds. Never a calendar month or year.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(i64);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    const UNITS: [(&'static str, i64); 6] = [
        ("w", 604_800_000_000),
        ("d", 86_400_000_000),
        ("h", 3_600_000_000),
        ("m", 60_000_000),
        ("s", 1_000_000),
        ("ms", 1_000),
    ];

    /// A duration of that many microseconds.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Reads `90d`, `12h`, `5m`, `30s`, `250ms`, `2w`: a whole number and one unit. `None` for anything else,
    /// months and years included, and past the range of instants.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, micros) = Self::UNITS.into_iter().find(|(name, _)| *name == unit.trim_start())?;
        let total = number.parse::<i64>().ok()?.checked_mul(micros)?;
        (total <= MICROS_MAX - MICROS_MIN).then_some(Self(total))
    }
}

impl fmt::Display for Duration {
    /// In the largest unit of days and below that divides it: `90d`, `36h`, `250ms`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return out.write_str("0s");
        }
        for (name, micros) in &Self::UNITS[1..] {
            if self.0 % micros == 0 {
                return write!(out, "{}{name}", self.0 / micros);
            }
        }
        write!(out, "{}us", self.0)
    }
}

/// The unit of integer times. Finer than microseconds floors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TimeUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl TimeUnit {
    /// Every unit, coarsest first.
    pub const ALL: [TimeUnit; 4] = [Self::Seconds, Self::Milliseconds, Self::Microseconds, Self::Nanoseconds];

    /// The name used in definitions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
        }
    }

    /// The unit of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.as_str() == name)
    }

    /// Microseconds since 1970 for a count of this unit: floored, `None` where it overflows.
    pub fn to_micros(self, count: i64) -> Option<i64> {
        match self {
            Self::Seconds => count.checked_mul(1_000_000),
            Self::Milliseconds => count.checked_mul(1_000),
            Self::Microseconds => Some(count),
            Self::Nanoseconds => Some(count.div_euclid(1_000)),
        }
    }
}

/// A time zone by its IANA name, from the database built into the program: the same rules on every machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The zone of that IANA name (`Europe/London`, `UTC`). `None` where there is none.
    pub fn named(name: &str) -> Option<Self> {
        if name == "UTC" {
            return Some(Self::utc());
        }
        TimeZoneDatabase::bundled().get(name).ok().map(Self)
    }

    /// Its IANA name.
    pub fn name(&self) -> Option<&str> {
        self.0.iana_name()
    }

    /// Whether this is UTC itself.
    pub fn is_utc(&self) -> bool {
        self.0 == TimeZone::UTC
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the text of an instant is what a calendar says, with as many digits as needed.
    #[test]
    fn texts() {
        let mut state = 7_u64;
        for place in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let unit = [1, 1_000, 1_000_000, 86_400_000_000][place % 4];
            let span = (MICROS_MAX as i128 - MICROS_MIN as i128 + 1) as u128;
            let any = MICROS_MIN + ((u128::from(state) * span) >> 64) as i64;
            let instant = Instant::from_micros_clamped(any.div_euclid(unit) * unit);
            let text = instant.to_string();
            let by_calendar = jiff::Timestamp::from_microsecond(instant.0).unwrap();
            let plain = by_calendar.strftime("%Y-%m-%dT%H:%M:%S%.f").to_string();
            let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
            let digits = fraction.len().div_ceil(3) * 3;
            let expected = match digits {
                0 => format!("{whole}Z"),
                _ => format!("{whole}.{fraction:0<digits$}Z"),
            };
            assert_eq!(text, expected);
            assert_eq!(Instant::parse(&text, &Zone::utc()), Some(instant));
        }
    }

    fn utc(text: &str) -> String {
        Instant::parse(text, &Zone::utc()).map_or("bad".into(), |i| i.to_string())
    }

    /// Goal: the forms that files carry are read, floored to microseconds, and nothing else is.
    #[test]
    fn instants_are_read_as_people_write_them() {
        for (text, expected) in [
            ("2020-04-26 18:01:04.746575", "2020-04-26T18:01:04.746575Z"),
            ("2021-08-30T12:00:00Z", "2021-08-30T12:00:00Z"),
            ("2021-08-30 12:00:00+02:00", "2021-08-30T10:00:00Z"),
            ("2021-08-30T12:00:00-0530", "2021-08-30T17:30:00Z"),
            ("2021-08-30 12:00:00 UTC", "2021-08-30T12:00:00Z"),
            ("20210830T120000-0400", "2021-08-30T16:00:00Z"),
            ("2021-08-30T120000+0200", "2021-08-30T10:00:00Z"),
            ("2021-08-30T12+02:00", "2021-08-30T10:00:00Z"),
            ("2021-08-30T12:00:00+25:00", "bad"),
            ("2021-08-30", "2021-08-30T00:00:00Z"),
            ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
            ("1969-12-31T23:59:59.9999999", "1969-12-31T23:59:59.999999Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
            ("0000-12-31T23:59:59Z", "bad"),
            ("10000-01-01T00:00:00Z", "bad"),
            ("2021-02-30T00:00:00Z", "bad"),
            ("2021-08-30T25:00:00Z", "bad"),
            ("yesterday", "bad"),
            ("1630324800", "bad"),
            ("", "bad"),
        ] {
            assert_eq!(utc(text), expected, "{text}");
        }
    }

    /// Goal: a repeated local time is the earlier one, a skipped one moves forward by the gap.
    #[test]
    fn skipped_and_repeated_hours() {
        let zone = Zone::named("America/New_York").unwrap();
        let read = |text| Instant::parse(text, &zone).unwrap().to_string();
        assert_eq!(read("2021-03-14 02:30:00"), "2021-03-14T07:30:00Z");
        assert_eq!(read("2021-11-07 01:30:00"), "2021-11-07T05:30:00Z");
        let local = Instant::parse("2021-11-07 01:30:00", &Zone::utc()).unwrap().micros();
        assert_eq!(Instant::from_local_micros(local, &zone).unwrap().to_string(), "2021-11-07T05:30:00Z");
    }

    /// Goal: durations are a number and a unit, and print as they are written.
    #[test]
    fn durations() {
        for text in ["90d", "12h", "5m", "30s", "250ms"] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Duration::parse("2w").unwrap().to_string(), "14d");
        for wrong in ["", "d", "1y", "1mo", "-1d", "1.5h", "1 month", "99999999999w"] {
            assert_eq!(Duration::parse(wrong), None, "{wrong}");
        }
    }

    /// Goal: units floor toward the past and overflow is noticed.
    #[test]
    fn integer_units() {
        assert_eq!(TimeUnit::Nanoseconds.to_micros(-1), Some(-1));
        assert_eq!(TimeUnit::Seconds.to_micros(i64::MAX), None);
        assert_eq!(format_day(-1), "1969-12-31");
        assert_eq!(parse_day("1969-12-31"), Some(-1));
        assert_eq!(parse_day("2021-02-29"), None);
    }
}
