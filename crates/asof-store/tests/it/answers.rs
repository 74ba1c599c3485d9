//! Answers that a server gave are kept, and each is recomputed for its own instant.

use asof_model::KnownAt;
use asof_store::NoProgress;
use asof_store::answers::RECORDED_ROWS_PER_SECOND_MAX;
use asof_store::get::GetRequest;
use asof_store::verify::{VerifyReport, VerifyRequest};

use crate::project::{Ask, Project, at, features, int_keys};

/// A view `v` of ids, with features `n` and `s`.
fn definitions(ttl: &str) -> String {
    format!(
        "entities: {{ id: {{ keys: {{ id: int64 }} }} }}
sources: {{ rows: {{ path: data, event: event_timestamp }} }}
feature_views: {{ v: {{ entities: id, source: rows{ttl}, features: {{ n: int64, s: string }} }} }}
"
    )
}

/// Answers a request as a server does, and records it.
fn serve(project: &mut Project, keys: &[i64], include_expired: bool) {
    let ask = Ask::of(features(&["v:s", "v:n"]), KnownAt::Served);
    let plan = project.try_plan(&ask).unwrap();
    let entities = int_keys("id", keys);
    let request = GetRequest {
        entities,
        fields: Default::default(),
        rows: keys.len(),
        now: None,
        include_expired,
        from_history: false,
    };
    let answer = project.try_get_planned(&plan, &request).unwrap();
    project.store().1.answer_log().record(answer.t, &plan, &request, &answer.answer).unwrap();
}

fn verify(project: &mut Project) -> VerifyReport {
    let (runtime, store) = project.store();
    let request = VerifyRequest { names: Vec::new(), sample: 1_000, oracle: true };
    runtime.block_on(Box::pin(store.verify(&request, &NoProgress))).unwrap()
}

/// Goal: what was answered stays true of its instant, however the data moves on; and a byte that was not served is found.
#[test]
fn recorded_answers_are_recomputed() {
    let mut project = Project::new(&definitions(", ttl: 1d"));
    project.write(
        "data/a.csv",
        "id,event_timestamp,n,s\n1,2029-12-31T23:00:00Z,1,a\n2,2024-01-01T00:00:00Z,2,b\n",
    );
    project.apply();
    project.load(&[]);
    serve(&mut project, &[1, 2, 3], false);
    serve(&mut project, &[2], true);
    project.set_clock("2030-01-01T10:00:00Z");
    project.write(
        "data/b.csv",
        "id,event_timestamp,n,s\n1,2030-01-01T09:00:00Z,7,x\n3,2030-01-01T09:00:00Z,8,y\n",
    );
    project.load(&[]);
    serve(&mut project, &[1, 2, 3], false);
    let report = verify(&mut project);
    // Three rows, one row, three rows, of two features each.
    assert_eq!((report.views[0].recorded_values, report.views[0].recorded_identical), (14, 14));
    assert_eq!(report.values, report.identical);

    let path = project.root.join(".asof/answers/answers.ndjson");
    let text = std::fs::read_to_string(&path).unwrap();
    let tampered = text.replacen("\"n\":\"00", "\"n\":\"01", 1);
    assert_ne!(text, tampered);
    // A line that a crash cut short says nothing.
    std::fs::write(&path, tampered + "{\"t\":17").unwrap();
    let report = verify(&mut project);
    assert_eq!((report.views[0].recorded_values, report.views[0].recorded_identical), (14, 13));
    assert_eq!(report.views[0].differences[0].feature, "n");
}

/// Goal: the record is bounded: so many rows in a second, and no more until the next.
#[test]
fn the_record_is_bounded() {
    let mut project = Project::new(&definitions(""));
    project.write("data/a.csv", "id,event_timestamp,n,s\n1,2024-01-01T00:00:00Z,1,a\n");
    project.apply();
    project.load(&[]);
    let keys: Vec<i64> = (0..i64::from(RECORDED_ROWS_PER_SECOND_MAX) + 50).collect();
    let ask = Ask::of(features(&["v:n"]), KnownAt::Served);
    let plan = project.try_plan(&ask).unwrap();
    let entities = int_keys("id", &keys);
    let request = GetRequest {
        entities,
        fields: Default::default(),
        rows: keys.len(),
        now: None,
        include_expired: false,
        from_history: false,
    };
    let log = project.store().1.answer_log();
    for instant in ["2030-01-01T10:00:00Z", "2030-01-01T10:00:00.5Z", "2030-01-01T10:00:01Z"] {
        project.clock.set(at(instant));
        let answer = project.try_get_planned(&plan, &request).unwrap();
        log.record(answer.t, &plan, &request, &answer.answer).unwrap();
    }
    let text = std::fs::read_to_string(project.root.join(".asof/answers/answers.ndjson")).unwrap();
    assert_eq!(text.lines().count(), 2 * RECORDED_ROWS_PER_SECOND_MAX as usize);
}
