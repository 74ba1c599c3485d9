//! States of aggregates, events of a key, canonical values and keys: any bytes are read or refused, and what is read is written
//! so that it reads the same.
#![no_main]

use asof_fuzz::{split, types};
use asof_model::{ValueType, canonical, key};
use asof_online::events::head::Head;
use asof_online::events::stream::{Decoded, Resume};
use asof_window::{Aggregate, Bounds, Function};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = split(data) else { return };
    let types = types(choice);
    let _ = Head::read(bytes).is_ok();
    let _ = Decoded::new(&types, None).read(bytes, &mut Resume::default()).is_ok();
    for of in &types {
        if let Some(value) = canonical::read_bits(*of, bytes) {
            assert_eq!(canonical::bits(&value), bytes);
        }
    }
    if let Some(parts) = key::decode_key(&types, bytes) {
        assert_eq!(key::encode_key(&parts), bytes);
    }
    let range = Bounds { lower: (-3.0).into(), upper: 9.5.into() };
    let functions = [
        Function::Count,
        Function::CountDistinct,
        Function::ApproxCountDistinct,
        Function::Sum,
        Function::Avg,
        Function::VarSamp,
        Function::Min,
        Function::TopN(3),
        Function::BoolOr,
        Function::First,
        Function::LastN(4),
        Function::DistinctLastN(3),
        Function::TopK(2),
        Function::Histogram(range, 5),
        Function::ApproxPercentile(0.9.into()),
    ];
    for function in functions {
        for input in [ValueType::Int64, ValueType::Float64, ValueType::String, ValueType::Bool] {
            let Some(aggregate) = Aggregate::new(function, input) else { continue };
            if let Some(state) = aggregate.read_state(bytes) {
                let again = aggregate.read_state(&state.to_bytes()).expect("a state that was written");
                assert_eq!(again.to_bytes(), state.to_bytes());
                let _ = aggregate.value(&state);
                let mut merged = state.clone();
                assert!(merged.merge(&aggregate.state()));
            }
        }
    }
});
