//! What each edit comes to.

use super::*;
use crate::spec::{About, Entity, Feature, JoinKey, Selection, Source};
use crate::time::Duration;
use crate::types::ValueType;

fn project() -> Definitions {
    let mut all = Definitions::default();
    let keys = vec![JoinKey { name: "driver".into(), value_type: ValueType::Int64 }];
    all.entities.insert("driver".into(), Entity { name: "driver".into(), keys, about: About::default() });
    let source = Source {
        name: "trips_file".into(),
        path: "trips.csv".into(),
        event: "at".into(),
        ..Source::default()
    };
    all.sources.insert("trips_file".into(), source);
    let view = view(1, &["trips", "rating"]);
    all.views.insert(view.id.clone(), view);
    let join = Join {
        view: "trips".into(),
        version: None,
        pinned: false,
        features: Selection::All,
        alias: None,
        keys: BTreeMap::new(),
    };
    all.services
        .insert("rides".into(), Service { name: "rides".into(), joins: vec![join], about: About::default() });
    all
}

fn view(version: u32, features: &[&str]) -> View {
    let feature = |name: &&str| Feature {
        name: (*name).into(),
        value_type: ValueType::Int64,
        default: None,
        aggregation: None,
        computation: None,
        about: About::default(),
    };
    View {
        id: ViewId::new("trips", version),
        entities: vec!["driver".into()],
        source: "trips_file".into(),
        ttl: None,
        keep: None,
        in_place: false,
        history_keep: None,
        active_within: None,
        retention: None,
        edge: crate::window::Edge::Open,
        features: features.iter().map(feature).collect(),
        inputs: Vec::new(),
        on_demand: None,
        freshness: None,
        schedule: None,
        sunset: None,
        about: About::default(),
    }
}

fn decided(recorded: &Catalog, desired: &Definitions) -> Result<Plan, Vec<Refusal>> {
    decide(recorded, desired, &[], &BTreeSet::new())
}

fn applied() -> Catalog {
    decided(&Catalog::default(), &project()).unwrap().outcome
}

/// Goal: what was applied and is applied again is unchanged, in whatever order features are written.
#[test]
fn apply_is_idempotent() {
    let mut again = project();
    let id = ViewId::new("trips", 1);
    again.views.insert(id.clone(), view(1, &["rating", "trips"]));
    let plan = decided(&applied(), &again).unwrap();
    assert_eq!(plan.changes().count(), 0);
    assert_eq!(plan.outcome.views[&id], applied().views[&id]);
}

/// Goal: an added feature is accepted, stands behind the older ones, and keeps the stored rows' name.
#[test]
fn added_features() {
    let mut more = project();
    let id = ViewId::new("trips", 1);
    more.views.insert(id.clone(), view(1, &["bonus", "trips", "rating"]));
    let plan = decided(&applied(), &more).unwrap();
    let names: Vec<_> =
        plan.outcome.definitions.views[&id].features.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["trips", "rating", "bonus"]);
    assert_eq!(plan.outcome.views[&id].identity, applied().views[&id].identity);
    assert_ne!(plan.outcome.views[&id].semantic_hash, applied().views[&id].semantic_hash);
    assert_eq!(plan.changes().count(), 1);
}

/// Goal: each edit that can change bytes is refused and says which; each that can't is accepted.
#[test]
fn breaking_edits_are_refused() {
    type Edit = fn(&mut Definitions);
    let id = || ViewId::new("trips", 1);
    let breaking: [(Edit, &str, bool); 8] = [
        (
            |d| d.views.get_mut(&ViewId::new("trips", 1)).unwrap().ttl = Duration::parse("2h"),
            "ttl: none -> 2h",
            true,
        ),
        (
            |d| d.views.get_mut(&ViewId::new("trips", 1)).unwrap().keep = Duration::parse("2h"),
            "keep: none -> 2h",
            true,
        ),
        (
            |d| d.views.get_mut(&ViewId::new("trips", 1)).unwrap().features.truncate(1),
            "features.rating: int64 -> removed",
            true,
        ),
        (
            |d| d.views.get_mut(&ViewId::new("trips", 1)).unwrap().features[0].value_type = ValueType::Int32,
            "features.trips: int64 -> int32",
            true,
        ),
        (
            |d| d.views.get_mut(&ViewId::new("trips", 1)).unwrap().features[0].default = Some("0".into()),
            "features.trips: int64 -> int64, default \"0\"",
            true,
        ),
        (
            |d| d.sources.get_mut("trips_file").unwrap().zone = Some("Europe/London".into()),
            "source.zone: UTC -> Europe/London",
            false,
        ),
        (
            |d| {
                d.sources.get_mut("trips_file").unwrap().fields.insert("n".into(), "trips".into());
            },
            "source.fields.n: none -> trips",
            false,
        ),
        (
            |d| d.entities.get_mut("driver").unwrap().keys[0].value_type = ValueType::String,
            "keys: driver: int64 -> driver: string",
            false,
        ),
    ];
    for (edit, difference, own) in breaking {
        let mut edited = project();
        edit(&mut edited);
        let refusals = decided(&applied(), &edited).unwrap_err();
        let expected = Refusal::Breaking {
            view: id(),
            differences: vec![difference.to_owned()],
            next: ViewId::new("trips", 2),
            own,
        };
        assert_eq!(refusals, [expected]);
    }
    let harmless: [Edit; 4] = [
        |d| d.sources.get_mut("trips_file").unwrap().path = "elsewhere.csv".into(),
        |d| d.views.get_mut(&ViewId::new("trips", 1)).unwrap().about.owner = Some("rides".into()),
        |d| d.views.get_mut(&ViewId::new("trips", 1)).unwrap().freshness = Duration::parse("1d"),
        |d| {
            d.sources.get_mut("trips_file").unwrap().fields.insert("x".into(), "unused".into());
        },
    ];
    for edit in harmless {
        let mut edited = project();
        edit(&mut edited);
        let plan = decided(&applied(), &edited).unwrap();
        assert_eq!(plan.outcome.views, applied().views);
        assert_eq!(plan.changes().count(), 1);
    }
}

/// Goal: a name without version stays with the version it was recorded with, though a newer one is there.
#[test]
fn recorded_resolution_stays() {
    let mut second = project();
    second.views.insert(ViewId::new("trips", 2), view(2, &["trips"]));
    let active = BTreeSet::from([ViewId::new("trips", 1), ViewId::new("trips", 2)]);
    let plan = decide(&applied(), &second, &[], &active).unwrap();
    assert_eq!(plan.outcome.definitions.services["rides"].joins[0].version, Some(1));
    let fresh =
        decide(&Catalog::default(), &second, &[], &BTreeSet::from([ViewId::new("trips", 1)])).unwrap();
    assert_eq!(fresh.outcome.definitions.services["rides"].joins[0].version, Some(1));
    let none = decide(&Catalog::default(), &second, &[], &BTreeSet::new()).unwrap();
    assert_eq!(none.outcome.definitions.services["rides"].joins[0].version, Some(2));
}

/// Goal: what the files lack is kept; it goes when it is named, and not while others use it.
#[test]
fn removal() {
    let mut fewer = project();
    fewer.services.clear();
    let plan = decided(&applied(), &fewer).unwrap();
    assert_eq!(plan.changes().count(), 0);
    assert!(plan.outcome.definitions.services.contains_key("rides"));
    let remove = |names: &[&str], desired: &Definitions| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        decide(&applied(), desired, &names, &BTreeSet::new())
    };
    assert!(remove(&["rides"], &fewer).unwrap().outcome.definitions.services.is_empty());
    assert_eq!(remove(&["rides"], &project()).unwrap_err(), [Refusal::StillDefined("rides".into())]);
    assert_eq!(remove(&["ridez"], &project()).unwrap_err(), [Refusal::NotRecorded("ridez".into())]);
    fewer.views.clear();
    let refusals = remove(&["trips"], &fewer).unwrap_err();
    assert_eq!(refusals, [Refusal::InUse { name: "trips@1".into(), users: vec!["service `rides`".into()] }]);
    assert!(remove(&["trips", "rides"], &fewer).unwrap().outcome.definitions.views.is_empty());
}
