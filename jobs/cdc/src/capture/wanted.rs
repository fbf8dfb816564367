//! What is wanted of a capture while it works, and what it tells of itself.

use std::time::{Duration, Instant};

use tideway_job::JobError;
use tideway_mysql::connect::Server;
use tideway_mysql::position::BinlogPosition;
use tideway_staging::heartbeat::SyncState;
use tokio::sync::watch;

use super::error::{Error, Result};
use super::lag::Seen;
use super::run::{Capture, now};

/// How often the heartbeat learns where this is.
pub(super) const SYNC: Duration = Duration::from_secs(1);

impl Capture {
    /// Obeys a wish to finish or to pause; to stop is looked at elsewhere.
    ///
    /// To finish is to have a goal: where the server is now, unless `--until` is reached before. While
    /// the server is away the goal is not known, and it is asked again at the next connection. A pause
    /// comes between two transactions and commits what is in hand; the connection stays, and when the
    /// server has closed it meanwhile, another one goes on from the same place.
    pub(super) async fn heed(&mut self, server: &Server, heard: &mut Instant) -> Result<()> {
        if self.job.finish.is_cancelled() && self.last_goal.is_none() {
            let goal = now(&self.config, server).await?;
            if let Some((position, _)) = &goal.position {
                self.progress
                    .message(format!("told to finish: capturing up to {position}"));
            }
            self.last_goal = Some(goal);
        }
        if self.job.control.is_paused() && !self.tracker.in_transaction() {
            self.commit_in_hand().await?;
            match self.job.safe_point().await {
                Ok(()) => {}
                Err(JobError::Stopped) => return Err(Error::Stopped),
                Err(error) => {
                    return Err(Error::Source {
                        source_id: self.config.id.clone(),
                        what: error.to_string(),
                    });
                }
            }
            *heard = Instant::now();
        }
        Ok(())
    }

    /// Tells the heartbeat where this is.
    pub(super) fn sync(&mut self, seen: &watch::Receiver<Option<Seen>>) {
        if self.synced.is_some_and(|at| at.elapsed() < SYNC) {
            return;
        }
        self.synced = Some(Instant::now());
        let text = |position: &BinlogPosition| format!("({}, {})", position.file, position.pos);
        let gtids = |position: &BinlogPosition| position.gtid_set.clone().unwrap_or_default();
        let committed = &self.segments.committed().to;
        let seen = seen.borrow();
        let seen = seen.as_ref();
        let place = &self.tracker.place;
        let all = seen.map(|seen| place.reached(&seen.position.file, seen.position.pos));
        let behind_ms = match (all, seen) {
            (Some(true), _) => Some(0),
            (Some(false), Some(seen)) if self.last_time > 0 => {
                Some(seen.time.saturating_sub(self.last_time) * 1000)
            }
            _ => None,
        };
        self.progress.sync(SyncState {
            master_binlog: seen.map_or_else(String::new, |seen| text(&seen.position)),
            master_gtid: seen.map_or_else(String::new, |seen| gtids(&seen.position)),
            syncer_binlog: text(committed),
            syncer_gtid: gtids(committed),
            total_events: self.progress.rows(),
            behind_ms,
            synced: all == Some(true) && !self.is_behind_committed(),
            ..SyncState::default()
        });
    }
}
