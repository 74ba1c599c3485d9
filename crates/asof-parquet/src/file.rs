//! The footer of a file: its columns, row groups and what is known of them.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::statistics::Statistics;
use parquet::schema::types::SchemaDescriptor;

use crate::chunks::Chunks;
use crate::error::{ParquetFailure, guarded};

/// What is read of a file's end in the hope that it holds the whole footer, in bytes.
const FOOTER_BYTES: usize = 64 * 1024;

/// A Parquet file whose footer was read. Cheap to clone.
#[derive(Clone)]
pub struct ParquetFile {
    chunks: Chunks,
    metadata: Arc<ParquetMetaData>,
    /// The columns as they come out.
    schema: SchemaRef,
    /// The columns as the writer had them, without what it noted beside them.
    noted: SchemaRef,
    /// The columns as the file's own types tell, without what a writer noted beside them.
    native: SchemaRef,
    /// For the decoder of the library, with texts and bytes as views: rows share what stands in the file once.
    decoder: ArrowReaderMetadata,
}

impl ParquetFile {
    /// Reads the footer.
    ///
    /// # Errors
    /// [`ParquetFailure`].
    pub fn open(chunks: Chunks) -> Result<Self, ParquetFailure> {
        guarded(|| Self::read_footer(chunks))
    }

    fn read_footer(chunks: Chunks) -> Result<Self, ParquetFailure> {
        let reader = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Skip)
            .with_prefetch_hint(Some(FOOTER_BYTES));
        let metadata = reader.parse_and_finish(&chunks).map_err(|error| chunks.explain(&error))?;
        Self::with_metadata(chunks, Arc::new(metadata))
    }

    fn with_metadata(chunks: Chunks, metadata: Arc<ParquetMetaData>) -> Result<Self, ParquetFailure> {
        let read = |options| {
            ArrowReaderMetadata::try_new(metadata.clone(), options).map_err(|error| chunks.explain(&error))
        };
        let noted = read(ArrowReaderOptions::new())?.schema().clone();
        let native = read(ArrowReaderOptions::new().with_skip_arrow_metadata(true))?.schema().clone();
        let fields = noted.fields();
        // Without the file's own notes: they describe that file, not what becomes of its rows.
        let schema = Arc::new(Schema::new(fields.iter().map(plain).collect::<Vec<_>>()));
        let views = Arc::new(Schema::new(schema.fields().iter().map(view).collect::<Vec<_>>()));
        let decoder = read(ArrowReaderOptions::new().with_schema(views))?;
        let noted = Arc::new(Schema::new(fields.clone()));
        Ok(Self { chunks, metadata, schema, noted, native, decoder })
    }

    /// Its columns, in order. Texts are Utf8 and bytes Binary, however the writer had them.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Its columns in the types that the writer noted, or that the file's own types tell.
    pub fn noted(&self) -> &SchemaRef {
        &self.noted
    }

    pub(crate) fn native(&self) -> &SchemaRef {
        &self.native
    }

    pub(crate) fn decoder(&self) -> &ArrowReaderMetadata {
        &self.decoder
    }

    /// The bytes.
    pub fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    /// How many row groups it has.
    pub fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// The rows of a row group.
    pub fn rows_of(&self, group: usize) -> usize {
        usize::try_from(self.group(group).num_rows()).unwrap_or(0)
    }

    /// The rows of the file.
    pub fn rows(&self) -> u64 {
        (0..self.groups()).map(|group| self.rows_of(group) as u64).sum()
    }

    /// The bytes that these columns take in a row group, as they are stored.
    pub fn stored_bytes(&self, group: usize, columns: &[usize]) -> u64 {
        let leaves = columns.iter().flat_map(|column| self.leaves(*column));
        let bytes =
            |leaf: usize| u64::try_from(self.group(group).column(leaf).compressed_size()).unwrap_or(0);
        leaves.map(bytes).sum()
    }

    /// Whether a column holds no value in a row group, as far as its statistics tell: nothing but nulls or, in a column of
    /// lists, empty lists.
    pub fn holds_no_value(&self, group: usize, column: usize) -> bool {
        let mut leaves = self.leaves(column).map(|leaf| self.chunk(group, leaf));
        leaves.all(|chunk| {
            let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
            nulls.is_some_and(|nulls| u64::try_from(chunk.num_values()) == Ok(nulls))
        })
    }

    /// The bytes that the footer takes in memory, about.
    pub fn footer_bytes(&self) -> usize {
        self.metadata.memory_size()
    }

    /// Reads what the file says of its pages, where it does and it was not read yet.
    ///
    /// # Errors
    /// [`ParquetFailure`].
    pub fn load_page_index(&mut self) -> Result<(), ParquetFailure> {
        let columns = self.metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
        let mut told = columns.map(|column| column.offset_index_offset().is_some());
        if self.metadata.offset_index().is_some() || !told.any(|told| told) {
            return Ok(());
        }
        let mut reader = ParquetMetaDataReader::new_with_metadata(self.metadata.as_ref().clone())
            .with_page_index_policy(PageIndexPolicy::Optional);
        let chunks = &self.chunks;
        let metadata = guarded(|| {
            reader.read_page_indexes(chunks).map_err(|error| chunks.explain(&error))?;
            reader.finish().map_err(|error| chunks.explain(&error))
        })?;
        *self = Self::with_metadata(self.chunks.clone(), Arc::new(metadata))?;
        Ok(())
    }

    /// The bloom filter of a flat column in a row group; `None` where there is none.
    ///
    /// # Errors
    /// [`ParquetFailure`].
    pub(crate) fn bloom_filter(&self, group: usize, column: usize) -> Result<Option<Sbbf>, ParquetFailure> {
        let Some(leaf) = self.flat_leaf(column) else { return Ok(None) };
        if self.group(group).column(leaf).bloom_filter_offset().is_none() {
            return Ok(None);
        }
        let chunks = &self.chunks;
        guarded(|| {
            let read = Sbbf::read_from_column_chunk(self.group(group).column(leaf), chunks);
            read.map_err(|error| chunks.explain(&error))
        })
    }

    pub(crate) fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    pub(crate) fn group(&self, group: usize) -> &RowGroupMetaData {
        self.metadata.row_group(group)
    }

    pub(crate) fn descriptor(&self) -> &SchemaDescriptor {
        self.metadata.file_metadata().schema_descr()
    }

    /// The leaves below a column.
    pub(crate) fn leaves(&self, column: usize) -> impl Iterator<Item = usize> {
        let descriptor = self.descriptor();
        (0..descriptor.num_columns()).filter(move |leaf| descriptor.get_column_root_idx(*leaf) == column)
    }

    /// The leaf that a column is. `None`: it is nested.
    pub(crate) fn flat_leaf(&self, column: usize) -> Option<usize> {
        let mut leaves = self.leaves(column);
        let leaf = leaves.next()?;
        let shape = self.descriptor().column(leaf);
        let flat = shape.max_rep_level() == 0 && shape.max_def_level() <= 1;
        (flat && leaves.next().is_none()).then_some(leaf)
    }

    pub(crate) fn chunk(&self, group: usize, leaf: usize) -> &ColumnChunkMetaData {
        self.group(group).column(leaf)
    }
}

/// A text or bytes column in its plain form.
fn plain(field: &FieldRef) -> FieldRef {
    let plain = match field.data_type() {
        DataType::Dictionary(_, of) => of.as_ref(),
        other => other,
    };
    let plain = match plain {
        DataType::LargeUtf8 | DataType::Utf8View | DataType::Utf8 => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::Binary => DataType::Binary,
        _ => return field.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(plain))
}

/// A text or bytes column as views.
fn view(field: &FieldRef) -> FieldRef {
    let view = match field.data_type() {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        _ => return field.clone(),
    };
    Arc::new(field.as_ref().clone().with_data_type(view))
}
