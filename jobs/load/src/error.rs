//! What can go wrong while loading: each names the table or object and the way out.

use tideway_job::JobError;
use tideway_mysql::fence::FenceError;
use tideway_mysql::retry::Retryable;
use tideway_mysql::schema::TableName;

/// Result of this crate.
pub type Result<T, E = LoadError> = std::result::Result<T, E>;

/// Why the load did not go on.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no finished dump.
    #[error(
        "source {source_id}: no finished dump in {staging}: {key} is missing. Run `tideway-dump` \
         first (its last step, `dump finish`, writes it), or wait for it with --wait 1h"
    )]
    NoDump {
        /// The source.
        source_id: String,
        /// The store.
        staging: String,
        /// The object that is missing.
        key: String,
    },
    /// Two objects of the dump do not agree.
    #[error(
        "{key}: {what}. The dump is damaged: dump this source again into another task or after \
         `tideway cleanup`"
    )]
    Damaged {
        /// The object.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// A target table holds rows that are not ours.
    #[error(
        "target table {table} is not empty, and this task did not load it. Empty or drop it, or \
         send the source's table elsewhere by a route, or add to it with --into-existing (a row \
         whose key exists there is then an error)"
    )]
    NotEmpty {
        /// The table.
        table: TableName,
    },
    /// A target table was loaded from another dump of the same source.
    #[error(
        "target table {table} was loaded from another dump of source {source_id} (manifest \
         {former}, now {now}). To load the new dump, drop the table, or end the former task with \
         `tideway cleanup`, and run the load again"
    )]
    AnotherDump {
        /// The table.
        table: TableName,
        /// The source.
        source_id: String,
        /// Hash of the former manifest.
        former: String,
        /// Hash of this manifest.
        now: String,
    },
    /// A target table that this task had created is gone.
    #[error(
        "target table {table} was created by this task and is gone. If that was meant and it shall \
         be loaded anew, remove what was noted about it: DELETE FROM {checkpoint} WHERE \
         target_db = '{}' AND target_table = '{}'", .table.schema, .table.table
    )]
    Vanished {
        /// The table.
        table: TableName,
        /// The checkpoint table.
        checkpoint: String,
    },
    /// A target table lost the rows that were loaded.
    #[error(
        "target table {table} is empty, and this task had loaded rows into it: it was truncated, or \
         dropped and created again. If that was meant and it shall be loaded anew, remove what was \
         noted about it: DELETE FROM {checkpoint} WHERE target_db = '{}' AND target_table = '{}'",
        .table.schema, .table.table
    )]
    Emptied {
        /// The table.
        table: TableName,
        /// The checkpoint table.
        checkpoint: String,
    },
    /// Apply has changed the target already.
    #[error(
        "source {source_id}: cdc has already applied changes to the target ({table} has its \
         position), so loading would bring back rows of the past. To begin anew, run `tideway \
         cleanup` and drop the target's tables"
    )]
    Applied {
        /// The source.
        source_id: String,
        /// The table that says so.
        table: String,
    },
    /// The checkpoint table has another shape.
    #[error(
        "{table} exists and is not Tideway's (DM makes one of the same name): {message}. Use \
         another `meta-schema` in the task file, or rename that table"
    )]
    ForeignCheckpoint {
        /// The table.
        table: String,
        /// What the server said.
        message: String,
    },
    /// The target cannot take the table.
    #[error("target table {table}: {what}")]
    Table {
        /// The table.
        table: TableName,
        /// What is wrong and how to mend it.
        what: String,
    },
    /// The target refused a definition.
    #[error(
        "cannot create target table {table}: {source}. Create it by hand as it should be and run \
         the load again. The statement was: {sql}"
    )]
    Create {
        /// The table.
        table: TableName,
        /// The statement.
        sql: String,
        /// What the server said.
        source: Box<tideway_mysql::Error>,
    },
    /// The target refused a row.
    #[error("{table}: chunk {chunk}: the target refused the row with {key}: {message}. {hint}")]
    Row {
        /// The target table.
        table: TableName,
        /// The chunk.
        chunk: u32,
        /// Its key, as `a = 1, b = 'x'`.
        key: String,
        /// What the server said.
        message: String,
        /// What one can do.
        hint: &'static str,
    },
    /// Counts do not agree though no single row was refused.
    #[error("{table}: chunk {chunk}: {what}")]
    Counts {
        /// The target table.
        table: TableName,
        /// The chunk.
        chunk: u32,
        /// What does not agree.
        what: String,
    },
    /// A row that no packet can hold.
    #[error(
        "{table}: chunk {chunk}: the row with {key} needs a statement of {bytes} bytes, and the \
         target takes {limit}: raise max_allowed_packet there"
    )]
    Packet {
        /// The target table.
        table: TableName,
        /// The chunk.
        chunk: u32,
        /// Its key.
        key: String,
        /// Bytes of the statement.
        bytes: usize,
        /// `max_allowed_packet`.
        limit: u64,
    },
    /// The checkpoint of a chunk is not there.
    #[error(
        "{checkpoint}: the row of {table}, chunk {chunk}, is gone: somebody removed it (`tideway \
         cleanup`?) while the load was running"
    )]
    NoCheckpoint {
        /// The checkpoint table.
        checkpoint: String,
        /// The source's table.
        table: TableName,
        /// The chunk.
        chunk: u32,
    },
    /// What is asked for is not there yet.
    #[error("{0}")]
    NotYet(String),
    /// The configuration asks for what the load cannot do.
    #[error("{0}")]
    Unfit(String),
    /// The data cannot be written as LOAD DATA text.
    #[error("{table}: {source}")]
    Text {
        /// The source's table.
        table: TableName,
        /// What is wrong.
        source: tideway_mysql::types::load_text::LoadTextError,
    },
    /// Another process took over, or the owner table failed.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The target failed.
    #[error(transparent)]
    Server(#[from] tideway_mysql::Error),
    /// The store failed.
    #[error(transparent)]
    Staging(#[from] tideway_staging::Error),
    /// A route is ambiguous.
    #[error(transparent)]
    Config(#[from] tideway_config::Error),
    /// Stopped on request.
    #[error("stopped on request")]
    Stopped,
    /// A task of the program itself broke.
    #[error("internal error: {0}")]
    Internal(String),
}

impl LoadError {
    /// Whether the transaction may succeed when it is tried again.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Server(error) => error.retryable(),
            Self::Fence(error) => error.retryable(),
            Self::Staging(error) => error.retryable(),
            _ => false,
        }
    }

    /// Whether it needs a change before a rerun can help.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::NotEmpty { .. }
            | Self::AnotherDump { .. }
            | Self::Vanished { .. }
            | Self::Emptied { .. }
            | Self::Applied { .. }
            | Self::ForeignCheckpoint { .. }
            | Self::Table { .. }
            | Self::Create { .. }
            | Self::Row { .. }
            | Self::Packet { .. }
            | Self::Text { .. }
            | Self::NotYet(_)
            | Self::Unfit(_)
            | Self::Config(_) => true,
            Self::Server(error) | Self::Fence(FenceError::Server(error)) => {
                error.is_configuration()
            }
            Self::Staging(error) => error.is_configuration(),
            _ => false,
        }
    }
}

impl Retryable for LoadError {
    fn retryable(&self) -> bool {
        Self::retryable(self)
    }
}

impl From<LoadError> for JobError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Stopped => Self::Stopped,
            error if error.is_configuration() => Self::Config(error.into()),
            error => Self::Failed(error.into()),
        }
    }
}
