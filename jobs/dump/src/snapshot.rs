//! One state of the source on many connections: what `flush` and `lock` mean.
//!
//! While one connection holds the lock nothing can commit to the tables, so every transaction that
//! opens its snapshot meanwhile sees the same rows, and the position read meanwhile is theirs. The
//! lock is held for opening the transactions, the position and the definitions only, a matter of
//! milliseconds to a few seconds; never while rows are read, but of tables without transactions (see
//! [`crate::keeper`]).
//!
//! The snapshot lives in this process's connections alone. If one of them breaks, or the process is
//! killed, it is gone: see [`crate::plan`] for what a rerun does.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::schema::Listing;
use tideway_mysql::sql;

use crate::consistency::Wanted;
use crate::definitions::{self, Defined};
use crate::error::{Error, Result};
use crate::keeper::{self, Kept};
use crate::source::Source;

/// Seconds that a lock is waited for: a long statement on the source would otherwise have us hold up
/// everyone who comes behind us in the queue.
const LOCK_WAIT: u32 = 30;
/// How often the lock is tried.
const LOCK_TRIES: u32 = 4;

/// Open transactions that all see one state.
pub struct Snapshot {
    /// One connection for each reader.
    pub conns: Vec<Conn>,
    /// The position of that state.
    pub position: Option<BinlogPosition>,
    /// The definitions at that state.
    pub tables: Vec<Defined>,
    /// `flush` or `lock`: which it became.
    pub kind: &'static str,
    /// The lock on tables that no snapshot holds.
    pub kept: Kept,
}

/// Takes the lock, opens the snapshot on all connections, reads position and definitions, and lets
/// go of the lock.
///
/// `None`: `auto` found neither lock granted, and cdc follows, so that the dump needs none.
///
/// # Errors
/// When the lock is denied or not to be had in time, or a connection breaks.
pub async fn open(source: &Source, tables: &[Listing]) -> Result<Option<Snapshot>> {
    let mut holder = source.server.conn().await?;
    let _ = holder
        .query_drop(format!("SET SESSION lock_wait_timeout = {LOCK_WAIT}"))
        .await;
    let Some(kind) = lock(source, &mut holder, tables).await? else {
        return Ok(None);
    };
    let opened = open_under_lock(source, tables).await;
    // The server lets go by itself when the connection is gone.
    let unlocked = holder
        .query_drop("UNLOCK TABLES")
        .await
        .map_err(source.doing("letting go of the lock"));
    let (conns, position, tables, kept) = opened?;
    // A lock that was lost meanwhile (the connection was killed) would make the snapshots differ.
    unlocked?;
    Ok(Some(Snapshot {
        conns,
        position,
        tables,
        kind,
        kept,
    }))
}

async fn open_under_lock(
    source: &Source,
    tables: &[Listing],
) -> Result<(Vec<Conn>, Option<BinlogPosition>, Vec<Defined>, Kept)> {
    let mut conns = Vec::with_capacity(source.workers);
    for _ in 0..source.workers {
        let mut conn = source.server.conn().await?;
        start_transaction(source, &mut conn).await?;
        conns.push(conn);
    }
    let mut spare = source.server.conn().await?;
    let position = source.position(&mut spare).await?;
    drop(spare);
    // The readers' connections are taken; the definitions come over the spare ones.
    let defined = definitions::define(source, tables, Some(&position)).await?;
    let kept = keeper::lock(source, &defined).await?;
    Ok((conns, position, defined, kept))
}

/// Opens a transaction whose snapshot is taken now.
///
/// # Errors
/// When the connection breaks.
pub async fn start_transaction(source: &Source, conn: &mut Conn) -> Result<()> {
    conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        .await
        .map_err(source.doing("setting the isolation level"))?;
    conn.query_drop("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        .await
        .map_err(source.doing("opening a snapshot"))
}

/// Takes the lock that is wanted, or the one that is granted. `None`: neither, and none is needed.
async fn lock(
    source: &Source,
    holder: &mut Conn,
    tables: &[Listing],
) -> Result<Option<&'static str>> {
    let wanted = source.wanted;
    if let Wanted::Flush { or_lock } = wanted {
        match lock_by(source, holder, "FLUSH TABLES WITH READ LOCK").await? {
            None => return Ok(Some("flush")),
            Some(denied) if or_lock => source.progress.message(format!(
                "FLUSH TABLES WITH READ LOCK is denied ({denied}): falling back to LOCK TABLES"
            )),
            Some(denied) => {
                return Err(Error::Consistency {
                    wanted: "flush",
                    problem: format!(
                        "FLUSH TABLES WITH READ LOCK is denied ({denied}). Grant RELOAD or \
                         FLUSH_TABLES, or use `auto`, `lock` or `none` (managed services such as \
                         Aurora grant neither)"
                    ),
                });
            }
        }
    }
    if tables.is_empty() {
        return Ok(Some("lock"));
    }
    let names: Vec<String> = tables
        .iter()
        .map(|listing| format!("{} READ", sql::qualified(&listing.name)))
        .collect();
    let statement = format!("LOCK TABLES {}", names.join(", "));
    match lock_by(source, holder, &statement).await? {
        None => Ok(Some("lock")),
        Some(denied) if wanted == (Wanted::Flush { or_lock: true }) && source.followed_by_cdc() => {
            source.progress.message(format!(
                "LOCK TABLES is denied too ({denied}): going on without a snapshot (consistency \
                 `none`), which cdc's safe mode makes exact"
            ));
            Ok(None)
        }
        Some(denied) => Err(Error::Consistency {
            wanted: if wanted == Wanted::Lock {
                "lock"
            } else {
                "auto"
            },
            problem: format!(
                "LOCK TABLES is denied ({denied}). Grant LOCK TABLES and SELECT on the tables, or \
                 use consistency `none`, which is exact only when cdc follows (task-mode: all)"
            ),
        }),
    }
}

/// `Ok(Some(text))`: denied.
async fn lock_by(source: &Source, holder: &mut Conn, statement: &str) -> Result<Option<String>> {
    let shown = statement.split(" `").next().unwrap_or(statement);
    for attempt in 1.. {
        source.check_stop()?;
        match holder.query_drop(statement).await {
            Ok(()) => return Ok(None),
            Err(mysql_async::Error::Server(error)) if is_denied(error.code) => {
                return Ok(Some(error.message));
            }
            Err(mysql_async::Error::Server(error))
                if error.code == 1205 && attempt < LOCK_TRIES =>
            {
                source.progress.message(format!(
                    "{shown} did not get through within {LOCK_WAIT} s: a long statement holds it \
                     up; trying again"
                ));
                tokio::time::sleep(std::time::Duration::from_secs(5)).await;
            }
            Err(error) => return Err(source.doing(&format!("taking the lock ({shown})"))(error)),
        }
    }
    Ok(None)
}

/// The codes by which servers, and Aurora with its own (1045), refuse a privilege.
#[must_use]
pub fn is_denied(code: u16) -> bool {
    matches!(code, 1044 | 1045 | 1142 | 1227 | 1370)
}
