//! The plan: which tables, with which definitions, in which chunks. Written before any row is read.
//!
//! `plan.json` (generation 0) is written once, by create-if-absent, after the schema files. Later
//! generations are documents of their own beside it and replace what they name; a table's chunk
//! numbers go on above its former ones, so that a former marker can never be taken for a new one.
//!
//! What a process finds decides what it does (see [`Step`]):
//!
//! | found | does |
//! | --- | --- |
//! | no plan | plans |
//! | all chunks committed | nothing |
//! | a plan without snapshot (`none`), or TiDB's, which outlives us | continues with what is missing |
//! | TiDB's, unfinished, and TiDB has collected it as garbage | plans all anew as the next generation, at a new timestamp |
//! | a `flush` or `lock` plan, unfinished, nothing committed or task mode `full` | the snapshot died with its process: plans all anew as the next generation, under a new lock |
//! | the same in task mode `all`, some chunks committed | writes a generation without snapshot and continues: cdc's safe mode evens out the states |
//!
//! Killed before the plan is written: schema files lie there that nothing refers to; the next plan
//! overwrites them. Killed after: the next process finds the plan.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_job::failpoint;
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::schema::TableName;
use tideway_staging::Create;
use tideway_staging::document::{
    DatabasePlan, EffectivePlan, Plan, Start, TablePlan, ViewPlan, read_manifest, read_plan,
    read_plan_generations,
};
use tideway_staging::layout::random_attempt;

use crate::consistency::Wanted;
use crate::cut::{self, rows_per_chunk};
use crate::definitions::{self, Defined};
use crate::error::{Error, Result};
use crate::keeper::Kept;
use crate::reader::tidb_timestamp;
use crate::source::{Source, now, to_json};
use crate::{markers, schema_files, snapshot};

/// What to do about the plan that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Plan, or plan everything anew as the next generation.
    Anew,
    /// Keep the plan, but no longer call its rows one snapshot.
    GoInexact,
    /// Keep the plan.
    Continue,
}

/// What counts about a plan that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Whether its rows were to be of one snapshot that only the planning process could read.
    pub snapshot_of_a_process: bool,
    /// Whether its rows were to be of TiDB's past, and TiDB no longer keeps that.
    pub expired: bool,
    /// Chunks with a marker.
    pub committed: u64,
    /// Chunks in all.
    pub total: u64,
}

/// Decides what to do about the plan that was found; `cdc`: whether cdc follows.
#[must_use]
pub fn next_step(found: Option<Found>, cdc: bool) -> Step {
    match found {
        None => Step::Anew,
        Some(found) if found.committed == found.total => Step::Continue,
        Some(found) if found.expired => Step::Anew,
        Some(found) if !found.snapshot_of_a_process => Step::Continue,
        Some(found) if cdc && found.committed > 0 => Step::GoInexact,
        Some(_) => Step::Anew,
    }
}

/// A plan, with the connections that can read its snapshot if it has one of this process.
pub struct Planned {
    /// The plan.
    pub plan: EffectivePlan,
    /// Readers inside the snapshot.
    pub readers: Option<Vec<Conn>>,
    /// Holds the lock on tables without transactions.
    pub kept: Option<Conn>,
}

/// Reads the plan, or makes it, or makes its next generation.
///
/// # Errors
/// When source or staging fail, or the consistency is not to be had.
pub async fn plan(source: &Source, start: &Start) -> Result<Planned> {
    let existing = read_plan(&source.job.staging, &source.keys).await?;
    source.check_server(Some(start), existing.as_ref()).await?;
    let found = match &existing {
        Some(plan) => Some(look_at(source, plan).await?),
        None => None,
    };
    match (next_step(found, source.followed_by_cdc()), existing) {
        (Step::Continue, Some(plan)) => Ok(Planned {
            plan,
            readers: None,
            kept: None,
        }),
        (Step::GoInexact, Some(plan)) => {
            source.progress.message(
                "the snapshot of this dump died with its process: going on from the committed \
                 chunks; cdc's safe mode will hold until the dump's end position",
            );
            let next = Plan {
                consistency: "none".to_owned(),
                snapshot: false,
                ..empty_generation(source, &plan)
            };
            let plan = commit(source, next).await?.1;
            Ok(Planned {
                plan,
                readers: None,
                kept: None,
            })
        }
        (_, existing) => {
            if existing.is_some() && source.wanted.one_process() {
                source.progress.message(
                    "the snapshot of this dump died with its process: planning anew, what was \
                     dumped before is void",
                );
            }
            if found.is_some_and(|found| found.expired) {
                source.progress.message(
                    "TiDB no longer keeps the snapshot of this dump: planning anew, what was \
                     dumped before is void. A longer tidb_gc_life_time on the source keeps it",
                );
            }
            plan_all(source, start, existing.as_ref()).await
        }
    }
}

/// What counts about the plan that was found.
async fn look_at(source: &Source, plan: &EffectivePlan) -> Result<Found> {
    let of_tidb = plan.snapshot && plan.consistency == "snapshot";
    let mut found = Found {
        snapshot_of_a_process: plan.snapshot && !of_tidb,
        expired: false,
        committed: markers::committed(source, plan).await?.len() as u64,
        total: plan.tables.iter().map(|t| u64::from(t.chunk_count())).sum(),
    };
    if of_tidb && found.committed < found.total {
        found.expired = !definitions::tidb_keeps(source, tidb_timestamp(&plan.start)?).await?;
    }
    Ok(found)
}

async fn plan_all(
    source: &Source,
    start: &Start,
    former: Option<&EffectivePlan>,
) -> Result<Planned> {
    source.progress.stage("planning");
    let selection = definitions::select(source).await?;
    let (mut readers, mut kept, mut exact) = (None, None, true);
    let (kind, from, defined) = match source.wanted {
        Wanted::Flush { .. } | Wanted::Lock => {
            match snapshot::open(source, &selection.tables).await? {
                Some(snapshot) => {
                    readers = Some(snapshot.conns);
                    match snapshot.kept {
                        Kept::Unneeded => {}
                        Kept::Locked(conn) => kept = Some(conn),
                        Kept::Inexact => exact = false,
                    }
                    let from = to_json(&snapshot.position, &source.keys.plan(0))?;
                    (snapshot.kind, from, snapshot.tables)
                }
                None => (
                    "none",
                    start.position.clone(),
                    definitions::define(source, &selection.tables, None).await?,
                ),
            }
        }
        Wanted::Snapshot => {
            let position = tidb_now(source).await?;
            let from = to_json(&position, &source.keys.plan(0))?;
            let defined =
                definitions::define(source, &selection.tables, Some(&Some(position))).await?;
            ("snapshot", from, defined)
        }
        Wanted::None => (
            "none",
            start.position.clone(),
            definitions::define(source, &selection.tables, None).await?,
        ),
    };
    if kind == "none" && !source.followed_by_cdc() {
        source.progress.message(
            "consistency `none` in task-mode `full`: each chunk is read at its own moment, so rows \
             that change meanwhile may be missing, doubled or of different times. Right only on a \
             source that nobody writes to; otherwise use `auto`, or task-mode `all`",
        );
    }
    let firsts = first_chunks(source, former).await?;
    let tables = cut_all(source, &defined, &firsts).await?;
    let plan = Plan {
        version: 1,
        task: source.job.task.name.clone(),
        source: source.config.id.clone(),
        server_uuid: source.server.info().uuid.clone(),
        generation: former.map_or(0, |plan| plan.plans),
        complete: true,
        consistency: kind.to_owned(),
        snapshot: exact && kind != "none",
        start: from,
        databases: definitions::databases(source, &selection.databases).await?,
        tables,
        views: definitions::views(source, &selection.views).await?,
        created_at: now(),
        attempt: attempt_name(),
    };
    let (won, plan) = commit(source, plan).await?;
    if !won && readers.is_some() {
        return Err(Error::Busy(format!(
            "another process planned the dump of source `{}` at the same moment: a `flush` or \
             `lock` dump is one process, and the other one does it",
            source.config.id
        )));
    }
    Ok(Planned {
        plan,
        readers,
        kept,
    })
}

/// Writes the schema files and then the plan; says whether it is ours that stands now.
///
/// # Errors
/// [`Error::Busy`] when the dump was finished meanwhile; when staging fails.
pub(crate) async fn commit(source: &Source, plan: Plan) -> Result<(bool, EffectivePlan)> {
    // One that is written between this look and ours is left out by all who read the plan.
    if read_manifest(&source.job.staging, &source.keys)
        .await?
        .is_some()
    {
        return Err(Error::Busy(format!(
            "another process finished the dump of source `{}` meanwhile: nothing is left to plan",
            source.config.id
        )));
    }
    if !source.config.dump.no_schemas {
        schema_files::write(source, &plan).await?;
    }
    failpoint::hit("dump.schema");
    let key = source.keys.plan(plan.generation);
    let won = match source.job.staging.create_large_json(&key, &plan).await? {
        Create::Won => true,
        Create::Exists(other) => {
            tracing::info!(
                source = source.config.id,
                "{key} was written by another process (attempt {}): using that plan",
                other.attempt
            );
            false
        }
    };
    failpoint::hit("dump.plan");
    let plan = read_plan(&source.job.staging, &source.keys)
        .await?
        .ok_or_else(|| Error::NoPlan {
            source_id: source.config.id.clone(),
            place: source.place(),
        })?;
    Ok((won, plan))
}

/// The next generation, replacing nothing yet.
pub(crate) fn empty_generation(source: &Source, plan: &EffectivePlan) -> Plan {
    Plan {
        version: 1,
        task: source.job.task.name.clone(),
        source: source.config.id.clone(),
        server_uuid: plan.server_uuid.clone(),
        generation: plan.plans,
        complete: false,
        consistency: plan.consistency.clone(),
        snapshot: plan.snapshot,
        start: plan.start.clone(),
        databases: Vec::<DatabasePlan>::new(),
        tables: Vec::new(),
        views: Vec::<ViewPlan>::new(),
        created_at: now(),
        attempt: attempt_name(),
    }
}

/// For each table of former generations the first chunk number that none of them used.
pub(crate) async fn first_chunks(
    source: &Source,
    former: Option<&EffectivePlan>,
) -> Result<BTreeMap<TableName, u32>> {
    let mut firsts = BTreeMap::new();
    if former.is_none() {
        return Ok(firsts);
    }
    for plan in read_plan_generations(&source.job.staging, &source.keys).await? {
        for table in &plan.tables {
            let name = TableName::new(&table.db, &table.table);
            let end = table.first_chunk + table.chunk_count();
            let first = firsts.entry(name).or_insert(0);
            *first = end.max(*first);
        }
    }
    Ok(firsts)
}

async fn cut_all(
    source: &Source,
    defined: &[Defined],
    firsts: &BTreeMap<TableName, u32>,
) -> Result<Vec<TablePlan>> {
    stream::iter(defined)
        .map(|table| async move {
            let mut conn = source.server.conn().await?;
            let first = firsts.get(&table.def.name).copied().unwrap_or(0);
            cut_one(source, &mut conn, table, first).await
        })
        .buffered(source.workers.min(4))
        .try_collect()
        .await
}

/// Plans one table.
pub(crate) async fn cut_one(
    source: &Source,
    conn: &mut Conn,
    table: &Defined,
    first_chunk: u32,
) -> Result<TablePlan> {
    let options = &source.config.dump;
    let def = &table.def;
    let target = rows_per_chunk(
        table.estimated_rows,
        table.estimated_bytes,
        options.chunk_bytes,
        options.rows,
    );
    let cut = if options.no_data {
        cut::Cut::default()
    } else {
        cut::cut(source, conn, def, table.estimated_rows, target).await?
    };
    let key = source.keys.plan(0);
    let mut bounds = Vec::with_capacity(cut.bounds.len());
    for bound in &cut.bounds {
        let bound: Result<Vec<_>> = bound.iter().map(|value| to_json(value, &key)).collect();
        bounds.push(bound?);
    }
    Ok(TablePlan {
        db: def.name.schema.clone(),
        table: def.name.table.clone(),
        definition: to_json(def, &key)?,
        definition_hash: def.hash(),
        position: to_json(&table.position, &key)?,
        key: cut.key,
        bounds,
        first_chunk,
        estimated_rows: table.estimated_rows,
        estimated_bytes: table.estimated_bytes,
        no_data: options.no_data,
        where_clause: options.where_clause.clone(),
    })
}

/// TiDB's timestamp of now, as a position.
async fn tidb_now(source: &Source) -> Result<BinlogPosition> {
    let mut conn = source.server.conn().await?;
    let doing = "reading TiDB's timestamp";
    conn.query_drop("START TRANSACTION")
        .await
        .map_err(source.doing(doing))?;
    let tso: Option<u64> = conn
        .query_first("SELECT @@tidb_current_ts")
        .await
        .map_err(source.doing(doing))?;
    conn.query_drop("ROLLBACK")
        .await
        .map_err(source.doing(doing))?;
    let Some(tso) = tso.filter(|tso| *tso > 0) else {
        return Err(Error::Consistency {
            wanted: "snapshot",
            problem: format!(
                "source `{}` gives no timestamp (@@tidb_current_ts) to read a snapshot at. Use \
                 consistency `none` if nobody writes to it",
                source.config.id
            ),
        });
    };
    Ok(BinlogPosition {
        file: "tidb-snapshot".to_owned(),
        pos: tso,
        gtid_set: None,
    })
}

fn attempt_name() -> String {
    format!("{:06}-{}", random_attempt(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(snapshot: bool, committed: u64, total: u64) -> Option<Found> {
        Some(Found {
            snapshot_of_a_process: snapshot,
            expired: false,
            committed,
            total,
        })
    }

    #[test]
    fn what_a_rerun_does() {
        for cdc in [false, true] {
            assert_eq!(next_step(None, cdc), Step::Anew);
            assert_eq!(next_step(found(true, 5, 5), cdc), Step::Continue);
            assert_eq!(next_step(found(false, 2, 5), cdc), Step::Continue);
            assert_eq!(next_step(found(true, 0, 5), cdc), Step::Anew);
        }
        assert_eq!(next_step(found(true, 2, 5), false), Step::Anew);
        assert_eq!(next_step(found(true, 2, 5), true), Step::GoInexact);
        let expired = |committed| {
            found(false, committed, 5).map(|found| Found {
                expired: true,
                ..found
            })
        };
        assert_eq!(next_step(expired(2), false), Step::Anew);
        assert_eq!(next_step(expired(5), false), Step::Continue);
    }
}
