//! Reading a chunk's Parquet object.
//!
//! The marker's checksums come first: the footer is verified before it is parsed, each row group
//! before any of it is decoded, so damage is found before the first of its rows is handed out, and
//! the decoder only ever sees bytes that the encoder wrote. What is in memory: the footer, one
//! compressed row group, one unpacked page for each column, one batch.

use std::io;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::{Buf, Bytes};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader as ParquetBytes, Length};

use crate::document::{Block, DataFile};
use crate::range::read_range;
use crate::{Error, Result, Staging};

/// No batch has more rows, however short they are.
const MOST_ROWS: usize = 65_536;

/// Reads one Parquet object, batch by batch, in order.
pub struct ChunkReader {
    staging: Staging,
    file: DataFile,
    metadata: ArrowReaderMetadata,
    /// As the batches have it: without Parquet's keys and values.
    schema: SchemaRef,
    /// The row group that is asked for next.
    next_group: usize,
    /// Rows of that row group to pass over.
    skip: u64,
    open: Option<ParquetRecordBatchReader>,
}

impl ChunkReader {
    /// Verifies and reads the footer.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Damaged`] when the object is not what its marker says; when
    /// the store fails.
    pub async fn open(staging: &Staging, file: &DataFile) -> Result<Self> {
        let groups_end = file.row_groups.last().map_or(0, |b| b.offset + b.len);
        if file.footer.offset != groups_end || file.footer.offset + file.footer.len != file.size {
            return Err(damaged(
                staging,
                file,
                "the blocks that its marker names do not tile it",
            ));
        }
        let bytes = read_block(staging, file, &file.footer).await?;
        let footer = Window {
            start: file.footer.offset,
            bytes,
            size: file.size,
        };
        let options = ArrowReaderOptions::new();
        let metadata = ArrowReaderMetadata::load(&footer, options)
            .map_err(|error| damaged(staging, file, &format!("its footer: {error}")))?;
        let found = metadata.metadata().row_groups();
        let agrees = found.len() == file.row_groups.len()
            && found
                .iter()
                .zip(&file.row_groups)
                .all(|(found, block)| u64::try_from(found.num_rows()) == Ok(block.rows));
        if !agrees {
            return Err(damaged(
                staging,
                file,
                "its row groups are not those that its marker names",
            ));
        }
        let schema = Arc::new(Schema::new(metadata.schema().fields().clone()));
        Ok(Self {
            staging: staging.clone(),
            file: file.clone(),
            metadata,
            schema,
            next_group: 0,
            skip: 0,
            open: None,
        })
    }

    /// The schema, as Parquet keeps it.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Keys and values of Parquet's metadata.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, String)> {
        self.metadata
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .into_iter()
            .flatten()
            .map(|entry| (entry.key.clone(), entry.value.clone().unwrap_or_default()))
            .collect()
    }

    /// Passes over rows; whole row groups are not even fetched.
    ///
    /// # Errors
    /// As [`ChunkReader::next_batch`]; [`Error::Damaged`] when there are not so many rows.
    #[expect(
        clippy::unused_async,
        reason = "callers need not change when passing over rows comes to fetch an index"
    )]
    pub async fn skip_rows(&mut self, mut rows: u64) -> Result<()> {
        if self.open.take().is_some() {
            // `skip` counts what was handed out of it: it will be opened anew behind that.
            self.next_group -= 1;
        }
        while rows > 0 {
            let Some(block) = self.file.row_groups.get(self.next_group) else {
                return Err(damaged(
                    &self.staging,
                    &self.file,
                    &format!("{rows} more rows were to be passed over than it has"),
                ));
            };
            let left = block.rows - self.skip;
            if rows >= left {
                rows -= left;
                self.next_group += 1;
                self.skip = 0;
            } else {
                self.skip += rows;
                rows = 0;
            }
        }
        Ok(())
    }

    /// The next rows, about `max_bytes` of them by the average of their row group (at least one
    /// row); `None` at the end. A change of `max_bytes` takes effect with the next row group.
    ///
    /// # Errors
    /// [`Error::NotFound`] and [`Error::Damaged`] when the object is not what its marker says; when
    /// the store fails. Calling it again after a store's error goes on where it was.
    pub async fn next_batch(&mut self, max_bytes: usize) -> Result<Option<RecordBatch>> {
        loop {
            if self.open.is_none() {
                if self.next_group >= self.file.row_groups.len() {
                    return Ok(None);
                }
                self.open = Some(self.open_group(max_bytes).await?);
                self.next_group += 1;
            }
            match self.open.as_mut().and_then(Iterator::next) {
                Some(Ok(batch)) => {
                    self.skip += batch.num_rows() as u64;
                    return Ok(Some(batch));
                }
                Some(Err(error)) => {
                    return Err(damaged(
                        &self.staging,
                        &self.file,
                        &format!("row group {}: {error}", self.next_group - 1),
                    ));
                }
                None => {
                    // Its bytes go before the next ones come.
                    self.open = None;
                    self.skip = 0;
                }
            }
        }
    }

    async fn open_group(&self, max_bytes: usize) -> Result<ParquetRecordBatchReader> {
        let block = &self.file.row_groups[self.next_group];
        let bytes = read_block(&self.staging, &self.file, block).await?;
        let window = Window {
            start: block.offset,
            bytes,
            size: self.file.size,
        };
        let group = self.metadata.metadata().row_group(self.next_group);
        let bytes = u64::try_from(group.total_byte_size()).unwrap_or(u64::MAX);
        let row = (bytes / block.rows.max(1)).max(1);
        let rows = usize::try_from(max_bytes as u64 / row)
            .unwrap_or(MOST_ROWS)
            .clamp(1, MOST_ROWS);
        ParquetRecordBatchReaderBuilder::new_with_metadata(window, self.metadata.clone())
            .with_row_groups(vec![self.next_group])
            .with_offset(usize::try_from(self.skip).unwrap_or(usize::MAX))
            .with_batch_size(rows)
            .build()
            .map_err(|error| damaged(&self.staging, &self.file, &error.to_string()))
    }
}

/// Reads a block of an object and verifies its checksum.
pub(crate) async fn read_block(staging: &Staging, file: &DataFile, block: &Block) -> Result<Bytes> {
    let range = block.offset..block.offset + block.len;
    let bytes = read_range(staging, &file.key, file.size, range, WAY_OUT).await?;
    let crc32 = crc32fast::hash(&bytes);
    if crc32 != block.crc32 {
        return Err(damaged(
            staging,
            file,
            &format!(
                "bytes {} to {} have CRC32 {crc32:08x}, its marker says {:08x}",
                block.offset,
                block.offset + block.len,
                block.crc32
            ),
        ));
    }
    Ok(bytes)
}

const WAY_OUT: &str = "Restore the object (a version, a copy), or delete the chunk's marker and the \
                       manifest (both under dump/_tideway) and run dump again: it reads that chunk \
                       anew; of a `flush` or `lock` dump in task-mode full it reads all chunks anew, \
                       for they are one snapshot. The new manifest is a new load, into empty tables. \
                       `tideway staging verify` lists all that is damaged";

fn damaged(staging: &Staging, file: &DataFile, what: &str) -> Error {
    crate::range::damaged(staging, &file.key, what, WAY_OUT)
}

/// The bytes of an object from `start` on, for the decoder, which thinks in offsets of the object.
struct Window {
    start: u64,
    bytes: Bytes,
    size: u64,
}

impl Window {
    fn from(&self, at: u64) -> Result<Bytes, ParquetError> {
        at.checked_sub(self.start)
            .and_then(|at| usize::try_from(at).ok())
            .filter(|&at| at <= self.bytes.len())
            .map(|at| self.bytes.slice(at..))
            .ok_or_else(|| ParquetError::EOF(format!("offset {at} lies outside its row group")))
    }
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ParquetBytes for Window {
    type T = io::BufReader<bytes::buf::Reader<Bytes>>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(io::BufReader::new(self.from(start)?.reader()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF(format!(
                "{length} bytes at {start} reach beyond its row group"
            )));
        }
        Ok(bytes.slice(..length))
    }
}
