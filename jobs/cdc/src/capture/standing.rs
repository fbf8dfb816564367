//! Where a capture stands, for its heartbeat.

use std::time::{Duration, Instant};

use tideway_mysql::position::BinlogPosition;
use tideway_staging::heartbeat::SyncState;
use tokio::sync::watch;

use super::lag::Seen;
use super::run::Capture;

/// How often the heartbeat learns it.
pub(super) const SYNC: Duration = Duration::from_secs(1);

impl Capture {
    /// Tells the heartbeat where this is, when that was some time ago.
    pub(super) fn sync(&mut self, seen: &watch::Receiver<Option<Seen>>) {
        if self.synced.is_some_and(|at| at.elapsed() < SYNC) {
            return;
        }
        self.synced = Some(Instant::now());
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
            master_binlog: seen.map_or_else(String::new, |seen| seen.position.place()),
            master_gtid: seen.map_or_else(String::new, |seen| gtids(&seen.position)),
            syncer_binlog: committed.place(),
            syncer_gtid: gtids(committed),
            total_events: self.progress.rows(),
            behind_ms,
            synced: all == Some(true) && !self.is_beyond(committed),
            ..SyncState::default()
        });
    }
}
