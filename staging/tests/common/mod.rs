//! The stores that the suites run on, and documents to put there.
#![allow(dead_code)]

pub mod faulty;

use std::ops::Deref;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chrono::Utc;
use tideway_staging::Staging;
use tideway_staging::document::{
    ChunkMarker, DataFile, DatabasePlan, Json, Manifest, ManifestTable, Plan, TablePlan,
};

/// A staging of a test's own; what it put there goes with it.
pub struct Store {
    staging: Staging,
    _folder: Option<tempfile::TempDir>,
}

impl Deref for Store {
    type Target = Staging;

    fn deref(&self) -> &Staging {
        &self.staging
    }
}

/// A name that no other run has.
pub fn unique(name: &str) -> String {
    format!("{name}-{:016x}", rand::random::<u64>())
}

pub async fn memory(test: &str) -> Option<Store> {
    let staging = Staging::open(&format!("memory:///{}", unique(test)))
        .await
        .unwrap();
    Some(Store {
        staging,
        _folder: None,
    })
}

pub async fn folder(_test: &str) -> Option<Store> {
    let folder = tempfile::tempdir().unwrap();
    // A name that must be escaped in a URL, to show that it is not taken for one.
    let path = folder.path().join("stag ing%20#1");
    Some(Store {
        staging: Staging::open(path.to_str().unwrap()).await.unwrap(),
        _folder: Some(folder),
    })
}

/// Without the environment this fails loudly; a person may ask to pass over it.
pub async fn minio(test: &str) -> Option<Store> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(endpoint), Some(bucket)) = (
        variable("TIDEWAY_TEST_S3_ENDPOINT"),
        variable("TIDEWAY_TEST_S3_BUCKET"),
    ) else {
        if variable("TIDEWAY_TEST_ALLOW_SKIP").as_deref() == Some("1") {
            eprintln!("SKIPPED: {test} on MinIO (TIDEWAY_TEST_ALLOW_SKIP=1)");
            return None;
        }
        panic!(
            "{test} needs MinIO: `make test` starts it; or set TIDEWAY_TEST_S3_ENDPOINT, \
             TIDEWAY_TEST_S3_BUCKET, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; or pass over it \
             with TIDEWAY_TEST_ALLOW_SKIP=1"
        );
    };
    let url = format!(
        "s3://{bucket}/staging-tests/{}?endpoint={endpoint}",
        unique(test)
    );
    Some(Store {
        staging: Staging::open(&url).await.unwrap(),
        _folder: None,
    })
}

/// Runs each of the named functions on every kind of store, as a test of its own.
#[macro_export]
macro_rules! on_every_store {
    ($($test:ident),* $(,)?) => {
        $crate::on_every_store!(@store memory $($test)*);
        $crate::on_every_store!(@store folder $($test)*);
        $crate::on_every_store!(@store minio $($test)*);
    };
    (@store $store:ident $($test:ident)*) => {
        mod $store {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(store) = super::common::$store(stringify!($test)).await {
                        super::$test(&store).await;
                    }
                }
            )*
        }
    };
}

pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("v", DataType::Binary, true),
    ]))
}

/// Rows from `first` on, each with a value of `size` bytes that does not compress.
pub fn batch(first: i64, rows: usize, size: usize) -> RecordBatch {
    let ids: Int64Array = (first..).take(rows).collect();
    let values: Vec<Vec<u8>> = (first..).take(rows).map(|id| noise(id, size)).collect();
    let values = BinaryArray::from_iter_values(values);
    let columns: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(values)];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// Bytes that follow from a number and do not compress.
pub fn noise(seed: i64, size: usize) -> Vec<u8> {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

pub fn table_plan(table: &str, first_chunk: u32, bounds: &[i64]) -> TablePlan {
    TablePlan {
        db: "d".to_owned(),
        table: table.to_owned(),
        definition: Json::Null,
        definition_hash: "hash".to_owned(),
        position: Json::Null,
        key: vec!["id".to_owned()],
        bounds: bounds.iter().map(|&b| vec![Json::from(b)]).collect(),
        first_chunk,
        estimated_rows: 1,
        estimated_bytes: 1,
        no_data: false,
        where_clause: None,
    }
}

pub fn plan(generation: u32, tables: Vec<TablePlan>) -> Plan {
    Plan {
        version: 1,
        task: "t".to_owned(),
        source: "s".to_owned(),
        server_uuid: "uuid".to_owned(),
        generation,
        complete: false,
        consistency: "none".to_owned(),
        snapshot: false,
        start: Json::Null,
        databases: vec![DatabasePlan {
            db: "d".to_owned(),
            create_sql: "CREATE DATABASE d".to_owned(),
        }],
        tables,
        views: vec![],
        created_at: Utc::now(),
        attempt: unique("attempt"),
    }
}

pub fn marker(table: &str, chunk: u32, files: Vec<DataFile>) -> ChunkMarker {
    ChunkMarker {
        version: 1,
        db: "d".to_owned(),
        table: table.to_owned(),
        chunk,
        definition_hash: "hash".to_owned(),
        attempt: unique("attempt"),
        rows: files.iter().map(|f| f.rows).sum(),
        raw_bytes: files.iter().map(|f| f.raw_bytes).sum(),
        files,
        text_columns: vec![],
        position: Json::Null,
        started_at: Utc::now(),
        finished_at: Utc::now(),
    }
}

pub fn manifest(plan: &Plan, markers: &[ChunkMarker]) -> Manifest {
    let tables: Vec<ManifestTable> = plan
        .tables
        .iter()
        .map(|table| {
            let own: Vec<_> = markers.iter().filter(|m| m.table == table.table).collect();
            ManifestTable {
                db: table.db.clone(),
                table: table.table.clone(),
                chunks: own.iter().map(|m| m.chunk).collect(),
                rows: own.iter().map(|m| m.rows).sum(),
                raw_bytes: own.iter().map(|m| m.raw_bytes).sum(),
                stored_bytes: own.iter().map(|m| m.stored_bytes()).sum(),
                files: own.iter().map(|m| m.files.len() as u64).sum(),
            }
        })
        .collect();
    Manifest {
        version: 1,
        task: plan.task.clone(),
        source: plan.source.clone(),
        server_uuid: plan.server_uuid.clone(),
        generation: plan.generation,
        consistency: plan.consistency.clone(),
        exact: false,
        start: Json::Null,
        end: Json::Null,
        rows: tables.iter().map(|t| t.rows).sum(),
        raw_bytes: tables.iter().map(|t| t.raw_bytes).sum(),
        stored_bytes: tables.iter().map(|t| t.stored_bytes).sum(),
        max_row_group_bytes: 0,
        tables,
        views: vec![],
        finished_at: Utc::now(),
    }
}
