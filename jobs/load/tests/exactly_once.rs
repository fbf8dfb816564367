//! Killed, stopped, doubled: after the rerun each row is there once, also in a table without a key.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use support::{At, Bench, run};

/// Two tables, one of them without a key, in chunks of several transactions each.
async fn bench(what: &str, target: At) -> Bench {
    let source = At::Source.server().await;
    let mut bench = Bench::new(what, target).await;
    let mut conn = bench.database(&source).await;
    run(
        &mut conn,
        &[
            "CREATE TABLE nokey (n INT, v VARCHAR(1000)) DEFAULT CHARSET utf8mb4",
            "CREATE TABLE keyed (id INT PRIMARY KEY, v VARBINARY(300), UNIQUE KEY (v))",
            "SET SESSION cte_max_recursion_depth = 100000",
            "INSERT INTO nokey WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n \
             WHERE i < 9000) SELECT i, REPEAT(SHA2(i, 256), 12) FROM n",
            "INSERT INTO keyed WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n \
             WHERE i < 9000) SELECT i, CONCAT(i, RANDOM_BYTES(250)) FROM n",
        ],
    )
    .await;
    bench
        .dump(
            &source,
            "nokey",
            &["n < 4000", "n >= 4000 AND n < 4001", "n > 4000"],
        )
        .await;
    bench
        .dump(&source, "keyed", &["id < 5000", "id < 0", "id >= 5000"])
        .await;
    bench.finish().await;
    bench
}

/// What identifies the rows: how many, and a sum over all their bytes in which doubles count.
async fn digest(bench: &Bench, at: At) -> Vec<(u64, String)> {
    let mut conn = at.server().await.conn().await.unwrap();
    let mut found = Vec::new();
    for (table, columns) in [("nokey", "n, '-', v"), ("keyed", "id, '-', HEX(v)")] {
        let sql = format!(
            "SELECT COUNT(*), CAST(COALESCE(SUM(CRC32(CONCAT({columns}))), 0) AS CHAR) FROM `{}`.`{table}`",
            bench.name
        );
        found.push(conn.query_first(sql).await.unwrap().unwrap());
    }
    found
}

async fn assert_equal(bench: &Bench) {
    let expected = digest(bench, At::Source).await;
    assert_eq!(expected[0].0, 9000);
    assert_eq!(digest(bench, bench.target).await, expected);
}

const SMALL: &[&str] = &["--transaction", "1MiB"];

async fn killed_everywhere(target: At) {
    let mut bench = bench("kill", target).await;
    // Transactions of a killed run end when the server notices; the next run waits for them.
    bench.session = "  session:\n    innodb_lock_wait_timeout: 5\n".into();
    bench.write_files();
    // Each is reached after those before it: two tables, six chunks, about fourteen transactions.
    for point in [
        "load.prepared",
        "load.created",
        "load.prepared",
        "load.created",
        "load.rows.sent",
        "load.chunk.done",
        "load.rows.committed",
        "load.rows.sent:2",
        "load.rows.committed:2",
        "load.report",
    ] {
        let ended = bench
            .command()
            .args(SMALL)
            .args(["--workers", "2"])
            .env("TIDEWAY_FAILPOINT", point)
            .output()
            .unwrap();
        support::Ended(ended)
            .killed()
            .says(&[point.split(':').next().unwrap()]);
    }
    bench.load(SMALL).expect(0);
    assert_equal(&bench).await;
    // Nothing is left to do, and nothing is done again.
    bench.load(SMALL).expect(0);
    assert_equal(&bench).await;
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_failpoint_into_mysql() {
    killed_everywhere(At::MySql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_failpoint_into_tidb() {
    killed_everywhere(At::TiDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_chunk_goes_on_there() {
    let bench = bench("middle", At::MySql).await;
    let ended = bench
        .command()
        .args(SMALL)
        .args(["--workers", "1"])
        .env("TIDEWAY_FAILPOINT", "load.rows.committed:2")
        .output()
        .unwrap();
    support::Ended(ended).killed();
    let done = done(&bench).await;
    assert!(
        done > 0 && done < 3999,
        "{done} rows are done: not in the middle of the first chunk"
    );
    bench.load(SMALL).expect(0);
    assert_equal(&bench).await;
    bench.clean().await;
}

async fn done(bench: &Bench) -> u64 {
    let mut conn = bench.target.server().await.conn().await.unwrap();
    conn.query_first(format!(
        "SELECT COALESCE(SUM(rows_done), 0) FROM `{0}_meta`.`{0}_loader_checkpoint`",
        bench.name
    ))
    .await
    .unwrap_or_default()
    .unwrap_or(0)
}

/// Starts a load that is slow enough to be caught in the middle: one connection, small
/// transactions; waits until rows are committed.
async fn caught(bench: &Bench) -> Child {
    let child = bench
        .command()
        .args(SMALL)
        .args(["--workers", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while done(bench).await == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "no row came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    child
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill")
        .args([name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

async fn zombie(target: At) {
    let mut bench = bench("zombie", target).await;
    bench.session = "  session:\n    innodb_lock_wait_timeout: 2\n".into();
    bench.write_files();
    let child = caught(&bench).await;
    signal(&child, "-STOP");
    let stopped_at = done(&bench).await;
    assert!(
        stopped_at < 18_000,
        "the first load was done before it was stopped"
    );
    // The new owner waits for the zombie's transaction and then ends its connection (MySQL), or
    // need not wait for it (TiDB).
    bench.load(SMALL).expect(0);
    assert_equal(&bench).await;
    signal(&child, "-CONT");
    let ended = support::Ended(child.wait_with_output().unwrap());
    ended
        .expect(1)
        .says(&["another process took over load-0/0"]);
    assert_equal(&bench).await;
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_is_fenced_at_mysql() {
    zombie(At::MySql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_is_fenced_at_tidb() {
    zombie(At::TiDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_the_transaction_and_says_5() {
    let bench = bench("term", At::MySql).await;
    let child = caught(&bench).await;
    signal(&child, "-TERM");
    support::Ended(child.wait_with_output().unwrap()).expect(5);
    assert!(done(&bench).await < 18_000);
    bench.load(&[]).expect(0);
    assert_equal(&bench).await;
    bench.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_workers_share_the_chunks() {
    for target in [At::MySql, At::TiDb] {
        let bench = bench("workers", target).await;
        let start = |index: &str| {
            bench
                .command()
                .args(SMALL)
                .args(["--worker-count", "3", "--worker-index", index])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        for child in ["0", "1", "2"].map(start) {
            support::Ended(child.wait_with_output().unwrap()).expect(0);
        }
        assert_equal(&bench).await;
        bench.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_think_they_own_the_same_chunks_do_no_harm() {
    let bench = bench("double", At::MySql).await;
    // Two of two, and one of one: index 0 fences index 0, so take 1 of 2 beside 0 of 1.
    let start = |arguments: [&str; 4]| {
        bench
            .command()
            .args(SMALL)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let one = start(["--worker-count", "1", "--worker-index", "0"]);
    let two = start(["--worker-count", "2", "--worker-index", "1"]);
    support::Ended(one.wait_with_output().unwrap()).expect(0);
    support::Ended(two.wait_with_output().unwrap()).expect(0);
    assert_equal(&bench).await;
    bench.clean().await;
}
