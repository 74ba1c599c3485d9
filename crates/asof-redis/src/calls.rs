//! Calls of the scripts, as they are sent and, after a failover, sent again.

use std::collections::VecDeque;
use std::sync::Arc;

use redis::{Cmd, Script, Value};

use crate::keys::{BUCKETS, Keys, Name};

/// The most changes and bytes in one call: the server does nothing else meanwhile.
const CALL_CHANGES_MAX: usize = 256;
const CALL_BYTES_MAX: usize = 1 << 20;
/// What a kept call takes beside its bytes.
const CALL_OVERHEAD_BYTES: usize = 128;
/// The title of calls that belong to no unit: what they do stands by itself.
pub(crate) const NO_UNIT: &str = "0 0";

/// What a change does; see [`crate::scripts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letter {
    Version,
    Nothing,
    First,
    Append,
    Rewrite,
    Delete,
    Undo,
}

impl Letter {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Version => "V",
            Self::Nothing => "T",
            Self::First => "S",
            Self::Append => "A",
            Self::Rewrite => "R",
            Self::Delete => "D",
            Self::Undo => "U",
        }
    }
}

/// One conditional change.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) letter: Letter,
    pub(crate) name: Name,
    /// How what stands there begins; empty: nothing does.
    pub(crate) expected: Vec<u8>,
    /// How long it is; `None`: that does not matter.
    pub(crate) length: Option<usize>,
    pub(crate) payload: Vec<u8>,
    /// Milliseconds until the server may drop it; 0: it stays.
    pub(crate) live_millis: u64,
}

/// A numbered call to a bucket, or to the journal at [`BUCKETS`].
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) bucket: usize,
    pub(crate) number: u64,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

/// A command to the journal: its name, its key, its other arguments.
pub(crate) type Command = (&'static str, String, Vec<Vec<u8>>);

impl Call {
    /// Calls that make changes of one bucket, numbered behind `mark`. `title`: the number and stamp of the unit, or
    /// [`NO_UNIT`].
    pub(crate) fn changes(
        keys: &Keys,
        bucket: usize,
        mark: u64,
        title: &str,
        changes: &[Change],
    ) -> Vec<Self> {
        let mut calls: Vec<Self> = Vec::new();
        let (mut count, mut bytes) = (0, 0);
        for change in changes {
            let size = change.payload.len() + change.name.member.len();
            if calls.is_empty() || count >= CALL_CHANGES_MAX || bytes + size > CALL_BYTES_MAX {
                calls.push(Self {
                    bucket,
                    number: mark + 1 + calls.len() as u64,
                    keys: ["mark", "fence", "undo"].map(|what| keys.of(bucket, what)).into(),
                    args: vec![title.as_bytes().to_vec()],
                });
                (count, bytes) = (0, 0);
            }
            (count, bytes) = (count + 1, bytes + size);
            let Some(call) = calls.last_mut() else { continue };
            let name = &change.name;
            call.keys.extend([
                keys.value(name),
                keys.previous(name),
                keys.index(name.space, name.view, bucket),
            ]);
            call.args.extend([
                change.letter.text().into(),
                change.expected.clone(),
                change.length.map_or(-1, |length| length as i64).to_string().into_bytes(),
                change.payload.clone(),
                change.live_millis.to_string().into_bytes(),
                name.member.clone(),
            ]);
        }
        calls
    }

    /// A call that makes changes of the journal as a whole.
    pub(crate) fn journal(keys: &Keys, number: u64, commands: Vec<Command>) -> Self {
        let mut call = Self {
            bucket: BUCKETS,
            number,
            keys: ["mark", "fence"].map(|what| keys.of(BUCKETS, what)).into(),
            args: Vec::new(),
        };
        for (name, key, args) in commands {
            let key = keys.of(BUCKETS, &key);
            let place = call.keys.iter().position(|known| *known == key).unwrap_or_else(|| {
                call.keys.push(key);
                call.keys.len() - 1
            });
            call.args.push(name.into());
            call.args.push((place + 1).to_string().into_bytes());
            call.args.push(args.len().to_string().into_bytes());
            call.args.extend(args);
        }
        call
    }

    /// The command that sends it.
    pub(crate) fn command(&self, script: &Script, epoch: u64) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.get_hash()).arg(self.keys.len());
        for key in &self.keys {
            command.arg(&key[..]);
        }
        command.arg(epoch).arg(self.number);
        for arg in &self.args {
            command.arg(&arg[..]);
        }
        command
    }

    fn bytes(&self) -> usize {
        CALL_OVERHEAD_BYTES + self.keys.iter().chain(&self.args).map(Vec::len).sum::<usize>()
    }
}

/// What a script answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Done,
    Behind {
        mark: u64,
    },
    Fenced {
        epoch: u64,
    },
    Conflict,
    Held {
        holder: String,
        left_millis: i64,
    },
    /// The number, and the text behind it.
    Kept {
        number: u64,
        text: Option<Vec<u8>>,
    },
}

impl Reply {
    /// `None`: it is no answer of a script of ours.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let Value::Array(parts) = value else { return None };
        let [Value::BulkString(letter), rest @ ..] = &parts[..] else { return None };
        let number = match rest.first() {
            Some(Value::Int(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        Some(match (&letter[..], rest) {
            (b"K", [_]) | (b"D", _) => Self::Done,
            (b"K", [_, Value::BulkString(text)]) => Self::Kept { number: number?, text: Some(text.clone()) },
            (b"K", _) => Self::Kept { number: number?, text: None },
            (b"B", _) => Self::Behind { mark: number? },
            (b"F", _) => Self::Fenced { epoch: number? },
            (b"C", _) => Self::Conflict,
            (b"H", [Value::BulkString(holder), Value::Int(left_millis)]) => {
                Self::Held { holder: String::from_utf8_lossy(holder).into_owned(), left_millis: *left_millis }
            }
            _ => return None,
        })
    }
}

/// The calls of late, to be sent again to a server that lost them, oldest first.
#[derive(Debug)]
pub(crate) struct Redo {
    calls: VecDeque<Arc<Call>>,
    bytes: usize,
    bytes_max: usize,
}

impl Redo {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { calls: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Keeps a call, and lets the oldest go where that is too much.
    pub(crate) fn push(&mut self, call: Arc<Call>) {
        self.bytes += call.bytes();
        self.calls.push_back(call);
        while self.bytes > self.bytes_max {
            let Some(gone) = self.calls.pop_front() else { break };
            self.bytes -= gone.bytes();
        }
    }

    /// The calls to a bucket behind a mark, up to another. `None`: not all of them are kept.
    pub(crate) fn behind(&self, bucket: usize, mark: u64, upto: u64) -> Option<Vec<Arc<Call>>> {
        let of = |call: &&Arc<Call>| call.bucket == bucket && call.number > mark && call.number <= upto;
        let calls: Vec<Arc<Call>> = self.calls.iter().filter(of).cloned().collect();
        let whole = calls.iter().zip(mark + 1..).all(|(call, number)| call.number == number);
        (whole && calls.len() as u64 == upto.saturating_sub(mark)).then_some(calls)
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.calls.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use asof_online::ViewHandle;

    use super::*;

    fn call(bucket: usize, number: u64, payload: usize) -> Arc<Call> {
        Arc::new(Call { bucket, number, keys: Vec::new(), args: vec![vec![0; payload]] })
    }

    /// Goal: all calls behind a mark are found, in order, or it is said that some are missing.
    #[test]
    fn redo() {
        let mut redo = Redo::new(10 * CALL_OVERHEAD_BYTES);
        for number in 1..=5 {
            redo.push(call(1, number, 0));
            redo.push(call(2, number, 0));
        }
        let numbers = |redo: &Redo, mark, upto| {
            redo.behind(1, mark, upto).map(|calls| calls.iter().map(|call| call.number).collect::<Vec<_>>())
        };
        assert_eq!(numbers(&redo, 2, 4), Some(vec![3, 4]));
        assert_eq!(numbers(&redo, 5, 5), Some(vec![]));
        assert_eq!(numbers(&redo, 5, 6), None, "6 was never sent");
        redo.push(call(2, 6, 0));
        assert_eq!((numbers(&redo, 0, 5), numbers(&redo, 1, 5)), (None, Some(vec![2, 3, 4, 5])));
        redo.push(call(3, 1, 20 * CALL_OVERHEAD_BYTES));
        assert_eq!((numbers(&redo, 4, 5), redo.bytes), (None, 0));
    }

    /// Goal: changes are cut into calls of bounded size, numbered one behind the other.
    #[test]
    fn calls_are_bounded() {
        let keys = Keys::new("p");
        let name = Name::row(ViewHandle::from_number(1), b"k");
        let change = |bytes: usize| Change {
            letter: Letter::Version,
            name: name.clone(),
            expected: Vec::new(),
            length: None,
            payload: vec![0; bytes],
            live_millis: 0,
        };
        let numbers = |changes: &[Change]| -> Vec<u64> {
            Call::changes(&keys, 3, 7, NO_UNIT, changes).iter().map(|call| call.number).collect()
        };
        assert_eq!(numbers(&vec![change(10); CALL_CHANGES_MAX + 1]), [8, 9]);
        assert_eq!(numbers(&[change(CALL_BYTES_MAX), change(CALL_BYTES_MAX), change(1)]), [8, 9, 10]);
        assert!(numbers(&[]).is_empty());
    }
}
