//! Opening: the server is fit, the store is held, every bucket is taken, and what an earlier process left half done is taken
//! back.
//!
//! Marks tell whether the servers still hold what was acknowledged. A bucket with fewer calls than the journal knows of lost
//! some; one with more, and no note of a unit that would explain them, says that the journal did. Either way nobody can tell
//! any more which rows are missing, so everything is dropped: the store is derived, and `asof materialize` rebuilds it from
//! history, journal and log. Nothing is answered from it meanwhile: its views hold no units.

use std::collections::HashMap;

use asof_online::OnlineError;
use redis::Value;

use crate::calls::Letter;
use crate::journal::{self, FORMAT, Loaded};
use crate::keys::{BUCKETS, Name};
use crate::link::{Lane, Link, Request};
use crate::store::Inner;
use crate::writer::{Claimed, Writer};

/// Keys that are dropped at a time.
const DROP_KEYS: usize = 1_000;
/// The oldest version of a server that has all commands and scripts in use.
const SERVER_VERSION_MIN: (u32, u32) = (6, 2);

/// Refuses servers that drop what is written.
///
/// # Errors
/// [`OnlineError::Unfit`]; failures of the store.
pub(crate) async fn check_fit(link: &Link) -> Result<(), OnlineError> {
    let mut info = redis::cmd("INFO");
    info.arg("all");
    let unfit = |problem: String, hint: &str| OnlineError::Unfit {
        store: link.address().to_owned(),
        problem,
        hint: hint.to_owned(),
    };
    for answer in link.each_primary(Lane::Write, &info).await? {
        let text = match answer {
            Value::BulkString(text) => String::from_utf8_lossy(&text).into_owned(),
            Value::VerbatimString { text, .. } | Value::SimpleString(text) => text,
            _ => continue,
        };
        let fields: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once(':')).collect();
        if let Some(version) = fields.get("redis_version") {
            let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
            let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
            if found < SERVER_VERSION_MIN {
                return Err(unfit(
                    format!("the server is of version {version}"),
                    "use Redis 6.2 or later, or Valkey",
                ));
            }
        }
        let policy = fields.get("maxmemory_policy").copied().unwrap_or("noeviction");
        if policy != "noeviction" {
            return Err(unfit(
                format!("`maxmemory-policy {policy}` drops rows when memory is short"),
                "set `maxmemory-policy noeviction`, and give the store a server of its own",
            ));
        }
    }
    Ok(())
}

impl Inner {
    /// Loads the journal.
    pub(crate) async fn load(&self) -> Result<Loaded, OnlineError> {
        let slot = self.keys.slot(BUCKETS);
        let all = ["views", "frontiers", "marks", "state"].map(|hash| {
            let mut command = redis::cmd("HGETALL");
            command.arg(self.keys.of(BUCKETS, hash));
            Request::new(slot, command)
        });
        let answers = self.link.send(Lane::Write, all.into()).await?;
        let answers = <[Value; 4]>::try_from(answers)
            .map_err(|_| OnlineError::Damaged { what: "journal", problem: "a part of it is missing" })?;
        let loaded = journal::load(answers)?;
        match loaded.format {
            Some(found) if found > FORMAT => Err(OnlineError::UnknownVersion {
                what: "online store",
                found: u8::try_from(found).unwrap_or(u8::MAX),
                newest: FORMAT as u8,
            }),
            _ => Ok(loaded),
        }
    }

    /// Takes every bucket, and brings all to where the journal is. Answers what the journal says then.
    pub(crate) async fn recover(&self, writer: &mut Writer) -> Result<Loaded, OnlineError> {
        let all: Vec<usize> = (0..=BUCKETS).collect();
        let claimed = self.claim(writer.epoch, &all).await?;
        let loaded = self.load().await?;
        for (bucket, each) in &claimed {
            writer.marks[*bucket] = each.mark;
        }
        writer.unit = loaded.unit;
        if let Some(problem) = lost(&claimed, &loaded) {
            tracing::warn!(store = self.link.address(), problem, "the online store is lost and begins anew");
            self.drop_everything().await?;
            writer.marks.fill(0);
            // What stood before the drop is no measure for what comes.
            let again = self.claim(writer.epoch, &all).await?;
            for (bucket, each) in &again {
                writer.marks[*bucket] = each.mark;
            }
            self.write_journal(writer, vec![journal::set_state("format", &FORMAT.to_string())]).await?;
            return self.load().await;
        }
        if loaded.format.is_none() {
            self.write_journal(writer, vec![journal::set_state("format", &FORMAT.to_string())]).await?;
        }
        // Units that are being written: noted in the journal, or in buckets whose journal lost the note.
        let mut open: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut left: Vec<usize> = Vec::new();
        for (bucket, each) in &claimed {
            let Some(title) = each.title.as_deref() else { continue };
            match unit_of(title) {
                Some(unit) if unit > loaded.unit => open.entry(title).or_default().push(*bucket),
                _ => left.push(*bucket),
            }
        }
        for (title, buckets) in open {
            writer.unit = writer.unit.max(unit_of(title).unwrap_or(0));
            self.undo(writer, buckets, title).await?;
        }
        // A committed unit whose traces were not cleaned away.
        for bucket in &left {
            let noted: Vec<(Letter, Name)> = self.noted(*bucket).await?;
            self.clean(writer.epoch, &noted).await?;
        }
        let mut commands = journal::set_marks(left.iter().map(|bucket| (*bucket, writer.marks[*bucket])));
        if loaded.pending.is_some() {
            commands.push(journal::clear_pending());
        }
        if !commands.is_empty() {
            self.write_journal(writer, commands).await?;
        }
        self.clean_notes(writer.epoch, &left).await?;
        Ok(loaded)
    }

    /// Drops all keys of the project, but for the hold.
    pub(crate) async fn drop_everything(&self) -> Result<(), OnlineError> {
        let kept = [self.keys.of(BUCKETS, "hold"), self.keys.of(BUCKETS, "fence")];
        for address in self.link.primaries() {
            for pattern in self.keys.patterns() {
                let mut cursor = 0_u64;
                loop {
                    let mut command = redis::cmd("SCAN");
                    command.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(DROP_KEYS);
                    let answer = self.link.at(&address, Lane::Write, command).await?;
                    let (next, keys): (u64, Vec<Vec<u8>>) =
                        redis::from_redis_value(answer).map_err(|_| OnlineError::Damaged {
                            what: "answer",
                            problem: "it is no list of keys",
                        })?;
                    for key in keys.iter().filter(|key| !kept.contains(key)) {
                        let mut command = redis::cmd("UNLINK");
                        command.arg(&key[..]);
                        self.link.at(&address, Lane::Write, command).await?;
                    }
                    cursor = next;
                    if cursor == 0 {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

fn unit_of(title: &str) -> Option<u64> {
    title.split_once(' ')?.0.parse().ok()
}

/// What the servers lack, if they lack something.
fn lost(claimed: &HashMap<usize, Claimed>, loaded: &Loaded) -> Option<String> {
    for (bucket, each) in claimed.iter().filter(|(bucket, _)| **bucket < BUCKETS) {
        let known = loaded.marks.get(bucket).copied().unwrap_or(0);
        if each.mark < known {
            return Some(format!("bucket {bucket} ends at call {} of {known}", each.mark));
        }
        if each.mark > known && each.title.is_none() {
            return Some(format!(
                "the journal knows {known} calls of bucket {bucket}, which holds {}",
                each.mark
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: buckets and journal that disagree are found out, and those that a unit under way explains are not.
    #[test]
    fn losses() {
        let bucket = |mark, title: Option<&str>| Claimed { mark, title: title.map(str::to_owned) };
        let of = |mark, title| HashMap::from([(3, bucket(mark, title))]);
        let loaded = Loaded { marks: HashMap::from([(3, 7)]), ..Loaded::default() };
        assert_eq!(lost(&of(7, None), &loaded), None);
        assert_eq!(lost(&of(9, Some("4 100")), &loaded), None);
        assert!(lost(&of(6, None), &loaded).is_some());
        assert!(lost(&of(6, Some("4 100")), &loaded).is_some());
        assert!(lost(&of(8, None), &loaded).is_some());
        assert!(lost(&of(1, None), &Loaded::default()).is_some());
    }
}
