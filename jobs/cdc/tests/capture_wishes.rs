//! What is wanted of a capture while it works: to finish, to pause, to go on.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod capture_harness;

use std::time::Duration;

use capture_harness::{Ended, Scenario, Server};
use tideway_mysql::position::BinlogPosition;
use tideway_staging::control::{self, Scope, What};
use tideway_staging::heartbeat::{Heartbeat, SyncState};
use tideway_staging::layout::TaskKeys;

async fn want(scenario: &Scenario, what: What) {
    let (staging, keys) = (scenario.staging().await, TaskKeys::new(&scenario.name));
    // A capture that was started by hand has no run.
    control::post(&staging, &keys, what, Scope::run(""), "the test")
        .await
        .unwrap();
}

async fn heartbeat(scenario: &Scenario) -> Option<Heartbeat> {
    let key = TaskKeys::new(&scenario.name).status("capture", &scenario.name, 0);
    scenario.staging().await.get_json(&key).await.unwrap()
}

async fn sync(scenario: &Scenario) -> SyncState {
    heartbeat(scenario)
        .await
        .and_then(|beat| beat.sync)
        .unwrap_or_default()
}

#[tokio::test]
async fn told_to_finish_it_captures_up_to_now_and_leaves_with_0() {
    for server in [Server::MySql, Server::MariaDb] {
        let scenario = Scenario::new("finish", server, false).await;
        let child = scenario.start(&["--segment-interval", "500ms"]);
        scenario.wait_started().await;
        scenario.rows("t", 50).await;
        scenario
            .wait_for("a heartbeat with a place", async || {
                let sync = sync(&scenario).await;
                !sync.master_binlog.is_empty() && sync.total_events > 0 && sync.behind_ms.is_some()
            })
            .await;
        scenario
            .sql(&["INSERT INTO t VALUES (1000, 'the last')"])
            .await;
        let now: BinlogPosition = server.position().await;
        want(&scenario, What::Finish).await;
        Ended::of(&child.wait_with_output().unwrap())
            .expect(0)
            .says(&["finish wanted by the test", "capturing up to"]);
        assert!(scenario.last_to().await.reached(&now));
        scenario.assert_complete().await;
        let last = heartbeat(&scenario).await.unwrap();
        assert_eq!(last.state, "done");
        // A wish of before its start does not end a new one.
        let child = scenario.start(&["--segment-interval", "500ms"]);
        scenario
            .sql(&["INSERT INTO t VALUES (1001, 'later')"])
            .await;
        scenario.wait_captured().await;
        Ended::stopped(child).expect(5);
        scenario.assert_complete().await;
        scenario.clean().await;
    }
}

#[tokio::test]
async fn paused_it_waits_and_then_misses_nothing() {
    let scenario = Scenario::new("pause", Server::MySql, false).await;
    let child = scenario.start(&["--segment-interval", "500ms"]);
    scenario.wait_started().await;
    scenario.rows("t", 50).await;
    scenario.wait_captured().await;
    want(&scenario, What::Pause).await;
    scenario
        .wait_for("a heartbeat that says paused", async || {
            heartbeat(&scenario).await.is_some_and(|beat| beat.paused)
        })
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = scenario.last_to().await;
    scenario.rows("u", 50).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(scenario.last_to().await, before, "it went on");
    want(&scenario, What::Resume).await;
    scenario.wait_captured().await;
    want(&scenario, What::Pause).await;
    want(&scenario, What::Stop).await;
    Ended::of(&child.wait_with_output().unwrap()).expect(5);
    scenario.assert_complete().await;
    scenario.clean().await;
}
