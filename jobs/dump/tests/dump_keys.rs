//! Every kind of key: the chunks hold each row exactly once.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use harness::{Scenario, Server, Settings};

fn small_chunks() -> Settings {
    Settings {
        extra_args: "--consistency none --rows 500".to_owned(),
        ..Settings::default()
    }
}

/// `n` as a table of the numbers 1 to `count`.
fn numbers(count: u32) -> String {
    format!("WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {count}) ")
}

async fn check(scenario: &Scenario, table: &str, at_least: usize) {
    scenario.assert_table(table).await;
    let chunks = scenario.markers(table).await.len();
    assert!(chunks >= at_least, "{table}: {chunks} chunks");
}

async fn keys_of(server: Server) {
    let scenario = Scenario::new("keys", server, &small_chunks()).await;
    let n = numbers(5000);
    let recursion = match server {
        Server::MariaDb => "SET max_recursive_iterations = 100000",
        _ => "SET cte_max_recursion_depth = 100000",
    };
    let fill =
        |insert: &str, select: &str| format!("INSERT INTO {insert} {n} SELECT {select} FROM n");
    scenario
        .sql(&[
            recursion,
            "CREATE TABLE ints (id INT PRIMARY KEY, v VARCHAR(20))",
            &fill("ints", "i * 7 - 12000, CONCAT('v', i)"),
            "CREATE TABLE big_unsigned (id BIGINT UNSIGNED PRIMARY KEY, v INT)",
            &fill("big_unsigned", "18446744073709551615 - i * 1000000000, i"),
            "CREATE TABLE skewed (id BIGINT PRIMARY KEY, v INT)",
            &fill("skewed", "IF(i <= 2500, i, 4000000000000000000 + i * i), i"),
            "CREATE TABLE composite (a INT, b VARCHAR(20), c INT, v INT, PRIMARY KEY (a, b, c))",
            // One leading value holds most of the rows.
            &fill("composite", "IF(i % 10 = 0, i, 7), CONCAT('b', i % 700), i, i"),
            "CREATE TABLE strings (k VARCHAR(40) PRIMARY KEY, v INT) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
            &fill("strings", "CONCAT(ELT(i % 5 + 1, 'a', 'É', 'z''', '€\\\\', 'ß'), SHA2(i, 256) , ''), i")
                .replace("SHA2(i, 256) ", "LEFT(SHA2(i, 256), 20)"),
            "CREATE TABLE latin (k VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY, v INT)",
            &fill("latin", "CONCAT(ELT(i % 4 + 1, 'a', 'é', 'Z', 'ü'), i), i"),
            "CREATE TABLE bytes_key (k VARBINARY(20) PRIMARY KEY, v INT)",
            &fill("bytes_key", "UNHEX(LEFT(SHA2(i, 256), 24)), i"),
            "CREATE TABLE uuids (k BINARY(16) PRIMARY KEY, v INT)",
            &fill("uuids", "UNHEX(LEFT(SHA2(i, 256), 32)), i"),
            "CREATE TABLE secondary (a INT NOT NULL, b INT, UNIQUE KEY u (a))",
            &fill("secondary", "i * 3, i"),
            "CREATE TABLE decimals (k DECIMAL(20,4) PRIMARY KEY, v INT)",
            &fill("decimals", "i * 1.5 - 3000, i"),
            "CREATE TABLE dated (d DATE, n INT, PRIMARY KEY (d, n))",
            &fill("dated", "DATE_ADD('2020-01-01', INTERVAL i % 30 DAY), i"),
            "CREATE TABLE stamped (d DATETIME(6) PRIMARY KEY)",
            &fill("stamped", "DATE_ADD('2020-01-01', INTERVAL i * 1000001 MICROSECOND)"),
            "CREATE TABLE keyless (a INT, b VARCHAR(10))",
            &fill("keyless", "i % 50, 'x'"),
            "CREATE TABLE prefixed (t TEXT NOT NULL, n INT, UNIQUE KEY u (t(10)), v INT)",
            &fill("prefixed", "CONCAT(i, 'tail'), i, i"),
            "CREATE TABLE floats (f DOUBLE PRIMARY KEY, v INT)",
            &fill("floats", "i / 7, i"),
            "CREATE TABLE enums (e ENUM('z','a','m'), n INT, PRIMARY KEY (e, n))",
            &fill("enums", "ELT(i % 3 + 1, 'a', 'm', 'z'), i"),
            "ANALYZE TABLE ints, big_unsigned, skewed, composite, strings, latin, bytes_key, uuids, secondary, decimals, dated, stamped",
        ])
        .await;
    scenario.run(&[]).expect(0);
    for table in [
        "ints",
        "big_unsigned",
        "skewed",
        "composite",
        "strings",
        "latin",
        "bytes_key",
        "uuids",
        "secondary",
        "dated",
    ] {
        check(&scenario, table, 5).await;
    }
    for table in [
        "decimals", "stamped", "keyless", "prefixed", "floats", "enums",
    ] {
        check(&scenario, table, 1).await;
    }
    scenario.assert_tidy().await;
    let manifest = scenario.manifest().await.unwrap();
    assert_eq!(manifest.rows, 16 * 5000);
    scenario.clean().await;
}

#[tokio::test]
async fn keys_of_mysql() {
    keys_of(Server::MySql).await;
}

#[tokio::test]
async fn keys_of_mariadb() {
    keys_of(Server::MariaDb).await;
}

#[tokio::test]
async fn several_workers_share_the_chunks() {
    let scenario = Scenario::new("workers", Server::MySql, &small_chunks()).await;
    scenario
        .sql(&[
            "SET cte_max_recursion_depth = 100000",
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))",
            &format!("INSERT INTO t {} SELECT i, 'v' FROM n", numbers(10_000)),
            "ANALYZE TABLE t",
        ])
        .await;
    let workers: Vec<_> = (0..3)
        .map(|index| {
            let index = index.to_string();
            scenario.start(&["--worker-index", &index, "--worker-count", "3"])
        })
        .collect();
    for worker in workers {
        harness::Ended::of(&worker.wait_with_output().unwrap()).expect(0);
    }
    scenario.assert_table("t").await;
    assert!(scenario.manifest().await.is_some());
    scenario.assert_tidy().await;
    scenario.clean().await;
}

#[tokio::test]
async fn verbs_one_after_the_other() {
    let scenario = Scenario::new("verbs", Server::MySql, &small_chunks()).await;
    scenario
        .sql(&[
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "INSERT INTO t VALUES (1), (2)",
        ])
        .await;
    scenario
        .run(&["run"])
        .expect(2)
        .says(&["has no plan", "tideway-dump plan"]);
    scenario.run(&["finish"]).expect(2).says(&["has no plan"]);
    scenario.run(&["plan"]).expect(0);
    assert!(scenario.manifest().await.is_none());
    scenario
        .run(&["finish"])
        .expect(1)
        .says(&["1 of 1 chunks", "not committed yet"]);
    scenario.run(&["run"]).expect(0);
    assert!(scenario.manifest().await.is_none());
    scenario.run(&["finish"]).expect(0);
    scenario.assert_table("t").await;
    let before = scenario.manifest().await.unwrap();
    scenario.run(&[]).expect(0).says(&["nothing to do"]);
    assert_eq!(scenario.manifest().await.unwrap(), before);
    scenario.clean().await;
}

#[tokio::test]
async fn where_no_data_and_no_schemas() {
    let settings = Settings {
        extra_args: "--consistency none --where 'id > 3'".to_owned(),
        ..Settings::default()
    };
    let scenario = Scenario::new("where", Server::MySql, &settings).await;
    scenario
        .sql(&[
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "INSERT INTO t VALUES (1), (2), (3), (4), (5)",
        ])
        .await;
    scenario.run(&[]).expect(0);
    let rows: Vec<_> = scenario
        .dumped("t")
        .await
        .concat()
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(rows, ["4", "5"]);
    scenario.clean().await;

    let settings = Settings {
        extra_args: "--consistency none --no-data".to_owned(),
        ..Settings::default()
    };
    let scenario = Scenario::new("nodata", Server::MySql, &settings).await;
    scenario
        .sql(&[
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "INSERT INTO t VALUES (1)",
        ])
        .await;
    scenario.run(&[]).expect(0);
    assert_eq!(scenario.markers("t").await.len(), 0);
    let manifest = scenario.manifest().await.unwrap();
    assert_eq!((manifest.rows, manifest.tables.len()), (0, 1));
    let schema = scenario.keys().table_schema(&scenario.name, "t");
    let text = scenario
        .staging()
        .await
        .get_bytes(&schema)
        .await
        .unwrap()
        .unwrap();
    assert!(String::from_utf8_lossy(&text).contains("CREATE TABLE `t`"));
    scenario.clean().await;
}
