//! A worker: one connection to the target that commits batches of changes.
//!
//! **A batch is one transaction**: fence, statements, commit. Before it, none of it is there; after it,
//! all of it. What is killed within it is rolled back by the target, and after a restart it is replayed
//! in safe mode, because the checkpoint lies before it and `furthest` behind it (see
//! [`super::checkpoint`]).
//!
//! **A connection that broke** leaves open whether the commit happened. So the batch is repeated in safe
//! mode, in which having been applied once makes no difference. Tables without a key know no safe mode:
//! their position commits with them, and is asked for before the batch is repeated.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_mysql::Error as ServerError;
use tideway_mysql::connect::Server;
use tideway_mysql::fence::Fence;
use tideway_mysql::info::Flavor;
use tideway_mysql::retry::{RetryPolicy, Retryable};
use tideway_mysql::schema::TableName;
use tideway_mysql::session::{LENIENT_SQL_MODE, TARGET_SQL_MODE};
use tokio::sync::mpsc;

use super::batch::{Statement, Style, statements};
use super::change::Change;
use super::checkpoint::Checkpoint;
use super::dispatch::Message;
use super::error::{Error, Result};
use super::shared::Shared;
use super::shortened;

/// Bytes of changes in a transaction, at most; one change may be larger.
const TRANSACTION: usize = 8 << 20;

/// A worker.
pub struct Worker {
    /// Its number.
    pub index: usize,
    /// The source, for messages.
    pub source_id: String,
    /// The target.
    pub server: Server,
    /// Its right to write.
    pub fence: Fence,
    /// Where tables without a key keep their position.
    pub checkpoint: Checkpoint,
    /// Changes of a transaction.
    pub batch: usize,
    /// How they are put together.
    pub style: Style,
    /// What it reports to.
    pub shared: Arc<Shared>,
}

/// A connection and how its session stands.
struct Session {
    conn: Conn,
    foreign_keys: bool,
    lenient: bool,
}

impl Worker {
    /// Commits what comes until the queue is closed. A failure is left in [`Shared`].
    pub async fn run(self, mut queue: mpsc::Receiver<Message>) {
        let mut session = None;
        while let Some(first) = queue.recv().await {
            let (mut changes, mut bytes) = (Vec::new(), 0);
            let (mut number, mut token) = (None, None);
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Token(passed) => token = Some(passed),
                    Message::Change(of, change) => {
                        bytes += change.size();
                        number = Some(of);
                        changes.push(*change);
                    }
                }
                if changes.len() >= self.batch || bytes >= TRANSACTION {
                    break;
                }
                next = queue.try_recv().ok();
            }
            if !changes.is_empty()
                && let Err(error) = self.commit(&mut session, &changes).await
            {
                self.shared.fail(error);
                return;
            }
            drop(changes);
            self.shared.report(self.index, number, token);
        }
    }

    /// Commits a batch, again and again while that may help.
    async fn commit(&self, session: &mut Option<Session>, changes: &[Change]) -> Result<()> {
        let policy = RetryPolicy::DEFAULT;
        let begun = std::time::Instant::now();
        let mut style = self.style;
        let mut pause = policy.first;
        loop {
            let error = match self.attempt(session, changes, style).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if error.is_conflict()
                && begun.elapsed() <= policy.give_up
                && let Some(session) = session.as_mut()
                && session.conn.query_drop("ROLLBACK").await.is_ok()
            {
                // Two workers stood in each other's way; the target undid this one.
                tracing::debug!(source = self.source_id, worker = self.index, "{error}");
                let pause = rand::random_range(2..30);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                continue;
            }
            // What the session is at is not known any more.
            *session = None;
            if !error.retryable() || begun.elapsed() > policy.give_up {
                return Err(error);
            }
            tracing::warn!(
                source = self.source_id,
                worker = self.index,
                "{error}; the batch is repeated"
            );
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shared.failed.cancelled() => return Err(Error::Stopped),
            }
            pause = (pause * 2).min(Duration::from_secs(5));
            style.safe = true;
        }
    }

    async fn attempt(
        &self,
        session: &mut Option<Session>,
        changes: &[Change],
        style: Style,
    ) -> Result<()> {
        let keyless = changes
            .iter()
            .filter(|change| change.table.keyless())
            .map(|change| change.at)
            .max();
        let session = match session {
            Some(session) => session,
            None => {
                let mut conn = self.server.conn().await?;
                if self.server.info().flavor != Flavor::TiDb {
                    // Fewer gaps are locked, and nothing here reads what it does not write.
                    let set = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
                    self.query(&mut conn, "set the isolation level", set)
                        .await?;
                }
                self.fence.record_connection(&mut conn).await?;
                if let Some(reached) = keyless
                    && self.checkpoint.keyless(&mut conn).await? >= reached
                {
                    // It was committed after all.
                    return Ok(());
                }
                session.insert(Session {
                    conn,
                    foreign_keys: false,
                    lenient: false,
                })
            }
        };
        let statements = statements(changes, style);
        self.fence.begin(&mut session.conn).await?;
        for statement in &statements {
            self.execute(session, statement, changes).await?;
        }
        if let Some(reached) = keyless {
            self.checkpoint
                .save_keyless(&mut session.conn, reached)
                .await?;
        }
        tideway_job::failpoint::hit("apply.batch.sent");
        if let Err(error) = session.conn.query_drop("COMMIT").await {
            let error = ServerError::query(&session.conn, "commit changes", error);
            return Err(self.refused(table_in(&error, changes), error));
        }
        tideway_job::failpoint::hit("apply.batch.committed");
        Ok(())
    }

    async fn execute(
        &self,
        session: &mut Session,
        statement: &Statement,
        changes: &[Change],
    ) -> Result<()> {
        let conn = &mut session.conn;
        if session.foreign_keys != statement.foreign_keys {
            let set = format!(
                "SET SESSION foreign_key_checks = {}",
                u8::from(statement.foreign_keys)
            );
            self.query(conn, "set foreign_key_checks", &set).await?;
            session.foreign_keys = statement.foreign_keys;
        }
        if session.lenient != statement.lenient {
            let mode = if statement.lenient {
                LENIENT_SQL_MODE
            } else {
                TARGET_SQL_MODE
            };
            let set = format!("SET SESSION sql_mode = '{mode}'");
            self.query(conn, "set sql_mode", &set).await?;
            session.lenient = statement.lenient;
        }
        let table = || -> TableName {
            let of = changes.iter().find(|c| c.table.id == statement.table);
            of.map_or_else(|| TableName::new("", ""), |c| c.table.target.clone())
        };
        if let Err(error) = conn.query_drop(statement.sql.as_slice()).await {
            let error = ServerError::query(conn, "apply changes", error);
            return Err(self.refused(table(), error));
        }
        if let Some(rows) = statement.must_touch
            && conn.affected_rows() != rows
            && !unchanged(conn, rows)
        {
            return Err(Error::Refused {
                source_id: self.source_id.clone(),
                table: table(),
                what: format!(
                    "a row that changed at the source is not in the target (the table has no key; \
                     all its values were compared). Somebody else writes to that table, or it was \
                     not the same before. The statement: {}",
                    shortened(&String::from_utf8_lossy(&statement.sql), 500)
                ),
                retryable: false,
            });
        }
        Ok(())
    }

    fn refused(&self, table: TableName, error: ServerError) -> Error {
        if error.retryable() {
            return Error::Server(error);
        }
        let hint = match error.code() {
            Some(1062) => {
                ". A row of the same key is there that the source does not have: somebody else \
                 writes to the target, or the position is not the one that the data was taken at. \
                 `safe-mode: true` in the syncer writes over it"
            }
            Some(1153 | 8025 | 8004) => {
                ". A row is larger than the target takes: raise max_allowed_packet there (TiDB: \
                 txn-entry-size-limit, txn-total-size-limit)"
            }
            Some(1146 | 1054) => {
                ". The target's definition is not the source's: mend it there, and run this again"
            }
            _ => "",
        };
        Error::Refused {
            source_id: self.source_id.clone(),
            table,
            what: format!("{error}{hint}"),
            retryable: false,
        }
    }

    async fn query(&self, conn: &mut Conn, doing: &str, sql: &str) -> Result<()> {
        conn.query_drop(sql)
            .await
            .map_err(|error| Error::Server(ServerError::query(conn, doing, error)))
    }
}

/// The table that the target names when it refuses a commit: TiDB finds some duplicates only there.
fn table_in(error: &ServerError, changes: &[Change]) -> TableName {
    let text = error.to_string();
    let named = |change: &&Change| text.contains(&format!("key '{}.", change.table.target.table));
    let found = changes.iter().find(named).or_else(|| changes.first());
    found.map_or_else(|| TableName::new("", ""), |c| c.table.target.clone())
}

/// Whether the rows were found and had the new values already: `Rows matched: 1  Changed: 0`.
fn unchanged(conn: &Conn, rows: u64) -> bool {
    conn.info().contains(&format!("Rows matched: {rows} "))
}
