//! What expressions mean, row by row (SEMANTICS 5).

use crate::{parse, row};

/// Goal: ERROR and null meet as the contract says, in every form that can do without an operand.
#[test]
fn errors_and_nulls() {
    let error = &[("i64", "ERROR"), ("flag", "ERROR")][..];
    for (text, result) in [
        ("false and flag", "false"),
        ("flag and false", "ERROR"),
        ("null and flag", "ERROR"),
        ("true or flag", "true"),
        ("flag or true", "ERROR"),
        ("not flag", "ERROR"),
        ("coalesce(1, i64)", "1"),
        ("coalesce(null, i64)", "ERROR"),
        ("coalesce(i64, 1)", "ERROR"),
        ("case when true then 1 else i64 end", "1"),
        ("case when null then i64 else 2 end", "2"),
        ("case when flag then 1 else 2 end", "ERROR"),
        ("case 1 when 1 then 'a' when i64 then 'b' end", "a"),
        ("case 2 when i64 then 'b' else 'c' end", "ERROR"),
        ("if(false, i64, 7)", "7"),
        ("i64 + cast(null as int64)", "ERROR"),
        ("i64 is null", "ERROR"),
        ("i64 is distinct from null", "ERROR"),
        ("greatest(1, i64)", "ERROR"),
        ("concat('a', cast(i64 as string))", "ERROR"),
        ("try_cast(i64 as string)", "ERROR"),
        ("array[1, i64]", "ERROR"),
        ("1 in (1, i64)", "true"),
        ("1 in (i64, 1)", "ERROR"),
        ("1 not in (2, null, i64)", "ERROR"),
        ("0 between 1 and i64", "false"),
        ("5 not between i64 and 1", "ERROR"),
        ("nullif(1, i64)", "ERROR"),
    ] {
        assert_eq!(row(text, error), result, "{text}");
    }
    for (text, result) in [
        ("i64 + 1", "null"),
        ("i64 = i64", "null"),
        ("flag and true", "null"),
        ("flag or true", "true"),
        ("not flag", "null"),
        ("i64 between 1 and 2", "null"),
        ("1 between i64 and 0", "false"),
        ("i64 in (1, 2)", "null"),
        ("flag is true", "false"),
        ("flag is not true", "true"),
        ("flag is unknown", "true"),
        ("case when flag then 1 end", "null"),
        ("text || 'a'", "null"),
        ("concat(text, 'a')", "a"),
        ("least(i64, 3)", "3"),
        ("length(text)", "null"),
    ] {
        assert_eq!(row(text, &[]), result, "{text}");
    }
}

/// Goal: numbers do not wrap; what does not fit is ERROR, at every width.
#[test]
fn numbers() {
    let values = &[
        ("i32", "2147483647"),
        ("i64", "-9223372036854775808"),
        ("f32", "0.1"),
        ("f64", "nan"),
        ("amount", "12345678.99"),
        ("fee", "0.3333"),
    ][..];
    for (text, result, of) in [
        ("i32 + 1", "ERROR", "int32"),
        ("i32 + 3000000000", "5147483647", "int64"),
        ("i32 * 1.5", "3221225470.5", "float64"),
        ("- i64", "ERROR", "int64"),
        ("abs(i64)", "ERROR", "int64"),
        ("i64 / -1", "ERROR", "int64"),
        ("i64 % -1", "0", "int64"),
        ("i64 / 0", "ERROR", "int64"),
        ("i64 % 0", "ERROR", "int64"),
        ("i64 - 1", "ERROR", "int64"),
        ("cast(i64 as float64) / 0", "-inf", "float64"),
        ("f32 + f32", "0.2", "float32"),
        ("f32 * 2", "0.2", "float32"),
        ("f32 = 0.1", "false", "bool"),
        ("f64 = f64", "true", "bool"),
        ("f64 > 1e308", "true", "bool"),
        ("f64 + 1", "NaN", "float64"),
        ("- (f64 - f64)", "NaN", "float64"),
        ("0.0 * -1", "0.0", "float64"),
        ("cast(f64 as int64)", "ERROR", "int64"),
        ("amount + 0.01", "12345679.00", "decimal(11, 2)"),
        ("amount + 1.005", "12345679.995", "decimal(12, 3)"),
        ("amount * fee", "4114814.807367", "decimal(16, 6)"),
        ("amount / 0", "ERROR", "decimal(38, 6)"),
        ("amount / 3", "4115226.330000", "decimal(38, 6)"),
        ("amount / fee", "37040741.044104", "decimal(38, 6)"),
        ("amount % 10", "8.99", "decimal(10, 2)"),
        ("amount + i64", "-9223372036842430129.01", "decimal(22, 2)"),
        ("amount > 12345678.98", "true", "bool"),
        ("amount = 12345678.990", "true", "bool"),
        ("amount > i32", "false", "bool"),
        ("cast(amount as decimal(10, 1))", "12345679.0", "decimal(10, 1)"),
        ("cast(amount as decimal(9, 2))", "ERROR", "decimal(9, 2)"),
        ("cast(amount as int32)", "12345678", "int32"),
        ("cast(2.675 as decimal(10, 2))", "2.68", "decimal(10, 2)"),
        ("round(amount, 1)", "12345679.00", "decimal(10, 2)"),
        ("round(2.675, 2)", "2.68", "float64"),
        ("floor(- fee)", "-1.0000", "decimal(6, 4)"),
        ("cast('  7 ' as int32)", "7", "int32"),
        ("cast(true as int64) + 1", "2", "int64"),
        ("cast(3000000000 as int32)", "ERROR", "int32"),
        ("9223372036854775807", "9223372036854775807", "int64"),
        ("-9223372036854775808", "-9223372036854775808", "int64"),
        ("power(2, 0.5)", "1.4142135623730951", "float64"),
        ("7 / 2", "3", "int64"),
        ("7 / 2.0", "3.5", "float64"),
    ] {
        assert_eq!(parse(text).value_type().to_string(), of, "{text}");
        assert_eq!(row(text, values), result, "{text}");
    }
}

/// Goal: times are in UTC or the named zone, and calendars have no gaps.
#[test]
fn times() {
    let values = &[("ts", "2024-03-10T06:59:59.5Z"), ("day", "2024-02-29")][..];
    for (text, result) in [
        ("date_trunc('day', ts, 'America/New_York')", "2024-03-10T05:00:00Z"),
        ("date_part('hour', ts, 'America/New_York')", "1"),
        ("date_part('hour', ts + interval '1 second', 'America/New_York')", "3"),
        ("date_part('doy', day)", "60"),
        ("date_trunc('quarter', day)", "2024-01-01T00:00:00Z"),
        ("date_trunc('month', ts)", "2024-03-01T00:00:00Z"),
        ("day + interval '1 year'", "2025-02-28T00:00:00Z"),
        ("day < ts", "true"),
        ("cast(ts as date)", "2024-03-10"),
        ("cast(day as string)", "2024-02-29"),
        ("date_diff('day', day, ts)", "10"),
        ("date_diff('week', ts, day)", "-1"),
        ("date_diff('year', day, timestamp '2025-02-28')", "0"),
        ("date_diff('second', ts, request_timestamp())", "4925289"),
        ("ts + interval '8000 years'", "ERROR"),
        ("date_add('month', -1, timestamp '2024-03-31')", "2024-02-29T00:00:00Z"),
        ("date_add('year', 9223372036854775807, ts)", "ERROR"),
        ("ts between '2024-01-01' and '2024-12-31'", "true"),
        ("epoch_millis(ts)", "1710053999500"),
        ("extract(isoyear from date '2021-01-03')", "2020"),
        ("date_part('dow', day)", "4"),
    ] {
        assert_eq!(row(text, values), result, "{text}");
    }
}

/// Goal: text counts characters, compares by bytes, and matches patterns without surprises.
#[test]
fn texts() {
    let values = &[("text", "Größe 42"), ("id", "6F9619FF-8B86-D011-B42D-00C04FC964FF"), ("raw", "aGk=")][..];
    for (text, result) in [
        ("length(text)", "8"),
        ("octet_length(text)", "10"),
        ("upper(text)", "GRÖSSE 42"),
        ("substr(text, 3, 2)", "öß"),
        ("substr(text, -1, 3)", "G"),
        ("substr(text, 9223372036854775807, 9223372036854775807)", ""),
        ("left(text, -9223372036854775808)", ""),
        ("text like 'Gr__e%'", "true"),
        ("text like '%4%2'", "true"),
        ("text like '%%%%%%%%3'", "false"),
        ("text ilike 'GRÖ%'", "true"),
        ("text like 'a\\'", "ERROR"),
        ("text < 'a'", "true"),
        ("'ö' > 'z'", "true"),
        ("regexp_extract(text, '[0-9]+')", "42"),
        ("split_part(text, ' ', 2)", "42"),
        ("replace(text, 'ö', 'oe')", "Groeße 42"),
        ("replace(repeat('a', 1000000), 'a', 'bb')", "ERROR"),
        ("length(lpad(text, 20, 'é'))", "20"),
        ("lpad(text, 9223372036854775807)", "ERROR"),
        ("id = '6f9619ff-8b86-d011-b42d-00c04fc964ff'", "true"),
        ("cast(id as string)", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ("octet_length(raw)", "2"),
        ("hash_bucket(text, 10) between 0 and 9", "true"),
        ("hash_bucket(1, 1000) = hash_bucket(cast(1 as int32), 1000)", "true"),
    ] {
        assert_eq!(row(text, values), result, "{text}");
    }
}

/// Goal: lists, maps, json and embeddings give up their parts, and null where there is none.
#[test]
fn collections() {
    let values = &[
        ("ints", "[3, null, 1, 3]"),
        ("floats", "[0.5, 1.5]"),
        ("words", "[\"b\", \"a\"]"),
        ("counts", "{\"x\": 1, \"y\": null}"),
        ("doc", "{\"a\": {\"b c\": [1, \"two\", null]}, \"n\": 1.50}"),
        ("vector", "[1, 2, 2]"),
    ][..];
    for (text, result) in [
        ("ints[1]", "3"),
        ("ints[2]", "null"),
        ("ints[0]", "null"),
        ("ints[-1]", "null"),
        ("list_sum(ints)", "7"),
        ("list_avg(ints)", "2.3333333333333335"),
        ("list_max(words)", "b"),
        ("list_sort(ints)", "[1,3,3,null]"),
        ("list_sort(ints, 'desc')", "[3,3,1,null]"),
        ("list_distinct(ints)", "[3,null,1]"),
        ("list_slice(ints, -5, 2)", "[3,null]"),
        ("list_slice(ints, 3, 1)", "[]"),
        ("list_contains(ints, 1)", "true"),
        ("list_contains(floats, 1.5)", "true"),
        ("ints || array[9]", "[3,null,1,3,9]"),
        ("ints = array[3, null, 1, 3]", "true"),
        ("cardinality(ints)", "4"),
        ("list_sum(cast('[]' as list(int64)))", "null"),
        ("counts['x']", "1"),
        ("counts['y']", "null"),
        ("counts['z']", "null"),
        ("map_keys(counts)", "[\"x\",\"y\"]"),
        ("map_values(counts)[1] + 1", "2"),
        ("doc -> 'a' -> 'b c' -> 0", "1"),
        ("doc -> 'a' -> 'b c' ->> 1", "two"),
        ("doc -> 'a' -> 'b c' -> 2", "null"),
        ("doc -> 'a' -> 'b c' -> 1", "\"two\""),
        ("doc -> 'n' -> 'x'", "null"),
        ("json_path(doc, '$.a.\"b c\"[1]')", "\"two\""),
        ("cast(doc -> 'n' as float64)", "1.5"),
        ("cast(doc -> 'n' as int64)", "ERROR"),
        ("cast(doc -> 'a' -> 'b c' as list(int64))", "ERROR"),
        ("json_type(doc -> 'a')", "object"),
        ("vector[2]", "2.0"),
        ("l2_norm(vector)", "3.0"),
        ("cosine_similarity(vector, vector)", "1.0"),
        ("cast(vector as list(float64))", "[1.0,2.0,2.0]"),
        ("cast(floats as embedding(3))", "ERROR"),
        ("cast(array[1, 2, 3] as embedding(3)) = cast('[1,2,3]' as embedding(3))", "true"),
        ("to_json(counts)", "{\"x\":1,\"y\":null}"),
    ] {
        assert_eq!(row(text, values), result, "{text}");
    }
}
