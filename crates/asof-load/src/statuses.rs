//! The statuses of features in an answer.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::plan::Shape;

/// One answer in so many is read for its statuses: reading every one would cost more than sending the requests.
pub const SAMPLE_EVERY: u64 = 64;
/// Kinds of statuses that are told apart; others are counted as `other`.
const STATUSES_MAX: usize = 16;

#[derive(Deserialize)]
struct Native<'a> {
    #[serde(borrow)]
    rows: Vec<Row<'a>>,
}

#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    statuses: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Feast<'a> {
    #[serde(borrow)]
    results: Vec<Column<'a>>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    feature_names: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Column<'a> {
    #[serde(borrow, default)]
    statuses: Vec<Cow<'a, str>>,
    #[serde(rename = "values")]
    _values: IgnoredAny,
}

/// Adds the statuses of an answer. Columns of Feast's shape that repeat a join key have none of their own. False where the body
/// has not the form of an answer.
pub(crate) fn count(
    shape: Shape,
    body: &[u8],
    is_key: impl Fn(&str) -> bool,
    counts: &mut BTreeMap<String, u64>,
) -> bool {
    let mut add = |status: &str| {
        let room = counts.len() < STATUSES_MAX;
        match counts.get_mut(status) {
            Some(count) => *count += 1,
            None => *counts.entry(if room { status } else { "other" }.to_owned()).or_default() += 1,
        }
    };
    match shape {
        Shape::Native => {
            let Ok(answer) = serde_json::from_slice::<Native<'_>>(body) else { return false };
            answer.rows.iter().flat_map(|row| row.statuses.values()).for_each(|status| add(status));
        }
        Shape::Feast => {
            let Ok(answer) = serde_json::from_slice::<Feast<'_>>(body) else { return false };
            for (column, name) in answer.results.iter().zip(&answer.metadata.feature_names) {
                if !is_key(name) {
                    column.statuses.iter().for_each(|status| add(status));
                }
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(shape: Shape, body: &str) -> Option<Vec<(String, u64)>> {
        let mut counts = BTreeMap::new();
        count(shape, body.as_bytes(), |name| name == "id", &mut counts).then(|| counts.into_iter().collect())
    }

    /// Goal: statuses of features are counted in both shapes, those of join keys are not, and a body of another form is told.
    #[test]
    fn both_shapes() {
        let native = r#"{"t":"x","rows":[{"features":{"a":"MISSING","b":null},"statuses":{"a":"PRESENT","b":"NULL"},"events":{}},
            {"features":{},"statuses":{"a":"PRESENT","b":"OUTSIDE_TTL"},"events":{}}],"positions":{"v@1":3}}"#;
        let right = [("NULL", 1), ("OUTSIDE_TTL", 1), ("PRESENT", 2)].map(|(name, n)| (name.to_owned(), n));
        assert_eq!(counts(Shape::Native, native), Some(right.to_vec()));
        let feast = r#"{"results":[{"values":[1,2],"statuses":["PRESENT","PRESENT"],"event_timestamps":["",""]},
            {"values":["x",null],"statuses":["PRESENT","NOT_FOUND"],"event_timestamps":["",""]}],
            "metadata":{"feature_names":["id","a"]}}"#;
        let right = [("NOT_FOUND", 1), ("PRESENT", 1)].map(|(name, n)| (name.to_owned(), n));
        assert_eq!(counts(Shape::Feast, feast), Some(right.to_vec()));
        for wrong in ["", "{}", "[1]", r#"{"rows":[{"statuses":1}]}"#] {
            assert_eq!(counts(Shape::Native, wrong), None, "{wrong}");
            assert_eq!(counts(Shape::Feast, wrong), None, "{wrong}");
        }
    }

    /// Goal: words without end are counted together.
    #[test]
    fn a_bound_on_words() {
        let mut all = BTreeMap::new();
        for n in 0..100 {
            let body = format!(r#"{{"rows":[{{"statuses":{{"a":"S{n}"}}}}]}}"#);
            assert!(count(Shape::Native, body.as_bytes(), |_| false, &mut all));
        }
        assert_eq!((all.len(), all["other"]), (STATUSES_MAX + 1, 100 - STATUSES_MAX as u64));
    }
}
