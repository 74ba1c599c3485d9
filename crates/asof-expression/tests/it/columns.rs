//! The columnar evaluation against the row-wise one, over random expressions and batches.

use arrow::array::TimestampMicrosecondArray;
use arrow::buffer::BooleanBuffer;
use asof_arrow::ColumnBuilder;
use asof_expression::{Column, Expression, RequestTimestamps};
use asof_model::{Cell, Instant, ValueType};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::{columns, scope, shown, t, value};

/// Values of a column as text, the awkward ones first.
fn texts(of: ValueType) -> &'static [&'static str] {
    match of {
        ValueType::Int32 => &["0", "1", "-1", "2147483647", "-2147483648", "7", "100"],
        ValueType::Int64 => {
            &["0", "1", "-1", "9223372036854775807", "-9223372036854775808", "7", "3", "2147483648"]
        }
        ValueType::Float32 => &["0", "1.5", "-2.5", "nan", "inf", "-inf", "3.4e38", "1e-45", "0.1"],
        ValueType::Float64 => &[
            "0",
            "1.5",
            "-2.5",
            "nan",
            "inf",
            "-inf",
            "1.7e308",
            "5e-324",
            "0.1",
            "9223372036854775808",
            "3",
        ],
        ValueType::String => {
            &["", "a", "B", "größe", "12", "1.5", "true", "2024-02-29", "%_\\", "nan", "x y z"]
        }
        ValueType::Bool => &["true", "false"],
        ValueType::Bytes => &["", "aGk=", "AAECAw=="],
        ValueType::Timestamp => &[
            "1970-01-01",
            "2024-02-29T12:34:56.789Z",
            "0001-01-01",
            "9999-12-31T23:59:59.999999Z",
            "1969-12-31T23:59:59.5Z",
        ],
        ValueType::Date => &["1970-01-01", "2024-02-29", "0001-01-01", "9999-12-31"],
        ValueType::Decimal(of) if of.scale() == 2 => {
            &["0", "0.01", "-0.01", "99999999.99", "-99999999.99", "12.50"]
        }
        ValueType::Decimal(_) => &["0", "0.0001", "99.9999", "-99.9999", "1.5"],
        ValueType::Uuid => &["00000000-0000-0000-0000-000000000000", "6f9619ff-8b86-d011-b42d-00c04fc964ff"],
        ValueType::Json => {
            &["null", "1", "\"a\"", "[1, null, \"x\"]", "{\"a\": {\"b\": [true]}, \"n\": 1.5}", "{}"]
        }
        ValueType::List(asof_model::ScalarType::String) => &["[]", "[\"b\", null, \"a\"]", "[\"a\"]"],
        ValueType::List(_) => &["[]", "[1, null, 3]", "[2, 2]", "[-7]"],
        ValueType::Map(_) => &["{}", "{\"a\": 1, \"b\": null}", "{\"a\": 9223372036854775807}"],
        ValueType::Embedding(_) => &["[0, 0, 0]", "[1, 2, 3]", "[-1.5, 0.25, 1e30]"],
    }
}

fn cell(of: ValueType) -> impl Strategy<Value = Cell> {
    let values: Vec<Cell> = texts(of).iter().map(|text| Cell::Value(value(text, of))).collect();
    prop_oneof![1 => Just(Cell::Null), 1 => Just(Cell::Error), 6 => select(values)]
}

/// Expressions of a type, as text. `{}` stands where a part of the named type goes.
const FORMS: &[(&str, &str, &[&str])] = &[
    ("bool", "({} and {})", &["bool", "bool"]),
    ("bool", "({} or {})", &["bool", "bool"]),
    ("bool", "({} or {} and {})", &["bool", "bool", "bool"]),
    ("bool", "(not {})", &["bool"]),
    ("bool", "({} is null)", &["any"]),
    ("bool", "({} is not null)", &["any"]),
    ("bool", "({} is distinct from {})", &["i64", "i32"]),
    ("bool", "({} is true)", &["bool"]),
    ("bool", "({} = {})", &["number", "number"]),
    ("bool", "({} < {})", &["number", "number"]),
    ("bool", "({} <> {})", &["text", "text"]),
    ("bool", "({} >= {})", &["text", "text"]),
    ("bool", "({} > {})", &["ts", "ts"]),
    ("bool", "({} <= {})", &["decimal_column", "decimal_column"]),
    ("bool", "({} = {})", &["bool", "bool"]),
    ("bool", "({} = {})", &["ints", "ints"]),
    ("bool", "(id < '6f9619ff-8b86-d011-b42d-00c04fc964ff')", &[]),
    ("bool", "(raw > raw)", &[]),
    ("bool", "({} between {} and {})", &["number", "number", "number"]),
    ("bool", "({} not between {} and 5)", &["i64", "i64"]),
    ("bool", "({} in ({}, 7, {}))", &["i64", "i64", "i64"]),
    ("bool", "({} not in ('a', {}))", &["text", "text"]),
    ("bool", "({} like '%a%')", &["text"]),
    ("bool", "({} ilike {})", &["text", "text"]),
    ("bool", "cast({} as bool)", &["text"]),
    ("bool", "case when {} then {} when {} then {} end", &["bool", "bool", "bool", "bool"]),
    ("bool", "list_contains({}, {})", &["ints", "i64"]),
    ("i64", "({} + {})", &["i64", "i64"]),
    ("i64", "({} - {})", &["i64", "i32"]),
    ("i64", "({} * {})", &["i64", "i64"]),
    ("i64", "({} / {})", &["i64", "i64"]),
    ("i64", "({} % {})", &["i64", "i32"]),
    ("i64", "(- {})", &["i64"]),
    ("i64", "abs({})", &["i64"]),
    ("i64", "cast({} as int64)", &["f64"]),
    ("i64", "try_cast({} as int64)", &["f64"]),
    ("i64", "cast({} as int64)", &["text"]),
    ("i64", "cast({} as int64)", &["decimal"]),
    ("i64", "case when {} then {} else {} end", &["bool", "i64", "i64"]),
    ("i64", "case {} when {} then {} when 1 then {} else 0 end", &["i64", "i64", "i64", "i64"]),
    ("i64", "coalesce({}, {}, 5)", &["i64", "i64"]),
    ("i64", "nullif({}, {})", &["i64", "i64"]),
    ("i64", "greatest({}, {}, {})", &["i64", "i64", "i32"]),
    ("i64", "length({})", &["text"]),
    ("i64", "date_diff('month', {}, {})", &["ts", "ts"]),
    ("i64", "date_part('week', {})", &["ts"]),
    ("i64", "({})[{}]", &["ints", "i64"]),
    ("i64", "list_sum({})", &["ints"]),
    ("i64", "counts['a']", &[]),
    ("i64", "cast(doc -> 0 as int64)", &[]),
    ("i64", "hash_bucket({}, 100)", &["any"]),
    ("i32", "({} + {})", &["i32", "i32"]),
    ("i32", "({} / {})", &["i32", "i32"]),
    ("i32", "(- {})", &["i32"]),
    ("i32", "cast({} as int32)", &["i64"]),
    ("i32", "try_cast({} as int32)", &["i64"]),
    ("f64", "({} + {})", &["f64", "f64"]),
    ("f64", "({} - {})", &["f64", "f32"]),
    ("f64", "({} * {})", &["f64", "i64"]),
    ("f64", "({} / {})", &["f64", "i32"]),
    ("f64", "({} % {})", &["f64", "f64"]),
    ("f64", "(- {})", &["f64"]),
    ("f64", "sqrt({})", &["number_not_decimal"]),
    ("f64", "ln({})", &["f64"]),
    ("f64", "power({}, {})", &["f64", "f64"]),
    ("f64", "round({}, 2)", &["f64"]),
    ("f64", "floor({})", &["f64"]),
    ("f64", "haversine_km({}, {}, 10, 20)", &["f64", "f64"]),
    ("f64", "cast({} as float64)", &["number"]),
    ("f64", "cast({} as float64)", &["text"]),
    ("f64", "coalesce({}, {})", &["f64", "f64"]),
    ("f64", "if({}, {}, 0)", &["bool", "f64"]),
    ("f64", "dot_product(vector, vector)", &[]),
    ("f64", "list_avg(floats)", &[]),
    ("f32", "({} + {})", &["f32", "f32"]),
    ("f32", "({} % {})", &["f32", "f32"]),
    ("f32", "(- {})", &["f32"]),
    ("f32", "cast({} as float32)", &["f64"]),
    ("decimal", "({} + {})", &["decimal_column", "decimal_column"]),
    ("decimal", "({} * {})", &["decimal_column", "decimal_column"]),
    ("decimal", "({} / {})", &["decimal_column", "decimal_column"]),
    ("decimal", "({} % {})", &["decimal_column", "decimal_column"]),
    ("decimal", "cast({} as decimal(10, 2))", &["number"]),
    ("decimal", "case when {} then {} else 1.5 end", &["bool", "decimal_column"]),
    ("text", "({} || {})", &["text", "text"]),
    ("text", "upper({})", &["text"]),
    ("text", "substr({}, {}, 2)", &["text", "i64"]),
    ("text", "cast({} as string)", &["any"]),
    ("text", "coalesce({}, 'none')", &["text"]),
    ("text", "case when {} then {} else 'no' end", &["bool", "text"]),
    ("text", "json_get_text(doc, 'a')", &[]),
    ("ts", "({} + interval '1 month')", &["ts"]),
    ("ts", "date_trunc('week', {}, 'Europe/Berlin')", &["ts"]),
    ("ts", "date_add('day', {}, {})", &["i64", "ts"]),
    ("ts", "coalesce({}, request_timestamp())", &["ts"]),
    ("ts", "to_timestamp({}, 'ms')", &["i64"]),
    ("ts", "cast({} as timestamp)", &["text"]),
    ("ints", "array[{}, {}, null]", &["i64", "i64"]),
    ("ints", "list_sort({})", &["ints"]),
    ("ints", "({} || {})", &["ints", "ints"]),
    ("ints", "case when {} then {} end", &["bool", "ints"]),
    ("ints", "coalesce({}, array[1])", &["ints"]),
];

/// Columns and literals of a kind of part.
fn leaves(kind: &str) -> &'static [&'static str] {
    match kind {
        "bool" => &["flag", "flag", "true", "false", "cast(null as bool)"],
        "i64" => &["i64", "i64", "0", "1", "9223372036854775807", "cast(null as int64)", "(1 / 0)"],
        "i32" => &["i32", "i32", "cast(3 as int32)"],
        "f64" => &["f64", "f64", "0.5", "cast('nan' as float64)"],
        "f32" => &["f32", "cast(0.1 as float32)"],
        "decimal" | "decimal_column" => &["amount", "fee", "cast(1.25 as decimal(5, 2))"],
        "text" => &["text", "text", "'a'", "''", "cast(null as string)"],
        "ts" => &["ts", "ts", "day", "request_timestamp()", "timestamp '2024-05-05'"],
        "ints" => &["ints", "array[1, 2]"],
        _ => &["raw", "id", "doc", "words", "counts", "vector", "day"],
    }
}

/// Grows an expression of a kind, by numbers that choose.
fn grow(kind: &str, depth: usize, choices: &mut impl Iterator<Item = Index>) -> String {
    let mut pick = |list: &[&'static str]| list[choices.next().map_or(0, |index| index.index(list.len()))];
    let kind = match kind {
        "any" => pick(&["bool", "i64", "f64", "text", "ts", "decimal", "ints", "other", "i32", "f32"]),
        "number" => pick(&["i64", "i32", "f64", "f32", "i64"]),
        "number_not_decimal" => pick(&["i64", "f64", "f32"]),
        kind => kind,
    };
    let forms: Vec<_> = FORMS.iter().filter(|(of, ..)| *of == kind).collect();
    if depth == 0 || forms.is_empty() {
        return pick(leaves(kind)).to_owned();
    }
    let index = choices.next().map_or(0, |index| index.index(forms.len() + 1));
    let Some((_, form, parts)) = forms.get(index) else { return leaves(kind)[0].to_owned() };
    let mut text = (*form).to_owned();
    for part in *parts {
        let inner = grow(part, depth - 1, choices);
        text = text.replacen("{}", &inner, 1);
    }
    text
}

/// An expression and the rows it is evaluated over: cells for all columns, and instants.
fn cases() -> impl Strategy<Value = (String, Vec<Vec<Cell>>, Vec<Instant>)> {
    let kinds = ["bool", "i64", "i32", "f64", "f32", "decimal", "text", "ts", "ints"];
    let texts = (select(kinds.to_vec()), prop::collection::vec(any::<Index>(), 40), 1_usize..5)
        .prop_map(|(kind, choices, depth)| grow(kind, depth, &mut choices.into_iter()));
    let row = columns().into_iter().map(|(_, of)| cell(of).boxed()).collect::<Vec<_>>();
    let instants = select(vec![t(), Instant::EPOCH, Instant::MAX]);
    (texts, prop::collection::vec((row, instants), 0..12)).prop_map(|(text, rows)| {
        let (cells, instants) = rows.into_iter().unzip();
        (text, cells, instants)
    })
}

/// The inputs of an expression from rows of all columns.
fn inputs(expression: &Expression, rows: &[Vec<Cell>]) -> Vec<Column> {
    let all = columns();
    let place = |name: &String| all.iter().position(|(each, _)| each == name).unwrap();
    let column = |name: &String| {
        let at = place(name);
        let mut builder = ColumnBuilder::new(all[at].1, rows.len());
        rows.iter().for_each(|row| builder.append(row[at].value()));
        let errors: Vec<bool> = rows.iter().map(|row| row[at] == Cell::Error).collect();
        let errors = errors.contains(&true).then(|| BooleanBuffer::from(errors));
        Column { values: builder.finish(), errors }
    };
    expression.columns().iter().map(column).collect()
}

fn over_columns(expression: &Expression, rows: &[Vec<Cell>], instants: &[Instant]) -> Vec<Cell> {
    let instants = TimestampMicrosecondArray::from_iter_values(instants.iter().map(|t| t.micros()));
    let t = RequestTimestamps::Each(&instants);
    let column = expression.evaluate(&inputs(expression, rows), rows.len(), t).unwrap();
    assert_eq!(column.values.data_type(), &asof_arrow::arrow_type(expression.value_type()));
    assert_eq!(column.values.len(), rows.len());
    (0..rows.len()).map(|row| column.cell(expression.value_type(), row)).collect()
}

fn over_rows(expression: &Expression, rows: &[Vec<Cell>], instants: &[Instant]) -> Vec<Cell> {
    let all = columns();
    let places: Vec<usize> = expression
        .columns()
        .iter()
        .map(|name| all.iter().position(|(each, _)| each == name).unwrap())
        .collect();
    rows.iter()
        .zip(instants)
        .map(|(row, t)| {
            let cells: Vec<Cell> = places.iter().map(|at| row[*at].clone()).collect();
            expression.evaluate_row(&cells, *t)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Goal: both evaluators give the same cells; a row's result does not depend on its batch; every value is of the
    /// type that was promised; an expression that can't fail doesn't; the canonical text means the same.
    #[test]
    fn columns_and_rows_agree((text, rows, instants) in cases()) {
        let read = |text: &str| {
            let refused = |error: asof_expression::ExpressionError| format!("{text}: {}", error.sentence());
            Expression::parse(text, &scope()).map_err(refused).map_err(TestCaseError::fail)
        };
        let expression = read(&text)?;
        let by_row = over_rows(&expression, &rows, &instants);
        let by_column = over_columns(&expression, &rows, &instants);
        for (row, (a, b)) in by_row.iter().zip(&by_column).enumerate() {
            prop_assert_eq!(a, b, "row {} of {}: {} by row, {} by column", row, text, shown(a), shown(b));
            if let Cell::Value(value) = a {
                prop_assert!(value.is_of(expression.value_type()), "{text}");
            }
        }
        for split in [rows.len() / 2, rows.len().min(1)] {
            let (head, tail) = rows.split_at(split);
            let (head_instants, tail_instants) = instants.split_at(split);
            let mut parts = over_columns(&expression, head, head_instants);
            parts.extend(over_columns(&expression, tail, tail_instants));
            prop_assert_eq!(&parts, &by_column, "{}", text);
        }
        let sound: Vec<Vec<Cell>> = rows.iter().filter(|row| !row.contains(&Cell::Error)).cloned().collect();
        if !expression.can_fail() {
            let cells = over_rows(&expression, &sound, &vec![t(); sound.len()]);
            prop_assert!(!cells.contains(&Cell::Error), "{text} fails");
        }
        let canonical = expression.to_string();
        let again = read(&canonical)?;
        prop_assert_eq!(again.to_string(), canonical.clone());
        prop_assert_eq!(again.value_type(), expression.value_type(), "{}", canonical);
        prop_assert_eq!(over_rows(&again, &rows, &instants), by_row, "{} and {}", text, canonical);
    }
}

/// Goal: inputs that are not those of the expression are refused, not read as something else.
#[test]
fn other_inputs_are_refused() {
    let expression = Expression::parse("i64 + 1", &scope()).unwrap();
    let t = RequestTimestamps::Same(t());
    let text = Column::new(std::sync::Arc::new(arrow::array::StringArray::from(vec!["a"])));
    let ints = Column::new(std::sync::Arc::new(arrow::array::Int64Array::from(vec![1])));
    assert!(expression.evaluate(&[], 1, t).is_err());
    assert!(expression.evaluate(&[text], 1, t).is_err());
    assert!(expression.evaluate(std::slice::from_ref(&ints), 2, t).is_err());
    let sum = expression.evaluate(&[ints], 1, t).unwrap();
    assert_eq!(shown(&sum.cell(ValueType::Int64, 0)), "2");
}

/// Goal: slices of larger arrays, whose buffers begin elsewhere, give what their rows give.
#[test]
fn slices() {
    let rows: Vec<Vec<Cell>> = (0..40)
        .map(|row: usize| {
            let of_column = |(_, of): (&str, ValueType)| match row % 5 {
                0 => Cell::Null,
                1 => Cell::Error,
                _ => Cell::Value(value(texts(of)[row % texts(of).len()], of)),
            };
            columns().into_iter().map(of_column).collect()
        })
        .collect();
    for text in [
        "i64 + i64",
        "flag and i64 > 3 or flag",
        "case when flag then text else 'x' end",
        "not flag",
        "f64 < 2",
    ] {
        let expression = Expression::parse(text, &scope()).unwrap();
        let whole = inputs(&expression, &rows);
        let sliced: Vec<Column> = whole
            .iter()
            .map(|column| Column {
                values: column.values.slice(7, 20),
                errors: column.errors.as_ref().map(|errors| errors.slice(7, 20)),
            })
            .collect();
        let result = expression.evaluate(&sliced, 20, RequestTimestamps::Same(t())).unwrap();
        let cells: Vec<Cell> = (0..20).map(|row| result.cell(expression.value_type(), row)).collect();
        assert_eq!(cells, over_rows(&expression, &rows[7..27], &[t(); 20]), "{text}");
    }
}
