//! Whole stories, from the first command to the last.

use insta::assert_snapshot;

use crate::support::{Scene, example};

/// Goal: what `init` writes works at once, command by command, as it says.
#[test]
fn init_and_on() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run("init shop"), @"
    exit 0
    --- stdout
    began a project in `shop`: `asof.toml`, `asof.schema.json`, `features.yaml`, `data/customers.csv`, `data/labels.csv`

    next:
      cd shop
      asof apply
      asof materialize
      asof get --service churn customer_id=7
      asof train --labels data/labels.csv --service churn -o training.parquet
      asof verify --oracle
      asof serve
    --- stderr
    ");
    assert_snapshot!(scene.run("apply --project shop"), @r"
    exit 0
    --- stdout
    + customer            entity: customer_id: int64
    + customers_table     source: data/customers.csv
    + customer_profile@1  view: 3 features, entity `customer`, no ttl
    + churn               service: customer_profile@1: every feature
    4 changes applied in [SECONDS] (registry revision 1)
    --- stderr
    ");
    assert_snapshot!(scene.run("materialize --project shop"), @r"
    exit 0
    --- stdout
    view                state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    customer_profile@1  loaded          5      5              0    0       0          0  341 B      1  [RATE]  [SECONDS]
    --- stderr
    ");
    assert_snapshot!(scene.run("get --project shop --service churn customer_id=7"), @r"
    exit 0
    --- stdout
    t = [NOW]

    feature     value  status   event
    plan        plus   PRESENT  2026-03-02T08:00:00Z
    orders_90d  9      PRESENT  2026-03-02T08:00:00Z
    balance     80.25  PRESENT  2026-03-02T08:00:00Z
    --- stderr
    ");
    assert_snapshot!(
        scene.run("train --project shop --labels shop/data/labels.csv --service churn -o training.csv"),
        @"
    exit 0
    --- stdout
    view                labels  matched  expired  missing  differs from served  of these bulk
    customer_profile@1       6        5        0        1                    5              5

    `training.csv`: 6 rows, 6 columns, [SIZE] in [SECONDS] (known at: event), recorded in `[DIR]/shop/.asof/training/[NOW]-training.json`
    --- stderr
    `customer_profile@1`: 5 of 6 rows differ from what serving could have answered at the label's time. Their rows came with the first load of old data: this store has them since [NOW], the last label is of 2026-04-01T00:00:00Z, so nobody could have been served them then. That is normal for a first (bulk) load; it is reported so that a real leak can't hide in it.
    "
    );
    assert_snapshot!(scene.read("training.csv"), @r"
    customer_id,event_timestamp,left,plan,orders_90d,balance
    7,2026-02-01T00:00:00Z,false,free,3,12.5
    7,2026-04-01T00:00:00Z,false,plus,9,80.25
    8,2026-02-01T00:00:00Z,false,plus,5,0.0
    8,2026-03-01T00:00:00Z,true,free,0,0.0
    9,2026-02-12T00:00:00Z,true,free,1,4.0
    10,2026-03-01T00:00:00Z,false,,,0.0
    ");
    assert_snapshot!(scene.run("verify --project shop --oracle"), @"
    exit 0
    --- stdout
    view                answers    keys  values  identical  differing
    customer_profile@1  asked now     3       9          9          0

    9 of 9 values are byte-identical, checked by the oracle too
    --- stderr
    ");
    assert_eq!(scene.read("shop/.gitignore"), ".asof/\n");
}

/// Goal: `init` never writes over what is there.
#[test]
fn init_refuses() {
    let scene = Scene::empty();
    scene.does("init .");
    assert_snapshot!(scene.run("init ."), @r"
    exit 1
    --- stdout
    --- stderr
    error: `.` is a project already

    hint: `asof plan --project .` shows what it defines
    ");
    scene.write("taken/features.yaml", "entities: {}\n");
    assert_snapshot!(scene.run("init taken"), @r"
    exit 1
    --- stdout
    --- stderr
    error: `taken/features.yaml` is there already

    hint: begin in an empty folder, or write an `asof.toml` of your own: an empty one will do
    ");
    assert!(!scene.path().join("taken/asof.toml").exists());
    scene.write("file", "");
    assert_snapshot!(scene.run("init file"), @r"
    exit 1
    --- stdout
    --- stderr
    error: cannot write `file/data/labels.csv`: Not a directory (os error 20)

    hint: check that the folder can be written and its disk has room
    ");
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
    assert_snapshot!(scene.run("apply"), @r"
    exit 0
    --- stdout
    + applicant             entity: dob_ssn: string
    + zipcode               entity: zipcode: int64
    + credit_history_table  source: data/credit_history_sample.csv
    + zipcode_table         source: data/zipcode_table.parquet
    + credit_history@1      view: 9 features, entity `applicant`, no ttl
    + zipcode_features@1    view: 6 features, entity `zipcode`, no ttl
    + credit_risk           service: zipcode_features@1: city, state, population, total_wages
                                     credit_history@1: every feature
    7 changes applied in [SECONDS] (registry revision 1)
    --- stderr
    ");
    assert_snapshot!(scene.run("materialize"), @r"
    exit 0
    --- stdout
    view                state   rows read   added  already there  bad  errors  conflicts     bytes  units  rows/s  seconds
    credit_history@1    loaded      1,000   1,000              0    0       0          0  101.9 KB      1  [RATE]  [SECONDS]
    zipcode_features@1  loaded     28,844  28,844              0    0       0          0  548.3 KB      1  [RATE]  [SECONDS]
    total                          29,844  29,844              0    0       0          0  650.3 KB      2  [RATE]  [SECONDS]
    --- stderr
    ");
    assert_snapshot!(scene.run("train --labels data/loan_table.parquet --service credit_risk -o training.parquet"), @"
    exit 0
    --- stdout
    view                labels  matched  expired  missing  differs from served  of these bulk
    zipcode_features@1  28,638   28,638        0        0               28,638         28,638
    credit_history@1    28,638    1,000        0   27,638                1,000          1,000

    `training.parquet`: 28,638 rows, 26 columns, [SIZE] in [SECONDS] (known at: event), recorded in `[DIR]/.asof/training/[NOW]-training.json`
    --- stderr
    `zipcode_features@1`: 28,638 of 28,638 rows differ from what serving could have answered at the label's time. Their rows came with the first load of old data: this store has them since [NOW], the last label is of [NOW], so nobody could have been served them then. That is normal for a first (bulk) load; it is reported so that a real leak can't hide in it.
    `credit_history@1`: 1,000 of 28,638 rows differ from what serving could have answered at the label's time. Their rows came with the first load of old data: this store has them since [NOW], the last label is of [NOW], so nobody could have been served them then. That is normal for a first (bulk) load; it is reported so that a real leak can't hide in it.
    ");
    assert_snapshot!(scene.run("get --service credit_risk zipcode=94109 dob_ssn=19530219_5179"), @r"
    exit 0
    --- stdout
    t = [NOW]

    feature             value          status   event
    city                SAN FRANCISCO  PRESENT  2017-01-01T12:00:00Z
    state               CA             PRESENT  2017-01-01T12:00:00Z
    population          38763          PRESENT  2017-01-01T12:00:00Z
    total_wages         1860031351     PRESENT  2017-01-01T12:00:00Z
    credit_card_due     8419           PRESENT  [NOW]
    mortgage_due        91803          PRESENT  [NOW]
    student_loan_due    22328          PRESENT  [NOW]
    vehicle_loan_due    15078          PRESENT  [NOW]
    hard_pulls          0              PRESENT  [NOW]
    missed_payments_2y  1              PRESENT  [NOW]
    missed_payments_1y  0              PRESENT  [NOW]
    missed_payments_6m  0              PRESENT  [NOW]
    bankruptcies        0              PRESENT  [NOW]
    --- stderr
    ");
    assert_snapshot!(scene.run("verify --oracle"), @"
    exit 0
    --- stdout
    view                answers     keys  values  identical  differing
    credit_history@1    asked now  1,000   9,000      9,000          0
    zipcode_features@1  asked now  1,000   6,000      6,000          0

    15,000 of 15,000 values are byte-identical, checked by the oracle too
    --- stderr
    ");
}

/// Goal: an empty project is one that plans and applies, with nothing in it; its schema is what the program prints.
#[test]
fn an_empty_project() {
    let scene = Scene::empty();
    assert_snapshot!(scene.run("init bare --template empty"), @"
    exit 0
    --- stdout
    began a project in `bare`: `asof.toml`, `asof.schema.json`, `features.yaml`

    next:
      cd bare
      edit features.yaml
      asof plan
      asof apply
    --- stderr
    ");
    assert_snapshot!(scene.run("plan --project bare"), @"
    exit 0
    --- stdout
    nothing to change (registry revision 0)
    --- stderr
    ");
    assert_snapshot!(scene.run("apply --project bare"), @"
    exit 0
    --- stdout
    nothing to change (registry revision 0)
    --- stderr
    ");
    let schema = scene.run("schema");
    let written = scene.read("bare/asof.schema.json");
    assert!(schema.contains(written.trim_end()), "{schema}");
}
