//! Reading the chunks: several readers take them from one queue until none is left.
//!
//! Chunks are dealt to worker processes by table and number; a `flush` or `lock` dump is all the
//! first worker's. A stop ends the readers behind the chunk in hand. A table whose definition
//! changed is planned anew by the reader that noticed, its remaining chunks in the queue are
//! skipped, and a further round reads the new ones. Chunks of tables that were planned anew are read
//! by whichever process finds them missing, for workers that ended before know nothing of them; each
//! reads its own first, and looks for a marker before it begins.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tideway_mysql::schema::TableName;
use tideway_staging::document::{EffectivePlan, read_plan};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::keeper::Keeper;
use crate::markers::{self, ChunkId};
use crate::plan::Planned;
use crate::reader::{Reader, tidb_timestamp};
use crate::replan;
use crate::source::Source;
use crate::start;
use crate::table::Table;

/// How often a chunk is tried, with growing pauses, before the dump gives up.
const TRIES: u32 = 6;
/// Rounds for tables that are altered again and again.
const ROUNDS: u32 = 16;

/// What the readers of one round share.
struct Round {
    tables: Vec<Table>,
    queue: std::sync::Mutex<VecDeque<ChunkId>>,
    /// Tables whose definition changed: their chunks in the queue are void.
    stale: std::sync::Mutex<HashSet<TableName>>,
    /// One reader at a time plans a table anew.
    replanning: tokio::sync::Mutex<()>,
    /// Holds the lock on tables without transactions.
    keeper: Option<Arc<Keeper>>,
}

impl Round {
    fn next(&self) -> Option<ChunkId> {
        // Neither collection can be left half changed by a panic.
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = self.stale.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let chunk = queue.pop_front()?;
            if !stale.contains(&self.tables[chunk.table].name) {
                return Some(chunk);
            }
        }
    }

    /// Nothing more is begun.
    fn clear(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.clear();
    }
}

/// Reads this process's chunks of the plan until none is missing.
///
/// # Errors
/// [`Error::Stopped`], or the first error that a reader could not overcome; the others finish their
/// chunk before.
pub async fn run(source: &Arc<Source>, planned: Planned) -> Result<()> {
    let Planned {
        mut plan,
        mut readers,
        mut kept,
    } = planned;
    for round in 0..ROUNDS {
        let mut missing = missing(source, &plan).await?;
        if round == 0 {
            announce(source, &plan, &missing);
        }
        if missing.is_empty() {
            return Ok(());
        }
        if round == 0 && readers.is_none() && !plan.snapshot {
            source.progress.stage("waiting");
            start::settle(source).await?;
        }
        source.progress.stage("reading");
        let tables: Result<Vec<Table>> = plan
            .tables
            .iter()
            .map(|table| Table::new(source, table))
            .collect();
        let tables = tables?;
        let keeper = keeper(kept.take(), &tables, &mut missing).await;
        let lanes = lanes(
            source,
            &plan,
            readers.take(),
            keeper.as_ref(),
            missing.len(),
        )?;
        let shared = Arc::new(Round {
            tables,
            queue: std::sync::Mutex::new(missing.into()),
            stale: std::sync::Mutex::default(),
            replanning: tokio::sync::Mutex::new(()),
            keeper,
        });
        read_all(source, &shared, lanes).await?;
        source.check_stop()?;
        plan = read_plan(&source.job.staging, &source.keys)
            .await?
            .ok_or_else(|| Error::NoPlan {
                source_id: source.config.id.clone(),
                place: source.place(),
            })?;
    }
    Err(Error::Busy(format!(
        "tables of source `{}` are altered faster than they can be dumped: run it again when the \
         schema changes are over",
        source.config.id
    )))
}

/// The chunks without a marker that this process reads.
async fn missing(source: &Source, plan: &EffectivePlan) -> Result<Vec<ChunkId>> {
    let present = markers::present(source).await?;
    let worker = source.job.worker;
    let alone = source.wanted.one_process();
    let mut chunks = markers::all(source, plan);
    chunks.retain(|chunk| {
        let replanned = plan.tables[chunk.table].first_chunk > 0;
        (alone || replanned || worker.owns(chunk.unit)) && !present.contains(&chunk.marker)
    });
    // Those of others last: they may be read by then.
    chunks.sort_by_key(|chunk| !alone && !worker.owns(chunk.unit));
    Ok(chunks)
}

/// Puts the chunks of tables without transactions first, and keeps their lock until they are read.
async fn keeper(
    kept: Option<mysql_async::Conn>,
    tables: &[Table],
    missing: &mut [ChunkId],
) -> Option<Arc<Keeper>> {
    let conn = kept?;
    let under_lock = |chunk: &ChunkId| tables[chunk.table].lacks_transactions();
    missing.sort_by_key(|chunk| !under_lock(chunk));
    let chunks = missing.iter().filter(|chunk| under_lock(chunk)).count();
    Some(Arc::new(Keeper::new(conn, chunks).await))
}

fn announce(source: &Source, plan: &EffectivePlan, missing: &[ChunkId]) {
    let (mut rows, mut bytes) = (0, 0);
    for chunk in missing {
        let table = &plan.tables[chunk.table];
        let chunks = u64::from(table.chunk_count()).max(1);
        rows += table.estimated_rows / chunks;
        bytes += table.estimated_bytes / chunks;
    }
    source.progress.total(rows, bytes, missing.len() as u64);
}

/// The readers of a round.
fn lanes(
    source: &Source,
    plan: &EffectivePlan,
    conns: Option<Vec<mysql_async::Conn>>,
    keeper: Option<&Arc<Keeper>>,
    chunks: usize,
) -> Result<Vec<Reader>> {
    if let Some(conns) = conns {
        let reader = |conn| Reader::Snapshot {
            conn,
            keeper: keeper.cloned(),
        };
        return Ok(conns.into_iter().map(reader).collect());
    }
    if plan.snapshot && plan.consistency != "snapshot" {
        return Err(Error::SnapshotLost {
            reason: "it belonged to another process, or to a former round".to_owned(),
            inexact: source.followed_by_cdc(),
        });
    }
    let mut lanes = Vec::new();
    for _ in 0..source.workers.min(chunks) {
        lanes.push(if plan.snapshot {
            Reader::Tidb(tidb_timestamp(&plan.start)?)
        } else {
            Reader::Own
        });
    }
    Ok(lanes)
}

async fn read_all(source: &Arc<Source>, round: &Arc<Round>, lanes: Vec<Reader>) -> Result<()> {
    // Tasks of their own, so that the readers use all cores.
    let mut tasks = JoinSet::new();
    for reader in lanes {
        let (source, round) = (Arc::clone(source), Arc::clone(round));
        tasks.spawn(async move {
            let result = read_lane(&source, &round, reader).await;
            if result.is_err() {
                round.clear();
            }
            result
        });
    }
    let mut first_error = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let result = match ended {
            Ok(result) => result,
            Err(error) => {
                round.clear();
                Err(Error::Worker(error.to_string()))
            }
        };
        // A stop that was asked for because of nothing worse than itself.
        if first_error.is_ok() || matches!(first_error, Err(Error::Stopped)) && result.is_err() {
            first_error = result;
        }
    }
    first_error
}

async fn read_lane(source: &Source, round: &Round, mut reader: Reader) -> Result<()> {
    loop {
        source.check_stop()?;
        source.gate.pass(&source.job.stop).await;
        source.check_stop()?;
        let Some(chunk) = round.next() else {
            return Ok(());
        };
        let table = &round.tables[chunk.table];
        // Not known is not there: then it is read, and its marker is met when it is committed.
        let committed = matches!(source.job.staging.head(&chunk.marker).await, Ok(Some(_)));
        let read = if committed {
            Ok(())
        } else {
            dump_with_retry(source, &mut reader, table, chunk.number).await
        };
        match read {
            Ok(()) => {
                source.progress.unit_done();
                if let Some(keeper) = &round.keeper
                    && table.lacks_transactions()
                {
                    keeper.done().await;
                }
            }
            Err(Error::DefinitionChanged(name)) => match reader {
                Reader::Own => {
                    let _one_at_a_time = round.replanning.lock().await;
                    replan::replan_table(source, &name, &table.plan.definition_hash).await?;
                    let mut stale = round.stale.lock().unwrap_or_else(PoisonError::into_inner);
                    stale.insert(name);
                }
                Reader::Snapshot { .. } | Reader::Tidb(_) => {
                    return Err(Error::SnapshotLost {
                        reason: format!("table {name} was altered meanwhile"),
                        inexact: source.followed_by_cdc(),
                    });
                }
            },
            Err(error) => return Err(error),
        }
    }
}

/// Reads a chunk, again after transient errors. Inside a snapshot there is no second try on the
/// source: its connection is the snapshot.
async fn dump_with_retry(
    source: &Source,
    reader: &mut Reader,
    table: &Table,
    number: u32,
) -> Result<()> {
    let mut pause = Duration::from_millis(500);
    for tried in 1.. {
        let error = match reader.dump(source, table, number).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let of_snapshot =
            matches!(reader, Reader::Snapshot { .. }) && matches!(error, Error::Mysql(_));
        if of_snapshot && error.retryable() {
            return Err(Error::SnapshotLost {
                reason: error.to_string(),
                inexact: source.followed_by_cdc(),
            });
        }
        if !error.retryable() || tried == TRIES {
            return Err(error);
        }
        tracing::warn!(
            source = source.config.id,
            "chunk {number} of {}: {error}; trying again in {pause:?}",
            table.name
        );
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = source.job.stop.cancelled() => return Err(Error::Stopped),
        }
        pause = (pause * 2).min(Duration::from_secs(30));
    }
    Ok(())
}
