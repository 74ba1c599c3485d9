//! The entry codec and the fold, against a model that keeps every row.

use asof_model::{Cell, Instant, Value, ValueType};
use asof_online::entry::{RECORD_BYTES_MAX, better, decode_entry, encode_entry, overflow_from, row_at};
use asof_online::fold::{FoldRow, FoldUnit, Folded, fold};
use asof_online::{RowLayout, StoredRow, WAITING_INLINE_MAX};
use proptest::collection::vec;
use proptest::prelude::*;

fn at(micros: i64) -> Instant {
    Instant::from_micros_clamped(micros)
}

fn layout() -> RowLayout {
    RowLayout::new(&[ValueType::Int32, ValueType::Int32])
}

/// A row of one feature, or of two where `added` is given.
fn bytes(first: i32, added: Option<i32>) -> Vec<u8> {
    let cells: Vec<Cell> =
        [Some(first), added].into_iter().flatten().map(|v| Cell::Value(Value::Int32(v))).collect();
    layout().encode(&cells)
}

fn incoming(event: i64, created: i64, first: i32, added: Option<i32>) -> FoldRow {
    FoldRow { event: at(event), created: at(created), row: bytes(first, added) }
}

fn fold_at(entry: Vec<StoredRow>, rows: Vec<FoldRow>, visible: i64, declared: bool) -> Folded {
    let layout = layout();
    let unit = FoldUnit {
        visible: at(visible),
        position: visible as u64,
        layout: &layout,
        created_declared: declared,
    };
    fold(entry, rows, unit).unwrap()
}

/// The row in force by the records, as a reader finds it.
fn read(rows: &[StoredRow], t: Instant) -> Option<StoredRow> {
    let encoded = encode_entry(rows).unwrap();
    let mut found = row_at(&encoded.entry, t).unwrap();
    if overflow_from(&encoded.entry).unwrap().is_some_and(|from| from <= t) {
        found = better(found, row_at(encoded.overflow.as_ref().unwrap(), t).unwrap());
    }
    found.map(|row| StoredRow {
        event: row.event,
        created: row.created,
        visible: row.visible,
        position: row.position,
        row: row.row.to_vec(),
    })
}

/// Units of small rows on few instants, so that ties, repeats, late and waiting rows are common.
fn units() -> impl Strategy<Value = Vec<(i64, Vec<FoldRow>)>> {
    let row = (0..40_i64, 0..40_i64, any::<bool>(), 0..2, proptest::option::of(0..2)).prop_map(
        |(event, created, same, first, added)| {
            incoming(event, if same { event } else { created }, first, added)
        },
    );
    vec((1..4_i64, vec(row, 0..8)), 1..12)
}

proptest! {
    /// Goal: after every unit, and for every `t` not before its stamp, the entry answers what a scan of all rows
    /// ever given answers, first visible and position included.
    #[test]
    fn fold_agrees_with_a_model_that_keeps_all_rows(units in units()) {
        let layout = layout();
        let (mut entry, mut all, mut visible) = (Vec::new(), Vec::<StoredRow>::new(), 0);
        for (step, rows) in units {
            visible += step;
            for FoldRow { event, created, row } in rows.clone() {
                let known = all.iter().any(|old| (old.event, old.created, &old.row) == (event, created, &row));
                if !known {
                    all.push(StoredRow { event, created, visible: at(visible), position: visible as u64, row });
                }
            }
            let given = rows.len() as u64;
            let folded = fold_at(entry.clone(), rows, visible, false);
            prop_assert_eq!(folded.added + folded.repeated + folded.beaten, given);
            prop_assert_eq!(folded.changed, folded.rows != entry);
            let waiting = folded.rows.iter().filter(|row| row.in_force() > at(visible)).count() as u64;
            prop_assert_eq!(folded.waiting, waiting);
            // All but the last row wait: nothing is kept that a row in force beats.
            prop_assert!(folded.rows.len() as u64 <= waiting + 1);
            entry = folded.rows;
            for t in (visible..visible + 60).map(at) {
                let mut naive: Option<&StoredRow> = None;
                for row in all.iter().filter(|row| row.in_force() <= t) {
                    let greater = naive.is_none_or(|best| {
                        (row.event, row.created).cmp(&(best.event, best.created))
                            .then_with(|| layout.compare(&row.row, &best.row).unwrap()).is_gt()
                    });
                    if greater {
                        naive = Some(row);
                    }
                }
                let found = read(&entry, t);
                // A row that was beaten when it first came is forgotten; should it come again it is beaten again,
                // so instants of knowledge can't differ either.
                prop_assert_eq!(found.as_ref(), naive, "at {}", t);
            }
        }
    }

    /// Goal: the rows of one unit give the same entry and the same counts in any order.
    #[test]
    fn one_unit_in_any_order(units in units(), seed in any::<u64>()) {
        let (mut entry, mut visible) = (Vec::new(), 0);
        for (step, rows) in units {
            visible += step;
            let mut shuffled = rows.clone();
            let mut state = seed | 1;
            for last in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(last, (state >> 33) as usize % (last + 1));
            }
            let folded = fold_at(entry.clone(), rows, visible, false);
            prop_assert_eq!(&folded, &fold_at(entry, shuffled, visible, false));
            entry = folded.rows;
        }
    }

    /// Goal: conflicts are those that comparing every pair finds.
    #[test]
    fn conflicts_are_counted_by_pairs(old in vec((0..3, proptest::option::of(0..3)), 0..4), new in vec((0..3, proptest::option::of(0..3)), 0..6)) {
        // All in the future, so that every row stays and can be compared.
        let rows = |of: &[(i32, Option<i32>)]| of.iter().map(|(a, b)| incoming(90, 90, *a, *b)).collect::<Vec<_>>();
        let entry = fold_at(Vec::new(), rows(&old), 1, false).rows;
        let mut fresh: Vec<_> = new.clone();
        fresh.retain(|row| !old.contains(row));
        fresh.sort();
        fresh.dedup();
        let disagree = |a: &(i32, Option<i32>), b: &(i32, Option<i32>)| {
            a != b && (a.0 != b.0 || (a.1.is_some() && b.1.is_some()))
        };
        let expected = fresh.iter().enumerate().filter(|(index, row)| {
            old.iter().any(|other| disagree(row, other)) || fresh[..*index].iter().any(|other| disagree(row, other))
        }).count() as u64;
        prop_assert_eq!(fold_at(entry.clone(), rows(&new), 2, false).conflicts, expected);
        prop_assert_eq!(fold_at(entry, rows(&new), 2, true).conflicts, 0);
    }

    /// Goal: entries come back in order, and damaged or random records never panic.
    #[test]
    fn entries_come_back(rows in vec((0..99_i64, 0..99_i64, vec(any::<u8>(), 0..9)), 0..30), at_byte in any::<prop::sample::Index>(), by in 1..=255_u8, noise in vec(any::<u8>(), 0..120)) {
        let rows: Vec<StoredRow> = rows.into_iter().map(|(event, created, row)| {
            StoredRow { event: at(event), created: at(created), visible: at(5), position: 9, row }
        }).collect();
        let encoded = encode_entry(&rows).unwrap();
        prop_assert_eq!(encoded.overflowed, rows.len().saturating_sub(WAITING_INLINE_MAX + 1));
        prop_assert_eq!(decode_entry(&encoded.entry, encoded.overflow.as_deref()).unwrap(), rows);
        let mut damaged = encoded.entry.clone();
        let index = at_byte.index(damaged.len());
        damaged[index] ^= by;
        for record in [&damaged[..], &encoded.entry[..index], &noise[..]] {
            let _ = (decode_entry(record, None), overflow_from(record));
            let _ = (row_at(record, at(0)), row_at(record, at(1_000)));
        }
    }
}

/// Goal: the rule of the fold, case by case. Instants are microseconds; a row is `event/created=feature`.
#[test]
fn fold_by_table() {
    type Rows = &'static [(i64, i64, i32)];
    /// Name, rows before, stamp, rows given, rows after, and what was added, repeated, beaten, in conflict.
    type Case = (&'static str, Rows, i64, Rows, Rows, [u64; 4]);
    let cases: [Case; 8] = [
        ("first row", &[], 10, &[(1, 1, 0)], &[(1, 1, 0)], [1, 0, 0, 0]),
        ("greater event", &[(1, 1, 0)], 10, &[(2, 2, 0)], &[(2, 2, 0)], [1, 0, 0, 0]),
        ("greater created", &[(1, 1, 9)], 10, &[(1, 2, 0)], &[(1, 2, 0)], [1, 0, 0, 0]),
        ("smaller", &[(2, 2, 0)], 10, &[(1, 9, 0)], &[(2, 2, 0)], [0, 0, 1, 0]),
        ("identical", &[(2, 2, 0)], 10, &[(2, 2, 0)], &[(2, 2, 0)], [0, 1, 0, 0]),
        ("tie", &[(2, 2, 1)], 10, &[(2, 2, 3), (2, 2, 0)], &[(2, 2, 3)], [1, 0, 1, 2]),
        ("greater but waiting", &[(2, 2, 0)], 10, &[(3, 11, 0)], &[(3, 11, 0), (2, 2, 0)], [1, 0, 0, 0]),
        ("smaller but waiting", &[(9, 99, 0)], 10, &[(8, 50, 0)], &[(9, 99, 0), (8, 50, 0)], [1, 0, 0, 0]),
    ];
    for (name, before, visible, given, after, counts) in cases {
        let rows = |of: Rows| of.iter().map(|(e, c, v)| incoming(*e, *c, *v, None)).collect::<Vec<_>>();
        let entry = fold_at(Vec::new(), rows(before), 5, false).rows;
        let folded = fold_at(entry, rows(given), visible, false);
        let kept: Vec<_> = folded.rows.iter().map(|row| (row.event, row.created, row.row.clone())).collect();
        let expected: Vec<_> = after.iter().map(|(e, c, v)| (at(*e), at(*c), bytes(*v, None))).collect();
        assert_eq!(kept, expected, "{name}");
        assert_eq!([folded.added, folded.repeated, folded.beaten, folded.conflicts], counts, "{name}");
    }
}

/// Goal: many rows of one key in one unit cost time in proportion, also where all of them tie.
#[test]
fn a_hundred_thousand_rows_of_one_key() {
    let ties: Vec<FoldRow> = (0..100_000).map(|n| incoming(7, 7, n, None)).collect();
    let folded = fold_at(Vec::new(), ties, 10, false);
    assert_eq!((folded.rows.len(), folded.beaten, folded.conflicts), (1, 99_999, 99_999));
    let apart: Vec<FoldRow> = (0..100_000).map(|n| incoming(i64::from(n) + 20, 0, n, None)).collect();
    let folded = fold_at(folded.rows, apart, 11, false);
    assert_eq!((folded.rows.len(), folded.waiting), (100_001, 100_000));
    assert!(encode_entry(&folded.rows).unwrap().overflow.unwrap().len() < RECORD_BYTES_MAX);
}
