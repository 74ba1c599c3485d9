//! The case files of the project.

use std::path::{Path, PathBuf};

use asof_oracle::OracleValue;
use asof_testkit::case::{
    Case, CaseError, CaseRunner, Expectation, OracleRunner, case_files, parse_case, rewrite_expectations,
    run_cases, update_cases,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases")
}

fn updating() -> bool {
    std::env::var_os("UPDATE_CASES").is_some()
}

/// Goal: what every case file expects is what the naive rule says. With `UPDATE_CASES=1` they are rewritten instead.
#[test]
fn every_case_is_right_by_the_oracle() {
    if updating() {
        for changed in update_cases(&folder()).unwrap() {
            println!("rewritten: {}", changed.display());
        }
    }
    match run_cases(&folder(), &mut OracleRunner) {
        Ok(report) => assert_eq!(report.files, case_files(&folder()).unwrap().len(), "{report:?}"),
        Err(error) => panic!("{error}"),
    }
}

/// Goal: the files stand in the form that a rewrite gives them, so that its differences are about values alone.
#[test]
fn every_case_is_in_form() {
    if updating() {
        // The other test writes the files at this moment.
        return;
    }
    for path in case_files(&folder()).unwrap() {
        let text = std::fs::read_to_string(&path).unwrap();
        let case = parse_case("it", &text).unwrap();
        let right: Vec<Vec<Vec<_>>> = case
            .expectations
            .iter()
            .map(|each| each.labels.iter().map(|label| label.expected.clone()).collect())
            .collect();
        let rewritten = rewrite_expectations(&text, &case, &right).unwrap();
        assert!(rewritten == text, "{}: run with UPDATE_CASES=1", path.display());
    }
}

/// Says the same of everything.
struct Parrot(&'static str, Answer);

type Answer = fn(&Expectation) -> Result<Vec<Vec<OracleValue>>, String>;

impl CaseRunner for Parrot {
    fn name(&self) -> &str {
        self.0
    }

    fn answer(&mut self, _: &Case, expectation: &Expectation) -> Result<Vec<Vec<OracleValue>>, String> {
        (self.1)(expectation)
    }
}

fn as_expected(expectation: &Expectation) -> Vec<Vec<OracleValue>> {
    expectation.labels.iter().map(|label| label.expected.clone()).collect()
}

fn temporary(text: &str) -> std::io::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("deep"))?;
    std::fs::write(folder.path().join("deep/one.case"), text)?;
    Ok(folder)
}

const SMALL: &str = "# Goal: one.
view trips  entity=driver
  driver | event_timestamp | trips
  7      | 10:00           | 3

expect  paths=training
  driver | t     | trips | status
  7      | 10:00 | 3     | PRESENT
  8      | 10:00 | null  | MISSING
";

/// Goal: a runner is told of every difference by file and line, also of what it leaves out.
#[test]
fn differences_are_told() {
    let folder = temporary(SMALL).unwrap();
    let ran = run_cases(folder.path(), &mut Parrot("training", |it| Ok(as_expected(it)))).unwrap();
    assert_eq!((ran.files, ran.expectations, ran.labels), (1, 1, 2));

    let wrong: [(Answer, &str); 4] = [
        (
            |it| Ok(as_expected(it).into_iter().rev().collect()),
            "one.case:9: `trips` under event is 3 PRESENT",
        ),
        (|_| Ok(vec![]), "one.case:6: 0 answers to 2 rows"),
        (|it| Ok(vec![vec![]; it.labels.len()]), "one.case:8: 0 values for 1 features"),
        (|_| Err("broken".into()), "one.case:6: broken"),
    ];
    for (answer, expected) in wrong {
        match run_cases(folder.path(), &mut Parrot("training", answer)) {
            Err(error @ CaseError::Differs { .. }) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Goal: a runner that no expectation names fails, for it has tested nothing.
#[test]
fn nothing_to_run_is_a_failure() {
    let folder = temporary(SMALL).unwrap();
    let ran = run_cases(folder.path(), &mut Parrot("serving", |it| Ok(as_expected(it))));
    assert!(matches!(ran, Err(CaseError::NothingRan { .. })), "{ran:?}");
}

/// Goal: a rewrite puts right what is wrong, aligns, and leaves comments, spelling and the rest alone.
#[test]
fn rewriting() {
    let folder = temporary(
        "# Goal: one.
view trips  entity=driver
  driver | event_timestamp | trips | rate:float64 | name:string
  7  |  10:00  | 3 | 2.5 | \"a|b\"  # odd spacing stays here

# about the next
expect  paths=training  # all of it
  driver | t | trips | rate | name | status
  # within
  7 | 10:00 | 4 | 2.50 | x | NULL # why
  8 | 10:00 | 3 | 1 | x | PRESENT
",
    )
    .unwrap();
    let changed = update_cases(folder.path()).unwrap();
    assert_eq!(changed, [folder.path().join("deep/one.case")]);
    let text = std::fs::read_to_string(&changed[0]).unwrap();
    assert_eq!(
        text,
        "# Goal: one.
view trips  entity=driver
  driver | event_timestamp | trips | rate:float64 | name:string
  7  |  10:00  | 3 | 2.5 | \"a|b\"  # odd spacing stays here

# about the next
expect  paths=training  # all of it
  driver | t     | trips | rate | name  | status
  # within
  7      | 10:00 | 3     | 2.50 | \"a|b\" | PRESENT  # why
  8      | 10:00 | null  | null | null  | MISSING
"
    );
    assert!(update_cases(folder.path()).unwrap().is_empty(), "a second time changes nothing");
}
