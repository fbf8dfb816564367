//! Reading committed segments back: what is open at the end of the last one, and its last event.

use bytes::{Buf, BytesMut};
use tideway_mysql::binlog::frame::MAGIC;
use tideway_mysql::binlog::header::{HEADER, Header};
use tideway_staging::layout::SourceKeys;
use tideway_staging::segment::{SegmentMarker, SegmentReader, read_marker};
use tideway_staging::{Error as StagingError, Staging};

use super::error::{Error, Result};
use super::place::Place;
use super::start::position;
use super::track::{Open, Tracker};

/// The events of a segment, one by one. In memory: one block, one event.
pub struct SegmentEvents {
    reader: SegmentReader,
    buffer: BytesMut,
    begun: bool,
    key: String,
    limit: u32,
}

impl SegmentEvents {
    /// Begins to read. No event may be larger than `limit` bytes.
    ///
    /// # Errors
    /// When the marker contradicts itself.
    pub fn open(staging: &Staging, marker: &SegmentMarker, limit: u32) -> Result<Self> {
        Ok(Self {
            reader: SegmentReader::open(staging, marker)?,
            buffer: BytesMut::new(),
            begun: false,
            key: marker.key.clone().unwrap_or_default(),
            limit,
        })
    }

    /// The bytes of the next event, not verified beyond the checksum of their blocks.
    ///
    /// # Errors
    /// When the segment is damaged; when the store fails.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        if !self.begun {
            if !self.fill(MAGIC.len()).await? {
                return Ok(None);
            }
            self.buffer.advance(MAGIC.len());
            self.begun = true;
        }
        if !self.fill(HEADER).await? {
            return match self.buffer.is_empty() {
                true => Ok(None),
                false => Err(self.damaged("it ends within an event")),
            };
        }
        let header = self.buffer.first_chunk::<HEADER>().map(Header::parse);
        let size = header.map_or(0, |header| header.size);
        if (size as usize) < HEADER || size > self.limit {
            return Err(self.damaged(&format!("an event has {size} bytes")));
        }
        if !self.fill(size as usize).await? {
            return Err(self.damaged("it ends within an event"));
        }
        Ok(Some(self.buffer.split_to(size as usize).to_vec()))
    }

    async fn fill(&mut self, bytes: usize) -> Result<bool> {
        while self.buffer.len() < bytes {
            match self.reader.next_block().await? {
                Some(block) => self.buffer.extend_from_slice(&block),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Document {
            key: self.key.clone(),
            what: what.to_owned(),
        }
    }
}

/// The transaction that goes on behind segment `last`: its GTID stands in the segment where it began,
/// the maps of its open statement in the last one, whose head repeats what came before.
///
/// # Errors
/// When a segment is missing or damaged; when the store fails.
pub async fn open_behind(
    staging: &Staging,
    keys: &SourceKeys,
    last: &SegmentMarker,
    limit: u32,
) -> Result<Option<Open>> {
    if !last.continues {
        return Ok(None);
    }
    let mut first = last.clone();
    while first.continued || first.is_empty() {
        first = required(staging, keys, first.number - 1).await?;
    }
    let open = replay(staging, keys, last, limit).await?;
    if first.number == last.number {
        return Ok(open);
    }
    let begun = replay(staging, keys, &first, limit).await?;
    Ok(open.map(|open| Open {
        gtid: begun.and_then(|begun| begun.gtid),
        ..open
    }))
}

async fn replay(
    staging: &Staging,
    keys: &SourceKeys,
    marker: &SegmentMarker,
    limit: u32,
) -> Result<Option<Open>> {
    let from = position(&marker.from, &keys.segment_marker(marker.number))?;
    let place = Place {
        file: from.file,
        pos: from.pos,
        gtids: None,
    };
    let open = marker.continued.then(Open::default);
    let mut tracker = Tracker::new(place, open, limit);
    let mut events = SegmentEvents::open(staging, marker, limit)?;
    while let Some(event) = events.next().await? {
        tracker.take(event)?;
    }
    Ok(tracker.open())
}

/// The last event that was captured and the log file it stands in; `None` when there is none yet.
///
/// # Errors
/// When a segment is missing or damaged; when the store fails.
pub async fn last_event(
    staging: &Staging,
    keys: &SourceKeys,
    last: &SegmentMarker,
    limit: u32,
) -> Result<Option<(String, Vec<u8>)>> {
    let mut marker = last.clone();
    while marker.is_empty() || marker.events == 0 {
        if marker.number <= 1 {
            return Ok(None);
        }
        marker = required(staging, keys, marker.number - 1).await?;
    }
    // A segment ends where its file does, so all of it is of the file it begins in.
    let file = position(&marker.from, &keys.segment_marker(marker.number))?.file;
    let mut events = SegmentEvents::open(staging, &marker, limit)?;
    let mut found = None;
    while let Some(event) = events.next().await? {
        found = Some(event);
    }
    Ok(found.map(|event| (file, event)))
}

async fn required(staging: &Staging, keys: &SourceKeys, number: u64) -> Result<SegmentMarker> {
    match read_marker(staging, keys, number).await? {
        Some((marker, _)) => Ok(marker),
        None => Err(Error::Staging(StagingError::NotFound {
            url: staging.url().to_owned(),
            key: keys.segment_marker(number).to_string(),
            what:
                "capture needs it to go on in the middle of a transaction, or on another server. \
                   Restore it from a copy"
                    .to_owned(),
        })),
    }
}
