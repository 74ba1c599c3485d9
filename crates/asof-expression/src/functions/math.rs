//! Numbers. Everything beyond the basic operations comes from one portable library, so that it gives the same bits on
//! every machine.

use asof_model::decimal::Decimal;
use asof_model::types::DecimalType;
use asof_model::{Value, ValueType};

use crate::arithmetic;
use crate::function::{Args, Body, Built, Failed, Function, Outcome, Refusal, bool, entry, float};
use crate::node::Node;

/// The mean radius of the earth in kilometres (IUGG).
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// The most digits that `round` keeps of a float, either side of the point: powers of ten are exact up to there.
const ROUND_DIGITS_MAX: i64 = 22;

const FLOAT: &[&str] = &["(x float64) -> float64"];
const FLOATS: &[&str] = &["(y float64, x float64) -> float64"];

/// A function from float to float.
const fn of_float(
    name: &'static str,
    gives: &'static str,
    examples: &'static [(&'static str, &'static str)],
    run: fn(f64) -> f64,
) -> Function {
    entry(name, FLOAT, gives, "", examples, Body::Float(run))
}

pub(crate) const ALL: &[&Function] = &[
    &entry(
        "abs",
        &["(x number) -> number"],
        "The number without its sign.",
        "the smallest int32 and int64 have none",
        &[("abs(-3)", "3"), ("abs(-1.5)", "1.5")],
        Body::Plain(abs),
    ),
    &entry(
        "sign",
        &["(x int64) -> int64", "(x float64) -> float64", "(x decimal) -> int64"],
        "-1, 0 or 1; NaN for NaN.",
        "",
        &[("sign(-3)", "-1"), ("sign(0.0)", "0.0")],
        Body::Plain(sign),
    ),
    &entry(
        "floor",
        &["(x number) -> number"],
        "The next whole number down.",
        "decimals: it does not fit the digits of the type",
        &[("floor(-1.5)", "-2.0"), ("floor(7)", "7")],
        Body::Built(|nodes| whole(nodes, Rounding::Floor)),
    ),
    &entry(
        "ceil",
        &["(x number) -> number"],
        "The next whole number up.",
        "decimals: it does not fit the digits of the type",
        &[("ceil(1.2)", "2.0")],
        Body::Built(|nodes| whole(nodes, Rounding::Ceil)),
    )
    .also(&["ceiling"]),
    &entry(
        "trunc",
        &["(x number) -> number"],
        "Without its fraction.",
        "",
        &[("trunc(-1.7)", "-1.0")],
        Body::Built(|nodes| whole(nodes, Rounding::Trunc)),
    )
    .also(&["truncate"]),
    &entry(
        "round",
        &[
            "(x number) -> number",
            "(x int64, digits literal int64) -> int64",
            "(x float64, digits literal int64) -> float64",
            "(x decimal, digits literal int64) -> decimal",
        ],
        "The nearest whole number, or the nearest with that many digits behind the point; ties away from zero. A float is \
         multiplied by the power of ten, rounded and divided again. Digits from -22 to 22.",
        "integers and decimals: it does not fit the type",
        &[
            ("round(2.5)", "3.0"),
            ("round(-2.5)", "-3.0"),
            ("round(3.14159, 2)", "3.14"),
            ("round(1250, -2)", "1300"),
        ],
        Body::Built(round),
    ),
    &of_float(
        "sqrt",
        "The square root; NaN for a negative number.",
        &[("sqrt(2)", "1.4142135623730951")],
        libm::sqrt,
    ),
    &of_float("cbrt", "The cube root.", &[("cbrt(27)", "3.0")], libm::cbrt),
    &of_float("exp", "e to the power of x.", &[("exp(0)", "1.0")], libm::exp),
    &of_float(
        "ln",
        "The natural logarithm; -inf for 0, NaN for a negative number.",
        &[("ln(10)", "2.302585092994046"), ("ln(0)", "-inf")],
        libm::log,
    ),
    &of_float("log10", "The logarithm to base 10.", &[("log10(1000)", "3.0")], libm::log10),
    &of_float("log2", "The logarithm to base 2.", &[("log2(8)", "3.0")], libm::log2),
    &entry(
        "log",
        &["(base float64, x float64) -> float64"],
        "The logarithm to that base: by `log10` and `log2` for their bases, else ln(x) / ln(base).",
        "",
        &[("log(10, 100)", "2.0"), ("log(2, 8)", "3.0")],
        Body::Floats(log),
    ),
    &entry(
        "power",
        &["(x float64, y float64) -> float64"],
        "x to the power of y.",
        "",
        &[("power(2, 10)", "1024.0")],
        Body::Floats(libm::pow),
    )
    .also(&["pow"]),
    &of_float("sin", "The sine of an angle in radians.", &[("sin(0)", "0.0")], libm::sin),
    &of_float("cos", "The cosine.", &[("cos(0)", "1.0")], libm::cos),
    &of_float("tan", "The tangent.", &[("tan(0)", "0.0")], libm::tan),
    &of_float("asin", "The arc sine; NaN outside -1 to 1.", &[("asin(1)", "1.5707963267948966")], libm::asin),
    &of_float("acos", "The arc cosine; NaN outside -1 to 1.", &[("acos(1)", "0.0")], libm::acos),
    &of_float("atan", "The arc tangent.", &[("atan(1)", "0.7853981633974483")], libm::atan),
    &entry(
        "atan2",
        FLOATS,
        "The angle of the point (x, y).",
        "",
        &[("atan2(1, 1)", "0.7853981633974483")],
        Body::Floats(libm::atan2),
    ),
    &of_float("sinh", "The hyperbolic sine.", &[("sinh(0)", "0.0")], libm::sinh),
    &of_float("cosh", "The hyperbolic cosine.", &[("cosh(0)", "1.0")], libm::cosh),
    &of_float("tanh", "The hyperbolic tangent.", &[("tanh(0)", "0.0")], libm::tanh),
    &of_float("radians", "Degrees as radians.", &[("radians(180)", "3.141592653589793")], |x| {
        x * (std::f64::consts::PI / 180.0)
    }),
    &of_float("degrees", "Radians as degrees.", &[("degrees(pi())", "180.0")], |x| {
        x * (180.0 / std::f64::consts::PI)
    }),
    &entry(
        "pi",
        &["() -> float64"],
        "3.141592653589793.",
        "",
        &[("pi()", "3.141592653589793")],
        Body::Plain(|_| float(std::f64::consts::PI)),
    ),
    &entry(
        "haversine_km",
        &["(latitude1 float64, longitude1 float64, latitude2 float64, longitude2 float64) -> float64"],
        "The distance in kilometres between two points given in degrees, on a sphere of the earth's mean radius \
         (6371.0088 km).",
        "",
        &[("round(haversine_km(52.5200, 13.4050, 48.8566, 2.3522), 1)", "877.5")],
        Body::Plain(haversine_km),
    ),
    &entry(
        "is_nan",
        &["(x float64) -> bool"],
        "Whether it is NaN.",
        "",
        &[("is_nan(0.0 / 0)", "true")],
        Body::Plain(|args| bool(args.float(0)?.is_nan())),
    )
    .also(&["isnan"]),
    &entry(
        "is_finite",
        &["(x float64) -> bool"],
        "Whether it is neither NaN nor infinite.",
        "",
        &[("is_finite(1.0 / 0)", "false")],
        Body::Plain(|args| bool(args.float(0)?.is_finite())),
    )
    .also(&["isfinite"]),
];

fn abs(args: &Args<'_>) -> Outcome {
    match args.value(0)? {
        Value::Float32(v) => Ok(Some(Value::float32(v.abs()))),
        Value::Float64(v) => float(v.abs()),
        value @ (Value::Int32(i32::MIN..=-1) | Value::Int64(i64::MIN..=-1)) => arithmetic::negated(value),
        value @ Value::Decimal(Decimal { units: i128::MIN..=-1, .. }) => arithmetic::negated(value),
        value => Ok(Some(value.clone())),
    }
}

fn sign(args: &Args<'_>) -> Outcome {
    match args.value(0)? {
        Value::Float64(v) if v.is_nan() || *v == 0.0 => float(*v),
        Value::Float64(v) => float(v.signum()),
        Value::Int64(v) => Ok(Some(Value::Int64(v.signum()))),
        Value::Decimal(v) => Ok(Some(Value::Int64(v.units.signum() as i64))),
        _ => Err(Failed),
    }
}

fn log(base: f64, x: f64) -> f64 {
    if base == 10.0 {
        libm::log10(x)
    } else if base == 2.0 {
        libm::log2(x)
    } else {
        libm::log(x) / libm::log(base)
    }
}

#[derive(Clone, Copy)]
enum Rounding {
    Floor,
    Ceil,
    Trunc,
    Nearest,
}

impl Rounding {
    fn float64(self, v: f64) -> f64 {
        match self {
            Self::Floor => libm::floor(v),
            Self::Ceil => libm::ceil(v),
            Self::Trunc => libm::trunc(v),
            Self::Nearest => libm::round(v),
        }
    }

    /// The multiple of `unit`, which is positive.
    fn units(self, v: i128, unit: i128) -> Option<i128> {
        let down = v.div_euclid(unit);
        let rest = v.rem_euclid(unit);
        let count = match self {
            Self::Floor => down,
            Self::Ceil => down + i128::from(rest > 0),
            Self::Trunc => v / unit,
            Self::Nearest => {
                let tie_up = if v < 0 { rest > unit - rest } else { rest >= unit - rest };
                down + i128::from(tie_up)
            }
        };
        count.checked_mul(unit)
    }
}

/// `floor`, `ceil`, `trunc` and `round` to a whole number of the same type.
fn whole(nodes: &[Node], how: Rounding) -> Result<Built, Refusal> {
    let of = nodes.first().map(|node| node.value_type);
    Ok(match of {
        Some(ValueType::Decimal(of)) => Built::new(move |args| decimal(args, how, of, 0)),
        Some(ValueType::Float64) => Built::new(move |args| float(how.float64(args.float(0)?))),
        _ => Built::new(move |args| match args.value(0)? {
            // Exact both ways: a whole number that single precision holds is one that double precision holds.
            Value::Float32(v) => Ok(Some(Value::float32(how.float64(f64::from(*v)) as f32))),
            integer => Ok(Some(integer.clone())),
        }),
    })
}

fn round(nodes: &[Node]) -> Result<Built, Refusal> {
    let Some(digits) = nodes.get(1) else { return whole(nodes, Rounding::Nearest) };
    let refusal = || Refusal { argument: 1, expected: "a number of digits from -22 to 22".to_owned() };
    let digits = match digits.literal() {
        Some(Some(Value::Int64(digits))) if digits.abs() <= ROUND_DIGITS_MAX => *digits,
        _ => return Err(refusal()),
    };
    Ok(match nodes.first().map(|node| node.value_type) {
        Some(ValueType::Decimal(of)) => Built::new(move |args| decimal(args, Rounding::Nearest, of, digits)),
        Some(ValueType::Int64) => Built::new(move |args| {
            let v = args.int(0)?;
            if digits >= 0 {
                return Ok(Some(Value::Int64(v)));
            }
            let unit = 10_i128.pow(u32::try_from(-digits).map_err(|_| Failed)?);
            let rounded = Rounding::Nearest.units(i128::from(v), unit).and_then(|v| i64::try_from(v).ok());
            rounded.map(|v| Some(Value::Int64(v))).ok_or(Failed)
        }),
        _ => Built::new(move |args| float(round_float(args.float(0)?, digits))),
    })
}

fn round_float(v: f64, digits: i64) -> f64 {
    // Products of ten are exact up to 10^22.
    let power = (0..digits.abs()).fold(1.0, |power, _| power * 10.0);
    let scaled = if digits >= 0 { v * power } else { v / power };
    // A float without a fraction, or past the range, is as round as it gets.
    if !scaled.is_finite() || (digits >= 0 && libm::trunc(v) == v) {
        return v;
    }
    let rounded = libm::round(scaled);
    if digits >= 0 { rounded / power } else { rounded * power }
}

/// A decimal rounded to that many digits, at its own type.
fn decimal(args: &Args<'_>, how: Rounding, of: DecimalType, digits: i64) -> Outcome {
    let Value::Decimal(v) = args.value(0)? else { return Err(Failed) };
    let cut = i64::from(v.scale) - digits;
    let units = match u32::try_from(cut) {
        Err(_) | Ok(0) => Some(v.units),
        Ok(cut @ 1..=38) => how.units(v.units, 10_i128.pow(cut)),
        Ok(_) => Some(0),
    };
    let rounded = units.and_then(|units| Decimal::checked(units, of).ok());
    rounded.map(|rounded| Some(Value::Decimal(rounded))).ok_or(Failed)
}

fn haversine_km(args: &Args<'_>) -> Outcome {
    let radians = |at: usize| Ok(args.float(at)? * (std::f64::consts::PI / 180.0));
    let (latitude1, longitude1, latitude2, longitude2) = (radians(0)?, radians(1)?, radians(2)?, radians(3)?);
    let half = |difference: f64| {
        let sine = libm::sin(difference / 2.0);
        sine * sine
    };
    let a = half(latitude2 - latitude1)
        + libm::cos(latitude1) * libm::cos(latitude2) * half(longitude2 - longitude1);
    // Rounding may push it past 1 by a little, where the arc sine has no value. A NaN stays one.
    let a = if a > 1.0 { 1.0 } else { a };
    float(2.0 * EARTH_RADIUS_KM * libm::asin(libm::sqrt(a)))
}
