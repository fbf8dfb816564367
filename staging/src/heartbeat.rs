//! Heartbeats: what a worker last said of itself.
//!
//! Overwritten in place; people look at them, and [`crate::gc`] keeps young data a little longer while
//! one of a dump is live, so a lost or late one is harmless. Whether a process may do a thing is
//! decided by leases and markers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::layout::TaskKeys;
use crate::{Result, Staging};

/// The last state of one worker process of one job for one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Version of this document.
    pub version: u32,
    /// Name of the job.
    pub job: String,
    /// Id of the source.
    pub source: String,
    /// Index of the worker.
    pub worker: u32,
    /// The workflow run it belongs to; empty without one.
    pub run_id: String,
    /// Which try of the same work this is, from 1.
    pub attempt: u32,
    /// Its process id.
    pub pid: u32,
    /// Its host.
    pub host: String,
    /// `running`, `done`, `failed` or `stopped`.
    pub state: String,
    /// It runs, and waits because a pause is wanted of it.
    #[serde(default)]
    pub paused: bool,
    /// What it is at.
    pub stage: String,
    /// Units (chunks) done.
    pub done_units: u64,
    /// Units in all.
    pub total_units: u64,
    /// Rows done.
    pub rows: u64,
    /// Bytes done.
    pub bytes: u64,
    /// Rows in all, estimated.
    pub total_rows: u64,
    /// Bytes in all, estimated.
    pub total_bytes: u64,
    /// What a person who waits wants to know.
    pub message: String,
    /// Why it failed.
    pub error: Option<String>,
    /// Where it stands in the binary log, when it captures or applies one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncState>,
    /// When the process began.
    pub started_at: DateTime<Utc>,
    /// When this was written.
    pub updated_at: DateTime<Utc>,
}

/// Where a process stands in the binary log of a source, and how fast it goes. Names and meaning are
/// those of `query-status` in DM. Places are texts such as `(mysql-bin.000001, 154)`; what is not known
/// is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncState {
    /// The source's place now.
    pub master_binlog: String,
    /// The source's GTID set now.
    pub master_gtid: String,
    /// Up to here all is committed: into staging by capture, into the target by apply.
    pub syncer_binlog: String,
    /// The GTID set up to there.
    pub syncer_gtid: String,
    /// Events (of rows and DDL) since the task began.
    pub total_events: u64,
    /// Rows since the task began.
    pub total_rows: u64,
    /// Rows a second over the last moments.
    pub recent_rps: u64,
    /// Rows a second since this process began.
    pub total_rps: u64,
    /// Transactions a second over the last moments.
    pub recent_tps: u64,
    /// Transactions a second since this process began.
    pub total_tps: u64,
    /// How many milliseconds the target (capture: staging) lies behind the source; absent while it is
    /// not known.
    pub behind_ms: Option<u64>,
    /// Seconds until it will have caught up, at the rate at which it caught up lately; absent when it
    /// does not gain on the source. Set by [`CatchUp`].
    pub caught_up_in: Option<u64>,
    /// Everything up to the source's place is done.
    pub synced: bool,
    /// Statements that the target refused, for which an order is awaited ([`crate::ddl_orders`]).
    pub blocking_ddls: Vec<String>,
    /// Log file of the first of them.
    pub blocking_file: String,
    /// Where it ends in that file: the place that an order names.
    pub blocking_pos: u64,
    /// Safe mode is on.
    pub safe_mode: bool,
}

/// How many readings of the lag are looked at, and at most how long.
const READINGS: usize = 64;
const WINDOW: Duration = Duration::from_secs(60);

/// Tells from readings of the lag when there will be none.
#[derive(Debug, Default)]
pub struct CatchUp {
    readings: VecDeque<(Instant, u64)>,
}

impl CatchUp {
    /// Takes a reading and fills in [`SyncState::caught_up_in`].
    pub fn read(&mut self, now: Instant, state: &mut SyncState) {
        let Some(behind) = state.behind_ms else {
            self.readings.clear();
            state.caught_up_in = None;
            return;
        };
        self.readings.push_back((now, behind));
        while self.readings.len() > 2
            && (self.readings.len() > READINGS
                || self
                    .readings
                    .front()
                    .is_some_and(|(at, _)| now.duration_since(*at) > WINDOW))
        {
            self.readings.pop_front();
        }
        state.caught_up_in = self.left(now, behind);
    }

    fn left(&self, now: Instant, behind: u64) -> Option<u64> {
        if behind == 0 {
            return Some(0);
        }
        let (at, first) = *self.readings.front()?;
        let took = u64::try_from(now.duration_since(at).as_millis()).ok()?;
        let gained = first.checked_sub(behind).filter(|gained| *gained > 0)?;
        Some(behind.checked_mul(took)? / gained / 1000)
    }
}

impl Heartbeat {
    /// Whether it says that it runs and was heard of lately.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>, patience: Duration) -> bool {
        // One of the future (another machine's clock) is young.
        self.state == "running"
            && TimeDelta::from_std(patience).is_ok_and(|patience| now - self.updated_at <= patience)
    }
}

/// Reads the heartbeats of all workers of a task, in the order of their keys.
///
/// # Errors
/// When the store fails. A heartbeat that is damaged is passed over: it will be overwritten.
pub async fn read_all(staging: &Staging, keys: &TaskKeys) -> Result<Vec<Heartbeat>> {
    let mut objects: Vec<_> = staging.list(&keys.status_dir()).try_collect().await?;
    objects.sort_by(|a, b| a.location.cmp(&b.location));
    let mut heartbeats = Vec::with_capacity(objects.len());
    for object in objects {
        match staging.get_json::<Heartbeat>(&object.location).await {
            Ok(Some(heartbeat)) => heartbeats.push(heartbeat),
            Ok(None) => {}
            Err(crate::Error::Damaged { key, what, .. }) => {
                tracing::warn!("heartbeat {key} passed over: {what}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(heartbeats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_ends_when_it_shrinks() {
        let start = Instant::now();
        let mut catch_up = CatchUp::default();
        let mut at = |second: u64, behind: Option<u64>| {
            let mut state = SyncState {
                behind_ms: behind,
                ..SyncState::default()
            };
            catch_up.read(start + Duration::from_secs(second), &mut state);
            state.caught_up_in
        };
        assert_eq!(at(0, Some(100_000)), None, "one reading tells nothing");
        // 10 s in 2 s: 90 s take 18.
        assert_eq!(at(2, Some(90_000)), Some(18));
        assert_eq!(at(4, Some(100_000)), None, "nothing was gained");
        assert_eq!(at(6, Some(0)), Some(0));
        assert_eq!(at(8, None), None);
        assert_eq!(at(10, Some(5)), None, "begun anew");
    }

    #[test]
    fn a_heartbeat_of_before_has_no_place_in_the_log() {
        let text = r#"{"version":1,"job":"dump","source":"s","worker":0,"run_id":"","attempt":1,
            "pid":1,"host":"h","state":"running","stage":"","done_units":0,"total_units":0,"rows":0,
            "bytes":0,"total_rows":0,"total_bytes":0,"message":"","error":null,
            "started_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}"#;
        let beat: Heartbeat = serde_json::from_str(text).unwrap();
        assert!(beat.sync.is_none() && !beat.paused);
        assert!(!serde_json::to_string(&beat).unwrap().contains("sync"));
    }

    #[test]
    fn only_a_running_worker_that_was_heard_of_lately_is_live() {
        let now = Utc::now();
        let mut heartbeat = Heartbeat {
            version: 1,
            job: "dump".to_owned(),
            source: "s".to_owned(),
            worker: 0,
            run_id: String::new(),
            attempt: 1,
            pid: 1,
            host: "h".to_owned(),
            state: "running".to_owned(),
            paused: false,
            stage: String::new(),
            done_units: 0,
            total_units: 0,
            rows: 0,
            bytes: 0,
            total_rows: 0,
            total_bytes: 0,
            message: String::new(),
            error: None,
            sync: None,
            started_at: now,
            updated_at: now,
        };
        let patience = Duration::from_secs(10);
        for (age, live) in [(-5, true), (0, true), (10, true), (11, false)] {
            heartbeat.updated_at = now - TimeDelta::seconds(age);
            assert_eq!(heartbeat.is_live(now, patience), live, "{age} s old");
        }
        heartbeat.updated_at = now;
        heartbeat.state = "done".to_owned();
        assert!(!heartbeat.is_live(now, patience));
    }
}
