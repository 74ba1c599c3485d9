//! Whole stories, from the first command to the last.

use insta::assert_snapshot;

use crate::support::{Scene, example};

/// Goal: what `init` writes works at once, command by command, as it says.
#[test]
fn init_and_on() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run("init shop"), @"");
    assert_snapshot!(scene.run("apply --project shop"), @"");
    assert_snapshot!(scene.run("materialize --project shop"), @"");
    assert_snapshot!(scene.run("get --project shop --service churn customer_id=7"), @"");
    assert_snapshot!(
        scene.run("train --project shop --labels shop/data/labels.csv --service churn -o training.csv"),
        @""
    );
    assert_snapshot!(scene.read("training.csv"), @"");
    assert_snapshot!(scene.run("verify --project shop --oracle"), @"");
    assert_eq!(scene.read("shop/.gitignore"), ".asof/\n");
}

/// Goal: `init` never writes over what is there.
#[test]
fn init_refuses() {
    let scene = Scene::empty();
    scene.does("init .");
    assert_snapshot!(scene.run("init ."), @"");
    scene.write("taken/features.yaml", "entities: {}\n");
    assert_snapshot!(scene.run("init taken"), @"");
    assert!(!scene.path().join("taken/asof.toml").exists());
    scene.write("file", "");
    assert_snapshot!(scene.run("init file"), @"");
    scene.write("kept/.gitignore", "target");
    scene.does("init kept");
    assert_eq!(scene.read("kept/.gitignore"), "target\n.asof/\n");
}

/// Goal: the example with real data: loans, postal codes and credit histories.
#[test]
fn credit_scoring() {
    let scene = Scene::empty();
    for file in [
        "asof.toml",
        "features.yaml",
        "data/zipcode_table.parquet",
        "data/credit_history_sample.csv",
        "data/loan_table.parquet",
    ] {
        scene.write(file, std::fs::read(example("credit_scoring").join(file)).expect("an example"));
    }
    assert_snapshot!(scene.run("apply"), @"");
    assert_snapshot!(scene.run("materialize"), @"");
    assert_snapshot!(scene.run("train --labels data/loan_table.parquet --service credit_risk -o training.parquet"), @"");
    assert_snapshot!(scene.run("get --service credit_risk zipcode=94109 dob_ssn=19530219_5179"), @"");
    assert_snapshot!(scene.run("verify --oracle"), @"");
}
