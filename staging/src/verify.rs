//! Whether a dump is whole: every marker, every block's checksum, plan and manifest in agreement.
//!
//! Reads everything once, block by block, so its memory is one row group for each block in flight.
//! Findings are collected, not stopped at: a person wants to know all that is damaged.

use std::collections::{BTreeMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};

use crate::chunk::read_block;
use crate::document::{
    ChunkMarker, EffectivePlan, Manifest, TablePlan, read_manifest, read_plan_generations,
};
use crate::layout::{ChunkFile, SourceKeys, parse_chunk_marker, table_stem};
use crate::{Error, Result, Staging};

/// Blocks that are read at once.
const AT_ONCE: usize = 3;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The object.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

/// How far [`verify_dump`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Chunks looked at.
    pub chunks: u64,
    /// Chunks in all.
    pub total_chunks: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// What [`verify_dump`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Whether the manifest is there.
    pub finished: bool,
    /// Chunks that are whole.
    pub chunks: u64,
    /// Chunks of the plan.
    pub total_chunks: u64,
    /// Parquet objects.
    pub files: u64,
    /// Rows that the markers count.
    pub rows: u64,
    /// Bytes that were read and verified.
    pub bytes: u64,
    /// Markers that match no chunk of the plan any more: of tables that were planned again.
    pub void_markers: u64,
    /// Data that no marker names: `tideway staging gc` removes it.
    pub unreferenced: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    /// Whether the dump is finished and nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.finished && self.problems.is_empty()
    }

    fn problem(&mut self, key: &(impl ToString + ?Sized), what: impl Into<String>) {
        self.problems.push(Problem {
            key: key.to_string(),
            what: what.into(),
        });
    }
}

#[derive(Default)]
struct TableTotals {
    chunks: Vec<u32>,
    rows: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    files: u64,
}

/// Verifies the dump of a source; `progress` is called after every chunk.
///
/// # Errors
/// When the store fails, or there is no plan. Damage is no error: it is in the report.
pub async fn verify_dump(
    staging: &Staging,
    keys: &SourceKeys,
    mut progress: impl FnMut(&VerifyProgress) + Send,
) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let generations = read_plan_generations(staging, keys).await?;
    // A damaged manifest is a finding; the plan is then looked at as it is.
    let manifest = noted(&mut report, read_manifest(staging, keys).await)?.flatten();
    let last = manifest.as_ref().map(|manifest| manifest.generation);
    let Some(plan) = EffectivePlan::overlay_until(generations, last) else {
        return Err(Error::NotFound {
            url: staging.url().to_owned(),
            key: keys.plan(0).to_string(),
            what: "nothing was dumped here yet: run `tideway-dump plan`".to_owned(),
        });
    };
    report.total_chunks = plan.chunks().count() as u64;
    report.finished = manifest.is_some();
    let mut totals: BTreeMap<(&str, &str), TableTotals> = BTreeMap::new();
    let mut named = HashSet::new();
    let mut done = VerifyProgress {
        total_chunks: report.total_chunks,
        ..VerifyProgress::default()
    };
    for (table, number) in plan.chunks() {
        let key = keys.chunk_marker(&table.db, &table.table, number);
        let marker = staging.get_json::<ChunkMarker>(&key).await;
        match noted(&mut report, marker)? {
            Some(Some(marker)) => {
                named.extend(marker.files.iter().map(|file| file.key.clone()));
                let before = report.problems.len();
                if let Some(what) = disagreement(table, number, &marker) {
                    report.problem(&key, what);
                }
                verify_files(staging, &marker, &mut report).await?;
                if report.problems.len() == before {
                    report.chunks += 1;
                }
                let totals = totals.entry((&table.db, &table.table)).or_default();
                totals.chunks.push(number);
                totals.rows += marker.rows;
                totals.raw_bytes += marker.raw_bytes;
                totals.stored_bytes += marker.stored_bytes();
                totals.files += marker.files.len() as u64;
            }
            Some(None) if report.finished => {
                report.problem(&key, "the marker is missing from a finished dump");
            }
            // Of an unfinished dump it is merely not done; damage was noted.
            Some(None) | None => {}
        }
        done.chunks += 1;
        done.bytes = report.bytes;
        progress(&done);
    }
    report.rows = totals.values().map(|t| t.rows).sum();
    report.files = totals.values().map(|t| t.files).sum();
    if let Some(manifest) = &manifest {
        compare(keys, manifest, &plan, &totals, &mut report);
    }
    count_others(staging, keys, &plan, &named, &mut report).await?;
    Ok(report)
}

/// Turns damage into a finding (`None`), lets what the store said be an error.
fn noted<T>(report: &mut VerifyReport, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Damaged { key, what, .. } | Error::NotFound { key, what, .. }) => {
            report.problem(&key, what);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn disagreement(table: &TablePlan, number: u32, marker: &ChunkMarker) -> Option<String> {
    if (&marker.db, &marker.table, marker.chunk) != (&table.db, &table.table, number) {
        return Some(format!(
            "it is the marker of chunk {} of `{}`.`{}`",
            marker.chunk, marker.db, marker.table
        ));
    }
    if marker.definition_hash != table.definition_hash {
        return Some("the chunk was read under another definition than the planned one".to_owned());
    }
    let rows: u64 = marker.files.iter().map(|file| file.rows).sum();
    if rows != marker.rows {
        return Some(format!("it counts {} rows, its files {rows}", marker.rows));
    }
    None
}

async fn verify_files(
    staging: &Staging,
    marker: &ChunkMarker,
    report: &mut VerifyReport,
) -> Result<()> {
    for file in &marker.files {
        let blocks = file.row_groups.iter().chain([&file.footer]);
        let rows: u64 = file.row_groups.iter().map(|block| block.rows).sum();
        let end = blocks.clone().try_fold(0, |at, block| {
            (block.offset == at).then_some(block.offset + block.len)
        });
        if end != Some(file.size) || rows != file.rows {
            report.problem(&file.key, "the blocks that its marker names do not tile it");
            continue;
        }
        let results: Vec<Result<u64>> = stream::iter(blocks)
            .map(|block| async move {
                let bytes = read_block(staging, file, block).await?;
                Ok(bytes.len() as u64)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        for result in results {
            match noted(report, result)? {
                Some(bytes) => report.bytes += bytes,
                // One finding for an object is enough.
                None => break,
            }
        }
    }
    Ok(())
}

fn compare(
    keys: &SourceKeys,
    manifest: &Manifest,
    plan: &EffectivePlan,
    totals: &BTreeMap<(&str, &str), TableTotals>,
    report: &mut VerifyReport,
) {
    let key = keys.manifest();
    if manifest.generation + 1 != plan.plans {
        report.problem(
            &key,
            format!(
                "it was written for generation {} of the plan, and the last one that is there is {}: restore \
                 the others, or begin anew after `tideway cleanup`",
                manifest.generation,
                plan.plans - 1
            ),
        );
    }
    let empty = TableTotals::default();
    for table in &plan.tables {
        let name = (table.db.as_str(), table.table.as_str());
        let found = totals.get(&name).unwrap_or(&empty);
        let Some(counted) = manifest
            .tables
            .iter()
            .find(|t| (t.db.as_str(), t.table.as_str()) == name)
        else {
            report.problem(&key, format!("`{}`.`{}` is not in it", name.0, name.1));
            continue;
        };
        let agrees = counted.chunks == found.chunks
            && counted.rows == found.rows
            && counted.raw_bytes == found.raw_bytes
            && counted.stored_bytes == found.stored_bytes
            && counted.files == found.files;
        if !agrees {
            report.problem(
                &key,
                format!(
                    "it counts {} chunks with {} rows of `{}`.`{}`, the markers {} with {}",
                    counted.chunks.len(),
                    counted.rows,
                    name.0,
                    name.1,
                    found.chunks.len(),
                    found.rows
                ),
            );
        }
    }
    for table in &manifest.tables {
        if plan.table(&table.db, &table.table).is_none() {
            report.problem(
                &key,
                format!("`{}`.`{}` is not in the plan", table.db, table.table),
            );
        }
    }
}

/// Counts void markers and data that no marker names.
async fn count_others(
    staging: &Staging,
    keys: &SourceKeys,
    plan: &EffectivePlan,
    named: &HashSet<String>,
    report: &mut VerifyReport,
) -> Result<()> {
    let planned: HashSet<_> = plan
        .chunks()
        .map(|(table, number)| (table_stem(&table.db, &table.table), number))
        .collect();
    let dir = keys.dump_dir();
    let mut objects = staging.list(&dir);
    while let Some(object) = objects.try_next().await? {
        if ChunkFile::parse(&object.location).is_some() {
            if !named.contains(object.location.as_ref()) {
                report.unreferenced += 1;
            }
        } else if object.location.prefix_matches(&keys.chunk_markers_dir())
            && parse_chunk_marker(&object.location).is_some_and(|chunk| !planned.contains(&chunk))
        {
            report.void_markers += 1;
        }
    }
    Ok(())
}
