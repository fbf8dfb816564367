//! What the load reads from staging: the manifest, the plan, the markers.

use std::time::{Duration, Instant};

use tideway_mysql::schema::TableDef;
use tideway_staging::Staging;
use tideway_staging::document::{
    ChunkMarker, EffectivePlan, Manifest, ManifestTable, TablePlan, read_manifest, read_plan,
    require_marker,
};
use tideway_staging::layout::SourceKeys;
use tokio_util::sync::CancellationToken;

use crate::error::{LoadError, Result};

/// How often a missing manifest is asked for again.
const POLL: Duration = Duration::from_secs(1);

/// A finished dump.
#[derive(Clone, Debug)]
pub struct Dump {
    /// The manifest.
    pub manifest: Manifest,
    /// Its hash, which keys the checkpoint.
    pub hash: String,
    /// The plan that it finished.
    pub plan: EffectivePlan,
}

/// Reads manifest and plan, waiting for the manifest up to `wait`.
///
/// # Errors
/// There is no finished dump, or its documents do not agree.
pub async fn read_dump(
    staging: &Staging,
    keys: &SourceKeys,
    source: &str,
    wait: Duration,
    stop: &CancellationToken,
) -> Result<Dump> {
    let begun = Instant::now();
    let mut told = false;
    let manifest = loop {
        if let Some(manifest) = read_manifest(staging, keys).await? {
            break manifest;
        }
        if begun.elapsed() >= wait {
            return Err(LoadError::NoDump {
                source_id: source.to_owned(),
                staging: staging.url().to_owned(),
                key: keys.manifest().to_string(),
            });
        }
        if !told {
            tracing::info!(
                source,
                "waiting for the dump to be finished ({})",
                keys.manifest()
            );
            told = true;
        }
        tokio::select! {
            () = stop.cancelled() => return Err(LoadError::Stopped),
            () = tokio::time::sleep(POLL) => {}
        }
    };
    let plan = read_plan(staging, keys)
        .await?
        .ok_or_else(|| LoadError::Damaged {
            key: keys.plan(0).to_string(),
            what: "it is missing, though the manifest is there".to_owned(),
        })?;
    Ok(Dump {
        hash: manifest.hash(),
        manifest,
        plan,
    })
}

impl Dump {
    /// The plan of a table of the manifest, and its definition.
    ///
    /// # Errors
    /// The plan lacks the table, or holds a definition that cannot be read.
    pub fn table<'a>(
        &'a self,
        keys: &SourceKeys,
        table: &ManifestTable,
    ) -> Result<(&'a TablePlan, TableDef)> {
        let plan = self
            .plan
            .table(&table.db, &table.table)
            .ok_or_else(|| LoadError::Damaged {
                key: keys.plan(0).to_string(),
                what: format!(
                    "it lacks {}.{}, which the manifest has",
                    table.db, table.table
                ),
            })?;
        let definition = serde_json::from_value(plan.definition.clone()).map_err(|error| {
            LoadError::Damaged {
                key: keys.plan(0).to_string(),
                what: format!("definition of {}.{}: {error}", table.db, table.table),
            }
        })?;
        Ok((plan, definition))
    }
}

/// Reads the marker of a chunk and checks that it belongs to the plan.
///
/// # Errors
/// It is missing, or of another definition.
pub async fn read_marker(
    staging: &Staging,
    keys: &SourceKeys,
    db: &str,
    table: &str,
    chunk: u32,
    definition_hash: &str,
) -> Result<ChunkMarker> {
    let key = keys.chunk_marker(db, table, chunk);
    let damaged = |what: String| LoadError::Damaged {
        key: key.to_string(),
        what,
    };
    let marker = require_marker(staging, keys, db, table, chunk).await?;
    if marker.db != db || marker.table != table || marker.chunk != chunk {
        return Err(damaged(format!(
            "it is the marker of {}.{}, chunk {}",
            marker.db, marker.table, marker.chunk
        )));
    }
    if marker.definition_hash != definition_hash {
        return Err(damaged(
            "it was written for another definition of the table than the plan's".to_owned(),
        ));
    }
    let rows: u64 = marker.files.iter().map(|file| file.rows).sum();
    if rows != marker.rows {
        return Err(damaged(format!(
            "it counts {} rows, its files {rows}",
            marker.rows
        )));
    }
    Ok(marker)
}
