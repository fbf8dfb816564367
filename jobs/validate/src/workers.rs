//! Ranges of all tables, dealt to the connections of this process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tideway_job::{Progress, Worker};
use tideway_mysql::retry::{RetryPolicy, with_retry};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::keys::{self, Suspect};
use crate::live::{Live, is_changed_definition};
use crate::rounds;
use crate::side::RowId;
use crate::tables::TableJob;
use crate::unit::{self, Entry, Limits, UnitResult};

/// How the ranges are compared.
#[derive(Clone)]
pub struct Plan {
    /// Which of them are this process's own.
    pub share: Worker,
    /// How many are compared at the same time.
    pub connections: usize,
    /// What a comparison may use.
    pub limits: Limits,
    /// The same for tables that apply follows: more rows are listed there, to be looked at again.
    pub followed: Limits,
    /// Bytes for rows that are looked at again when all ranges are compared.
    pub pending: usize,
    /// Which sources apply follows.
    pub live: Arc<Live>,
}

/// Compares this process's share of the ranges. Returns one result for each table, `None` for a table
/// of which no range was its own.
///
/// Rows of tables with a key that apply follows are looked at again when all ranges are compared, for
/// then they share the waits; beyond the memory for that, range by range.
///
/// # Errors
/// The first error of a range that trying again did not help against; the others end with it.
pub async fn run(
    tables: &Arc<Vec<TableJob>>,
    plan: &Plan,
    progress: &[Progress],
    stop: &CancellationToken,
) -> Result<Vec<Option<UnitResult>>> {
    let units: Vec<(usize, usize)> = tables
        .iter()
        .enumerate()
        .flat_map(|(table, job)| {
            (0..job.ranges.len())
                .filter(move |range| plan.share.owns(unit_number(job, *range)))
                .map(move |range| (table, range))
        })
        .collect();
    announce(tables, &units, progress);
    let units = Arc::new(units);
    let next = Arc::new(AtomicUsize::new(0));
    let sums = Arc::new(Sums::new(tables.len(), plan.limits.list, plan.pending));
    let failed = stop.child_token();
    let mut running = JoinSet::new();
    for _ in 0..plan.connections.min(units.len()) {
        let (tables, units, next) = (Arc::clone(tables), Arc::clone(&units), Arc::clone(&next));
        let (failed, progress) = (failed.clone(), progress.to_vec());
        let (sums, plan) = (Arc::clone(&sums), plan.clone());
        running.spawn(async move {
            loop {
                crate::check(&failed)?;
                let Some(&(table, range)) = units.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    return Ok(());
                };
                let job = &tables[table];
                if sums.is_outdated(table) {
                    continue;
                }
                let mut result = one(job, range, &plan, &failed)
                    .await
                    .inspect_err(|_| failed.cancel())?;
                let later = plan.looks_again(job, &result) && sums.reserve(&result);
                if !later && plan.looks_again(job, &result) {
                    let result = &mut result;
                    keys::settle(vec![Suspect { job, result }], &plan.live, &failed)
                        .await
                        .inspect_err(|_| failed.cancel())?;
                }
                if let Some(progress) = progress.get(job.source) {
                    progress.add_rows(result.source_rows);
                    progress.add_bytes(job.estimated_bytes / job.ranges.len().max(1) as u64);
                    progress.unit_done();
                }
                sums.add(table, result, later);
            }
        });
    }
    let mut failure: Option<Error> = None;
    while let Some(ended) = running.join_next().await {
        match ended.unwrap_or_else(|error| Err(Error::Worker(error.to_string()))) {
            Ok(()) => {}
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
    let mut results = sums.take();
    let suspects = tables.iter().zip(&mut results).filter_map(|(job, result)| {
        let result = result.as_mut()?;
        plan.looks_again(job, result)
            .then_some(Suspect { job, result })
    });
    let suspects: Vec<Suspect<'_>> = suspects.collect();
    if !suspects.is_empty() {
        for progress in progress {
            progress.stage("comparing again");
        }
        keys::settle(suspects, &plan.live, stop).await?;
    }
    Ok(results)
}

impl Plan {
    /// Whether the rows that were found are to be looked at again by their keys.
    fn looks_again(&self, job: &TableJob, result: &UnitResult) -> bool {
        result.differs()
            && !result.outdated
            && job.is_keyed()
            && self.live.follows(&job.source_indexes)
    }
}

/// By which a range is dealt to a process; see [`Worker::unit`].
pub fn unit_number(job: &TableJob, range: usize) -> u64 {
    Worker::unit(&job.target.schema, &job.target.table, range as u64)
}

/// What was found so far, one sum for each table. Each range is added as soon as it is compared, and
/// its entries beyond the limit go: memory holds the lists, however many ranges there are.
struct Sums {
    tables: Mutex<Vec<Option<UnitResult>>>,
    list: usize,
    /// Bytes that are left for rows to be looked at again.
    free: AtomicUsize,
}

impl Sums {
    fn new(tables: usize, list: usize, pending: usize) -> Self {
        Self {
            tables: Mutex::new(vec![None; tables]),
            list,
            free: AtomicUsize::new(pending),
        }
    }

    /// Whether there is room to keep all entries of a result.
    fn reserve(&self, result: &UnitResult) -> bool {
        let bytes = keys::weight(result);
        self.free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| {
                free.checked_sub(bytes)
            })
            .is_ok()
    }

    /// Whether the table will be compared anew.
    fn is_outdated(&self, table: usize) -> bool {
        let tables = self.lock();
        tables
            .get(table)
            .is_some_and(|sum| sum.as_ref().is_some_and(|sum| sum.outdated))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<UnitResult>>> {
        // A panic in the middle of an addition ends the job; nothing reads the sum then.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a result; `all` its entries, or those that the list has room for. Twice the list: entries
    /// may cancel out across ranges.
    fn add(&self, table: usize, result: UnitResult, all: bool) {
        let most = if all { usize::MAX } else { 2 * self.list };
        if let Some(sum) = self.lock().get_mut(table) {
            add(sum.get_or_insert_default(), result, most);
        }
    }

    fn take(&self) -> Vec<Option<UnitResult>> {
        let mut results = std::mem::take(&mut *self.lock());
        results.iter_mut().flatten().for_each(cancel_out);
        results
    }
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
    plan: &Plan,
    stop: &CancellationToken,
) -> Result<UnitResult> {
    let (Some(sides), Some(range)) = (&job.sides, job.ranges.get(range)) else {
        return Ok(UnitResult::default());
    };
    let what = format!("compare {}.{}", job.target.schema, job.target.table);
    let followed = plan.live.follows(&job.source_indexes);
    let limits = if followed { plan.followed } else { plan.limits };
    let found = with_retry(&RetryPolicy::DEFAULT, &what, || {
        unit::compare(sides, range, limits, None, stop)
    })
    .await;
    if !followed {
        return found;
    }
    let settled = match found {
        Ok(found) if found.differs() && !(job.is_keyed() && found.complete()) => {
            rounds::settle(job, range, limits, &plan.live, found, stop).await
        }
        other => other,
    };
    match settled {
        Err(error) if is_changed_definition(&error) => Ok(UnitResult {
            outdated: true,
            ..UnitResult::default()
        }),
        other => other,
    }
}

fn add(sum: &mut UnitResult, more: UnitResult, most: usize) {
    sum.source_rows += more.source_rows;
    sum.target_rows += more.target_rows;
    sum.missing_rows += more.missing_rows;
    sum.extra_rows += more.extra_rows;
    sum.rechecked += more.rechecked;
    sum.changing.extend(more.changing);
    sum.table_changing |= more.table_changing;
    sum.outdated |= more.outdated;
    for (entries, more) in [
        (&mut sum.missing, more.missing),
        (&mut sum.extra, more.extra),
    ] {
        let free = most.saturating_sub(entries.len());
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
    use tideway_mysql::schema::TableName;

    fn entry(id: u8, rows: u64) -> Entry {
        Entry {
            id: [id; 16],
            server: [id; 32],
            rows,
            key: Vec::new(),
        }
    }

    #[test]
    fn sums_keep_no_more_than_their_lists() {
        let sums = Sums::new(2, 3, 0);
        for _ in 0..100 {
            let result = UnitResult {
                source_rows: 10,
                missing_rows: 2,
                missing: vec![entry(1, 1), entry(2, 1)],
                ..UnitResult::default()
            };
            sums.add(1, result, false);
            let held = sums.lock()[1].as_ref().map_or(0, |sum| sum.missing.len());
            assert!(held <= 6, "{held} entries are held");
        }
        let results = sums.take();
        assert!(results[0].is_none());
        let sum = results[1].as_ref().unwrap();
        assert_eq!((sum.source_rows, sum.missing_rows), (1000, 200));
    }

    #[test]
    fn a_range_is_dealt_by_its_table_and_number_alone() {
        let job = |table: &str| TableJob::named(0, TableName::new("shop", table), vec![]);
        let of = |table: &str, range| unit_number(&job(table), range);
        assert_eq!(of("orders", 1), of("orders", 0) + 1);
        assert_ne!(of("orders", 0), of("items", 0));
        for count in 1..5 {
            for range in 0..20 {
                let owners =
                    (0..count).filter(|&index| Worker { index, count }.owns(of("orders", range)));
                assert_eq!(owners.count(), 1);
            }
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
