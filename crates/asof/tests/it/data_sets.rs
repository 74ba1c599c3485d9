//! Real data with real oddities: each set of `examples/`, with what is strange in it. What is right was computed apart, by
//! another program.

use serde_json::{Value, json};

use crate::support::{Scene, example};

/// A copy of an example, applied and loaded; the report of the load.
fn loaded(name: &str) -> (Scene, Value) {
    let scene = Scene::empty();
    copy(&example(name), &scene.path());
    scene.does("apply");
    let report = scene.json("materialize --format json");
    (scene, report)
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).expect("the example") {
        let entry = entry.expect("an entry");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == ".asof" {
            continue;
        }
        if path.is_dir() {
            std::fs::create_dir_all(&target).expect("a folder");
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a file");
        }
    }
}

/// What the report says of a view.
fn view<'r>(report: &'r Value, name: &str) -> &'r Value {
    let views = report["views"].as_array().or(report.as_array()).expect("views");
    views.iter().find(|view| view["view"] == name).unwrap_or_else(|| panic!("{name} in {report:#}"))
}

fn counts(report: &Value, name: &str) -> [u64; 5] {
    let view = view(report, name);
    ["rows_read", "rows_written", "rows_added", "rows_bad", "conflicts"]
        .map(|count| view[count].as_u64().unwrap_or_else(|| panic!("{count} in {view:#}")))
}

/// Rows of a CSV file as columns by name.
fn table(scene: &Scene, file: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    let text = scene.read(file);
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    lines.map(|row| header.iter().cloned().zip(row).collect()).collect()
}

/// Goal: times in milliseconds, identifiers as uuids, 0 and 1 as booleans, days as events; labels with integer times; a ttl.
#[test]
fn fraud() {
    let (scene, report) = loaded("fraud");
    assert_eq!(counts(&report, "user_profile@1"), [101, 101, 101, 0, 0]);
    assert_eq!(counts(&report, "last_purchase@1"), [500, 500, 500, 0, 0]);
    assert_eq!(counts(&report, "last_return@1"), [500, 500, 500, 0, 0]);
    scene.does(
        "train --labels data/checkouts.csv --timestamp ts --unit ms --service checkout_risk --include-expired -o all.csv",
    );
    let sum = |rows: &[std::collections::BTreeMap<String, String>]| {
        let prices = rows.iter().map(|row| row["purchase_price"].as_str()).filter(|price| !price.is_empty());
        let prices: Vec<f64> = prices.map(|price| price.parse().expect("a price")).collect();
        (prices.len(), prices.iter().sum::<f64>())
    };
    // By the instants of `ts`, not by the days of `ds`, which are others in 96 of 100 rows.
    assert_eq!(sum(&table(&scene, "all.csv")), (200, 52_383.0));
    scene.does(
        "train --labels data/checkouts.csv --timestamp ts --unit ms --service checkout_risk -o week.csv",
    );
    let week = table(&scene, "week.csv");
    assert_eq!(sum(&week), (148, 39_608.0));
    assert_eq!(week.iter().filter(|row| row["email_verified"] == "true").count(), 107);
    assert_eq!(week.iter().filter(|row| row["email_verified"] == "false").count(), 93);
    let uuid = &week.iter().find(|row| !row["purchase_id"].is_empty()).expect("a purchase")["purchase_id"];
    assert_eq!(**uuid, uuid.to_lowercase(), "uuids have one text");

    // One snapshot: before it nothing is known of a user.
    scene.write(
        "before.csv",
        "user_id,event_timestamp\n1,2023-11-28T23:59:59.999999Z\n1,2023-11-29T00:00:00Z\n",
    );
    scene.does("train --labels before.csv --features user_profile:email_verified --status -o seen.csv");
    assert_eq!(
        scene.read("seen.csv"),
        "user_id,event_timestamp,email_verified,email_verified__status\n\
         1,2023-11-28T23:59:59.999999Z,,MISSING\n1,2023-11-29T00:00:00Z,false,PRESENT\n"
    );
    // Without the unit, an integer is no time, and that is said.
    let refused =
        scene.run("train --labels data/checkouts.csv --timestamp ts --service checkout_risk -o no.csv");
    assert!(refused.contains("is an integer, and no `unit` of integer times is named"), "{refused}");
    assert!(scene.does("verify --oracle").contains("byte-identical"));
}

/// Goal: identifiers written as floats, events without a customer, repeated lines, lines that share their instant, returns
/// with negative quantities, nulls among texts, and a clock that changes twice.
#[test]
fn online_retail() {
    let (scene, report) = loaded("online_retail");
    // 1,140 of 3,108 lines have no customer; 44 are repeats of others.
    let [read, written, added, bad, conflicts] = counts(&report, "december_line@1");
    assert_eq!((read, written, added, bad), (3_108, 1_968, 1_924, 1_140));
    assert!(conflicts > 0, "lines of one invoice share their instant");
    let [read, written, added, bad, _] = counts(&report, "last_line@1");
    assert_eq!((read, written, added, bad), (8_113, 5_601, 5_559, 2_512));

    // A price by three digits, a quantity below zero, the summer's hour.
    let get = |id: u32| scene.json(&format!("get --service baskets customer_id={id} --format json"));
    let answer = get(17_460);
    assert_eq!(
        (
            &answer["features"]["invoice_no"],
            &answer["features"]["quantity"],
            &answer["features"]["unit_price"]
        ),
        (&json!("C547797"), &json!(-1), &json!("9.950"))
    );
    assert_eq!(
        answer["events"]["quantity"], "2011-03-25T12:34:00Z",
        "before the clock goes forward, London is UTC"
    );
    assert_eq!(
        get(16_966)["events"]["quantity"],
        "2011-10-28T09:02:00Z",
        "in summer, London is an hour ahead of UTC"
    );
    assert_eq!(get(1)["statuses"]["quantity"], "MISSING");

    // The same order however the rows came: the winner of a tie is the greatest by its bytes.
    let before =
        scene.does("get --service baskets customer_id=12748 --now 2026-01-01T00:00:00Z --format json");
    let again = loaded("online_retail").0;
    let after =
        again.does("get --service baskets customer_id=12748 --now 2026-01-01T00:00:00Z --format json");
    assert_eq!(before, after);
    assert!(scene.does("verify --oracle").contains("byte-identical"));
}
