//! Capture and apply killed at each of their failpoints while applications write; two at once; one that
//! slept while another took over: the target ends equal.
//!
//! `make soak` also kills the servers: the source, the MySQL target, MinIO. `TIDEWAY_SOAK_KILLS` (10) of
//! each, `TIDEWAY_SOAK_SEED` to repeat a run.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use tideway_tests::cdc::Running;
use tideway_tests::command::run;
use tideway_tests::scenario::{Scenario, Store};
use tideway_tests::servers::Server;
use tideway_tests::workload::{Options, Workload};

const CAPTURE: &[&str] = &[
    "capture.start",
    "capture.segment.data",
    "capture.segment.marker:2",
    "capture.segment.data:3",
    "capture.segment.marker",
];

const APPLY: &[&str] = &[
    "apply.begun",
    "apply.batch.sent",
    "apply.batch.committed",
    "apply.checkpoint:2",
    "apply.ddl.pending",
    "apply.ddl.run",
    "apply.ddl.stored",
    "apply.batch.sent:9",
    "apply.batch.committed:12",
    "apply.ddl.run:2",
    "apply.checkpoint:5",
    "apply.ddl.pending:2",
];

const MINUTE: Duration = Duration::from_secs(60);
/// Segments so small that there are several, soon.
const SMALL: &[&str] = &["--segment-interval", "300ms"];

/// As the tests of kills under load need it: writers that leave some time to all others.
fn options(scenario: &Scenario) -> Options {
    let mut options = Options::new(
        Server::MySql1,
        &scenario.name,
        "",
        rand::random::<u32>().into(),
    );
    options.writers = 3;
    options.pause = Duration::from_millis(5);
    options
}

/// Writers, and after the load changes of definitions too: `cdc.rs` has them from the beginning.
struct Load {
    options: Options,
    rows: Workload,
    definitions: Option<Workload>,
}

impl Load {
    async fn start(scenario: &Scenario) -> Self {
        let mut options = options(scenario);
        let pause = options.ddl.take();
        let rows = Workload::start(&options).await;
        options.ddl = pause;
        options.writers = 0;
        Self {
            options,
            rows,
            definitions: None,
        }
    }

    /// Dumps and loads, then begins to change definitions.
    fn dump_and_load(&mut self, scenario: &Scenario) {
        run(scenario.job("dump").args(["--settle", "1s"])).expect(0);
        run(&mut scenario.job("load")).expect(0);
        self.definitions = Some(Workload::resume(&self.options));
    }

    async fn stop(self) {
        self.rows.stop().await;
        if let Some(definitions) = self.definitions {
            definitions.stop().await;
        }
    }
}

fn scenario(what: &str, target: Server, store: Store) -> Scenario {
    let scenario = Scenario::new(what, &[Server::MySql1], target, store);
    scenario.set_mode("all");
    scenario
}

fn start(scenario: &Scenario, verb: &str, flags: &[&str]) -> Running {
    Running::start(scenario, verb, scenario.cdc(verb, flags))
}

fn armed(scenario: &Scenario, verb: &str, flags: &[&str], failpoint: &str) -> Running {
    let mut command = scenario.cdc(verb, flags);
    command.env("TIDEWAY_FAILPOINT", failpoint);
    Running::start(scenario, verb, command)
}

/// What the end of a lease's term does, without the waiting: the dead process's record is gone.
fn term_is_over(scenario: &Scenario, verb: &str) {
    let leases = PathBuf::from(&scenario.staging)
        .join(&scenario.name)
        .join("leases");
    std::fs::remove_dir_all(leases.join(format!("{verb}%2Freplica-01"))).unwrap();
}

/// Captures and applies all that was written, and compares.
async fn assert_equal(scenario: Scenario) {
    run(&mut scenario.cdc("capture", &["--until", "now", "--wait", "30s"])).expect(0);
    run(&mut scenario.cdc("apply", &["--until", "now", "--wait", "30s"])).expect(0);
    scenario.assert_databases(&[0]).await;
    scenario.clean_all().await;
}

/// Waits until apply has stored a checkpoint behind this time.
async fn advances(scenario: &Scenario) {
    let name = &scenario.name;
    let sql = format!(
        "SELECT CONCAT(segment, '-', place) FROM `{name}_meta`.`{name}_syncer_checkpoint` WHERE db = ''"
    );
    let mut conn = scenario.target.connect().await;
    let mut first: Option<String> = None;
    // A new owner waits for its lease, and for one lock time-out (50 s) of the target.
    for _ in 0..1200 {
        let now: Option<String> = conn.query_first(&sql).await.ok().flatten();
        if first.is_some() && now != first {
            conn.disconnect().await.unwrap();
            return;
        }
        first = first.or(now);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the checkpoint stays at {first:?}");
}

async fn killed_under_load(target: Server) {
    let scenario = scenario("ckill", target, Store::Local);
    let mut workload = Load::start(&scenario).await;
    for failpoint in CAPTURE {
        armed(&scenario, "capture", SMALL, failpoint)
            .ended(MINUTE)
            .await
            .expect_killed();
        term_is_over(&scenario, "capture");
        println!("killed at {failpoint}");
    }
    let capture = start(&scenario, "capture", SMALL);
    workload.dump_and_load(&scenario);
    for failpoint in APPLY {
        armed(&scenario, "apply", &[], failpoint)
            .ended(2 * MINUTE)
            .await
            .expect_killed();
        term_is_over(&scenario, "apply");
        println!("killed at {failpoint}");
    }
    workload.stop().await;
    capture.kill().await;
    term_is_over(&scenario, "capture");
    assert_equal(scenario).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_failpoint_into_tidb() {
    killed_under_load(Server::TiDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_failpoint_into_mysql() {
    killed_under_load(Server::MySqlTarget).await;
}

/// A failpoint that is added to the code without a kill here fails this test.
#[test]
fn the_lists_are_whole() {
    let source = include_str!("../../jobs/common/src/failpoint.rs");
    let list = source.split("pub const ALL").nth(1).unwrap();
    let list = list.split("];").next().unwrap();
    let mut named: Vec<&str> = list
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|name| name.starts_with("capture.") || name.starts_with("apply."))
        .collect();
    let mut here: Vec<&str> = CAPTURE
        .iter()
        .chain(APPLY)
        .map(|name| name.split(':').next().unwrap())
        .collect();
    named.sort_unstable();
    here.sort_unstable();
    here.dedup();
    assert_eq!(here, named);
}

/// Of two that start at once one works, the other leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once() {
    let scenario = scenario("twice", Server::MySqlTarget, Store::Local);
    let mut workload = Load::start(&scenario).await;
    let captures = [
        start(&scenario, "capture", SMALL),
        start(&scenario, "capture", SMALL),
    ];
    workload.dump_and_load(&scenario);
    let capture = one_leaves(captures, "replica-01").await;
    let applies = [
        start(&scenario, "apply", &[]),
        start(&scenario, "apply", &[]),
    ];
    let apply = one_leaves(applies, "another process applies it").await;
    advances(&scenario).await;
    workload.stop().await;
    capture.terminate().await.expect(5);
    apply.terminate().await.expect(5);
    assert_equal(scenario).await;
}

/// Waits until one of two has left with exit code 1 and a message; the other one.
async fn one_leaves(both: [Running; 2], message: &str) -> Running {
    let [mut one, mut two] = both;
    for _ in 0..600 {
        if !one.runs() {
            std::mem::swap(&mut one, &mut two);
        }
        if !two.runs() {
            two.ended(MINUTE).await.expect(1).says(&[message]);
            assert!(one.runs(), "both left:\n{}", one.said());
            return one;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("both run:\n{}\n{}", one.said(), two.said());
}

/// An apply that slept while another took over changes nothing when it wakes up.
async fn frozen(target: Server) {
    let scenario = scenario("frozen", target, Store::Local);
    let mut workload = Load::start(&scenario).await;
    let capture = start(&scenario, "capture", SMALL);
    workload.dump_and_load(&scenario);
    let first = start(&scenario, "apply", &[]);
    advances(&scenario).await;
    first.signal(Signal::STOP);
    let second = start(&scenario, "apply", &["--wait", "40s"]);
    advances(&scenario).await;
    first.signal(Signal::CONT);
    let ended = first.ended(MINUTE).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    advances(&scenario).await;
    workload.stop().await;
    capture.terminate().await.expect(5);
    second.terminate().await.expect(5);
    assert_equal(scenario).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_slept_changes_nothing_in_tidb() {
    frozen(Server::TiDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_slept_changes_nothing_in_mysql() {
    frozen(Server::MySqlTarget).await;
}

/// What is killed in the soak.
const VICTIMS: &[&str] = &["capture", "apply", "mysql1", "mysql-target", "minio"];

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Kills a server of `infra/local/servers` and starts it again.
async fn kill_server(name: &str) {
    let folder = std::env::var("TIDEWAY_SERVERS_DIR")
        .map_or_else(|_| workspace().join("target/servers"), PathBuf::from);
    let file = folder.join(format!("run/{name}.pid"));
    let id = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    run(Command::new("kill").args(["-KILL", id.trim()])).expect(0);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let up = workspace().join("infra/local/servers");
    run(Command::new(up).args(["up", name]).current_dir(workspace())).expect(0);
}

/// Starts it again when it has left, as a scheduler does.
fn keep(scenario: &Scenario, running: &mut Running, verb: &str, flags: &[&str]) {
    if !running.runs() {
        *running = start(scenario, verb, flags);
    }
}

async fn random_kills(target: Server) {
    let kills: u32 = number("TIDEWAY_SOAK_KILLS").unwrap_or(10);
    let seed: u64 = number("TIDEWAY_SOAK_SEED").unwrap_or_else(rand::random);
    println!("TIDEWAY_SOAK_SEED={seed}, {kills} kills of each into {target:?}");
    let mut random = StdRng::seed_from_u64(seed);
    let scenario = scenario("csoak", target, Store::MinIo);
    let mut workload = Load::start(&scenario).await;
    let (from, to) = (&["--wait", "40s"], &["--wait", "40s"]);
    let mut capture = start(&scenario, "capture", from);
    workload.dump_and_load(&scenario);
    let mut apply = start(&scenario, "apply", to);
    // TiDB here loses what it committed when it is killed.
    let victims: Vec<&str> = VICTIMS
        .iter()
        .copied()
        .filter(|name| target == Server::MySqlTarget || *name != "mysql-target")
        .collect();
    let mut left: Vec<(&str, u32)> = victims.iter().map(|name| (*name, kills)).collect();
    while !left.is_empty() {
        for _ in 0..random.random_range(1..80) {
            keep(&scenario, &mut capture, "capture", from);
            keep(&scenario, &mut apply, "apply", to);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let index = random.random_range(0..left.len());
        let (victim, count) = left[index];
        println!("killing {victim}, {count} to go");
        match victim {
            "capture" => capture.signal(Signal::KILL),
            "apply" => apply.signal(Signal::KILL),
            server => kill_server(server).await,
        }
        left[index].1 -= 1;
        left.retain(|(_, count)| *count > 0);
    }
    workload.stop().await;
    capture.terminate().await;
    apply.terminate().await;
    assert_equal(scenario).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make soak"]
async fn soak_random_kills_into_tidb() {
    random_kills(Server::TiDb).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make soak"]
async fn soak_random_kills_into_mysql() {
    random_kills(Server::MySqlTarget).await;
}
