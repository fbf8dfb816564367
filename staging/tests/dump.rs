//! A whole dump in staging: verified, cleaned, removed; on memory, folder and MinIO.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use futures::TryStreamExt;
use tideway_staging::chunk::{ChunkWriter, ChunkWriterOptions};
use tideway_staging::document::{
    ChunkMarker, DataFile, Manifest, Plan, read_manifest, read_plan, require_marker,
};
use tideway_staging::gc::{GcOptions, gc, remove_prefix};
use tideway_staging::heartbeat::Heartbeat;
use tideway_staging::layout::{SourceKeys, TaskKeys};
use tideway_staging::lease::{Acquired, Lease, TERM};
use tideway_staging::verify::verify_dump;
use tideway_staging::{Bytes, Create, Error, Path, Staging};

use common::{batch, manifest, marker, plan, schema, table_plan};

on_every_store!(
    generations_are_read_in_order,
    a_whole_dump_verifies,
    every_damage_is_listed,
    gc_takes_what_no_marker_names_and_nothing_else,
    gc_stands_back_from_a_live_lease,
    gc_keeps_what_a_running_dump_may_still_commit,
    a_generation_behind_the_manifest_is_of_no_dump,
    a_prefix_is_removed_whole,
);

fn keys() -> (TaskKeys, SourceKeys) {
    let task = TaskKeys::new("t");
    let source = task.source("s");
    (task, source)
}

async fn data(staging: &Staging, table: &str, chunk: u32, attempt: u32) -> DataFile {
    let key = keys().1.chunk_data("d", table, chunk, attempt);
    let options = ChunkWriterOptions {
        row_group_bytes: 4 << 10,
        ..ChunkWriterOptions::default()
    };
    let mut writer = ChunkWriter::create(staging, key, schema(), options)
        .await
        .unwrap();
    writer
        .write(&batch(i64::from(chunk) * 10, 10, 1 << 10))
        .await
        .unwrap();
    writer.finish().await.unwrap()
}

/// Two tables, three chunks, a manifest.
async fn dump(staging: &Staging) -> (Plan, Vec<ChunkMarker>) {
    let keys = keys().1;
    let plan = plan(0, vec![table_plan("a", 0, &[5]), table_plan("b.c", 0, &[])]);
    staging.create_json(&keys.plan(0), &plan).await.unwrap();
    let mut markers = Vec::new();
    for table in &plan.tables {
        for chunk in table.chunk_numbers() {
            let file = data(staging, &table.table, chunk, 1).await;
            let marker = marker(&table.table, chunk, vec![file]);
            let key = keys.chunk_marker("d", &table.table, chunk);
            assert_eq!(
                staging.create_json(&key, &marker).await.unwrap(),
                Create::Won
            );
            markers.push(marker);
        }
    }
    let manifest = manifest(&plan, &markers);
    staging
        .create_json(&keys.manifest(), &manifest)
        .await
        .unwrap();
    (plan, markers)
}

async fn generations_are_read_in_order(staging: &Staging) {
    let keys = keys().1;
    assert_eq!(read_plan(staging, &keys).await.unwrap(), None);
    let first = plan(
        0,
        vec![table_plan("a", 0, &[1, 2]), table_plan("b", 0, &[])],
    );
    staging.create_json(&keys.plan(0), &first).await.unwrap();
    let second = plan(1, vec![table_plan("a", 3, &[])]);
    staging.create_json(&keys.plan(1), &second).await.unwrap();
    let plan = read_plan(staging, &keys).await.unwrap().unwrap();
    assert_eq!(plan.plans, 2);
    let chunks: Vec<_> = plan.chunks().map(|(t, n)| (t.table.as_str(), n)).collect();
    assert_eq!(chunks, [("a", 3), ("b", 0)]);
    let error = require_marker(staging, &keys, "d", "a", 3)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("d.a.000000003.json"), "{error}");
}

async fn a_whole_dump_verifies(staging: &Staging) {
    let (_, markers) = dump(staging).await;
    let mut calls = 0;
    let report = verify_dump(staging, &keys().1, |progress| {
        calls += 1;
        assert_eq!(progress.total_chunks, 3);
    })
    .await
    .unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(calls, 3);
    assert_eq!((report.chunks, report.files, report.rows), (3, 3, 30));
    assert_eq!(
        report.bytes,
        markers.iter().map(ChunkMarker::stored_bytes).sum::<u64>()
    );
    assert_eq!((report.void_markers, report.unreferenced), (0, 0));
    let manifest = read_manifest(staging, &keys().1).await.unwrap().unwrap();
    assert_eq!(manifest.rows, 30);
}

async fn every_damage_is_listed(staging: &Staging) {
    let keys = keys().1;
    let (_, markers) = dump(staging).await;
    // A flipped byte, a missing object, a missing marker, and a generation that came later.
    let first = Path::parse(&markers[0].files[0].key).unwrap();
    let mut bytes = staging.get_bytes(&first).await.unwrap().unwrap().to_vec();
    bytes[100] ^= 1;
    staging.put_bytes(&first, Bytes::from(bytes)).await.unwrap();
    let second = Path::parse(&markers[1].files[0].key).unwrap();
    staging.delete(&second).await.unwrap();
    let third = keys.chunk_marker("d", "b.c", 0);
    staging.delete(&third).await.unwrap();
    let report = verify_dump(staging, &keys, |_| {}).await.unwrap();
    assert!(report.finished && !report.is_whole());
    let problems: Vec<_> = report.problems.iter().map(|p| p.key.as_str()).collect();
    let manifest = keys.manifest();
    assert_eq!(
        problems,
        [
            first.as_ref(),
            second.as_ref(),
            third.as_ref(),
            manifest.as_ref()
        ],
        "{report:?}"
    );
    assert_eq!(report.unreferenced, 1, "the third chunk's data");

    // A manifest of a generation that is gone.
    let manifest = read_manifest(staging, &keys).await.unwrap().unwrap();
    staging.delete(&keys.manifest()).await.unwrap();
    let manifest = Manifest {
        generation: 1,
        ..manifest
    };
    staging
        .create_json(&keys.manifest(), &manifest)
        .await
        .unwrap();
    let report = verify_dump(staging, &keys, |_| {}).await.unwrap();
    assert!(
        report
            .problems
            .iter()
            .any(|p| p.what.contains("generation 1")),
        "{report:?}"
    );
}

async fn a_generation_behind_the_manifest_is_of_no_dump(staging: &Staging) {
    let keys = keys().1;
    dump(staging).await;
    // By a process that was cut off before the manifest was written.
    let later = plan(1, vec![table_plan("a", 2, &[])]);
    staging.create_json(&keys.plan(1), &later).await.unwrap();
    let effective = read_plan(staging, &keys).await.unwrap().unwrap();
    assert_eq!(effective.plans, 1);
    assert_eq!(effective.table("d", "a").unwrap().chunk_numbers(), 0..2);
    let report = verify_dump(staging, &keys, |_| {}).await.unwrap();
    assert!(report.is_whole(), "{report:?}");
    // Without the manifest the dump is open again, and it counts.
    staging.delete(&keys.manifest()).await.unwrap();
    let effective = read_plan(staging, &keys).await.unwrap().unwrap();
    assert_eq!(effective.plans, 2);
}

async fn gc_keeps_what_a_running_dump_may_still_commit(staging: &Staging) {
    let (task, keys) = keys();
    let (_, markers) = dump(staging).await;
    let marker = keys.chunk_marker("d", "a", 1);
    staging.delete(&marker).await.unwrap();
    let in_hand = markers[1].files[0].key.clone();
    let options = GcOptions {
        min_age: Duration::ZERO,
        ..GcOptions::default()
    };
    let beat = |source: &str, state: &str, age: i64| -> Heartbeat {
        let at = chrono::Utc::now() - chrono::TimeDelta::seconds(age);
        serde_json::from_value(serde_json::json!({
            "version": 1, "job": "dump", "source": source, "worker": 0, "run_id": "",
            "attempt": 1, "pid": 1, "host": "h", "state": state, "stage": "", "done_units": 0,
            "total_units": 0, "rows": 0, "bytes": 0, "total_rows": 0, "total_bytes": 0,
            "message": "", "error": null, "started_at": at, "updated_at": at
        }))
        .unwrap()
    };
    let key = task.status("dump", "s", 0);
    staging
        .put_json(&key, &beat("s", "running", 30))
        .await
        .unwrap();
    let report = gc(staging, &task, &keys, &options).await.unwrap();
    assert!(report.removed.is_empty(), "{report:?}");
    assert_eq!(report.kept, std::slice::from_ref(&in_hand));
    // One that ended, is silent, or is of another source keeps nothing.
    for other in [
        beat("s", "done", 1),
        beat("s", "running", 3600),
        beat("s2", "running", 1),
    ] {
        staging.put_json(&key, &other).await.unwrap();
        let dry = GcOptions {
            dry_run: true,
            ..options.clone()
        };
        let report = gc(staging, &task, &keys, &dry).await.unwrap();
        assert_eq!(report.removed, std::slice::from_ref(&in_hand), "{other:?}");
    }
}

async fn gc_takes_what_no_marker_names_and_nothing_else(staging: &Staging) {
    let (task, keys) = keys();
    let (_, markers) = dump(staging).await;
    // A loser of a race, data of a chunk that is in no plan, data of a chunk that may be in hand.
    let loser = data(staging, "a", 0, 2).await.key;
    let unplanned = data(staging, "a", 77, 1).await.key;
    staging
        .delete(&keys.chunk_marker("d", "a", 1))
        .await
        .unwrap();
    let in_hand = markers[1].files[0].key.clone();
    let schema = keys.table_schema("d", "a");
    staging
        .put_bytes(&schema, Bytes::from_static(b"CREATE"))
        .await
        .unwrap();

    let mut expected = vec![loser, unplanned];
    expected.sort();
    for dry_run in [true, false] {
        let options = GcOptions {
            dry_run,
            ..GcOptions::default()
        };
        let report = gc(staging, &task, &keys, &options).await.unwrap();
        assert_eq!(report.removed, expected);
        assert_eq!(report.kept, std::slice::from_ref(&in_hand));
        assert!(report.bytes > 0);
    }
    let again = gc(staging, &task, &keys, &GcOptions::default())
        .await
        .unwrap();
    assert!(again.removed.is_empty(), "{again:?}");
    let options = GcOptions {
        min_age: Duration::ZERO,
        ..GcOptions::default()
    };
    let report = gc(staging, &task, &keys, &options).await.unwrap();
    assert_eq!(report.removed, [in_hand]);
    assert!(staging.head(&schema).await.unwrap().is_some());
    for marker in [&markers[0], &markers[2]] {
        let key = Path::parse(&marker.files[0].key).unwrap();
        assert!(staging.head(&key).await.unwrap().is_some(), "{key}");
    }
}

async fn gc_stands_back_from_a_live_lease(staging: &Staging) {
    let (task, keys) = keys();
    dump(staging).await;
    let loser = data(staging, "a", 0, 2).await.key;
    let Acquired::Held(lease) = Lease::acquire(staging, &task, "finish", "me", TERM)
        .await
        .unwrap()
    else {
        panic!("busy")
    };
    let error = gc(staging, &task, &keys, &GcOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    assert!(
        error.to_string().contains("me holds the lease `finish`"),
        "{error}"
    );
    let options = GcOptions {
        own_lease: Some("finish".to_owned()),
        ..GcOptions::default()
    };
    let report = gc(staging, &task, &keys, &options).await.unwrap();
    assert_eq!(report.removed, [loser]);
    lease.release().await.unwrap();
    gc(staging, &task, &keys, &GcOptions::default())
        .await
        .unwrap();
}

async fn a_prefix_is_removed_whole(staging: &Staging) {
    let (task, _) = keys();
    dump(staging).await;
    let other = Path::from("t2/task.json");
    staging
        .put_bytes(&other, Bytes::from_static(b"{}"))
        .await
        .unwrap();
    let counted = remove_prefix(staging, &task.root(), true).await.unwrap();
    assert_eq!(counted.objects, 8);
    assert_eq!(
        remove_prefix(staging, &task.root(), false).await.unwrap(),
        counted
    );
    let left: Vec<_> = staging.list(&Path::default()).try_collect().await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].location, other);
    assert_eq!(
        remove_prefix(staging, &task.root(), false)
            .await
            .unwrap()
            .objects,
        0
    );
}

#[tokio::test]
async fn what_killed_writers_leave_in_a_folder_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let staging = Staging::open(folder.path().to_str().unwrap())
        .await
        .unwrap();
    let (task, keys) = keys();
    dump(&staging).await;
    let dump_dir = folder.path().join("t/s/dump");
    let old = dump_dir.join("d.a.000000000000009.parquet#1");
    let young = dump_dir.join("_tideway/chunks/d.a.000000001.json#2");
    for file in [&old, &young] {
        std::fs::write(file, b"half").unwrap();
    }
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options()
        .write(true)
        .open(&old)
        .unwrap()
        .set_modified(hour_ago)
        .unwrap();
    let report = gc(&staging, &task, &keys, &GcOptions::default())
        .await
        .unwrap();
    assert_eq!(report.temporary_files, 1);
    assert!(!old.exists() && young.exists());
    assert_eq!(
        remove_prefix(&staging, &task.root(), false)
            .await
            .unwrap()
            .objects,
        9
    );
    assert!(
        !folder.path().join("t").exists(),
        "nor do empty folders stay"
    );
}

#[tokio::test]
async fn a_folder_without_the_right_to_write_says_so() {
    // Root may write everywhere: /proc is where nobody may make a folder.
    let error = Staging::open("/proc/tideway").await.unwrap_err();
    assert!(error.to_string().contains("/proc/tideway"), "{error}");
}
