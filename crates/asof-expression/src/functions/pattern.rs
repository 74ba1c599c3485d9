//! Patterns: `like`, and regular expressions, which are compiled when the expression is read.

use asof_model::Value;
use regex::{Regex, RegexBuilder};

use crate::function::{Args, Body, Built, Failed, Function, Outcome, Refusal, bool, entry, text};
use crate::limits::{GROWN_TEXT_BYTES_MAX, PATTERN_BYTES_MAX};
use crate::node::Node;

const LIKE: &[&str] =
    &["(x string, pattern string) -> bool", "(x string, pattern string, escape literal string) -> bool"];

pub(crate) const ALL: &[&Function] = &[
    &entry(
        "like",
        LIKE,
        "Whether the whole text is of the pattern: `%` stands for any characters, `_` for one. A backslash, or the \
         character behind `escape`, takes the meaning from what follows it.",
        "the pattern ends with its escape character",
        &[("'credit' like 'cr%'", "true"), ("'a_b' like 'a\\_b'", "true"), ("'10%' like '10!%' escape '!'", "true")],
        Body::Plain(|args| liked(args, false)),
    ),
    &entry(
        "ilike",
        LIKE,
        "As `like`, letter case aside.",
        "the pattern ends with its escape character",
        &[("'Credit' ilike 'CR%'", "true")],
        Body::Plain(|args| liked(args, true)),
    ),
    &entry(
        "regexp_like",
        &["(x string, pattern literal string) -> bool"],
        "Whether the pattern matches somewhere. Patterns have the syntax of Rust's `regex`: no look-around, and time \
         linear in the text.",
        "",
        &[("regexp_like('order 66', '[0-9]+')", "true")],
        Body::Built(|nodes| {
            let pattern = compiled(nodes)?;
            Ok(Built::new(move |args| bool(pattern.is_match(args.text(0)?))))
        }),
    )
    .also(&["regexp_matches"]),
    &entry(
        "regexp_extract",
        &["(x string, pattern literal string) -> string", "(x string, pattern literal string, group literal int64) -> string"],
        "The first match, or that group of it. Null where there is none.",
        "",
        &[("regexp_extract('order 66', '[0-9]+')", "66"), ("regexp_extract('k=v', '(.)=(.)', 2)", "v"), ("regexp_extract('x', '[0-9]')", "null")],
        Body::Built(|nodes| {
            let pattern = compiled(nodes)?;
            let group = match nodes.get(2).and_then(Node::literal) {
                None => 0,
                Some(Some(Value::Int64(group))) if (0..pattern.captures_len() as i64).contains(group) => *group as usize,
                Some(_) => {
                    let expected = format!("a group of the pattern, which has {}", pattern.captures_len() - 1);
                    return Err(Refusal { argument: 2, expected });
                }
            };
            Ok(Built::new(move |args| {
                let found = pattern.captures(args.text(0)?).and_then(|captures| captures.get(group));
                Ok(found.map(|found| Value::String(found.as_str().to_owned())))
            }))
        }),
    ),
    &entry(
        "regexp_replace",
        &["(x string, pattern literal string, new literal string) -> string"],
        "The text with every match replaced. `$1` in the replacement is the first group, `$$` a dollar.",
        "the result has more than 1 MiB",
        &[("regexp_replace('a1b22', '[0-9]+', '#')", "a#b#"), ("regexp_replace('k=v', '(.)=(.)', '$2=$1')", "v=k")],
        Body::Built(|nodes| {
            let pattern = compiled(nodes)?;
            let new = literal_text(nodes, 2)?;
            Ok(Built::new(move |args| replaced(&pattern, args.text(0)?, &new)))
        }),
    ),
];

fn replaced(pattern: &Regex, whole: &str, new: &str) -> Outcome {
    let mut out = String::new();
    let mut end = 0;
    for captures in pattern.captures_iter(whole) {
        let Some(found) = captures.get(0) else { continue };
        out.push_str(&whole[end..found.start()]);
        captures.expand(new, &mut out);
        end = found.end();
        if out.len() > GROWN_TEXT_BYTES_MAX.max(whole.len()) {
            return Err(Failed);
        }
    }
    out.push_str(&whole[end..]);
    if out.len() > GROWN_TEXT_BYTES_MAX.max(whole.len()) { Err(Failed) } else { text(out) }
}

fn compiled(nodes: &[Node]) -> Result<Regex, Refusal> {
    let pattern = literal_text(nodes, 1)?;
    let refusal = |why: String| Refusal { argument: 1, expected: format!("a regular expression: {why}") };
    RegexBuilder::new(&pattern).size_limit(PATTERN_BYTES_MAX).build().map_err(|error| match error {
        // The last line says what is wrong; those before it draw the pattern.
        regex::Error::Syntax(text) => {
            refusal(text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
        }
        regex::Error::CompiledTooBig(_) => refusal("it is too large when compiled".to_owned()),
        other => refusal(other.to_string()),
    })
}

fn literal_text(nodes: &[Node], argument: usize) -> Result<String, Refusal> {
    match nodes.get(argument).and_then(Node::literal) {
        Some(Some(Value::String(text))) => Ok(text.clone()),
        _ => Err(Refusal { argument, expected: "a text".to_owned() }),
    }
}

fn liked(args: &Args<'_>, ignore_case: bool) -> Outcome {
    let escape = match args.len() {
        3 => {
            let mut characters = args.text(2)?.chars();
            match (characters.next(), characters.next()) {
                (escape, None) => escape,
                _ => return Err(Failed),
            }
        }
        _ => Some('\\'),
    };
    let (whole, pattern) = (args.text(0)?, args.text(1)?);
    if ignore_case {
        let parts = parts(&pattern.to_lowercase(), escape.and_then(|escape| escape.to_lowercase().next()))
            .ok_or(Failed)?;
        bool(matches(&whole.to_lowercase(), &parts))
    } else {
        bool(matches(whole, &parts(pattern, escape).ok_or(Failed)?))
    }
}

/// One place of a `like` pattern.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Exactly(char),
    One,
    Many,
}

fn parts(pattern: &str, escape: Option<char>) -> Option<Vec<Part>> {
    let mut parts = Vec::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        parts.push(match character {
            c if Some(c) == escape => Part::Exactly(characters.next()?),
            '%' => Part::Many,
            '_' => Part::One,
            c => Part::Exactly(c),
        });
    }
    Some(parts)
}

/// Greedy with one way back, to the last `%`: time is at most the product of both lengths, and the stack is flat.
fn matches(whole: &str, parts: &[Part]) -> bool {
    let characters: Vec<char> = whole.chars().collect();
    let (mut at, mut part) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < characters.len() {
        match parts.get(part) {
            Some(Part::Many) => {
                back = Some((at, part));
                part += 1;
            }
            Some(Part::One) => {
                at += 1;
                part += 1;
            }
            Some(Part::Exactly(c)) if *c == characters[at] => {
                at += 1;
                part += 1;
            }
            _ => match back {
                Some((from, many)) => {
                    back = Some((from + 1, many));
                    at = from + 1;
                    part = many + 1;
                }
                None => return false,
            },
        }
    }
    parts[part..].iter().all(|part| *part == Part::Many)
}
