//! Values of keys as numbers: two changes that share one keep their order.
//!
//! Two values that the collation of source or target calls equal give the same number; two that differ
//! may give the same number too, which costs a wait and nothing else. So the numbers need not be
//! strong, only quick.

use std::hash::{Hash as _, Hasher as _};

use sha2::{Digest as _, Sha256};
use tideway_mysql::binlog::value::Value;
use tideway_mysql::row::ValueError;

use super::table::Table;

/// The number of some bytes.
#[must_use]
pub fn hash_of(bytes: &[u8]) -> u64 {
    // Its keys are constant, so the numbers are the same in each run.
    let mut hasher = std::hash::DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// SHA-256 of some bytes, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Appends the numbers of all unique keys of a row's image, those that `found` has already left out. A
/// key with a NULL in it is like no other and has none.
///
/// # Errors
/// A value is not of its column's type.
///
/// `scratch` is only there to be used again.
pub fn of_row(
    table: &Table,
    image: &[Value<'_>],
    scratch: &mut Vec<u8>,
    found: &mut Vec<u64>,
) -> Result<(), ValueError> {
    'keys: for unique in &table.unique {
        scratch.clear();
        scratch.extend_from_slice(&table.id.to_le_bytes());
        scratch.extend_from_slice(&unique.id.to_le_bytes());
        for part in &unique.parts {
            let Some(column) = table.columns.get(part.column) else {
                continue;
            };
            match image.get(column.image) {
                Some(Value::Null) => continue 'keys,
                Some(value) => part.as_key.write(&column.def, value, scratch)?,
                None => {}
            }
        }
        let number = hash_of(scratch);
        if !found.contains(&number) {
            found.push(number);
        }
    }
    Ok(())
}
