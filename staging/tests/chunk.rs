//! Parquet objects: what is written is read, and damage is found before a row of it is handed out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, i256};
use futures::TryStreamExt;
use proptest::prelude::*;
use tideway_staging::chunk::{ChunkReader, ChunkWriter, ChunkWriterOptions};
use tideway_staging::document::DataFile;
use tideway_staging::layout::TaskKeys;
use tideway_staging::{Bytes, Error, Path, Staging};

use common::{batch, noise, schema};

on_every_store!(
    a_small_chunk_comes_back,
    a_chunk_of_many_parts_comes_back,
    rows_can_be_passed_over,
    an_aborted_chunk_leaves_nothing,
    a_flipped_byte_is_found_before_its_row_group,
    a_truncated_object_is_named,
    a_missing_object_is_named,
    data_is_never_overwritten,
    an_empty_chunk_has_a_schema,
);

fn key(number: u32) -> Path {
    TaskKeys::new("t")
        .source("s")
        .chunk_data("d", "t", number, 1)
}

fn options(row_group_bytes: usize) -> ChunkWriterOptions {
    ChunkWriterOptions {
        row_group_bytes,
        metadata: vec![("tideway.table".to_owned(), "t".to_owned())],
        ..ChunkWriterOptions::default()
    }
}

async fn write(
    staging: &Staging,
    key: Path,
    schema: SchemaRef,
    options: ChunkWriterOptions,
    batches: &[RecordBatch],
) -> DataFile {
    let mut writer = ChunkWriter::create(staging, key, schema, options)
        .await
        .unwrap();
    for batch in batches {
        writer.write(batch).await.unwrap();
    }
    let file = writer.finish().await.unwrap();
    let mut at = 0;
    for block in file.row_groups.iter().chain([&file.footer]) {
        assert_eq!(block.offset, at, "blocks tile the object");
        at += block.len;
    }
    assert_eq!(at, file.size);
    file
}

async fn read(staging: &Staging, file: &DataFile, max_bytes: usize) -> Vec<RecordBatch> {
    let mut reader = ChunkReader::open(staging, file).await.unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch(max_bytes).await.unwrap() {
        assert!(batch.num_rows() > 0);
        batches.push(batch);
    }
    batches
}

fn joined(batches: &[RecordBatch]) -> RecordBatch {
    arrow::compute::concat_batches(&batches[0].schema(), batches).unwrap()
}

fn ids(batches: &[RecordBatch]) -> Vec<i64> {
    batches
        .iter()
        .flat_map(|batch| {
            let ids = batch.column(0).as_any().downcast_ref::<Int64Array>();
            ids.unwrap().values().to_vec()
        })
        .collect()
}

async fn a_small_chunk_comes_back(staging: &Staging) {
    let rows = batch(0, 100, 50);
    let file = write(
        staging,
        key(0),
        schema(),
        options(1 << 20),
        std::slice::from_ref(&rows),
    )
    .await;
    assert_eq!(file.rows, 100);
    assert_eq!(file.row_groups.len(), 1);
    assert_eq!(
        staging.head(&key(0)).await.unwrap().unwrap().size,
        file.size
    );
    let reader = ChunkReader::open(staging, &file).await.unwrap();
    assert_eq!(reader.schema(), schema());
    let own = ("tideway.table".to_owned(), "t".to_owned());
    assert_eq!(reader.metadata(), [own], "and no ARROW:schema");
    assert_eq!(joined(&read(staging, &file, 1000).await), rows);
}

async fn a_chunk_of_many_parts_comes_back(staging: &Staging) {
    // 20 MiB that do not compress: three parts and a rest, in row groups of 3 MiB.
    let batches: Vec<_> = (0..10).map(|n| batch(n * 20, 20, 100 << 10)).collect();
    let file = write(staging, key(0), schema(), options(3 << 20), &batches).await;
    assert!(file.size > 19 << 20, "{}", file.size);
    assert_eq!(file.rows, 200);
    let groups = file.row_groups.len();
    assert!((6..=10).contains(&groups), "{groups}");
    for block in &file.row_groups {
        assert!(block.len <= (3 << 20) + (1 << 20), "{block:?}");
    }
    let read = read(staging, &file, 1 << 20).await;
    for batch in &read {
        assert!(batch.num_rows() <= 11, "about 1 MiB: {}", batch.num_rows());
    }
    assert_eq!(joined(&read), joined(&batches));
}

async fn rows_can_be_passed_over(staging: &Staging) {
    let batches: Vec<_> = (0..10).map(|n| batch(n * 10, 10, 10 << 10)).collect();
    let file = write(staging, key(0), schema(), options(200 << 10), &batches).await;
    assert!(file.row_groups.len() >= 4);
    for skip in [0, 1, 9, 10, 19, 20, 21, 55, 99, 100] {
        let mut reader = ChunkReader::open(staging, &file).await.unwrap();
        reader.skip_rows(skip).await.unwrap();
        let mut found = Vec::new();
        while let Some(batch) = reader.next_batch(30 << 10).await.unwrap() {
            found.push(batch);
        }
        let expected: Vec<i64> = (skip as i64..100).collect();
        assert_eq!(ids(&found), expected, "after {skip}");
    }
    // In the middle of a row group, too.
    let mut reader = ChunkReader::open(staging, &file).await.unwrap();
    let first = reader.next_batch(30 << 10).await.unwrap().unwrap();
    let begun = first.num_rows() as i64;
    reader.skip_rows(5).await.unwrap();
    let next = reader.next_batch(30 << 10).await.unwrap().unwrap();
    assert_eq!(ids(&[next])[0], begun + 5);
    let error = reader.skip_rows(1000).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
}

async fn an_aborted_chunk_leaves_nothing(staging: &Staging) {
    for dropped in [false, true] {
        let mut writer = ChunkWriter::create(staging, key(0), schema(), options(1 << 20))
            .await
            .unwrap();
        writer.write(&batch(0, 100, 100 << 10)).await.unwrap();
        if dropped {
            drop(writer);
        } else {
            writer.abort().await;
        }
        let left: Vec<_> = staging.list(&Path::default()).try_collect().await.unwrap();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Puts the object back with a change.
async fn change(staging: &Staging, file: &DataFile, change: impl FnOnce(&mut Vec<u8>)) {
    let key = Path::parse(&file.key).unwrap();
    let mut bytes = staging.get_bytes(&key).await.unwrap().unwrap().to_vec();
    change(&mut bytes);
    staging.put_bytes(&key, Bytes::from(bytes)).await.unwrap();
}

async fn a_flipped_byte_is_found_before_its_row_group(staging: &Staging) {
    let batches: Vec<_> = (0..4).map(|n| batch(n * 10, 10, 10 << 10)).collect();
    let file = write(staging, key(0), schema(), options(100 << 10), &batches).await;
    assert!(file.row_groups.len() >= 3);
    let second = file.row_groups[1].clone();
    let at = usize::try_from(second.offset + second.len / 2).unwrap();
    change(staging, &file, |bytes| bytes[at] ^= 1).await;
    let mut reader = ChunkReader::open(staging, &file).await.unwrap();
    let mut rows = 0;
    let error = loop {
        match reader.next_batch(1000).await {
            Ok(Some(batch)) => rows += batch.num_rows() as u64,
            Ok(None) => panic!("the damage was not found"),
            Err(error) => break error,
        }
    };
    assert_eq!(
        rows, file.row_groups[0].rows,
        "not a row of the damaged one"
    );
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains(&file.key), "{error}");
    assert!(error.to_string().contains("staging verify"), "{error}");

    change(staging, &file, |bytes| {
        bytes[at] ^= 1;
        let last = bytes.len() - 20;
        bytes[last] ^= 1;
    })
    .await;
    let error = ChunkReader::open(staging, &file).await.err().unwrap();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
}

async fn a_truncated_object_is_named(staging: &Staging) {
    let file = write(
        staging,
        key(0),
        schema(),
        options(100 << 10),
        &[batch(0, 40, 10 << 10)],
    )
    .await;
    let whole = usize::try_from(file.size).unwrap();
    for left in [whole - 1, whole / 2, 10, 0] {
        change(staging, &file, |bytes| bytes.truncate(left)).await;
        let error = ChunkReader::open(staging, &file).await.err().unwrap();
        assert!(matches!(error, Error::Damaged { .. }), "{left}: {error:?}");
        assert!(error.to_string().contains(&file.key), "{error}");
        assert!(
            error.to_string().contains(&format!("{left} bytes")),
            "{error}"
        );
        assert!(!error.retryable());
    }
}

async fn a_missing_object_is_named(staging: &Staging) {
    let file = write(
        staging,
        key(0),
        schema(),
        options(1 << 20),
        &[batch(0, 1, 1)],
    )
    .await;
    staging.delete(&key(0)).await.unwrap();
    let error = ChunkReader::open(staging, &file).await.err().unwrap();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains(&file.key), "{error}");
    assert!(error.to_string().contains("marker"), "{error}");
}

async fn data_is_never_overwritten(staging: &Staging) {
    write(
        staging,
        key(0),
        schema(),
        options(1 << 20),
        &[batch(0, 1, 1)],
    )
    .await;
    let error = ChunkWriter::create(staging, key(0), schema(), options(1 << 20))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
}

async fn an_empty_chunk_has_a_schema(staging: &Staging) {
    let file = write(staging, key(0), schema(), options(1 << 20), &[]).await;
    assert_eq!((file.rows, file.row_groups.len()), (0, 0));
    let mut reader = ChunkReader::open(staging, &file).await.unwrap();
    assert_eq!(reader.schema(), schema());
    assert!(reader.next_batch(1000).await.unwrap().is_none());
}

#[tokio::test]
async fn values_of_very_unequal_size_share_a_chunk() {
    let staging = common::memory("unequal").await.unwrap();
    let sizes = [1, 5 << 20, 0, 3, 2 << 20, 1 << 10, 9 << 20, 7];
    let values = sizes
        .iter()
        .enumerate()
        .map(|(n, &size)| noise(n as i64, size));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..sizes.len() as i64)),
        Arc::new(BinaryArray::from_iter_values(values)),
    ];
    let rows = RecordBatch::try_new(schema(), columns).unwrap();
    let file = write(
        &staging,
        key(0),
        schema(),
        options(4 << 20),
        std::slice::from_ref(&rows),
    )
    .await;
    for block in &file.row_groups {
        let limit = 4 << 20;
        assert!(block.len <= limit * 3 / 2 || block.rows == 1, "{block:?}");
    }
    let found = read(&staging, &file, 1 << 20).await;
    assert_eq!(joined(&found), rows);
}

#[tokio::test]
async fn what_compresses_well_does_not_unpack_without_bound() {
    let staging = common::memory("zeros").await.unwrap();
    let values = BinaryArray::from_iter_values((0..64).map(|_| vec![0u8; 1 << 20]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..64)),
        Arc::new(values),
    ];
    let rows = RecordBatch::try_new(schema(), columns).unwrap();
    let file = write(&staging, key(0), schema(), options(8 << 20), &[rows]).await;
    assert!(file.size < 1 << 20, "{}", file.size);
    for block in &file.row_groups {
        assert!(block.rows <= 9, "8 MiB of raw values: {block:?}");
    }
}

/// Every Arrow type that a MySQL type is mapped to.
fn wide_schema() -> SchemaRef {
    let utc = Some(Arc::from("UTC"));
    Arc::new(Schema::new(vec![
        Field::new("i16", DataType::Int16, true),
        Field::new("i32", DataType::Int32, true),
        Field::new("i64", DataType::Int64, true),
        Field::new("u64", DataType::UInt64, true),
        Field::new("f32", DataType::Float32, true),
        Field::new("f64", DataType::Float64, true),
        Field::new("bool", DataType::Boolean, true),
        Field::new("d20", DataType::Decimal128(20, 0), true),
        Field::new("d65", DataType::Decimal256(65, 30), true),
        Field::new("date", DataType::Date32, true),
        Field::new(
            "ts",
            DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, utc),
            true,
        ),
        Field::new("text", DataType::Utf8, true),
        Field::new("kind", DataType::Utf8, true),
        Field::new("bytes", DataType::Binary, true),
    ]))
}

#[derive(Debug, Clone)]
struct Row {
    present: u16,
    number: i64,
    real: f64,
    text: String,
    bytes: Vec<u8>,
}

prop_compose! {
    fn row()(
        present in any::<u16>(), number in any::<i64>(), real in -1e300..1e300f64,
        text in any::<String>(), bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) -> Row {
        Row { present, number, real, text, bytes }
    }
}

fn wide_batch(rows: &[Row]) -> RecordBatch {
    fn column<T>(rows: &[Row], bit: u16, value: impl Fn(&Row) -> T) -> Vec<Option<T>> {
        rows.iter()
            .map(|row| (row.present >> bit & 1 == 1).then(|| value(row)))
            .collect()
    }
    let n = |bit| column(rows, bit, |row| row.number);
    let kinds = ["red", "green", "blue"];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int16Array::from(column(rows, 0, |r| r.number as i16))),
        Arc::new(Int32Array::from(column(rows, 1, |r| r.number as i32))),
        Arc::new(Int64Array::from(n(2))),
        Arc::new(UInt64Array::from(column(rows, 3, |r| r.number as u64))),
        Arc::new(Float32Array::from(column(rows, 4, |r| r.real as f32))),
        Arc::new(Float64Array::from(column(rows, 5, |r| r.real))),
        Arc::new(BooleanArray::from(column(rows, 6, |r| r.number % 2 == 0))),
        Arc::new(
            Decimal128Array::from(column(rows, 7, |r| i128::from(r.number)))
                .with_precision_and_scale(20, 0)
                .unwrap(),
        ),
        Arc::new(
            Decimal256Array::from(column(rows, 8, |r| {
                i256::from_i128(i128::from(r.number) * i128::from(i64::MAX))
            }))
            .with_precision_and_scale(65, 30)
            .unwrap(),
        ),
        Arc::new(Date32Array::from(column(rows, 9, |r| {
            (r.number % 3_000_000) as i32
        }))),
        Arc::new(TimestampMicrosecondArray::from(n(10)).with_timezone("UTC")),
        Arc::new(StringArray::from(column(rows, 11, |r| r.text.clone()))),
        Arc::new(StringArray::from(column(rows, 12, |r| {
            kinds[r.number.unsigned_abs() as usize % 3].to_owned()
        }))),
        Arc::new(BinaryArray::from_iter(column(rows, 13, |r| {
            r.bytes.clone()
        }))),
    ];
    RecordBatch::try_new(wide_schema(), columns).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_of_every_type_come_back(
        rows in proptest::collection::vec(row(), 1..200),
        cut in 1usize..200,
        row_group_bytes in 500usize..100_000,
        max_bytes in 1usize..20_000,
        skip in 0usize..200,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let staging = common::memory("rows").await.unwrap();
            let written: Vec<_> = rows.chunks(cut).map(wide_batch).collect();
            let mut options = options(row_group_bytes);
            options.dictionary_columns = vec!["kind".to_owned()];
            let file = write(&staging, key(0), wide_schema(), options, &written).await;
            assert_eq!(file.rows, rows.len() as u64);
            assert_eq!(joined(&read(&staging, &file, max_bytes).await), joined(&written));

            let skip = skip.min(rows.len() - 1);
            let mut reader = ChunkReader::open(&staging, &file).await.unwrap();
            reader.skip_rows(skip as u64).await.unwrap();
            let mut rest = Vec::new();
            while let Some(batch) = reader.next_batch(max_bytes).await.unwrap() {
                rest.push(batch);
            }
            let all = joined(&written);
            assert_eq!(joined(&rest), all.slice(skip, all.num_rows() - skip));
        });
    }
}
