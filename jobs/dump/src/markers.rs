//! Which chunks of a plan are committed.
//!
//! A chunk is committed when its marker exists under the key that the plan's table and number give.
//! Numbers are never used twice for a table, so a marker of a former generation has a key that the
//! plan does not ask for.

use std::collections::HashSet;

use futures::TryStreamExt;
use tideway_staging::Path;
use tideway_staging::document::{EffectivePlan, TablePlan};

use crate::error::Result;
use crate::source::Source;

/// One chunk of a plan.
#[derive(Clone, Debug)]
pub struct ChunkId {
    /// Index of the table in the plan.
    pub table: usize,
    /// The chunk's number within the table.
    pub number: u32,
    /// Its running number in the whole plan, by which chunks are dealt to workers.
    pub unit: u64,
    /// Key of its marker.
    pub marker: Path,
}

/// All chunks of a plan, in its order.
#[must_use]
pub fn all(source: &Source, plan: &EffectivePlan) -> Vec<ChunkId> {
    let mut chunks = Vec::new();
    for (table, planned) in plan.tables.iter().enumerate() {
        for number in planned.chunk_numbers() {
            chunks.push(ChunkId {
                table,
                number,
                unit: chunks.len() as u64,
                marker: marker(source, planned, number),
            });
        }
    }
    chunks
}

/// Key of a chunk's marker.
#[must_use]
pub fn marker(source: &Source, table: &TablePlan, number: u32) -> Path {
    source.keys.chunk_marker(&table.db, &table.table, number)
}

/// The keys of all markers that lie there.
///
/// # Errors
/// When staging fails.
pub async fn present(source: &Source) -> Result<HashSet<Path>> {
    let dir = source.keys.chunk_markers_dir();
    let found = source
        .job
        .staging
        .list(&dir)
        .map_ok(|meta| meta.location)
        .try_collect()
        .await?;
    Ok(found)
}

/// The chunks of `plan` that are committed.
///
/// # Errors
/// When staging fails.
pub async fn committed(source: &Source, plan: &EffectivePlan) -> Result<Vec<ChunkId>> {
    let present = present(source).await?;
    let mut chunks = all(source, plan);
    chunks.retain(|chunk| present.contains(&chunk.marker));
    Ok(chunks)
}
