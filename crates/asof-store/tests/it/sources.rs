//! Sources end to end: what stands in files, what becomes of it in history and online, and what is set aside.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use asof_model::{Cell, Instant, KnownAt, Status, Value, ValueType};
use asof_store::get::GetRequest;
use asof_store::materialize::MaterializeRequest;
use asof_testkit::values::{edge_values, spelled_otherwise};

use crate::definitions::{ViewText, definitions};
use crate::project::{Ask, Project, answers, at, features, int_keys, present, without_value};
use crate::tables::{Carrier, Column, FieldOf, write_parquet};

/// One view of `n` by `id` from `data/rows.csv`, with what is given in its source.
fn one_view(source: &str) -> String {
    format!(
        "entities: {{ id: {{ keys: {{ id: int64 }} }} }}
sources: {{ rows: {{ path: data, event: event_timestamp{source} }} }}
feature_views: {{ v: {{ entities: id, source: rows, features: {{ n: int64, s: string }} }} }}
"
    )
}

/// The event instants that the online store answers for these ids, through feature `n` of a view.
fn events(project: &mut Project, view: &str, ids: &[i64]) -> Vec<Option<String>> {
    let ask = Ask::of(features(&[&format!("{view}:n")]), KnownAt::Served);
    let answer = project.try_get(&ask, &int_keys("id", ids), ids.len(), None, false).unwrap();
    answer.rows.iter().map(|row| row[0].event.map(|event| event.to_string())).collect()
}

/// Goal: Parquet times of every unit, with and without zone, and integers with a unit, are the same instants; finer
/// ones floor, and local ones follow the source's zone where its clock skips and repeats an hour.
#[test]
fn times_in_parquet() {
    let columns = ["seconds", "millis", "micros", "nanos", "local", "local_seconds", "int_ms", "int_ns"];
    let mut text = "entities: { id: { keys: { id: int64 } } }\nsources:\n".to_owned();
    for column in columns {
        let unit = column.strip_prefix("int_").map_or_else(String::new, |unit| format!(", unit: {unit}"));
        let source = format!("path: data/rows.parquet, event: {column}, zone: America/New_York{unit}");
        text.push_str(&format!("  {column}: {{ {source} }}\n"));
    }
    text.push_str("feature_views:\n");
    for column in columns {
        text.push_str(&format!(
            "  by_{column}: {{ entities: id, source: {column}, features: {{ n: int64 }} }}\n"
        ));
    }
    let mut project = Project::new(&text);
    std::fs::create_dir_all(project.root.join("data")).unwrap();
    // Skipped, twice, before 1970, and an ordinary one; the instants in UTC, and the same on the clock of New York.
    let instants =
        ["2021-03-14T07:30:00Z", "2021-11-07T05:30:00Z", "1969-12-31T23:59:59Z", "2024-07-01T00:00:00Z"];
    let locals =
        ["2021-03-14T02:30:00Z", "2021-11-07T01:30:00Z", "1969-12-31T18:59:59Z", "2024-06-30T20:00:00Z"];
    let utc: Vec<i64> = instants.iter().map(|text| at(text).micros()).collect();
    let local: Vec<i64> = locals.iter().map(|text| at(text).micros()).collect();
    let scaled = |by: i64| utc.iter().map(|micros| micros / by).collect::<Vec<_>>();
    let nanos: Vec<i64> = utc.iter().map(|micros| micros * 1_000 + 999).collect();
    let arrays: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ("n", Arc::new(Int64Array::from(vec![1, 2, 3, 4]))),
        ("seconds", Arc::new(TimestampSecondArray::from(scaled(1_000_000)).with_timezone("UTC"))),
        ("millis", Arc::new(TimestampMillisecondArray::from(scaled(1_000)).with_timezone("+05:30"))),
        ("micros", Arc::new(TimestampMicrosecondArray::from(utc.clone()).with_timezone("UTC"))),
        ("nanos", Arc::new(TimestampNanosecondArray::from(nanos.clone()).with_timezone("UTC"))),
        ("local", Arc::new(TimestampMicrosecondArray::from(local.clone()))),
        (
            "local_seconds",
            Arc::new(TimestampSecondArray::from_iter_values(local.iter().map(|m| m / 1_000_000))),
        ),
        ("int_ms", Arc::new(Int64Array::from(scaled(1_000)))),
        ("int_ns", Arc::new(Int64Array::from(nanos))),
    ];
    let names: Vec<String> = arrays.iter().map(|(name, _)| (*name).to_owned()).collect();
    write_parquet(
        &project.root.join("data/rows.parquet"),
        names.iter().zip(arrays.into_iter().map(|each| each.1)),
    );
    project.apply();
    for load in project.materialize(&[]) {
        assert_eq!((load.rows_written, load.rows_bad), (4, 0), "{}", load.view);
    }
    let right: Vec<Option<String>> = instants.iter().map(|text| Some((*text).to_owned())).collect();
    for column in columns {
        assert_eq!(events(&mut project, &format!("by_{column}"), &[1, 2, 3, 4]), right, "{column}");
    }
}

/// Goal: an integer is no time where the source names no unit: the row is set aside with file, row and reason.
#[test]
fn integers_without_a_unit() {
    let mut project = Project::new(&one_view(""));
    project.write("data/rows.csv", "id,event_timestamp,n,s\n1,1700000000,5,a\n2,2024-01-01T00:00:00Z,6,b\n");
    project.apply();
    let load = project.load(&[]);
    assert_eq!((load.rows_read, load.rows_written, load.rows_bad), (2, 1, 1));
    let bad = quarantined(&load.quarantine.unwrap());
    assert_eq!(bad.len(), 1);
    assert!(bad[0]["file"].as_str().unwrap().ends_with("data/rows.csv"));
    assert_eq!((bad[0]["row"].as_u64(), bad[0]["line"].as_u64()), (Some(1), Some(2)));
    assert_eq!(bad[0]["column"], "event_timestamp");
    let reason = bad[0]["reason"].as_str().unwrap();
    assert!(reason.contains("no `unit` of integer times is named"), "{reason}");
}

/// Goal: columns of other names in the source are found by the mapping: key, event, created and features alike.
#[test]
fn mapped_columns() {
    let mapping =
        ", created: created, fields: { ident: id, ts: event_timestamp, at: created, pop: n, label: s }";
    let mut project = Project::new(&one_view(mapping));
    project
        .write("data/rows.csv", "ident,ts,at,pop,label\n7,2024-01-01T10:00:00Z,2024-01-01T11:00:00Z,5,x\n");
    project.apply();
    assert_eq!(project.load(&[]).rows_written, 1);
    let found = project.get(&["v:n", "v:s"], &int_keys("id", &[7]));
    assert_eq!(found, [[present(Value::Int64(5)), present(Value::String("x".to_owned()))]]);
    let labels = [
        Column::ints("id", [7, 7]),
        Column::instants("t", [at("2024-01-01T10:59:59Z"), at("2024-01-01T11:00:00Z")]),
    ];
    let set = project.train(&Ask::of(features(&["v:n"]), KnownAt::Created), &labels);
    let n = [("n".to_owned(), ValueType::Int64)];
    assert_eq!(set.answers(&n), [[without_value(Status::Missing)], [present(Value::Int64(5))]]);
}

/// Goal: a byte-order mark, quoted line breaks, either line end and a missing last one are ordinary CSV; ragged rows and
/// rows with a bad key, event or created are set aside one by one, and a bad feature is ERROR in its row.
#[test]
fn quirks_of_csv() {
    csv_with_line_end("\n");
    csv_with_line_end("\r\n");
}

fn csv_with_line_end(end: &str) {
    let mut project = Project::new(&one_view(", created: created"));
    let mut text = b"\xef\xbb\xbf".to_vec();
    for line in [
        &b"id,event_timestamp,created,n,s"[..],
        b"1,2024-01-01T10:00:00Z,2024-01-01T10:00:00Z,5,\"two",
        b"lines, \"\"quoted\"\"\"",
        b"2,2024-01-01T10:00:00Z,2024-01-01T10:00:00Z,6", // row 2, line 4: ragged
        b"3,2024-01-01T10:00:00Z,2024-01-01T10:00:00Z,7,x,y", // row 3: ragged
        b"4,2024-01-01T10:00:00Z,2024-01-01T10:00:00Z,8,\xff\xfe", // not text: ERROR
        b"5,2024-01-01T10:00:00Z,,9,no created",          // row 5
        b",2024-01-01T10:00:00Z,2024-01-01T10:00:00Z,10,no key", // row 6
        b"\xff,2024-01-01T10:00:00Z,2024-01-01T10:00:00Z,11,bad key", // row 7
        b"8,,2024-01-01T10:00:00Z,12,no event",           // row 8
        b"9,2024-01-01T10:00:00Z,2024-01-01T10:00:00Z,many,", // ERROR and null
    ] {
        text.extend(line);
        text.extend(end.as_bytes());
    }
    text.extend(b"10,2024-01-01T10:00:00Z,2024-01-01T10:00:00Z, 13 , padded "); // no line end
    project.write("data/rows.csv", &text);
    project.apply();
    let load = project.load(&[]);
    assert_eq!((load.rows_read, load.rows_written, load.rows_bad), (10, 4, 6));
    assert_eq!(load.feature_errors["s"].count, 1);
    assert_eq!(load.feature_errors["n"].count, 1);
    assert!(load.feature_errors["n"].first.contains("row 9"), "{}", load.feature_errors["n"].first);

    let bad = quarantined(load.quarantine.as_deref().unwrap());
    let number = |row: &serde_json::Value, what: &str| row[what].as_u64().unwrap();
    let places: Vec<_> = bad.iter().map(|row| (number(row, "row"), number(row, "line"))).collect();
    assert_eq!(places, [(2, 4), (3, 5), (5, 7), (6, 8), (7, 9), (8, 10)]);
    let reasons = [
        "has 4 fields",
        "has 6 fields",
        "created time is null",
        "join key is null",
        "join key",
        "event time is null",
    ];
    for (row, reason) in bad.iter().zip(reasons) {
        assert!(row["file"].as_str().unwrap().ends_with("rows.csv"));
        assert!(row["reason"].as_str().unwrap().contains(reason), "{row}");
    }

    let text = |text: &str| present(Value::String(text.to_owned()));
    let found = project.get(&["v:n", "v:s"], &int_keys("id", &[1, 2, 4, 5, 9, 10]));
    let (missing, error) = (without_value(Status::Missing), without_value(Status::Error));
    assert_eq!(
        found,
        [
            [present(Value::Int64(5)), text(&format!("two{end}lines, \"quoted\""))],
            [missing.clone(), missing.clone()],
            [present(Value::Int64(8)), error.clone()],
            [missing.clone(), missing],
            [error, without_value(Status::Null)],
            [present(Value::Int64(13)), text(" padded ")],
        ]
    );

    // A file that is added brings its own rows: the older ones are not read again, nor set aside again.
    project.write("data/more.csv", "id,event_timestamp,created,n,s\nx,2024-01-01T10:00:00Z,,1,a\n");
    let more = project.load(&[]);
    assert_eq!((more.files, more.files_known, more.rows_bad), (2, 1, 1));
    assert_eq!(quarantined(load.quarantine.as_deref().unwrap()).len(), 7);
}

/// A name for the column of a type.
fn column_name(of: ValueType) -> String {
    let spelled = of.to_string();
    format!("f_{}", spelled.split('(').next().unwrap())
}

/// Goal: the same facts through CSV, JSON lines, Parquet of text and typed Parquet are the same bytes, for all types and their
/// edge values, also where the spelling differs.
#[test]
fn carriers_agree() {
    let carriers =
        [("csv", Carrier::Csv), ("json", Carrier::Json), ("text", Carrier::Text), ("typed", Carrier::Typed)];
    let feature = |of: &ValueType| (column_name(*of), *of, None);
    let view = |name: &str| ViewText {
        name: name.to_owned(),
        keys: vec![("id".to_owned(), ValueType::Int64)],
        features: ValueType::examples().iter().map(feature).collect(),
        ttl: None,
        keep: None,
        zone: None,
        created: false,
    };
    let mut project = Project::new(&definitions(&carriers.map(|(name, _)| view(name))));
    let rows = ValueType::examples().iter().map(|of| edge_values(*of).len()).max().unwrap();
    let mut columns = vec![
        Column::ints("id", 0..rows as i64),
        Column::instants("event_timestamp", (0..rows).map(|_| at("2024-01-01T10:00:00Z"))),
    ];
    for of in ValueType::examples() {
        let mut column = Column::new(&column_name(of), of);
        for row in 0..rows {
            // CSV has no empty text: that would be null there.
            let value = edge_values(of).into_iter().nth(row).map(|value| spelled_otherwise(&value));
            let empty =
                |value: &Value| *value == Value::String(String::new()) || *value == Value::Bytes(Vec::new());
            column.fields.push(value.filter(|value| !empty(value)).map(FieldOf::Value));
        }
        columns.push(column);
    }
    for (name, carrier) in carriers {
        project.write_table(&format!("data/{name}/rows"), &columns, carrier);
    }
    project.apply();
    for load in project.materialize(&[]) {
        assert_eq!((load.rows_written, load.rows_bad), (rows as u64, 0));
        assert!(load.feature_errors.is_empty(), "{:?}", load.feature_errors);
    }
    let keys: Vec<i64> = (0..rows as i64).collect();
    let online = carriers.map(|(name, _)| project.get(&[&format!("{name}:*")], &int_keys("id", &keys)));
    for (place, (name, _)) in carriers.iter().enumerate() {
        assert_eq!(online[0], online[place], "{name}");
    }
    let names: Vec<_> = ValueType::examples().iter().map(|of| (column_name(*of), *of)).collect();
    let labels = [
        Column::ints("id", keys.clone()),
        Column::instants("t", keys.iter().map(|_| at("2024-01-01T10:00:00Z"))),
    ];
    for (name, _) in carriers {
        let set = project.train(&Ask::of(features(&[&format!("{name}:*")]), KnownAt::Event), &labels);
        assert_eq!(set.answers(&names), online[0], "{name}");
    }
    // And they are the values that were written, in canonical form.
    for (place, of) in ValueType::examples().into_iter().enumerate() {
        for (row, value) in edge_values(of).into_iter().enumerate() {
            if online[0][row][place].status == Status::Present {
                assert_eq!(online[0][row][place].cell, Cell::Value(value), "{of} {row}");
            }
        }
    }
}

/// Goal: an unchanged source is recognised and not read again; an added file adds its rows and changes no older answer;
/// a rewritten file whose content is the same is unchanged.
#[test]
fn loads_again() {
    let mut project = Project::new(&one_view(""));
    let first = "id,event_timestamp,n,s\n1,2024-01-01T10:00:00Z,1,a\n2,2024-01-01T10:00:00Z,2,b\n";
    project.write("data/first.csv", first);
    project.apply();
    let load = project.load(&[]);
    assert_eq!((load.rows_written, load.units_published, load.unchanged), (2, 1, false));
    let stamp = project.journal("v").last_visible;
    project.set_clock("2030-01-02T00:00:00Z");
    let load = project.load(&[]);
    assert_eq!((load.rows_written, load.units_published, load.unchanged), (0, 0, true));
    project.write("data/first.csv", first);
    assert!(project.load(&[]).unchanged);
    assert_eq!(project.journal("v").last_visible, stamp, "a load without work leaves no mark");

    project.write(
        "data/second.csv",
        "id,event_timestamp,n,s\n2,2024-01-01T11:00:00Z,3,c\n3,2024-01-01T11:00:00Z,4,d\n",
    );
    let load = project.load(&[]);
    assert_eq!((load.units_published, load.unchanged, load.conflicts), (1, false, 0));
    assert_eq!((load.rows_read, load.rows_written, load.rows_online), (2, 2, 2));
    let ints = |found: Vec<Vec<asof_oracle::OracleValue>>| {
        found.into_iter().map(|row| row[0].clone()).collect::<Vec<_>>()
    };
    let now = ints(project.get(&["v:n"], &int_keys("id", &[1, 2, 3])));
    assert_eq!(now, [1, 3, 4].map(|n| present(Value::Int64(n))));
    let labels = [Column::ints("id", [1, 2, 3]), Column::instants("t", [at("2030-01-01T12:00:00Z"); 3])];
    let set = project.train(&Ask::of(features(&["v:n"]), KnownAt::Served), &labels);
    let then = ints(set.answers(&[("n".to_owned(), ValueType::Int64)]));
    assert_eq!(then, [present(Value::Int64(1)), present(Value::Int64(2)), without_value(Status::Missing)]);
}

/// Goal: a load of `[start, end)` takes exactly the events in it; ranges loaded one by one, in any order, answer as one
/// whole load; an empty range is refused.
#[test]
fn ranges() {
    let rows = "id,event_timestamp,n,s\n1,2024-01-01T10:00:00Z,1,a\n1,2024-01-01T11:00:00Z,2,b\n\
                1,2024-01-01T11:59:59.999999Z,3,c\n1,2024-01-01T12:00:00Z,4,d\n";
    let mut project = Project::new(&one_view(""));
    project.write("data/rows.csv", rows);
    project.apply();
    let range = |start: Option<&str>, end: Option<&str>| MaterializeRequest {
        start: start.map(at),
        end: end.map(at),
        ..MaterializeRequest::default()
    };
    let (ten, eleven, noon) = ("2024-01-01T10:00:00Z", "2024-01-01T11:00:00Z", "2024-01-01T12:00:00Z");
    assert!(project.try_materialize(&range(Some(noon), Some(noon))).is_err());
    let mut n = |start: Option<&str>, end: Option<&str>| {
        let load = project.try_materialize(&range(start, end)).unwrap().views.remove(0);
        let found = project.get(&["v:n"], &int_keys("id", &[1])).remove(0).remove(0);
        (load.rows_written, load.rows_outside, found.cell)
    };
    let int = |n: i64| Cell::Value(Value::Int64(n));
    assert_eq!(n(Some(eleven), Some(noon)), (2, 2, int(3)));
    assert_eq!(n(None, Some(ten)), (0, 4, int(3)));
    assert_eq!(n(None, Some(eleven)), (1, 3, int(3)), "an older row never replaces a newer one");
    assert_eq!(n(Some(noon), None), (1, 3, int(4)));
    assert_eq!(n(Some(noon), None), (0, 0, int(4)), "unchanged");
    let times = [ten, eleven, "2024-01-01T11:59:59.999998Z", "2024-01-01T11:59:59.999999Z", noon].map(at);
    let labels = [Column::ints("id", times.map(|_| 1)), Column::instants("t", times)];
    let set = project.train(&Ask::of(features(&["v:n"]), KnownAt::Event), &labels);
    let found: Vec<Cell> = set
        .answers(&[("n".to_owned(), ValueType::Int64)])
        .into_iter()
        .map(|row| row[0].cell.clone())
        .collect();
    assert_eq!(found, [1, 2, 2, 3, 4].map(int));
}

/// Goal: `t` is never before the last stamp online: an older `now` is refused, or answered from history where asked;
/// one beyond the clock is refused.
#[test]
fn now_behind_and_ahead() {
    let mut project = Project::new(&one_view(""));
    project.write("data/rows.csv", "id,event_timestamp,n,s\n1,2024-01-01T10:00:00Z,1,a\n");
    project.apply();
    project.load(&[]);
    let ask = Ask::of(features(&["v:n"]), KnownAt::Served);
    let keys = int_keys("id", &[1]);
    // The load has read the journal at the instant of the clock, so its unit is stamped a microsecond later.
    project.set_clock("2030-01-01T00:00:01Z");
    let mut get = |now: Instant, from_history: bool| project.try_get(&ask, &keys, 1, Some(now), from_history);
    assert!(get(at("2029-12-31T00:00:00Z"), false).is_err());
    assert_eq!(get(at("2029-12-31T00:00:00Z"), true).unwrap().rows[0][0].status, Status::Missing);
    assert_eq!(get(at("2030-01-01T00:00:00.000001Z"), true).unwrap().rows[0][0].status, Status::Present);
    assert!(
        get(at("2030-01-01T00:00:00.000001Z"), false).is_err(),
        "the load was complete two microseconds later"
    );
    assert_eq!(get(at("2030-01-01T00:00:00.000003Z"), false).unwrap().rows[0][0].status, Status::Present);
    assert!(get(at("2030-01-01T01:00:00Z"), true).is_err());
}

/// Goal: a request that was compiled before the first load, or before a later one, answers like one compiled now.
#[test]
fn a_plan_outlives_loads() {
    let mut project = Project::new(&one_view(""));
    project.write("data/rows.csv", "id,event_timestamp,n,s\n1,2024-01-01T10:00:00Z,1,a\n");
    project.apply();
    let plan = project.try_plan(&Ask::of(features(&["v:n"]), KnownAt::Served)).unwrap();
    let request = |now: Option<&str>| GetRequest {
        entities: int_keys("id", &[1]),
        fields: Default::default(),
        rows: 1,
        now: now.map(at),
        include_expired: false,
        from_history: true,
    };
    let n = |project: &mut Project, now: Option<&str>| {
        answers(&project.try_get_planned(&plan, &request(now)).unwrap()).remove(0).remove(0)
    };
    assert_eq!(n(&mut project, None), without_value(Status::Missing));
    project.set_clock("2030-01-02T00:00:00Z");
    project.load(&[]);
    assert_eq!(n(&mut project, None), present(Value::Int64(1)));
    project.set_clock("2030-01-03T00:00:00Z");
    project.write("data/rows.csv", "id,event_timestamp,n,s\n1,2024-01-01T11:00:00Z,2,a\n");
    project.load(&[]);
    assert_eq!(n(&mut project, None), present(Value::Int64(2)));
    assert_eq!(n(&mut project, Some("2030-01-02T12:00:00Z")), present(Value::Int64(1)));
    assert_eq!(n(&mut project, Some("2030-01-01T12:00:00Z")), without_value(Status::Missing));
}

/// Every row set aside, in order of files and rows.
fn quarantined(folder: &std::path::Path) -> Vec<serde_json::Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut rows = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        rows.extend(text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()));
    }
    rows
}
