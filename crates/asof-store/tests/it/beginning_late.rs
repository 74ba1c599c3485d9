//! A view that is defined after its source took pushes begins with all that was pushed before: from the log, and from the
//! archive where the log gave it up; also through kills, beside pushes that go on, and without what was erased.

use asof_model::{Cell, Value};
use asof_store::NoProgress;
use asof_store::forget::ForgetRequest;
use asof_store::push::PushRequest;

use crate::project::{Project, int_keys};
use crate::windows::{dying, verify};

const BEFORE: &str = "
entities: { card: { keys: { card: int64 } } }
sources: { payments: { push: { card: int64, shop: string, amount: float64 }, event: at } }
feature_views:
  spent: { entities: card, source: payments, features: { n: { aggregate: count(), over: lifetime } } }
";
const LATER: &str = "  shops: { entities: card, source: payments, features: { n: { aggregate: count_distinct(shop), over: lifetime }, all: { aggregate: count(), over: lifetime } } }
  last: { entities: card, source: payments, features: { amount: float64 } }
";
const CARDS: i64 = 5;

/// Pushes rows of every card; each push has rows of two shops.
fn push(project: &mut Project, number: i64, rows: i64) {
    let row = |row: i64| {
        let (card, shop) = (row % CARDS, (number + row / CARDS) % 3);
        let second = row % 60;
        format!(
            "{{\"card\":{card},\"shop\":\"{shop}\",\"amount\":{row},\"at\":\"2029-12-30T00:00:{second:02}Z\"}}"
        )
    };
    let rows = (0..rows).map(row).collect();
    let request = PushRequest { source: "payments".to_owned(), rows, key: Some(number.to_string()) };
    dying(project, usize::MAX, async |store| store.push(&request).await).unwrap();
}

fn forget(project: &mut Project, card: i64) -> u64 {
    let request =
        ForgetRequest { entity: "card".to_owned(), keys: vec![("card".to_owned(), card.to_string())] };
    dying(project, usize::MAX, async |store| store.forget(&request, &NoProgress).await).unwrap().log_entries
}

fn counts(project: &mut Project, feature: &str) -> Vec<i64> {
    let keys: Vec<i64> = (0..CARDS).collect();
    let rows = project.get(&[feature], &int_keys("card", &keys));
    let count = |cell: &Cell| if let Some(Value::Int64(count)) = cell.value() { *count } else { 0 };
    rows.iter().map(|row| count(&row[0].cell)).collect()
}

/// Goal: a later view has what every view before it has, in serving and in training.
#[test]
fn all_that_was_pushed() {
    let mut project = Project::new(BEFORE);
    project.apply();
    push(&mut project, 0, 50);
    push(&mut project, 1, 50);
    // It empties the log of what is folded, so the archive alone holds it.
    assert_eq!(forget(&mut project, 3), 20);
    push(&mut project, 2, 50);
    project.define(&format!("{BEFORE}{LATER}"));
    project.apply();
    // Of the key that was erased nothing comes that happened before.
    let right = [30, 30, 30, 0, 30];
    assert_eq!(counts(&mut project, "spent:n"), right);
    assert_eq!(counts(&mut project, "shops:all"), right);
    assert_eq!(counts(&mut project, "shops:n"), [3, 3, 3, 0, 3]);
    push(&mut project, 3, 50);
    let right = [40, 40, 40, 0, 40];
    assert_eq!(counts(&mut project, "shops:all"), right);
    verify(&mut project);
    // What is rebuilt begins with history, and goes on with what was not in it.
    project.close();
    assert_eq!(counts(&mut project, "shops:all"), right);
    assert_eq!(forget(&mut project, 1), 40);
    assert_eq!(counts(&mut project, "shops:all"), [40, 0, 40, 0, 40]);
    verify(&mut project);
}

/// Goal: killed while it takes in what was pushed before, a view goes on where it was, and answers nothing before it has all.
#[test]
fn killed_on_the_way() {
    for death in (0..40).step_by(6) {
        let mut project = Project::new(BEFORE);
        project.apply();
        for number in 0..4 {
            push(&mut project, number, 25);
        }
        forget(&mut project, 77);
        push(&mut project, 4, 25);
        project.define(&format!("{BEFORE}{LATER}"));
        project.apply();
        dying(&mut project, death, async |store| store.settle_pushed().await);
        assert_eq!(counts(&mut project, "shops:all"), [25; CARDS as usize], "dead after {death}");
        verify(&mut project);
    }
}
