//! Which segment data nobody can ever read.
//!
//! Data of a number whose marker names other data can go at once: its own marker can never be created.
//! Data of a number without a marker is what a killed capture left, or what a capture is about to
//! commit. The caller has seen that no capture of the source holds its lease; for one that takes it in
//! this moment, such data must be older than the minimum as well.

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use futures::TryStreamExt;
use object_store::ObjectMeta;

use super::marker::read_marker;
use crate::gc::{GcOptions, GcReport};
use crate::layout::{SegmentFile, SourceKeys};
use crate::{Result, Staging};

/// Removes segment data that no marker names, and adds it to `report`.
pub(crate) async fn clean(
    staging: &Staging,
    keys: &SourceKeys,
    options: &GcOptions,
    leftover_age: Duration,
    report: &mut GcReport,
) -> Result<()> {
    let data: Vec<ObjectMeta> = staging.list(&keys.binlog_dir()).try_collect().await?;
    let mut named: HashMap<u64, Option<String>> = HashMap::new();
    let now = Utc::now();
    for object in data {
        let Some(file) = SegmentFile::parse(&object.location) else {
            continue;
        };
        let by_marker = match named.get(&file.number) {
            Some(by_marker) => by_marker.clone(),
            None => {
                let marker = read_marker(staging, keys, file.number).await?;
                // An empty segment's marker names nothing, which no key equals.
                let by_marker = marker.map(|(marker, _)| marker.key.unwrap_or_default());
                named.insert(file.number, by_marker.clone());
                by_marker
            }
        };
        match by_marker {
            Some(key) if key == object.location.as_ref() => continue,
            Some(_) => {}
            None => {
                let age = (now - object.last_modified).to_std().unwrap_or_default();
                if age < options.min_age {
                    report.kept.push(object.location.to_string());
                    continue;
                }
            }
        }
        if !options.dry_run {
            staging.delete(&object.location).await?;
        }
        report.bytes += object.size;
        report.removed.push(object.location.to_string());
    }
    let leftovers = staging
        .clean_leftovers(&keys.binlog_dir(), leftover_age, options.dry_run)
        .await?;
    report.bytes += leftovers.bytes;
    report.temporary_files += leftovers.files;
    Ok(())
}
