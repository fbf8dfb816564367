//! Capture: the binlog of each source into segments in staging.
//!
//! One task for each source, one lease for each (`capture/<source>`), one chain of segments
//! ([`tideway_staging::segment`]). Nothing of the process matters: everything is in the chain.
//!
//! **Killed at any point.** Durable are, in this order: `start.json`, then for each segment its object
//! and its marker.
//!
//! - Before `start.json`: nothing happened. After: the place holds, whoever goes on.
//! - After an object: it has no marker and does not exist. Its events are received again.
//! - After a marker: the next process reads it, takes its `to`, and receives what follows.
//!
//! So every event behind `start.json` is in exactly one segment, in order.
//!
//! **Within a process** the place behind the last *received* event governs ([`track`]). When a
//! connection is lost and the same server answers again, the stream goes on there and the segment in
//! hand is continued: offsets of one server mean the same event for ever, and each event's checksum was
//! verified when it came. When another server answers, what is in hand is given up and asked for again
//! behind the last marker, by GTID, for offsets are the new server's ([`admit`]).
//!
//! **Two at once.** The lease keeps the second out. A first one that was suspended and wakes up sees
//! its lease lost, or meets the other's marker where its own belongs, and stops; the server ends its
//! stream as soon as the other, with the same server id, asks for one.
//!
//! **A segment ends** at the end of a log file; at `--segment-size`, at a transaction's end when one
//! comes soon, otherwise in its midst; after `--segment-interval`, at a transaction's end. When the
//! place moved and no event was to be kept, an empty one says so within ten seconds.

pub mod admit;
pub mod error;
pub mod lag;
pub mod place;
pub mod receive;
pub mod refused;
pub mod replay;
pub mod run;
pub mod segments;
mod standing;
pub mod start;
pub mod stream;
pub mod track;

use std::sync::Arc;

use tideway_config::ResolvedSource;
use tideway_job::{Job, JobError, Progress};
use tideway_staging::layout::capture_lease;
use tideway_staging::lease::{Acquired, Lease};
use tokio::task::JoinSet;

use self::error::{Error, Result};
use self::run::Capture;
use crate::options::Args;
use crate::worst;

/// Captures all sources of the job, each in a task of its own; ends when all have ended. An error of
/// one stops the others, which commit what is in hand: a process that goes on with some of its sources
/// would not be started again for the rest.
///
/// # Errors
/// [`JobError`], whose variants are the exit codes.
pub async fn run(job: &Arc<Job>, args: &Args) -> Result<(), JobError> {
    let mut tasks = JoinSet::new();
    for config in job.sources() {
        let (job, args, config) = (Arc::clone(job), args.clone(), config.clone());
        tasks.spawn(async move {
            let progress = job.progress(&config.id);
            let result = capture(&job, &args, &config, &progress).await;
            let result = result.map_err(JobError::from);
            progress.finish(&result).await;
            if let Err(error) = &result
                && !matches!(error, JobError::Stopped)
            {
                tracing::error!(source = config.id, "{error}");
                job.stop.cancel();
            }
            result
        });
    }
    let mut results = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        results.push(ended.unwrap_or_else(|error| {
            Err(JobError::failed(format!(
                "a capture ended unexpectedly: {error}"
            )))
        }));
    }
    worst(results)
}

/// Captures one source until its goal, a stop, or an error that does not pass.
///
/// # Errors
/// Each with what to do about it.
pub async fn capture(
    job: &Arc<Job>,
    args: &Args,
    config: &ResolvedSource,
    progress: &Progress,
) -> Result<()> {
    progress.stage("waiting");
    let lease = Arc::new(lease(job, args, config, progress).await?);
    let result = Box::pin(held(job, args, config, progress, &lease)).await;
    // The reader of the lease went with `held`.
    if let Some(lease) = Arc::into_inner(lease)
        && let Err(error) = lease.release().await
    {
        tracing::warn!(source = config.id, "{error}");
    }
    result
}

async fn held(
    job: &Arc<Job>,
    args: &Args,
    config: &ResolvedSource,
    progress: &Progress,
    lease: &Arc<Lease>,
) -> Result<()> {
    let stop = job.stop.clone();
    let opened = Box::pin(async {
        let server = run::connect(job, config).await?;
        let lease = Arc::clone(lease);
        let capture = Capture::open(job, args, config, progress, lease, &server).await?;
        Ok::<_, Error>((server, capture))
    });
    let (server, mut capture) = tokio::select! {
        opened = opened => opened?,
        () = stop.cancelled() => return Err(Error::Stopped),
    };
    Box::pin(capture.follow(server)).await
}

/// Takes the source's lease.
async fn lease(
    job: &Arc<Job>,
    args: &Args,
    config: &ResolvedSource,
    progress: &Progress,
) -> Result<Lease> {
    match crate::lease::acquire(
        job,
        &capture_lease(&config.id),
        "capture",
        args.wait,
        progress,
    )
    .await?
    {
        Acquired::Held(lease) => Ok(lease),
        Acquired::Busy { .. } if job.stop.is_cancelled() => Err(Error::Stopped),
        Acquired::Busy { owner, until } => Err(Error::Busy {
            source_id: config.id.clone(),
            owner,
            until: until.format("%H:%M:%S UTC").to_string(),
        }),
    }
}
