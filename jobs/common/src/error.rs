//! How a job ends: one type whose variants are the exit codes that workflows and AWS Batch act on.
//!
//! | code | meaning | rerun? |
//! | --- | --- | --- |
//! | 0 | done | |
//! | 1 | failed or interrupted | worth it |
//! | 2 | wrong configuration or usage | after a change |
//! | 3 | precheck failed | after a change |
//! | 4 | validation found differences | after a repair |
//! | 5 | stopped on request, work remains | to go on |

use std::fmt::Display;

/// Failed or interrupted: worth running again.
pub const EXIT_FAILED: u8 = 1;
/// Wrong configuration or usage.
pub const EXIT_CONFIG: u8 = 2;
/// The precheck failed.
pub const EXIT_PRECHECK: u8 = 3;
/// The validation found differences.
pub const EXIT_DIFFERENCES: u8 = 4;
/// Stopped on request; work remains.
pub const EXIT_STOPPED: u8 = 5;

/// Why a job did not do all its work.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Failed or interrupted; a rerun continues from what is committed.
    #[error("{0:#}")]
    Failed(anyhow::Error),
    /// Wrong configuration or usage; a rerun needs a change first.
    #[error("{0:#}")]
    Config(anyhow::Error),
    /// The precheck found what must be mended before the migration; its report was printed.
    #[error("precheck failed: {0}")]
    Precheck(String),
    /// Source and target differ; the report was printed.
    #[error("{0}")]
    Differences(String),
    /// Stopped on request; what was in hand is committed, work remains.
    #[error("stopped on request; run it again to go on")]
    Stopped,
}

impl JobError {
    /// A failure that a rerun may overcome.
    pub fn failed(message: impl Display) -> Self {
        Self::Failed(anyhow::anyhow!("{message}"))
    }

    /// A failure that needs a change of configuration or usage.
    pub fn config(message: impl Display) -> Self {
        Self::Config(anyhow::anyhow!("{message}"))
    }

    /// The exit code of this ending.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => EXIT_FAILED,
            Self::Config(_) => EXIT_CONFIG,
            Self::Precheck(_) => EXIT_PRECHECK,
            Self::Differences(_) => EXIT_DIFFERENCES,
            Self::Stopped => EXIT_STOPPED,
        }
    }
}

/// What of an error chain lies in the configuration: rerunning as it is cannot help.
fn is_configuration(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        if let Some(error) = cause.downcast_ref::<tideway_mysql::Error>() {
            error.is_configuration()
        } else if let Some(error) = cause.downcast_ref::<tideway_staging::Error>() {
            error.is_configuration()
        } else {
            cause.is::<tideway_config::Error>()
        }
    })
}

impl From<anyhow::Error> for JobError {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) if is_configuration(&error) => Self::Config(error),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<tideway_mysql::Error> for JobError {
    fn from(error: tideway_mysql::Error) -> Self {
        anyhow::Error::new(error).into()
    }
}

impl From<tideway_staging::Error> for JobError {
    fn from(error: tideway_staging::Error) -> Self {
        anyhow::Error::new(error).into()
    }
}

impl From<tideway_config::Error> for JobError {
    fn from(error: tideway_config::Error) -> Self {
        anyhow::Error::new(error).into()
    }
}
