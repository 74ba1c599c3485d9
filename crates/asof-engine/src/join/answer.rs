//! Winners become values, statuses and a report (SEMANTICS 3 and 6).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::take;
use arrow::datatypes::TimestampMicrosecondType;
use asof_model::canonical;
use asof_model::entry;
use asof_model::spec::Feature;
use asof_model::{Age, Instant, Rule, Status, Zone};
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
    /// The same under `served`, where that is another rule.
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
    /// Labels whose value or status differs from what serving could have answered at their time.
    pub differs_from_served: u64,
    /// Of those, labels whose row came with the first complete load of its range.
    pub of_these_bulk: u64,
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
        let ages = self.ages(&self.winners);
        let event = |(winner, age): (&Option<u32>, &Age)| match (winner, age) {
            (Some(row), Age::Valid | Age::Expired) => Some(self.event(*row)),
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
        let Some(served) = &self.served else { return Ok(report) };
        let differ: Vec<usize> =
            (0..self.winners.len()).filter(|label| self.winners[*label] != served[*label]).collect();
        for label in differ {
            if self.same_answer(label, self.winners[label], served[label])? {
                continue;
            }
            report.differs_from_served += 1;
            if let Some(row) = self.winners[label] {
                let event = self.event(row).micros();
                let unit = self.units.facts(self.row_units[row as usize]);
                report.of_these_bulk += u64::from(unit.bulk.iter().any(|range| range.contains(event)));
            }
        }
        Ok(report)
    }

    /// Whether two winners give one label the same values and statuses.
    fn same_answer(&self, label: usize, a: Option<u32>, b: Option<u32>) -> Result<bool, EngineError> {
        let t = instant(self.times[label]);
        for place in 0..self.features.len() {
            let (a, b) = (self.cell(place, a, t), self.cell(place, b, t));
            if a != b {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The status of a feature in a row at `t`, and the canonical bytes of what the row holds.
    fn cell(&self, place: usize, row: Option<u32>, t: Instant) -> (Status, Vec<u8>) {
        let age = row.map_or(Age::Forgotten, |row| self.rule.age(self.event(row), t));
        let status = self.status(place, row, age);
        let mut bytes = Vec::new();
        if let (Some(row), Some(rows), Status::Present | Status::OutsideTtl) = (row, &self.rows, status) {
            let feature = &self.features[place];
            if let Some(column) = rows.column_by_name(&feature.name)
                && (status == Status::Present || self.rule.include_expired)
            {
                let cell = value_at(column, feature.value_type, row as usize).map_or(asof_model::Cell::Null, Into::into);
                canonical::write_cell(&mut bytes, feature.value_type, &cell);
            }
        }
        (status, bytes)
    }

    fn ages(&self, winners: &[Option<u32>]) -> Vec<Age> {
        let age = |(winner, time): (&Option<u32>, &i64)| {
            winner.map_or(Age::Forgotten, |row| self.rule.age(self.event(row), instant(*time)))
        };
        winners.iter().zip(&self.times).map(age).collect()
    }

    fn event(&self, row: u32) -> Instant {
        let events = self.rows.as_ref().and_then(|rows| rows.column_by_name(EVENT));
        // `rows` has the event column wherever it has rows: `ViewJoin::payload` puts it there.
        events.map_or(Instant::MIN, |events| instant(events.as_primitive::<TimestampMicrosecondType>().value(row as usize)))
    }

    fn status(&self, place: usize, row: Option<u32>, age: Age) -> Status {
        let (Some(row), Some(rows), true) = (row, &self.rows, age != Age::Forgotten) else { return Status::Missing };
        let carried = self.units.facts(self.row_units[row as usize]).features;
        if self.positions[place] >= carried {
            return Status::Missing;
        }
        if age == Age::Expired {
            return Status::OutsideTtl;
        }
        let feature = &self.features[place];
        let error = rows.column_by_name(ERRORS).is_some_and(|errors| has_error(errors, row as usize, &feature.name));
        if error {
            return Status::Error;
        }
        match rows.column_by_name(&feature.name) {
            Some(column) if column.is_valid(row as usize) => Status::Present,
            _ => Status::Null,
        }
    }

    fn column(&self, place: usize, winners: &[Option<u32>], ages: &[Age]) -> Result<FeatureColumn, EngineError> {
        let feature = self.features[place].clone();
        let statuses: Vec<Status> =
            winners.iter().zip(ages).map(|(winner, age)| self.status(place, *winner, *age)).collect();
        let shown = |status: Status| match status {
            Status::Present => true,
            Status::OutsideTtl => self.rule.include_expired,
            Status::Null | Status::Missing | Status::Error => false,
        };
        let source = self.rows.as_ref().and_then(|rows| rows.column_by_name(&feature.name));
        let values = match source {
            Some(source) => {
                let rows = winners.iter().zip(&statuses).map(|(winner, status)| winner.filter(|_| shown(*status)));
                take(source, &rows.collect::<UInt32Array>(), None)?
            }
            None => arrow::array::new_null_array(&arrow_type(feature.value_type), winners.len()),
        };
        let values = match &feature.default {
            Some(text) if statuses.iter().any(|status| !shown(*status)) => {
                // The text was made from a value of this type when the definition was read.
                let default = entry::from_text(text, feature.value_type, &Zone::utc()).ok();
                let keep: BooleanArray = statuses.iter().map(|status| Some(shown(*status))).collect();
                let default = constant(feature.value_type, default.as_ref(), 1);
                zip(&keep, &values, &arrow::array::Scalar::new(default))?
            }
            _ => values,
        };
        Ok(FeatureColumn { feature, values, statuses })
    }
}
