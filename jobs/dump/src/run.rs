//! Reading the chunks: several readers take them from one queue until none is left.
//!
//! Chunks are dealt to worker processes by their running number; a `flush` or `lock` dump is all the
//! first worker's. A stop ends the readers behind the chunk in hand. A table whose definition
//! changed is planned anew by the reader that noticed, its remaining chunks in the queue are
//! skipped, and a further round reads the new ones. Chunks of tables that were planned anew are read
//! by whichever process finds them missing, for workers that ended before know nothing of them.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tideway_mysql::schema::TableName;
use tideway_staging::document::{EffectivePlan, read_plan};
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::markers::{self, ChunkId};
use crate::plan::{self, Planned};
use crate::reader::{Reader, tidb_timestamp};
use crate::source::Source;
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
    } = planned;
    source.progress.stage("reading");
    for round in 0..ROUNDS {
        let missing = missing(source, &plan).await?;
        if round == 0 {
            announce(source, &plan, &missing);
        }
        if missing.is_empty() {
            return Ok(());
        }
        let lanes = lanes(source, &plan, readers.take(), missing.len())?;
        let tables: Result<Vec<Table>> = plan
            .tables
            .iter()
            .map(|table| Table::new(source, table))
            .collect();
        let shared = Arc::new(Round {
            tables: tables?,
            queue: std::sync::Mutex::new(missing.into()),
            stale: std::sync::Mutex::default(),
            replanning: tokio::sync::Mutex::new(()),
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
    Ok(chunks)
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
    chunks: usize,
) -> Result<Vec<Reader>> {
    if let Some(conns) = conns {
        return Ok(conns.into_iter().map(Reader::Snapshot).collect());
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
        match dump_with_retry(source, &mut reader, table, chunk.number).await {
            Ok(()) => source.progress.unit_done(),
            Err(Error::DefinitionChanged(name)) => match reader {
                Reader::Own => {
                    let _one_at_a_time = round.replanning.lock().await;
                    plan::replan_table(source, &name, &table.plan.definition_hash).await?;
                    let mut stale = round.stale.lock().unwrap_or_else(PoisonError::into_inner);
                    stale.insert(name);
                }
                Reader::Snapshot(_) | Reader::Tidb(_) => {
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
        let of_snapshot = matches!(reader, Reader::Snapshot(_)) && matches!(error, Error::Mysql(_));
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
