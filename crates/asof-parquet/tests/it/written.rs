//! Files to read, in every form that a writer may choose.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int8Array, Int32Array,
    Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use asof_parquet::{Chunks, ParquetFile};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;
use proptest::sample::select;

/// How a file is written.
#[derive(Debug, Clone)]
pub struct Form {
    pub rows: usize,
    pub nulls: bool,
    group_rows: usize,
    page_rows: usize,
    dictionary: bool,
    dictionary_bytes: usize,
    second_version: bool,
    compression: Compression,
    delta: bool,
    index: bool,
    bloom: bool,
    /// Rows ascend by their key.
    sorted: bool,
    seed: u64,
}

pub fn any_form() -> impl Strategy<Value = Form> {
    let compressions = vec![
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::try_new(1).unwrap()),
    ];
    let shape = (
        0_usize..400,
        any::<bool>(),
        select(vec![7_usize, 100, 1_000]),
        select(vec![1_usize, 10, 64, 1_000]),
    );
    let encoding = (
        any::<bool>(),
        select(vec![20_usize, 200, 1 << 20]),
        any::<bool>(),
        select(compressions),
        any::<bool>(),
    );
    (shape, encoding, any::<bool>(), any::<bool>(), any::<bool>(), any::<u64>()).prop_map(
        |(
            (rows, nulls, group_rows, page_rows),
            (dictionary, dictionary_bytes, second_version, compression, delta),
            index,
            bloom,
            sorted,
            seed,
        )| {
            Form {
                rows,
                nulls,
                group_rows,
                page_rows,
                dictionary,
                dictionary_bytes,
                second_version,
                compression,
                delta,
                index,
                bloom,
                sorted,
                seed,
            }
        },
    )
}

/// Numbers that look random and are the same each time.
fn numbers(form: &Form, column: u64) -> impl Iterator<Item = Option<u64>> {
    let (nulls, mut state) = (form.nulls, form.seed ^ column.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..form.rows).map(move |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = state >> 33;
        (!nulls || !number.is_multiple_of(5)).then_some(number / 5)
    })
}

/// A table with a column of every kind; `key` and `name` are keys, `time` ascends roughly.
pub fn table(form: &Form) -> RecordBatch {
    let of = |column| numbers(form, column);
    let few = |column| of(column).map(|number| number.map(|number| number % 7));
    let mut keys: Vec<Option<i64>> =
        of(1).map(|number| number.map(|number| number as i64 % 50 - 10)).collect();
    let mut names: Vec<Option<String>> =
        of(2).map(|number| number.map(|number| format!("n{}", number % 30))).collect();
    if form.sorted {
        keys.sort();
        names.sort();
    }
    let texts: StringArray =
        few(3).map(|number| number.map(|number| "text".repeat(number as usize))).collect();
    let texts: ArrayRef = Arc::new(texts);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let times: TimestampMicrosecondArray =
        (0..form.rows as i64).map(|row| Some(row / 3 * 1_000_000)).collect();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for number in few(4) {
        match number {
            Some(number) => lists.append_value((0..number).map(|each| Some(each.to_string()))),
            None => lists.append_null(),
        }
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", Arc::new(Int64Array::from(keys))),
        ("name", Arc::new(StringArray::from(names))),
        ("time", Arc::new(times.with_timezone("UTC"))),
        ("local", Arc::new(few(5).map(|n| n.map(|n| n as i64)).collect::<TimestampNanosecondArray>())),
        ("int32", Arc::new(of(6).map(|n| n.map(|n| n as i32)).collect::<Int32Array>())),
        ("int8", Arc::new(few(7).map(|n| n.map(|n| n as i8 - 3)).collect::<Int8Array>())),
        ("uint64", Arc::new(of(8).map(|n| n.map(|n| u64::MAX - n)).collect::<UInt64Array>())),
        ("float32", Arc::new(of(9).map(|n| n.map(|n| n as f32)).collect::<Float32Array>())),
        ("float64", Arc::new(few(10).map(|n| n.map(|n| n as f64 / 3.0)).collect::<Float64Array>())),
        ("bool", Arc::new(few(11).map(|n| n.map(|n| n > 3)).collect::<BooleanArray>())),
        ("date", Arc::new(few(12).map(|n| n.map(|n| n as i32)).collect::<Date32Array>())),
        ("bytes", Arc::new(of(13).map(|n| n.map(u64::to_le_bytes)).collect::<BinaryArray>())),
        ("text", texts.clone()),
        ("words", cast(&texts, &dictionary).unwrap()),
        ("views", cast(&texts, &DataType::Utf8View).unwrap()),
        ("large", cast(&texts, &DataType::LargeUtf8).unwrap()),
        (
            "decimal",
            cast(&few(14).map(|n| n.map(|n| n as i64)).collect::<Int64Array>(), &DataType::Decimal128(20, 3))
                .unwrap(),
        ),
        ("list", Arc::new(lists.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, form.nulls || name == "list")),
    )
    .unwrap()
}

/// The bytes of a file with the table in this form.
pub fn write(form: &Form, table: &RecordBatch) -> Vec<u8> {
    let version = if form.second_version { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
    let mut properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_compression(form.compression)
        .set_dictionary_enabled(form.dictionary)
        .set_dictionary_page_size_limit(form.dictionary_bytes)
        .set_max_row_group_row_count(Some(form.group_rows))
        .set_data_page_row_count_limit(form.page_rows)
        .set_write_batch_size(form.page_rows.min(16))
        .set_offset_index_disabled(!form.index)
        .set_statistics_enabled(if form.index { EnabledStatistics::Page } else { EnabledStatistics::Chunk })
        .set_bloom_filter_enabled(form.bloom);
    if form.delta {
        for (name, encoding) in
            [("int32", Encoding::DELTA_BINARY_PACKED), ("text", Encoding::DELTA_BYTE_ARRAY)]
        {
            let path = ColumnPath::from(name);
            properties = properties.set_column_dictionary_enabled(path.clone(), false);
            properties = properties.set_column_encoding(path, encoding);
        }
    }
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, table.schema(), Some(properties.build())).unwrap();
    writer.write(table).unwrap();
    writer.close().unwrap();
    bytes
}

pub fn open(bytes: &[u8]) -> ParquetFile {
    use std::io::Write;
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    ParquetFile::open(Chunks::local(file).unwrap()).unwrap()
}

/// Each row group as the library reads it.
pub fn plainly(bytes: &[u8]) -> Vec<RecordBatch> {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let builder = || ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).unwrap();
    let groups = builder().metadata().num_row_groups();
    let read = |group| {
        let builder = builder().with_row_groups(vec![group]);
        let schema = builder.schema().clone();
        let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
        arrow::compute::concat_batches(&schema, &batches).unwrap()
    };
    (0..groups).map(read).collect()
}
