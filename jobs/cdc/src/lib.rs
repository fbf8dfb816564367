//! `tideway-cdc`: the changes of a source into staging, and from there into the target.
//!
//! - [`capture`] streams the binlog of each source into segments in staging;
//! - [`apply`] replays the segments of a source into the target;
//! - [`wait`](mod@wait) ends when the target has caught up.
//!
//! The halves meet in staging only: each can be killed and run again without the other, and without a verb
//! both run in one process, as they would in two.

pub mod apply;
pub mod capture;
mod lease;
pub mod options;
pub mod wait;

use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use futures::future::join_all;
use tideway_config::ResolvedSource;
use tideway_job::{Job, JobError, Progress};

pub use crate::options::{Args, Verb};

/// Runs the job: the verb of `args`, or both halves, for each source.
///
/// # Errors
/// [`JobError`], whose variants are the exit codes.
pub async fn run(args: Args) -> Result<(), JobError> {
    // The name of a job is that of its heartbeat: each half has its own.
    match args.verb {
        Some(Verb::Capture) => {
            let job = Arc::new(Job::open("capture", &args.common).await?);
            Box::pin(capture::run(&job, &args)).await
        }
        Some(Verb::Apply) => {
            let job = Job::open("apply", &args.common).await?;
            Box::pin(apply_all(&job, &args)).await
        }
        Some(Verb::Wait) => {
            let job = Job::open("wait", &args.common).await?;
            each(&job, async |source, progress| {
                Box::pin(wait::wait(&job, &args, source, progress)).await
            })
            .await
        }
        None => Box::pin(both(&args)).await,
    }
}

async fn apply_all(job: &Job, args: &Args) -> Result<(), JobError> {
    each(job, async |source, progress| {
        Box::pin(apply::apply(job, args, source, progress)).await
    })
    .await
}

/// Captures and applies. Where capture ends, apply ends when it has applied what was captured.
async fn both(args: &Args) -> Result<(), JobError> {
    let mut args = args.clone();
    args.common.memory = ByteSize::b(args.common.memory.as_u64() / 2);
    let capturing = Arc::new(Job::open("capture", &args.common).await?);
    let applying = Job::open("apply", &args.common).await?;
    let mut apply_args = args.clone();
    apply_args.until = None;
    // What it waits for is capture, which begins beside it.
    apply_args.wait = apply_args.wait.max(Duration::from_secs(60));
    let captured = async {
        let result = Box::pin(capture::run(&capturing, &args)).await;
        match &result {
            Ok(()) => applying.finish.cancel(),
            Err(_) => applying.stop.cancel(),
        }
        result
    };
    let applied = async {
        let result = Box::pin(apply_all(&applying, &apply_args)).await;
        if result.is_err() {
            capturing.stop.cancel();
        }
        result
    };
    let (captured, applied) = tokio::join!(captured, applied);
    worst([captured, applied])
}

/// Runs something for all sources at once. An error of one stops the others, which commit what is in
/// hand.
async fn each<F>(job: &Job, run: F) -> Result<(), JobError>
where
    F: AsyncFn(&ResolvedSource, &Progress) -> Result<(), JobError>,
{
    let run = &run;
    let all = job.sources().into_iter().map(async |source| {
        let progress = job.progress(&source.id);
        let result = run(source, &progress).await;
        progress.finish(&result).await;
        if let Err(error) = &result
            && !matches!(error, JobError::Stopped)
        {
            tracing::error!(source = source.id, "{error}");
            job.stop.cancel();
        }
        result
    });
    worst(join_all(all).await)
}

/// The result that most needs to be told: what needs a change before what passes, and both before a wish
/// that was obeyed.
pub(crate) fn worst(
    results: impl IntoIterator<Item = Result<(), JobError>>,
) -> Result<(), JobError> {
    let rank = |result: &Result<(), JobError>| match result {
        Ok(()) => 0,
        Err(JobError::Stopped) => 1,
        Err(JobError::Failed(_)) => 2,
        Err(_) => 3,
    };
    let mut worst = Ok(());
    for result in results {
        if rank(&result) > rank(&worst) {
            worst = result;
        }
    }
    worst
}
