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

use std::sync::Arc;
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
        self.create_json_in(self.markers(), key, document).await
    }

    /// As [`Staging::create_json`], for the plan and the manifest, which grow with the number of
    /// tables and chunks: with the patience of data, for no lease waits for them.
    ///
    /// # Errors
    /// When the store fails, or what is there is damaged.
    pub async fn create_large_json<T>(&self, key: &Path, document: &T) -> Result<Create<T>>
    where
        T: Serialize + DeserializeOwned + PartialEq + Sync,
    {
        self.create_json_in(self.data(), key, document).await
    }

    async fn create_json_in<T>(
        &self,
        store: &Arc<dyn ObjectStore>,
        key: &Path,
        document: &T,
    ) -> Result<Create<T>>
    where
        T: Serialize + DeserializeOwned + PartialEq + Sync,
    {
        let bytes = self.to_json(key, document)?;
        let mut pause = PAUSE;
        for last in (0..TRIES).map(|n| n + 1 == TRIES) {
            let failed = match self.try_create(store, key, bytes.clone()).await {
                Ok(()) => return Ok(Create::Won),
                Err(TryCreate::Exists) => None,
                Err(TryCreate::Failed(error)) if error.ambiguous() => Some(error),
                Err(TryCreate::Failed(error)) => return Err(error),
            };
            match (self.get_from(store, key).await, failed) {
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

    async fn try_create(
        &self,
        store: &Arc<dyn ObjectStore>,
        key: &Path,
        bytes: Bytes,
    ) -> Result<(), TryCreate> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match store
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

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn large_documents_have_the_patience_of_data() {
        let staging = Staging::from_stores(Arc::new(InMemory::new()), Arc::new(InMemory::new()));
        let (key, document) = (Path::from("plan.json"), json!({"version": 1}));
        let created = staging.create_large_json(&key, &document).await.unwrap();
        assert_eq!(created, Create::Won);
        let quick: Option<serde_json::Value> = staging.get_json(&key).await.unwrap();
        assert_eq!(quick, None, "it went by the store for markers");
        let found: Option<serde_json::Value> = staging.get_large_json(&key).await.unwrap();
        assert_eq!(found, Some(document.clone()));
        let again = staging.create_large_json(&key, &document).await.unwrap();
        assert_eq!(again, Create::Won, "ours, read back from where it was put");
        let other = json!({"version": 1, "other": true});
        let lost = staging.create_large_json(&key, &other).await.unwrap();
        assert_eq!(lost, Create::Exists(document));
    }
}
