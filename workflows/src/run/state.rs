//! The run document `<task>/runs/<run-id>.json`: what became of each stage.
//!
//! It is a note for the next `tideway run` and for people, never a condition for being right: jobs
//! find what is committed in staging and at the target by themselves. So when the document is lost, or
//! older than the truth (the runner was killed between the end of a process and the note of it), the
//! next run starts a process again that finds its work done. The other direction, a note that says
//! more than what happened, cannot arise: it is written after the process has ended.
//!
//! It is overwritten in place. There is one writer: the holder of the lease `run`.

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tideway_staging::layout::TaskKeys;
use tideway_staging::{Error, Path, Staging};

use crate::workflow::{ArgValue, JobKind, Mode, Stage, Workflow};

/// One run of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunDoc {
    /// Always 1.
    pub version: u32,
    /// Sortable by time.
    pub run_id: String,
    /// Name of the workflow.
    pub workflow: String,
    /// Name of the task.
    pub task: String,
    /// Fingerprint of the task that it ran with.
    pub fingerprint: String,
    /// Sources that it works on.
    pub sources: Vec<String>,
    /// What became of it.
    pub state: State,
    /// Machine of the runner.
    pub host: String,
    /// Process of the runner.
    pub pid: u32,
    /// Folder of the processes' logs on that machine.
    pub logs: String,
    /// First start.
    pub started_at: DateTime<Utc>,
    /// Last change of this document.
    pub updated_at: DateTime<Utc>,
    /// End; absent while it runs.
    pub finished_at: Option<DateTime<Utc>>,
    /// All stages of the workflow, in dependency order.
    pub stages: Vec<StageDoc>,
}

/// What became of a run, a stage or a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not started. Set when the run is planned, and when what it builds on is done anew.
    Pending,
    /// Started. When the runner was killed this stays, and the next run takes it as interrupted.
    Running,
    /// Ended with exit code 0.
    Done,
    /// Ended otherwise, for the last time.
    Failed,
    /// Stopped on request; work remains.
    Stopped,
}

impl State {
    /// As a person reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// One stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageDoc {
    /// Name of the stage.
    pub name: String,
    /// What it ran: when the file says something else now, the stage is to be done again.
    pub definition: Definition,
    /// What became of it.
    pub state: State,
    /// Start of its last attempt.
    pub started_at: Option<DateTime<Utc>>,
    /// End of its last attempt.
    pub finished_at: Option<DateTime<Utc>>,
    /// Exit code of the process that failed first.
    pub exit_code: Option<u8>,
    /// Last words of the process that failed first.
    pub error: Option<String>,
    /// Its processes.
    pub units: Vec<UnitDoc>,
}

/// What of a stage decides its result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The job.
    pub job: JobKind,
    /// Its subcommand.
    pub verb: Option<String>,
    /// Its flags.
    pub args: Vec<(String, ArgValue)>,
    /// Processes per source.
    pub workers: u32,
    /// Task mode in place of the task file's.
    pub mode: Option<Mode>,
    /// Ends when the others are done.
    pub background: bool,
}

impl Definition {
    /// What of `stage` decides its result.
    #[must_use]
    pub fn of(stage: &Stage, mode: Option<Mode>) -> Self {
        Self {
            job: stage.job,
            verb: stage.verb.clone(),
            args: stage.args.clone(),
            workers: stage.workers,
            mode,
            background: stage.background,
        }
    }
}

/// One process of a stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitDoc {
    /// Its source; absent when it works on all.
    pub source: Option<String>,
    /// Its step (`plan`, `run`, `finish`), where the stage has several.
    pub step: Option<String>,
    /// Its index among the workers.
    pub worker: u32,
    /// What became of it.
    pub state: State,
    /// Tries so far in the last attempt of the stage.
    pub attempts: u32,
    /// How its last try ended.
    pub ending: Option<String>,
    /// Start of its last try.
    pub started_at: Option<DateTime<Utc>>,
    /// End of its last try.
    pub finished_at: Option<DateTime<Utc>>,
}

impl RunDoc {
    /// A run of which nothing is done.
    #[must_use]
    pub fn new(workflow: &Workflow, task: &str, fingerprint: &str, sources: &[String]) -> Self {
        let now = Utc::now();
        Self {
            version: 1,
            run_id: new_run_id(now),
            workflow: workflow.name.clone(),
            task: task.to_owned(),
            fingerprint: fingerprint.to_owned(),
            sources: sources.to_vec(),
            state: State::Running,
            host: host(),
            pid: std::process::id(),
            logs: String::new(),
            started_at: now,
            updated_at: now,
            finished_at: None,
            stages: workflow
                .stages
                .iter()
                .map(|stage| StageDoc::new(stage, workflow.mode))
                .collect(),
        }
    }

    /// The stage of that name.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&StageDoc> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// The stage of that name.
    pub fn stage_mut(&mut self, name: &str) -> Option<&mut StageDoc> {
        self.stages.iter_mut().find(|stage| stage.name == name)
    }
}

impl StageDoc {
    /// A stage that has not started.
    #[must_use]
    pub fn new(stage: &Stage, mode: Option<Mode>) -> Self {
        Self {
            name: stage.name.clone(),
            definition: Definition::of(stage, mode),
            state: State::Pending,
            started_at: None,
            finished_at: None,
            exit_code: None,
            error: None,
            units: Vec::new(),
        }
    }

    /// Seconds of its last attempt, up to now while it runs.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let started = self.started_at?;
        let end = match self.state {
            State::Running => Utc::now(),
            _ => self.finished_at?,
        };
        Some((end - started).as_seconds_f64())
    }

    /// Tries of all its processes beyond the first ones.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.units
            .iter()
            .map(|unit| unit.attempts.saturating_sub(1))
            .sum()
    }
}

/// A name that sorts by time: `20261125T095346Z-3fa2`.
fn new_run_id(now: DateTime<Utc>) -> String {
    format!(
        "{}-{:04x}",
        now.format("%Y%m%dT%H%M%SZ"),
        rand::random::<u16>()
    )
}

/// The machine's name.
#[must_use]
pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Ids of the runs in staging, oldest first.
///
/// # Errors
/// When staging cannot be listed.
pub async fn run_ids(staging: &Staging, keys: &TaskKeys) -> Result<Vec<String>, Error> {
    let objects: Vec<_> = staging.list(&keys.runs_dir()).try_collect().await?;
    let mut ids: Vec<String> = objects
        .iter()
        .filter_map(|object| object.location.filename()?.strip_suffix(".json"))
        .map(str::to_owned)
        .collect();
    ids.sort();
    Ok(ids)
}

/// The last run, of the workflow of that name if one is given.
///
/// # Errors
/// When staging cannot be read.
pub async fn last_run(
    staging: &Staging,
    keys: &TaskKeys,
    workflow: Option<&str>,
) -> Result<Option<RunDoc>, Error> {
    for id in run_ids(staging, keys).await?.into_iter().rev() {
        let key: Path = keys.run(&id);
        match staging.get_json::<RunDoc>(&key).await {
            Ok(Some(run)) if workflow.is_none_or(|name| run.workflow == name) => {
                return Ok(Some(run));
            }
            Ok(_) => {}
            // A note only: without it the stages run again and find their work done.
            Err(error @ Error::Damaged { .. }) => tracing::warn!("passed over: {error}"),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_sort_by_time() {
        let early = new_run_id("2026-02-03T04:05:06Z".parse().unwrap());
        let late = new_run_id("2026-11-01T00:00:00Z".parse().unwrap());
        assert!(early < late, "{early} {late}");
        assert!(early.starts_with("20260203T040506Z-"), "{early}");
    }
}
