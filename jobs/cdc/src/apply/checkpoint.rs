//! The checkpoint of apply: a table of the target's own.
//!
//! `meta-schema`.`<task>_syncer_checkpoint` has, for each source, a global row (`db` and `tbl` empty),
//! a row for each table with its definition at the source, and a row `keyless` for the tables without
//! a key. What holds at every instant:
//!
//! - **everything before `segment`/`place` of the global row is committed** at the target; it is the
//!   beginning of a transaction of the source, and only ever moves forward;
//! - **nothing at or behind `furthest_segment`/`furthest_place` was ever sent**: it is stored before
//!   what lies behind it is sent. So after a restart exactly what lies between the two may have been
//!   applied or not, and is replayed in safe mode;
//! - **the definitions are those at the global row's place**: they are stored in the transaction that
//!   moves the place over the DDL that changed them;
//! - **`pending`** names a DDL that was begun, with the hashes of its tables' definitions at the target
//!   before it: see [`super::ddl`];
//! - **`keyless`** says how far the tables without a key are, to the row: it commits with the rows.
//!
//! All but `keyless` is written by one connection, whose transactions check its fence first.

use std::collections::BTreeMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, params};
use serde::{Deserialize, Serialize};
use tideway_mysql::Error as ServerError;
use tideway_mysql::ddl::model::Database;
use tideway_mysql::fence::Fence;
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::schema::{TableDef, TableName};
use tideway_mysql::{sql, syncer};

use super::error::{Error, Result};
use super::place::Place;

/// The `tbl` of the row for tables without a key.
const KEYLESS: &str = "keyless";

/// What the global row holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Everything before it is committed.
    pub place: Place,
    /// The same as a position of the source.
    pub position: BinlogPosition,
    /// When the last transaction before it committed at the source, in µs since 1970; 0: not known.
    pub event_time: u64,
    /// Nothing at or behind it was ever sent.
    pub furthest: Place,
    /// The rest.
    pub state: State,
}

/// What of the global row nobody needs to query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// What this began from: a hash of the dump's manifest, or of `start.json`.
    pub origin: String,
    /// Hash of the marker before the segment of the checkpoint.
    #[serde(default)]
    pub previous: String,
    /// What was done so far.
    pub totals: Totals,
    /// Defaults of the source's databases, at the checkpoint.
    #[serde(default)]
    pub databases: BTreeMap<String, Database>,
    /// A DDL that was begun.
    #[serde(default)]
    pub pending: Option<Pending>,
    /// XA transactions that are prepared and not committed: where their rows lie.
    #[serde(default)]
    pub prepared: BTreeMap<String, Prepared>,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Events.
    pub events: u64,
    /// Row changes.
    pub rows: u64,
    /// Transactions.
    pub transactions: u64,
}

/// A DDL that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Where it stands.
    pub place: Place,
    /// Where it stands at the source.
    pub position: BinlogPosition,
    /// The statement as the source wrote it.
    pub statement: String,
    /// Which of the statements that it becomes at the target.
    pub step: usize,
    /// Hashes of the definitions of the tables that this step touches, before it; `None`: not there.
    pub before: BTreeMap<String, Option<String>>,
    /// All steps are done; the transaction that it stands in goes on.
    #[serde(default)]
    pub done: bool,
    /// The target refused this step: whatever a person changed there since, it did not run.
    #[serde(default)]
    pub refused: bool,
}

/// An XA transaction that is prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// Where it begins.
    pub from: Place,
    /// Where what follows it begins.
    pub to: Place,
}

/// How far the tables without a key are: the transaction that begins at `place` is applied up to its
/// row `rows`, and everything before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keyless {
    /// Where the transaction begins.
    pub place: Place,
    /// How many rows of it are applied.
    pub rows: u64,
}

/// The definition of a table at the source, as it is stored; `None` when the table is gone.
pub type Definition<'a> = (&'a TableName, Option<&'a TableDef>);

/// The checkpoint table, for one source.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    name: String,
    schema: String,
    source: String,
}

impl Checkpoint {
    /// Names the table.
    #[must_use]
    pub fn new(meta_schema: &str, task: &str, source: &str) -> Self {
        Self {
            name: syncer::qualified(meta_schema, task),
            schema: meta_schema.to_owned(),
            source: source.to_owned(),
        }
    }

    /// Its quoted name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn failed(&self, conn: &Conn, doing: &str, error: mysql_async::Error) -> Error {
        ServerError::query(conn, format!("{doing} {}", self.name), error).into()
    }

    /// Creates schema and table where they are missing.
    ///
    /// # Errors
    /// The server's refusal, or a table of that name of another shape (DM's own).
    pub async fn create(&self, conn: &mut Conn) -> Result<()> {
        for statement in [
            format!("CREATE DATABASE IF NOT EXISTS {}", sql::ident(&self.schema)),
            format!(
                "CREATE TABLE IF NOT EXISTS {} (\
                 source VARCHAR(64) NOT NULL, \
                 db VARCHAR(64) NOT NULL, \
                 tbl VARCHAR(64) NOT NULL, \
                 segment BIGINT UNSIGNED NOT NULL, \
                 place BIGINT UNSIGNED NOT NULL, \
                 ordinal BIGINT UNSIGNED NOT NULL DEFAULT 0, \
                 furthest_segment BIGINT UNSIGNED NOT NULL DEFAULT 0, \
                 furthest_place BIGINT UNSIGNED NOT NULL DEFAULT 0, \
                 binlog_name VARCHAR(512) NOT NULL DEFAULT '', \
                 binlog_pos BIGINT UNSIGNED NOT NULL DEFAULT 0, \
                 binlog_gtid LONGTEXT, \
                 event_time BIGINT UNSIGNED NOT NULL DEFAULT 0, \
                 totals TEXT, \
                 pending_ddl LONGTEXT, \
                 state LONGTEXT, \
                 definition LONGTEXT, \
                 updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP \
                 ON UPDATE CURRENT_TIMESTAMP, \
                 PRIMARY KEY (source, db, tbl)\
                 ) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin",
                self.name
            ),
        ] {
            conn.query_drop(statement)
                .await
                .map_err(|error| self.failed(conn, "create", error))?;
        }
        let shape = format!(
            "SELECT source, segment, place, ordinal, furthest_segment, state, definition FROM {} \
             LIMIT 0",
            self.name
        );
        match conn.query_drop(shape).await {
            Ok(()) => Ok(()),
            Err(mysql_async::Error::Server(error)) if error.code == 1054 => Err(Error::Mismatch {
                source_id: self.source.clone(),
                what: format!(
                    "{} is no table of this version ({}): it may be DM's own. Give the task another \
                     name or another meta-schema, or drop that table if nobody needs it",
                    self.name, error.message
                ),
            }),
            Err(error) => Err(self.failed(conn, "read", error)),
        }
    }

    /// The global row; `None` when this source was never applied.
    ///
    /// # Errors
    /// The server's refusal, or a row of a newer version.
    pub async fn read(&self, conn: &mut Conn) -> Result<Option<Saved>> {
        type Columns = (u64, u64, u64, u64, String, u64, Option<String>, u64, String);
        let row: Option<Columns> = conn
            .exec_first(
                format!(
                    "SELECT segment, place, furthest_segment, furthest_place, binlog_name, \
                     binlog_pos, binlog_gtid, event_time, state FROM {} \
                     WHERE source = ? AND db = '' AND tbl = ''",
                    self.name
                ),
                (&self.source,),
            )
            .await
            .map_err(|error| self.failed(conn, "read", error))?;
        let Some((segment, offset, far_segment, far_offset, file, pos, gtids, time, state)) = row
        else {
            return Ok(None);
        };
        Ok(Some(Saved {
            place: Place { segment, offset },
            position: BinlogPosition {
                file,
                pos,
                gtid_set: gtids.filter(|set| !set.is_empty()),
            },
            event_time: time,
            furthest: Place {
                segment: far_segment,
                offset: far_offset,
            },
            state: self.parse(&state, "state")?,
        }))
    }

    /// The definitions of all tables, as they are at the global row's place.
    ///
    /// # Errors
    /// The server's refusal, or a row of a newer version.
    pub async fn definitions(&self, conn: &mut Conn) -> Result<Vec<TableDef>> {
        let rows: Vec<String> = conn
            .exec(
                format!(
                    "SELECT definition FROM {} WHERE source = ? AND db <> '' \
                     AND definition IS NOT NULL",
                    self.name
                ),
                (&self.source,),
            )
            .await
            .map_err(|error| self.failed(conn, "read definitions from", error))?;
        rows.iter()
            .map(|text| self.parse(text, "definition"))
            .collect()
    }

    /// How far the tables without a key are.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn keyless(&self, conn: &mut Conn) -> Result<Keyless> {
        let row: Option<(u64, u64, u64)> = conn
            .exec_first(
                format!(
                    "SELECT segment, place, ordinal FROM {} \
                     WHERE source = ? AND db = '' AND tbl = '{KEYLESS}'",
                    self.name
                ),
                (&self.source,),
            )
            .await
            .map_err(|error| self.failed(conn, "read", error))?;
        Ok(
            row.map_or_else(Keyless::default, |(segment, offset, rows)| Keyless {
                place: Place { segment, offset },
                rows,
            }),
        )
    }

    /// Stores how far the tables without a key are, within the transaction that brings the rows.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn save_keyless(&self, conn: &mut Conn, reached: Keyless) -> Result<()> {
        conn.exec_drop(
            format!(
                "INSERT INTO {} (source, db, tbl, segment, place, ordinal) \
                 VALUES (?, '', '{KEYLESS}', ?, ?, ?) ON DUPLICATE KEY UPDATE \
                 segment = VALUES(segment), place = VALUES(place), ordinal = VALUES(ordinal)",
                self.name
            ),
            (
                &self.source,
                reached.place.segment,
                reached.place.offset,
                reached.rows,
            ),
        )
        .await
        .map_err(|error| self.failed(conn, "write", error))
    }

    /// Stores the global row, and definitions that changed, in one transaction.
    ///
    /// # Errors
    /// Another process took over; the server's refusal.
    pub async fn save(
        &self,
        conn: &mut Conn,
        fence: &Fence,
        saved: &Saved,
        definitions: &[Definition<'_>],
    ) -> Result<()> {
        let mut again = true;
        loop {
            let result = self.try_save(conn, fence, saved, definitions).await;
            let Err(error) = result else {
                return Ok(());
            };
            let rolled_back = conn.query_drop("ROLLBACK").await.is_ok();
            // TiDB finds at the commit only that the fence has another epoch: then it is read.
            if !(again && rolled_back && error.is_conflict()) {
                return Err(error);
            }
            again = false;
        }
    }

    async fn try_save(
        &self,
        conn: &mut Conn,
        fence: &Fence,
        saved: &Saved,
        definitions: &[Definition<'_>],
    ) -> Result<()> {
        fence.begin(conn).await?;
        let pending = saved.state.pending.as_ref().map(|p| p.statement.clone());
        let row: Params = params! {
            "source" => &self.source,
            "segment" => saved.place.segment,
            "place" => saved.place.offset,
            "far_segment" => saved.furthest.segment,
            "far_place" => saved.furthest.offset,
            "file" => &saved.position.file,
            "pos" => saved.position.pos,
            "gtids" => saved.position.gtid_set.as_deref(),
            "time" => saved.event_time,
            "totals" => self.text(&saved.state.totals)?,
            "pending" => pending,
            "state" => self.text(&saved.state)?,
        };
        conn.exec_drop(
            format!(
                "INSERT INTO {} (source, db, tbl, segment, place, furthest_segment, \
                 furthest_place, binlog_name, binlog_pos, binlog_gtid, event_time, totals, \
                 pending_ddl, state) VALUES (:source, '', '', :segment, :place, :far_segment, \
                 :far_place, :file, :pos, :gtids, :time, :totals, :pending, :state) \
                 ON DUPLICATE KEY UPDATE segment = VALUES(segment), place = VALUES(place), \
                 furthest_segment = VALUES(furthest_segment), \
                 furthest_place = VALUES(furthest_place), binlog_name = VALUES(binlog_name), \
                 binlog_pos = VALUES(binlog_pos), binlog_gtid = VALUES(binlog_gtid), \
                 event_time = VALUES(event_time), totals = VALUES(totals), \
                 pending_ddl = VALUES(pending_ddl), state = VALUES(state)",
                self.name
            ),
            row,
        )
        .await
        .map_err(|error| self.failed(conn, "write", error))?;
        for (table, definition) in definitions {
            self.save_definition(conn, saved.place, table, *definition)
                .await?;
        }
        conn.query_drop("COMMIT")
            .await
            .map_err(|error| self.failed(conn, "write", error))
    }

    async fn save_definition(
        &self,
        conn: &mut Conn,
        at: Place,
        table: &TableName,
        definition: Option<&TableDef>,
    ) -> Result<()> {
        let done = match definition {
            None => {
                conn.exec_drop(
                    format!(
                        "DELETE FROM {} WHERE source = ? AND db = ? AND tbl = ?",
                        self.name
                    ),
                    (&self.source, &table.schema, &table.table),
                )
                .await
            }
            Some(definition) => {
                let text = self.text(definition)?;
                conn.exec_drop(
                    format!(
                        "INSERT INTO {} (source, db, tbl, segment, place, definition) \
                         VALUES (?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE \
                         segment = VALUES(segment), place = VALUES(place), \
                         definition = VALUES(definition)",
                        self.name
                    ),
                    (
                        &self.source,
                        &table.schema,
                        &table.table,
                        at.segment,
                        at.offset,
                        text,
                    ),
                )
                .await
            }
        };
        done.map_err(|error| self.failed(conn, "write a definition to", error))
    }

    fn text<T: Serialize>(&self, value: &T) -> Result<String> {
        serde_json::to_string(value).map_err(|error| self.unreadable("state", &error))
    }

    fn parse<T: serde::de::DeserializeOwned>(&self, text: &str, column: &str) -> Result<T> {
        serde_json::from_str(text).map_err(|error| self.unreadable(column, &error))
    }

    fn unreadable(&self, column: &str, error: &serde_json::Error) -> Error {
        Error::Mismatch {
            source_id: self.source.clone(),
            what: format!(
                "column {column} of {} is not what this version writes: {error}. Use the version that \
                 wrote it, or begin anew after `tideway cleanup`",
                self.name
            ),
        }
    }
}
