//! Whatever the text, reading ends with objects or with problems that have a place.

use asof_model::definition::{self, PROBLEMS_MAX, Problem, SourceFile};
use asof_model::settings::Settings;
use proptest::prelude::*;

use crate::{BASE, read};

/// Pieces of definitions, put together without sense.
fn patchwork() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "entities",
        "sources",
        "feature_views",
        "feature_services",
        "features",
        "keys",
        "source",
        "driver",
        "trips",
        "trips@2",
        "event",
        "path",
        "ttl",
        "as",
        "default",
        "int64",
        "90d",
        "null",
        "~",
        "*",
        "<<",
        "__x",
        "é",
        "'",
        "\"",
        ": ",
        ": ",
        ": ",
        "- ",
        "\n",
        "\n",
        "\n  ",
        "\n    ",
        "\n      ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "!t ",
        "---\n",
        "...\n",
        "\t",
        "\r",
        "\0",
        "\u{feff}",
        "#",
        "|",
        ">",
        "? ",
        "%",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// A right file with a piece of it replaced.
fn damaged() -> impl Strategy<Value = String> {
    (0..BASE.len(), 0..20_usize, patchwork()).prop_map(|(start, length, piece)| {
        let end = (start + length).min(BASE.len());
        format!("{}{piece}{}", &BASE[..start], &BASE[end..])
    })
}

fn well_placed(problems: &[Problem], text: &str) -> Result<(), TestCaseError> {
    prop_assert!(!problems.is_empty() && problems.len() <= PROBLEMS_MAX + 1);
    prop_assert!(problems.is_sorted_by_key(|each| (each.file.as_str(), each.line, each.column)));
    // A carriage return alone ends a line as well; the end of the file may be the start of one more line.
    let lines = text.matches(['\n', '\r']).count() + 2;
    for problem in problems {
        prop_assert!((1..=lines).contains(&problem.line) && problem.column >= 1, "{problem}");
        prop_assert!(!problem.message.contains('\n'), "{problem}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Goal: no text makes the reader of definitions panic, and each problem has a place in the text.
    #[test]
    fn definitions_never_panic(text in prop_oneof![any::<String>(), patchwork(), damaged()]) {
        if let Err(problems) = read(&text) {
            well_placed(&problems, &text)?;
        }
        // Beside a file that is right: problems between files keep their order too.
        let files = [SourceFile { path: "a.yaml", text: BASE }, SourceFile { path: "b.yaml", text: &text }];
        if let Err(problems) = definition::read(&files) {
            well_placed(&problems, &format!("{text}{BASE}"))?;
        }
    }

    /// Goal: no text makes the reader of settings panic, and each problem has a place in the text.
    #[test]
    fn settings_never_panic(text in prop_oneof![
        any::<String>(),
        "(\\[|\\]|=|'|\"|online|registry|url|cache|project|server|listen|\\$\\{|\\}|A|\n|\\.| |://|é){0,30}",
    ]) {
        let env = |name: &str| (name == "A").then(|| "value".to_owned());
        if let Err(problems) = Settings::read("asof.toml", &text, "folder", &env) {
            well_placed(&problems, &text)?;
        }
    }
}
