//! What apply begins from: the target's checkpoint, or, for the first time, the dump or the start.

use std::collections::BTreeMap;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tideway_config::{ResolvedSource, TaskMode};
use tideway_job::Job;
use tideway_mysql::connect::Server;
use tideway_mysql::ddl::{Context, Statement, model};
use tideway_mysql::info::{Flavor, ServerInfo, Version};
use tideway_mysql::position::{self, BinlogPosition};
use tideway_mysql::schema::{self, Kind, TableDef, TableName};
use tideway_mysql::{Error as ServerError, sql};
use tideway_staging::document::{EffectivePlan, Manifest, Start, read_manifest, read_plan};
use tideway_staging::layout::SourceKeys;
use tokio::time::Instant;

use super::catalog::{Catalog, Known};
use super::checkpoint::{Checkpoint, Saved, State};
use super::error::{Error, Result};
use super::place::Place;
use tideway_mysql::mark::Mark;

/// How often staging and target are looked at while waiting.
const POLL: Duration = Duration::from_millis(500);

/// What the dump says of the time while it ran.
#[derive(Debug, Default)]
pub struct DumpMarks {
    /// Everything before it is in the chunks: they show this moment.
    pub exact: Option<Mark>,
    /// What lies before it may be in the chunks: the dump's end, when it shows no one moment.
    pub end: Option<Mark>,
}

/// What apply begins from.
#[derive(Debug)]
pub struct Begin {
    /// The global row of the checkpoint: as it was read, or the first one, not stored yet.
    pub saved: Saved,
    /// Whether it is not stored yet.
    pub fresh: bool,
    /// The tables, with definitions as of [`Saved::place`].
    pub catalog: Catalog,
    /// What the dump says.
    pub dump: DumpMarks,
}

/// What an error of this module is about.
pub struct Reader<'a> {
    /// The job.
    pub job: &'a Job,
    /// The source.
    pub source: &'a ResolvedSource,
    /// Its keys.
    pub keys: &'a SourceKeys,
    /// How long to wait for what is missing.
    pub wait: Duration,
}

impl Reader<'_> {
    /// What a first apply begins from, as soon as all is there.
    ///
    /// # Errors
    /// Something is missing that must be there first; a server or staging failed.
    pub async fn first(&self, checkpoint: &Checkpoint, conn: &mut Conn) -> Result<(Start, Begin)> {
        let start: Start = self
            .wait_for(
                "start.json, which `tideway-cdc capture` writes first",
                || async { Ok(self.job.staging.get_json(&self.keys.start()).await?) },
            )
            .await?;
        let begin = if self.job.task.mode == TaskMode::Incremental {
            self.at_start(&start)?
        } else {
            let applied = checkpoint.read(conn).await?.is_some();
            self.after_dump(&start, applied, conn).await?
        };
        Ok((start, begin))
    }

    /// Goes on from the checkpoint, where there is one.
    ///
    /// # Errors
    /// Staging and target do not belong together; a server failed.
    pub async fn resume(
        &self,
        mut begin: Begin,
        start: &Start,
        checkpoint: &Checkpoint,
        conn: &mut Conn,
    ) -> Result<Begin> {
        let Some(saved) = checkpoint.read(conn).await? else {
            if self.job.task.mode == TaskMode::Incremental {
                self.read_source(&mut begin, start).await?;
            }
            return Ok(begin);
        };
        if saved.state.origin != begin.saved.state.origin {
            return Err(Error::Mismatch {
                source_id: self.source.id.clone(),
                what: format!(
                    "the target was applied to up to {} from another {} than the one in {}. Begin anew \
                     after `tideway cleanup`, which also removes {}",
                    saved.position,
                    if self.job.task.mode == TaskMode::Incremental {
                        "start"
                    } else {
                        "dump"
                    },
                    self.job.staging.url(),
                    checkpoint.name(),
                ),
            });
        }
        // Definitions moved on since the dump; its marks stay what they are.
        let planned = std::mem::take(&mut begin.catalog);
        for def in checkpoint.definitions(conn).await? {
            let mut known = Known::new(def);
            if let Some(former) = planned.get(&known.def.name) {
                known.defined = former.defined.clone();
                known.dumped = former.dumped.clone();
            }
            begin.catalog.insert(known);
        }
        begin.saved = saved;
        begin.fresh = false;
        Ok(begin)
    }

    /// After a dump: what it read, as soon as it is loaded.
    async fn after_dump(&self, start: &Start, applied: bool, conn: &mut Conn) -> Result<Begin> {
        let manifest = self
            .wait_for(
                "the manifest of the dump, which `tideway-dump` writes last",
                || async { Ok(read_manifest(&self.job.staging, self.keys).await?) },
            )
            .await?;
        let plan = self
            .wait_for("the plan of the dump", || async {
                Ok(read_plan(&self.job.staging, self.keys).await?)
            })
            .await?;
        if !applied {
            let begun = Instant::now();
            while let Some(missing) = self.not_loaded(&manifest, conn).await? {
                self.pause(begun, &missing, "Run `tideway-load` first")
                    .await?;
            }
        }
        let uuid = &manifest.server_uuid;
        let mark = |json: &serde_json::Value| -> Result<Option<Mark>> {
            let position: Option<BinlogPosition> = self.typed(json, "a position of the dump")?;
            Ok(position.map(|position| Mark::new(uuid, position)))
        };
        let mut catalog = Catalog::default();
        for table in &plan.tables {
            let def: TableDef = self.typed(&table.definition, "a definition of the dump")?;
            let mut known = Known::new(def);
            known.defined = mark(&table.position)?;
            if known.def.row_key().is_none() {
                known.dumped = self
                    .dumped_at(&plan, table)
                    .await?
                    .or(known.defined.clone());
            }
            catalog.insert(known);
        }
        let dump = if manifest.exact {
            DumpMarks {
                exact: mark(&manifest.start)?,
                end: None,
            }
        } else {
            DumpMarks {
                exact: None,
                end: mark(&manifest.end)?,
            }
        };
        let mut saved = self.first_row(manifest.hash(), start)?;
        for database in &plan.databases {
            note_database(&database.create_sql, start, &mut saved.state.databases);
        }
        Ok(Begin {
            saved,
            fresh: true,
            catalog,
            dump,
        })
    }

    /// E_t of a table without a key: the last position that its chunks' markers name.
    async fn dumped_at(
        &self,
        plan: &EffectivePlan,
        table: &tideway_staging::document::TablePlan,
    ) -> Result<Option<Mark>> {
        let mut last: Option<BinlogPosition> = None;
        for number in table.chunk_numbers() {
            let marker = tideway_staging::document::read_marker(
                &self.job.staging,
                self.keys,
                &table.db,
                &table.table,
                number,
            )
            .await?;
            let Some(marker) = marker else { continue };
            let position: Option<BinlogPosition> = self.typed(&marker.position, "a marker")?;
            if let Some(position) = position
                && last.as_ref().is_none_or(|last| position.reached(last))
            {
                last = Some(position);
            }
        }
        Ok(last.map(|position| Mark::new(&plan.server_uuid, position)))
    }

    /// What is not loaded yet, in words.
    async fn not_loaded(&self, manifest: &Manifest, conn: &mut Conn) -> Result<Option<String>> {
        let task = &self.job.task;
        let table = format!("{}_loader_checkpoint", task.name);
        let name = format!("{}.{}", sql::ident(&task.meta_schema), sql::ident(&table));
        let wanted: u64 = manifest.tables.iter().map(|t| t.chunks.len() as u64).sum();
        // SUM over no row is NULL.
        let done: Result<Option<(Option<u64>, Option<u64>)>, _> = conn
            .exec_first(
                format!(
                    "SELECT CAST(SUM(chunk >= 0 AND state = 'done') AS UNSIGNED), \
                     CAST(SUM(chunk < 0) AS UNSIGNED) FROM {name} \
                     WHERE source = ? AND manifest = ?"
                ),
                (&self.source.id, manifest.hash()),
            )
            .await;
        let (chunks, tables) = match done {
            Ok(found) => found.map_or((0, 0), |(chunks, tables)| {
                (chunks.unwrap_or(0), tables.unwrap_or(0))
            }),
            // No such table, no such database.
            Err(mysql_async::Error::Server(error)) if matches!(error.code, 1146 | 1049) => (0, 0),
            Err(error) => {
                return Err(ServerError::query(conn, format!("read {name}"), error).into());
            }
        };
        let all = manifest.tables.len() as u64;
        if chunks == wanted && tables >= all {
            return Ok(None);
        }
        Ok(Some(format!(
            "the load is not complete: {chunks} of {wanted} chunks and {tables} of {all} tables by {name}"
        )))
    }

    /// Without a dump: from `start.json` on.
    fn at_start(&self, start: &Start) -> Result<Begin> {
        let text = serde_json::to_string(start).unwrap_or_default();
        Ok(Begin {
            saved: self.first_row(hex::encode(Sha256::digest(text.as_bytes())), start)?,
            fresh: true,
            catalog: Catalog::default(),
            dump: DumpMarks::default(),
        })
    }

    /// The definitions of an incremental task: the source's of now. Where a DDL lies between the start
    /// and now, the rows before it do not fit, and apply says so.
    async fn read_source(&self, begin: &mut Begin, start: &Start) -> Result<()> {
        let server = self.job_source().await?;
        let mut conn = server.conn().await?;
        for listing in schema::list(&mut conn).await? {
            let name = &listing.name;
            if !self.source.filter.includes(&name.schema, &name.table)
                || !matches!(listing.kind, Kind::BaseTable | Kind::SystemVersioned)
            {
                continue;
            }
            if let Some((def, _)) = define(&mut conn, server.info(), name).await? {
                begin.catalog.insert(Known::new(def));
            }
        }
        for name in schema::list_schemas(&mut conn).await? {
            if self.source.filter.includes_schema(&name)
                && let Some(text) = schema::show_create_database(&mut conn, &name).await?
            {
                note_database(&text, start, &mut begin.saved.state.databases);
            }
        }
        drop(conn);
        server.close().await;
        Ok(())
    }

    /// Connects to the source.
    ///
    /// # Errors
    /// As [`Server::connect`].
    pub async fn job_source(&self) -> Result<Server> {
        let endpoint = tideway_job::endpoint::endpoint(
            &self.source.from,
            format!("source {}", self.source.id),
        );
        Ok(Server::connect(&endpoint, tideway_mysql::connect::Role::Source, 1).await?)
    }

    fn first_row(&self, origin: String, start: &Start) -> Result<Saved> {
        let position: Option<BinlogPosition> = self.typed(&start.position, "start.json")?;
        let Some(position) = position else {
            return Err(Error::Mismatch {
                source_id: self.source.id.clone(),
                what: "start.json names no position: the source wrote no binlog when it was made. \
                       Switch log_bin on, and begin anew after `tideway cleanup`"
                    .to_owned(),
            });
        };
        Ok(Saved {
            place: Place::start_of(1),
            position,
            event_time: 0,
            furthest: Place::start_of(1),
            state: State {
                origin,
                ..State::default()
            },
        })
    }

    fn typed<T: DeserializeOwned>(&self, json: &serde_json::Value, what: &str) -> Result<T> {
        serde_json::from_value(json.clone()).map_err(|error| Error::Mismatch {
            source_id: self.source.id.clone(),
            what: format!(
                "{what} in {} is not what this version writes: {error}. Use the version that wrote it, \
                 or begin anew after `tideway cleanup`",
                self.job.staging.url()
            ),
        })
    }

    async fn wait_for<T, F, Fut>(&self, what: &str, mut read: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Option<T>>>,
    {
        let begun = Instant::now();
        loop {
            if let Some(found) = read().await? {
                return Ok(found);
            }
            let missing = format!("{what}, is missing in {}", self.job.staging.url());
            self.pause(begun, &missing, "Run that first").await?;
        }
    }

    /// Waits a moment, or says what is missing when it was long enough.
    async fn pause(&self, begun: Instant, missing: &str, way_out: &str) -> Result<()> {
        if begun.elapsed() >= self.wait {
            return Err(Error::NotReady {
                source_id: self.source.id.clone(),
                what: missing.to_owned(),
                way_out: way_out.to_owned(),
            });
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => Ok(()),
            () = self.job.stop.cancelled() => Err(Error::Stopped),
        }
    }
}

/// Notes the defaults of a database from what SHOW CREATE DATABASE printed.
fn note_database(create_sql: &str, start: &Start, into: &mut BTreeMap<String, model::Database>) {
    // A server that leaves the collation of utf8mb4 out is an old one, whose default it is.
    let context = match super::flavor_of(&start.flavor) {
        Flavor::MariaDb => Context::new(Flavor::MariaDb, Version::new(10, 4, 0)),
        flavor => Context::new(flavor, Version::new(5, 7, 44)),
    };
    let statement = Statement::parse(create_sql, &context);
    let mut model = model::Catalog::default();
    // One that is not understood is not known: a CREATE TABLE there is then read from the source.
    if let Err(error) = model::apply(&statement, &mut model) {
        tracing::warn!("{error}");
    }
    for (name, database) in model.databases() {
        into.insert(name.to_owned(), database.clone());
    }
}

/// Reads a definition of the source under the table's metadata lock, and the position at which it is
/// sure to hold (S_t). `None`: there is no such table.
///
/// # Errors
/// The source's refusal.
pub async fn define(
    conn: &mut Conn,
    info: &ServerInfo,
    name: &TableName,
) -> Result<Option<(TableDef, Option<BinlogPosition>)>> {
    let doing = format!("read the definition of {name}");
    conn.query_drop("START TRANSACTION")
        .await
        .map_err(|error| ServerError::query(conn, &doing, error))?;
    let lock = format!("SELECT 1 FROM {} LIMIT 0", sql::qualified(name));
    let result = match conn.query_drop(lock).await {
        Ok(()) => async {
            let def = schema::read_table(conn, info, name).await?;
            let position = position::current(conn, info).await?;
            Ok(def.map(|def| (def, position)))
        }
        .await
        .map_err(Error::Server),
        Err(mysql_async::Error::Server(error)) if matches!(error.code, 1146 | 1049) => Ok(None),
        Err(error) => Err(ServerError::query(conn, &doing, error).into()),
    };
    conn.query_drop("ROLLBACK")
        .await
        .map_err(|error| ServerError::query(conn, &doing, error))?;
    result
}
