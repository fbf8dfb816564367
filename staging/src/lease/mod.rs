//! Leases: one process at a time finishes a dump, captures or applies a source, runs a workflow.
//!
//! A lease is a folder of numbered records, each made by create-if-absent and never overwritten; the
//! highest number is the truth. To take, renew or give up a lease is to create the next number. That
//! works on every store, for it needs no compare-and-swap.
//!
//! ```text
//! 00000001  epoch 1, owner A, until 12:00:15      A takes it
//! 00000002  epoch 1, owner A, until 12:00:20      A renews it (every third of the term)
//! 00000003  epoch 2, owner B, until 12:01:00      A was silent, B takes it over
//! 00000004  epoch 2, owner B, released            B gives it up
//! ```
//!
//! **Two at once.** Both read n as the highest and create n + 1: the store lets one succeed.
//!
//! **A zombie** (suspended, or cut off) still believes in n when it wakes up. Renewing, it creates
//! n + 1. If that exists it knows. If it was pruned, the create succeeds; therefore every create is
//! followed by a listing, and whoever sees a higher number than its own has lost and takes its record
//! away. There is always a higher one: a record is pruned only by who has created a higher record,
//! and the two highest are never pruned (two, because the listing of a folder is not one moment: it
//! may miss both a record that is pruned and one that is created while it runs). Meanwhile the stray record harms no one, for readers look at the
//! highest. Between waking up and renewing, [`Lease::check`] tells it by its own clock: the term,
//! counted from *before* the last record was sent, is over.
//!
//! **A step it takes before it looks** is harmless as well, because no step relies on the lease
//! alone: what it would create in staging is create-if-absent and exists already or is a right
//! result, its data has a key of its own, and at the target the epoch fences it. A lease saves work;
//! it does not decide what is true. So a wrong clock (terms are compared by the wall clock, with
//! [`SKEW`] of tolerance) costs work done twice and nothing else.
//!
//! **Killed at any point:** before the create nothing happened; after it the lease is held until its
//! term ends; an unfinished pruning is finished by the next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::layout::TaskKeys;
use crate::{Create, Error, Result, Staging};

mod record;

pub use record::{LeaseRecord, current, live};
use record::{delta, numbers, taken};

/// The term to take unless there is a reason for another.
pub const TERM: Duration = Duration::from_secs(15);

/// How far two machines' clocks may differ before a lease is taken over too early.
pub const SKEW: Duration = Duration::from_secs(2);

/// Rounds of reading and creating before a lease counts as too busy to take.
const ROUNDS: u32 = 20;

/// What [`Lease::acquire`] came to.
#[derive(Debug)]
pub enum Acquired {
    /// It is ours, and renewed in the background until it is released or dropped.
    Held(Lease),
    /// Somebody else has it.
    Busy {
        /// Who.
        owner: String,
        /// Until when, unless renewed.
        until: DateTime<Utc>,
    },
}

/// A lease that this process holds.
///
/// Dropped without [`Lease::release`] it is no longer renewed and ends with its term.
#[derive(Debug)]
pub struct Lease {
    held: Arc<Held>,
    _renewal: DropGuard,
    renewal: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Held {
    staging: Staging,
    keys: TaskKeys,
    name: String,
    owner: String,
    token: String,
    epoch: u64,
    term: Duration,
    state: Mutex<State>,
    lost: CancellationToken,
}

#[derive(Clone, Debug)]
struct State {
    /// Number of our last record.
    number: u64,
    /// By our own clock, counted from before that record was sent.
    deadline: Instant,
    /// Why it was lost.
    why: Option<String>,
}

/// How long a lease that another one has is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience<'a> {
    /// For one that lives.
    pub wait: Duration,
    /// Ends the waiting at once.
    pub stop: &'a CancellationToken,
}

impl Lease {
    /// Takes a lease, or tells who has it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn acquire(
        staging: &Staging,
        keys: &TaskKeys,
        name: &str,
        owner: &str,
        term: Duration,
    ) -> Result<Acquired> {
        let token = format!("{:016x}", rand::random::<u64>());
        for _ in 0..ROUNDS {
            let (number, epoch) = match current(staging, keys, name).await? {
                None => (1, 1),
                Some((_, record)) if record.is_live(Utc::now()) && record.token != token => {
                    return Ok(Acquired::Busy {
                        owner: record.owner,
                        until: record.until,
                    });
                }
                Some((number, record)) => (number + 1, record.epoch + 1),
            };
            let held = Held {
                staging: staging.clone(),
                keys: keys.clone(),
                name: name.to_owned(),
                owner: owner.to_owned(),
                token: token.clone(),
                epoch,
                term,
                state: Mutex::new(State {
                    number: 0,
                    deadline: Instant::now(),
                    why: None,
                }),
                lost: CancellationToken::new(),
            };
            if held.advance(number, false).await?.is_none() {
                return Ok(Acquired::Held(Self::start(held)));
            }
            // Somebody was quicker: look again.
        }
        Err(Error::Conflict {
            url: staging.url().to_owned(),
            key: keys.lease_dir(name).to_string(),
            what: "too many processes want this lease at once: run this again".to_owned(),
        })
    }

    /// As [`Lease::acquire`], but waits for the one who has it: with this patience, and at least
    /// until it is seen whether it lives. One that is not renewed any more belongs to a process that
    /// is gone, and its term ends soon. `busy` hears once whom it waits for, and until when at first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn acquire_within(
        staging: &Staging,
        keys: &TaskKeys,
        name: &str,
        owner: &str,
        term: Duration,
        patience: Patience<'_>,
        busy: impl FnOnce(&str, DateTime<Utc>),
    ) -> Result<Acquired> {
        let began = Instant::now();
        let pause = (term / 10).clamp(Duration::from_millis(20), Duration::from_secs(1));
        let mut busy = Some(busy);
        let mut first = None;
        loop {
            let acquired = Self::acquire(staging, keys, name, owner, term).await?;
            let Acquired::Busy { owner, until } = &acquired else {
                return Ok(acquired);
            };
            if let Some(busy) = busy.take() {
                busy(owner, *until);
            }
            let lives = until > first.get_or_insert(*until);
            if patience.stop.is_cancelled() || (lives && began.elapsed() >= patience.wait) {
                return Ok(acquired);
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = patience.stop.cancelled() => {}
            }
        }
    }

    fn start(held: Held) -> Self {
        let held = Arc::new(held);
        let stop = CancellationToken::new();
        let renewal = tokio::spawn(renew_until(Arc::clone(&held), stop.clone()));
        Self {
            held,
            _renewal: stop.clone().drop_guard(),
            renewal,
            stop,
        }
    }

    /// Counts the changes of hands: what fences a former owner at the target.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.held.epoch
    }

    /// Name of the lease.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.held.name
    }

    /// Cancelled as soon as the lease is known to be lost.
    #[must_use]
    pub fn lost(&self) -> CancellationToken {
        self.held.lost.clone()
    }

    /// Whether it is still ours, by our own clock: to be asked right before a step that others
    /// would repeat.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub fn check(&self) -> Result<()> {
        self.held.check()
    }

    /// Renews it now (it is renewed in the background anyway).
    ///
    /// # Errors
    /// [`Error::LeaseLost`]; when the store fails.
    pub async fn renew(&self) -> Result<()> {
        self.held.renew().await
    }

    /// Gives it up, so that the next one need not wait for the term to end.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] when it was lost before; when the store fails (it then ends with its
    /// term).
    pub async fn release(self) -> Result<()> {
        self.stop.cancel();
        // The renewal must not create a record after the one that releases.
        let Self { held, renewal, .. } = self;
        let _ = renewal.await;
        held.check()?;
        let next = held.lock().number + 1;
        match held.advance(next, true).await? {
            None => Ok(()),
            Some(other) => Err(held.lose(&other)),
        }
    }
}

impl Held {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing can panic between two assignments of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<()> {
        let state = self.lock().clone();
        if let Some(why) = state.why {
            return Err(self.lost_error(why));
        }
        if Instant::now() >= state.deadline {
            return Err(self.lose("its term ended before it could be renewed"));
        }
        Ok(())
    }

    fn lose(&self, why: &str) -> Error {
        self.lock().why.get_or_insert_with(|| why.to_owned());
        self.lost.cancel();
        self.lost_error(why.to_owned())
    }

    fn lost_error(&self, what: String) -> Error {
        Error::LeaseLost {
            url: self.staging.url().to_owned(),
            name: self.name.clone(),
            what,
        }
    }

    async fn renew(&self) -> Result<()> {
        // Not `check`: when the term is over but nobody took the lease, renewing takes the next
        // number like anyone else's, and nobody else's epoch lies between.
        if let Some(why) = self.lock().why.clone() {
            return Err(self.lost_error(why));
        }
        let next = self.lock().number + 1;
        match self.advance(next, false).await? {
            None => Ok(()),
            Some(other) => Err(self.lose(&other)),
        }
    }

    /// Creates record `number` and makes sure that it is the highest; otherwise tells who has it.
    async fn advance(&self, number: u64, released: bool) -> Result<Option<String>> {
        let sent = Instant::now();
        let record = LeaseRecord {
            version: 1,
            name: self.name.clone(),
            owner: self.owner.clone(),
            token: self.token.clone(),
            epoch: self.epoch,
            until: Utc::now() + delta(self.term),
            released,
        };
        let key = self.keys.lease(&self.name, number);
        let extends = match self.staging.create_json(&key, &record).await? {
            Create::Won => true,
            // An earlier try of ours whose answer was lost for good: it holds until its own time,
            // so it does not move the deadline, and the next renewal goes on from it.
            Create::Exists(found) if found.token == self.token && found.epoch == self.epoch => {
                false
            }
            Create::Exists(found) => return Ok(Some(taken(&found))),
        };
        let numbers = numbers(&self.staging, &self.keys.lease_dir(&self.name)).await?;
        if numbers.iter().any(|&other| other > number) {
            self.staging.delete(&key).await?;
            let who = current(&self.staging, &self.keys, &self.name).await?;
            return Ok(Some(who.map_or_else(
                || "another process took it over".to_owned(),
                |(_, record)| taken(&record),
            )));
        }
        {
            let mut state = self.lock();
            state.number = number;
            if extends {
                state.deadline = sent + self.term;
            }
        }
        // Not the one before: see the module's documentation on listings.
        for old in numbers.into_iter().filter(|&old| old + 1 < number) {
            // What cannot be pruned now is pruned by the next.
            if let Err(error) = self.staging.delete(&self.keys.lease(&self.name, old)).await {
                tracing::debug!("lease {}: record {old} not pruned: {error}", self.name);
                break;
            }
        }
        Ok(None)
    }
}

async fn renew_until(held: Arc<Held>, stop: CancellationToken) {
    let every = held.term / 3;
    let mut pause = every;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = every;
        match held.renew().await {
            Ok(()) => {}
            Err(Error::LeaseLost { what, .. }) => {
                tracing::warn!("lease {} lost: {what}", held.name);
                held.lost.cancel();
                return;
            }
            Err(error) => {
                if held.check().is_err() {
                    tracing::warn!("lease {} lost: {error}", held.name);
                    return;
                }
                tracing::warn!("lease {} not renewed yet: {error}", held.name);
                pause = every / 5;
            }
        }
    }
}
