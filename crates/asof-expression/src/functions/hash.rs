//! Stable hashes.

use asof_model::canonical;
use asof_model::{Cell, Value, ValueType};

use crate::function::{Args, Body, Built, Failed, Function, Outcome, entry, int};

pub(crate) const ALL: &[&Function] = &[&entry(
    "hash_bucket",
    &["(x any, buckets int64) -> int64"],
    "A number from 0 to `buckets - 1` that is the same for the same value, always and everywhere: FNV-1a (64 bits) over \
     the canonical bytes of the value, mixed by the finaliser of MurmurHash3, modulo `buckets`. An int32 counts as an \
     int64.",
    "`buckets` is not positive",
    &[("hash_bucket('user-17', 100)", "41"), ("hash_bucket(1, 0)", "ERROR")],
    Body::Built(|nodes| {
        let of = nodes.first().map_or(ValueType::Int64, |node| node.value_type);
        Ok(Built::new(move |args| hash_bucket(args, of)))
    }),
)];

fn hash_bucket(args: &Args<'_>, of: ValueType) -> Outcome {
    let (value, of) = match args.value(0)? {
        Value::Int32(v) => (Value::Int64(i64::from(*v)), ValueType::Int64),
        value => (value.clone(), of),
    };
    let buckets = u64::try_from(args.int(1)?).ok().filter(|buckets| *buckets > 0).ok_or(Failed)?;
    let mut bytes = Vec::new();
    canonical::write_cell(&mut bytes, of, &Cell::Value(value));
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // FNV alone leaves its low bits poorly mixed.
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let hash = hash ^ (hash >> 33);
    int(i64::try_from(hash % buckets).map_err(|_| Failed)?)
}
