//! Which files a path means: patterns, partitions, and files that differ in their columns or are packed.

use std::io::Write;
use std::path::Path;

use asof_engine::source::{self, Admission, SourceFile, WantedColumn};
use asof_engine::{EngineError, columns::value_at};
use asof_model::entry::to_text;
use asof_model::spec::{About, Feature, FileFormat, JoinKey, Source};
use asof_model::{Explain, Instant, ValueType};
use std::collections::BTreeMap;
use tempfile::TempDir;

use crate::list;

const WHAT: &str = "source `trips`";

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

/// The listed paths below a folder, or the error and its hint.
fn names(root: &Path, pattern: &str, format: Option<FileFormat>) -> Result<Vec<String>, String> {
    let found = list(WHAT, &root.join(pattern), format);
    let below = |file: &SourceFile| file.path.strip_prefix(root).unwrap().display().to_string();
    found.map(|files| files.iter().map(below).collect()).map_err(|error| error.to_string())
}

/// Goal: a pattern means the files that match it and those in folders that match it; a star stays in its folder.
#[test]
fn patterns() {
    let folder = folder(&[
        ("data/2024-01/part-1.csv", b""),
        ("data/2024-01/part-2.csv", b""),
        ("data/2024-01/_part-3.csv", b""),
        ("data/2024-01/deep/part-4.csv", b""),
        ("data/2024-02/part-1.parquet", b""),
        ("data/2023-12/part-1.csv", b""),
        ("data/2023-12/rows.txt", b""),
        ("data/a[1].csv", b""),
    ]);
    let found = |pattern| names(folder.path(), pattern, None).unwrap();
    assert_eq!(found("data/2024-*/part-*.csv"), ["data/2024-01/part-1.csv", "data/2024-01/part-2.csv"]);
    assert_eq!(
        found("data/2024-*"),
        [
            "data/2024-01/deep/part-4.csv",
            "data/2024-01/part-1.csv",
            "data/2024-01/part-2.csv",
            "data/2024-02/part-1.parquet"
        ]
    );
    assert_eq!(found("data/**/part-4.csv"), ["data/2024-01/deep/part-4.csv"]);
    assert_eq!(
        found("data/202[34]-{12,02}/*-?.*"),
        ["data/2023-12/part-1.csv", "data/2024-02/part-1.parquet"]
    );
    assert_eq!(found("data/a[1].csv"), ["data/a[1].csv"], "a file that is there means itself");
    let csv = names(folder.path(), "data/2023-12/*", Some(FileFormat::Csv)).unwrap();
    assert_eq!(
        csv,
        ["data/2023-12/part-1.csv", "data/2023-12/rows.txt"],
        "a given format holds for what matches"
    );
    let limited = names(folder.path(), "data/2024-*", Some(FileFormat::Parquet)).unwrap();
    assert_eq!(limited, ["data/2024-02/part-1.parquet"], "and limits a folder");
    for (pattern, message) in [
        ("data/2025-*", "has no file of a known format"),
        ("data/2023-12/*.txt", "has no file of a known format"),
        ("data/[", "is not understood"),
        ("gone/*.csv", "there is no file or folder"),
    ] {
        let error = names(folder.path(), pattern, None).unwrap_err();
        assert!(error.starts_with(WHAT) && error.contains(message), "{error}");
    }
}

fn admission() -> Admission {
    let feature = |name: &str, value_type| Feature {
        name: name.to_owned(),
        value_type,
        default: None,
        aggregation: None,
        computation: None,
        about: About::default(),
    };
    let source = Source {
        name: "trips".to_owned(),
        path: "trips".to_owned(),
        event: "day".to_owned(),
        fields: BTreeMap::from([("land".to_owned(), "country".to_owned())]),
        ..Source::default()
    };
    let keys = [JoinKey { name: "country".to_owned(), value_type: ValueType::String }];
    let features = [feature("hour", ValueType::Int32), feature("n", ValueType::Int64)];
    Admission::new(&source, &keys, &features, Instant::MIN, None).unwrap()
}

/// Country, day, hour and n of every row, and for each file the columns that it lacks.
fn rows(path: &Path) -> Result<(Vec<String>, Vec<String>), EngineError> {
    let (mut rows, mut lacking) = (Vec::new(), Vec::new());
    let admission = admission();
    for file in list(WHAT, path, None)? {
        for raw in source::open(WHAT, &file, admission.columns())? {
            let raw = raw?;
            let admitted = admission.admit(&raw)?;
            assert_eq!(admitted.bad, []);
            lacking.extend(raw.lacking.iter().map(|place| admission.columns()[*place].name.clone()));
            for row in 0..admitted.rows.num_rows() {
                let text = |name: &str, declared| {
                    let value = value_at(admitted.rows.column_by_name(name).unwrap(), declared, row);
                    value.map_or("-".to_owned(), |value| to_text(&value))
                };
                rows.push(format!(
                    "{} {} {} {}",
                    text("country", ValueType::String),
                    text("event_timestamp", ValueType::Timestamp),
                    text("hour", ValueType::Int32),
                    text("n", ValueType::Int64)
                ));
            }
        }
    }
    Ok((rows, lacking))
}

/// Goal: partition columns can be keys, event and features, under their new names too; the file's own column goes first.
#[test]
fn partitions_are_columns() {
    let folder = folder(&[
        ("day=2024-01-01/land=DE/hour=7/a.csv", b"n\n1\n2\n"),
        ("day=2024-01-02/land=C%C3%B4te/hour=__HIVE_DEFAULT_PARTITION__/a.csv", b"n\n3\n"),
        ("day=2024-01-03/land=FR/hour=x/a.csv", b"n,land,hour\n4,CH,9\n"),
    ]);
    let (rows, lacking) = rows(folder.path()).unwrap();
    assert_eq!(
        rows,
        [
            "DE 2024-01-01T00:00:00Z 7 1",
            "DE 2024-01-01T00:00:00Z 7 2",
            "Côte 2024-01-02T00:00:00Z - 3",
            "CH 2024-01-03T00:00:00Z 9 4"
        ]
    );
    assert_eq!(lacking, [""; 0]);
}

/// Goal: a file without a feature's column gives null there and says so; without a key or an instant it is refused by
/// name; a feature that no file has is refused.
#[test]
fn columns_that_files_lack() {
    let both = folder(&[
        ("a.csv", b"land,day,n\nDE,2024-01-01,1\n"),
        ("b.csv", b"n,hour,day,land\n2,7,2024-01-02,DE\n"),
    ]);
    let (found, lacking) = rows(both.path()).unwrap();
    assert_eq!(found, ["DE 2024-01-01T00:00:00Z - 1", "DE 2024-01-02T00:00:00Z 7 2"]);
    assert_eq!(lacking, ["hour"]);
    let check = |path: &Path| {
        let files = list(WHAT, path, None).unwrap();
        source::check_columns(WHAT, &files, admission().columns())
    };
    check(both.path()).unwrap();

    let keyless =
        folder(&[("a.csv", b"land,day,n,hour\n"), ("b.csv", b"day,n,hour,lant\nDE,2024-01-01,1,1\n")]);
    let error = rows(keyless.path()).unwrap_err();
    assert!(error.to_string().ends_with("b.csv` has no column `land`"), "{error}");
    assert_eq!(error.hint().as_deref(), Some("did you mean `lant`?"));

    let nowhere = folder(&[("a.csv", b"land,day,n\n"), ("b.csv", b"land,day,n,hours\n")]);
    let error = check(nowhere.path()).unwrap_err();
    assert!(error.to_string().ends_with("b.csv` has no column `hour`"), "{error}");
    assert_eq!(error.hint().as_deref(), Some("did you mean `hours`?"));
    check(&both.path().join("a.csv")).unwrap_err();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Goal: packed text is read as if it were not, in several parts too; one that is cut or damaged is told, by name.
#[test]
fn packed_text() {
    let text: &[u8] = b"land,day,n,hour\r\nDE,2024-01-01,1,\"7\"\r\nDE,2024-01-02,2,8";
    let (one, other) = text.split_at(20);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    let good = ["DE 2024-01-01T00:00:00Z 7 1", "DE 2024-01-02T00:00:00Z 8 2"];
    for (name, bytes) in [
        ("a.csv.gz", gzip(text)),
        ("a.csv.gz", [gzip(one), gzip(other)].concat()),
        ("a.CSV.ZST", zstd(text)),
        ("a.csv.zst", [zstd(one), zstd(other)].concat()),
    ] {
        let folder = folder(&[(name, &bytes)]);
        assert_eq!(rows(folder.path()).unwrap().0, good, "{name}");
        // Cut anywhere, also in the header and in the checksum.
        for end in [1, 12, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(folder.path().join(name), &bytes[..end]).unwrap();
            let error = rows(folder.path()).unwrap_err();
            assert!(matches!(error, EngineError::Damaged { .. }), "{name} cut at {end}: {error}");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
    let mut damaged = gzip(text);
    let place = damaged.len() - 6;
    damaged[place] ^= 0x55;
    let wrong = folder(&[("a.csv.gz", &damaged)]);
    let error = rows(wrong.path()).unwrap_err();
    assert!(error.to_string().contains("a.csv.gz` is not a readable gzip file"), "{error}");
    let parquet = folder(&[("a.parquet.gz", b"")]);
    let error = list(WHAT, &parquet.path().join("a.parquet.gz"), None).unwrap_err();
    assert!(matches!(error, EngineError::UnknownFormat { .. }), "{error}");
}

/// Goal: a wanted column is told from a lacking one by its name alone, in the file and in its folders.
#[test]
fn columns_are_found_by_name() {
    let folder = folder(&[("n=5/a.csv", b"N\n1\n")]);
    let file = list(WHAT, folder.path(), None).unwrap().remove(0);
    let wanted = [WantedColumn::required("n"), WantedColumn { name: "m".to_owned(), required: false }];
    let raw = source::open(WHAT, &file, &wanted).unwrap().next().unwrap().unwrap();
    assert_eq!((raw.columns[0].text_at(0).as_deref(), raw.columns[1].text_at(0)), (Some("5"), None));
    assert_eq!(raw.lacking, [1]);
}

/// Goal: JSON lines are rows by name, whatever stands around them; numbers and texts are the same facts; what is no
/// object, or says a name twice, is set aside with its line, and its neighbours are taken.
#[test]
fn json_lines() {
    let text = "\u{feff}{\"n\": 1, \"land\":\"D\\u0045\", \"day\":\"2024-01-01\", \"x\":{\"n\":[5]}, \"hour\":\"7\"}\r\n\
                \n  \n\
                {\"day\":\"2024-01-02\",\"land\":\"DE\",\"n\":2.0e0}\n\
                {\"land\":\"DE\",\"day\":\"2024-01-03\",\"n\":null,\"hour\":7}";
    let good = ["DE 2024-01-01T00:00:00Z 7 1", "DE 2024-01-02T00:00:00Z - 2", "DE 2024-01-03T00:00:00Z 7 -"];
    for (name, bytes) in [
        ("a.ndjson", text.as_bytes().to_vec()),
        ("a.jsonl", text.as_bytes().to_vec()),
        ("a.json.gz", gzip(text.as_bytes())),
        ("a.ndjson.zst", zstd::encode_all(text.as_bytes(), 0).unwrap()),
    ] {
        let folder = folder(&[(name, &bytes)]);
        assert_eq!(rows(folder.path()).unwrap(), (good.map(str::to_owned).to_vec(), vec![]), "{name}");
    }
    // The row goes first, then its folder.
    let told = folder(&[(
        "hour=3/a.json",
        b"{\"day\":\"2024-01-01\",\"land\":\"DE\",\"hour\":null}\n{\"day\":\"2024-01-01\",\"land\":\"DE\"}",
    )]);
    let day = "DE 2024-01-01T00:00:00Z";
    assert_eq!(
        rows(told.path()).unwrap(),
        (vec![format!("{day} - -"), format!("{day} 3 -")], vec!["n".to_owned()])
    );

    let lines: [&[u8]; 10] = [
        b"{\"land\":\"DE\",\"day\":\"2024-01-01\"}",
        b"[1]",
        b"{\"land\":\"DE\",\"day\":\"2024-01-01\"",
        b"{\"land\":\"DE\",\"l\\u0061nd\":\"DE\",\"day\":\"2024-01-01\"}",
        b"{\"land\":\"DE\",\"day\":\"2024-01-01\"} {}",
        b"{\"land\":\"\xff\",\"day\":\"2024-01-01\"}",
        b"{\"land\":\"DE\",\"day\":\"2024-01-01\",\"n\":NaN}",
        b"{\"land\":\"\\ud800\",\"day\":\"2024-01-01\"}",
        b"{\"land\":[\"DE\"],\"day\":\"2024-01-01\"}",
        b"{\"land\":\"DE\",\"day\":\"2024-01-01\",\"n\":{\"a\":1}}",
    ];
    let folder = folder(&[("a.ndjson", &lines.join(&b'\n'))]);
    let file = list(WHAT, folder.path(), None).unwrap().remove(0);
    let admission = admission();
    let raw = source::open(WHAT, &file, admission.columns()).unwrap().next().unwrap().unwrap();
    let admitted = admission.admit(&raw).unwrap();
    let bad: Vec<_> =
        admitted.bad.iter().map(|bad| (bad.row, bad.line.unwrap(), bad.reason.as_str())).collect();
    assert_eq!(
        bad,
        [
            (2, 2, "the line is not a JSON object: invalid type: sequence, expected an object at byte 0"),
            (3, 3, "the line is not a JSON object: EOF while parsing an object at byte 31"),
            (4, 4, "the line is not a JSON object: the name \"land\" stands twice in it at byte 49"),
            (5, 5, "the line is not a JSON object: trailing characters at byte 34"),
            (6, 6, "the line is not UTF-8 text"),
            (7, 7, "the line is not a JSON object: expected value at byte 37"),
            (8, 8, "the join key: the text is not UTF-8"),
            (9, 9, "the join key: [\"DE\"] is not a string"),
        ]
    );
    assert_eq!(admitted.rows.num_rows(), 2);
    assert!(admitted.feature_errors["n"].first.ends_with("{\"a\":1} is not a whole number"));
}
