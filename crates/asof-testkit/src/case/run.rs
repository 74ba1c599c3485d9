//! The walker: every case file of a folder through one runner.

use std::path::{Path, PathBuf};

use asof_model::Rule;
use asof_oracle::{OracleValue, as_of};

use super::literal::write_answer;
use super::{
    Case, CaseError, CaseLabel, CasePath, Expectation, FeaturePlace, parse_case, rewrite_expectations,
};

/// Something that answers cases: the oracle, or a path of the product.
pub trait CaseRunner {
    /// `oracle`, which is given every expectation, or the name of a [`CasePath`].
    fn name(&self) -> &str;

    /// The answers to an expectation: one list for each label, one value for each feature asked for, in their order.
    ///
    /// Called for the expectations of one file in turn; each stands for itself, from the history of its case alone.
    ///
    /// # Errors
    /// Why it cannot answer, which counts as a difference.
    fn answer(&mut self, case: &Case, expectation: &Expectation) -> Result<Vec<Vec<OracleValue>>, String>;
}

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CaseReport {
    /// Files with at least one expectation for the runner.
    pub files: usize,
    /// Expectations.
    pub expectations: usize,
    /// Labels.
    pub labels: usize,
}

/// Asks the runner every expectation below `folder` that names it, and compares values and statuses.
///
/// # Errors
/// [`CaseError::Differs`] with all differences; [`CaseError::NothingRan`] where no expectation names the runner;
/// [`CaseError::InFile`] and [`CaseError::File`] for what cannot be read.
pub fn run_cases(folder: &Path, runner: &mut dyn CaseRunner) -> Result<CaseReport, CaseError> {
    let mut report = CaseReport::default();
    let mut differences = Vec::new();
    for path in case_files(folder)? {
        let case = read_case(&path)?.1;
        let mut asked = false;
        for expectation in &case.expectations {
            if !names(expectation, runner.name()) {
                continue;
            }
            asked = true;
            report.expectations += 1;
            report.labels += expectation.labels.len();
            match runner.answer(&case, expectation) {
                Ok(answers) => compare(&path, &case, expectation, &answers, &mut differences),
                Err(why) => differences.push(format!("{}:{}: {why}", path.display(), expectation.line)),
            }
        }
        report.files += usize::from(asked);
    }
    if !differences.is_empty() {
        return Err(CaseError::Differs { runner: runner.name().to_owned(), differences });
    }
    if report.expectations == 0 {
        return Err(CaseError::NothingRan { folder: folder.to_owned(), runner: runner.name().to_owned() });
    }
    Ok(report)
}

/// Writes what the oracle says into every `expect` table below `folder`, and returns the files that changed. No other
/// runner may: the naive rule is the one that a reader checks by eye.
///
/// # Errors
/// As [`run_cases`], but for differences.
pub fn update_cases(folder: &Path) -> Result<Vec<PathBuf>, CaseError> {
    let mut changed = Vec::new();
    for path in case_files(folder)? {
        let (text, case) = read_case(&path)?;
        let answers: Vec<_> = case.expectations.iter().map(|each| oracle_answers(&case, each)).collect();
        let rewritten =
            rewrite_expectations(&text, &case, &answers).map_err(|error| in_file(&path, error))?;
        if rewritten != text {
            std::fs::write(&path, rewritten)
                .map_err(|source| CaseError::File { path: path.clone(), source })?;
            changed.push(path);
        }
    }
    Ok(changed)
}

/// The case files below a folder, in the order of their paths.
///
/// # Errors
/// [`CaseError::File`] where a folder cannot be read.
pub fn case_files(folder: &Path) -> Result<Vec<PathBuf>, CaseError> {
    let unread = |source| CaseError::File { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        if path.is_dir() {
            files.extend(case_files(&path)?);
        } else if path.extension().is_some_and(|suffix| suffix == "case") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The naive rule.
#[derive(Debug, Clone, Copy, Default)]
pub struct OracleRunner;

impl CaseRunner for OracleRunner {
    fn name(&self) -> &str {
        "oracle"
    }

    fn answer(&mut self, case: &Case, expectation: &Expectation) -> Result<Vec<Vec<OracleValue>>, String> {
        Ok(oracle_answers(case, expectation))
    }
}

fn oracle_answers(case: &Case, expectation: &Expectation) -> Vec<Vec<OracleValue>> {
    let answer = |label: &CaseLabel| {
        let value = |place: &FeaturePlace| match place.view < case.views.len() {
            true => stored(case, expectation, label, *place, expectation.include_expired),
            false => case.compute(expectation, label, *place),
        };
        expectation.features.iter().map(value).collect()
    };
    expectation.labels.iter().map(answer).collect()
}

/// What a view with rows of its own answers.
pub(super) fn stored(
    case: &Case,
    expectation: &Expectation,
    label: &CaseLabel,
    place: FeaturePlace,
    include_expired: bool,
) -> OracleValue {
    let view = &case.views[place.view];
    let key = expectation.encoded_key(view, label);
    let features = [view.oracle_feature(place.feature)];
    let rule = Rule { include_expired, ..view.rule(expectation) };
    let mut answer =
        as_of(&view.oracle_rows(), &view.types(), key.as_ref(), label.t, &rule, &features).values;
    answer.remove(0)
}

fn names(expectation: &Expectation, runner: &str) -> bool {
    runner == OracleRunner.name() || expectation.paths.iter().any(|path: &CasePath| path.as_str() == runner)
}

fn read_case(path: &Path) -> Result<(String, Case), CaseError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| CaseError::File { path: path.to_owned(), source })?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let case = parse_case(&name, &text).map_err(|error| in_file(path, error))?;
    Ok((text, case))
}

fn in_file(path: &Path, error: CaseError) -> CaseError {
    CaseError::InFile { path: path.to_owned(), source: Box::new(error) }
}

fn compare(
    path: &Path,
    case: &Case,
    expectation: &Expectation,
    answers: &[Vec<OracleValue>],
    differences: &mut Vec<String>,
) {
    if answers.len() != expectation.labels.len() {
        let (found, asked) = (answers.len(), expectation.labels.len());
        differences.push(format!("{}:{}: {found} answers to {asked} rows", path.display(), expectation.line));
        return;
    }
    for (label, answer) in expectation.labels.iter().zip(answers) {
        if answer.len() != label.expected.len() {
            let (found, asked) = (answer.len(), label.expected.len());
            differences.push(format!(
                "{}:{}: {found} values for {asked} features",
                path.display(),
                label.line
            ));
            continue;
        }
        for ((place, expected), found) in expectation.features.iter().zip(&label.expected).zip(answer) {
            if expected != found {
                let feature = &case.feature(*place).1.name;
                differences.push(format!(
                    "{}:{}: `{feature}` under {} is {}, expected {}",
                    path.display(),
                    label.line,
                    expectation.known_at,
                    show(found),
                    show(expected),
                ));
            }
        }
    }
}

fn show(value: &OracleValue) -> String {
    format!("{} {}", write_answer(&value.cell), value.status)
}
