//! The aggregate functions, and the states they fold values into.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use asof_model::types::DECIMAL_DIGITS_MAX;
use asof_model::value::canonical_f64;
use asof_model::{Cell, Decimal, DecimalType, Value, ValueType, canonical};

use crate::exact::ExactSum;
use crate::whole::Whole;

/// An aggregate function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// How many values are not null: int64.
    Count,
    /// How many different values there are: int64.
    CountDistinct,
    /// The sum: int64 of integers (ERROR past its range), float64 of floats (exact, rounded once), decimal of decimals.
    Sum,
    /// The exact mean, rounded once: float64, of integers and floats.
    Avg,
    /// The least value; of floats NaN only where all are.
    Min,
    /// The greatest value, likewise.
    Max,
    /// Whether all are true.
    BoolAnd,
    /// Whether one is true.
    BoolOr,
}

/// A function over values of one type. Nulls are skipped; over nothing counts are 0 and all else is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aggregate {
    function: Function,
    input: ValueType,
    result: ValueType,
}

impl Function {
    /// The function of that name in SQL. `count(distinct x)` is [`Function::CountDistinct`], which has no name of its own.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "bool_and" => Self::BoolAnd,
            "bool_or" => Self::BoolOr,
            _ => return None,
        })
    }
}

impl Aggregate {
    /// The function over values of that type. `None`: it does not take them.
    pub fn new(function: Function, input: ValueType) -> Option<Self> {
        use ValueType::{Bool, Decimal, Float32, Float64, Int32, Int64};
        let result = match (function, input) {
            (Function::Count | Function::CountDistinct, _) => Int64,
            (Function::Sum, Int32 | Int64) => Int64,
            (Function::Sum | Function::Avg, Float32 | Float64) => Float64,
            (Function::Sum, Decimal(of)) => Decimal(DecimalType::new(DECIMAL_DIGITS_MAX, of.scale())?),
            (Function::Avg, Int32 | Int64) => Float64,
            (Function::Min | Function::Max, of) if has_order(of) => of,
            (Function::BoolAnd | Function::BoolOr, Bool) => Bool,
            _ => return None,
        };
        Some(Self { function, input, result })
    }

    /// The type of the result.
    pub fn result(&self) -> ValueType {
        self.result
    }

    /// The state of nothing.
    pub fn state(&self) -> State {
        let kind = match (self.function, self.input) {
            (Function::Count, _) => Kind::Count,
            (Function::CountDistinct | Function::Min | Function::Max, _) => Kind::Values(BTreeMap::new()),
            (Function::Sum | Function::Avg, ValueType::Float32 | ValueType::Float64) => {
                Kind::Floats(ExactSum::new())
            }
            (Function::Sum | Function::Avg, _) => Kind::Integers(WideSum::default()),
            (Function::BoolAnd | Function::BoolOr, _) => Kind::Truths { trues: 0 },
        };
        State { count: 0, errors: 0, kind }
    }

    /// The result of a state. ERROR where an argument in ERROR counts, or where the result has no place in its type.
    pub fn value(&self, state: &State) -> Cell {
        if state.errors > 0 {
            return Cell::Error;
        }
        if self.function == Function::Count {
            return Cell::Value(Value::Int64(state.count));
        }
        if let (Function::CountDistinct, Kind::Values(values)) = (self.function, &state.kind) {
            return i64::try_from(values.len()).map_or(Cell::Error, |count| Cell::Value(Value::Int64(count)));
        }
        if state.count == 0 {
            return Cell::Null;
        }
        let count = state.count.unsigned_abs();
        let value = match (&state.kind, self.function) {
            (Kind::Floats(sum), Function::Avg) => Some(Value::Float64(canonical_f64(sum.divided(count)))),
            (Kind::Floats(sum), _) => Some(Value::Float64(canonical_f64(sum.value()))),
            (Kind::Integers(sum), Function::Avg) => Some(Value::Float64(sum.divided(count))),
            (Kind::Integers(sum), _) => sum.value().and_then(|sum| match self.result {
                ValueType::Decimal(of) => Decimal::checked(sum, of).ok().map(Value::Decimal),
                _ => i64::try_from(sum).ok().map(Value::Int64),
            }),
            (Kind::Truths { trues }, Function::BoolAnd) => Some(Value::Bool(*trues == state.count)),
            (Kind::Truths { trues }, _) => Some(Value::Bool(*trues > 0)),
            (Kind::Values(values), function) => self.extreme(values, function),
            (Kind::Count, _) => Some(Value::Int64(state.count)),
        };
        value.map_or(Cell::Error, Cell::Value)
    }

    /// The least or the greatest; NaN only where there is nothing else.
    fn extreme(&self, values: &BTreeMap<Vec<u8>, i64>, function: Function) -> Option<Value> {
        let mut best: Option<Value> = None;
        for bits in values.keys() {
            let value = canonical::read_bits(self.input, bits)?;
            let wins = match &best {
                None => true,
                Some(best) if is_nan(best) => true,
                Some(_) if is_nan(&value) => false,
                Some(best) => {
                    compare(&value, best)
                        == if function == Function::Min { Ordering::Less } else { Ordering::Greater }
                }
            };
            if wins {
                best = Some(value);
            }
        }
        best
    }

    /// Adds an argument.
    pub fn add(&self, state: &mut State, argument: &Cell) {
        self.put(state, argument, 1);
    }

    /// Takes an argument away that was added before.
    pub fn remove(&self, state: &mut State, argument: &Cell) {
        self.put(state, argument, -1);
    }

    fn put(&self, state: &mut State, argument: &Cell, times: i64) {
        let value = match argument {
            Cell::Null => return,
            Cell::Error => {
                state.errors += times;
                return;
            }
            Cell::Value(value) => value,
        };
        state.count += times;
        match &mut state.kind {
            Kind::Count => {}
            Kind::Floats(sum) => {
                let value = match value {
                    Value::Float32(value) => f64::from(*value),
                    Value::Float64(value) => *value,
                    _ => return,
                };
                if times > 0 { sum.add(value) } else { sum.remove(value) }
            }
            Kind::Integers(sum) => {
                let value = match value {
                    Value::Int32(value) => i128::from(*value),
                    Value::Int64(value) => i128::from(*value),
                    Value::Decimal(value) => value.units,
                    _ => return,
                };
                sum.add(value, times);
            }
            Kind::Truths { trues } => *trues += i64::from(*value == Value::Bool(true)) * times,
            Kind::Values(values) => self.keep(values, value, times),
        }
    }

    /// Counts a value. What can't be taken away again need not be counted, but equal states must have equal bytes.
    fn keep(&self, values: &mut BTreeMap<Vec<u8>, i64>, value: &Value, times: i64) {
        let bits = canonical::bits(value);
        let count = values.entry(bits).or_insert(0);
        *count += times;
        if *count == 0 {
            values.retain(|_, count| *count != 0);
        }
    }

    /// Drops what a state keeps only so that values can be taken away from it: for states that merge and do not slide.
    pub fn settle(&self, state: &mut State) {
        let extreme = matches!(self.function, Function::Min | Function::Max);
        let Kind::Values(values) = &mut state.kind else { return };
        if extreme && values.len() > 1 {
            let best = self.extreme(values, self.function).map(|best| canonical::bits(&best));
            values.retain(|bits, _| Some(bits) == best.as_ref());
        }
        values.values_mut().for_each(|count| *count = 1);
    }
}

/// What an aggregate has folded. States of one aggregate merge in any order.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Values that are not null.
    count: i64,
    /// Arguments in ERROR.
    errors: i64,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Count,
    Floats(ExactSum),
    Integers(WideSum),
    Truths {
        trues: i64,
    },
    /// Canonical bits to how often they are there.
    Values(BTreeMap<Vec<u8>, i64>),
}

impl State {
    /// Adds all that another state of the same aggregate holds. False: they are not of one aggregate.
    pub fn merge(&mut self, other: &Self) -> bool {
        self.count += other.count;
        self.errors += other.errors;
        match (&mut self.kind, &other.kind) {
            (Kind::Count, Kind::Count) => {}
            (Kind::Floats(sum), Kind::Floats(more)) => sum.merge(more),
            (Kind::Integers(sum), Kind::Integers(more)) => sum.merge(more),
            (Kind::Truths { trues }, Kind::Truths { trues: more }) => *trues += more,
            (Kind::Values(values), Kind::Values(more)) => {
                for (bits, count) in more {
                    *values.entry(bits.clone()).or_insert(0) += count;
                }
            }
            _ => return false,
        }
        true
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        /// What an entry of a map costs beside its bytes.
        const ENTRY_BYTES: usize = 48;
        size_of::<Self>()
            + match &self.kind {
                Kind::Floats(sum) => sum.size(),
                Kind::Values(values) => {
                    values.len() * ENTRY_BYTES + values.keys().map(Vec::capacity).sum::<usize>()
                }
                _ => 0,
            }
    }

    /// The bytes of the state, for an aggregate to read back.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.errors.to_le_bytes());
        match &self.kind {
            Kind::Count => {}
            Kind::Floats(sum) => bytes.extend_from_slice(&sum.to_bytes()),
            Kind::Integers(sum) => {
                bytes.extend_from_slice(&sum.high.to_le_bytes());
                bytes.extend_from_slice(&sum.low.to_le_bytes());
            }
            Kind::Truths { trues } => bytes.extend_from_slice(&trues.to_le_bytes()),
            Kind::Values(values) => {
                for (bits, count) in values {
                    bytes.extend_from_slice(&count.to_le_bytes());
                    bytes.extend_from_slice(&(bits.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(bits);
                }
            }
        }
        bytes
    }
}

impl Aggregate {
    /// Reads [`State::to_bytes`]. `None`: these are not the bytes of a state of this aggregate.
    pub fn read_state(&self, bytes: &[u8]) -> Option<State> {
        let mut state = self.state();
        let mut left = bytes;
        let mut word = || {
            let (word, rest) = left.split_first_chunk::<8>()?;
            left = rest;
            Some(i64::from_le_bytes(*word))
        };
        (state.count, state.errors) = (word()?, word()?);
        match &mut state.kind {
            Kind::Count => {}
            Kind::Floats(sum) => *sum = ExactSum::from_bytes(left)?,
            Kind::Integers(sum) => {
                let (high, low) = left.split_first_chunk::<16>()?;
                *sum = WideSum {
                    high: i128::from_le_bytes(*high),
                    low: i128::from_le_bytes(low.try_into().ok()?),
                };
            }
            Kind::Truths { trues } => *trues = word()?,
            Kind::Values(values) => {
                while !left.is_empty() {
                    let (count, rest) = left.split_first_chunk::<8>()?;
                    let (length, rest) = rest.split_first_chunk::<8>()?;
                    let (bits, rest) =
                        rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
                    values.insert(bits.to_owned(), i64::from_le_bytes(*count));
                    left = rest;
                }
            }
        }
        Some(state)
    }
}

/// A sum of integers of up to 38 digits, with room for more of them than there can be.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct WideSum {
    /// In units of [`WideSum::BASE`].
    high: i128,
    low: i128,
}

impl WideSum {
    const BASE: i128 = 10_i128.pow(19);

    fn add(&mut self, value: i128, times: i64) {
        self.high += value.div_euclid(Self::BASE) * i128::from(times);
        self.low += value.rem_euclid(Self::BASE) * i128::from(times);
        self.carry();
    }

    fn merge(&mut self, other: &Self) {
        self.high += other.high;
        self.low += other.low;
        self.carry();
    }

    /// Brings it into its one form.
    fn carry(&mut self) {
        self.high += self.low.div_euclid(Self::BASE);
        self.low = self.low.rem_euclid(Self::BASE);
    }

    /// `None`: it is past 128 bits.
    fn value(&self) -> Option<i128> {
        self.high.checked_mul(Self::BASE)?.checked_add(self.low)
    }

    /// The sum of integers of 64 bits divided by a count, rounded once.
    fn divided(&self, count: u64) -> f64 {
        /// Limbs behind the point: the quotient then has more bits than a double keeps.
        const MORE: usize = 4;
        let sum = self.value().unwrap_or(0);
        let size = sum.unsigned_abs();
        let limbs = (0..4).map(|limb| (size >> (32 * limb)) as u32).collect();
        let Some((quotient, rest)) = Whole::new(limbs).shifted_by_limbs(MORE).divided_by(count) else {
            return f64::NAN;
        };
        let mean = quotient.rounded(-32 * MORE as i64, rest);
        if sum < 0 { -mean } else { mean }
    }
}

/// Whether values of this type have an order.
fn has_order(of: ValueType) -> bool {
    !matches!(of, ValueType::Json | ValueType::List(_) | ValueType::Map(_) | ValueType::Embedding(_))
}

fn is_nan(value: &Value) -> bool {
    match value {
        Value::Float32(value) => value.is_nan(),
        Value::Float64(value) => value.is_nan(),
        _ => false,
    }
}

/// The order of two values of one type; text and bytes by their bytes.
fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Int32(a), Value::Int32(b)) => a.cmp(b),
        (Value::Int64(a), Value::Int64(b)) => a.cmp(b),
        (Value::Float32(a), Value::Float32(b)) => a.total_cmp(b),
        (Value::Float64(a), Value::Float64(b)) => a.total_cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.units.cmp(&b.units),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        _ => canonical::bits(one).cmp(&canonical::bits(other)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FUNCTIONS: [Function; 8] = [
        Function::Count,
        Function::CountDistinct,
        Function::Sum,
        Function::Avg,
        Function::Min,
        Function::Max,
        Function::BoolAnd,
        Function::BoolOr,
    ];

    fn cell() -> impl Strategy<Value = Cell> {
        prop_oneof![
            6 => prop::sample::select(vec![0.1, 1e16, -1e16, 3.5, -0.25, f64::NAN, f64::INFINITY])
                .prop_map(|value| Cell::Value(Value::float64(value))),
            2 => (-5.0..5.0_f64).prop_map(|value| Cell::Value(Value::float64(value))),
            1 => Just(Cell::Null),
        ]
    }

    fn folded(aggregate: &Aggregate, cells: &[Cell]) -> State {
        let mut state = aggregate.state();
        cells.iter().for_each(|cell| aggregate.add(&mut state, cell));
        state
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Goal: a result is a function of the multiset: any order, split and way through bytes gives the same, and what
        /// was added can be taken away.
        #[test]
        fn any_order(cells in prop::collection::vec(cell(), 0..30), cut in 0_usize..30, error in any::<bool>()) {
            let mut cells = cells;
            if error {
                cells.push(Cell::Error);
            }
            for function in FUNCTIONS {
                let Some(aggregate) = Aggregate::new(function, ValueType::Float64) else { continue };
                let whole = folded(&aggregate, &cells);
                let (left, right) = cells.split_at(cut.min(cells.len()));
                let mut merged = folded(&aggregate, right);
                merged.merge(&aggregate.read_state(&folded(&aggregate, left).to_bytes()).unwrap());
                prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
                prop_assert_eq!(aggregate.value(&merged), aggregate.value(&whole));
                let mut settled = merged.clone();
                aggregate.settle(&mut settled);
                prop_assert_eq!(aggregate.value(&settled), aggregate.value(&whole));
                right.iter().for_each(|cell| aggregate.remove(&mut merged, cell));
                prop_assert_eq!(merged.to_bytes(), folded(&aggregate, left).to_bytes());
            }
        }
    }

    fn of(function: Function, input: ValueType, values: &[Value]) -> Cell {
        let aggregate = Aggregate::new(function, input).unwrap();
        let cells: Vec<Cell> = values.iter().cloned().map(Cell::Value).collect();
        aggregate.value(&folded(&aggregate, &cells))
    }

    /// Goal: integers are exact on the way and in error only at the end; means are exact; nothing gives null or 0.
    #[test]
    fn integers() {
        let ints = |values: &[i64]| values.iter().map(|value| Value::Int64(*value)).collect::<Vec<_>>();
        let big = ints(&[i64::MAX, i64::MAX, -i64::MAX, i64::MIN + 1]);
        assert_eq!(of(Function::Sum, ValueType::Int64, &big), Cell::Value(Value::Int64(0)));
        assert_eq!(of(Function::Sum, ValueType::Int64, &big[..2]), Cell::Error);
        let max = Cell::Value(Value::Float64(i64::MAX as f64));
        assert_eq!(of(Function::Avg, ValueType::Int64, &big[..2]), max);
        assert_eq!(
            of(Function::Avg, ValueType::Int64, &ints(&[1, 2, -4])),
            Cell::Value(Value::Float64(-1.0 / 3.0))
        );
        assert_eq!(of(Function::Sum, ValueType::Int64, &[]), Cell::Null);
        assert_eq!(of(Function::Count, ValueType::Int64, &[]), Cell::Value(Value::Int64(0)));
        assert_eq!(
            of(Function::CountDistinct, ValueType::Int64, &ints(&[1, 1, 2])),
            Cell::Value(Value::Int64(2))
        );
        assert_eq!(Aggregate::new(Function::Sum, ValueType::String), None);
    }

    /// Goal: decimals keep their scale and overflow at the end only; min and max skip NaN unless there is nothing else.
    #[test]
    fn decimals_and_extremes() {
        let decimal = |units| Value::Decimal(Decimal { units, scale: 2 });
        let of_two = ValueType::Decimal(DecimalType::new(38, 2).unwrap());
        let large = 99_999_999_999_999_999_999_999_999_999_999_999_999_i128;
        let sum = of(Function::Sum, of_two, &[decimal(large), decimal(large), decimal(-large), decimal(-5)]);
        assert_eq!(sum, Cell::Value(decimal(large - 5)));
        assert_eq!(of(Function::Sum, of_two, &[decimal(large), decimal(1)]), Cell::Error);
        let floats = [Value::Float64(f64::NAN), Value::Float64(2.0), Value::Float64(-1.0)];
        let value = |v: f64| Cell::Value(Value::Float64(v));
        assert_eq!(of(Function::Max, ValueType::Float64, &floats), value(2.0));
        assert_eq!(of(Function::Min, ValueType::Float64, &floats), value(-1.0));
        let Cell::Value(Value::Float64(nan)) = of(Function::Min, ValueType::Float64, &floats[..1]) else {
            panic!()
        };
        assert!(nan.is_nan());
        let texts = ["b", "a"].map(|text| Value::String(text.to_owned()));
        assert_eq!(of(Function::Max, ValueType::String, &texts), Cell::Value(texts[0].clone()));
    }
}
