//! `tideway query-status`: how far a task has come, in the JSON of DM's command of that name, so that
//! what reads the one reads the other. Read from staging alone: heartbeats, and the last run's notes.

mod shape;
mod unit;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use tideway_job::JobError;
use tideway_staging::Staging;
use tideway_staging::document::TaskDoc;
use tideway_staging::heartbeat::{self, Heartbeat};
use tideway_staging::layout::TaskKeys;
use tideway_staging::lease;

use crate::cli::{QueryStatusArgs, TaskRef};
use crate::run::lock;
use crate::run::state::{self, RunDoc, State};
use crate::task_files::DEFAULT_STAGING;
use crate::{staging_cmd, task_ref};
use shape::{Detail, List, SourceAnswer, SourceStatus, SubTask, TaskLine};

/// Prints the answer; the exit code says whether there was one.
///
/// # Errors
/// Wrong files, or staging that cannot be read.
pub async fn run(args: &QueryStatusArgs) -> Result<u8, JobError> {
    let Some(task) = &args.task else {
        let staging = args.staging.as_deref().unwrap_or(DEFAULT_STAGING);
        let list = list(&Staging::open(staging).await?).await?;
        println!("{}", shape::print(&list)?);
        return Ok(0);
    };
    let named = task_ref::find(&TaskRef {
        task: task.clone(),
        staging: args.staging.clone(),
    })
    .await?;
    let staging = Staging::open(&named.staging).await?;
    let facts = Facts::read(&staging, &named.task).await?;
    let mut detail = Detail {
        result: true,
        msg: String::new(),
        sources: Vec::new(),
    };
    for source in &facts.sources {
        if args.source.as_ref().is_none_or(|wanted| wanted == source) {
            detail.sources.push(facts.source(&staging, source).await?);
        }
    }
    if detail.sources.is_empty() {
        detail.result = false;
        // DM's words.
        detail.msg = format!(
            "task {} has no source or not exist, please check the task name and status",
            named.task
        );
    }
    println!("{}", shape::print(&detail)?);
    Ok(u8::from(!detail.result))
}

async fn list(staging: &Staging) -> Result<List, JobError> {
    let mut tasks = Vec::new();
    for task in staging_cmd::tasks(staging, None).await? {
        let facts = Facts::read(staging, &task.name).await?;
        let mut stages = Vec::new();
        for source in &facts.sources {
            let answer = facts.source(staging, source).await?;
            stages.extend(answer.sub_task_status.iter().map(|sub| {
                let fails = sub.result.as_ref().is_some_and(|r| !r.errors.is_empty());
                (sub.stage, fails)
            }));
        }
        tasks.push(TaskLine {
            task_name: task.name,
            task_status: task_status(&stages).to_owned(),
            sources: facts.sources.into_iter().collect(),
        });
    }
    Ok(List {
        result: true,
        msg: String::new(),
        tasks,
    })
}

/// One word for a task, of the stages of its sources and whether they have errors, by DM's rules.
fn task_status(stages: &[(&'static str, bool)]) -> &'static str {
    if stages.iter().any(|(_, fails)| *fails) {
        return "Error - Some error occurred in subtask";
    }
    let mut names = stages.iter().map(|(stage, _)| *stage);
    match names.next() {
        None => "New",
        Some(first) if names.all(|stage| stage == first) => first,
        Some(_) => "Running",
    }
}

/// What staging says of a task.
struct Facts {
    task: String,
    keys: TaskKeys,
    /// `task-mode`, where the task has begun.
    mode: Option<String>,
    sources: BTreeSet<String>,
    beats: Vec<Heartbeat>,
    run: Option<RunDoc>,
    /// Somebody runs it now.
    runner: bool,
    now: DateTime<Utc>,
}

impl Facts {
    async fn read(staging: &Staging, task: &str) -> Result<Self, JobError> {
        let keys = TaskKeys::new(task);
        let now = Utc::now();
        let document: Option<TaskDoc> = staging.get_json(&keys.task()).await?;
        let identity = document.map(|document| document.resolved["identity"].clone());
        let run = state::last_run(staging, &keys, None).await?;
        let beats = heartbeat::read_all(staging, &keys).await?;
        let mut sources: BTreeSet<String> = beats.iter().map(|beat| beat.source.clone()).collect();
        sources.extend(run.iter().flat_map(|run| run.sources.clone()));
        let mut mode = None;
        if let Some(identity) = &identity {
            mode = identity["task-mode"].as_str().map(str::to_owned);
            if let Some(map) = identity["sources"].as_object() {
                sources.extend(map.keys().cloned());
            }
        }
        let runner = lease::current(staging, &keys, lock::NAME)
            .await?
            .is_some_and(|(_, record)| record.is_live(now));
        Ok(Self {
            task: task.to_owned(),
            keys,
            mode,
            sources,
            beats,
            run,
            runner,
            now,
        })
    }

    async fn source(&self, staging: &Staging, source: &str) -> Result<SourceAnswer, JobError> {
        let beats: Vec<&Heartbeat> = self
            .beats
            .iter()
            .filter(|beat| beat.source == source)
            .collect();
        let unit = unit::Unit::of(&beats, self.now);
        let (stage, result) = unit.stage(self.between());
        let status = unit
            .status(staging, &self.keys.source(source), &beats)
            .await?;
        Ok(SourceAnswer {
            result: true,
            msg: String::new(),
            source_status: SourceStatus {
                source: source.to_owned(),
                worker: unit.host(),
                result: None,
                relay_status: None,
            },
            sub_task_status: vec![SubTask {
                name: self.task.clone(),
                stage,
                unit: unit.kind.name(),
                result,
                unresolved_ddl_lock_id: String::new(),
                status,
                validation: None,
            }],
        })
    }

    /// What a unit is in whose processes have all done their work.
    fn between(&self) -> unit::Between {
        let done = self.run.as_ref().map(|run| run.state);
        match done {
            Some(State::Running) if self.runner => unit::Between::GoesOn,
            Some(State::Done) => unit::Between::AllDone,
            Some(_) => unit::Between::Halted,
            // Jobs by hand: a full migration is over with the load.
            None if self.mode.as_deref() == Some("full") => unit::Between::OverWithLoad,
            None => unit::Between::Halted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_for_a_task() {
        assert_eq!(task_status(&[]), "New");
        assert_eq!(
            task_status(&[("Running", false), ("Running", false)]),
            "Running"
        );
        assert_eq!(
            task_status(&[("Paused", false), ("Paused", false)]),
            "Paused"
        );
        assert_eq!(task_status(&[("Finished", false)]), "Finished");
        assert_eq!(
            task_status(&[("Finished", false), ("Running", false)]),
            "Running"
        );
        assert_eq!(
            task_status(&[("Running", false), ("Paused", true)]),
            "Error - Some error occurred in subtask"
        );
    }
}
