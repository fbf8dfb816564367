//! Tables that took another's name while the dump ran.
//!
//! A chunk is read under its table's name, and checks the definition there. That does not tell two
//! tables of the same definition apart: after `RENAME TABLE new TO t`, chunks under the name `t` hold
//! rows of another table than those before, or the rows of `new` are in no chunk at all. No row event
//! brings them later. So at the end, when all chunks are read, what capture has of the binlog up to then
//! is searched for renames (and for exchanges of partitions, which are the same for rows). A planned
//! table that got its name by one of them behind its S_t is planned anew: its new S_t lies behind the
//! rename, its former chunks are void. This goes on until there is none.
//!
//! Killed in between, the next run searches again; what was planned anew is a generation of the plan.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::Utc;
use tideway_mysql::binlog::Kind;
use tideway_mysql::binlog::frame::{Checker, MAGIC};
use tideway_mysql::binlog::header::{HEADER, Header};
use tideway_mysql::binlog::statements::Statements;
use tideway_mysql::ddl::{self, NameRef, NameRole, Statement};
use tideway_mysql::info::Flavor;
use tideway_mysql::mark::{Mark, Spot};
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::schema::TableName;
use tideway_staging::document::{Start, read_plan};
use tideway_staging::layout::capture_lease;
use tideway_staging::lease;
use tideway_staging::segment::{SegmentMarker, SegmentReader, read_marker};
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::replan;
use crate::source::{Source, from_json};

/// How often the next segment is looked for.
const POLL: Duration = Duration::from_millis(250);
/// How long capture may stand still before that is an error.
const PATIENCE: Duration = Duration::from_secs(90);
/// An event that is searched is no larger than this: a statement.
const LIMIT: u32 = 1 << 30;

/// Plans tables anew that took another's name since they were planned; whether there were any.
///
/// # Errors
/// When source or staging fail, or capture does not come as far as the source is.
pub async fn plan_anew(source: &Source) -> Result<bool> {
    let (staging, keys) = (&source.job.staging, &source.keys);
    let Some(plan) = read_plan(staging, keys).await? else {
        return Ok(false);
    };
    if !source.followed_by_cdc() || plan.snapshot {
        return Ok(false);
    }
    let mut conn = source.server.conn().await?;
    let Some(now) = source.position(&mut conn).await? else {
        return Ok(false);
    };
    drop(conn);
    let until = Mark::new(&source.server.info().uuid, now);
    // Nothing was written since: no segment comes, and nothing was renamed.
    if let Some(start) = staging.get_json::<Start>(&keys.start()).await? {
        let begun: Option<BinlogPosition> = from_json(&start.position, &keys.start())?;
        if begun.is_some_and(|begun| until.passed(&start.server_uuid, &begun)) {
            return Ok(false);
        }
    }
    let mut planned = Vec::new();
    for table in plan.tables.iter().filter(|table| !table.no_data) {
        let position: Option<BinlogPosition> = from_json(&table.position, &keys.plan(0))?;
        if let Some(position) = position {
            planned.push((
                TableName::new(&table.db, &table.table),
                Mark::new(&plan.server_uuid, position),
                table.definition_hash.clone(),
            ));
        }
    }
    let mut stale = BTreeSet::new();
    let mut search = Search::new(source.server.info().flavor);
    let mut number = 1;
    while let Some(marker) = next(source, number, &until).await? {
        number += 1;
        search.begin(&marker);
        let mut reader = SegmentReader::open(staging, &marker)?;
        while let Some(block) = reader.next_block().await? {
            for (name, spot) in search.read(&block)? {
                let found = planned
                    .iter()
                    .find(|(table, mark, _)| *table == name && !mark.covers(&spot));
                stale.extend(found.map(|(table, _, hash)| (table.clone(), hash.clone())));
            }
        }
        let to: Option<BinlogPosition> = from_json(&marker.to, &keys.segment_marker(number - 1))?;
        if to.is_some_and(|to| until.passed(&marker.server_uuid, &to)) {
            break;
        }
    }
    for (name, hash) in &stale {
        source.progress.message(format!(
            "{name} took another table's name while the dump ran"
        ));
        replan::replan_table(source, name, hash).await?;
    }
    Ok(!stale.is_empty())
}

/// The marker of the next segment, waited for. `None`: nobody captures, and nothing was captured.
async fn next(source: &Source, number: u64, until: &Mark) -> Result<Option<SegmentMarker>> {
    let (staging, keys) = (&source.job.staging, &source.keys);
    let name = capture_lease(&source.config.id);
    let begun = Instant::now();
    loop {
        if let Some((marker, _)) = read_marker(staging, keys, number).await? {
            return Ok(Some(marker));
        }
        let held = lease::current(staging, &source.job.keys, &name).await?;
        if number == 1 && held.is_none() {
            tracing::warn!(
                source = source.config.id,
                "no capture of this source: whether tables were renamed while it was dumped is not known"
            );
            return Ok(None);
        }
        let live = held.is_some_and(|(_, record)| record.is_live(Utc::now()));
        if begun.elapsed() >= PATIENCE {
            return Err(Error::Busy(format!(
                "source `{}`: capture {} and has not come to {}, so it is not known whether tables were \
                 renamed while they were dumped. Look at `tideway-cdc capture`, and run this again",
                source.config.id,
                if live { "runs" } else { "does not run" },
                until.position
            )));
        }
        source.progress.stage("waiting");
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = source.job.stop.cancelled() => return Err(Error::Stopped),
        }
    }
}

/// Finds renames in the blocks of segments. Events of no interest are skipped by their length.
struct Search {
    statements: Statements,
    checker: Checker,
    /// What of the segment was not looked at yet.
    left: Vec<u8>,
    /// Bytes of an event that is skipped.
    skip: usize,
    /// The magic is still to come.
    begins: bool,
    offset: u64,
}

impl Search {
    fn new(flavor: Flavor) -> Self {
        Self {
            statements: Statements::new(flavor),
            checker: Checker::new(LIMIT),
            left: Vec::new(),
            skip: 0,
            begins: true,
            offset: 0,
        }
    }

    fn begin(&mut self, marker: &SegmentMarker) {
        let from = serde_json::from_value(marker.from.clone()).ok();
        self.statements.begin(&marker.server_uuid, from);
        self.left.clear();
        (self.skip, self.begins, self.offset) = (0, true, 0);
    }

    /// The tables that got another's name or rows, and where.
    fn read(&mut self, block: &[u8]) -> Result<Vec<(TableName, Spot)>> {
        let skipped = self.skip.min(block.len());
        self.skip -= skipped;
        self.offset += skipped as u64;
        self.left
            .extend_from_slice(block.get(skipped..).unwrap_or_default());
        let mut found = Vec::new();
        let mut at = 0;
        if self.begins && self.left.len() >= MAGIC.len() {
            (at, self.begins) = (MAGIC.len(), false);
        }
        while let Some(head) = self.left.get(at..).and_then(<[u8]>::first_chunk) {
            let header = Header::parse(head);
            let size = (header.size as usize).max(HEADER);
            if header.kind == Kind::FORMAT_DESCRIPTION || Statements::wants(header.kind) {
                let Some(bytes) = self.left.get(at..at + size) else {
                    break;
                };
                let event = self
                    .checker
                    .check(bytes.to_vec(), self.offset + at as u64)
                    .map_err(|error| damaged(&error))?;
                let read = self.statements.read(&event, self.checker.format(), LIMIT);
                if let Some((statement, spot)) = read.map_err(|error| damaged(&error))? {
                    let names = arrivals(&statement).into_iter();
                    found.extend(names.map(|name| (name, spot.clone())));
                }
            } else {
                self.statements.pass(&header);
                if self.left.len() < at + size {
                    // The rest of it is in the next block.
                    self.skip = at + size - self.left.len();
                    at = self.left.len();
                    break;
                }
            }
            at += size;
        }
        self.left.drain(..at);
        self.offset += at as u64;
        Ok(found)
    }
}

/// The tables whose name a statement gives to the rows of another.
fn arrivals(statement: &Statement) -> Vec<TableName> {
    let exchanges = statement
        .names
        .iter()
        .any(|name| name.role == NameRole::Exchange);
    let alters = matches!(
        statement.kind,
        ddl::Kind::AlterTable(_) | ddl::Kind::RenameTable(_)
    );
    let names = statement.names.iter().filter(|name| {
        alters
            && (name.role == NameRole::NewName
                || exchanges && matches!(name.role, NameRole::Exchange | NameRole::Table))
    });
    names.filter_map(NameRef::table).collect()
}

fn damaged(error: &tideway_mysql::binlog::Error) -> Error {
    Error::Document {
        key: "a segment of the binlog".to_owned(),
        what: error.to_string(),
        way_out: "look at it by `tideway staging verify`",
    }
}
