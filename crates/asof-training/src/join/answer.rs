//! Winners become values and statuses (SEMANTICS 3 and 6).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, NullBufferBuilder, PrimitiveArray,
    StringArray, new_null_array,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::interleave;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use asof_model::spec::Feature;
use asof_model::{Cell, Rule, Status, Zone, canonical, entry};

use super::parts::{RangeParts, Winner};
use super::units::Units;
use crate::TrainingError;
use asof_engine::columns::{arrow_type, constant, has_error, value_at};

/// What a view answers to the labels of a range.
pub struct RangeAnswer {
    pub(super) rule: Rule,
    /// The asked features, in the asked order.
    pub(super) features: Arc<[Feature]>,
    /// Their places in the view's order of addition.
    pub(super) positions: Arc<[usize]>,
    /// For each its place among the columns of a part.
    pub(super) columns: Arc<[usize]>,
    pub(super) units: Arc<Units>,
    pub(super) met: RangeParts,
}

/// One feature's values and statuses, a row for each label.
pub struct FeatureColumn {
    /// The feature.
    pub feature: Feature,
    /// Values after defaults; null where there is none.
    pub values: ArrayRef,
    /// Why each value is what it is.
    pub statuses: Vec<Status>,
}

/// What a row holds of one feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// The feature is newer than the row.
    Nothing,
    /// It could not be read.
    Error,
    /// Null.
    Null,
    /// A value.
    Value,
}

impl RangeAnswer {
    /// How many labels the range has.
    pub fn len(&self) -> usize {
        self.met.winners.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.met.winners.is_empty()
    }

    /// How many features were asked for.
    pub fn features(&self) -> usize {
        self.features.len()
    }

    /// A feature with its statuses; `place` among those that were asked for.
    ///
    /// # Errors
    /// [`TrainingError::Arrow`], a defect of ours.
    pub fn column(&self, place: usize) -> Result<FeatureColumn, TrainingError> {
        let statuses: Vec<Status> =
            self.met.winners.iter().map(|winner| self.status(place, *winner)).collect();
        let shown = |(winner, status): (&Winner, &Status)| match self.shown(*status) {
            true => *winner,
            false => Winner::NONE,
        };
        let winners: Vec<Winner> = self.met.winners.iter().zip(&statuses).map(shown).collect();
        let values = self.gather(place, &winners)?;
        let feature = self.features[place].clone();
        let hidden = || statuses.iter().map(|status| !self.shown(*status));
        let values =
            if hidden().any(|hidden| hidden) { self.with_default(place, values, hidden())? } else { values };
        Ok(FeatureColumn { feature, values, statuses })
    }

    /// The values alone, as in [`RangeAnswer::column`].
    ///
    /// # Errors
    /// [`TrainingError::Arrow`], a defect of ours.
    pub fn values(&self, place: usize) -> Result<ArrayRef, TrainingError> {
        // Without a default, errors and expired rows are null either way.
        let plain = self.features[place].default.is_none() && !self.any_error();
        if !plain || self.met.winners.iter().any(|winner| winner.is_expired()) {
            return Ok(self.column(place)?.values);
        }
        self.gather(place, &self.met.winners)
    }

    fn any_error(&self) -> bool {
        self.met.parts.iter().any(|part| {
            let errors = part.columns.columns().last();
            errors.is_some_and(|errors| errors.null_count() < errors.len())
        })
    }

    fn with_default(
        &self,
        place: usize,
        values: ArrayRef,
        hidden: impl Iterator<Item = bool>,
    ) -> Result<ArrayRef, TrainingError> {
        let feature = &self.features[place];
        let Some(text) = &feature.default else { return Ok(values) };
        // The text was made from a value of this type when the definition was read.
        let default = entry::from_text(text, feature.value_type, &Zone::utc()).ok();
        let keep: BooleanArray = hidden.map(|hidden| Some(!hidden)).collect();
        let default = constant(feature.value_type, default.as_ref(), 1);
        Ok(zip(&keep, &values, &arrow::array::Scalar::new(default))?)
    }

    /// Whether what the row holds is the answer; else it is null or the default.
    fn shown(&self, status: Status) -> bool {
        match status {
            Status::Present => true,
            Status::OutsideTtl => self.rule.include_expired,
            Status::Null | Status::Missing | Status::Error => false,
        }
    }

    fn status(&self, place: usize, winner: Winner) -> Status {
        match self.held(place, winner) {
            None | Some(Held::Nothing) => Status::Missing,
            Some(_) if winner.is_expired() => Status::OutsideTtl,
            Some(Held::Error) => Status::Error,
            Some(Held::Null) => Status::Null,
            Some(Held::Value) => Status::Present,
        }
    }

    fn held(&self, place: usize, winner: Winner) -> Option<Held> {
        let (part, row) = winner.place()?;
        let part = &self.met.parts[part];
        if self.positions[place] >= self.units.facts(part.units.at(row)).features {
            return Some(Held::Nothing);
        }
        let errors = part.columns.columns().last()?;
        Some(if errors.is_valid(row) && has_error(errors, row, &self.features[place].name) {
            Held::Error
        } else if part.columns.column(self.columns[place]).is_valid(row) {
            Held::Value
        } else {
            Held::Null
        })
    }

    /// A feature's status, and the canonical bytes of the value that is shown with it, before defaults.
    pub(super) fn answered(&self, place: usize, label: usize) -> (Status, Vec<u8>) {
        let winner = self.met.winners[label];
        let status = self.status(place, winner);
        let mut bytes = Vec::new();
        if let (true, Some((part, row))) = (self.shown(status), winner.place()) {
            let of = self.features[place].value_type;
            let column = self.met.parts[part].columns.column(self.columns[place]);
            let cell = value_at(column, of, row).map_or(Cell::Null, Cell::Value);
            canonical::write_cell(&mut bytes, of, &cell);
        }
        (status, bytes)
    }

    /// The unit of the row that a label met.
    pub(super) fn unit(&self, label: usize) -> Option<u32> {
        let (part, row) = self.met.winners[label].place()?;
        Some(self.met.parts[part].units.at(row))
    }

    /// The event instant of the row that a label met, microseconds, also past its ttl. `None`: it met none, or nobody asked.
    pub fn event(&self, label: usize) -> Option<i64> {
        self.met.winners[label].place()?;
        self.met.events.get(label).copied()
    }

    /// What rows hold of a feature; null where there is no row.
    fn gather(&self, place: usize, winners: &[Winner]) -> Result<ArrayRef, TrainingError> {
        let of = arrow_type(self.features[place].value_type);
        let column = self.columns[place];
        let parts: Vec<&ArrayRef> = self.met.parts.iter().map(|part| part.columns.column(column)).collect();
        Ok(match of {
            DataType::Int32 => gather_numbers::<Int32Type>(&parts, winners, &of),
            DataType::Int64 => gather_numbers::<Int64Type>(&parts, winners, &of),
            DataType::Float32 => gather_numbers::<Float32Type>(&parts, winners, &of),
            DataType::Float64 => gather_numbers::<Float64Type>(&parts, winners, &of),
            DataType::Timestamp(..) => gather_numbers::<TimestampMicrosecondType>(&parts, winners, &of),
            DataType::Utf8 => match gather_texts(&parts, winners) {
                Some(texts) => texts,
                None => gather_any(&parts, winners, &of)?,
            },
            _ => gather_any(&parts, winners, &of)?,
        })
    }
}

fn gather_numbers<T: ArrowPrimitiveType>(parts: &[&ArrayRef], winners: &[Winner], of: &DataType) -> ArrayRef {
    let parts: Vec<&PrimitiveArray<T>> = parts.iter().map(|part| part.as_primitive::<T>()).collect();
    let mut values: Vec<T::Native> = Vec::with_capacity(winners.len());
    let mut nulls = NullBufferBuilder::new(winners.len());
    for winner in winners {
        match winner.place() {
            Some((part, row)) => {
                values.push(parts[part].value(row));
                nulls.append(parts[part].is_valid(row));
            }
            None => {
                values.push(T::default_value());
                nulls.append_null();
            }
        }
    }
    let array = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls.finish());
    Arc::new(array.with_data_type(of.clone()))
}

/// `None`: they don't fit one array of texts.
fn gather_texts(parts: &[&ArrayRef], winners: &[Winner]) -> Option<ArrayRef> {
    let parts: Vec<&StringArray> = parts.iter().map(|part| part.as_string::<i32>()).collect();
    let mut bytes: Vec<u8> = Vec::new();
    let mut ends: Vec<i32> = Vec::with_capacity(winners.len() + 1);
    let mut nulls = NullBufferBuilder::new(winners.len());
    ends.push(0);
    for winner in winners {
        match winner.place() {
            Some((part, row)) => {
                bytes.extend_from_slice(parts[part].value(row).as_bytes());
                nulls.append(parts[part].is_valid(row));
            }
            None => nulls.append_null(),
        }
        ends.push(i32::try_from(bytes.len()).ok()?);
    }
    let ends = OffsetBuffer::new(ScalarBuffer::from(ends));
    // Texts one after the other are text.
    StringArray::try_new(ends, bytes.into(), nulls.finish()).ok().map(|texts| Arc::new(texts) as ArrayRef)
}

fn gather_any(parts: &[&ArrayRef], winners: &[Winner], of: &DataType) -> Result<ArrayRef, TrainingError> {
    let nothing = new_null_array(of, 1);
    let mut arrays: Vec<&dyn Array> = vec![nothing.as_ref()];
    arrays.extend(parts.iter().map(|part| part.as_ref()));
    let place = |winner: &Winner| winner.place().map_or((0, 0), |(part, row)| (part + 1, row));
    let places: Vec<(usize, usize)> = winners.iter().map(place).collect();
    Ok(interleave(&arrays, &places)?)
}
