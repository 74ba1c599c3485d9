//! One CSV file: ranges become text on all threads, and are written in order.

use std::io::{self, Write};

use arrow::array::ArrayRef;
use parking_lot::Mutex;

use super::ordered::Ordered;
use super::parquet_file::{Counters, Failed, merge};
use super::rows::Rows;
use super::texts::{self, ColumnText};
use crate::{TrainingError, pool};

/// Writes all rows.
///
/// # Errors
/// [`EngineError::Io`](asof_engine::EngineError::Io); those of labels and of scratch.
pub(crate) fn write<W: Write + Send>(
    rows: &Rows<'_, '_>,
    mut sink: W,
    threads: usize,
    failed: &Failed<'_>,
) -> Result<(W, Counters), TrainingError> {
    let names = rows.schema.fields().iter().map(|field| field.name().as_str());
    let mut header = csv::Writer::from_writer(Vec::new());
    header.write_record(names).map_err(|error| failed(plain(error)))?;
    let header = header.into_inner().map_err(|error| failed(error.into_error()))?;
    sink.write_all(&header).map_err(failed)?;
    let file = Ordered::new(sink);
    let ranges = rows.joined.ranges();
    let counters: Mutex<Vec<Option<Counters>>> = Mutex::new((0..ranges).map(|_| None).collect());
    pool::each(threads, ranges, |number| {
        rows.check()?;
        let range = rows.range(number)?;
        let columns: Vec<ArrayRef> =
            (0..rows.columns()).map(|column| rows.column(&range, column)).collect::<Result<_, _>>()?;
        if let Some(place) = counters.lock().get_mut(number) {
            *place = Some(rows.counted(&range, &columns));
        }
        let text = text(rows, failed, &columns, range.labels.num_rows())?;
        file.bring(number, text, |file, text| Ok(file.write_all(&text).map_err(failed)?))?;
        rows.done(range.labels.num_rows());
        Ok(())
    })?;
    let mut all = rows.counters();
    for range in counters.into_inner().into_iter().flatten() {
        merge(&mut all, range);
    }
    Ok((file.into_sink(), all))
}

/// Rows as text.
fn text(
    rows: &Rows<'_, '_>,
    failed: &Failed<'_>,
    columns: &[ArrayRef],
    count: usize,
) -> Result<Vec<u8>, TrainingError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let shown = texts::shown(rows, columns);
    let texts: Vec<ColumnText<'_>> =
        (0..columns.len()).map(|column| ColumnText::new(rows, &shown, column)).collect::<Result<_, _>>()?;
    let mut record: Vec<String> = Vec::new();
    for row in 0..count {
        record.clear();
        for text in &texts {
            record.push(text.at(row)?.unwrap_or_default());
        }
        writer.write_record(&record).map_err(|error| failed(plain(error)))?;
    }
    Ok(writer.into_inner().map_err(|error| failed(error.into_error()))?)
}

fn plain(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
