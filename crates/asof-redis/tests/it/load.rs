//! A load that goes on while servers die, and what must hold of it.

use asof_online::conformance::{Harness, World, at};
use asof_online::{AnswerRow, EventRule, IncomingRow, OnlineError, Publication, ViewHandle};

const EVENTS: EventRule =
    EventRule { retention: None, identity: None, withdrawal: None, remembers: None, pushed: true };
const KEYS: u8 = 60;

/// Units of rows and of events, one after the other.
pub struct Load {
    pub trips: ViewHandle,
    pub rides: ViewHandle,
    /// Units acknowledged of each.
    pub done: i64,
}

impl Load {
    pub fn new(world: &World<'_, impl Harness>) -> Self {
        Self { trips: world.view("trips@1"), rides: world.view("rides@1"), done: 0 }
    }

    fn rows(world: &World<'_, impl Harness>, unit: i64) -> Vec<IncomingRow> {
        (0..KEYS).map(|key| world.row(&[key], at(unit - 9_000), at(unit - 9_000), unit)).collect()
    }

    /// Publishes the next unit of both.
    pub fn step(&mut self, world: &World<'_, impl Harness>) -> Result<(), OnlineError> {
        let unit = self.done + 1;
        let name = format!("u{unit}");
        let rows = || Self::rows(world, unit);
        world.try_publish(world.unit(self.trips, &name, unit as u64, rows()))?;
        let publication =
            Publication { events: Some(EVENTS), ..world.unit(self.rides, &name, unit as u64, rows()) };
        world.try_publish(publication)?;
        self.done = unit;
        Ok(())
    }

    /// Reads every key of both.
    pub fn read(&self, world: &World<'_, impl Harness>) -> Result<Vec<Option<AnswerRow>>, OnlineError> {
        let keys: Vec<[u8; 1]> = (0..KEYS).map(|key| [key]).collect();
        let of = |view| keys.iter().map(move |key| (view, &key[..]));
        let keys: Vec<(ViewHandle, &[u8])> = of(self.trips).chain(of(self.rides)).collect();
        world.try_read(&keys, None).map(|answer| answer.rows)
    }

    /// Every unit acknowledged is there, once, and no other.
    pub fn check(&self, world: &World<'_, impl Harness>) {
        self.check_rows(world);
        for view in [self.trips, self.rides] {
            let journal = world.harness.wait(world.store.journal(view)).expect("the journal is read");
            let names: Vec<String> = journal.iter().map(|unit| unit.unit.clone()).collect();
            assert_eq!(names, (1..=self.done).map(|unit| format!("u{unit}")).collect::<Vec<_>>());
            assert!(journal.windows(2).all(|pair| pair[0].visible < pair[1].visible));
            assert_eq!(world.keys(view, None, 1_000).len(), usize::from(KEYS));
        }
    }

    /// The same of rows and events alone.
    pub fn check_rows(&self, world: &World<'_, impl Harness>) {
        let rows = self.read(world).expect("rows are read");
        for (place, row) in rows.iter().enumerate() {
            let row = row.as_ref().unwrap_or_else(|| panic!("{place} of {} keys is not there", rows.len()));
            if place < usize::from(KEYS) {
                assert_eq!(world.number(row), self.done, "row {place}");
                continue;
            }
            let held = row.events.as_ref().expect("events").held(world.layout.types(), None).expect("events");
            let instants: Vec<i64> = held.within().map(|place| held.events.instants[place]).collect();
            let expected: Vec<i64> = (1..=self.done).map(|unit| at(unit - 9_000).micros()).collect();
            assert_eq!(instants, expected, "key {place}");
        }
    }
}
