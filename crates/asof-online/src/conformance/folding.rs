//! Cases about what a publication does to the store.

use asof_model::{Cell, Duration, Instant, Value};

use super::Harness;
use super::world::{Choices, World, at};
use crate::entry::StoredRow;
use crate::error::OnlineError;
use crate::store::{EventRange, IncomingRow, Publication, Replaces, UnitStamp};

/// Goal: a unit is folded once; the second time answers the first stamp and changes nothing, whatever it brings.
pub fn same_unit_twice(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("trips@1");
    let first = world.publish(view, "u1", 3, vec![world.row(b"k", at(-9), at(-9), 1)]);
    assert_eq!((first.already, first.rows_added, first.visible), (false, 1, at(0)));
    world.clock.set(at(60));
    let before = world.row_now(view, b"k");
    let again = world.publish(view, "u1", 4, vec![world.row(b"k", at(-1), at(-1), 2)]);
    assert_eq!((again.already, again.visible, again.rows_added), (true, first.visible, 0));
    assert_eq!(world.row_now(view, b"k"), before);
    let statistics = harness.wait(world.store.statistics(view)).unwrap();
    assert_eq!((statistics.units, statistics.position), (1, Some(3)));
}

/// Goal: whatever the order and the split of the same rows, later answers are the same, and those of a scan.
pub fn folding_is_order_free(harness: &impl Harness) {
    let world = World::open(harness);
    let mut choices = Choices::new(7);
    let mut rows: Vec<IncomingRow> = Vec::new();
    for _ in 0..60 {
        let key = [b'a' + choices.below(3) as u8];
        let event = at(choices.below(12) as i64 * 10 - 60);
        let created = if choices.below(2) == 0 { event } else { at(choices.below(12) as i64 * 10 - 60) };
        rows.push(world.row(&key, event, created, choices.below(4) as i64));
    }
    let mut views = Vec::new();
    for round in 0..6 {
        let view = world.view(&format!("order@{round}"));
        let mut order: Vec<IncomingRow> = rows.iter().chain(&rows[..20]).cloned().collect();
        choices.shuffle(&mut order);
        let mut unit = 0;
        while !order.is_empty() {
            let size = (1 + choices.below(9)).min(order.len());
            let rest = order.split_off(size);
            world.publish(view, &format!("u{unit}"), unit, std::mem::replace(&mut order, rest));
            unit += 1;
        }
        views.push(view);
    }
    for t in (1..80).map(at) {
        world.clock.set(t);
        for key in [b"a", b"b", b"c"] {
            let expected = greatest(&world, &rows, key, t);
            for view in &views {
                let found = world.row_now(*view, key).map(|row| (row.event, row.created, row.row.to_vec()));
                assert_eq!(found, expected, "{view:?} at {t}");
            }
        }
    }
}

fn greatest(
    world: &World<'_, impl Harness>,
    rows: &[IncomingRow],
    key: &[u8],
    t: Instant,
) -> Option<(Instant, Instant, Vec<u8>)> {
    rows.iter()
        .filter(|row| row.key == key && row.event <= t && row.created <= t)
        .max_by(|a, b| {
            let by_instants = (a.event, a.created).cmp(&(b.event, b.created));
            by_instants.then_with(|| world.layout.compare(&a.row, &b.row).unwrap())
        })
        .map(|row| (row.event, row.created, row.row.clone()))
}

/// Goal: an identical row, in the same unit or a later one, keeps the first visible and position.
pub fn repeats_keep_their_first_visible(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("trips@1");
    let row = || world.row(b"k", at(-9), at(-8), 1);
    let first = world.publish(view, "u1", 1, vec![row(), row()]);
    assert_eq!((first.rows_added, first.rows_repeated), (1, 1));
    world.clock.set(at(60));
    let second = world.publish(view, "u2", 2, vec![row()]);
    assert_eq!((second.rows_added, second.rows_repeated, second.rows_beaten), (0, 1, 0));
    assert_eq!(second.visible, at(60));
    let found = world.row_now(view, b"k").unwrap();
    assert_eq!((found.visible, found.position), (first.visible, 1));

    // A row that waits keeps them too.
    let waiting = || world.row(b"w", at(900), at(900), 1);
    let third = world.publish(view, "u3", 3, vec![waiting()]);
    world.publish(view, "u4", 4, vec![waiting()]);
    world.clock.set(at(1_000));
    let found = world.row_now(view, b"w").unwrap();
    assert_eq!((found.visible, found.position), (third.visible, 3));
}

/// Goal: a row that arrives late and is smaller than the row in force changes no answer, and is counted.
pub fn a_late_smaller_row_replaces_nothing(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("trips@1");
    world.publish(view, "u1", 1, vec![world.row(b"k", at(-10), at(-5), 1)]);
    let late = vec![world.row(b"k", at(-20), at(-1), 2), world.row(b"k", at(-10), at(-6), 3)];
    let published = world.publish(view, "u2", 2, late);
    assert_eq!((published.rows_added, published.rows_beaten), (0, 2));
    world.clock.set(at(1_000));
    assert_eq!(world.number_now(view, b"k"), Some(1));

    // Greater by event alone, then by created alone.
    world.publish(view, "u3", 3, vec![world.row(b"k", at(-9), at(-9), 4)]);
    assert_eq!(world.number_now(view, b"k"), Some(4));
    world.publish(view, "u4", 4, vec![world.row(b"k", at(-9), at(-8), 5)]);
    assert_eq!(world.number_now(view, b"k"), Some(5));
}

/// Goal: of rows with equal instants the greater canonical bytes win, in either order; they are conflicts where no
/// created column is declared, unless one merely extends the other.
pub fn ties_and_conflicts(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("trips@1");
    let (small, great) = (world.row(b"k", at(-9), at(-9), 1), world.row(b"k", at(-9), at(-9), 2));
    assert_eq!(world.publish(view, "u1", 1, vec![small.clone()]).conflicts, 0);
    let published = world.publish(view, "u2", 2, vec![great.clone()]);
    assert_eq!((published.conflicts, published.rows_added), (1, 1));
    let published = world.publish(view, "u3", 3, vec![small.clone()]);
    assert_eq!((published.conflicts, published.rows_beaten), (1, 1));
    assert_eq!(world.number_now(view, b"k"), Some(2));

    let declared = Publication {
        created_declared: true,
        ..world.unit(view, "u4", 4, vec![small, world.row(b"k", at(-9), at(-9), 3)])
    };
    let published = world.try_publish(declared).unwrap();
    assert_eq!((published.conflicts, published.rows_added, published.rows_beaten), (0, 1, 1));
    assert_eq!(world.number_now(view, b"k"), Some(3));

    let short = world.layout.encode(&[Cell::Value(Value::Int64(7))]);
    let short = IncomingRow { key: b"x".to_vec(), event: at(-9), created: at(-9), row: short };
    world.publish(view, "u5", 5, vec![short]);
    let extended = world.row(b"x", at(-9), at(-9), 7);
    let published = world.publish(view, "u6", 6, vec![extended.clone()]);
    assert_eq!((published.conflicts, published.rows_added), (0, 1));
    assert_eq!(*world.row_now(view, b"x").unwrap().row, *extended.row);
}

/// Goal: a unit comes with its rows, position and stamp, or with none of them.
pub fn a_refused_publication_leaves_nothing(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("trips@1");
    world.publish(view, "u1", 1, vec![world.row(b"a", at(-9), at(-9), 1)]);
    let damaged = IncomingRow { key: b"z".to_vec(), event: at(-1), created: at(-1), row: vec![1, 0, 9] };
    let refused =
        world.try_publish(world.unit(view, "u2", 2, vec![world.row(b"b", at(-9), at(-9), 1), damaged]));
    assert!(matches!(refused, Err(OnlineError::DamagedEntry { .. })), "{refused:?}");

    let answer = world.try_read(&[(view, b"a"), (view, b"b"), (view, b"z")], None).unwrap();
    assert_eq!(answer.rows.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(answer.frontiers[0].position, Some(1));
    assert_eq!(harness.wait(world.store.journal(view)).unwrap().len(), 1);

    // The name of the refused unit is free, and a unit without rows moves position and journal too.
    assert!(!world.publish(view, "u2", 2, Vec::new()).already);
    let answer = world.try_read(&[(view, b"a")], None).unwrap();
    let journal = harness.wait(world.store.journal(view)).unwrap();
    assert_eq!(answer.frontiers[0].position, Some(2));
    assert_eq!(answer.frontiers[0].last_visible, Some(journal[1].visible));
}

/// Goal: after reopening, rows, waiting rows, journal, numbers of views and the order of stamps are what they were.
pub fn reopening_keeps_everything(harness: &impl Harness) {
    let world = World::open(harness);
    let (trips, ratings) = (world.view("trips@1"), world.view("ratings@1"));
    world.clock.set(at(100));
    let rows = vec![world.row(b"k", at(1), at(2), 1), world.row(b"k", at(200), at(200), 2)];
    let unit = Publication { note: "a note", ..world.unit(trips, "u1", 7, rows) };
    let first = world.try_publish(unit).unwrap();
    let row = world.row_now(trips, b"k");

    // The clock steps back by 100 seconds.
    let world = world.reopen();
    assert_eq!(harness.wait(world.store.find("trips@1")).unwrap(), Some(trips));
    assert_eq!(harness.wait(world.store.find("nothing@1")).unwrap(), None);
    assert_eq!((world.view("ratings@1"), world.view("trips@1")), (ratings, trips));
    assert_ne!(world.view("more@1"), trips);
    assert_eq!(world.row_now(trips, b"k"), row);
    let journal = harness.wait(world.store.journal(trips)).unwrap();
    let stamp =
        UnitStamp { unit: "u1".into(), visible: first.visible, position: 7, rows: 2, note: "a note".into() };
    assert_eq!(journal, [stamp]);
    assert!(world.publish(trips, "u1", 7, Vec::new()).already);
    let second = world.publish(ratings, "u1", 8, Vec::new());
    assert!(!second.already && second.visible > first.visible);
    world.clock.set(at(200));
    assert_eq!(world.number_now(trips, b"k"), Some(2));
}

/// Goal: replaying a journal into an empty store gives every row and unit its old stamp; a stamp that is not after
/// the view's last one is refused.
pub fn replay_keeps_the_stamps(harness: &impl Harness) {
    let world = World::open(harness);
    let (trips, ratings) = (world.view("trips@1"), world.view("ratings@1"));
    world.clock.set(at(1_000));
    let replay = |view, unit, number: i64, visible| {
        let rows = vec![world.row(b"k", at(number - 500), at(number - 500), number)];
        world.try_publish(Publication { visible: Some(visible), ..world.unit(view, unit, 1, rows) })
    };
    assert_eq!(replay(trips, "u1", 1, at(10)).unwrap().visible, at(10));
    assert_eq!(replay(trips, "u2", 2, at(20)).unwrap().visible, at(20));
    assert_eq!(replay(ratings, "u1", 3, at(5)).unwrap().visible, at(5));
    let refused = replay(trips, "u3", 3, at(20));
    assert!(matches!(refused, Err(OnlineError::ReplayOrder { .. })), "{refused:?}");
    let journal = harness.wait(world.store.journal(trips)).unwrap();
    assert_eq!(journal.iter().map(|unit| unit.visible).collect::<Vec<_>>(), [at(10), at(20)]);
    let row = world.row_now(trips, b"k").unwrap();
    assert_eq!((world.number(&row), row.visible), (2, at(20)));
    assert!(world.publish(trips, "u4", 4, Vec::new()).visible >= at(1_000));
}

/// Goal: a replacement takes away the rows of its range that are in force or wait, and no others; brings its own and the
/// restored ones; leaves no trace of a key without any; and names the keys that rest on a row of the range.
pub fn replacements(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("trips@1");
    let other = world.view("trips@2");
    let row = |key: &[u8], event: i64, number: i64| world.row(key, at(event), at(event), number);
    let years = 1_000_000_000;
    world.publish(other, "u0", 1, vec![row(b"a", -50, 7)]);
    world.publish(
        view,
        "u1",
        1,
        vec![
            row(b"a", -90, 1), // beaten, so the store forgets it
            row(b"a", -50, 2),
            row(b"b", -50, 3),
            row(b"c", -10, 4), // behind the range
            row(b"c", -50, 5),
            row(b"d", -90, 6),                      // before the range, and in force
            world.row(b"d", at(-50), at(years), 8), // in the range, and waits
            row(b"e", -50, 9),
        ],
    );
    let events = EventRange { from: at(-60), until: Some(at(-40)) };
    let resting = |after: Option<&[u8]>, limit| {
        world.harness.wait(world.store.keys_resting_in(view, events, after, limit)).expect("keys")
    };
    assert_eq!(resting(None, 9), [b"a".to_vec(), b"b".to_vec(), b"e".to_vec()]);
    assert_eq!(resting(Some(b"a"), 1), [b"b".to_vec()]);

    let IncomingRow { key, event, created, row: bytes } = row(b"a", -90, 1);
    let visible = world.row_now(view, b"c").unwrap().visible;
    let restored = StoredRow { event, created, visible, position: 1, row: bytes };
    let replaces = Some(Replaces { events, restored: vec![(key, restored)] });
    let rows = vec![row(b"e", -55, 10), row(b"f", -45, 11)];
    let published = world.try_publish(Publication { replaces, ..world.unit(view, "r1", 2, rows) }).unwrap();
    assert_eq!((published.rows_removed, published.rows_added), (4, 2));
    let number = |key: &[u8]| world.number_now(view, key);
    let found = [&b"a"[..], b"b", b"c", b"d", b"e", b"f"].map(number);
    assert_eq!(found, [Some(1), None, Some(4), Some(6), Some(10), Some(11)]);
    assert_eq!(world.number_now(other, b"a"), Some(7), "another view has nothing to do with it");
    let keys = world.harness.wait(world.store.keys(view, None, 9)).expect("keys");
    assert_eq!(keys, [b"a", b"c", b"d", b"e", b"f"].map(|key| key.to_vec()));
    assert_eq!(world.row_now(view, b"a").unwrap().position, 1, "it is the row of old");
    world.clock.set(at(years + 1));
    assert_eq!(world.number_now(view, b"d"), Some(6), "what waited is gone too");
}

/// Goal: a key whose row in force is older than it may be is not taken in; one that has a row in force goes on; rows that
/// wait are kept; and what was left out is never greater than what stands here.
pub fn inactive_keys_are_left_out(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("trips@1");
    let active_within = Some(Duration::from_micros(60_000_000));
    let publish = |unit: &str, position: u64, rows: Vec<IncomingRow>| {
        world.try_publish(Publication { active_within, ..world.unit(view, unit, position, rows) }).unwrap()
    };
    world.clock.set(at(0));
    let row = |key: &[u8], event: i64, number: i64| world.row(key, at(event), at(event), number);
    let waits = world.row(b"waits", at(-65), at(30), 8);
    let first = publish(
        "u1",
        1,
        vec![
            row(b"old", -61, 1),
            row(b"old", -90, 2),
            row(b"edge", -60, 3),
            row(b"new", -1, 4),
            row(b"both", -61, 5),
            row(b"both", 20, 6),
            row(b"waits", -70, 7),
            waits,
        ],
    );
    assert_eq!((first.rows_inactive, first.rows_beaten), (3, 1));
    let number = |key: &[u8]| world.number_now(view, key);
    assert_eq!([number(b"old"), number(b"edge"), number(b"new")], [None, Some(3), Some(4)]);
    assert_eq!([number(b"both"), number(b"waits")], [None, None]);

    world.clock.set(at(50));
    assert_eq!([number(b"both"), number(b"waits")], [Some(6), Some(8)]);
    // `edge` is not active any more, but has a row in force: a greater one follows it. `old` still has none.
    let second = publish("u2", 2, vec![row(b"edge", -50, 9), row(b"old", -50, 10), row(b"new", -70, 11)]);
    assert_eq!((second.rows_inactive, second.rows_added, second.rows_beaten), (1, 1, 1));
    assert_eq!([number(b"old"), number(b"edge"), number(b"new")], [None, Some(9), Some(4)]);
    let third = publish("u3", 3, vec![row(b"old", 49, 12)]);
    assert_eq!((third.rows_inactive, third.rows_added), (0, 1));
    assert_eq!(number(b"old"), Some(12));
}

/// Goal: rows that history found for keys that were left to it stand under them again and answer at once, also after
/// reopening; a key that a unit or an erasure touched meanwhile, that holds something, or that nobody awaits, is left alone.
pub fn rows_are_restored(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("trips@1");
    let active_within = Some(Duration::from_micros(60_000_000));
    let publish = |unit: &str, position: u64, rows: Vec<IncomingRow>| {
        world.try_publish(Publication { active_within, ..world.unit(view, unit, position, rows) }).unwrap()
    };
    let row = |key: &[u8], event: i64, number: i64| world.row(key, at(event), at(event), number);
    let keys: [&[u8]; 5] = [b"cold", b"came", b"gone", b"held", b"other"];
    let mut rows: Vec<IncomingRow> = keys.iter().map(|key| row(key, -90, 1)).collect();
    rows[3] = row(b"held", -1, 2);
    let published = publish("u1", 1, rows);
    assert_eq!(published.rows_inactive, 4);
    let numbers = |world: &World<'_, _>| keys.map(|key| world.number_now(view, key));
    assert_eq!(numbers(&world), [None, None, None, Some(2), None]);

    let found = |key: &[u8]| {
        let IncomingRow { key, event, created, row } = row(key, -90, 1);
        (key, vec![StoredRow { event, created, visible: published.visible, position: 1, row }])
    };
    let restore = |keys: &[&[u8]]| {
        harness.wait(world.store.restore(view, keys.iter().map(|key| found(key)).collect())).unwrap()
    };
    assert_eq!(restore(&keys), 0, "nobody awaits them");
    world.store.await_restored(view, keys[..4].iter().map(|key| key.to_vec()).collect());
    publish("u2", 2, vec![row(b"came", -80, 3)]);
    harness.wait(world.store.erase(&[(view, b"gone".to_vec())])).unwrap();
    assert_eq!(restore(&keys), 1);
    assert_eq!(numbers(&world), [Some(1), None, None, Some(2), None]);
    let answered = world.row_now(view, b"cold").unwrap();
    assert_eq!((answered.event, answered.visible, answered.position), (at(-90), published.visible, 1));
    assert_eq!(restore(&keys), 0, "each time is awaited anew");
    // It is a row as any other from here on.
    publish("u3", 3, vec![row(b"cold", -85, 4)]);
    assert_eq!(world.number_now(view, b"cold"), Some(4));
    let units = harness.wait(world.store.journal(view)).unwrap().len();
    let world = world.reopen();
    assert_eq!((numbers(&world), units), ([Some(4), None, None, Some(2), None], 3));
}

/// Goal: units that wait for history are read as any other and journaled apart; settled, one unit takes their place, what is
/// answered stays, and doing it again changes nothing.
pub fn waiting_units(harness: &impl Harness) {
    let mut world = World::open(harness);
    let view = world.view("trips@1");
    world.publish(view, "load", 1, vec![world.row(b"a", at(-9), at(-9), 1)]);
    for (number, name) in ["p1", "p2", "p3"].into_iter().enumerate() {
        world.clock.set(at(10 * number as i64 + 10));
        let rows = vec![world.row(b"a", at(number as i64 - 8), at(number as i64 - 8), 10 + number as i64)];
        world.try_publish(Publication { waits: true, ..world.unit(view, name, 0, rows) }).unwrap();
    }
    let names = |units: Vec<UnitStamp>| -> Vec<String> { units.into_iter().map(|unit| unit.unit).collect() };
    let waiting = |world: &World<'_, _>| harness.wait(world.store.waiting(view)).unwrap();
    let journal = |world: &World<'_, _>| names(harness.wait(world.store.journal(view)).unwrap());
    let units = waiting(&world);
    assert_eq!(journal(&world), ["load"]);
    assert_eq!(units.iter().map(|unit| unit.visible).collect::<Vec<_>>(), [at(10), at(20), at(30)]);
    let again = world.unit(view, "p2", 0, vec![world.row(b"b", at(0), at(0), 9)]);
    assert!(world.try_publish(Publication { waits: true, ..again }).unwrap().already);
    let unit =
        UnitStamp { unit: "both".to_owned(), visible: at(20), position: 7, rows: 2, note: "n".to_owned() };
    for _ in 0..2 {
        harness.wait(world.store.settle(view, &unit)).unwrap();
        assert_eq!(
            (journal(&world), names(waiting(&world))),
            (vec!["load".into(), "both".into()], vec!["p3".into()])
        );
        let statistics = harness.wait(world.store.statistics(view)).unwrap();
        assert_eq!(
            (statistics.units, statistics.position, statistics.last_visible),
            (2, Some(7), Some(at(30)))
        );
        assert_eq!(world.number_now(view, b"a"), Some(12));
        world = world.reopen();
        world.clock.set(at(40));
    }
    // A unit that waits may be replayed behind later ones.
    let late = world.unit(view, "late", 0, vec![world.row(b"c", at(-9), at(-9), 5)]);
    let late = Publication { waits: true, visible: Some(at(15)), ..late };
    assert_eq!(world.try_publish(late).unwrap().visible, at(15));
    assert_eq!(world.number_now(view, b"c"), Some(5));
}
