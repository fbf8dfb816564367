//! Every type: what lies in Parquet is what the server says in its own text.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::time::Duration;

use chrono::Utc;
use harness::{Scenario, Server, Settings};

const NUMBERS: &str = "CREATE TABLE numbers (
    id INT PRIMARY KEY, t TINYINT, tu TINYINT UNSIGNED, s SMALLINT, su SMALLINT UNSIGNED,
    m MEDIUMINT, mu MEDIUMINT UNSIGNED, i INT, iu INT UNSIGNED, b BIGINT, bu BIGINT UNSIGNED,
    z INT(6) ZEROFILL, f FLOAT, d DOUBLE, dec10 DECIMAL(10,3), dec18 DECIMAL(18,0),
    dec38 DECIMAL(38,10), dec65 DECIMAL(65,30), y YEAR, b1 BIT(1), b9 BIT(9), b64 BIT(64), bo BOOL)";

const TEXTS: &str = "CREATE TABLE texts (
    id INT PRIMARY KEY, c CHAR(10), v VARCHAR(100), tt TINYTEXT, t TEXT, mt MEDIUMTEXT,
    lt LONGTEXT, l1 VARCHAR(50) CHARACTER SET latin1, bi BINARY(6), vb VARBINARY(20), tb TINYBLOB,
    bl BLOB, mb MEDIUMBLOB, lb LONGBLOB, e ENUM('a','b','it''s','ü'), s SET('x','y','z'), j JSON,
    g GEOMETRY) CHARACTER SET utf8mb4";

const MOMENTS: &str = "CREATE TABLE moments (
    id INT PRIMARY KEY, d DATE, t TIME, t3 TIME(3), t6 TIME(6), dt DATETIME, dt3 DATETIME(3),
    dt6 DATETIME(6), ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL)";

async fn all_types(server: Server, settings: &Settings) {
    let scenario = Scenario::new("types", server, settings).await;
    let zeros = "(2, 0,0,0,0,0,0,0,0,0,0,0, 0,-0.0,0,0,0,0, 0, 0,0,0, FALSE)";
    scenario
        .sql(&[
            NUMBERS,
            "INSERT INTO numbers VALUES (1, -128,255,-32768,65535,-8388608,16777215,-2147483648,
                4294967295,-9223372036854775808,18446744073709551615, 42, 0.1, 1.7976931348623157e308,
                -1234567.891, 999999999999999999, 9999999999999999999999999999.9999999999,
                -99999999999999999999999999999999999.999999999999999999999999999999, 2155,
                b'1', b'100000001', 0xFFFFFFFFFFFFFFFF, TRUE)",
            &format!("INSERT INTO numbers VALUES {zeros}"),
            "INSERT INTO numbers VALUES (3, 127,1,32767,1,8388607,1,2147483647,1,
                9223372036854775807,9223372036854775808, 999999, -3.4028234e38, 2.2250738585072014e-308,
                0.001, -1, -0.0000000001, 0.000000000000000000000000000001, 1901, b'0', b'1', b'1', 0)",
            "INSERT INTO numbers (id) VALUES (4)",
            "INSERT INTO numbers (id, f, d) VALUES (5, 16777217, 0.1), (6, 1.17549435e-38, 5e-324)",
            TEXTS,
            "INSERT INTO texts VALUES (1, 'a  ', 'ünï😀 ', '', 'line\\nbreak\\0nul', REPEAT('m', 70000),
                REPEAT('€', 30000), 'é', 'ab', 0x00FF00, '', 0xDEADBEEF00, REPEAT(0xFF, 70000),
                '', 'it''s', 'x,z', '{\"a\": [1, 2.50, \"ü\", null, true]}', ST_GeomFromText('POINT(1 2)'))",
            "INSERT INTO texts (id) VALUES (2)",
            "INSERT INTO texts VALUES (3, '', ' ', 'NULL', '\\\\N', 'tab\\t', 'quote\"''`', 'ÿ',
                0x610000000000, '', 0x0A0D, 0x00, 0x5C, 0x27, 'ü', '', '\"text\"',
                ST_GeomFromText('LINESTRING(0 0, 1 1, 2 2)'))",
            MOMENTS,
            "INSERT INTO moments VALUES (1, '2024-02-29', '-838:59:59', '00:00:00.001', '838:59:58.999999',
                '1000-01-01 00:00:00', '9999-12-31 23:59:59.999', '1969-12-31 23:59:59.999999',
                '1970-01-01 00:00:01', '2038-01-19 03:14:07.999999')",
            "INSERT INTO moments (id) VALUES (2)",
            "INSERT INTO moments VALUES (3, '0001-01-01', '00:00:00', '-00:00:00.5', '100:00:00',
                '2024-06-01 12:00:00', '2024-06-01 12:00:00.5', '2024-06-01 12:00:00.000001',
                '2024-06-01 12:00:00', '2024-06-01 12:00:00.1')",
        ])
        .await;
    scenario.run(&[]).expect(0);
    for table in ["numbers", "texts", "moments"] {
        scenario.assert_table(table).await;
    }
    assert!(
        scenario
            .markers("moments")
            .await
            .iter()
            .all(|m| m.text_columns.is_empty())
    );
    scenario.assert_tidy().await;
    scenario.clean().await;
}

#[tokio::test]
async fn all_types_of_mysql() {
    all_types(Server::MySql, &Settings::default()).await;
}

#[tokio::test]
async fn all_types_of_mariadb() {
    all_types(Server::MariaDb, &Settings::default()).await;
}

#[tokio::test]
async fn all_types_of_mariadb_in_one_snapshot() {
    let settings = Settings {
        extra_args: "--consistency auto".to_owned(),
        ..Settings::default()
    };
    all_types(Server::MariaDb, &settings).await;
}

#[tokio::test]
async fn a_value_beyond_the_budget_is_named() {
    let scenario = Scenario::new("large", Server::MySql, &Settings::default()).await;
    scenario
        .sql(&[
            "CREATE TABLE big (id INT PRIMARY KEY, other INT, v LONGBLOB)",
            "INSERT INTO big VALUES (41, 1, 'x'), (42, 1, REPEAT('x', 20000000)), (43, 1, 'y')",
        ])
        .await;
    scenario.run(&["--memory", "32MiB"]).expect(2).says(&[
        "big`",
        "column `v`",
        "`id` = 42",
        "20000004 bytes",
        "--memory",
    ]);
    assert!(scenario.manifest().await.is_none());
    scenario.run(&[]).expect(0);
    scenario.assert_table("big").await;
    scenario.assert_tidy().await;
    scenario.clean().await;
}

#[tokio::test]
async fn tidb_is_read_at_its_past_snapshot() {
    let settings = Settings {
        extra_args: "--consistency auto --rows 100".to_owned(),
        ..Settings::default()
    };
    let scenario = Scenario::new("tidb", Server::TiDb, &settings).await;
    scenario
        .sql(&[
            "CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(20), d DECIMAL(10,2), dt DATETIME(3), j JSON,
                e ENUM('a','b'), b BIT(9), bin BINARY(4), f FLOAT, tm TIME)",
            "INSERT INTO t WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900)
                SELECT i, CONCAT('v', i), i / 4, '2024-01-01 00:00:00.5', '{\"a\": 1}', 'b', 5, 'ab', i / 3, '-12:34:56' FROM n",
            "CREATE TABLE keyless (a INT)",
            "INSERT INTO keyless VALUES (1), (1), (NULL)",
            "ANALYZE TABLE t",
            // TiDB's first garbage collection writes it, minutes after the server was made.
            "INSERT INTO mysql.tidb (VARIABLE_NAME, VARIABLE_VALUE) VALUES ('tikv_gc_safe_point', '20200101-00:00:00 +0000')
                ON DUPLICATE KEY UPDATE VARIABLE_VALUE = VARIABLE_VALUE",
        ])
        .await;
    scenario.run(&["plan"]).expect(0);
    let at_plan = scenario.served("t").await;
    // What comes later is not in the snapshot that all processes share.
    scenario.sql(&["DELETE FROM t WHERE id % 2 = 0"]).await;
    scenario.run(&["run"]).expect(0);
    scenario.run(&["finish"]).expect(0);
    assert_eq!(scenario.dumped("t").await, at_plan);
    scenario.assert_table("keyless").await;
    let manifest = scenario.manifest().await.unwrap();
    assert!(manifest.exact);
    assert_eq!(manifest.consistency, "snapshot");

    // When TiDB has collected the snapshot, what was dumped of it is void.
    let staging = scenario.folder.path().join("staging");
    std::fs::remove_dir_all(staging).unwrap();
    scenario
        .run_with_failpoint("dump.chunk.marker:2", &["--workers", "1"])
        .expect(None);
    scenario.sql(&["DELETE FROM t WHERE id % 3 = 0"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let now = Utc::now().format("%Y%m%d-%H:%M:%S +0000");
    let safe_point = |at: &str| {
        format!(
            "UPDATE mysql.tidb SET VARIABLE_VALUE = '{at}' WHERE VARIABLE_NAME = 'tikv_gc_safe_point'"
        )
    };
    scenario.sql(&[&safe_point(&now.to_string())]).await;
    // The new snapshot must be later than the safe point, which counts in seconds.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = scenario.run(&[]);
    scenario
        .sql(&[&safe_point("20200101-00:00:00 +0000")])
        .await;
    ended
        .expect(0)
        .says(&["no longer keeps the snapshot", "tidb_gc_life_time"]);
    scenario.assert_table("t").await;
    scenario.assert_table("keyless").await;
    scenario.assert_tidy().await;
    let manifest = scenario.manifest().await.unwrap();
    assert!(manifest.exact && manifest.generation == 1, "{manifest:?}");
    scenario.clean().await;
}

#[tokio::test]
async fn vectors_of_mysql() {
    let scenario = Scenario::new("vector", Server::MySql, &Settings::default()).await;
    scenario
        .sql(&[
            "CREATE TABLE v (id INT PRIMARY KEY, v VECTOR(3))",
            "INSERT INTO v VALUES (1, TO_VECTOR('[1,2.5,-3]')), (2, NULL)",
        ])
        .await;
    scenario.run(&[]).expect(0);
    scenario.assert_table("v").await;
    scenario.clean().await;
}

#[tokio::test]
async fn zero_partial_and_invalid_dates_are_text_in_their_chunks() {
    for server in [Server::MySql, Server::MariaDb] {
        let settings = Settings {
            extra_args: "--consistency none --rows 100".to_owned(),
            threads: 1,
            ..Settings::default()
        };
        let scenario = Scenario::new("zero", server, &settings).await;
        scenario
            .sql(&[
                "CREATE TABLE z (id INT PRIMARY KEY, d DATE, dt DATETIME, dt6 DATETIME(6), ts TIMESTAMP NULL)",
                "SET @n = 0",
                "INSERT INTO z (id, d, dt, dt6, ts) WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 900)
                    SELECT i, '2024-01-01', '2024-01-01 01:02:03', '2024-01-01 01:02:03.456789', '2024-01-01 01:02:03' FROM n",
                "UPDATE z SET dt = '0000-00-00 00:00:00' WHERE id = 500",
                "UPDATE z SET dt6 = '2024-02-31 01:02:03.000004', d = '2024-02-30' WHERE id = 501",
                "UPDATE z SET ts = '0000-00-00 00:00:00', d = '0000-00-00' WHERE id = 502",
                "UPDATE z SET dt = '2024-00-00 00:00:00', d = '2024-06-00' WHERE id = 503",
                "ANALYZE TABLE z",
            ])
            .await;
        scenario.run(&[]).expect(0).says(&["kept as text"]);
        scenario.assert_table("z").await;
        let markers = scenario.markers("z").await;
        assert!(markers.len() > 3, "{} chunks", markers.len());
        assert!(markers[0].text_columns.is_empty());
        assert!(
            markers
                .iter()
                .any(|m| m.text_columns == ["dt", "dt6", "ts"])
        );
        scenario.clean().await;
    }
}

#[tokio::test]
async fn generated_columns_stay_invisible_ones_go() {
    let scenario = Scenario::new("generated", Server::MySql, &Settings::default()).await;
    scenario
        .sql(&[
            "CREATE TABLE g (id INT PRIMARY KEY, a INT, b INT AS (a * 2) VIRTUAL, c INT AS (a + 1) STORED,
                `we``ird name` INT INVISIBLE DEFAULT 7)",
            "INSERT INTO g (id, a) VALUES (1, 10), (2, 20)",
            "CREATE VIEW gv AS SELECT * FROM g",
            "CREATE TABLE empty_one (id INT PRIMARY KEY, v VARCHAR(3))",
            "CREATE TABLE one_row (id INT PRIMARY KEY)",
            "INSERT INTO one_row VALUES (5)",
            "CREATE TABLE keyless (a INT, b VARCHAR(5))",
            "INSERT INTO keyless VALUES (1, 'x'), (1, 'x'), (NULL, NULL)",
            "CREATE TABLE `odd.na/me %` (id INT PRIMARY KEY)",
            "INSERT INTO `odd.na/me %` VALUES (1)",
        ])
        .await;
    scenario.run(&[]).expect(0).says(&["gv`", "left out"]);
    for table in ["g", "empty_one", "one_row", "keyless", "odd.na/me %"] {
        scenario.assert_table(table).await;
        assert_eq!(scenario.markers(table).await.len(), 1, "{table}");
    }
    let plan = scenario.plan().await;
    assert!(plan.views.is_empty());
    let manifest = scenario.manifest().await.unwrap();
    assert_eq!(manifest.rows, 2 + 1 + 3 + 1);
    assert!(!manifest.exact);
    scenario.clean().await;
}
