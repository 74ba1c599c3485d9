//! What the writers write is what the library makes of the same message, byte for byte.

use asof_model::{Instant, Status, Value, ValueType};
use asof_proto::answer::{Column, ViewState, answer};
use asof_proto::feast_answer::{FeastColumn, feast_answer};
use asof_proto::messages::asof::v1;
use asof_proto::messages::feast::serving::GetOnlineFeaturesResponse;
use asof_proto::{Cell, WrongCell};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;

use crate::messages;
use crate::random::{RandomColumn, columns, instant};

fn feast(random: &[RandomColumn], views: &[(&str, u32)]) -> Vec<u8> {
    let mut columns: Vec<FeastColumn> = random
        .iter()
        .map(|column| FeastColumn::new(&column.name, column.declared, column.rows.len()))
        .collect();
    // Row by row, as a store meets them.
    for row in 0..random.iter().map(|column| column.rows.len()).max().unwrap_or(0) {
        for (column, of) in columns.iter_mut().zip(random) {
            if let Some((value, status, event)) = of.rows.get(row) {
                column.push(Cell::from(value.as_ref()), *status, *event).unwrap();
            }
        }
    }
    feast_answer(&columns, views).to_vec()
}

fn ours(t: Instant, random: &[RandomColumn], views: &[ViewState<'_>]) -> Vec<u8> {
    let columns = random.iter().map(|of| {
        let mut column = Column::new(&of.name, of.declared, of.rows.len());
        of.rows.iter().for_each(|(value, status, event)| {
            column.push(Cell::from(value.as_ref()), *status, *event).unwrap();
        });
        assert_eq!(column.rows(), of.rows.len());
        column
    });
    answer(t, &columns.collect::<Vec<_>>(), views).to_vec()
}

proptest! {
    /// Goal: Feast's answer, of every type, null and status, has the library's bytes and decodes to the same message.
    #[test]
    fn feast_as_the_library(random in columns(), views in vec(("[a-z]{0,5}", 0_u32..300), 0..3)) {
        let views: Vec<(&str, u32)> = views.iter().map(|(name, version)| (name.as_str(), *version)).collect();
        let (written, expected) = (feast(&random, &views), messages::feast(&random, &views));
        // A NaN is not itself, so messages are compared as they print.
        let read = GetOnlineFeaturesResponse::decode(written.as_slice()).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{expected:?}"));
        prop_assert_eq!(written, expected.encode_to_vec());
    }

    /// Goal: our own answer likewise.
    #[test]
    fn ours_as_the_library(
        random in columns(),
        t in instant(),
        states in vec(("[a-z]{0,5}", option::of(any::<u64>()), any::<bool>(), option::of(instant())), 0..3),
    ) {
        let views: Vec<ViewState<'_>> = states
            .iter()
            .map(|(view, position, degraded, newest_event)| ViewState {
                view, position: *position, degraded: *degraded, newest_event: *newest_event,
            })
            .collect();
        let states = views.iter().map(|state| v1::ViewState {
            view: state.view.to_owned(),
            position: state.position,
            degraded: state.degraded,
            newest_event_micros: state.newest_event.map(Instant::micros),
        });
        let expected = messages::ours(t, &random, states.collect());
        let written = ours(t, &random, &views);
        let read = v1::GetOnlineFeaturesResponse::decode(written.as_slice()).unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{expected:?}"));
        prop_assert_eq!(written, expected.encode_to_vec());
    }
}

/// Goal: one answer, by eye: names, values, statuses and times are where a client looks for them.
#[test]
fn by_eye() {
    let event = Instant::from_micros(1_500_000).unwrap();
    let mut key = FeastColumn::new("driver_id", ValueType::Int64, 2);
    let mut rate = FeastColumn::new("conv_rate", ValueType::Float32, 2);
    for (driver, value, status) in [(1001, Some(0.5_f32), Status::Present), (9999, None, Status::Missing)] {
        key.push(Cell::Int64(driver), Status::Present, None).unwrap();
        rate.push(value.map_or(Cell::Null, Cell::Float32), status, Some(event)).unwrap();
    }
    assert_eq!((key.rows(), rate.rows()), (2, 2));
    let bytes = feast_answer(&[key, rate], &[("driver_stats", 1)]);
    let read = GetOnlineFeaturesResponse::decode(bytes).unwrap();
    let metadata = read.metadata.unwrap();
    assert_eq!(metadata.feature_names.unwrap().val, ["driver_id", "conv_rate"]);
    assert_eq!(
        (&*metadata.feature_view_metadata[0].name, metadata.feature_view_metadata[0].version),
        ("driver_stats", 1)
    );
    let shown: Vec<String> = read
        .results
        .iter()
        .map(|column| {
            let values: Vec<_> = column.values.iter().map(|value| &value.val).collect();
            let times: Vec<_> =
                column.event_timestamps.iter().map(|time| (time.seconds, time.nanos)).collect();
            format!("{values:?} {:?} {times:?}", column.statuses)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "[Some(Int64Val(1001)), Some(Int64Val(9999))] [1, 1] [(0, 0), (0, 0)]",
            "[Some(FloatVal(0.5)), None] [1, 3] [(1, 500000000), (0, 0)]",
        ]
    );
}

/// Goal: a value that is not of its column's type is refused, also within a list, and says where.
#[test]
fn wrong_cells() {
    let wrong = |declared: ValueType, row| WrongCell { column: "a".to_owned(), declared, row };
    let text = [Some(Value::String("x".to_owned()))];
    let entries = [("k".to_owned(), Some(Value::Bool(true)))];
    let list = ValueType::parse("list(int64)").unwrap();
    let map = ValueType::parse("map(string, int64)").unwrap();
    for (declared, cell) in [
        (ValueType::Int64, Cell::Int32(1)),
        (ValueType::Float64, Cell::Float32(1.0)),
        (ValueType::String, Cell::Json("{}")),
        (ValueType::Embedding(2), Cell::Embedding(&[1.0])),
        (list, Cell::List(&text)),
        (map, Cell::Map(&entries)),
    ] {
        let mut feast = FeastColumn::new("a", declared, 0);
        feast.push(Cell::Null, Status::Null, None).unwrap();
        assert_eq!(feast.push(cell, Status::Present, None), Err(wrong(declared, 1)));
        let mut ours = Column::new("a", declared, 0);
        ours.push(Cell::Null, Status::Null, None).unwrap();
        assert_eq!(ours.push(cell, Status::Present, None), Err(wrong(declared, 1)));
    }
}
