//! `kill -9` at every failpoint, and a rerun: the target is as if nothing had happened.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tideway_tests::command::{run, run_and_kill};
use tideway_tests::scenario::{Scenario, Store};
use tideway_tests::servers::Server;
use tideway_tests::tables;

const JOBS: &[&str] = &["dump", "load", "validate"];

/// The failpoints of a job; the lists must equal `tideway_job::failpoint::ALL`, which the test
/// [`the_lists_are_whole`] reads from its source.
const FAILPOINTS: &[&str] = &[
    "dump.start",
    "dump.schema",
    "dump.plan",
    "dump.chunk.data",
    "dump.chunk.data:3",
    "dump.chunk.marker",
    "dump.chunk.marker:4",
    "dump.finish.deleted",
    "dump.manifest",
    "load.prepared",
    "load.created",
    "load.rows.sent",
    "load.rows.sent:4",
    "load.rows.committed",
    "load.rows.committed:5",
    "load.chunk.done",
    "load.chunk.done:3",
    "load.report",
    "validate.report",
];

async fn tables(scenario: &Scenario) {
    scenario.fill(0, &tables::all_keys()).await;
}

async fn assert_equal(scenario: &Scenario) {
    for table in tables::KEY_TABLES {
        scenario.assert_table(0, table).await;
    }
}

fn armed(scenario: &Scenario, job: &str, failpoint: &str) -> Command {
    let mut command = scenario.job(job);
    command.env("TIDEWAY_FAILPOINT", failpoint);
    command
}

async fn kill_everywhere(target: Server, store: Store) {
    let mut scenario = Scenario::new("kills", &[Server::MySql1], target, store);
    tables(&scenario).await;
    let staging = scenario.staging.clone();
    for (number, failpoint) in FAILPOINTS.iter().enumerate() {
        // Every failpoint begins with an empty staging and an empty target.
        scenario.staging = match store {
            Store::Local => format!("{staging}_{number}"),
            Store::MinIo => staging.replace('?', &format!("_{number}?")),
        };
        scenario.drop_target().await;
        let (killed_job, _) = failpoint.split_once('.').unwrap();
        for job in JOBS {
            if *job == killed_job {
                run(&mut armed(&scenario, job, failpoint)).expect_killed();
            }
            run(&mut scenario.job(job)).expect(0);
        }
        assert_equal(&scenario).await;
        println!("killed at {failpoint}, rerun, equal ({target:?}, {store:?})");
    }
    scenario.clean().await;
}

#[tokio::test]
async fn at_every_failpoint_into_tidb() {
    kill_everywhere(Server::TiDb, Store::Local).await;
}

#[tokio::test]
async fn at_every_failpoint_into_mysql_through_minio() {
    kill_everywhere(Server::MySqlTarget, Store::MinIo).await;
}

/// A failpoint that is added to the code without a kill here fails this test.
#[test]
fn the_lists_are_whole() {
    let source = include_str!("../../jobs/common/src/failpoint.rs");
    let list = source.split("pub const ALL").nth(1).unwrap();
    let list = list.split("];").next().unwrap();
    // Those of replication are in `cdc_kills.rs`.
    let mut named: Vec<&str> = list
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|name| JOBS.iter().any(|job| name.starts_with(&format!("{job}."))))
        .collect();
    let mut here: Vec<&str> = FAILPOINTS
        .iter()
        .map(|name| name.split(':').next().unwrap())
        .collect();
    named.sort_unstable();
    here.sort_unstable();
    here.dedup();
    assert_eq!(here, named);
}

/// `make soak`: kills at random moments of dump and load. `TIDEWAY_SOAK_KILLS` (50) kills of each,
/// `TIDEWAY_SOAK_SEED` to repeat a run.
async fn random_kills(target: Server) {
    let kills: u32 = number("TIDEWAY_SOAK_KILLS").unwrap_or(50);
    let seed: u64 = number("TIDEWAY_SOAK_SEED").unwrap_or_else(rand::random);
    println!("TIDEWAY_SOAK_SEED={seed}, {kills} kills of dump and of load into {target:?}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut scenario = Scenario::new("soak", &[Server::MySql1], target, Store::Local);
    tables(&scenario).await;
    let staging = scenario.staging.clone();
    let mut counted = [0, 0];
    let mut round = 0;
    while counted.iter().any(|&n| n < kills) {
        round += 1;
        scenario.staging = format!("{staging}_{round}");
        scenario.drop_target().await;
        for (index, job) in ["dump", "load"].iter().enumerate() {
            // As often as it is killed; it goes on where it was, so some run ends.
            for _ in 0..8 {
                let delay = std::time::Duration::from_millis(random.random_range(20..1500));
                let ended = run_and_kill(&mut scenario.job(job), delay);
                match ended.code {
                    None => counted[index] += 1,
                    Some(code) => {
                        assert_eq!(code, 0, "{ended:?}");
                        break;
                    }
                }
            }
            run(&mut scenario.job(job)).expect(0);
        }
        run(&mut scenario.job("validate")).expect(0);
        assert_equal(&scenario).await;
        std::fs::remove_dir_all(&scenario.staging).unwrap();
        println!(
            "round {round}: killed dump {} and load {} times so far",
            counted[0], counted[1]
        );
    }
    scenario.clean().await;
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test]
#[ignore = "long: make soak"]
async fn soak_random_kills_into_tidb() {
    random_kills(Server::TiDb).await;
}

#[tokio::test]
#[ignore = "long: make soak"]
async fn soak_random_kills_into_mysql() {
    random_kills(Server::MySqlTarget).await;
}
