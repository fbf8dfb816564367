//! The seed's scenario, whole: two sources, `migrate_me` moves, `ignore_me` stays behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use mysql_async::prelude::Queryable;
use tideway_tests::command::{binary, run};
use tideway_tests::oracle;
use tideway_tests::scenario::{Scenario, Store};
use tideway_tests::servers::Server;

async fn seed(target: Server, store: Store) {
    let scenario = Scenario::new("seed", &[Server::MySql1, Server::MySql2], target, store);
    let name = scenario.name.clone();
    let ignored = format!("{name}_ignore_me");
    for (source, table) in [(0, "t1"), (1, "t2")] {
        let rows: Vec<String> = (1..=500)
            .map(|id| format!("({id}, 'row {id} of {table}')"))
            .collect();
        scenario
            .fill(
                source,
                &[
                    format!("CREATE TABLE {table} (id INT PRIMARY KEY, name VARCHAR(64))"),
                    format!("INSERT INTO {table} VALUES {}", rows.join(",")),
                    format!("CREATE DATABASE `{ignored}`"),
                    format!("CREATE TABLE `{ignored}`.ignore_table (id INT PRIMARY KEY)"),
                    format!("INSERT INTO `{ignored}`.ignore_table VALUES (1)"),
                ],
            )
            .await;
    }
    let workflow = "name: seed\nmode: full\ntask: task.yaml\nsources: [source1.yaml, source2.yaml]\nstages:\n  \
         - {name: precheck, job: precheck}\n  - {name: dump, job: dump, needs: [precheck], workers: 2}\n  \
         - {name: load, job: load, needs: [dump], workers: 2}\n  - {name: validate, job: validate, needs: [load]}\n";
    scenario.write("workflow.yaml", workflow);
    let tideway = || {
        let mut command = Command::new(binary("tideway"));
        command.current_dir(scenario.folder.path()).args([
            "run",
            "workflow.yaml",
            "--staging",
            &scenario.staging,
        ]);
        command
    };
    run(&mut tideway()).expect(0).says(&["no differences"]);
    scenario.assert_table(0, "t1").await;
    scenario.assert_table(1, "t2").await;
    let mut conn = target.connect().await;
    let left: Option<String> = conn
        .query_first(format!(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{ignored}'"
        ))
        .await
        .unwrap();
    assert_eq!(left, None, "ignore_me must stay behind");
    // Rerun: nothing is done again, nothing changes.
    let before = oracle::rows(&mut conn, &name, "t1", &[]).await;
    run(&mut tideway()).expect(0);
    assert_eq!(oracle::rows(&mut conn, &name, "t1", &[]).await, before);
    // What a person asks in between.
    let status = run(Command::new(binary("tideway"))
        .current_dir(scenario.folder.path())
        .args(["status", "workflow.yaml", "--staging", &scenario.staging])
        .args(["--output", "json"]))
    .expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert!(status.to_string().contains("validate"), "{status}");
    for source in [Server::MySql1, Server::MySql2] {
        source.run(&[&format!("DROP DATABASE `{ignored}`")]).await;
    }
    scenario.clean().await;
}

#[tokio::test]
async fn into_tidb_through_a_folder() {
    seed(Server::TiDb, Store::Local).await;
}

#[tokio::test]
async fn into_tidb_through_minio() {
    seed(Server::TiDb, Store::MinIo).await;
}

#[tokio::test]
async fn into_mysql_through_a_folder() {
    seed(Server::MySqlTarget, Store::Local).await;
}

#[tokio::test]
async fn into_mysql_through_minio() {
    seed(Server::MySqlTarget, Store::MinIo).await;
}
