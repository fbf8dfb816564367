//! Before the first row: databases, what is noted about each table, the tables themselves.
//!
//! The order is what makes a rerun safe, and several processes at once too. A target table is
//! looked at first and what is noted about it second; notes are committed before the table is
//! created, and the table is created before any row comes. So rows without a note are never ours,
//! and a note without a table means either that nobody has created it yet or, once the note says
//! `created`, that somebody took it away.

use std::collections::BTreeSet;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_job::failpoint;
use tideway_mysql::connect::Server;
use tideway_mysql::info::Flavor;
use tideway_mysql::schema::{TableDef, TableName, read_table};
use tideway_mysql::{Error, sql};

use crate::checkpoint::{Checkpoint, TableRow, TableState};
use crate::error::{LoadError, Result};
use crate::narrow::rounding;
use crate::table::TableTask;
use tideway_mysql::translate::{Target, Translated, translate_table};

/// A target table as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `BASE TABLE`, `VIEW`, …
    pub kind: String,
    /// Its storage engine.
    pub engine: Option<String>,
    /// Whether it holds a row.
    pub filled: bool,
}

/// What is to be done about a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Note it (again), create it if it is missing, load.
    Go,
    /// It is ours and was there.
    GoOn,
}

/// Decides from what was found and what is noted, in this order read.
///
/// # Errors
/// The table is not ours, was loaded from another dump, or is gone.
pub fn decide(
    table: &TableTask,
    found: Option<&Found>,
    noted: &[TableRow],
    checkpoint: &Checkpoint,
    into_existing: bool,
) -> Result<Decision> {
    let own = noted.iter().find(|row| {
        row.source == checkpoint.source()
            && row.manifest == checkpoint.manifest()
            && row.table == table.source
    });
    if let Some(own) = own {
        return match (own.state, found) {
            (TableState::Created, None) => Err(LoadError::Vanished {
                table: table.target.clone(),
                checkpoint: checkpoint.name().to_owned(),
            }),
            (TableState::Created, Some(_)) => Ok(Decision::GoOn),
            // Rows of the own table come when it is noted as created, so these are of nobody noted.
            (TableState::Prepared, Some(found))
                if found.filled && noted.len() == 1 && !into_existing =>
            {
                Err(LoadError::NotEmpty {
                    table: table.target.clone(),
                })
            }
            (TableState::Prepared, _) => Ok(Decision::Go),
        };
    }
    if !found.is_some_and(|found| found.filled) {
        // Nothing to lose: what another dump noted about it is of no use any more.
        return Ok(Decision::Go);
    }
    let former = noted
        .iter()
        .find(|row| row.source == checkpoint.source() && row.manifest != checkpoint.manifest());
    if let Some(former) = former {
        return Err(LoadError::AnotherDump {
            table: table.target.clone(),
            source_id: checkpoint.source().to_owned(),
            former: short(&former.manifest),
            now: short(checkpoint.manifest()),
        });
    }
    // Another table of the task, or another source, goes to the same target table.
    if !noted.is_empty() || into_existing {
        return Ok(Decision::Go);
    }
    Err(LoadError::NotEmpty {
        table: table.target.clone(),
    })
}

fn short(hash: &str) -> String {
    hash.chars().take(12).collect()
}

/// Looks at a target table.
///
/// # Errors
/// The server's refusal.
pub async fn look(conn: &mut Conn, table: &TableName) -> Result<Option<Found>> {
    let doing = format!("look at {table}");
    let row: Option<(String, Option<String>)> = conn
        .exec_first(
            "SELECT table_type, engine FROM information_schema.tables \
             WHERE table_schema = ? AND table_name = ?",
            (&table.schema, &table.table),
        )
        .await
        .map_err(|error| Error::query(conn, &doing, error))?;
    let Some((kind, engine)) = row else {
        return Ok(None);
    };
    let filled = if kind == "BASE TABLE" {
        let one: Option<u8> = conn
            .query_first(format!("SELECT 1 FROM {table} LIMIT 1"))
            .await
            .map_err(|error| Error::query(conn, &doing, error))?;
        one.is_some()
    } else {
        true
    };
    Ok(Some(Found {
        kind,
        engine,
        filled,
    }))
}

/// Creates the databases that are missing.
///
/// # Errors
/// The server's refusal.
pub async fn databases(conn: &mut Conn, wanted: &[(String, Translated)]) -> Result<Vec<String>> {
    let there: BTreeSet<String> = conn
        .query("SELECT schema_name FROM information_schema.schemata")
        .await
        .map_err(|error| Error::query(conn, "list the databases", error))?
        .into_iter()
        .collect();
    let mut notes = Vec::new();
    for (name, translated) in wanted {
        if there.contains(name) {
            continue;
        }
        for note in &translated.notes {
            tracing::info!("{note}");
            notes.push(note.clone());
        }
        conn.query_drop(&translated.sql).await.map_err(|error| {
            Error::query(conn, format!("create database {}", sql::ident(name)), error)
        })?;
    }
    Ok(notes)
}

/// What all tables of a source are prepared with.
pub struct Preparer<'a> {
    /// The target.
    pub server: &'a Server,
    /// What definitions are translated for.
    pub target: &'a Target,
    /// The checkpoint table.
    pub checkpoint: &'a Checkpoint,
    /// Where a source table is at the target.
    pub route: &'a (dyn Fn(&str, &str) -> (String, String) + Sync),
    /// Whether other rows in the target tables are all right.
    pub into_existing: bool,
    /// Whether tables may be created; otherwise they must exist.
    pub create: bool,
    /// Whether cdc has begun to change the tables: what they look like is its affair then.
    pub applied: bool,
}

impl Preparer<'_> {
    /// Prepares one table; what was translated.
    ///
    /// # Errors
    /// As [`decide`], or the target refuses the definition.
    pub async fn table(&self, conn: &mut Conn, table: &TableTask) -> Result<Vec<String>> {
        let mut found = look(conn, &table.target).await?;
        let noted = self.checkpoint.of_target(conn, &table.target).await?;
        if found.is_none() {
            // Another process may have created it between the two looks.
            found = look(conn, &table.target).await?;
        }
        let own = noted.iter().any(|row| {
            row.source == self.checkpoint.source()
                && row.manifest == self.checkpoint.manifest()
                && row.table == table.source
                && row.state == TableState::Created
        });
        if self.applied && own {
            return Ok(Vec::new());
        }
        let decision = decide(
            table,
            found.as_ref(),
            &noted,
            self.checkpoint,
            self.into_existing,
        )?;
        if decision == Decision::GoOn {
            self.not_emptied(conn, table, found.as_ref()).await?;
            self.check(conn, table).await?;
            return Ok(Vec::new());
        }
        if found.is_none() && !self.create {
            return Err(LoadError::Table {
                table: table.target.clone(),
                what: "it does not exist, and `extra-args` has --no-schemas, so the load does not \
                       create it. Create it, or take --no-schemas out"
                    .to_owned(),
            });
        }
        let alone = !self.into_existing && !found.as_ref().is_some_and(|found| found.filled);
        self.checkpoint
            .prepare(conn, &table.source, &table.target, &table.chunks, alone)
            .await?;
        failpoint::hit("load.prepared");
        let notes = if found.is_none() {
            self.create(conn, table).await?
        } else {
            Vec::new()
        };
        self.check(conn, table).await?;
        self.checkpoint.created(conn, &table.source).await?;
        failpoint::hit("load.created");
        Ok(notes)
    }

    /// Rows that are noted as loaded must be there, at least one of them. The notes are read first and
    /// the table again: rows and their note commit together.
    async fn not_emptied(
        &self,
        conn: &mut Conn,
        table: &TableTask,
        found: Option<&Found>,
    ) -> Result<()> {
        if found.is_some_and(|found| found.filled)
            || !self.checkpoint.begun(conn, &table.source).await?
            || look(conn, &table.target)
                .await?
                .is_some_and(|found| found.filled)
        {
            return Ok(());
        }
        Err(LoadError::Emptied {
            table: table.target.clone(),
            checkpoint: self.checkpoint.name().to_owned(),
        })
    }

    async fn create(&self, conn: &mut Conn, table: &TableTask) -> Result<Vec<String>> {
        let translate = |keep_partitions| {
            translate_table(
                &table.definition,
                &table.target,
                self.target,
                self.route,
                keep_partitions,
            )
            .map_err(|what| LoadError::Table {
                table: table.target.clone(),
                what,
            })
        };
        let mut translated = translate(true)?;
        let mut result = conn.query_drop(&translated.sql).await;
        if translated.partitioned
            && matches!(&result, Err(mysql_async::Error::Server(error)) if is_partition_error(error.code))
        {
            translated = translate(false)?;
            result = conn.query_drop(&translated.sql).await;
        }
        if let Err(error) = result {
            let error = Error::query(conn, "create table", error);
            if error.retryable() || error.is_configuration() {
                return Err(error.into());
            }
            return Err(LoadError::Create {
                table: table.target.clone(),
                sql: translated.sql,
                source: Box::new(error),
            });
        }
        for note in &translated.notes {
            tracing::info!("{}: {note}", table.target);
        }
        Ok(translated.notes)
    }

    /// The table must take every stored column, and roll back.
    async fn check(&self, conn: &mut Conn, table: &TableTask) -> Result<()> {
        let wrong = |what: String| LoadError::Table {
            table: table.target.clone(),
            what,
        };
        let Some(found) = look_kind(conn, &table.target).await? else {
            return Err(LoadError::Vanished {
                table: table.target.clone(),
                checkpoint: self.checkpoint.name().to_owned(),
            });
        };
        if found.0 != "BASE TABLE" {
            return Err(wrong(format!(
                "it is a {}, not a table. Rename it, or send the source's table elsewhere by a route",
                found.0.to_lowercase()
            )));
        }
        let engine = found.1.unwrap_or_default();
        let transactional = self.server.info().flavor == Flavor::TiDb
            || ["innodb", "rocksdb", "tokudb", "ndbcluster"]
                .contains(&engine.to_ascii_lowercase().as_str());
        if !transactional {
            return Err(wrong(format!(
                "its storage engine {engine} has no transactions, without which a killed load \
                 could load rows twice. Run ALTER TABLE {} ENGINE = InnoDB, and the load again",
                table.target
            )));
        }
        let definition = read_table(conn, self.server.info(), &table.target).await?;
        let there: Vec<_> = definition
            .iter()
            .flat_map(TableDef::stored_columns)
            .collect();
        let missing: Vec<String> = table
            .definition
            .stored_columns()
            .filter(|column| {
                !there
                    .iter()
                    .any(|c| c.name.eq_ignore_ascii_case(&column.name))
            })
            .map(|column| sql::ident(&column.name))
            .collect();
        if !missing.is_empty() {
            return Err(wrong(format!(
                "it was there before and lacks the columns {} of {}. Add them, or drop the table \
                 so that it is created as it should be",
                missing.join(", "),
                table.source
            )));
        }
        let narrow = rounding(table.definition.stored_columns(), &there);
        if narrow.is_empty() {
            return Ok(());
        }
        Err(wrong(format!(
            "it was there before, and its column {}: values would be rounded or cut without an \
             error. Widen it by ALTER TABLE … MODIFY, or drop the table so that it is created as it \
             should be",
            narrow.join(", its column ")
        )))
    }
}

async fn look_kind(conn: &mut Conn, table: &TableName) -> Result<Option<(String, Option<String>)>> {
    conn.exec_first(
        "SELECT table_type, engine FROM information_schema.tables \
         WHERE table_schema = ? AND table_name = ?",
        (&table.schema, &table.table),
    )
    .await
    .map_err(|error| Error::query(conn, format!("look at {table}"), error).into())
}

/// Errors of a partitioning that the target cannot have. (A wrong guess costs one more attempt,
/// whose error is then told.)
fn is_partition_error(code: u16) -> bool {
    matches!(code, 1064 | 8200 | 1235 | 1478..=1519 | 1563..=1580 | 1652..=1659 | 1732..=1740)
}
