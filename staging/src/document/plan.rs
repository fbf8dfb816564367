//! The plan of a dump and its generations.
//!
//! Generation 0 is written once, create-if-absent, before the first chunk. When a table's
//! definition changed under the dump, or a consistent snapshot was lost by a kill, what must be done
//! anew is planned as generation 1, 2, … beside it; nothing is overwritten. Readers overlay them in
//! order ([`EffectivePlan`]). Chunk numbers of a table that is planned again go on above its old
//! ones, so that an old marker, or one that a zombie still writes, matches no chunk of the plan: it
//! is void without anybody deleting it.
//!
//! A generation is found by asking for its number until one is absent. Generations are created in
//! order, each by create-if-absent, so there is no gap, and all that see n see all before it.
//!
//! The manifest closes the plan: a generation above the manifest's own, which a process that was cut
//! off may still write, belongs to no dump, and [`read_plan`] leaves it out.

use std::ops::Range;

use chrono::{DateTime, Utc};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{Json, read_manifest};
use crate::layout::SourceKeys;
use crate::{Result, Staging};

/// One generation of the plan, as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this document.
    pub version: u32,
    /// Name of the task.
    pub task: String,
    /// Id of the source.
    pub source: String,
    /// UUID of the server that was planned on.
    pub server_uuid: String,
    /// 0 for the first.
    pub generation: u32,
    /// Replaces everything before it, not only the tables that it names.
    #[serde(default)]
    pub complete: bool,
    /// Consistency that was taken: `flush`, `lock`, `snapshot`, `none`.
    pub consistency: String,
    /// Whether all chunks are read from one snapshot.
    pub snapshot: bool,
    /// Where the binlog begins for this dump.
    pub start: Json,
    /// The databases.
    pub databases: Vec<DatabasePlan>,
    /// The tables and their chunks.
    pub tables: Vec<TablePlan>,
    /// The views.
    pub views: Vec<ViewPlan>,
    /// When it was planned.
    pub created_at: DateTime<Utc>,
    /// Which process planned it.
    pub attempt: String,
}

/// A database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabasePlan {
    /// Its name.
    pub db: String,
    /// Its `CREATE DATABASE`.
    pub create_sql: String,
}

/// A view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewPlan {
    /// Its database.
    pub db: String,
    /// Its name.
    pub view: String,
    /// Its `CREATE VIEW`.
    pub create_sql: String,
}

/// A table and how it is cut into chunks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TablePlan {
    /// Its database.
    pub db: String,
    /// Its name.
    pub table: String,
    /// Its definition.
    pub definition: Json,
    /// Hash of its definition: each chunk checks that it still holds.
    pub definition_hash: String,
    /// S_t: the definition held at this position.
    pub position: Json,
    /// Columns of the key that chunks are ranges of; empty without one.
    pub key: Vec<String>,
    /// k bounds make k + 1 chunks: `[bounds[i - 1], bounds[i])`, the first and the last open.
    pub bounds: Vec<Vec<Json>>,
    /// Number of the first chunk; 0 only in the first generation that names the table, and only if
    /// that is the plan's first.
    pub first_chunk: u32,
    /// Rows, as the source estimates them.
    pub estimated_rows: u64,
    /// Bytes, as the source estimates them.
    pub estimated_bytes: u64,
    /// Only the definition is wanted: no chunks.
    #[serde(default)]
    pub no_data: bool,
    /// Only rows that match are wanted.
    #[serde(default)]
    pub where_clause: Option<String>,
}

/// Lower bound (inclusive) and upper bound (exclusive) of a chunk; `None` is open.
pub type ChunkRange<'a> = (Option<&'a [Json]>, Option<&'a [Json]>);

impl TablePlan {
    /// How many chunks it has; none for a table of which only the definition is wanted.
    #[must_use]
    pub fn chunk_count(&self) -> u32 {
        if self.no_data {
            return 0;
        }
        // A plan of more bounds than numbers could not be held in memory.
        u32::try_from(self.bounds.len()).unwrap_or(u32::MAX - 1) + 1
    }

    /// The numbers of its chunks.
    #[must_use]
    pub fn chunk_numbers(&self) -> Range<u32> {
        self.first_chunk..self.first_chunk.saturating_add(self.chunk_count())
    }

    /// The range of keys of the chunk of this number.
    #[must_use]
    pub fn chunk_range(&self, number: u32) -> ChunkRange<'_> {
        let index = number.saturating_sub(self.first_chunk) as usize;
        let lower = index
            .checked_sub(1)
            .and_then(|before| self.bounds.get(before));
        (
            lower.map(Vec::as_slice),
            self.bounds.get(index).map(Vec::as_slice),
        )
    }
}

/// All generations laid over each other: what the dump consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectivePlan {
    /// How many generations there are.
    pub plans: u32,
    /// Name of the task.
    pub task: String,
    /// Id of the source.
    pub source: String,
    /// UUID of the server; the last generation's.
    pub server_uuid: String,
    /// The last generation's consistency.
    pub consistency: String,
    /// Whether the last generation is read from one snapshot.
    pub snapshot: bool,
    /// Where the binlog begins; the last generation's.
    pub start: Json,
    /// The databases.
    pub databases: Vec<DatabasePlan>,
    /// The tables, in the order in which they were planned.
    pub tables: Vec<TablePlan>,
    /// The views.
    pub views: Vec<ViewPlan>,
    /// When the last generation was planned.
    pub created_at: DateTime<Utc>,
}

impl EffectivePlan {
    /// Lays generations over each other, the first being number 0, up to `last` if it is given;
    /// `None` without any.
    #[must_use]
    pub fn overlay_until(mut generations: Vec<Plan>, last: Option<u32>) -> Option<Self> {
        if let Some(last) = last {
            generations.truncate(usize::try_from(last).map_or(usize::MAX, |n| n.saturating_add(1)));
        }
        Self::overlay(generations)
    }

    /// Lays generations over each other, the first being number 0; `None` without any.
    #[must_use]
    pub fn overlay(generations: Vec<Plan>) -> Option<Self> {
        let mut effective: Option<Self> = None;
        for plan in generations {
            match effective.as_mut() {
                Some(before) => before.lay_over(plan),
                None => effective = Some(plan.into()),
            }
        }
        effective
    }

    fn lay_over(&mut self, plan: Plan) {
        let plans = self.plans + 1;
        if plan.complete {
            *self = plan.into();
            self.plans = plans;
            return;
        }
        for table in plan.tables {
            let same = |t: &&mut TablePlan| t.db == table.db && t.table == table.table;
            match self.tables.iter_mut().find(same) {
                Some(former) => *former = table,
                None => self.tables.push(table),
            }
        }
        for database in plan.databases {
            match self.databases.iter_mut().find(|d| d.db == database.db) {
                Some(former) => *former = database,
                None => self.databases.push(database),
            }
        }
        for view in plan.views {
            let same = |v: &&mut ViewPlan| v.db == view.db && v.view == view.view;
            match self.views.iter_mut().find(same) {
                Some(former) => *former = view,
                None => self.views.push(view),
            }
        }
        self.plans = plans;
        self.server_uuid = plan.server_uuid;
        self.consistency = plan.consistency;
        self.snapshot = plan.snapshot;
        self.start = plan.start;
        self.created_at = plan.created_at;
    }

    /// The table of this name.
    #[must_use]
    pub fn table(&self, db: &str, table: &str) -> Option<&TablePlan> {
        self.tables.iter().find(|t| t.db == db && t.table == table)
    }

    /// Every chunk, in the order of the tables.
    pub fn chunks(&self) -> impl Iterator<Item = (&TablePlan, u32)> {
        self.tables
            .iter()
            .flat_map(|table| table.chunk_numbers().map(move |number| (table, number)))
    }
}

impl From<Plan> for EffectivePlan {
    fn from(plan: Plan) -> Self {
        Self {
            plans: 1,
            task: plan.task,
            source: plan.source,
            server_uuid: plan.server_uuid,
            consistency: plan.consistency,
            snapshot: plan.snapshot,
            start: plan.start,
            databases: plan.databases,
            tables: plan.tables,
            views: plan.views,
            created_at: plan.created_at,
        }
    }
}

/// Reads all generations of a source's plan, oldest first; empty before `dump plan` ran.
///
/// # Errors
/// When the store fails or a generation is damaged.
pub async fn read_plan_generations(staging: &Staging, keys: &SourceKeys) -> Result<Vec<Plan>> {
    let mut generations = Vec::new();
    read_more(staging, keys, &mut generations).await?;
    Ok(generations)
}

/// Reads what comes behind the generations that were read before.
async fn read_more(
    staging: &Staging,
    keys: &SourceKeys,
    generations: &mut Vec<Plan>,
) -> Result<()> {
    loop {
        let number = u32::try_from(generations.len()).unwrap_or(u32::MAX);
        let key: Path = keys.plan(number);
        match staging.get_large_json::<Plan>(&key).await? {
            Some(plan) => generations.push(plan),
            None => return Ok(()),
        }
    }
}

/// Reads what the dump of a source consists of; `None` before `dump plan` ran. Once there is a
/// manifest, generations above its own are left out.
///
/// # Errors
/// When the store fails, or a generation or the manifest is damaged.
pub async fn read_plan(staging: &Staging, keys: &SourceKeys) -> Result<Option<EffectivePlan>> {
    let mut generations = read_plan_generations(staging, keys).await?;
    let manifest = read_manifest(staging, keys).await?;
    let last = manifest.map(|manifest| manifest.generation);
    if last.is_some_and(|last| generations.len() <= last as usize) {
        // They came, and the manifest with them, while we read.
        read_more(staging, keys, &mut generations).await?;
    }
    Ok(EffectivePlan::overlay_until(generations, last))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(name: &str, first_chunk: u32, bounds: &[i64]) -> TablePlan {
        TablePlan {
            db: "d".to_owned(),
            table: name.to_owned(),
            definition: Json::Null,
            definition_hash: format!("hash of {first_chunk}"),
            position: Json::Null,
            key: vec!["id".to_owned()],
            bounds: bounds.iter().map(|b| vec![json!(b)]).collect(),
            first_chunk,
            estimated_rows: 0,
            estimated_bytes: 0,
            no_data: false,
            where_clause: None,
        }
    }

    fn plan(generation: u32, tables: Vec<TablePlan>) -> Plan {
        Plan {
            version: 1,
            task: "t".to_owned(),
            source: "s".to_owned(),
            server_uuid: "u".to_owned(),
            generation,
            complete: false,
            consistency: format!("of {generation}"),
            snapshot: generation == 0,
            start: json!({"generation": generation}),
            databases: vec![],
            tables,
            views: vec![],
            created_at: Utc::now(),
            attempt: String::new(),
        }
    }

    #[test]
    fn chunks_tile_the_keys() {
        let table = table("t", 5, &[10, 20]);
        assert_eq!(table.chunk_numbers(), 5..8);
        let (ten, twenty) = ([json!(10)], [json!(20)]);
        assert_eq!(table.chunk_range(5), (None, Some(&ten[..])));
        assert_eq!(table.chunk_range(6), (Some(&ten[..]), Some(&twenty[..])));
        assert_eq!(table.chunk_range(7), (Some(&twenty[..]), None));
    }

    #[test]
    fn a_table_without_bounds_is_one_open_chunk_and_without_data_none() {
        let mut table = table("t", 0, &[]);
        assert_eq!(table.chunk_count(), 1);
        assert_eq!(table.chunk_range(0), (None, None));
        table.no_data = true;
        assert_eq!(table.chunk_count(), 0);
    }

    #[test]
    fn a_later_generation_replaces_the_tables_it_names() {
        let first = plan(0, vec![table("a", 0, &[1]), table("b", 0, &[])]);
        let second = plan(1, vec![table("a", 2, &[]), table("c", 0, &[])]);
        let effective = EffectivePlan::overlay(vec![first, second]).unwrap();
        let names: Vec<_> = effective
            .tables
            .iter()
            .map(|t| (t.table.as_str(), t.first_chunk))
            .collect();
        assert_eq!(names, [("a", 2), ("b", 0), ("c", 0)]);
        assert_eq!(effective.plans, 2);
        assert_eq!(effective.consistency, "of 1");
        assert!(!effective.snapshot);
        assert_eq!(effective.start, json!({"generation": 1}));
    }

    #[test]
    fn a_complete_generation_replaces_everything() {
        let first = plan(0, vec![table("a", 0, &[]), table("b", 0, &[])]);
        let mut second = plan(1, vec![table("a", 1, &[])]);
        second.complete = true;
        let effective = EffectivePlan::overlay(vec![first, second]).unwrap();
        assert_eq!(effective.tables.len(), 1);
        assert_eq!(effective.plans, 2);
    }
}
