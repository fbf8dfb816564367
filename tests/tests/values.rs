//! Every type and every kind of key, between every pair of servers, judged by the tests' own oracle.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use tideway_tests::scenario::{Scenario, Store};
use tideway_tests::servers::Server;
use tideway_tests::tables;

async fn values(source: Server, target: Server) {
    let scenario = Scenario::new("values", &[source], target, Store::Local);
    scenario.fill(0, &tables::all_types()).await;
    scenario.fill(0, &tables::all_keys()).await;
    scenario.run_all().says(&["no differences"]);
    // MariaDB's JSON is LONGTEXT with a check.
    scenario.assert_table_json(0, "all_types", &["j"]).await;
    for table in tables::KEY_TABLES {
        scenario.assert_table(0, table).await;
    }
    scenario.clean().await;
}

#[tokio::test]
async fn mysql_to_tidb() {
    values(Server::MySql1, Server::TiDb).await;
}

#[tokio::test]
async fn mysql_to_mysql() {
    values(Server::MySql2, Server::MySqlTarget).await;
}

#[tokio::test]
async fn mariadb_to_tidb() {
    values(Server::MariaDb, Server::TiDb).await;
}

#[tokio::test]
async fn mariadb_to_mysql() {
    values(Server::MariaDb, Server::MySqlTarget).await;
}
