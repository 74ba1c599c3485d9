//! The row codec.

use asof_model::{Cell, Decimal, Instant, ScalarType, Uuid, Value, ValueType, canonical};
use asof_online::layout::FEATURES_MAX;
use asof_online::{CellRef, OnlineError, RowLayout};
use proptest::collection::vec;
use proptest::prelude::*;

pub fn any_type() -> impl Strategy<Value = ValueType> {
    proptest::sample::select(ValueType::examples())
}

pub fn any_cell(of: ValueType) -> BoxedStrategy<Cell> {
    let value = any_value(of).prop_map(Cell::Value);
    prop_oneof![1 => Just(Cell::Null), 1 => Just(Cell::Error), 4 => value].boxed()
}

fn any_value(of: ValueType) -> BoxedStrategy<Value> {
    let item = |of: ScalarType| proptest::option::of(any_value(of.into()));
    match of {
        ValueType::Int32 => any::<i32>().prop_map(Value::Int32).boxed(),
        ValueType::Int64 => any::<i64>().prop_map(Value::Int64).boxed(),
        ValueType::Float32 => any::<u32>().prop_map(|bits| Value::float32(f32::from_bits(bits))).boxed(),
        ValueType::Float64 => any::<u64>().prop_map(|bits| Value::float64(f64::from_bits(bits))).boxed(),
        ValueType::String => ".{0,12}".prop_map(Value::String).boxed(),
        ValueType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        ValueType::Bytes => vec(any::<u8>(), 0..12).prop_map(Value::Bytes).boxed(),
        ValueType::Timestamp => (Instant::MIN.micros()..=Instant::MAX.micros())
            .prop_map(|micros| Value::Timestamp(Instant::from_micros_clamped(micros)))
            .boxed(),
        ValueType::Date => any::<i32>().prop_map(Value::Date).boxed(),
        ValueType::Decimal(of) => {
            let most = 10_i128.pow(of.precision().into()) - 1;
            (-most..=most).prop_map(move |units| Value::Decimal(Decimal { units, scale: of.scale() })).boxed()
        }
        ValueType::Uuid => any::<u128>().prop_map(|bits| Value::Uuid(Uuid::from_u128(bits))).boxed(),
        ValueType::Json => "[0-9]{1,9}".prop_map(Value::Json).boxed(),
        ValueType::List(of) => vec(item(of), 0..4).prop_map(Value::List).boxed(),
        ValueType::Map(of) => proptest::collection::btree_map(".{0,3}", item(of), 0..4)
            .prop_map(|entries| Value::Map(entries.into_iter().collect()))
            .boxed(),
        ValueType::Embedding(dimensions) => vec(any::<u32>(), usize::from(dimensions))
            .prop_map(|bits| Value::embedding(bits.into_iter().map(f32::from_bits).collect()))
            .boxed(),
    }
}

fn types_and_cells() -> impl Strategy<Value = (Vec<ValueType>, Vec<Cell>)> {
    vec(any_type(), 0..20).prop_flat_map(|types| {
        let cells = types.iter().map(|of| any_cell(*of)).collect::<Vec<_>>();
        (Just(types), cells)
    })
}

proptest! {
    /// Goal: every cell of every type comes back, in bulk and alone, from rows with fewer features than the layout
    /// and by layouts with fewer features than the row.
    #[test]
    fn rows_come_back((types, cells) in types_and_cells(), written in 0..20_usize, read in 0..20_usize) {
        let (written, read) = (written.min(types.len()), read.min(types.len()));
        let row = RowLayout::new(&types).encode(&cells[..written]);
        prop_assert_eq!(RowLayout::feature_count(&row).unwrap(), written);
        let layout = RowLayout::new(&types[..read]);
        let common = written.min(read);
        prop_assert_eq!(layout.cells(&row).unwrap(), &cells[..common]);
        for (feature, expected) in cells.iter().enumerate() {
            let found = layout.cell(&row, feature).unwrap().map(CellRef::to_cell);
            prop_assert_eq!(found, (feature < common).then(|| expected.clone()));
        }
        prop_assert_eq!(layout.check(&row).is_ok(), written <= read);
    }

    /// Goal: rows compare as their canonical bytes do, and a row that another extends is the smaller one.
    #[test]
    fn rows_compare_by_canonical_bytes(
        (types, a, b, short) in vec(any_type(), 1..5).prop_flat_map(|types| {
            let cells = || types.iter().map(|of| any_cell(*of)).collect::<Vec<_>>();
            (Just(types.clone()), cells(), cells(), 0..types.len())
        })
    ) {
        let layout = RowLayout::new(&types);
        let expected = canonical::row_bytes(&types, &a).cmp(&canonical::row_bytes(&types, &b));
        prop_assert_eq!(layout.compare(&layout.encode(&a), &layout.encode(&b)).unwrap(), expected);
        let (cut, whole) = (layout.encode(&a[..short]), layout.encode(&a));
        prop_assert_eq!(layout.compare(&cut, &whole).unwrap(), std::cmp::Ordering::Less);
    }

    /// Goal: random bytes are an error or a row, never a panic.
    #[test]
    fn random_bytes_do_not_panic(types in vec(any_type(), 0..8), mut bytes in vec(any::<u8>(), 0..80), lead in any::<bool>()) {
        if lead && bytes.len() > 8 {
            let fixed = bytes[4] % 64;
            bytes[..8].copy_from_slice(&[1, 0, types.len() as u8, 0, fixed, 0, 0, 0]);
        }
        read_all(&RowLayout::new(&types), &bytes);
    }

    /// Goal: a row with any bytes changed or cut off is an error or a row, never a panic.
    #[test]
    fn damaged_rows_do_not_panic((types, cells) in types_and_cells(), at in any::<prop::sample::Index>(), by in 1..=255_u8, cut in any::<bool>()) {
        let layout = RowLayout::new(&types);
        let mut row = layout.encode(&cells);
        let at = at.index(row.len());
        if cut { row.truncate(at) } else { row[at] ^= by }
        read_all(&layout, &row);
    }
}

fn read_all(layout: &RowLayout, bytes: &[u8]) {
    let _ = (layout.cells(bytes), layout.check(bytes), layout.compare(bytes, bytes));
    for feature in 0..layout.types().len() + 2 {
        let _ = layout.cell(bytes, feature);
    }
}

/// Goal: the bytes of version 1 stay what they are.
#[test]
fn bytes_of_version_1() {
    let types = [ValueType::Int32, ValueType::String, ValueType::Bool, ValueType::Bytes, ValueType::Date];
    let cells = [
        Cell::Value(Value::Int32(-2)),
        Cell::Value(Value::String("né".into())),
        Cell::Null,
        Cell::Value(Value::Bytes(vec![7])),
        Cell::Error,
    ];
    let row = RowLayout::new(&types).encode(&cells);
    let expected = [
        &[1, 0, 5, 0, 17, 0, 0, 0][..],
        &[0b10_00_10_10, 0b01],
        &[0xfe, 0xff, 0xff, 0xff, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0],
        &[b'n', 0xc3, 0xa9, 7],
    ];
    assert_eq!(row, expected.concat());
}

/// Goal: a value of a wrong type becomes an error cell, and cells beyond the types are not written.
#[test]
fn what_a_caller_should_never_pass() {
    let layout = RowLayout::new(&[ValueType::Int64, ValueType::String]);
    let text = || Cell::Value(Value::String("x".into()));
    let row = layout.encode(&[text(), text(), text()]);
    assert_eq!(layout.cells(&row).unwrap(), [Cell::Error, text()]);
    let many = RowLayout::new(&vec![ValueType::Bool; FEATURES_MAX + 1]);
    assert_eq!(many.types().len(), FEATURES_MAX);
}

/// Goal: rows of a newer program and rows with more features than the layout are told apart from damage.
#[test]
fn newer_rows() {
    let (short, long) =
        (RowLayout::new(&[ValueType::Bool]), RowLayout::new(&[ValueType::Bool, ValueType::Date]));
    let mut row = long.encode(&[Cell::Null, Cell::Null]);
    assert!(matches!(short.compare(&row, &row), Err(OnlineError::RowNewer { features: 2, known: 1 })));
    row[0] = 2;
    assert!(matches!(short.cells(&row), Err(OnlineError::UnknownVersion { found: 2, newest: 1, .. })));
}
