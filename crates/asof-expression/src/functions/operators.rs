//! Operators and the forms with a syntax of their own: what the reference says of them. `crate::typing` makes them.

use crate::arithmetic::Arithmetic;
use crate::function::{Body, Function, entry};
use crate::order::Comparison;

static ADD: Function = entry(
    "+",
    &[
        "number + number -> number",
        "decimal(p, s) + decimal(q, r) -> decimal(max(p-s, q-r) + max(s, r) + 1, max(s, r))",
    ],
    "The sum. Two int32 give int32; int32 and int64 give int64; with a float it is float64 (float32 for two float32).",
    "integers and decimals: the sum does not fit",
    &[
        ("1 + 2", "3"),
        ("9223372036854775807 + 1", "ERROR"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("decimal '0.10' + decimal '0.20'", "0.30"),
    ],
    Body::Syntax,
);
static SUBTRACT: Function = entry(
    "-",
    &["number - number -> number"],
    "The difference. For the time between two instants see `date_diff`.",
    "integers and decimals: the difference does not fit",
    &[("1 - 2", "-1")],
    Body::Syntax,
);
static MULTIPLY: Function = entry(
    "*",
    &["number * number -> number", "decimal(p, s) * decimal(q, r) -> decimal(p + q, s + r)"],
    "The product; decimals exactly.",
    "integers and decimals: the product does not fit",
    &[("6 * 7", "42"), ("decimal '1.25' * 3", "3.75")],
    Body::Syntax,
);
static DIVIDE: Function = entry(
    "/",
    &["number / number -> number", "decimal(p, s) / decimal(q, r) -> decimal(38, max(6, s, r))"],
    "The quotient. Of integers it is cut toward zero; cast one side to float64 for a ratio. Of decimals it is rounded \
     once, ties away from zero.",
    "integers and decimals: division by zero, or the quotient does not fit",
    &[
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("1 / 0", "ERROR"),
        ("1.0 / 0", "inf"),
        ("decimal '1' / 3", "0.333333"),
    ],
    Body::Syntax,
);
static MODULO: Function = entry(
    "%",
    &["number % number -> number"],
    "The rest of the division, with the sign of the dividend. Also `mod(x, y)`.",
    "integers and decimals: the divisor is zero",
    &[("7 % 3", "1"), ("-7 % 3", "-1"), ("5 % 0", "ERROR"), ("5.5 % 2", "1.5")],
    Body::Syntax,
)
.also(&["mod"]);
/// `-x`
pub(crate) static NEGATE: Function = entry(
    "negate",
    &["- number -> number"],
    "The opposite number.",
    "the smallest int32 and int64 have none",
    &[("- (1 + 2)", "-3")],
    Body::Syntax,
);
/// An instant and an interval.
pub(crate) static PLUS_INTERVAL: Function = entry(
    "+ interval",
    &["timestamp + interval '7 days' -> timestamp", "timestamp - interval '1 month' -> timestamp"],
    "The instant that much later or earlier, in UTC. An interval is whole numbers and units from microsecond to year. \
     After months, a day past the end of its month is its last day. For a number that is computed see `date_add`.",
    "the result is outside the years 1 to 9999",
    &[
        ("timestamp '2024-01-31' + interval '1 month'", "2024-02-29T00:00:00Z"),
        ("timestamp '2024-03-01' - interval '1 day 2 hours'", "2024-02-28T22:00:00Z"),
    ],
    Body::Syntax,
);

const COMPARED: &str = "Text by its bytes, false before true. NaN equals NaN and is greater than every other number, so \
     that comparing says what sorting does. Null if a side is null.";
static EQUAL: Function = entry(
    "=",
    &["any = any -> bool"],
    "Whether both are the same value; lists, maps, json and embeddings too. NaN equals NaN. Null if a side is null.",
    "",
    &[("1 = 1.0", "true"), ("'a' = 'A'", "false"), ("null = 1", "null")],
    Body::Syntax,
);
static NOT_EQUAL: Function = entry(
    "<>",
    &["any <> any -> bool"],
    "Whether they differ. Also `!=`.",
    "",
    &[("1 <> 2", "true")],
    Body::Syntax,
);
static LESS: Function =
    entry("<", &["any < any -> bool"], COMPARED, "", &[("'Z' < 'a'", "true")], Body::Syntax);
static LESS_OR_EQUAL: Function =
    entry("<=", &["any <= any -> bool"], "As `<`, or equal.", "", &[("2 <= 2", "true")], Body::Syntax);
static GREATER: Function = entry(
    ">",
    &["any > any -> bool"],
    "As `<`, the other way round.",
    "",
    &[("cast('nan' as float64) > 1e308", "true")],
    Body::Syntax,
);
static GREATER_OR_EQUAL: Function =
    entry(">=", &["any >= any -> bool"], "As `>`, or equal.", "", &[("1 >= 2", "false")], Body::Syntax);
/// `not`
pub(crate) static NOT: Function = entry(
    "not",
    &["not bool -> bool"],
    "True for false and false for true.",
    "",
    &[("not (1 = 2)", "true"), ("not cast(null as bool)", "null")],
    Body::Syntax,
);
static AND: Function = entry(
    "and",
    &["bool and bool -> bool"],
    "False if a side is false, else null if one is null, else true. Read from left to right: what stands behind a false \
     does not matter, ERROR included.",
    "",
    &[("false and 1 / 0 = 1", "false"), ("1 / 0 = 1 and false", "ERROR"), ("null and false", "false")],
    Body::Syntax,
);
static OR: Function = entry(
    "or",
    &["bool or bool -> bool"],
    "True if a side is true, else null if one is null, else false. Read from left to right: what stands behind a true \
     does not matter, ERROR included.",
    "",
    &[("true or 1 / 0 = 1", "true"), ("null or false", "null")],
    Body::Syntax,
);
/// `is distinct from`
pub(crate) static DISTINCT: Function = entry(
    "is distinct from",
    &["any is [not] distinct from any -> bool", "bool is [not] true -> bool", "bool is [not] false -> bool"],
    "Whether they differ, null being a value like any other: never null.",
    "",
    &[
        ("null is distinct from 1", "true"),
        ("null is not distinct from null", "true"),
        ("null is true", "false"),
    ],
    Body::Syntax,
);
static IS_NULL: Function = entry(
    "is null",
    &["any is [not] null -> bool"],
    "Whether it is null. Of ERROR it is ERROR.",
    "",
    &[("null is null", "true"), ("1 is not null", "true"), ("1 / 0 is null", "ERROR")],
    Body::Syntax,
);
static BETWEEN: Function = entry(
    "between",
    &["any [not] between any and any -> bool"],
    "`x >= low and x <= high`.",
    "",
    &[("2 between 1 and 3", "true"), ("0 between 1 and 1 / 0", "false")],
    Body::Syntax,
);
static IN: Function = entry(
    "in",
    &["any [not] in (any, ...) -> bool"],
    "Whether it equals one of the list: `x = first or x = second ...`, read from left to right.",
    "",
    &[("2 in (1, 2)", "true"), ("3 in (1, null)", "null"), ("'x' not in ('a', 'b')", "true")],
    Body::Syntax,
);
static CAST: Function = entry(
    "cast",
    &["cast(any as type) -> type", "any::type -> type"],
    "The value as another type. Text is read, and values become text, as everywhere in Asof. A float or decimal becomes \
     an integer by cutting off its fraction; a decimal takes a smaller scale rounded once, ties away from zero; an \
     instant becomes its day in UTC. JSON null becomes null. Types are those of definitions; `bigint`, `integer`, \
     `double`, `real`, `text`, `varchar`, `boolean`, `numeric(p, s)` are other names.",
    "the value does not fit the type, or the text is not one of it",
    &[
        ("cast('12' as int64)", "12"),
        ("cast('x' as int64)", "ERROR"),
        ("cast(-2.7 as int64)", "-2"),
        ("cast(1e300 as int32)", "ERROR"),
        ("'2024-05-01T10:00:00+02:00'::timestamp", "2024-05-01T08:00:00Z"),
        ("cast('[1, null]' as list(int64))", "[1,null]"),
    ],
    Body::Syntax,
);
static TRY_CAST: Function = entry(
    "try_cast",
    &["try_cast(any as type) -> type"],
    "As `cast`, and null where that is ERROR. ERROR in the value stays ERROR.",
    "",
    &[("try_cast('x' as int64)", "null"), ("try_cast(1 / 0 as string)", "ERROR")],
    Body::Syntax,
);
/// `array[...]`
pub(crate) static ARRAY: Function = entry(
    "array",
    &["array[any, ...] -> list", "[any, ...] -> list"],
    "The list of these values, nulls among them.",
    "",
    &[("array[1, null, 3]", "[1,null,3]")],
    Body::Syntax,
);

/// The entry of an arithmetic operator.
pub(crate) fn arithmetic(op: Arithmetic) -> &'static Function {
    match op {
        Arithmetic::Add => &ADD,
        Arithmetic::Subtract => &SUBTRACT,
        Arithmetic::Multiply => &MULTIPLY,
        Arithmetic::Divide => &DIVIDE,
        Arithmetic::Modulo => &MODULO,
    }
}

/// The entry of a comparison.
pub(crate) fn comparison(op: Comparison) -> &'static Function {
    match op {
        Comparison::Equal => &EQUAL,
        Comparison::NotEqual => &NOT_EQUAL,
        Comparison::Less => &LESS,
        Comparison::LessOrEqual => &LESS_OR_EQUAL,
        Comparison::Greater => &GREATER,
        Comparison::GreaterOrEqual => &GREATER_OR_EQUAL,
    }
}

pub(crate) const ALL: &[&Function] = &[
    &ADD,
    &SUBTRACT,
    &MULTIPLY,
    &DIVIDE,
    &MODULO,
    &NEGATE,
    &PLUS_INTERVAL,
    &EQUAL,
    &NOT_EQUAL,
    &LESS,
    &LESS_OR_EQUAL,
    &GREATER,
    &GREATER_OR_EQUAL,
    &NOT,
    &AND,
    &OR,
    &DISTINCT,
    &IS_NULL,
    &BETWEEN,
    &IN,
    &CAST,
    &TRY_CAST,
    &ARRAY,
];
