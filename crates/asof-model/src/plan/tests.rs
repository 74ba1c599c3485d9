//! What each edit comes to.

use super::*;
use crate::on_demand::{Computation, ComputationMeaning, InputView, OnDemand, Read, RequestField};
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

/// A view on demand over `trips` with features that read what they say; the version of its input is open.
fn computed(version: Option<u32>, features: &[(&str, &str, &[Read])]) -> View {
    let feature = |(name, text, reads): &(&str, &str, &[Read])| {
        let meaning = ComputationMeaning { text: (*text).into(), reads: reads.to_vec() };
        let mut feature = view(1, &[name]).features.remove(0);
        feature.computation = Some(Computation { expr: (*text).into(), meaning: Some(meaning) });
        feature
    };
    let field = |name: &str| RequestField { name: name.into(), value_type: ValueType::Int64 };
    let input = InputView { view: "trips".into(), version, pinned: version.is_some() };
    View {
        id: ViewId::new("ratios", 1),
        entities: Vec::new(),
        source: String::new(),
        features: features.iter().map(feature).collect(),
        on_demand: Some(OnDemand { request: vec![field("a"), field("b")], inputs: vec![input] }),
        ..view(1, &[])
    }
}

fn with_computed(view: View) -> Definitions {
    let mut all = project();
    all.views.insert(view.id.clone(), view);
    all
}

fn request(name: &str) -> Read {
    Read::Request(name.into())
}

fn trips(feature: &str) -> Read {
    Read::Feature { view: "trips".into(), feature: feature.into() }
}

/// Goal: the facts of a view on demand are its expressions, and of what it reads only what they read: what nobody reads
/// may come and go, and a new feature brings its own.
#[test]
fn facts_on_demand() {
    let one = ("x", "(a + 1)", &[request("a")][..]);
    let applied = decided(&Catalog::default(), &with_computed(computed(None, &[one]))).unwrap().outcome;
    let id = ViewId::new("ratios", 1);
    let view = &applied.definitions.views[&id];
    let facts = |view: &View| -> Vec<String> {
        let facts = hash::facts(view, &applied.definitions);
        facts.iter().map(|fact| format!("{}: {}", fact.name, fact.text)).collect()
    };
    assert_eq!(facts(view), ["semantics: 1", "request.a: int64", "features.x: (a + 1): int64"]);
    assert_eq!(view.on_demand.as_ref().unwrap().inputs[0].version, Some(1), "resolved");

    let reads = [request("b"), trips("trips")];
    let two = ("y", "(b + trips.trips)", &reads[..]);
    let plan = decided(&applied, &with_computed(computed(None, &[two, one]))).unwrap();
    let changes: Vec<&Step> = plan.changes().collect();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].details, ["features.y: (b + trips.trips): int64"]);
    let more = &plan.outcome.definitions.views[&id];
    assert_eq!(more.features[1].name, "y", "in order of addition");
    assert_eq!(
        facts(more),
        [
            "semantics: 1",
            "request.a: int64",
            "request.b: int64",
            "inputs.trips: trips@1",
            "features.x: (a + 1): int64",
            "features.y: (b + trips.trips): int64"
        ]
    );

    // What no feature reads may go.
    let mut without = computed(None, &[one]);
    without.on_demand.as_mut().unwrap().request.truncate(1);
    without.on_demand.as_mut().unwrap().inputs.clear();
    let plan = decided(&applied, &with_computed(without)).unwrap();
    assert_eq!(plan.outcome.views[&id].semantic_hash, applied.views[&id].semantic_hash);
}

/// Goal: another expression, type, request type, default or version of an input is another version of the view.
#[test]
fn breaking_edits_on_demand() {
    let reads = [request("a"), trips("trips")];
    let feature = ("x", "(a + trips.trips)", &reads[..]);
    let mut recorded = with_computed(computed(None, &[feature]));
    recorded.views.insert(ViewId::new("trips", 2), view(2, &["trips"]));
    let applied = decided(&Catalog::default(), &recorded).unwrap().outcome;
    type Edit = fn(&mut View);
    let edits: [(Edit, &str); 5] = [
        (
            |view| {
                let computation = view.features[0].computation.as_mut().unwrap();
                computation.meaning.as_mut().unwrap().text = "(trips.trips + a)".into();
            },
            "features.x: (a + trips.trips): int64 -> (trips.trips + a): int64",
        ),
        (
            |view| view.features[0].value_type = ValueType::Float64,
            "features.x: (a + trips.trips): int64 -> (a + trips.trips): float64",
        ),
        (
            |view| view.features[0].default = Some("7".into()),
            "features.x: (a + trips.trips): int64 -> (a + trips.trips): int64, default \"7\"",
        ),
        (
            |view| view.on_demand.as_mut().unwrap().request[0].value_type = ValueType::Int32,
            "request.a: int64 -> int32",
        ),
        (
            |view| view.on_demand.as_mut().unwrap().inputs[0].version = Some(1),
            "inputs.trips: trips@2 -> trips@1",
        ),
    ];
    for (edit, difference) in edits {
        let mut edited = recorded.clone();
        edit(edited.views.get_mut(&ViewId::new("ratios", 1)).unwrap());
        let refusals = decided(&applied, &edited).unwrap_err();
        let [Refusal::Breaking { view, differences, next, own: true }] = refusals.as_slice() else {
            panic!("{refusals:?}");
        };
        assert_eq!((view.to_string().as_str(), next.to_string().as_str()), ("ratios@1", "ratios@2"));
        assert_eq!(differences, &[difference]);
    }
}

/// Goal: an input without version is the newest complete version when it is applied, and stays that; it can't be removed.
#[test]
fn versions_of_inputs() {
    let reads = [trips("trips")];
    let feature = ("x", "trips.trips", &reads[..]);
    let mut desired = with_computed(computed(None, &[feature]));
    desired.views.insert(ViewId::new("trips", 2), view(2, &["trips"]));
    let active = BTreeSet::from([ViewId::new("trips", 1)]);
    let applied = decide(&Catalog::default(), &desired, &[], &active).unwrap().outcome;
    let version = |catalog: &Catalog| {
        let view = &catalog.definitions.views[&ViewId::new("ratios", 1)];
        view.on_demand.as_ref().unwrap().inputs[0].version
    };
    assert_eq!(version(&applied), Some(1));
    let later = BTreeSet::from([ViewId::new("trips", 1), ViewId::new("trips", 2)]);
    let again = decide(&applied, &desired, &[], &later).unwrap();
    assert_eq!((version(&again.outcome), again.changes().count()), (Some(1), 0));
    let step = again.steps.iter().find(|step| step.name == "ratios@1").unwrap();
    assert_eq!(step.action, Action::Unchanged);

    let mut left = desired.clone();
    left.views.remove(&ViewId::new("trips", 1));
    left.services.clear();
    let mut applied = applied;
    applied.definitions.services.clear();
    let refusals = decide(&applied, &left, &["trips@1".to_owned()], &later).unwrap_err();
    let users = vec!["view `ratios@1`".to_owned()];
    assert_eq!(refusals, [Refusal::InUse { name: "trips@1".into(), users }]);
}
