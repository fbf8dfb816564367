//! Heartbeats: what a worker last said of itself.
//!
//! Overwritten in place, and nothing depends on them but what people see, so a lost or late one is
//! harmless. Whether a process may do a thing is decided by leases and markers.

use chrono::{DateTime, Utc};
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
        self.state == "running"
            && (now - self.updated_at)
                .to_std()
                .is_ok_and(|age| age <= patience)
            || self.state == "running" && self.updated_at > now
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
