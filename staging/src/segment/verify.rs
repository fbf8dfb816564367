//! Whether the segments of a source are whole: the chain, and every block's checksum.

use std::collections::{BTreeSet, HashSet};

use futures::TryStreamExt;

use super::chain::Chain;
use super::marker::{SegmentMarker, read_marker};
use super::read::SegmentReader;
use crate::layout::{SegmentFile, SourceKeys, parse_segment_marker};
use crate::verify::Problem;
use crate::{Error, Result, Staging};

/// What [`verify_segments`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentsReport {
    /// Segments that exist.
    pub segments: u64,
    /// Number of the first; more than 1 when those before were removed after they were applied.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
    /// Events that the markers count.
    pub events: u64,
    /// Bytes that were unpacked and verified.
    pub bytes: u64,
    /// Data that no marker names: `tideway staging gc` removes it.
    pub unreferenced: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl SegmentsReport {
    fn problem(&mut self, key: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Problem {
            key: key.into(),
            what: what.into(),
        });
    }
}

/// Verifies the segments of a source; `progress` is told number and last number after each.
///
/// # Errors
/// When the store fails. Damage is no error: it is in the report.
pub async fn verify_segments(
    staging: &Staging,
    keys: &SourceKeys,
    mut progress: impl FnMut(u64, u64) + Send,
) -> Result<SegmentsReport> {
    let mut report = SegmentsReport::default();
    let mut numbers = BTreeSet::new();
    let mut data = HashSet::new();
    let dir = keys.binlog_dir();
    let mut objects = staging.list(&dir);
    while let Some(object) = objects.try_next().await? {
        if let Some(number) = parse_segment_marker(&object.location) {
            numbers.insert(number);
        } else if SegmentFile::parse(&object.location).is_some() {
            data.insert(object.location.to_string());
        }
    }
    let (Some(&first), Some(&last)) = (numbers.first(), numbers.last()) else {
        report.unreferenced = data.len() as u64;
        return Ok(report);
    };
    (report.first, report.last) = (first, last);
    let mut chain = match first {
        1 => noted(&mut report, Chain::start(staging, keys).await)?,
        // What it followed was removed, so nothing can be said of its `previous`.
        _ => None,
    };
    for number in first..=last {
        let marker = match noted(&mut report, read_marker(staging, keys, number).await)? {
            Some(Some(found)) => found,
            Some(None) => {
                report.problem(
                    keys.segment_marker(number).to_string(),
                    format!("the marker is missing. {}", super::WAY_OUT),
                );
                chain = None;
                continue;
            }
            None => {
                chain = None;
                continue;
            }
        };
        let (marker, hash) = marker;
        if let Some(chain) = &mut chain {
            let accepted = chain.accept(staging, keys, &marker, &hash);
            noted(&mut report, accepted)?;
        }
        chain = Some(Chain::after(number, hash));
        report.segments += 1;
        report.events += marker.events;
        if let Some(key) = &marker.key {
            data.remove(key);
        }
        let read = read_through(staging, &marker).await;
        report.bytes += noted(&mut report, read)?.unwrap_or_default();
        progress(number, last);
    }
    report.unreferenced = data.len() as u64;
    Ok(report)
}

async fn read_through(staging: &Staging, marker: &SegmentMarker) -> Result<u64> {
    let mut reader = SegmentReader::open(staging, marker)?;
    let mut bytes = 0;
    while let Some(block) = reader.next_block().await? {
        bytes += block.len() as u64;
    }
    Ok(bytes)
}

/// Turns damage into a finding (`None`), lets what the store said be an error.
fn noted<T>(report: &mut SegmentsReport, result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Damaged { key, what, .. } | Error::NotFound { key, what, .. }) => {
            report.problem(key, what);
            Ok(None)
        }
        Err(error @ Error::Chain { .. }) => {
            let Error::Chain { key, .. } = &error else {
                return Err(error);
            };
            report.problem(key.clone(), error.to_string());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
