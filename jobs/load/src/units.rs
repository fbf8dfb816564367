//! The chunks of one worker, dealt to its connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use mysql_async::Conn;
use tideway_job::{Job, Progress, failpoint};
use tideway_mysql::fence::Fence;
use tideway_staging::layout::SourceKeys;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::error::{LoadError, Result};
use crate::input::{Dump, read_marker};
use crate::loader::{Loader, Shared};
use crate::table::TableTask;

/// One chunk to be loaded.
pub struct Unit {
    table: Arc<TableTask>,
    chunk: u32,
    done: u64,
}

/// This worker's chunks that are not done, and the totals of its share for the progress.
///
/// # Errors
/// The server's refusal.
pub async fn units(
    job: &Job,
    dump: &Dump,
    checkpoint: &Checkpoint,
    tables: &[Arc<TableTask>],
    progress: &Progress,
    conn: &mut Conn,
) -> Result<VecDeque<Unit>> {
    let mut units = VecDeque::new();
    let mut number = 0;
    for table in tables {
        let noted = checkpoint.chunks(conn, &table.source).await?;
        for &chunk in &table.chunks {
            let mine = job.worker.owns(number);
            number += 1;
            if !mine {
                continue;
            }
            let (rows, done) = noted
                .iter()
                .find(|(n, _, _)| *n == chunk)
                .map_or((0, false), |&(_, rows, done)| (rows, done));
            if done {
                progress.add_rows(rows);
                progress.unit_done();
            } else {
                units.push_back(Unit {
                    table: Arc::clone(table),
                    chunk,
                    done: rows,
                });
            }
        }
    }
    let share = |total: u64| total / u64::from(job.worker.count);
    progress.total(
        share(dump.manifest.rows),
        share(dump.manifest.raw_bytes),
        number / u64::from(job.worker.count),
    );
    Ok(units)
}

/// Loads chunks on as many connections as there are fences; the first failure stops them all after
/// the transaction in hand.
///
/// # Errors
/// The first failure, or a stop.
pub async fn load_units(
    shared: &Arc<Shared>,
    keys: &SourceKeys,
    units: VecDeque<Unit>,
    fences: Vec<Fence>,
) -> Result<()> {
    let stop: CancellationToken = shared.stop.clone();
    let units = Arc::new(Mutex::new(units));
    let mut loaders = JoinSet::new();
    for fence in fences {
        let (shared, units, keys) = (Arc::clone(shared), Arc::clone(&units), keys.clone());
        loaders.spawn(async move {
            let mut loader = Loader::new(Arc::clone(&shared), fence);
            loop {
                let next = units
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                let Some(unit) = next else {
                    return Ok(());
                };
                let table = &unit.table;
                let marker = read_marker(
                    &shared.staging,
                    &keys,
                    &table.source.schema,
                    &table.source.table,
                    unit.chunk,
                    &table.definition_hash,
                )
                .await?;
                shared.progress.add_rows(unit.done);
                loader.load(table, &marker, unit.done).await?;
                shared.progress.unit_done();
                failpoint::hit("load.chunk.done");
            }
        });
    }
    let mut first: Option<LoadError> = None;
    while let Some(ended) = loaders.join_next().await {
        let result = ended
            .unwrap_or_else(|error| Err(LoadError::Internal(format!("a loader broke: {error}"))));
        if let Err(error) = result {
            stop.cancel();
            // The cause, not the stop that it caused.
            if first
                .as_ref()
                .is_none_or(|first| matches!(first, LoadError::Stopped))
            {
                first = Some(error);
            }
        }
    }
    first.map_or(Ok(()), Err)
}
