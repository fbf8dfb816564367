//! What can go wrong in a dump, each with what to do about it.

use tideway_job::JobError;
use tideway_mysql::schema::TableName;
use tideway_mysql::types::encode::EncodeError;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a dump, or a part of it, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source.
    #[error(transparent)]
    Mysql(#[from] tideway_mysql::Error),

    /// The staging.
    #[error(transparent)]
    Staging(#[from] tideway_staging::Error),

    /// A value that cannot be written to Parquet as it is.
    #[error("table {table}, chunk {chunk}: {error}")]
    Encode {
        /// The table.
        table: TableName,
        /// The chunk.
        chunk: u32,
        /// What is wrong.
        #[source]
        error: EncodeError,
    },

    /// A key value that cannot bound a chunk.
    #[error("table {table}: {error}: mend that value on the source, or leave the table out")]
    Key {
        /// The table.
        table: String,
        /// What is wrong.
        #[source]
        error: tideway_mysql::key::KeyError,
    },

    /// A value that the memory budget cannot hold.
    #[error(
        "table {table}, column `{column}`: the value of {size} bytes in the row with {key} does not \
         fit --memory: it is held twice while it is encoded. Give --memory at least {needed} bytes"
    )]
    TooLarge {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// The row, by its key.
        key: String,
        /// Bytes of the value.
        size: usize,
        /// What `--memory` must be at least.
        needed: usize,
    },

    /// The table's definition is no longer the one of the plan.
    #[error("table {0} was altered while the dump ran")]
    DefinitionChanged(TableName),

    /// The one snapshot of a `flush` or `lock` dump can no longer be read.
    #[error(
        "the snapshot of this dump is lost ({reason}): run the dump again; {}",
        if *.inexact {
            "it continues from the committed chunks, and cdc's safe mode evens out the rest"
        } else {
            "it begins anew, for in task mode `full` nothing could even out two different states"
        }
    )]
    SnapshotLost {
        /// What happened.
        reason: String,
        /// Whether a rerun continues (task mode `all`) or begins anew (`full`).
        inexact: bool,
    },

    /// The wanted consistency is not to be had on this source.
    #[error("consistency `{wanted}`: {problem}")]
    Consistency {
        /// What the task file asks for.
        wanted: &'static str,
        /// What stands against it, and the ways out.
        problem: String,
    },

    /// Staging holds a dump of another server.
    #[error(
        "{place} holds a dump of another server (UUID {found}): source `{source_id}` is now {own}. \
         If that is the same data on another server, or you want this one, dump it anew under \
         another task name or after `tideway cleanup`; otherwise correct `from` in the source file"
    )]
    OtherServer {
        /// Where.
        place: String,
        /// The source's id.
        source_id: String,
        /// The UUID that was found.
        found: String,
        /// The UUID of the server that answers.
        own: String,
    },

    /// `run` or `finish` before `plan`.
    #[error("source `{source_id}` has no plan in {place}: run `tideway-dump plan` first")]
    NoPlan {
        /// The source's id.
        source_id: String,
        /// Where.
        place: String,
    },

    /// `finish` before all chunks are there.
    #[error(
        "{missing} of {total} chunks of source `{source_id}` are not committed yet ({first} is the \
         first): run `tideway-dump run` for all workers, then `tideway-dump finish` again"
    )]
    Unfinished {
        /// The source's id.
        source_id: String,
        /// Chunks without a marker.
        missing: u64,
        /// Chunks of the plan.
        total: u64,
        /// Key of the first missing marker.
        first: String,
    },

    /// Another process holds the lease.
    #[error("{0}")]
    Busy(String),

    /// A document of staging holds what this version cannot read.
    #[error("{key}: {what}: it was written by another version, or is damaged; {way_out}")]
    Document {
        /// The document.
        key: String,
        /// What is wrong.
        what: String,
        /// What to do.
        way_out: &'static str,
    },

    /// A wish to stop was obeyed.
    #[error("stopped on request")]
    Stopped,

    /// A task of this process panicked.
    #[error("a worker of this process ended unexpectedly: {0}")]
    Worker(String),
}

impl Error {
    /// Whether the same chunk may succeed when it is read again.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Mysql(error) => error.retryable(),
            Self::Staging(error) => error.retryable(),
            _ => false,
        }
    }
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        match error {
            Error::Mysql(error) => error.into(),
            Error::Staging(error) => error.into(),
            Error::Stopped => Self::Stopped,
            error @ (Error::Consistency { .. }
            | Error::OtherServer { .. }
            | Error::TooLarge { .. }
            | Error::NoPlan { .. }) => Self::config(error),
            error => Self::failed(error),
        }
    }
}
