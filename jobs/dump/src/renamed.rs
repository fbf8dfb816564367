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
use tideway_mysql::binlog::frame::Checker;
use tideway_mysql::binlog::gtid_event::Begin;
use tideway_mysql::binlog::header::{HEADER, Header};
use tideway_mysql::binlog::query::Query;
use tideway_mysql::binlog::{Event, Kind};
use tideway_mysql::ddl::{self, Context, NameRole, SqlMode, Statement};
use tideway_mysql::info::Flavor;
use tideway_mysql::mark::{Mark, Spot};
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::schema::TableName;
use tideway_staging::document::{Start, read_plan};
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
    let name = format!("capture/{}", source.config.id);
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

/// Finds statements in the blocks of segments. All other events are skipped by their length.
struct Search {
    flavor: Flavor,
    checker: Checker,
    /// What of the segment was not looked at yet.
    left: Vec<u8>,
    /// Bytes of an event that is skipped.
    skip: usize,
    /// The magic is still to come.
    begins: bool,
    offset: u64,
    server_uuid: String,
    position: Option<BinlogPosition>,
    spot: Spot,
}

impl Search {
    fn new(flavor: Flavor) -> Self {
        Self {
            flavor,
            checker: Checker::new(LIMIT),
            left: Vec::new(),
            skip: 0,
            begins: true,
            offset: 0,
            server_uuid: String::new(),
            position: None,
            spot: Spot::default(),
        }
    }

    fn begin(&mut self, marker: &SegmentMarker) {
        marker.server_uuid.clone_into(&mut self.server_uuid);
        self.position = serde_json::from_value(marker.from.clone()).ok();
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
        if self.begins && self.left.len() >= 4 {
            (at, self.begins) = (4, false);
        }
        while let Some(head) = self.left.get(at..at + HEADER) {
            let Ok(head) = <&[u8; HEADER]>::try_from(head) else {
                break;
            };
            let header = Header::parse(head);
            let size = (header.size as usize).max(HEADER);
            if wanted(header.kind) {
                let Some(bytes) = self.left.get(at..at + size) else {
                    break;
                };
                let event = self
                    .checker
                    .check(bytes.to_vec(), self.offset + at as u64)
                    .map_err(|error| self.damaged(&error))?;
                self.event(&event, &mut found)?;
            } else if self.left.len() < at + size {
                // The rest of it is in the next block.
                self.skip = at + size - self.left.len();
                at = self.left.len();
                self.moved(&header);
                break;
            }
            self.moved(&header);
            at += size;
        }
        self.left.drain(..at);
        self.offset += at as u64;
        Ok(found)
    }

    fn moved(&mut self, header: &Header) {
        if let (Some(position), true) = (&mut self.position, header.next != 0) {
            let next = (position.pos & !0xffff_ffff) | u64::from(header.next);
            position.pos = position.pos.max(next);
        }
    }

    fn event(&mut self, event: &Event, found: &mut Vec<(TableName, Spot)>) -> Result<()> {
        match event.header.kind {
            Kind::FORMAT_DESCRIPTION => {}
            Kind::QUERY | Kind::QUERY_COMPRESSED => {
                let query = Query::parse(event, LIMIT).map_err(|error| self.damaged(&error))?;
                if matches!(query.text.as_ref(), b"BEGIN" | b"COMMIT") {
                    return Ok(());
                }
                let version =
                    tideway_mysql::info::Version::parse(&self.checker.format().server_version);
                let version = version.unwrap_or(tideway_mysql::info::Version::new(8, 0, 0));
                let mut context = Context::new(self.flavor, version);
                context.sql_mode = SqlMode(query.status.sql_mode.unwrap_or(0));
                context.default_schema = Some(query.schema.clone()).filter(|s| !s.is_empty());
                let text = String::from_utf8_lossy(&query.text);
                let statement = Statement::parse(&text, &context);
                let exchanges = statement.names.iter().any(|n| n.role == NameRole::Exchange);
                let alters = matches!(
                    statement.kind,
                    ddl::Kind::AlterTable(_) | ddl::Kind::RenameTable(_)
                );
                let names = statement.names.iter().filter(|name| {
                    alters
                        && (name.role == NameRole::NewName
                            || exchanges
                                && matches!(name.role, NameRole::Exchange | NameRole::Table))
                });
                let spot = match self.spot.begin {
                    Some(_) => self.spot.clone(),
                    None => self.here(None),
                };
                found.extend(names.filter_map(|name| Some((name.table()?, spot.clone()))));
            }
            _ => {
                let begin = Begin::parse(event).map_err(|error| self.damaged(&error))?;
                self.spot = self.here(begin.gtid);
            }
        }
        Ok(())
    }

    fn here(&self, gtid: Option<tideway_mysql::gtid::Gtid>) -> Spot {
        Spot {
            server_uuid: self.server_uuid.clone(),
            begin: self.position.clone(),
            gtid,
        }
    }

    fn damaged(&self, error: &tideway_mysql::binlog::Error) -> Error {
        Error::Document {
            key: "a segment of the binlog".to_owned(),
            what: error.to_string(),
            way_out: "look at it by `tideway staging verify`",
        }
    }
}

fn wanted(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::FORMAT_DESCRIPTION
            | Kind::QUERY
            | Kind::QUERY_COMPRESSED
            | Kind::GTID
            | Kind::ANONYMOUS_GTID
            | Kind::GTID_TAGGED
            | Kind::MARIADB_GTID
    )
}
