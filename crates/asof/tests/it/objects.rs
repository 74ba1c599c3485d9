//! Sources and labels in an object store, by the commands that people use, on a real server.

use asof_testkit::s3::S3Server;

use crate::support::{LABELS, Scene};

/// Runs a command in the environment of a server; what it did.
#[expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]
fn run(scene: &Scene, server: &S3Server, line: &str) -> String {
    let mut command = scene.command(line);
    command.envs(server.variables());
    crate::support::told(&command.output().expect("the program runs"))
}

/// Goal: a source of several formats in a bucket is loaded once, a new object brings its own rows, and a training set is
/// made of labels in the bucket.
#[test]
fn a_bucket_as_source() {
    let server = S3Server::start();
    let scene = Scene::project();
    server.make_bucket("lake");
    scene.edit("features.yaml", "path: data/trips.csv", "path: s3://lake/trips/*/*");
    let header = "driver_id,event_timestamp,trip_count,rating\n";
    let csv = format!("{header}7,2026-01-01T10:00:00Z,3,4.5\nx,2026-01-01T10:00:00Z,3,4.5\n");
    let known = "created_timestamp=2026-01-01T11%3A00%3A00Z";
    server.put(&format!("lake/trips/{}/a.csv", known.replace('%', "%25")), csv.as_bytes());
    let json = r#"{"driver_id":7,"event_timestamp":"2026-01-02T10:00:00Z","created_timestamp":"2026-01-02T11:00:00Z","trip_count":5}"#;
    server.put("lake/trips/more/b.ndjson", json.as_bytes());
    server.put("lake/labels.csv", LABELS.as_bytes());
    assert!(run(&scene, &server, "apply").starts_with("exit 0"));
    insta::assert_snapshot!(run(&scene, &server, "materialize"));
    insta::assert_snapshot!(run(&scene, &server, "materialize"));
    let json = json.replace("7,", "9,").replace("01-02T11", "01-02T12");
    server.put("lake/trips/more/c.ndjson", json.as_bytes());
    insta::assert_snapshot!(run(&scene, &server, "materialize"));
    let train = "train --labels s3://lake/labels.csv --service ranking -o out.csv";
    assert!(run(&scene, &server, train).starts_with("exit 0"));
    insta::assert_snapshot!(scene.read("out.csv"));
}

/// Goal: without its variables a bucket is refused with the URL and what to set, and what is set is never printed.
#[test]
fn a_bucket_that_is_not_configured() {
    let scene = Scene::project();
    scene.edit("features.yaml", "path: data/trips.csv", "path: s3://lake/trips");
    scene.does("apply");
    let mut command = scene.command("materialize");
    command.env("AWS_SECRET_ACCESS_KEY", "hidden");
    insta::assert_snapshot!(crate::support::told(&command.output().expect("the program runs")));
    scene.edit("features.yaml", "path: s3://lake/trips", "path: s3://id:word@lake/trips");
    insta::assert_snapshot!(scene.run("apply"));
}

/// Goal: a training set goes to a bucket as one object or as a folder, with its statistics beside it, and one that is there
/// is not mixed with the next.
#[test]
fn a_bucket_as_output() {
    let server = S3Server::start();
    let scene = Scene::loaded();
    server.make_bucket("lake");
    let train = "train --labels labels.csv --service ranking";
    for out in ["out.csv", "out.parquet"] {
        assert!(run(&scene, &server, &format!("{train} -o s3://lake/sets/{out}")).starts_with("exit 0"));
        scene.does(&format!("{train} -o {out}"));
        assert_eq!(
            server.get(&format!("lake/sets/{out}")),
            std::fs::read(scene.path().join(out)).unwrap(),
            "{out}"
        );
    }
    assert!(!server.get("lake/sets/out.csv.statistics.json").is_empty());
    let folder = format!("{train} -o s3://lake/sets/parts/ --split-since 2026-01-02");
    assert!(run(&scene, &server, &folder).starts_with("exit 0"));
    assert!(!server.get("lake/sets/parts/_training_set.json").is_empty());
    let again = "train --labels s3://lake/sets/parts/train --service ranking --full-names -o again.csv";
    assert!(run(&scene, &server, again).starts_with("exit 0"));
    assert_eq!(scene.read("again.csv").lines().count(), 3);
    insta::assert_snapshot!(run(&scene, &server, &folder));
    insta::assert_snapshot!(run(&scene, &server, &format!("{train} -o s3://nowhere/out.parquet")));
    insta::assert_snapshot!(run(&scene, &server, &format!("{train} -o s3://lake")));
}
