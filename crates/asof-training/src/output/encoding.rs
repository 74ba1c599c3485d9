//! How columns are laid out in a Parquet file.

use arrow::array::ArrayRef;
use asof_parquet::layout::repeats;
use parquet::basic::{BrotliLevel, Compression as Codec, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::spec::{Compression, ParquetOptions};

/// The properties of a file whose first rows hold these columns: a column whose values repeat gets a dictionary, others
/// don't, since to look each value up costs more than to write it. What is decided depends on the rows alone.
///
/// # Errors
/// A level that a codec does not have.
pub(crate) fn properties(
    options: &ParquetOptions,
    first: &[(&str, ArrayRef)],
) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(codec(options.compression)?)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for (name, _) in first.iter().filter(|(_, values)| !repeats(values)) {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from((*name).to_owned()), false);
    }
    Ok(properties.build())
}

fn codec(compression: Compression) -> Result<Codec, ParquetError> {
    Ok(match compression {
        Compression::None => Codec::UNCOMPRESSED,
        Compression::Snappy => Codec::SNAPPY,
        Compression::Lz4 => Codec::LZ4_RAW,
        Compression::Zstandard(level) => Codec::ZSTD(ZstdLevel::try_new(level.into())?),
        Compression::Gzip(level) => Codec::GZIP(GzipLevel::try_new(level.into())?),
        Compression::Brotli(level) => Codec::BROTLI(BrotliLevel::try_new(level.into())?),
    })
}
