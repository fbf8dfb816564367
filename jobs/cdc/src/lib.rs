//! `tideway-cdc`: the changes of a source into staging, and from there into the target.

pub mod capture;
pub mod options;

use std::sync::Arc;

use tideway_job::{Job, JobError};

pub use crate::options::{Args, Verb};

/// Runs the job.
///
/// # Errors
/// [`JobError`], whose variants are the exit codes.
pub async fn run(args: Args) -> Result<(), JobError> {
    match args.verb {
        // The name of a job is that of its heartbeat: each half has its own when they are two
        // processes.
        Some(Verb::Capture) => {
            let job = Arc::new(Job::open("capture", &args.common).await?);
            Box::pin(capture::run(&job, &args)).await
        }
        Some(Verb::Apply | Verb::Wait) | None => Err(JobError::config("not built yet")),
    }
}
