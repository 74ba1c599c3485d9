//! Erasure: a forgotten key leaves no value and no byte, and no load brings it back.

use std::path::Path;
use std::task::Poll;

use asof_model::{KnownAt, Value, ValueType};
use asof_oracle::OracleValue;
use asof_store::forget::{ForgetReport, ForgetRequest};
use asof_store::get::GetRequest;
use asof_store::verify::VerifyRequest;
use asof_store::{NoProgress, StoreError};

use crate::project::{Ask, Entities, Project, at, features};
use crate::tables::Column;

const SECRET: &str = "ada-7f3a9c51e2b8";
const OTHERS: [&str; 3] = ["bob", "cyd", "dan"];

const DEFINITIONS: &str = "
entities:
  person: { keys: { person: string } }
  shop: { keys: { shop: int64 } }
sources:
  visits: { path: data, event: event_timestamp, created: created_timestamp, fields: { who: person } }
feature_views:
  people: { entities: person, source: visits, ttl: 3650d, features: { n: int64 } }
  pairs: { entities: [shop, person], source: visits, features: { n: int64 } }
  shops: { entities: shop, source: visits, features: { n: int64, person: string } }
";
/// The same without a view that carries the key as a value.
fn definitions() -> String {
    let lines = DEFINITIONS.lines().filter(|line| !line.trim_start().starts_with("shops:"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Files of visits. With `person` those of the forgotten one too.
fn write_visits(project: &Project, person: bool) {
    for file in 0..3 {
        let mut text = "who,shop,event_timestamp,created_timestamp,n\n".to_owned();
        for (place, who) in OTHERS.iter().chain(person.then_some(&SECRET)).enumerate() {
            for row in 0..4 {
                let day = 1 + file * 4 + row;
                let (shop, n) = (row % 2, 10 * place + row);
                text += &format!("{who},{shop},2029-01-{day:02}T10:00:00Z,2029-01-{day:02}T11:00:00Z,{n}\n");
            }
            // A fact of the future, and rows that can't be read.
            text += &format!("{who},0,2031-06-01T00:00:00Z,2029-01-01T00:00:00Z,{file}\n");
            text += &format!("{who},1,never,2029-01-01T00:00:00Z,7\n");
        }
        if person {
            text += &format!("{SECRET},1,too,many,7,columns,here\n");
        }
        project.write(&format!("data/{file}.csv"), text);
    }
}

fn loaded(person: bool) -> Project {
    let mut project = Project::new(&definitions());
    project.apply();
    write_visits(&project, person);
    project.materialize(&[]);
    project
}

fn request() -> ForgetRequest {
    ForgetRequest { entity: "person".to_owned(), keys: vec![("person".to_owned(), SECRET.to_owned())] }
}

fn forget(project: &mut Project) -> ForgetReport {
    let (runtime, store) = project.store();
    runtime.block_on(Box::pin(store.forget(&request(), &NoProgress))).unwrap()
}

/// The keys of the requests: each person in each shop.
fn entities() -> (Entities, usize) {
    let people = || OTHERS.iter().chain([&SECRET, &"nobody"]);
    let person = people().flat_map(|who| [0, 1].map(|_| Some(Value::String((*who).to_owned())))).collect();
    let shop = people().flat_map(|_| [0, 1].map(|shop| Some(Value::Int64(shop)))).collect::<Vec<_>>();
    let rows = shop.len();
    (Entities::from([("person".to_owned(), person), ("shop".to_owned(), shop)]), rows)
}

/// What is served of a view, and what training says of it under every rule.
fn answers(project: &mut Project, view: &str) -> Vec<Vec<Vec<OracleValue>>> {
    let (keys, rows) = entities();
    let wanted = format!("{view}:n");
    let mut found = vec![project.get(&[&wanted], &keys)];
    let column = |name: &str, of: ValueType| {
        let twice = keys[name].iter().chain(&keys[name]).cloned();
        Column::values(name, of, twice)
    };
    let times = ["2029-01-06T00:00:00Z", "2032-01-01T00:00:00Z"].map(at);
    let labels = [
        column("person", ValueType::String),
        column("shop", ValueType::Int64),
        Column::instants("t", times.iter().flat_map(|time| vec![*time; rows])),
    ];
    for known_at in [KnownAt::Event, KnownAt::Created, KnownAt::Served] {
        let set = project.train(&Ask::of(features(&[&wanted]), known_at), &labels);
        found.push(set.answers(&[("n".to_owned(), ValueType::Int64)]));
    }
    found
}

/// Answers a request for the person as a server does, and records it.
fn serve(project: &mut Project) {
    let ask = Ask::of(features(&["people:n"]), KnownAt::Served);
    let plan = project.try_plan(&ask).unwrap();
    let (entities, rows) = entities();
    let request = GetRequest {
        entities,
        fields: Default::default(),
        rows,
        now: None,
        include_expired: false,
        from_history: false,
    };
    let answer = project.try_get_planned(&plan, &request).unwrap();
    project.store().1.answer_log().record(answer.t, &plan, &request, &answer.answer).unwrap();
}

/// The files below `.asof` that hold the person's name, as it is or in hexadecimal.
fn traces(project: &mut Project) -> Vec<String> {
    project.close();
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut found = Vec::new();
    search(&project.root.join(".asof"), &[SECRET.as_bytes(), hex.as_bytes()], &mut found);
    found
}

fn search(folder: &Path, wanted: &[&[u8]], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            search(&entry.path(), wanted, found);
            continue;
        }
        let content = std::fs::read(entry.path()).unwrap();
        if wanted.iter().any(|wanted| content.windows(wanted.len()).any(|part| part == *wanted)) {
            found.push(entry.path().display().to_string());
        }
    }
}

fn identical(project: &mut Project) {
    let (runtime, store) = project.store();
    let verify = VerifyRequest { names: Vec::new(), sample: 100, oracle: true };
    let report = runtime.block_on(Box::pin(store.verify(&verify, &NoProgress))).unwrap();
    assert!(report.values > 0 && report.values == report.identical, "{:?}", report.views);
}

/// Goal: after `forget` every value, answer and training set is that of a project that never had the key, and no byte of
/// it is found below `.asof`: not in history before or after compaction, not online, not among rows set aside or answers.
#[test]
fn as_if_it_never_was() {
    let mut never = loaded(false);
    let mut project = loaded(true);
    project.compact();
    serve(&mut project);
    assert!(answers(&mut project, "people") != answers(&mut never, "people"));
    assert!(traces(&mut project).len() > 4);

    let report = forget(&mut project);
    let counts = |view: usize| {
        let view = &report.views[view];
        (view.view.as_str(), view.rows, view.online_entries, view.quarantined)
    };
    // 12 visits, and the fact of the future of each file; folded where it says the same. Of each file one row without an
    // event and one that can't be taken apart.
    assert_eq!(counts(0), ("pairs@1", 15, 2, 6));
    assert_eq!(counts(1), ("people@1", 15, 1, 6));
    assert!(report.views.iter().all(|view| view.files_rewritten > 0 && view.files_removed > 0));
    assert_eq!(report.views[1].answers, 2);
    assert_eq!(traces(&mut project), Vec::<String>::new());
    for view in ["people", "pairs"] {
        assert!(answers(&mut project, view) == answers(&mut never, view), "{view}");
    }
    identical(&mut project);
    let again = forget(&mut project);
    assert!(again.views.iter().all(|view| (view.rows, view.online_entries, view.quarantined) == (0, 0, 0)));
    // Nobody else was touched, and the record of answers goes on.
    serve(&mut project);
    identical(&mut project);
}

/// Goal: no load brings the key back: not the same files, not for a new version of a view, not into a lost online store;
/// what is left out is counted, and a later fact of the key is a new one.
#[test]
fn loads_do_not_bring_it_back() {
    let mut never = loaded(false);
    let mut project = loaded(true);
    forget(&mut project);
    let again = definitions()
        .replace("features: { n: int64 } }\n  pairs", "features: { n: int64, shop: int64 } }\n  pairs");
    for each in [&mut project, &mut never] {
        each.define(&again);
        each.apply();
    }
    let load = project.load(&["people"]);
    assert_eq!(traces(&mut project), Vec::<String>::new());
    // With the fact of the future, since its file was read before; and the rows that can't be read.
    assert_eq!((load.rows_erased, load.rows_bad), (3 * (5 + 2), 3 * 3));
    never.load(&["people"]);
    assert_eq!(traces(&mut project), Vec::<String>::new());
    assert!(answers(&mut project, "people") == answers(&mut never, "people"));
    project.lose_online();
    project.materialize(&[]);
    assert!(answers(&mut project, "pairs") == answers(&mut never, "pairs"));
    assert_eq!(traces(&mut project), Vec::<String>::new());

    for each in [&mut project, &mut never] {
        each.set_clock("2030-02-01T00:00:00Z");
        let row = |day: &str| format!("{SECRET},1,2030-01-{day}T00:00:00Z,2030-01-{day}T00:00:00Z,5\n");
        // The first is not after the erasure.
        let text = format!("who,shop,event_timestamp,created_timestamp,n\n{}{}", row("01"), row("15"));
        each.write("data/later.csv", text);
    }
    assert_eq!(project.load(&["people"]).rows_erased, 1);
    never.load(&["people"]);
    let (found, right) = (answers(&mut project, "people"), answers(&mut never, "people"));
    assert!(found[0] == right[0], "{:?}", found[0]);
}

/// Goal: an erasure that is killed anywhere is finished by the next one.
#[test]
fn killed_anywhere() {
    let mut never = loaded(false);
    let right = answers(&mut never, "people");
    let mut loaded = loaded(true);
    let mut whole = false;
    for polls in [3, 25] {
        let mut project = loaded.copy();
        let (runtime, store) = project.store();
        let mut left = polls;
        runtime.block_on(async {
            let request = request();
            let mut work = Box::pin(store.forget(&request, &NoProgress));
            std::future::poll_fn(|context| {
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                work.as_mut().poll(context).map(|done| {
                    done.unwrap();
                    whole = true;
                })
            })
            .await
        });
        project.close();
        forget(&mut project);
        assert_eq!(traces(&mut project), Vec::<String>::new(), "after {polls}");
        assert!(answers(&mut project, "people") == right, "after {polls}");
    }
    assert!(!whole, "none was killed at its end");
}

/// Goal: views that carry the key as a value under another key are named; a table of a view that is not applied any more
/// is covered; what is no key is refused.
#[test]
fn what_is_covered() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    write_visits(&project, true);
    project.materialize(&[]);
    project.define(&DEFINITIONS.replace("  people:", "  crowd:"));
    project.try_apply(&["people"]).unwrap();
    let report = forget(&mut project);
    assert_eq!(report.not_covered, ["shops@1"]);
    let views: Vec<&str> = report.views.iter().map(|view| view.view.split('/').next().unwrap()).collect();
    assert_eq!(views, ["pairs@1", "people"]);
    assert!(report.views.iter().all(|view| view.rows > 0 && view.online_entries > 0));

    let (runtime, store) = project.store();
    let refused = |entity: &str, keys: &[(&str, &str)]| {
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let request = ForgetRequest { entity: entity.to_owned(), keys };
        runtime.block_on(Box::pin(store.forget(&request, &NoProgress))).map(|_| ()).unwrap_err()
    };
    assert!(matches!(refused("persn", &[("person", "x")]), StoreError::Unknown { .. }));
    assert!(matches!(refused("person", &[]), StoreError::Request { .. }));
    assert!(matches!(refused("person", &[("person", "x"), ("person", "y")]), StoreError::Request { .. }));
    assert!(matches!(refused("person", &[("persona", "x")]), StoreError::Request { .. }));
    assert!(matches!(refused("shop", &[("shop", "x")]), StoreError::BadKey { .. }));
}

/// Goal: a key of one part goes from every view whose keys have that part, whichever entity brings it, and stays out.
#[test]
fn a_part_of_another_entity() {
    let composite = DEFINITIONS
        .replace("sources:\n", "  visit: { keys: { shop: int64, person: string } }\nsources:\n")
        .replace("[shop, person]", "visit");
    let mut project = Project::new(&composite);
    project.apply();
    write_visits(&project, true);
    project.materialize(&[]);
    let report = forget(&mut project);
    let rows: Vec<(&str, bool)> =
        report.views.iter().map(|view| (view.view.as_str(), view.rows > 0)).collect();
    assert_eq!(rows, [("pairs@1", true), ("people@1", true)]);
    project.write("data/9.csv", project_file());
    let loads = project.materialize(&["pairs"]);
    assert_eq!((loads[0].rows_erased, loads[0].rows_written), (1, 1));
}

/// A file with an old row of the forgotten one, and one of somebody else.
fn project_file() -> String {
    format!(
        "who,shop,event_timestamp,created_timestamp,n\n\
         {SECRET},0,2029-01-20T10:00:00Z,2029-01-20T10:00:00Z,1\nbob,0,2029-01-20T10:00:00Z,2029-01-20T10:00:00Z,1\n"
    )
}
