//! The traps of replication, each by its name: statements at a source, then the same at the target.
//!
//! Most are tasks of mode `incremental` that begin before their database is made, so that everything
//! goes through the binlog: capture and apply `--until now`, as `workflows/scheduled-cdc.yaml` does.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_tests::command::{Ended, run};
use tideway_tests::scenario::{Scenario, Store};
use tideway_tests::servers::Server;

const BOTH: [Server; 2] = [Server::TiDb, Server::MySqlTarget];

/// A replication that began, and a session at its source.
struct Trap {
    scenario: Scenario,
    conn: Conn,
}

impl Trap {
    async fn new(what: &str, source: Server, target: Server) -> Self {
        Self::with(what, source, target, |text| text).await
    }

    /// As [`Trap::new`], with a task file that is changed first.
    async fn with(
        what: &str,
        source: Server,
        target: Server,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let scenario = Scenario::new(what, &[source], target, Store::Local);
        scenario.set_mode("incremental");
        let text = std::fs::read_to_string(scenario.path("task.yaml")).unwrap();
        scenario.write("task.yaml", &change(text.replace("DB", &scenario.name)));
        println!("{what}: {source:?} into {target:?}");
        // Begins with nothing there.
        scenario.sync().expect(0);
        let mut trap = Self {
            conn: source.connect().await,
            scenario,
        };
        trap.source(&["CREATE DATABASE `DB` DEFAULT CHARSET utf8mb4", "USE `DB`"])
            .await;
        trap
    }

    /// Runs statements in the session at the source; `DB` is the database.
    async fn source(&mut self, statements: &[&str]) {
        for statement in statements {
            self.bytes(statement.replace("DB", &self.scenario.name).as_bytes())
                .await;
        }
    }

    /// Runs a statement in another character set than UTF-8.
    async fn bytes(&mut self, statement: &[u8]) {
        self.conn
            .query_drop(statement)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(statement)));
    }

    /// Runs statements at the target.
    async fn target(&self, statements: &[&str]) {
        let name = &self.scenario.name;
        let mut conn = self.scenario.target.connect().await;
        for statement in statements {
            let statement = statement.replace("DB", name);
            conn.query_drop(&statement)
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        conn.disconnect().await.unwrap();
    }

    /// All rows that a query finds at the target, as text.
    async fn find(&self, sql: &str) -> Vec<String> {
        let mut conn = self.scenario.target.connect().await;
        let found = conn
            .query(sql.replace("DB", &self.scenario.name))
            .await
            .unwrap();
        conn.disconnect().await.unwrap();
        found
    }

    fn capture(&self) {
        run(&mut self.scenario.cdc("capture", &["--until", "now"])).expect(0);
    }

    fn apply(&self) -> Ended {
        run(&mut self.scenario.cdc("apply", &["--until", "now"]))
    }

    /// Captures and applies what was written up to now.
    fn sync(&self) {
        self.scenario.sync().expect(0);
    }

    /// Captures and applies, and asserts that the databases are equal.
    async fn equal(self) {
        self.sync();
        self.scenario.assert_databases(&[0]).await;
        self.clean().await;
    }

    async fn clean(self) {
        self.conn.disconnect().await.unwrap();
        self.scenario.clean_all().await;
    }
}

/// Runs statements at a source, and asserts that each of the targets ends equal.
async fn equal(what: &str, source: Server, targets: &[Server], statements: &[&str]) {
    for target in targets {
        let mut trap = Trap::new(what, source, *target).await;
        trap.source(statements).await;
        trap.equal().await;
    }
}

#[tokio::test]
async fn tables_without_a_key() {
    for target in BOTH {
        let mut trap = Trap::new("keyless", Server::MySql1, target).await;
        trap.source(&[
            "CREATE TABLE t (a INT, b VARCHAR(20), f FLOAT, d DOUBLE, j JSON, g BLOB)",
            "INSERT INTO t VALUES (1, 'x', 0.1, 0.1, '{\"a\": 1.0}', x'00'), (1, 'x', 0.1, 0.1, '{\"a\": 1.0}', x'00'), \
             (NULL, NULL, NULL, NULL, NULL, NULL), (NULL, NULL, NULL, NULL, NULL, NULL), (2, 'y ', 1e30, 1e300, '[]', '')",
            "INSERT INTO t SELECT * FROM t",
            "CREATE TABLE u (a INT NULL, b INT, UNIQUE KEY (a))",
            "INSERT INTO u VALUES (NULL, 1), (NULL, 1), (1, 1)",
        ])
        .await;
        trap.sync();
        trap.source(&[
            "UPDATE t SET b = 'z' WHERE a = 1 LIMIT 1",
            "UPDATE t SET a = 7, b = 'Y ' WHERE a IS NULL LIMIT 2",
            "DELETE FROM t WHERE a = 1 LIMIT 1",
            "DELETE FROM t WHERE a = 2 LIMIT 1",
            "UPDATE t SET f = f / 3, d = d / 3",
            "UPDATE u SET a = 2 WHERE a IS NULL LIMIT 1",
            "DELETE FROM u WHERE a IS NULL",
        ])
        .await;
        trap.sync();
        // A restart behind its own rows does nothing twice.
        trap.source(&["INSERT INTO t (a) VALUES (5), (5)"]).await;
        trap.equal().await;
    }
}

#[tokio::test]
async fn generated_columns() {
    equal(
        "generated",
        Server::MySql1,
        &BOTH,
        &[
            "CREATE TABLE t (g INT AS (a + 1) VIRTUAL, a INT, id INT PRIMARY KEY, s VARCHAR(30) AS (CONCAT(b, '!')) STORED, \
             b VARCHAR(20), UNIQUE KEY (s))",
            "INSERT INTO t (a, id, b) VALUES (1, 1, 'one'), (2, 2, 'two'), (NULL, 3, NULL)",
            "UPDATE t SET a = 9, b = 'nine' WHERE id = 1",
            "UPDATE t SET id = 4, b = 'one' WHERE id = 2",
            "DELETE FROM t WHERE id = 3",
            "CREATE TABLE k (a INT, g INT AS (a * 2) STORED NOT NULL, v INT, PRIMARY KEY (g))",
            "INSERT INTO k (a, v) VALUES (1, 1), (2, 2)",
            "UPDATE k SET a = 3 WHERE a = 1",
            "DELETE FROM k WHERE a = 2",
            "CREATE TABLE n (a INT, g INT AS (a * 2) VIRTUAL)",
            "INSERT INTO n (a) VALUES (1), (1), (2)",
            "DELETE FROM n WHERE a = 1 LIMIT 1",
            "ALTER TABLE t ADD COLUMN g2 INT AS (a + 7) VIRTUAL FIRST",
            "UPDATE t SET a = a + 1",
        ],
    )
    .await;
}

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
async fn auto_increment() {
    equal(
        "auto",
        Server::MySql1,
        &BOTH,
        &[
            "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
            "INSERT INTO t (v) VALUES (1), (2), (3)",
            "DELETE FROM t WHERE v = 3",
            "INSERT INTO t (v) VALUES (4)",
            "INSERT INTO t VALUES (0, 5), (-5, 6)",
            "UPDATE t SET id = 50 WHERE id = 0",
            "INSERT INTO t VALUES (0, 7)",
            "ALTER TABLE t AUTO_INCREMENT = 1000",
            "INSERT INTO t (v) VALUES (8)",
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
async fn xa_transactions() {
    for target in BOTH {
        let mut trap = Trap::new("xa", Server::MySql2, target).await;
        let name = trap.scenario.name.clone();
        let xa = |verb: &str, number: u32| format!("XA {verb} '{name}','b{number}',7");
        trap.source(&[
            "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
            "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)",
        ])
        .await;
        // Prepared before capture ends, committed or rolled back when it runs again.
        for (number, change) in [
            (1, "UPDATE t SET v = 10 WHERE id = 1"),
            (2, "UPDATE t SET v = 20 WHERE id = 2"),
            (3, "INSERT INTO t VALUES (4, 4)"),
        ] {
            let statements = [
                xa("START", number),
                change.to_owned(),
                xa("END", number),
                xa("PREPARE", number),
            ];
            trap.source(&statements.each_ref().map(String::as_str))
                .await;
            // A session holds one at a time; another one may end it.
            let conn = Server::MySql2.connect().await;
            std::mem::replace(&mut trap.conn, conn)
                .disconnect()
                .await
                .unwrap();
            trap.source(&["USE `DB`"]).await;
        }
        trap.source(&["INSERT INTO t VALUES (5, 5)"]).await;
        trap.sync();
        let found = trap
            .find("SELECT CONCAT_WS(',', id, v) FROM `DB`.t ORDER BY id")
            .await;
        assert_eq!(
            found,
            ["1,1", "2,2", "3,3", "5,5"],
            "{target:?}: prepared is not committed"
        );
        trap.source(&[
            &xa("COMMIT", 1),
            "UPDATE t SET v = 11 WHERE id = 1",
            &xa("ROLLBACK", 2),
        ])
        .await;
        trap.source(&["UPDATE t SET v = 21 WHERE id = 2"]).await;
        trap.sync();
        trap.source(&[&xa("COMMIT", 3), "UPDATE t SET v = v + 1 WHERE id = 4"])
            .await;
        let one = [
            xa("START", 4),
            "DELETE FROM t WHERE id = 3".to_owned(),
            xa("END", 4),
            format!("{} ONE PHASE", xa("COMMIT", 4)),
        ];
        trap.source(&one.each_ref().map(String::as_str)).await;
        trap.equal().await;
    }
}

#[tokio::test]
async fn savepoints() {
    equal(
        "savepoint",
        Server::MySql1,
        &BOTH,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
            "BEGIN",
            "INSERT INTO t VALUES (1, 1)",
            "SAVEPOINT `a b`",
            "INSERT INTO t VALUES (2, 2)",
            "SAVEPOINT c",
            "UPDATE t SET v = 3",
            "ROLLBACK TO SAVEPOINT c",
            "INSERT INTO t VALUES (3, 3)",
            "RELEASE SAVEPOINT `a b`",
            "COMMIT",
            "BEGIN",
            "SAVEPOINT a",
            "DELETE FROM t",
            "ROLLBACK TO SAVEPOINT a",
            "INSERT INTO t VALUES (4, 4)",
            "COMMIT",
        ],
    )
    .await;
}

#[tokio::test]
async fn tables_without_transactions() {
    for target in BOTH {
        let mut trap = Trap::new("myisam", Server::MySql1, target).await;
        trap.source(&[
            "CREATE TABLE t (id INT PRIMARY KEY, v INT) ENGINE = MyISAM",
            "INSERT INTO t VALUES (1, 1), (2, 2)",
            "CREATE TABLE i (id INT PRIMARY KEY, v INT)",
            "INSERT INTO i VALUES (1, 1)",
        ])
        .await;
        // Half of it is done, and stays.
        let half = trap
            .conn
            .query_drop("INSERT INTO t VALUES (3, 3), (1, 1), (4, 4)")
            .await;
        assert!(half.is_err());
        trap.source(&[
            "UPDATE t SET v = v + 1",
            "BEGIN",
            "UPDATE i SET v = 5",
            "COMMIT",
            "DELETE FROM t WHERE id = 2",
        ])
        .await;
        trap.equal().await;
    }
}

#[tokio::test]
async fn a_statement_that_was_logged_as_text_is_named() {
    let mut trap = Trap::new("stmt", Server::MySql1, Server::TiDb).await;
    trap.source(&[
        "CREATE TABLE t (id INT PRIMARY KEY, v INT)",
        "SET SESSION binlog_format = STATEMENT",
        "INSERT INTO t VALUES (1, 4711)",
    ])
    .await;
    let ended = trap
        .scenario
        .sync()
        .says(&["binlog_format", "4711", "binlog."]);
    assert_ne!(ended.code, Some(0), "{ended:?}");
    // The same again: it is never skipped.
    assert_ne!(trap.apply().code, Some(0));
    trap.clean().await;
}

#[tokio::test]
async fn partial_json() {
    for target in BOTH {
        let mut trap = Trap::new("json", Server::MySql1, target).await;
        trap.source(&[
            "SET SESSION binlog_row_value_options = PARTIAL_JSON",
            "CREATE TABLE t (id INT PRIMARY KEY, j JSON, v INT, k JSON)",
            "INSERT INTO t VALUES (1, '{\"a\": [1, 2, {\"b\": \"ü\"}], \"long\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}', 1, '[]'), \
             (2, '[1, 2, 3, \"a long enough text so that a difference is shorter\"]', 2, NULL), (3, NULL, 3, '{}')",
        ])
        .await;
        trap.sync();
        trap.source(&[
            "UPDATE t SET j = JSON_SET(j, '$.a[2].b', 'changed', '$.new', 1.5) WHERE id = 1",
            "UPDATE t SET j = JSON_REPLACE(j, '$.a[0]', CAST('2024-01-02' AS DATE)) WHERE id = 1",
            "UPDATE t SET j = JSON_REMOVE(j, '$.a[1]'), v = 9 WHERE id = 1",
            "UPDATE t SET j = JSON_ARRAY_INSERT(JSON_SET(j, '$[0]', 9), '$[1]', JSON_OBJECT('x', 1)) WHERE id = 2",
            "UPDATE t SET j = JSON_SET(j, '$[3]', NULL), k = '1' WHERE id = 2",
            "UPDATE t SET k = JSON_SET(k, '$.q', 1.0) WHERE id = 3",
            "UPDATE t SET id = 10, j = JSON_SET(j, '$.a[0]', TRUE) WHERE id = 1",
            "UPDATE t SET j = JSON_SET(j, '$.a[0]', 1), k = JSON_ARRAY_APPEND(k, '$', 5)",
        ])
        .await;
        trap.equal().await;
    }
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

const CASCADES: &[&str] = &[
    "CREATE TABLE parent (id INT PRIMARY KEY, v INT)",
    "CREATE TABLE child (id INT PRIMARY KEY, p INT, KEY up (p), CONSTRAINT child_up FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE grandchild (id INT PRIMARY KEY, c INT, KEY up (c), CONSTRAINT grandchild_up FOREIGN KEY (c) REFERENCES child (id) ON DELETE CASCADE)",
    "CREATE TABLE orphan (id INT PRIMARY KEY, p INT NULL, KEY up (p), CONSTRAINT orphan_up FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE)",
    "INSERT INTO parent VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
    "INSERT INTO child VALUES (1, 1), (2, 1), (3, 2), (4, 3)",
    "INSERT INTO grandchild VALUES (1, 1), (2, 2), (3, 3), (4, 4)",
    "INSERT INTO orphan VALUES (1, 1), (2, 2), (3, 3)",
    "DELETE FROM parent WHERE id = 1",
    "UPDATE parent SET id = 20 WHERE id = 2",
    "UPDATE parent SET v = 30 WHERE id = 3",
    "REPLACE INTO parent VALUES (3, 33)",
    "INSERT INTO child VALUES (5, 20)",
    "BEGIN",
    "INSERT INTO parent VALUES (5, 5)",
    "INSERT INTO child VALUES (6, 5)",
    "UPDATE parent SET id = 6 WHERE id = 5",
    "COMMIT",
    "DELETE FROM child WHERE id = 3",
];

#[tokio::test]
async fn cascades_that_the_source_logs() {
    equal("cascades", Server::MySql1, &BOTH, CASCADES).await;
}

#[tokio::test]
async fn cascades_that_the_source_does_not_log() {
    equal("unlogged", Server::MariaDb, &BOTH, CASCADES).await;
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
async fn a_refused_definition_stops_and_goes_on_as_told() {
    for target in BOTH {
        let mut trap = Trap::new("refused", Server::MySql1, target).await;
        trap.source(&[
            "CREATE TABLE t (id INT PRIMARY KEY, a INT)",
            "INSERT INTO t VALUES (1, 1)",
        ])
        .await;
        trap.sync();
        // The target has rows of its own, so that it refuses what the source accepts.
        trap.target(&["INSERT INTO `DB`.t VALUES (101, 50), (102, 50)"])
            .await;
        trap.source(&[
            "ALTER TABLE t ADD UNIQUE KEY once (a)",
            "INSERT INTO t VALUES (2, 2)",
        ])
        .await;
        let stopped = trap.scenario.sync().says(&[
            "ADD UNIQUE KEY once (a)",
            "tideway binlog skip",
            "binlog.",
            "uplicate",
        ]);
        assert_ne!(stopped.code, Some(0));
        assert!(
            trap.find("SELECT id FROM `DB`.t WHERE id = 2")
                .await
                .is_empty()
        );
        tell(&trap, &stopped, "skip", None);
        trap.sync();
        trap.source(&[
            "ALTER TABLE t ADD UNIQUE KEY twice (a)",
            "INSERT INTO t VALUES (3, 3)",
        ])
        .await;
        let stopped = trap
            .scenario
            .sync()
            .says(&["twice", "tideway binlog replace"]);
        tell(
            &trap,
            &stopped,
            "replace",
            Some("ALTER TABLE `DB`.t ADD KEY twice (a)"),
        );
        trap.sync();
        let found = trap
            .find("SELECT CONCAT_WS(',', id, a) FROM `DB`.t ORDER BY id")
            .await;
        assert_eq!(
            found,
            ["1,1", "2,2", "3,3", "101,50", "102,50"],
            "{target:?}"
        );
        let keys = trap
            .find("SELECT CONCAT(INDEX_NAME, NON_UNIQUE) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'DB' AND INDEX_NAME <> 'PRIMARY'")
            .await;
        assert_eq!(keys, ["twice1"], "{target:?}");
        trap.clean().await;
    }
}

/// Gives the order that the error offers, at the place that it names.
fn tell(trap: &Trap, stopped: &Ended, verb: &str, sql: Option<&str>) {
    let line = stopped
        .stderr
        .split(&format!("tideway binlog {verb} "))
        .nth(1)
        .and_then(|rest| rest.split("--binlog-pos ").nth(1))
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_else(|| panic!("no place in {stopped:?}"))
        .trim_matches(['\\', 'n']);
    let name = &trap.scenario.name;
    let mut command = trap.scenario.tideway(&[
        "binlog",
        verb,
        "--source-id",
        "replica-01",
        "--binlog-pos",
        line,
    ]);
    command.args([name, "--staging", &trap.scenario.staging]);
    if let Some(sql) = sql {
        command.arg(sql.replace("DB", name));
    }
    run(&mut command).expect(0);
}

#[tokio::test]
async fn compressed_transactions() {
    for target in BOTH {
        let mut trap = Trap::new("compressed", Server::MySql1, target).await;
        trap.source(&[
            "SET SESSION binlog_transaction_compression = ON",
            "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT)",
            "BEGIN",
            "INSERT INTO t VALUES (1, REPEAT('a', 100000)), (2, REPEAT('ü', 1000))",
            "UPDATE t SET v = CONCAT(v, 'z')",
            "DELETE FROM t WHERE id = 2",
            "COMMIT",
            "CREATE TABLE c AS SELECT * FROM t",
            "SET SESSION cte_max_recursion_depth = 30000",
            "INSERT INTO t WITH RECURSIVE s AS (SELECT 10 n UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n, REPEAT(n, 20) FROM s",
            "UPDATE t SET id = id + 100000 WHERE id % 2",
        ])
        .await;
        trap.equal().await;
    }
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
