//! Writing a segment's object.
//!
//! In memory: one block, one part that fills, and two that are on their way. Nothing is visible under
//! the key before the end, and no reader looks at it before its marker is there.

use std::io::Write as _;

use object_store::path::Path;

use super::BLOCK;
use super::marker::{Compression, SegmentBlock};
use crate::chunk::{PartSink, Upload};
use crate::layout::SourceKeys;
use crate::{Bytes, Error, Result, Staging};

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
    sink: PartSink,
    key: Path,
    attempt: String,
    level: i32,
    block: Vec<u8>,
    raw_bytes: u64,
    blocks: Vec<SegmentBlock>,
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
            sink: PartSink::default(),
            key,
            attempt,
            level,
            block: Vec::new(),
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
        let size = self.sink.written();
        self.upload.finish(self.sink.take_rest()).await?;
        Ok(SegmentData {
            key: self.key.to_string(),
            size,
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
        let raw = std::mem::take(&mut self.block);
        let raw_len = raw.len() as u64;
        let stored = if self.level == 0 {
            self.sink.write_all(&raw).map_err(|e| self.failed(e))?;
            raw
        } else {
            let (stored, raw) = pack(raw, self.level).await.map_err(|e| self.failed(e))?;
            self.sink.write_all(&stored).map_err(|e| self.failed(e))?;
            raw
        };
        // The room is used again.
        self.block = stored;
        self.block.clear();
        let block = self.sink.take_block(0);
        self.blocks.push(SegmentBlock {
            offset: block.offset,
            len: block.len,
            raw_len,
            crc32: block.crc32,
        });
        while let Some(part) = self.sink.take_full() {
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

/// Compresses beside the tasks that wait for the network; gives the input back for its room.
async fn pack(raw: Vec<u8>, level: i32) -> std::io::Result<(Bytes, Vec<u8>)> {
    tokio::task::spawn_blocking(move || {
        let stored = zstd::bulk::compress(&raw, level)?;
        Ok((stored.into(), raw))
    })
    .await
    .unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
