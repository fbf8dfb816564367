//! `start.json`: where the binlog begins for this task.
//!
//! In task mode `full` the dump creates it itself, before it plans. In mode `all` capture does, and
//! the dump waits for that and for capture's first heartbeat: a dump that ran ahead of a capture
//! that never comes would be worthless. It is created if absent and never changed, so every rerun
//! sees the same start.
//!
//! Without GTID the server's position counts transactions that are in the binlog and not yet visible
//! to readers; they become visible within moments. So in mode `all` the first read of rows comes
//! `--settle` after the start at the earliest (not inside a snapshot of `flush` or `lock`, which wait
//! for commits by themselves). MySQL's `gtid_executed` counts visible transactions only; MariaDB's
//! GTID position is the binlog's, and counts as the file's does. The time runs from when this process
//! first saw `start.json`, for its writer's clock may be another machine's.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tideway_job::failpoint;
use tideway_mysql::info::Flavor;
use tideway_staging::Create;
use tideway_staging::document::Start;
use tideway_staging::heartbeat::Heartbeat;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::source::{Source, now, to_json};

/// How often staging is looked at while waiting.
const POLL: Duration = Duration::from_millis(500);
/// After which time a person wants to know what is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads `start.json`, creates it, or waits for it; checks that it is of this server.
///
/// # Errors
/// When staging or source fail, or the start is of another server.
pub async fn start(source: &Source) -> Result<Start> {
    let start = match existing(source).await? {
        Some(start) => start,
        None if source.followed_by_cdc() => wait_for_capture(source).await?,
        None => create(source).await?,
    };
    source.check_server(Some(&start), None).await?;
    Ok(start)
}

/// `start.json`, if it is there.
///
/// # Errors
/// When staging fails.
pub async fn existing(source: &Source) -> Result<Option<Start>> {
    let start = source.job.staging.get_json(&source.keys.start()).await?;
    if start.is_some() {
        source.start_seen.get_or_init(Instant::now);
    }
    Ok(start)
}

async fn create(source: &Source) -> Result<Start> {
    let key = source.keys.start();
    let mut conn = source.server.conn().await?;
    warn_of_prepared(source, &mut conn).await;
    let info = source.server.info();
    let start = Start {
        version: 1,
        server_uuid: info.uuid.clone(),
        position: to_json(&source.position(&mut conn).await?, &key)?,
        flavor: format!("{:?}", info.flavor).to_lowercase(),
        at: now(),
        by: "dump".to_owned(),
    };
    let start = match source.job.staging.create_json(&key, &start).await? {
        Create::Won => start,
        Create::Exists(other) => other,
    };
    failpoint::hit("dump.start");
    Ok(start)
}

/// A transaction that is prepared at the start is in no chunk. Without cdc nothing brings it later.
async fn warn_of_prepared(source: &Source, conn: &mut mysql_async::Conn) {
    // Denied without XA_RECOVER_ADMIN: then it is not known, and precheck has said so.
    let prepared: Vec<mysql_async::Row> = conn.query("XA RECOVER").await.unwrap_or_default();
    if !prepared.is_empty() {
        tracing::warn!(
            source = source.config.id,
            "{} XA transactions are prepared and not committed on the source: their changes are \
             not in this dump",
            prepared.len()
        );
    }
}

async fn wait_for_capture(source: &Source) -> Result<Start> {
    source.progress.stage("waiting");
    let begun = Instant::now();
    let mut told = false;
    loop {
        source.check_stop()?;
        let start = existing(source).await?;
        let beats = match &start {
            Some(_) => capture_beats(source).await?,
            None => false,
        };
        if let (Some(start), true) = (start.as_ref(), beats) {
            return Ok(start.clone());
        }
        if !told && begun.elapsed() >= PATIENCE {
            told = true;
            let what = match start {
                None => format!("{}, which capture writes first", source.keys.start()),
                Some(_) => "capture's first heartbeat".to_owned(),
            };
            source.progress.message(format!(
                "waiting for {what}: start `tideway-cdc capture` for source `{}`, or dump without \
                 cdc by --task-mode full",
                source.config.id
            ));
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = source.job.stop.cancelled() => return Err(Error::Stopped),
        }
    }
}

async fn capture_beats(source: &Source) -> Result<bool> {
    for job in ["cdc", "capture"] {
        let key = source.job.keys.status(job, &source.config.id, 0);
        let beat: Option<Heartbeat> = source.job.staging.get_json(&key).await?;
        if beat.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Waits until what was in the binlog at the start is visible to readers (see the module). To be
/// called before the first chunk of a dump without a snapshot is read.
///
/// # Errors
/// [`Error::Stopped`].
pub async fn settle(source: &Source) -> Result<()> {
    let info = source.server.info();
    if !source.followed_by_cdc() || position_is_visible(info.flavor, info.gtid) {
        return Ok(());
    }
    let seen = source.start_seen.get_or_init(Instant::now);
    let left = source.args.settle.saturating_sub(seen.elapsed());
    tokio::select! {
        () = tokio::time::sleep(left) => Ok(()),
        () = source.job.stop.cancelled() => Err(Error::Stopped),
    }
}

/// Whether the server's position counts only what readers see.
fn position_is_visible(flavor: Flavor, gtid_mode_on: bool) -> bool {
    matches!(flavor, Flavor::MySql | Flavor::Aurora) && gtid_mode_on
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mysql_gtids_need_no_settling() {
        assert!(position_is_visible(Flavor::MySql, true));
        assert!(position_is_visible(Flavor::Aurora, true));
        assert!(!position_is_visible(Flavor::MySql, false));
        assert!(!position_is_visible(Flavor::MariaDb, true));
    }
}
