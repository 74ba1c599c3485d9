//! Files in an object store: listed, identified and read as their like on this machine, from a real server.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use asof_engine::EngineError;
use asof_engine::source::{self, SourceFile, WantedColumn};
use asof_model::{Explain, Kind, Location};
use asof_objects::{Objects, ObjectsError};
use asof_testkit::s3::S3Server;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

const WHAT: &str = "source `rows`";

fn at(url: &str) -> Location {
    Location::parse(url, Path::new("")).unwrap()
}

fn list(objects: &Objects, url: &str) -> Result<Vec<SourceFile>, EngineError> {
    source::list(WHAT, &at(url), None, objects)
}

fn names(files: &[SourceFile]) -> Vec<String> {
    files.iter().map(|file| file.path.display().to_string()).collect()
}

/// Every field of `a` and `b` in those files.
fn fields(files: &[SourceFile]) -> Result<Vec<[Option<String>; 2]>, EngineError> {
    let mut all = Vec::new();
    for file in files {
        for raw in source::open(WHAT, file, &["a", "b"].map(WantedColumn::required))? {
            let raw = raw?;
            all.extend((0..raw.rows).map(|row| [raw.columns[0].text_at(row), raw.columns[1].text_at(row)]));
        }
    }
    Ok(all)
}

/// A Parquet file of several row groups, larger than one request.
fn parquet(rows: i64) -> Vec<u8> {
    // Incompressible, so that there is something to fetch.
    let noise =
        |row: i64| format!("{:x}", (row as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
    let columns: [(&str, ArrayRef); 3] = [
        ("a", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("junk", Arc::new(StringArray::from_iter_values((0..rows).map(|row| noise(row).repeat(4))))),
        ("b", Arc::new(StringArray::from_iter_values((0..rows).map(noise)))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(30_000)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

/// Goal: files of every format in a bucket are found by object, folder and pattern, and hold what the same files hold
/// here; what identifies them changes with their content alone.
#[test]
fn files_of_a_bucket() {
    let server = S3Server::start();
    let objects = Objects::new(server.variables());
    server.make_bucket("lake");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all("{\"a\":1,\"b\":\"x\"}\n{\"a\":2}\n".as_bytes()).unwrap();
    // Longer than two requests.
    let csv: String = (0..900_000).map(|row| format!("{row},\"row\n{row}\"\n")).collect();
    let files = [
        ("rows/a.csv", format!("a,b\n{csv}").into_bytes()),
        ("rows/b.ndjson.gz", gzip.finish().unwrap()),
        ("rows/deep/c.parquet", parquet(100_000)),
        ("rows/b=7/d.csv", b"a\n1\n".to_vec()),
        ("rows/_tmp/e.csv", b"a,b\n9,9\n".to_vec()),
        ("rows/notes.txt", b"no rows".to_vec()),
        ("other/f.csv", b"a,b\n9,9\n".to_vec()),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in &files {
        server.put(&format!("lake/{name}"), bytes);
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let there = list(&objects, "s3://lake/rows").unwrap();
    let expected =
        ["a.csv", "b.ndjson.gz", "b=7/d.csv", "deep/c.parquet"].map(|name| format!("s3://lake/rows/{name}"));
    assert_eq!(names(&there), expected);
    let here = crate::list(WHAT, &folder.path().join("rows"), None).unwrap();
    assert!(fields(&there).unwrap() == fields(&here).unwrap(), "the same rows");
    assert_eq!(
        names(&list(&objects, "s3://lake/*/?.csv").unwrap()),
        ["s3://lake/other/f.csv", "s3://lake/rows/a.csv"]
    );
    assert_eq!(names(&list(&objects, "s3a://lake/other/f.csv").unwrap()), ["s3a://lake/other/f.csv"]);

    let before = there[2].fingerprint().unwrap();
    assert_eq!((before.path.as_str(), before.size), ("s3://lake/rows/b=7/d.csv", 4));
    assert!(before.etag.is_some() && before.modified > 0);
    assert_eq!(list(&objects, "s3://lake/rows").unwrap()[2].fingerprint().unwrap(), before);
    server.put("lake/rows/b=7/d.csv", b"a\n2\n");
    let after = list(&objects, "s3://lake/rows").unwrap()[2].fingerprint().unwrap();
    assert_ne!(after.hash, before.hash);

    // What was listed before is not there any more, and nothing else is read in its place.
    let error = fields(&there[2..3]).unwrap_err();
    assert!(
        matches!(&error, EngineError::Objects(ObjectsError::Changed { url }) if url.ends_with("d.csv")),
        "{error}"
    );

    for (url, message) in [
        ("s3://lake/gone", "source `rows`: there is no file or folder `s3://lake/gone`"),
        ("s3://lake/rows/_tmp", "source `rows`: there is no file or folder"),
        ("s3://lake/rows/*.txt", "source `rows`: `s3://lake/rows/*.txt` has no file of a known format"),
        ("s3://lake/rows/notes.txt", "source `rows`: the format of `s3://lake/rows/notes.txt` is not told"),
        ("s3://pond/rows", "there is no `s3://pond/rows`"),
    ] {
        match list(&objects, url) {
            Err(error) => assert!(error.to_string().starts_with(message), "{error}"),
            Ok(files) => assert_eq!(names(&files), ["s3://lake/rows/_tmp/e.csv"], "{url}"),
        }
    }
}

/// Goal: a store that is not there is told after a bounded number of attempts, with its URL and without a secret.
#[test]
fn a_store_that_is_not_there() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let variables = [
        ("AWS_ENDPOINT_URL", format!("http://{closed}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_ACCESS_KEY_ID", "the-id-of-a-key".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "a-secret".to_owned()),
    ];
    let objects = Objects::new(variables.map(|(name, value)| (name.to_owned(), value)));
    let error = list(&objects, "s3://lake/rows/a.csv").unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(error.to_string().starts_with("a request to `s3://lake/rows/a.csv` failed:"), "{error}");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(!text.contains("a-secret") && !text.contains("the-id-of-a-key"), "{text}");
}

/// Goal: an object of several parts holds all bytes in order and is there once it is complete; one that is not completed
/// leaves nothing, and a bucket that is not there is named.
#[test]
fn objects_are_written() {
    let server = S3Server::start();
    let objects = Objects::new(server.variables());
    server.make_bucket("lake");
    let Location::Object(url) = at("s3://lake/out/a b.bin") else { panic!("a URL") };
    let bytes: Vec<u8> = (0..40 << 20).map(|n: u32| (n / 7) as u8).collect();
    for size in [0, 1, 16 << 20, bytes.len()] {
        let mut writer = objects.writer(&url).unwrap();
        bytes[..size].chunks(1_000_003).for_each(|some| writer.write_all(some).unwrap());
        assert_eq!(writer.complete().unwrap(), size as u64);
        let found = objects.find(&url).unwrap().unwrap();
        assert_eq!(found.size, size as u64);
        assert!(found.read(0..size as u64).unwrap() == bytes[..size], "{size} bytes");
    }
    let Location::Object(other) = at("s3://lake/out/never") else { panic!("a URL") };
    let mut writer = objects.writer(&other).unwrap();
    writer.write_all(&bytes).unwrap();
    drop(writer);
    assert_eq!(objects.find(&other).unwrap(), None);
    let Location::Object(nowhere) = at("s3://nowhere/out") else { panic!("a URL") };
    let mut writer = objects.writer(&nowhere).unwrap();
    writer.write_all(b"some").unwrap();
    let error = writer.complete().unwrap_err();
    assert!(matches!(&error, ObjectsError::NotFound { url } if url == "s3://nowhere/out"), "{error}");
}
