//! Publishing: read what is there, draw the stamp, fold in memory with the code that every store shares, write.

use std::collections::BTreeMap;
use std::sync::Arc;

use asof_model::Instant;
use asof_online::change::{self, Coming, check, check_size};
use asof_online::{
    Frontier, OnlineError, Publication, Published, REPLACEMENT_ROWS_MAX, UnitStamp, ViewHandle,
};

use crate::calls::{Call, Change};
use crate::events;
use crate::fetch::{Fetched, Which};
use crate::flight::Flight;
use crate::fold::{Before, Touched, prepare, replaces, whole};
use crate::journal;
use crate::keys::{BUCKETS, Name, Space};
use crate::link::Lane;
use crate::store::Inner;
use crate::value::{Head, Kind};
use crate::writer::{Failure, Writer};

/// How many times a unit is prepared anew where a value changed on the server meanwhile: it expired.
const ATTEMPTS_MAX: usize = 3;
/// Keys whose values are looked through at a time for a replacement.
const PAGE_KEYS: usize = 500;

impl Inner {
    pub(crate) async fn publish_now(
        &self,
        mut publication: Publication<'_>,
    ) -> Result<Published, OnlineError> {
        let mut writer = self.writer.lock().await;
        self.stamps.frontier(publication.view)?;
        check(&publication)?;
        self.resume(&mut writer).await?;
        if let Some(visible) = self.unit_visible(&mut writer, publication.view, publication.unit).await? {
            return Ok(Published::nothing(visible, true));
        }
        let (before, units) = self.stamps.frontier(publication.view)?;
        if let (Some(visible), Some(last_visible)) = (publication.visible, before.last_visible)
            && visible <= last_visible
            && !publication.waits
        {
            return Err(OnlineError::ReplayOrder {
                unit: publication.unit.to_owned(),
                visible,
                last_visible,
            });
        }
        self.awaited.touched_by(&publication);
        let rows_given = publication.rows.len() as u64;
        let versions = self.coming_versions(&publication)?;
        let coming = change::by_key(&mut publication);
        for _ in 0..ATTEMPTS_MAX {
            let touched = self.touched(&mut writer, &publication, &coming).await?;
            let remembered = self.remembered_now(&mut writer, &publication, &versions).await?;
            let visible =
                self.stamps.begin(self.clock.now(), publication.visible, || self.committed.lock().clone())?;
            let after = Frontier {
                view: publication.view,
                position: before.position.max(Some(publication.position)),
                // A unit that waits may be replayed behind a later one.
                last_visible: before.last_visible.max(Some(visible)),
            };
            let units = units + u64::from(!publication.waits);
            let floor = before.last_visible.unwrap_or(Instant::MIN);
            let prepared =
                prepare(&publication, touched, (visible, floor)).and_then(|(mut changes, published)| {
                    changes.extend(self.remember(&publication, &versions, remembered, (visible, floor))?);
                    Ok((changes, published))
                });
            let (changes, published) = prepared.inspect_err(|_| self.stamps.abandon())?;
            let stamp = UnitStamp {
                unit: publication.unit.to_owned(),
                visible,
                position: publication.position,
                rows: rows_given,
                note: publication.note.to_owned(),
            };
            let journaled = journal::set_unit(publication.view, publication.waits, &stamp);
            let flight = Arc::new(self.flight(&writer, changes, (visible, after, units), journaled));
            writer.flight = Some(flight.clone());
            match self.fly(&mut writer, &flight).await {
                Ok(()) => {
                    self.land(&mut writer, &flight).await;
                    return Ok(published);
                }
                Err(Failure::Store(error)) => return Err(error),
                Err(Failure::Conflict) => self.take_back(&mut writer, &flight).await?,
            }
        }
        Err(OnlineError::Damaged { what: "value", problem: "it changes beside its one writer" })
    }

    fn flight(
        &self,
        writer: &Writer,
        changes: Vec<Change>,
        (visible, after, units): (Instant, Frontier, u64),
        journaled: crate::calls::Command,
    ) -> Flight {
        let number = writer.unit + 1;
        let title = format!("{number} {}", visible.micros());
        let changed = changes.iter().map(|change| (change.letter, change.name.clone())).collect();
        let mut by_bucket: BTreeMap<usize, Vec<Change>> = BTreeMap::new();
        for change in changes {
            by_bucket.entry(change.name.bucket()).or_default().push(change);
        }
        let (mut calls, mut marks) = (Vec::new(), Vec::new());
        for (bucket, changes) in by_bucket {
            let of_bucket = Call::changes(&self.keys, bucket, writer.marks[bucket], &title, &changes);
            marks.extend(of_bucket.last().map(|call| (bucket, call.number)));
            calls.extend(of_bucket.into_iter().map(Arc::new));
        }
        let mark = writer.marks[BUCKETS];
        let begin = Call::journal(&self.keys, mark + 1, vec![journal::set_state("pending", &title)]);
        let mut commands = vec![journaled, journal::set_frontier(&after, units)];
        commands.extend(journal::set_marks(marks));
        commands.extend([journal::set_state("unit", &number.to_string()), journal::clear_pending()]);
        let commit = Call::journal(&self.keys, mark + 2, commands);
        Flight {
            title,
            number,
            visible,
            after,
            units,
            begin: Arc::new(begin),
            calls,
            commit: Arc::new(commit),
            changed,
        }
    }

    /// The first stamp of a unit, if it was journaled.
    async fn unit_visible(
        &self,
        writer: &mut Writer,
        view: ViewHandle,
        unit: &str,
    ) -> Result<Option<Instant>, OnlineError> {
        let of = |waits| {
            let mut command = redis::cmd("HGET");
            command.arg(self.keys.of(BUCKETS, &journal::units_key(view, waits))).arg(unit);
            (BUCKETS, command)
        };
        for answer in self.asked(writer, vec![of(false), of(true)]).await? {
            if let redis::Value::BulkString(value) = answer {
                return Ok(Some(journal::read_unit(Vec::new(), &value)?.visible));
            }
        }
        Ok(None)
    }

    /// The keys that change, with what is stored under each.
    async fn touched(
        &self,
        writer: &mut Writer,
        publication: &Publication<'_>,
        coming: &BTreeMap<Vec<u8>, Coming>,
    ) -> Result<Vec<Touched>, OnlineError> {
        let view = publication.view;
        let copied =
            |coming: &Coming| Coming { rows: coming.rows.clone(), restored: coming.restored.clone() };
        let mut touched: BTreeMap<Vec<u8>, Touched> = BTreeMap::new();
        let mut lacking: Vec<Vec<u8>> = coming.keys().cloned().collect();
        if publication.replaces.is_some() {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let page = self.page(writer, (Space::Rows, view), after.as_deref(), PAGE_KEYS).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (key, stored) in page {
                    let came = coming.get(&key);
                    let replaced = came.is_some()
                        || replaces(publication, &stored).map_err(|error| error.at(view, &key))?;
                    if replaced {
                        let coming = came.map(copied).unwrap_or_default();
                        touched.insert(key.clone(), Touched { key, stored: Before::Whole(stored), coming });
                    }
                    check_size("a replacement", "keys", touched.len(), REPLACEMENT_ROWS_MAX)?;
                }
            }
            lacking.retain(|key| !touched.contains_key(key));
        }
        let names: Vec<Name> = lacking.iter().map(|key| Name::row(view, key)).collect();
        let stored: Vec<Before> = match publication.events {
            None => self.checked(writer, &names).await?.into_iter().map(whole).collect(),
            Some(_) => {
                let begun = self.beginnings(writer, &names, events::PREFIX_BYTES).await?;
                let mut due = Vec::new();
                for (place, begun) in begun.iter().enumerate() {
                    let Some(begun) = begun else { continue };
                    let rewrite = Head::read(&begun.begin)?.kind != Kind::Events
                        || events::is_due(&begun.begin, begun.bytes)?;
                    if rewrite {
                        due.push(place);
                    }
                }
                let of: Vec<Name> = due.iter().map(|place| names[*place].clone()).collect();
                let mut stored: Vec<Before> =
                    begun.into_iter().map(|begun| begun.map_or(Before::Nothing, Before::Begun)).collect();
                for (place, value) in due.into_iter().zip(self.checked(writer, &of).await?) {
                    stored[place] = whole(value);
                }
                stored
            }
        };
        for (key, stored) in lacking.into_iter().zip(stored) {
            let coming = coming.get(&key).map(copied).unwrap_or_default();
            touched.insert(key.clone(), Touched { key, stored, coming });
        }
        Ok(touched.into_values().collect())
    }

    /// Values as the last acknowledged calls left them.
    pub(crate) async fn checked(
        &self,
        writer: &mut Writer,
        names: &[Name],
    ) -> Result<Vec<Option<Vec<u8>>>, OnlineError> {
        for _ in 0..ATTEMPTS_MAX {
            match self.fetch(Lane::Write, &writer.marks, names, Which::Current, false).await? {
                Fetched::Values(values) => return Ok(values),
                Fetched::Behind(buckets) => {
                    for bucket in buckets {
                        self.heal(writer, bucket).await?;
                    }
                }
            }
        }
        Err(OnlineError::Damaged { what: "value", problem: "its server stays behind" })
    }
}
