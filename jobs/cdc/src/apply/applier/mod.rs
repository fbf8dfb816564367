//! One source's segments, from the first event to the last commit.
//!
//! The applier reads the events in order, keeps the place, and hands row changes to the dispatcher; the
//! workers commit them. It alone writes the checkpoint. What is true, whenever the process is killed:
//!
//! - **Before anything of segment n is sent**, `furthest` is stored behind it. So all that workers may
//!   have touched lies before `furthest`.
//! - **The checkpoint moves to the end of a transaction** only when a token that was sent behind it has
//!   passed every worker: all before it is committed.
//! - **A restart** begins at the checkpoint and is in safe mode up to the `furthest` that it finds. What was
//!   committed beyond the checkpoint is written over with the same rows, in the same order by key.
//! - **A transaction that the source has not finished in what was captured** may be applied in part; the
//!   checkpoint stays at its beginning until it ends.
//!
//! Rows of a prepared XA transaction are passed over, and its place noted with the checkpoint; `XA COMMIT`
//! reads them again from staging and applies them then ([`super::xa`]).

mod settle;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::Conn;
use tideway_config::ResolvedSource;
use tideway_job::{Job, Progress};
use tideway_mysql::binlog::table_map::TableMap;
use tideway_mysql::connect::Server;
use tideway_mysql::fence::Fence;
use tideway_mysql::gtid::{Gtid, GtidSet};
use tideway_mysql::info::{Flavor, Version};
use tideway_mysql::position::BinlogPosition;
use tideway_staging::layout::SourceKeys;
use tideway_staging::segment::SegmentMarker;

use super::begin::DumpMarks;
use super::catalog::Catalog;
use super::change::Encoder;
use super::checkpoint::{Checkpoint, Keyless, Prepared, Saved, Totals};
use super::dispatch::Dispatcher;
use super::error::{Error, Result};
use super::filters::EventFilters;
use super::place::Place;
use super::rates::Rates;
use super::shared::Shared;
use super::table::Table;
use tideway_mysql::mark::{Mark, Spot};

/// How often a token is sent while events come.
const TOKEN: Duration = Duration::from_millis(200);
/// What an applier needs to know and never changes.
pub struct Setting<'a> {
    /// The job.
    pub job: &'a Job,
    /// The source.
    pub source: &'a ResolvedSource,
    /// Its keys in staging.
    pub keys: SourceKeys,
    /// The target.
    pub target: Server,
    /// What kind of server the source was at the start. Its version is told again by every segment.
    pub flavor: Flavor,
    /// The checkpoint's table.
    pub checkpoint: Checkpoint,
    /// Its right to write, of the connection that writes the checkpoint.
    pub fence: Fence,
    /// Largest event, in bytes.
    pub event_limit: u32,
}

/// A transaction of the source that is being read.
#[derive(Debug)]
pub(super) struct Transaction {
    /// Where it begins.
    pub begin: Place,
    /// The same as the dump's marks see it.
    pub spot: Spot,
    /// When it was committed at the source, µs since 1970.
    pub time: u64,
    /// Whether it may have been applied before.
    pub safe: bool,
    /// Whether all of it is in the dump.
    pub dumped: bool,
    /// Rows of it so far.
    pub rows: u64,
    /// Rows since a savepoint or the beginning that belong to tables of the task.
    pub sent: u64,
    /// A BEGIN came: what follows belongs to it until COMMIT.
    pub explicit: bool,
    /// It is an XA transaction, by this name.
    pub xa: Option<String>,
}

/// A table map and what became of it.
pub(super) struct Mapped {
    /// The map.
    pub map: TableMap,
    /// How its rows are written; `None`: they are left out.
    pub table: Option<Arc<Table>>,
    /// Where the end of a row's life stands, in MariaDB's tables `WITH SYSTEM VERSIONING`.
    pub history: Option<usize>,
}

/// A place to which the checkpoint may move.
#[derive(Clone, Debug)]
struct Point {
    place: Place,
    /// Hash of the marker before the place's segment.
    previous: String,
    position: BinlogPosition,
    gtids: Option<GtidSet>,
    time: u64,
    totals: Totals,
    prepared: BTreeMap<String, Prepared>,
}

/// Applies one source.
pub struct Applier<'a> {
    pub(super) set: Setting<'a>,
    pub(super) progress: Progress,
    pub(super) catalog: Catalog,
    pub(super) dump: DumpMarks,
    pub(super) filters: EventFilters,
    pub(super) dispatcher: Dispatcher,
    pub(super) shared: Arc<Shared>,
    pub(super) encoder: Encoder,
    /// How far tables without a key were when this began.
    pub(super) keyless: Keyless,
    /// Up to here everything is in safe mode.
    safe_until: Place,
    /// The same by the clock.
    safe_time: Option<Instant>,
    pub(super) maps: HashMap<u64, Mapped>,
    /// The last table map of each planned table that was held against its definition.
    pub(super) checked: HashMap<u64, TableMap>,
    pub(super) transaction: Option<Transaction>,
    /// Number of the segment.
    pub(super) segment: u64,
    pub(super) server_uuid: String,
    previous: String,
    /// Behind the last event.
    pub(super) position: BinlogPosition,
    /// Behind the last transaction.
    point: Point,
    /// Tokens on their way, and what the checkpoint becomes when they pass.
    tokens: VecDeque<(u64, Point)>,
    last_token: Instant,
    last_store: Instant,
    /// What is stored.
    pub(super) saved: Saved,
    conn: Option<Conn>,
    pub(super) next_table: u64,
    /// Up to where capture is, as the last marker has it.
    captured: Option<BinlogPosition>,
    /// Everything that was captured was read.
    pub(super) idle: bool,
    rates: Rates,
    /// The source's version, as its last format description has it.
    pub(super) version: Version,
}

impl<'a> Applier<'a> {
    /// Begins at `saved`, which is stored.
    #[expect(clippy::too_many_arguments, reason = "each is made elsewhere, once")]
    #[must_use]
    pub fn new(
        set: Setting<'a>,
        progress: Progress,
        catalog: Catalog,
        dump: DumpMarks,
        filters: EventFilters,
        dispatcher: Dispatcher,
        shared: Arc<Shared>,
        saved: Saved,
        keyless: Keyless,
        conn: Conn,
    ) -> Self {
        let previous = saved.state.previous.clone();
        let flavor = set.target.info().flavor;
        let saved_totals = saved.state.totals;
        let duration = set.source.sync.safe_mode_duration_given();
        Self {
            point: Point {
                place: saved.place,
                previous: previous.clone(),
                position: saved.position.clone(),
                gtids: saved.position.gtids(),
                time: saved.event_time,
                totals: saved.state.totals,
                prepared: saved.state.prepared.clone(),
            },
            safe_until: saved.furthest,
            safe_time: duration.map(|duration| Instant::now() + duration),
            set,
            progress,
            catalog,
            dump,
            filters,
            dispatcher,
            shared,
            encoder: Encoder::new(flavor),
            keyless,
            maps: HashMap::new(),
            checked: HashMap::new(),
            transaction: None,
            segment: saved.place.segment,
            server_uuid: String::new(),
            previous,
            position: saved.position.clone(),
            tokens: VecDeque::new(),
            last_token: Instant::now(),
            last_store: Instant::now(),
            saved,
            conn: Some(conn),
            next_table: 1,
            captured: None,
            idle: false,
            rates: Rates::new(saved_totals),
            version: Version::new(0, 0, 0),
        }
    }

    /// The source's id.
    pub(super) fn id(&self) -> &str {
        &self.set.source.id
    }

    /// A segment begins.
    ///
    /// # Errors
    /// The target's refusal of the checkpoint.
    pub async fn begin_segment(&mut self, marker: &SegmentMarker) -> Result<()> {
        self.segment = marker.number;
        self.idle = false;
        self.captured = serde_json::from_value(marker.to.clone()).ok();
        marker.server_uuid.clone_into(&mut self.server_uuid);
        let from: BinlogPosition = self.typed(&marker.from)?;
        if !marker.continued
            && let Some(cut) = self.transaction.take()
            && cut.sent > 0
        {
            return Err(Error::Unsupported {
                source_id: self.id().to_owned(),
                at: Box::new(from),
                what: format!(
                    "the source wrote a part of a transaction (it begins in segment {}), was killed, and \
                     rolled it back; {} rows of it were applied already. Compare the tables by \
                     `tideway-validate` and repair them, or dump the source again",
                    cut.begin.segment, cut.sent
                ),
            });
        }
        if self.transaction.is_none() {
            self.point.gtids = from.gtids().or(self.point.gtids.take());
        }
        self.position = from;
        self.maps.clear();
        let behind = Place::start_of(marker.number + 1);
        if !marker.is_empty() && self.saved.furthest < behind {
            let mut saved = self.saved.clone();
            saved.furthest = behind;
            self.store(saved, &[]).await?;
        }
        Ok(())
    }

    /// A segment ends; `hash` is its marker's.
    ///
    /// # Errors
    /// Rows came of a table that nothing tells of; a worker failed.
    pub async fn end_segment(&mut self, marker: &SegmentMarker, hash: String) -> Result<()> {
        let to: BinlogPosition = self.typed(&marker.to)?;
        self.previous = hash;
        if self.transaction.is_none() {
            self.point.gtids = to.gtids().or(self.point.gtids.take());
            self.position = to.clone();
            self.point_here(Place::start_of(marker.number + 1));
        }
        if self.window_passed(&to) {
            // Nothing that comes is covered by a mark any more: they need not be asked.
            self.dump = DumpMarks::default();
            self.catalog.forget_marks();
            if let Some(table) = self.catalog.unexplained() {
                return Err(Error::Table {
                    source_id: self.id().to_owned(),
                    at: Box::new(to),
                    table: Box::new(table.clone()),
                    what:
                        "rows of it came while the dump ran, but it is not in the dump, and no DDL \
                           in the binlog made it. Dump the source again (`tideway cleanup` first)"
                            .to_owned(),
                });
            }
        }
        self.mark().await
    }

    /// Whether nothing that comes behind `to` is older than anything that the dump noted.
    fn window_passed(&self, to: &BinlogPosition) -> bool {
        let marks = self
            .catalog
            .iter()
            .flat_map(|known| [known.defined.as_ref(), known.dumped.as_ref()])
            .chain([self.dump.exact.as_ref(), self.dump.end.as_ref()]);
        let mut marks = marks.flatten();
        marks.all(|mark: &Mark| mark.passed(&self.server_uuid, to))
    }

    /// Opens a transaction that begins at `begin`.
    pub(super) fn open(&mut self, begin: Place, gtid: Option<Gtid>, time: u64) -> &mut Transaction {
        let spot = Spot {
            server_uuid: self.server_uuid.clone(),
            begin: Some(self.position.clone()),
            gtid,
        };
        let covered = |mark: &Option<Mark>, by: fn(&Mark, &Spot) -> bool| {
            mark.as_ref().is_some_and(|mark| by(mark, &spot))
        };
        let safe = self.set.source.sync.safe_mode
            || begin < self.safe_until
            || self.safe_time.is_some_and(|until| Instant::now() < until)
            || covered(&self.dump.end, Mark::may_cover);
        let dumped = covered(&self.dump.exact, Mark::covers);
        self.transaction.insert(Transaction {
            begin,
            spot,
            time,
            safe,
            dumped,
            rows: 0,
            sent: 0,
            explicit: false,
            xa: None,
        })
    }

    /// The transaction ends; what follows begins at `end`.
    ///
    /// # Errors
    /// A worker failed; the checkpoint cannot be stored.
    pub(super) async fn close(&mut self, end: Place) -> Result<()> {
        self.finish(end)?;
        self.mark_sometimes().await
    }

    /// The transaction ends, and the checkpoint may move behind it with the next token.
    ///
    /// # Errors
    /// Its GTID is of another kind than those before.
    pub(super) fn finish(&mut self, end: Place) -> Result<()> {
        if let Some(transaction) = self.transaction.take() {
            if let Some(gtid) = &transaction.spot.gtid {
                let added = match &mut self.point.gtids {
                    Some(set) => set.add(gtid),
                    none => GtidSet::parse(&gtid.to_string()).map(|set| *none = Some(set)),
                };
                added.map_err(|error| Error::Mismatch {
                    source_id: self.id().to_owned(),
                    what: format!("GTID {gtid} does not go with those before: {error}"),
                })?;
            }
            self.point.time = transaction.time.max(self.point.time);
            self.point.totals.transactions += 1;
        }
        self.maps.clear();
        self.point_here(end);
        Ok(())
    }

    /// Sends a token when the last one is a while ago.
    ///
    /// # Errors
    /// A worker failed; the checkpoint cannot be stored.
    pub(super) async fn mark_sometimes(&mut self) -> Result<()> {
        if self.last_token.elapsed() >= TOKEN {
            self.mark().await?;
        }
        Ok(())
    }

    /// What the checkpoint is when everything up to the last finished transaction is committed.
    pub(super) fn saved_here(&self) -> Saved {
        self.saved_at(&self.point)
    }

    fn point_here(&mut self, place: Place) {
        self.point.place = place;
        self.point.previous.clone_from(&self.previous);
        self.point.position.clone_from(&self.position);
    }

    pub(super) fn totals(&mut self) -> &mut Totals {
        &mut self.point.totals
    }

    pub(super) fn prepared(&mut self) -> &mut BTreeMap<String, Prepared> {
        &mut self.point.prepared
    }

    /// When the transaction that is being read was committed, µs since 1970.
    #[must_use]
    pub fn opened(&self) -> Option<u64> {
        self.transaction.as_ref().map(|t| t.time)
    }

    pub(super) fn typed<T: serde::de::DeserializeOwned>(
        &self,
        json: &serde_json::Value,
    ) -> Result<T> {
        serde_json::from_value(json.clone()).map_err(|error| Error::Mismatch {
            source_id: self.id().to_owned(),
            what: format!(
                "the marker of segment {} is not what this version writes: {error}",
                self.segment
            ),
        })
    }
}
