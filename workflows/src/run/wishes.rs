//! What is wanted of the run as a whole by objects in staging, for the runner.
//!
//! The runner listens as its jobs do. It looks away from nothing that must be right: a run whose runner
//! is deaf (staging is away) goes on as it was told before.

use std::time::Duration;

use tideway_staging::control::{self, Scope, What};
use tideway_staging::layout::TaskKeys;
use tideway_staging::{Error, Staging};
use tokio::sync::mpsc;

use super::runner::Request;

/// How often the next wish is asked for.
const POLL: Duration = Duration::from_secs(1);

/// Takes back what was wanted of a run before it is continued: to continue it is the newest wish.
/// Returns the number of the last wish.
///
/// # Errors
/// When staging cannot be read or written.
pub async fn take_back(staging: &Staging, keys: &TaskKeys, run_id: &str) -> Result<u64, Error> {
    let last = control::last(staging, keys).await?;
    let mut wanted = false;
    for number in 0..last {
        match control::read_after(staging, keys, number).await {
            Ok(Some(wish)) if wish.scope.run_id == run_id => {
                wanted = !(wish.what == What::Resume && wish.scope.is_whole_run());
            }
            Ok(_) | Err(Error::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if !wanted {
        return Ok(last);
    }
    let by = "`tideway run`, which continues the run";
    let wish = control::post(staging, keys, What::Resume, Scope::run(run_id), by).await?;
    Ok(wish.number)
}

/// Hands on what is wanted of the run from now on; never returns.
pub async fn listen(
    staging: Staging,
    keys: TaskKeys,
    run_id: String,
    mut number: u64,
    requests: mpsc::UnboundedSender<Request>,
) {
    loop {
        match control::read_after(&staging, &keys, number).await {
            Ok(Some(wish)) => {
                number += 1;
                let scope = &wish.scope;
                if scope.run_id == run_id && scope.is_whole_run() {
                    // The receiver is gone when the run has ended.
                    let _ = requests.send(Request::Wanted(wish.what, wish.by));
                }
                continue;
            }
            Err(Error::Damaged { .. }) => {
                number += 1;
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::debug!("{error}"),
        }
        tokio::time::sleep(POLL).await;
    }
}
