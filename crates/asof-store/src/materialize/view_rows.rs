//! The rows of one view version: how they stand in history, and how the online store takes them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::{FieldRef, Schema, SchemaRef, TimestampMicrosecondType};
use asof_engine::columns::{CREATED, ERRORS, EVENT, KeyColumns, UNIT, cells_at, history_schema};
use asof_model::plan::Catalog;
use asof_model::spec::{Feature, JoinKey, Repeats, View};
use asof_model::{Duration, Instant, ValueType, ViewId, hash};
use asof_online::{EventRule, IncomingRow, RowLayout};

use crate::StoreError;

/// What the rows of a view version are.
pub struct ViewRows {
    pub id: ViewId,
    /// The view in words.
    pub name: String,
    /// What its rows hold.
    pub stored: Vec<Feature>,
    keys: Vec<JoinKey>,
    /// The history table's name.
    pub table_name: String,
    /// The hash of how its rows are read, as it is applied.
    pub semantic_hash: String,
    /// Whether the source names a created column.
    pub created_declared: bool,
    pub active_within: Option<Duration>,
    /// How its events are kept; `None`: it carries values.
    pub events: Option<EventRule>,
    pub schema: SchemaRef,
    /// The codec of its rows.
    pub layout: RowLayout,
}

impl ViewRows {
    /// Those of a view as it was applied.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a view that the registry has no record of.
    pub fn new(catalog: &Catalog, view: &View) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt(format!("the registry has no record of view `{}`", view.id));
        let record = catalog.views.get(&view.id).ok_or_else(corrupt)?;
        let table_name = catalog.table_name(&view.id).ok_or_else(corrupt)?;
        let keys = catalog.definitions.join_keys(view);
        let stored = view.stored();
        let schema = history_schema(&keys, &stored);
        let source = catalog.definitions.sources.get(&view.source);
        let types: Vec<ValueType> = stored.iter().map(|feature| feature.value_type).collect();
        Ok(Self {
            id: view.id.clone(),
            name: view.id.to_string(),
            stored: stored.into_owned(),
            keys,
            table_name,
            semantic_hash: match view.aggregates() {
                true => hash::reading_hash(view, &catalog.definitions),
                false => record.semantic_hash.clone(),
            },
            created_declared: source.is_some_and(|source| source.created.is_some()),
            active_within: view.active_within,
            events: view.aggregates().then(|| {
                let identity = view.inputs.iter().position(|input| input.identity);
                let withdrawal = view.inputs.iter().position(|input| input.withdrawal);
                let remembers = identity.and(source).map(|source| source.repeats);
                // Which version of an event stands is decided before its instant counts, so all of them are kept.
                let retention = view.retained().filter(|_| remembers != Some(Repeats::Replace));
                EventRule { retention, identity, withdrawal, remembers, pushed: false }
            }),
            schema,
            layout: RowLayout::new(&types),
        })
    }

    /// Its join keys.
    pub fn keys(&self) -> &[JoinKey] {
        &self.keys
    }

    /// Whether its events have an identity, by which what arrives is judged.
    pub fn judges(&self) -> bool {
        self.events.is_some_and(|rule| rule.remembers.is_some())
    }

    /// Whether its rows are events, which count each for itself.
    pub fn holds_events(&self) -> bool {
        self.events.is_some()
    }

    /// The keys of history rows.
    pub fn key_columns<'b>(&self, rows: &'b RecordBatch) -> Result<KeyColumns<'b>, StoreError> {
        let keys = self.keys.iter().map(|key| Ok((column(rows, &key.name)?, key.value_type)));
        Ok(KeyColumns::new(keys.collect::<Result<Vec<_>, StoreError>>()?))
    }

    /// Admitted rows as history keeps them: with the name of their unit.
    pub fn history_rows(&self, admitted: &RecordBatch, unit: &str) -> Result<RecordBatch, StoreError> {
        let units: ArrayRef = Arc::new(StringArray::from(vec![unit; admitted.num_rows()]));
        let column = |name: &String| match name.as_str() {
            UNIT => Ok(units.clone()),
            name => column(admitted, name).cloned(),
        };
        let columns =
            self.schema.fields().iter().map(|field| column(field.name())).collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new(self.schema.clone(), columns).map_err(asof_engine::EngineError::from)?)
    }

    /// Admitted rows that carry only so many features of all that are stored; the others are null.
    pub fn carrying(&self, admitted: &RecordBatch, features: usize) -> Result<RecordBatch, StoreError> {
        if features >= self.stored.len() {
            return Ok(admitted.clone());
        }
        let stored = |name: &str| self.stored.iter().position(|feature| feature.name == name);
        let column_of = |field: &FieldRef| match stored(field.name()) {
            Some(place) if place >= features => Ok(new_null_array(field.data_type(), admitted.num_rows())),
            _ => column(admitted, field.name()).cloned(),
        };
        let fields: Vec<FieldRef> =
            self.schema.fields().iter().filter(|field| field.name() != UNIT).cloned().collect();
        let columns = fields.iter().map(column_of).collect::<Result<Vec<_>, _>>()?;
        let fields: Vec<FieldRef> =
            fields.iter().map(|field| Arc::new(field.as_ref().clone().with_nullable(true))).collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(RecordBatch::try_new(schema, columns).map_err(asof_engine::EngineError::from)?)
    }

    /// History rows as the online store takes them. `features`: how many, in order of addition, the rows carry.
    pub fn incoming_rows(
        &self,
        rows: &RecordBatch,
        features: usize,
        out: &mut Vec<IncomingRow>,
    ) -> Result<(), StoreError> {
        let keys = self.key_columns(rows)?;
        let events = column(rows, EVENT)?.as_primitive::<TimestampMicrosecondType>().values();
        let createds = column(rows, CREATED)?.as_primitive::<TimestampMicrosecondType>().values();
        let errors = column(rows, ERRORS)?;
        let carried = &self.stored[..features.min(self.stored.len())];
        let columns: Vec<ArrayRef> =
            carried.iter().map(|each| column(rows, &each.name).cloned()).collect::<Result<_, _>>()?;
        for row in 0..rows.num_rows() {
            let mut key = Vec::new();
            if !keys.encode(row, &mut key) {
                let unit = self.table_name.clone();
                return Err(StoreError::Corrupt(format!("history table `{unit}` has a row without a key")));
            }
            out.push(IncomingRow {
                key,
                event: Instant::from_micros_clamped(events[row]),
                created: Instant::from_micros_clamped(createds[row]),
                row: self.layout.encode(&cells_at(&columns, errors.as_ref(), carried, row)),
            });
        }
        Ok(())
    }
}

pub(super) fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, StoreError> {
    rows.column_by_name(name)
        .ok_or_else(|| StoreError::Corrupt(format!("history rows have no column `{name}`")))
}
