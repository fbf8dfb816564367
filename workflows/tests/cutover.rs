//! `tideway cutover`, with a real source and real targets. Other tests write to the same source, so a
//! look that finds it quiet is waited for; nothing makes it refuse writes here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stand_in;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use stand_in::{Ended, Stand};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: `. target/servers/env` after `infra/local/servers up`")
    })
}

/// Port, user and password of a server.
fn server(name: &str) -> (u16, &'static str, String) {
    let port = variable(&format!("TIDEWAY_TEST_{name}_PORT"))
        .parse()
        .unwrap();
    let password = match name {
        "TIDB" => variable("TIDEWAY_TEST_TIDB_PASSWORD"),
        _ => variable("TIDEWAY_TEST_ROOT_PASSWORD"),
    };
    (port, "root", password)
}

async fn connect(name: &str) -> Conn {
    let (port, user, password) = server(name);
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some(user))
        .pass(Some(password))
        .prefer_socket(false);
    Conn::new(opts).await.unwrap()
}

struct Case {
    stand: Stand,
    db: String,
    source: Conn,
    target: Conn,
}

impl Case {
    async fn new(target: &str) -> Self {
        let db = format!(
            "tw_cutover_{}_{}",
            target.to_lowercase(),
            std::process::id()
        );
        let stand = Stand::new("\n  - {name: dump, job: dump}\n");
        let (port, user, password) = server("MYSQL2");
        std::fs::write(
            stand.path("source1.yaml"),
            format!(
                "source-id: s\nfrom: {{host: 127.0.0.1, port: {port}, user: {user}, \
                 password: \"{password}\"}}\n"
            ),
        )
        .unwrap();
        let (port, user, password) = server(target);
        std::fs::write(
            stand.path("task.yaml"),
            format!(
                "name: test\ntask-mode: all\nmeta-schema: {db}_meta\ntarget-database: {{host: \
                 127.0.0.1, port: {port}, user: {user}, password: \"{password}\"}}\n\
                 block-allow-list: {{g: {{do-dbs: [\"{db}\"]}}}}\n\
                 routes: {{r: {{schema-pattern: \"{db}\", table-pattern: \"t_*\", target-schema: \
                 \"{db}\", target-table: t}}}}\n\
                 mysql-instances:\n- {{source-id: s, block-allow-list: g, route-rules: [r]}}\n"
            ),
        )
        .unwrap();
        let mut case = Self {
            stand,
            source: connect("MYSQL2").await,
            target: connect(target).await,
            db,
        };
        case.drop_all().await;
        let db = case.db.clone();
        for statement in [
            format!("CREATE DATABASE {db}"),
            format!("CREATE TABLE {db}.t_1 (id BIGINT AUTO_INCREMENT PRIMARY KEY)"),
            format!(
                "CREATE TABLE {db}.t_2 (id BIGINT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 70000"
            ),
            format!("CREATE TABLE {db}.plain (id BIGINT PRIMARY KEY)"),
            format!("INSERT INTO {db}.t_1 VALUES (), ()"),
        ] {
            case.source.query_drop(statement).await.unwrap();
        }
        for statement in [
            format!("CREATE DATABASE {db}"),
            format!("CREATE TABLE {db}.t (id BIGINT AUTO_INCREMENT PRIMARY KEY)"),
            format!("CREATE TABLE {db}.plain (id BIGINT PRIMARY KEY)"),
            format!("CREATE DATABASE {db}_meta"),
        ] {
            case.target.query_drop(statement).await.unwrap();
        }
        case
    }

    async fn drop_all(&mut self) {
        for db in [self.db.clone(), format!("{}_meta", self.db)] {
            let statement = format!("DROP DATABASE IF EXISTS {db}");
            self.source.query_drop(&statement).await.unwrap();
            self.target.query_drop(&statement).await.unwrap();
        }
    }

    /// Apply's checkpoint: at this offset of a file far ahead, or of one far behind.
    async fn checkpoint(&mut self, file: &str, event_time: i64) {
        let table = format!("{}_meta.test_syncer_checkpoint", self.db);
        for statement in [
            format!("DROP TABLE IF EXISTS {table}"),
            format!(
                "CREATE TABLE {table} (source VARCHAR(64), db VARCHAR(64), tbl VARCHAR(64), \
                 segment BIGINT UNSIGNED, place BIGINT UNSIGNED, binlog_name VARCHAR(255), \
                 binlog_pos BIGINT UNSIGNED, binlog_gtid TEXT, event_time BIGINT, totals TEXT, \
                 pending_ddl TEXT, updated_at TIMESTAMP, PRIMARY KEY (source, db, tbl))"
            ),
            format!(
                "INSERT INTO {table} VALUES ('s', '', '', 1, 4, '{file}', 4, NULL, {event_time}, \
                 '{{}}', NULL, NOW())"
            ),
        ] {
            self.target.query_drop(statement).await.unwrap();
        }
    }

    /// What validate leaves.
    fn validated(&self, at: &str, differences: u64) {
        let folder = self.stand.path("tideway-staging/test/s/validate");
        std::fs::create_dir_all(&folder).unwrap();
        let report = serde_json::json!({
            "version": 1, "task": "test", "source": "s", "worker": 0, "workers": 1,
            "equal": differences == 0, "differences": differences, "started_at": at
        });
        std::fs::write(folder.join("report.json"), report.to_string()).unwrap();
    }

    fn cutover(&self, more: &[&str]) -> Ended {
        let mut arguments = vec![
            "cutover",
            "--task",
            "task.yaml",
            "--source",
            "source1.yaml",
            "--wait",
            "0s",
        ];
        arguments.extend(more);
        self.stand.tideway(&arguments)
    }

    /// With nobody else writing to the source while it looks.
    async fn quiet(&self, more: &[&str]) -> Ended {
        for _ in 0..200 {
            let ended = self.cutover(more);
            if !ended.stdout.contains("was written meanwhile: (")
                || ended.stdout.contains("nothing was written")
            {
                return ended;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("the source is never quiet");
    }

    async fn next_number(&mut self) -> u64 {
        let db = self.db.clone();
        let insert = format!("INSERT INTO {db}.t VALUES ()");
        self.target.query_drop(insert).await.unwrap();
        self.target.last_insert_id().unwrap()
    }
}

async fn conditions_one_by_one(target: &str) {
    let mut case = Case::new(target).await;
    let said = case.quiet(&[]).await.expect(1);
    let said = said
        .says("NO  it takes writes")
        .says("NO  no changes were applied yet")
        .says("NO  it was never validated");
    said.says("not safe yet");

    case.checkpoint("binlog.000001", 0).await;
    case.quiet(&["--assume-stopped"])
        .await
        .expect(1)
        .says("ok  it takes writes; that nobody makes any is assumed")
        .says("applied is what lies before (binlog.000001, 4)");

    // Noon of the last change, in microseconds.
    let noon = 1_769_860_800_000_000;
    case.checkpoint("binlog.999999", noon).await;
    case.validated("2026-01-31T11:59:59Z", 0);
    case.quiet(&["--assume-stopped"])
        .await
        .expect(1)
        .says("ok  all of its binary log is applied")
        .says("NO  the last validation began at 2026-01-31 11:59:59 UTC");
    case.validated("2026-01-31T12:00:01Z", 3);
    case.quiet(&["--assume-stopped"])
        .await
        .expect(1)
        .says("found 3 differences");
    assert_eq!(case.next_number().await, 1, "nothing is changed before");

    case.validated("2026-01-31T12:00:01Z", 0);
    case.quiet(&["--assume-stopped", "--dry-run"])
        .await
        .expect(0)
        .says("safe: point the applications at the target");
    let ended = case
        .quiet(&["--assume-stopped", "--output", "json"])
        .await
        .expect(0);
    let answer: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(answer["safe"], true);
    assert_eq!(
        answer["auto_increment"].as_array().unwrap().len(),
        1,
        "{answer:#}"
    );
    assert_eq!(answer["auto_increment"][0]["next"], 70_000);
    // On a connection of its own, which has no numbers in hand.
    case.target = connect(target).await;
    let next = case.next_number().await;
    assert!(next >= 70_000, "{next}");
    // Once more changes nothing for the worse.
    case.quiet(&["--assume-stopped"]).await.expect(0);
    let after = case.next_number().await;
    assert!(after > next, "{after}");
    case.drop_all().await;
}

#[tokio::test]
async fn it_is_safe_when_all_holds_and_then_tidb_numbers_go_on() {
    conditions_one_by_one("TIDB").await;
}

#[tokio::test]
async fn it_is_safe_when_all_holds_and_then_mysql_numbers_go_on() {
    conditions_one_by_one("MYSQL_TARGET").await;
}
