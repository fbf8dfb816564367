//! The opened store.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::document::VERSION;
use crate::{Error, Result};

/// An opened store with its root. Cheap to clone.
///
/// Keys are relative to the root; they come from [`crate::layout`].
#[derive(Clone, Debug)]
pub struct Staging {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    /// As given, without secrets.
    pub url: String,
    /// For data: patient with large bodies.
    pub data: Arc<dyn ObjectStore>,
    /// For documents: gives up before a lease would end.
    pub markers: Arc<dyn ObjectStore>,
    /// The folder, when the store is one.
    pub folder: Option<PathBuf>,
}

impl Staging {
    /// Opens a store.
    ///
    /// | URL | store |
    /// | --- | --- |
    /// | `./folder`, `/folder`, `file:///folder` | a folder, which is made; every write is synced |
    /// | `s3://bucket/prefix` | S3; `?endpoint=http://host:port` (or `AWS_ENDPOINT_URL`) for MinIO and its like, `?region=` to override |
    /// | `gs://bucket/prefix`, `az://container/prefix` | Google Cloud Storage, Azure Blob Storage; credentials from the environment |
    /// | `memory:///name` | memory, shared within the process by name |
    ///
    /// For S3, credentials and region come as with every AWS tool: environment, profile, web
    /// identity, ECS, IMDS.
    ///
    /// Nothing is asked of the store yet: the first call tells whether it can be reached, and
    /// [`Staging::probe`] whether it does what is needed.
    ///
    /// # Errors
    /// When the URL cannot be understood, or the folder cannot be made.
    pub async fn open(url: &str) -> Result<Self> {
        let inner = crate::open::open(url).await?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// A staging in a store that was opened elsewhere. `url` only names it in messages.
    #[must_use]
    pub fn from_store(url: &str, store: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner: Arc::new(Inner {
                url: url.to_owned(),
                data: Arc::clone(&store),
                markers: store,
                folder: None,
            }),
        }
    }

    /// A staging whose documents and data lie apart, to tell by which one a call went.
    #[cfg(test)]
    pub(crate) fn from_stores(data: Arc<dyn ObjectStore>, markers: Arc<dyn ObjectStore>) -> Self {
        Self {
            inner: Arc::new(Inner {
                url: "test".to_owned(),
                data,
                markers,
                folder: None,
            }),
        }
    }

    /// The URL as given, without secrets.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.inner.url
    }

    /// Reads a document; `None` when there is none.
    ///
    /// # Errors
    /// When the store fails, or the document is damaged or of a newer version.
    pub async fn get_json<T: DeserializeOwned>(&self, key: &Path) -> Result<Option<T>> {
        match self.get_marker_bytes(key).await? {
            Some(bytes) => parse(self.url(), key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Staging::get_json`], for what [`Staging::create_large_json`] created.
    ///
    /// # Errors
    /// When the store fails, or the document is damaged or of a newer version.
    pub async fn get_large_json<T: DeserializeOwned>(&self, key: &Path) -> Result<Option<T>> {
        match self.get_bytes(key).await? {
            Some(bytes) => parse(self.url(), key, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Writes a document over whatever is there: for heartbeats and reports only.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_json<T: Serialize + Sync>(&self, key: &Path, document: &T) -> Result<()> {
        let bytes = self.to_json(key, document)?;
        self.markers()
            .put(key, PutPayload::from_bytes(bytes))
            .await
            .map_err(|error| self.error(key, error))?;
        Ok(())
    }

    /// Writes an object over whatever is there: for files on which nothing depends but people, and
    /// for data under a key of its own.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn put_bytes(&self, key: &Path, bytes: impl Into<PutPayload>) -> Result<()> {
        self.data()
            .put(key, bytes.into())
            .await
            .map_err(|error| self.error(key, error))?;
        Ok(())
    }

    /// Reads an object whole; `None` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn get_bytes(&self, key: &Path) -> Result<Option<Bytes>> {
        self.get_from(self.data(), key).await
    }

    /// What is stored of an object, without its content; `None` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn head(&self, key: &Path) -> Result<Option<ObjectMeta>> {
        match self.markers().head(key).await {
            Ok(meta) => Ok(Some(meta)),
            Err(error) => absent_is_none(self.error(key, error)),
        }
    }

    /// All objects under a folder, in no particular order. Keys are relative to the root.
    pub fn list(&self, prefix: &Path) -> BoxStream<'_, Result<ObjectMeta>> {
        let prefix = prefix.clone();
        self.data()
            .list(Some(&prefix))
            .map_err(move |error| self.error(&prefix, error))
            .boxed()
    }

    /// The names of the folders right under a folder, sorted, as they stand in keys.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_dirs(&self, prefix: &Path) -> Result<Vec<String>> {
        let listed = self
            .data()
            .list_with_delimiter(Some(prefix))
            .await
            .map_err(|error| self.error(prefix, error))?;
        let names: BTreeSet<String> = listed
            .common_prefixes
            .iter()
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect();
        Ok(names.into_iter().collect())
    }

    /// Deletes an object; one that is absent is no error.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, key: &Path) -> Result<()> {
        match self.markers().delete(key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(key, error)),
        }
    }

    pub(crate) fn data(&self) -> &Arc<dyn ObjectStore> {
        &self.inner.data
    }

    pub(crate) fn markers(&self) -> &Arc<dyn ObjectStore> {
        &self.inner.markers
    }

    pub(crate) fn folder(&self) -> Option<&PathBuf> {
        self.inner.folder.as_ref()
    }

    pub(crate) fn error(&self, key: &Path, error: object_store::Error) -> Error {
        Error::from_store(self.url(), key.as_ref(), error)
    }

    pub(crate) fn to_json<T: Serialize>(&self, key: &Path, document: &T) -> Result<Bytes> {
        let mut text = serde_json::to_vec_pretty(document).map_err(|source| Error::Json {
            key: key.to_string(),
            source,
        })?;
        text.push(b'\n');
        Ok(text.into())
    }

    /// Reads a document's bytes with the short time-outs of markers.
    pub(crate) async fn get_marker_bytes(&self, key: &Path) -> Result<Option<Bytes>> {
        self.get_from(self.markers(), key).await
    }

    pub(crate) async fn get_from(
        &self,
        store: &Arc<dyn ObjectStore>,
        key: &Path,
    ) -> Result<Option<Bytes>> {
        let read = async { store.get(key).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => absent_is_none(self.error(key, error)),
        }
    }
}

fn absent_is_none<T>(error: Error) -> Result<Option<T>> {
    match error {
        Error::NotFound { .. } => Ok(None),
        error => Err(error),
    }
}

#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    version: u32,
}

/// Parses a document; its version is looked at first, for a newer one may parse and mean another
/// thing.
pub(crate) fn parse<T: DeserializeOwned>(url: &str, key: &Path, bytes: &[u8]) -> Result<T> {
    let damaged = |error: serde_json::Error| Error::Damaged {
        url: url.to_owned(),
        key: key.to_string(),
        what: format!(
            "{} bytes that do not read as the document they should be: {error}. Restore it from a \
             copy, or begin anew after `tideway cleanup`",
            bytes.len()
        ),
    };
    let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
    if version > VERSION {
        return Err(Error::Version {
            url: url.to_owned(),
            key: key.to_string(),
            found: version,
            known: VERSION,
        });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}
