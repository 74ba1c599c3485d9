//! Reads what a feature aggregates, and over which window.

use super::collector::{Collector, Object};
use super::keys::{Fields, KnownKeys};
use super::node::{Content, Entry, quoted};
use crate::aggregation::Aggregation;
use crate::time::Duration;
use crate::window::{Edge, Span, Window};

/// The keys of a feature that say something of an aggregate.
pub(super) const AGGREGATE_KEYS: [&str; 10] =
    ["aggregate", "over", "rows", "session", "tumbling", "offset", "complete", "where", "by", "resolution"];

/// The keys that say over which events.
const SPANS: [&str; 4] = ["over", "rows", "session", "tumbling"];

pub(super) const SESSION_KEYS: KnownKeys = KnownKeys { read: &["gap", "max"] };

/// What a view says of all its windows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shared {
    pub edge: Edge,
    pub delay: Option<Duration>,
    pub resolution: Option<Duration>,
}

/// Reads what a feature aggregates. `None`: it carries values; also, with a problem, where it can't be read.
pub(super) fn read(
    object: &Object,
    subject: &str,
    entry: &Entry,
    fields: &Fields<'_>,
    shared: Shared,
    out: &mut Collector,
) -> Option<Aggregation> {
    let Some((call, _)) = fields.filled_text("aggregate", out) else {
        if fields.entry("aggregate").is_none() {
            for key in AGGREGATE_KEYS.iter().chain(&["delay"]) {
                if let Some(entry) = fields.entry(key) {
                    let hint = Some("name the function: `aggregate: sum(amount)`".to_owned());
                    out.problem(
                        entry.key.at,
                        format!("`{key}` says over what {subject} aggregates nothing"),
                        hint,
                    );
                    break;
                }
            }
        }
        return None;
    };
    let span = span(object, subject, entry, fields, shared, out)?;
    let delay = fields.duration("delay", true, out).or(shared.delay).unwrap_or(Duration::ZERO);
    let window = Window { span, edge: shared.edge, delay };
    if let Err(error) = window.check() {
        out.problem(entry.key.at, format!("{subject}: {error}"), None);
        return None;
    }
    let words = |text: Option<(&str, _)>| text.map(|(text, _)| text.to_owned());
    let filter = words(fields.filled_text("where", out));
    let by = words(fields.filled_text("by", out));
    Some(Aggregation { call: call.to_owned(), window, filter, by, meaning: None })
}

fn span(
    object: &Object,
    subject: &str,
    entry: &Entry,
    fields: &Fields<'_>,
    shared: Shared,
    out: &mut Collector,
) -> Option<Span> {
    let named: Vec<&str> = SPANS.into_iter().filter(|key| fields.entry(key).is_some()).collect();
    let example =
        "`over: 30d`, `over: lifetime`, `rows: 10`, `tumbling: 1d`, or `session: { gap: 30m, max: 1d }`";
    let [name] = named[..] else {
        let message = match named[..] {
            [] => format!("{subject} does not say over which events it aggregates"),
            [one, other, ..] => format!("{subject} has both `{one}` and `{other}`"),
            [_] => return None,
        };
        out.problem(entry.key.at, message, Some(format!("write one of {example}")));
        return None;
    };
    let own = |key: &str, of: &[&str], out: &mut Collector| {
        if let Some(entry) = fields.entry(key).filter(|_| !of.contains(&name)) {
            let message = format!("`{key}` says nothing of a window with `{name}`");
            out.problem(entry.key.at, message, Some(format!("leave out `{key}`")));
        }
    };
    own("resolution", &["over", "tumbling"], out);
    own("offset", &["tumbling"], out);
    own("complete", &["tumbling"], out);
    let resolution = fields.duration("resolution", false, out).or(shared.resolution);
    match name {
        "over" => match fields.text("over", out)? {
            ("lifetime", _) => Some(Span::Lifetime),
            _ => Some(Span::Sliding { length: fields.duration("over", false, out)?, resolution }),
        },
        "rows" => {
            let (text, at) = fields.text("rows", out)?;
            let rows = text.parse::<u32>().ok().filter(|rows| *rows > 0);
            if rows.is_none() {
                let message = format!("`rows` is a whole number from 1 on, and {} is not", quoted(text));
                out.problem(at, message, None);
            }
            rows.map(Span::LastRows)
        }
        "session" => {
            let entry = fields.entry("session")?;
            let inner = Fields::open(object, "`session`", "session", entry, &SESSION_KEYS, out)?;
            for key in ["gap", "max"] {
                if inner.entry(key).is_none() {
                    let hint = Some("write `session: { gap: 30m, max: 1d }`".to_owned());
                    out.problem(entry.key.at, format!("a session has no `{key}`"), hint);
                }
            }
            let (gap, max) = (inner.duration("gap", false, out), inner.duration("max", false, out));
            Some(Span::Session { gap: gap?, max: max? })
        }
        _ => tumbling(object, fields, resolution, out),
    }
}

fn tumbling(
    object: &Object,
    fields: &Fields<'_>,
    resolution: Option<Duration>,
    out: &mut Collector,
) -> Option<Span> {
    let entry = fields.entry("tumbling")?;
    if let Content::Map(_) = entry.value.content() {
        let hint = "write `tumbling: 1d`, and beside it `offset: 6h` or `complete: true`".to_owned();
        let message = format!("the `tumbling` of {object} is the length of a bucket, and this is a mapping");
        out.problem(entry.key.at, message, Some(hint));
        return None;
    }
    let offset = fields.duration("offset", true, out).unwrap_or(Duration::ZERO);
    let complete = fields.flag("complete", out);
    let length = fields.duration("tumbling", false, out)?;
    for (what, of) in [("length", length), ("offset", offset)] {
        if let Some(resolution) = resolution.filter(|each| of.micros() % each.micros() != 0) {
            let message =
                format!("the {what} of a bucket ({of}) is no multiple of `resolution` ({resolution})");
            out.problem(entry.key.at, message, None);
        }
    }
    Some(Span::Tumbling { length, offset, complete })
}
