//! Connecting, and sessions that keep values exact.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tideway_mysql::{Error, Flavor, Role, Server, Version, within};

use crate::server::{ALL, On, one, run};

#[tokio::test]
async fn each_server_is_known_for_what_it_is() {
    for (on, flavor, version) in [
        (On::MySql, Flavor::MySql, Version::new(9, 0, 0)),
        (On::MariaDb, Flavor::MariaDb, Version::new(10, 11, 0)),
        (On::TiDb, Flavor::TiDb, Version::new(8, 4, 0)),
    ] {
        let Some(server) = on.server(Role::Source).await else {
            return;
        };
        let info = server.info().clone();
        assert_eq!(info.flavor, flavor);
        assert!(
            info.version >= version && info.version.major < 12,
            "{info:?}"
        );
        assert!(info.uuid.len() > 10, "{info:?}");
        assert!(info.max_allowed_packet >= 1 << 20, "{info:?}");
        assert!(!info.read_only, "{info:?}");
        assert_eq!(info.log_bin, on != On::TiDb);
        let again = on.server(Role::Target).await.unwrap();
        assert_eq!(again.info().uuid, info.uuid);
        server.close().await;
        again.close().await;
    }
}

#[tokio::test]
async fn sessions_keep_values_exact_also_after_the_pool_reset_them() {
    for on in ALL {
        for role in [Role::Source, Role::Target] {
            let Some(endpoint) = on.endpoint() else {
                return;
            };
            // One connection, so that the second session is the first one, reset.
            let server = Server::connect(&endpoint, role, 1).await.unwrap();
            let mut ids = Vec::new();
            for _ in 0..2 {
                let mut conn = server.conn().await.unwrap();
                ids.push(conn.id());
                for name in ["client", "connection", "results"] {
                    let sql = format!("SELECT @@character_set_{name}");
                    assert_eq!(one(&mut conn, &sql).await, "utf8mb4", "{on:?} {name}");
                }
                assert_eq!(one(&mut conn, "SELECT @@time_zone").await, "+00:00");
                let mode = one(&mut conn, "SELECT @@sql_mode").await;
                assert!(
                    mode.contains("ALLOW_INVALID_DATES"),
                    "{on:?} {role:?} {mode}"
                );
                let strict = mode.contains("STRICT_TRANS_TABLES");
                assert_eq!(strict, role == Role::Target, "{on:?} {mode}");
                assert_eq!(mode.contains("NO_AUTO_VALUE_ON_ZERO"), role == Role::Target);
                assert!(!mode.contains("NO_ZERO"), "{mode}");
                let isolation = if on == On::MariaDb {
                    "tx"
                } else {
                    "transaction"
                };
                let isolation = one(&mut conn, &format!("SELECT @@{isolation}_isolation")).await;
                assert_eq!(isolation, "REPEATABLE-READ");
                if role == Role::Target {
                    assert_eq!(one(&mut conn, "SELECT @@foreign_key_checks").await, "0");
                    assert_eq!(one(&mut conn, "SELECT @@unique_checks").await, "1");
                }
                run(
                    &mut conn,
                    &[
                        "SET time_zone = '+05:00', sql_mode = 'ANSI'",
                        "SET NAMES latin1",
                    ],
                )
                .await;
            }
            assert_eq!(ids[0], ids[1], "{on:?}: the pool gave another connection");
            server.close().await;
        }
    }
}

#[tokio::test]
async fn the_file_overrides_what_exactness_does_not_rest_on() {
    for on in ALL {
        let Some(mut endpoint) = on.endpoint() else {
            return;
        };
        for (name, value) in [
            ("net_write_timeout", "77"),
            ("time_zone", "+09:00"),
            ("SQL_MODE", "ANSI_QUOTES"),
            ("innodb_lock_wait_timeout", "7"),
            ("character_set_results", "latin1"),
            ("unique_checks", "0"),
            ("foreign_key_checks", "1"),
            ("tx_isolation", "READ-UNCOMMITTED"),
            ("transaction_isolation", "READ-UNCOMMITTED"),
            ("sql_notes", "0"),
        ] {
            endpoint.session.insert(name.into(), value.into());
        }
        let server = Server::connect(&endpoint, Role::Target, 1).await.unwrap();
        let mut conn = server.conn().await.unwrap();
        assert_eq!(one(&mut conn, "SELECT @@net_write_timeout").await, "77");
        assert_eq!(
            one(&mut conn, "SELECT @@innodb_lock_wait_timeout").await,
            "7"
        );
        assert_eq!(one(&mut conn, "SELECT @@time_zone").await, "+00:00");
        assert_eq!(
            one(&mut conn, "SELECT @@character_set_results").await,
            "utf8mb4"
        );
        assert!(!one(&mut conn, "SELECT @@sql_mode").await.contains("ANSI"));
        assert_eq!(one(&mut conn, "SELECT @@unique_checks").await, "1");
        assert_eq!(one(&mut conn, "SELECT @@foreign_key_checks").await, "0");
        assert_eq!(one(&mut conn, "SELECT @@sql_notes").await, "1");
        let isolation = if on == On::MariaDb {
            "SELECT @@tx_isolation"
        } else {
            "SELECT @@transaction_isolation"
        };
        assert_eq!(one(&mut conn, isolation).await, "REPEATABLE-READ");
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_never_answers_the_next_question() {
    let Some(server) = On::MySql.server(Role::Source).await else {
        return;
    };
    let mut conn = server.conn().await.unwrap();
    let limit = Duration::from_millis(200);
    let slow = async {
        conn.query_first::<u64, _>("SELECT SLEEP(2) + 41")
            .await
            .map_err(|e| server.error("sleep", e))
    };
    let error = within("test", limit, "sleep", slow).await.unwrap_err();
    assert!(
        matches!(error, Error::Timeout { .. }) && error.retryable(),
        "{error}"
    );
    drop(conn);
    for _ in 0..8 {
        let mut conn = server.conn().await.unwrap();
        assert_eq!(one(&mut conn, "SELECT 7").await, "7");
    }
}

#[tokio::test]
async fn a_connection_that_was_killed_is_told_as_passing() {
    for on in [On::MySql, On::MariaDb] {
        let Some(server) = on.server(Role::Source).await else {
            return;
        };
        let mut victim = server.conn().await.unwrap();
        let mut killer = server.conn().await.unwrap();
        run(&mut killer, &[&format!("KILL {}", victim.id())]).await;
        let source = victim.query_drop("SELECT 1").await.unwrap_err();
        let error = Error::query(&victim, "ask", source);
        assert!(error.retryable(), "{error:?}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("test {on:?} (root@127.0.0.1:")),
            "{error}"
        );
        drop(victim);
        assert_eq!(
            one(&mut server.conn().await.unwrap(), "SELECT 7").await,
            "7"
        );
    }
}
