//! Numbers over columns: loops over buffers, with what overflows found afterwards.

use arrow::array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{Float32Type, Float64Type, Int32Type, Int64Type};
use asof_model::value::{canonical_f32, canonical_f64};
use asof_model::{Cell, Value, ValueType};

use super::lane::{self, Errors, Lane, Numbers};
use crate::arithmetic::Arithmetic;

/// `+ - * / %` on integers and floats. `None`: decimals, and constants that are null, go row by row.
pub(super) fn arithmetic(
    op: Arithmetic,
    left: &Lane,
    right: &Lane,
    of: ValueType,
    rows: usize,
) -> Option<Lane> {
    match of {
        ValueType::Int32 => checked::<Int32Type>(left, right, rows, int32, |a, b| op.int32(a, b)),
        ValueType::Int64 => checked::<Int64Type>(left, right, rows, int64, |a, b| op.int64(a, b)),
        ValueType::Float32 => {
            total::<Float32Type>(left, right, rows, float32, |a, b| canonical_f32(op.float32(a, b)))
        }
        ValueType::Float64 => total::<Float64Type>(left, right, rows, float64, |a, b| match op {
            // The operator is chosen once for the loop, which the compiler sees only if it is written out.
            Arithmetic::Add => canonical_f64(a + b),
            Arithmetic::Subtract => canonical_f64(a - b),
            Arithmetic::Multiply => canonical_f64(a * b),
            Arithmetic::Divide | Arithmetic::Modulo => canonical_f64(op.float64(a, b)),
        }),
        _ => None,
    }
}

/// `-x` on floats and integers.
pub(super) fn negate(operand: &Lane, of: ValueType) -> Option<Lane> {
    let Lane::Rows(lane) = operand else { return None };
    let rows = lane.values.len();
    let zero = |value| Lane::Same(Cell::Value(value));
    match of {
        ValueType::Int32 => arithmetic(Arithmetic::Subtract, &zero(Value::Int32(0)), operand, of, rows),
        ValueType::Int64 => arithmetic(Arithmetic::Subtract, &zero(Value::Int64(0)), operand, of, rows),
        ValueType::Float64 => float(|v| -v, operand),
        _ => None,
    }
}

/// A function from float to float.
pub(super) fn float(run: fn(f64) -> f64, operand: &Lane) -> Option<Lane> {
    let Lane::Rows(lane) = operand else { return None };
    let array = lane.values.as_primitive_opt::<Float64Type>()?;
    let values: PrimitiveArray<Float64Type> = array.unary(|v| canonical_f64(run(v)));
    Some(lane::rows(values, lane.errors.clone()))
}

/// A function from two floats to one.
pub(super) fn floats(run: fn(f64, f64) -> f64, left: &Lane, right: &Lane, rows: usize) -> Option<Lane> {
    total::<Float64Type>(left, right, rows, float64, |a, b| canonical_f64(run(a, b)))
}

/// Casts between numbers. `None`: row by row.
pub(super) fn cast(operand: &Lane, from: ValueType, to: ValueType, attempt: bool) -> Option<Lane> {
    use ValueType::{Float32, Float64, Int32, Int64};
    let Lane::Rows(lane) = operand else { return None };
    let errors = lane.errors.clone();
    Some(match (from, to) {
        (Int32, Int64) => {
            let array = lane.values.as_primitive_opt::<Int32Type>()?;
            lane::rows(array.unary::<_, Int64Type>(i64::from), errors)
        }
        (Int32, Float64) => {
            let array = lane.values.as_primitive_opt::<Int32Type>()?;
            lane::rows(array.unary::<_, Float64Type>(f64::from), errors)
        }
        (Int64, Float64) => {
            let array = lane.values.as_primitive_opt::<Int64Type>()?;
            lane::rows(array.unary::<_, Float64Type>(|v| v as f64), errors)
        }
        (Float32, Float64) => {
            let array = lane.values.as_primitive_opt::<Float32Type>()?;
            lane::rows(array.unary::<_, Float64Type>(f64::from), errors)
        }
        (Float64, Float32) => {
            let array = lane.values.as_primitive_opt::<Float64Type>()?;
            lane::rows(array.unary::<_, Float32Type>(|v| canonical_f32(v as f32)), errors)
        }
        (Float64, Int64) => {
            let array = lane.values.as_primitive_opt::<Float64Type>()?;
            let (cut, failed) = each_checked::<_, Int64Type>(array, whole);
            failing(cut, errors, failed, attempt)
        }
        (Int64, Int32) => {
            let array = lane.values.as_primitive_opt::<Int64Type>()?;
            let (cut, failed) = each_checked::<_, Int32Type>(array, |v| i32::try_from(v).ok());
            failing(cut, errors, failed, attempt)
        }
        _ => return None,
    })
}

/// The float without its fraction, where an integer holds it. The bound 2^63 is itself out of range.
fn whole(v: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let cut = libm::trunc(v);
    (-LIMIT..LIMIT).contains(&cut).then_some(cut as i64)
}

fn failing<T: ArrowPrimitiveType>(
    values: PrimitiveArray<T>,
    errors: Option<BooleanBuffer>,
    failed: Option<BooleanBuffer>,
    attempt: bool,
) -> Lane {
    // What an attempt fails on is null already.
    lane::rows(values, if attempt { errors } else { lane::union(errors, failed) })
}

/// A function that fails in some rows: those are null, and named.
fn each_checked<A: ArrowPrimitiveType, B: ArrowPrimitiveType>(
    array: &PrimitiveArray<A>,
    run: impl Fn(A::Native) -> Option<B::Native>,
) -> (PrimitiveArray<B>, Option<BooleanBuffer>) {
    let mut failed = Errors::new(array.len());
    let values: Vec<B::Native> = (0..array.len())
        .map(|row| match array.is_valid(row).then(|| run(array.value(row))) {
            Some(Some(value)) => value,
            Some(None) => {
                failed.set(row);
                B::Native::default()
            }
            None => B::Native::default(),
        })
        .collect();
    let failed = failed.finish();
    let nulls =
        NullBuffer::union(array.nulls(), failed.as_ref().map(|failed| NullBuffer::new(!failed)).as_ref());
    (PrimitiveArray::new(values.into(), nulls), failed)
}

/// A function of two numbers that fails in some rows.
fn checked<T: ArrowPrimitiveType>(
    left: &Lane,
    right: &Lane,
    rows: usize,
    one: fn(&Cell) -> Option<T::Native>,
    run: impl Fn(T::Native, T::Native) -> Option<T::Native>,
) -> Option<Lane> {
    let (a, b) = (left.numbers::<T>(one)?, right.numbers::<T>(one)?);
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    let mut failed = Errors::new(rows);
    let mut values = Vec::with_capacity(rows);
    zip(&a, &b, rows, |row, a, b| {
        let result = run(a, b);
        // Below a null stands any number: it fails nobody.
        if result.is_none() && nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
            failed.set(row);
        }
        values.push(result.unwrap_or_default());
    });
    let errors = lane::union(left.errors(rows), right.errors(rows));
    let array = PrimitiveArray::<T>::new(values.into(), nulls);
    Some(lane::rows(array, lane::union(errors, failed.finish())))
}

/// A function of two numbers that has a value for all of them.
fn total<T: ArrowPrimitiveType>(
    left: &Lane,
    right: &Lane,
    rows: usize,
    one: fn(&Cell) -> Option<T::Native>,
    run: impl Fn(T::Native, T::Native) -> T::Native,
) -> Option<Lane> {
    let (a, b) = (left.numbers::<T>(one)?, right.numbers::<T>(one)?);
    let nulls = NullBuffer::union(a.nulls(), b.nulls());
    let mut values = Vec::with_capacity(rows);
    zip(&a, &b, rows, |_, a, b| values.push(run(a, b)));
    let errors = lane::union(left.errors(rows), right.errors(rows));
    Some(lane::rows(PrimitiveArray::<T>::new(values.into(), nulls), errors))
}

fn zip<T: ArrowPrimitiveType>(
    a: &Numbers<'_, T>,
    b: &Numbers<'_, T>,
    rows: usize,
    mut each: impl FnMut(usize, T::Native, T::Native),
) {
    match (a, b) {
        (Numbers::Rows(a), Numbers::Rows(b)) => {
            let pairs = a.values().iter().zip(b.values().iter());
            pairs.enumerate().for_each(|(row, (a, b))| each(row, *a, *b));
        }
        (Numbers::Rows(a), Numbers::Same(b)) => {
            a.values().iter().enumerate().for_each(|(row, a)| each(row, *a, *b));
        }
        (Numbers::Same(a), Numbers::Rows(b)) => {
            b.values().iter().enumerate().for_each(|(row, b)| each(row, *a, *b));
        }
        (Numbers::Same(a), Numbers::Same(b)) => (0..rows).for_each(|row| each(row, *a, *b)),
    }
}

fn int32(cell: &Cell) -> Option<i32> {
    match cell {
        Cell::Value(Value::Int32(v)) => Some(*v),
        _ => None,
    }
}

fn int64(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Value(Value::Int64(v)) => Some(*v),
        _ => None,
    }
}

fn float32(cell: &Cell) -> Option<f32> {
    match cell {
        Cell::Value(Value::Float32(v)) => Some(*v),
        _ => None,
    }
}

fn float64(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Value(Value::Float64(v)) => Some(*v),
        _ => None,
    }
}
