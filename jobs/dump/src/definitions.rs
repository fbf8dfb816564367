//! Which tables are dumped, and their definitions, each with the position at which it is sure to
//! hold (S_t).
//!
//! **S_t.** A transaction takes the table's metadata lock by `SELECT … LIMIT 0`, reads the
//! definition, then the position. While the lock is held no DDL on the table can commit, so the
//! definition is the table's at S_t: every DDL on it is either before S_t and in the definition, or
//! behind S_t and not.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_mysql::info::Flavor;
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::schema::{self, Kind, Listing, TableDef, TableName};
use tideway_mysql::sql;
use tideway_staging::document::{DatabasePlan, ViewPlan};

use crate::consistency::Wanted;
use crate::error::Result;
use crate::source::Source;

/// A table with its definition.
#[derive(Clone, Debug)]
pub struct Defined {
    /// The definition.
    pub def: TableDef,
    /// S_t.
    pub position: Option<BinlogPosition>,
    /// Rows, by the server's statistics.
    pub estimated_rows: u64,
    /// Bytes, by the server's statistics.
    pub estimated_bytes: u64,
}

/// What of the source belongs to the task.
pub struct Selection {
    /// Base tables.
    pub tables: Vec<Listing>,
    /// Views.
    pub views: Vec<TableName>,
    /// Names of the databases that hold any of them.
    pub databases: BTreeSet<String>,
}

/// Lists what the filter lets through.
///
/// # Errors
/// When the source cannot be read.
pub async fn select(source: &Source) -> Result<Selection> {
    let mut conn = source.server.conn().await?;
    let info = source.server.info();
    if matches!(info.flavor, Flavor::MySql | Flavor::Aurora) && info.version.major >= 8 {
        // Shows statistics of up to a day ago unless told otherwise.
        conn.query_drop("SET SESSION information_schema_stats_expiry = 0")
            .await
            .map_err(source.doing("asking for statistics of now"))?;
    }
    let filter = &source.config.filter;
    let mut selection = Selection {
        tables: Vec::new(),
        views: Vec::new(),
        databases: BTreeSet::new(),
    };
    for listing in schema::list(&mut conn).await? {
        let name = &listing.name;
        if !filter.includes(&name.schema, &name.table) {
            continue;
        }
        match listing.kind {
            // Of a system-versioned table (MariaDB) the current rows are what a SELECT shows.
            Kind::BaseTable | Kind::SystemVersioned => {
                selection.databases.insert(name.schema.clone());
                selection.tables.push(listing);
            }
            Kind::View if !source.config.dump.no_views => {
                selection.databases.insert(name.schema.clone());
                selection.views.push(listing.name);
            }
            _ => source.progress.message(format!(
                "{name} is left out: a {} is not migrated",
                format!("{:?}", listing.kind).to_lowercase()
            )),
        }
    }
    selection.tables.sort_by(|a, b| a.name.cmp(&b.name));
    selection.views.sort();
    if selection.tables.is_empty() {
        tracing::warn!(
            source = source.config.id,
            "no table of this source passes the block-allow-list: its dump will be empty"
        );
    }
    Ok(selection)
}

/// Reads the definitions of `tables`, several at a time. Tables that are gone by now are left out.
///
/// `at`: the position that holds for all of them, when a lock keeps every DDL away; otherwise each
/// gets its own S_t.
///
/// # Errors
/// When the source cannot be read.
pub async fn define(
    source: &Source,
    tables: &[Listing],
    at: Option<&Option<BinlogPosition>>,
) -> Result<Vec<Defined>> {
    let found: Vec<Option<Defined>> = stream::iter(tables)
        .map(|listing| async move {
            let mut conn = source.server.conn().await?;
            let (def, position) = match at {
                Some(position) => {
                    if source.wanted == Wanted::Snapshot
                        && let Some(position) = position
                    {
                        enter_tidb_snapshot(source, &mut conn, position.pos).await?;
                    }
                    let def =
                        schema::read_table(&mut conn, source.server.info(), &listing.name).await?;
                    (def, position.clone())
                }
                None => define_one(source, &mut conn, &listing.name).await?,
            };
            let Some(def) = def else {
                source
                    .progress
                    .message(format!("{} is gone and left out", listing.name));
                return Ok::<_, crate::error::Error>(None);
            };
            Ok(Some(Defined {
                def,
                position,
                estimated_rows: listing.estimated_rows,
                estimated_bytes: listing.data_bytes,
            }))
        })
        .buffered(source.workers.min(8))
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// Reads one definition under the table's metadata lock, then S_t. `None`: there is no such table.
///
/// # Errors
/// When the source cannot be read.
pub async fn define_one(
    source: &Source,
    conn: &mut Conn,
    name: &TableName,
) -> Result<(Option<TableDef>, Option<BinlogPosition>)> {
    conn.query_drop("START TRANSACTION")
        .await
        .map_err(source.doing("opening a transaction"))?;
    let locked = conn
        .query_drop(format!("SELECT 1 FROM {} LIMIT 0", sql::qualified(name)))
        .await;
    let result = match locked {
        Ok(()) => match schema::read_table(conn, source.server.info(), name).await {
            Ok(def) => source.position(conn).await.map(|position| (def, position)),
            Err(error) => Err(error.into()),
        },
        Err(error) if is_absent(&error) => Ok((None, None)),
        Err(error) => Err(source.doing(&format!("reading table {name}"))(error)),
    };
    conn.query_drop("ROLLBACK")
        .await
        .map_err(source.doing("ending a transaction"))?;
    result
}

/// Has everything that `conn` reads from now on be of TiDB's state at `tso`.
///
/// # Errors
/// When that state is no longer kept (garbage was collected), or the connection breaks.
pub async fn enter_tidb_snapshot(source: &Source, conn: &mut Conn, tso: u64) -> Result<()> {
    conn.query_drop(format!("SET SESSION tidb_snapshot = '{tso}'"))
        .await
        .map_err(
            source.doing(
                "reading TiDB's past snapshot (a longer tidb_gc_life_time keeps it for longer)",
            ),
        )
}

/// Whether TiDB can still read its state at `tso`.
///
/// # Errors
/// When the source does not answer.
pub async fn tidb_keeps(source: &Source, tso: u64) -> Result<bool> {
    let mut conn = source.server.conn().await?;
    match conn
        .query_drop(format!("SET SESSION tidb_snapshot = '{tso}'"))
        .await
    {
        Ok(()) => Ok(true),
        Err(mysql_async::Error::Server(error)) if is_collected(error.code, &error.message) => {
            Ok(false)
        }
        Err(error) => Err(source.doing("looking whether TiDB keeps the snapshot")(
            error,
        )),
    }
}

/// Whether TiDB says that a state of its past was collected as garbage.
fn is_collected(code: u16, message: &str) -> bool {
    matches!(code, 8055 | 9006) || message.contains("GC safe point")
}

/// Whether the server says that there is no such table or database.
#[must_use]
pub fn is_absent(error: &mysql_async::Error) -> bool {
    matches!(error, mysql_async::Error::Server(error) if matches!(error.code, 1146 | 1049))
}

/// The CREATE statements of the databases.
///
/// # Errors
/// When the source cannot be read.
pub async fn databases(source: &Source, names: &BTreeSet<String>) -> Result<Vec<DatabasePlan>> {
    let mut conn = source.server.conn().await?;
    let mut plans = Vec::new();
    for db in names {
        let Some(create_sql) = schema::show_create_database(&mut conn, db).await? else {
            continue;
        };
        plans.push(DatabasePlan {
            db: db.clone(),
            create_sql,
        });
    }
    Ok(plans)
}

/// The CREATE statements of the views.
///
/// # Errors
/// When the source cannot be read.
pub async fn views(source: &Source, names: &[TableName]) -> Result<Vec<ViewPlan>> {
    let mut conn = source.server.conn().await?;
    let mut plans = Vec::new();
    for name in names {
        let Some(create_sql) = schema::show_create_view(&mut conn, name).await? else {
            continue;
        };
        plans.push(ViewPlan {
            db: name.schema.clone(),
            view: name.table.clone(),
            create_sql,
        });
    }
    Ok(plans)
}
