//! `tideway-dump`: from the tables of a source to Parquet in staging.
//!
//! Reads the source; writes below `<task>/<source>/`: `start.json` (in task mode `full`), and in
//! `dump/` the schema files, the plan and its generations, data files, chunk markers and, last, the
//! manifest. Everything that a later run, or another job, needs is there; the process itself holds
//! nothing that matters.
//!
//! What holds after each step, whenever the process is killed:
//!
//! 1. [`start`] — where the binlog begins is fixed once and for all.
//! 2. [`plan`] — tables, definitions (each with its position S_t) and chunk boundaries are fixed;
//!    every row of a table, now or later, lies in exactly one chunk's range.
//! 3. [`mod@run`] — each chunk is either committed (its marker exists, and names complete data by size
//!    and checksums) or does not exist. A rerun reads only what has no marker.
//! 4. [`finish`] — the manifest exists only when every chunk is committed and every other object is
//!    gone. Other jobs wait for it.
//!
//! With several worker processes (`--worker-index`, `--worker-count`) the first one plans and the
//! others wait for the plan; chunks are dealt by table and number; who commits the last chunk finishes.

pub mod bounds;
pub mod chunk;
pub mod consistency;
pub mod cut;
pub mod definitions;
pub mod error;
pub mod finish;
pub mod keeper;
pub mod markers;
pub mod memory;
pub mod options;
pub mod plan;
pub mod reader;
pub mod renamed;
pub mod replan;
pub mod report;
pub mod run;
pub mod schema_files;
pub mod snapshot;
pub mod source;
pub mod start;
pub mod table;
pub mod throttle;
pub mod too_large;

use std::sync::Arc;
use std::time::Duration;

use tideway_config::ResolvedSource;
use tideway_job::{Job, JobError};
use tideway_staging::document::{EffectivePlan, read_manifest, read_plan};
use tokio::time::Instant;

pub use crate::error::Error;
pub use crate::options::{Args, Verb};
use crate::plan::Planned;
use crate::source::Source;

/// Rounds for tables that are renamed again and again.
const RENAMES: u32 = 16;

/// Runs the job: the verb of `args`, or all three, for each source.
///
/// # Errors
/// [`JobError`], whose variants are the exit codes.
pub async fn run(args: Args) -> Result<(), JobError> {
    let job = Arc::new(Job::open("dump", &args.common).await?);
    let sources: Vec<ResolvedSource> = job.sources().into_iter().cloned().collect();
    for config in &sources {
        job.check_stop()?;
        let progress = job.progress(&config.id);
        let result = Box::pin(dump(&job, &args, config, &progress)).await;
        progress.finish(&result).await;
        result?;
    }
    Ok(())
}

async fn dump(
    job: &Arc<Job>,
    args: &Args,
    config: &ResolvedSource,
    progress: &tideway_job::Progress,
) -> Result<(), JobError> {
    let source = Arc::new(Source::open(job, args, config, progress.clone()).await?);
    let result = Box::pin(dump_source(&source)).await;
    Ok(result?)
}

async fn dump_source(source: &Arc<Source>) -> Result<(), Error> {
    let (staging, keys, args) = (&source.job.staging, &source.keys, &source.args);
    let output = args.common.output;
    let former = start::existing(source).await?;
    let plan = read_plan(staging, keys).await?;
    source.check_server(former.as_ref(), plan.as_ref()).await?;
    if let Some(manifest) = read_manifest(staging, keys).await? {
        source.progress.message(format!(
            "{} was finished at {}: nothing to do",
            source.place(),
            manifest.finished_at.format("%Y-%m-%d %H:%M:%S UTC")
        ));
        report::manifest(output, &manifest);
        return Ok(());
    }
    let planned = if args.plans() || args.runs() {
        match prepare(source).await? {
            Some(planned) => Some(planned),
            None => return Ok(()),
        }
    } else {
        None
    };
    if let (Some(planned), true) = (&planned, args.verb == Some(Verb::Plan)) {
        report::plan(output, &source.config.id, &planned.plan);
    }
    if let (Some(planned), true) = (planned, args.runs()) {
        Box::pin(run::run(source, planned)).await?;
    }
    if !args.finishes() {
        return Ok(());
    }
    if args.verb.is_none() && !finish::is_ready(source).await? {
        source.progress.message(
            "this worker's chunks are done; the worker that commits the last one finishes",
        );
        return Ok(());
    }
    // Each round reads what took another table's name since the one before.
    let mut rounds = 0;
    while renamed::plan_anew(source).await? {
        source.check_stop()?;
        rounds += 1;
        if rounds > RENAMES {
            return Err(Error::Busy(format!(
                "tables of source `{}` are renamed faster than they can be dumped: run it again when that \
                 is over",
                source.config.id
            )));
        }
        let Some(plan) = read_plan(staging, keys).await? else {
            break;
        };
        let planned = Planned {
            plan,
            readers: None,
            kept: None,
        };
        Box::pin(run::run(source, planned)).await?;
    }
    report::manifest(output, &finish::finish(source).await?);
    Ok(())
}

/// Start and plan, as far as they are this worker's. `None`: there is nothing for this worker.
async fn prepare(source: &Arc<Source>) -> Result<Option<Planned>, Error> {
    if source.args.verb == Some(Verb::Run)
        && read_plan(&source.job.staging, &source.keys)
            .await?
            .is_none()
    {
        return Err(Error::NoPlan {
            source_id: source.config.id.clone(),
            place: source.place(),
        });
    }
    if source.job.worker.index > 0 {
        if source.wanted.one_process() {
            source.progress.message(
                "the snapshot of a `flush` or `lock` dump cannot be shared by processes: worker 0 \
                 reads all chunks, this worker has nothing to do",
            );
            return Ok(None);
        }
        let plan = wait_for_plan(source).await?;
        return Ok(Some(Planned {
            plan,
            readers: None,
            kept: None,
        }));
    }
    let start = start::start(source).await?;
    Ok(Some(Box::pin(plan::plan(source, &start)).await?))
}

/// Waits for the plan that worker 0 makes.
async fn wait_for_plan(source: &Source) -> Result<EffectivePlan, Error> {
    source.progress.stage("waiting");
    let begun = Instant::now();
    let mut told = false;
    loop {
        source.check_stop()?;
        if let Some(plan) = read_plan(&source.job.staging, &source.keys).await? {
            source.check_server(None, Some(&plan)).await?;
            return Ok(plan);
        }
        if !told && begun.elapsed() >= Duration::from_secs(60) {
            told = true;
            source.progress.message(format!(
                "waiting for {}, which worker 0 writes",
                source.keys.plan(0)
            ));
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            () = source.job.stop.cancelled() => return Err(Error::Stopped),
        }
    }
}
