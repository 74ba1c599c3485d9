//! Keys of a view in key order: the sorted sets of all buckets, merged.
//!
//! A sorted set costs the server about 100 bytes for each key beside its value; a listing, one round trip for each page and
//! now and then one more. Keys whose values have gone since are left out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use asof_online::entry::smallest_event;
use asof_online::{EventRange, OnlineError, ViewHandle};
use redis::Value;

use crate::keys::{BUCKETS, Name, Space};
use crate::store::Inner;
use crate::value::{self, HEAD_BYTES, Head, Kind};
use crate::writer::Writer;

/// The fewest members that are asked of a bucket at a time.
const BUCKET_PAGE_MIN: usize = 8;
/// Keys whose values are looked through at a time.
const PAGE_KEYS: usize = 500;

/// What one bucket has listed so far.
struct Listed {
    members: VecDeque<Vec<u8>>,
    last: Option<Vec<u8>>,
    more: bool,
}

impl Inner {
    /// Up to `limit` members of a view, in order, strictly behind `after`.
    pub(crate) async fn members(
        &self,
        writer: &mut Writer,
        of: (Space, ViewHandle),
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, OnlineError> {
        let page = (2 * limit / BUCKETS).max(BUCKET_PAGE_MIN).min(limit.max(1));
        let new = || Listed { members: VecDeque::new(), last: after.map(<[u8]>::to_vec), more: limit > 0 };
        let mut listed: Vec<Listed> = (0..BUCKETS).map(|_| new()).collect();
        self.list(writer, of, page, &mut listed, (0..BUCKETS).collect()).await?;
        let mut next: BinaryHeap<Reverse<(Vec<u8>, usize)>> = BinaryHeap::new();
        for (bucket, listed) in listed.iter_mut().enumerate() {
            next.extend(listed.members.pop_front().map(|member| Reverse((member, bucket))));
        }
        let mut members = Vec::with_capacity(limit.min(PAGE_KEYS));
        while members.len() < limit {
            let Some(Reverse((member, bucket))) = next.pop() else { break };
            members.push(member);
            if listed[bucket].members.is_empty() && listed[bucket].more {
                self.list(writer, of, page, &mut listed, vec![bucket]).await?;
            }
            next.extend(listed[bucket].members.pop_front().map(|member| Reverse((member, bucket))));
        }
        Ok(members)
    }

    async fn list(
        &self,
        writer: &mut Writer,
        (space, view): (Space, ViewHandle),
        page: usize,
        listed: &mut [Listed],
        buckets: Vec<usize>,
    ) -> Result<(), OnlineError> {
        let buckets: Vec<usize> = buckets.into_iter().filter(|bucket| listed[*bucket].more).collect();
        let mut commands = Vec::with_capacity(buckets.len());
        for bucket in &buckets {
            let mut command = redis::cmd("ZRANGEBYLEX");
            command.arg(self.keys.index(space, view, *bucket));
            match &listed[*bucket].last {
                Some(last) => command.arg([&b"("[..], last].concat()),
                None => command.arg("-"),
            };
            command.arg("+").arg("LIMIT").arg(0).arg(page);
            commands.push((*bucket, command));
        }
        for (bucket, answer) in buckets.into_iter().zip(self.asked(writer, commands).await?) {
            let members: Vec<Vec<u8>> = match answer {
                Value::Array(members) => members.into_iter().filter_map(text).collect(),
                _ => return Err(OnlineError::Damaged { what: "list of keys", problem: "it is no list" }),
            };
            let listed = &mut listed[bucket];
            listed.more = members.len() == page;
            listed.last = members.last().cloned().or(listed.last.take());
            listed.members.extend(members);
        }
        Ok(())
    }

    /// Up to `limit` members of a view with their values, in order; fewer only where values have gone, none only at the end.
    pub(crate) async fn page(
        &self,
        writer: &mut Writer,
        of: (Space, ViewHandle),
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, OnlineError> {
        let mut after = after.map(<[u8]>::to_vec);
        loop {
            let members = self.members(writer, of, after.as_deref(), limit).await?;
            let Some(last) = members.last() else { return Ok(Vec::new()) };
            after = Some(last.clone());
            let name = |member: Vec<u8>| Name { space: of.0, view: of.1, member };
            let names: Vec<Name> = members.into_iter().map(name).collect();
            let values = self.checked(writer, &names).await?;
            let mut page = Vec::with_capacity(names.len());
            for (name, value) in names.into_iter().zip(values) {
                let Some(value) = value else { continue };
                let head = Head::read(&value).map_err(|error| error.at(of.1, &name.member))?;
                if head.kind != Kind::Nothing {
                    page.push((name.member, value));
                }
            }
            if !page.is_empty() {
                return Ok(page);
            }
        }
    }

    /// Keys that hold something. Their values are not read, which may be large.
    pub(crate) async fn keys_now(
        &self,
        view: ViewHandle,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, OnlineError> {
        // Nothing is being written meanwhile.
        let mut writer = self.writer.lock().await;
        self.stamps.frontier(view)?;
        self.resume(&mut writer).await?;
        let (mut keys, mut after) = (Vec::new(), after.map(<[u8]>::to_vec));
        while keys.len() < limit {
            let wanted = limit - keys.len();
            let members = self.members(&mut writer, (Space::Rows, view), after.as_deref(), wanted).await?;
            let Some(last) = members.last() else { break };
            after = Some(last.clone());
            let names: Vec<Name> = members.iter().map(|key| Name::row(view, key)).collect();
            let stored = self.beginnings(&mut writer, &names, HEAD_BYTES).await?;
            for (key, stored) in members.into_iter().zip(stored) {
                let Some(stored) = stored else { continue };
                let head = Head::read(&stored.begin).map_err(|error| error.at(view, &key))?;
                if head.kind != Kind::Nothing {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }

    pub(crate) async fn keys_resting_now(
        &self,
        view: ViewHandle,
        events: EventRange,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, OnlineError> {
        let rests = |stored: &[u8]| -> Result<bool, OnlineError> {
            if Head::read(stored)?.kind != Kind::Rows {
                return Ok(false);
            }
            let (entry, overflow) = value::read_rows(stored)?;
            Ok(smallest_event(entry, overflow)?.is_some_and(|event| events.contains(event)))
        };
        // Nothing is being written meanwhile.
        let mut writer = self.writer.lock().await;
        self.stamps.frontier(view)?;
        self.resume(&mut writer).await?;
        let (mut keys, mut after) = (Vec::new(), after.map(<[u8]>::to_vec));
        while keys.len() < limit {
            let page =
                self.page(&mut writer, (Space::Rows, view), after.as_deref(), limit.min(PAGE_KEYS)).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, stored) in page {
                if keys.len() < limit && rests(&stored).map_err(|error| error.at(view, &key))? {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }
}

fn text(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(text) => Some(text),
        _ => None,
    }
}
