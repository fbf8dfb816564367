//! `tideway cleanup` and `tideway run --remove-meta`, with a real target.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod stand_in;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use rustix::process::Signal;
use stand_in::Stand;

const DUMP: &str = "\n  - {name: dump, job: dump}\n";

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: `. target/servers/env` after `infra/local/servers up`")
    })
}

/// A stand whose task has a meta schema of its own at the tests' target.
struct Target {
    stand: Stand,
    meta: String,
    conn: Conn,
}

impl Target {
    async fn new(what: &str) -> Self {
        let stand = Stand::new(DUMP);
        let meta = format!("tw_{what}_{}_meta", std::process::id());
        let port: u16 = variable("TIDEWAY_TEST_MYSQL_TARGET_PORT").parse().unwrap();
        let password = variable("TIDEWAY_TEST_ROOT_PASSWORD");
        let task = format!(
            "name: test\ntask-mode: full\nmeta-schema: {meta}\n\
             target-database: {{host: 127.0.0.1, port: {port}, user: root, password: \"{password}\"}}\n\
             mysql-instances:\n- source-id: aurora-replica-01\n- source-id: aurora-replica-02\n"
        );
        std::fs::write(stand.path("task.yaml"), task).unwrap();
        let opts = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(port)
            .user(Some("root"))
            .pass(Some(password))
            .prefer_socket(false);
        let mut conn = Conn::new(opts).await.unwrap();
        for statement in [
            format!("DROP DATABASE IF EXISTS {meta}"),
            format!("CREATE DATABASE {meta}"),
            format!("CREATE TABLE {meta}.test_loader_checkpoint (a INT)"),
            format!("CREATE TABLE {meta}.other_loader_checkpoint (a INT)"),
        ] {
            conn.query_drop(statement).await.unwrap();
        }
        Self { stand, meta, conn }
    }

    async fn tables(&mut self) -> Vec<String> {
        let query = format!("SHOW TABLES FROM {}", self.meta);
        self.conn.query(query).await.unwrap()
    }

    async fn clean(mut self) {
        let statement = format!("DROP DATABASE {}", self.meta);
        self.conn.query_drop(statement).await.unwrap();
    }
}

#[tokio::test]
async fn cleanup_first_stops_the_jobs_of_a_killed_runner() {
    let mut target = Target::new("orphans").await;
    let stand = &target.stand;
    // A job that goes on writing into staging until it is told to stop.
    stand.job(
        "dump",
        "trap 'note \"gone $me\"; exit 5' TERM
         while :; do mkdir -p tideway-staging/test/late; echo x > tideway-staging/test/late/x; sleep 0.05; done",
    );
    let running = stand.start(&[]);
    stand.wait_for("start dump - aurora-replica-01");
    stand.wait_for("start dump - aurora-replica-02");
    running.signal(Signal::KILL);
    running.end();
    stand
        .tideway(&["cleanup", "workflow.yaml", "--yes"])
        .expect(0)
        .says("still at work: asking it to stop");
    let gone = stand
        .events()
        .iter()
        .filter(|e| e.starts_with("gone"))
        .count();
    assert_eq!(gone, 2, "{:#?}", stand.events());
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!stand.path("tideway-staging/test/late/x").exists());
    assert!(stand.runs().is_empty());
    assert_eq!(target.tables().await, ["other_loader_checkpoint"]);
    target.clean().await;
}

#[tokio::test]
async fn remove_meta_forgets_what_was_done_and_says_so() {
    let mut target = Target::new("remove_meta").await;
    let stand = &target.stand;
    stand.run(&[]).expect(0);
    let former = stand.runs()[0]["run_id"].clone();
    std::fs::create_dir_all(stand.path("tideway-staging/test/aurora-replica-01/dump")).unwrap();
    std::fs::write(stand.path("tideway-staging/test/task.json"), "{}").unwrap();
    std::fs::write(
        stand.path("tideway-staging/test/aurora-replica-01/dump/a"),
        "x",
    )
    .unwrap();
    stand.forget();
    stand
        .run(&["--remove-meta"])
        .expect(0)
        .says("--remove-meta: removing, of task test")
        .says(" objects (")
        .says("`.`test_loader_checkpoint` at the target");
    assert_eq!(stand.events().len(), 2, "{:#?}", stand.events());
    let runs = stand.runs();
    assert_eq!(runs.len(), 1);
    assert_ne!(runs[0]["run_id"], former);
    for gone in ["task.json", "aurora-replica-01/dump/a"] {
        assert!(!stand.path("tideway-staging/test").join(gone).exists());
    }
    assert_eq!(target.tables().await, ["other_loader_checkpoint"]);
    target.clean().await;
}
