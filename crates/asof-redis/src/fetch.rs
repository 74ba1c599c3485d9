//! Getting values: one round trip to each node, in one `MGET` for each bucket, or a single one where keys of several slots
//! may stand together. With the values of a bucket comes its mark, read before them.

use std::collections::BTreeSet;

use asof_online::OnlineError;
use redis::{Cmd, Value};

use crate::keys::{BUCKETS, Name};
use crate::link::{Lane, Request};
use crate::store::Inner;
use crate::writer::Writer;

/// The most keys in one command: the server does nothing else meanwhile.
const COMMAND_KEYS_MAX: usize = 512;
/// How many times a server may be found behind while the same is asked.
const ASKED_MAX: usize = 5;

/// What was asked for, and how it is gone about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Current,
    /// Kept aside while a unit is being written.
    Previous,
}

/// Values, or the buckets that lack calls.
pub(crate) enum Fetched {
    Values(Vec<Option<Vec<u8>>>),
    Behind(Vec<usize>),
}

/// Where an answer belongs.
#[derive(Clone, Copy)]
enum Place {
    Mark(usize),
    Value(usize),
}

impl Inner {
    /// The values of names, in their order, from servers that hold at least the calls up to `marks`.
    pub(crate) async fn fetch(
        &self,
        lane: Lane,
        marks: &[u64],
        names: &[Name],
        which: Which,
        replica: bool,
    ) -> Result<Fetched, OnlineError> {
        let key = |name: &Name| match which {
            Which::Current => self.keys.value(name),
            Which::Previous => self.keys.previous(name),
        };
        let mut order: Vec<(usize, usize)> =
            names.iter().enumerate().map(|(at, name)| (name.bucket(), at)).collect();
        order.sort_unstable();
        let (mut requests, mut places): (Vec<Request>, Vec<Vec<Place>>) = (Vec::new(), Vec::new());
        let mut last = None;
        for (bucket, at) in order {
            let whole = places.last().is_none_or(|places| places.len() >= COMMAND_KEYS_MAX);
            let begins = whole || (last != Some(bucket) && !self.link.joins_slots());
            if begins {
                let command = redis::cmd("MGET");
                requests.push(Request { slot: self.keys.slot(bucket), command, replica });
                places.push(Vec::new());
            }
            let (Some(request), Some(places)) = (requests.last_mut(), places.last_mut()) else { continue };
            if begins || last != Some(bucket) {
                request.command.arg(self.keys.of(bucket, "mark"));
                places.push(Place::Mark(bucket));
            }
            last = Some(bucket);
            let name = &names[at];
            request.command.arg(key(name));
            places.push(Place::Value(at));
        }
        let answers = self.link.send(lane, requests).await?;
        let mut values: Vec<Option<Vec<u8>>> = vec![None; names.len()];
        let mut behind = Vec::new();
        for (answer, places) in answers.into_iter().zip(places) {
            let Value::Array(parts) = answer else {
                return Err(OnlineError::Damaged { what: "answer", problem: "it is no list" });
            };
            for (part, place) in parts.into_iter().zip(places) {
                match (place, part) {
                    (Place::Mark(bucket), mark) => {
                        if mark_of(&mark)? < marks.get(bucket).copied().unwrap_or_default() {
                            behind.push(bucket);
                        }
                    }
                    (Place::Value(at), Value::BulkString(value)) => values[at] = Some(value),
                    (Place::Value(_), _) => {}
                }
            }
        }
        match behind.is_empty() {
            true => Ok(Fetched::Values(values)),
            false => Ok(Fetched::Behind(behind)),
        }
    }

    /// The values of names as they are.
    pub(crate) async fn values(&self, names: &[Name]) -> Result<Vec<Option<Vec<u8>>>, OnlineError> {
        match self.fetch(Lane::Write, &[0; BUCKETS], names, Which::Current, false).await? {
            Fetched::Values(values) => Ok(values),
            Fetched::Behind(_) => Err(OnlineError::Damaged { what: "mark", problem: "it is no number" }),
        }
    }

    /// Asks buckets, and answers in the order asked, from servers that hold every acknowledged call. The mark is read behind
    /// the answers: what was asked again elsewhere, after a failover, is not from before it.
    pub(crate) async fn asked(
        &self,
        writer: &mut Writer,
        commands: Vec<(usize, Cmd)>,
    ) -> Result<Vec<Value>, OnlineError> {
        let buckets: BTreeSet<usize> = commands.iter().map(|(bucket, _)| *bucket).collect();
        let count = commands.len();
        let mark = |bucket: &usize| {
            let mut command = redis::cmd("GET");
            command.arg(self.keys.of(*bucket, "mark"));
            (*bucket, command)
        };
        let all: Vec<(usize, Cmd)> = commands.into_iter().chain(buckets.iter().map(mark)).collect();
        for _ in 0..ASKED_MAX {
            let request =
                |(bucket, command): &(usize, Cmd)| Request::new(self.keys.slot(*bucket), command.clone());
            let mut answers = self.link.send(Lane::Write, all.iter().map(request).collect()).await?;
            let marks = answers.split_off(count);
            let mut whole = true;
            for (bucket, mark) in buckets.iter().zip(&marks) {
                if mark_of(mark)? < writer.marks[*bucket] {
                    whole = false;
                    self.heal(writer, *bucket).await?;
                }
            }
            if whole {
                return Ok(answers);
            }
        }
        Err(OnlineError::Damaged { what: "mark", problem: "its server stays behind" })
    }

    /// The beginnings of values, up to so many bytes, and their lengths. `None`: nothing stands there.
    pub(crate) async fn beginnings(
        &self,
        writer: &mut Writer,
        names: &[Name],
        bytes: usize,
    ) -> Result<Vec<Option<Stored>>, OnlineError> {
        let mut commands = Vec::with_capacity(2 * names.len());
        for name in names {
            let (bucket, key) = (name.bucket(), self.keys.value(name));
            let mut begin = redis::cmd("GETRANGE");
            begin.arg(&key[..]).arg(0).arg(bytes - 1);
            let mut length = redis::cmd("STRLEN");
            length.arg(&key[..]);
            commands.extend([(bucket, begin), (bucket, length)]);
        }
        let answers = self.asked(writer, commands).await?;
        let stored = |pair: &[Value]| match pair {
            [Value::BulkString(begin), Value::Int(bytes)] if !begin.is_empty() => {
                Some(Stored { begin: begin.clone(), bytes: usize::try_from(*bytes).unwrap_or_default() })
            }
            _ => None,
        };
        Ok(answers.chunks(2).map(stored).collect())
    }
}

/// How a value begins, and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) begin: Vec<u8>,
    pub(crate) bytes: usize,
}

fn mark_of(value: &Value) -> Result<u64, OnlineError> {
    let text = match value {
        Value::Nil => return Ok(0),
        Value::BulkString(text) => std::str::from_utf8(text).ok(),
        _ => None,
    };
    text.and_then(|text| text.parse().ok())
        .ok_or(OnlineError::Damaged { what: "mark", problem: "it is no number" })
}
