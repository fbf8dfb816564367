//! Writing a segment's object.
//!
//! In memory: one block that fills, a few that are being compressed, one part that fills, and two that
//! are on their way. Nothing is visible under the key before the end, and no reader looks at it before
//! its marker is there.

use std::collections::VecDeque;

use object_store::PutPayload;
use object_store::path::Path;
use tokio::task::JoinHandle;

use super::BLOCK;
use super::marker::{Compression, SegmentBlock};
use crate::chunk::{PART, Upload};
use crate::layout::SourceKeys;
use crate::{Bytes, Error, Result, Staging};

/// Blocks of a segment that are compressed at once, at most: the network brings the next ones meanwhile.
const PACKING: usize = 3;

/// A segment's object that is complete, for its marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentData {
    /// Its key.
    pub key: String,
    /// Bytes of the object.
    pub size: u64,
    /// Bytes unpacked.
    pub raw_bytes: u64,
    /// How the blocks are stored.
    pub compression: Compression,
    /// The blocks.
    pub blocks: Vec<SegmentBlock>,
    /// The attempt, as in the key.
    pub attempt: String,
}

/// Writes one segment. Dropped before [`SegmentWriter::finish`] it leaves nothing.
pub struct SegmentWriter {
    upload: Upload,
    /// The blocks of the next part, as they are stored: copied nowhere on their way.
    part: Vec<Bytes>,
    part_size: usize,
    size: u64,
    key: Path,
    attempt: String,
    level: i32,
    block: Vec<u8>,
    /// In the order of the object.
    packing: VecDeque<Packing>,
    /// Those that have nothing to do now: their tables are used again.
    compressors: Vec<Compressor>,
    raw_bytes: u64,
    blocks: Vec<SegmentBlock>,
}

type Packing = JoinHandle<std::io::Result<(Block, Compressor)>>;
type Compressor = zstd::bulk::Compressor<'static>;

/// A block as it is stored.
struct Block {
    stored: Bytes,
    raw_len: u64,
    crc32: u32,
}

impl Block {
    fn new(stored: Bytes, raw_len: usize) -> Self {
        let crc32 = crc32fast::hash(&stored);
        Self {
            stored,
            raw_len: raw_len as u64,
            crc32,
        }
    }
}

impl SegmentWriter {
    /// Begins the object of segment `number`, under a key of this attempt's own. `level` is zstd's, 0
    /// stores the bytes as they are. Nothing is asked of the store yet.
    #[must_use]
    pub fn begin(staging: &Staging, keys: &SourceKeys, number: u64, level: i32) -> Self {
        let attempt = format!("{:016x}", rand::random::<u64>());
        let key = keys.segment_data(number, &attempt, level != 0);
        Self {
            upload: Upload::new(staging, key.clone()),
            part: Vec::new(),
            part_size: 0,
            size: 0,
            key,
            attempt,
            level,
            block: Vec::new(),
            packing: VecDeque::new(),
            compressors: Vec::new(),
            raw_bytes: 0,
            blocks: Vec::new(),
        }
    }

    /// Appends bytes; waits while earlier ones are on their way.
    ///
    /// A future that is dropped before it is done has written a part of them: drop the writer too.
    ///
    /// # Errors
    /// When the store fails. The writer is then of no more use.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.raw_bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = BLOCK - self.block.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK {
                self.end_block().await?;
            }
        }
        Ok(())
    }

    /// Bytes written so far.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Ends the object and makes it visible.
    ///
    /// # Errors
    /// When the store fails; nothing names the object then.
    pub async fn finish(mut self) -> Result<SegmentData> {
        self.end_block().await?;
        while !self.packing.is_empty() {
            self.end_packing().await?;
        }
        let rest: PutPayload = std::mem::take(&mut self.part).into_iter().collect();
        self.upload.finish(rest).await?;
        Ok(SegmentData {
            key: self.key.to_string(),
            size: self.size,
            raw_bytes: self.raw_bytes,
            compression: match self.level {
                0 => Compression::None,
                _ => Compression::Zstd,
            },
            blocks: self.blocks,
            attempt: self.attempt,
        })
    }

    async fn end_block(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        // A second block means that there is much: its room is not made by doubling.
        let raw = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        if self.level == 0 {
            let length = raw.len();
            return self.add(Block::new(raw.into(), length)).await;
        }
        let (level, idle) = (self.level, self.compressors.pop());
        // Compressed beside the tasks that wait for the network.
        self.packing.push_back(tokio::task::spawn_blocking(move || {
            let mut compressor = match idle {
                Some(compressor) => compressor,
                None => Compressor::new(level)?,
            };
            let stored = compressor.compress(&raw)?;
            Ok((Block::new(stored.into(), raw.len()), compressor))
        }));
        while self.packing.len() > PACKING {
            self.end_packing().await?;
        }
        Ok(())
    }

    /// Adds the first of the blocks that are being compressed.
    async fn end_packing(&mut self) -> Result<()> {
        let Some(packing) = self.packing.front_mut() else {
            return Ok(());
        };
        let packed = packing.await;
        self.packing.pop_front();
        let packed = packed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let (block, compressor) = packed.map_err(|e| self.failed(e))?;
        self.compressors.push(compressor);
        self.add(block).await
    }

    /// Adds a block to the object; sends a part when there is enough for one.
    async fn add(&mut self, block: Block) -> Result<()> {
        let len = block.stored.len();
        self.blocks.push(SegmentBlock {
            offset: self.size,
            len: len as u64,
            raw_len: block.raw_len,
            crc32: block.crc32,
        });
        self.size += len as u64;
        self.part_size += len;
        self.part.push(block.stored);
        if self.part_size >= PART {
            self.part_size = 0;
            let part: PutPayload = self.part.drain(..).collect();
            self.upload.put_part(part).await?;
        }
        Ok(())
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::Compression {
            key: self.key.to_string(),
            source: error,
        }
    }
}
