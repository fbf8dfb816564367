//! From a URL to an opened store.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use crate::store::Inner;
use crate::{Error, Result, aws};

/// All of `memory://`: shared within the process, so that two opens of one name meet.
static MEMORY: LazyLock<Arc<InMemory>> = LazyLock::new(|| Arc::new(InMemory::new()));

/// Opens the store that a URL names.
pub(crate) async fn open(given: &str) -> Result<Inner> {
    let Some((scheme, _)) = given.split_once("://") else {
        if given.is_empty() {
            return Err(wrong(given, "is empty: give a folder or a URL"));
        }
        return folder(given, PathBuf::from(given));
    };
    let mut url = Url::parse(given).map_err(|error| wrong(given, &error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            &without_secrets(url),
            "holds a user or password: give credentials in the environment or a profile",
        ));
    }
    match scheme {
        "file" => {
            let path = url.to_file_path().map_err(|()| {
                wrong(
                    given,
                    "names no folder of this machine: write file:///folder with three slashes",
                )
            })?;
            folder(given, path)
        }
        "memory" => {
            let prefix = parse_prefix(given, url.path())?;
            Ok(memory(given, prefix))
        }
        "s3" | "s3a" => {
            let (data, markers) = aws::open(given, &url).await?;
            let prefix = parse_prefix(given, url.path())?;
            Ok(remote(given, &prefix, data, markers))
        }
        "gs" | "az" | "azure" | "abfs" | "abfss" => {
            url.set_query(None);
            let open = || {
                let environment =
                    std::env::vars().map(|(name, value)| (name.to_lowercase(), value));
                object_store::parse_url_opts(&url, environment)
                    .map_err(|error| wrong(given, &error.to_string()))
            };
            let (store, prefix) = open()?;
            let store: Arc<dyn ObjectStore> = Arc::from(store);
            Ok(remote(given, &prefix, Arc::clone(&store), store))
        }
        _ => Err(wrong(
            given,
            &format!(
                "`{scheme}://` is not known: use a folder, file://, s3://, gs://, az:// or memory://"
            ),
        )),
    }
}

/// How a client deals with a failing store.
pub(crate) struct Patience {
    /// Time for one request with its whole body.
    timeout: Duration,
    /// Time to connect.
    connect: Duration,
    /// Retries of one request.
    retries: usize,
    /// Time for a request with all its retries.
    total: Duration,
}

impl Patience {
    /// For data: a part of some MiB, or a row group of 64 MiB over a slow line.
    pub(crate) const DATA: Self = Self {
        timeout: Duration::from_secs(180),
        connect: Duration::from_secs(5),
        retries: 8,
        total: Duration::from_secs(60),
    };

    /// For documents of some KiB: an answer, or an error, well within the term of a lease.
    pub(crate) const MARKERS: Self = Self {
        timeout: Duration::from_secs(5),
        connect: Duration::from_secs(3),
        retries: 3,
        total: Duration::from_secs(6),
    };

    pub(crate) fn client(&self) -> ClientOptions {
        ClientOptions::new()
            .with_timeout(self.timeout)
            .with_connect_timeout(self.connect)
    }

    pub(crate) fn retry(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: self.retries,
            retry_timeout: self.total,
        }
    }
}

pub(crate) fn wrong(url: &str, what: &str) -> Error {
    Error::Url {
        url: url.to_owned(),
        what: what.to_owned(),
    }
}

fn without_secrets(mut url: Url) -> String {
    // Both fail only for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

fn parse_prefix(given: &str, path: &str) -> Result<Path> {
    Path::from_url_path(path).map_err(|error| wrong(given, &error.to_string()))
}

fn folder(given: &str, path: PathBuf) -> Result<Inner> {
    let failed = |error: std::io::Error| {
        Error::from_store(
            given,
            "",
            object_store::Error::Generic {
                store: "LocalFileSystem",
                source: Box::new(error),
            },
        )
    };
    let path = std::path::absolute(path).map_err(failed)?;
    std::fs::create_dir_all(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotADirectory | std::io::ErrorKind::AlreadyExists => wrong(
            given,
            &format!("{} is not a folder, nor can it be one", path.display()),
        ),
        _ => failed(error),
    })?;
    let store = LocalFileSystem::new_with_prefix(&path)
        .map_err(|error| Error::from_store(given, "", error))?
        .with_fsync(true);
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    Ok(Inner {
        url: given.to_owned(),
        data: Arc::clone(&store),
        markers: store,
        folder: Some(path),
    })
}

fn memory(given: &str, prefix: Path) -> Inner {
    let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(&*MEMORY), prefix));
    Inner {
        url: given.to_owned(),
        data: Arc::clone(&store),
        markers: store,
        folder: None,
    }
}

fn remote(
    given: &str,
    prefix: &Path,
    data: Arc<dyn ObjectStore>,
    markers: Arc<dyn ObjectStore>,
) -> Inner {
    let under = |store: Arc<dyn ObjectStore>| -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(store, prefix.clone()))
    };
    Inner {
        url: given.to_owned(),
        data: under(data),
        markers: under(markers),
        folder: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn error(url: &str) -> String {
        match open(url).await {
            Ok(inner) => panic!("{url} opened as {}", inner.url),
            Err(error) => {
                assert!(error.is_configuration(), "{error:?}");
                error.to_string()
            }
        }
    }

    #[tokio::test]
    async fn wrong_urls_say_what_would_be_right() {
        assert!(error("ftp://host/x").await.contains("s3://"));
        assert!(error("").await.contains("empty"));
        assert!(error("file://folder/x").await.contains("three slashes"));
        assert!(error("s3:///x").await.contains("bucket"));
        assert!(
            error("s3://b/x?endpont=http://h")
                .await
                .contains("endpoint")
        );
    }

    #[tokio::test]
    async fn a_password_in_the_url_is_refused_and_not_shown() {
        let error = error("s3://key:secret@bucket/x").await;
        assert!(!error.contains("secret"), "{error}");
        assert!(error.contains("environment"), "{error}");
    }

    #[tokio::test]
    async fn a_file_where_the_folder_should_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        let url = file.join("staging").display().to_string();
        assert!(error(&url).await.contains("not a folder"));
    }
}
