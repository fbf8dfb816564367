//! The end of a dump: everything is there, nothing else is, and the manifest says so.
//!
//! 1. Under the lease `dump-finish-<source>`: every chunk of the plan has a marker of the plan's
//!    definition; otherwise this is an error that names the first missing one.
//! 2. Markers of void chunks go, then data files that no marker names, then schema files that the
//!    plan does not call for. A dump folder holds nothing that another loader could take for data.
//! 3. The end position is read: everything that any chunk has seen lies before it. It is where cdc's
//!    safe mode may end. Of one snapshot it is the snapshot's own.
//! 4. The manifest is created if absent. From here on the dump is complete for everyone else.
//!
//! Killed in 2: the rest is deleted next time; nothing that a valid marker names is ever deleted.
//! Killed in 3: the next end position is later, which only lengthens safe mode. Two at the same
//! time: the lease keeps the second out; one whose lease lapsed and who goes on deletes only what is
//! void for everyone, and its manifest meets the other's.

use std::collections::HashSet;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;
use tideway_job::failpoint;
use tideway_staging::document::{
    ChunkMarker, EffectivePlan, Manifest, ManifestTable, read_manifest, read_plan,
};
use tideway_staging::lease::{Acquired, Lease};
use tideway_staging::{Create, Path};

use crate::error::{Error, Result};
use crate::source::{Source, now, to_json};
use crate::{markers, schema_files};

/// Term of the lease; it is renewed in the background. Short, for a rerun after a kill waits for its
/// end, and nothing breaks when two finish at a time.
const TERM: Duration = Duration::from_secs(5);
/// How often a busy lease is asked for again.
const POLL: Duration = Duration::from_millis(250);
/// Markers read at a time.
const PARALLEL: usize = 16;

/// Whether all chunks of the plan have a marker.
///
/// # Errors
/// When staging fails.
pub async fn is_ready(source: &Source) -> Result<bool> {
    let Some(plan) = read_plan(&source.job.staging, &source.keys).await? else {
        return Ok(false);
    };
    let present = markers::present(source).await?;
    Ok(markers::all(source, &plan)
        .iter()
        .all(|chunk| present.contains(&chunk.marker)))
}

/// Finishes the dump of a source, or waits for the process that is doing so.
///
/// # Errors
/// When chunks are missing, or source or staging fail.
pub async fn finish(source: &Source) -> Result<Manifest> {
    source.progress.stage("finishing");
    let staging = &source.job.staging;
    let name = format!("dump-finish-{}", source.config.id);
    let own = format!(
        "dump worker {}, pid {}",
        source.job.worker.index,
        std::process::id()
    );
    let mut told = false;
    let lease = loop {
        match Lease::acquire(staging, &source.job.keys, &name, &own, TERM).await? {
            Acquired::Held(lease) => break lease,
            Acquired::Busy { owner, .. } => {
                // It may be done, at work, or dead: then its lease lapses.
                if let Some(manifest) = read_manifest(staging, &source.keys).await? {
                    return Ok(manifest);
                }
                if !told {
                    told = true;
                    source.progress.message(format!(
                        "{owner} is finishing this dump: waiting for its manifest, or for its lease \
                         to lapse"
                    ));
                }
                tokio::select! {
                    () = tokio::time::sleep(POLL) => {}
                    () = source.job.stop.cancelled() => return Err(Error::Stopped),
                }
            }
        }
    };
    let result = finish_alone(source).await;
    if let Err(error) = lease.release().await {
        tracing::warn!("lease {name}: {error}; it lapses by itself");
    }
    result
}

async fn finish_alone(source: &Source) -> Result<Manifest> {
    let staging = &source.job.staging;
    if let Some(manifest) = read_manifest(staging, &source.keys).await? {
        return Ok(manifest);
    }
    let plan = read_plan(staging, &source.keys)
        .await?
        .ok_or_else(|| Error::NoPlan {
            source_id: source.config.id.clone(),
            place: source.place(),
        })?;
    source.check_server(None, Some(&plan)).await?;
    let markers = all_markers(source, &plan).await?;
    tidy(source, &plan, &markers).await?;
    failpoint::hit("dump.finish.deleted");
    let end = if plan.snapshot {
        plan.start.clone()
    } else {
        end_position(source).await?
    };
    let manifest = manifest(source, &plan, &markers, end);
    let key = source.keys.manifest();
    let manifest = match staging.create_large_json(&key, &manifest).await? {
        Create::Won => manifest,
        Create::Exists(other) => other,
    };
    failpoint::hit("dump.manifest");
    Ok(manifest)
}

async fn end_position(source: &Source) -> Result<Value> {
    let mut conn = source.server.conn().await?;
    let position = source.position(&mut conn).await?;
    to_json(&position, &source.keys.manifest())
}

/// The markers of the plan's chunks, in its order.
async fn all_markers(source: &Source, plan: &EffectivePlan) -> Result<Vec<ChunkMarker>> {
    let chunks = markers::all(source, plan);
    let found: Vec<Option<ChunkMarker>> = stream::iter(&chunks)
        .map(|chunk| source.job.staging.get_json(&chunk.marker))
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    let mut all = Vec::with_capacity(found.len());
    let mut missing = 0;
    let mut first = None;
    for (chunk, marker) in chunks.iter().zip(found) {
        let hash = &plan.tables[chunk.table].definition_hash;
        match marker {
            Some(marker) if &marker.definition_hash == hash => all.push(marker),
            _ => {
                missing += 1;
                first.get_or_insert_with(|| chunk.marker.to_string());
            }
        }
    }
    match first {
        None => Ok(all),
        Some(first) => Err(Error::Unfinished {
            source_id: source.config.id.clone(),
            missing,
            total: chunks.len() as u64,
            first,
        }),
    }
}

/// Deletes what is void: see step 2 of the module.
async fn tidy(source: &Source, plan: &EffectivePlan, markers: &[ChunkMarker]) -> Result<()> {
    let staging = &source.job.staging;
    let valid: HashSet<Path> = markers::all(source, plan)
        .into_iter()
        .map(|chunk| chunk.marker)
        .collect();
    let mut void: Vec<Path> = markers::present(source)
        .await?
        .into_iter()
        .filter(|key| !valid.contains(key))
        .collect();
    let named: HashSet<&str> = markers
        .iter()
        .flat_map(|marker| marker.files.iter().map(|file| file.key.as_str()))
        .collect();
    let schemas: HashSet<Path> = schema_files::keys(&source.keys, plan).into_iter().collect();
    let dir = source.keys.dump_dir();
    let tideway = format!("{dir}/_tideway/");
    let mut files = staging.list(&dir);
    while let Some(meta) = files.try_next().await? {
        let key = meta.location;
        let text: &str = key.as_ref();
        let orphan = match text.rsplit_once('.') {
            _ if text.starts_with(&tideway) => false,
            Some((_, "parquet")) => !named.contains(text),
            Some((_, "sql")) => !schemas.contains(&key),
            _ => false,
        };
        if orphan {
            void.push(key);
        }
    }
    if !void.is_empty() {
        tracing::info!(
            source = source.config.id,
            "deleting {} objects of interrupted attempts and void chunks",
            void.len()
        );
    }
    for key in &void {
        staging.delete(key).await?;
    }
    Ok(())
}

fn manifest(
    source: &Source,
    plan: &EffectivePlan,
    markers: &[ChunkMarker],
    end: Value,
) -> Manifest {
    let mut tables = Vec::with_capacity(plan.tables.len());
    let mut rest = markers;
    for table in &plan.tables {
        let (own, others) = rest.split_at(table.chunk_count() as usize);
        rest = others;
        let files = || own.iter().flat_map(|marker| &marker.files);
        tables.push(ManifestTable {
            db: table.db.clone(),
            table: table.table.clone(),
            chunks: table.chunk_numbers().collect(),
            rows: own.iter().map(|marker| marker.rows).sum(),
            raw_bytes: own.iter().map(|marker| marker.raw_bytes).sum(),
            stored_bytes: files().map(|file| file.size).sum(),
            files: files().count() as u64,
        });
    }
    let blocks = markers
        .iter()
        .flat_map(|marker| &marker.files)
        .flat_map(|file| &file.row_groups);
    Manifest {
        version: 1,
        task: source.job.task.name.clone(),
        source: source.config.id.clone(),
        server_uuid: plan.server_uuid.clone(),
        generation: plan.plans.saturating_sub(1),
        consistency: plan.consistency.clone(),
        exact: plan.snapshot,
        start: plan.start.clone(),
        end,
        rows: tables.iter().map(|table| table.rows).sum(),
        raw_bytes: tables.iter().map(|table| table.raw_bytes).sum(),
        stored_bytes: tables.iter().map(|table| table.stored_bytes).sum(),
        max_row_group_bytes: blocks.map(|block| block.len).max().unwrap_or(0),
        tables,
        views: plan
            .views
            .iter()
            .map(|view| format!("{}.{}", view.db, view.view))
            .collect(),
        finished_at: now(),
    }
}
