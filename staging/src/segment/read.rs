//! Reading a segment's object, block by block.
//!
//! Blocks are fetched a few at a time, to ask the store seldom; each is verified before it is unpacked,
//! and unpacks to what its marker says or is damaged. In memory: [`WINDOW`] of stored bytes, or one
//! block if that is larger, and one block unpacked.

use bytes::Bytes;

use super::marker::{Compression, SegmentBlock, SegmentMarker};
use super::{BLOCK, WAY_OUT};
use crate::range::{damaged, read_range};
use crate::{Error, Result, Staging};

/// Stored bytes that are fetched at once.
const WINDOW: u64 = 4 << 20;

/// Reads one segment in order.
pub struct SegmentReader {
    staging: Staging,
    key: String,
    size: u64,
    compression: Compression,
    blocks: Vec<SegmentBlock>,
    next: usize,
    /// Stored bytes from `window_start` on.
    window: Bytes,
    window_start: u64,
}

impl SegmentReader {
    /// Begins to read; nothing is asked of the store yet. An empty segment has no block.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the marker's blocks do not tile the object, or are too large.
    pub fn open(staging: &Staging, marker: &SegmentMarker) -> Result<Self> {
        let key = marker.key.clone().unwrap_or_default();
        let raw: u64 = marker.blocks.iter().map(|block| block.raw_len).sum();
        let end = marker.blocks.iter().try_fold(0_u64, |at, block| {
            let fits = block.raw_len <= BLOCK as u64 && block.len <= 2 * BLOCK as u64;
            (block.offset == at && fits).then_some(block.offset + block.len)
        });
        if end != Some(marker.size) || raw != marker.raw_bytes {
            let what = format!(
                "the blocks that the marker of segment {} names do not tile it",
                marker.number
            );
            return Err(damaged(staging, &key, &what, WAY_OUT));
        }
        Ok(Self {
            staging: staging.clone(),
            key,
            size: marker.size,
            compression: marker.compression,
            blocks: marker.blocks.clone(),
            next: 0,
            window: Bytes::new(),
            window_start: 0,
        })
    }

    /// The next block, verified and unpacked; `None` behind the last.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Damaged`] when the object is not what its marker says; when
    /// the store fails.
    pub async fn next_block(&mut self) -> Result<Option<Bytes>> {
        let Some(block) = self.blocks.get(self.next).copied() else {
            return Ok(None);
        };
        if block.offset + block.len > self.window_start + self.window.len() as u64 {
            self.fetch(block).await?;
        }
        let at = block.offset.saturating_sub(self.window_start);
        let range = usize::try_from(at)
            .ok()
            .zip(usize::try_from(at + block.len).ok())
            .filter(|&(_, end)| end <= self.window.len());
        let Some((from, to)) = range else {
            return Err(self.damaged(&block, "it lies outside what was read"));
        };
        let stored = self.window.slice(from..to);
        let crc32 = crc32fast::hash(&stored);
        if crc32 != block.crc32 {
            let what = format!(
                "they have CRC32 {crc32:08x}, its marker says {:08x}",
                block.crc32
            );
            return Err(self.damaged(&block, &what));
        }
        let raw = match self.compression {
            Compression::None => stored,
            Compression::Zstd => {
                let room = usize::try_from(block.raw_len).unwrap_or(0).min(BLOCK);
                match zstd::bulk::decompress(&stored, room) {
                    Ok(raw) => Bytes::from(raw),
                    Err(error) => return Err(self.damaged(&block, &error.to_string())),
                }
            }
        };
        if raw.len() as u64 != block.raw_len {
            let what = format!(
                "they unpack to {} bytes, its marker says {}",
                raw.len(),
                block.raw_len
            );
            return Err(self.damaged(&block, &what));
        }
        self.next += 1;
        Ok(Some(raw))
    }

    /// Fetches from `first` on as many blocks as fit the window.
    async fn fetch(&mut self, first: SegmentBlock) -> Result<()> {
        self.window = Bytes::new();
        let later = self.blocks.iter().skip(self.next);
        let end = later
            .map(|block| block.offset + block.len)
            .take_while(|end| end - first.offset <= WINDOW)
            .last()
            .unwrap_or(first.offset + first.len);
        let range = first.offset..end;
        self.window = read_range(&self.staging, &self.key, self.size, range, WAY_OUT).await?;
        self.window_start = first.offset;
        Ok(())
    }

    fn damaged(&self, block: &SegmentBlock, what: &str) -> Error {
        let what = format!(
            "bytes {} to {}: {what}",
            block.offset,
            block.offset + block.len
        );
        damaged(&self.staging, &self.key, &what, WAY_OUT)
    }
}
