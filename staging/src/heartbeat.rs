//! Heartbeats: what a worker last said of itself.
//!
//! Overwritten in place; people look at them, and [`crate::gc`] keeps young data a little longer while
//! one of a dump is live, so a lost or late one is harmless. Whether a process may do a thing is
//! decided by leases and markers.

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
    /// When the process began.
    pub started_at: DateTime<Utc>,
    /// When this was written.
    pub updated_at: DateTime<Utc>,
}

impl Heartbeat {
    /// Whether it says that it runs and was heard of lately.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>, patience: std::time::Duration) -> bool {
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
    use std::time::Duration;

    use super::*;

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
            stage: String::new(),
            done_units: 0,
            total_units: 0,
            rows: 0,
            bytes: 0,
            total_rows: 0,
            total_bytes: 0,
            message: String::new(),
            error: None,
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
