//! Putting rows back that were left to history, once somebody has asked for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use asof_model::Instant;
use asof_online::entry::encode_entry;
use asof_online::{OnlineError, StoredRow, ViewHandle};

use crate::calls::{Call, Change, Letter, NO_UNIT};
use crate::events;
use crate::fold::version;
use crate::journal;
use crate::keys::Name;
use crate::store::Inner;
use crate::value::{self, Head, Kind};

impl Inner {
    pub(crate) async fn restore_now(
        &self,
        view: ViewHandle,
        rows: Vec<(Vec<u8>, Vec<StoredRow>)>,
    ) -> Result<u64, OnlineError> {
        let mut writer = self.writer.lock().await;
        let (frontier, _) = self.stamps.frontier(view)?;
        self.resume(&mut writer).await?;
        let awaited = self.awaited.end(view);
        // Every later reader has a `t` that is not before it, and earlier ones see nothing, as before.
        let Some(stamp) = frontier.last_visible else { return Ok(0) };
        let head = Head { kind: Kind::Rows, first: true, stamp, floor: Instant::MIN };
        let rows: Vec<_> =
            rows.into_iter().filter(|(key, rows)| awaited.contains(key) && !rows.is_empty()).collect();
        let names: Vec<Name> = rows.iter().map(|(key, _)| Name::row(view, key)).collect();
        let stored = self.checked(&mut writer, &names).await?;
        let mut by_bucket: BTreeMap<usize, Vec<Change>> = BTreeMap::new();
        let mut restored = Vec::new();
        for (((key, rows), name), stored) in rows.into_iter().zip(names).zip(stored) {
            if stored.is_some() {
                continue;
            }
            let records = encode_entry(&rows).map_err(|error| error.at(view, &key))?;
            let change = version(name, None, Letter::First, value::write_rows(head, &records), 0);
            by_bucket.entry(change.name.bucket()).or_default().push(change);
            restored.push(events::cache_key(view, &key));
        }
        if restored.is_empty() {
            return Ok(0);
        }
        let mut calls = Vec::new();
        for (bucket, changes) in &by_bucket {
            let of_bucket = Call::changes(&self.keys, *bucket, writer.marks[*bucket], NO_UNIT, changes);
            calls.extend(of_bucket.into_iter().map(Arc::new));
        }
        self.drive_alone(&mut writer, calls).await?;
        let buckets: Vec<usize> = by_bucket.into_keys().collect();
        let marks = journal::set_marks(buckets.iter().map(|bucket| (*bucket, writer.marks[*bucket])));
        self.write_journal(&mut writer, marks).await?;
        self.clean_notes(writer.epoch, &buckets).await?;
        self.note_marks(&writer);
        self.entries.change(self.stamps.coming(), restored.iter().map(Vec::as_slice));
        self.stamps.pass();
        Ok(restored.len() as u64)
    }
}
