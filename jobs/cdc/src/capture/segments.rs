//! The segment that is being written, the one that is being stored, and the chain behind them.
//!
//! While the store finishes the object of a segment (and a folder's disk takes its time), the next
//! segment fills. Its marker comes when the object is complete, and before the marker of the next one: at
//! any time at most one segment is filling, and one waits for its marker. A kill loses both, as it
//! would lose the open one alone: what no marker names was not captured, and is asked for again.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tideway_job::failpoint;
use tideway_mysql::binlog::frame::MAGIC;
use tideway_mysql::position::BinlogPosition;
use tideway_staging::layout::SourceKeys;
use tideway_staging::segment::{
    Compression, SegmentData, SegmentMarker, SegmentWriter, commit, last, start_hash,
};
use tideway_staging::{Create, Staging};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::error::{Error, Result};
use super::start::{position, to_json};
use super::track::{Taken, Tracker};

/// What is committed: the end of the chain.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The last marker; `None` when there is only `start.json`.
    pub last: Option<SegmentMarker>,
    /// Hash of its bytes, or of those of `start.json`.
    pub hash: String,
    /// Where it ends.
    pub to: BinlogPosition,
    /// UUID of the server that this place is of.
    pub server_uuid: String,
}

impl Committed {
    /// Reads the end of the chain; `None` when not even its start is there.
    ///
    /// # Errors
    /// When staging fails, or is damaged.
    pub async fn read(staging: &Staging, keys: &SourceKeys) -> Result<Option<Self>> {
        let Some((bytes, hash)) = start_hash(staging, keys).await? else {
            return Ok(None);
        };
        if let Some((marker, hash)) = last(staging, keys).await? {
            return Ok(Some(Self {
                to: position(&marker.to, &keys.segment_marker(marker.number))?,
                server_uuid: marker.server_uuid.clone(),
                last: Some(marker),
                hash,
            }));
        }
        let start = super::start::parse(&bytes, keys)?;
        Ok(Some(Self {
            last: None,
            hash,
            to: position(&start.position, &keys.start())?,
            server_uuid: start.server_uuid,
        }))
    }

    /// Number of the last segment, 0 for none.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.last.as_ref().map_or(0, |marker| marker.number)
    }

    /// Whether a transaction goes on behind it.
    #[must_use]
    pub fn continues(&self) -> bool {
        self.last.as_ref().is_some_and(|marker| marker.continues)
    }
}

struct OpenSegment {
    writer: SegmentWriter,
    opened: Instant,
    first_time: u64,
    last_time: u64,
    events: u64,
    transactions: u64,
    continued: bool,
}

/// A segment that is complete but for its object and its marker.
struct Closed {
    data: Option<AbortOnDropHandle<tideway_staging::Result<SegmentData>>>,
    counts: Counts,
    to: BinlogPosition,
    server_uuid: String,
    continues: bool,
}

/// Writes the segments of one source, one after another.
pub struct Segments {
    staging: Staging,
    keys: SourceKeys,
    source_id: String,
    level: i32,
    epoch: u64,
    committed: Committed,
    closed: Option<Closed>,
    /// Told when the object of `closed` is complete, or failed.
    stored: Arc<Notify>,
    open: Option<OpenSegment>,
}

impl Segments {
    /// Behind what is committed, under the lease of this epoch. `level` is zstd's, 0 for none.
    #[must_use]
    pub fn new(
        staging: &Staging,
        keys: &SourceKeys,
        source_id: &str,
        level: i32,
        epoch: u64,
        committed: Committed,
    ) -> Self {
        Self {
            staging: staging.clone(),
            keys: keys.clone(),
            source_id: source_id.to_owned(),
            level,
            epoch,
            committed,
            closed: None,
            stored: Arc::default(),
            open: None,
        }
    }

    /// The end of the chain.
    #[must_use]
    pub fn committed(&self) -> &Committed {
        &self.committed
    }

    /// Where the segments end that are committed or wait for it.
    #[must_use]
    pub fn end(&self) -> &BinlogPosition {
        self.closed
            .as_ref()
            .map_or(&self.committed.to, |closed| &closed.to)
    }

    /// Told when [`Segments::settle`] would not have to wait.
    #[must_use]
    pub fn stored(&self) -> Arc<Notify> {
        Arc::clone(&self.stored)
    }

    /// Whether a closed segment's object is complete, or failed.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        let data = self.closed.as_ref().map(|closed| closed.data.as_ref());
        data.is_some_and(|data| data.is_none_or(AbortOnDropHandle::is_finished))
    }

    /// When the open segment was begun; `None` when there is none.
    #[must_use]
    pub fn opened(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.opened)
    }

    /// Bytes of the open segment before compression.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.writer.raw_bytes())
    }

    /// Gives up the open segment.
    pub fn discard(&mut self) {
        self.open = None;
    }

    /// Adds an event. A segment that begins with it gets the format description first and, within a
    /// statement, the maps of its tables.
    ///
    /// # Errors
    /// When staging fails.
    pub async fn add(&mut self, tracker: &Tracker, taken: &Taken) -> Result<()> {
        let time = u64::from(taken.event.header.timestamp);
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let number = self.committed.number() + 1 + u64::from(self.closed.is_some());
                let mut writer =
                    SegmentWriter::begin(&self.staging, &self.keys, number, self.level);
                writer.write(&MAGIC).await?;
                writer
                    .write(tracker.description().unwrap_or_default())
                    .await?;
                let continued = tracker.was_in_transaction();
                if continued {
                    for map in tracker.maps() {
                        writer.write(map).await?;
                    }
                }
                self.open.insert(OpenSegment {
                    writer,
                    opened: Instant::now(),
                    first_time: time,
                    last_time: 0,
                    events: 0,
                    transactions: 0,
                    continued,
                })
            }
        };
        open.writer.write(&taken.event.bytes).await?;
        open.events += 1;
        open.transactions += u64::from(taken.transaction_ended);
        // Some events of the server's own carry no time.
        if time > 0 {
            open.last_time = time;
        }
        Ok(())
    }

    /// Closes the open segment, or an empty one when none is open, up to where the stream is. One that
    /// was closed before must be settled.
    pub fn close(&mut self, tracker: &Tracker, server_uuid: &str) {
        debug_assert!(self.closed.is_none(), "settled before");
        let (counts, data) = match self.open.take() {
            Some(open) => {
                let counts = Counts {
                    first_time: open.first_time,
                    last_time: open.last_time.max(open.first_time),
                    events: open.events,
                    transactions: open.transactions,
                    continued: open.continued,
                };
                let stored = Arc::clone(&self.stored);
                let data = tokio::spawn(async move {
                    let data = open.writer.finish().await;
                    stored.notify_one();
                    data
                });
                (counts, Some(AbortOnDropHandle::new(data)))
            }
            None => {
                self.stored.notify_one();
                (Counts::nothing(self.committed.continues()), None)
            }
        };
        self.closed = Some(Closed {
            data,
            counts,
            to: tracker.place.position(),
            server_uuid: server_uuid.to_owned(),
            continues: tracker.in_transaction(),
        });
    }

    /// Commits the closed segment, if there is one.
    ///
    /// # Errors
    /// When staging fails, or another capture wrote a segment of this number.
    pub async fn settle(&mut self) -> Result<bool> {
        let Some(closed) = &mut self.closed else {
            return Ok(false);
        };
        let data = match &mut closed.data {
            Some(data) => {
                let data = data.await.unwrap_or_else(|error| {
                    Err(tideway_staging::Error::Compression {
                        key: self
                            .keys
                            .segment_marker(self.committed.number() + 1)
                            .to_string(),
                        source: std::io::Error::other(error),
                    })
                });
                failpoint::hit("capture.segment.data");
                Some(data)
            }
            None => None,
        };
        let Some(closed) = self.closed.take() else {
            return Ok(false);
        };
        let data = data.transpose()?;
        let Closed {
            counts,
            to,
            server_uuid,
            continues,
            ..
        } = closed;
        let number = self.committed.number() + 1;
        let key = self.keys.segment_marker(number);
        let empty = SegmentData {
            key: String::new(),
            size: 0,
            raw_bytes: 0,
            compression: Compression::None,
            blocks: Vec::new(),
            attempt: format!("{:016x}", rand::random::<u64>()),
        };
        let is_empty = data.is_none();
        let data = data.unwrap_or(empty);
        let marker = SegmentMarker {
            version: 1,
            number,
            key: (!is_empty).then_some(data.key),
            size: data.size,
            raw_bytes: data.raw_bytes,
            compression: data.compression,
            blocks: data.blocks,
            previous: self.committed.hash.clone(),
            from: to_json(&self.committed.to, &key)?,
            to: to_json(&to, &key)?,
            server_uuid: server_uuid.clone(),
            first_time: counts.first_time,
            last_time: counts.last_time,
            events: counts.events,
            transactions: counts.transactions,
            continued: counts.continued,
            continues,
            epoch: self.epoch,
            attempt: data.attempt,
            captured_at: now(),
        };
        if let Create::Exists(other) = commit(&self.staging, &self.keys, &marker).await? {
            return Err(Error::Overtaken {
                source_id: self.source_id.clone(),
                number,
                epoch: other.epoch,
                own: self.epoch,
            });
        }
        failpoint::hit("capture.segment.marker");
        tracing::debug!(
            source = self.source_id,
            segment = number,
            events = marker.events,
            bytes = marker.raw_bytes,
            stored = marker.size,
            "committed up to {to}"
        );
        self.committed = Committed {
            hash: marker.hash(&self.staging, &self.keys)?,
            to,
            server_uuid,
            last: Some(marker),
        };
        Ok(true)
    }
}

struct Counts {
    first_time: u64,
    last_time: u64,
    events: u64,
    transactions: u64,
    continued: bool,
}

impl Counts {
    fn nothing(continued: bool) -> Self {
        Self {
            first_time: 0,
            last_time: 0,
            events: 0,
            transactions: 0,
            continued,
        }
    }
}

/// Now, to the millisecond: a document read back must equal the one written.
pub fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap_or(now)
}
