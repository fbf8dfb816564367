//! Dealing changes to workers, so that changes with a common key value keep their order (DM calls it
//! causality).
//!
//! Each worker commits its changes in the order in which it gets them. So two changes keep their order
//! when they go to the same worker, or when the second is sent only after the first is committed. For
//! each key value that a change touches it is remembered which worker got the last such change, and
//! its number. A new change goes to the worker that has an uncommitted change with one of its values; if
//! several workers have, to the one with the latest, after the others have committed theirs. What is
//! committed is forgotten, so the memory is bounded by what is on its way, which the queues bound.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use super::change::Change;
use super::error::{Error, Result};
use super::shared::Shared;

/// What a worker gets.
#[derive(Debug)]
pub enum Message {
    /// A change and its number.
    Change(u64, Box<Change>),
    /// Everything that came before it is to be reported by this number when it is committed.
    Token(u64),
}

/// Deals changes to workers.
pub struct Dispatcher {
    queues: Vec<mpsc::Sender<Message>>,
    shared: Arc<Shared>,
    /// Of bytes, in units of [`UNIT`].
    memory: Arc<Semaphore>,
    permits: u32,
    /// Where changes with a key value went last.
    last: HashMap<u64, (usize, u64)>,
    /// How many key values are remembered before what is committed is forgotten.
    remember: usize,
    change: u64,
    token: u64,
    current: usize,
    run: u64,
    batch: u64,
    detect: bool,
}

/// Bytes of one permit.
const UNIT: usize = 1024;

/// The worker of tables whose changes all keep their order.
const PINNED: usize = 0;

impl Dispatcher {
    /// Deals to `queues`; `bytes` of changes may be on their way, and a worker gets `batch` changes in
    /// a row before the next one's turn. Without `detect` nothing keeps its order but what goes to
    /// one worker (DM's `disable-detect`).
    #[must_use]
    pub fn new(
        queues: Vec<mpsc::Sender<Message>>,
        shared: Arc<Shared>,
        bytes: usize,
        batch: u64,
        detect: bool,
    ) -> Self {
        let permits = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        let capacity: usize = queues.iter().map(mpsc::Sender::max_capacity).sum();
        Self {
            memory: Arc::new(Semaphore::new(permits as usize)),
            permits,
            queues,
            shared,
            last: HashMap::new(),
            remember: capacity.saturating_mul(4).max(4096),
            change: 0,
            token: 0,
            current: 0,
            run: 0,
            batch: batch.max(1),
            detect,
        }
    }

    /// Sends a change, when there is room and nothing stands in its way.
    ///
    /// # Errors
    /// The failure of a worker.
    pub async fn send(&mut self, mut change: Change) -> Result<()> {
        // One that is larger than everything waits until all others are through.
        let units = u32::try_from(change.size().div_ceil(UNIT)).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.memory);
        let permit = tokio::select! {
            biased;
            () = self.shared.failed.cancelled() => return Err(self.failure()),
            permit = memory.acquire_many_owned(units.min(self.permits)) => permit,
        };
        change.permit = permit.ok();
        let worker = self.choose(&change).await?;
        self.change += 1;
        if self.detect {
            for key in &change.keys {
                self.last.insert(*key, (worker, self.change));
            }
            if self.last.len() > self.remember {
                let shared = &self.shared;
                self.last
                    .retain(|_, (of, number)| *number > shared.done(*of));
            }
        }
        self.queue(worker, Message::Change(self.change, Box::new(change)))
            .await
    }

    /// The worker for a change, once it may be sent to it.
    async fn choose(&mut self, change: &Change) -> Result<usize> {
        let mut owners: Vec<(u64, usize)> = Vec::new();
        for key in &change.keys {
            if let Some(&(worker, number)) = self.last.get(key)
                && number > self.shared.done(worker)
            {
                owners.push((number, worker));
            }
        }
        let wanted = if change.table.pinned() {
            Some(PINNED)
        } else {
            owners.iter().max().map(|(_, worker)| *worker)
        };
        let Some(worker) = wanted else {
            return Ok(self.next());
        };
        let others: Vec<(u64, usize)> =
            owners.into_iter().filter(|(_, of)| *of != worker).collect();
        if !others.is_empty() {
            self.shared
                .wait(|shared| {
                    others
                        .iter()
                        .all(|(number, of)| shared.done(*of) >= *number)
                })
                .await?;
        }
        Ok(worker)
    }

    /// The worker whose turn it is: each gets a batch in a row, so that its rows share statements.
    fn next(&mut self) -> usize {
        if self.run >= self.batch {
            self.run = 0;
            // The one with the most room, from the next one on.
            let count = self.queues.len();
            let from = self.current + 1;
            self.current = (from..from + count)
                .map(|worker| worker % count.max(1))
                .max_by_key(|&worker| {
                    let room = self.queues.get(worker).map_or(0, mpsc::Sender::capacity);
                    // Of several with the same room the first one in turn.
                    (
                        room,
                        std::cmp::Reverse((worker + count - from % count) % count),
                    )
                })
                .unwrap_or(0);
        }
        self.run += 1;
        self.current
    }

    /// Sends a token behind all changes so far; its number.
    ///
    /// # Errors
    /// The failure of a worker.
    pub async fn token(&mut self) -> Result<u64> {
        self.token += 1;
        for worker in 0..self.queues.len() {
            self.queue(worker, Message::Token(self.token)).await?;
        }
        Ok(self.token)
    }

    /// Waits until all changes so far are committed.
    ///
    /// # Errors
    /// The failure of a worker.
    pub async fn drain(&mut self) -> Result<()> {
        let token = self.token().await?;
        self.shared.wait(|shared| shared.passed() >= token).await?;
        self.last.clear();
        Ok(())
    }

    async fn queue(&self, worker: usize, message: Message) -> Result<()> {
        let Some(queue) = self.queues.get(worker) else {
            return Err(self.failure());
        };
        if queue.send(message).await.is_err() {
            return Err(self.failure());
        }
        Ok(())
    }

    /// Why a worker left.
    fn failure(&self) -> Error {
        self.shared.take_failure().unwrap_or(Error::Stopped)
    }
}
