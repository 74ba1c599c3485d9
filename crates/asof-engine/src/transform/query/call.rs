//! Our own functions in DataFusion's plans: every scalar expression, and every aggregate.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, StructArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use asof_expression::{Column, Expression, RequestTimestamps};
use asof_model::{Cell, Instant, ValueType};
use asof_window::{Aggregate, State};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use crate::columns::{ColumnBuilder, arrow_type, value_at};

type Body = dyn Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync;

/// A scalar function of ours, pure and total. Two are the same where their names are.
struct Call {
    name: String,
    signature: Signature,
    returns: DataType,
    body: Arc<Body>,
}

/// A call of `body` with these arguments. `name` is its own in the whole plan.
pub(super) fn call(
    name: String,
    arguments: Vec<Expr>,
    returns: DataType,
    body: impl Fn(&[ArrayRef], usize) -> Result<ArrayRef> + Send + Sync + 'static,
) -> Expr {
    let signature = if arguments.is_empty() {
        Signature::nullary(Volatility::Immutable)
    } else {
        Signature::any(arguments.len(), Volatility::Immutable)
    };
    ScalarUDF::from(Call { name, signature, returns, body: Arc::new(body) }).call(arguments)
}

impl fmt::Debug for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)
    }
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Call {}

impl Hash for Call {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Call {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = arguments.args.iter().map(|each| each.to_array(rows)).collect::<Result<Vec<_>>>()?;
        (self.body)(&arrays, rows).map(ColumnarValue::Array)
    }
}

/// The rows of a mark that are marked: null is not.
pub(super) fn marked(marks: &ArrayRef) -> Option<BooleanBuffer> {
    let marks = marks.as_boolean_opt()?;
    let set = match marks.nulls() {
        Some(nulls) => marks.values() & nulls.inner(),
        None => marks.values().clone(),
    };
    (set.count_set_bits() > 0).then_some(set)
}

/// The results of an expression. `arrays` are the values of its columns, and for each of which `fallible` says so the
/// marks of its errors behind them.
pub(super) fn evaluate(
    expression: &Expression,
    fallible: &[bool],
    arrays: &[ArrayRef],
    rows: usize,
) -> Result<Column> {
    let (values, marks) = arrays.split_at(fallible.len());
    let mut marks = marks.iter();
    let inputs = values.iter().zip(fallible).map(|(values, fallible)| Column {
        values: values.clone(),
        errors: if *fallible { marks.next().and_then(marked) } else { None },
    });
    let inputs: Vec<Column> = inputs.collect();
    let t = RequestTimestamps::Same(Instant::MIN);
    expression.evaluate(&inputs, rows, t).map_err(|error| DataFusionError::External(Box::new(error)))
}

/// A column of marks.
pub(super) fn marks_array(marks: Option<BooleanBuffer>, rows: usize) -> ArrayRef {
    Arc::new(BooleanArray::new(marks.unwrap_or_else(|| BooleanBuffer::new_unset(rows)), None))
}

/// The array with these rows null too.
pub(super) fn without(array: &ArrayRef, rows: Option<&BooleanBuffer>) -> Result<ArrayRef> {
    let Some(rows) = rows else { return Ok(array.clone()) };
    let there = NullBuffer::new(!rows);
    let nulls = NullBuffer::union(array.nulls(), Some(&there));
    let data = array.to_data().into_builder().nulls(nulls).build()?;
    Ok(arrow::array::make_array(data))
}

/// The canonical bytes of the cells of each row, errors among them.
pub(super) fn row_bytes(types: &[ValueType], arrays: &[ArrayRef], row: usize, out: &mut Vec<u8>) {
    out.clear();
    for (of, array) in types.iter().zip(arrays) {
        let cell = value_at(array.as_ref(), *of, row).map_or(Cell::Null, Cell::Value);
        asof_model::canonical::write_cell(out, *of, &cell);
    }
}

/// For each row the bytes that `write` leaves; `false` makes it null.
pub(super) fn binary(rows: usize, mut write: impl FnMut(usize, &mut Vec<u8>) -> bool) -> ArrayRef {
    let mut bytes = Vec::new();
    let values = (0..rows).map(|row| {
        bytes.clear();
        write(row, &mut bytes).then(|| bytes.clone())
    });
    Arc::new(values.collect::<BinaryArray>())
}

/// An aggregate of ours: of a value and its error mark, to a struct of the two.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Fold {
    name: String,
    signature: Signature,
    aggregate: Aggregate,
    input: ValueType,
}

/// The aggregate as a function of two arguments: values and error marks.
pub(super) fn fold(aggregate: Aggregate, input: ValueType) -> Arc<AggregateUDF> {
    let name = format!("__{aggregate:?}").replace([' ', '{', '}', ':', ',', '(', ')'], "");
    let signature = Signature::any(2, Volatility::Immutable);
    Arc::new(AggregateUDF::from(Fold { name, signature, aggregate, input }))
}

/// The struct that aggregates give.
pub(super) fn result_type(of: ValueType) -> DataType {
    DataType::Struct(result_fields(of))
}

fn result_fields(of: ValueType) -> Fields {
    Fields::from(vec![Field::new("v", arrow_type(of), true), Field::new("e", DataType::Boolean, false)])
}

impl AggregateUDFImpl for Fold {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(result_type(self.aggregate.result()))
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(self.folding(false)))
    }

    fn create_sliding_accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(self.folding(true)))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[state]", arguments.name), DataType::Binary, true))])
    }
}

impl Fold {
    fn folding(&self, slides: bool) -> Folding {
        Folding { aggregate: self.aggregate, input: self.input, state: self.aggregate.state(), slides }
    }
}

/// A state on its way.
#[derive(Debug)]
struct Folding {
    aggregate: Aggregate,
    input: ValueType,
    state: State,
    slides: bool,
}

impl Folding {
    fn each(&self, arrays: &[ArrayRef], mut put: impl FnMut(&Cell)) {
        let [values, marks] = arrays else { return };
        let errors = marked(marks);
        for row in 0..values.len() {
            if errors.as_ref().is_some_and(|errors| errors.value(row)) {
                put(&Cell::Error);
            } else if let Some(value) = value_at(values.as_ref(), self.input, row) {
                put(&Cell::Value(value));
            }
        }
    }
}

impl Accumulator for Folding {
    fn update_batch(&mut self, arrays: &[ArrayRef]) -> Result<()> {
        let mut state = std::mem::replace(&mut self.state, self.aggregate.state());
        self.each(arrays, |cell| self.aggregate.add(&mut state, cell));
        if !self.slides {
            self.aggregate.settle(&mut state);
        }
        self.state = state;
        Ok(())
    }

    fn retract_batch(&mut self, arrays: &[ArrayRef]) -> Result<()> {
        let mut state = std::mem::replace(&mut self.state, self.aggregate.state());
        self.each(arrays, |cell| self.aggregate.remove(&mut state, cell));
        self.state = state;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        self.slides
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let cell = self.aggregate.value(&self.state);
        let of = self.aggregate.result();
        let mut values = ColumnBuilder::new(of, 1);
        values.append(cell.value());
        let marks: ArrayRef = Arc::new(BooleanArray::from(vec![matches!(cell, Cell::Error)]));
        let result = StructArray::try_new(result_fields(of), vec![values.finish(), marks], None)?;
        Ok(ScalarValue::Struct(Arc::new(result)))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.state.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.state.to_bytes()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(bytes) = states.first().and_then(|states| states.as_binary_opt::<i32>()) else {
            return Ok(());
        };
        for bytes in bytes.iter().flatten() {
            let state = self.aggregate.read_state(bytes);
            if !state.is_some_and(|state| self.state.merge(&state)) {
                return Err(DataFusionError::Internal("the state of an aggregate can't be read".to_owned()));
            }
        }
        if !self.slides {
            self.aggregate.settle(&mut self.state);
        }
        Ok(())
    }
}
