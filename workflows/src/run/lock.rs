//! The lease `run`: one `tideway run` at a time works on a task.
//!
//! It saves work and confusion; it decides nothing that must be right. Two runners on one task would
//! start every job twice, and the jobs stand that (see the protocols of staging). So a store that does
//! not answer for longer than the term does not end a run: the lease is taken again when the store is
//! back, and only somebody else's lease ends the run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rustix::process::{Pid, test_kill_process};
use tideway_job::JobError;
use tideway_staging::Staging;
use tideway_staging::layout::TaskKeys;
use tideway_staging::lease::{Acquired, Lease, TERM};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::screen::Screen;
use super::state;

/// Name of the lease.
pub const NAME: &str = "run";
/// How often a lease that seems to be nobody's is asked for.
const POLL: Duration = Duration::from_millis(500);
/// How often a lease is asked for that was lost because the store did not answer.
const AGAIN: Duration = Duration::from_secs(2);

/// The lease, kept up until it is released.
pub struct Lock {
    keeper: JoinHandle<Option<Lease>>,
    stop: CancellationToken,
    lost: CancellationToken,
}

impl Lock {
    /// Cancelled when another process has the lease.
    #[must_use]
    pub fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Gives it up, so that the next run need not wait.
    pub async fn release(self) {
        self.stop.cancel();
        if let Ok(Some(lease)) = self.keeper.await
            && let Err(error) = lease.release().await
        {
            // It ends with its term.
            tracing::debug!("{error}");
        }
    }
}

/// Takes the lease. When its holder may have been killed, waits until it lapses.
///
/// # Errors
/// When another process holds it and is alive; when staging cannot be reached.
pub async fn acquire(
    staging: &Staging,
    keys: &TaskKeys,
    screen: &Screen,
) -> Result<Lock, JobError> {
    let owner = owner();
    let mut first: Option<DateTime<Utc>> = None;
    let lease = loop {
        match Lease::acquire(staging, keys, NAME, &owner, TERM).await? {
            Acquired::Held(lease) => break lease,
            Acquired::Busy { owner, until } => {
                let renewed = first.is_some_and(|first| until > first);
                if renewed || is_alive_here(&owner) {
                    return Err(JobError::failed(format!(
                        "another `tideway run` works on this task: {owner}. Wait for it, stop it, or \
                         look at it with `tideway status`; two at once would only repeat each other's \
                         work"
                    )));
                }
                if first.is_none() {
                    screen.note(&format!(
                        "the lease of this task is still held by {owner}: waiting until it lapses \
                         ({} UTC) or is renewed",
                        until.format("%H:%M:%S")
                    ));
                    first = Some(until);
                }
                tokio::time::sleep(POLL).await;
            }
        }
    };
    let (stop, lost) = (CancellationToken::new(), CancellationToken::new());
    let keeper = tokio::spawn(keep(
        staging.clone(),
        keys.clone(),
        lease,
        stop.clone(),
        lost.clone(),
    ));
    Ok(Lock { keeper, stop, lost })
}

/// Takes the lease again whenever it was lost to nobody.
async fn keep(
    staging: Staging,
    keys: TaskKeys,
    mut lease: Lease,
    stop: CancellationToken,
    lost: CancellationToken,
) -> Option<Lease> {
    let owner = owner();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Some(lease),
            () = lease.lost().cancelled_owned() => {}
        }
        lease = loop {
            match Lease::acquire(&staging, &keys, NAME, &owner, TERM).await {
                Ok(Acquired::Held(lease)) => break lease,
                Ok(Acquired::Busy { owner: other, .. }) if other != owner => {
                    lost.cancel();
                    return None;
                }
                // Our own former record, or the store is still away.
                Ok(Acquired::Busy { .. }) | Err(_) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(AGAIN) => {}
            }
        };
    }
}

fn owner() -> String {
    format!("process {} on {}", std::process::id(), state::host())
}

/// Whether the owner is a process of this machine that exists. Its id may have gone to another
/// process since: then the lease lapses and the next try succeeds.
fn is_alive_here(owner: &str) -> bool {
    let Some(pid) = owner
        .strip_prefix("process ")
        .and_then(|rest| rest.strip_suffix(&format!(" on {}", state::host())))
        .and_then(|pid| pid.parse().ok())
        .and_then(Pid::from_raw)
    else {
        return false;
    };
    test_kill_process(pid).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_on_this_machine_is_looked_at() {
        assert!(is_alive_here(&owner()));
        let elsewhere = format!(
            "process {} on elsewhere.{}",
            std::process::id(),
            state::host()
        );
        assert!(!is_alive_here(&elsewhere));
        // Beyond the largest process id of Linux.
        assert!(!is_alive_here(&format!(
            "process 4194305 on {}",
            state::host()
        )));
    }
}
