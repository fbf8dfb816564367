//! What can go wrong while applying: each names the source, the table or position, and the way out.

use tideway_config::RouteError;
use tideway_job::JobError;
use tideway_mysql::binlog;
use tideway_mysql::fence::FenceError;
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::retry::Retryable;
use tideway_mysql::schema::TableName;

/// Result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why applying did not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What must be there first is not.
    #[error("source {source_id}: {what}. {way_out}, or wait for it with --wait 1h")]
    NotReady {
        /// The source.
        source_id: String,
        /// What is missing.
        what: String,
        /// What to do.
        way_out: String,
    },
    /// What the target remembers and what lies in staging are not of one task.
    #[error("source {source_id}: {what}")]
    Mismatch {
        /// The source.
        source_id: String,
        /// What does not fit, and the way out.
        what: String,
    },
    /// A change that cannot be replayed as it is.
    #[error("source {source_id} at {at}: {what}")]
    Unsupported {
        /// The source.
        source_id: String,
        /// Where.
        at: Box<BinlogPosition>,
        /// What, with the way out.
        what: String,
    },
    /// Rows of a table that neither the dump nor any DDL told of, or that do not fit what they told.
    #[error("source {source_id} at {at}: table {table}: {what}")]
    Table {
        /// The source.
        source_id: String,
        /// Where.
        at: Box<BinlogPosition>,
        /// The table.
        table: Box<TableName>,
        /// What, with the way out.
        what: String,
    },
    /// A DDL that needs somebody's decision.
    #[error(
        "source {source_id} at {at}: {what}. The statement: {statement}\nTo go on, mend the target and \
         run this again, or\n  tideway binlog skip --source-id {source_id} --binlog-pos {} {task}\n  \
         tideway binlog replace --source-id {source_id} --binlog-pos {} {task} '<other statement>'",
        pos(at),
        pos(at)
    )]
    Ddl {
        /// The source.
        source_id: String,
        /// The task.
        task: String,
        /// Where.
        at: Box<BinlogPosition>,
        /// The statement, as the source wrote it.
        statement: String,
        /// What is wrong.
        what: String,
    },
    /// A batch of changes that the target refused.
    #[error("source {source_id}: table {table}: {what}")]
    Refused {
        /// The source.
        source_id: String,
        /// The target table.
        table: TableName,
        /// The target's error and what to do.
        what: String,
        /// Whether the same may succeed when it is tried again.
        retryable: bool,
    },
    /// Another process took over.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// A server refused.
    #[error(transparent)]
    Server(#[from] tideway_mysql::Error),
    /// Staging failed.
    #[error(transparent)]
    Staging(#[from] tideway_staging::Error),
    /// A table that two routes claim.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A segment's content is not what it should be.
    #[error("source {source_id}: segment {segment}: {source}")]
    Binlog {
        /// The source.
        source_id: String,
        /// The segment.
        segment: u64,
        /// What is wrong.
        source: binlog::Error,
    },
    /// A stop was asked for.
    #[error("stopped on request")]
    Stopped,
}

fn pos(at: &BinlogPosition) -> String {
    format!("{}:{}", at.file, at.pos)
}

impl Error {
    /// Whether the target undid the transaction for others' sake: deadlock, and TiDB's write conflicts.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        let (Self::Server(error) | Self::Fence(FenceError::Server(error))) = self else {
            return false;
        };
        matches!(error.code(), Some(1213 | 9007 | 8002))
    }
}

impl Retryable for Error {
    fn retryable(&self) -> bool {
        match self {
            Self::Fence(error) => error.retryable(),
            Self::Server(error) => error.retryable(),
            Self::Staging(error) => error.retryable(),
            Self::Refused { retryable, .. } => *retryable,
            _ => false,
        }
    }
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        match error {
            Error::Stopped => Self::Stopped,
            Error::Server(error) => error.into(),
            Error::Staging(error) => error.into(),
            // Run again as it is, it comes to the same.
            Error::Mismatch { .. }
            | Error::Unsupported { .. }
            | Error::Table { .. }
            | Error::Ddl { .. }
            | Error::Route(_) => Self::config(error),
            error => Self::Failed(error.into()),
        }
    }
}
