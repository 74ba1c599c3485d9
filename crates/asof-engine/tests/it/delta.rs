//! Delta tables as sources: which files a version has, what its log says of them, and what is refused.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use asof_engine::EngineError;
use asof_engine::source::{self, SourceFile, WantedColumn};
use asof_model::spec::FileFormat;
use asof_model::{Explain, Location};
use asof_objects::Objects;
use asof_testkit::s3::S3Server;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use std::path::Path;

const WHAT: &str = "source `rows`";

fn parquet(ids: &[i64], cities: Option<&[&str]>) -> Vec<u8> {
    let mut columns: Vec<(&str, ArrayRef)> = vec![("id", Arc::new(Int64Array::from(ids.to_vec())))];
    columns.extend(cities.map(|cities| ("city", Arc::new(StringArray::from(cities.to_vec())) as ArrayRef)));
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

/// A table as its files: paths with content.
struct Table(Vec<(String, Vec<u8>)>);

impl Table {
    fn new(configuration: Value) -> Self {
        let field =
            |name: &str, of: &str| json!({"name": name, "type": of, "nullable": true, "metadata": {}});
        let fields =
            [field("id", "long"), field("city", "string"), field("day", "date"), field("land", "string")];
        let schema = json!({"type": "struct", "fields": fields}).to_string();
        let metadata = json!({"metaData": {
            "id": "5fba94ed-9794-4965-ba6e-6ee3c0d22af9",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema,
            "partitionColumns": ["day", "land"],
            "configuration": configuration,
            "createdTime": 1_700_000_000_000_i64,
        }});
        let protocol = json!({"protocol": {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": ["deletionVectors", "columnMapping"],
            "writerFeatures": ["deletionVectors", "columnMapping"],
        }});
        let mut table = Self(Vec::new());
        table.commit(&[protocol, metadata]);
        table
    }

    fn commit(&mut self, actions: &[Value]) {
        let version = self.0.iter().filter(|(path, _)| path.starts_with("_delta_log")).count();
        let text: String = actions.iter().map(|action| format!("{action}\n")).collect();
        self.0.push((format!("_delta_log/{version:020}.json"), text.into_bytes()));
    }

    /// Puts a data file there, and gives the action that adds it.
    fn file(&mut self, path: &str, bytes: Vec<u8>, day: Option<&str>, land: &str) -> Value {
        let add = json!({"add": {
            "path": path.replace('%', "%25").replace(' ', "%20"),
            "partitionValues": {"day": day, "land": land},
            "size": bytes.len(),
            "modificationTime": 1_700_000_000_000_i64,
            "dataChange": true,
        }});
        self.0.push((path.to_owned(), bytes));
        add
    }

    fn write(&self, folder: &Path) {
        for (path, bytes) in &self.0 {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

/// Id, city, day and land of every row.
fn rows(files: &[SourceFile]) -> Vec<String> {
    let column = |name: &str| WantedColumn { name: name.to_owned(), required: name == "id" };
    let mut rows = Vec::new();
    for file in files {
        for raw in source::open(WHAT, file, &["id", "city", "day", "land"].map(column)).unwrap() {
            let raw = raw.unwrap();
            for row in 0..raw.rows {
                let fields =
                    raw.columns.iter().map(|each| each.text_at(row).unwrap_or_else(|| "-".to_owned()));
                rows.push(fields.collect::<Vec<_>>().join(" "));
            }
        }
    }
    rows.sort();
    rows
}

/// Two versions with rows: a file of the first one is replaced in the second, which adds a column.
fn two_versions() -> (Table, Table) {
    let mut table = Table::new(json!({}));
    let kept = table.file(
        "day=2024-01-01/land=C%C3%B4te d/a b.parquet",
        parquet(&[1], None),
        Some("2024-01-01"),
        "Côte d",
    );
    let gone = table.file("gone.parquet", parquet(&[2, 3], None), Some("2024-01-02"), "DE");
    table.commit(&[kept, gone]);
    let first = Table(table.0.clone());
    let added = table.file("x/new.parquet", parquet(&[3], Some(&["Bonn"])), None, "");
    let removed = json!({"remove": {"path": "gone.parquet", "deletionTimestamp": 1_700_000_000_001_i64, "dataChange": true}});
    table.commit(&[added, removed]);
    (first, table)
}

const FIRST: [&str; 3] = ["1 - 2024-01-01 Côte d", "2 - 2024-01-02 DE", "3 - 2024-01-02 DE"];
const SECOND: [&str; 2] = ["1 - 2024-01-01 Côte d", "3 Bonn - -"];

/// Goal: a table means the files of its newest version, with the partition values that its log says; a file that stays
/// keeps its identity, and the version is recorded.
#[test]
fn versions_of_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let list = |format| crate::list(WHAT, folder.path(), format);
    let (first, second) = two_versions();
    first.write(folder.path());
    let before = list(None).unwrap();
    assert_eq!(rows(&before), FIRST);
    second.write(folder.path());
    let after = list(Some(FileFormat::Delta)).unwrap();
    assert_eq!(rows(&after), SECOND);
    assert_eq!(
        list(Some(FileFormat::Parquet)).unwrap(),
        after,
        "the log holds, whatever stands in the folder"
    );
    let prints =
        |files: &[SourceFile]| files.iter().map(|file| file.fingerprint().unwrap()).collect::<Vec<_>>();
    let (old, new) = (prints(&before), prints(&after));
    assert_eq!((old[0].table_version, new[0].table_version), (Some(1), Some(2)));
    assert_eq!(
        (&old[0].hash, &old[0].path, old[0].modified),
        (&new[0].hash, &new[0].path, 1_700_000_000_000_000)
    );
    assert!(old.iter().all(|print| print.hash != new[1].hash));
    after[0].check_unchanged(&new[0]).unwrap();
}

/// Goal: the same table in a bucket holds the same rows.
#[test]
fn a_table_in_a_bucket() {
    let server = S3Server::start();
    server.make_bucket("lake");
    let objects = Objects::new(server.variables());
    let list = |url: &str| source::list(WHAT, &Location::parse(url, Path::new("")).unwrap(), None, &objects);
    let put = |table: &Table| {
        for (path, bytes) in &table.0 {
            server.put(&format!("lake/tables/rows/{}", path.replace('%', "%25").replace(' ', "%20")), bytes);
        }
    };
    let (first, second) = two_versions();
    put(&first);
    assert_eq!(rows(&list("s3://lake/tables/rows").unwrap()), FIRST);
    put(&second);
    let files = list("s3://lake/tables/rows/").unwrap();
    assert_eq!(rows(&files), SECOND);
    assert_eq!(files[1].path.to_str(), Some("s3://lake/tables/rows/x/new.parquet"));
    let error = list("s3://lake/tables").unwrap_err();
    assert_eq!(error.to_string(), "source `rows`: `s3://lake/tables/rows` is a Delta table");
}

/// Goal: what would give deleted rows, or columns under wrong names, is refused by name, and so is a damaged log.
#[test]
fn what_is_refused() {
    let refused = |table: &Table| {
        let folder = tempfile::tempdir().unwrap();
        table.write(folder.path());
        let error = crate::list(WHAT, folder.path(), None).unwrap_err();
        assert!(matches!(error, EngineError::DeltaTable { .. }), "{error}");
        error.to_string()
    };
    let mut deleted = Table::new(json!({"delta.enableDeletionVectors": "true"}));
    let mut add = deleted.file("a.parquet", parquet(&[1], None), None, "DE");
    add["add"]["deletionVector"] = json!({"storageType": "u", "pathOrInlineDv": "vBn[lx{q8@P<9BNH/isA", "offset": 1, "sizeInBytes": 36, "cardinality": 1});
    deleted.commit(&[add]);
    let error = refused(&deleted);
    assert!(error.contains("rows of its file `a.parquet` are deleted by a deletion vector"), "{error}");

    let mapped = Table::new(json!({"delta.columnMapping.mode": "none"}));
    let folder = tempfile::tempdir().unwrap();
    mapped.write(&folder.path().join("below/rows"));
    assert_eq!(
        crate::list(WHAT, &folder.path().join("below/rows"), None).unwrap(),
        [],
        "a table without rows"
    );
    let error = crate::list(WHAT, folder.path(), None).unwrap_err();
    assert!(error.to_string().ends_with("below/rows` is a Delta table"), "{error}");
    assert!(error.hint().unwrap().starts_with("name it itself"));
    let plain = folder.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    std::fs::write(plain.join("a.parquet"), parquet(&[1], None)).unwrap();
    for path in [plain.clone(), plain.join("a.parquet"), plain.join("*.parquet")] {
        let error = crate::list(WHAT, &path, Some(FileFormat::Delta)).unwrap_err();
        assert!(matches!(error, EngineError::NoFiles { .. }), "{error}");
    }

    let mut damaged = Table::new(json!({}));
    damaged.0[0].1 = b"{\"protocol\"".to_vec();
    refused(&damaged);
    let mut outside = Table::new(json!({}));
    let mut add = outside.file("a.parquet", parquet(&[1], None), None, "DE");
    add["add"]["path"] = json!("s3://other/a.parquet");
    outside.commit(&[add]);
    let error = refused(&outside);
    assert!(error.contains("lies outside of its folder"), "{error}");
}
