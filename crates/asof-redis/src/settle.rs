//! Units that wait for history, and how they stop waiting; and the lists of units.

use asof_online::change::check_size;
use asof_online::store::{NAME_BYTES_MAX, NOTE_BYTES_MAX};
use asof_online::{Frontier, OnlineError, UnitStamp, ViewHandle};
use redis::Value;

use crate::journal;
use crate::keys::BUCKETS;
use crate::store::Inner;
use crate::writer::Writer;

impl Inner {
    /// The units of a view, or those that wait.
    pub(crate) async fn units_now(
        &self,
        view: ViewHandle,
        waits: bool,
    ) -> Result<Vec<UnitStamp>, OnlineError> {
        let mut writer = self.writer.lock().await;
        self.stamps.frontier(view)?;
        self.check_whole()?;
        self.units(&mut writer, view, waits).await
    }

    async fn units(
        &self,
        writer: &mut Writer,
        view: ViewHandle,
        waits: bool,
    ) -> Result<Vec<UnitStamp>, OnlineError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(self.keys.of(BUCKETS, &journal::units_key(view, waits)));
        let answers = self.asked(writer, vec![(BUCKETS, command)]).await?;
        journal::read_units(answers.into_iter().next().unwrap_or(Value::Nil))
    }

    pub(crate) async fn settle_now(&self, view: ViewHandle, unit: &UnitStamp) -> Result<(), OnlineError> {
        let mut writer = self.writer.lock().await;
        self.stamps.frontier(view)?;
        check_size("the name of a unit", "bytes", unit.unit.len(), NAME_BYTES_MAX)?;
        check_size("the note of a unit", "bytes", unit.note.len(), NOTE_BYTES_MAX)?;
        self.resume(&mut writer).await?;
        let (before, units) = self.stamps.frontier(view)?;
        let waiting: Vec<String> = self
            .units(&mut writer, view, true)
            .await?
            .into_iter()
            .filter(|waiting| waiting.visible <= unit.visible)
            .map(|waiting| waiting.unit)
            .collect();
        let known =
            self.units(&mut writer, view, false).await?.iter().any(|journaled| journaled.unit == unit.unit);
        let after = Frontier {
            view,
            position: before.position.max(Some(unit.position)),
            last_visible: before.last_visible.max(Some(unit.visible)),
        };
        let units = units + u64::from(!known);
        // A server that is full refuses what adds, and must have done nothing by then: what takes away comes last.
        let mut commands = vec![journal::set_frontier(&after, units)];
        if !known {
            commands.push(journal::set_unit(view, false, unit));
        }
        commands.extend(journal::remove_waiting(view, &waiting));
        self.write_journal(&mut writer, commands).await?;
        self.note_marks(&writer);
        self.stamps.settle(after, units);
        Ok(())
    }
}
