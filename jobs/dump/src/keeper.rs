//! Tables without transactions (MyISAM, Aria, MEMORY, …) in a `flush` or `lock` dump.
//!
//! No snapshot holds the rows of such a table: what is read from it after the dump's lock is gone is
//! of a later moment. So while the dump's lock is still held another connection takes `LOCK TABLES …
//! READ` on these tables alone; their chunks are read first, and then it lets go. Writers of these
//! tables wait for so long, nobody else does. That the lock still stands is asked behind each chunk,
//! before the chunk is committed, so rows of another moment never count as the snapshot's.

use std::sync::atomic::{AtomicUsize, Ordering};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_mysql::sql;

use crate::definitions::Defined;
use crate::error::{Error, Result};
use crate::snapshot::is_denied;
use crate::source::Source;
use crate::table::lacks_transactions;

/// What became of the lock on tables without transactions.
pub enum Kept {
    /// There are none.
    Unneeded,
    /// This connection holds it.
    Locked(Conn),
    /// It is denied, and `--allow-inexact` was given.
    Inexact,
}

/// Takes the lock on those of `tables` that have no transactions; to be called under the dump's own.
///
/// # Errors
/// When it is denied without `--allow-inexact`, or not to be had in time.
pub async fn lock(source: &Source, tables: &[Defined]) -> Result<Kept> {
    let names: Vec<String> = tables
        .iter()
        .filter(|table| !source.config.dump.no_data && lacks_transactions(&table.def))
        .map(|table| sql::qualified(&table.def.name))
        .collect();
    if names.is_empty() {
        return Ok(Kept::Unneeded);
    }
    let mut conn = source.server.conn().await?;
    let _ = conn.query_drop("SET SESSION lock_wait_timeout = 30").await;
    let statement = format!("LOCK TABLES {} READ", names.join(" READ, "));
    match conn.query_drop(statement).await {
        Ok(()) => {
            source.progress.message(format!(
                "without transactions, so they stay locked for writers until they are read: {}",
                names.join(", ")
            ));
            Ok(Kept::Locked(conn))
        }
        Err(mysql_async::Error::Server(error)) if is_denied(error.code) => {
            let names = names.join(", ");
            if source.args.allow_inexact {
                source.progress.message(format!(
                    "without transactions, and LOCK TABLES is denied ({}): the dump is not exact, \
                     each of these is copied at its own moment (--allow-inexact): {names}",
                    error.message
                ));
                return Ok(Kept::Inexact);
            }
            Err(Error::Consistency {
                wanted: "LOCK TABLES",
                problem: format!(
                    "these tables have no transactions, so a snapshot cannot hold them, and LOCK \
                     TABLES is denied ({}): {names}. Grant LOCK TABLES, turn them into InnoDB, \
                     leave them out, or take an inexact copy by --allow-inexact",
                    error.message
                ),
            })
        }
        Err(error) => Err(source.doing("locking the tables without transactions")(
            error,
        )),
    }
}

/// Holds the lock while chunks of these tables are left.
pub struct Keeper {
    conn: tokio::sync::Mutex<Option<Conn>>,
    left: AtomicUsize,
}

impl Keeper {
    /// Keeps the lock of `conn` until `chunks` of its tables are done.
    pub async fn new(conn: Conn, chunks: usize) -> Self {
        let keeper = Self {
            conn: tokio::sync::Mutex::new(Some(conn)),
            left: AtomicUsize::new(chunks),
        };
        if chunks == 0 {
            keeper.let_go().await;
        }
        keeper
    }

    /// Asks whether the lock still stands.
    ///
    /// # Errors
    /// [`Error::SnapshotLost`].
    pub async fn check(&self, source: &Source) -> Result<()> {
        let mut conn = self.conn.lock().await;
        let lost = |reason: String| Error::SnapshotLost {
            reason,
            inexact: source.followed_by_cdc(),
        };
        match conn.as_mut() {
            Some(conn) => conn.query_drop("DO 1").await.map_err(|error| {
                lost(format!(
                    "the lock on the tables without transactions was lost: {error}"
                ))
            }),
            None => Err(lost(
                "the tables without transactions are locked no longer".to_owned(),
            )),
        }
    }

    /// A chunk of these tables is committed; behind the last one the lock goes.
    pub async fn done(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.let_go().await;
        }
    }

    async fn let_go(&self) {
        if let Some(mut conn) = self.conn.lock().await.take()
            && let Err(error) = conn.query_drop("UNLOCK TABLES").await
        {
            // Then the connection is gone, and the lock with it.
            tracing::debug!("letting go of the tables without transactions: {error}");
        }
    }
}
