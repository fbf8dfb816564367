//! Comparing a range again and again beside live writers: for tables without a key, and for ranges in
//! which more rows differ than are remembered.
//!
//! Each round compares the range [`After`] apply has passed what the source held. A row that is wrong at
//! the target is found in every round, one that was under way in one or two: what all rounds have in
//! common is the difference. A round in which no source had moved since the last proves what both
//! found.

use std::collections::HashMap;
use std::time::Duration;

use tideway_mysql::retry::{RetryPolicy, with_retry};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::live::{Live, Positions};
use crate::ranges::Range;
use crate::side::RowId;
use crate::tables::TableJob;
use crate::unit::{self, After, Entry, Limits, UnitResult};

/// After so many rounds a row that its source changes all the time is reported as such.
pub const ROUNDS: u32 = 10;
/// A row that differs in the same way in so many rounds in a row is a difference.
pub const CONFIRM: u32 = 4;
/// So many rounds wait for a range to differ in no more rows than can be remembered.
const CROWDED: u32 = 3;
/// The pause before the second round, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Pauses before a round, from the second; twice as long each time.
///
/// # Errors
/// A stop.
pub async fn pause(round: u32, stop: &CancellationToken) -> Result<()> {
    if round < 2 {
        return crate::check(stop);
    }
    let time = PAUSE
        .0
        .saturating_mul(1 << (round - 2).min(16))
        .min(PAUSE.1);
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = stop.cancelled() => Err(Error::Stopped),
    }
}

/// Whether these positions say that no source was written since `last`.
#[must_use]
pub fn is_quiet(last: &Positions, now: &Positions) -> bool {
    !now.is_empty() && last == now
}

/// Compares a range that differed, as `first` says, until what is left is a difference. Of a table with
/// a key: until the rows that differ have entries, which the caller then looks at by key.
///
/// # Errors
/// Those of the servers, a stop, or that apply does not go on.
pub async fn settle(
    job: &TableJob,
    range: &Range,
    limits: Limits,
    live: &Live,
    first: UnitResult,
    stop: &CancellationToken,
) -> Result<UnitResult> {
    let Some(sides) = &job.sides else {
        return Ok(first);
    };
    let keyed = job.is_keyed();
    let after = After {
        live,
        sources: &job.source_indexes,
    };
    let what = format!("compare {}.{} again", job.target.schema, job.target.table);
    let rows = first.missing_rows + first.extra_rows;
    let mut found = first;
    let mut same = 0;
    for round in 1..=ROUNDS {
        pause(round, stop).await?;
        let next = with_retry(&RetryPolicy::DEFAULT, &what, || {
            unit::compare(sides, range, limits, Some(after), stop)
        })
        .await?;
        let quiet = is_quiet(&found.at, &next.at);
        same = if next.source == found.source {
            same + 1
        } else {
            0
        };
        found = if keyed { next } else { common(&found, next) };
        let enough = if keyed {
            found.complete() || round == CROWDED
        } else {
            !found.differs() || same >= CONFIRM
        };
        if quiet || enough {
            found.rechecked = rows;
            return Ok(found);
        }
    }
    found.rechecked = rows;
    found.table_changing = true;
    Ok(found)
}

/// What both rounds found, with the counts of the later one. Where one of them has rows without an
/// entry they cannot be matched, and the later one counts.
fn common(former: &UnitResult, mut next: UnitResult) -> UnitResult {
    if former.complete() && next.complete() {
        for (before, entries, rows) in [
            (&former.missing, &mut next.missing, &mut next.missing_rows),
            (&former.extra, &mut next.extra, &mut next.extra_rows),
        ] {
            let before: HashMap<RowId, u64> =
                before.iter().map(|entry| (entry.id, entry.rows)).collect();
            entries.retain_mut(|entry: &mut Entry| {
                entry.rows = entry.rows.min(before.get(&entry.id).copied().unwrap_or(0));
                entry.rows > 0
            });
            *rows = entries.iter().map(|entry| entry.rows).sum();
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(missing: &[(u8, u64)], extra: &[(u8, u64)]) -> UnitResult {
        let entries = |rows: &[(u8, u64)]| {
            rows.iter()
                .map(|&(id, rows)| Entry {
                    id: [id; 16],
                    server: [id; 32],
                    rows,
                    key: Vec::new(),
                })
                .collect::<Vec<_>>()
        };
        let sum = |rows: &[(u8, u64)]| rows.iter().map(|row| row.1).sum();
        UnitResult {
            missing_rows: sum(missing),
            extra_rows: sum(extra),
            missing: entries(missing),
            extra: entries(extra),
            ..UnitResult::default()
        }
    }

    #[test]
    fn only_what_every_round_finds_is_left() {
        let first = found(&[(1, 1), (2, 5)], &[(3, 1)]);
        let both = common(&first, found(&[(2, 3), (3, 1)], &[(1, 1)]));
        assert_eq!((both.missing_rows, both.extra_rows), (3, 0));
        assert_eq!(both.missing[0].id, [2; 16]);
        assert!(!common(&both, found(&[], &[(2, 3)])).differs());
    }

    #[test]
    fn rows_without_an_entry_are_not_forgotten() {
        let first = found(&[(1, 1)], &[]);
        let mut crowded = found(&[(2, 1)], &[]);
        crowded.missing_rows = 900;
        assert!(!crowded.complete());
        assert_eq!(common(&first, crowded).missing_rows, 900);
    }
}
