//! Answers as Arrow tables, for requests of many entity rows.
//!
//! The answer is one record batch in Arrow's IPC stream format: a row for each entity row, with the key columns, the request columns that are read, the
//! features under the names and types that training files have, for each view `__event_<prefix>` with the event instants
//! of the rows met, and, where they are asked for, the statuses as `<feature>__status`. The schema's metadata carry `t` and
//! the positions.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use asof_arrow::{ColumnBuilder, arrow_type};
use asof_model::{Cell, Instant, Status, Value, ValueType};
use asof_store::StoreError;
use asof_store::get::{Answer, CellRef, GetRequest, OpenAnswer, ValueRef};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::serving::Planned;

/// Its media type.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.apache.arrow.stream";

/// Whether a client asks for a table.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.split(',').any(|each| each.trim().starts_with(MEDIA_TYPE)))
}

/// An answer as a table. `statuses`: whether it has columns of statuses.
///
/// # Errors
/// A damaged row; columns of one name.
pub(crate) fn respond(
    plan: &Planned,
    request: &GetRequest,
    (answer, open): (&Answer, &OpenAnswer<'_>),
    statuses: bool,
) -> Result<Response, StoreError> {
    let bytes = stream(plan, request, (answer, open), statuses)?;
    let form = HeaderValue::from_static(MEDIA_TYPE);
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, form)], bytes).into_response())
}

fn stream(
    plan: &Planned,
    request: &GetRequest,
    (answer, open): (&Answer, &OpenAnswer<'_>),
    statuses: bool,
) -> Result<Vec<u8>, StoreError> {
    let rows = answer.rows();
    let requested = &plan.online.plan;
    let mut tally = plan.tally();
    let mut columns: Vec<(Field, ArrayRef)> = Vec::new();
    let mut add =
        |name: String, of: DataType, array: ArrayRef| columns.push((Field::new(name, of, true), array));
    for (name, value_type) in &requested.key_columns {
        let mut builder = ColumnBuilder::new(*value_type, rows);
        request.entities.get(name).into_iter().flatten().for_each(|value| builder.append(value.as_ref()));
        add(name.clone(), arrow_type(*value_type), builder.finish());
    }
    let is_key = |name: &String| requested.key_columns.iter().any(|(key, _)| key == name);
    for column in requested.on_demand.request.iter().filter(|column| !is_key(&column.name)) {
        let mut builder = ColumnBuilder::new(column.value_type, rows);
        request
            .fields
            .get(&column.name)
            .into_iter()
            .flatten()
            .for_each(|value| builder.append(value.as_ref()));
        add(column.name.clone(), arrow_type(column.value_type), builder.finish());
    }
    let mut judged: Vec<Status> = Vec::with_capacity(rows);
    let mut events: Vec<Vec<Option<Instant>>> = vec![Vec::new(); requested.joins.len()];
    for (place, column) in requested.columns.iter().enumerate() {
        let value_type = requested.feature(column).value_type;
        let mut builder = ColumnBuilder::new(value_type, rows);
        let values = open.column(place);
        let mut events =
            column.stored().map(|(join, _)| &mut events[join]).filter(|events| events.is_empty());
        judged.clear();
        values.each(rows, |cell| {
            append(&mut builder, cell.value);
            judged.push(cell.status);
            if let Some(events) = &mut events {
                events.push(cell.event);
            }
        })?;
        tally.add(column, &judged);
        add(column.name.clone(), arrow_type(value_type), builder.finish());
        if statuses {
            let mut text = StringBuilder::with_capacity(rows, rows * 8);
            judged.iter().for_each(|status| text.append_value(status.as_str()));
            add(format!("{}__status", column.name), DataType::Utf8, Arc::new(text.finish()));
        }
    }
    // Views that only features on demand read have none.
    for (join, events) in requested.joins.iter().zip(&events).filter(|(_, events)| events.len() == rows) {
        let mut builder = ColumnBuilder::new(ValueType::Timestamp, rows);
        events.iter().for_each(|event| builder.append(event.map(Value::Timestamp).as_ref()));
        add(format!("__event_{}", join.prefix), arrow_type(ValueType::Timestamp), builder.finish());
    }
    plan.count(rows, &tally);
    let mut metadata = HashMap::from([("t".to_owned(), answer.t.to_string())]);
    let positions = plan.online.positions(&answer.positions);
    metadata.extend(positions.iter().map(|(view, at)| (format!("position:{view}"), at.to_string())));
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().unzip();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let bytes = RecordBatch::try_new(schema.clone(), arrays).and_then(|batch| {
        let mut writer = StreamWriter::try_new(Vec::with_capacity(rows * 512), &schema)?;
        writer.write(&batch)?;
        writer.finish()?;
        writer.into_inner()
    });
    bytes.map_err(|error: ArrowError| StoreError::Corrupt(format!("an answer is no table: {error}")))
}

#[inline(always)]
fn append(builder: &mut ColumnBuilder, value: Option<ValueRef<'_>>) {
    match value {
        None => builder.append(None),
        Some(ValueRef::Held(value)) => builder.append(Some(value)),
        Some(ValueRef::Stored(CellRef::String(text) | CellRef::Json(text))) => builder.append_text(text),
        Some(ValueRef::Stored(CellRef::Int64(value))) => builder.append_int64(value),
        Some(ValueRef::Stored(CellRef::Float64(value))) => builder.append_float64(value),
        Some(ValueRef::Stored(cell)) => match cell.to_cell() {
            Cell::Value(value) => builder.append(Some(&value)),
            Cell::Null | Cell::Error => builder.append(None),
        },
    }
}
