//! Opening the transaction in which a chunk is read, by the dump's consistency.
//!
//! - **One snapshot** (`flush`, `lock`): the connection's transaction is open for the whole dump. A
//!   savepoint before each chunk, rolled back after it, lets go of the table's metadata lock, so
//!   that a DDL on the source waits for a chunk at most, not for the dump. Tables without transactions
//!   are read first, under a lock of their own ([`crate::keeper`]). The table checked then is
//!   still the snapshot's: a changed definition is an error, for no other state may be mixed in.
//! - **A state of its own** (`none`): metadata lock first, then the definition, then the rows, whose
//!   read view is opened by the first row read. So definition and rows belong together.
//! - **A table without a key, cdc follows:** while one connection holds `LOCK TABLES t READ`,
//!   another opens its snapshot and the first reads the position E_t. Nothing commits to the table
//!   between the two, so the rows are exactly those at E_t; cdc begins with that table there.
//! - **TiDB's snapshot:** set on the connection; it reads the past, definitions too.

use std::collections::BTreeSet;
use std::sync::Arc;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::sql;
use tideway_staging::document::DataFile;

use crate::chunk::{self, Facts, Failure};
use crate::definitions::{enter_tidb_snapshot, is_absent};
use crate::error::{Error, Result};
use crate::keeper::Keeper;
use crate::snapshot::{is_denied, start_transaction};
use crate::source::{Source, from_json, now, to_json};
use crate::table::Table;

/// How often a chunk is read again because yet another column must be text, beyond one for each
/// column that can: never reached.
const MAX_COLUMNS: usize = 4096;

/// Where a reader's rows come from.
pub enum Reader {
    /// A connection inside the snapshot of this process.
    Snapshot {
        /// The connection.
        conn: Conn,
        /// The lock on tables that no snapshot holds.
        keeper: Option<Arc<Keeper>>,
    },
    /// A connection for each chunk, with a state of its own.
    Own,
    /// A connection for each chunk, in TiDB's past snapshot.
    Tidb(u64),
}

impl Reader {
    /// Reads and commits one chunk.
    ///
    /// # Errors
    /// As the source or staging say; nothing is left then but unnamed data.
    pub async fn dump(&mut self, source: &Source, table: &Table, number: u32) -> Result<()> {
        let started_at = now();
        for _ in 0..MAX_COLUMNS {
            let text_columns = table.text_columns();
            match self.read(source, table, number, &text_columns).await {
                Ok((files, position)) => {
                    let facts = Facts {
                        text_columns,
                        position,
                        started_at,
                    };
                    return chunk::commit(source, table, number, files, facts).await;
                }
                Err(Failure::NeedsText(column)) => {
                    tracing::info!(
                        source = source.config.id,
                        "chunk {number} of {}: column `{column}` holds zero, partial or invalid \
                         dates and is kept as text",
                        table.name
                    );
                    table.needs_text(&column);
                }
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        Err(Error::Worker(format!(
            "chunk {number} of {} was read again and again",
            table.name
        )))
    }

    async fn read(
        &mut self,
        source: &Source,
        table: &Table,
        number: u32,
        text_columns: &BTreeSet<String>,
    ) -> Result<(Vec<DataFile>, Value), Failure> {
        match self {
            Self::Snapshot { conn, keeper } => {
                let files = read_in_snapshot(source, conn, table, number, text_columns).await?;
                if let Some(keeper) = keeper
                    && table.lacks_transactions()
                {
                    keeper.check(source).await?;
                }
                let position = if table.is_keyless() {
                    table.plan.position.clone()
                } else {
                    Value::Null
                };
                Ok((files, position))
            }
            Self::Own if table.is_keyless() && source.followed_by_cdc() => {
                read_keyless(source, table, number, text_columns).await
            }
            Self::Own => {
                let mut conn = source.server.conn().await.map_err(Error::from)?;
                start_own(source, &mut conn).await?;
                table.check_definition(source, &mut conn).await?;
                let files = read_or_abandon(source, conn, table, number, text_columns).await?;
                Ok((files, Value::Null))
            }
            Self::Tidb(tso) => {
                let mut conn = source.server.conn().await.map_err(Error::from)?;
                enter_tidb_snapshot(source, &mut conn, *tso).await?;
                table.check_definition(source, &mut conn).await?;
                let files = read_or_abandon(source, conn, table, number, text_columns).await?;
                let position = if table.is_keyless() {
                    table.plan.position.clone()
                } else {
                    Value::Null
                };
                Ok((files, position))
            }
        }
    }
}

async fn read_in_snapshot(
    source: &Source,
    conn: &mut Conn,
    table: &Table,
    number: u32,
    text_columns: &BTreeSet<String>,
) -> Result<Vec<DataFile>, Failure> {
    conn.query_drop("SAVEPOINT tideway")
        .await
        .map_err(source.doing("setting a savepoint"))?;
    table.check_definition(source, conn).await?;
    let result = chunk::read(source, conn, table, number, text_columns).await;
    // Reads what an early end left on the connection, too: the snapshot must survive it.
    conn.query_drop("ROLLBACK TO SAVEPOINT tideway")
        .await
        .map_err(source.doing("letting go of a metadata lock"))?;
    result
}

/// A transaction whose read view the first row opens.
async fn start_own(source: &Source, conn: &mut Conn) -> Result<()> {
    conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .await
        .map_err(source.doing("setting the isolation level"))?;
    conn.query_drop("START TRANSACTION")
        .await
        .map_err(source.doing("opening a transaction"))
}

/// Reads the chunk; when that ends early the connection is killed, for the rest of a large result
/// would otherwise be read before the connection can be used again.
async fn read_or_abandon(
    source: &Source,
    mut conn: Conn,
    table: &Table,
    number: u32,
    text_columns: &BTreeSet<String>,
) -> Result<Vec<DataFile>, Failure> {
    let id = conn.id();
    match chunk::read(source, &mut conn, table, number, text_columns).await {
        Ok(files) => {
            conn.query_drop("COMMIT")
                .await
                .map_err(source.doing("ending a transaction"))?;
            Ok(files)
        }
        Err(failure) => {
            // Not on TiDB, where a KILL can take the whole server down.
            if !source.is_tidb()
                && let Ok(mut killer) = source.server.conn().await
            {
                // Refused or too late: then the rest is read after all.
                let _ = killer.query_drop(format!("KILL {id}")).await;
            }
            drop(conn);
            Err(failure)
        }
    }
}

/// Reads a table without a key, exactly at a position (see the module).
async fn read_keyless(
    source: &Source,
    table: &Table,
    number: u32,
    text_columns: &BTreeSet<String>,
) -> Result<(Vec<DataFile>, Value), Failure> {
    let mut holder = source.server.conn().await.map_err(Error::from)?;
    let mut conn = source.server.conn().await.map_err(Error::from)?;
    let name = sql::qualified(&table.name);
    let _ = holder
        .query_drop("SET SESSION lock_wait_timeout = 30")
        .await;
    match holder.query_drop(format!("LOCK TABLES {name} READ")).await {
        Ok(()) => {}
        Err(mysql_async::Error::Server(error)) if is_denied(error.code) => {
            if !source.args.allow_inexact {
                return Err(Failure::Other(Error::Consistency {
                    wanted: "LOCK TABLES",
                    problem: format!(
                        "table {} has no primary or unique key, so an exact copy needs a lock of \
                         a few milliseconds, which is denied ({}). Grant LOCK TABLES, give the \
                         table a key, leave it out, or take an inexact copy by --allow-inexact",
                        table.name, error.message
                    ),
                }));
            }
            source.progress.message(format!(
                "{} has no key and LOCK TABLES is denied: its copy is inexact, changes of these \
                 moments may be missing or doubled (--allow-inexact)",
                table.name
            ));
        }
        Err(error) if is_absent(&error) => {
            return Err(Failure::Other(Error::DefinitionChanged(table.name.clone())));
        }
        Err(error) => {
            return Err(Failure::Other(source
                .doing(&format!("locking {name}, which has no key"))(
                error
            )));
        }
    }
    start_transaction(source, &mut conn).await?;
    let position = source.position(&mut holder).await?;
    table.check_definition(source, &mut conn).await?;
    if table.lacks_transactions() {
        // No snapshot holds such a table still: the lock must.
        let files = read_or_abandon(source, conn, table, number, text_columns).await?;
        unlock(source, &mut holder).await?;
        let position = to_json(&position, &table.name)?;
        return Ok((files, position));
    }
    unlock(source, &mut holder).await?;
    drop(holder);
    let files = read_or_abandon(source, conn, table, number, text_columns).await?;
    Ok((files, to_json(&position, &table.name)?))
}

async fn unlock(source: &Source, holder: &mut Conn) -> Result<()> {
    holder
        .query_drop("UNLOCK TABLES")
        .await
        .map_err(source.doing("letting go of the lock"))
}

/// TiDB's timestamp in a plan.
///
/// # Errors
/// [`Error::Document`].
pub fn tidb_timestamp(start: &Value) -> Result<u64> {
    let position: BinlogPosition = from_json(start, &"the plan's start")?;
    if position.pos == 0 {
        return Err(Error::Document {
            key: "the plan's start".to_owned(),
            what: "it has no TiDB timestamp".to_owned(),
            way_out: "dump anew after `tideway cleanup`",
        });
    }
    Ok(position.pos)
}
