//! Definitions of views on demand.

use asof_model::definition::{SourceFile, read};
use asof_model::on_demand::{InputView, RequestField};
use asof_model::{ValueType, ViewId};
use insta::assert_snapshot;

use crate::{BASE, problems};

/// Goal: what a view on demand says is read as it is written, and its join keys are those of its inputs.
#[test]
fn all_of_it() {
    let text = "
feature_views:
  ratios:
    request: { amount: int64, at: timestamp }
    inputs: [trips@1, places]
    sunset: 2027-06-01T00:00:00Z
    owner: risk
    features:
      share: { type: float64, expr: amount / rating, default: 0.5, description: Of the amount }
      late:
        type: bool
        expr: |
          at > request_timestamp()
  places: { entities: place, source: trips_table, features: { open: bool } }
  small: { inputs: ratios, features: { share: { type: float64, expr: ratios.share } } }
feature_services:
  s: { features: [{ ratios: [share], keys: { driver_id: rider } }, { small: \"*\" }] }
";
    let files = [SourceFile { path: "base.yaml", text: BASE }, SourceFile { path: "features.yaml", text }];
    let all = read(&files).unwrap().definitions;
    let view = &all.views[&ViewId::new("ratios", 1)];
    assert!(view.is_on_demand() && !view.aggregates());
    assert!(view.entities.is_empty() && view.source.is_empty() && view.stored().is_empty());
    let on_demand = view.on_demand.clone().unwrap();
    let field = |name: &str, value_type| RequestField { name: name.to_owned(), value_type };
    assert_eq!(on_demand.request, [field("amount", ValueType::Int64), field("at", ValueType::Timestamp)]);
    let input = |view: &str, version: Option<u32>| InputView {
        view: view.to_owned(),
        version,
        pinned: version.is_some(),
    };
    assert_eq!(on_demand.inputs, [input("trips", Some(1)), input("places", None)]);
    let expr = |place: usize| view.features[place].computation.as_ref().unwrap().expr.as_str();
    assert_eq!((expr(0), expr(1)), ("amount / rating", "at > request_timestamp()\n"));
    assert_eq!(view.features[0].default.as_deref(), Some("0.5"));
    assert_eq!(view.about.owner.as_deref(), Some("risk"));
    assert!(view.sunset.is_some());
    let small = &all.views[&ViewId::new("small", 1)];
    for view in [view, small] {
        let keys: Vec<String> = all.request_keys(view).into_iter().map(|key| key.name).collect();
        assert_eq!(keys, ["driver_id", "city", "street"]);
        assert_eq!(all.join_keys(view), []);
    }
    let stored = serde_json::to_value(view).unwrap();
    assert!(stored.get("source").is_none() && stored["on_demand"]["inputs"][1]["version"].is_null());
    assert_eq!(serde_json::from_value::<asof_model::spec::View>(stored).unwrap(), *view);
}

/// Goal: what only views with rows of their own can have is refused, with what to do instead.
#[test]
fn keys_of_other_views() {
    assert_snapshot!(problems("
feature_views:
  ratio:
    entities: [driver]
    source: trips_table
    ttl: 1d
    schedule: \"0 3 * * *\"
    request: { amount: int64 }
    features:
      share: { type: float64, expr: amount / 2, over: 1d }
      total: { aggregate: sum(amount), over: 1d }
      plain: int64
  stored:
    entities: [driver]
    source: trips_table
    features:
      share: { type: float64, expr: trips / 2 }
"), @"
    refused
    features.yaml:4:5: `entities` is for views that keep rows, and view `ratio@1` is computed on demand
      hint: leave it out: its join keys are those of its inputs
    features.yaml:5:5: `source` is for views that keep rows, and view `ratio@1` is computed on demand
      hint: leave it out: it reads views, which `inputs` names, and what `request` brings
    features.yaml:6:5: `ttl` is for views that keep rows, and view `ratio@1` is computed on demand
      hint: leave it out: each input says how old its values may be
    features.yaml:7:5: `schedule` is for views that keep rows, and view `ratio@1` is computed on demand
      hint: leave it out: nothing of it is loaded
    features.yaml:10:49: `over` is for views that aggregate events, and view `ratio@1` is computed on demand
      hint: aggregate in a view of its own, and name that in `inputs`
    features.yaml:11:7: feature `total` has no `expr`, and view `ratio@1` is computed on demand
      hint: write `total: { type: float64, expr: amount / income }`
    features.yaml:11:7: feature `total` has no `type`
      hint: write `total: { type: float64, expr: amount / income }`
    features.yaml:11:16: `aggregate` is for views that aggregate events, and view `ratio@1` is computed on demand
      hint: aggregate in a view of its own, and name that in `inputs`
    features.yaml:11:40: `over` is for views that aggregate events, and view `ratio@1` is computed on demand
      hint: aggregate in a view of its own, and name that in `inputs`
    features.yaml:12:7: feature `plain` has no `expr`, and view `ratio@1` is computed on demand
      hint: write `plain: { type: float64, expr: amount / income }`
    features.yaml:17:31: `expr` is for views on demand, and view `stored@1` has a source
      hint: a view on demand has `inputs` or `request`, and no `source`; what is computed of a row of the source belongs to its `sql`
    ");
}

/// Goal: inputs and request fields are there, once each, and no column would need two types.
#[test]
fn what_is_read() {
    assert_snapshot!(problems("
feature_views:
  nothing:
    features: { share: { type: float64, expr: 1.5 } }
  none:
    request: {}
    inputs: []
    features: { share: { type: float64, expr: 1.5 } }
  views:
    inputs: [trip, trips, trips@2, views@2, trips@3, a-b]
    features: { share: { type: float64, expr: 1.5 } }
  fields:
    request: { 2fast: int64, amount: integer, share: float64, driver_id: string }
    inputs: [trips]
    features: { share: { type: float64, expr: 1.5 } }
"), @"
    refused
    features.yaml:3:3: view `nothing@1` has neither `inputs` nor `request`, so its expressions read nothing
      hint: name the views it reads: `inputs: [trips]`, or what a request brings: `request: { amount: float64 }`
    features.yaml:6:5: `request` names no field
      hint: write `request: { amount: float64 }`
    features.yaml:7:5: `inputs` names no view
      hint: write `inputs: [trips, riders@2]`
    features.yaml:10:14: there is no view `trip`
      hint: did you mean `trips`?
    features.yaml:10:27: view `trips` is listed twice
      hint: expressions name an input by its name, so one version of it can be read
    features.yaml:10:36: view `views@1` has an input of its own name
      hint: its expressions could not tell the features of both apart; give the view another name
    features.yaml:10:45: view `trips` is listed twice
      hint: expressions name an input by its name, so one version of it can be read
    features.yaml:10:54: `a-b` does not name a view
      hint: a view is `name`, or pinned to a version `name@2`
    features.yaml:13:16: `2fast` is not a valid request field
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    features.yaml:13:38: unknown type `integer`
      hint: did you mean `int64`?
    features.yaml:14:14: `driver_id` is a request field, string, and a join key of `trips@2`, int64
      hint: a request has one column of that name; give one of both another
    features.yaml:15:17: `share` is both a request field and a feature of view `fields@1`
      hint: name the feature otherwise: both are columns of a training set
    ");
}

/// Goal: a service may map the join keys of what its views on demand read, and no others.
#[test]
fn keys_in_services() {
    assert_snapshot!(problems("
feature_views:
  ratio: { inputs: [trips], features: { share: { type: float64, expr: rating } } }
feature_services:
  s: { features: [{ ratio: [share, shard], keys: { driver_idd: rider } }] }
"), @"
    refused
    features.yaml:5:36: view `ratio@1` has no feature `shard`
      hint: did you mean `share`?
    features.yaml:5:52: view `ratio@1` has no join key `driver_idd`
      hint: did you mean `driver_id`?
    ");
}
