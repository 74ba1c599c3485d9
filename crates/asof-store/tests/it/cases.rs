//! The case files through the product: each case becomes a project with definitions and source files, its publication
//! units are loaded one by one, and the questions go through `train` and `get`.

use std::path::Path;

use asof_model::entry::to_text;
use asof_model::{Duration, Instant, KnownAt, Value, ValueType};
use asof_oracle::OracleValue;
use asof_store::materialize::{MaterializeRequest, Mode};
use asof_testkit::case::{
    Case, CaseComputed, CaseKey, CaseReplacement, CaseRunner, CaseView, Expectation, run_cases,
};

use crate::definitions::{ViewText, definitions};
use crate::project::{Ask, Entities, Project, answers};
use crate::tables::{Carrier, Column, FieldOf};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../cases");

/// Goal: training answers every case as its file says.
#[test]
fn training() {
    let report = run_cases(Path::new(CASES), &mut Training(None)).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.files >= 15 && report.labels >= 100, "{report:?}");
}

/// Goal: serving answers every case as its file says, from the online store alone.
#[test]
fn serving() {
    let report = run_cases(Path::new(CASES), &mut Serving).unwrap_or_else(|error| panic!("{error}"));
    assert!(report.files >= 10 && report.labels >= 80, "{report:?}");
}

/// Materialised history joined to labels. Holds the case it has loaded last.
struct Training(Option<(Loaded, Project)>);

/// Which views of which case are loaded, and which are computed of them.
type Loaded = (String, Vec<usize>, Vec<String>);

impl CaseRunner for Training {
    fn name(&self) -> &str {
        "training"
    }

    fn answer(&mut self, case: &Case, expectation: &Expectation) -> Result<Vec<Vec<OracleValue>>, String> {
        let computed = computed_of(case, expectation).into_iter().map(|computed| computed.name.clone());
        let wanted: Loaded = (case.name.clone(), views_of(case, expectation), computed.collect());
        let project = match self.0.take() {
            Some((loaded, project)) if loaded == wanted => project,
            _ => load_all(case, expectation)?,
        };
        let (_, project) = self.0.insert((wanted, project));
        let labels = label_columns(expectation);
        let ask = Ask {
            include_expired: expectation.include_expired,
            full_names: true,
            labels: if labels.iter().all(Column::fits_csv) { Carrier::Csv } else { Carrier::Typed },
            ..Ask::of(wanted_features(case, expectation), expectation.known_at)
        };
        let set = project.try_train(&ask, &labels).map_err(|error| error.to_string())?;
        Ok(set.answers(&columns(case, expectation)))
    }
}

/// Loads every unit of the views that are asked, each at its instant.
fn load_all(case: &Case, expectation: &Expectation) -> Result<Project, String> {
    let mut project = case_project(case, expectation);
    // The marks behind a unit take the microseconds after it, so the last instants of all are out of reach.
    let reachable = Instant::MAX.minus(Duration::from_micros(STAMPS_OF_A_LOAD - 1));
    for unit in units(case, expectation) {
        write_unit(&project, case, &unit);
        project.clock.set(before(unit.visible.min(reachable)));
        let name = &case.views[unit.view].name;
        load_unit(&mut project, case, &unit);
        let stamp = project.journal(name).units;
        let stamp = (0..stamp.len()).map(|number| stamp.facts(number as u32).visible).max();
        if expectation.known_at == KnownAt::Served && stamp != Some(unit.visible) {
            return Err(format!("a unit that is visible at {} was stamped {stamp:?}", unit.visible));
        }
    }
    Ok(project)
}

/// The online store after a batch, asked at `t`.
struct Serving;

impl CaseRunner for Serving {
    fn name(&self) -> &str {
        "serving"
    }

    /// Loads and questions in order of time: at `t` everything visible by then is loaded, and nothing else.
    fn answer(&mut self, case: &Case, expectation: &Expectation) -> Result<Vec<Vec<OracleValue>>, String> {
        let mut project = case_project(case, expectation);
        let mut units = units(case, expectation).into_iter().peekable();
        let mut order: Vec<usize> = (0..expectation.labels.len()).collect();
        order.sort_by_key(|label| expectation.labels[*label].t);
        let mut found = vec![Vec::new(); order.len()];
        for place in order {
            let label = &expectation.labels[place];
            while let Some(first) = units.next_if(|unit| unit.visible <= label.t) {
                let mut together = vec![first];
                while let Some(unit) = units.next_if(|unit| unit.visible == together[0].visible) {
                    together.push(unit);
                }
                publish_by(&mut project, case, &together)?;
            }
            let row = |keys: &[CaseKey], values: &[Option<Value>]| -> Entities {
                let of_row = keys.iter().zip(values);
                of_row.map(|(key, value)| (key.name.clone(), vec![value.clone()])).collect()
            };
            let entities = row(&expectation.keys, &label.keys);
            let fields = row(&expectation.request, &label.request);
            project.clock.set(label.t);
            let ask = Ask {
                include_expired: expectation.include_expired,
                full_names: true,
                ..Ask::of(wanted_features(case, expectation), KnownAt::Served)
            };
            let answer = project.try_get_with(&ask, &entities, &fields, Some(label.t));
            let answer = answer.map_err(|error| format!("line {}: {error}", label.line))?;
            if answer.t != label.t {
                return Err(format!("line {}: answered for {}", label.line, answer.t));
            }
            let order = project.plan_names(&ask);
            let row = answers(&answer).remove(0);
            let value = |(name, _): &(String, ValueType)| {
                let place = order.iter().position(|each| each == name)?;
                Some(row[place].clone())
            };
            found[place] = columns(case, expectation).iter().filter_map(value).collect();
        }
        Ok(found)
    }
}

/// The stamps that a load of one small file draws: for its unit, for the mark that the file was read, and for the mark
/// that the range is complete.
const STAMPS_OF_A_LOAD: i64 = 3;

/// Publishes units so that all is readable at their visible instant: the online store answers from the last stamp on.
fn publish_by(project: &mut Project, case: &Case, units: &[Unit]) -> Result<(), String> {
    let visible = units[0].visible;
    for (place, unit) in units.iter().enumerate() {
        let stamps_left = STAMPS_OF_A_LOAD * (units.len() - place) as i64;
        let stamp = visible.minus(Duration::from_micros(stamps_left - 1));
        write_unit(project, case, unit);
        project.clock.set(before(stamp));
        let name = &case.views[unit.view].name;
        load_unit(project, case, unit);
        let last = project.journal(name).last_visible;
        // A file of bad rows alone draws no stamp for a unit, so its marks come a little earlier.
        if last.is_none_or(|last| last < stamp || last > visible) {
            return Err(format!("a unit that is visible at {visible} was complete at {last:?}"));
        }
    }
    Ok(())
}

/// Adds the unit's rows, or replaces a range by them.
fn load_unit(project: &mut Project, case: &Case, unit: &Unit) {
    let view = &case.views[unit.view];
    let mut request = MaterializeRequest { views: vec![view.name.clone()], ..MaterializeRequest::default() };
    if let Some(range) = replacement(view, unit) {
        request = MaterializeRequest {
            start: Some(range.from),
            end: Some(range.until),
            mode: Mode::Replace,
            ..request
        };
    }
    assert_eq!(project.try_materialize(&request).unwrap().failures, []);
}

/// The range that the unit replaces, if it does.
fn replacement(view: &CaseView, unit: &Unit) -> Option<CaseReplacement> {
    view.replacements.iter().find(|each| each.visible == unit.visible).copied()
}

/// Where the clock stands for a load whose unit shall be stamped `stamp`: a load first reads what is there, and a stamp
/// is drawn strictly after every read.
fn before(stamp: Instant) -> Instant {
    stamp.minus(Duration::from_micros(1))
}

/// The rows of one view that became visible together.
struct Unit {
    visible: Instant,
    view: usize,
    rows: Vec<usize>,
}

/// The views with rows of their own that an expectation asks, in order.
fn views_of(case: &Case, expectation: &Expectation) -> Vec<usize> {
    let mut views: Vec<usize> =
        expectation.features.iter().flat_map(|place| case.stored_of(*place)).collect();
    views.sort_unstable();
    views.dedup();
    views
}

/// The units of the views that are asked, in order of their instants.
fn units(case: &Case, expectation: &Expectation) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for view in views_of(case, expectation) {
        for (place, row) in case.views[view].rows.iter().enumerate() {
            match units.iter_mut().find(|unit| unit.view == view && unit.visible == row.visible) {
                Some(unit) => unit.rows.push(place),
                None => units.push(Unit { visible: row.visible, view, rows: vec![place] }),
            }
        }
    }
    units.sort_by_key(|unit| unit.visible);
    units
}

fn case_project(case: &Case, expectation: &Expectation) -> Project {
    let views: Vec<ViewText> =
        views_of(case, expectation).into_iter().map(|view| view_text(&case.views[view])).collect();
    let mut text = definitions(&views);
    computed_of(case, expectation).into_iter().for_each(|computed| text.push_str(&computed_text(computed)));
    let mut project = Project::new(&text);
    project.apply();
    project
}

/// The views on demand of an expectation, each once, as they stand.
fn computed_of<'c>(case: &'c Case, expectation: &Expectation) -> Vec<&'c CaseComputed> {
    let mut computed: Vec<&CaseComputed> =
        expectation.features.iter().flat_map(|place| case.computed_of(*place)).collect();
    computed.sort_by_key(|computed| computed.line);
    computed.dedup_by_key(|computed| computed.line);
    computed
}

/// The lines of a view on demand, behind those of other views.
fn computed_text(computed: &CaseComputed) -> String {
    let mut text = format!("  {}:\n", computed.name);
    if !computed.request.is_empty() {
        let field = |field: &CaseKey| format!("{}: \"{}\"", field.name, field.value_type);
        let fields: Vec<String> = computed.request.iter().map(field).collect();
        text.push_str(&format!("    request: {{ {} }}\n", fields.join(", ")));
    }
    if !computed.inputs.is_empty() {
        text.push_str(&format!("    inputs: [{}]\n", computed.inputs.join(", ")));
    }
    text.push_str("    features:\n");
    for (feature, expression) in computed.features.iter().zip(&computed.expressions) {
        let default = feature.default.as_ref().and_then(|default| default.cell.value());
        let default = default.map_or_else(String::new, |value| format!(", default: {:?}", to_text(value)));
        let expression = serde_json::to_string(expression).unwrap();
        let (name, of) = (&feature.name, feature.value_type);
        text.push_str(&format!("      {name}: {{ type: \"{of}\", expr: {expression}{default} }}\n"));
    }
    text
}

fn view_text(view: &CaseView) -> ViewText {
    let features = view.features.iter().map(|feature| {
        let default = feature.default.as_ref().and_then(|each| each.cell.value()).cloned();
        (feature.name.clone(), feature.value_type, default)
    });
    ViewText {
        name: view.name.clone(),
        keys: view.keys.iter().map(|key| (key.name.clone(), key.value_type)).collect(),
        features: features.collect(),
        ttl: view.ttl,
        keep: view.keep,
        zone: view.zone.as_ref().map(|(name, _)| name.clone()),
        created: view.created_named,
    }
}

/// Adds a unit's rows to the folder of its source: a file of its own beside those of earlier units.
fn write_unit(project: &Project, case: &Case, unit: &Unit) {
    let view = &case.views[unit.view];
    if !view.replacements.is_empty() {
        // What a source holds when its range is replaced is what stands afterwards. Files that stayed would be looked at
        // again for what they hold beside the range, which draws stamps.
        let _ = std::fs::remove_dir_all(project.root.join("data").join(&view.name));
    }
    let rows = || unit.rows.iter().map(|row| &view.rows[*row]);
    let mut columns: Vec<Column> = Vec::new();
    let field = |text: &Option<String>| text.clone().map(FieldOf::Text);
    for (place, key) in view.keys.iter().enumerate() {
        let fields = rows().map(|row| field(&row.key[place].text)).collect();
        columns.push(Column { name: key.name.clone(), of: key.value_type, fields });
    }
    let times = ValueType::Timestamp;
    let events = rows().map(|row| field(&row.event.text)).collect();
    columns.push(Column { name: "event_timestamp".to_owned(), of: times, fields: events });
    if view.created_named {
        let createds = rows().map(|row| field(&row.created.text)).collect();
        columns.push(Column { name: "created_timestamp".to_owned(), of: times, fields: createds });
    }
    for (place, feature) in view.features.iter().enumerate() {
        let fields = rows().map(|row| field(&row.cells[place].text)).collect();
        columns.push(Column { name: feature.name.clone(), of: feature.value_type, fields });
    }
    let first = unit.rows[0];
    // A column that no view reads: it tells files with equal rows apart, which otherwise would be read once.
    let number = FieldOf::Text(first.to_string());
    let fields = vec![Some(number); unit.rows.len()];
    columns.push(Column { name: "unit_number".to_owned(), of: ValueType::Int64, fields });
    let carrier = if columns.iter().all(Column::fits_csv) { Carrier::Csv } else { Carrier::Text };
    project.write_table(&format!("data/{}/unit-{first}", view.name), &columns, carrier);
}

fn label_columns(expectation: &Expectation) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (place, key) in expectation.keys.iter().enumerate() {
        let values = expectation.labels.iter().map(|label| label.keys[place].clone());
        columns.push(Column::values(&key.name, key.value_type, values));
    }
    for (place, field) in expectation.request.iter().enumerate() {
        let values = expectation.labels.iter().map(|label| label.request[place].clone());
        columns.push(Column::values(&field.name, field.value_type, values));
    }
    let times = expectation.labels.iter().map(|label| Some(Value::Timestamp(label.t)));
    columns.push(Column::values("t", ValueType::Timestamp, times));
    columns
}

fn wanted_features(case: &Case, expectation: &Expectation) -> asof_store::request::Wanted {
    let name = |place: &asof_testkit::case::FeaturePlace| {
        let (view, feature) = case.feature(*place);
        format!("{view}:{}", feature.name)
    };
    asof_store::request::Wanted::Features(expectation.features.iter().map(name).collect())
}

/// The full names and types of the features asked for.
fn columns(case: &Case, expectation: &Expectation) -> Vec<(String, ValueType)> {
    let column = |place: &asof_testkit::case::FeaturePlace| {
        let (view, feature) = case.feature(*place);
        (format!("{view}__{}", feature.name), feature.value_type)
    };
    expectation.features.iter().map(column).collect()
}
