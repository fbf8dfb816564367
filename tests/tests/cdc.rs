//! The Aurora case: applications that nobody pauses write from before the dump until the end, and the
//! target ends equal to the sources.
//!
//! `TIDEWAY_SEED` repeats a run whose seed was printed; `make soak` runs `TIDEWAY_SOAK_SEEDS` (20).
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tideway_tests::cdc::Running;
use tideway_tests::command::run;
use tideway_tests::scenario::{Scenario, Store};
use tideway_tests::servers::Server;
use tideway_tests::workload::{Options, Workload};

/// As `workflows/aurora-to-tidb.yaml`, with fewer workers, and left running until it is told to finish.
const WORKFLOW: &str = "name: aurora\nmode: all\ntask: task.yaml\nsources: [SOURCES]\nstages:
  - {name: precheck, job: precheck}
  - {name: capture, job: cdc, args: {verb: capture}, needs: [precheck], background: true}
  - {name: dump, job: dump, needs: [precheck], workers: 2}
  - {name: load, job: load, needs: [dump], workers: 2}
  - {name: apply, job: cdc, args: {verb: apply}, needs: [load], background: true}
";

async fn aurora(sources: &[Server], target: Server, store: Store, seed: u64) {
    println!("TIDEWAY_SEED={seed} {sources:?} into {target:?} through {store:?}");
    let scenario = Scenario::new("aurora", sources, target, store);
    scenario.set_mode("all");
    let files: Vec<String> = (1..=sources.len())
        .map(|n| format!("source{n}.yaml"))
        .collect();
    scenario.write(
        "workflow.yaml",
        &WORKFLOW.replace("SOURCES", &files.join(", ")),
    );
    let mut workloads = Vec::new();
    for (number, server) in sources.iter().enumerate() {
        let prefix = format!("s{}_", number + 1);
        let options = Options::new(*server, &scenario.name, &prefix, seed + number as u64);
        workloads.push(Workload::start(&options).await);
    }
    let follow = [
        "run",
        "workflow.yaml",
        "--follow",
        "--staging",
        &scenario.staging,
    ];
    let mut follow = Running::start(&scenario, "run", scenario.tideway(&follow));
    applying(&scenario, sources.len(), &mut follow).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for workload in workloads {
        let tally = workload.stop().await;
        assert!(tally.done > 500 && tally.definitions > 5, "{tally:?}");
    }
    let wait = Running::start(&scenario, "wait", scenario.cdc("wait", &["--lag", "5s"]));
    wait_while(wait, &mut follow).await;
    scenario
        .assert_databases(&(0..sources.len()).collect::<Vec<_>>())
        .await;
    run(&mut scenario.tideway(&["finish", "workflow.yaml", "--staging", &scenario.staging]))
        .expect(0);
    follow.ended(Duration::from_secs(60)).await.expect(0);
    run(&mut scenario.job("validate"))
        .expect(0)
        .says(&["no differences"]);
    scenario.clean_all().await;
}

/// Waits until apply has begun on each source.
async fn applying(scenario: &Scenario, sources: usize, follow: &mut Running) {
    let mut conn = scenario.target.connect().await;
    let name = &scenario.name;
    let sql =
        format!("SELECT COUNT(*) FROM `{name}_meta`.`{name}_syncer_checkpoint` WHERE db = ''");
    for _ in 0..1200 {
        let begun: Option<u64> = conn.query_first(&sql).await.ok().flatten();
        if begun == Some(sources as u64) {
            conn.disconnect().await.unwrap();
            return;
        }
        assert!(follow.runs(), "tideway run ended:\n{}", follow.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("apply has not begun within 2 minutes:\n{}", follow.said());
}

/// Waits for `wait`, as long as the run is well.
async fn wait_while(mut wait: Running, follow: &mut Running) {
    for _ in 0..2400 {
        if !wait.runs() {
            break;
        }
        assert!(follow.runs(), "tideway run ended:\n{}", follow.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        !wait.runs(),
        "not caught up within 4 minutes:\n{}\n{}",
        wait.said(),
        follow.said()
    );
    wait.ended(Duration::ZERO).await.expect(0);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn seed() -> u64 {
    number("TIDEWAY_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sources_into_tidb() {
    let sources = [Server::MySql1, Server::MySql2];
    aurora(&sources, Server::TiDb, Store::Local, seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn into_tidb_through_minio() {
    aurora(&[Server::MySql1], Server::TiDb, Store::MinIo, seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_sources_into_mysql() {
    let sources = [Server::MySql1, Server::MySql2];
    aurora(&sources, Server::MySqlTarget, Store::Local, seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn into_mysql_through_a_folder() {
    aurora(&[Server::MySql1], Server::MySqlTarget, Store::Local, seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_into_mysql() {
    aurora(
        &[Server::MariaDb],
        Server::MySqlTarget,
        Store::Local,
        seed(),
    )
    .await;
}

async fn soak(target: Server) {
    for _ in 0..number("TIDEWAY_SOAK_SEEDS").unwrap_or(20) {
        aurora(&[Server::MySql1], target, Store::Local, seed()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make soak"]
async fn soak_seeds_into_tidb() {
    soak(Server::TiDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make soak"]
async fn soak_seeds_into_mysql() {
    soak(Server::MySqlTarget).await;
}
