//! Bytes on their way to the store: one put for a small object, a multipart upload for a larger one.
//!
//! Nothing is visible under the key before the end. A multipart upload that is given up is aborted,
//! also when it is dropped; a killed process leaves its parts to the bucket's lifecycle rule
//! (`AbortIncompleteMultipartUpload`), and on a folder a file that [`crate::gc`] removes.

use std::sync::Arc;

use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use crate::{Result, Staging};

/// Parts that are on their way at once.
const IN_FLIGHT: usize = 2;

/// An upload of one object.
pub(crate) struct Upload {
    staging: Staging,
    store: Arc<dyn ObjectStore>,
    key: Path,
    multipart: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<object_store::Result<()>>,
}

impl Upload {
    pub fn new(staging: &Staging, key: Path) -> Self {
        Self {
            staging: staging.clone(),
            store: Arc::clone(staging.data()),
            key,
            multipart: None,
            parts: JoinSet::new(),
        }
    }

    /// Sends a part; returns when fewer than two are on their way before it.
    pub async fn put_part(&mut self, part: impl Into<PutPayload>) -> Result<()> {
        while self.parts.len() >= IN_FLIGHT {
            self.join_part().await?;
        }
        let multipart = match self.multipart.as_mut() {
            Some(multipart) => multipart,
            None => {
                let begun = self
                    .store
                    .put_multipart(&self.key)
                    .await
                    .map_err(|error| self.staging.error(&self.key, error))?;
                self.multipart.insert(begun)
            }
        };
        self.parts.spawn(multipart.put_part(part.into()));
        Ok(())
    }

    /// Sends the last bytes and makes the object visible.
    pub async fn finish(mut self, rest: impl Into<PutPayload>) -> Result<()> {
        let rest = rest.into();
        if self.multipart.is_none() {
            return self.staging.put_bytes(&self.key, rest).await;
        }
        if rest.content_length() > 0 {
            self.put_part(rest).await?;
        }
        while !self.parts.is_empty() {
            self.join_part().await?;
        }
        if let Some(mut multipart) = self.multipart.take()
            && let Err(error) = multipart.complete().await
        {
            let error = self.staging.error(&self.key, error);
            // After a lost answer the object may be there: its key is this attempt's own, and
            // without a marker it does not exist. The error is the one to tell.
            let _ = multipart.abort().await;
            return Err(error);
        }
        Ok(())
    }

    /// Gives up what was sent.
    pub async fn abort(mut self) {
        self.parts.shutdown().await;
        if let Some(mut multipart) = self.multipart.take()
            && let Err(error) = multipart.abort().await
        {
            tracing::warn!("{}: unfinished upload not removed: {error}", self.key);
        }
    }

    async fn join_part(&mut self) -> Result<()> {
        match self.parts.join_next().await {
            Some(Ok(Ok(()))) | None => Ok(()),
            Some(Ok(Err(error))) => Err(self.staging.error(&self.key, error)),
            Some(Err(error)) => Err(self.staging.error(&self.key, error.into())),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut multipart) = self.multipart.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            self.parts.abort_all();
            runtime.spawn(async move { multipart.abort().await });
        }
    }
}
