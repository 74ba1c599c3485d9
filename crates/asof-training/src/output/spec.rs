//! What is asked of an output.

use std::collections::HashMap;

use arrow::datatypes::Schema;
use asof_engine::EngineError;
use asof_model::entry::Reading;
use asof_model::{Location, ValueType};

use super::computed::{Computed, FeaturePlace};

/// Rows of a row group, unless it is said: a multiple of what is put together at a time.
pub const ROW_GROUP_ROWS: usize = 131_072;

/// An output.
pub struct OutputSpec {
    /// The file or folder.
    pub at: Location,
    /// What stands there.
    pub layout: Layout,
    /// The columns beside the labels', in order.
    pub columns: Vec<OutputColumn>,
    /// What is computed, where columns are.
    pub computed: Option<Computed>,
    /// Whether it is told what each column holds.
    pub statistics: bool,
}

/// How an output is laid out.
#[derive(Debug, Clone, PartialEq)]
pub enum Layout {
    /// One Parquet file.
    Parquet(ParquetOptions),
    /// One CSV file with a header.
    Csv,
    /// A folder of Parquet files.
    Folder(FolderOptions),
}

/// Which rows stand in which file of a folder. In each they are in the order of the labels.
#[derive(Debug, Clone, PartialEq)]
pub struct FolderOptions {
    /// How each file is laid out.
    pub parquet: ParquetOptions,
    /// Rows of a file, about: as many whole row groups as fit, one at least. `None`: no more files than there have to be.
    pub file_rows: Option<u64>,
    /// Columns whose values name folders, `column=value`, and stand in no file.
    pub partition_by: Vec<String>,
    /// What is set apart for validation.
    pub split: Option<Split>,
}

/// Which rows train, and which validate: folders `train` and `validation`.
#[derive(Debug, Clone, PartialEq)]
pub enum Split {
    /// Labels from an instant on validate.
    Time {
        /// The label column with the times.
        column: String,
        /// How they are read.
        reading: Reading,
        /// Microseconds since 1970.
        from: i64,
    },
    /// Keys with a hash in the upper part validate, with all of their labels.
    Keys {
        /// The label columns that make the key, and the types of their values.
        columns: Vec<(String, ValueType)>,
        /// How they are read.
        reading: Reading,
        /// The part of all keys that validates, from 0 to 1.
        share: f64,
    },
}

/// How a Parquet file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParquetOptions {
    /// How pages are packed.
    pub compression: Compression,
    /// The most rows of a row group.
    pub row_group_rows: usize,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self { compression: Compression::Snappy, row_group_rows: ROW_GROUP_ROWS }
    }
}

/// How pages are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// Snappy: quick, and read by everything.
    Snappy,
    /// LZ4, in its raw form.
    Lz4,
    /// Zstandard, at a level from 1 to 22.
    Zstandard(u8),
    /// gzip, at a level from 0 to 9.
    Gzip(u8),
    /// Brotli, at a level from 0 to 11.
    Brotli(u8),
}

impl Compression {
    /// Reads `zstd`, `zstd:9` and their like.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level.parse::<u8>().ok()?)),
            None => (text, None),
        };
        match (name, level) {
            ("none", None) => Some(Self::None),
            ("snappy", None) => Some(Self::Snappy),
            ("lz4", None) => Some(Self::Lz4),
            ("zstd", level @ (None | Some(1..=22))) => Some(Self::Zstandard(level.unwrap_or(3))),
            ("gzip", level @ (None | Some(0..=9))) => Some(Self::Gzip(level.unwrap_or(6))),
            ("brotli", level @ (None | Some(0..=11))) => Some(Self::Brotli(level.unwrap_or(4))),
            _ => None,
        }
    }
}

/// A column beside the labels.
#[derive(Debug, Clone)]
pub struct OutputColumn {
    /// Its name in the output.
    pub name: String,
    /// Where it comes from, for messages, such as "feature `city` of view `zipcode_features@1`".
    pub origin: String,
    /// What it is a column of.
    pub of: Of,
    /// The type of the feature.
    pub value_type: ValueType,
    /// What of it.
    pub what: What,
}

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// A feature of the join.
    Feature(FeaturePlace),
    /// The place among what [`Computed::by`] gives.
    Computed(usize),
}

/// What of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Its values.
    Values,
    /// Why they are what they are.
    Statuses,
}

/// Checks that every output column has a name of its own.
///
/// # Errors
/// [`EngineError::SameColumn`] names the column and where both come from.
pub fn check_names<'a>(
    labels: &Schema,
    columns: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), EngineError> {
    let mut seen: HashMap<String, String> =
        labels.fields().iter().map(|field| (field.name().clone(), "the label table".to_owned())).collect();
    for (name, origin) in columns {
        if let Some(first) = seen.insert(name.to_owned(), origin.to_owned()) {
            return Err(EngineError::SameColumn {
                column: name.to_owned(),
                first,
                second: origin.to_owned(),
            });
        }
    }
    Ok(())
}
