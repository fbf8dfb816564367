//! Which chunks of a plan are committed.
//!
//! A chunk is committed when its marker exists under the key that the plan's table and number give.
//! Numbers are never used twice for a table, so a marker of a former generation has a key that the
//! plan does not ask for.

use std::collections::HashSet;

use futures::TryStreamExt;
use tideway_job::Worker;
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
    /// By which it is dealt to a worker; see [`Worker::unit`].
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
                unit: unit(planned, number),
                marker: marker(source, planned, number),
            });
        }
    }
    chunks
}

fn unit(table: &TablePlan, number: u32) -> u64 {
    Worker::unit(&table.db, &table.table, u64::from(number))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn table(name: &str) -> TablePlan {
        serde_json::from_value(serde_json::json!({
            "db": "d", "table": name, "definition": null, "definition_hash": "", "position": null,
            "key": [], "bounds": [], "first_chunk": 0, "estimated_rows": 0, "estimated_bytes": 0,
            "no_data": false, "where_clause": null,
        }))
        .unwrap()
    }

    #[test]
    fn a_table_planned_anew_moves_no_chunk_of_another_to_another_worker() {
        let planned = table("t");
        let owners: Vec<u64> = (0..8).map(|number| unit(&planned, number) % 3).collect();
        // Whatever the bounds and numbers of others: only its own name and number count.
        let again = TablePlan {
            first_chunk: 5,
            estimated_rows: 9,
            ..planned
        };
        assert_eq!(unit(&again, 6) % 3, owners[6]);
        assert_eq!(owners[0], owners[3]);
        assert_ne!(owners[0], owners[1]);
    }

    #[test]
    fn small_tables_are_spread_over_the_workers() {
        let mut dealt = BTreeMap::new();
        for number in 0..300 {
            *dealt
                .entry(unit(&table(&format!("t{number}")), 0) % 3)
                .or_insert(0) += 1;
        }
        assert!(
            dealt.len() == 3 && dealt.values().all(|n| *n > 60),
            "{dealt:?}"
        );
    }
}
