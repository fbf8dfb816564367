//! What the dispatcher and its workers tell each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::error::Error;

/// How far each worker is, and why one of them failed.
#[derive(Debug)]
pub struct Shared {
    /// For each worker, the number of the last change that it has committed.
    done: Vec<AtomicU64>,
    /// For each worker, the last token before which all its changes are committed.
    passed: Vec<AtomicU64>,
    /// Rung when either moves, or a worker fails.
    moved: Notify,
    failure: Mutex<Option<Error>>,
    /// Cancelled when a worker fails.
    pub failed: CancellationToken,
}

impl Shared {
    /// For so many workers.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        let zeros = || (0..workers).map(|_| AtomicU64::new(0)).collect();
        Self {
            done: zeros(),
            passed: zeros(),
            moved: Notify::new(),
            failure: Mutex::new(None),
            failed: CancellationToken::new(),
        }
    }

    /// The last change that a worker has committed.
    #[must_use]
    pub fn done(&self, worker: usize) -> u64 {
        self.done
            .get(worker)
            .map_or(0, |done| done.load(Ordering::Acquire))
    }

    /// The last token that all workers have passed.
    #[must_use]
    pub fn passed(&self) -> u64 {
        let passed = self.passed.iter().map(|p| p.load(Ordering::Acquire));
        passed.min().unwrap_or(u64::MAX)
    }

    /// A worker has committed its changes up to number `change`, and with them passed `token`.
    pub fn report(&self, worker: usize, change: Option<u64>, token: Option<u64>) {
        if let (Some(done), Some(change)) = (self.done.get(worker), change) {
            done.store(change, Ordering::Release);
        }
        if let (Some(passed), Some(token)) = (self.passed.get(worker), token) {
            passed.store(token, Ordering::Release);
        }
        self.moved.notify_waiters();
    }

    /// A worker cannot go on. Only the first failure is kept.
    pub fn fail(&self, error: Error) {
        self.lock().get_or_insert(error);
        self.failed.cancel();
        self.moved.notify_waiters();
    }

    /// The failure, once: whoever takes it reports it.
    #[must_use]
    pub fn take_failure(&self) -> Option<Error> {
        self.lock().take()
    }

    /// Waits until `reached` holds; `Err` when a worker failed meanwhile.
    ///
    /// # Errors
    /// The failure of a worker.
    pub async fn wait(&self, mut reached: impl FnMut(&Self) -> bool) -> Result<(), Error> {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            // From here on no call of notify_waiters is missed.
            moved.as_mut().enable();
            if self.failed.is_cancelled() {
                return Err(self.take_failure().unwrap_or(Error::Stopped));
            }
            if reached(self) {
                return Ok(());
            }
            moved.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        // Nothing can panic between taking the lock and assigning.
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
