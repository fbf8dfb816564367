//! `tideway pause | resume | stop | finish`: what is wanted of a run, told through staging.
//!
//! The wish lies in staging as a numbered object ([`tideway_staging::control`]); the jobs of the run
//! hear it within seconds, wherever they work, and commit what is in hand before they obey.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::Utc;
use tideway_job::JobError;
use tideway_staging::control::{self, Scope, What};
use tideway_staging::layout::TaskKeys;
use tideway_staging::{Staging, heartbeat};

use crate::cli::WishArgs;
use crate::run::state::{self, State};
use crate::task_ref;

/// A process that was not heard for so long hears nothing either.
const PATIENCE: Duration = Duration::from_secs(120);

/// Posts a wish for what runs of the task.
///
/// # Errors
/// Wrong files, staging that cannot be reached, nothing that runs.
pub async fn run(args: &WishArgs, what: What) -> Result<(), JobError> {
    let named = task_ref::find(&args.of).await?;
    let staging = Staging::open(&named.staging).await?;
    let keys = TaskKeys::new(&named.task);
    let runs = match &args.run_id {
        Some(run) => BTreeSet::from([run.clone()]),
        None => running(&staging, &keys, named.workflow.as_deref()).await?,
    };
    if runs.is_empty() {
        return Err(JobError::config(format!(
            "nothing of task {} runs now, as far as {} shows (`tideway status`); --run-id ID names a \
             run all the same",
            named.task,
            staging.url()
        )));
    }
    for run in runs {
        let scope = Scope {
            run_id: run,
            job: args.job.clone(),
            source: args.source_id.clone(),
            stage: args.stage.clone(),
        };
        let wish = control::post(&staging, &keys, what, scope, &person()).await?;
        println!("{}", told(&named.task, &wish.scope, what));
    }
    Ok(())
}

/// Ids of the runs of which something is at work; empty for jobs that were started by hand.
async fn running(
    staging: &Staging,
    keys: &TaskKeys,
    workflow: Option<&str>,
) -> Result<BTreeSet<String>, JobError> {
    let now = Utc::now();
    let mut runs: BTreeSet<String> = heartbeat::read_all(staging, keys)
        .await?
        .into_iter()
        .filter(|beat| beat.is_live(now, PATIENCE))
        .map(|beat| beat.run_id)
        .collect();
    // Between two stages no job beats.
    if let Some(run) = state::last_run(staging, keys, workflow).await?
        && run.state == State::Running
    {
        runs.insert(run.run_id);
    }
    Ok(runs)
}

fn told(task: &str, scope: &Scope, what: What) -> String {
    let mut whom = match scope.run_id.as_str() {
        "" => format!("jobs of task {task} that were started by hand"),
        run => format!("run {run} of task {task}"),
    };
    for (name, value) in [
        ("stage", &scope.stage),
        ("job", &scope.job),
        ("source", &scope.source),
    ] {
        if let Some(value) = value {
            whom.push_str(&format!(", {name} {value}"));
        }
    }
    let then = match what {
        What::Pause => "commits what is in hand and waits",
        What::Resume => "goes on",
        What::Stop => "commits what is in hand and leaves",
        What::Finish => "does what there is up to now, and leaves",
    };
    format!("{}: {whom} {then}, within seconds", what.name())
}

/// Who asks, for the others who read it.
#[must_use]
pub fn person() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "someone".to_owned());
    format!("{user} on {}", state::host())
}
