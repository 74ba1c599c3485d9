//! What is left out of a file holds no row of interest.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use asof_parquet::Selection;
use asof_parquet::prune::{Predicate, Wanted};
use proptest::prelude::*;

use crate::written::{any_form, open, plainly, table, write};

proptest! {
    /// Goal: a row that meets every predicate is left, in whatever form the file is written; and what was skipped is
    /// counted exactly.
    #[test]
    fn rows_of_interest_are_left(
        form in any_form(),
        keys in proptest::option::of(proptest::collection::btree_set(-20_i64..60, 0..4)),
        names in proptest::option::of(proptest::collection::btree_set(0_u64..40, 0..4)),
        times in proptest::option::of((-10_i64..150, 0_i64..60)),
    ) {
        let names = names.map(|names| names.into_iter().map(|name| format!("n{name}")).collect::<std::collections::BTreeSet<String>>());
        let times = times.map(|(from, length)| from * 1_000_000..=(from + length) * 1_000_000);
        let bytes = write(&form, &table(&form));
        let mut file = open(&bytes);
        let mut predicates = Vec::new();
        if let Some(keys) = &keys {
            let wanted = Wanted::Numbers(keys.iter().copied().collect::<Vec<_>>().into());
            predicates.push(Predicate { column: 0, wanted });
        }
        if let Some(names) = &names {
            let texts: Vec<Box<[u8]>> = names.iter().map(|name| name.as_bytes().into()).collect();
            predicates.push(Predicate { column: 1, wanted: Wanted::Texts(Arc::from(texts)) });
        }
        if let Some(times) = &times {
            predicates.push(Predicate { column: 2, wanted: Wanted::Within(times.clone()) });
        }
        let pruned = file.prune(&predicates).unwrap();
        let mut left = 0;
        for (group, whole) in plainly(&bytes).iter().enumerate() {
            let selection = pruned.groups.iter().find(|(each, _)| *each == group).map(|(_, selection)| selection);
            let ranges = match selection {
                Some(Selection::Ranges(ranges)) => ranges.clone(),
                _ => Vec::new(),
            };
            left += ranges.iter().map(|range| range.len() as u64).sum::<u64>();
            let (key, name) = (whole.column(0).as_primitive::<Int64Type>(), whole.column(1).as_string::<i32>());
            let time = whole.column(2).as_primitive::<TimestampMicrosecondType>();
            for row in 0..whole.num_rows() {
                let meets = keys.as_ref().is_none_or(|keys| key.is_valid(row) && keys.contains(&key.value(row)))
                    && names.as_ref().is_none_or(|names| name.is_valid(row) && names.contains(name.value(row)))
                    && times.as_ref().is_none_or(|times| times.contains(&time.value(row)));
                prop_assert!(!meets || ranges.iter().any(|range| range.contains(&(row as u32))), "group {} row {}", group, row);
            }
        }
        let skipped = pruned.skipped;
        prop_assert_eq!(left + skipped.rows_of_groups + skipped.rows_of_pages, form.rows as u64);
    }
}

/// Goal: row groups, pages and bloom filters do leave out what they can.
#[test]
fn what_can_be_left_out_is() {
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;
    let ascending: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
    let scattered: ArrayRef =
        Arc::new(Int64Array::from_iter_values((0..10_000).map(|row| row * 7_919 % 20_000)));
    let rows = RecordBatch::try_from_iter([("ascending", ascending), ("scattered", scattered)]).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(1_000))
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(100)
        .set_bloom_filter_enabled(true)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();

    let pruned = |column, wanted| open(&bytes).prune(&[Predicate { column, wanted }]).unwrap();
    let found = pruned(0, Wanted::Within(2_350..=3_120));
    assert_eq!(found.skipped.groups_out_of_range, 8);
    assert_eq!(
        found.groups,
        [(2, Selection::Ranges(vec![300..1_000])), (3, Selection::Ranges(vec![0..200]))]
    );
    assert_eq!((found.skipped.rows_of_groups, found.skipped.rows_of_pages), (8_000, 1_100));

    let found = pruned(0, Wanted::Numbers(vec![-5, 4_444, 20_000].into()));
    assert_eq!(found.skipped.groups_without_values, 9);
    assert_eq!(found.groups, [(4, Selection::Ranges(vec![400..500]))]);

    // 7,919 is what row 1 holds, and no other row; the bounds of each row group hold it.
    let found = pruned(1, Wanted::Numbers(vec![7_919].into()));
    assert!(found.skipped.groups_by_bloom_filter >= 8, "{:?}", found.skipped);
    assert_eq!(found.groups[0].0, 0);
}
