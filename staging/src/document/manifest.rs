//! The manifest: the dump is complete.
//!
//! Written by `dump finish` after every chunk of the plan has a marker. Other jobs wait for it; load
//! keys its checkpoints at the target by [`Manifest::hash`], so that another dump, even under the
//! same names, is another load.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Json;
use crate::layout::SourceKeys;
use crate::{Result, Staging};

/// `manifest.json`. Created once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this document.
    pub version: u32,
    /// Name of the task.
    pub task: String,
    /// Id of the source.
    pub source: String,
    /// UUID of the server that was read.
    pub server_uuid: String,
    /// How many generations the plan had, less one.
    pub generation: u32,
    /// Consistency that was taken.
    pub consistency: String,
    /// Whether all chunks show one moment.
    pub exact: bool,
    /// Where the binlog begins for this dump.
    pub start: Json,
    /// A position after the last chunk: safe mode may end there.
    pub end: Json,
    /// The tables.
    pub tables: Vec<ManifestTable>,
    /// The views, as `db.view`.
    pub views: Vec<String>,
    /// Rows in all tables.
    pub rows: u64,
    /// Bytes of values before encoding and compression.
    pub raw_bytes: u64,
    /// Bytes in the store.
    pub stored_bytes: u64,
    /// The largest row group: what a reader must be able to hold.
    pub max_row_group_bytes: u64,
    /// When it was finished.
    pub finished_at: DateTime<Utc>,
}

/// A table in the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestTable {
    /// Its database.
    pub db: String,
    /// Its name.
    pub table: String,
    /// Numbers of its chunks.
    pub chunks: Vec<u32>,
    /// Its rows.
    pub rows: u64,
    /// Bytes of its values.
    pub raw_bytes: u64,
    /// Bytes in the store.
    pub stored_bytes: u64,
    /// Its Parquet objects.
    pub files: u64,
}

impl Manifest {
    /// SHA-256 (hex) of its canonical JSON: keys sorted, no spaces.
    ///
    /// Computed from the parsed document, so it does not depend on how the JSON was spaced or
    /// ordered when it was written.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut text = String::new();
        // A struct of strings, numbers and parsed JSON always turns into a value.
        if let Ok(value) = serde_json::to_value(self) {
            canonical(&value, &mut text);
        }
        hex::encode(Sha256::digest(text.as_bytes()))
    }
}

fn canonical(value: &Json, text: &mut String) {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            text.push('{');
            for (key, value) in entries {
                text.push_str(&Json::String(key.clone()).to_string());
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Json::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// Reads the manifest of a source; `None` while the dump is not finished.
///
/// # Errors
/// When the store fails or the manifest is damaged.
pub async fn read_manifest(staging: &Staging, keys: &SourceKeys) -> Result<Option<Manifest>> {
    staging.get_large_json(&keys.manifest()).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_hash_ignores_the_order_of_keys_and_nothing_else() {
        let manifest = |start: Json, rows| Manifest {
            version: 1,
            task: "t".to_owned(),
            source: "s".to_owned(),
            server_uuid: "u".to_owned(),
            generation: 0,
            consistency: "none".to_owned(),
            exact: false,
            start,
            end: Json::Null,
            tables: vec![],
            views: vec![],
            rows,
            raw_bytes: 0,
            stored_bytes: 0,
            max_row_group_bytes: 0,
            finished_at: DateTime::UNIX_EPOCH,
        };
        let one: Json = serde_json::from_str(r#"{"a": 1, "b": 2}"#).unwrap();
        let other: Json = serde_json::from_str(r#"{"b": 2, "a": 1}"#).unwrap();
        let hash = manifest(one.clone(), 1).hash();
        assert_eq!(hash.len(), 64);
        assert_eq!(hash, manifest(other, 1).hash());
        assert_ne!(hash, manifest(one, 2).hash());
        assert_ne!(hash, manifest(json!({"a": 2, "b": 1}), 1).hash());
    }
}
