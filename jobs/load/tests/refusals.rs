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
        bench.load(&["--workers", "1"]).expect(1).says(&[
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
        let mut bench = small("inexact", target, &["id < 3", "id >= 2"]).await;
        bench.exact = false;
        bench.finish().await;
        bench.load(&[]).expect(0);
        let mut conn = target_conn(&bench).await;
        assert_eq!(bench.count(&mut conn, "t").await, 3);
        bench.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_fit_is_named_not_bent() {
    for target in [At::MySql, At::MariaDb, At::TiDb] {
        let bench = small("bent", target, &["1"]).await;
        bench.finish().await;
        let mut conn = target_conn(&bench).await;
        let name = &bench.name;
        run(
            &mut conn,
            &[
                &format!("CREATE DATABASE `{name}`"),
                &format!(
                    "CREATE TABLE `{name}`.t (id INT PRIMARY KEY, v VARCHAR(3), en ENUM('a'))"
                ),
            ],
        )
        .await;
        bench
            .load(&[])
            .expect(1)
            .says(&["`id` = 3", "Data too long for column 'v'"]);
        assert_eq!(bench.count(&mut conn, "t").await, 0);
        bench.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_not_ours_is_left_alone() {
    let bench = small("notempty", At::TiDb, &["1"]).await;
    bench.finish().await;
    let mut conn = target_conn(&bench).await;
    let name = &bench.name;
    run(
        &mut conn,
        &[
            &format!("CREATE DATABASE `{name}`"),
            &format!("CREATE TABLE `{name}`.t (id INT PRIMARY KEY, v VARCHAR(100), en ENUM('a'))"),
            &format!("INSERT INTO `{name}`.t VALUES (9, 'mine', NULL)"),
        ],
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
    let mut conn = target_conn(&bench).await;
    let name = &bench.name;
    run(
        &mut conn,
        &[
            &format!("CREATE DATABASE `{name}`"),
            &format!("CREATE TABLE `{name}`.t (id INT PRIMARY KEY, en ENUM('a'))"),
        ],
    )
    .await;
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
