//! The page of the reference, and that it speaks the truth.

use asof_expression::{Expression, Scope, reference};

use crate::{shown, t};

/// Goal: every example of the reference has the result that stands beside it.
#[test]
fn examples_hold() {
    let scope = Scope::new(Vec::<(String, asof_model::ValueType)>::new()).with_request_timestamp();
    let mut wrong = Vec::new();
    for (text, result) in reference::examples() {
        let found = match Expression::parse(text, &scope) {
            Ok(expression) => shown(&expression.evaluate_row(&[], t())),
            Err(error) => error.sentence(),
        };
        if found != result {
            wrong.push(format!("{text} is {found}, the reference says {result}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Goal: every signature of the table can be read, so none is ignored.
#[test]
fn signatures_are_read() {
    assert_eq!(reference::unreadable_signatures(), Vec::<String>::new());
}

/// Goal: the page in docs/ is the one that the table gives. `UPDATE_DOCS=1` writes it.
#[test]
fn page_is_current() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/expressions.md");
    let page = reference::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/expressions.md is not what the function table says: run the tests with UPDATE_DOCS=1"
    );
}
