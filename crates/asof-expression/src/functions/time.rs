//! Instants and days. All in UTC, or in the zone that is named.

use asof_model::time::{TimeUnit, civil_from_days};
use asof_model::{Instant, Value, Zone};

use crate::cast;
use crate::function::{Args, Body, Built, Failed, Function, Outcome, Refusal, entry, int};
use crate::interval::{DAY, Unit, days_from_civil, month_start, months_of};
use crate::node::Node;

/// `request_timestamp()`
pub(crate) static REQUEST_TIMESTAMP: Function = entry(
    "request_timestamp",
    &["request_timestamp() -> timestamp"],
    "The instant `t` of the request, or of the label row in training. Only for features on demand.",
    "",
    &[("request_timestamp()", "2024-05-06T07:08:09.123456Z")],
    Body::Syntax,
);

pub(crate) const ALL: &[&Function] = &[
    &REQUEST_TIMESTAMP,
    &entry(
        "date_part",
        &["(part literal string, x timestamp) -> int64", "(part literal string, x timestamp, zone literal string) -> int64"],
        "A part of the calendar or the clock, as a whole number: year, quarter, month, week (ISO), isoyear, day, dow \
         (Sunday is 0), isodow (Monday is 1), doy, hour, minute, second, millisecond and microsecond (of the second), \
         epoch (seconds since 1970, floored). Also `extract(hour from x)`.",
        "",
        &[
            ("date_part('hour', timestamp '2024-05-06 07:08:09')", "7"),
            ("extract(dow from timestamp '2024-05-05')", "0"),
            ("date_part('week', timestamp '2021-01-03')", "53"),
            ("date_part('hour', timestamp '2024-05-06 07:00:00', 'America/New_York')", "3"),
        ],
        Body::Built(date_part),
    )
    .also(&["datepart"]),
    &entry(
        "date_trunc",
        &["(unit literal string, x timestamp) -> timestamp", "(unit literal string, x timestamp, zone literal string) -> timestamp"],
        "The start of the unit: microsecond to year; weeks start on Monday.",
        "the result is outside the years 1 to 9999",
        &[
            ("date_trunc('hour', timestamp '2024-05-06 07:08:09')", "2024-05-06T07:00:00Z"),
            ("date_trunc('week', timestamp '2024-05-05')", "2024-04-29T00:00:00Z"),
            ("date_trunc('day', timestamp '2024-05-06 02:00:00', 'America/New_York')", "2024-05-05T04:00:00Z"),
        ],
        Body::Built(date_trunc),
    ),
    &entry(
        "date_diff",
        &["(unit literal string, earlier timestamp, later timestamp) -> int64"],
        "How many whole units have passed between both, cut toward zero; negative where the first is the later one. \
         Months and years have passed when day and time of day have come round.",
        "",
        &[
            ("date_diff('day', timestamp '2024-05-01 12:00:00', timestamp '2024-05-03 11:00:00')", "1"),
            ("date_diff('month', timestamp '2024-01-31', timestamp '2024-02-29')", "0"),
            ("date_diff('hour', timestamp '2024-05-02', timestamp '2024-05-01')", "-24"),
        ],
        Body::Built(|nodes| {
            let unit = unit(nodes)?;
            Ok(Built::new(move |args| int(passed(unit, args.instant(1)?, args.instant(2)?))))
        }),
    )
    .also(&["datediff"]),
    &entry(
        "date_add",
        &["(unit literal string, count int64, x timestamp) -> timestamp"],
        "The instant so many units later; earlier where the count is negative.",
        "the result is outside the years 1 to 9999",
        &[("date_add('day', -3, timestamp '2024-05-01')", "2024-04-28T00:00:00Z")],
        Body::Built(|nodes| {
            let unit = unit(nodes)?;
            Ok(Built::new(move |args| {
                let later = unit.times(args.int(1)?).and_then(|interval| interval.after(args.instant(2).ok()?));
                later.map(|later| Some(Value::Timestamp(later))).ok_or(Failed)
            }))
        }),
    )
    .also(&["dateadd"]),
    &entry(
        "to_timestamp",
        &["(x int64, unit literal string) -> timestamp"],
        "The instant so many units after 1970: `s`, `ms`, `us` or `ns` (floored).",
        "it is outside the years 1 to 9999",
        &[("to_timestamp(1714979289, 's')", "2024-05-06T07:08:09Z"), ("to_timestamp(9999999999999, 's')", "ERROR")],
        Body::Built(|nodes| {
            let unit = literal_text(nodes, 1).and_then(TimeUnit::parse);
            let unit = unit.ok_or_else(|| refusal(1, "one of 's', 'ms', 'us' and 'ns'"))?;
            Ok(Built::new(move |args| cast::instant(unit.to_micros(args.int(0)?))))
        }),
    ),
    &entry("epoch_seconds", EPOCH, "Seconds since 1970, floored.", "", &[("epoch_seconds(timestamp '2024-05-06 07:08:09')", "1714979289")], Body::Plain(|args| epoch(args, 1_000_000))),
    &entry("epoch_millis", EPOCH, "Milliseconds since 1970, floored.", "", &[("epoch_millis(timestamp '1970-01-01 00:00:01')", "1000")], Body::Plain(|args| epoch(args, 1_000))),
    &entry("epoch_micros", EPOCH, "Microseconds since 1970.", "", &[("epoch_micros(timestamp '1969-12-31 23:59:59')", "-1000000")], Body::Plain(|args| epoch(args, 1))),
    &entry(
        "make_date",
        &["(year int64, month int64, day int64) -> date"],
        "That day of the calendar.",
        "there is no such day in the years 1 to 9999",
        &[("make_date(2024, 2, 29)", "2024-02-29"), ("make_date(2023, 2, 29)", "ERROR")],
        Body::Plain(make_date),
    ),
];

const EPOCH: &[&str] = &["(x timestamp) -> int64"];

/// A part of the calendar or the clock.
#[derive(Clone, Copy)]
enum Part {
    Year,
    Quarter,
    Month,
    Week,
    IsoYear,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Epoch,
}

impl Part {
    const ALL: [(Self, &'static str); 15] = [
        (Self::Year, "year"),
        (Self::Quarter, "quarter"),
        (Self::Month, "month"),
        (Self::Week, "week"),
        (Self::IsoYear, "isoyear"),
        (Self::Day, "day"),
        (Self::DayOfWeek, "dow"),
        (Self::IsoDayOfWeek, "isodow"),
        (Self::DayOfYear, "doy"),
        (Self::Hour, "hour"),
        (Self::Minute, "minute"),
        (Self::Second, "second"),
        (Self::Millisecond, "millisecond"),
        (Self::Microsecond, "microsecond"),
        (Self::Epoch, "epoch"),
    ];

    fn parse(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let name = match lower.as_str() {
            "dayofweek" => "dow",
            "dayofyear" => "doy",
            "isoweek" => "week",
            name => name,
        };
        Self::ALL.into_iter().find(|(_, each)| *each == name).map(|(part, _)| part)
    }

    /// The part of a local time, and of the instant it is.
    fn of(self, local: i64, instant: Instant) -> i64 {
        let (day, of_day) = (local.div_euclid(DAY), local.rem_euclid(DAY));
        let (year, month, date) = civil_from_days(day);
        match self {
            Self::Year => year,
            Self::Quarter => i64::from(month - 1) / 3 + 1,
            Self::Month => i64::from(month),
            Self::Week => (iso_thursday(day) - first_of_year(iso_year(day))) / 7 + 1,
            Self::IsoYear => iso_year(day),
            Self::Day => i64::from(date),
            // 1970-01-01 was a Thursday.
            Self::DayOfWeek => (day + 4).rem_euclid(7),
            Self::IsoDayOfWeek => (day + 3).rem_euclid(7) + 1,
            Self::DayOfYear => day - first_of_year(year) + 1,
            Self::Hour => of_day / 3_600_000_000,
            Self::Minute => of_day / 60_000_000 % 60,
            Self::Second => of_day / 1_000_000 % 60,
            Self::Millisecond => of_day / 1_000 % 1_000,
            Self::Microsecond => of_day % 1_000_000,
            Self::Epoch => instant.micros().div_euclid(1_000_000),
        }
    }
}

/// The Thursday of the week that starts on Monday: the week belongs to its year.
fn iso_thursday(day: i64) -> i64 {
    day - (day + 3).rem_euclid(7) + 3
}

fn iso_year(day: i64) -> i64 {
    civil_from_days(iso_thursday(day)).0
}

fn first_of_year(year: i64) -> i64 {
    days_from_civil(year, 1, 1)
}

fn date_part(nodes: &[Node]) -> Result<Built, Refusal> {
    let part = literal_text(nodes, 0).and_then(Part::parse);
    let part = part.ok_or_else(|| {
        refusal(0, &format!("a part of a time: {}", listed(Part::ALL.map(|(_, name)| name))))
    })?;
    let zone = zone(nodes, 2)?;
    Ok(Built::new(move |args| {
        let instant = args.instant(1)?;
        int(part.of(instant.local_micros(&zone), instant))
    }))
}

fn date_trunc(nodes: &[Node]) -> Result<Built, Refusal> {
    let unit = unit(nodes)?;
    let zone = zone(nodes, 2)?;
    Ok(Built::new(move |args| {
        let local = args.instant(1)?.local_micros(&zone);
        let start = truncated(unit, local).and_then(|start| Instant::from_local_micros(start, &zone));
        start.map(|start| Some(Value::Timestamp(start))).ok_or(Failed)
    }))
}

/// The start of the unit in which a local time lies.
fn truncated(unit: Unit, local: i64) -> Option<i64> {
    let day = local.div_euclid(DAY);
    match (unit, unit.micros(), unit.months()) {
        (Unit::Week, _, _) => Some((iso_thursday(day) - 3) * DAY),
        (_, Some(micros), _) => Some(local - local.rem_euclid(micros)),
        (_, None, Some(count)) => {
            let months = months_of(day);
            Some(month_start(months - months.rem_euclid(count))? * DAY)
        }
        (_, None, None) => None,
    }
}

fn passed(unit: Unit, earlier: Instant, later: Instant) -> i64 {
    let difference = later.micros() - earlier.micros();
    match (unit.micros(), unit.months()) {
        (Some(micros), _) => difference / micros,
        (None, months) => {
            let (first, last) = if difference >= 0 { (earlier, later) } else { (later, earlier) };
            let of_month = |instant: Instant| {
                let day = instant.micros().div_euclid(DAY);
                (months_of(day), instant.micros() - month_start(months_of(day)).unwrap_or(day) * DAY)
            };
            let ((first_month, first_rest), (last_month, last_rest)) = (of_month(first), of_month(last));
            let whole = last_month - first_month - i64::from(last_rest < first_rest);
            whole / months.unwrap_or(1) * difference.signum()
        }
    }
}

fn epoch(args: &Args<'_>, unit: i64) -> Outcome {
    int(args.instant(0)?.micros().div_euclid(unit))
}

fn make_date(args: &Args<'_>) -> Outcome {
    let (year, month, date) = (args.int(0)?, args.int(1)?, args.int(2)?);
    let in_range = (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&date);
    let day = if in_range { days_from_civil(year, month, date) } else { return Err(Failed) };
    // A day past the end of its month has become one of the next.
    if civil_from_days(day).2 != date as u32 {
        return Err(Failed);
    }
    i32::try_from(day).map(|day| Some(Value::Date(day))).map_err(|_| Failed)
}

fn unit(nodes: &[Node]) -> Result<Unit, Refusal> {
    let unit = literal_text(nodes, 0).and_then(Unit::parse);
    unit.ok_or_else(|| refusal(0, &format!("a unit of time: {}", listed(Unit::ALL.map(|(_, name)| name)))))
}

fn zone(nodes: &[Node], argument: usize) -> Result<Zone, Refusal> {
    if nodes.len() <= argument {
        return Ok(Zone::utc());
    }
    let zone = literal_text(nodes, argument).and_then(Zone::named);
    zone.ok_or_else(|| refusal(argument, "the IANA name of a time zone, such as 'Europe/Berlin'"))
}

fn literal_text(nodes: &[Node], argument: usize) -> Option<&str> {
    match nodes.get(argument)?.literal()? {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn refusal(argument: usize, expected: &str) -> Refusal {
    Refusal { argument, expected: expected.to_owned() }
}

fn listed<const N: usize>(names: [&str; N]) -> String {
    names.join(", ")
}
