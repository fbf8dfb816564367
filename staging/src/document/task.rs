//! What a task is, and where its binlog begins.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Json;

/// `task.json`: the resolved task without secrets. Created once; jobs compare the fingerprint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDoc {
    /// Version of this document.
    pub version: u32,
    /// Name of the task.
    pub name: String,
    /// SHA-256 over everything that changes what is migrated.
    pub fingerprint: String,
    /// The task with its sources and defaults.
    pub resolved: Json,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
}

/// `start.json`: from here on the binlog belongs to the task. Created once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Version of this document.
    pub version: u32,
    /// UUID of the server that the position belongs to.
    pub server_uuid: String,
    /// File, offset and GTID set.
    pub position: Json,
    /// Flavour of the server.
    pub flavor: String,
    /// When the position was read.
    pub at: DateTime<Utc>,
    /// The job that wrote it.
    pub by: String,
}
