//! The lease of a source's capture, and of its apply: one process at a time does each.

use std::time::Duration;

use tideway_job::Job;
use tideway_job::progress::{Progress, host};
use tideway_staging::lease::{Acquired, Lease, Patience, TERM};

/// Takes the lease `name` of the task for this process's `verb`, or tells who has it and lives.
pub(crate) async fn acquire(
    job: &Job,
    name: &str,
    verb: &str,
    wait: Duration,
    progress: &Progress,
) -> tideway_staging::Result<Acquired> {
    let own = format!("{verb}, pid {} on {}", std::process::id(), host());
    let patience = Patience {
        wait,
        stop: &job.stop,
    };
    Lease::acquire_within(
        &job.staging,
        &job.keys,
        name,
        &own,
        TERM,
        patience,
        |owner, until| {
            progress.message(format!(
                "{owner} has the lease `{name}` until {}: looking whether it lives",
                until.format("%H:%M:%S UTC")
            ));
        },
    )
    .await
}
