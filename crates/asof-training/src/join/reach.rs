//! Which rows of a history can matter to the labels, before anything of it is read: by their instants, and by the values of
//! their first join key.

use std::sync::Arc;

use asof_model::{Value, ValueType, key};

use super::index::Index;
use super::keys::KeyForm;
use super::label_pass::LabelPass;
use super::run::{Layout, Run};
use super::scan::Target;
use crate::history::{KeyValuesWanted, Reach};

/// The most keys that are listed; of more the bounds are told, where they have any.
const KEYS_LISTED_MAX: usize = 65_536;

/// For each view of a history which of its rows can matter.
pub(crate) fn of_history(
    run: &Run<'_>,
    pass: &LabelPass<'_>,
    layout: &Layout,
    target: &Target<'_>,
    history: usize,
    views: usize,
) -> Vec<Reach> {
    let of_view = |view: usize| {
        let specs = run.spec.views.iter().zip(&layout.views);
        let specs = specs.filter(|(spec, _)| (spec.history, spec.view) == (history, view));
        let (first, last) = pass.times;
        let mut reach =
            Reach { from: i64::MAX, until: last, first_label: first, keys: None, units_matter: false };
        let mut keys: Option<Option<KeyValuesWanted>> = None;
        for (spec, lanes) in specs {
            reach.from = reach.from.min(first.saturating_sub(run.spec.reach(&spec.rule)));
            let served = lanes.served.is_some() || spec.rule.known_at == asof_model::KnownAt::Served;
            reach.units_matter |= served || spec.units.any_replaced();
            let wanted = match target {
                Target::Resident(indexes) => values(run, pass, &indexes[spec.keys], spec.keys),
                Target::Aside { .. } => bounds(pass, spec.keys),
            };
            keys = Some(match keys {
                None => wanted,
                // Under several aliases, values of one or the other.
                Some(before) => before.zip(wanted).and_then(|(one, other)| union(one, other)),
            });
        }
        reach.keys = keys.flatten();
        reach
    };
    (0..views).map(of_view).collect()
}

/// The values of the first join key that labels have.
fn values(run: &Run<'_>, pass: &LabelPass<'_>, index: &Index, keys: usize) -> Option<KeyValuesWanted> {
    let mut count = 0;
    index.each(|shard| count += shard.keys.len());
    if count > KEYS_LISTED_MAX {
        return bounds(pass, keys);
    }
    let types: Vec<ValueType> = run.spec.keys[keys].iter().map(|(_, of)| *of).collect();
    if pass.keyed[keys].form == KeyForm::Number {
        let mut numbers = Vec::with_capacity(count);
        index.each(|shard| numbers.extend(shard.keys.numbers()));
        return Some(listed(numbers));
    }
    let mut texts: Vec<Box<[u8]>> = Vec::new();
    if types.len() == 1 {
        index.each(|shard| texts.extend(shard.keys.texts().map(Box::from)));
        texts.sort_unstable();
        return Some(KeyValuesWanted::Texts(texts.into()));
    }
    let mut numbers = Vec::new();
    let mut first =
        |bytes: &[u8]| match key::decode_key(&types, bytes).and_then(|parts| parts.into_iter().next()) {
            Some(Value::Int32(number)) => numbers.push(i64::from(number)),
            Some(Value::Int64(number)) => numbers.push(number),
            Some(Value::Timestamp(instant)) => numbers.push(instant.micros()),
            Some(Value::String(text)) => texts.push(text.into_bytes().into()),
            Some(Value::Bytes(bytes)) => texts.push(bytes.into()),
            _ => {}
        };
    index.each(|shard| shard.keys.texts().for_each(&mut first));
    match types.first()? {
        ValueType::Int32 | ValueType::Int64 | ValueType::Timestamp => Some(listed(numbers)),
        ValueType::String | ValueType::Bytes => {
            texts.sort_unstable();
            texts.dedup();
            Some(KeyValuesWanted::Texts(texts.into()))
        }
        _ => None,
    }
}

fn listed(mut numbers: Vec<i64>) -> KeyValuesWanted {
    numbers.sort_unstable();
    numbers.dedup();
    KeyValuesWanted::Numbers(numbers.into())
}

fn bounds(pass: &LabelPass<'_>, keys: usize) -> Option<KeyValuesWanted> {
    let (from, until) = pass.keyed[keys].bounds()?;
    Some(KeyValuesWanted::Between(from, until))
}

fn union(one: KeyValuesWanted, other: KeyValuesWanted) -> Option<KeyValuesWanted> {
    use KeyValuesWanted::{Numbers, Texts};
    match (one, other) {
        (Numbers(one), Numbers(other)) => Some(listed(one.iter().chain(other.iter()).copied().collect())),
        (Texts(one), Texts(other)) => {
            let mut all: Vec<Box<[u8]>> = one.iter().chain(other.iter()).cloned().collect();
            all.sort_unstable();
            all.dedup();
            Some(Texts(Arc::from(all)))
        }
        _ => None,
    }
}
