//! Columns at chosen rows are those of the whole file, at these rows.

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{cast, concat, take};
use asof_parquet::Selection;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::Arc;

use crate::written::{any_form, open, plainly, table, write};

/// Rows to select, as far as there are so many.
#[derive(Debug, Clone)]
enum Choice {
    All,
    Ranges(Vec<(Index, Index)>),
    Rows(Vec<Index>),
}

fn any_choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::All),
        proptest::collection::vec(any::<(Index, Index)>(), 1..4).prop_map(Choice::Ranges),
        proptest::collection::vec(any::<Index>(), 1..40).prop_map(Choice::Rows),
    ]
}

impl Choice {
    fn of(&self, rows: usize) -> Vec<u32> {
        let mut chosen: Vec<u32> = match self {
            Self::All => (0..rows as u32).collect(),
            Self::Ranges(ranges) => {
                let range = |(one, other): &(Index, Index)| {
                    let (one, other) = (one.index(rows) as u32, other.index(rows) as u32);
                    one.min(other)..=one.max(other)
                };
                ranges.iter().flat_map(range).collect()
            }
            Self::Rows(rows_of) => rows_of.iter().map(|row| row.index(rows) as u32).collect(),
        };
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    fn selection(&self, rows: usize) -> Selection {
        let chosen = self.of(rows);
        match self {
            Self::Rows(_) => Selection::Rows(chosen.into()),
            _ => {
                let mut ranges: Vec<std::ops::Range<u32>> = Vec::new();
                for row in chosen {
                    match ranges.last_mut() {
                        Some(last) if last.end == row => last.end += 1,
                        _ => ranges.push(row..row + 1),
                    }
                }
                Selection::Ranges(ranges)
            }
        }
    }
}

proptest! {
    /// Goal: whatever a writer chose, and whichever rows and columns are asked for in whichever batches, each column
    /// holds what the library reads there.
    #[test]
    fn chosen_rows_of_chosen_columns(
        form in any_form(),
        choice in any_choice(),
        columns in proptest::sample::subsequence((0_usize..18).collect::<Vec<_>>(), 1..=18).prop_shuffle(),
        batch_rows in 1_usize..70,
        index in any::<bool>(),
    ) {
        let written = table(&form);
        let bytes = write(&form, &written);
        let mut file = open(&bytes);
        if index {
            file.load_page_index().unwrap();
        }
        let plain = plainly(&bytes);
        prop_assert_eq!(file.groups(), plain.len());
        for (group, whole) in plain.iter().enumerate() {
            prop_assert_eq!(file.rows_of(group), whole.num_rows());
            let chosen = choice.of(whole.num_rows());
            let batches = file.rows_at(group, &columns, choice.selection(whole.num_rows()), batch_rows).unwrap();
            let batches = batches.collect::<Result<Vec<_>, _>>().unwrap();
            let rows: Vec<u32> = batches.iter().flat_map(|batch| batch.rows.clone()).collect();
            prop_assert_eq!(&rows, &chosen);
            for batch in &batches {
                prop_assert!(batch.rows.len() <= batch_rows);
                prop_assert!(batch.columns.iter().all(|column| column.len() == batch.rows.len()));
            }
            for (place, column) in columns.iter().enumerate() {
                let parts: Vec<&dyn arrow::array::Array> = batches.iter().map(|batch| batch.columns[place].as_ref()).collect();
                let found: ArrayRef = concat(&parts).unwrap();
                let right = take(whole.column(*column), &UInt32Array::from(chosen.clone()), None).unwrap();
                let right = cast(&right, file.schema().field(*column).data_type()).unwrap();
                prop_assert_eq!(&found, &right, "{}", whole.schema().field(*column).name());
            }
        }
    }

    /// Goal: a file with a byte changed is read as an error or as other values, and never makes the reader panic or go
    /// on for ever.
    #[test]
    fn changed_bytes(form in any_form(), place in any::<Index>(), byte in any::<u8>()) {
        let mut bytes = write(&form, &table(&form));
        let place = place.index(bytes.len());
        bytes[place] = byte;
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let chunks = asof_parquet::Chunks::local(file).unwrap();
        let Ok(file) = asof_parquet::ParquetFile::open(chunks) else { return Ok(()) };
        let columns: Vec<usize> = (0..file.schema().fields().len().min(17)).collect();
        for group in 0..file.groups().min(100) {
            let rows = u32::try_from(file.rows_of(group)).unwrap_or(u32::MAX).min(1_000);
            let Ok(batches) = file.rows_at(group, &columns, Selection::all(rows), 50) else { continue };
            for batch in batches.take(1_000) {
                if batch.is_err() {
                    break;
                }
            }
        }
    }
}

/// Goal: a small file whose one row group comes to 300 MB of text is given out in batches that are bounded in bytes, with
/// every row in its place; its texts in a dictionary, and in a form that the library decodes.
#[test]
fn batches_are_bounded_in_bytes() {
    const ROWS: usize = 3_000;
    let long = "x".repeat(100 << 10);
    for encoding in [None, Some(parquet::basic::Encoding::DELTA_BYTE_ARRAY)] {
        let mut bytes = Vec::new();
        let properties = parquet::file::properties::WriterProperties::builder();
        let properties = match encoding {
            None => properties,
            Some(encoding) => properties.set_dictionary_enabled(false).set_encoding(encoding),
        };
        let properties = properties.set_compression(parquet::basic::Compression::SNAPPY).build();
        let mut writer: Option<ArrowWriter<&mut Vec<u8>>> = None;
        let mut target = Some(&mut bytes);
        // In pieces, so that the test itself stays small.
        for start in (0..ROWS).step_by(20) {
            let texts =
                (start..start + 20).map(|row| if row % 100 == 99 { None } else { Some(long.as_str()) });
            let texts: ArrayRef = Arc::new(StringArray::from_iter(texts));
            let rows = RecordBatch::try_from_iter_with_nullable([("t", texts, true)]).unwrap();
            if let Some(target) = target.take() {
                writer = Some(ArrowWriter::try_new(target, rows.schema(), Some(properties.clone())).unwrap());
            }
            writer.as_mut().unwrap().write(&rows).unwrap();
        }
        writer.unwrap().close().unwrap();
        let file = open(&bytes);
        assert_eq!(file.groups(), 1);
        let (mut rows, mut nulls) = (0, 0);
        for batch in file.rows_at(0, &[0], Selection::all(ROWS as u32), 16_384).unwrap() {
            let batch = batch.unwrap();
            assert!(
                batch.columns[0].get_array_memory_size() < 200 << 20,
                "{}",
                batch.columns[0].get_array_memory_size()
            );
            assert_eq!(batch.rows, (rows as u32..(rows + batch.rows.len()) as u32).collect::<Vec<_>>());
            rows += batch.rows.len();
            nulls += batch.columns[0].null_count();
        }
        assert_eq!((rows, nulls), (ROWS, ROWS / 100), "{encoding:?}");
    }
}
