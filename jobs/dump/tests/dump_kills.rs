//! Killed at every failpoint, by SIGKILL: a rerun ends with the same dump as if nothing happened.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::time::Duration;

use harness::{Ended, Scenario, Server, Settings};

const ROWS: u32 = 6000;

async fn filled(what: &str, settings: &Settings) -> Scenario {
    let scenario = Scenario::new(what, Server::MySql, settings).await;
    scenario
        .sql(&[
            "SET cte_max_recursion_depth = 100000",
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(200))",
            &format!(
                "INSERT INTO t WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
                 SELECT i, REPEAT(CHAR(65 + i % 26), 100) FROM n"
            ),
            "CREATE TABLE keyless (a INT, v VARCHAR(20))",
            "INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (2, 'y')",
            "CREATE TABLE empty_one (id INT PRIMARY KEY)",
            "ANALYZE TABLE t",
        ])
        .await;
    scenario
}

async fn complete(scenario: &Scenario) {
    for table in ["t", "keyless", "empty_one"] {
        scenario.assert_table(table).await;
    }
    scenario.assert_tidy().await;
    let manifest = scenario.manifest().await.expect("a manifest");
    assert_eq!(manifest.rows, u64::from(ROWS) + 3);
}

fn settings(consistency: &str) -> Settings {
    Settings {
        extra_args: format!("--consistency {consistency} --rows 500"),
        ..Settings::default()
    }
}

#[tokio::test]
async fn every_failpoint_without_a_snapshot() {
    let names: Vec<&str> = tideway_job::failpoint::ALL
        .iter()
        .copied()
        .filter(|name| name.starts_with("dump."))
        .collect();
    assert_eq!(names.len(), 7);
    let scenario = filled("kills", &settings("none")).await;
    for name in names {
        for count in [1, 3] {
            let at = format!("{name}:{count}");
            let killed = scenario.run_with_failpoint(&at, &[]);
            let per_chunk = name.starts_with("dump.chunk.");
            if count > 1 && !per_chunk {
                // Passed once only, or twice: the dump was done before.
                killed.expect(0);
            } else {
                killed.expect(None);
                scenario.run(&[]).expect(0);
            }
            complete(&scenario).await;
            std::fs::remove_dir_all(scenario.folder.path().join("staging")).unwrap();
        }
    }
    scenario.clean().await;
}

#[tokio::test]
async fn a_lost_snapshot_begins_anew_in_full_mode() {
    for consistency in ["flush", "lock"] {
        let settings = Settings {
            aurora: false,
            ..settings(consistency)
        };
        let scenario = filled(consistency, &settings).await;
        scenario
            .run_with_failpoint("dump.chunk.marker:4", &[])
            .expect(None);
        // What changes in between must be in no chunk, or in all that it concerns.
        scenario
            .sql(&[
                "UPDATE t SET v = CONCAT(v, id)",
                "CREATE TABLE later (id INT PRIMARY KEY)",
            ])
            .await;
        scenario.run(&[]).expect(0).says(&["planning anew"]);
        complete(&scenario).await;
        scenario.assert_table("later").await;
        let manifest = scenario.manifest().await.unwrap();
        assert!(manifest.exact);
        assert_eq!(manifest.consistency, consistency);
        assert_eq!(manifest.generation, 1);
        assert_eq!(manifest.start, manifest.end);
        scenario.clean().await;
    }
}

#[tokio::test]
async fn killed_behind_the_last_chunk_a_snapshot_is_still_complete() {
    let settings = Settings {
        aurora: false,
        ..settings("flush")
    };
    let scenario = filled("behind", &settings).await;
    scenario
        .run_with_failpoint("dump.finish.deleted", &[])
        .expect(None);
    scenario.sql(&["DELETE FROM t"]).await;
    scenario.run(&[]).expect(0);
    let manifest = scenario.manifest().await.unwrap();
    assert!(manifest.exact);
    assert_eq!(manifest.generation, 0);
    assert_eq!(manifest.rows, u64::from(ROWS) + 3);
    scenario.clean().await;
}

#[tokio::test]
async fn an_ordinary_user_of_a_managed_service_gets_the_lock() {
    let scenario = filled("auto", &settings("auto")).await;
    scenario
        .run(&[])
        .expect(0)
        .says(&["falling back to LOCK TABLES"]);
    complete(&scenario).await;
    let manifest = scenario.manifest().await.unwrap();
    assert!(manifest.exact);
    assert_eq!(manifest.consistency, "lock");
    scenario.clean().await;

    let scenario = filled("flushdenied", &settings("flush")).await;
    scenario.run(&[]).expect(2).says(&["is denied", "RELOAD"]);
    scenario.clean().await;
    let scenario = filled("snapdenied", &settings("snapshot")).await;
    scenario.run(&[]).expect(2).says(&["only TiDB"]);
    scenario.clean().await;
}

#[tokio::test]
async fn a_snapshot_does_not_see_what_is_written_meanwhile() {
    let settings = Settings {
        aurora: false,
        ..settings("auto")
    };
    let scenario = filled("writers", &settings).await;
    let child = scenario.start(&["--rate", "4000rows"]);
    // Writes from when the first chunk is there; DDL too, for no lock is held any more.
    scenario.first_rows().await;
    scenario
        .sql(&[
            "DELETE FROM t WHERE id % 2 = 0",
            "INSERT INTO keyless VALUES (9, 'z')",
        ])
        .await;
    Ended::of(&child.wait_with_output().unwrap()).expect(0);
    let manifest = scenario.manifest().await.unwrap();
    assert_eq!(manifest.rows, u64::from(ROWS) + 3);
    scenario.clean().await;
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_hand() {
    let scenario = filled("term", &settings("none")).await;
    let child = scenario.start(&["--rate", "1000rows", "--workers", "1"]);
    // The first file may be another table's.
    scenario.first_rows().await;
    while scenario.markers("t").await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let killed = std::process::Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(killed.success());
    Ended::of(&child.wait_with_output().unwrap()).expect(5);
    let committed = scenario.markers("t").await.len();
    assert!(committed > 0);
    assert_eq!(
        scenario.data_files().len(),
        committed + scenario.markers("keyless").await.len()
    );
    scenario.run(&[]).expect(0);
    complete(&scenario).await;
    scenario.clean().await;
}

#[tokio::test]
async fn kills_at_any_moment() {
    let scenario = filled("soak", &settings("none")).await;
    let mut rounds = 0;
    for step in 0..12_u64 {
        let mut child = scenario
            .command(&["--rate", "20000rows"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(40 + step * 37)).await;
        let _ = child.kill();
        child.wait().unwrap();
        rounds += 1;
    }
    assert_eq!(rounds, 12);
    scenario.run(&[]).expect(0);
    complete(&scenario).await;
    scenario.clean().await;
}
