//! Winners become values and statuses (SEMANTICS 3 and 6).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::kernels::zip::zip;
use asof_model::spec::Feature;
use asof_model::{Cell, Rule, Status, Zone, canonical, entry};

use super::entering::Entering;
use super::gather::gather;
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
    /// Whether every row that was met is within its ttl and could be read: what it holds is the answer then.
    pub(super) all_shown: bool,
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
        let statuses = self.statuses(place);
        let values = self.values_shown(place, &statuses, |status| self.shown(status))?;
        Ok(FeatureColumn { feature: self.features[place].clone(), values, statuses })
    }

    /// A feature as it enters expressions: after its default, whether expired values are shown or not, with the rows that
    /// are ERROR and have no default (SEMANTICS 5).
    ///
    /// # Errors
    /// [`TrainingError::Arrow`], a defect of ours.
    pub fn entering(&self, place: usize) -> Result<Entering, TrainingError> {
        let has_default = self.features[place].default.is_some();
        if !has_default && self.all_shown {
            return Ok(Entering { values: self.gather(place, &self.met.winners)?, errors: None });
        }
        let statuses = self.statuses(place);
        let values = self.values_shown(place, &statuses, |status| status == Status::Present)?;
        let any_error = !has_default && statuses.contains(&Status::Error);
        let errors = any_error.then(|| statuses.iter().map(|status| *status == Status::Error).collect());
        Ok(Entering { values, errors })
    }

    fn statuses(&self, place: usize) -> Vec<Status> {
        self.met.winners.iter().map(|winner| self.status(place, *winner)).collect()
    }

    /// What rows hold where `shown` says so of their status, else the default.
    fn values_shown(
        &self,
        place: usize,
        statuses: &[Status],
        shown: impl Fn(Status) -> bool,
    ) -> Result<ArrayRef, TrainingError> {
        let winner = |(winner, status): (&Winner, &Status)| match shown(*status) {
            true => *winner,
            false => Winner::NONE,
        };
        let winners: Vec<Winner> = self.met.winners.iter().zip(statuses).map(winner).collect();
        let values = self.gather(place, &winners)?;
        let hidden = || statuses.iter().map(|status| !shown(*status));
        if hidden().any(|hidden| hidden) { self.with_default(place, values, hidden()) } else { Ok(values) }
    }

    /// The values alone, as in [`RangeAnswer::column`].
    ///
    /// # Errors
    /// [`TrainingError::Arrow`], a defect of ours.
    pub fn values(&self, place: usize) -> Result<ArrayRef, TrainingError> {
        // Without a default, errors and expired rows are null either way.
        match self.features[place].default.is_none() && self.all_shown {
            true => self.gather(place, &self.met.winners),
            false => Ok(self.column(place)?.values),
        }
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
        let column = self.columns[place];
        let parts: Vec<&ArrayRef> = self.met.parts.iter().map(|part| part.columns.column(column)).collect();
        gather(&parts, winners, &arrow_type(self.features[place].value_type))
    }
}
