//! The commit marker of a chunk: what makes its data exist.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Json;
use crate::layout::SourceKeys;
use crate::{Error, Result, Staging};

/// A run of bytes of an object and their checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Where it begins.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u64,
    /// How many rows it holds; 0 for a footer.
    pub rows: u64,
    /// CRC32 (IEEE) of its bytes.
    pub crc32: u32,
}

/// One Parquet object. Its blocks tile it: the first begins at 0 (and holds the magic), the footer
/// ends at its size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Its key, relative to the root of the staging.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its rows.
    pub rows: u64,
    /// Bytes of its values before encoding and compression.
    pub raw_bytes: u64,
    /// One block for each row group.
    pub row_groups: Vec<Block>,
    /// What follows the last row group: Parquet's metadata.
    pub footer: Block,
}

/// The commit marker of a chunk. Created once, never overwritten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChunkMarker {
    /// Version of this document.
    pub version: u32,
    /// The database, as it is really named.
    pub db: String,
    /// The table, as it is really named.
    pub table: String,
    /// Number of the chunk.
    pub chunk: u32,
    /// Hash of the definition under which it was read.
    pub definition_hash: String,
    /// Which process wrote it.
    pub attempt: String,
    /// Its data.
    pub files: Vec<DataFile>,
    /// Rows in all files.
    pub rows: u64,
    /// Bytes of values in all files.
    pub raw_bytes: u64,
    /// Columns that are kept as text in this chunk.
    #[serde(default)]
    pub text_columns: Vec<String>,
    /// E_t: where a table without a key was read; else null.
    #[serde(default)]
    pub position: Json,
    /// When reading began.
    pub started_at: DateTime<Utc>,
    /// When the data was complete.
    pub finished_at: DateTime<Utc>,
}

impl ChunkMarker {
    /// Bytes in the store.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// Reads the marker of a chunk; `None` when the chunk is not committed.
///
/// # Errors
/// When the store fails or the marker is damaged.
pub async fn read_marker(
    staging: &Staging,
    keys: &SourceKeys,
    db: &str,
    table: &str,
    number: u32,
) -> Result<Option<ChunkMarker>> {
    staging
        .get_json(&keys.chunk_marker(db, table, number))
        .await
}

/// Reads the marker of a chunk that the manifest says exists.
///
/// # Errors
/// As [`read_marker`]; [`Error::NotFound`] when it is absent.
pub async fn require_marker(
    staging: &Staging,
    keys: &SourceKeys,
    db: &str,
    table: &str,
    number: u32,
) -> Result<ChunkMarker> {
    match read_marker(staging, keys, db, table, number).await? {
        Some(marker) => Ok(marker),
        None => Err(Error::NotFound {
            url: staging.url().to_owned(),
            key: keys.chunk_marker(db, table, number).to_string(),
            what: format!(
                "the manifest counts chunk {number} of `{db}`.`{table}`, so its marker was there. \
                 Restore it, or delete {} and run the dump again: it reads this chunk anew",
                keys.manifest()
            ),
        }),
    }
}
