//! Row-wise queries of sources: a row's result is its own.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch};
use arrow::compute::concat_batches;
use asof_engine::source::raw::{Form, Places, RawBatch, RawColumn};
use asof_engine::source::{Admission, BadRow};
use asof_engine::transform::{self, KnownColumn, SourceColumns, TransformError};
use asof_model::spec::{About, Feature, JoinKey, Source};
use asof_model::transform::Transform;
use asof_model::{Instant, ValueType};
use proptest::prelude::*;

const QUERY: &str = "select *, a / b as ratio, case when b > 0 then sqrt(x) else -x end as root, \
                     lower(name) || '-' || cast(a as string) as label, date_trunc('day', at) as at \
                     from source where a + b < 50";

/// A source with that query, typed over columns of text.
fn source(sql: &str) -> Source {
    let types = [
        ("id", ValueType::Int64),
        ("at", ValueType::Timestamp),
        ("a", ValueType::Int64),
        ("b", ValueType::Int32),
        ("x", ValueType::Float64),
        ("name", ValueType::String),
    ];
    let columns = types.map(|(name, of)| KnownColumn { name: name.to_owned(), value_type: Ok(of) });
    let columns = SourceColumns { columns: columns.to_vec(), complete: true };
    let mut source = Source { name: "rows".to_owned(), event: "at".to_owned(), ..Source::default() };
    let meaning = transform::meaning(&source, sql, |_| Ok::<_, TransformError>(columns.clone())).unwrap();
    source.transform = Some(Transform { sql: sql.to_owned(), lookback: None, meaning: Some(meaning) });
    source
}

fn admission(source: &Source, features: &[(&str, ValueType)]) -> Admission {
    let feature = |(name, value_type): &(&str, ValueType)| Feature {
        name: (*name).to_owned(),
        value_type: *value_type,
        default: None,
        aggregation: None,
        computation: None,
        about: About::default(),
    };
    let keys = [JoinKey { name: "id".to_owned(), value_type: ValueType::Int64 }];
    let features: Vec<Feature> = features.iter().map(feature).collect();
    Admission::new(source, &keys, &features, Instant::MIN, None).unwrap()
}

type Row = Vec<Option<String>>;

/// The rows from `first` on as a batch of a text file; `names` are the fields of a row.
fn batch(admission: &Admission, names: &[&str], rows: &[Row], first: usize) -> RawBatch {
    let columns = admission.columns().iter().map(|column| {
        let place = names.iter().position(|name| *name == column.name).unwrap();
        let fields: Vec<Option<&[u8]>> =
            rows.iter().map(|row| row[place].as_deref().map(str::as_bytes)).collect();
        let array: ArrayRef = Arc::new(BinaryArray::from(fields));
        RawColumn { name: column.name.clone(), array, form: Form::Text }
    });
    RawBatch {
        file: Path::new("rows.csv").into(),
        rows: rows.len(),
        columns: columns.collect(),
        lacking: Vec::new(),
        places: Places::From(first as u64 + 1),
        broken: Vec::new(),
    }
}

/// What becomes of rows that come in batches of these sizes, the last one repeated.
fn admitted(rows: &[Row], sizes: &[usize]) -> (RecordBatch, Vec<BadRow>, u64) {
    let names = ["id", "at", "a", "b", "x", "name"];
    let features = [
        ("ratio", ValueType::Int64),
        ("root", ValueType::Float64),
        ("label", ValueType::String),
        ("name", ValueType::String),
    ];
    // The query gives `at` twice unless `*` leaves it out.
    let admission = admission(&source(&QUERY.replace('*', "* exclude (at)")), &features);
    let (mut batches, mut bad, mut filtered) = (Vec::new(), Vec::new(), 0);
    let mut start = 0;
    let mut sizes = sizes.iter().copied();
    let mut size = 1;
    while start < rows.len() {
        size = sizes.next().unwrap_or(size).max(1);
        let end = rows.len().min(start + size);
        let admitted = admission.admit(&batch(&admission, &names, &rows[start..end], start)).unwrap();
        batches.push(admitted.rows);
        bad.extend(admitted.bad);
        filtered += admitted.filtered;
        start = end;
    }
    if batches.is_empty() {
        batches.push(admission.admit(&batch(&admission, &names, &[], 0)).unwrap().rows);
    }
    (concat_batches(&batches[0].schema(), &batches).unwrap(), bad, filtered)
}

fn field(values: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.9, prop::sample::select(values).prop_map(str::to_owned))
}

fn row() -> impl Strategy<Value = Row> {
    (
        field(&["1", "2", "x"]),
        field(&["2024-01-02T10:00:00Z", "2024-01-03 23:59:59", "yesterday"]),
        field(&["0", "7", "-3", "49", "9223372036854775807", "1.5"]),
        field(&["0", "1", "2", "-1", "3000000000"]),
        field(&["2.25", "-1", "nan", "1e300", "?"]),
        field(&["Ada", "BOB", "é", ""]),
    )
        .prop_map(|(id, at, a, b, x, name)| vec![id, at, a, b, x, name])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Goal: what becomes of a row never depends on what shares its batch: values, errors, bad rows with their numbers,
    /// and rows left out are the same however rows are cut into batches.
    #[test]
    fn batches_do_not_matter(
        rows in prop::collection::vec(row(), 0..40),
        sizes in prop::collection::vec(1_usize..12, 1..8),
    ) {
        let whole = admitted(&rows, &[rows.len()]);
        let cut = admitted(&rows, &sizes);
        prop_assert_eq!(&whole.0, &cut.0);
        prop_assert_eq!(&whole.1, &cut.1);
        prop_assert_eq!(whole.2, cut.2);
        prop_assert_eq!(whole.0.num_rows() + whole.1.len() + whole.2 as usize, rows.len());
        let alone = admitted(&rows, &[1]);
        prop_assert_eq!(whole.0, alone.0);
    }
}
