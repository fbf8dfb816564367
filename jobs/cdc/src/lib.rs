//! `tideway-cdc`: the changes of a source into staging, and from there into the target.

pub mod options;

use tideway_job::JobError;

pub use crate::options::{Args, Verb};

/// Runs the job.
///
/// # Errors
/// [`JobError`], whose variants are the exit codes.
pub async fn run(args: Args) -> Result<(), JobError> {
    let _ = args;
    Err(JobError::config("not built yet"))
}
