//! Leases on memory, folder and MinIO: one holder at a time, and zombies that wake up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use futures::TryStreamExt;
use tideway_staging::layout::{TaskKeys, parse_number};
use tideway_staging::lease::{Acquired, Lease, LeaseRecord, Patience, SKEW, TERM, current, live};
use tideway_staging::{Create, Error, Staging};
use tokio_util::sync::CancellationToken;

use common::faulty::Faulty;

on_every_store!(
    one_holder_at_a_time,
    of_many_that_want_it_one_gets_it,
    a_released_lease_is_free_at_once,
    a_silent_owner_is_followed_after_its_term,
    renewal_keeps_it_and_prunes,
    a_zombie_that_wakes_up_has_lost,
    a_zombie_whose_next_number_was_pruned_has_lost,
);

const SHORT: Duration = Duration::from_millis(900);

fn keys() -> TaskKeys {
    TaskKeys::new("task")
}

async fn take(staging: &Staging, owner: &str, term: Duration) -> Lease {
    match Lease::acquire(staging, &keys(), "x/y", owner, term)
        .await
        .unwrap()
    {
        Acquired::Held(lease) => lease,
        busy @ Acquired::Busy { .. } => panic!("{busy:?}"),
    }
}

async fn numbers(staging: &Staging) -> Vec<u64> {
    let mut numbers: Vec<_> = staging
        .list(&keys().lease_dir("x/y"))
        .try_collect::<Vec<_>>()
        .await
        .unwrap()
        .iter()
        .map(|object| parse_number(&object.location).unwrap())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Writes the record of an owner that is not there, `ago` after its term ended.
async fn record(staging: &Staging, number: u64, epoch: u64, ago: Duration) -> LeaseRecord {
    let record = LeaseRecord {
        version: 1,
        name: "x/y".to_owned(),
        owner: "zombie".to_owned(),
        token: "its token".to_owned(),
        epoch,
        until: Utc::now() - TimeDelta::from_std(ago).unwrap(),
        released: false,
    };
    let key = keys().lease("x/y", number);
    assert_eq!(
        staging.create_json(&key, &record).await.unwrap(),
        Create::Won
    );
    record
}

async fn one_holder_at_a_time(staging: &Staging) {
    let lease = take(staging, "a", TERM).await;
    assert_eq!(lease.epoch(), 1);
    lease.check().unwrap();
    match Lease::acquire(staging, &keys(), "x/y", "b", TERM)
        .await
        .unwrap()
    {
        Acquired::Busy { owner, until } => {
            assert_eq!(owner, "a");
            assert!(until > Utc::now());
        }
        Acquired::Held(_) => panic!("two holders"),
    }
    // Another lease is another matter.
    let other = Lease::acquire(staging, &keys(), "z", "b", TERM)
        .await
        .unwrap();
    assert!(matches!(other, Acquired::Held(_)));
    let mut names: Vec<_> = live(staging, &keys()).await.unwrap();
    names.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = names
        .iter()
        .map(|r| (r.name.as_str(), r.owner.as_str()))
        .collect();
    assert_eq!(names, [("x/y", "a"), ("z", "b")]);
}

async fn of_many_that_want_it_one_gets_it(staging: &Staging) {
    let mut wanting = tokio::task::JoinSet::new();
    for n in 0..6 {
        let staging = staging.clone();
        wanting.spawn(async move {
            let owner = format!("owner {n}");
            Lease::acquire(&staging, &keys(), "x/y", &owner, TERM)
                .await
                .unwrap()
        });
    }
    let results = wanting.join_all().await;
    let held = results
        .iter()
        .filter(|acquired| matches!(acquired, Acquired::Held(_)))
        .count();
    assert_eq!(held, 1, "{results:?}");
}

async fn a_released_lease_is_free_at_once(staging: &Staging) {
    for epoch in 1..4 {
        let lease = take(staging, "a", TERM).await;
        assert_eq!(lease.epoch(), epoch);
        lease.release().await.unwrap();
        assert!(live(staging, &keys()).await.unwrap().is_empty());
    }
}

async fn a_silent_owner_is_followed_after_its_term(staging: &Staging) {
    let lease = take(staging, "a", SHORT).await;
    // Dropped, as in a process that is killed: nobody renews it.
    drop(lease);
    let began = Instant::now();
    let acquired = Lease::acquire_within(
        staging,
        &keys(),
        "x/y",
        "b",
        SHORT,
        Patience {
            wait: Duration::ZERO,
            stop: &CancellationToken::new(),
        },
        |owner, _| assert_eq!(owner, "a"),
    )
    .await
    .unwrap();
    let Acquired::Held(lease) = acquired else {
        panic!("{acquired:?}")
    };
    assert_eq!(lease.epoch(), 2);
    let waited = began.elapsed();
    assert!(
        waited >= SKEW,
        "not before term and skew are over: {waited:?}"
    );
}

async fn renewal_keeps_it_and_prunes(staging: &Staging) {
    let lease = take(staging, "a", SHORT).await;
    // Well beyond term and skew.
    tokio::time::sleep(SHORT + SKEW + SHORT).await;
    lease.check().unwrap();
    let (number, record) = current(staging, &keys(), "x/y").await.unwrap().unwrap();
    assert!(number > 3, "{number}");
    assert_eq!((record.epoch, record.owner.as_str()), (1, "a"));
    assert!(numbers(staging).await.len() <= 3, "older ones are pruned");
    let again = Lease::acquire(staging, &keys(), "x/y", "b", SHORT)
        .await
        .unwrap();
    assert!(matches!(again, Acquired::Busy { .. }));
    lease.release().await.unwrap();
}

/// A lease whose owner believes in it while another takes it over: the owner is real, its record in
/// the store is replaced by one that has lapsed (as seen by a machine whose clock runs ahead).
async fn a_zombie_that_wakes_up_has_lost(staging: &Staging) {
    let zombie = take(staging, "a", TERM).await;
    // Somebody took it over with the next number.
    record(staging, 2, 2, Duration::ZERO).await;
    let lost = zombie.lost();
    let error = zombie.renew().await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }), "{error:?}");
    assert!(
        error.to_string().contains("zombie has it with epoch 2"),
        "{error}"
    );
    assert!(lost.is_cancelled());
    assert!(zombie.check().is_err());
    let error = zombie.release().await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }), "{error:?}");
    // Nor did it leave anything behind.
    assert_eq!(numbers(staging).await, [1, 2]);
}

async fn a_zombie_whose_next_number_was_pruned_has_lost(staging: &Staging) {
    let zombie = take(staging, "a", TERM).await;
    let other = record(staging, 50, 2, Duration::ZERO).await;
    staging.delete(&keys().lease("x/y", 1)).await.unwrap();
    // Number 2 is free: creating it succeeds, and must not help.
    let error = zombie.renew().await.unwrap_err();
    assert!(matches!(error, Error::LeaseLost { .. }), "{error:?}");
    assert_eq!(numbers(staging).await, [50], "it takes its record away");
    let (number, record) = current(staging, &keys(), "x/y").await.unwrap().unwrap();
    assert_eq!((number, record), (50, other));
}

#[tokio::test]
async fn a_stray_record_of_a_zombie_changes_nothing() {
    let store = common::memory("stray").await.unwrap();
    record(&store, 7, 3, Duration::ZERO).await;
    // The zombie was killed between creating and taking away.
    record(&store, 2, 1, Duration::ZERO).await;
    let (number, found) = current(&store, &keys(), "x/y").await.unwrap().unwrap();
    assert_eq!((number, found.epoch), (7, 3));
    tokio::time::sleep(SKEW).await;
    let lease = take(&store, "b", TERM).await;
    assert_eq!(lease.epoch(), 4);
    assert_eq!(numbers(&store).await, [7, 8]);
}

#[tokio::test]
async fn a_suspended_owner_knows_by_its_own_clock() {
    let store = Faulty::new();
    let staging = Staging::from_store("faulty://", store.clone());
    let lease = take(&staging, "a", SHORT).await;
    // Cut off: no renewal arrives any more.
    store.lose_requests.store(u32::MAX, Ordering::SeqCst);
    let lost = lease.lost();
    tokio::time::timeout(SHORT * 6, lost.cancelled())
        .await
        .expect("the loss is noticed without asking");
    let error = lease.check().unwrap_err();
    assert!(error.to_string().contains("term ended"), "{error}");
}

#[tokio::test]
async fn a_lost_answer_to_a_renewal_is_no_loss() {
    let store = Faulty::new();
    let staging = Staging::from_store("faulty://", store.clone());
    let lease = take(&staging, "a", TERM).await;
    for _ in 0..5 {
        store.lose_answers.store(1, Ordering::SeqCst);
        lease.renew().await.unwrap();
        lease.check().unwrap();
    }
    lease.release().await.unwrap();
}
