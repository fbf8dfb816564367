//! A store that does what it is asked and then loses the answer, or does not do it at all.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Wraps memory.
#[derive(Debug, Default)]
pub struct Faulty {
    inner: InMemory,
    /// So many puts are carried out, and then answered with an error.
    pub lose_answers: AtomicU32,
    /// So many puts are not carried out and answered with an error.
    pub lose_requests: AtomicU32,
    /// So many reads fail.
    pub fail_reads: AtomicU32,
    /// So many puts are carried out and then made again by the client, which tells "exists".
    pub retried_by_client: AtomicU32,
    /// How many puts came.
    pub puts: AtomicU32,
}

impl Faulty {
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }
}

fn take(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
        .is_ok()
}

fn lost() -> object_store::Error {
    object_store::Error::Generic {
        store: "faulty",
        source: Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty memory")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        key: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        if take(&self.lose_requests) {
            return Err(lost());
        }
        let done = self
            .inner
            .put_opts(key, payload.clone(), opts.clone())
            .await?;
        if take(&self.retried_by_client) {
            return self.inner.put_opts(key, payload, opts).await;
        }
        if take(&self.lose_answers) {
            return Err(lost());
        }
        Ok(done)
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(key, opts).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        if take(&self.fail_reads) {
            return Err(lost());
        }
        self.inner.get_opts(key, options).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
