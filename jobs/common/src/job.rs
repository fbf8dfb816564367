//! Opening a job: its files, its staging, its share of the work.

use std::collections::BTreeSet;

use chrono::Utc;
use serde_json::Value;
use tideway_config::{ResolvedSource, ResolvedTask};
use tideway_mysql::connect::{Role, Server};
use tideway_staging::control::Listener;
use tideway_staging::document::TaskDoc;
use tideway_staging::layout::TaskKeys;
use tideway_staging::{Create, Staging};
use tokio_util::sync::CancellationToken;

use crate::args::{CommonArgs, Worker};
use crate::budget::Budget;
use crate::control::Control;
use crate::endpoint::endpoint;
use crate::error::JobError;
use crate::progress::Progress;
use crate::{files, stop};

/// The variable in which the runner tells a process its stage.
pub const STAGE_VARIABLE: &str = "TIDEWAY_STAGE";

/// An opened job: configuration read, staging reachable, task unchanged.
pub struct Job {
    /// Name of the job: `dump`, `load`, …
    pub name: &'static str,
    /// The common flags.
    pub args: CommonArgs,
    /// The task with its sources, defaults and overrides applied.
    pub task: ResolvedTask,
    /// The opened staging.
    pub staging: Staging,
    /// The keys of this task in staging.
    pub keys: TaskKeys,
    /// Cancelled by SIGTERM, Ctrl-C or `tideway stop`: finish what is in hand, commit, leave.
    pub stop: CancellationToken,
    /// Cancelled when a job that would go on for ever is to do what there is up to now and leave with
    /// 0: capture reads up to the source's place of that moment, apply drains what capture left.
    pub finish: CancellationToken,
    /// What is wanted of this process by control objects.
    pub control: Control,
    /// What readers, encoders and loaders share.
    pub memory: Budget,
    /// Which share of the work this process has.
    pub worker: Worker,
}

impl Job {
    /// Reads the files, resolves the task, opens staging, and creates or compares `task.json`.
    ///
    /// # Errors
    /// Wrong files or flags, an unreachable store, or a task that differs from the one that this
    /// staging was begun with.
    pub async fn open(name: &'static str, args: &CommonArgs) -> Result<Self, JobError> {
        let worker = args.worker().map_err(JobError::config)?;
        let memory = Budget::new(args.memory.as_u64()).map_err(JobError::config)?;
        let stop = stop::on_signals().map_err(JobError::failed)?;
        let task = resolve(args).await?;
        for id in &args.source_id {
            if !task.sources.iter().any(|source| &source.id == id) {
                return Err(JobError::config(format!(
                    "--source-id {id}: the task has no such source; it has {}",
                    list(task.sources.iter().map(|source| source.id.as_str()))
                )));
            }
        }
        let staging = Staging::open(&args.staging).await?;
        let keys = TaskKeys::new(&task.name);
        // A task file that is mended after a failed precheck begins the task; it changes nothing.
        if name != "precheck" {
            record_task(&staging, &keys, &task, args.accept_changes).await?;
        }
        let mut sources: Vec<String> = task.sources.iter().map(|s| s.id.clone()).collect();
        sources.retain(|id| args.source_id.is_empty() || args.source_id.contains(id));
        let listener = Listener {
            run_id: args.run_id.clone().unwrap_or_default(),
            job: name.to_owned(),
            sources,
            stage: std::env::var(STAGE_VARIABLE).unwrap_or_default(),
        };
        let finish = CancellationToken::new();
        let control =
            Control::start(&staging, &keys, listener, stop.clone(), finish.clone()).await?;
        Ok(Self {
            name,
            args: args.clone(),
            task,
            staging,
            keys,
            stop,
            finish,
            control,
            memory,
            worker,
        })
    }

    /// The sources that this process works on: those of `--source-id`, by default all.
    #[must_use]
    pub fn sources(&self) -> Vec<&ResolvedSource> {
        let picked = &self.args.source_id;
        self.task
            .sources
            .iter()
            .filter(|source| picked.is_empty() || picked.contains(&source.id))
            .collect()
    }

    /// Connects to a source, with at most `connections` at once.
    ///
    /// # Errors
    /// As [`Server::connect`].
    pub async fn source_server(
        &self,
        source: &ResolvedSource,
        connections: usize,
    ) -> Result<Server, JobError> {
        let endpoint = endpoint(&source.from, format!("source {}", source.id));
        Ok(Server::connect(&endpoint, Role::Source, connections).await?)
    }

    /// Connects to the target, with at most `connections` at once.
    ///
    /// # Errors
    /// As [`Server::connect`].
    pub async fn target_server(&self, connections: usize) -> Result<Server, JobError> {
        let endpoint = endpoint(&self.task.target, "target".to_owned());
        Ok(Server::connect(&endpoint, Role::Target, connections).await?)
    }

    /// Starts the bar and the heartbeat of a source.
    #[must_use]
    pub fn progress(&self, source: &str) -> Progress {
        Progress::start(self, source)
    }

    /// `Err(Stopped)` once a stop was asked for: to be called between two units of work.
    ///
    /// # Errors
    /// [`JobError::Stopped`].
    pub fn check_stop(&self) -> Result<(), JobError> {
        if self.stop.is_cancelled() {
            return Err(JobError::Stopped);
        }
        Ok(())
    }

    /// As [`Job::check_stop`], and waits while a pause is wanted: to be called between two units of
    /// work, where all that is in hand is committed and no transaction or lock is held.
    ///
    /// # Errors
    /// [`JobError::Stopped`].
    pub async fn safe_point(&self) -> Result<(), JobError> {
        self.control.point().await
    }
}

/// Reads and resolves the task and source files, and logs what they warn of.
///
/// # Errors
/// What is wrong in the files, with file and line.
pub async fn resolve(args: &CommonArgs) -> Result<ResolvedTask, JobError> {
    let (mut task, mut warnings) =
        tideway_config::parse_task(&files::read(&args.task).await?, &args.task)?;
    let mut sources = Vec::new();
    for name in &args.source {
        let (source, more) = tideway_config::parse_source(&files::read(name).await?, name)?;
        sources.push(source);
        warnings.extend(more);
    }
    if let Some(mode) = &args.task_mode {
        task.task_mode = Some(mode.parse().map_err(JobError::config)?);
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(ResolvedTask::resolve(task, sources)?)
}

/// Creates `task.json`, or compares with the one that is there.
///
/// Created once and then only replaced with `--accept-changes`, so that of two processes with
/// different files one always sees the other's.
async fn record_task(
    staging: &Staging,
    keys: &TaskKeys,
    task: &ResolvedTask,
    accept_changes: bool,
) -> Result<(), JobError> {
    let document = TaskDoc {
        version: 1,
        name: task.name.clone(),
        fingerprint: task.fingerprint(),
        resolved: task.resolved_json(),
        created_at: Utc::now(),
    };
    let Create::Exists(former) = staging.create_json(&keys.task(), &document).await? else {
        return Ok(());
    };
    if former.fingerprint == document.fingerprint {
        return Ok(());
    }
    let changes = differences(&former.resolved, &document.resolved);
    if accept_changes {
        tracing::warn!(
            "task `{}` was changed, going on as told: {}",
            task.name,
            changes.join("; ")
        );
        staging.put_json(&keys.task(), &document).await?;
        return Ok(());
    }
    Err(JobError::config(format!(
        "the task files differ from those that task `{}` was begun with in {}: {}. \
         Put them back, or go on with --accept-changes if what was dumped and loaded so far is \
         still right, or begin anew after `tideway cleanup`",
        task.name,
        staging.url(),
        changes.join("; ")
    )))
}

/// Where two resolved tasks differ, as `path: former → now`.
fn differences(former: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_differences("", former, now, &mut found);
    if found.is_empty() {
        found.push("in a value that is not recorded".to_owned());
    }
    found
}

fn collect_differences(path: &str, former: &Value, now: &Value, found: &mut Vec<String>) {
    match (former, now) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let a = a.get(key).unwrap_or(&Value::Null);
                collect_differences(&path, a, b.get(key).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                collect_differences(&format!("{path}[{index}]"), a, b, found);
            }
        }
        _ if former == now => {}
        _ => found.push(format!("{path}: {former} → {now}")),
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_named_by_its_path() {
        let former = json!({"mode": "all", "sources": [{"id": "a", "dump": {"threads": 4}}]});
        let now = json!({"mode": "full", "sources": [{"id": "a", "dump": {"threads": 8}}]});
        assert_eq!(
            differences(&former, &now),
            [r#"mode: "all" → "full""#, "sources[0].dump.threads: 4 → 8"]
        );
    }

    #[test]
    fn lists_of_other_length_are_one_change() {
        assert_eq!(
            differences(&json!({"a": [1]}), &json!({"a": [1, 2]})),
            ["a: [1] → [1,2]"]
        );
    }
}
