//! The records of a lease: what is stored, and which one holds.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::{ROUNDS, SKEW};
use crate::layout::{TaskKeys, parse_number, stored_key};
use crate::{Error, Result, Staging};

/// A record of a lease, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// Version of this document.
    pub version: u32,
    /// Name of the lease.
    pub name: String,
    /// Who has it: host, process, job.
    pub owner: String,
    /// Tells two processes of the same owner's name apart.
    pub token: String,
    /// Counts the changes of hands, from 1.
    pub epoch: u64,
    /// Held until then, unless renewed.
    pub until: DateTime<Utc>,
    /// Given up.
    #[serde(default)]
    pub released: bool,
}

impl LeaseRecord {
    /// Whether nobody may take the lease yet.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        !self.released && now < self.until + delta(SKEW)
    }
}

/// The record that holds, and its number; `None` when the lease was never taken.
///
/// # Errors
/// When the store fails, or records go away faster than they can be read.
pub async fn current(
    staging: &Staging,
    keys: &TaskKeys,
    name: &str,
) -> Result<Option<(u64, LeaseRecord)>> {
    current_in(staging, &keys.lease_dir(name)).await
}

/// The leases of a task that are held now.
///
/// # Errors
/// When the store fails.
pub async fn live(staging: &Staging, keys: &TaskKeys) -> Result<Vec<LeaseRecord>> {
    let mut live = Vec::new();
    let now = Utc::now();
    for name in staging.list_dirs(&keys.leases_dir()).await? {
        let folder = stored_key(&format!("{}/{name}", keys.leases_dir()));
        if let Some((_, record)) = current_in(staging, &folder).await?
            && record.is_live(now)
        {
            live.push(record);
        }
    }
    Ok(live)
}

async fn current_in(staging: &Staging, folder: &Path) -> Result<Option<(u64, LeaseRecord)>> {
    for _ in 0..ROUNDS {
        let Some(number) = numbers(staging, folder).await?.into_iter().max() else {
            return Ok(None);
        };
        let key = stored_key(&format!("{folder}/{number:08}.json"));
        if let Some(record) = staging.get_json(&key).await? {
            return Ok(Some((number, record)));
        }
        // Pruned between listing and reading: there is a higher one.
    }
    Err(Error::Conflict {
        url: staging.url().to_owned(),
        key: folder.to_string(),
        what: "its records go away faster than they can be read: does something else delete from \
               this staging?"
            .to_owned(),
    })
}

pub(super) async fn numbers(staging: &Staging, folder: &Path) -> Result<Vec<u64>> {
    let objects: Vec<_> = staging.list(folder).try_collect().await?;
    Ok(objects
        .iter()
        .filter_map(|object| parse_number(&object.location))
        .collect())
}

pub(super) fn taken(record: &LeaseRecord) -> String {
    format!(
        "{} has it with epoch {} until {}",
        record.owner, record.epoch, record.until
    )
}

pub(super) fn delta(duration: Duration) -> TimeDelta {
    // A term beyond what chrono can hold (300 million years) means: for ever.
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
