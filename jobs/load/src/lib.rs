//! The load job: a finished dump from staging into the target, exactly once.
//!
//! It reads the manifest, the plan's definitions and the chunks' markers and data; it writes only
//! its report to staging. What is done is kept at the target, in the `meta-schema`, and commits
//! together with the rows (see [`checkpoint`], [`loader`]); it is keyed by the manifest's hash, so a
//! target that was made anew is loaded anew, and a new dump is never taken for the old one.
//!
//! The order of a run, and what holds after each step:
//!
//! 1. The owner table: a former owner of this worker's part can no longer commit
//!    ([`tideway_mysql::fence`]).
//! 2. Each table: noted, then created ([`prepare`]). Not one row is there before.
//! 3. Each chunk of this worker's share: transaction by transaction. Killed at any instant, what is
//!    committed is in the checkpoint, and the next run begins behind it, also within a chunk.
//! 4. The report. Killed before it, the next run finds everything done and writes it.

pub mod checkpoint;
pub mod error;
pub mod feed;
pub mod input;
pub mod insert;
pub mod loader;
pub mod narrow;
pub mod options;
pub mod prepare;
pub mod report;
pub mod rows;
pub mod run;
pub mod statement;
pub mod table;
pub mod units;

use tideway_config::CollationCompatible;
use tideway_job::{Job, JobError};

pub use options::Args;

/// Runs the job.
///
/// # Errors
/// As [`JobError`]: its variants are the exit codes.
pub async fn run(args: Args) -> Result<(), JobError> {
    let job = Job::open("load", &args.common).await?;
    if job.task.collation_compatible == CollationCompatible::Strict {
        tracing::warn!(
            "`collation_compatible: strict` has no effect: the load always writes collations out, and \
             one that the target lacks gets a stand-in, which the report names"
        );
    }
    let mut reports = Vec::new();
    for source in job.sources() {
        job.check_stop()?;
        let progress = job.progress(&source.id);
        let result = Box::pin(run::load_source(&job, &args, source, &progress)).await;
        let ended = result.as_ref().map(|_| ());
        match ended {
            Ok(()) => progress.finish(&Ok(())).await,
            Err(error) => progress.finish(&Err(copy(error))).await,
        }
        reports.push(result?);
    }
    report::print(&reports, job.args.output);
    Ok(())
}

/// What the heartbeat needs of an error that goes on to the caller.
fn copy(error: &JobError) -> JobError {
    match error {
        JobError::Stopped => JobError::Stopped,
        error => JobError::failed(error),
    }
}
