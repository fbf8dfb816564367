//! Every single change is found and named, and the repair SQL repairs it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use harness::{Pair, Server, table};
use serde_json::Value;

const KEYED: &str = "CREATE TABLE t (
    id INT PRIMARY KEY, u INT UNIQUE, v VARCHAR(50), b LONGBLOB, d DOUBLE, f FLOAT, j JSON,
    dt DATETIME(6), dc DECIMAL(30,10), bt BIT(64), e ENUM('a','b','c'), c CHAR(5),
    g INT GENERATED ALWAYS AS (id * 2) STORED)";

const FILL: &str = "INSERT INTO t (id,u,v,b,d,f,j,dt,dc,bt,e,c) VALUES
    (1, 10, 'one', REPEAT(x'00', 100000), 0.1, 0.1, '{\"a\": 1, \"b\": [1, 2]}', '2024-01-01 00:00:00.000001', 1.0000000001, 1, 'a', 'x'),
    (2, 20, '', x'', 1e300, 16777216, '[]', '2024-01-01 00:00:00', -1, 18446744073709551615, 'b', ''),
    (3, 30, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (4, 40, 'it''s \\\\ <b>&\\n', x'27', 5, 5, '\"x\\'y\"', '0000-00-00', 4, 4, 'c', 'y')";

/// What is done to the target, and what must be found: kind of row, and the columns.
const CHANGES: &[(&str, &str, &[&str])] = &[
    (
        "UPDATE t SET b = CONCAT(SUBSTRING(b, 1, 99999), x'01') WHERE id = 1",
        "different",
        &["b"],
    ),
    (
        "UPDATE t SET d = 0.10000000000000002 WHERE id = 1",
        "different",
        &["d"],
    ),
    (
        "UPDATE t SET f = 0.10000001 WHERE id = 1",
        "different",
        &["f"],
    ),
    (
        "UPDATE t SET f = 16777218 WHERE id = 2",
        "different",
        &["f"],
    ),
    (
        "UPDATE t SET j = '{\"a\": 1, \"b\": [2, 1]}' WHERE id = 1",
        "different",
        &["j"],
    ),
    ("UPDATE t SET j = 'null' WHERE id = 3", "different", &["j"]),
    ("UPDATE t SET v = NULL WHERE id = 2", "different", &["v"]),
    ("UPDATE t SET v = '' WHERE id = 3", "different", &["v"]),
    ("UPDATE t SET v = 'one ' WHERE id = 1", "different", &["v"]),
    ("UPDATE t SET v = 'One' WHERE id = 1", "different", &["v"]),
    (
        "UPDATE t SET dt = '2024-01-01 00:00:00.000002' WHERE id = 1",
        "different",
        &["dt"],
    ),
    ("UPDATE t SET dt = NULL WHERE id = 4", "different", &["dt"]),
    (
        "UPDATE t SET dc = 1.0000000002 WHERE id = 1",
        "different",
        &["dc"],
    ),
    (
        "UPDATE t SET bt = 18446744073709551614 WHERE id = 2",
        "different",
        &["bt"],
    ),
    ("UPDATE t SET e = 'b' WHERE id = 1", "different", &["e"]),
    (
        "UPDATE t SET v = 'x', d = 2 WHERE id = 4",
        "different",
        &["v", "d"],
    ),
    ("DELETE FROM t WHERE id = 4", "missing", &[]),
    ("INSERT INTO t (id, u) VALUES (5, 50)", "extra", &[]),
];

fn only_row<'a>(reports: &'a Value, change: &str) -> &'a Value {
    let rows = table(reports, "t")["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{change}: {reports:#}");
    &rows[0]
}

async fn single_changes(source: Server, target: Server) {
    let pair = Pair::new(source, target).await;
    pair.both(&[KEYED, FILL]).await;
    pair.assert_equal();
    for (change, kind, columns) in CHANGES {
        pair.target(&[change]).await;
        let reports = pair.differences();
        let row = only_row(&reports, change);
        assert_eq!(row["kind"], *kind, "{change}: {row:#}");
        if !columns.is_empty() {
            let found: Vec<&str> = row["columns"]
                .as_array()
                .unwrap()
                .iter()
                .map(|column| column["column"].as_str().unwrap())
                .collect();
            assert_eq!(found, *columns, "{change}");
        }
        assert!(row["key"]["id"].is_string(), "{change}: {row:#}");
        pair.repair();
        pair.assert_equal();
    }
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_in_tidb_is_found_and_repaired() {
    single_changes(Server::MySql1, Server::TiDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_in_mysql_is_found_and_repaired() {
    single_changes(Server::MySql1, Server::MySqlTarget).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_against_mariadb_is_found_and_repaired() {
    single_changes(Server::MariaDb, Server::TiDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_swapped_between_rows_are_two_differences() {
    let pair = Pair::new(Server::MySql1, Server::TiDb).await;
    pair.both(&[KEYED, FILL]).await;
    // Unique values too: each REPLACE of the repair meets the other row.
    pair.target(&[
        "UPDATE t SET u = 99 WHERE id = 1",
        "UPDATE t SET u = 10 WHERE id = 2",
        "UPDATE t SET u = 20 WHERE id = 1",
    ])
    .await;
    let reports = pair.differences();
    assert_eq!(
        table(&reports, "t")["counts"]["different"],
        2,
        "{reports:#}"
    );
    pair.repair();
    pair.assert_equal();
    pair.clean().await;
}

async fn without_key(source: Server, target: Server) {
    let pair = Pair::new(source, target).await;
    pair.both(&[
        "CREATE TABLE t (a INT, f FLOAT, d DOUBLE, j JSON, v VARCHAR(20), b BLOB)",
        "INSERT INTO t VALUES (1, 0.1, 0.1, '{\"k\": [1, 2]}', 'x', x'00'), (1, 0.1, 0.1, '{\"k\": [1, 2]}', 'x', x'00'), (2, NULL, NULL, NULL, NULL, NULL), (3, 1, 1, '1', '''', x'27')",
    ])
    .await;
    pair.assert_equal();
    for (change, kind, rows) in [
        ("INSERT INTO t SELECT * FROM t WHERE a = 3", "extra", 1),
        ("INSERT INTO t SELECT * FROM t WHERE a = 1", "extra", 2),
        ("DELETE FROM t WHERE a = 1 LIMIT 1", "missing", 1),
        ("DELETE FROM t WHERE a = 1", "missing", 2),
        ("DELETE FROM t WHERE a = 2", "missing", 1),
        ("INSERT INTO t SELECT * FROM t WHERE a = 2", "extra", 1),
    ] {
        pair.target(&[change]).await;
        let reports = pair.differences();
        let row = only_row(&reports, change);
        assert_eq!(
            (&row["kind"], &row["rows"]),
            (&kind.into(), &rows.into()),
            "{change}"
        );
        pair.repair();
        pair.assert_equal();
    }
    // One row of two equal ones is changed in a column that only the client compares.
    pair.target(&["UPDATE t SET d = 0.10000000000000002 WHERE a = 1 LIMIT 1"])
        .await;
    let reports = pair.differences();
    let counts = &table(&reports, "t")["counts"];
    assert_eq!(
        (&counts["missing"], &counts["extra"]),
        (&1.into(), &1.into()),
        "{reports:#}"
    );
    pair.repair();
    pair.assert_equal();
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_is_compared_by_how_often_rows_occur_in_tidb() {
    without_key(Server::MySql1, Server::TiDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_key_is_compared_by_how_often_rows_occur_in_mysql() {
    without_key(Server::MySql1, Server::MySqlTarget).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_columns_that_are_missing_are_findings() {
    let pair = Pair::new(Server::MySql1, Server::TiDb).await;
    pair.both(&[
        "CREATE TABLE here (id INT PRIMARY KEY, v INT)",
        "INSERT INTO here VALUES (1, 1)",
    ])
    .await;
    pair.source(
        0,
        &[
            "CREATE TABLE absent (id INT PRIMARY KEY)",
            "ALTER TABLE here ADD w INT",
        ],
    )
    .await;
    let ended = pair.validate(&[]).expect(4);
    assert!(
        ended.stdout.contains("missing on the target"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("column w missing on the target"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.ends_with("2 differences in 2 tables\n"),
        "{}",
        ended.stdout
    );
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_values_as_text() {
    let pair = Pair::new(Server::MySql1, Server::TiDb).await;
    pair.both(&["CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50))"])
        .await;
    pair.source(
        0,
        &["INSERT INTO t VALUES (1, '<script>alert(1)</script>')"],
    )
    .await;
    pair.differences();
    let page = std::fs::read_to_string(pair.validate_folder().join("report.html")).unwrap();
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
    assert!(!page.contains("<script>"), "{page}");
    pair.clean().await;
}
