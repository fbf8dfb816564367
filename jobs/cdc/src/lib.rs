//! `tideway-cdc`: the changes of a source into staging, and from there into the target.
//!
//! - [`apply`] replays the segments of a source into the target;
//! - [`wait`](mod@wait) ends when the target has caught up.

pub mod apply;
pub mod options;
pub mod wait;

use futures::future::try_join_all;
use tideway_job::{Job, JobError};

pub use crate::options::{Args, Verb};

/// Runs the job: the verb of `args` for each source, all sources at once.
///
/// # Errors
/// [`JobError`], whose variants are the exit codes.
pub async fn run(args: Args) -> Result<(), JobError> {
    let name = match args.verb {
        Some(Verb::Capture) => "capture",
        Some(Verb::Apply) => "apply",
        Some(Verb::Wait) => "wait",
        None => "cdc",
    };
    let job = Job::open(name, &args.common).await?;
    let sources = job.sources();
    try_join_all(sources.into_iter().map(|source| {
        let (job, args) = (&job, &args);
        async move {
            let progress = job.progress(&source.id);
            let result = match args.verb {
                Some(Verb::Apply) => {
                    Box::pin(apply::apply(job, args, source, &progress, &job.finish)).await
                }
                Some(Verb::Wait) => Box::pin(wait::wait(job, args, source, &progress)).await,
                _ => Err(JobError::config("not built yet")),
            };
            progress.finish(&result).await;
            result
        }
    }))
    .await?;
    Ok(())
}
