//! Writing a chunk's Parquet object.
//!
//! Memory: a row group is closed when the *raw* bytes of its values reach the limit. What the encoder
//! holds of them is compressed, so for ordinary data it is a fraction, and for data that does not
//! compress it is the limit. Batches go to the encoder in slices of about 1 MiB, because it looks at
//! a page's size only between two writes: a page is then about 2 MiB, or one value if that is larger.
//! Closing a row group moves its pages into parts one by one; two parts are on their way meanwhile.
//!
//! That raw bytes close a row group bounds the reader as well: whatever the compression, no row group
//! unpacks to more than the limit and one slice.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::sink::PartSink;
use super::upload::Upload;
use crate::document::{Block, DataFile};
use crate::{Error, Result, Staging};

/// Rows go to the encoder in slices of about so many raw bytes.
const SLICE: usize = 1 << 20;
/// Leading bytes of text that the statistics keep.
const STATISTICS: usize = 64;

/// How a chunk is encoded.
#[derive(Clone, Debug)]
pub struct ChunkWriterOptions {
    /// A row group is closed at so many raw bytes.
    pub row_group_bytes: usize,
    /// zstd's level; 1 is the one to take.
    pub zstd_level: i32,
    /// Keys and values for Parquet's metadata, such as the real names of long tables.
    pub metadata: Vec<(String, String)>,
    /// Columns of few distinct values (ENUM and its like) that get a dictionary.
    pub dictionary_columns: Vec<String>,
}

impl Default for ChunkWriterOptions {
    fn default() -> Self {
        Self {
            row_group_bytes: 64 << 20,
            zstd_level: 1,
            metadata: Vec::new(),
            dictionary_columns: Vec::new(),
        }
    }
}

/// Writes one Parquet object, batch by batch.
///
/// Nothing is visible under the key before [`ChunkWriter::finish`] returns. Dropping it, or
/// [`ChunkWriter::abort`], leaves nothing.
pub struct ChunkWriter {
    writer: ArrowWriter<PartSink>,
    upload: Upload,
    key: Path,
    limit: usize,
    /// Raw bytes and rows in the row group that is open.
    open_bytes: usize,
    open_rows: u64,
    raw_bytes: u64,
    blocks: Vec<Block>,
}

impl ChunkWriter {
    /// Begins an object under a key that nothing has yet (see
    /// [`crate::layout::SourceKeys::chunk_data`]).
    ///
    /// # Errors
    /// [`Error::Conflict`] when something is there; when the store fails, or the schema cannot be
    /// written as Parquet.
    pub async fn create(
        staging: &Staging,
        key: Path,
        schema: SchemaRef,
        options: ChunkWriterOptions,
    ) -> Result<Self> {
        // Data is never overwritten. Attempts have random digits, so this all but never happens.
        if staging.head(&key).await?.is_some() {
            return Err(Error::Conflict {
                url: staging.url().to_owned(),
                key: key.to_string(),
                what: "another attempt has this key: take another".to_owned(),
            });
        }
        let properties = properties(&options, &schema).map_err(|source| failed(&key, source))?;
        let arrow_options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(
            PartSink::default(),
            Arc::clone(&schema),
            arrow_options,
        )
        .map_err(|source| failed(&key, source))?;
        Ok(Self {
            writer,
            upload: Upload::new(staging, key.clone()),
            key,
            limit: options.row_group_bytes.max(1),
            open_bytes: 0,
            open_rows: 0,
            raw_bytes: 0,
            blocks: Vec::new(),
        })
    }

    /// Encodes a batch, and sends what is complete.
    ///
    /// # Errors
    /// When the batch does not fit the schema, or the store fails. The object is then to be aborted.
    pub async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            let (rows, bytes) = slice_rows(batch, at);
            let slice = batch.slice(at, rows);
            at += rows;
            if self.open_rows > 0 && self.open_bytes + bytes > self.limit {
                self.close_row_group().await?;
            }
            self.writer
                .write(&slice)
                .map_err(|source| failed(&self.key, source))?;
            self.open_bytes += bytes;
            self.open_rows += rows as u64;
            self.raw_bytes += bytes as u64;
            if self.open_bytes >= self.limit {
                self.close_row_group().await?;
            }
            // Encoding a slice takes milliseconds: let leases and time-outs have their turn.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Raw bytes written so far.
    #[must_use]
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }

    /// Ends the object and makes it visible; what is returned goes into the marker.
    ///
    /// # Errors
    /// When the store fails: nothing is visible then, or what is visible has no marker.
    pub async fn finish(mut self) -> Result<DataFile> {
        if self.open_rows > 0 {
            self.close_row_group().await?;
        }
        self.writer
            .finish()
            .and_then(|_| self.writer.sync().map_err(ParquetError::from))
            .map_err(|source| failed(&self.key, source))?;
        let footer = self.writer.inner_mut().take_block(0);
        self.send_full_parts().await?;
        let sink = self.writer.inner_mut();
        let size = sink.written();
        let rest = sink.take_rest();
        self.upload.finish(rest).await?;
        Ok(DataFile {
            key: self.key.to_string(),
            size,
            rows: self.blocks.iter().map(|block| block.rows).sum(),
            raw_bytes: self.raw_bytes,
            row_groups: self.blocks,
            footer,
        })
    }

    /// Gives the object up.
    pub async fn abort(self) {
        self.upload.abort().await;
    }

    async fn close_row_group(&mut self) -> Result<()> {
        // `sync` empties the encoder's own small buffer, so that the block ends where it should.
        self.writer
            .flush()
            .and_then(|()| self.writer.sync().map_err(ParquetError::from))
            .map_err(|source| failed(&self.key, source))?;
        let rows = std::mem::take(&mut self.open_rows);
        self.open_bytes = 0;
        let block = self.writer.inner_mut().take_block(rows);
        self.blocks.push(block);
        self.send_full_parts().await
    }

    async fn send_full_parts(&mut self) -> Result<()> {
        while let Some(part) = self.writer.inner_mut().take_full() {
            self.upload.put_part(part).await?;
        }
        Ok(())
    }
}

/// How many rows from `at` on make about [`SLICE`] raw bytes (at least one row), and their bytes.
fn slice_rows(batch: &RecordBatch, at: usize) -> (usize, usize) {
    let mut rows = batch.num_rows() - at;
    loop {
        let bytes = raw_bytes(&batch.slice(at, rows));
        if bytes <= SLICE * 3 / 2 || rows == 1 {
            return (rows, bytes);
        }
        // By the average; rows of unequal size take another round or two, each at least halving.
        rows = (rows * SLICE / bytes).clamp(1, rows / 2);
    }
}

/// Bytes of the values of a batch, whatever buffers it shares.
fn raw_bytes(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|column| {
            let data = column.to_data();
            data.get_slice_memory_size()
                .unwrap_or_else(|_| column.get_array_memory_size())
        })
        .sum()
}

fn properties(
    options: &ChunkWriterOptions,
    schema: &Schema,
) -> Result<WriterProperties, ParquetError> {
    let metadata = options
        .metadata
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()))
        .collect();
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("tideway ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(options.zstd_level)?))
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(STATISTICS))
        .set_offset_index_disabled(true)
        // Row groups are closed here and nowhere else: their checksums depend on it.
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(None)
        .set_key_value_metadata(Some(metadata));
    for field in schema.fields() {
        // The least and the greatest are kept whole while a row group is open: two times 8 MiB for
        // values of 8 MiB, for statistics that no one filters blobs by.
        if matches!(field.data_type(), DataType::Binary | DataType::LargeBinary) {
            let column = ColumnPath::new(vec![field.name().clone()]);
            properties = properties.set_column_statistics_enabled(column, EnabledStatistics::None);
        }
    }
    for name in &options.dictionary_columns {
        let column = ColumnPath::new(vec![name.clone()]);
        properties = properties.set_column_dictionary_enabled(column, true);
    }
    Ok(properties.build())
}

fn failed(key: &Path, source: ParquetError) -> Error {
    Error::Parquet {
        key: key.to_string(),
        source,
    }
}
