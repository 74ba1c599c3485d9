//! Text. Positions and lengths count characters (Unicode scalar values), from 1.

use asof_model::Value;

use crate::function::{Args, Body, Failed, Function, Outcome, bool, count, entry, text};
use crate::limits::GROWN_TEXT_BYTES_MAX;

/// When a function that lengthens text is ERROR.
const TOO_LONG: &str = "the result has more than 1 MiB";

pub(crate) const ALL: &[&Function] = &[
    &entry(
        "||",
        &["(x string, y string, ...) -> string"],
        "The texts one after the other; null if one is null. Lists are joined too.",
        "the result has more than 64 MiB",
        &[("'a' || 'b' || 'c'", "abc"), ("'a' || null", "null")],
        Body::Plain(join),
    ),
    &entry(
        "concat",
        &["(x string, ...) -> string"],
        "The texts one after the other, nulls left out.",
        "the result has more than 64 MiB",
        &[("concat('a', null, 'b')", "ab")],
        Body::Nulls(join),
    ),
    &entry(
        "length",
        &["(x string) -> int64", "(x list) -> int64", "(x map) -> int64"],
        "How many characters the text has, or how many items the list or map.",
        "",
        &[("length('größe')", "5")],
        Body::Plain(length),
    )
    .also(&["char_length", "character_length", "len"]),
    &entry(
        "octet_length",
        &["(x string) -> int64", "(x bytes) -> int64"],
        "How many bytes it has (text in UTF-8).",
        "",
        &[("octet_length('größe')", "7")],
        Body::Plain(|args| match args.value(0)? {
            Value::Bytes(v) => count(v.len()),
            _ => count(args.text(0)?.len()),
        }),
    ),
    &entry("lower", &["(x string) -> string"], "In small letters, by Unicode.", "", &[("lower('ÄB')", "äb")], Body::Plain(|args| text(args.text(0)?.to_lowercase()))),
    &entry("upper", &["(x string) -> string"], "In capital letters, by Unicode.", "", &[("upper('äb')", "ÄB")], Body::Plain(|args| text(args.text(0)?.to_uppercase()))),
    &entry(
        "trim",
        TRIMS,
        "Without spaces at both ends, or without those characters. Also `trim(both 'x' from text)`.",
        "",
        &[("trim('  a ')", "a"), ("trim('xxaxx', 'x')", "a")],
        Body::Plain(|args| trimmed(args, true, true)),
    )
    .also(&["btrim"]),
    &entry("ltrim", TRIMS, "The same at the start.", "", &[("ltrim('  a')", "a")], Body::Plain(|args| trimmed(args, true, false))),
    &entry("rtrim", TRIMS, "The same at the end.", "", &[("rtrim('a!!', '!')", "a")], Body::Plain(|args| trimmed(args, false, true))),
    &entry(
        "substr",
        &["(x string, start int64) -> string", "(x string, start int64, count int64) -> string"],
        "The characters from that position on, and at most so many. Positions before 1 count as places without \
         characters. Also `substring(text from 2 for 3)`.",
        "the count is negative",
        &[("substr('abcdef', 3)", "cdef"), ("substr('abcdef', 2, 3)", "bcd"), ("substr('abc', 0, 2)", "a"), ("substr('abc', 1, -1)", "ERROR")],
        Body::Plain(substr),
    )
    .also(&["substring"]),
    &entry(
        "left",
        &["(x string, count int64) -> string"],
        "The first characters; with a negative count all but so many of the last.",
        "",
        &[("left('abcdef', 2)", "ab"), ("left('abcdef', -2)", "abcd")],
        Body::Plain(|args| {
            let whole = args.text(0)?;
            text(whole.chars().take(kept(whole, args.int(1)?)).collect::<String>())
        }),
    ),
    &entry(
        "right",
        &["(x string, count int64) -> string"],
        "The last characters; with a negative count all but so many of the first.",
        "",
        &[("right('abcdef', 2)", "ef"), ("right('abcdef', -2)", "cdef")],
        Body::Plain(|args| {
            let whole = args.text(0)?;
            let skipped = whole.chars().count() - kept(whole, args.int(1)?);
            text(whole.chars().skip(skipped).collect::<String>())
        }),
    ),
    &entry(
        "replace",
        &["(x string, old string, new string) -> string"],
        "The text with every occurrence replaced; as it is where `old` is empty.",
        TOO_LONG,
        &[("replace('a-b-c', '-', '+')", "a+b+c")],
        Body::Plain(replace),
    ),
    &entry("starts_with", &["(x string, part string) -> bool"], "Whether it begins so.", "", &[("starts_with('abc', 'ab')", "true")], Body::Plain(|args| bool(args.text(0)?.starts_with(args.text(1)?)))),
    &entry("ends_with", &["(x string, part string) -> bool"], "Whether it ends so.", "", &[("ends_with('abc', 'bc')", "true")], Body::Plain(|args| bool(args.text(0)?.ends_with(args.text(1)?)))),
    &entry("contains", &["(x string, part string) -> bool"], "Whether it has that part.", "", &[("contains('abc', 'b')", "true")], Body::Plain(|args| bool(args.text(0)?.contains(args.text(1)?)))),
    &entry(
        "strpos",
        &["(x string, part string) -> int64"],
        "The position of the first occurrence; 0 where there is none. Also `position('b' in text)`.",
        "",
        &[("strpos('abcb', 'b')", "2"), ("strpos('abc', 'x')", "0")],
        Body::Plain(|args| {
            let whole = args.text(0)?;
            let before = whole.find(args.text(1)?).and_then(|at| whole.get(..at));
            count(before.map_or(0, |before| before.chars().count() + 1))
        }),
    )
    .also(&["position", "instr"]),
    &entry(
        "split_part",
        &["(x string, separator string, place int64) -> string"],
        "That part between separators, from 1; from the end where negative. Empty where there is none.",
        "the place is 0",
        &[("split_part('a.b.c', '.', 2)", "b"), ("split_part('a.b.c', '.', -1)", "c"), ("split_part('a', '.', 0)", "ERROR")],
        Body::Plain(split_part),
    ),
    &entry(
        "lpad",
        PADS,
        "Brought to that many characters with spaces, or with that text over and over, at the start; cut at the end where \
         it is longer.",
        TOO_LONG,
        &[("lpad('7', 3, '0')", "007"), ("lpad('abcd', 2)", "ab")],
        Body::Plain(|args| padded(args, true)),
    ),
    &entry("rpad", PADS, "The same at the end.", TOO_LONG, &[("rpad('a', 3, '.')", "a..")], Body::Plain(|args| padded(args, false))),
    &entry(
        "repeat",
        &["(x string, count int64) -> string"],
        "The text so many times; empty where the count is not positive.",
        TOO_LONG,
        &[("repeat('ab', 3)", "ababab"), ("repeat('a', 9000000)", "ERROR")],
        Body::Plain(|args| {
            let (part, times) = (args.text(0)?, usize::try_from(args.int(1)?.max(0)).map_err(|_| Failed)?);
            let fits = part.len().checked_mul(times).is_some_and(|bytes| bytes <= GROWN_TEXT_BYTES_MAX);
            if fits { text(part.repeat(times)) } else { Err(Failed) }
        }),
    ),
    &entry("reverse", &["(x string) -> string"], "The characters from the last to the first.", "", &[("reverse('abc')", "cba")], Body::Plain(|args| text(args.text(0)?.chars().rev().collect::<String>()))),
];

const TRIMS: &[&str] = &["(x string) -> string", "(x string, characters string) -> string"];
const PADS: &[&str] =
    &["(x string, length int64) -> string", "(x string, length int64, fill string) -> string"];

fn join(args: &Args<'_>) -> Outcome {
    let mut whole = String::new();
    for at in (0..args.len()).filter(|at| args.get(*at).is_some()) {
        whole.push_str(args.text(at)?);
    }
    if whole.len() > asof_model::entry::VALUE_BYTES_MAX { Err(Failed) } else { text(whole) }
}

fn length(args: &Args<'_>) -> Outcome {
    match args.value(0)? {
        Value::String(v) => count(v.chars().count()),
        Value::List(v) => count(v.len()),
        Value::Map(v) => count(v.len()),
        _ => Err(Failed),
    }
}

fn trimmed(args: &Args<'_>, start: bool, end: bool) -> Outcome {
    let mut rest = args.text(0)?;
    let characters = if args.len() > 1 { args.text(1)? } else { " " };
    if start {
        rest = rest.trim_start_matches(|c| characters.contains(c));
    }
    if end {
        rest = rest.trim_end_matches(|c| characters.contains(c));
    }
    text(rest)
}

fn substr(args: &Args<'_>) -> Outcome {
    let whole = args.text(0)?;
    // Positions from 0; the end saturates, so that no count overflows.
    let start = args.int(1)?.saturating_sub(1);
    let end = match args.len() {
        3 => {
            let length = args.int(2)?;
            if length < 0 {
                return Err(Failed);
            }
            start.saturating_add(length)
        }
        _ => i64::MAX,
    };
    let place = |at: i64| usize::try_from(at.max(0)).unwrap_or(usize::MAX);
    let (start, end) = (place(start), place(end));
    text(whole.chars().skip(start).take(end.saturating_sub(start)).collect::<String>())
}

/// How many characters `left` and `right` keep.
fn kept(whole: &str, wanted: i64) -> usize {
    let all = whole.chars().count();
    let magnitude = usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX);
    if wanted >= 0 { magnitude.min(all) } else { all.saturating_sub(magnitude) }
}

fn replace(args: &Args<'_>) -> Outcome {
    let (whole, old, new) = (args.text(0)?, args.text(1)?, args.text(2)?);
    if old.is_empty() {
        return text(whole);
    }
    let found = whole.matches(old).count();
    let bytes = (whole.len() - found * old.len()).saturating_add(found.saturating_mul(new.len()));
    if bytes > GROWN_TEXT_BYTES_MAX.max(whole.len()) { Err(Failed) } else { text(whole.replace(old, new)) }
}

fn split_part(args: &Args<'_>) -> Outcome {
    let (whole, separator, place) = (args.text(0)?, args.text(1)?, args.int(2)?);
    let index = usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX);
    let part = match place {
        0 => return Err(Failed),
        1 | -1 if separator.is_empty() => Some(whole),
        _ if separator.is_empty() => None,
        1.. => whole.split(separator).nth(index - 1),
        _ => {
            let parts: Vec<&str> = whole.split(separator).collect();
            parts.len().checked_sub(index).and_then(|at| parts.get(at).copied())
        }
    };
    text(part.unwrap_or_default())
}

fn padded(args: &Args<'_>, at_start: bool) -> Outcome {
    let (whole, fill) = (args.text(0)?, if args.len() > 2 { args.text(2)? } else { " " });
    let wanted = usize::try_from(args.int(1)?.max(0)).map_err(|_| Failed)?;
    let length = whole.chars().count();
    if length >= wanted {
        return text(whole.chars().take(wanted).collect::<String>());
    }
    let missing = wanted - length;
    if fill.is_empty() {
        return text(whole);
    }
    if missing > GROWN_TEXT_BYTES_MAX {
        return Err(Failed);
    }
    let padding: String = fill.chars().cycle().take(missing).collect();
    if whole.len() + padding.len() > GROWN_TEXT_BYTES_MAX.max(whole.len()) {
        return Err(Failed);
    }
    text(if at_start { padding + whole } else { whole.to_owned() + &padding })
}
