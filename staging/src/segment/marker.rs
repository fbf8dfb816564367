//! What is known of a segment, and how it comes to exist.

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::document::Json;
use crate::layout::{SourceKeys, parse_segment_marker};
use crate::store::parse;
use crate::{Bytes, Create, Error, Result, Staging};

/// How the blocks of a segment are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Each a zstd frame.
    Zstd,
    /// As they are.
    None,
}

/// A part of a segment that is verified and unpacked by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentBlock {
    /// Where it begins in the object.
    pub offset: u64,
    /// Its bytes as stored.
    pub len: u64,
    /// Its bytes unpacked, at most [`super::BLOCK`].
    pub raw_len: u64,
    /// CRC-32 (that of zlib) of the bytes as stored.
    pub crc32: u32,
}

/// `<task>/<source>/binlog/<nnnnnnnnnnnn>.json`: the segment exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SegmentMarker {
    /// Version of this document.
    pub version: u32,
    /// Its place in the chain, from 1.
    pub number: u64,
    /// The data; `None` when the position moved and there was no event to keep.
    pub key: Option<String>,
    /// Bytes of the object.
    pub size: u64,
    /// Bytes of the object unpacked.
    pub raw_bytes: u64,
    /// How the blocks are stored.
    pub compression: Compression,
    /// The blocks, which tile the object.
    pub blocks: Vec<SegmentBlock>,
    /// SHA-256, in hex, of the bytes of the marker before; for number 1 those of `start.json`.
    pub previous: String,
    /// Where its first event begins: file, offset, GTID set. The `to` of the segment before.
    pub from: Json,
    /// Where the event behind its last one begins.
    pub to: Json,
    /// UUID of the server that its events and `to` are of.
    pub server_uuid: String,
    /// Time in the header of its first event, seconds since 1970; 0 when it is empty.
    pub first_time: u64,
    /// Time in the header of its last event.
    pub last_time: u64,
    /// Events that were received, without the format description and the copies of table maps in
    /// front of them.
    pub events: u64,
    /// Transactions that end in it.
    pub transactions: u64,
    /// It begins within a transaction: copies of that statement's table maps come first.
    pub continued: bool,
    /// It ends within a transaction.
    pub continues: bool,
    /// Epoch of the lease under which it was captured.
    pub epoch: u64,
    /// Tells this attempt at the number from all others.
    pub attempt: String,
    /// When it was complete.
    pub captured_at: DateTime<Utc>,
}

impl SegmentMarker {
    /// Whether there is no data in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key.is_none()
    }

    /// The hash by which the next marker names this one, as [`commit`] stores it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn hash(&self, staging: &Staging, keys: &SourceKeys) -> Result<String> {
        let bytes = staging.to_json(&keys.segment_marker(self.number), self)?;
        Ok(hash(&bytes))
    }
}

/// SHA-256 of a document's bytes, in hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Makes a segment exist; says whose is there when another one does.
///
/// # Errors
/// When the store fails, or what is there is damaged.
pub async fn commit(
    staging: &Staging,
    keys: &SourceKeys,
    marker: &SegmentMarker,
) -> Result<Create<SegmentMarker>> {
    let key = keys.segment_marker(marker.number);
    staging.create_json(&key, marker).await
}

/// Reads a marker by its number, in one request, and the hash of its bytes; `None` when the segment
/// does not exist (yet).
///
/// # Errors
/// When the store fails, or the marker is damaged or of a newer version.
pub async fn read_marker(
    staging: &Staging,
    keys: &SourceKeys,
    number: u64,
) -> Result<Option<(SegmentMarker, String)>> {
    let key = keys.segment_marker(number);
    let Some(bytes) = staging.get_marker_bytes(&key).await? else {
        return Ok(None);
    };
    let marker: SegmentMarker = parse(staging.url(), &key, &bytes)?;
    if marker.number != number {
        return Err(Error::Damaged {
            url: staging.url().to_owned(),
            key: key.to_string(),
            what: format!(
                "it is the marker of segment {}. {}",
                marker.number,
                super::WAY_OUT
            ),
        });
    }
    Ok(Some((marker, hash(&bytes))))
}

/// The last segment that exists, with the hash of its marker: behind it capture goes on.
///
/// # Errors
/// When the store fails, or the marker is damaged or of a newer version.
pub async fn last(staging: &Staging, keys: &SourceKeys) -> Result<Option<(SegmentMarker, String)>> {
    let mut highest = None;
    let dir = keys.binlog_dir();
    let mut objects = staging.list(&dir);
    while let Some(object) = objects.try_next().await? {
        highest = highest.max(parse_segment_marker(&object.location));
    }
    // A listing is not one moment: it may miss the newest.
    let mut found = None;
    let mut number = highest.unwrap_or(1);
    while let Some(next) = read_marker(staging, keys, number).await? {
        found = Some(next);
        number += 1;
    }
    match (highest, &found) {
        // Taking it for "nothing captured yet" would begin the chain again.
        (Some(number), None) => Err(Error::NotFound {
            url: staging.url().to_owned(),
            key: keys.segment_marker(number).to_string(),
            what: format!("it was listed and is gone. {}", super::WAY_OUT),
        }),
        _ => Ok(found),
    }
}

/// The hash of `start.json`, with which a chain begins, and its bytes; `None` when there is none.
///
/// # Errors
/// When the store fails.
pub async fn start_hash(staging: &Staging, keys: &SourceKeys) -> Result<Option<(Bytes, String)>> {
    let found = staging.get_marker_bytes(&keys.start()).await?;
    Ok(found.map(|bytes| {
        let hash = hash(&bytes);
        (bytes, hash)
    }))
}
