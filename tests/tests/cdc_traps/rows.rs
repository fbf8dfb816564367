//! Rows: tables and values that are hard to replicate, and transactions of every kind.

use mysql_async::prelude::Queryable;
use tideway_tests::servers::Server;
use tideway_tests::trap::{BOTH, Trap, equal};

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
