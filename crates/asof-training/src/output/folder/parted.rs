//! Rows sorted by the folders that they go to: first all are put aside by folder, in order, then each folder is written,
//! several at a time. What is in memory at a time has a bound that does not show in the files.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::place::FolderPlace;
use super::routes::{FOLDERS_MAX, Routes};
use super::{WrittenFile, WrittenFolder, file_name};
use crate::buckets::{Buckets, Record};
use crate::output::ordered::Ordered;
use crate::output::parquet_file::{Counters, ParquetFiles, merge, refused};
use crate::output::place::Sink;
use crate::output::rows::Rows;
use crate::output::spec::FolderOptions;
use crate::scratch::Scratch;
use crate::{TrainingError, ipc, pool};

/// Writes all rows.
///
/// # Errors
/// Those of [`super::write`].
pub(super) fn write(
    rows: &Rows<'_, '_>,
    options: &FolderOptions,
    place: &FolderPlace<'_>,
    scratch: &Scratch,
    threads: usize,
) -> Result<WrittenFolder, TrainingError> {
    let failed = |error| place.failed(error);
    let parquet = ParquetFiles::new(rows, &options.parquet, &failed)?;
    let routes = Routes::new(rows, options)?;
    let in_files = routes.in_files(rows.columns());
    // What labels took is free by now.
    let buckets = Buckets::new(scratch, FOLDERS_MAX, rows.joined.memory.slots());
    let counters = put_aside(rows, &parquet, &routes, &in_files, &buckets, threads)?;
    // In order of their names, whatever order they came up in.
    let folders: BTreeMap<String, usize> =
        routes.folders().into_iter().enumerate().map(|(number, folder)| (folder, number)).collect();
    let folders: Vec<(String, usize)> = folders.into_iter().collect();
    let properties = parquet.properties().clone().into_builder();
    let writing = Writing {
        rows,
        place,
        schema: Arc::new(rows.schema.project(&in_files)?),
        properties: properties.set_max_row_group_row_count(Some(options.parquet.row_group_rows)).build(),
        file_rows: options.file_rows.unwrap_or(u64::MAX).max(1),
    };
    let files: Vec<Mutex<Vec<WrittenFile>>> = folders.iter().map(|_| Mutex::default()).collect();
    pool::each(threads, folders.len(), |at| {
        let (folder, bucket) = &folders[at];
        *files[at].lock() = writing.folder(folder, &buckets, *bucket)?;
        Ok(())
    })?;
    let mut files: Vec<WrittenFile> = files.into_iter().flat_map(Mutex::into_inner).collect();
    if files.is_empty() {
        // No rows make a file too: it has their columns.
        let path = file_name(0);
        let (_, bytes) = writing.open(&path)?.complete(&writing)?;
        files.push(WrittenFile { path, rows: 0, bytes });
    }
    Ok(WrittenFolder { files, counters })
}

/// Puts all rows into the buckets of their folders.
fn put_aside(
    rows: &Rows<'_, '_>,
    parquet: &ParquetFiles<'_, '_, '_>,
    routes: &Routes<'_>,
    in_files: &[usize],
    buckets: &Buckets<'_>,
    threads: usize,
) -> Result<Counters, TrainingError> {
    let ranges = rows.joined.ranges();
    let counters: Mutex<Vec<Option<Counters>>> = Mutex::new((0..ranges).map(|_| None).collect());
    let ordered = Ordered::new(());
    pool::each(threads, ranges, |number| {
        rows.check()?;
        let range = parquet.range(number)?;
        let count = range.labels.num_rows();
        let columns: Vec<ArrayRef> =
            (0..rows.columns()).map(|column| rows.column(&range, column)).collect::<Result<_, _>>()?;
        if let Some(place) = counters.lock().get_mut(number) {
            *place = Some(rows.counted(&range, &columns));
        }
        let mut by_folder: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (row, folder) in routes.of(rows, &columns, count)?.into_iter().enumerate() {
            by_folder.entry(folder).or_default().push(row as u32);
        }
        let all = RecordBatch::try_new(rows.schema.clone(), columns)?.project(in_files)?;
        let mut records = Vec::with_capacity(by_folder.len());
        for (folder, rows) in by_folder {
            let some = take_record_batch(&all, &UInt32Array::from(rows))?;
            let mut encoded = Vec::new();
            ipc::write(&some, &mut encoded)?;
            let mut record = (encoded.len() as u32).to_le_bytes().to_vec();
            record.extend(encoded);
            records.push((folder as usize, record));
        }
        // One after the other, so that those of a folder are in the order of the labels.
        ordered.bring(number, records, |(), records| {
            records.into_iter().try_for_each(|(folder, record)| buckets.append(folder, &record, 1))
        })?;
        rows.done(count);
        Ok(())
    })?;
    let mut all = rows.counters();
    for range in counters.into_inner().into_iter().flatten() {
        merge(&mut all, range);
    }
    Ok(all)
}

/// How the files of all folders are written.
struct Writing<'w, 'r, 'a> {
    rows: &'w Rows<'r, 'a>,
    place: &'w FolderPlace<'w>,
    schema: SchemaRef,
    properties: WriterProperties,
    file_rows: u64,
}

/// A file under way.
struct Open {
    writer: ArrowWriter<Sink>,
    rows: u64,
}

impl Writing<'_, '_, '_> {
    /// Writes the files of a folder.
    fn folder(
        &self,
        folder: &str,
        buckets: &Buckets<'_>,
        bucket: usize,
    ) -> Result<Vec<WrittenFile>, TrainingError> {
        let mut files: Vec<WrittenFile> = Vec::new();
        let mut open: Option<Open> = None;
        let path = |number: usize| format!("{folder}{}", file_name(number));
        let close = |open: Open, files: &mut Vec<WrittenFile>| {
            let path = path(files.len());
            let (rows, bytes) = open.complete(self)?;
            files.push(WrittenFile { path, rows, bytes });
            Ok::<(), TrainingError>(())
        };
        buckets.drain(bucket, |block| {
            let mut record = Record(block);
            while !record.is_empty() {
                self.rows.check()?;
                let length = record.u32() as usize;
                let batch = ipc::read(record.bytes(length))?;
                let mut start = 0;
                while start < batch.num_rows() {
                    let file = match &mut open {
                        Some(file) => file,
                        None => open.insert(self.open(&path(files.len()))?),
                    };
                    let left = usize::try_from(self.file_rows - file.rows).unwrap_or(usize::MAX);
                    let some = batch.slice(start, left.min(batch.num_rows() - start));
                    file.writer.write(&some).map_err(|error| self.failed(error))?;
                    file.rows += some.num_rows() as u64;
                    start += some.num_rows();
                    if file.rows == self.file_rows
                        && let Some(full) = open.take()
                    {
                        close(full, &mut files)?;
                    }
                }
            }
            Ok(())
        })?;
        if let Some(last) = open {
            close(last, &mut files)?;
        }
        Ok(files)
    }

    fn open(&self, path: &str) -> Result<Open, TrainingError> {
        let (schema, properties) = (self.schema.clone(), self.properties.clone());
        let writer = ArrowWriter::try_new(self.place.create(path)?, schema, Some(properties));
        Ok(Open { writer: writer.map_err(|error| self.failed(error))?, rows: 0 })
    }

    fn failed(&self, error: ParquetError) -> TrainingError {
        refused(&|error| self.place.failed(error), error)
    }
}

impl Open {
    /// Its rows and bytes.
    fn complete(self, writing: &Writing<'_, '_, '_>) -> Result<(u64, u64), TrainingError> {
        let sink = self.writer.into_inner().map_err(|error| writing.failed(error))?;
        let bytes = sink.complete().map_err(|error| writing.place.failed(error))?;
        Ok((self.rows, bytes))
    }
}
