//! Label rows that somebody makes, kept in scratch: a label table is read twice.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;

use crate::TrainingError;
use crate::error::io_below;
use crate::scratch::Scratch;

/// Writes rows into a Parquet file in `scratch`, which goes with it. Returns the file.
///
/// # Errors
/// Those of `rows`; [`TrainingError::Scratch`].
pub fn put_aside(
    schema: SchemaRef,
    rows: impl Iterator<Item = Result<RecordBatch, TrainingError>>,
    scratch: &Scratch,
) -> Result<PathBuf, TrainingError> {
    let folder = scratch.sub_folder()?;
    let path = folder.join("labels.parquet");
    let failed = |source: io::Error| TrainingError::Scratch { doing: "write", path: path.clone(), source };
    let broken = |error| failed(io_below(error));
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let file = File::create(&path).map_err(failed)?;
    let mut writer = ArrowWriter::try_new(file, schema, None).map_err(broken)?;
    for batch in rows {
        writer.write(&batch?).map_err(broken)?;
    }
    writer.close().map_err(broken)?;
    Ok(path)
}
