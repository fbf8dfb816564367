//! Comparing one range of a table: sums first, then, where they differ, row by row.
//!
//! Both sides are read in transactions that see one state each from the first sum to the last row. A
//! range that fails with a transient error is compared again from its beginning, on new connections.
//!
//! Beside live writers a range can be compared [`After`] apply: the target's transaction begins when
//! everything that the source's transaction sees is applied.
//!
//! Memory: rows are told apart in one map from hash to count, `source +1`, `target -1`, so what is
//! equal on both sides leaves it in the end (also in a table without a key, where counts tell how
//! often a row is there). A range of more rows than the map may hold is first split by the first three
//! digits of the hash, which both servers compute; only the parts that differ are read, as many at a
//! time as the map holds. (`ORDER BY hash` and a merge would make the server sort the table, and MySQL
//! cannot sort rows with large JSON values.)

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use futures::future::join_all;
use mysql_async::Conn;
use tideway_mysql::checksum::Hash;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::live::{Live, Positions};
use crate::ranges::Range;
use crate::side::{RowId, RowSeen, SideTable, Sum};

/// What a map entry costs: 20 bytes, a control byte, and free room of up to one and a half times that
/// while it grows.
const ENTRY_BYTES: usize = 64;

/// A row that one side has more often than the other.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Hash over all columns.
    pub id: RowId,
    /// Hash over the columns that the server hashes.
    pub server: Hash,
    /// How many times more.
    pub rows: u64,
    /// The key as SQL literals; empty for a table without one.
    pub key: Vec<String>,
}

/// What the comparison of a range found.
#[derive(Debug, Clone, Default)]
pub struct UnitResult {
    /// Rows on the source.
    pub source_rows: u64,
    /// Rows on the target.
    pub target_rows: u64,
    /// Rows of the source that the target lacks (as they are), all of them.
    pub missing_rows: u64,
    /// Rows of the target that the source lacks, all of them.
    pub extra_rows: u64,
    /// The first of the missing rows.
    pub missing: Vec<Entry>,
    /// The first of the extra rows.
    pub extra: Vec<Entry>,
    /// Count and sum of the source's rows.
    pub source: Sum,
    /// Where the sources stood after they were read, when the target was read [`After`] that.
    pub at: Positions,
    /// How many rows were compared again after apply had passed.
    pub rechecked: u64,
    /// Keys of rows that the source changed in every round.
    pub changing: BTreeSet<Vec<String>>,
    /// The table as a whole was changed in every round (of tables without a key).
    pub table_changing: bool,
    /// The definition is no longer the one that was compared by: compare the table anew.
    pub outdated: bool,
}

impl UnitResult {
    /// Whether rows differ.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.missing_rows + self.extra_rows > 0
    }

    /// Rows that differ and have no entry: missing and extra.
    #[must_use]
    pub fn without_entry(&self) -> (u64, u64) {
        let listed = |entries: &[Entry]| entries.iter().map(|entry| entry.rows).sum::<u64>();
        (
            self.missing_rows.saturating_sub(listed(&self.missing)),
            self.extra_rows.saturating_sub(listed(&self.extra)),
        )
    }

    /// Whether each row that differs has an entry.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.without_entry() == (0, 0)
    }
}

/// What the target must have applied before it is read.
#[derive(Clone, Copy)]
pub struct After<'a> {
    /// What knows positions and checkpoints.
    pub live: &'a Live,
    /// Indexes of the sources that have a part in the table.
    pub sources: &'a [usize],
}

/// A table with its sides: the source's tables that meet in one target table, and that one.
pub struct Sides {
    /// The source's tables.
    pub sources: Vec<SideTable>,
    /// The target's table.
    pub target: SideTable,
}

/// What a comparison may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes for the map of hashes.
    pub memory: usize,
    /// List at most so many rows of each side.
    pub list: usize,
}

/// Compares one range; with `after`, the target as it is when it has what the source held.
///
/// # Errors
/// Those of the servers, a stop, or that apply does not go on.
pub async fn compare(
    sides: &Sides,
    range: &Range,
    limits: Limits,
    after: Option<After<'_>>,
    stop: &CancellationToken,
) -> Result<UnitResult> {
    let (mut comparison, at) = Comparison::begin(sides, range, after, stop).await?;
    let (source, target) = comparison.sums().await?;
    let mut result = UnitResult {
        source_rows: source.rows,
        target_rows: target.rows,
        source,
        at,
        ..UnitResult::default()
    };
    if source == target {
        return Ok(result);
    }
    let most = (limits.memory / ENTRY_BYTES).max(1000) as u64;
    if source.rows + target.rows <= most {
        comparison.narrow(None, limits.list, &mut result).await?;
        return Ok(result);
    }
    for condition in comparison.differing_parts(most).await? {
        let left = limits
            .list
            .saturating_sub(result.missing.len().max(result.extra.len()));
        comparison
            .narrow(Some(&condition), left, &mut result)
            .await?;
    }
    Ok(result)
}

struct Comparison<'a> {
    sides: &'a Sides,
    range: &'a Range,
    stop: &'a CancellationToken,
    sources: Vec<Conn>,
    target: Conn,
}

impl<'a> Comparison<'a> {
    async fn begin(
        sides: &'a Sides,
        range: &'a Range,
        after: Option<After<'_>>,
        stop: &'a CancellationToken,
    ) -> Result<(Self, Positions)> {
        let mut sources = Vec::with_capacity(sides.sources.len());
        for side in &sides.sources {
            sources.push(side.begin().await?);
        }
        let mut at = Positions::new();
        if let Some(after) = after {
            // Read behind the snapshots: what they show lies before it.
            at = after.live.positions(after.sources).await?;
            after.live.applied(&at).await?;
        }
        let target = sides.target.begin().await?;
        let comparison = Self {
            sides,
            range,
            stop,
            sources,
            target,
        };
        Ok((comparison, at))
    }

    /// The sums of both sides, computed at the same time.
    ///
    /// Both are awaited to their end also when one fails: a query dropped half-way would spoil its
    /// connection.
    async fn sums(&mut self) -> Result<(Sum, Sum)> {
        let Self {
            sides,
            range,
            stop,
            sources,
            target,
        } = self;
        let ours = join_all(
            sides
                .sources
                .iter()
                .zip(sources)
                .map(|(side, conn)| side.sum(conn, range, stop)),
        );
        let (ours, theirs) = futures::join!(ours, sides.target.sum(target, range, stop));
        let mut source = Sum::default();
        for sum in ours {
            source = source.plus(sum?);
        }
        Ok((source, theirs?))
    }

    /// Conditions that select the parts by hash that differ, each with at most `most` rows (or one
    /// part, if that has more).
    async fn differing_parts(&mut self, most: u64) -> Result<Vec<String>> {
        let Self {
            sides,
            range,
            stop,
            sources,
            target,
        } = self;
        let ours = join_all(
            sides
                .sources
                .iter()
                .zip(sources)
                .map(|(side, conn)| side.buckets(conn, range, stop)),
        );
        let (ours, theirs) = futures::join!(ours, sides.target.buckets(target, range, stop));
        let theirs = theirs?;
        let mut source = vec![Sum::default(); theirs.len()];
        for sums in ours {
            for (sum, more) in source.iter_mut().zip(sums?) {
                *sum = sum.plus(more);
            }
        }
        Ok(parts(&source, &theirs, most))
    }

    /// Reads the rows that `condition` selects from both sides and adds what differs to `result`.
    async fn narrow(
        &mut self,
        condition: Option<&str>,
        list: usize,
        result: &mut UnitResult,
    ) -> Result<()> {
        let counts: Mutex<HashMap<RowId, i64>> = Mutex::default();
        self.read(condition, false, |row, by| {
            let mut counts = counts
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let count = counts.entry(row.id).or_default();
            *count += by;
            if *count == 0 {
                counts.remove(&row.id);
            }
        })
        .await?;
        let counts = counts
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut wanted: HashMap<RowId, i64> = HashMap::new();
        let (mut missing, mut extra) = (0, 0);
        for (id, count) in counts {
            let (rows, listed) = if count > 0 {
                (&mut result.missing_rows, &mut missing)
            } else {
                (&mut result.extra_rows, &mut extra)
            };
            *rows += count.unsigned_abs();
            if *listed < list {
                *listed += 1;
                wanted.insert(id, count);
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let found: Mutex<Vec<(Entry, bool)>> = Mutex::default();
        let wanted = Mutex::new(wanted);
        self.read(condition, true, |row, by| {
            let mut wanted = wanted
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if wanted
                .get(&row.id)
                .is_some_and(|count| count.signum() == by)
                && let Some(count) = wanted.remove(&row.id)
            {
                let RowSeen { id, server, key } = row;
                let entry = Entry {
                    id,
                    server,
                    rows: count.unsigned_abs(),
                    key,
                };
                found
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .push((entry, by > 0));
            }
        })
        .await?;
        for (entry, is_missing) in found
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
        {
            if is_missing {
                result.missing.push(entry);
            } else {
                result.extra.push(entry);
            }
        }
        Ok(())
    }

    /// Streams the rows of all sides at once; `each` gets 1 with the source's rows and -1 with the
    /// target's.
    async fn read(
        &mut self,
        condition: Option<&str>,
        with_key: bool,
        each: impl Fn(RowSeen, i64) + Sync,
    ) -> Result<()> {
        let each = &each;
        let Self {
            sides,
            range,
            stop,
            sources,
            target,
        } = self;
        let (range, stop) = (*range, *stop);
        let ours = join_all(sides.sources.iter().zip(sources).map(|(side, conn)| {
            let condition = condition.map(|c| c.replace(ROW, side.row_expr()));
            async move {
                side.rows(conn, range, condition.as_deref(), with_key, stop, |row| {
                    each(row, 1);
                })
                .await
            }
        }));
        let theirs = condition.map(|c| c.replace(ROW, sides.target.row_expr()));
        let theirs = sides
            .target
            .rows(target, range, theirs.as_deref(), with_key, stop, |row| {
                each(row, -1);
            });
        let (ours, theirs) = futures::join!(ours, theirs);
        for side in ours {
            side?;
        }
        theirs
    }
}

/// Stands for a side's own row expression in a condition that both sides share. No identifier can
/// hold the zero byte.
const ROW: &str = "\0row\0";

fn parts(source: &[Sum], target: &[Sum], most: u64) -> Vec<String> {
    let mut conditions = Vec::new();
    let mut digits: Vec<String> = Vec::new();
    let mut rows = 0;
    for (index, (ours, theirs)) in source.iter().zip(target).enumerate() {
        if ours == theirs {
            continue;
        }
        let more = ours.rows + theirs.rows;
        if !digits.is_empty() && rows + more > most {
            conditions.push(condition(&digits));
            digits.clear();
            rows = 0;
        }
        digits.push(format!("'{index:03x}'"));
        rows += more;
    }
    if !digits.is_empty() {
        conditions.push(condition(&digits));
    }
    conditions
}

fn condition(digits: &[String]) -> String {
    format!("SUBSTRING({ROW},1,3) IN ({})", digits.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_that_differ_are_read_and_as_many_as_fit() {
        let sum = |rows, hashes| Sum { rows, hashes };
        let source = [sum(3, 1), sum(3, 2), sum(3, 3), sum(9, 4), sum(0, 0)];
        let target = [sum(3, 1), sum(3, 5), sum(2, 3), sum(9, 5), sum(1, 1)];
        assert_eq!(
            parts(&source, &target, 11),
            [
                format!("SUBSTRING({ROW},1,3) IN ('001','002')"),
                format!("SUBSTRING({ROW},1,3) IN ('003')"),
                format!("SUBSTRING({ROW},1,3) IN ('004')"),
            ]
        );
        assert_eq!(parts(&source, &source, 1), Vec::<String>::new());
    }
}
