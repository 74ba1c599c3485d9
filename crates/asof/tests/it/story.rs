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

    column           type      nulls  distinct                   min  p50                   max    mean      std
    customer_id      Utf8      0.0 %         4                    10                          9
    event_timestamp  Utf8      0.0 %         4  2026-02-01T00:00:00Z       2026-04-01T00:00:00Z
    left             Utf8      0.0 %         2                 false                       true
    plan             Utf8     16.7 %         2                  free                       plus
    orders_90d       Int64    16.7 %         5                     0    3                     9     3.6   3.5777
    balance          Float64   0.0 %         4                     0    0                 80.25  16.125  31.7875

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
    assert_snapshot!(scene.run("train --labels data/loan_table.parquet --service credit_risk -o training.parquet"), @r#"
    exit 0
    --- stdout
    view                labels  matched  expired  missing  differs from served  of these bulk
    zipcode_features@1  28,638   28,638        0        0               28,638         28,638
    credit_history@1    28,638    1,000        0   27,638                1,000          1,000

    column                 type                   nulls  distinct                       min                       p50                       max            mean             std
    loan_id                Int64                  0.0 %    28,605                     10000                     24318                     38637         24318.5       8267.2228
    dob_ssn                Utf8                   0.0 %    28,355             19450101_6358                                       20011230_1260
    zipcode                Int64                  0.0 %    17,982                      1001                     47838                     99928      49232.9576      27749.9811
    person_age             Int64                  0.0 %        57                        20                        26                       144         27.7272          6.3104
    person_income          Int64                  0.0 %     3,899                      4000                     55920                   6000000      66649.3719      62356.4474
    person_home_ownership  Utf8                   0.0 %         4                  MORTGAGE                                                RENT
    person_emp_length      Float64                0.0 %        35                         0                         4                       123          4.7887          4.1546
    loan_intent            Utf8                   0.0 %         6         DEBTCONSOLIDATION                                             VENTURE
    loan_amnt              Int64                  0.0 %       738                       500                      8000                     35000       9656.4931       6329.6834
    loan_int_rate          Float64                0.0 %       347                      5.42                     10.99                     23.22         11.0399          3.2294
    loan_status            Int64                  0.0 %         2                         0                         0                         1          0.2166          0.4119
    event_timestamp        Timestamp(µs, "UTC")   0.0 %    28,638  [NOW]  [NOW]  [NOW]
    created_timestamp      Timestamp(µs, "UTC")   0.0 %    28,638  [NOW]  [NOW]  [NOW]
    city                   Utf8                   0.0 %     9,826                AARONSBURG                                              ZWOLLE
    state                  Utf8                   0.0 %        50                        AK                                                  WY
    population             Int64                  0.0 %    10,374                       272                      3039                     88503       8222.9548      10705.7634
    total_wages            Int64                  0.0 %    18,241                         0                  55630939                2132869892  193590113.8765  290057453.2018
    credit_card_due        Int64                 96.5 %       936                        21                      5077                      9986        5007.758        2966.247
    mortgage_due           Int64                 96.5 %     1,000                      1025                    952179                   1998985      960319.263     588644.0627
    student_loan_due       Int64                 96.5 %     1,000                        92                     25196                     49969        25190.93      14283.5913
    vehicle_loan_due       Int64                 96.5 %       972                         8                     15160                     29986       15072.318       8840.2478
    hard_pulls             Int64                 96.5 %        11                         0                         4                        10           4.164          3.3886
    missed_payments_2y     Int64                 96.5 %         8                         0                         3                         7           2.956          2.4025
    missed_payments_1y     Int64                 96.5 %         4                         0                         1                         3           1.248          1.1899
    missed_payments_6m     Int64                 96.5 %         2                         0                         0                         1            0.41          0.4921
    bankruptcies           Int64                  0.0 %         3                         0                         0                         2          0.0064          0.1032

    `training.parquet`: 28,638 rows, 26 columns, [SIZE] in [SECONDS] (known at: event), recorded in `[DIR]/.asof/training/[NOW]-training.json`
    --- stderr
    `zipcode_features@1`: 28,638 of 28,638 rows differ from what serving could have answered at the label's time. Their rows came with the first load of old data: this store has them since [NOW], the last label is of [NOW], so nobody could have been served them then. That is normal for a first (bulk) load; it is reported so that a real leak can't hide in it.
    `credit_history@1`: 1,000 of 28,638 rows differ from what serving could have answered at the label's time. Their rows came with the first load of old data: this store has them since [NOW], the last label is of [NOW], so nobody could have been served them then. That is normal for a first (bulk) load; it is reported so that a real leak can't hide in it.
    "#);
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
