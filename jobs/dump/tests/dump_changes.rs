//! What changes under a dump: definitions, the server, and task mode `all`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::time::Duration;

use harness::{Ended, Scenario, Server, Settings};
use mysql_async::prelude::Queryable;
use serde_json::json;
use tideway_staging::document::Start;
use tideway_staging::heartbeat::Heartbeat;
use tideway_staging::layout::TaskKeys;

async fn filled(what: &str, settings: &Settings) -> Scenario {
    let scenario = Scenario::new(what, Server::MySql, settings).await;
    scenario
        .sql(&[
            "SET cte_max_recursion_depth = 100000",
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))",
            "INSERT INTO t WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
             SELECT i, 'v' FROM n",
            "CREATE TABLE u (id INT PRIMARY KEY)",
            "INSERT INTO u SELECT id FROM t",
            "CREATE TABLE keyless (a INT)",
            "INSERT INTO keyless VALUES (1), (1)",
            "ANALYZE TABLE t, u",
        ])
        .await;
    scenario
}

fn settings(mode: &'static str, consistency: &str) -> Settings {
    Settings {
        mode,
        extra_args: format!("--consistency {consistency} --rows 500"),
        ..Settings::default()
    }
}

/// What capture writes first.
async fn capture(scenario: &Scenario) {
    let mut conn = scenario.connect().await;
    let uuid: String = conn
        .query_first("SELECT @@server_uuid")
        .await
        .unwrap()
        .unwrap();
    let start = Start {
        version: 1,
        server_uuid: uuid,
        position: json!({"file": "binlog.000001", "pos": 4, "gtid_set": null}),
        flavor: "mysql".to_owned(),
        at: chrono::Utc::now(),
        by: "capture".to_owned(),
    };
    let staging = scenario.staging().await;
    staging
        .create_json(&scenario.keys().start(), &start)
        .await
        .unwrap();
    let beat: Heartbeat = serde_json::from_value(json!({
        "version": 1, "job": "cdc", "source": "s1", "worker": 0, "run_id": "", "attempt": 1,
        "pid": 1, "host": "h", "state": "running", "stage": "", "done_units": 0, "total_units": 0,
        "rows": 0, "bytes": 0, "total_rows": 0, "total_bytes": 0, "message": "", "error": null,
        "started_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"
    }))
    .unwrap();
    let key = TaskKeys::new(&scenario.name).status("cdc", "s1", 0);
    staging.put_json(&key, &beat).await.unwrap();
}

#[tokio::test]
async fn an_altered_table_is_planned_anew() {
    let scenario = filled("altered", &settings("full", "none")).await;
    scenario.run(&["plan"]).expect(0);
    scenario
        .run_with_failpoint("dump.chunk.marker:2", &["run", "--workers", "1"])
        .expect(None);
    scenario
        .sql(&[
            "ALTER TABLE t ADD COLUMN w INT DEFAULT 5",
            "UPDATE t SET w = id",
            "DROP TABLE u",
        ])
        .await;
    scenario
        .run(&[])
        .expect(0)
        .says(&["was altered while the dump ran", "was dropped"]);
    scenario.assert_table("t").await;
    scenario.assert_table("keyless").await;
    scenario.assert_tidy().await;
    let plan = scenario.plan().await;
    assert_eq!(plan.plans, 3);
    let t = plan.tables.iter().find(|t| t.table == "t").unwrap();
    assert!(t.first_chunk > 0);
    assert!(plan.tables.iter().find(|t| t.table == "u").unwrap().no_data);
    scenario.clean().await;
}

#[tokio::test]
async fn an_altered_table_ends_a_snapshot_dump() {
    let settings = Settings {
        aurora: false,
        ..settings("full", "flush")
    };
    let scenario = filled("snapalter", &settings).await;
    let child = scenario
        .command(&["--rate", "3000rows", "--workers", "1"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while scenario.data_files().is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Tables are read in the order of their names: u comes last.
    scenario
        .sql(&["ALTER TABLE u ADD COLUMN w INT DEFAULT 5"])
        .await;
    Ended::of(child.wait_with_output().unwrap())
        .expect(1)
        .says(&["snapshot", "run the dump again"]);
    assert!(scenario.manifest().await.is_none());
    scenario.run(&[]).expect(0);
    for table in ["t", "u", "keyless"] {
        scenario.assert_table(table).await;
    }
    scenario.assert_tidy().await;
    scenario.clean().await;
}

#[tokio::test]
async fn another_server_under_the_same_name_is_refused() {
    let scenario = filled("server", &settings("full", "none")).await;
    scenario.run(&[]).expect(0);
    let manifest = scenario.manifest().await.unwrap();
    scenario.write_source(Server::OtherMySql, true);
    scenario.run(&["--accept-changes"]).expect(2).says(&[
        "dump of another server",
        "tideway cleanup",
        &manifest.server_uuid,
    ]);
    assert_eq!(scenario.manifest().await.unwrap(), manifest);
    scenario.clean().await;
}

#[tokio::test]
async fn with_cdc_the_dump_waits_for_capture_and_reads_keyless_tables_at_a_position() {
    let scenario = filled("cdc", &settings("all", "none")).await;
    let child = scenario
        .command(&[])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(scenario.data_files().is_empty());
    capture(&scenario).await;
    Ended::of(child.wait_with_output().unwrap()).expect(0);
    for table in ["t", "u", "keyless"] {
        scenario.assert_table(table).await;
    }
    let keyless = scenario.markers("keyless").await;
    assert!(
        keyless[0].position["file"].is_string(),
        "{}",
        keyless[0].position
    );
    assert!(scenario.markers("t").await[0].position.is_null());
    let manifest = scenario.manifest().await.unwrap();
    assert!(!manifest.exact);
    assert_eq!(manifest.start["file"], "binlog.000001");
    assert!(manifest.end["pos"].as_u64().unwrap() > 4);
    scenario.clean().await;
}

#[tokio::test]
async fn with_cdc_a_lost_snapshot_goes_on_inexact() {
    let settings = Settings {
        aurora: false,
        ..settings("all", "auto")
    };
    let scenario = filled("inexact", &settings).await;
    capture(&scenario).await;
    scenario
        .run_with_failpoint("dump.chunk.marker:3", &["--workers", "1"])
        .expect(None);
    let before = scenario.markers("t").await;
    scenario.sql(&["INSERT INTO u VALUES (1000000)"]).await;
    scenario
        .run(&[])
        .expect(0)
        .says(&["going on from the committed chunks"]);
    for table in ["t", "u", "keyless"] {
        scenario.assert_table(table).await;
    }
    let after = scenario.markers("t").await;
    assert!(!before.is_empty() && after.starts_with(&before));
    let manifest = scenario.manifest().await.unwrap();
    assert!(!manifest.exact);
    assert_ne!(manifest.start, manifest.end);
    scenario.clean().await;
}

#[tokio::test]
async fn running_threads_hold_up_new_chunks() {
    let scenario = filled("threads", &settings("full", "none")).await;
    let mut conn = scenario.connect().await;
    let row: Option<(String, u64)> = conn
        .query_first("SHOW GLOBAL STATUS LIKE 'Threads_running'")
        .await
        .unwrap();
    // What other tests run beside is theirs: far fewer than the sleepers.
    let ceiling = (row.unwrap().1 + 10).to_string();
    let sleepers: Vec<_> = (0..20)
        .map(|_| {
            tokio::spawn(async {
                let mut conn = Server::MySql.connect().await;
                conn.query_drop("DO SLEEP(4)").await.unwrap();
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = std::time::Instant::now();
    scenario
        .run(&["--max-threads-running", &ceiling])
        .expect(0)
        .says(&["threads run on the source", "going on"]);
    assert!(
        began.elapsed() > Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    for sleeper in sleepers {
        sleeper.await.unwrap();
    }
    scenario.assert_table("t").await;
    scenario.clean().await;
}
