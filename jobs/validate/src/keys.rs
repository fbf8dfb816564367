//! Rows that differed beside live writers, looked at again by their keys.
//!
//! All tables go through the rounds together, so that they share the waits: the sources' rows are read,
//! then the sources' positions, and when apply has passed these, the target's rows. Rows that are equal
//! now were on their way. One that differs in the same way in [`CONFIRM`] rounds, or in two between
//! which no source was written, is a difference. What its source changes in each of [`ROUNDS`] rounds is
//! reported as still changing.
//!
//! Memory: the key and the hashes of each of these rows, a few times; the caller bounds how many they
//! are.

use std::collections::{BTreeSet, HashMap};

use tideway_mysql::retry::{RetryPolicy, with_retry};
use tokio_util::sync::CancellationToken;

use crate::details::key_condition;
use crate::error::Result;
use crate::live::{Live, Positions, is_changed_definition};
use crate::ranges::Range;
use crate::rounds::{CONFIRM, ROUNDS, is_quiet, pause};
use crate::side::{RowId, RowSeen, SideTable};
use crate::tables::TableJob;
use crate::unit::{Entry, Sides, UnitResult};

/// As many keys, and as many bytes of them, go into one statement.
const KEYS: usize = 200;
const KEY_BYTES: usize = 256 << 10;

/// What an entry costs beside its key, in bytes: its hashes, and once more in each map of a round.
const ENTRY_BYTES: usize = 512;

/// About how much memory it takes to look at the rows of a result again, in bytes.
#[must_use]
pub fn weight(result: &UnitResult) -> usize {
    let entries = result.missing.iter().chain(&result.extra);
    entries
        .map(|entry| {
            ENTRY_BYTES
                + 4 * entry
                    .key
                    .iter()
                    .map(|value| value.len() + 24)
                    .sum::<usize>()
        })
        .sum()
}

/// A table with a key, and what was found of it.
pub struct Suspect<'a> {
    /// The table.
    pub job: &'a TableJob,
    /// What was found; only differences are left in it.
    pub result: &'a mut UnitResult,
}

/// Looks at the entries of these tables until what is left are differences. A table whose definition
/// changed is marked as outdated.
///
/// # Errors
/// Those of the servers, a stop, or that apply does not go on.
pub async fn settle(
    suspects: Vec<Suspect<'_>>,
    live: &Live,
    stop: &CancellationToken,
) -> Result<()> {
    let mut tables: Vec<Table<'_>> = suspects.into_iter().filter_map(Table::new).collect();
    let mut last = Positions::new();
    for round in 1..=ROUNDS {
        if tables.is_empty() {
            break;
        }
        pause(round, stop).await?;
        for table in &mut tables {
            let read = table.read_sources(stop).await;
            table.unless_outdated(read)?;
        }
        let sources: BTreeSet<usize> = tables
            .iter()
            .flat_map(|table| table.sources.iter().copied())
            .collect();
        let sources: Vec<usize> = sources.into_iter().collect();
        let at = live.positions(&sources).await?;
        live.applied(&at).await?;
        for table in &mut tables {
            let read = table.read_target(stop).await;
            table.unless_outdated(read)?;
            table.judge(&last, &at, round == ROUNDS);
        }
        tables.retain(|table| !table.done);
        last = at;
    }
    Ok(())
}

struct Table<'a> {
    sides: &'a Sides,
    sources: &'a [usize],
    result: &'a mut UnitResult,
    /// Missing and extra rows that have no entry.
    unknown: (u64, u64),
    /// The keys that are still looked at.
    keys: BTreeSet<Vec<String>>,
    /// The rows of these keys: how many times more at the source than at the target.
    rows: HashMap<RowId, (i64, RowSeen)>,
    /// In how many rounds in a row the source had a row more often (`true`), or the target.
    seen: HashMap<(RowId, bool), u32>,
    done: bool,
}

impl<'a> Table<'a> {
    fn new(suspect: Suspect<'a>) -> Option<Self> {
        let Suspect { job, result } = suspect;
        let sides = job.sides.as_ref()?;
        let entries = result.missing.iter().chain(&result.extra);
        let keys: BTreeSet<Vec<String>> = entries.map(|entry| entry.key.clone()).collect();
        if keys.is_empty() {
            return None;
        }
        let unknown = result.without_entry();
        result.rechecked += keys.len() as u64;
        // From here on `rows` has them.
        result.missing = Vec::new();
        result.extra = Vec::new();
        Some(Self {
            sides,
            sources: &job.source_indexes,
            result,
            unknown,
            keys,
            rows: HashMap::new(),
            seen: HashMap::new(),
            done: false,
        })
    }

    fn unless_outdated(&mut self, read: Result<()>) -> Result<()> {
        match read {
            Err(error) if is_changed_definition(&error) => {
                self.result.outdated = true;
                self.done = true;
                Ok(())
            }
            other => other,
        }
    }

    async fn read_sources(&mut self, stop: &CancellationToken) -> Result<()> {
        self.rows.clear();
        let sides = self.sides;
        for side in &sides.sources {
            self.read(side, 1, stop).await?;
        }
        Ok(())
    }

    async fn read_target(&mut self, stop: &CancellationToken) -> Result<()> {
        if self.done {
            return Ok(());
        }
        let sides = self.sides;
        self.read(&sides.target, -1, stop).await
    }

    async fn read(&mut self, side: &SideTable, by: i64, stop: &CancellationToken) -> Result<()> {
        let what = format!("read rows of {} again", side.def.name);
        for condition in conditions(side, &self.keys) {
            let found = with_retry(&RetryPolicy::DEFAULT, &what, || async {
                let mut conn = side.server.conn().await?;
                let mut found = Vec::new();
                side.rows(
                    &mut conn,
                    &Range::default(),
                    Some(&condition),
                    true,
                    stop,
                    |row| found.push(row),
                )
                .await?;
                Ok::<_, crate::Error>(found)
            })
            .await?;
            for row in found {
                let count = self.rows.entry(row.id).or_insert((0, row));
                count.0 += by;
                if count.0 == 0 {
                    let id = count.1.id;
                    self.rows.remove(&id);
                }
            }
        }
        Ok(())
    }

    /// Takes what is left after a round.
    fn judge(&mut self, last: &Positions, at: &Positions, is_last: bool) {
        if self.done {
            return;
        }
        let own = |positions: &Positions| -> Positions {
            let own = positions
                .iter()
                .filter(|(source, _)| self.sources.contains(source));
            own.cloned().collect()
        };
        let enough = if is_quiet(&own(last), &own(at)) {
            2
        } else {
            CONFIRM
        };
        let seen: HashMap<(RowId, bool), u32> = self
            .rows
            .iter()
            .map(|(id, (count, _))| {
                let way = (*id, *count > 0);
                (way, self.seen.get(&way).copied().unwrap_or(0) + 1)
            })
            .collect();
        self.seen = seen;
        if is_last || self.seen.values().all(|rounds| *rounds >= enough) {
            self.finish(enough);
        } else {
            self.keys = self.rows.values().map(|(_, row)| row.key.clone()).collect();
        }
    }

    fn finish(&mut self, enough: u32) {
        self.done = true;
        let (mut missing, mut extra) = self.unknown;
        for (id, (count, row)) in self.rows.drain() {
            let way = (id, count > 0);
            if self.seen.get(&way).is_none_or(|rounds| *rounds < enough) {
                self.result.changing.insert(row.key.clone());
            }
            let rows = count.unsigned_abs();
            let entry = Entry {
                id,
                server: row.server,
                rows,
                key: row.key,
            };
            if count > 0 {
                missing += rows;
                self.result.missing.push(entry);
            } else {
                extra += rows;
                self.result.extra.push(entry);
            }
        }
        self.result.missing_rows = missing;
        self.result.extra_rows = extra;
    }
}

/// Conditions that select the rows of these keys, a bounded number each.
fn conditions(side: &SideTable, keys: &BTreeSet<Vec<String>>) -> Vec<String> {
    let mut conditions = Vec::new();
    let mut parts: Vec<String> = Vec::new();
    let mut bytes = 0;
    for key in keys {
        let part = format!("({})", key_condition(side, key));
        if !parts.is_empty() && (parts.len() >= KEYS || bytes + part.len() > KEY_BYTES) {
            conditions.push(parts.join(" OR "));
            parts.clear();
            bytes = 0;
        }
        bytes += part.len();
        parts.push(part);
    }
    if !parts.is_empty() {
        conditions.push(parts.join(" OR "));
    }
    conditions
}
