//! The commit protocol: create-if-absent, read back when in doubt.
//!
//! [`Staging::create_json`] is the one way in which something comes to exist that others rely on.
//! The store decides who wins: `PutMode::Create` is a hard link on a folder and `If-None-Match: *`
//! on S3. What is left to do here is to find out *who* won:
//!
//! - **"Already exists"** may be our own write: the answer to the first try was lost (a 503 or a cut
//!   connection after the write), and the client's own retry met it. So the document is read; ours
//!   means won.
//! - **An error that leaves open whether the write happened** (time-out, connection lost, 5xx): the
//!   document is read; absent, it is created again, by create-if-absent, so a former try that
//!   arrives late can at worst make this one see "already exists", and be recognised as ours.
//! - **Neither can be found out** before patience ends: an error. If the write happened after all, a
//!   rerun meets "already exists" with another's attempt in it, yields, and goes on with what is
//!   there. That the rerun cannot know it as its own former self is harmless: what a marker names is
//!   complete, whoever wrote it.
//!
//! Ours is what equals ours byte for byte (or, parsed, by `==`), so documents that race must carry
//! something of their own: an attempt, a time.

use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::parse;
use crate::{Bytes, Error, Result, Staging};

/// How often a create is tried when it stays open whether it happened.
const TRIES: u32 = 5;
/// Pause before the second try; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);

/// Who created a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Create<T> {
    /// This process (now, or by an earlier try of the same call).
    Won,
    /// Somebody else: this is what is there.
    Exists(T),
}

impl Staging {
    /// Creates a document if there is none yet, and finds out whose is there.
    ///
    /// # Errors
    /// When the store fails, or what is there is damaged.
    pub async fn create_json<T>(&self, key: &Path, document: &T) -> Result<Create<T>>
    where
        T: Serialize + DeserializeOwned + PartialEq + Sync,
    {
        let bytes = self.to_json(key, document)?;
        let mut pause = PAUSE;
        for last in (0..TRIES).map(|n| n + 1 == TRIES) {
            let failed = match self.try_create(key, bytes.clone()).await {
                Ok(()) => return Ok(Create::Won),
                Err(TryCreate::Exists) => None,
                Err(TryCreate::Failed(error)) if error.ambiguous() => Some(error),
                Err(TryCreate::Failed(error)) => return Err(error),
            };
            match (self.get_marker_bytes(key).await, failed) {
                (Ok(Some(found)), _) if found == bytes => return Ok(Create::Won),
                (Ok(Some(found)), _) => {
                    let found: T = parse(self.url(), key, &found)?;
                    return Ok(if found == *document {
                        Create::Won
                    } else {
                        Create::Exists(found)
                    });
                }
                (Ok(None), Some(error)) | (Err(error), _) if last => return Err(error),
                (Ok(None), None) if last => {
                    return Err(Error::Conflict {
                        url: self.url().to_owned(),
                        key: key.to_string(),
                        what: "the store says that it exists, and then that it does not. Does \
                               something else delete from this staging?"
                            .to_owned(),
                    });
                }
                (Err(error), _) if !error.retryable() => return Err(error),
                _ => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        // The last round of the loop returns on every path.
        Err(Error::Conflict {
            url: self.url().to_owned(),
            key: key.to_string(),
            what: "could not be created".to_owned(),
        })
    }

    async fn try_create(&self, key: &Path, bytes: Bytes) -> Result<(), TryCreate> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self
            .markers()
            .put_opts(key, PutPayload::from_bytes(bytes), options)
            .await
        {
            Ok(_) => Ok(()),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Err(TryCreate::Exists),
            Err(error) => Err(TryCreate::Failed(self.error(key, error))),
        }
    }
}

enum TryCreate {
    Exists,
    Failed(Error),
}
