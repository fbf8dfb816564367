//! Cleaning up: what no marker names, and whole prefixes.
//!
//! Data without a marker does not exist for any reader, so removing it changes nothing that anybody
//! can see. The one danger is data whose marker is *about to be* created. Therefore:
//!
//! - Data of a chunk that **has** a marker which names other data can go at once: its own marker can
//!   never be created any more. So can data of a chunk that is in no plan: a marker would be void.
//! - Data of a planned chunk **without** a marker is kept until it is older than
//!   [`GcOptions::min_age`], for its writer may be alive: chunks are dealt by index and need no
//!   lease. While a dump of the source says that it runs (its heartbeat), such data is kept however
//!   old it is: a chunk of several files is read for as long as it takes.
//! - Data of segments: see `segment::clean`.
//! - Under a live lease of the task that the caller does not hold, nothing is removed at all.
//!
//! Markers are listed *after* data: data that appears later is not looked at, and a marker that
//! appears later names data of a chunk that counts as unmarked. Killed half-way, a rerun goes on.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::Utc;
use futures::TryStreamExt;
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::document::{ChunkMarker, read_plan};
use crate::layout::{ChunkFile, SourceKeys, TaskKeys, parse_chunk_marker, table_stem};
use crate::{Error, Result, Staging, heartbeat, lease, segment};

/// Temporary files of a folder are removed only when they were not touched for so long.
const LEFTOVER_AGE: Duration = Duration::from_secs(60);

/// For how long a heartbeat counts: it is written every two seconds, and a store may be away.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(120);

/// What may be removed.
#[derive(Clone, Debug)]
pub struct GcOptions {
    /// Only tell what would be removed.
    pub dry_run: bool,
    /// Data of a chunk that may still get its marker must be older than this; while a dump of the
    /// source runs it is kept anyway.
    pub min_age: Duration,
    /// A lease that the caller itself holds.
    pub own_lease: Option<String>,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            min_age: Duration::from_secs(3600),
            own_lease: None,
        }
    }
}

/// What was (or would be) removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Keys of objects that no marker names.
    pub removed: Vec<String>,
    /// Bytes of these objects and of temporary files.
    pub bytes: u64,
    /// Temporary files of killed writers (in a folder only).
    pub temporary_files: u64,
    /// Objects that no marker names yet, but that are too young to be nobody's.
    pub kept: Vec<String>,
}

/// Removes what no marker names from the dump and the segments of a source.
///
/// # Errors
/// [`Error::Conflict`] under a live lease that is not the caller's; when the store fails.
pub async fn gc(
    staging: &Staging,
    task: &TaskKeys,
    source: &SourceKeys,
    options: &GcOptions,
) -> Result<GcReport> {
    for record in lease::live(staging, task).await? {
        if options.own_lease.as_ref() != Some(&record.name) {
            return Err(Error::Conflict {
                url: staging.url().to_owned(),
                key: task.lease_dir(&record.name).to_string(),
                what: format!(
                    "{} holds the lease `{}` until {}: nothing is removed meanwhile. Wait for it \
                     or stop it",
                    record.owner, record.name, record.until
                ),
            });
        }
    }
    let data: Vec<ObjectMeta> = staging.list(&source.dump_dir()).try_collect().await?;
    let dumping = is_dumping(staging, task, source).await?;
    let named = named_data(staging, source, &data).await?;
    let planned = planned_chunks(staging, source).await?;

    let mut report = GcReport::default();
    let now = Utc::now();
    for object in data {
        let Some(chunk) = ChunkFile::parse(&object.location) else {
            continue;
        };
        let chunk = (chunk.stem, chunk.number);
        match named.get(&chunk) {
            Some(keys) if keys.contains(object.location.as_ref()) => continue,
            None if planned.contains(&chunk) => {
                let age = (now - object.last_modified).to_std().unwrap_or_default();
                if dumping || age < options.min_age {
                    report.kept.push(object.location.to_string());
                    continue;
                }
            }
            Some(_) | None => {}
        }
        if !options.dry_run {
            staging.delete(&object.location).await?;
        }
        report.bytes += object.size;
        report.removed.push(object.location.to_string());
    }
    // The dump may be held up between two parts of a file.
    let age = if dumping {
        LEFTOVER_AGE.max(options.min_age)
    } else {
        LEFTOVER_AGE
    };
    let leftovers = staging
        .clean_leftovers(&source.dump_dir(), age, options.dry_run)
        .await?;
    report.bytes += leftovers.bytes;
    report.temporary_files = leftovers.files;
    segment::clean::clean(staging, source, options, LEFTOVER_AGE, &mut report).await?;
    report.removed.sort();
    report.kept.sort();
    Ok(report)
}

/// Whether a process that dumps this source says that it runs.
async fn is_dumping(staging: &Staging, task: &TaskKeys, source: &SourceKeys) -> Result<bool> {
    let now = Utc::now();
    Ok(heartbeat::read_all(staging, task)
        .await?
        .iter()
        .any(|beat| {
            beat.job == "dump"
                && task.source(&beat.source) == *source
                && beat.is_live(now, HEARTBEAT_PATIENCE)
        }))
}

type Chunk = (String, u32);

/// The data that each marker names; a chunk is there if it has a marker.
async fn named_data(
    staging: &Staging,
    source: &SourceKeys,
    data: &[ObjectMeta],
) -> Result<HashMap<Chunk, HashSet<String>>> {
    let mut attempts: HashMap<Chunk, u32> = HashMap::new();
    for object in data {
        if let Some(file) = ChunkFile::parse(&object.location) {
            *attempts.entry((file.stem, file.number)).or_default() += 1;
        }
    }
    let mut named = HashMap::new();
    let dir = source.chunk_markers_dir();
    let mut markers = staging.list(&dir);
    while let Some(object) = markers.try_next().await? {
        let Some(chunk) = parse_chunk_marker(&object.location) else {
            continue;
        };
        if attempts.contains_key(&chunk)
            && let Some(marker) = staging.get_json::<ChunkMarker>(&object.location).await?
        {
            named.insert(
                chunk,
                marker.files.into_iter().map(|file| file.key).collect(),
            );
        }
    }
    Ok(named)
}

async fn planned_chunks(staging: &Staging, source: &SourceKeys) -> Result<HashSet<Chunk>> {
    let Some(plan) = read_plan(staging, source).await? else {
        return Ok(HashSet::new());
    };
    Ok(plan
        .chunks()
        .map(|(table, number)| (table_stem(&table.db, &table.table), number))
        .collect())
}

/// What [`remove_prefix`] would remove, or removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Objects and temporary files.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes everything under a folder, for `tideway cleanup`; `dry_run` only counts.
///
/// # Errors
/// When the store fails; what is left is removed by calling it again.
pub async fn remove_prefix(staging: &Staging, prefix: &Path, dry_run: bool) -> Result<Removed> {
    let mut removed = Removed::default();
    let objects: Vec<ObjectMeta> = staging.list(prefix).try_collect().await?;
    for object in objects {
        if !dry_run {
            staging.delete(&object.location).await?;
        }
        removed.objects += 1;
        removed.bytes += object.size;
    }
    let leftovers = staging
        .clean_leftovers(prefix, Duration::ZERO, dry_run)
        .await?;
    removed.objects += leftovers.files;
    removed.bytes += leftovers.bytes;
    if !dry_run {
        staging.remove_empty_folders(prefix).await?;
    }
    Ok(removed)
}
