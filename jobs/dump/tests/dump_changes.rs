//! What changes under a dump: definitions, the server, and task mode `all`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::time::Duration;

use harness::{Ended, Scenario, Server, Settings};
use mysql_async::prelude::Queryable;
use serde_json::json;
use tideway_staging::document::{Plan, Start};
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

/// Found by the test of the Aurora case: a table that is away for a moment between its definition and the
/// question for its range ended the dump with error 1146.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_come_and_go_do_not_end_the_dump() {
    let scenario = filled("comego", &settings("full", "none")).await;
    let mut conn = scenario.connect().await;
    let going = tokio::spawn(async move {
        // Until the connection is closed from here.
        for round in 0_u32.. {
            for table in 0..12 {
                let sql = if round % 2 == 0 {
                    format!("CREATE TABLE g{table} (id INT PRIMARY KEY)")
                } else {
                    format!("DROP TABLE g{table}")
                };
                conn.query_drop(sql).await.unwrap();
            }
        }
    });
    for _ in 0..5 {
        scenario.run(&[]).expect(0);
        std::fs::remove_dir_all(&scenario.staging_url).unwrap();
    }
    scenario.run(&[]).expect(0);
    going.abort();
    scenario.assert_table("t").await;
    scenario.clean().await;
}

#[tokio::test]
async fn an_altered_table_ends_a_snapshot_dump() {
    let settings = Settings {
        aurora: false,
        ..settings("full", "flush")
    };
    let scenario = filled("snapalter", &settings).await;
    let child = scenario.start(&["--rate", "3000rows", "--workers", "1"]);
    scenario.first_rows().await;
    // Tables are read in the order of their names: u comes last.
    scenario
        .sql(&["ALTER TABLE u ADD COLUMN w INT DEFAULT 5"])
        .await;
    Ended::of(&child.wait_with_output().unwrap())
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
async fn a_renamed_table_is_read_under_its_new_name() {
    let scenario = filled("renamed", &settings("full", "none")).await;
    scenario
        .sql(&["CREATE TABLE w (a INT)", "INSERT INTO w VALUES (7), (7)"])
        .await;
    scenario.run(&["plan"]).expect(0);
    scenario
        .run_with_failpoint("dump.chunk.marker:2", &["run", "--workers", "1"])
        .expect(None);
    scenario
        .sql(&["RENAME TABLE u TO z", "RENAME TABLE w TO a_keyless"])
        .await;
    scenario
        .run(&[])
        .expect(0)
        .says(&["was dropped or renamed", "planning it too"]);
    for table in ["t", "z", "a_keyless"] {
        scenario.assert_table(table).await;
    }
    scenario.assert_tidy().await;
    let plan = scenario.plan().await;
    for gone in ["u", "w"] {
        let planned = plan.tables.iter().find(|t| t.table == gone).unwrap();
        assert!(planned.no_data, "{gone}");
    }
    let manifest = scenario.manifest().await.unwrap();
    assert!(manifest.rows == 8004, "{}", manifest.rows);
    scenario.clean().await;
}

/// A UUID that differs in its last digit.
fn other_uuid(own: &str) -> String {
    let last = if own.ends_with('0') { "1" } else { "0" };
    format!("{}{last}", &own[..own.len() - 1])
}

/// Has staging say that the dump came from another server that stood at `gtid_set`.
async fn came_from_another(scenario: &Scenario, gtid_set: &str) {
    let staging = scenario.staging().await;
    let key = scenario.keys().start();
    let mut start: Start = staging.get_json(&key).await.unwrap().unwrap();
    start.position["gtid_set"] = json!(gtid_set);
    let own = std::mem::take(&mut start.server_uuid);
    start.server_uuid = other_uuid(&own);
    staging.put_json(&key, &start).await.unwrap();
    let key = scenario.keys().plan(0);
    let mut plan: Plan = staging.get_json(&key).await.unwrap().unwrap();
    plan.server_uuid = other_uuid(&own);
    staging.put_json(&key, &plan).await.unwrap();
}

#[tokio::test]
async fn a_dump_goes_on_with_a_server_that_holds_all_transactions_of_the_start() {
    let scenario = filled("failover", &settings("full", "none")).await;
    scenario
        .run_with_failpoint("dump.chunk.marker:2", &["--workers", "1"])
        .expect(None);
    let mut conn = scenario.connect().await;
    let uuid: Option<String> = conn.query_first("SELECT @@server_uuid").await.unwrap();
    let uuid = uuid.unwrap();
    // It never had the transactions of this one.
    came_from_another(&scenario, &format!("{}:1-3", other_uuid(&uuid))).await;
    scenario
        .run(&[])
        .expect(2)
        .says(&["dump of another server"]);
    let committed = scenario.markers("t").await;
    let executed: Option<String> = conn.query_first("SELECT @@gtid_executed").await.unwrap();
    let staging = scenario.staging().await;
    let key = scenario.keys().start();
    let mut start: Start = staging.get_json(&key).await.unwrap().unwrap();
    start.position["gtid_set"] = json!(executed.unwrap());
    staging.put_json(&key, &start).await.unwrap();
    scenario
        .run(&[])
        .expect(0)
        .says(&["another server now", "the dump goes on with it"]);
    assert!(scenario.markers("t").await.starts_with(&committed));
    for table in ["t", "u", "keyless"] {
        scenario.assert_table(table).await;
    }
    scenario.clean().await;
}

/// A table without transactions beside one with.
async fn with_myisam(what: &str, consistency: &str) -> Scenario {
    let settings = Settings {
        aurora: false,
        ..settings("full", consistency)
    };
    let scenario = filled(what, &settings).await;
    scenario
        .sql(&[
            "CREATE TABLE zz (id INT PRIMARY KEY, v VARCHAR(200)) ENGINE=MyISAM",
            "INSERT INTO zz SELECT id, v FROM t",
        ])
        .await;
    scenario
}

#[tokio::test]
async fn tables_without_transactions_stay_locked_until_they_are_read() {
    for consistency in ["flush", "lock"] {
        let scenario = with_myisam(consistency, consistency).await;
        let child = scenario.start(&["--rate", "2000rows"]);
        scenario.first_rows().await;
        // Of a table with transactions nobody waits for the lock; of this one until it is read.
        scenario.sql(&["UPDATE t SET v = 'later'"]).await;
        let read = scenario.markers("zz").await.len();
        assert!(read < 8, "the test came too late");
        scenario
            .sql(&["INSERT INTO zz VALUES (100000, 'later')"])
            .await;
        let read = scenario.markers("zz").await;
        assert_eq!(read.len(), 8, "written while chunks were missing");
        assert!(scenario.manifest().await.is_none(), "locked to the end");
        Ended::of(&child.wait_with_output().unwrap())
            .expect(0)
            .says(&["stay locked for writers"]);
        let (zz, t) = (scenario.dumped("zz").await, scenario.dumped("t").await);
        assert_eq!((zz.len(), t.len()), (4000, 4000));
        assert!(t.iter().all(|row| row[1].as_deref() == Some("v")));
        assert!(scenario.manifest().await.unwrap().exact);
        scenario.clean().await;
    }
}

#[tokio::test]
async fn without_lock_tables_they_are_copied_only_on_request() {
    let scenario = with_myisam("nolock", "flush").await;
    let user = format!("twdump_nolock_{}", std::process::id());
    scenario
        .sql(&[
            &format!("CREATE USER {user} IDENTIFIED BY 'Pass-1'"),
            &format!("GRANT RELOAD, REPLICATION CLIENT ON *.* TO {user}"),
            &format!("GRANT SELECT ON `{}`.* TO {user}", scenario.name),
        ])
        .await;
    scenario.write(
        "source.yaml",
        &format!(
            "source-id: s1\nfrom: {{host: 127.0.0.1, port: {}, user: {user}, password: Pass-1}}\n",
            Server::MySql.port()
        ),
    );
    scenario.run(&[]).expect(2).says(&[
        "no transactions",
        ".`zz`",
        "Grant LOCK TABLES",
        "--allow-inexact",
    ]);
    scenario
        .run(&["--allow-inexact"])
        .expect(0)
        .says(&["not exact"]);
    scenario.assert_table("zz").await;
    scenario.assert_table("t").await;
    assert!(!scenario.manifest().await.unwrap().exact);
    scenario.sql(&[&format!("DROP USER {user}")]).await;
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
    let child = scenario.start(&[]);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(scenario.data_files().is_empty());
    capture(&scenario).await;
    Ended::of(&child.wait_with_output().unwrap()).expect(0);
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
