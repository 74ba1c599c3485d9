//! How texts are read: canonical texts, refusals with their places, bounds.

use asof_expression::{Expression, Scope, check_bounds};
use asof_model::ValueType;

use crate::{parse, refusal, scope};

/// Goal: columns of several tables are found by their name where one has it, and named with their table in the text, which
/// reads back as itself whatever columns come later; a column without a table goes before them.
#[test]
fn qualified_columns() {
    let i64s =
        |names: &[&'static str]| names.iter().map(|name| (*name, ValueType::Int64)).collect::<Vec<_>>();
    let scope = |trips: &[&'static str]| {
        Scope::new(i64s(&["amount", "Big"]))
            .with_qualified("trips", i64s(trips))
            .with_qualified("Riders", i64s(&["trips", "amount", "fare", "order"]))
    };
    let all = scope(&["tally", "fare"]);
    for (spellings, text, columns) in [
        (&["tally + 1", "trips.tally+1", "TRIPS.Tally + 1"][..], "(trips.tally + 1)", &["trips.tally"][..]),
        (&["amount"], "amount", &["amount"]),
        (&["riders.amount", "\"Riders\".amount"], "\"Riders\".amount", &["Riders.amount"]),
        (&["riders.fare - trips.fare"], "(\"Riders\".fare - trips.fare)", &["Riders.fare", "trips.fare"]),
        (&["\"order\" + big"], "(\"Riders\".\"order\" + \"Big\")", &["Riders.order", "Big"]),
        (&["trips"], "\"Riders\".trips", &["Riders.trips"]),
    ] {
        for spelling in spellings {
            let expression = Expression::parse(spelling, &all).unwrap();
            assert_eq!(expression.to_string(), text, "{spelling}");
            assert_eq!(expression.columns(), columns, "{spelling}");
            // More columns make no difference to the text.
            let more = scope(&["tally", "fare", "order", "trips", "amount"]);
            let again = Expression::parse(text, &more).unwrap();
            assert_eq!(again.to_string(), text);
            assert_eq!(again.columns(), columns);
        }
    }
    for (text, sentence) in [
        (
            "1 + fare",
            "line 1, column 5: `fare` could be any of `trips.fare`, `Riders.fare`; write which one is meant, such as \
             `trips.fare`",
        ),
        ("trips.taly", "line 1, column 1: `trips.taly` is not a column here; did you mean `tally`?"),
        ("trip.tally", "line 1, column 1: `trip.tally` is not a column here; did you mean `trips`?"),
        ("trips.amount", "line 1, column 1: `trips.amount` is not a column here; there is `fare`, `tally`"),
        ("request.amount", "line 1, column 1: `request.amount` is not a column here; write `amount` alone"),
        ("\"riders\".amount", "line 1, column 1: `riders.amount` is not a column here; write `amount` alone"),
        ("tallys", "line 1, column 1: `tallys` is not a column here; did you mean `tally`?"),
    ] {
        assert_eq!(Expression::parse(text, &all).unwrap_err().sentence(), sentence);
    }
}

/// Goal: spellings that differ in spaces, case and parentheses have one text, and it reads back as itself.
#[test]
fn one_text() {
    for (spellings, canonical) in [
        (&["i64+1", " I64 +  1", "((i64)) + (1)", "source.i64 + 1"][..], "(i64 + 1)"),
        (&["population", "\"Population\"", "POPULATION"], "\"Population\""),
        (&["not flag and flag or flag", "((NOT flag) AND flag) OR flag"], "(((not flag) and flag) or flag)"),
        (&["flag and flag and flag", "(flag and flag) and flag"], "(flag and flag and flag)"),
        (&["cast(i64 as double)", "i64::float64", "CAST(i64 AS Float64)"], "cast(i64 as float64)"),
        (&["text like 'a%'", "text LIKE 'a%'"], "(\"text\" like 'a%')"),
        (&["text not ilike 'it''s'"], "(not (\"text\" ilike 'it''s'))"),
        (
            &["extract(hour from ts)", "date_part('hour', ts)", "EXTRACT(HOUR FROM ts)"],
            "date_part('hour', ts)",
        ),
        (
            &["ts - interval '7 days'", "ts - interval '7' day", "ts - INTERVAL '1 week'"],
            "(ts + interval '-604800000000 microseconds')",
        ),
        (
            &["case when flag then 1 else 2.5 end", "CASE WHEN flag THEN 1 ELSE 2.5 END"],
            "case when flag then 1 else 2.5 end",
        ),
        (&["if(flag, 1, 2)"], "case when flag then 1 else 2 end"),
        (&["i64 in (1, 02)", "i64 IN (1,2)"], "(i64 in (1, 2))"),
        (&["i64 not between 1 and 2"], "(i64 not between 1 and 2)"),
        (&["-i64", "- i64"], "(- i64)"),
        (&["-5", "- 5"], "-5"),
        (&["i64 % 2", "mod(i64, 2)"], "(i64 % 2)"),
        (&["i64 != 1"], "(i64 <> 1)"),
        (&["ifnull(i64, 0)", "coalesce(i64, 0)"], "coalesce(i64, 0)"),
        (&["ints[1]", "list_get(ints, 1)"], "(ints)[1]"),
        (&["doc -> 'a' ->> 'b'"], "json_get_text(json_get(doc, 'a'), 'b')"),
        (&["array[1, i64]", "[1, i64]"], "array[1, i64]"),
        (&["ts > '2024-01-01'"], "(ts > '2024-01-01')"),
        (&["timestamp '2024-01-01 01:00:00+01:00'"], "timestamp '2024-01-01T00:00:00Z'"),
        (&["trim(both 'x' from text)", "trim(text, 'x')"], "trim(\"text\", 'x')"),
        (&["substring(text from 2 for 3)", "substr(text, 2, 3)"], "substr(\"text\", 2, 3)"),
        (&["position('a' in text)", "strpos(text, 'a')"], "strpos(\"text\", 'a')"),
        (&["floor(f64)", "FLOOR(f64)"], "floor(f64)"),
        (&["flag is true"], "(not (flag is distinct from true))"),
        (&["text || 'a' || 'b'"], "(\"text\" || 'a' || 'b')"),
        (&["amount * 1.50"], "(amount * 1.50)"),
        (
            &["try_cast(text as decimal(10,2))", "TRY_CAST(text AS numeric(10, 2))"],
            "try_cast(\"text\" as decimal(10, 2))",
        ),
        (&["cast(text as list(int64))"], "cast(\"text\" as list(int64))"),
        (&["cast(text as map(string, float64))"], "cast(\"text\" as map(string, float64))"),
        (&["cast(text as embedding(3))"], "cast(\"text\" as embedding(3))"),
        (&["request_timestamp()", "REQUEST_TIMESTAMP()"], "request_timestamp()"),
    ] {
        for text in spellings {
            assert_eq!(parse(text).to_string(), canonical, "{text}");
        }
        let back = parse(canonical);
        assert_eq!(back.to_string(), canonical);
        assert_eq!(back.value_type(), parse(spellings[0]).value_type(), "{canonical}");
    }
}

/// Goal: what an expression reads and gives is known, in order of first use.
#[test]
fn introspection() {
    let expression = parse("case when f64 > i32 then i64 else i32 end");
    assert_eq!(expression.columns(), ["f64", "i32", "i64"]);
    assert_eq!(expression.value_type().to_string(), "int64");
    assert!(!expression.can_fail() && !expression.uses_request_timestamp());
    for (text, fails) in [
        ("i64 + 1", true),
        ("f64 / 0", false),
        ("cast(text as int64)", true),
        ("try_cast(text as int64)", false),
        ("cast(i32 as int64)", false),
        ("coalesce(i64 / i64, 0)", true),
        ("lower(text)", false),
        ("request_timestamp() > ts", false),
        ("request_timestamp() - interval '1 day' > ts", true),
    ] {
        assert_eq!(parse(text).can_fail(), fails, "{text}");
    }
    assert!(parse("date_diff('day', ts, request_timestamp())").uses_request_timestamp());
}

/// Goal: a refusal names the place, the reason and the way out.
#[test]
fn refusals() {
    for (text, message) in [
        ("popluation * 2", "line 1, column 1: `popluation` is not a column here; did you mean `Population`?"),
        ("i64 +\n  \"Text\"", "line 2, column 3: `Text` is not a column here; did you mean `text`?"),
        ("sqr(f64)", "line 1, column 1: there is no function `sqr`; did you mean `sqrt`?"),
        (
            "f64 + text",
            "line 1, column 1: `+` between float64 and string; cast the right side: `cast(... as float64)`",
        ),
        (
            "i64 = text",
            "line 1, column 1: `=` between int64 and string; cast the right side: `cast(... as int64)`",
        ),
        (
            "i64 = 'x'",
            "line 1, column 1: `=` between int64 and string; cast the right side: `cast(... as int64)`",
        ),
        (
            "amount + f64",
            "line 1, column 1: `+` between decimal(10, 2) and float64; cast the left side: `cast(... as float64)`",
        ),
        (
            "ts - ts",
            "line 1, column 1: `-` between timestamp and timestamp; write `date_diff('second', earlier, later)` with the unit you mean",
        ),
        (
            "ts + 1",
            "line 1, column 1: `+` between timestamp and int64; add an interval: `interval '1 day'`, or `date_add('day', n, instant)`",
        ),
        (
            "sqrt(text)",
            "line 1, column 1: `sqrt` does not take (string); there is `sqrt(x float64) -> float64`",
        ),
        (
            "i64 and flag",
            "line 1, column 1: an operand of `and` must be bool, and this is int64; write `cast(... as bool)`",
        ),
        (
            "now()",
            "line 1, column 1: `now` is refused: it depends on when it is run, so training and serving would differ; write `request_timestamp()` for the instant of the request",
        ),
        (
            "current_date",
            "line 1, column 1: `current_date` is refused: it depends on when it is run, so training and serving would differ; write `cast(request_timestamp() as date)` for the day of the request",
        ),
        (
            "random() < 0.5",
            "line 1, column 1: `random` is refused: it gives another value each time, so training and serving would differ; write `hash_bucket(key, n)` for a choice that is the same everywhere",
        ),
        (
            "sum(i64)",
            "line 1, column 1: `sum` is refused: it needs more than one row; an expression sees one row; aggregates over events are written as `aggregate:` of a feature",
        ),
        (
            "row_number() over (order by i64)",
            "line 1, column 1: `row_number(...) over ...`, a window function, can't be used in an expression; an expression sees one row; aggregates over events are written as `aggregate:` of a feature",
        ),
        ("cast(text as flaot64)", "line 1, column 6: there is no type `flaot64`; did you mean `float64`?"),
        (
            "cast(ts as int64)",
            "line 1, column 6: there is no cast from timestamp to int64; write `epoch_seconds(...)`, `epoch_millis(...)` or `epoch_micros(...)`",
        ),
        ("timestamp '2024-13-01'", "line 1, column 11: '2024-13-01' is not of type timestamp"),
        (
            "ts > 'yesterday'",
            "line 1, column 1: `>` between timestamp and string; cast the right side: `cast(... as timestamp)`",
        ),
        ("ints < ints", "line 1, column 1: `<` between list(int64) and list(int64)"),
        ("i64 +", "line 1, column 5: expected an expression, found its end"),
        ("", "expected an expression, found its end"),
        ("i64 i64", "line 1, column 5: `i64` is not expected here"),
        ("flag adn flag", "line 1, column 6: `adn` is not expected here; did you mean `and`?"),
        ("(select 1)", "line 1, column 2: a subquery can't be used in an expression"),
        (
            "null",
            "line 1, column 1: a null without a type can't be used in an expression; write `cast(null as ...)` with a type",
        ),
        (
            "coalesce(i64, text)",
            "line 1, column 10: `coalesce` between int64 and string; cast the right side: `cast(... as int64)`",
        ),
        ("regexp_like(text, '(')", "line 1, column 19: '(' is not a regular expression: unclosed group"),
        (
            "regexp_like(text, text)",
            "line 1, column 1: `regexp_like` does not take (string, string); there is `regexp_like(x string, pattern literal string) -> bool`",
        ),
        (
            "date_trunc('fortnight', ts)",
            "line 1, column 12: 'fortnight' is not a unit of time: microsecond, millisecond, second, minute, hour, day, week, month, quarter, year",
        ),
        (
            "date_part('hour', ts, 'Mars/Base')",
            "line 1, column 23: 'Mars/Base' is not the IANA name of a time zone, such as 'Europe/Berlin'",
        ),
        (
            "dot_product(vector, cast('[1]' as embedding(1)))",
            "line 1, column 1: `dot_product` does not take (embedding(3), embedding(1)); there is `dot_product(x embedding, y embedding) -> float64`",
        ),
        ("1e999", "line 1, column 1: 1.0e999 is not a float64"),
        ("'abc", "line 1, column 1: unterminated string literal"),
        (
            "interval '1 day'",
            "line 1, column 10: an interval alone can't be used in an expression; add it to an instant, or subtract it from one",
        ),
    ] {
        assert_eq!(refusal(text), message, "{text}");
    }
}

/// Goal: a place is a range of bytes, whatever stands before it.
#[test]
fn places_are_bytes() {
    let text = "text = 'größe' and\n  poplation > 1";
    let error = Expression::parse(text, &scope()).unwrap_err();
    let place = error.place.unwrap();
    assert_eq!(&text[place.start..place.end], "poplation");
    assert_eq!((place.line, place.column), (2, 3));
}

/// Goal: no text, however long or deep, overflows the stack or takes long; ordinary long ones are read.
#[test]
fn bounds() {
    let deep = |open: &str, inner: &str, close: &str, times| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    for text in [
        deep("(", "1", ")", 30_000),
        deep("(", "1", "", 900),
        deep("abs(", "i64", ")", 400),
        deep("-", "i64", "", 1_500),
        deep("not ", "flag", "", 1_500),
        deep("case when flag then ", "1", " end", 300),
        deep("cast(", "1", " as int64)", 300),
        deep("cast(", "1", "", 300),
        deep("case ", "1", "", 300),
        deep("array[", "1", "]", 300),
        deep("interval ", "1", "", 300),
        format!("i64{}", " + 1".repeat(1_900)),
        format!("i64{}", "::int64".repeat(900)),
        "x".repeat(70_000),
    ] {
        let error = Expression::parse(&text, &scope());
        assert!(error.is_err(), "{}...", &text[..40]);
    }
    assert!(check_bounds(&"(".repeat(3_000)).is_err());
    parse(&format!("i64 in ({})", (0..5_000).map(|n| n.to_string()).collect::<Vec<_>>().join(", ")));
    // The deepest tree that is read is also evaluated, printed and dropped on an ordinary stack.
    let deepest = parse(&format!("i64{}", " + 1".repeat(126)));
    let one = asof_model::Cell::Value(asof_model::Value::Int64(1));
    assert_eq!(crate::shown(&deepest.evaluate_row(&[one], crate::t())), "127");
    assert_eq!(parse(&deepest.to_string()).to_string(), deepest.to_string());
    parse(&format!("flag{}", " and flag".repeat(900)));
    parse(&format!("i64{}", " + 1".repeat(100)));
    parse(&deep("(", "1", ")", 100));
}
