//! Binlog segments: what is written is read, damage and broken chains are found.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use chrono::Utc;
use futures::TryStreamExt;
use serde_json::json;
use tideway_staging::document::{Json, Start};
use tideway_staging::gc::{GcOptions, gc};
use tideway_staging::layout::{SourceKeys, TaskKeys, stored_key};
use tideway_staging::lease::{Acquired, Lease};
use tideway_staging::segment::{
    Chain, Compression, SegmentData, SegmentMarker, SegmentReader, SegmentWriter, commit, last,
    read_marker, start_hash, verify_segments,
};
use tideway_staging::{Create, Error, Staging};

use common::noise;

on_every_store!(
    what_is_written_is_read,
    damage_is_found_in_its_block,
    the_chain_holds_and_breaks,
    of_two_captures_one_wins,
    only_what_nobody_reads_is_removed,
);

fn keys() -> SourceKeys {
    TaskKeys::new("t").source("s")
}

/// Bytes of a megabyte and some that compress by half.
fn content(size: usize) -> Vec<u8> {
    let mut bytes = noise(7, size);
    for pair in bytes.chunks_mut(2) {
        pair[0] = 0;
    }
    bytes
}

async fn write(staging: &Staging, number: u64, level: i32, bytes: &[u8]) -> SegmentData {
    let mut writer = SegmentWriter::begin(staging, &keys(), number, level);
    for piece in bytes.chunks(300_001) {
        writer.write(piece).await.unwrap();
    }
    assert_eq!(writer.raw_bytes(), bytes.len() as u64);
    writer.finish().await.unwrap()
}

fn marker(number: u64, previous: &str, data: Option<SegmentData>) -> SegmentMarker {
    let empty = data.is_none();
    let data = data.unwrap_or(SegmentData {
        key: String::new(),
        size: 0,
        raw_bytes: 0,
        compression: Compression::None,
        blocks: vec![],
        attempt: common::unique("attempt"),
    });
    SegmentMarker {
        version: 1,
        number,
        key: (!empty).then_some(data.key),
        size: data.size,
        raw_bytes: data.raw_bytes,
        compression: data.compression,
        blocks: data.blocks,
        previous: previous.to_owned(),
        from: json!({"file": "binlog.000001", "pos": 4}),
        to: json!({"file": "binlog.000001", "pos": 900}),
        server_uuid: "uuid".to_owned(),
        first_time: 1,
        last_time: 2,
        events: 3,
        transactions: 1,
        continued: false,
        continues: false,
        epoch: 1,
        attempt: data.attempt,
        captured_at: Utc::now(),
    }
}

async fn begin(staging: &Staging) -> String {
    let start = Start {
        version: 1,
        server_uuid: "uuid".to_owned(),
        position: Json::Null,
        flavor: "mysql".to_owned(),
        at: Utc::now(),
        by: "capture".to_owned(),
    };
    let created = staging.create_json(&keys().start(), &start).await.unwrap();
    assert_eq!(created, Create::Won);
    start_hash(staging, &keys()).await.unwrap().unwrap().1
}

/// Commits a segment; the hash of its marker.
async fn committed(staging: &Staging, marker: &SegmentMarker) -> String {
    assert_eq!(commit(staging, &keys(), marker).await.unwrap(), Create::Won);
    marker.hash(staging, &keys()).unwrap()
}

async fn read(staging: &Staging, marker: &SegmentMarker) -> Result<Vec<u8>, Error> {
    let mut reader = SegmentReader::open(staging, marker)?;
    let mut all = Vec::new();
    while let Some(block) = reader.next_block().await? {
        assert!(block.len() <= 1 << 20);
        all.extend_from_slice(&block);
    }
    Ok(all)
}

async fn what_is_written_is_read(staging: &Staging) {
    let mut previous = begin(staging).await;
    let mut chain = Chain::start(staging, &keys()).await.unwrap();
    assert_eq!((chain.next(), chain.previous()), (1, previous.as_str()));
    assert_eq!(last(staging, &keys()).await.unwrap(), None);
    // One put, and a multipart upload of several parts.
    for (number, level, size) in [
        (1, 1, 70),
        (2, 0, 2_500_000),
        (3, 3, 17 << 20),
        (4, 1, 1 << 20),
    ] {
        let bytes = content(size);
        let data = write(staging, number, level, &bytes).await;
        assert_eq!(data.blocks.len(), size.div_ceil(1 << 20));
        let stored = staging
            .get_bytes(&stored_key(&data.key))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(stored.len() as u64, data.size);
        // Frames one after another are a file that any zstd unpacks.
        match level {
            0 => assert!(stored == bytes),
            _ => assert!(zstd::decode_all(&stored[..]).unwrap() == bytes),
        }
        let marker = marker(number, &previous, Some(data));
        previous = committed(staging, &marker).await;
        let (found, hash) = read_marker(staging, &keys(), number)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((&found, &hash), (&marker, &previous));
        chain.accept(staging, &keys(), &found, &hash).unwrap();
        assert!(read(staging, &found).await.unwrap() == bytes);
    }
    let empty = marker(5, &previous, None);
    previous = committed(staging, &empty).await;
    assert!(read(staging, &empty).await.unwrap().is_empty());
    assert_eq!(
        last(staging, &keys()).await.unwrap(),
        Some((empty, previous))
    );
    assert_eq!(read_marker(staging, &keys(), 6).await.unwrap(), None);
    let report = verify_segments(staging, &keys(), |_, _| {}).await.unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.segments, report.first, report.last), (5, 1, 5));
    assert_eq!((report.events, report.unreferenced), (15, 0));
    // A writer that is given up leaves nothing.
    let mut writer = SegmentWriter::begin(staging, &keys(), 6, 0);
    writer.write(&content(15 << 20)).await.unwrap();
    drop(writer);
    let report = verify_segments(staging, &keys(), |_, _| {}).await.unwrap();
    assert_eq!(report.unreferenced, 0);
}

async fn damage_is_found_in_its_block(staging: &Staging) {
    let previous = begin(staging).await;
    for level in [0, 1] {
        let bytes = content(3 << 20);
        let data = write(staging, 1, level, &bytes).await;
        let marker = marker(1, &previous, Some(data));
        let key = stored_key(marker.key.as_ref().unwrap());
        let stored = staging.get_bytes(&key).await.unwrap().unwrap();
        let at = usize::try_from(marker.blocks[1].offset).unwrap() + 5;
        let mut flipped = stored.to_vec();
        flipped[at] ^= 1;
        staging.put_bytes(&key, flipped).await.unwrap();
        let mut reader = SegmentReader::open(staging, &marker).unwrap();
        assert!(reader.next_block().await.unwrap().unwrap() == bytes[..1 << 20]);
        let error = reader.next_block().await.unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(&*marker.key.clone().unwrap()));

        staging.put_bytes(&key, stored.slice(..at)).await.unwrap();
        let error = read(staging, &marker).await.unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
        staging.delete(&key).await.unwrap();
        let error = read(staging, &marker).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");

        let mut wrong = marker.clone();
        wrong.blocks[1].offset += 1;
        assert!(SegmentReader::open(staging, &wrong).is_err());
        let mut bomb = marker.clone();
        bomb.blocks[0].raw_len = 1 << 40;
        bomb.raw_bytes += (1 << 40) - (1 << 20);
        assert!(SegmentReader::open(staging, &bomb).is_err());
    }
}

async fn the_chain_holds_and_breaks(staging: &Staging) {
    let start = begin(staging).await;
    let mut hashes = vec![start];
    let mut markers = vec![];
    for number in 1..=4 {
        let data = write(staging, number, 1, b"event").await;
        let marker = marker(number, hashes.last().unwrap(), Some(data));
        hashes.push(committed(staging, &marker).await);
        markers.push(marker);
    }
    let mut chain = Chain::after(1, hashes[1].clone());
    let broken = |error: Error, parts: &[&str]| {
        assert!(matches!(error, Error::Chain { .. }), "{error:?}");
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
    };
    let keys = keys();
    let accept = |chain: &mut Chain, number: usize| {
        chain.accept(staging, &keys, &markers[number - 1], &hashes[number])
    };
    broken(
        accept(&mut chain, 3).unwrap_err(),
        &["segment 3", "segment 2", "missing", &hashes[1], &hashes[2]],
    );
    broken(accept(&mut chain, 1).unwrap_err(), &["read before"]);
    accept(&mut chain, 2).unwrap();
    let mut swapped = markers[2].clone();
    swapped.previous = hashes[0].clone();
    let error = chain.accept(staging, &keys, &swapped, "x").unwrap_err();
    broken(error, &["replaced"]);
    accept(&mut chain, 3).unwrap();

    // One goes missing, another is replaced.
    staging.delete(&keys.segment_marker(2)).await.unwrap();
    let report = verify_segments(staging, &keys, |_, _| {}).await.unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert_eq!(report.problems[0].key, keys.segment_marker(2).to_string());
    assert_eq!(report.unreferenced, 1);
    let mut other = markers[1].clone();
    other.events += 1;
    staging
        .put_json(&keys.segment_marker(2), &other)
        .await
        .unwrap();
    let report = verify_segments(staging, &keys, |_, _| {}).await.unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert_eq!(report.problems[0].key, keys.segment_marker(3).to_string());
}

async fn of_two_captures_one_wins(staging: &Staging) {
    let previous = begin(staging).await;
    let one = marker(1, &previous, Some(write(staging, 1, 1, b"one").await));
    let two = marker(1, &previous, Some(write(staging, 1, 1, b"one").await));
    assert_ne!(one.key, two.key);
    let keys = keys();
    let (a, b) = tokio::join!(commit(staging, &keys, &one), commit(staging, &keys, &two));
    match (a.unwrap(), b.unwrap()) {
        (Create::Won, Create::Exists(found)) => assert_eq!(found, one),
        (Create::Exists(found), Create::Won) => assert_eq!(found, two),
        other => panic!("{other:?}"),
    }
    let winner = last(staging, &keys).await.unwrap().unwrap().0;
    assert_eq!(
        commit(staging, &keys, &winner).await.unwrap(),
        Create::Won,
        "ours, read back"
    );
}

async fn only_what_nobody_reads_is_removed(staging: &Staging) {
    let task = TaskKeys::new("t");
    let previous = begin(staging).await;
    let kept = write(staging, 1, 1, b"kept").await;
    let lost = write(staging, 1, 1, b"lost").await;
    let first = marker(1, &previous, Some(kept));
    committed(staging, &first).await;
    let pending = write(staging, 2, 1, b"pending").await;
    let Acquired::Held(lease) =
        Lease::acquire(staging, &task, "capture/s", "test", Duration::from_secs(9))
            .await
            .unwrap()
    else {
        panic!("a new lease")
    };
    let error = gc(staging, &task, &keys(), &GcOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    lease.release().await.unwrap();
    let report = gc(staging, &task, &keys(), &GcOptions::default())
        .await
        .unwrap();
    assert_eq!(report.removed, [lost.key]);
    assert_eq!(report.kept, std::slice::from_ref(&pending.key));
    let options = GcOptions {
        min_age: Duration::ZERO,
        ..GcOptions::default()
    };
    let report = gc(staging, &task, &keys(), &options).await.unwrap();
    assert_eq!(report.removed, [pending.key]);
    assert_eq!(read(staging, &first).await.unwrap(), b"kept");
    let left: Vec<_> = staging
        .list(&keys().binlog_dir())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(left.len(), 2);
}
