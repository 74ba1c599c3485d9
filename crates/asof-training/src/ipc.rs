//! Record batches as bytes, and back: what goes to scratch and comes from there.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;

/// Appends a batch.
///
/// # Errors
/// A column that has no such form: a defect of ours.
pub(crate) fn write(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let mut writer = StreamWriter::try_new(out, &batch.schema())?;
    writer.write(batch)?;
    writer.finish()
}

/// The batch in these bytes.
///
/// # Errors
/// Bytes that are no batch: they were not written here.
pub(crate) fn read(bytes: &[u8]) -> Result<RecordBatch, ArrowError> {
    let mut batches = StreamReader::try_new(Cursor::new(bytes), None)?;
    batches.next().unwrap_or_else(|| Err(ArrowError::IpcError("there is no batch".to_owned())))
}
