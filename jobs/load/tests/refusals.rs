//! What the load refuses, and what it says then.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use mysql_async::prelude::Queryable;
use support::{At, Bench, run};

async fn small(what: &str, target: At, conditions: &[&str]) -> Bench {
    let source = At::Source.server().await;
    let mut bench = Bench::new(what, target).await;
    let mut conn = bench.database(&source).await;
    run(
        &mut conn,
        &[
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(100), en ENUM('a'))",
            "INSERT INTO t VALUES (1, 'one', 'a'), (2, 'two', 'a'), (3, 'it''s', NULL)",
        ],
    )
    .await;
    bench.dump(&source, "t", conditions).await;
    bench
}

async fn target_conn(bench: &Bench) -> mysql_async::Conn {
    bench.target.server().await.conn().await.unwrap()
}

/// Has the target hold table `t` with these columns before the load comes.
async fn existing(bench: &Bench, columns: &str) -> mysql_async::Conn {
    let mut conn = target_conn(bench).await;
    let name = &bench.name;
    run(
        &mut conn,
        &[
            &format!("CREATE DATABASE `{name}`"),
            &format!("CREATE TABLE `{name}`.t ({columns})"),
        ],
    )
    .await;
    conn
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_dump_it_says_so() {
    let bench = Bench::new("nodump", At::MySql).await;
    bench.write_files();
    bench
        .load(&[])
        .expect(1)
        .says(&["tideway-dump", "manifest.json"]);
    bench
        .load(&["--wait", "1s"])
        .expect(1)
        .says(&["waiting for the dump"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_named_with_table_chunk_and_key() {
    for target in [At::MySql, At::MariaDb, At::TiDb] {
        let bench = small("duplicate", target, &["id < 3", "id >= 2"]).await;
        bench.finish().await;
        bench.load(&["--workers", "1"]).expect(2).says(&[
            "`t`: chunk 1",
            "`id` = 2",
            "Duplicate entry '2'",
        ]);
        let mut conn = target_conn(&bench).await;
        assert_eq!(
            bench.count(&mut conn, "t").await,
            2,
            "the refused chunk is not half there"
        );
        bench.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_an_inexact_dump_may_share_a_row() {
    for target in [At::MySql, At::TiDb] {
        let moved = [
            "id < 3",
            "RUN UPDATE t SET v = 'new' WHERE id = 2",
            "id >= 2",
        ];
        let mut bench = small("inexact", target, &moved).await;
        bench.exact = false;
        bench.finish().await;
        bench
            .load(&["--workers", "1"])
            .expect(0)
            .says(&["replaced by others with the same key: 1"]);
        let mut conn = target_conn(&bench).await;
        assert_eq!(bench.count(&mut conn, "t").await, 3);
        assert_eq!(value(&bench, &mut conn, 2).await, "new");
        bench.clean().await;
    }
}

async fn value(bench: &Bench, conn: &mut mysql_async::Conn, id: u32) -> String {
    conn.query_first(format!("SELECT v FROM `{}`.t WHERE id = {id}", bench.name))
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inexact_dump_does_not_replace_rows_that_were_there() {
    for target in [At::MySql, At::MariaDb, At::TiDb] {
        let mut bench = small("mine", target, &["1"]).await;
        bench.exact = false;
        bench.finish().await;
        let mut conn = existing(&bench, "id INT PRIMARY KEY, v VARCHAR(100), en ENUM('a')").await;
        let name = &bench.name;
        run(
            &mut conn,
            &[&format!("INSERT INTO `{name}`.t VALUES (2, 'mine', NULL)")],
        )
        .await;
        bench
            .load(&["--into-existing"])
            .expect(2)
            .says(&["`id` = 2", "consistency none"]);
        // Nor when it goes on without the flag.
        bench.load(&[]).expect(2).says(&["`id` = 2"]);
        assert_eq!(value(&bench, &mut conn, 2).await, "mine");
        bench.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inexact_dump_does_not_replace_rows_of_another_source_table() {
    for target in [At::MySql, At::TiDb] {
        let source = At::Source.server().await;
        let mut bench = small("merged", target, &["1"]).await;
        let mut conn = source.conn().await.unwrap();
        run(
            &mut conn,
            &[
                &format!("USE `{}`", bench.name),
                "CREATE TABLE u LIKE t",
                "INSERT INTO u VALUES (2, 'another', NULL), (7, 'seven', NULL)",
            ],
        )
        .await;
        bench.exact = false;
        bench.extra = format!(
            "  route-rules: [r]\nroutes:\n  r: {{schema-pattern: {0}, table-pattern: u, \
             target-schema: {0}, target-table: t}}\n",
            bench.name
        );
        // The first table is loaded alone, as another source would be; then the second joins it.
        bench.finish().await;
        bench.load(&[]).expect(0);
        bench.dump(&source, "u", &["1"]).await;
        bench.finish().await;
        let name = &bench.name;
        let mut conn = target_conn(&bench).await;
        let checkpoint = format!("`{name}_meta`.`{name}_loader_checkpoint`");
        let alone = format!("SELECT CAST(SUM(alone) AS UNSIGNED) FROM {checkpoint}");
        let before: Option<u64> = conn.query_first(&alone).await.unwrap();
        assert_eq!(before, Some(2), "a table and its chunk");
        run(&mut conn, &[&format!("DROP TABLE `{name}`.t")]).await;
        bench
            .load(&["--workers", "1"])
            .expect(2)
            .says(&["`id` = 2"]);
        assert_eq!(value(&bench, &mut conn, 2).await, "two");
        let after: Option<u64> = conn.query_first(&alone).await.unwrap();
        assert_eq!(after, Some(0));
        bench.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_duplicate_error_is_strict_and_ignore_is_refused() {
    let mut bench = small("onduplicate", At::MySql, &["id < 3", "id >= 2"]).await;
    bench.exact = false;
    bench.loader = "    on-duplicate-logical: ignore\n".into();
    bench.finish().await;
    bench.load(&[]).expect(2).says(&["on-duplicate-logical"]);
    bench.loader = "    on-duplicate-logical: error\n".into();
    bench.write_files();
    bench
        .load(&["--accept-changes"])
        .expect(2)
        .says(&["`id` = 2", "Duplicate"]);
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_would_round_values_is_refused() {
    let source = At::Source.server().await;
    let mut bench = Bench::new("rounds", At::MySql).await;
    let mut conn = bench.database(&source).await;
    let columns = "id INT PRIMARY KEY, d DOUBLE, at DATETIME(6)";
    run(
        &mut conn,
        &[
            &format!("CREATE TABLE t ({columns})"),
            "INSERT INTO t VALUES (1, 0.1, '2020-01-01 00:00:00.123456')",
        ],
    )
    .await;
    bench.dump(&source, "t", &["1"]).await;
    bench.finish().await;
    let mut conn = existing(&bench, "id INT PRIMARY KEY, d FLOAT, at DATETIME(3)").await;
    let name = &bench.name;
    bench.load(&[]).expect(2).says(&[
        "`d` is float and double at the source",
        "`at` is datetime(3) and datetime(6) at the source",
    ]);
    run(
        &mut conn,
        &[&format!(
            "ALTER TABLE `{name}`.t MODIFY d DOUBLE, MODIFY at DATETIME(6)"
        )],
    )
    .await;
    bench.load(&[]).expect(0);
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_schemas_creates_nothing_and_strict_collations_are_said_to_do_nothing() {
    let mut bench = small("noschemas", At::MySql, &["1"]).await;
    bench.extra =
        "  mydumper-config-name: m\nmydumpers:\n  m: {extra-args: \"--no-schemas\"}\n".into();
    bench.session = "collation_compatible: strict\n".into();
    bench.finish().await;
    bench.load(&[]).expect(2).says(&[
        "`t`: it does not exist",
        "--no-schemas",
        "`collation_compatible: strict` has no effect",
    ]);
    let mut conn = existing(&bench, "id INT PRIMARY KEY, v VARCHAR(100), en ENUM('a')").await;
    bench.load(&[]).expect(0);
    assert_eq!(bench.count(&mut conn, "t").await, 3);
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_fit_is_named_not_bent() {
    for target in [At::MySql, At::MariaDb, At::TiDb] {
        let bench = small("bent", target, &["1"]).await;
        bench.finish().await;
        let mut conn = existing(&bench, "id INT PRIMARY KEY, v VARCHAR(3), en ENUM('a')").await;
        bench
            .load(&[])
            .expect(2)
            .says(&["`id` = 3", "Data too long for column 'v'"]);
        assert_eq!(bench.count(&mut conn, "t").await, 0);
        bench.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_ours_is_left_alone() {
    let bench = small("notempty", At::TiDb, &["1"]).await;
    bench.finish().await;
    let mut conn = existing(&bench, "id INT PRIMARY KEY, v VARCHAR(100), en ENUM('a')").await;
    let name = &bench.name;
    run(
        &mut conn,
        &[&format!("INSERT INTO `{name}`.t VALUES (9, 'mine', NULL)")],
    )
    .await;
    bench.load(&[]).expect(2).says(&["`t`", "--into-existing"]);
    assert_eq!(bench.count(&mut conn, "t").await, 1);
    bench.load(&["--into-existing"]).expect(0);
    assert_eq!(bench.count(&mut conn, "t").await, 4);
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_lacks_a_column_or_transactions_is_refused() {
    let bench = small("lacks", At::MySql, &["1"]).await;
    bench.finish().await;
    let mut conn = existing(&bench, "id INT PRIMARY KEY, en ENUM('a')").await;
    let name = &bench.name;
    bench.load(&[]).expect(2).says(&["lacks the columns `v`"]);
    run(
        &mut conn,
        &[&format!(
            "ALTER TABLE `{name}`.t ADD v VARCHAR(100), ENGINE = MyISAM"
        )],
    )
    .await;
    bench
        .load(&[])
        .expect(2)
        .says(&["MyISAM", "ENGINE = InnoDB"]);
    run(
        &mut conn,
        &[&format!("ALTER TABLE `{name}`.t ENGINE = InnoDB")],
    )
    .await;
    bench.load(&[]).expect(0);
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_vanished_is_missed() {
    let bench = small("vanished", At::MySql, &["1"]).await;
    bench.finish().await;
    bench.load(&[]).expect(0);
    let mut conn = target_conn(&bench).await;
    let name = &bench.name;
    run(&mut conn, &[&format!("DROP TABLE `{name}`.t")]).await;
    bench.load(&[]).expect(2).says(&["is gone", "DELETE FROM"]);
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_emptied_is_missed() {
    for target in [At::MySql, At::TiDb] {
        let bench = small("emptied", target, &["1"]).await;
        bench.finish().await;
        bench.load(&[]).expect(0);
        let mut conn = target_conn(&bench).await;
        let name = &bench.name;
        run(&mut conn, &[&format!("TRUNCATE TABLE `{name}`.t")]).await;
        bench.load(&[]).expect(2).says(&["is empty", "DELETE FROM"]);
        let forget = format!(
            "DELETE FROM `{name}_meta`.`{name}_loader_checkpoint` \
             WHERE target_db = '{name}' AND target_table = 't'"
        );
        run(&mut conn, &[&forget]).await;
        bench.load(&[]).expect(0);
        assert_eq!(bench.count(&mut conn, "t").await, 3);
        bench.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_dump_does_not_go_over_the_first() {
    let bench = small("another", At::MySql, &["1"]).await;
    bench.finish().await;
    bench.load(&[]).expect(0);
    // Another manifest: it was finished at another time.
    bench.finish().await;
    bench
        .load(&[])
        .expect(2)
        .says(&["another dump", "tideway cleanup"]);
    let mut conn = target_conn(&bench).await;
    run(&mut conn, &[&format!("DROP TABLE `{}`.t", bench.name)]).await;
    bench.load(&[]).expect(0);
    assert_eq!(bench.count(&mut conn, "t").await, 3);
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_apply_has_changed_is_not_loaded_over() {
    let bench = small("applied", At::MySql, &["1"]).await;
    bench.finish().await;
    let mut conn = target_conn(&bench).await;
    let name = &bench.name;
    run(
        &mut conn,
        &[
            &format!("CREATE DATABASE `{name}_meta`"),
            &format!("CREATE TABLE `{name}_meta`.`{name}_syncer_checkpoint` (id VARCHAR(32))"),
            &format!("INSERT INTO `{name}_meta`.`{name}_syncer_checkpoint` VALUES ('s1')"),
        ],
    )
    .await;
    bench.load(&[]).expect(2).says(&["cdc has already applied"]);
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_table_of_dm_is_recognised() {
    let bench = small("foreign", At::MySql, &["1"]).await;
    bench.finish().await;
    let mut conn = target_conn(&bench).await;
    let name = &bench.name;
    run(
        &mut conn,
        &[
            &format!("CREATE DATABASE `{name}_meta`"),
            &format!("CREATE TABLE `{name}_meta`.`{name}_loader_checkpoint` (id CHAR(32))"),
        ],
    )
    .await;
    bench
        .load(&[])
        .expect(2)
        .says(&["not Tideway's", "meta-schema"]);
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn physical_import_is_not_there_yet() {
    let mut bench = small("physical", At::TiDb, &["1"]).await;
    bench.finish().await;
    bench.loader = "    import-mode: physical\n".into();
    bench.write_files();
    bench.load(&[]).expect(2).says(&["import-mode", "logical"]);
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_local_infile_it_inserts() {
    let bench = small("insert", At::MySql, &["1"]).await;
    bench.finish().await;
    let mut conn = target_conn(&bench).await;
    // The variable is global: other tests then insert too, which they must survive.
    run(&mut conn, &["SET GLOBAL local_infile = 0"]).await;
    let ended = bench.load(&[]);
    run(&mut conn, &["SET GLOBAL local_infile = 1"]).await;
    ended.expect(0).says(&["local_infile", "INSERT"]);
    let rows: Vec<(i32, String)> = conn
        .query(format!("SELECT id, v FROM `{}`.t ORDER BY id", bench.name))
        .await
        .unwrap();
    assert_eq!(
        rows,
        [(1, "one".into()), (2, "two".into()), (3, "it's".into())]
    );
    bench.clean().await;
}
