//! `tideway staging ls, show, verify, gc` over a real folder with a real dump in it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stand_in;

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use chrono::Utc;
use serde_json::Value;
use stand_in::{Ended, Stand};
use tideway_staging::chunk::{ChunkWriter, ChunkWriterOptions};
use tideway_staging::document::{
    ChunkMarker, DataFile, DatabasePlan, Manifest, ManifestTable, Plan, TablePlan,
};
use tideway_staging::layout::{SourceKeys, TaskKeys};
use tideway_staging::{Path, Staging};

/// A dump of one table in two chunks, and one object that no marker names.
struct Dump {
    stand: Stand,
    staging: Staging,
    keys: SourceKeys,
    files: Vec<DataFile>,
    orphan: Path,
}

const SOURCE: &str = "aurora-replica-01";

impl Dump {
    async fn new() -> Self {
        let stand = Stand::new("\n  - {name: dump, job: dump}\n");
        let folder = stand.path("tideway-staging");
        let staging = Staging::open(folder.to_str().unwrap()).await.unwrap();
        let keys = TaskKeys::new("test").source(SOURCE);
        let mut dump = Self {
            orphan: keys.chunk_data("migrate_me", "t1", 0, 999_999),
            stand,
            staging,
            keys,
            files: Vec::new(),
        };
        let plan = dump.plan();
        dump.staging
            .create_json(&dump.keys.plan(0), &plan)
            .await
            .unwrap();
        for chunk in 0..2 {
            let key = dump.keys.chunk_data("migrate_me", "t1", chunk, 7);
            let file = dump.write(&key, i64::from(chunk) * 3).await;
            let marker = dump.marker(chunk, &file);
            let at = dump.keys.chunk_marker("migrate_me", "t1", chunk);
            dump.staging.create_json(&at, &marker).await.unwrap();
            dump.files.push(file);
        }
        let manifest = dump.manifest();
        dump.staging
            .create_json(&dump.keys.manifest(), &manifest)
            .await
            .unwrap();
        let orphan = dump.orphan.clone();
        dump.write(&orphan, 100).await;
        dump
    }

    fn plan(&self) -> Plan {
        Plan {
            version: 1,
            task: "test".to_owned(),
            source: SOURCE.to_owned(),
            server_uuid: "u".to_owned(),
            generation: 0,
            complete: false,
            consistency: "none".to_owned(),
            snapshot: false,
            start: Value::Null,
            databases: vec![DatabasePlan {
                db: "migrate_me".to_owned(),
                create_sql: "CREATE DATABASE migrate_me".to_owned(),
            }],
            tables: vec![TablePlan {
                db: "migrate_me".to_owned(),
                table: "t1".to_owned(),
                definition: Value::Null,
                definition_hash: "h".to_owned(),
                position: Value::Null,
                key: vec!["id".to_owned()],
                bounds: vec![vec![Value::from(3)]],
                first_chunk: 0,
                estimated_rows: 6,
                estimated_bytes: 100,
                no_data: false,
                where_clause: None,
            }],
            views: Vec::new(),
            created_at: Utc::now(),
            attempt: "a".to_owned(),
        }
    }

    async fn write(&self, key: &Path, first: i64) -> DataFile {
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
        ]));
        let ids = Int64Array::from_iter_values(first..first + 3);
        let names = StringArray::from(vec![Some("one"), None, Some("three")]);
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids), Arc::new(names)])
            .unwrap();
        let options = ChunkWriterOptions::default();
        let mut writer = ChunkWriter::create(&self.staging, key.clone(), schema, options)
            .await
            .unwrap();
        writer.write(&batch).await.unwrap();
        writer.finish().await.unwrap()
    }

    fn marker(&self, chunk: u32, file: &DataFile) -> ChunkMarker {
        ChunkMarker {
            version: 1,
            db: "migrate_me".to_owned(),
            table: "t1".to_owned(),
            chunk,
            definition_hash: "h".to_owned(),
            attempt: "a".to_owned(),
            rows: file.rows,
            raw_bytes: file.raw_bytes,
            files: vec![file.clone()],
            text_columns: Vec::new(),
            position: Value::Null,
            started_at: Utc::now(),
            finished_at: Utc::now(),
        }
    }

    fn manifest(&self) -> Manifest {
        let raw_bytes = self.files.iter().map(|file| file.raw_bytes).sum();
        let stored_bytes = self.files.iter().map(|file| file.size).sum();
        Manifest {
            version: 1,
            task: "test".to_owned(),
            source: SOURCE.to_owned(),
            server_uuid: "u".to_owned(),
            generation: 0,
            consistency: "none".to_owned(),
            exact: true,
            start: Value::Null,
            end: Value::Null,
            tables: vec![ManifestTable {
                db: "migrate_me".to_owned(),
                table: "t1".to_owned(),
                chunks: vec![0, 1],
                rows: 6,
                raw_bytes,
                stored_bytes,
                files: 2,
            }],
            views: Vec::new(),
            rows: 6,
            raw_bytes,
            stored_bytes,
            max_row_group_bytes: 1000,
            finished_at: Utc::now(),
        }
    }

    fn staging(&self, arguments: &[&str]) -> Ended {
        let mut all = vec!["staging"];
        all.extend(arguments);
        self.stand.tideway(&all)
    }
}

#[tokio::test]
async fn ls_shows_folders_and_tables_with_sizes() {
    let dump = Dump::new().await;
    let ended = dump.staging(&["ls"]).expect(0);
    assert!(
        ended.stdout.contains("migrate_me.t1.*.parquet"),
        "{}",
        ended.stdout
    );
    let line = ended
        .stdout
        .lines()
        .find(|line| line.contains("t1.*.parquet"))
        .unwrap();
    assert_eq!(line.split_whitespace().nth(2), Some("3"), "{line}");
    let ended = dump
        .staging(&["ls", "test/aurora-replica-01/dump/_tideway", "--files"])
        .expect(0);
    assert!(
        ended.stdout.contains("migrate_me.t1.000000001.json"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("parquet"), "{}", ended.stdout);
}

#[tokio::test]
async fn show_prints_documents_and_rows() {
    let dump = Dump::new().await;
    dump.staging(&["show", dump.keys.manifest().as_ref()])
        .expect(0)
        .says("\"stored_bytes\"");
    let ended = dump
        .staging(&["show", &dump.files[1].key, "--rows", "2"])
        .expect(0);
    for text in ["chunk 1 of migrate_me.t1: 3 rows", "Int64", "NULL", "one"] {
        assert!(ended.stdout.contains(text), "{text} in {}", ended.stdout);
    }
    assert!(
        !ended.stdout.contains("three"),
        "two rows only: {}",
        ended.stdout
    );
    dump.staging(&["show", dump.orphan.as_ref()])
        .expect(1)
        .says("no marker names");
    dump.staging(&["show", "test/nothing.json"])
        .expect(2)
        .says("there is no test/nothing.json");
}

#[tokio::test]
async fn verify_finds_a_flipped_bit_and_names_the_object() {
    let dump = Dump::new().await;
    dump.staging(&["verify"])
        .expect(0)
        .says("whole; 2/2 chunks, 2 files, 6 rows");
    let file = dump.stand.path("tideway-staging").join(&dump.files[0].key);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    dump.staging(&["verify", "test"])
        .expect(1)
        .says("DAMAGED")
        .says(&dump.files[0].key);
    dump.staging(&["show", &dump.files[0].key])
        .expect(1)
        .says("damaged");
    let json = dump.staging(&["verify", "--output", "json"]).expect(1);
    let value: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(value[0]["whole"], false);
    assert_eq!(value[0]["problems"][0]["key"], dump.files[0].key.as_str());
    dump.staging(&["verify", "other"])
        .expect(2)
        .says("it has test");
}

#[tokio::test]
async fn gc_removes_what_no_marker_names_and_nothing_else() {
    let dump = Dump::new().await;
    dump.staging(&["gc", "--dry-run"])
        .expect(0)
        .says(dump.orphan.as_ref());
    assert!(dump.staging.head(&dump.orphan).await.unwrap().is_some());
    dump.staging(&["gc"]).expect(0).says("1 objects");
    assert!(dump.staging.head(&dump.orphan).await.unwrap().is_none());
    dump.staging(&["verify"]).expect(0).says("whole");
}

#[tokio::test]
async fn the_summary_of_a_run_tells_what_is_staged() {
    let dump = Dump::new().await;
    let ended = dump.stand.run(&[]).expect(0);
    let line = ended
        .stdout
        .lines()
        .find(|line| line.contains("migrate_me.t1"))
        .unwrap_or_else(|| panic!("{}", ended.stdout));
    assert!(line.contains(" 6 "), "{line}");
    dump.stand
        .tideway(&["status", "workflow.yaml"])
        .expect(0)
        .says("dump of aurora-replica-01 complete: 1 tables, 6 rows");
}
