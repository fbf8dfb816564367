//! A source from its manifest to its report.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Utc;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_config::{ImportMode, OnDuplicateLogical, ResolvedSource, TaskMode};
use tideway_job::{Job, JobError, Progress, failpoint};
use tideway_mysql::Error;
use tideway_mysql::connect::Server;
use tideway_mysql::fence::{Fence, OwnerTable};
use tideway_mysql::info::{Flavor, Version};
use tideway_mysql::retry::{RetryPolicy, with_retry};
use tideway_mysql::schema::TableName;
use tideway_staging::layout::SourceKeys;

use crate::checkpoint::Checkpoint;
use crate::error::{LoadError, Result};
use crate::input::{Dump, read_dump};
use crate::loader::Shared;
use crate::options::Args;
use crate::prepare::{Preparer, databases};
use crate::report::{Report, TableReport};
use crate::table::{Duplicates, TableTask};
use crate::units::{load_units, units};
use tideway_mysql::translate::{Target, translate_database};

/// Bytes decoded at a time.
const BATCH: usize = 1 << 20;
/// What a loader holds beside its row group and its rows: pieces of text on their way, buffers of
/// the connection.
const PIECES: usize = 6 << 20;
/// What the process needs beside its loaders.
const PROCESS: usize = 48 << 20;
/// The oldest TiDB that rolls `LOAD DATA` back with its transaction.
const TIDB_LOAD_DATA: Version = Version::new(7, 6, 0);
/// How long taking over waits for the transactions of a former owner; each failed attempt has
/// waited for the server's lock time-out already.
const TAKE_OVER: RetryPolicy = RetryPolicy {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(5),
    attempts: 8,
    give_up: Duration::from_secs(600),
};

/// Loads one source.
///
/// # Errors
/// As [`LoadError`].
pub async fn load_source(
    job: &Job,
    args: &Args,
    source: &ResolvedSource,
    progress: &Progress,
) -> Result<Report, JobError> {
    let started_at = Utc::now();
    if source.load.import_mode != ImportMode::Logical {
        return Err(LoadError::NotYet(format!(
            "source {}: `import-mode: {:?}` is not there yet; use `import-mode: logical`",
            source.id, source.load.import_mode
        ))
        .into());
    }
    if source.load.on_duplicate == OnDuplicateLogical::Ignore {
        return Err(LoadError::Unfit(format!(
            "source {}: `on-duplicate-logical: ignore` would leave rows out unseen, so the load does \
             not have it; take it out, or use `error`",
            source.id
        ))
        .into());
    }
    let keys = job.keys.source(&source.id);
    progress.stage("waiting");
    let dump = read_dump(&job.staging, &keys, &source.id, args.wait, &job.stop).await?;
    let connections = connections(job, source, &dump);
    let server = job.target_server(connections + 1).await?;
    let result = Box::pin(load_into(
        job,
        args,
        source,
        progress,
        (&keys, &dump),
        (&server, connections),
        started_at,
    ))
    .await;
    server.close().await;
    Ok(result?)
}

/// Loaders that the budget can feed. Each holds a row group, compressed and as the page that is
/// being decoded; two batches; pieces of text. A batch has at least one row, and a row is held as
/// decoded (twice, while the next one is read) and as text (twice as long when it is hexadecimal).
fn connections(job: &Job, source: &ResolvedSource, dump: &Dump) -> usize {
    let wanted = job.args.workers.unwrap_or(source.load.pool_size).max(1);
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let group = size(dump.manifest.max_row_group_bytes);
    let tables = dump.manifest.tables.iter();
    let row = size(
        tables
            .map(|t| t.raw_bytes / t.rows.max(1))
            .max()
            .unwrap_or(0),
    );
    let each = group
        .saturating_mul(2)
        .saturating_add(2 * BATCH + PIECES)
        .saturating_add(row.saturating_mul(6));
    let fit = (job.memory.total().saturating_sub(PROCESS) / each).max(1);
    if fit < wanted {
        tracing::info!(
            source = source.id,
            "{fit} connections instead of {wanted}: each needs {} MiB of --memory",
            each >> 20
        );
    }
    fit.min(wanted)
}

async fn load_into(
    job: &Job,
    args: &Args,
    source: &ResolvedSource,
    progress: &Progress,
    (keys, dump): (&SourceKeys, &Dump),
    (server, connections): (&Server, usize),
    started_at: chrono::DateTime<Utc>,
) -> Result<Report> {
    let mut conn = server.conn().await?;
    let checkpoint = Checkpoint::new(
        &job.task.meta_schema,
        &job.task.name,
        &source.id,
        &dump.hash,
    );
    checkpoint.create(&mut conn).await?;
    let fences = take_over(job, server, source, connections).await?;

    progress.stage("creating");
    let target = Target::read(&mut conn, server.info().flavor).await?;
    let tables = tables(args, source, keys, dump, server, &mut conn).await?;
    let applied = refuse_after_apply(job, &checkpoint, &tables, &mut conn).await?;
    let create = !source.dump.no_schemas;
    let notes = if create {
        create_databases(source, dump, &target, &tables, &mut conn).await?
    } else {
        Vec::new()
    };
    let route = |schema: &str, table: &str| {
        source
            .router
            .route(schema, table)
            .unwrap_or_else(|_| (schema.to_owned(), table.to_owned()))
    };
    let preparer = Preparer {
        server,
        target: &target,
        checkpoint: &checkpoint,
        route: &route,
        into_existing: args.into_existing,
        create,
        applied,
    };
    let mut reports = Vec::with_capacity(tables.len());
    for table in &tables {
        if job.stop.is_cancelled() {
            return Err(LoadError::Stopped);
        }
        let what = format!("prepare {}", table.target);
        let notes = with_retry(&RetryPolicy::DEFAULT, &what, async || {
            let mut conn = server.conn().await?;
            preparer.table(&mut conn, table).await
        })
        .await?;
        reports.push(notes);
    }

    progress.stage("loading");
    let before = progress.rows();
    let units = units(job, dump, &checkpoint, &tables, progress, &mut conn).await?;
    drop(conn);
    let shared = Arc::new(Shared {
        server: server.clone(),
        staging: job.staging.clone(),
        checkpoint,
        batch_bytes: BATCH,
        transaction: args.transaction.map(|size| size.as_u64()),
        stop: job.stop.child_token(),
        progress: progress.clone(),
    });
    load_units(&shared, keys, units, fences).await?;

    let report = Report {
        version: 1,
        source: source.id.clone(),
        worker: job.worker.index,
        manifest: dump.hash.clone(),
        target: format!("{} {}", server.info().flavor, server.info().version_text),
        tables: tables
            .iter()
            .zip(reports)
            .map(|(table, mut notes)| TableReport {
                source: table.source.to_string(),
                target: table.target.to_string(),
                rows: table.rows,
                bytes: table.raw_bytes,
                chunks: table.chunks.len(),
                method: if table.inserts() {
                    "INSERT"
                } else {
                    "LOAD DATA"
                }
                .to_owned(),
                replaced: replaced(job, table, &mut notes),
                notes,
            })
            .collect(),
        notes,
        rows: progress.rows() - before,
        views: dump.manifest.views.clone(),
        started_at,
        finished_at: Utc::now(),
    };
    job.staging
        .put_json(&keys.load_report(job.worker.index), &report)
        .await?;
    failpoint::hit("load.report");
    Ok(report)
}

/// Rows that others replaced, with a note and a warning where no cdc makes the table exact.
fn replaced(job: &Job, table: &TableTask, notes: &mut Vec<String>) -> u64 {
    let rows = table.replaced.load(Ordering::Relaxed);
    if rows > 0 && job.task.mode == TaskMode::Full {
        let note = format!(
            "rows replaced by others with the same key: {rows}. The table changed while the dump \
             with consistency none read it, and in task-mode full nothing makes it exact"
        );
        tracing::warn!("{}: {note}", table.target);
        notes.push(note);
    }
    rows
}

/// Creates the owner table and shuts out a former owner of this worker's part.
async fn take_over(
    job: &Job,
    server: &Server,
    source: &ResolvedSource,
    connections: usize,
) -> Result<Vec<Fence>> {
    let owners = OwnerTable::new(&job.task.meta_schema, &job.task.name, server.info().flavor);
    let worker = format!("load-{}", job.worker.index);
    owners.create(&mut server.conn().await?).await?;
    let fences = with_retry(&TAKE_OVER, "take over", async || {
        let mut conn = server.conn().await?;
        owners
            .raise(&mut conn, &source.id, &worker, connections)
            .await
    })
    .await?;
    Ok(fences)
}

/// The tables of the manifest with their statements.
async fn tables(
    args: &Args,
    source: &ResolvedSource,
    keys: &SourceKeys,
    dump: &Dump,
    server: &Server,
    conn: &mut Conn,
) -> Result<Vec<Arc<TableTask>>> {
    let info = server.info();
    let old_tidb = info.flavor == Flavor::TiDb && info.version < TIDB_LOAD_DATA;
    let by_insert = old_tidb || !allows_local(conn).await?;
    if by_insert {
        let why = if old_tidb {
            format!("TiDB {} does not roll LOAD DATA back", info.version)
        } else {
            "local_infile is off at the target; SET GLOBAL local_infile = ON makes it faster".into()
        };
        tracing::warn!("inserting instead of LOAD DATA LOCAL: {why}");
    }
    // Two chunks of an inexact dump may rightly share a value of a unique key. An explicit `replace`
    // cannot be told from DM's default, so it asks for nothing more.
    let strict = source.load.on_duplicate == OnDuplicateLogical::Error;
    let duplicates = match (dump.manifest.exact || strict, args.into_existing) {
        (true, _) => Duplicates::Error,
        (false, true) => Duplicates::ErrorForOthers,
        (false, false) => Duplicates::Replace,
    };
    let mut tables = Vec::with_capacity(dump.manifest.tables.len());
    for table in &dump.manifest.tables {
        let (plan, definition) = dump.table(keys, table)?;
        let (schema, name) = source
            .router
            .route(&table.db, &table.table)
            .map_err(tideway_config::Error::from)?;
        tables.push(Arc::new(TableTask::new(
            definition,
            plan.definition_hash.clone(),
            TableName::new(schema, name),
            (table.chunks.clone(), table.rows, table.raw_bytes),
            info.flavor,
            duplicates,
            by_insert,
        )));
    }
    Ok(tables)
}

async fn allows_local(conn: &mut Conn) -> Result<bool> {
    let on: Option<(String, String)> = conn
        .query_first("SHOW VARIABLES LIKE 'local_infile'")
        .await
        .map_err(|error| Error::query(conn, "read local_infile", error))?;
    Ok(on.is_none_or(|(_, value)| value.eq_ignore_ascii_case("on") || value == "1"))
}

/// When rows are still to be loaded, apply must not have begun; whether it has.
async fn refuse_after_apply(
    job: &Job,
    checkpoint: &Checkpoint,
    tables: &[Arc<TableTask>],
    conn: &mut Conn,
) -> Result<bool> {
    let Some(table) = checkpoint.applied(conn, &job.task.name).await? else {
        return Ok(false);
    };
    for task in tables {
        let chunks = checkpoint.chunks(conn, &task.source).await?;
        if chunks.len() < task.chunks.len() || chunks.iter().any(|(_, _, done)| !done) {
            return Err(LoadError::Applied {
                source_id: checkpoint.source().to_owned(),
                table,
            });
        }
    }
    Ok(true)
}

async fn create_databases(
    source: &ResolvedSource,
    dump: &Dump,
    target: &Target,
    tables: &[Arc<TableTask>],
    conn: &mut Conn,
) -> Result<Vec<String>> {
    let mut wanted: Vec<(String, String)> = Vec::new();
    let mut add = |name: String, create: &str| {
        if !wanted.iter().any(|(known, _)| *known == name) {
            wanted.push((name, create.to_owned()));
        }
    };
    let definition = |schema: &str| {
        dump.plan
            .databases
            .iter()
            .find(|database| database.db == schema)
            .map_or("", |database| database.create_sql.as_str())
    };
    for database in &dump.plan.databases {
        let name = source
            .router
            .route_schema(&database.db)
            .map_err(tideway_config::Error::from)?;
        let routed_away = name != database.db
            || tables
                .iter()
                .any(|t| t.source.schema == database.db && t.target.schema == name);
        if routed_away || !tables.iter().any(|t| t.source.schema == database.db) {
            add(name, &database.create_sql);
        }
    }
    for table in tables {
        add(
            table.target.schema.clone(),
            definition(&table.source.schema),
        );
    }
    let wanted: Vec<_> = wanted
        .into_iter()
        .map(|(name, create)| {
            let translated = translate_database(&create, &name, target);
            (name, translated)
        })
        .collect();
    databases(conn, &wanted).await
}
