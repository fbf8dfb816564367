//! The commit protocol and the store under it, on memory, folder and MinIO.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::atomic::Ordering;

use futures::TryStreamExt;
use tideway_staging::document::ChunkMarker;
use tideway_staging::layout::TaskKeys;
use tideway_staging::{Bytes, Create, Error, Path, Staging};

use common::faulty::Faulty;
use common::marker;

on_every_store!(
    what_is_written_is_read_and_listed,
    a_create_never_overwrites,
    of_two_racing_workers_one_wins,
    names_of_every_kind_come_back,
    deleting_what_is_absent_is_no_error,
    the_probe_passes_and_leaves_nothing,
    a_damaged_document_is_named,
);

async fn what_is_written_is_read_and_listed(staging: &Staging) {
    let folder = Path::from("a/b");
    let key = Path::from("a/b/c.bin");
    assert_eq!(staging.get_bytes(&key).await.unwrap(), None);
    assert!(staging.head(&key).await.unwrap().is_none());
    staging
        .put_bytes(&key, Bytes::from_static(b"one"))
        .await
        .unwrap();
    staging
        .put_bytes(&key, Bytes::from_static(b"two!"))
        .await
        .unwrap();
    staging
        .put_bytes(&Path::from("a/bb/d.bin"), Bytes::new())
        .await
        .unwrap();
    assert_eq!(staging.get_bytes(&key).await.unwrap().unwrap(), "two!");
    assert_eq!(staging.head(&key).await.unwrap().unwrap().size, 4);
    let listed: Vec<_> = staging.list(&folder).try_collect().await.unwrap();
    assert_eq!(
        listed.len(),
        1,
        "a folder is not a prefix of names: {listed:?}"
    );
    assert_eq!(listed[0].location, key, "keys are relative to the root");
    assert_eq!(
        staging.list_dirs(&Path::from("a")).await.unwrap(),
        ["b", "bb"]
    );
    assert!(
        staging
            .list_dirs(&Path::from("z"))
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_create_never_overwrites(staging: &Staging) {
    let key = TaskKeys::new("t").source("s").chunk_marker("d", "t", 0);
    let (ours, theirs) = (marker("t", 0, vec![]), marker("t", 0, vec![]));
    assert_eq!(staging.create_json(&key, &ours).await.unwrap(), Create::Won);
    // A rerun of the same attempt recognises its own.
    assert_eq!(staging.create_json(&key, &ours).await.unwrap(), Create::Won);
    assert_eq!(
        staging.create_json(&key, &theirs).await.unwrap(),
        Create::Exists(ours.clone())
    );
    assert_eq!(staging.get_json(&key).await.unwrap(), Some(ours));
}

async fn of_two_racing_workers_one_wins(staging: &Staging) {
    let keys = TaskKeys::new("t").source("s");
    for chunk in 0..10 {
        let key = keys.chunk_marker("d", "t", chunk);
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (staging, key) = (staging.clone(), key.clone());
            workers.spawn(async move {
                let own = marker("t", chunk, vec![]);
                let created = staging.create_json(&key, &own).await.unwrap();
                (own, created)
            });
        }
        let results = workers.join_all().await;
        let there: ChunkMarker = staging.get_json(&key).await.unwrap().unwrap();
        let winners: Vec<_> = results
            .iter()
            .filter(|(_, created)| *created == Create::Won)
            .collect();
        assert_eq!(winners.len(), 1, "of {results:?}");
        assert_eq!(winners[0].0, there);
        for (own, created) in &results {
            if own != &there {
                assert_eq!(created, &Create::Exists(there.clone()));
            }
        }
    }
}

async fn names_of_every_kind_come_back(staging: &Staging) {
    let names = [
        "plain",
        "with space",
        "dot.dot",
        "..",
        "per%cent",
        "per%2Ecent",
        "sl/ash\\back",
        "q?u*o\"t'e`<>|:",
        "x#1",
        "#7",
        "日本語テーブル",
        "ünïcode-schema",
        "a+b&c=d;e,f@g$h!i~j^k[l]{m}(n)",
        "trailing ",
        "-schema",
        "tab\tnew\nline\u{7f}",
    ];
    let long = "長".repeat(80);
    for name in names.iter().copied().chain([long.as_str()]) {
        let task = TaskKeys::new(name);
        let source = task.source(name);
        for key in [
            task.task(),
            source.chunk_data(name, name, 1, 2),
            source.table_schema(name, name),
            task.lease(name, 3),
            task.status("dump", name, 0),
        ] {
            let content = Bytes::from(format!("{name} at {key}"));
            staging.put_bytes(&key, content.clone()).await.unwrap();
            assert_eq!(
                staging.get_bytes(&key).await.unwrap(),
                Some(content),
                "{key}"
            );
        }
        let mut listed: Vec<_> = staging
            .list(&task.root())
            .map_ok(|meta| meta.location)
            .try_collect()
            .await
            .unwrap();
        listed.sort();
        let mut expected = vec![
            task.task(),
            source.chunk_data(name, name, 1, 2),
            source.table_schema(name, name),
            task.lease(name, 3),
            task.status("dump", name, 0),
        ];
        expected.sort();
        assert_eq!(listed, expected, "{name}");
    }
    assert_eq!(
        staging.list_dirs(&Path::default()).await.unwrap().len(),
        names.len() + 1
    );
}

async fn deleting_what_is_absent_is_no_error(staging: &Staging) {
    let key = Path::from("x/y.json");
    staging.delete(&key).await.unwrap();
    staging
        .put_bytes(&key, Bytes::from_static(b"1"))
        .await
        .unwrap();
    staging.delete(&key).await.unwrap();
    staging.delete(&key).await.unwrap();
    assert_eq!(staging.get_bytes(&key).await.unwrap(), None);
}

async fn the_probe_passes_and_leaves_nothing(staging: &Staging) {
    let probe = staging.probe().await.unwrap();
    assert_eq!(
        probe.steps,
        ["create", "read", "create-if-absent", "list", "delete"]
    );
    let left: Vec<_> = staging.list(&Path::default()).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

async fn a_damaged_document_is_named(staging: &Staging) {
    let keys = TaskKeys::new("t").source("s");
    let key = keys.chunk_marker("d", "t", 0);
    let whole = serde_json::to_vec(&marker("t", 0, vec![])).unwrap();
    for damaged in [&b""[..], b"{", b"[]", &whole[..whole.len() - 5]] {
        staging
            .put_bytes(&key, Bytes::copy_from_slice(damaged))
            .await
            .unwrap();
        let error = staging.get_json::<ChunkMarker>(&key).await.unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(key.as_ref()), "{error}");
        // A create finds damage too, and does not replace it.
        let error = staging
            .create_json(&key, &marker("t", 0, vec![]))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    }
    staging
        .put_bytes(&key, Bytes::from_static(br#"{"version": 2}"#))
        .await
        .unwrap();
    let error = staging.get_json::<ChunkMarker>(&key).await.unwrap_err();
    assert!(
        matches!(error, Error::Version { found: 2, .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_lost_answer_to_a_create_is_a_win() {
    let store = Faulty::new();
    let staging = Staging::from_store("faulty://", store.clone());
    let key = TaskKeys::new("t").source("s").chunk_marker("d", "t", 0);
    store.lose_answers.store(1, Ordering::SeqCst);
    let ours = marker("t", 0, vec![]);
    assert_eq!(staging.create_json(&key, &ours).await.unwrap(), Create::Won);
    assert_eq!(
        store.puts.load(Ordering::SeqCst),
        1,
        "read back, not written again"
    );
    assert_eq!(staging.get_json(&key).await.unwrap(), Some(ours));
}

#[tokio::test]
async fn a_create_that_the_client_itself_made_twice_is_a_win() {
    let store = Faulty::new();
    let staging = Staging::from_store("faulty://", store.clone());
    let key = TaskKeys::new("t").source("s").chunk_marker("d", "t", 0);
    store.retried_by_client.store(1, Ordering::SeqCst);
    let ours = marker("t", 0, vec![]);
    assert_eq!(staging.create_json(&key, &ours).await.unwrap(), Create::Won);
}

#[tokio::test]
async fn a_lost_request_and_failing_reads_are_tried_again() {
    let store = Faulty::new();
    let staging = Staging::from_store("faulty://", store.clone());
    let key = TaskKeys::new("t").source("s").chunk_marker("d", "t", 0);
    store.lose_requests.store(2, Ordering::SeqCst);
    store.fail_reads.store(1, Ordering::SeqCst);
    let ours = marker("t", 0, vec![]);
    assert_eq!(staging.create_json(&key, &ours).await.unwrap(), Create::Won);
    assert_eq!(store.puts.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_lost_answer_hides_nobody_elses_win() {
    let store = Faulty::new();
    let staging = Staging::from_store("faulty://", store.clone());
    let key = TaskKeys::new("t").source("s").chunk_marker("d", "t", 0);
    let theirs = marker("t", 0, vec![]);
    staging.create_json(&key, &theirs).await.unwrap();
    store.lose_requests.store(1, Ordering::SeqCst);
    assert_eq!(
        staging
            .create_json(&key, &marker("t", 0, vec![]))
            .await
            .unwrap(),
        Create::Exists(theirs)
    );
}

#[tokio::test]
async fn a_store_that_stays_away_is_an_error_that_may_pass() {
    let store = Faulty::new();
    let staging = Staging::from_store("faulty://", store.clone());
    let key = TaskKeys::new("t").source("s").chunk_marker("d", "t", 0);
    store.lose_requests.store(u32::MAX, Ordering::SeqCst);
    let error = staging
        .create_json(&key, &marker("t", 0, vec![]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.retryable());
    assert!(error.to_string().contains(key.as_ref()), "{error}");
}

#[tokio::test]
async fn nothing_listens_at_the_endpoint() {
    // Credentials that satisfy the client, for a store that does not answer.
    let url = "s3://nowhere/x?endpoint=http://127.0.0.1:1&region=us-east-1";
    let staging = Staging::open(url).await.unwrap();
    let error = staging.get_bytes(&Path::from("k")).await.unwrap_err();
    match std::env::var("AWS_ACCESS_KEY_ID") {
        Ok(_) => assert!(matches!(error, Error::Unreachable { .. }), "{error:?}"),
        // Without credentials it does not even come to asking.
        Err(_) => assert!(matches!(error, Error::Denied { .. }), "{error:?}"),
    }
    assert!(error.to_string().contains("s3://nowhere/x"), "{error}");
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_named() {
    if common::minio("bucket").await.is_none() {
        return;
    }
    let endpoint = std::env::var("TIDEWAY_TEST_S3_ENDPOINT").unwrap();
    let url = format!("s3://no-such-bucket-anywhere/x?endpoint={endpoint}");
    let staging = Staging::open(&url).await.unwrap();
    let key = Path::from("k.json");
    let put = staging.create_json(&key, &marker("t", 0, vec![])).await;
    let get = staging.get_json::<ChunkMarker>(&key).await;
    let list = staging.list_dirs(&Path::default()).await;
    for error in [put.err(), get.err(), list.err()] {
        let error = error.expect("must fail");
        assert!(matches!(error, Error::NoBucket { .. }), "{error:?}");
        assert!(error.is_configuration());
        assert!(
            error.to_string().contains("no-such-bucket-anywhere"),
            "{error}"
        );
    }
}
