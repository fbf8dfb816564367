//! Ranges of all tables, dealt to the connections of this process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tideway_job::{Progress, Worker};
use tideway_mysql::retry::{RetryPolicy, with_retry};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::side::RowId;
use crate::tables::TableJob;
use crate::unit::{self, Entry, Limits, UnitResult};

/// Compares this process's share of the ranges, `connections` at a time. Returns one result for each
/// table, `None` for a table of which no range was its own.
///
/// # Errors
/// The first error of a range that trying again did not help against; the others end with it.
pub async fn run(
    tables: &Arc<Vec<TableJob>>,
    share: Worker,
    connections: usize,
    limits: Limits,
    progress: &[Progress],
    stop: &CancellationToken,
) -> Result<Vec<Option<UnitResult>>> {
    let units: Vec<(usize, usize)> = tables
        .iter()
        .enumerate()
        .flat_map(|(table, job)| (0..job.ranges.len()).map(move |range| (table, range)))
        .enumerate()
        .filter(|(number, _)| share.owns(*number as u64))
        .map(|(_, unit)| unit)
        .collect();
    announce(tables, &units, progress);
    let units = Arc::new(units);
    let next = Arc::new(AtomicUsize::new(0));
    let failed = stop.child_token();
    let mut running = JoinSet::new();
    for _ in 0..connections.min(units.len()) {
        let (tables, units, next) = (Arc::clone(tables), Arc::clone(&units), Arc::clone(&next));
        let (failed, progress) = (failed.clone(), progress.to_vec());
        running.spawn(async move {
            let mut done = Vec::new();
            loop {
                crate::check(&failed)?;
                let Some(&(table, range)) = units.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    return Ok(done);
                };
                let job = &tables[table];
                let result = one(job, range, limits, &failed)
                    .await
                    .inspect_err(|_| failed.cancel())?;
                if let Some(progress) = progress.get(job.source) {
                    progress.add_rows(result.source_rows);
                    progress.add_bytes(job.estimated_bytes / job.ranges.len().max(1) as u64);
                    progress.unit_done();
                }
                done.push((table, result));
            }
        });
    }
    let mut results: Vec<Option<UnitResult>> = vec![None; tables.len()];
    let mut failure: Option<Error> = None;
    while let Some(ended) = running.join_next().await {
        match ended.unwrap_or_else(|error| Err(Error::Worker(error.to_string()))) {
            Ok(done) => {
                for (table, result) in done {
                    add(results[table].get_or_insert_default(), result, limits.list);
                }
            }
            // Others that were told to end come with `Stopped`: the cause is what counts.
            Err(Error::Stopped) if failure.is_some() => {}
            Err(error) => {
                failed.cancel();
                if matches!(failure, None | Some(Error::Stopped)) {
                    failure = Some(error);
                }
            }
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    for result in results.iter_mut().flatten() {
        cancel_out(result);
    }
    Ok(results)
}

fn announce(tables: &[TableJob], units: &[(usize, usize)], progress: &[Progress]) {
    for (source, progress) in progress.iter().enumerate() {
        let (mut rows, mut bytes, mut count) = (0, 0, 0);
        for (table, _) in units
            .iter()
            .filter(|(table, _)| tables[*table].source == source)
        {
            let job = &tables[*table];
            let ranges = job.ranges.len().max(1) as u64;
            rows += job.estimated_rows / ranges;
            bytes += job.estimated_bytes / ranges;
            count += 1;
        }
        progress.total(rows, bytes, count);
        progress.stage("comparing");
    }
}

async fn one(
    job: &TableJob,
    range: usize,
    limits: Limits,
    stop: &CancellationToken,
) -> Result<UnitResult> {
    let (Some(sides), Some(range)) = (&job.sides, job.ranges.get(range)) else {
        return Ok(UnitResult::default());
    };
    let what = format!("compare {}.{}", job.target.schema, job.target.table);
    with_retry(&RetryPolicy::DEFAULT, &what, || {
        unit::compare(sides, range, limits, stop)
    })
    .await
}

fn add(sum: &mut UnitResult, more: UnitResult, list: usize) {
    sum.source_rows += more.source_rows;
    sum.target_rows += more.target_rows;
    sum.missing_rows += more.missing_rows;
    sum.extra_rows += more.extra_rows;
    // Twice the list: entries may cancel out across ranges.
    for (entries, more) in [
        (&mut sum.missing, more.missing),
        (&mut sum.extra, more.extra),
    ] {
        let free = (2 * list).saturating_sub(entries.len());
        entries.extend(more.into_iter().take(free));
    }
}

/// Takes away what one range misses and another has too much: the same row, which source and target
/// sort into different ranges.
fn cancel_out(result: &mut UnitResult) {
    let mut extra: BTreeMap<RowId, u64> = BTreeMap::new();
    for entry in &result.extra {
        *extra.entry(entry.id).or_default() += entry.rows;
    }
    let mut both: BTreeMap<RowId, u64> = BTreeMap::new();
    for entry in &result.missing {
        if let Some(left) = extra.get_mut(&entry.id) {
            let rows = entry.rows.min(*left);
            *left -= rows;
            *both.entry(entry.id).or_default() += rows;
        }
    }
    let gone: u64 = both.values().sum();
    result.missing_rows -= gone;
    result.extra_rows -= gone;
    let take = |entries: &mut Vec<Entry>, mut both: BTreeMap<RowId, u64>| {
        entries.retain_mut(|entry| {
            if let Some(left) = both.get_mut(&entry.id) {
                let rows = entry.rows.min(*left);
                *left -= rows;
                entry.rows -= rows;
            }
            entry.rows > 0
        });
    };
    take(&mut result.missing, both.clone());
    take(&mut result.extra, both);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u8, rows: u64) -> Entry {
        Entry {
            id: [id; 16],
            server: [id; 32],
            rows,
            key: Vec::new(),
        }
    }

    #[test]
    fn a_row_that_moved_between_ranges_is_no_difference() {
        let mut result = UnitResult {
            missing_rows: 4,
            extra_rows: 6,
            missing: vec![entry(1, 1), entry(2, 2), entry(3, 1)],
            extra: vec![entry(2, 5), entry(1, 1)],
            ..UnitResult::default()
        };
        cancel_out(&mut result);
        assert_eq!((result.missing_rows, result.extra_rows), (1, 3));
        let left = |entries: &[Entry]| {
            entries
                .iter()
                .map(|e| (e.id[0], e.rows))
                .collect::<Vec<_>>()
        };
        assert_eq!(left(&result.missing), [(3, 1)]);
        assert_eq!(left(&result.extra), [(2, 3)]);
    }
}
