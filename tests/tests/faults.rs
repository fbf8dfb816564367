//! What goes wrong in an afternoon, and what Tideway says: the name of the thing, the way out, the
//! exit code of design.md, and nothing half-written visible.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use tideway_tests::command::run;
use tideway_tests::scenario::{Scenario, Store};
use tideway_tests::servers::{Server, variable};

const FAILED: i32 = 1;
const CONFIG: i32 = 2;

async fn dumped(what: &str) -> Scenario {
    let scenario = Scenario::new(what, &[Server::MySql1], Server::TiDb, Store::Local);
    scenario.fill(0, &small()).await;
    run(&mut scenario.job("dump")).expect(0);
    scenario
}

fn small() -> Vec<String> {
    vec![
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(100))".to_owned(),
        "INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')".to_owned(),
    ]
}

fn dump_files(scenario: &Scenario, folder: &str, suffix: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(scenario.source_staging(1).join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    found.sort();
    found
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[tokio::test]
async fn a_damaged_chunk_is_named_and_loads_nothing() {
    let scenario = dumped("damaged").await;
    let parquet = dump_files(&scenario, "dump", ".parquet").remove(0);
    let mut bytes = fs::read(&parquet).unwrap();
    bytes[20] ^= 1;
    fs::write(&parquet, bytes).unwrap();
    run(&mut scenario.job("load"))
        .expect(FAILED)
        .says(&[&name_of(&parquet)]);
    let rows: Option<u64> = count(&scenario).await;
    assert_eq!(rows, Some(0), "a damaged chunk must not be half loaded");
    scenario.clean().await;
}

async fn count(scenario: &Scenario) -> Option<u64> {
    use mysql_async::prelude::Queryable;
    let mut conn = scenario.target.connect().await;
    conn.query_first(format!("SELECT COUNT(*) FROM `{}`.t", scenario.name))
        .await
        .ok()
        .flatten()
}

#[tokio::test]
async fn a_cut_chunk_is_named() {
    let scenario = dumped("cut").await;
    let parquet = dump_files(&scenario, "dump", ".parquet").remove(0);
    let bytes = fs::read(&parquet).unwrap();
    fs::write(&parquet, &bytes[..bytes.len() / 2]).unwrap();
    run(&mut scenario.job("load"))
        .expect(FAILED)
        .says(&[&name_of(&parquet)]);
    scenario.clean().await;
}

#[tokio::test]
async fn a_missing_marker_is_named() {
    let scenario = dumped("marker").await;
    let marker = dump_files(&scenario, "dump/_tideway/chunks", ".json").remove(0);
    fs::remove_file(&marker).unwrap();
    run(&mut scenario.job("load"))
        .expect(FAILED)
        .says(&[&name_of(&marker)]);
    scenario.clean().await;
}

#[tokio::test]
async fn load_before_dump_says_so() {
    let scenario = Scenario::new("early", &[Server::MySql1], Server::TiDb, Store::Local);
    scenario.fill(0, &small()).await;
    run(&mut scenario.job("load"))
        .expect(FAILED)
        .says(&["dump"]);
    scenario.clean().await;
}

#[tokio::test]
async fn a_dump_of_another_source_under_the_same_name_is_refused() {
    let mut scenario = dumped("other").await;
    let text = fs::read_to_string(scenario.path("source1.yaml")).unwrap();
    let other = text.replace(
        &Server::MySql1.port().to_string(),
        &Server::MySql2.port().to_string(),
    );
    scenario.write("source1.yaml", &other);
    run(scenario.job("dump").arg("--accept-changes"))
        .expect(CONFIG)
        .says(&["replica-01", "server"]);
    scenario.sources = vec![Server::MySql1];
    scenario.clean().await;
}

#[tokio::test]
async fn a_changed_task_file_is_refused_with_the_difference() {
    let scenario = dumped("changed").await;
    let text = fs::read_to_string(scenario.path("task.yaml")).unwrap();
    scenario.write(
        "task.yaml",
        &text.replace("--consistency none", "--consistency none --where 'id > 1'"),
    );
    run(&mut scenario.job("load"))
        .expect(CONFIG)
        .says(&["id > 1", "--accept-changes"]);
    scenario.clean().await;
}

#[tokio::test]
async fn an_unreachable_store_is_named() {
    let mut scenario = Scenario::new("store", &[Server::MySql1], Server::TiDb, Store::Local);
    scenario.fill(0, &small()).await;
    // Nothing listens on port 1.
    scenario.staging = "s3://nowhere/x?endpoint=http://127.0.0.1:1".to_owned();
    run(&mut scenario.job("dump"))
        .expect(FAILED)
        .says(&["s3://nowhere/x", "127.0.0.1:1"]);
    scenario.clean().await;
}

#[tokio::test]
async fn a_wrong_key_of_the_store_is_named() {
    let scenario = Scenario::new("key", &[Server::MySql1], Server::TiDb, Store::MinIo);
    scenario.fill(0, &small()).await;
    run(scenario.job("dump").env("AWS_SECRET_ACCESS_KEY", "wrong"))
        .expect(CONFIG)
        .says(&["s3://"]);
    scenario.clean().await;
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let mut scenario = Scenario::new("bucket", &[Server::MySql1], Server::TiDb, Store::MinIo);
    scenario.fill(0, &small()).await;
    scenario.staging = format!(
        "s3://no-such-bucket/x?endpoint={}",
        variable("TIDEWAY_TEST_S3_ENDPOINT")
    );
    run(&mut scenario.job("dump"))
        .expect(CONFIG)
        .says(&["no-such-bucket"]);
    scenario.clean().await;
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let scenario = Scenario::new("password", &[Server::MySql1], Server::TiDb, Store::Local);
    scenario.fill(0, &small()).await;
    let text = fs::read_to_string(scenario.path("source1.yaml")).unwrap();
    let right = variable("TIDEWAY_TEST_AURORA_PASSWORD");
    scenario.write("source1.yaml", &text.replace(&right, "not-the-password"));
    let ended = run(&mut scenario.job("dump"))
        .expect(CONFIG)
        .says(&["replica-01", "password"]);
    assert!(
        !ended.stderr.contains("not-the-password"),
        "{}",
        ended.stderr
    );
    scenario.clean().await;
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused() {
    let scenario = Scenario::new("tls", &[Server::MySql1], Server::TiDb, Store::Local);
    scenario.fill(0, &small()).await;
    let plain = fs::read_to_string(scenario.path("source1.yaml")).unwrap();
    let with_ca = |file: &str| format!("{plain}  security:\n    ssl-ca: \"{file}\"\n");
    // A CA that signed nothing here: the servers' own certificate, taken as an authority, is none.
    scenario.write(
        "source1.yaml",
        &with_ca(&variable("TIDEWAY_TEST_OTHER_CA_FILE")),
    );
    run(&mut scenario.job("dump"))
        .expect(CONFIG)
        .says(&["replica-01", "certificate"]);
    scenario.write("source1.yaml", &with_ca(&variable("TIDEWAY_TEST_CA_FILE")));
    run(scenario.job("dump").arg("--accept-changes")).expect(0);
    scenario.clean().await;
}

#[tokio::test]
async fn an_unknown_key_is_named_with_its_place() {
    let scenario = Scenario::new("key", &[Server::MySql1], Server::TiDb, Store::Local);
    let text = fs::read_to_string(scenario.path("task.yaml")).unwrap();
    scenario.write("task.yaml", &text.replace("task-mode", "taks-mode"));
    for job in ["precheck", "dump", "load", "validate"] {
        run(&mut scenario.job(job)).expect(CONFIG).says(&[
            "task.yaml",
            "taks-mode",
            "task-mode",
            "2",
        ]);
    }
}

/// A file system of its own, 1 MiB, unmounted when it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(status.success(), "mount needs root");
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg(self.0.path())
            .status();
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_leaves_nothing_half_written() {
    let disk = SmallDisk::mount();
    let mut scenario = Scenario::new("disk", &[Server::MySql1], Server::TiDb, Store::Local);
    let mut statements = small();
    statements.push("CREATE TABLE big (id INT PRIMARY KEY, v VARBINARY(2000))".to_owned());
    statements.push("SET SESSION cte_max_recursion_depth = 10000".to_owned());
    statements.push(
        "INSERT INTO big WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT i, RANDOM_BYTES(1000) FROM n"
            .to_owned(),
    );
    scenario.fill(0, &statements).await;
    let roomy = std::mem::replace(
        &mut scenario.staging,
        disk.0.path().join("staging").display().to_string(),
    );
    run(&mut scenario.job("dump"))
        .expect(FAILED)
        .says(&["space"]);
    assert!(
        !scenario
            .source_staging(1)
            .join("dump/_tideway/manifest.json")
            .exists()
    );
    // With room it goes on.
    scenario.staging = roomy;
    scenario.run_all();
    scenario.assert_table(0, "big").await;
    scenario.clean().await;
}

#[tokio::test]
async fn a_target_table_that_is_not_empty_is_refused() {
    let scenario = dumped("notempty").await;
    let name = &scenario.name;
    scenario
        .target
        .run(&[
            &format!("CREATE DATABASE `{name}`"),
            &format!("CREATE TABLE `{name}`.t (id INT PRIMARY KEY, v VARCHAR(100))"),
            &format!("INSERT INTO `{name}`.t VALUES (9, 'mine')"),
        ])
        .await;
    run(&mut scenario.job("load"))
        .expect(CONFIG)
        .says(&["`t`", "--into-existing"]);
    assert_eq!(count(&scenario).await, Some(1));
    scenario.clean().await;
}

#[tokio::test]
async fn a_difference_is_found_and_named() {
    let scenario = dumped("difference").await;
    run(&mut scenario.job("load")).expect(0);
    let name = &scenario.name;
    scenario
        .target
        .run(&[&format!("UPDATE `{name}`.t SET v = 'TWO' WHERE id = 2")])
        .await;
    run(&mut scenario.job("validate"))
        .expect(4)
        .says(&["1 difference"]);
    scenario.clean().await;
}

#[tokio::test]
async fn cleanup_ends_the_task_and_leaves_its_neighbours() {
    use mysql_async::prelude::Queryable;
    let scenario = dumped("cleanup").await;
    run(&mut scenario.job("load")).expect(0);
    let name = scenario.name.clone();
    let meta = format!("{name}_meta");
    scenario
        .target
        .run(&[&format!("CREATE TABLE `{meta}`.`{name}_2_owner` (a INT)")])
        .await;
    let neighbour = Path::new(&scenario.staging).join(format!("{name}_2"));
    fs::create_dir_all(&neighbour).unwrap();
    fs::write(neighbour.join("task.json"), "{}").unwrap();
    let cleanup = |flag: &str| {
        let mut command = std::process::Command::new(tideway_tests::command::binary("tideway"));
        command
            .current_dir(scenario.folder.path())
            .args([
                "cleanup",
                flag,
                "--task",
                "task.yaml",
                "--source",
                "source1.yaml",
            ])
            .args(["--staging", &scenario.staging]);
        command
    };
    run(&mut cleanup("--dry-run"))
        .expect(0)
        .says(&[&format!("{name}_loader_checkpoint")]);
    assert!(
        scenario.source_staging(1).exists(),
        "--dry-run removes nothing"
    );
    run(&mut cleanup("--yes")).expect(0);
    assert!(!scenario.source_staging(1).join("dump").exists());
    assert!(neighbour.join("task.json").exists());
    let mut conn = scenario.target.connect().await;
    let left: Vec<String> = conn
        .query(format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{meta}'"
        ))
        .await
        .unwrap();
    assert_eq!(left, [format!("{name}_2_owner")]);
    assert_eq!(count(&scenario).await, Some(3), "what was migrated stays");
    scenario.clean().await;
}
