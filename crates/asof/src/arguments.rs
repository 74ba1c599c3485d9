//! What several commands take, and how it is read. What cannot be read is wrong usage.

use asof_model::{Duration, Instant, TimeUnit, Zone};
use asof_store::request::Wanted;
use clap::{Args, ValueEnum};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    #[value(alias = "table")]
    Text,
    /// For programs
    Json,
}

/// The option `--format`.
#[derive(Debug, Args)]
pub(crate) struct FormatOption {
    /// How the answer is written
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// What is asked for: a service, or features.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WantedOptions {
    /// The features of this service
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Features, as `view:feature`, `view@2:feature` or `view:*`, with commas between them
    #[arg(long, value_delimiter = ',', value_name = "VIEW:FEATURE")]
    features: Vec<String>,
}

impl WantedOptions {
    /// As a request says it.
    pub(crate) fn wanted(&self) -> Wanted {
        match &self.service {
            Some(service) => Wanted::Service(service.clone()),
            None => Wanted::Features(self.features.iter().map(|each| each.trim().to_owned()).collect()),
        }
    }
}

/// Reads an instant; one without offset is UTC.
pub(crate) fn instant(text: &str) -> Result<Instant, String> {
    Instant::parse(text, &Zone::utc())
        .ok_or_else(|| "not an instant, such as `2026-01-31T12:00:00Z`".to_owned())
}

/// Reads a duration.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    Duration::parse(text).ok_or_else(|| "not a duration, such as `7d` or `12h`".to_owned())
}

/// Reads the name of a time zone.
pub(crate) fn zone(text: &str) -> Result<Zone, String> {
    Zone::named(text).ok_or_else(|| "not a time zone, such as `Europe/London`".to_owned())
}

/// Reads a unit of integer times.
pub(crate) fn unit(text: &str) -> Result<TimeUnit, String> {
    TimeUnit::parse(text).ok_or_else(|| "not a unit: one of `s`, `ms`, `us`, `ns`".to_owned())
}

/// Reads a size.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    asof_model::settings::parse_size(text).ok_or_else(|| "not a size, such as `4GB` or `512MB`".to_owned())
}

/// Reads a count: `250000`, `250k`, `25M`, `1B`.
pub(crate) fn quantity(text: &str) -> Result<u64, String> {
    let units = [("k", 1_000), ("M", 1_000_000), ("B", 1_000_000_000), ("", 1)];
    let read = |(unit, each): (&str, u64)| {
        text.trim().strip_suffix(unit)?.replace('_', "").parse::<u64>().ok()?.checked_mul(each)
    };
    units
        .into_iter()
        .find_map(read)
        .ok_or_else(|| "not a count, such as `250000`, `250k`, `25M` or `1B`".to_owned())
}

/// Reads `name=value`. The value may be empty, and may hold further `=`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("not of the form `name=value`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: counts may be written short.
    #[test]
    fn quantities() {
        for (text, right) in
            [("7", 7), ("1_000", 1_000), ("25M", 25_000_000), ("250k", 250_000), ("1B", 1_000_000_000)]
        {
            assert_eq!(quantity(text), Ok(right));
        }
        for wrong in ["", "M", "1.5M", "-1", "99999999999B"] {
            assert!(quantity(wrong).is_err(), "{wrong}");
        }
    }

    /// Goal: a value may hold anything, a name something.
    #[test]
    fn pairs() {
        assert_eq!(pair("a=1"), Ok(("a".into(), "1".into())));
        assert_eq!(pair("a="), Ok(("a".into(), String::new())));
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("a").is_err());
        assert!(pair("=1").is_err());
    }
}
