//! What can go wrong in capture, each with what to do about it.

use tideway_job::JobError;
use tideway_mysql::binlog;
use tideway_mysql::gtid::GtidError;

/// Result of this module.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the capture of a source ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source.
    #[error(transparent)]
    Mysql(#[from] tideway_mysql::Error),

    /// The staging.
    #[error(transparent)]
    Staging(#[from] tideway_staging::Error),

    /// A flag or a value of the task file.
    #[error("{flag}: {what}")]
    Usage {
        /// The flag or key.
        flag: String,
        /// What is wrong, and what would be right.
        what: String,
    },

    /// The source has no binlog that could be captured.
    #[error("source `{source_id}`: {what}")]
    Source {
        /// The source's id.
        source_id: String,
        /// What is missing, and the way out.
        what: String,
    },

    /// Another process holds the lease.
    #[error(
        "{owner} captures source `{source_id}` already and lives (its lease was renewed, now until {until}): \
         one capture of a source is enough. Stop the other one, or wait for its end with --wait 10m"
    )]
    Busy {
        /// The source's id.
        source_id: String,
        /// Who has it.
        owner: String,
        /// Until when.
        until: String,
    },

    /// Another process wrote the next segment.
    #[error(
        "segment {number} of source `{source_id}` was written by another capture (epoch {epoch}, ours \
         is {own}): this one was taken for dead and replaced. Nothing is lost; run it again only if \
         the other one has ended"
    )]
    Overtaken {
        /// The source's id.
        source_id: String,
        /// The segment.
        number: u64,
        /// The other's epoch.
        epoch: u64,
        /// Our own.
        own: u64,
    },

    /// Transactions are prepared and not committed where the binlog is to begin.
    #[error(
        "source `{source_id}`: XA transactions are prepared: {xids}. Their changes stand in the \
         binlog before the place where capture would begin, and neither the dump nor the segments \
         would have them. Commit them or roll them back (XA COMMIT, XA ROLLBACK) and start again, or \
         begin before the first of them with --from <file>:<offset>"
    )]
    Prepared {
        /// The source's id.
        source_id: String,
        /// Their names.
        xids: String,
    },

    /// An event is damaged, or too large.
    #[error(
        "binlog file {file}: {error}. If the place to begin at was given by hand (--from, meta), it may be \
         no event's beginning: begin anew after `tideway cleanup`. Otherwise run this again: damage on \
         the way passes, damage of the server's file does not (look at it with mysqlbinlog there)"
    )]
    Event {
        /// The log file.
        file: String,
        /// What is wrong.
        #[source]
        error: binlog::Error,
    },

    /// A GTID does not fit those before it.
    #[error(transparent)]
    Gtid(GtidError),

    /// The server does not have what comes next.
    #[error(
        "source `{source_id}`: the binlog behind {place} is gone: {message}. The oldest that the \
         server still has begins at {oldest}. What happened between the two cannot be captured any \
         more: begin anew after `tideway cleanup` (and keep binlogs longer: binlog_expire_logs_seconds; \
         on Aurora and RDS mysql.rds_set_configuration('binlog retention hours', …))"
    )]
    Purged {
        /// The source's id.
        source_id: String,
        /// Behind what capture was to go on.
        place: String,
        /// What the server said, or what is missing.
        message: String,
        /// The first file.
        oldest: String,
    },

    /// The server has less than was captured from it.
    #[error(
        "source `{source_id}`: the server lacks what was captured from it: {what}. It lost \
         transactions (a crash without sync_binlog=1, a restored backup, RESET BINARY LOGS), or it is \
         not the server that was captured. What was captured cannot be taken back: begin anew after \
         `tideway cleanup`, or correct `from` in the source file"
    )]
    Backwards {
        /// The source's id.
        source_id: String,
        /// What is missing.
        what: String,
    },

    /// Another server answers.
    #[error(
        "source `{source_id}` is another server now: {own}, and {captured} was captured. It cannot \
         take its place: {what}. Correct `from` in the source file, or begin anew after `tideway \
         cleanup`"
    )]
    OtherServer {
        /// The source's id.
        source_id: String,
        /// The server that answers: version and UUID.
        own: String,
        /// UUID of the one that was captured.
        captured: String,
        /// Why not.
        what: String,
    },

    /// The server refused the stream for another reason.
    #[error(
        "source `{source_id}`: the server does not send its binlog from {place}: {message}. {way_out}"
    )]
    Refused {
        /// The source's id.
        source_id: String,
        /// From where it was asked for.
        place: String,
        /// What it said.
        message: String,
        /// What to do.
        way_out: &'static str,
    },

    /// The source is away for too long.
    #[error(
        "source `{source_id}`: nothing came for {minutes} minutes; last: {last}. Run this again when \
         it is back: it goes on from segment {segment}"
    )]
    Away {
        /// The source's id.
        source_id: String,
        /// For how long.
        minutes: u64,
        /// The last error.
        last: String,
        /// The last segment that is committed.
        segment: u64,
    },

    /// A document of staging holds what this version cannot read.
    #[error(
        "{key}: {what}: it was written by another version, or is damaged; begin anew after `tideway \
         cleanup`, or use the version that wrote it"
    )]
    Document {
        /// The document.
        key: String,
        /// What is wrong.
        what: String,
    },

    /// A wish to stop was obeyed.
    #[error("stopped on request")]
    Stopped,
}

impl Error {
    /// Whether capture goes on by itself, on a new connection and after a while.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Mysql(error) => {
                // While a name moves to another server it may not resolve.
                error.retryable() || matches!(error, tideway_mysql::Error::UnknownHost { .. })
            }
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
            error @ (Error::Usage { .. }
            | Error::Source { .. }
            | Error::Prepared { .. }
            | Error::Purged { .. }
            | Error::Backwards { .. }
            | Error::OtherServer { .. }
            | Error::Refused { .. }) => Self::config(error),
            error => Self::failed(error),
        }
    }
}
