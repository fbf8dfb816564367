//! Fencing at the target: who may write there, told by the target itself.
//!
//! A target checks no lease, so a worker that was thought dead and wakes up (a *zombie*) must be
//! stopped by a row of the target's own. `meta-schema`.`<task>_owner(source, worker, epoch)` has one
//! row for each connection that writes (a row shared by the connections of a worker would make
//! their transactions wait for each other):
//!
//! - each transaction that writes first reads its own row `FOR UPDATE` ([`Fence::check`]) and rolls
//!   back when the epoch is not the one it was given;
//! - a new owner first raises the epochs of all rows of that worker ([`OwnerTable::raise`]). That
//!   needs the lock of every row, so it waits for the transactions in flight: those that hold their
//!   row commit or roll back before the raise, and the new owner sees what they did; those that come
//!   later read another epoch.
//!
//! So there is no moment at which both write. On TiDB the same holds for optimistic transactions:
//! there `FOR UPDATE` makes the commit fail when the row changed since the transaction began.
//!
//! A kill at any moment leaves at most rows with a raised epoch, and the next owner raises again.
//! A zombie that holds its row without going on (a stopped process, a machine cut off) would let a
//! new owner wait for long. So each row names the connection that uses it, and the new owner kills
//! that connection once it has waited for one lock time-out. Not on TiDB: there `KILL` of a
//! connection with rows in its transaction can end the whole server (seen with 8.4: the rollback
//! panics outside of any recover). Optimistic transactions hold no lock, so nobody waits there.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::error::Error;
use crate::info::Flavor;
use crate::sql;

/// Why a transaction of this worker must not go on.
#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    /// Another process took over this worker's part.
    #[error(
        "another process took over {worker} of source {source_id} (its epoch in {table} is {found}, \
         ours {ours}): this one rolled back and leaves; if the other one is gone, run it again"
    )]
    Fenced {
        /// The owner table.
        table: String,
        /// The source.
        source_id: String,
        /// The worker's connection.
        worker: String,
        /// The epoch of this process.
        ours: u64,
        /// What the table holds: an epoch, or `gone`.
        found: String,
    },
    /// The server refused a statement on the owner table.
    #[error(transparent)]
    Server(#[from] Error),
}

impl FenceError {
    /// Whether the same may succeed when it is tried again.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Fenced { .. } => false,
            Self::Server(error) => error.retryable(),
        }
    }
}

/// The owner table of a task at its target.
#[derive(Clone, Debug)]
pub struct OwnerTable {
    schema: String,
    table: String,
    flavor: Flavor,
}

impl OwnerTable {
    /// Names the table of a task at a target of this flavour.
    #[must_use]
    pub fn new(meta_schema: &str, task: &str, flavor: Flavor) -> Self {
        Self {
            schema: meta_schema.to_owned(),
            table: format!("{task}_owner"),
            flavor,
        }
    }

    fn name(&self) -> String {
        format!("{}.{}", sql::ident(&self.schema), sql::ident(&self.table))
    }

    fn doing(&self, what: &str) -> String {
        format!("{what} {}", self.name())
    }

    /// Creates the meta schema and the table where they are missing.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn create(&self, conn: &mut Conn) -> Result<(), Error> {
        let doing = self.doing("create");
        conn.query_drop(format!(
            "CREATE DATABASE IF NOT EXISTS {}",
            sql::ident(&self.schema)
        ))
        .await
        .map_err(|error| Error::query(conn, &doing, error))?;
        conn.query_drop(format!(
            "CREATE TABLE IF NOT EXISTS {} (\
             source VARCHAR(64) NOT NULL, \
             worker VARCHAR(64) NOT NULL, \
             epoch BIGINT UNSIGNED NOT NULL, \
             connection BIGINT UNSIGNED NULL, \
             PRIMARY KEY (source, worker)\
             ) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin",
            self.name()
        ))
        .await
        .map_err(|error| Error::query(conn, &doing, error))
    }

    /// Takes over `worker` (such as `load-0`): raises the epoch of all its connections' rows, so
    /// that a former owner is shut out, and makes rows for `connections` of them.
    ///
    /// Returns only when no transaction of a former owner is in flight any more.
    ///
    /// # Errors
    /// The server's refusal. A lock wait time-out is worth a retry: the connections in the way were
    /// killed, where that is safe.
    pub async fn raise(
        &self,
        conn: &mut Conn,
        source: &str,
        worker: &str,
        connections: usize,
    ) -> Result<Vec<Fence>, Error> {
        match self.try_raise(conn, source, worker, connections).await {
            Ok(fences) => Ok(fences),
            Err(error) => {
                let _ = conn.query_drop("ROLLBACK").await;
                if error.code() == Some(LOCK_WAIT_TIMEOUT) {
                    self.kill_connections(conn, source, worker).await?;
                }
                Err(error)
            }
        }
    }

    async fn try_raise(
        &self,
        conn: &mut Conn,
        source: &str,
        worker: &str,
        connections: usize,
    ) -> Result<Vec<Fence>, Error> {
        let doing = self.doing("take over in");
        let name = self.name();
        let pattern = format!("{}/%", like_escaped(worker));
        if self.flavor != Flavor::TiDb {
            // One that lives and works ends its transaction in less; the server's 50 s are for nothing.
            conn.query_drop(format!(
                "SET SESSION innodb_lock_wait_timeout = {IN_FLIGHT}"
            ))
            .await
            .map_err(|error| Error::query(conn, &doing, error))?;
        }
        conn.query_drop("BEGIN")
            .await
            .map_err(|error| Error::query(conn, &doing, error))?;
        // Locks every row of the worker, and so waits for the transactions in flight.
        let epochs: Vec<u64> = conn
            .exec(
                format!("SELECT epoch FROM {name} WHERE source = ? AND worker LIKE ? FOR UPDATE"),
                (source, &pattern),
            )
            .await
            .map_err(|error| Error::query(conn, &doing, error))?;
        let epoch = epochs.into_iter().max().unwrap_or(0) + 1;
        conn.exec_drop(
            format!(
                "UPDATE {name} SET epoch = ?, connection = NULL WHERE source = ? AND worker LIKE ?"
            ),
            (epoch, source, &pattern),
        )
        .await
        .map_err(|error| Error::query(conn, &doing, error))?;
        let mut fences = Vec::with_capacity(connections);
        for number in 0..connections {
            let row = format!("{worker}/{number}");
            conn.exec_drop(
                format!(
                    "INSERT INTO {name} (source, worker, epoch) VALUES (?, ?, ?) \
                     ON DUPLICATE KEY UPDATE epoch = VALUES(epoch)"
                ),
                (source, &row, epoch),
            )
            .await
            .map_err(|error| Error::query(conn, &doing, error))?;
            fences.push(Fence {
                table: self.clone(),
                source: source.to_owned(),
                worker: row,
                epoch,
            });
        }
        conn.query_drop("COMMIT")
            .await
            .map_err(|error| Error::query(conn, &doing, error))?;
        Ok(fences)
    }

    /// Kills the recorded connections of `worker`'s former owner. One that is gone already, or that
    /// this user may not kill, is left: the raise is tried again anyway.
    async fn kill_connections(
        &self,
        conn: &mut Conn,
        source: &str,
        worker: &str,
    ) -> Result<(), Error> {
        let ids: Vec<u64> = conn
            .exec(
                format!(
                    "SELECT connection FROM {} WHERE source = ? AND worker LIKE ? \
                     AND connection IS NOT NULL AND connection <> CONNECTION_ID()",
                    self.name()
                ),
                (source, format!("{}/%", like_escaped(worker))),
            )
            .await
            .map_err(|error| {
                Error::query(
                    conn,
                    self.doing("read the former owner's connections from"),
                    error,
                )
            })?;
        for id in ids {
            if self.flavor == Flavor::TiDb {
                tracing::warn!(
                    "a former {worker} of source {source} left connection {id} of the target with \
                     an open transaction; waiting for it. If its process still hangs, end that"
                );
                continue;
            }
            tracing::warn!(
                "killing connection {id} of the target, which a former {worker} of source {source} left \
                 with an open transaction"
            );
            if let Err(error) = conn.query_drop(format!("KILL {id}")).await {
                tracing::warn!("KILL {id}: {error}");
            }
        }
        Ok(())
    }
}

/// Seconds that a new owner waits for the transactions of the former one before it ends them.
const IN_FLIGHT: u32 = 5;
/// `Lock wait timeout exceeded`.
const LOCK_WAIT_TIMEOUT: u16 = 1205;

fn like_escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The right of one connection to write, as long as its row still holds its epoch.
#[derive(Clone, Debug)]
pub struct Fence {
    table: OwnerTable,
    source: String,
    worker: String,
    epoch: u64,
}

impl Fence {
    /// The epoch that this process was given.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Records the connection that will use this fence, so that a later owner can end it. To be
    /// called outside a transaction, whenever the connection is a new one.
    ///
    /// # Errors
    /// The row is another owner's by now, or the server refused.
    pub async fn record_connection(&self, conn: &mut Conn) -> Result<(), FenceError> {
        let name = self.table.name();
        conn.exec_drop(
            format!(
                "UPDATE {name} SET connection = CONNECTION_ID() \
                 WHERE source = ? AND worker = ? AND epoch = ?"
            ),
            (&self.source, &self.worker, self.epoch),
        )
        .await
        .map_err(|error| Error::query(conn, self.table.doing("record a connection in"), error))?;
        Ok(())
    }

    /// Begins a transaction that writes, as a connection of this epoch. On TiDB it is optimistic: no
    /// row waits for a lock, nor does a new owner for a process that hangs, and the commit fails with a
    /// write conflict when the fence's row changed meanwhile.
    ///
    /// # Errors
    /// As [`Fence::check`].
    pub async fn begin(&self, conn: &mut Conn) -> Result<(), FenceError> {
        let statement = match self.table.flavor {
            Flavor::TiDb => "BEGIN OPTIMISTIC",
            _ => "BEGIN",
        };
        conn.query_drop(statement)
            .await
            .map_err(|error| Error::query(conn, "begin a transaction", error))?;
        self.check(conn).await
    }

    /// To be called first in each transaction that writes: locks the row of this connection until
    /// the transaction ends.
    ///
    /// # Errors
    /// [`FenceError::Fenced`] when another process took over; the transaction must be rolled back.
    pub async fn check(&self, conn: &mut Conn) -> Result<(), FenceError> {
        let name = self.table.name();
        let found: Option<u64> = conn
            .exec_first(
                format!("SELECT epoch FROM {name} WHERE source = ? AND worker = ? FOR UPDATE"),
                (&self.source, &self.worker),
            )
            .await
            .map_err(|error| Error::query(conn, self.table.doing("read"), error))?;
        if found == Some(self.epoch) {
            return Ok(());
        }
        Err(FenceError::Fenced {
            table: name,
            source_id: self.source.clone(),
            worker: self.worker.clone(),
            ours: self.epoch,
            found: found.map_or_else(|| "gone".to_owned(), |epoch| epoch.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_s_name_matches_only_itself() {
        assert_eq!(like_escaped("load_1%"), "load\\_1\\%");
    }
}
