//! Erasing keys so that no server below holds them any more, nor its files (SEMANTICS 8).
//!
//! The values go, every replica says so, and what a server has on its disk is written anew: its log of commands, and its
//! snapshot where it makes any. A managed server that refuses those commands keeps its own backups; that is for its
//! operator to say.

use std::collections::BTreeMap;
use std::time::Duration;

use asof_online::{OnlineError, ViewHandle};
use redis::Value;
use tokio::time::Instant;

use crate::calls::{Change, Letter};
use crate::events;
use crate::keys::Name;
use crate::link::Lane;
use crate::store::Inner;
use crate::value::{HEAD_BYTES, Head, Kind};

/// How long a server may take to write its files anew.
const FILES_TIME_MAX: Duration = Duration::from_secs(600);
const LOOK_PAUSE: Duration = Duration::from_millis(50);

impl Inner {
    pub(crate) async fn erase_now(&self, keys: &[(ViewHandle, Vec<u8>)]) -> Result<u64, OnlineError> {
        let mut writer = self.writer.lock().await;
        for (view, _) in keys {
            self.stamps.frontier(*view)?;
        }
        for (view, key) in keys {
            self.awaited.touch(*view, std::iter::once(&key[..]));
        }
        self.resume(&mut writer).await?;
        let names: Vec<Name> = keys.iter().map(|(view, key)| Name::row(*view, key)).collect();
        let mut erased = 0;
        for stored in self.beginnings(&mut writer, &names, HEAD_BYTES).await?.into_iter().flatten() {
            erased += u64::from(Head::read(&stored.begin)?.kind != Kind::Nothing);
        }
        let delete = |name: Name| Change {
            letter: Letter::Delete,
            name,
            expected: Vec::new(),
            length: None,
            payload: Vec::new(),
            live_millis: 0,
        };
        let mut by_bucket: BTreeMap<usize, Vec<Change>> = BTreeMap::new();
        let forgotten = self.forgotten_versions(&mut writer, keys).await?;
        // A server that is full refuses what adds, and must have done nothing by then: rewrites come first.
        for change in forgotten.into_iter().chain(names.into_iter().map(delete)) {
            by_bucket.entry(change.name.bucket()).or_default().push(change);
        }
        self.change_alone(&mut writer, by_bucket).await?;
        self.forget_entries();
        for (view, key) in keys {
            self.cache().forget(&events::cache_key(*view, key));
        }
        // It holds what was erased.
        writer.redo.clear();
        self.forget_files().await?;
        Ok(erased)
    }

    /// Writes anew what servers and replicas hold on disk, once all hold the erasure.
    async fn forget_files(&self) -> Result<(), OnlineError> {
        for primary in self.link.primaries() {
            let info = self.info(&primary, "replication").await?;
            let replicas =
                field(&info, "connected_slaves").and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
            let wait = self.link.settings().response_timeout / 2;
            let mut command = redis::cmd("WAIT");
            command.arg(replicas).arg(wait.as_millis().max(1) as u64);
            let held = self.link.at(&primary, Lane::Write, command).await?;
            if !matches!(held, Value::Int(held) if held >= i64::from(replicas)) {
                let source = "not every replica has erased the keys".into();
                return Err(OnlineError::Unreachable {
                    store: self.link.address().to_owned(),
                    waited: wait,
                    source,
                });
            }
        }
        for node in self.link.nodes() {
            let info = self.info(&node, "persistence").await?;
            if field(&info, "aof_enabled") == Some("1") {
                self.file_command(&node, &["BGREWRITEAOF"]).await?;
            }
            let mut saves = redis::cmd("CONFIG");
            saves.arg("GET").arg("save");
            let saves = match self.link.at(&node, Lane::Write, saves).await {
                Ok(answer) => redis::from_redis_value::<Vec<String>>(answer).unwrap_or_default(),
                Err(OnlineError::Unfit { .. } | OnlineError::Backend { .. }) => Vec::new(),
                Err(error) => return Err(error),
            };
            if saves.get(1).is_some_and(|saves| !saves.is_empty()) {
                self.file_command(&node, &["BGSAVE", "SCHEDULE"]).await?;
            }
            let begun = Instant::now();
            loop {
                let info = self.info(&node, "persistence").await?;
                let busy = ["aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress"];
                if busy.iter().all(|busy| field(&info, busy).is_none_or(|busy| busy == "0")) {
                    break;
                }
                if begun.elapsed() > FILES_TIME_MAX {
                    let source = "it did not finish writing its files anew".into();
                    let waited = begun.elapsed();
                    return Err(OnlineError::Unreachable {
                        store: self.link.address().to_owned(),
                        waited,
                        source,
                    });
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
        }
        Ok(())
    }

    /// A command that a managed server may refuse.
    async fn file_command(&self, node: &(String, u16), words: &[&str]) -> Result<(), OnlineError> {
        let mut command = redis::cmd(words.first().copied().unwrap_or_default());
        for word in words.iter().skip(1) {
            command.arg(word);
        }
        match self.link.at(node, Lane::Write, command).await {
            Ok(_) => Ok(()),
            Err(error @ (OnlineError::Unfit { .. } | OnlineError::Backend { .. })) => {
                tracing::warn!(store = self.link.address(), %error, "a server does not write its files anew");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// A section of what a node says of itself.
    pub(crate) async fn info(&self, node: &(String, u16), section: &str) -> Result<String, OnlineError> {
        let mut command = redis::cmd("INFO");
        command.arg(section);
        let answer = self.link.at(node, Lane::Write, command).await?;
        redis::from_redis_value(answer)
            .map_err(|_| OnlineError::Damaged { what: "answer", problem: "it is no text" })
    }
}

/// One line of it.
pub(crate) fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}
