//! The checkpoint of the load: a table of the target's own, so that it commits with the rows.
//!
//! `meta-schema`.`<task>_loader_checkpoint` has one row for each table (chunk -1) and one for each
//! chunk, keyed by source, hash of the manifest, database, table and chunk. What holds:
//!
//! - the rows of a table are there, all of them with `rows_done` 0, before the target table is
//!   created: a target table without a row here is not ours;
//! - `rows_done` of a chunk is exactly the number of its rows that are in the target, because it
//!   changes only in the transaction that brings them;
//! - that transaction holds the lock of the row from before it reads the count until it commits, so
//!   two processes that load the same chunk take turns, and each goes on where the other stopped;
//! - `alone` of a chunk says that its target table was empty or absent when it was noted and that no
//!   other source table has been noted for it. Whoever notes another one takes it away, and so waits
//!   for transactions in flight, before it brings a row: while `alone` is 1 under the row's lock, a
//!   REPLACE can replace nothing but rows of the same source table.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, params};
use tideway_mysql::Error;
use tideway_mysql::schema::TableName;
use tideway_mysql::{sql, syncer};

use crate::error::{LoadError, Result};

/// The number that stands for the table itself.
const TABLE: i64 = -1;

/// The checkpoint table, for one source and one manifest.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    name: String,
    schema: String,
    source: String,
    manifest: String,
}

/// How far a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableState {
    /// Noted, before the target table is created (by the run that noted it).
    Prepared,
    /// The target table is there.
    Created,
}

/// What the table knows of one source table and manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    /// The source.
    pub source: String,
    /// Hash of the manifest.
    pub manifest: String,
    /// The source's table.
    pub table: TableName,
    /// How far it is.
    pub state: TableState,
}

impl Checkpoint {
    /// Names the table for one source and manifest.
    #[must_use]
    pub fn new(meta_schema: &str, task: &str, source: &str, manifest: &str) -> Self {
        let table = format!("{task}_loader_checkpoint");
        Self {
            name: format!("{}.{}", sql::ident(meta_schema), sql::ident(&table)),
            schema: meta_schema.to_owned(),
            source: source.to_owned(),
            manifest: manifest.to_owned(),
        }
    }

    /// Its quoted name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The source that it is for.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Hash of the manifest that it is for.
    #[must_use]
    pub fn manifest(&self) -> &str {
        &self.manifest
    }

    /// Creates schema and table where they are missing, and makes sure that the table is ours.
    ///
    /// # Errors
    /// The server's refusal, or a table of that name of another shape.
    pub async fn create(&self, conn: &mut Conn) -> Result<()> {
        let doing = format!("create {}", self.name);
        for statement in [
            format!("CREATE DATABASE IF NOT EXISTS {}", sql::ident(&self.schema)),
            format!(
                "CREATE TABLE IF NOT EXISTS {} (\
                 source VARCHAR(64) NOT NULL, \
                 manifest CHAR(64) NOT NULL, \
                 db VARCHAR(64) NOT NULL, \
                 tbl VARCHAR(64) NOT NULL, \
                 chunk BIGINT NOT NULL, \
                 target_db VARCHAR(64) NOT NULL, \
                 target_table VARCHAR(64) NOT NULL, \
                 state VARCHAR(16) NOT NULL, \
                 rows_done BIGINT UNSIGNED NOT NULL, \
                 alone TINYINT NOT NULL, \
                 updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP \
                 ON UPDATE CURRENT_TIMESTAMP, \
                 PRIMARY KEY (source, manifest, db, tbl, chunk), \
                 KEY target (target_db, target_table)\
                 ) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin",
                self.name
            ),
        ] {
            conn.query_drop(statement)
                .await
                .map_err(|error| Error::query(conn, &doing, error))?;
        }
        let shape = format!(
            "SELECT source, manifest, db, tbl, chunk, target_db, target_table, state, rows_done, \
             alone FROM {} LIMIT 0",
            self.name
        );
        match conn.query_drop(shape).await {
            Ok(()) => Ok(()),
            // Unknown column.
            Err(mysql_async::Error::Server(error)) if error.code == 1054 => {
                Err(LoadError::ForeignCheckpoint {
                    table: self.name.clone(),
                    message: error.message,
                })
            }
            Err(error) => Err(Error::query(conn, doing, error).into()),
        }
    }

    /// What is noted for a target table, of all sources and manifests.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn of_target(&self, conn: &mut Conn, target: &TableName) -> Result<Vec<TableRow>> {
        let rows: Vec<(String, String, String, String, String)> = conn
            .exec(
                format!(
                    "SELECT source, manifest, db, tbl, state FROM {} \
                     WHERE target_db = ? AND target_table = ? AND chunk = ?",
                    self.name
                ),
                (&target.schema, &target.table, TABLE),
            )
            .await
            .map_err(|error| Error::query(conn, format!("read {}", self.name), error))?;
        Ok(rows
            .into_iter()
            .map(|(source, manifest, db, table, state)| TableRow {
                source,
                manifest,
                table: TableName::new(db, table),
                state: if state == "prepared" {
                    TableState::Prepared
                } else {
                    TableState::Created
                },
            })
            .collect())
    }

    /// Notes a table and its chunks, and forgets what another manifest left about the same table
    /// of this source; in one transaction. What is there already stays as it is. `alone` is whether
    /// no rows of others are in the target table; a second source table noted for it ends that for
    /// both, in a second transaction.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn prepare(
        &self,
        conn: &mut Conn,
        table: &TableName,
        target: &TableName,
        chunks: &[u32],
        alone: bool,
    ) -> Result<()> {
        let doing = format!("note {table} in {}", self.name);
        let mut result = self.try_prepare(conn, table, target, chunks, alone).await;
        if result.is_ok() {
            result = self.end_alone(conn, table, target).await;
        }
        if result.is_err() {
            let _ = conn.query_drop("ROLLBACK").await;
        }
        result.map_err(|error| Error::query(conn, doing, error).into())
    }

    async fn try_prepare(
        &self,
        conn: &mut Conn,
        table: &TableName,
        target: &TableName,
        chunks: &[u32],
        alone: bool,
    ) -> Result<(), mysql_async::Error> {
        conn.query_drop("BEGIN").await?;
        conn.exec_drop(
            format!(
                "DELETE FROM {} WHERE source = ? AND manifest <> ? AND db = ? AND tbl = ?",
                self.name
            ),
            (&self.source, &self.manifest, &table.schema, &table.table),
        )
        .await?;
        let numbers: Vec<i64> = std::iter::once(TABLE)
            .chain(chunks.iter().map(|&n| i64::from(n)))
            .collect();
        for part in numbers.chunks(500) {
            let insert = format!(
                "INSERT IGNORE INTO {} \
                 (source, manifest, db, tbl, chunk, target_db, target_table, state, rows_done, alone) \
                 VALUES {}",
                self.name,
                vec!["(?,?,?,?,?,?,?,'prepared',0,?)"; part.len()].join(",")
            );
            let mut values = Vec::with_capacity(part.len() * 8);
            for number in part {
                for text in [&self.source, &self.manifest, &table.schema, &table.table] {
                    values.push(text.into());
                }
                values.push((*number).into());
                values.push((&target.schema).into());
                values.push((&target.table).into());
                values.push(alone.into());
            }
            conn.exec_drop(insert, Params::Positional(values)).await?;
        }
        conn.query_drop("COMMIT").await
    }

    /// Ends `alone` of all that is noted for a target table when another source table is noted for
    /// it too. Called when the own note is committed: of two that note at once, one sees the other.
    async fn end_alone(
        &self,
        conn: &mut Conn,
        table: &TableName,
        target: &TableName,
    ) -> Result<(), mysql_async::Error> {
        let other: Option<u8> = conn
            .exec_first(
                format!(
                    "SELECT 1 FROM {} WHERE target_db = ? AND target_table = ? AND chunk = ? \
                     AND NOT (source = ? AND manifest = ? AND db = ? AND tbl = ?) LIMIT 1",
                    self.name
                ),
                (
                    &target.schema,
                    &target.table,
                    TABLE,
                    &self.source,
                    &self.manifest,
                    &table.schema,
                    &table.table,
                ),
            )
            .await?;
        if other.is_none() {
            return Ok(());
        }
        conn.query_drop("BEGIN").await?;
        conn.exec_drop(
            format!(
                "UPDATE {} SET alone = 0 WHERE target_db = ? AND target_table = ? AND alone = 1",
                self.name
            ),
            (&target.schema, &target.table),
        )
        .await?;
        conn.query_drop("COMMIT").await
    }

    /// Notes that the target table is there.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn created(&self, conn: &mut Conn, table: &TableName) -> Result<()> {
        conn.exec_drop(
            format!(
                "UPDATE {} SET state = 'created' WHERE source = ? AND manifest = ? AND db = ? \
                 AND tbl = ? AND chunk = ?",
                self.name
            ),
            (
                &self.source,
                &self.manifest,
                &table.schema,
                &table.table,
                TABLE,
            ),
        )
        .await
        .map_err(|error| Error::query(conn, format!("note {table} in {}", self.name), error))?;
        Ok(())
    }

    /// Rows done of every chunk of a table, in the order of the chunks.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn chunks(
        &self,
        conn: &mut Conn,
        table: &TableName,
    ) -> Result<Vec<(u32, u64, bool)>> {
        conn.exec(
            format!(
                "SELECT chunk, rows_done, state = 'done' FROM {} WHERE source = ? AND manifest = ? \
                 AND db = ? AND tbl = ? AND chunk >= 0 ORDER BY chunk",
                self.name
            ),
            (&self.source, &self.manifest, &table.schema, &table.table),
        )
        .await
        .map_err(|error| Error::query(conn, format!("read {}", self.name), error).into())
    }

    /// Whether a chunk of a table has rows in the target.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn begun(&self, conn: &mut Conn, table: &TableName) -> Result<bool> {
        let chunks = self.chunks(conn, table).await?;
        Ok(chunks.iter().any(|&(_, rows, _)| rows > 0))
    }

    /// Locks the row of a chunk until the transaction ends, and reads its rows done and `alone`.
    ///
    /// # Errors
    /// The row is gone, or the server refused.
    pub async fn lock(
        &self,
        conn: &mut Conn,
        table: &TableName,
        chunk: u32,
    ) -> Result<(u64, bool)> {
        let found: Option<(u64, bool)> = conn
            .exec_first(
                format!(
                    "SELECT rows_done, alone FROM {} WHERE source = ? AND manifest = ? AND db = ? \
                     AND tbl = ? AND chunk = ? FOR UPDATE",
                    self.name
                ),
                (
                    &self.source,
                    &self.manifest,
                    &table.schema,
                    &table.table,
                    chunk,
                ),
            )
            .await
            .map_err(|error| Error::query(conn, format!("read {}", self.name), error))?;
        found.ok_or_else(|| LoadError::NoCheckpoint {
            checkpoint: self.name.clone(),
            table: table.clone(),
            chunk,
        })
    }

    /// Moves the row of a chunk on; in the transaction that brought the rows.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn advance(
        &self,
        conn: &mut Conn,
        table: &TableName,
        chunk: u32,
        rows_done: u64,
        done: bool,
    ) -> Result<()> {
        conn.exec_drop(
            format!(
                "UPDATE {} SET rows_done = :rows, state = :state WHERE source = :source \
                 AND manifest = :manifest AND db = :db AND tbl = :tbl AND chunk = :chunk",
                self.name
            ),
            params! {
                "rows" => rows_done,
                "state" => if done { "done" } else { "loading" },
                "source" => &self.source,
                "manifest" => &self.manifest,
                "db" => &table.schema,
                "tbl" => &table.table,
                "chunk" => chunk,
            },
        )
        .await
        .map_err(|error| Error::query(conn, format!("write {}", self.name), error).into())
    }

    /// The table in which cdc keeps its position for this source, if it has one there.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn applied(&self, conn: &mut Conn, task: &str) -> Result<Option<String>> {
        let table = syncer::table(task);
        let name = format!("{}.{}", sql::ident(&self.schema), sql::ident(&table));
        let columns: Vec<String> = conn
            .exec(
                "SELECT column_name FROM information_schema.columns \
                 WHERE table_schema = ? AND table_name = ?",
                (&self.schema, &table),
            )
            .await
            .map_err(|error| Error::query(conn, format!("look for {name}"), error))?;
        // DM names the source in `id`.
        let Some(column) = ["source", "id"]
            .into_iter()
            .find(|name| columns.iter().any(|c| c.eq_ignore_ascii_case(name)))
        else {
            return Ok(None);
        };
        let found: Option<u8> = conn
            .exec_first(
                format!(
                    "SELECT 1 FROM {name} WHERE {} = ? LIMIT 1",
                    sql::ident(column)
                ),
                (&self.source,),
            )
            .await
            .map_err(|error| Error::query(conn, format!("read {name}"), error))?;
        Ok(found.map(|_| name))
    }
}
