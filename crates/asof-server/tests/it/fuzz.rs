//! Nothing that a client sends is our failure.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value as Json, json};

use crate::support::World;

/// JSON of any form, and of forms close to a request.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        (0..5_i64).prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
        prop::sample::select(vec![
            "recent:level",
            "every_type:*",
            "recent:*",
            "sensor_model",
            "2026-01-01",
            "aGk=",
            "a:b:c",
            "@:"
        ])
        .prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|fields| fields.into_iter().collect::<Json>()),
        ]
    })
}

/// A request of which any part may be wrong.
fn any_request() -> impl Strategy<Value = String> {
    let feature = prop::sample::select(vec![
        "recent:level",
        "recent:temperature",
        "recent@1:level",
        "recent@v1:*",
        "every_type:f32",
        "rates:rate",
        "odd_facts:fact",
        "never_loaded:level",
        "place_facts:size",
        "old_facts:*",
        "nope:x",
        "recent:nope",
        "",
        ":",
        "@v",
    ]);
    let features = prop_oneof![
        4 => prop::collection::vec(feature, 0..4).prop_map(|names| json!(names)),
        1 => any_json(),
    ];
    let columns = prop::collection::vec(
        (
            prop::sample::select(vec!["sensor_id", "sensor", "place", "at", "flag", "raw", "x", ""]),
            prop_oneof![3 => prop::collection::vec(any_json(), 0..3).prop_map(Json::from), 1 => any_json()],
        ),
        0..5,
    );
    let rows = prop::collection::vec(any_json(), 0..3).prop_map(Json::from);
    let keyed = prop::collection::vec(any_json().prop_map(|key| json!({"sensor_id": key})), 0..3)
        .prop_map(Json::from);
    let entities = prop_oneof![
        4 => columns.prop_map(|columns| columns.into_iter().map(|(name, values)| (name.to_owned(), values)).collect()),
        2 => keyed,
        1 => rows,
        1 => any_json(),
    ];
    let field = prop::sample::select(vec![
        "now",
        "full_names",
        "include_expired",
        "service",
        "feature_service",
        "full_feature_names",
    ]);
    let others = prop::collection::vec((field, any_json()), 0..2);
    let request = (features, entities, others).prop_map(|(features, entities, others)| {
        let mut request = json!({ "features": features, "entities": entities });
        for (field, value) in others {
            request[field] = value;
        }
        request.to_string()
    });
    prop_oneof![
        6 => request,
        1 => any_json().prop_map(|json| json.to_string()),
        1 => ".{0,40}",
    ]
}

/// Goal: whatever a body holds, both faces answer it with valid JSON and never as a failure of ours.
#[test]
fn no_body_is_our_failure() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    // The same requests each time, so that what they reach below is certain.
    let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { cases: 1_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, seed);
    let met = RefCell::new(BTreeMap::<String, usize>::new());
    let outcome = runner.run(&any_request(), |body| {
        for path in ["/get-online-features", "/v1/online-features"] {
            let answer = runtime.block_on(world.post(path, &body));
            let (status, text) = answer.split_at(3);
            prop_assert!(matches!(status, "200" | "404" | "409" | "422"), "{path} {body}: {answer}");
            prop_assert!(serde_json::from_str::<Json>(text).is_ok(), "{path} {body}: {answer}");
            *met.borrow_mut().entry(format!("{path} {status}")).or_default() += 1;
        }
        Ok(())
    });
    outcome.unwrap();
    // The strategy reaches what it is for: of its requests some are good and some are wrong, on both faces.
    let met = met.into_inner();
    for path in ["/get-online-features", "/v1/online-features"] {
        for status in ["200", "404", "422"] {
            assert!(met.contains_key(&format!("{path} {status}")), "{met:?}");
        }
    }
}
