//! Sources that are written while they are compared: what is on its way is no difference, what is wrong
//! is found all the same.
//!
//! Apply is played by a task that repeats the source's statements at the target after a while, and moves
//! the checkpoint behind them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;

use std::sync::Arc;
use std::time::Duration;

use harness::{Pair, Server, table};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How far apply lies behind.
const LAG: Duration = Duration::from_millis(1500);

enum Step {
    Statement(String),
    Checkpoint(String, u64, String),
}

type Queue = mpsc::UnboundedSender<(Instant, Step)>;

/// The source's writer. Its lock keeps statements and positions in order.
struct Writer {
    conn: Conn,
    queue: Queue,
}

impl Writer {
    async fn write(&mut self, statement: &str) {
        self.unnoticed(statement).await;
        let step = Step::Statement(statement.to_owned());
        self.queue.send((Instant::now(), step)).unwrap();
    }

    /// Writes what apply then misses.
    async fn unnoticed(&mut self, statement: &str) {
        self.conn
            .query_drop(statement)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    async fn position(&mut self) -> (String, u64, String) {
        let row: Option<Row> = self
            .conn
            .query_first("SHOW BINARY LOG STATUS")
            .await
            .unwrap();
        let row = row.unwrap();
        let text = |name: &str| row.get::<String, _>(name).unwrap();
        (
            text("File"),
            row.get("Position").unwrap(),
            text("Executed_Gtid_Set").replace('\n', ""),
        )
    }
}

struct Replica {
    writer: Arc<Mutex<Writer>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Makes the checkpoint of a pair that is equal now, and follows it from here on.
async fn follow(pair: &mut Pair, applies: bool) -> Replica {
    pair.mode = "all";
    pair.write_files();
    let mut conn = pair.sources[0].connect().await;
    conn.query_drop(format!("USE `{}`", pair.name))
        .await
        .unwrap();
    let (queue, mut steps) = mpsc::unbounded_channel();
    let mut writer = Writer { conn, queue };
    let mut target = pair.target.connect().await;
    let meta = pair.meta_schema();
    let checkpoint = format!("`{meta}`.`{}_syncer_checkpoint`", pair.name);
    for statement in [
        format!("CREATE DATABASE IF NOT EXISTS `{meta}`"),
        format!(
            "CREATE TABLE {checkpoint} (source VARCHAR(64), db VARCHAR(64), tbl VARCHAR(64), \
             binlog_name VARCHAR(512), binlog_pos BIGINT UNSIGNED, binlog_gtid LONGTEXT, \
             PRIMARY KEY (source, db, tbl))"
        ),
        format!("USE `{}`", pair.target_schema()),
    ] {
        target.query_drop(statement).await.unwrap();
    }
    let (file, pos, gtids) = writer.position().await;
    let insert = format!("INSERT INTO {checkpoint} VALUES ('s0', '', '', ?, ?, ?)");
    target.exec_drop(insert, (file, pos, gtids)).await.unwrap();
    let writer = Arc::new(Mutex::new(writer));
    let mut tasks = Vec::new();
    if applies {
        let marks = Arc::clone(&writer);
        tasks.push(tokio::spawn(async move {
            loop {
                let mut writer = marks.lock().await;
                let (file, pos, gtids) = writer.position().await;
                let step = Step::Checkpoint(file, pos, gtids);
                writer.queue.send((Instant::now(), step)).unwrap();
                drop(writer);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }));
        tasks.push(tokio::spawn(async move {
            let update =
                format!("UPDATE {checkpoint} SET binlog_name = ?, binlog_pos = ?, binlog_gtid = ?");
            while let Some((written, step)) = steps.recv().await {
                tokio::time::sleep_until(written + LAG).await;
                match step {
                    Step::Statement(statement) => target
                        .query_drop(&statement)
                        .await
                        .unwrap_or_else(|error| panic!("{statement}: {error}")),
                    Step::Checkpoint(file, pos, gtids) => {
                        target.exec_drop(&update, (file, pos, gtids)).await.unwrap();
                    }
                }
            }
        }));
    } else {
        // Nobody takes them; the writer must not fail for it.
        tasks.push(tokio::spawn(async move {
            let _steps = steps;
            std::future::pending::<()>().await;
        }));
    }
    Replica { writer, tasks }
}

impl Replica {
    /// Writes without end: each number gives some statements.
    fn keep_writing(
        &mut self,
        statements: impl Fn(u64) -> Vec<String> + Send + 'static,
        unnoticed: bool,
    ) {
        let writer = Arc::clone(&self.writer);
        self.tasks.push(tokio::spawn(async move {
            for number in 0.. {
                for statement in statements(number) {
                    let mut writer = writer.lock().await;
                    if unnoticed {
                        writer.unnoticed(&statement).await;
                    } else {
                        writer.write(&statement).await;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }));
    }

    async fn write(&self, statement: &str) {
        self.writer.lock().await.write(statement).await;
    }
}

/// Some number that `number` always gives.
fn mixed(number: u64) -> u64 {
    number
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
        >> 33
}

const TABLES: &[&str] = &[
    "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(50), d DOUBLE)",
    "CREATE TABLE n (a INT, v VARCHAR(50))",
    "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3), (1000, 'quiet', 4), (1001, 'quiet', 5)",
    "INSERT INTO n VALUES (1, 'x'), (1, 'x'), (2, 'quiet')",
];

/// Inserts, updates, changed keys, a row that comes and goes, one that changes between two states.
fn workload(number: u64) -> Vec<String> {
    let random = mixed(number) % 40;
    vec![
        format!(
            "REPLACE INTO t VALUES ({}, 'v{number}', {random}.5)",
            10 + random
        ),
        format!(
            "UPDATE t SET v = 'u{number}' WHERE id = {}",
            10 + mixed(number + 7) % 40
        ),
        format!("DELETE FROM t WHERE id = {}", 500 - random),
        format!(
            "UPDATE t SET id = {} WHERE id = {}",
            500 - random,
            10 + random
        ),
        "DELETE FROM t WHERE id = 1".to_owned(),
        "INSERT INTO t VALUES (1, 'a', 1)".to_owned(),
        format!("UPDATE t SET d = {} WHERE id = 2", number % 2),
        format!("INSERT INTO n VALUES ({number}, 'n')"),
        format!("DELETE FROM n WHERE a = {}", number.saturating_sub(30)),
    ]
}

async fn writers(target: Server) {
    let mut pair = Pair::new(Server::MySql1, target).await;
    pair.both(TABLES).await;
    let mut replica = follow(&mut pair, true).await;
    replica.keep_writing(workload, false);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let validate = |args: &[&str]| tokio::task::block_in_place(|| pair.validate(args));
    let reports = validate(&["--output", "json"]).expect(0).reports();
    for name in ["t", "n"] {
        let rechecked = table(&reports, name)["rechecked"].as_u64().unwrap();
        assert!(rechecked > 0, "{reports:#}");
    }
    // What is wrong at the target is found among all that is on its way.
    pair.target(&[
        "UPDATE t SET v = 'wrong' WHERE id = 1000",
        "INSERT INTO t VALUES (2000, 'extra', 0)",
        "DELETE FROM t WHERE id = 1001",
        "INSERT INTO n VALUES (2, 'quiet')",
    ])
    .await;
    let reports = validate(&["--output", "json"]).expect(4).reports();
    let t = table(&reports, "t");
    let counts = &t["counts"];
    assert_eq!(
        (
            &counts["different"],
            &counts["extra"],
            &counts["missing"],
            &counts["unlisted"]
        ),
        (&1.into(), &1.into(), &1.into(), &0.into()),
        "{reports:#}"
    );
    for row in t["rows"].as_array().unwrap() {
        assert!(row["note"].is_null(), "{row:#}");
    }
    let n = table(&reports, "n");
    assert_eq!(n["counts"]["extra"], 1, "{reports:#}");
    assert_eq!(n["counts"]["missing"], 0, "{reports:#}");
    drop(replica);
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_to_tidb_is_no_difference() {
    writers(Server::TiDb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_to_mysql_is_no_difference() {
    writers(Server::MySqlTarget).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_on_its_way_is_no_difference() {
    let mut pair = Pair::new(Server::MySql1, Server::MySqlTarget).await;
    pair.both(&[
        "CREATE TABLE grows (id INT PRIMARY KEY)",
        "CREATE TABLE shrinks (id INT PRIMARY KEY, v INT)",
        "CREATE TABLE goes (id INT PRIMARY KEY)",
        "CREATE TABLE former (id INT PRIMARY KEY)",
        "INSERT INTO grows VALUES (1), (2)",
        "INSERT INTO shrinks VALUES (1, 1)",
        "INSERT INTO goes VALUES (1)",
        "INSERT INTO former VALUES (1)",
    ])
    .await;
    let replica = follow(&mut pair, true).await;
    for statement in [
        "ALTER TABLE grows ADD w INT DEFAULT 5",
        "INSERT INTO grows VALUES (3, 6)",
        "ALTER TABLE shrinks DROP v",
        "INSERT INTO shrinks VALUES (2)",
        "INSERT INTO goes VALUES (2)",
        "DROP TABLE goes",
        "RENAME TABLE former TO latter",
        "CREATE TABLE comes (id INT PRIMARY KEY)",
        "INSERT INTO comes VALUES (1)",
    ] {
        replica.write(statement).await;
    }
    let ended = tokio::task::block_in_place(|| pair.validate(&[]).expect(0));
    assert!(ended.stdout.contains("latter"), "{}", ended.stdout);
    // A table that is gone from the source while it is waited for, and one that gets a column.
    replica.write("INSERT INTO latter VALUES (2)").await;
    replica.write("INSERT INTO comes VALUES (2)").await;
    let ended = std::thread::scope(|scope| {
        let run = scope.spawn(|| pair.validate(&[]));
        tokio::task::block_in_place(|| {
            std::thread::sleep(Duration::from_millis(700));
            tokio::runtime::Handle::current().block_on(async {
                replica.write("DROP TABLE latter").await;
                replica
                    .write("ALTER TABLE comes DROP PRIMARY KEY, DROP id, ADD k INT AUTO_INCREMENT PRIMARY KEY")
                    .await;
            });
        });
        run.join().unwrap()
    });
    ended.expect(0);
    // A table that really is missing is found.
    pair.target(&["DROP TABLE grows"]).await;
    let ended = tokio::task::block_in_place(|| pair.validate(&[]).expect(4));
    assert!(
        ended.stdout.contains("missing on the target"),
        "{}",
        ended.stdout
    );
    drop(replica);
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_stands_still_is_an_error() {
    let mut pair = Pair::new(Server::MySql1, Server::MySqlTarget).await;
    pair.both(TABLES).await;
    let replica = follow(&mut pair, false).await;
    replica.write("UPDATE t SET v = 'new' WHERE id = 1").await;
    let ended = tokio::task::block_in_place(|| pair.validate(&["--wait", "1s"]).expect(1));
    for part in ["source s0", "_syncer_checkpoint", "binlog.", "--wait"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    // In a mode that does not follow the binlog it is a difference.
    drop(replica);
    pair.mode = "full";
    pair.write_files();
    tokio::task::block_in_place(|| pair.validate(&["--accept-changes"]).expect(4));
    pair.clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_changes_all_the_time_is_reported_as_that() {
    let mut pair = Pair::new(Server::MySql1, Server::MySqlTarget).await;
    pair.both(TABLES).await;
    let mut replica = follow(&mut pair, true).await;
    let update = |number| vec![format!("UPDATE t SET v = 'v{number}' WHERE id = 3")];
    replica.keep_writing(update, true);
    let reports = tokio::task::block_in_place(|| pair.differences());
    let rows = table(&reports, "t")["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{reports:#}");
    assert_eq!(rows[0]["note"], "still changing", "{reports:#}");
    drop(replica);
    pair.clean().await;
}
