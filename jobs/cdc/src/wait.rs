//! `wait`: ends when the target has caught up with the source.
//!
//! The source is asked for its position; when the checkpoint at the target has reached that, the target
//! lies behind the source by no more than the time since. If that is more than `--lag`, the same again.

use std::time::Duration;

use mysql_async::Conn;
use tideway_config::ResolvedSource;
use tideway_job::{Job, JobError, Progress};
use tideway_mysql::connect::Server;
use tideway_mysql::position;
use tideway_mysql::syncer::reached;
use tokio::time::Instant;

use crate::apply::checkpoint::{Checkpoint, Saved};
use crate::options::Args;

/// How often the checkpoint is looked at.
const POLL: Duration = Duration::from_millis(250);
/// After which time a person wants to know what is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until the target lies behind a source by no more than `--lag`.
///
/// # Errors
/// A server or staging fails; a stop was asked for.
pub async fn wait(
    job: &Job,
    args: &Args,
    source: &ResolvedSource,
    progress: &Progress,
) -> Result<(), JobError> {
    progress.stage("waiting");
    let server = job.source_server(source, 1).await?;
    let target = job.target_server(1).await?;
    let result = caught_up(job, args, source, progress, &server, &target).await;
    server.close().await;
    target.close().await;
    result
}

async fn caught_up(
    job: &Job,
    args: &Args,
    source: &ResolvedSource,
    progress: &Progress,
    server: &Server,
    target: &Server,
) -> Result<(), JobError> {
    let checkpoint = Checkpoint::new(&job.task.meta_schema, &job.task.name, &source.id);
    let mut told = Instant::now();
    loop {
        let asked = Instant::now();
        let mut conn = server.conn().await?;
        let Some(wanted) = position::current(&mut conn, server.info()).await? else {
            return Err(JobError::config(format!(
                "source {} writes no binlog: switch log_bin on",
                source.id
            )));
        };
        drop(conn);
        loop {
            let mut conn = target.conn().await?;
            let saved = read(&checkpoint, &mut conn).await?;
            drop(conn);
            if let Some(saved) = &saved
                && reached(&saved.position, &wanted)
            {
                break;
            }
            if told.elapsed() >= PATIENCE {
                told = Instant::now();
                progress.message(match saved {
                    Some(saved) => {
                        format!("applied up to {}, waiting for {wanted}", saved.position)
                    }
                    None => "nothing is applied yet; waiting for `tideway-cdc apply`".to_owned(),
                });
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = job.stop.cancelled() => return Err(JobError::Stopped),
            }
        }
        let lag = asked.elapsed();
        if lag <= args.lag {
            progress.message(format!(
                "source {}: the target has all up to {wanted}, read {:.1} s ago",
                source.id,
                lag.as_secs_f64()
            ));
            return Ok(());
        }
    }
}

/// The checkpoint, or `None` while its table is not there yet.
async fn read(checkpoint: &Checkpoint, conn: &mut Conn) -> Result<Option<Saved>, JobError> {
    use crate::apply::error::Error;
    match checkpoint.read(conn).await {
        Ok(saved) => Ok(saved),
        Err(Error::Server(error)) if matches!(error.code(), Some(1146 | 1049)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
