//! What of `--memory` the readers may hold.
//!
//! Each reader has an equal share, from which its batches and row groups are cut. A single value may
//! be larger than that. Readers that meet such values at the same moment take turns: what they hold
//! of them, twice each while they encode, comes out of one count of bytes for the whole process.

use std::sync::Arc;

use mysql_async::{Row, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The least share with which a reader works well: below, row groups get too small to be read fast,
/// and what a reader holds whatever its share (parts on their way, the driver's buffers) outgrows it.
const LEAST_SHARE: usize = 24 << 20;
/// Bytes that one permit stands for.
const UNIT: usize = 1 << 10;

/// How many of the readers that are `asked` for a budget of `total` bytes bears; at least one.
#[must_use]
pub fn readers(asked: usize, total: usize) -> usize {
    asked.min(total / LEAST_SHARE).max(1)
}

/// The turns of readers that hold values larger than their share.
#[derive(Debug)]
pub struct LargeValues {
    share: usize,
    all: u32,
    free: Arc<Semaphore>,
}

impl LargeValues {
    /// For readers of `share` bytes each out of `total`.
    #[must_use]
    pub fn new(share: usize, total: usize) -> Self {
        let all = u32::try_from(total / UNIT).unwrap_or(u32::MAX).max(1);
        Self {
            share,
            all,
            free: Arc::new(Semaphore::new(all as usize)),
        }
    }

    /// Waits until a row of `bytes` may be encoded beside what other readers hold. `None`: it fits
    /// this reader's own share. The turn ends when the permit is dropped.
    pub async fn turn(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let twice = bytes.saturating_mul(2);
        if twice <= self.share {
            return None;
        }
        // More than there is: alone. Whether the budget holds it is decided by who encodes it.
        let wanted = u32::try_from(twice.div_ceil(UNIT)).map_or(self.all, |n| n.min(self.all));
        // Never closed.
        Arc::clone(&self.free).acquire_many_owned(wanted).await.ok()
    }
}

/// Bytes of the texts and blobs of a row.
#[must_use]
pub fn bytes_of(row: &Row) -> usize {
    (0..row.len())
        .map(|index| match row.as_ref(index) {
            Some(Value::Bytes(bytes)) => bytes.len(),
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_budget_bears_so_many_readers() {
        assert_eq!(readers(4, 384 << 20), 4);
        assert_eq!(readers(64, 384 << 20), 16);
        assert_eq!(readers(4, 32 << 20), 1);
        assert_eq!(readers(1, 1 << 30), 1);
    }

    #[tokio::test]
    async fn large_values_take_turns() {
        let large = LargeValues::new(24 << 20, 96 << 20);
        assert!(large.turn(12 << 20).await.is_none(), "its own share");
        let first = large.turn(30 << 20).await.unwrap();
        let wait = Duration::from_millis(50);
        let second = tokio::time::timeout(wait, large.turn(30 << 20)).await;
        assert!(second.is_err(), "120 MiB are more than the budget");
        let small = tokio::time::timeout(wait, large.turn(13 << 20)).await;
        drop(small.unwrap().unwrap());
        drop(first);
        // One that is larger than everything gets its turn alone, to be refused by name.
        let most = tokio::time::timeout(wait, large.turn(1 << 30)).await;
        assert!(most.unwrap().is_some());
    }
}
