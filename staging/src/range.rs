//! Reading a part of an object whose size a marker knows.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};

use crate::layout::stored_key;
use crate::{Error, Result, Staging};

/// How often a part is asked for when the store fails on the way.
const TRIES: u32 = 3;

/// Reads bytes `range` of the object `key`, which must have `size` bytes in all. `way_out` ends the
/// message when it does not.
pub(crate) async fn read_range(
    staging: &Staging,
    key: &str,
    size: u64,
    range: Range<u64>,
    way_out: &str,
) -> Result<Bytes> {
    let path = stored_key(key);
    let mut pause = Duration::from_millis(200);
    let mut tries = 1;
    loop {
        match fetch(staging, &path, size, range.clone(), way_out).await {
            Err(error) if error.retryable() && tries < TRIES => {
                tracing::warn!("{error}; trying again");
                tokio::time::sleep(pause).await;
                pause *= 2;
                tries += 1;
            }
            fetched => return fetched,
        }
    }
}

/// What is wrong with an object, and the way out.
pub(crate) fn damaged(staging: &Staging, key: &str, what: &str, way_out: &str) -> Error {
    Error::Damaged {
        url: staging.url().to_owned(),
        key: key.to_owned(),
        what: format!("{what}. {way_out}"),
    }
}

async fn fetch(
    staging: &Staging,
    key: &Path,
    expected: u64,
    range: Range<u64>,
    way_out: &str,
) -> Result<Bytes> {
    let length = range.end.saturating_sub(range.start);
    if length == 0 {
        return Ok(Bytes::new());
    }
    let options = GetOptions {
        range: Some(GetRange::Bounded(range.clone())),
        ..GetOptions::default()
    };
    let read = async {
        let found = staging.data().get_opts(key, options).await?;
        let size = found.meta.size;
        if size != expected {
            return Ok((size, Bytes::new()));
        }
        Ok((size, found.bytes().await?))
    };
    let (size, bytes) = match read.await.map_err(|error| staging.error(key, error)) {
        Ok(read) => read,
        Err(Error::NotFound { url, key, .. }) => {
            return Err(Error::NotFound {
                url,
                key,
                what: format!("its marker says it was written. {way_out}"),
            });
        }
        // A range beyond the end of a truncated object is each store's own error.
        Err(error) => match staging.head(key).await {
            Ok(Some(meta)) if meta.size != expected => (meta.size, Bytes::new()),
            _ => return Err(error),
        },
    };
    if size != expected {
        let what = format!("it has {size} bytes, its marker says {expected}");
        return Err(damaged(staging, key.as_ref(), &what, way_out));
    }
    if bytes.len() as u64 != length {
        let what = format!(
            "{} bytes were read at {} where {length} were asked for",
            bytes.len(),
            range.start
        );
        return Err(damaged(staging, key.as_ref(), &what, way_out));
    }
    Ok(bytes)
}
