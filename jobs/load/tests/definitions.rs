//! Definitions of MySQL and MariaDB as the targets take them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use mysql_async::prelude::Queryable;
use support::{At, Bench, run};
use tideway_mysql::schema::{TableName, read_table};
use tideway_mysql::translate::{Target, translate_table};

async fn moved(what: &str, from: At, to: At, tables: &[(&str, &str)]) -> (Bench, String) {
    let source = from.server().await;
    let mut bench = Bench::new(what, to).await;
    let mut conn = bench.database(&source).await;
    run(
        &mut conn,
        &[
            "SET sql_mode = 'ALLOW_INVALID_DATES'",
            "SET foreign_key_checks = 0",
        ],
    )
    .await;
    for (_, create) in tables {
        run(&mut conn, &[create]).await;
    }
    for (table, _) in tables {
        bench.dump(&source, table, &["1"]).await;
    }
    bench.finish().await;
    let text = bench.load(&[]).expect(0).text();
    drop(conn);
    if from == At::MariaDb {
        let mut conn = source.conn().await.unwrap();
        run(&mut conn, &[&format!("DROP DATABASE `{}`", bench.name)]).await;
    }
    (bench, text)
}

async fn create(bench: &Bench, table: &str) -> String {
    let mut conn = bench.target.server().await.conn().await.unwrap();
    let row: (String, String) = conn
        .query_first(format!("SHOW CREATE TABLE `{}`.`{table}`", bench.name))
        .await
        .unwrap()
        .unwrap();
    row.1
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_to_tidb() {
    let (bench, text) = moved(
        "mytidb",
        At::Source,
        At::TiDb,
        &[
            (
                "a",
                "CREATE TABLE a (id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, \
                 h INT INVISIBLE DEFAULT 3 COMMENT 'ENGINE=MyISAM, it''s /*!80023 INVISIBLE */', \
                 l VARCHAR(100) CHARACTER SET latin1 COLLATE latin1_german1_ci, tt TINYTEXT CHARACTER SET latin1, \
                 u CHAR(36) DEFAULT (uuid()), e INT DEFAULT (1 + 1), t TEXT DEFAULT ('x'), \
                 s VARCHAR(50) COLLATE utf8mb4_0900_as_cs, c DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) \
                 ON UPDATE CURRENT_TIMESTAMP(6), g INT AS (h + 1) STORED, \
                 PRIMARY KEY (id), FULLTEXT KEY f (t), KEY x ((lower(s))), KEY y ((concat(s, 'x'))), \
                 KEY z (l) INVISIBLE, CONSTRAINT chk CHECK (h > 0)) \
                 ENGINE=InnoDB ROW_FORMAT=DYNAMIC STATS_PERSISTENT=1 COMMENT='ENGINE=x'",
            ),
            (
                "b",
                "CREATE TABLE b (a_id BIGINT UNSIGNED, CONSTRAINT fk FOREIGN KEY (a_id) \
                 REFERENCES a (id) ON DELETE CASCADE) ENGINE=InnoDB CHARSET latin1",
            ),
            ("m", "CREATE TABLE m (k INT, id INT AUTO_INCREMENT, PRIMARY KEY (k, id)) ENGINE=MyISAM"),
            (
                "p",
                "CREATE TABLE p (d DATE, n INT) PARTITION BY RANGE (YEAR(d)) SUBPARTITION BY HASH (n) \
                 SUBPARTITIONS 2 (PARTITION p0 VALUES LESS THAN (2000), PARTITION p1 VALUES LESS THAN MAXVALUE)",
            ),
            ("ar", "CREATE TABLE ar (n INT) ENGINE=ARCHIVE"),
        ],
    )
    .await;
    let a = create(&bench, "a").await;
    assert!(
        a.contains("COMMENT 'ENGINE=MyISAM, it''s /*!80023 INVISIBLE */'"),
        "{a}"
    );
    assert!(a.contains("COMMENT='ENGINE=x'"), "{a}");
    assert!(a.contains("`tt` text"), "{a}");
    assert!(a.contains("uuid()"), "{a}");
    assert!(a.contains("lower(`s`)"), "{a}");
    for note in [
        "visible at the target",
        "latin1 latin1_german1_ci → utf8mb4 utf8mb4_general_ci",
        "DEFAULT ((1 + 1)) left out",
        "FULLTEXT KEY f left out",
        "KEY y left out",
        "utf8mb4_0900_as_cs → utf8mb4 utf8mb4_bin",
        "ENGINE MyISAM → InnoDB",
        "CHECK chk left out, tidb_enable_check_constraint is not ON",
    ] {
        assert!(text.contains(note), "no note says {note}:\n{text}");
    }
    let b = create(&bench, "b").await;
    assert!(b.contains("REFERENCES"), "{b}");
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_are_kept_where_the_target_keeps_them() {
    let source = At::MariaDb.server().await;
    let bench = Bench::new("checks", At::TiDb).await;
    let mut conn = bench.database(&source).await;
    run(
        &mut conn,
        &[
            "CREATE TABLE t (a INT COMMENT 'c' CHECK (a > (1)), `check` INT, \
             CONSTRAINT `two` CHECK (a < 9))",
        ],
    )
    .await;
    let name = TableName::new(&bench.name, "t");
    let definition = read_table(&mut conn, source.info(), &name)
        .await
        .unwrap()
        .unwrap();
    let server = At::TiDb.server().await;
    let mut there = server.conn().await.unwrap();
    let mut target = Target::read(&mut there, server.info().flavor)
        .await
        .unwrap();
    assert!(!target.checks, "TiDB has it off by default");
    let route = |schema: &str, table: &str| (schema.to_owned(), table.to_owned());
    let without = translate_table(&definition, &name, &target, &route, true).unwrap();
    assert!(!without.sql.contains("CHECK"), "{}", without.sql);
    assert!(without.sql.contains("COMMENT 'c'") && without.sql.contains("`check` int"));
    let noted = |what: &str| without.notes.iter().any(|note| note.contains(what));
    assert!(
        noted("column a: CHECK (") && noted("CHECK two left out"),
        "{:?}",
        without.notes
    );
    target.checks = true;
    let with = translate_table(&definition, &name, &target, &route, true).unwrap();
    assert_eq!(with.sql.matches("CHECK (").count(), 2, "{}", with.sql);
    let of_checks = with.notes.iter().filter(|note| note.contains("CHECK"));
    assert_eq!(of_checks.count(), 0, "{:?}", with.notes);
    run(&mut conn, &[&format!("DROP DATABASE `{}`", bench.name)]).await;
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_to_mysql_keeps_the_text() {
    let (bench, _) = moved(
        "mymy",
        At::Source,
        At::MySql,
        &[
            (
                "a",
                "CREATE TABLE a (id INT AUTO_INCREMENT, h INT INVISIBLE, l VARCHAR(100) CHARACTER SET latin1, \
                 e INT DEFAULT (1 + 1), p POINT NOT NULL SRID 0, t TEXT, PRIMARY KEY (id), \
                 FULLTEXT KEY f (t), SPATIAL KEY sp (p), KEY y ((concat(l, 'x')))) ROW_FORMAT=COMPRESSED",
            ),
            ("m", "CREATE TABLE m (k INT, id INT AUTO_INCREMENT, PRIMARY KEY (k, id)) ENGINE=MyISAM ROW_FORMAT=FIXED"),
            ("mem", "CREATE TABLE mem (n INT, KEY (n) USING HASH) ENGINE=MEMORY MAX_ROWS=5"),
        ],
    )
    .await;
    let a = create(&bench, "a").await;
    for kept in [
        "INVISIBLE",
        "SPATIAL KEY",
        "FULLTEXT KEY",
        "latin1",
        "ROW_FORMAT=COMPRESSED",
    ] {
        assert!(a.contains(kept), "{kept} is gone: {a}");
    }
    assert!(create(&bench, "m").await.contains("ENGINE=InnoDB"));
    assert!(create(&bench, "mem").await.contains("ENGINE=InnoDB"));
    bench.clean().await;
}

async fn from_mariadb(to: At) {
    let (bench, text) = moved(
        "maria",
        At::MariaDb,
        to,
        &[
            (
                "a",
                "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, j JSON, u UUID, ip INET6, h INT INVISIBLE DEFAULT 1, \
                 c VARCHAR(100) COMPRESSED, d DATETIME DEFAULT current_timestamp() ON UPDATE current_timestamp(), \
                 r CHAR(36) DEFAULT uuid(), t VARCHAR(20) COLLATE utf8mb4_uca1400_ai_ci, \
                 g INT AS (h + 1) PERSISTENT, KEY k (t) IGNORED) \
                 ENGINE=InnoDB CHARSET utf8mb4 PAGE_COMPRESSED=1 PAGE_COMPRESSION_LEVEL=4",
            ),
            ("ar", "CREATE TABLE ar (n INT, v VARCHAR(10)) ENGINE=Aria TRANSACTIONAL=1 ROW_FORMAT=PAGE"),
            (
                "p",
                "CREATE TABLE p (n INT) PARTITION BY LIST (n) (PARTITION p0 VALUES IN (1, 2) ENGINE = InnoDB)",
            ),
        ],
    )
    .await;
    let a = create(&bench, "a").await;
    assert!(a.contains("char(36)") && a.contains("varchar(39)"), "{a}");
    for note in [
        "uuid → char(36)",
        "PAGE_COMPRESSED",
        "ENGINE Aria → InnoDB",
        "uca1400",
    ] {
        assert!(
            text.to_lowercase().contains(&note.to_lowercase()),
            "no note says {note}:\n{text}"
        );
    }
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_to_mysql() {
    from_mariadb(At::MySql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_to_tidb() {
    from_mariadb(At::TiDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_move_tables_and_their_foreign_keys() {
    let source = At::Source.server().await;
    let mut bench = Bench::new("routes", At::MySql).await;
    let mut conn = bench.database(&source).await;
    run(
        &mut conn,
        &[
            "CREATE TABLE o (id INT PRIMARY KEY)",
            "CREATE TABLE i (o_id INT, FOREIGN KEY (o_id) REFERENCES o (id))",
            "CREATE TABLE s1 (id INT PRIMARY KEY)",
            "CREATE TABLE s2 (id INT PRIMARY KEY)",
            "INSERT INTO o VALUES (1)",
            "INSERT INTO i VALUES (1)",
            "INSERT INTO s1 VALUES (1)",
            "INSERT INTO s2 VALUES (2)",
        ],
    )
    .await;
    for table in ["o", "i", "s1", "s2"] {
        bench.dump(&source, table, &["1"]).await;
    }
    let name = bench.name.clone();
    bench.extra = format!(
        "  route-rules: [r, m]\nroutes:\n  r: {{schema-pattern: \"{name}\", table-pattern: \"o\", target-schema: \"{name}_meta\", target-table: \"other\"}}\n  m: {{schema-pattern: \"{name}\", table-pattern: \"s?\", target-schema: \"{name}\", target-table: \"s\"}}\n"
    );
    bench.finish().await;
    bench.load(&[]).expect(0);
    bench.load(&[]).expect(0);
    let i = create(&bench, "i").await;
    assert!(i.contains(&format!("`{name}_meta`.`other`")), "{i}");
    let mut at_target = At::MySql.server().await.conn().await.unwrap();
    assert_eq!(
        bench.count(&mut at_target, "s").await,
        2,
        "two tables are one"
    );
    bench.clean().await;
}
