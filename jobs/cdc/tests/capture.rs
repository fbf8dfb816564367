//! Capture against real servers: the segments hold what the server sends, byte for byte, whatever
//! happens to the capture, to its connection and to its server.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod capture_harness;

use mysql_async::prelude::Queryable;
use tideway_mysql::binlog::Kind;
use tideway_staging::control::What;

use capture_harness::{
    Ended, Scenario, Server, events, is_received, printed, printed_by_mariadb, rows_of, variable,
};

fn has(scenario_events: &[Vec<u8>], kind: Kind) -> bool {
    scenario_events.iter().any(|event| event[4] == kind.0)
}

/// Rows of the scenario's tables, each segment decoded by itself.
async fn rows(scenario: &Scenario) -> usize {
    let segments = scenario.segments().await;
    let full = segments.iter().filter(|(marker, _)| !marker.is_empty());
    full.map(|(_, bytes)| rows_of(bytes, &scenario.name)).sum()
}

#[tokio::test]
async fn segments_are_binlogs_of_what_the_server_wrote() {
    let scenario = Scenario::new("plain", Server::OtherMySql, false).await;
    scenario.catch_up(&[]).expect(0);
    scenario
        .sql(&[
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(100), j JSON)",
            "INSERT INTO t VALUES (1, 'one', '{\"a\": 1}'), (2, 'zwei ü', NULL)",
            "SET SESSION binlog_transaction_compression = ON",
            "INSERT INTO t VALUES (3, REPEAT('x', 100), NULL)",
            "SET SESSION binlog_transaction_compression = OFF",
            "UPDATE t SET v = 'changed' WHERE id < 3",
            "FLUSH BINARY LOGS",
            "ALTER TABLE t ADD COLUMN n INT",
            "DELETE FROM t WHERE id = 2",
            "CREATE TABLE m (id INT) ENGINE=MyISAM",
            "INSERT INTO m VALUES (1)",
            "CREATE TABLE copy AS SELECT * FROM t",
            "XA START 'capture'",
            "INSERT INTO t VALUES (7, 'xa', NULL, 7)",
            "XA END 'capture'",
            "XA PREPARE 'capture'",
            "XA COMMIT 'capture'",
        ])
        .await;
    scenario.catch_up(&[]).expect(0);
    scenario.assert_complete().await;
    let captured = scenario.events().await;
    for kind in [Kind::TRANSACTION_PAYLOAD, Kind::ROTATE, Kind::XA_PREPARE] {
        assert!(has(&captured, kind), "{kind:?}");
    }
    let segments = scenario.segments().await;
    assert!(segments.len() >= 2);
    for (marker, bytes) in &segments {
        assert!(!marker.continued && !marker.continues);
        // What of the file ends ends the segment.
        let kinds: Vec<_> = events(bytes)
            .iter()
            .map(|event| event.header.kind)
            .collect();
        let rotate = kinds.iter().position(|kind| *kind == Kind::ROTATE);
        assert!(rotate.is_none_or(|at| at + 1 == kinds.len()), "{kinds:?}");
    }
    let (last, _) = segments.last().unwrap();
    let set = last.to["gtid_set"].as_str().unwrap();
    let mut conn = scenario.connect().await;
    let contained: i32 = conn
        .exec_first("SELECT GTID_SUBSET(?, @@gtid_executed)", (set,))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(contained, 1, "{set}");
    conn.disconnect().await.unwrap();

    let (start, to) = (scenario.start_position().await, scenario.last_to().await);
    let files = scenario.files().await;
    let files: Vec<&str> = files.iter().map(|path| path.to_str().unwrap()).collect();
    let port = scenario.server.port().to_string();
    let password = format!("--password={}", variable("TIDEWAY_TEST_ROOT_PASSWORD"));
    let mut remote = vec![
        "--read-from-remote-server",
        "--host=127.0.0.1",
        "--user=root",
        "--port",
        &port,
        &password,
    ];
    let (from, until) = (start.pos.to_string(), to.pos.to_string());
    remote.extend(["--start-position", &from, "--stop-position", &until]);
    remote.extend([start.file.as_str(), to.file.as_str()]);
    let expected = printed(&remote);
    assert!(
        expected.iter().any(|line| line.contains("zwei")),
        "{expected:?}"
    );
    assert_eq!(printed(&files), expected);
    scenario.clean().await;
}

#[tokio::test]
async fn a_large_transaction_spans_segments() {
    let scenario = Scenario::new("large", Server::MySql, false).await;
    let small = ["--segment-size", "256KiB", "--segment-zstd", "0"];
    scenario.catch_up(&small).expect(0);
    scenario.rows("t", 3000).await;
    scenario.sql(&["DELETE FROM t WHERE id > 10"]).await;
    scenario.catch_up(&small).expect(0);
    scenario.assert_complete().await;
    let segments = scenario.segments().await;
    let continued: Vec<_> = segments.iter().filter(|(m, _)| m.continued).collect();
    assert!(continued.len() >= 6, "{}", continued.len());
    for (marker, bytes) in &continued {
        assert!(marker.raw_bytes < 400 << 10, "{}", marker.raw_bytes);
        let events = events(bytes);
        // The map of the table comes first, as a copy.
        let copies: Vec<_> = events.iter().filter(|event| !is_received(event)).collect();
        assert_eq!(copies.len(), 2, "description and map");
        assert_eq!(copies[1].header.kind, Kind::TABLE_MAP);
    }
    // Each of them can be read by itself. (Of a statement that goes on mysqlbinlog prints no rows.)
    for file in scenario.files().await {
        printed(&[file.to_str().unwrap()]);
    }
    assert_eq!(rows(&scenario).await, 3000 + 2990);
    let transactions: u64 = segments.iter().map(|(m, _)| m.transactions).sum();
    assert!(transactions >= 3);
    scenario.clean().await;
}

#[tokio::test]
async fn killed_anywhere_it_goes_on_without_a_gap() {
    killed_anywhere(false).await;
}

#[tokio::test]
async fn killed_anywhere_it_goes_on_by_gtid_too() {
    killed_anywhere(true).await;
}

async fn killed_anywhere(gtid: bool) {
    let scenario = Scenario::new("kills", Server::MySql, gtid).await;
    let small = ["--segment-size", "100KiB", "--until", "now"];
    scenario
        .run_with_failpoint("capture.start", &small)
        .expect(None);
    scenario.rows("a", 600).await;
    scenario.sql(&["DELETE FROM a"]).await;
    // Within the transaction, before and after its part exists.
    for at in ["capture.segment.data:2", "capture.segment.marker:2"] {
        scenario.run_with_failpoint(at, &small).expect(None);
        scenario.segments().await;
    }
    scenario.rows("b", 10).await;
    scenario
        .run_with_failpoint("capture.segment.marker:1", &small)
        .expect(None);
    scenario.run(&small).expect(0);
    scenario.assert_complete().await;
    assert_eq!(rows(&scenario).await, 600 + 600 + 10);
    let segments = scenario.segments().await;
    let (last, _) = segments.last().unwrap();
    // The GTID of the transaction that was cut in two counts as well: the set of what was captured
    // has no hole.
    let set = last.to["gtid_set"].as_str().unwrap();
    for group in set.split(',') {
        let parts: Vec<&str> = group.split(':').skip(1).collect();
        let is_range = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
        let hole = parts
            .windows(2)
            .any(|two| is_range(two[0]) && is_range(two[1]));
        assert!(!hole, "a hole in {set}");
    }
    scenario.clean().await;
}

#[tokio::test]
async fn mariadb_by_position_and_by_gtid() {
    for gtid in [false, true] {
        let scenario = Scenario::new("maria", Server::MariaDb, gtid).await;
        scenario.catch_up(&[]).expect(0);
        scenario.rows("t", 500).await;
        let small = ["--segment-size", "100KiB"];
        scenario.catch_up(&small).expect(0);
        scenario
            .sql(&[
                "CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM",
                "INSERT INTO m VALUES (1)",
                "UPDATE t SET v = 'new' WHERE id = 1",
                "ALTER TABLE t ADD COLUMN n INT",
            ])
            .await;
        scenario.catch_up(&small).expect(0);
        scenario.assert_complete().await;
        let segments = scenario.segments().await;
        assert!(segments.iter().any(|(marker, _)| marker.continued));
        let (last, _) = segments.last().unwrap();
        assert!(last.to["gtid_set"].as_str().unwrap().contains('-'));
        for file in scenario.files().await {
            printed_by_mariadb(&[file.to_str().unwrap()]);
        }
        assert_eq!(rows(&scenario).await, 502);
        scenario.clean().await;
    }
}

#[tokio::test]
async fn mysql_by_gtid_goes_on_where_it_was() {
    let scenario = Scenario::new("gtid", Server::MySql, true).await;
    scenario.catch_up(&[]).expect(0);
    for round in 0..3 {
        scenario.rows(&format!("t{round}"), 20).await;
        scenario.catch_up(&[]).expect(0);
    }
    scenario.assert_complete().await;
    // A set with a tag, and a goal that is a set.
    scenario
        .sql(&[
            "SET gtid_next = 'AUTOMATIC:tideway_test'",
            "CREATE TABLE tagged (id INT PRIMARY KEY)",
            "SET gtid_next = 'AUTOMATIC'",
        ])
        .await;
    let mut conn = scenario.connect().await;
    let set: String = conn
        .query_first("SELECT @@gtid_executed")
        .await
        .unwrap()
        .unwrap();
    conn.disconnect().await.unwrap();
    scenario.run(&["--until", &set]).expect(0);
    scenario.rows("after", 20).await;
    let now = scenario.server.position().await;
    let until = format!("{}:{}", now.file, now.pos);
    scenario.run(&["--until", &until]).expect(0);
    scenario.assert_complete().await;
    let segments = scenario.segments().await;
    let (last, _) = segments.last().unwrap();
    assert!(
        last.to["gtid_set"]
            .as_str()
            .unwrap()
            .contains("tideway_test")
    );
    scenario.clean().await;
}

#[tokio::test]
async fn a_goal_that_is_a_time_is_reached_when_nothing_comes() {
    let scenario = Scenario::new("time", Server::OtherMySql, false).await;
    let soon = (chrono::Utc::now() + chrono::TimeDelta::seconds(5)).to_rfc3339();
    scenario.run(&["--until", &soon]).expect(0);
    scenario.assert_complete().await;
    scenario
        .run(&["--until", "yesterday"])
        .expect(2)
        .says(&["--until", "GTID set"]);
    scenario.clean().await;
}

#[tokio::test]
async fn what_is_purged_is_told_with_what_is_left() {
    let scenario = Scenario::new("purged", Server::MySql, false).await;
    scenario
        .run(&["--from", "binlog.000000:4"])
        .expect(2)
        .says(&[
            "binlog.000000",
            "is gone",
            "oldest",
            "(binlog.000001, 4)",
            "cleanup",
        ]);
    let scenario = Scenario::new("ahead", Server::MySql, false).await;
    scenario
        .run(&["--from", "binlog.999999:4"])
        .expect(2)
        .says(&["lacks what was captured", "binlog.999999"]);
    let scenario = Scenario::new("within", Server::MySql, false).await;
    scenario
        .run(&["--from", "binlog.000001:6"])
        .says(&["binlog.000001", "no event's beginning"]);
    let scenario = Scenario::new("beyond", Server::MySql, false).await;
    scenario
        .run(&["--from", "binlog.000001:4000000000"])
        .expect(2)
        .says(&["lacks what was captured"]);
}

#[tokio::test]
async fn another_server_is_refused() {
    for (gtid, server) in [(true, Server::OtherMySql), (false, Server::MariaDb)] {
        let scenario = Scenario::new("other", Server::MySql, gtid).await;
        scenario.catch_up(&[]).expect(0);
        scenario.rows("t", 20).await;
        scenario.catch_up(&[]).expect(0);
        scenario.write_source(server, gtid);
        scenario
            .run(&["--until", "now"])
            .expect(2)
            .says(&["is another server now", "cannot take its place"]);
        scenario.write_source(Server::MySql, gtid);
        scenario.catch_up(&[]).expect(0);
        scenario.assert_complete().await;
        scenario.clean().await;
    }
}

#[tokio::test]
async fn without_gtids_the_last_event_is_compared() {
    let scenario = Scenario::new("compare", Server::MySql, false).await;
    let now = scenario.server.position().await;
    let from = format!("{}:{}", now.file, now.pos);
    scenario.rows("a", 20).await;
    scenario.catch_up(&["--from", &from]).expect(0);
    scenario.rows("b", 20).await;
    scenario
        .catch_up(&["--from", "binlog.000001:4"])
        .expect(0)
        .says(&["--from is left out"]);
    scenario.assert_complete().await;
    let segments = scenario.segments().await;
    assert!(
        segments
            .iter()
            .all(|(marker, _)| marker.to["gtid_set"].is_null())
    );
    scenario.write_source(Server::OtherMySql, false);
    scenario
        .catch_up(&[])
        .expect(2)
        .says(&["is another server now", "no GTIDs to compare"]);
    scenario.clean().await;
}

#[tokio::test]
async fn a_server_with_the_same_transactions_takes_over() {
    let scenario = Scenario::new("over", Server::MySql, false).await;
    // One transaction that both have: all that was "captured" when the first one fails.
    let uuid = format!("{:08x}-0000-4000-8000-{:012x}", std::process::id(), 7);
    for server in [Server::MySql, Server::OtherMySql] {
        let mut conn = server.connect().await;
        for statement in [
            &format!("SET gtid_next = '{uuid}:1'"),
            "BEGIN",
            "COMMIT",
            "SET gtid_next = 'AUTOMATIC'",
        ] {
            conn.query_drop(statement).await.unwrap();
        }
        conn.disconnect().await.unwrap();
    }
    let set = format!("{uuid}:1");
    scenario.run(&["--from", &set, "--until", &set]).expect(0);
    assert_eq!(scenario.segments().await.len(), 0);
    scenario.write_source(Server::OtherMySql, false);
    scenario
        .catch_up(&["--segment-size", "1MiB"])
        .expect(0)
        .says(&["is another server now", "goes on with it"]);
    scenario.catch_up(&[]).expect(0);
    let segments = scenario.segments().await;
    let (last, _) = segments.last().unwrap();
    let mut conn = Server::OtherMySql.connect().await;
    let own: String = conn
        .query_first("SELECT @@server_uuid")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(last.server_uuid, own);
    let captured = last.to["gtid_set"].as_str().unwrap().to_owned();
    assert!(
        captured.contains(&uuid) && captured.contains(&own),
        "{captured}"
    );
    conn.disconnect().await.unwrap();
    // Each transaction of the other once, and the common one not at all.
    let ours = uuid.replace('-', "");
    let mut seen = std::collections::BTreeSet::new();
    for event in scenario.events().await {
        if event[4] == Kind::GTID.0 {
            let gtid = hex::encode(&event[20..44]);
            assert!(!gtid.starts_with(&ours), "{gtid}");
            assert!(seen.insert(gtid), "twice");
        }
    }
    assert!(!seen.is_empty());
    scenario.clean().await;
}

#[tokio::test]
async fn a_prepared_transaction_keeps_it_from_beginning() {
    let scenario = Scenario::new("xa", Server::OtherMySql, false).await;
    let xid = scenario.name.clone();
    scenario
        .sql(&[
            "CREATE TABLE t (id INT PRIMARY KEY)",
            &format!("XA START '{xid}'"),
            "INSERT INTO t VALUES (1)",
            &format!("XA END '{xid}'"),
            &format!("XA PREPARE '{xid}'"),
        ])
        .await;
    let ended = scenario.catch_up(&[]);
    scenario.sql(&[&format!("XA ROLLBACK '{xid}'")]).await;
    ended.expect(2).says(&[&xid, "XA COMMIT", "--from"]);
    scenario.catch_up(&[]).expect(0);
    scenario.clean().await;
}

#[tokio::test]
async fn a_pause_holds_it_and_finish_ends_it_at_the_sources_present() {
    let scenario = Scenario::new("wishes", Server::MySql, false).await;
    let child = scenario.start(&["--run-id", "r1", "--segment-interval", "300ms"]);
    scenario.wait_started().await;
    scenario.rows("a", 20).await;
    scenario.wait_captured().await;
    scenario.wish("r1", What::Pause).await;
    scenario
        .wait_for("paused", async || scenario.stage().await == "paused")
        .await;
    scenario.rows("b", 20).await;
    let now = scenario.server.position().await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert!(!scenario.last_to().await.reached(&now));
    scenario.wish("r1", What::Resume).await;
    scenario.wait_captured().await;
    scenario.rows("c", 20).await;
    let now = scenario.server.position().await;
    scenario.wish("r1", What::Finish).await;
    Ended::of(&child.wait_with_output().unwrap()).expect(0);
    assert!(scenario.last_to().await.reached(&now));
    scenario.assert_complete().await;
    scenario.clean().await;
}

#[tokio::test]
async fn two_captures_of_a_source_exclude_each_other() {
    let scenario = Scenario::new("two", Server::MySql, false).await;
    let first = scenario.start(&[]);
    scenario.wait_started().await;
    scenario.rows("t", 20).await;
    scenario
        .catch_up(&[])
        .expect(1)
        .says(&["captures source", "--wait"]);
    let second = scenario.start(&["--until", "now", "--wait", "2m"]);
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    Ended::stopped(first).expect(5);
    Ended::of(&second.wait_with_output().unwrap()).expect(0);
    scenario.assert_complete().await;
    scenario.clean().await;
}

#[tokio::test]
async fn a_lost_connection_is_made_again() {
    let scenario = Scenario::new("lost", Server::MySql, false).await;
    // A user of its own, to tell its connections from those of other tests.
    let user = format!("capture_lost_{}", std::process::id());
    let password = variable("TIDEWAY_TEST_ROOT_PASSWORD");
    let create = format!("CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'");
    let grant = format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{user}'@'%'");
    scenario.sql(&[&create, &grant]).await;
    scenario.write_source_as(&user, scenario.server, false);
    let child = scenario.start(&["--segment-interval", "500ms"]);
    scenario.wait_started().await;
    let mut conn = scenario.connect().await;
    for round in 0..3 {
        scenario.rows(&format!("t{round}"), 50).await;
        scenario.wait_captured().await;
        let killed: Vec<u64> = conn
            .query(format!(
                "SELECT id FROM information_schema.processlist
                 WHERE command LIKE 'Binlog Dump%' AND user = '{user}'"
            ))
            .await
            .unwrap();
        assert_eq!(killed.len(), 1, "round {round}");
        conn.query_drop(format!("KILL {}", killed[0]))
            .await
            .unwrap();
    }
    scenario.rows("last", 50).await;
    scenario.wait_captured().await;
    Ended::stopped(child).expect(5).says(&["connecting again"]);
    scenario.assert_complete().await;
    conn.query_drop(format!("DROP USER '{user}'"))
        .await
        .unwrap();
    conn.disconnect().await.unwrap();
    scenario.clean().await;
}
