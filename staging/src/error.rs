//! What can go wrong with the store, told once: each variant names the store or the key and the way
//! out, and knows whether trying again can help.
//!
//! object_store reports almost everything that is not "not found" as `Generic`; what a person must
//! do about it depends on what lies beneath, so [`Error::from_store`] looks through the chain of
//! causes (HTTP status, kind of connection error, errno) and decides here, once.

use object_store::client::{HttpError, HttpErrorKind};

/// The cause beneath an error.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL of the store cannot be understood or opened.
    #[error("staging {url}: {what}")]
    Url {
        /// The URL as given, without secrets.
        url: String,
        /// What is wrong with it and what would be right.
        what: String,
    },
    /// The store does not answer.
    #[error(
        "staging {url}: the store does not answer (at {key}): {source}. Check the endpoint, the network and that the store runs, then run this again: what is committed stays"
    )]
    Unreachable {
        /// The store.
        url: String,
        /// The key that was asked for.
        key: String,
        /// What the client said.
        source: Cause,
    },
    /// The store refuses these credentials, or there are none.
    #[error(
        "staging {url}: access to {key} was denied: {source}. Check the credentials (AWS_ACCESS_KEY_ID, profile, role, or the owner of the folder) and that they may list, read, write and delete there"
    )]
    Denied {
        /// The store.
        url: String,
        /// The key that was asked for.
        key: String,
        /// What the client said.
        source: Cause,
    },
    /// The bucket or container does not exist.
    #[error(
        "staging {url}: there is no such bucket: {source}. Create it or correct the URL (and the region and endpoint it is looked for at)"
    )]
    NoBucket {
        /// The store.
        url: String,
        /// What the client said.
        source: Cause,
    },
    /// No space is left on the store.
    #[error(
        "staging {url}: no space left to write {key}: {source}. Free some or move the staging, then run this again: nothing half-written is visible, what is committed stays"
    )]
    NoSpace {
        /// The store.
        url: String,
        /// The key that was written.
        key: String,
        /// What the client said.
        source: Cause,
    },
    /// An object is not what it was written as.
    #[error("staging {url}: {key} is damaged: {what}")]
    Damaged {
        /// The store.
        url: String,
        /// The damaged object.
        key: String,
        /// What was found, what was expected, and the way out.
        what: String,
    },
    /// An object that must exist does not.
    #[error("staging {url}: {key} is missing: {what}")]
    NotFound {
        /// The store.
        url: String,
        /// The missing object.
        key: String,
        /// Who needs it, and the way out.
        what: String,
    },
    /// A document was written by a newer Tideway.
    #[error(
        "staging {url}: {key} has version {found}, this Tideway reads up to version {known}: use the Tideway that wrote it, or a newer one"
    )]
    Version {
        /// The store.
        url: String,
        /// The document.
        key: String,
        /// Its version.
        found: u32,
        /// The newest version that is understood.
        known: u32,
    },
    /// Something else is where something new was to be written.
    #[error("staging {url}: {key}: {what}")]
    Conflict {
        /// The store.
        url: String,
        /// The key that was to be written.
        key: String,
        /// What is there, and the way out.
        what: String,
    },
    /// A segment of the binlog does not follow the one before it.
    #[error(
        "staging {url}: {key}: segment {found} cannot follow here, where segment {expected} is \
         expected: it names {} as the marker before it, and that one is {}: {what}",
        hashes.names,
        hashes.previous
    )]
    Chain {
        /// The store.
        url: String,
        /// The marker.
        key: String,
        /// Its number.
        found: u64,
        /// The number that comes next.
        expected: u64,
        /// The two hashes that should be one.
        hashes: Box<ChainHashes>,
        /// What that means, and the way out.
        what: String,
    },
    /// Bytes could not be compressed.
    #[error("{key}: compression: {source}")]
    Compression {
        /// The object.
        key: String,
        /// What the compressor said.
        source: std::io::Error,
    },
    /// A lease is no longer this process's.
    #[error(
        "staging {url}: the lease `{name}` was lost: {what}. Another process goes on with the work; run this again to wait for it or to take over"
    )]
    LeaseLost {
        /// The store.
        url: String,
        /// Name of the lease.
        name: String,
        /// Who has it now, or why it could not be kept.
        what: String,
    },
    /// A step of [`crate::Staging::probe`] did not give what the protocols need.
    #[error("staging {url}: this store cannot be used: {step}: {what}")]
    Probe {
        /// The store.
        url: String,
        /// The step that failed.
        step: &'static str,
        /// What was expected and found.
        what: String,
    },
    /// Rows could not be encoded into, or decoded from, Parquet.
    #[error("{key}: Parquet: {source}")]
    Parquet {
        /// The object.
        key: String,
        /// What the encoder said.
        source: parquet::errors::ParquetError,
    },
    /// A document could not be written as JSON.
    #[error("{key}: cannot be written as JSON: {source}")]
    Json {
        /// The document.
        key: String,
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// Anything else that the store said.
    #[error("staging {url}: {key}: {source}")]
    Store {
        /// The store.
        url: String,
        /// The key that was asked for.
        key: String,
        /// What the client said.
        source: Cause,
    },
}

impl Error {
    /// Whether the same call may succeed when it is made again a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Store { .. })
    }

    /// Whether something must be changed (URL, credentials, bucket) before a rerun can help.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Url { .. }
                | Self::Denied { .. }
                | Self::NoBucket { .. }
                | Self::Version { .. }
                | Self::Probe { .. }
        )
    }

    /// Whether the request may have been carried out although it was reported as failed.
    pub(crate) fn ambiguous(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Store { .. })
    }

    /// Decides what an error of the client means.
    pub(crate) fn from_store(url: &str, key: &str, error: object_store::Error) -> Self {
        let url = url.to_owned();
        let key = if key.is_empty() {
            "the root".to_owned()
        } else {
            key.to_owned()
        };
        let meaning = meaning(&error);
        let source: Cause = Box::new(error);
        match meaning {
            Meaning::NoBucket => Self::NoBucket { url, source },
            Meaning::NotFound => Self::NotFound {
                url,
                key,
                what: "there is no such object".to_owned(),
            },
            Meaning::Denied => Self::Denied { url, key, source },
            Meaning::NoSpace => Self::NoSpace { url, key, source },
            Meaning::Unreachable => Self::Unreachable { url, key, source },
            Meaning::Region => Self::Url {
                url,
                what: format!(
                    "the bucket lies in another region ({source}): add ?region=… or set AWS_REGION"
                ),
            },
            Meaning::Other => Self::Store { url, key, source },
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Meaning {
    NoBucket,
    NotFound,
    Denied,
    NoSpace,
    Unreachable,
    Region,
    Other,
}

/// Looks through the chain of causes; the deepest telling one decides.
fn meaning(error: &object_store::Error) -> Meaning {
    let text = error.to_string();
    if text.contains("NoSuchBucket") || text.contains("ContainerNotFound") {
        return Meaning::NoBucket;
    }
    match error {
        object_store::Error::NotFound { .. } => return Meaning::NotFound,
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => return Meaning::Denied,
        _ => {}
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = cause {
        if let Some(error) = current.downcast_ref::<std::io::Error>()
            && let Some(meaning) = meaning_of_io(error)
        {
            return meaning;
        }
        if let Some(error) = current.downcast_ref::<HttpError>() {
            return match error.kind() {
                HttpErrorKind::Connect
                | HttpErrorKind::Request
                | HttpErrorKind::Timeout
                | HttpErrorKind::Interrupted
                | HttpErrorKind::Decode => Meaning::Unreachable,
                _ => Meaning::Other,
            };
        }
        cause = current.source();
    }
    if text.contains("StorageFull") || text.contains("507 Insufficient Storage") {
        Meaning::NoSpace
    } else if text.contains("BareRedirect")
        || text.contains("PermanentRedirect")
        || text.contains("incorrectly configured region")
        || text.contains("AuthorizationHeaderMalformed")
    {
        Meaning::Region
    } else if text.contains("InvalidAccessKeyId")
        || text.contains("SignatureDoesNotMatch")
        || text.contains("AccessDenied")
        || text.contains("ExpiredToken")
    {
        Meaning::Denied
    } else if text.contains("status code: 5") || text.contains("status code: 429") {
        Meaning::Unreachable
    } else {
        Meaning::Other
    }
}

fn meaning_of_io(error: &std::io::Error) -> Option<Meaning> {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(Meaning::NoSpace),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some(Meaning::Denied),
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::NotConnected
        | ErrorKind::TimedOut
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Some(Meaning::Unreachable),
        _ => None,
    }
}

/// Hashes of markers that should be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHashes {
    /// The hash of the marker that a segment was written behind.
    pub names: String,
    /// The hash of the marker that is there before it.
    pub previous: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(source: impl Into<Cause>) -> object_store::Error {
        object_store::Error::Generic {
            store: "test",
            source: source.into(),
        }
    }

    #[test]
    fn a_full_disk_is_no_space_and_names_the_key() {
        let error = generic(std::io::Error::from_raw_os_error(28));
        let error = Error::from_store("/disk", "t/s/dump/x.parquet", error);
        assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
        assert!(error.to_string().contains("t/s/dump/x.parquet"));
        assert!(!error.retryable());
    }

    #[test]
    fn a_refused_connection_may_pass() {
        let error = generic(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        let error = Error::from_store("s3://b", "k", error);
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(error.retryable());
        assert!(!error.is_configuration());
    }

    #[test]
    fn a_missing_bucket_is_configuration() {
        let error = object_store::Error::NotFound {
            path: "k".to_owned(),
            source: "404: <Code>NoSuchBucket</Code>".into(),
        };
        let error = Error::from_store("s3://b", "k", error);
        assert!(matches!(error, Error::NoBucket { .. }), "{error:?}");
        assert!(error.is_configuration());
    }
}
