//! Segments from staging as a stream of events, read ahead.
//!
//! Each marker is asked for by its name, and must be the successor of the one before; each block is
//! verified against its checksum, each event against its own, before anything of it is applied. What
//! is read ahead is bounded: a few blocks and a few batches of events.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tideway_mysql::binlog::frame::Format;
use tideway_mysql::binlog::{Event, Frames};
use tideway_staging::Staging;
use tideway_staging::layout::SourceKeys;
use tideway_staging::segment::{Chain, SegmentMarker, SegmentReader, read_marker};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::{Error, Result};
use super::place::Place;

/// Blocks of a segment that are read ahead.
const BLOCKS: usize = 4;
/// Batches of events that are read ahead.
const BATCHES: usize = 4;
/// Bytes of events in a batch, beyond which it is handed over.
const BATCH: usize = 256 << 10;
/// How often a marker that is not there yet is asked for, at first and at last.
const POLL: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(400));

/// What comes out of the feed.
#[derive(Debug)]
pub enum Item {
    /// A segment begins.
    Segment(Box<SegmentMarker>),
    /// Some of its events.
    Events(Vec<Event>, Arc<Format>),
    /// It ends; the hash of its marker.
    End(String),
    /// Nothing is there behind the last one yet. Told once for each time that this comes about.
    Idle,
}

/// Reads segments in the background.
pub struct Feed {
    items: mpsc::Receiver<Result<Item>>,
    _stop: DropGuard,
    _task: JoinHandle<()>,
}

impl Feed {
    /// Reads from `place` on; `chain` stands before its segment. No event may be larger than `limit`.
    #[must_use]
    pub fn start(
        source_id: &str,
        staging: &Staging,
        keys: &SourceKeys,
        chain: Chain,
        place: Place,
        limit: u32,
    ) -> Self {
        let (sender, items) = mpsc::channel(BATCHES);
        let stop = CancellationToken::new();
        let reading = Reading {
            source_id: source_id.to_owned(),
            staging: staging.clone(),
            keys: keys.clone(),
            limit,
            items: sender,
        };
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = reading.run(chain, place) => {}
            }
        });
        Self {
            items,
            _stop: stop.drop_guard(),
            _task: task,
        }
    }

    /// The next item.
    ///
    /// # Errors
    /// When staging fails, or a segment is missing, doubled or damaged.
    pub async fn next(&mut self) -> Result<Item> {
        match self.items.recv().await {
            Some(item) => item,
            None => Err(Error::Stopped),
        }
    }
}

struct Reading {
    source_id: String,
    staging: Staging,
    keys: SourceKeys,
    limit: u32,
    items: mpsc::Sender<Result<Item>>,
}

impl Reading {
    async fn run(self, mut chain: Chain, from: Place) {
        let mut from = from;
        loop {
            match self.segment(&mut chain, from).await {
                Ok(()) => from = Place::start_of(chain.next()),
                Err(error) => {
                    // Who does not listen any more does not need it.
                    let _ = self.items.send(Err(error)).await;
                    return;
                }
            }
        }
    }

    async fn send(&self, item: Item) -> Result<()> {
        self.items.send(Ok(item)).await.map_err(|_| Error::Stopped)
    }

    async fn segment(&self, chain: &mut Chain, from: Place) -> Result<()> {
        let mut pause = POLL.0;
        let mut told = false;
        let (marker, hash) = loop {
            if let Some(found) = read_marker(&self.staging, &self.keys, chain.next()).await? {
                break found;
            }
            if !told {
                told = true;
                self.send(Item::Idle).await?;
            }
            tokio::time::sleep(pause).await;
            if pause == POLL.1 {
                self.look_for_a_gap(chain.next()).await?;
            }
            pause = (pause * 2).min(POLL.1);
        };
        chain.accept(&self.staging, &self.keys, &marker, &hash)?;
        self.send(Item::Segment(Box::new(marker.clone()))).await?;
        if !marker.is_empty() {
            self.events(&marker, from.offset).await?;
        }
        self.send(Item::End(hash)).await
    }

    /// Capture commits segments in order: one that is absent while the next is there was lost.
    async fn look_for_a_gap(&self, number: u64) -> Result<()> {
        let (staging, keys) = (&self.staging, &self.keys);
        if read_marker(staging, keys, number + 1).await?.is_none()
            || read_marker(staging, keys, number).await?.is_some()
        {
            return Ok(());
        }
        Err(Error::Mismatch {
            source_id: self.source_id.clone(),
            what: format!(
                "segment {number} is lost: its marker {} is not in {}, and the one behind it is. Put it \
                 back from a copy (an older version of the object), or begin anew after `tideway cleanup`",
                keys.segment_marker(number),
                staging.url()
            ),
        })
    }

    /// Blocks are fetched here and cut into events by a thread of its own.
    async fn events(&self, marker: &SegmentMarker, offset: u64) -> Result<()> {
        let (blocks, received) = mpsc::channel(BLOCKS);
        let cutting = {
            let (items, limit, segment) = (self.items.clone(), self.limit, marker.number);
            let source_id = self.source_id.clone();
            tokio::task::spawn_blocking(move || {
                let input = Blocks {
                    received,
                    block: Bytes::new(),
                };
                cut(input, limit, offset, &items).map_err(|source| Error::Binlog {
                    source_id,
                    segment,
                    source,
                })
            })
        };
        let mut reader = SegmentReader::open(&self.staging, marker)?;
        let mut failed = None;
        loop {
            match reader.next_block().await {
                Ok(Some(block)) => {
                    if blocks.send(block).await.is_err() {
                        // The cutter failed; its error says why.
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(blocks);
        let cut = cutting.await.unwrap_or(Err(Error::Stopped));
        match failed {
            // What the cutter says of the missing rest only follows from it.
            Some(error) => Err(error.into()),
            None => cut,
        }
    }
}

/// Cuts a segment into events and hands them on in batches.
fn cut(
    input: Blocks,
    limit: u32,
    offset: u64,
    items: &mpsc::Sender<Result<Item>>,
) -> Result<(), tideway_mysql::binlog::Error> {
    let mut frames = Frames::open(input, limit)?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut format = Arc::new(frames.format().clone());
    let hand_over = |batch: &mut Vec<Event>, format: &Arc<Format>| {
        let events = std::mem::take(batch);
        let item = Item::Events(events, Arc::clone(format));
        items.blocking_send(Ok(item)).is_ok()
    };
    while let Some(event) = frames.next()? {
        if *frames.format() != *format {
            if !batch.is_empty() && !hand_over(&mut batch, &format) {
                return Ok(());
            }
            bytes = 0;
            format = Arc::new(frames.format().clone());
        }
        if event.offset < offset {
            continue;
        }
        bytes += event.bytes.len();
        batch.push(event);
        if bytes >= BATCH {
            bytes = 0;
            if !hand_over(&mut batch, &format) {
                return Ok(());
            }
        }
    }
    if !batch.is_empty() {
        hand_over(&mut batch, &format);
    }
    Ok(())
}

/// Blocks that come through a channel, as something to read from.
struct Blocks {
    received: mpsc::Receiver<Bytes>,
    block: Bytes,
}

impl Read for Blocks {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() {
            match self.received.blocking_recv() {
                Some(block) => self.block = block,
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.block.len());
        self.block
            .copy_to_slice(into.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}
