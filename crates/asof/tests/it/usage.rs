//! Wrong usage, no project, and what needs none.

use insta::assert_snapshot;

use crate::support::Scene;

/// Goal: without a project a command says how to get one.
#[test]
fn no_project() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run("list"), @"");
    assert_snapshot!(scene.run("list --project nowhere"), @"");
}

/// Goal: a project is found from a folder inside it, and by name from anywhere.
#[test]
fn project_is_found() {
    let scene = Scene::applied();
    scene.write("inside/deep/note.txt", "");
    let here = scene.does("list");
    assert_eq!(scene.does(&format!("list --project {}", scene.path().display())), here);
    let inside = std::process::Command::new(env!("CARGO_BIN_EXE_asof"))
        .arg("list")
        .current_dir(scene.path().join("inside/deep"))
        .output()
        .expect("the program runs");
    assert_eq!(String::from_utf8_lossy(&inside.stdout), here);
}

/// Goal: wrong usage ends with 2 and names what is wrong.
#[test]
fn wrong_usage() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run("aply"), @"");
    assert_snapshot!(scene.run("get driver_id=7"), @"");
    assert_snapshot!(scene.run("get --service a --features b:c driver_id=7"), @"");
    assert_snapshot!(scene.run("get --service a driver_id"), @"");
    assert_snapshot!(scene.run("materialize --start yesterday"), @"");
    assert_snapshot!(scene.run("train --labels l.csv --service s -o o.csv --known-at never"), @"");
    assert_snapshot!(scene.run("train --labels l.csv --service s -o o.csv --zone Mars/Base"), @"");
    assert_snapshot!(scene.run("verify --sample 0"), @"");
    assert_snapshot!(scene.run("list --quiet -v"), @"");
}

/// Goal: the help lists every command.
#[test]
fn help() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run("--help"), @"");
    assert_snapshot!(scene.run("train --help"), @"");
}

/// Goal: completions know the commands, for every shell.
#[test]
fn completions() {
    let scene = Scene::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = scene.does(&format!("completions {shell}"));
        assert!(script.contains("materialize"), "{shell}");
    }
}

/// Goal: settings that can't be read name file, line and column, and the nearest key.
#[test]
fn bad_settings() {
    let scene = Scene::empty();
    scene.write("asof.toml", "projekt = \"x\"\n[online]\ncache = \"much\"\n");
    assert_snapshot!(scene.run("plan"), @"");
    scene.write("asof.toml", "project = \n");
    assert_snapshot!(scene.run("plan"), @"");
}
