//! From work that is going on to the lines that tell of it. The work never waits for whoever reads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use asof_model::Kind;
use asof_store::Progress;
use axum::body::Bytes;
use futures::Stream;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Event;
use super::told::Told;

/// Lines that wait to be read, at most: the beginnings and ends of pieces of work past it are not shown.
const LINES_WAITING_MAX: usize = 1024;

/// What one piece of work tells.
pub(super) struct Tape {
    lines: Mutex<VecDeque<Event>>,
    written: Notify,
    /// Nobody reads any more.
    left: AtomicBool,
    /// The server is told to stop.
    stopping: Arc<AtomicBool>,
}

/// The end that the work writes to. Work that ends without a last line has failed.
pub(super) struct Recorder {
    tape: Arc<Tape>,
    ended: bool,
}

/// A new tape: the end to write to, and the lines to read.
pub(super) fn tape(stopping: Arc<AtomicBool>) -> (Recorder, impl Stream<Item = std::io::Result<Bytes>>) {
    let tape = Arc::new(Tape {
        lines: Mutex::default(),
        written: Notify::new(),
        left: AtomicBool::new(false),
        stopping,
    });
    (Recorder { tape: tape.clone(), ended: false }, lines(Reader { tape, ended: false }))
}

impl Recorder {
    /// Writes the last line.
    pub fn end(mut self, event: Event) {
        self.ended = true;
        self.tape.write(event);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.ended {
            let told =
                Told::new(Kind::Corrupt, "the server failed at it", Some("look into the server's log"));
            self.tape.write(Event::Failed(vec![told]));
        }
    }
}

impl Tape {
    fn write(&self, event: Event) {
        let mut lines = self.lines.lock();
        if let Event::Advance { what, amount } = &event
            && let Some(waiting) = lines.iter_mut().rev().find_map(|line| line.advance_of(what))
        {
            *waiting += amount;
            return;
        }
        if event.is_last() || lines.len() < LINES_WAITING_MAX {
            lines.push_back(event);
        }
        drop(lines);
        self.written.notify_one();
    }
}

impl Event {
    fn is_last(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }

    /// The amount of an advance of `work`.
    fn advance_of(&mut self, work: &str) -> Option<&mut u64> {
        match self {
            Self::Advance { what, amount } if what == work => Some(amount),
            _ => None,
        }
    }
}

impl Progress for Recorder {
    fn begin(&self, what: &str, unit: &str, total: Option<u64>) {
        self.tape.write(Event::Begin { what: what.to_owned(), unit: unit.to_owned(), total });
    }

    fn advance(&self, what: &str, amount: u64) {
        self.tape.write(Event::Advance { what: what.to_owned(), amount });
    }

    fn finish(&self, what: &str, summary: &str) {
        self.tape.write(Event::Finish { what: what.to_owned(), summary: summary.to_owned() });
    }

    fn wanted(&self) -> bool {
        !self.tape.left.load(Ordering::Relaxed) && !self.tape.stopping.load(Ordering::Relaxed)
    }
}

/// The end that is read. Dropped with the connection.
struct Reader {
    tape: Arc<Tape>,
    ended: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.tape.left.store(true, Ordering::Relaxed);
    }
}

fn lines(reader: Reader) -> impl Stream<Item = std::io::Result<Bytes>> {
    futures::stream::unfold(reader, |mut reader| async move {
        if reader.ended {
            return None;
        }
        loop {
            let events = std::mem::take(&mut *reader.tape.lines.lock());
            if events.is_empty() {
                // A line written since is not missed: the notice of it is kept until somebody waits.
                reader.tape.written.notified().await;
                continue;
            }
            reader.ended = events.back().is_some_and(Event::is_last);
            let mut text = Vec::new();
            for event in &events {
                // Plain data always has a JSON form.
                text.extend(serde_json::to_vec(event).unwrap_or_default());
                text.push(b'\n');
            }
            return Some((Ok(Bytes::from(text)), reader));
        }
    })
}
