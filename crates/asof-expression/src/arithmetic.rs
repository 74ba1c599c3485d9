//! `+ - * / %` on two numbers of one type, in one row.
//!
//! Integers: what does not fit, division and modulo by zero are ERROR; `/` cuts toward zero, `%` has the sign of the
//! dividend. Floats: IEEE, in canonical form. Decimals: exact, the quotient rounded once (ties away from zero); what
//! does not fit the digits of the result is ERROR.

use arrow::datatypes::i256;
use asof_model::decimal::Decimal;
use asof_model::types::DecimalType;
use asof_model::{Value, ValueType};

use crate::function::{Failed, Outcome};

/// An arithmetic operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Arithmetic {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }

    pub fn int32(self, a: i32, b: i32) -> Option<i32> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide => a.checked_div(b),
            // The smallest integer modulo -1 is 0: only a zero divisor has no answer.
            Self::Modulo => (b != 0).then(|| a.wrapping_rem(b)),
        }
    }

    pub fn int64(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Subtract => a.checked_sub(b),
            Self::Multiply => a.checked_mul(b),
            Self::Divide => a.checked_div(b),
            Self::Modulo => (b != 0).then(|| a.wrapping_rem(b)),
        }
    }

    pub fn float32(self, a: f32, b: f32) -> f32 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Modulo => libm::fmodf(a, b),
        }
    }

    pub fn float64(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Add => a + b,
            Self::Subtract => a - b,
            Self::Multiply => a * b,
            Self::Divide => a / b,
            Self::Modulo => libm::fmod(a, b),
        }
    }

    /// On decimals of any two scales, at the type of the result.
    pub fn decimal(self, a: Decimal, b: Decimal, of: DecimalType) -> Option<Decimal> {
        let power = |digits: u8| i256::from_i128(10).checked_pow(u32::from(digits));
        let (wide_a, wide_b) = (i256::from_i128(a.units), i256::from_i128(b.units));
        let scale = a.scale.max(b.scale);
        let aligned = || {
            let a = wide_a.checked_mul(power(scale - a.scale)?)?;
            Some((a, wide_b.checked_mul(power(scale - b.scale)?)?))
        };
        let units = match self {
            Self::Add => aligned().and_then(|(a, b)| a.checked_add(b))?,
            Self::Subtract => aligned().and_then(|(a, b)| a.checked_sub(b))?,
            Self::Modulo => aligned().and_then(|(a, b)| a.checked_rem(b))?,
            Self::Multiply => wide_a.checked_mul(wide_b)?,
            // a / 10^sa / (b / 10^sb) at the scale s is a * 10^(s + sb - sa) / b.
            Self::Divide => {
                let shift = i32::from(of.scale()) + i32::from(b.scale) - i32::from(a.scale);
                let factor = power(u8::try_from(shift.unsigned_abs()).ok()?)?;
                let (dividend, divisor) = if shift >= 0 {
                    (wide_a.checked_mul(factor)?, wide_b)
                } else {
                    (wide_a, wide_b.checked_mul(factor)?)
                };
                divided(dividend, divisor)?
            }
        };
        Decimal::checked(units.to_i128()?, of).ok()
    }

    /// The type of a result on two decimals: exact for `+ - *`; a quotient has at least six digits behind the point.
    /// `None`: its scale would pass 38 digits.
    pub fn decimal_type(self, a: DecimalType, b: DecimalType) -> Option<DecimalType> {
        let scale = a.scale().max(b.scale());
        let whole = |of: DecimalType| of.precision() - of.scale();
        let capped = |precision: u8, scale: u8| DecimalType::new(precision.clamp(1, 38), scale);
        match self {
            Self::Add | Self::Subtract => capped(whole(a).max(whole(b)) + scale + 1, scale),
            Self::Multiply => capped(a.precision() + b.precision(), a.scale() + b.scale()),
            Self::Divide => capped(38, scale.max(6)),
            Self::Modulo => capped(whole(a).max(whole(b)) + scale, scale),
        }
    }

    /// Whether a row can be in error.
    pub fn can_fail(self, of: ValueType) -> bool {
        !matches!(of, ValueType::Float32 | ValueType::Float64)
    }

    /// On two values of one type; `of` is the type of the result.
    pub fn apply(self, left: &Value, right: &Value, of: ValueType) -> Outcome {
        match (left, right, of) {
            (Value::Int32(a), Value::Int32(b), _) => self.int32(*a, *b).map(Value::Int32),
            (Value::Int64(a), Value::Int64(b), _) => self.int64(*a, *b).map(Value::Int64),
            (Value::Float32(a), Value::Float32(b), _) => Some(Value::float32(self.float32(*a, *b))),
            (Value::Float64(a), Value::Float64(b), _) => Some(Value::float64(self.float64(*a, *b))),
            (Value::Decimal(a), Value::Decimal(b), ValueType::Decimal(of)) => {
                self.decimal(*a, *b, of).map(Value::Decimal)
            }
            _ => None,
        }
        .map(Some)
        .ok_or(Failed)
    }
}

/// `-a`. The smallest integer has no opposite.
pub(crate) fn negated(value: &Value) -> Outcome {
    match value {
        Value::Int32(v) => v.checked_neg().map(Value::Int32),
        Value::Int64(v) => v.checked_neg().map(Value::Int64),
        Value::Float32(v) => Some(Value::float32(-v)),
        Value::Float64(v) => Some(Value::float64(-v)),
        Value::Decimal(v) => Some(Value::Decimal(Decimal { units: -v.units, scale: v.scale })),
        _ => None,
    }
    .map(Some)
    .ok_or(Failed)
}

/// The quotient rounded to the nearest, ties away from zero. `None` for division by zero.
fn divided(dividend: i256, divisor: i256) -> Option<i256> {
    let quotient = dividend.checked_div(divisor)?;
    let rest = dividend.checked_rem(divisor)?;
    let twice = rest.checked_mul(i256::from_i128(2))?;
    if twice.wrapping_abs() < divisor.wrapping_abs() {
        return Some(quotient);
    }
    let away = if (dividend < i256::ZERO) == (divisor < i256::ZERO) { i256::ONE } else { i256::MINUS_ONE };
    quotient.checked_add(away)
}
