//! Putting rows back that were left to history, once somebody has asked for them.

use std::collections::BTreeMap;

use asof_model::Instant;
use asof_online::entry::encode_entry;
use asof_online::{OnlineError, StoredRow, ViewHandle};

use crate::calls::{Change, Letter};
use crate::events;
use crate::fold::version;
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
        self.change_alone(&mut writer, by_bucket).await?;
        self.entries.change(self.stamps.coming(), restored.iter().map(Vec::as_slice));
        self.stamps.pass();
        Ok(restored.len() as u64)
    }
}
