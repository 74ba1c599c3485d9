//! Winners become values, statuses and a report (SEMANTICS 3 and 6).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::take;
use arrow::datatypes::TimestampMicrosecondType;
use asof_model::canonical;
use asof_model::entry;
use asof_model::spec::Feature;
use asof_model::{Age, Cell, Instant, KnownAt, Rule, Status, Zone};
use serde::Serialize;

use super::units::Units;
use super::view::instant;
use crate::EngineError;
use crate::columns::{ERRORS, EVENT, arrow_type, constant, has_error, value_at};

/// The rows that won, for each label row.
pub struct ViewAnswer {
    pub(super) rule: Rule,
    /// The asked features, in the asked order.
    pub(super) features: Vec<Feature>,
    /// Their places in the view's order of addition.
    pub(super) positions: Vec<usize>,
    /// Every winner once; `None`: there is none.
    pub(super) rows: Option<RecordBatch>,
    /// The unit of each of `rows`.
    pub(super) row_units: Vec<u32>,
    pub(super) units: Arc<Units>,
    /// For each label its row in `rows`.
    pub(super) winners: Vec<Option<u32>>,
    /// The same under `served`, where that is another rule and is known.
    pub(super) served: Option<Vec<Option<u32>>>,
    /// For each label its time, microseconds.
    pub(super) times: Vec<i64>,
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

/// How a view's values came out, in label rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ViewReport {
    /// Labels.
    pub labels: u64,
    /// Labels that met a row within its ttl.
    pub matched: u64,
    /// Labels that met a row past its ttl.
    pub expired: u64,
    /// Labels that met none.
    pub missing: u64,
    /// Labels whose value or status differs from what serving could have answered at their time. `None`: nobody knows, as
    /// the rows were never published.
    pub differs_from_served: Option<u64>,
    /// Of those, labels whose row came with the first complete load of its range.
    pub of_these_bulk: Option<u64>,
}

impl ViewAnswer {
    /// The column of each asked feature, in the asked order.
    ///
    /// # Errors
    /// [`EngineError::Arrow`], a defect of ours.
    pub fn columns(&self) -> Result<Vec<FeatureColumn>, EngineError> {
        let ages = self.ages(&self.winners);
        (0..self.features.len()).map(|place| self.column(place, &self.winners, &ages)).collect()
    }

    /// The event instant of the row that each label met, also past its ttl.
    pub fn events(&self) -> Vec<Option<Instant>> {
        let (ages, instants) = (self.ages(&self.winners), self.event_micros());
        let event = |(winner, age): (&Option<u32>, &Age)| match (winner, age) {
            (Some(row), Age::Valid | Age::Expired) => Some(instant(instants[*row as usize])),
            _ => None,
        };
        self.winners.iter().zip(&ages).map(event).collect()
    }

    /// Counts matches and differences.
    ///
    /// # Errors
    /// [`EngineError::Arrow`], a defect of ours.
    pub fn report(&self) -> Result<ViewReport, EngineError> {
        let ages = self.ages(&self.winners);
        let mut report = ViewReport { labels: self.winners.len() as u64, ..ViewReport::default() };
        for (winner, age) in self.winners.iter().zip(&ages) {
            match (winner, age) {
                (Some(_), Age::Valid) => report.matched += 1,
                (Some(_), Age::Expired) => report.expired += 1,
                _ => report.missing += 1,
            }
        }
        let Some(served) = &self.served else {
            let differing = (self.rule.known_at == KnownAt::Served).then_some(0);
            (report.differs_from_served, report.of_these_bulk) = (differing, differing);
            return Ok(report);
        };
        let (mut differing, mut bulk) = (0, 0);
        let served_ages = self.ages(served);
        let held: Vec<Vec<Held>> = (0..self.features.len()).map(|place| self.held(place)).collect();
        let instants = self.event_micros();
        for label in (0..self.winners.len()).filter(|label| self.winners[*label] != served[*label]) {
            let same = held.iter().enumerate().all(|(place, held)| {
                self.answer(place, held, self.winners[label], ages[label])
                    == self.answer(place, held, served[label], served_ages[label])
            });
            if same {
                continue;
            }
            differing += 1;
            if let Some(row) = self.winners[label] {
                let unit = self.units.facts(self.row_units[row as usize]);
                let event = instants[row as usize];
                bulk += u64::from(unit.bulk.iter().any(|range| range.contains(event)));
            }
        }
        (report.differs_from_served, report.of_these_bulk) = (Some(differing), Some(bulk));
        Ok(report)
    }

    /// A feature's status, and the canonical bytes of the value that is shown with it, before defaults.
    fn answer(&self, place: usize, held: &[Held], row: Option<u32>, age: Age) -> (Status, Vec<u8>) {
        let status = status(held, row, age);
        let mut bytes = Vec::new();
        let feature = &self.features[place];
        if let (true, Some(row), Some(column)) = (self.shown(status), row, self.source(feature)) {
            let cell = value_at(column, feature.value_type, row as usize).map_or(Cell::Null, Cell::Value);
            canonical::write_cell(&mut bytes, feature.value_type, &cell);
        }
        (status, bytes)
    }

    /// Whether what the row holds is the answer; else it is null or the default.
    fn shown(&self, status: Status) -> bool {
        match status {
            Status::Present => true,
            Status::OutsideTtl => self.rule.include_expired,
            Status::Null | Status::Missing | Status::Error => false,
        }
    }

    fn source(&self, feature: &Feature) -> Option<&ArrayRef> {
        self.rows.as_ref().and_then(|rows| rows.column_by_name(&feature.name))
    }

    fn ages(&self, winners: &[Option<u32>]) -> Vec<Age> {
        let instants = self.event_micros();
        let age = |(winner, time): (&Option<u32>, &i64)| {
            winner
                .map_or(Age::Forgotten, |row| self.rule.age(instant(instants[row as usize]), instant(*time)))
        };
        winners.iter().zip(&self.times).map(age).collect()
    }

    /// The event instant of each of `rows`, in microseconds.
    fn event_micros(&self) -> &[i64] {
        // `rows` has the event column wherever there are rows: `ViewJoin::payload` puts it there.
        let events = self.rows.as_ref().and_then(|rows| rows.column_by_name(EVENT));
        events.map_or(&[], |events| events.as_primitive::<TimestampMicrosecondType>().values())
    }

    /// What each of `rows` holds of a feature. Looked up once for each row, not for each label.
    fn held(&self, place: usize) -> Vec<Held> {
        let feature = &self.features[place];
        let Some(rows) = &self.rows else { return Vec::new() };
        let (column, errors) = (rows.column_by_name(&feature.name), rows.column_by_name(ERRORS));
        let errors = errors.filter(|errors| errors.null_count() < errors.len());
        let held = |(row, unit): (usize, &u32)| {
            if self.positions[place] >= self.units.facts(*unit).features {
                Held::Nothing
            } else if errors.is_some_and(|errors| has_error(errors, row, &feature.name)) {
                Held::Error
            } else if column.is_some_and(|column| column.is_valid(row)) {
                Held::Value
            } else {
                Held::Null
            }
        };
        self.row_units.iter().enumerate().map(held).collect()
    }

    fn column(
        &self,
        place: usize,
        winners: &[Option<u32>],
        ages: &[Age],
    ) -> Result<FeatureColumn, EngineError> {
        let feature = self.features[place].clone();
        let held = self.held(place);
        let statuses: Vec<Status> =
            winners.iter().zip(ages).map(|(winner, age)| status(&held, *winner, *age)).collect();
        let values = match self.source(&feature) {
            Some(source) => {
                let rows =
                    winners.iter().zip(&statuses).map(|(row, status)| row.filter(|_| self.shown(*status)));
                take(source, &rows.collect::<UInt32Array>(), None)?
            }
            None => arrow::array::new_null_array(&arrow_type(feature.value_type), winners.len()),
        };
        let values = match &feature.default {
            Some(text) if statuses.iter().any(|status| !self.shown(*status)) => {
                // The text was made from a value of this type when the definition was read.
                let default = entry::from_text(text, feature.value_type, &Zone::utc()).ok();
                let keep: BooleanArray = statuses.iter().map(|status| Some(self.shown(*status))).collect();
                let default = constant(feature.value_type, default.as_ref(), 1);
                zip(&keep, &values, &arrow::array::Scalar::new(default))?
            }
            _ => values,
        };
        Ok(FeatureColumn { feature, values, statuses })
    }
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

fn status(held: &[Held], row: Option<u32>, age: Age) -> Status {
    match (row.map(|row| held[row as usize]), age) {
        (None | Some(Held::Nothing), _) | (_, Age::Forgotten) => Status::Missing,
        (_, Age::Expired) => Status::OutsideTtl,
        (Some(Held::Error), Age::Valid) => Status::Error,
        (Some(Held::Null), Age::Valid) => Status::Null,
        (Some(Held::Value), Age::Valid) => Status::Present,
    }
}
