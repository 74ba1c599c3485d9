//! `train` where memory is short, and where it is disturbed: a scaled copy of what is measured at full size.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Scene, told};

/// Bytes of memory that such a run is given: the least that is kept.
const LITTLE: u64 = 64 << 20;

/// What a run takes beyond its limit in a build for tests, whose code is larger and whose stacks are deeper.
const SLACK: u64 = 32 << 20;

/// A project with history in several files and labels, to train on in place.
fn scene(rows: &str, labels: &str, files: u32) -> Scene {
    let scene = Scene::empty();
    scene.does(&format!("bench generate big --rows {rows} --labels {labels} --files {files}"));
    scene.does("apply --project big");
    scene
}

const TRAIN: &str = "train -q --project big --labels big/labels.parquet --service all";

fn scratch(scene: &Scene) -> PathBuf {
    scene.path().join("big/.asof/scratch")
}

/// What lies below a folder, by name; nothing where there is none.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn bytes(scene: &Scene, file: &str) -> Vec<u8> {
    std::fs::read(scene.path().join(file)).unwrap()
}

/// Goal: within little memory a run puts aside what does not fit and stays near its limit, leaves nothing behind, and
/// memory, threads and the order of files change no byte.
#[test]
fn little_memory() {
    let scene = scene("600k", "150k", 5);
    let explained = scene
        .json(&format!("{TRAIN} -o little.parquet --memory {LITTLE}B --threads 2 --explain --format json"));
    let explained = &explained["explained"];
    assert!(explained["spilled_bytes"].as_u64().unwrap() > 0, "{explained}");
    let peak = explained["steps"].as_array().unwrap().last().unwrap()["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak < LITTLE + SLACK, "{peak} bytes");
    assert_eq!(names(&scratch(&scene)), Vec::<String>::new());
    let right = bytes(&scene, "little.parquet");
    let history = scene.path().join("big/history");
    for (place, name) in names(&history).into_iter().enumerate() {
        std::fs::rename(history.join(name), history.join(format!("{}.parquet", 9 - place))).unwrap();
    }
    for (threads, memory) in [(1, "8GB"), (16, "8GB"), (3, "200MB")] {
        scene.does(&format!("{TRAIN} -o other.parquet --memory {memory} --threads {threads}"));
        assert!(bytes(&scene, "other.parquet") == right, "{threads} threads, {memory}");
    }
}

/// Goal: a run that is killed at any moment leaves no output that is not whole, and the next one removes what it left.
#[test]
fn killed_at_any_moment() {
    let scene = scene("300k", "100k", 3);
    let line = format!("{TRAIN} -o out.parquet --memory {LITTLE}B");
    scene.does(&format!("{TRAIN} -o right.parquet"));
    let right = bytes(&scene, "right.parquet");
    let out = scene.path().join("out.parquet");
    // From before the first file is opened to the end of all.
    for moment in [5, 40, 90, 150, 240, 350, 500, 800] {
        let mut child = scene.command(&line).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        if out.exists() {
            assert!(bytes(&scene, "out.parquet") == right, "after {moment} ms");
        }
        let _ = std::fs::remove_file(&out);
    }
    scene.does(&line);
    assert!(bytes(&scene, "out.parquet") == right);
    assert_eq!(names(&scratch(&scene)), Vec::<String>::new());
    let partial = names(&scene.path()).into_iter().find(|name| name.contains(".partial"));
    assert_eq!(partial, None);
}

/// Goal: a run that is told to end does so at once, and leaves nothing behind.
#[test]
#[cfg(unix)]
fn told_to_end() {
    let scene = scene("2M", "200k", 4);
    let child = scene.command(&format!("{TRAIN} -o out.parquet --memory {LITTLE}B"));
    let mut child = { child }.stdout(std::process::Stdio::null()).spawn().unwrap();
    // Once something was put aside, or noted, it is in the middle of its work.
    let started = std::time::Instant::now();
    while names(&scratch(&scene)).is_empty() && started.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let ended = child.wait().unwrap();
    if scene.path().join("out.parquet").exists() {
        // This machine was done before it was told.
        return;
    }
    assert_eq!(ended.code(), Some(1));
    assert_eq!(names(&scratch(&scene)), Vec::<String>::new());
    assert_eq!(names(&scene.path()), ["big"]);
}

/// Goal: a disk without room for what is put aside, or for the output, is an error that says so, and nothing is left.
#[test]
#[cfg(unix)]
fn no_room() {
    let scene = scene("600k", "150k", 2);
    for (memory, out) in
        [("64MB", "out.parquet"), ("8GB", "out.parquet"), ("8GB", "out.csv"), ("8GB", "set/")]
    {
        // No file may have more than a megabyte.
        let limited = format!(
            "trap '' XFSZ; ulimit -f 1024; exec {} {TRAIN} -o {out} --memory {memory}",
            env!("CARGO_BIN_EXE_asof")
        );
        let mut command = std::process::Command::new("bash");
        let output = command.args(["-c", &limited]).current_dir(scene.path()).output().unwrap();
        let said = told(&output);
        assert!(said.starts_with("exit 1"), "{said}");
        assert!(said.contains("File too large"), "{said}");
        assert!(said.contains("which holds what does not fit into memory") || said.contains(out), "{said}");
        assert_eq!(names(&scratch(&scene)), Vec::<String>::new(), "{said}");
        assert_eq!(names(&scene.path()), ["big"], "{said}");
    }
}

/// Goal: history that is damaged, gone or empty is named, and no output appears.
#[test]
fn damaged_history() {
    let scene = scene("200k", "20k", 2);
    let part = scene.path().join("big/history/part-00001.parquet");
    let whole = std::fs::read(&part).unwrap();
    // In a page of a column, behind the head of the file.
    let mut damaged = whole.clone();
    let place = damaged.len() / 3;
    damaged[place..place + 2_000].fill(0xa5);
    for (bytes, cut) in
        [(damaged, "damaged"), (whole[..whole.len() / 2].to_vec(), "cut"), (Vec::new(), "empty")]
    {
        std::fs::write(&part, bytes).unwrap();
        let said = scene.run(&format!("{TRAIN} -o out.parquet"));
        assert!(said.starts_with("exit 1") && said.contains("part-00001.parquet"), "{cut}: {said}");
        assert!(!scene.path().join("out.parquet").exists(), "{cut}");
        assert_eq!(names(&scratch(&scene)), Vec::<String>::new(), "{cut}");
    }
    std::fs::write(&part, whole).unwrap();
    scene.does(&format!("{TRAIN} -o out.parquet"));
    std::fs::remove_dir_all(scene.path().join("big/history")).unwrap();
    let said = scene.run(&format!("{TRAIN} -o again.parquet"));
    assert!(said.starts_with("exit 1") && said.contains("big/history"), "{said}");
}

/// Goal: a workload is written once, and says what to do next.
#[test]
fn generates() {
    let scene = Scene::empty();
    insta::assert_snapshot!(scene.masked("bench generate work --rows 2k --labels 100"), @"
    exit 0
    --- stdout
    table     rows  files    bytes
    history  2,000      1  73.4 KB
    labels     100      1   3.2 KB
    --- stderr
    next: `asof apply --project work`, then `asof train --project work --labels work/labels.parquet --service all -o training.parquet --explain`
    ");
    insta::assert_snapshot!(scene.run("bench generate work --rows 2k"), @"
    exit 1
    --- stdout
    --- stderr
    error: `work` is not empty

    hint: name a folder that is not there yet
    ");
    insta::assert_snapshot!(scene.run("bench generate other --rows 0"), @"
    exit 1
    --- stdout
    --- stderr
    error: there must be rows and labels
    ");
    insta::assert_snapshot!(scene.run("bench generate other --rows many"), @"
    exit 2
    --- stdout
    --- stderr
    error: invalid value 'many' for '--rows <ROWS>': not a count, such as `250000`, `250k`, `25M` or `1B`

    For more information, try '--help'.
    ");
    let made = scene.json("bench generate third --rows 3k --labels 10 --files 2 --format json");
    assert_eq!((made["history_rows"].as_u64(), made["history_files"].as_u64()), (Some(3_000), Some(2)));
}
