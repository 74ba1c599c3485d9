//! The parts of a URL.

use std::time::Duration;

use super::SettingsError;

/// A part that can't be understood.
pub(super) fn part(problem: impl Into<String>) -> SettingsError {
    SettingsError::Part { problem: problem.into() }
}

/// A host and its port, or the given one.
pub(super) fn host_and_port(text: &str, port: u16) -> Result<(String, u16), SettingsError> {
    let (host, given) = match text.strip_prefix('[') {
        // An IPv6 address.
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or_else(|| part("a `[` without its `]`"))?;
            (host, behind.strip_prefix(':'))
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(part("no host"));
    }
    let port = match given {
        None => port,
        Some(given) => given.parse().map_err(|_| part("no number as its port"))?,
    };
    Ok((decode(host)?, port))
}

/// Undoes percent-encoding.
pub(super) fn decode(text: &str) -> Result<String, SettingsError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| part("a `%` without two hexadecimal digits"))?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| part("a part that is not UTF-8"))
}

/// A number.
pub(super) fn number<N: std::str::FromStr>(name: &str, value: &str) -> Result<N, SettingsError> {
    value.parse().map_err(|_| part(format!("no number as `{name}`")))
}

/// A duration such as `250ms`, `2s` or `1m`, longer than nothing and at most a day.
pub(super) fn duration(name: &str, value: &str) -> Result<Duration, SettingsError> {
    let bad = || part(format!("no duration such as `250ms` or `2s` as `{name}`"));
    let digits = value.find(|each: char| !each.is_ascii_digit()).unwrap_or(value.len());
    let (count, unit) = value.split_at(digits);
    let count: u64 = count.parse().map_err(|_| bad())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(bad()),
    };
    let millis =
        count.checked_mul(millis).filter(|millis| (1..=86_400_000).contains(millis)).ok_or_else(bad)?;
    Ok(Duration::from_millis(millis))
}
