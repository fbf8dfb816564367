//! Where the Parquet encoder writes to: parts of equal size, and the checksum of each block.

use std::collections::VecDeque;
use std::io::{self, Write};

use bytes::Bytes;

use crate::document::Block;

/// Size of a part: S3 wants at least 5 MiB, and at most 10,000 of them (60 GiB an object).
pub(crate) const PART: usize = 6 << 20;

/// Cuts what is written into parts, so that bytes are copied once and never moved again.
#[derive(Default)]
pub(crate) struct PartSink {
    full: VecDeque<Bytes>,
    current: Vec<u8>,
    hasher: crc32fast::Hasher,
    block_start: u64,
    written: u64,
}

impl PartSink {
    /// Ends the block that began where the last one ended.
    pub fn take_block(&mut self, rows: u64) -> Block {
        let hasher = std::mem::take(&mut self.hasher);
        let block = Block {
            offset: self.block_start,
            len: self.written - self.block_start,
            rows,
            crc32: hasher.finalize(),
        };
        self.block_start = self.written;
        block
    }

    /// The next part that is full.
    pub fn take_full(&mut self) -> Option<Bytes> {
        self.full.pop_front()
    }

    /// What is left after all full parts: the last part.
    pub fn take_rest(&mut self) -> Bytes {
        std::mem::take(&mut self.current).into()
    }

    /// Bytes written in all.
    pub fn written(&self) -> u64 {
        self.written
    }
}

impl Write for PartSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PART - self.current.len()));
            if self.current.capacity() < self.current.len() + now.len() {
                // Doubling, but never beyond a part.
                let wanted = (self.current.len() + now.len())
                    .next_power_of_two()
                    .min(PART);
                self.current.reserve_exact(wanted - self.current.len());
            }
            self.current.extend_from_slice(now);
            rest = later;
            if self.current.len() == PART {
                self.full
                    .push_back(std::mem::take(&mut self.current).into());
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_equal_and_blocks_tile_what_was_written() {
        let mut sink = PartSink::default();
        let data: Vec<u8> = (0..PART * 2 + 1000).map(|n| (n % 251) as u8).collect();
        sink.write_all(&data[..100]).unwrap();
        let first = sink.take_block(1);
        sink.write_all(&data[100..]).unwrap();
        let second = sink.take_block(2);
        assert_eq!((first.offset, first.len, first.rows), (0, 100, 1));
        assert_eq!((second.offset, second.len), (100, data.len() as u64 - 100));
        assert_eq!(first.crc32, crc32fast::hash(&data[..100]));
        assert_eq!(second.crc32, crc32fast::hash(&data[100..]));
        let mut joined = Vec::new();
        while let Some(part) = sink.take_full() {
            assert_eq!(part.len(), PART);
            joined.extend_from_slice(&part);
        }
        joined.extend_from_slice(&sink.take_rest());
        assert!(joined == data);
    }
}
