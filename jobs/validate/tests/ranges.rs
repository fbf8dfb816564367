//! Tables in ranges and in parts, several sources, reruns: what is compared is always every row, once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use chrono::Utc;
use harness::{Pair, Server, table};
use serde_json::json;
use tideway_staging::document::{Plan, TablePlan};
use tideway_staging::layout::TaskKeys;
use tideway_staging::{Create, Staging};

/// A thousand numbers, from 0.
const NUMBERS: &str = "(SELECT a.n + 10 * b.n + 100 * c.n AS n FROM
    (SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) a,
    (SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) b,
    (SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9) c) x";

async fn server_uuid(server: Server) -> String {
    use mysql_async::prelude::Queryable;
    server
        .connect()
        .await
        .query_first("SELECT @@server_uuid")
        .await
        .unwrap()
        .unwrap()
}

/// Puts a plan into the pair's staging, as the dump of its first source would.
async fn write_plan(pair: &Pair, server_uuid: String, tables: Vec<TablePlan>) {
    let folder = pair.folder.path().join("staging");
    let staging = Staging::open(folder.to_str().unwrap()).await.unwrap();
    let keys = TaskKeys::new(&pair.name).source("s0");
    let plan = Plan {
        version: 1,
        task: pair.name.clone(),
        source: "s0".into(),
        server_uuid,
        generation: 0,
        complete: true,
        consistency: "none".into(),
        snapshot: false,
        start: json!(null),
        databases: vec![],
        tables,
        views: vec![],
        created_at: Utc::now(),
        attempt: "1".into(),
    };
    let created = staging.create_json(&keys.plan(0), &plan).await.unwrap();
    assert!(matches!(created, Create::Won));
}

fn table_plan(pair: &Pair, table: &str, key: &[&str], bounds: &serde_json::Value) -> TablePlan {
    serde_json::from_value(json!({
        "db": pair.name, "table": table, "definition": null, "definition_hash": "x", "position": null,
        "key": key, "bounds": bounds, "first_chunk": 0, "estimated_rows": 1000,
        "estimated_bytes": 100_000, "no_data": false, "where_clause": null,
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plans_ranges_hold_every_row_once() {
    let pair = Pair::new(Server::MySql1, Server::TiDb).await;
    let fill = format!("INSERT INTO t SELECT n, REPEAT('x', 20), n * 0.5 FROM {NUMBERS}");
    let text = format!("INSERT INTO s SELECT CONCAT('k', n), n FROM {NUMBERS}");
    pair.both(&[
        "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20), d DOUBLE)",
        &fill,
        "CREATE TABLE s (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)",
        &text,
    ])
    .await;
    let ints = json!([[{"int": 100}], [{"int": 500}], [{"int": 900}]]);
    let texts = json!([[{"text": "k2"}], [{"text": "K7"}]]);
    let plans = vec![
        table_plan(&pair, "t", &["id"], &ints),
        table_plan(&pair, "s", &["k"], &texts),
    ];
    write_plan(&pair, server_uuid(Server::MySql1).await, plans).await;
    pair.assert_equal();
    // At both sides of bounds, and beyond the ends.
    pair.target(&[
        "UPDATE t SET v = 'y' WHERE id IN (0, 99, 100, 499, 500, 899, 900, 999)",
        "INSERT INTO t VALUES (-5, 'extra', 0), (5000, 'extra', 0)",
        "DELETE FROM t WHERE id IN (101, 501)",
        "UPDATE s SET v = -1 WHERE k IN ('k2', 'k7', 'k1', 'k999')",
    ])
    .await;
    let reports = pair.differences();
    let counts = &table(&reports, "t")["counts"];
    assert_eq!(
        counts,
        &json!({"different": 8, "extra": 2, "missing": 2, "unlisted": 0})
    );
    assert_eq!(
        table(&reports, "s")["counts"]["different"],
        4,
        "{reports:#}"
    );
    assert_eq!(table(&reports, "t")["rows_source"], 1000);
    assert_eq!(table(&reports, "t")["rows_target"], 1000);
    pair.repair();
    pair.assert_equal();
    // Two processes share the ranges; their reports together are the whole.
    pair.target(&["UPDATE t SET v = 'y' WHERE id IN (1, 200, 600, 950)"])
        .await;
    let mut found = 0;
    for index in ["0", "1"] {
        let ended = pair.validate(&[
            "--output",
            "json",
            "--worker-index",
            index,
            "--worker-count",
            "2",
        ]);
        let reports = ended.reports();
        found += reports[0]["differences"].as_u64().unwrap();
        assert!(
            pair.validate_folder()
                .join(format!("report-worker{index}.json"))
                .exists()
        );
    }
    assert_eq!(found, 4);
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_another_server_is_refused() {
    let pair = Pair::new(Server::MySql1, Server::TiDb).await;
    write_plan(&pair, "00000000-1111-2222-3333-444444444444".into(), vec![]).await;
    let ended = pair.validate(&[]).expect(2);
    assert!(
        ended
            .stderr
            .contains("00000000-1111-2222-3333-444444444444"),
        "{}",
        ended.stderr
    );
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_memory_holds_are_compared_in_parts() {
    let pair = Pair::new(Server::MySql1, Server::MySqlTarget).await;
    // 100,000 rows on each side; a quarter of 32 MiB holds 131,072.
    let numbers = NUMBERS.trim_end_matches(" x");
    let fill = format!(
        "INSERT INTO t SELECT p.n, q.n FROM {numbers} p, (SELECT n FROM {NUMBERS} WHERE n < 100) q"
    );
    let double = fill.replace("INTO t SELECT p.n, q.n", "INTO d SELECT p.n, q.n / 3");
    pair.both(&[
        "CREATE TABLE t (a INT, b INT)",
        &fill,
        "CREATE TABLE d (a INT, b DOUBLE)",
        &double,
    ])
    .await;
    let small = [
        "--memory",
        "32MiB",
        "--output",
        "json",
        "--max-differences",
        "5",
    ];
    pair.validate(&small).expect(0);
    pair.target(&[
        "UPDATE t SET b = b + 1000 WHERE a = 17",
        "UPDATE d SET b = -b WHERE a = 5 AND b > 0",
    ])
    .await;
    let reports = pair.validate(&small).expect(4).reports();
    let t = table(&reports, "t");
    assert_eq!(t["counts"]["missing"], 5, "{t:#}");
    assert_eq!(t["counts"]["extra"], 5, "{t:#}");
    assert_eq!(t["counts"]["unlisted"], 95, "{t:#}");
    let d = table(&reports, "d");
    assert_eq!(d["counts"]["unlisted"], 94, "{d:#}");
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_missing_is_counted_and_the_first_are_listed() {
    let pair = Pair::new(Server::MySql1, Server::TiDb).await;
    let fill = format!("INSERT INTO t SELECT n, 1 FROM {NUMBERS}");
    pair.both(&["CREATE TABLE t (id INT PRIMARY KEY, v INT)"])
        .await;
    pair.source(0, &[&fill]).await;
    let args = ["--output", "json", "--max-differences", "10"];
    let reports = pair.validate(&args).expect(4).reports();
    let t = table(&reports, "t");
    assert_eq!(
        t["counts"],
        json!({"different": 0, "extra": 0, "missing": 10, "unlisted": 990})
    );
    assert_eq!(t["rows"].as_array().unwrap().len(), 10);
    let sql = std::fs::read_to_string(pair.validate_folder().join("repair-000001.sql")).unwrap();
    assert!(sql.contains("990 more rows"), "{sql}");
    // All of them, as the repair with a longer list does.
    pair.validate(&["--max-differences", "1000"]).expect(4);
    pair.repair();
    pair.assert_equal();
    assert!(!pair.validate_folder().join("repair-000001.sql").exists());
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sources_that_meet_in_one_table_are_compared_together() {
    let pair = Pair::with(&[Server::MySql1, Server::MySql2], Server::TiDb, true).await;
    pair.both(&["CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10))"])
        .await;
    pair.source(0, &["INSERT INTO t VALUES (1, 'one'), (2, 'two')"])
        .await;
    pair.source(1, &["INSERT INTO t VALUES (3, 'three'), (4, NULL)"])
        .await;
    pair.target(&["INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, NULL)"])
        .await;
    pair.assert_equal();
    pair.target(&[
        "DELETE FROM t WHERE id = 4",
        "UPDATE t SET v = 'x' WHERE id = 1",
    ])
    .await;
    let reports = pair.differences();
    let t = table(&reports, "t");
    assert_eq!(
        t["counts"],
        json!({"different": 1, "extra": 0, "missing": 1, "unlisted": 0})
    );
    pair.repair();
    pair.assert_equal();
    // A row that both sources have can be there only once.
    pair.source(1, &["INSERT INTO t VALUES (1, 'one')"]).await;
    let reports = pair.differences();
    assert_eq!(table(&reports, "t")["rows_source"], 5);
    assert_eq!(table(&reports, "t")["counts"]["missing"], 1, "{reports:#}");
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_a_shard_lacks_is_not_passed_over() {
    let pair = Pair::with(&[Server::MySql1, Server::MySql2], Server::TiDb, true).await;
    // `late` is in the second shard only, `early` in the first only.
    pair.source(
        0,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, v INT, early INT)",
            "INSERT INTO t VALUES (1, 1, 1)",
        ],
    )
    .await;
    pair.source(
        1,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, v INT, late INT)",
            "INSERT INTO t VALUES (2, 2, 2)",
        ],
    )
    .await;
    pair.target(&[
        "CREATE TABLE t (id INT PRIMARY KEY, v INT, early INT, late INT)",
        "INSERT INTO t VALUES (1, 1, 1, NULL), (2, 2, NULL, 999)",
    ])
    .await;
    let ended = pair.validate(&[]).expect(4);
    for (column, lacks) in [("early", "s1"), ("late", "s0")] {
        let said = format!(
            "column {column} not compared: {lacks}: {}.t lacks it",
            pair.name
        );
        assert!(ended.stdout.contains(&said), "{said} in {}", ended.stdout);
    }
    assert!(!ended.stdout.contains("no differences"), "{}", ended.stdout);
    let reports = pair.differences();
    let t = table(&reports, "t");
    assert_eq!(t["findings"][0]["kind"], "column_not_compared", "{t:#}");
    // What both have is compared all the same.
    assert_eq!(t["counts"]["different"], 0, "{t:#}");
    pair.target(&["UPDATE t SET v = 7 WHERE id = 2"]).await;
    let reports = pair.differences();
    assert_eq!(table(&reports, "t")["counts"]["different"], 1);
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_without_a_plan_share_no_bounds_of_their_own() {
    let pair = Pair::new(Server::MySql1, Server::TiDb).await;
    let fill = format!("INSERT INTO t SELECT n * 10, 1 FROM {NUMBERS}");
    pair.both(&["CREATE TABLE t (id INT PRIMARY KEY, v INT)", &fill])
        .await;
    let share = |index: &str| {
        let args = ["--worker-index", index, "--worker-count", "2"];
        let small = ["--range-rows", "100", "--output", "json"];
        pair.validate(&[args, small].concat())
    };
    // Somebody writes between the starts of two processes: all bounds by number of rows move.
    let first = share("0");
    let more = "INSERT INTO t SELECT id + 1, 1 FROM (SELECT id FROM t WHERE id < 5000) x";
    pair.both(&[more]).await;
    let second = share("1");
    let rows: Vec<u64> = [&first, &second]
        .iter()
        .flat_map(|ended| ended.reports()[0]["tables"].as_array().cloned().unwrap())
        .map(|table| table["rows_source"].as_u64().unwrap())
        .collect();
    assert!(
        rows == [1000] || rows == [1500],
        "the table as a whole, by one process: {rows:?}"
    );
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_its_report_it_runs_again() {
    let pair = Pair::new(Server::MySql1, Server::TiDb).await;
    pair.both(&[
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "INSERT INTO t VALUES (1), (2)",
    ])
    .await;
    pair.target(&["DELETE FROM t WHERE id = 2"]).await;
    let mut command = pair.command();
    let output = command
        .env("TIDEWAY_FAILPOINT", "validate.report")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), None, "was not killed");
    assert!(!pair.validate_folder().join("report.json").exists());
    let reports = pair.differences();
    assert_eq!(table(&reports, "t")["counts"]["missing"], 1);
    let stored = std::fs::read(pair.validate_folder().join("report.json")).unwrap();
    let stored: serde_json::Value = serde_json::from_slice(&stored).unwrap();
    assert_eq!(stored, reports[0]);
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_plan_the_index_is_walked() {
    let pair = Pair::new(Server::MySql1, Server::TiDb).await;
    let text = format!("INSERT INTO text SELECT CONCAT(CHAR(65 + n % 26), n), n FROM {NUMBERS}");
    let pairs = format!("INSERT INTO pairs SELECT n % 3, n, x'00' FROM {NUMBERS}");
    let dates =
        format!("INSERT INTO dates SELECT '2020-01-01' + INTERVAL n HOUR, n * 1.5 FROM {NUMBERS}");
    let bytes =
        format!("INSERT INTO bytes SELECT UNHEX(SUBSTRING(SHA2(n, 256), 1, 16)), n FROM {NUMBERS}");
    let other = format!("INSERT INTO other SELECT CONCAT('k', n), n FROM {NUMBERS}");
    pair.both(&[
        "CREATE TABLE text (k VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, v INT)",
        &text,
        "CREATE TABLE pairs (a INT, b INT, v BLOB, PRIMARY KEY (a, b))",
        &pairs,
        "CREATE TABLE dates (d DATETIME(3) PRIMARY KEY, v DECIMAL(20,10))",
        &dates,
        "CREATE TABLE bytes (k BINARY(16) PRIMARY KEY, v INT)",
        &bytes,
    ])
    .await;
    pair.source(
        0,
        &[
            "CREATE TABLE other (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)",
            &other,
        ],
    )
    .await;
    pair.target(&[
        "CREATE TABLE other (k VARCHAR(20) COLLATE utf8mb4_bin PRIMARY KEY, v INT)",
        &other,
    ])
    .await;
    let small = ["--range-rows", "90", "--output", "json"];
    let reports = pair.validate(&small).expect(0).reports();
    for name in ["text", "pairs", "dates", "bytes", "other"] {
        assert_eq!(table(&reports, name)["rows_source"], 1000, "{reports:#}");
        assert_eq!(table(&reports, name)["rows_target"], 1000, "{reports:#}");
    }
    pair.target(&[
        "UPDATE text SET v = -1 WHERE v % 100 = 3",
        "UPDATE pairs SET v = x'01' WHERE b % 100 = 3",
        "UPDATE dates SET v = -1 WHERE d IN ('2020-01-01 00:00:00', '2020-02-11 15:00:00')",
        "UPDATE bytes SET v = -1 WHERE v % 100 = 3",
        "UPDATE other SET v = -1 WHERE v % 100 = 3",
    ])
    .await;
    let reports = pair.validate(&small).expect(4).reports();
    for (name, different) in [
        ("text", 10),
        ("pairs", 10),
        ("dates", 2),
        ("bytes", 10),
        ("other", 10),
    ] {
        let counts = &table(&reports, name)["counts"];
        assert_eq!(
            counts,
            &json!({"different": different, "extra": 0, "missing": 0, "unlisted": 0}),
            "{name}"
        );
    }
    pair.repair();
    pair.assert_equal();
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dump_left_out_is_not_missed() {
    let pair = Pair::new(Server::MySql1, Server::TiDb).await;
    pair.both(&[
        "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE n (id INT PRIMARY KEY)",
    ])
    .await;
    pair.source(
        0,
        &[
            "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)",
            "INSERT INTO n VALUES (1)",
        ],
    )
    .await;
    pair.target(&["INSERT INTO t VALUES (2, 2), (3, 3)"]).await;
    let mut t = table_plan(&pair, "t", &["id"], &json!([]));
    t.where_clause = Some("v > 1".into());
    let mut n = table_plan(&pair, "n", &["id"], &json!([]));
    n.no_data = true;
    write_plan(&pair, server_uuid(Server::MySql1).await, vec![t, n]).await;
    let ended = pair.validate(&[]).expect(0);
    assert!(ended.stdout.contains("dump's --where"), "{}", ended.stdout);
    assert!(ended.stdout.contains("without data"), "{}", ended.stdout);
    pair.target(&["DELETE FROM t WHERE id = 3"]).await;
    let reports = pair.differences();
    assert_eq!(table(&reports, "t")["counts"]["missing"], 1);
    pair.clean().await;
}
