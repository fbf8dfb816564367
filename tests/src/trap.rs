//! The helper of the tests of traps: statements at a source, then the same at the target.
//!
//! A [`Trap`] is a task of mode `incremental` that begins before its database is made, so that everything
//! goes through the binlog: capture and apply `--until now`, as `workflows/scheduled-cdc.yaml` does.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::command::{Ended, run};
use crate::scenario::{Scenario, Store};
use crate::servers::Server;

/// The targets of most tests.
pub const BOTH: [Server; 2] = [Server::TiDb, Server::MySqlTarget];

/// A replication that began, and a session at its source.
pub struct Trap {
    /// Its files and databases.
    pub scenario: Scenario,
    /// The session.
    pub conn: Conn,
}

impl Trap {
    /// Begins a replication of a database that is made behind its start.
    pub async fn new(what: &str, source: Server, target: Server) -> Self {
        Self::with(what, source, target, |text| text).await
    }

    /// As [`Trap::new`], with a task file that is changed first.
    pub async fn with(
        what: &str,
        source: Server,
        target: Server,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let scenario = Scenario::new(what, &[source], target, Store::Local);
        scenario.set_mode("incremental");
        let text = std::fs::read_to_string(scenario.path("task.yaml")).unwrap();
        scenario.write("task.yaml", &change(text.replace("DB", &scenario.name)));
        println!("{what}: {source:?} into {target:?}");
        // Begins with nothing there.
        scenario.sync().expect(0);
        let mut trap = Self {
            conn: source.connect().await,
            scenario,
        };
        trap.source(&["CREATE DATABASE `DB` DEFAULT CHARSET utf8mb4", "USE `DB`"])
            .await;
        trap
    }

    /// Runs statements in the session at the source; `DB` is the database.
    pub async fn source(&mut self, statements: &[&str]) {
        for statement in statements {
            self.bytes(statement.replace("DB", &self.scenario.name).as_bytes())
                .await;
        }
    }

    /// Runs a statement in another character set than UTF-8.
    pub async fn bytes(&mut self, statement: &[u8]) {
        self.conn
            .query_drop(statement)
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(statement)));
    }

    /// Runs statements at the target.
    pub async fn target(&self, statements: &[&str]) {
        let name = &self.scenario.name;
        let mut conn = self.scenario.target.connect().await;
        for statement in statements {
            let statement = statement.replace("DB", name);
            conn.query_drop(&statement)
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        conn.disconnect().await.unwrap();
    }

    /// All rows that a query finds at the target, as text.
    pub async fn find(&self, sql: &str) -> Vec<String> {
        let mut conn = self.scenario.target.connect().await;
        let found = conn
            .query(sql.replace("DB", &self.scenario.name))
            .await
            .unwrap();
        conn.disconnect().await.unwrap();
        found
    }

    /// Captures what was written up to now.
    pub fn capture(&self) {
        run(&mut self.scenario.cdc("capture", &["--until", "now"])).expect(0);
    }

    /// Applies what was captured; how apply ended.
    pub fn apply(&self) -> Ended {
        run(&mut self.scenario.cdc("apply", &["--until", "now"]))
    }

    /// Captures and applies what was written up to now.
    pub fn sync(&self) {
        self.scenario.sync().expect(0);
    }

    /// Captures and applies, and asserts that the databases are equal.
    pub async fn equal(self) {
        self.sync();
        self.scenario.assert_databases(&[0]).await;
        self.clean().await;
    }

    /// Drops what it made.
    pub async fn clean(self) {
        self.conn.disconnect().await.unwrap();
        self.scenario.clean_all().await;
    }
}

/// Runs statements at a source, and asserts that each of the targets ends equal.
pub async fn equal(what: &str, source: Server, targets: &[Server], statements: &[&str]) {
    for target in targets {
        let mut trap = Trap::new(what, source, *target).await;
        trap.source(statements).await;
        trap.equal().await;
    }
}
