//! Expectations written anew, so that a change of the rule is one reviewable difference.

use asof_oracle::OracleValue;

use super::literal::write_answer;
use super::table::{align, split_cells, split_comment};
use super::{Case, CaseError, Column, Expectation};

/// The text of a case file with `answers` in its `expect` tables: one list for each expectation, label and feature.
///
/// Tables are aligned; cells that are right already keep their spelling, and everything else stays as it is.
///
/// # Errors
/// [`CaseError::Form`] where features that share the column `status` differ in status, or answers are lacking.
pub fn rewrite_expectations(
    text: &str,
    case: &Case,
    answers: &[Vec<Vec<OracleValue>>],
) -> Result<String, CaseError> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (place, expectation) in case.expectations.iter().enumerate() {
        let mut numbers = vec![expectation.header_line];
        let mut table = vec![cut(&lines, expectation.header_line)];
        for (label_place, label) in expectation.labels.iter().enumerate() {
            let (mut cells, comment) = cut(&lines, label.line);
            let answer = answers.get(place).and_then(|each| each.get(label_place));
            let Some(answer) = answer.filter(|answer| answer.len() == expectation.features.len()) else {
                return Err(CaseError::Form { line: label.line, problem: "no answer to this row".into() });
            };
            put(&mut cells, expectation, &label.expected, answer)
                .map_err(|problem| CaseError::Form { line: label.line, problem })?;
            numbers.push(label.line);
            table.push((cells, comment));
        }
        for (number, line) in numbers.into_iter().zip(align(&table)) {
            lines[number - 1] = line;
        }
    }
    Ok(lines.join("\n") + "\n")
}

fn cut(lines: &[String], number: usize) -> (Vec<String>, Option<String>) {
    let (line, comment) = split_comment(&lines[number - 1]);
    (split_cells(line).into_iter().map(str::to_owned).collect(), comment.map(str::to_owned))
}

/// Writes an answer into the cells of its row.
fn put(
    cells: &mut [String],
    expectation: &Expectation,
    before: &[OracleValue],
    answer: &[OracleValue],
) -> Result<(), String> {
    // The features without a status column of their own.
    let sharing = (0..answer.len()).filter(|place| !expectation.columns.contains(&Column::Status(*place)));
    let mut shared = sharing.map(|place| answer[place].status);
    let status_of_all = shared.next();
    if shared.any(|each| Some(each) != status_of_all) {
        return Err("the features differ in status: give each its own column `FEATURE__status`".into());
    }
    for (cell, column) in cells.iter_mut().zip(&expectation.columns) {
        match column {
            Column::Key(_) | Column::Request(_) | Column::T => {}
            Column::Value(place) if answer[*place].cell == before[*place].cell => {}
            Column::Value(place) => *cell = write_answer(&answer[*place].cell),
            Column::Status(place) => *cell = answer[*place].status.to_string(),
            Column::StatusOfAll => {
                if let Some(status) = status_of_all {
                    *cell = status.to_string();
                }
            }
        }
    }
    Ok(())
}
