//! Queries over all rows: against loops over small tables that anybody can check, and in every order of rows and files.

use std::collections::BTreeMap;
use std::path::Path;

use asof_engine::EngineError;
use asof_engine::source::{WantedColumn, list};
use asof_engine::transform::query::{QueryRun, SourceRows};
use asof_engine::transform::{self, SourceColumns, TransformError, types};
use asof_model::Location;
use asof_model::spec::Source;
use asof_model::transform::Transform;
use asof_objects::Objects;
use proptest::prelude::*;

/// One row of `source`: a key, seconds since an instant, a number, a float, a text.
type Row = (i64, i64, Option<i64>, f64, &'static str);
/// One row of `other`: a key, a number.
type Other = (i64, i64);

type Output = Vec<Vec<Option<String>>>;

/// What a query gives over these rows, each table in files of so many rows.
fn run(
    sql: &str,
    rows: &[Row],
    others: &[Other],
    cut: usize,
    wanted: &[&str],
) -> Result<Output, EngineError> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, header: &str, lines: Vec<String>| {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
        // A first file without rows, so that there always is one.
        std::fs::write(folder.path().join(name).join("0.csv"), format!("{header}\n")).unwrap();
        for (number, part) in lines.chunks(cut.max(1)).enumerate() {
            let text = format!("{header}\n{}", part.concat());
            std::fs::write(folder.path().join(name).join(format!("{}.csv", number + 1)), text).unwrap();
        }
    };
    let line = |(id, at, x, f, s): &Row| {
        let x = x.map(|x| x.to_string()).unwrap_or_default();
        format!("{id},2024-01-01T00:{:02}:{:02}Z,{x},{f:?},{s}\n", at / 60, at % 60)
    };
    write("rows", "id,at,x,f,s", rows.iter().map(line).collect());
    write("other", "id,y", others.iter().map(|(id, y)| format!("{id},{y}\n")).collect());
    run_in(folder.path(), sql, wanted)
}

fn typed(pairs: &[(&str, &str)]) -> BTreeMap<String, asof_model::ValueType> {
    let of = |(name, of): &(&str, &str)| ((*name).to_owned(), asof_model::ValueType::parse(of).unwrap());
    pairs.iter().map(of).collect()
}

fn sources(folder: &Path, sql: &str) -> BTreeMap<String, Source> {
    let source = |name: &str, event: &str, columns| Source {
        name: name.to_owned(),
        path: folder.join(name).display().to_string(),
        event: event.to_owned(),
        columns,
        ..Source::default()
    };
    let columns =
        typed(&[("id", "int64"), ("at", "timestamp"), ("x", "int64"), ("f", "float64"), ("s", "string")]);
    let mut rows = source("rows", "at", columns);
    rows.transform = Some(Transform { sql: sql.to_owned(), lookback: None, meaning: None });
    let other = source("other", "id", typed(&[("id", "int64"), ("y", "int64")]));
    BTreeMap::from([("rows".to_owned(), rows), ("other".to_owned(), other)])
}

fn typed_meaning(
    sources: &BTreeMap<String, Source>,
    sql: &str,
) -> Result<asof_model::transform::Meaning, TransformError> {
    transform::meaning(&sources["rows"], sql, |name| -> Result<SourceColumns, TransformError> {
        let source = &sources[name];
        let at = Location::parse(&source.path, Path::new("/")).unwrap();
        let files = list(name, &at, None, &Objects::of_process()).unwrap();
        Ok(types::of_files(source, &files, &|column| source.columns.get(column).copied()).unwrap())
    })
}

fn run_in(folder: &Path, sql: &str, wanted: &[&str]) -> Result<Output, EngineError> {
    let mut sources = sources(folder, sql);
    let meaning = typed_meaning(&sources, sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    sources.get_mut("rows").unwrap().transform.as_mut().unwrap().meaning = Some(meaning);
    let rows = sources.iter().map(|(name, source)| {
        let at = Location::parse(&source.path, Path::new("/")).unwrap();
        let files = list(name, &at, None, &Objects::of_process()).unwrap();
        (name.clone(), SourceRows { source: source.clone(), files, range: None })
    });
    let rows = rows.collect();
    let run = QueryRun { source: &sources["rows"], rows, scratch: folder.join("scratch") };
    let wanted: Vec<WantedColumn> = wanted.iter().map(|name| WantedColumn::required(name)).collect();
    let mut output = Vec::new();
    for batch in run.open(&wanted)? {
        let batch = batch?;
        output.extend(
            (0..batch.rows)
                .map(|row| batch.columns.iter().map(|column| column.text_at(row)).collect::<Vec<_>>()),
        );
    }
    assert!(!folder.join("scratch").exists(), "what was spilled is gone");
    Ok(output)
}

fn sorted(mut rows: Output) -> Output {
    rows.sort();
    rows
}

fn ints(rows: impl IntoIterator<Item = Vec<Option<i64>>>) -> Output {
    sorted(
        rows.into_iter()
            .map(|row| row.into_iter().map(|cell| cell.map(|v| v.to_string())).collect())
            .collect(),
    )
}

fn row() -> impl Strategy<Value = Row> {
    (
        0_i64..4,
        0_i64..6,
        prop::option::weighted(0.8, -3_i64..4),
        prop::sample::select(vec![0.1, 1e16, -1e16, 0.25, -7.5]),
        prop::sample::select(vec!["a", "b", "c"]),
    )
}

fn other() -> impl Strategy<Value = Other> {
    (0_i64..5, -2_i64..6)
}

/// By key, in order.
fn groups(rows: &[Row]) -> BTreeMap<i64, Vec<Row>> {
    let mut groups: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    rows.iter().for_each(|row| groups.entry(row.0).or_default().push(*row));
    groups
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Goal: joins of every kind, conditions, groups, windows, unions and limits give what loops over the rows give.
    #[test]
    fn against_loops(
        rows in prop::collection::vec(row(), 0..14),
        others in prop::collection::vec(other(), 0..8),
        cut in 1_usize..6,
    ) {
        let run = |sql: &str, wanted: &[&str]| sorted(run(sql, &rows, &others, cut, wanted).unwrap());

        let got = run("select r.id, r.x, o.y from source r join other o on r.id = o.id and o.y > r.x where o.y <> 1", &["id", "x", "y"]);
        let mut expected = Vec::new();
        for r in &rows {
            for o in &others {
                if r.0 == o.0 && r.2.is_some_and(|x| o.1 > x) && o.1 != 1 {
                    expected.push(vec![Some(r.0), r.2, Some(o.1)]);
                }
            }
        }
        prop_assert_eq!(got, ints(expected));

        for (kind, left_stays, right_stays) in [("left", true, false), ("right", false, true), ("full", true, true)] {
            let sql = format!("select r.id as a, o.id as b, y from source r {kind} join other o on r.id = o.id");
            let mut expected = Vec::new();
            for r in &rows {
                let meets: Vec<&Other> = others.iter().filter(|o| o.0 == r.0).collect();
                expected.extend(meets.iter().map(|o| vec![Some(r.0), Some(o.0), Some(o.1)]));
                if meets.is_empty() && left_stays {
                    expected.push(vec![Some(r.0), None, None]);
                }
            }
            let alone = others.iter().filter(|o| right_stays && !rows.iter().any(|r| r.0 == o.0));
            expected.extend(alone.map(|o| vec![None, Some(o.0), Some(o.1)]));
            prop_assert_eq!(run(&sql, &["a", "b", "y"]), ints(expected), "{}", kind);
        }

        let got = run(
            "select id + 10 as k, count(*) as n, count(x) as c, sum(x) as s, min(x) as lo, max(x) as hi, \
             count(distinct s) as d, sum(x) filter (where s = 'a') as sa from source group by id having count(*) > 1",
            &["k", "n", "c", "s", "lo", "hi", "d", "sa"],
        );
        let expected = groups(&rows).into_iter().filter(|(_, rows)| rows.len() > 1).map(|(id, rows)| {
            let xs: Vec<i64> = rows.iter().filter_map(|row| row.2).collect();
            let sum = |xs: &[i64]| (!xs.is_empty()).then(|| xs.iter().sum::<i64>());
            let of_a: Vec<i64> = rows.iter().filter(|row| row.4 == "a").filter_map(|row| row.2).collect();
            let mut texts: Vec<&str> = rows.iter().map(|row| row.4).collect();
            texts.sort();
            texts.dedup();
            vec![
                Some(id + 10), Some(rows.len() as i64), Some(xs.len() as i64), sum(&xs), xs.iter().min().copied(),
                xs.iter().max().copied(), Some(texts.len() as i64), sum(&of_a),
            ]
        });
        prop_assert_eq!(got, ints(expected));

        let got = run(
            "select id, x, row_number() over w as n, lag(x) over w as before, rank() over (partition by id order by at) as r, \
             sum(x) over (partition by id order by at range between interval '2 seconds' preceding and current row) as near, \
             count(*) over (partition by id) as all from source window w as (partition by id order by at, x desc nulls last, f, s)",
            &["id", "x", "n", "before", "r", "near", "all"],
        );
        let mut expected = Vec::new();
        for (id, mut rows) in groups(&rows) {
            rows.sort_by(|a, b| {
                let x = |row: &Row| (row.2.is_none(), std::cmp::Reverse(row.2));
                (a.1, x(a)).cmp(&(b.1, x(b))).then(a.3.total_cmp(&b.3)).then(a.4.cmp(b.4))
            });
            for (place, row) in rows.iter().enumerate() {
                let near: Vec<i64> =
                    rows.iter().filter(|r| r.1 >= row.1 - 2 && r.1 <= row.1).filter_map(|r| r.2).collect();
                expected.push(vec![
                    Some(id), row.2, Some(place as i64 + 1), place.checked_sub(1).and_then(|before| rows[before].2),
                    Some(rows.iter().filter(|r| r.1 < row.1).count() as i64 + 1),
                    (!near.is_empty()).then(|| near.iter().sum()), Some(rows.len() as i64),
                ]);
            }
        }
        prop_assert_eq!(got, ints(expected));

        let got = run(
            "with big as (select distinct id, x from source where x > 0) \
             select id, x from big union all select id, y from other where y < 0",
            &["id", "x"],
        );
        let mut expected: Vec<Vec<Option<i64>>> =
            rows.iter().filter(|row| row.2.is_some_and(|x| x > 0)).map(|row| vec![Some(row.0), row.2]).collect();
        expected.sort();
        expected.dedup();
        expected.extend(others.iter().filter(|o| o.1 < 0).map(|o| vec![Some(o.0), Some(o.1)]));
        prop_assert_eq!(got, ints(expected));

        let got = run("select id, x from source where x is not null order by x desc, id limit 3", &["id", "x"]);
        let mut expected: Vec<(i64, i64)> = rows.iter().filter_map(|row| Some((-row.2?, row.0))).collect();
        expected.sort();
        expected.truncate(3);
        prop_assert_eq!(got, ints(expected.into_iter().map(|(x, id)| vec![Some(id), Some(-x)])));
    }

    /// Goal: what comes out, and its order, is a function of the rows: no order, no cut into files changes a byte. Sums of
    /// floats that a different order would round otherwise are among them, and rows that only columns beside the order of a
    /// window tell apart.
    #[test]
    fn in_any_order(
        rows in prop::collection::vec(row(), 0..20),
        others in prop::collection::vec(other(), 0..6),
        cuts in prop::collection::vec(1_usize..9, 2),
        seed in any::<u64>(),
    ) {
        let shuffled = |seed: u64| {
            let mut rows = rows.clone();
            let mut state = seed | 1;
            for place in (1..rows.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                rows.swap(place, (state >> 33) as usize % (place + 1));
            }
            rows
        };
        let queries: [(&str, &[&str]); 3] = [
            ("select id, max(at) as at, sum(f) as s, avg(f) as m from source group by id", &["id", "at", "s", "m"]),
            (
                "select *, row_number() over (partition by id order by at) as n, lag(f) over (order by id) as before, \
                 first_value(s) over (partition by id order by x) as first, \
                 sum(f) over (order by at rows between 2 preceding and current row) as run from source",
                &["id", "at", "x", "f", "s", "n", "before", "first", "run"],
            ),
            (
                "select r.*, y, 10 / y as q from source r join other o using (id) where 6 / y > 1",
                &["id", "f", "y", "q", "__errors of q", "__bad"],
            ),
        ];
        for (sql, wanted) in queries {
            let one = run(sql, &rows, &others, cuts[0], wanted).unwrap();
            let other = run(sql, &shuffled(seed), &others, cuts[1], wanted).unwrap();
            prop_assert_eq!(one, other, "{}", sql);
        }
    }
}

/// Goal: variances are exact, also in frames that rows leave again, and not of distinct values.
#[test]
fn variances() {
    let rows: Vec<Row> =
        [1e15, 1e15 + 1.0, 1e15 + 2.0, 5.0].iter().enumerate().fold(Vec::new(), |mut all, (at, f)| {
            all.push((i64::from(at == 3), at as i64, Some(at as i64), *f, "a"));
            all
        });
    let run = |sql: &str, wanted: &[&str]| sorted(run(sql, &rows, &[], 2, wanted).unwrap());
    let cells = |cells: &[Option<&str>]| cells.iter().map(|cell| cell.map(str::to_owned)).collect::<Vec<_>>();
    let got = run(
        "select id, max(at) as at, var_samp(f) as v, stddev(x) as d, var_pop(x) as p from source group by id",
        &["id", "v", "d", "p"],
    );
    let third = (2.0_f64 / 3.0).to_string();
    let expected = [
        cells(&[Some("0"), Some("1.0"), Some("1.0"), Some(&third)]),
        cells(&[Some("1"), None, None, Some("0.0")]),
    ];
    assert_eq!(got, expected);
    let got = run(
        "select at, var_pop(x) over (order by at rows between 1 preceding and current row) as v from source",
        &["v"],
    );
    assert_eq!(
        got,
        [cells(&[Some("0.0")]), cells(&[Some("0.25")]), cells(&[Some("0.25")]), cells(&[Some("0.25")])]
    );
    let sql = "select id, max(at) as at, variance(distinct x) as v from source group by id";
    let folder = tempfile::tempdir().unwrap();
    for name in ["rows", "other"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("0.csv"), "id,at,x,f,s,y\n").unwrap();
    }
    let error = typed_meaning(&sources(folder.path(), sql), sql).unwrap_err();
    assert!(error.to_string().contains("`variance` of distinct values is not built"), "{error}");
}

/// Goal: a row about which something in error decides comes out as a bad one with its reason, and in no group, no join and
/// no window of the good ones; errors of values pass on, through aggregates too.
#[test]
fn errors_travel() {
    let rows: Vec<Row> =
        vec![(1, 0, Some(0), 0.0, "a"), (1, 1, Some(2), 0.0, "a"), (2, 0, Some(4), 0.0, "b")];
    let others = [(1, 7), (2, 8)];
    let run = |sql: &str, wanted: &[&str]| sorted(run(sql, &rows, &others, 2, wanted).unwrap());
    let cells = |cells: &[Option<&str>]| cells.iter().map(|cell| cell.map(str::to_owned)).collect::<Vec<_>>();

    let got = run("select distinct id, x from source where 4 / x > 1", &["id", "x", "__bad"]);
    let bad = "the condition of `where` is in ERROR";
    assert_eq!(got, [cells(&[Some("1"), Some("0"), Some(bad)]), cells(&[Some("1"), Some("2"), None])]);

    let got = run(
        "select id, count(*) as n, sum(4 / x) as s from source where 4 / x < 9 group by id",
        &["id", "n", "s", "__errors of s", "__bad"],
    );
    let expected = [
        cells(&[Some("1"), Some("1"), None, Some("true"), Some(bad)]),
        cells(&[Some("1"), Some("1"), Some("2"), Some("false"), None]),
        cells(&[Some("2"), Some("1"), Some("1"), Some("false"), None]),
    ];
    assert_eq!(got, expected);

    let got = run("select id, sum(4 / x) as s from source group by id", &["id", "s", "__errors of s"]);
    assert_eq!(got, [cells(&[Some("1"), None, Some("true")]), cells(&[Some("2"), Some("1"), Some("false")])]);

    let got = run("select r.x, y from source r join other o on 2 / x + r.id = o.id", &["x", "y", "__bad"]);
    let bad = "a key of the join is in ERROR";
    assert_eq!(
        got,
        [
            cells(&[Some("0"), None, Some(bad)]),
            cells(&[Some("2"), Some("8"), None]),
            cells(&[Some("4"), Some("8"), None])
        ]
    );

    let got = run("select 4 / x as k, count(*) as n from source group by 4 / x", &["k", "n", "__bad"]);
    let bad = "a key of `group by` is in ERROR";
    assert_eq!(
        got,
        [
            cells(&[None, Some("1"), Some(bad)]),
            cells(&[Some("1"), Some("1"), None]),
            cells(&[Some("2"), Some("1"), None])
        ]
    );
}

/// Goal: what a query may not do is refused with what is wrong, where and what to do instead.
#[test]
fn refusals() {
    let folder = tempfile::tempdir().unwrap();
    for (name, header) in [("rows", "id,at,x,f,s"), ("other", "id,y")] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("0.csv"), format!("{header}\n")).unwrap();
    }
    for (sql, place, message) in [
        (
            "select id, x from source group by id",
            Some((1, 12)),
            "`x` is neither grouped by nor inside an aggregate",
        ),
        (
            "select id, sum(s) as s from source group by id",
            Some((1, 12)),
            "`sum` does not take values of type string",
        ),
        (
            "select id from source join other on source.id = other.id",
            Some((1, 8)),
            "`id` is a column of several tables",
        ),
        (
            "select r.id from source r join other o on r.s = o.id",
            Some((1, 43)),
            "the sides of the join have the types",
        ),
        (
            "select r.id from source r left join other o on r.x > 1 and r.id = o.id",
            Some((1, 48)),
            "outer join",
        ),
        (
            "select row_number() over (partition by id) as n from source",
            Some((1, 8)),
            "`row_number` without `order by`",
        ),
        ("select id from source limit 5", Some((1, 29)), "`limit` without `order by`"),
        ("select id from source order by id", Some((1, 32)), "`order by` without `limit`"),
        ("select id from source union select id from other", None, "`union` can't be used"),
        ("select id from source where id in (select id from other)", None, "subquery"),
        (
            "select id, sum(x) over (order by f range between 1 preceding and current row) as n from source",
            None,
            "a range",
        ),
        ("select id from source r join other o on r.id = o.idd", Some((1, 50)), "`idd` is not a column here"),
        (
            "select id from source union all select s from source",
            Some((1, 33)),
            "`union all`: `id` is int64, and here it is string",
        ),
        (
            "select array_agg(x) as xs, id from source group by id",
            Some((1, 8)),
            "`array_agg` is not an aggregate of queries",
        ),
        ("select max(sum(x)) as m, id from source group by id", None, "an aggregate inside an aggregate"),
        ("select distinct random() as r from source", None, "`random` is refused"),
    ] {
        let sources = sources(folder.path(), sql);
        let error = typed_meaning(&sources, sql).expect_err(sql);
        assert!(error.message.contains(message), "{sql}: {}", error.message);
        assert!(place.is_none() || error.place == place, "{sql}: {:?}", error.place);
        assert!(error.hint.is_some() || !message.contains("ERROR"), "{sql}");
    }
}

/// Goal: lineage goes through joins, groups, windows and queries inside, and what is read is recorded with its type.
#[test]
fn lineage() {
    let folder = tempfile::tempdir().unwrap();
    for (name, header) in [("rows", "id,at,x,f,s"), ("other", "id,y")] {
        std::fs::create_dir_all(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join(name).join("0.csv"), format!("{header}\n")).unwrap();
    }
    let sql = "with sums as (select id, sum(x) as total from source group by id) \
               select s.id, total + y as z, row_number() over (order by y) as n, 1 as one \
               from sums s join other o on s.id = o.id";
    let meaning = typed_meaning(&sources(folder.path(), sql), sql).unwrap();
    let from = |name: &str| meaning.outputs[name].from.join(" ");
    assert_eq!(
        [from("id"), from("z"), from("n"), from("one")],
        ["id", "other.y x", "", ""].map(str::to_owned)
    );
    let read: Vec<String> = meaning
        .inputs
        .iter()
        .flat_map(|(source, columns)| columns.iter().map(move |(name, of)| format!("{source}.{name}: {of}")))
        .collect();
    assert_eq!(read, ["other.id: int64", "other.y: int64", "rows.id: int64", "rows.x: int64"]);
}
