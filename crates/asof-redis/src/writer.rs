//! The one writer: its calls, and what it does where a server is behind.
//!
//! A server that comes back, or a replica that is promoted, may lack the last calls that were acknowledged: replication and
//! the files of a server follow its answers by some time. The mark of a bucket says so, to every call and to every read. The
//! calls it lacks are then sent again, in order and with their numbers, out of memory; since a replica holds the calls of its
//! primary up to some number, whole and in order, the bucket is afterwards what it was. Where memory does not reach back so
//! far, the store says that it is lost, and is rebuilt from history and log.
//!
//! What is under way is noted in [`Writer`] before its first call, so that a caller may give up at any time: whoever writes
//! next goes on with it first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use asof_online::OnlineError;

use crate::calls::{Call, Change, Command, NO_UNIT, Redo, Reply};
use crate::flight::Flight;
use crate::journal;
use crate::keys::BUCKETS;
use crate::link::{Lane, Request};
use crate::store::Inner;

/// How many times a server may be found behind while the same calls are written.
const HEALS_MAX: usize = 100;

/// What the one writer knows.
pub(crate) struct Writer {
    pub(crate) epoch: u64,
    /// The number of the last call that was acknowledged, for each bucket and the journal.
    pub(crate) marks: Vec<u64>,
    /// The number of the last unit.
    pub(crate) unit: u64,
    pub(crate) redo: Redo,
    /// The unit that is being written. It stays here where its publication ends in an error or is given up by its caller.
    pub(crate) flight: Option<Arc<Flight>>,
    /// Whether it is being taken back.
    pub(crate) back: bool,
    /// Calls that belong to no unit and are being made, or of which nobody knows whether they came through.
    pub(crate) unsure: Vec<Arc<Call>>,
}

/// Why a call was not made.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something else stands there than was read.
    Conflict,
    Store(OnlineError),
}

impl Writer {
    pub(crate) fn new(epoch: u64, redo_bytes: usize) -> Self {
        Self {
            epoch,
            marks: vec![0; BUCKETS + 1],
            unit: 0,
            redo: Redo::new(redo_bytes),
            flight: None,
            back: false,
            unsure: Vec::new(),
        }
    }
}

impl From<OnlineError> for Failure {
    fn from(error: OnlineError) -> Self {
        Self::Store(error)
    }
}

impl Inner {
    /// Refuses to write where another process took over, or too much was lost.
    pub(crate) fn check_writable(&self) -> Result<(), OnlineError> {
        if self.taken_over.load(Ordering::SeqCst) {
            return Err(OnlineError::TakenOver { store: self.link.address().to_owned() });
        }
        self.check_whole()
    }

    /// Refuses to go on where too much was lost.
    pub(crate) fn check_whole(&self) -> Result<(), OnlineError> {
        match &*self.lost.lock() {
            Some(problem) => {
                Err(OnlineError::Lost { store: self.link.address().to_owned(), problem: problem.clone() })
            }
            None => Ok(()),
        }
    }

    fn lose(&self, problem: String) -> OnlineError {
        *self.lost.lock() = Some(problem.clone());
        OnlineError::Lost { store: self.link.address().to_owned(), problem }
    }

    fn take_over(&self) -> OnlineError {
        self.taken_over.store(true, Ordering::SeqCst);
        OnlineError::TakenOver { store: self.link.address().to_owned() }
    }

    pub(crate) fn reply(&self, value: &redis::Value) -> Result<Reply, OnlineError> {
        Reply::read(value)
            .ok_or(OnlineError::Damaged { what: "answer of a script", problem: "it has another form" })
    }

    fn request(&self, call: &Call, epoch: u64) -> Request {
        let script = if call.bucket == BUCKETS { &self.scripts.journal } else { &self.scripts.change };
        Request::new(self.keys.slot(call.bucket), call.command(script, epoch))
    }

    /// Makes calls, each once, whatever happens meanwhile. Those of one bucket are numbered one behind the other and behind
    /// its mark, and stand in that order.
    pub(crate) async fn drive(&self, writer: &mut Writer, calls: &[Arc<Call>]) -> Result<(), Failure> {
        let new = |call: &&Arc<Call>| call.number > writer.marks[call.bucket];
        let mut left: Vec<Arc<Call>> = calls.iter().filter(new).cloned().collect();
        if left.is_empty() {
            return Ok(());
        }
        for _ in 0..HEALS_MAX {
            let requests = left.iter().map(|call| self.request(call, writer.epoch)).collect();
            let answers = self.link.send(Lane::Write, requests).await?;
            let (mut later, mut behind, mut conflict) = (Vec::new(), BTreeMap::new(), false);
            for (call, answer) in left.iter().zip(&answers) {
                match self.reply(answer)? {
                    Reply::Done | Reply::Kept { .. } => {
                        let mark = &mut writer.marks[call.bucket];
                        if *mark < call.number {
                            *mark = call.number;
                            writer.redo.push(call.clone());
                        }
                    }
                    Reply::Behind { .. } => {
                        behind.entry(call.bucket).or_insert(());
                        later.push(call.clone());
                    }
                    Reply::Fenced { .. } => return Err(self.take_over().into()),
                    Reply::Conflict | Reply::Held { .. } => conflict = true,
                }
            }
            if conflict {
                return Err(Failure::Conflict);
            }
            if later.is_empty() {
                return Ok(());
            }
            for bucket in behind.into_keys() {
                self.heal(writer, bucket).await?;
            }
            left = later;
        }
        Err(self.lose("its servers lose calls as fast as they are made".to_owned()).into())
    }

    /// Takes the bucket again, and sends what it lacks.
    pub(crate) async fn heal(&self, writer: &mut Writer, bucket: usize) -> Result<(), OnlineError> {
        let mark = self.claim(writer.epoch, &[bucket]).await?.get(&bucket).map_or(0, |claimed| claimed.mark);
        let known = writer.marks[bucket];
        if mark >= known {
            return Ok(());
        }
        tracing::warn!(store = self.link.address(), bucket, mark, known, "a server lost acknowledged calls");
        // What was read of events may be of calls that are written otherwise now.
        self.forget_events();
        let Some(calls) = writer.redo.behind(bucket, mark, known) else {
            let what = if bucket == BUCKETS { "journal".to_owned() } else { format!("bucket {bucket}") };
            return Err(self.lose(format!("the {what} ends at call {mark} of {known}")));
        };
        for call in calls {
            let answer = self.link.send(Lane::Write, vec![self.request(&call, writer.epoch)]).await?;
            match answer.first().map(|answer| self.reply(answer)).transpose()? {
                Some(Reply::Done | Reply::Kept { .. }) => {}
                Some(Reply::Fenced { .. }) => return Err(self.take_over()),
                _ => {
                    return Err(self.lose(format!(
                        "call {} of bucket {bucket} does not follow on what is left",
                        call.number
                    )));
                }
            }
        }
        self.healed.fetch_add(known - mark, Ordering::SeqCst);
        Ok(())
    }

    /// Takes buckets for this process.
    pub(crate) async fn claim(
        &self,
        epoch: u64,
        buckets: &[usize],
    ) -> Result<HashMap<usize, Claimed>, OnlineError> {
        let mut requests = Vec::with_capacity(buckets.len());
        for bucket in buckets {
            let mut command = redis::cmd("EVALSHA");
            command.arg(self.scripts.claim.get_hash()).arg(3);
            for what in ["mark", "fence", "undo"] {
                command.arg(self.keys.of(*bucket, what));
            }
            command.arg(epoch);
            requests.push(Request::new(self.keys.slot(*bucket), command));
        }
        let answers = self.link.send(Lane::Write, requests).await?;
        let mut claimed = HashMap::new();
        for (bucket, answer) in buckets.iter().zip(&answers) {
            match self.reply(answer)? {
                Reply::Kept { number, text } => {
                    let title = text.map(|text| String::from_utf8_lossy(&text).into_owned());
                    claimed.insert(*bucket, Claimed { mark: number, title });
                }
                Reply::Fenced { .. } => return Err(self.take_over()),
                _ => {
                    return Err(OnlineError::Damaged {
                        what: "answer of a script",
                        problem: "it has another form",
                    });
                }
            }
        }
        Ok(claimed)
    }

    /// Makes calls that belong to no unit. Where it stays open whether they came through, they are made again before
    /// anything else is written, for their numbers are spent.
    pub(crate) async fn drive_alone(
        &self,
        writer: &mut Writer,
        calls: Vec<Arc<Call>>,
    ) -> Result<(), OnlineError> {
        // Noted first: whoever waits for this may give up.
        writer.unsure.clone_from(&calls);
        match self.drive(writer, &calls).await {
            Ok(()) => {
                writer.unsure.clear();
                Ok(())
            }
            Err(Failure::Store(error)) => Err(error),
            Err(Failure::Conflict) => {
                // The call was not made, and its number is free.
                writer.unsure.clear();
                Err(OnlineError::Damaged { what: "value", problem: "it changes beside its writer" })
            }
        }
    }

    /// Makes changes that belong to no unit, by bucket.
    pub(crate) async fn change_alone(
        &self,
        writer: &mut Writer,
        by_bucket: BTreeMap<usize, Vec<Change>>,
    ) -> Result<(), OnlineError> {
        let mut calls = Vec::new();
        for (bucket, changes) in &by_bucket {
            let of_bucket = Call::changes(&self.keys, *bucket, writer.marks[*bucket], NO_UNIT, changes);
            calls.extend(of_bucket.into_iter().map(Arc::new));
        }
        self.drive_alone(writer, calls).await?;
        let buckets: Vec<usize> = by_bucket.into_keys().collect();
        let marks = journal::set_marks(buckets.iter().map(|bucket| (*bucket, writer.marks[*bucket])));
        self.write_journal(writer, marks).await?;
        self.clean_notes(writer.epoch, &buckets).await?;
        self.note_marks(writer);
        Ok(())
    }

    /// Changes the journal, as a whole.
    pub(crate) async fn write_journal(
        &self,
        writer: &mut Writer,
        commands: Vec<Command>,
    ) -> Result<(), OnlineError> {
        let call = Call::journal(&self.keys, writer.marks[BUCKETS] + 1, commands);
        self.drive_alone(writer, vec![Arc::new(call)]).await
    }
}

/// What a bucket says when it is taken.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    pub(crate) mark: u64,
    /// Number and stamp of the unit that was being written.
    pub(crate) title: Option<String>,
}
