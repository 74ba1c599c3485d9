//! Exact decimal numbers: a whole number of units of `10^-scale`.

use std::fmt;

use crate::types::{DECIMAL_DIGITS_MAX, DecimalType};

/// A decimal at a scale. Two are equal when both units and scale are; values of one feature share their scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// How many units of `10^-scale` it is.
    pub units: i128,
    /// Digits behind the point.
    pub scale: u8,
}

/// Why text or a number is no decimal of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalError {
    /// The text is no decimal number.
    NotANumber,
    /// It has more digits before the point than the type.
    OutOfRange,
}

/// The largest decimal exponent, either way, that text may carry. What lies beyond is 0 or out of range anyway.
const EXPONENT_MAX: i64 = 1_000;

impl Decimal {
    /// Reads a number as written (`-12.5`, `.5`, `1e3`) at the scale of `of`, rounded once: to the nearest, ties away
    /// from zero.
    ///
    /// # Errors
    /// [`DecimalError`].
    pub fn parse(text: &str, of: DecimalType) -> Result<Self, DecimalError> {
        let text = text.trim();
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let signed = exponent.strip_prefix('+').unwrap_or(exponent);
                let known = signed.strip_prefix('-').unwrap_or(signed);
                if known.is_empty() || !known.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(DecimalError::NotANumber);
                }
                let bound = if signed.starts_with('-') { -EXPONENT_MAX } else { EXPONENT_MAX };
                (mantissa, signed.parse().unwrap_or(bound).clamp(-EXPONENT_MAX, EXPONENT_MAX))
            }
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        if digits().next().is_none() || !digits().all(|b| b.is_ascii_digit()) {
            return Err(DecimalError::NotANumber);
        }
        // The digits before this place are units; the digit at it decides the rounding.
        let kept = whole.len() as i64 + exponent + i64::from(of.scale());
        let mut units: i128 = 0;
        let mut push = |digit: u8| {
            units = units
                .checked_mul(10)
                .and_then(|u| u.checked_add(digit.into()))
                .ok_or(DecimalError::OutOfRange)?;
            Ok(())
        };
        let mut round_up = false;
        for (place, byte) in (0_i64..).zip(digits()) {
            if place < kept {
                push(byte - b'0')?;
            } else {
                round_up = place == kept && byte >= b'5';
                break;
            }
        }
        let missing = kept - (whole.len() + fraction.len()) as i64;
        if units != 0 {
            for _ in 0..missing {
                units = units.checked_mul(10).ok_or(DecimalError::OutOfRange)?;
            }
        }
        units += i128::from(round_up);
        Self::checked(if negative { -units } else { units }, of)
    }

    /// That many units at the scale of `of`.
    ///
    /// # Errors
    /// [`DecimalError::OutOfRange`] where they have more digits than the precision.
    pub fn checked(units: i128, of: DecimalType) -> Result<Self, DecimalError> {
        if units.unsigned_abs() < 10_u128.pow(u32::from(of.precision())) {
            Ok(Self { units, scale: of.scale() })
        } else {
            Err(DecimalError::OutOfRange)
        }
    }

    /// The same number at the scale of `of`, rounded once: to the nearest, ties away from zero.
    ///
    /// # Errors
    /// [`DecimalError::OutOfRange`].
    pub fn rescale(self, of: DecimalType) -> Result<Self, DecimalError> {
        let units = if of.scale() >= self.scale {
            let factor = 10_i128.pow(u32::from(of.scale() - self.scale));
            self.units.checked_mul(factor).ok_or(DecimalError::OutOfRange)?
        } else {
            // A scale is at most 38 digits, and 10^38 fits.
            let factor = 10_i128.pow(u32::from((self.scale - of.scale()).min(DECIMAL_DIGITS_MAX)));
            let (quotient, rest) = (self.units / factor, self.units % factor);
            let away = rest.unsigned_abs() >= factor.unsigned_abs().div_ceil(2);
            quotient + if away { rest.signum() } else { 0 }
        };
        Self::checked(units, of)
    }

    /// The nearest double, rounded once.
    pub fn to_f64(self) -> f64 {
        // Through the text: a division would round a second time.
        self.to_string().parse().unwrap_or(f64::NAN)
    }
}

/// All digits of the scale: `12.50`, `-0.05`, `7`.
impl fmt::Display for Decimal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let scale = usize::from(self.scale);
        let digits = format!("{:0width$}", self.units.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        if scale == 0 { write!(out, "{sign}{whole}") } else { write!(out, "{sign}{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, precision: u8, scale: u8) -> Result<String, DecimalError> {
        Decimal::parse(text, DecimalType::new(precision, scale).unwrap()).map(|d| d.to_string())
    }

    /// Goal: numbers are read as written, rounded once at the scale, and what does not fit is said.
    #[test]
    fn text() {
        use DecimalError::{NotANumber, OutOfRange};
        for (text, precision, scale, expected) in [
            ("12.5", 10, 2, Ok("12.50")),
            ("-0.05", 10, 2, Ok("-0.05")),
            ("-0.00", 10, 2, Ok("0.00")),
            ("1.005", 10, 2, Ok("1.01")),
            ("-1.005", 10, 2, Ok("-1.01")),
            ("1.00499999999", 10, 2, Ok("1.00")),
            ("0.005", 10, 2, Ok("0.01")),
            ("0.0049", 10, 2, Ok("0.00")),
            ("1e3", 10, 2, Ok("1000.00")),
            ("12345e-4", 10, 2, Ok("1.23")),
            ("5e-3", 10, 2, Ok("0.01")),
            ("5e-4", 10, 2, Ok("0.00")),
            ("1e-99999999999999999999", 10, 2, Ok("0.00")),
            ("0e99999999999999999999", 10, 2, Ok("0.00")),
            (" +.5 ", 3, 1, Ok("0.5")),
            ("7.", 3, 0, Ok("7")),
            ("99.995", 4, 2, Err(OutOfRange)),
            ("99.994", 4, 2, Ok("99.99")),
            ("1e38", 38, 0, Err(OutOfRange)),
            ("99999999999999999999999999999999999999", 38, 0, Ok("99999999999999999999999999999999999999")),
            (
                "0.99999999999999999999999999999999999999",
                38,
                38,
                Ok("0.99999999999999999999999999999999999999"),
            ),
            ("", 10, 2, Err(NotANumber)),
            (".", 10, 2, Err(NotANumber)),
            ("NaN", 10, 2, Err(NotANumber)),
            ("1e", 10, 2, Err(NotANumber)),
            ("1_0", 10, 2, Err(NotANumber)),
            ("--1", 10, 2, Err(NotANumber)),
            ("１", 10, 2, Err(NotANumber)),
        ] {
            assert_eq!(read(text, precision, scale), expected.map(str::to_owned), "{text}");
        }
    }

    /// Goal: another scale rounds once, ties away from zero, and finds what no longer fits.
    #[test]
    fn rescaling() {
        let of = |precision, scale| DecimalType::new(precision, scale).unwrap();
        let at = |units, scale| Decimal { units, scale };
        assert_eq!(at(1005, 3).rescale(of(10, 2)), Ok(at(101, 2)));
        assert_eq!(at(-1005, 3).rescale(of(10, 2)), Ok(at(-101, 2)));
        assert_eq!(at(1004, 3).rescale(of(10, 2)), Ok(at(100, 2)));
        assert_eq!(at(5, 0).rescale(of(3, 2)), Ok(at(500, 2)));
        assert_eq!(at(10, 0).rescale(of(3, 2)), Err(DecimalError::OutOfRange));
        assert_eq!(at(i128::MAX, 0).rescale(of(38, 38)), Err(DecimalError::OutOfRange));
    }
}
