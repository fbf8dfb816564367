//! Where a finite apply ends.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tideway_tests::cdc::Running;
use tideway_tests::servers::Server;
use tideway_tests::trap::Trap;

/// A time of the source's clock, as `--until` takes it.
async fn now(trap: &mut Trap) -> String {
    let time: Option<String> = trap
        .conn
        .query_first("SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')")
        .await
        .unwrap();
    time.unwrap()
}

/// Nothing later than the time is applied, and where nothing later comes, it ends all the same.
#[tokio::test]
async fn a_time() {
    let mut trap = Trap::new("time", Server::MySql1, Server::TiDb).await;
    trap.source(&[
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "INSERT INTO t VALUES (1)",
    ])
    .await;
    let between = now(&mut trap).await;
    trap.source(&["DO SLEEP(0.1)", "INSERT INTO t VALUES (2)"])
        .await;
    trap.capture();
    let until = |time: &str| trap.scenario.cdc("apply", &["--until", time]);
    let limit = Duration::from_secs(60);
    let apply = Running::start(&trap.scenario, "apply", until(&between));
    apply.ended(limit).await.expect(0);
    assert_eq!(trap.find("SELECT id FROM `DB`.t").await, ["1"]);

    let later = now(&mut trap).await;
    // Nothing is written from here on, and a capture runs.
    let capture = trap.scenario.cdc("capture", &[]);
    let capture = Running::start(&trap.scenario, "capture", capture);
    let until = |time: &str| trap.scenario.cdc("apply", &["--until", time]);
    let apply = Running::start(&trap.scenario, "apply", until(&later));
    apply.ended(limit).await.expect(0);
    assert_eq!(
        trap.find("SELECT id FROM `DB`.t ORDER BY id").await,
        ["1", "2"]
    );
    capture.terminate().await;
    trap.clean().await;
}
