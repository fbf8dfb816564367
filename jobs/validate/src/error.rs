//! What can go wrong while comparing. Differences are no error: they are the result.

use tideway_job::JobError;
use tideway_mysql::retry::Retryable;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why source and target could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A server failed.
    #[error(transparent)]
    Server(#[from] tideway_mysql::Error),
    /// Staging failed.
    #[error(transparent)]
    Staging(#[from] tideway_staging::Error),
    /// What was dumped came from another server.
    #[error(
        "source {source_id}: the dump in staging was made of server {dumped}, but the source file \
         leads to server {found}: comparing with it would say nothing of what was migrated. Put \
         the host right in the source file, or migrate the new server under another `source-id`"
    )]
    AnotherServer {
        /// The source.
        source_id: String,
        /// UUID of the server in the dump.
        dumped: String,
        /// UUID of the server that answered.
        found: String,
    },
    /// Two routes lead to two targets.
    #[error("source {source_id}: {message}")]
    Route {
        /// The source.
        source_id: String,
        /// What the router said.
        message: String,
    },
    /// A document in staging does not have the form that it should.
    #[error("{what}: {message}. The object in staging is damaged: make the dump anew")]
    Document {
        /// Which document, and which table in it.
        what: String,
        /// What is wrong.
        message: String,
    },
    /// A server answered something that no server should.
    #[error("{at}: {what}: unexpected answer: {message}")]
    Answer {
        /// The server.
        at: String,
        /// What was asked.
        what: String,
        /// What is wrong with the answer.
        message: String,
    },
    /// Apply does not go on, so that nothing can be said of rows that differ.
    #[error(
        "source {source_id}: source and target differ, and whether what differs is only on its way \
         cannot be told: the checkpoint in {checkpoint} has stood at {applied} for {seconds} s, and \
         {wanted} is waited for. Start `tideway-cdc apply` (and capture) or see why it stands still, \
         then validate again; --wait sets for how long a checkpoint may stand"
    )]
    Stalled {
        /// The source.
        source_id: String,
        /// The quoted name of the checkpoint table at the target.
        checkpoint: String,
        /// For how long it has stood still, in seconds.
        seconds: u64,
        /// Where it stands.
        applied: String,
        /// The position of the source that is waited for.
        wanted: String,
    },
    /// The definition of a table was another one each time.
    #[error(
        "{table}: its definition changed each time it was compared: validate again when nobody \
         alters it"
    )]
    Changing {
        /// The table at the target.
        table: String,
    },
    /// Stopped on request.
    #[error("stopped on request")]
    Stopped,
    /// A worker ended without a result.
    #[error("a worker of this process panicked: {0}")]
    Worker(String),
}

impl Retryable for Error {
    fn retryable(&self) -> bool {
        match self {
            Self::Server(error) => error.retryable(),
            Self::Staging(error) => error.retryable(),
            Self::AnotherServer { .. }
            | Self::Route { .. }
            | Self::Document { .. }
            | Self::Answer { .. }
            | Self::Stalled { .. }
            | Self::Changing { .. }
            | Self::Stopped
            | Self::Worker(_) => false,
        }
    }
}

impl From<Error> for JobError {
    fn from(error: Error) -> Self {
        match error {
            Error::Server(error) => error.into(),
            Error::Staging(error) => error.into(),
            Error::Stopped => Self::Stopped,
            Error::AnotherServer { .. } | Error::Route { .. } => Self::config(error),
            Error::Document { .. }
            | Error::Answer { .. }
            | Error::Stalled { .. }
            | Error::Changing { .. }
            | Error::Worker(_) => Self::failed(error),
        }
    }
}
