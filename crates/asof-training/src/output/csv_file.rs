//! One CSV file: ranges become text on all threads, and are written in order.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use asof_engine::columns::value_at;
use asof_engine::source::raw::{in_utc, normalise};
use asof_model::Value;
use asof_model::entry::to_text;
use parking_lot::Mutex;

use super::ordered::Ordered;
use super::place::Place;
use super::rows::Rows;
use super::statistics::{ColumnCounter, ColumnStatistics};
use crate::{TrainingError, pool};

/// Writes all rows.
///
/// # Errors
/// [`EngineError::Io`](asof_engine::EngineError::Io); those of labels and of scratch.
pub(crate) fn write(
    rows: &Rows<'_, '_>,
    place: &Place,
    threads: usize,
) -> Result<Vec<ColumnStatistics>, TrainingError> {
    let mut file = place.create()?;
    let names = rows.schema.fields().iter().map(|field| field.name().as_str());
    let mut header = csv::Writer::from_writer(Vec::new());
    header.write_record(names).map_err(|error| broken(place, error))?;
    let header = header.into_inner().map_err(|error| place.failed(error.into_error()))?;
    file.write_all(&header).map_err(|error| place.failed(error))?;
    let file = Ordered::new(file);
    let ranges = rows.joined.ranges();
    let counters: Mutex<Vec<Option<Vec<ColumnCounter>>>> = Mutex::new((0..ranges).map(|_| None).collect());
    pool::each(threads, ranges, |number| {
        rows.check()?;
        let range = rows.range(number)?;
        let columns: Vec<ArrayRef> =
            (0..rows.columns()).map(|column| rows.column(&range, column)).collect::<Result<_, _>>()?;
        let mut of_range = rows.counters();
        if rows.spec.statistics {
            of_range
                .iter_mut()
                .zip(&columns)
                .for_each(|(counter, values)| counter.add(values, &range.sampled));
        }
        if let Some(place) = counters.lock().get_mut(number) {
            *place = Some(of_range);
        }
        let text = text(rows, place, &columns, range.labels.num_rows())?;
        file.bring(number, text, |file, text| {
            Ok(file.write_all(&text).map_err(|error| place.failed(error))?)
        })?;
        rows.done(range.labels.num_rows());
        Ok(())
    })?;
    file.into_sink().sync_all().map_err(|error| place.failed(error))?;
    let mut counters = counters.into_inner().into_iter().flatten();
    let mut all = counters.next().unwrap_or_else(|| rows.counters());
    for range in counters {
        all.iter_mut().zip(range).for_each(|(all, range)| all.merge(range));
    }
    Ok(all.into_iter().zip(rows.schema.fields()).map(|(counter, field)| counter.told(field)).collect())
}

/// Rows as text.
fn text(
    rows: &Rows<'_, '_>,
    place: &Place,
    columns: &[ArrayRef],
    count: usize,
) -> Result<Vec<u8>, TrainingError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let options = FormatOptions::default().with_null("");
    let shown: Vec<ArrayRef> = columns[..rows.own].iter().map(as_features_are).collect();
    let formatters = shown
        .iter()
        .map(|array| ArrayFormatter::try_new(array.as_ref(), &options))
        .collect::<Result<Vec<_>, _>>()?;
    let mut record: Vec<String> = Vec::new();
    for row in 0..count {
        record.clear();
        for formatter in &formatters {
            record.push(formatter.value(row).try_to_string()?);
        }
        for (column, values) in columns.iter().enumerate().skip(rows.own) {
            let value = rows.value_type(column).and_then(|of| value_at(values, of, row));
            record.push(value.map_or_else(String::new, |value| to_text(&value)));
        }
        writer.write_record(&record).map_err(|error| broken(place, error))?;
    }
    Ok(writer.into_inner().map_err(|error| place.failed(error.into_error()))?)
}

/// A label column in a form whose text is that of a feature: instants in UTC, bytes as base64.
fn as_features_are(array: &ArrayRef) -> ArrayRef {
    match normalise(array) {
        Some(plain) if *plain.data_type() == DataType::Binary => {
            let texts = plain.as_binary::<i32>().iter();
            let texts = texts.map(|bytes| bytes.map(|bytes| to_text(&Value::Bytes(bytes.to_owned()))));
            Arc::new(texts.collect::<StringArray>())
        }
        Some(plain) if matches!(plain.data_type(), DataType::Timestamp(..)) => in_utc(&plain),
        _ => array.clone(),
    }
}

fn broken(place: &Place, error: csv::Error) -> TrainingError {
    let failed = match error.into_kind() {
        csv::ErrorKind::Io(error) => place.failed(error),
        kind => place.failed(std::io::Error::other(format!("{kind:?}"))),
    };
    failed.into()
}
