//! Changes of definitions, under the settings of their sessions, and what is left out or refused.

use std::time::Duration;

use tideway_tests::cdc::Running;
use tideway_tests::command::run;
use tideway_tests::scenario::{Scenario, Store};
use tideway_tests::servers::Server;
use tideway_tests::trap::{BOTH, Trap, equal};

#[tokio::test]
async fn invisible_columns() {
    equal(
        "invisible",
        Server::MySql1,
        &[Server::MySqlTarget],
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, hidden INT INVISIBLE DEFAULT 7, v INT)",
            "INSERT INTO t VALUES (1, 1), (2, 2)",
            "INSERT INTO t (id, hidden, v) VALUES (3, 3, 3)",
            "UPDATE t SET hidden = 8 WHERE id = 1",
            "ALTER TABLE t ALTER COLUMN v SET INVISIBLE",
            "INSERT INTO t (id, v) VALUES (4, 4)",
            "SET SESSION sql_generate_invisible_primary_key = ON",
            "CREATE TABLE p (a INT)",
            "INSERT INTO p VALUES (1), (1), (2)",
            "UPDATE p SET a = 5 WHERE a = 2",
            "DELETE FROM p WHERE a = 1 LIMIT 1",
        ],
    )
    .await;
}

#[tokio::test]
async fn columns_that_only_the_target_has() {
    for target in BOTH {
        let mut trap = Trap::new("extra", Server::MySql1, target).await;
        trap.source(&[
            "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
            "INSERT INTO t VALUES (1, 1), (2, 2)",
        ])
        .await;
        trap.sync();
        trap.target(&["ALTER TABLE `DB`.t ADD COLUMN z INT DEFAULT 9 FIRST"])
            .await;
        trap.source(&[
            "INSERT INTO t VALUES (3, 3)",
            "UPDATE t SET v = 20 WHERE id = 2",
            "DELETE FROM t WHERE id = 1",
        ])
        .await;
        trap.sync();
        let found = trap
            .find("SELECT CONCAT_WS(',', id, v, z) FROM `DB`.t ORDER BY id")
            .await;
        assert_eq!(found, ["2,20,9", "3,3,9"], "{target:?}");
        trap.clean().await;
    }
}

#[tokio::test]
async fn create_table_select() {
    equal(
        "ctas",
        Server::MySql1,
        &BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10))",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
            "CREATE TABLE k (PRIMARY KEY (id)) AS SELECT id, v FROM t",
            "CREATE TABLE n AS SELECT id + 1 AS up, v FROM t",
            "CREATE TABLE m (extra INT DEFAULT 3, id INT NOT NULL, UNIQUE KEY (id)) SELECT id FROM t",
            "CREATE TABLE l LIKE t",
            "INSERT INTO l SELECT * FROM t",
            "CREATE TABLE IF NOT EXISTS l LIKE t",
            "CREATE TEMPORARY TABLE temporary_one AS SELECT * FROM t",
            "INSERT INTO temporary_one VALUES (9, 'x')",
            "INSERT INTO t SELECT * FROM temporary_one WHERE id = 9",
            "DROP TEMPORARY TABLE temporary_one",
            "UPDATE n SET v = 'c' WHERE up = 2",
            "DELETE FROM k WHERE id = 1",
        ],
    )
    .await;
}

#[tokio::test]
async fn definitions_under_the_settings_of_their_session() {
    for target in BOTH {
        let mut trap = Trap::new("context", Server::MySql1, target).await;
        trap.source(&[
            "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'",
            "CREATE TABLE \"quoted\" (\"id\" INT PRIMARY KEY, \"a \"\"b\" VARCHAR(20) DEFAULT 'c:\\d')",
            "INSERT INTO \"quoted\" (\"id\") VALUES (1)",
            "ALTER TABLE \"quoted\" ADD COLUMN \"select\" VARCHAR(10) DEFAULT 'it''s' COMMENT 'a\\'",
            "INSERT INTO \"quoted\" (\"id\") VALUES (2)",
            "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
            "USE information_schema",
            "CREATE TABLE `DB`.elsewhere (id INT PRIMARY KEY)",
            "ALTER TABLE `DB`.elsewhere ADD COLUMN v INT DEFAULT 4, RENAME TO `DB`.renamed",
            "INSERT INTO `DB`.renamed (id) VALUES (1)",
            "USE `DB`",
            "SET NAMES latin1",
        ])
        .await;
        trap.bytes(b"CREATE TABLE latin (`\xe4` INT PRIMARY KEY, v VARCHAR(20) CHARACTER SET utf8mb4 DEFAULT '\xf6\xdf', w VARCHAR(5) CHARACTER SET latin1)")
            .await;
        trap.bytes(b"INSERT INTO latin (`\xe4`, w) VALUES (1, '\xfc')")
            .await;
        trap.bytes(b"ALTER TABLE latin ADD COLUMN `\xd6` ENUM('\xe4', 'b') DEFAULT '\xe4'")
            .await;
        trap.bytes(b"INSERT INTO latin (`\xe4`) VALUES (2)").await;
        trap.source(&[
            "SET NAMES utf8mb4",
            "SET SESSION sql_mode = ''",
            "ALTER TABLE renamed ADD COLUMN d DATE NOT NULL DEFAULT '0000-00-00'",
            "INSERT INTO renamed (id) VALUES (2)",
        ])
        .await;
        trap.equal().await;
    }
}

#[tokio::test]
async fn timestamps_under_time_zones() {
    for target in BOTH {
        let mut trap = Trap::new("zones", Server::MySql1, target).await;
        trap.source(&[
            "SET time_zone = '+05:30'",
            "CREATE TABLE t (id INT PRIMARY KEY, ts TIMESTAMP NOT NULL DEFAULT '2020-01-01 00:00:00', ts6 TIMESTAMP(6) NULL DEFAULT \
             CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), dt DATETIME DEFAULT CURRENT_TIMESTAMP)",
            "INSERT INTO t (id) VALUES (1)",
            "INSERT INTO t VALUES (2, '1970-01-01 05:30:01', '2038-01-19 08:44:07.999999', '2024-03-31 02:30:00')",
            "SET time_zone = '-11:00'",
            "INSERT INTO t (id) VALUES (3)",
            "ALTER TABLE t ADD COLUMN late TIMESTAMP NULL DEFAULT '2021-06-15 12:00:00'",
            "INSERT INTO t (id) VALUES (4)",
            "UPDATE t SET ts = '2024-02-29 23:59:59' WHERE id = 2",
        ])
        .await;
        trap.capture();
        run(trap
            .scenario
            .cdc("apply", &["--until", "now"])
            .env("TZ", "Asia/Kathmandu"))
        .expect(0);
        trap.equal().await;
    }
}

#[tokio::test]
async fn what_is_no_table_is_left_out() {
    equal(
        "others",
        Server::MySql1,
        &BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
            "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what INT)",
            "CREATE VIEW a_view AS SELECT id FROM t",
            "CREATE OR REPLACE VIEW a_view AS SELECT v FROM t",
            "CREATE PROCEDURE p() BEGIN INSERT INTO t VALUES (100, 100); UPDATE t SET v = 101; END",
            "CREATE FUNCTION f(a INT) RETURNS INT DETERMINISTIC RETURN a + 1",
            "CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW INSERT INTO log (what) VALUES (NEW.id)",
            "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t",
            "CREATE USER 'DB'@'localhost' IDENTIFIED BY 'secret word'",
            "GRANT SELECT ON `DB`.* TO 'DB'@'localhost'",
            "REVOKE SELECT ON `DB`.* FROM 'DB'@'localhost'",
            "INSERT INTO t VALUES (1, f(1))",
            "CALL p()",
            "ANALYZE TABLE t",
            "OPTIMIZE TABLE t",
            "CHECK TABLE t",
            "FLUSH TABLES t",
            "ALTER EVENT e DISABLE",
            "DROP EVENT e",
            "DROP TRIGGER tr",
            "DROP FUNCTION f",
            "DROP PROCEDURE p",
            "DROP VIEW a_view",
            "DROP USER 'DB'@'localhost'",
            "INSERT INTO t VALUES (2, 2)",
        ],
    )
    .await;
}

#[tokio::test]
async fn event_filters() {
    let trap = Trap::with("filters", Server::MySql1, Server::TiDb, |text| {
        text.replace(
            "  block-allow-list: \"global\"\n",
            "  block-allow-list: \"global\"\n  filter-rules: [\"keep\", \"no-index\"]\n",
        ) + "filters:\n  keep:\n    schema-pattern: \"*\"\n    table-pattern: \"kept\"\n    events: [\"delete\", \"truncate table\", \"drop table\"]\n    \
             action: Ignore\n  no-index:\n    schema-pattern: \"*\"\n    table-pattern: \"*\"\n    sql-pattern: [\"ADD\\\\s+INDEX\"]\n    action: Ignore\n"
    });
    let mut trap = trap.await;
    trap.source(&[
        "CREATE TABLE kept (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE other (id INT PRIMARY KEY, v INT)",
        "INSERT INTO kept VALUES (1, 1), (2, 2)",
        "INSERT INTO other VALUES (1, 1), (2, 2)",
        "DELETE FROM kept WHERE id = 1",
        "DELETE FROM other WHERE id = 1",
        "UPDATE kept SET v = 20 WHERE id = 2",
        "ALTER TABLE kept ADD INDEX (v)",
        "TRUNCATE TABLE kept",
        "DROP TABLE kept",
    ])
    .await;
    trap.sync();
    assert_eq!(
        trap.find("SELECT CONCAT_WS(',', id, v) FROM `DB`.kept ORDER BY id")
            .await,
        ["1,1", "2,20"]
    );
    assert_eq!(
        trap.find("SELECT CONCAT_WS(',', id, v) FROM `DB`.other ORDER BY id")
            .await,
        ["2,2"]
    );
    let keys = "SELECT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'DB' AND INDEX_NAME <> 'PRIMARY'";
    assert!(trap.find(keys).await.is_empty());
    trap.clean().await;
}

/// A table that was made behind the start, before apply first ran.
#[tokio::test]
async fn what_was_made_before_the_first_apply() {
    for target in BOTH {
        let scenario = Scenario::new("early", &[Server::MySql1], target, Store::Local);
        scenario.set_mode("incremental");
        run(&mut scenario.cdc("capture", &["--until", "now"])).expect(0);
        scenario
            .fill(
                0,
                &[
                    "CREATE TABLE t (id INT PRIMARY KEY, v INT)".to_owned(),
                    "INSERT INTO t VALUES (1, 1)".to_owned(),
                    "ALTER TABLE t ADD COLUMN w INT DEFAULT 3".to_owned(),
                    "INSERT INTO t VALUES (2, 2, 2)".to_owned(),
                ],
            )
            .await;
        run(&mut scenario.cdc("capture", &["--until", "now"])).expect(0);
        let apply = scenario.cdc("apply", &["--until", "now"]);
        Running::start(&scenario, "apply", apply)
            .ended(Duration::from_secs(60))
            .await
            .expect(0);
        scenario.assert_databases(&[0]).await;
        scenario.clean_all().await;
    }
}
