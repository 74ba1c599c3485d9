//! Spans of time as literals: `interval '1 day'`, `interval '1 month 2 hours'`, and the units of time functions.

use asof_model::Instant;
use asof_model::time::civil_from_days;

pub(crate) const DAY: i64 = 86_400_000_000;

/// A span of calendar months and of exact time. Days are 24 hours: instants are in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interval {
    pub months: i64,
    pub micros: i64,
}

/// A unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::Microsecond, "microsecond"),
        (Self::Millisecond, "millisecond"),
        (Self::Second, "second"),
        (Self::Minute, "minute"),
        (Self::Hour, "hour"),
        (Self::Day, "day"),
        (Self::Week, "week"),
        (Self::Month, "month"),
        (Self::Quarter, "quarter"),
        (Self::Year, "year"),
    ];

    /// The unit of that name, in any letter case, singular or plural.
    pub fn parse(name: &str) -> Option<Self> {
        let lower = name.trim().to_ascii_lowercase();
        let singular = lower.strip_suffix('s').unwrap_or(&lower);
        Self::ALL.into_iter().find(|(_, each)| *each == singular).map(|(unit, _)| unit)
    }

    /// One of it, where it is an exact time.
    pub fn micros(self) -> Option<i64> {
        Some(match self {
            Self::Microsecond => 1,
            Self::Millisecond => 1_000,
            Self::Second => 1_000_000,
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month | Self::Quarter | Self::Year => return None,
        })
    }

    /// One of it in calendar months, where it is no exact time.
    pub fn months(self) -> Option<i64> {
        match self {
            Self::Month => Some(1),
            Self::Quarter => Some(3),
            Self::Year => Some(12),
            _ => None,
        }
    }

    /// That many of it.
    pub fn times(self, count: i64) -> Option<Interval> {
        Some(Interval {
            months: self.months().map_or(Some(0), |months| count.checked_mul(months))?,
            micros: self.micros().map_or(Some(0), |micros| count.checked_mul(micros))?,
        })
    }
}

impl Interval {
    /// Reads `7 days`, `1 hour 30 minutes`, `-1 month`: whole numbers and units.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace().peekable();
        words.peek()?;
        let mut sum = Self { months: 0, micros: 0 };
        while let Some(number) = words.next() {
            let digits = number.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(number.len());
            let (number, unit) = match number.split_at(digits) {
                (number, "") => (number, words.next()?),
                attached => attached,
            };
            let part = Unit::parse(unit)?.times(number.parse().ok()?)?;
            sum.months = sum.months.checked_add(part.months)?;
            sum.micros = sum.micros.checked_add(part.micros)?;
        }
        Some(sum)
    }

    pub fn negated(self) -> Option<Self> {
        Some(Self { months: self.months.checked_neg()?, micros: self.micros.checked_neg()? })
    }

    /// The instant that much later: months first, where a day past the end of its month becomes its last one.
    pub fn after(self, instant: Instant) -> Option<Instant> {
        let micros = instant.micros();
        let (day, of_day) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
        let day = if self.months == 0 { day } else { plus_months(day, self.months)? };
        Instant::from_micros(day.checked_mul(DAY)?.checked_add(of_day)?.checked_add(self.micros)?)
    }

    /// The canonical text, which [`Interval::parse`] reads.
    pub fn text(self) -> String {
        match (self.months, self.micros) {
            (0, micros) => format!("{micros} microseconds"),
            (months, 0) => format!("{months} months"),
            (months, micros) => format!("{months} months {micros} microseconds"),
        }
    }
}

/// The same day of the month that many months later, or the last day of that month.
fn plus_months(day: i64, months: i64) -> Option<i64> {
    let (year, month, date) = civil_from_days(day);
    let total = year.checked_mul(12)?.checked_add(i64::from(month) - 1)?.checked_add(months)?;
    let first = month_start(total)?;
    let length = month_start(total + 1)? - first;
    Some(first + (i64::from(date) - 1).min(length - 1))
}

/// The first day of a month, counted from January of year 0. `None` outside the years 1 to 10000.
pub(crate) fn month_start(months: i64) -> Option<i64> {
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
    (1..=10_000).contains(&year).then(|| days_from_civil(year, month, 1))
}

/// The months of a day since January of year 0.
pub(crate) fn months_of(day: i64) -> i64 {
    let (year, month, _) = civil_from_days(day);
    year * 12 + i64::from(month) - 1
}

/// The day number since 1970-01-01 of a day of the Gregorian calendar.
pub(crate) fn days_from_civil(year: i64, month: i64, date: i64) -> i64 {
    // Counts from March, so that a leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + date - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: days and calendar fields are each other's inverse over the whole range.
    #[test]
    fn calendar_both_ways() {
        for day in (-719_162..2_932_896).step_by(97).chain([-719_162, 0, 2_932_896]) {
            let (year, month, date) = civil_from_days(day);
            assert_eq!(days_from_civil(year, i64::from(month), i64::from(date)), day);
        }
    }

    /// Goal: intervals are read as people write them, and print as what they read back.
    #[test]
    fn texts() {
        for (text, months, micros) in [
            ("7 days", 0, 7 * DAY),
            ("1 hour 30 minutes", 0, 5_400_000_000),
            ("-1 month", -1, 0),
            ("1 year 2 days", 12, 2 * DAY),
            ("2weeks", 0, 14 * DAY),
        ] {
            let interval = Interval::parse(text).unwrap();
            assert_eq!(interval, Interval { months, micros }, "{text}");
            assert_eq!(Interval::parse(&interval.text()), Some(interval));
        }
        for wrong in ["", "day", "1", "1.5 days", "1 fortnight", "99999999999999 weeks"] {
            assert_eq!(Interval::parse(wrong), None, "{wrong}");
        }
    }
}
