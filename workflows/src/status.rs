//! `tideway status`: how far a task has come, read from staging alone, from anywhere.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde::Serialize;
use tideway_job::{JobError, Output};
use tideway_staging::Staging;
use tideway_staging::document::Manifest;
use tideway_staging::heartbeat::{self, Heartbeat, SyncState};
use tideway_staging::layout::TaskKeys;
use tideway_staging::lease;

use crate::cli::StatusArgs;
use crate::human::{self, Align};
use crate::run::state::{self, RunDoc, State};
use crate::run::{lock, summary};
use crate::{configuration, task_files};

/// A job that beats every two seconds and was silent for so long is gone, or cut off.
const SILENT: f64 = 30.0;

/// All that is known of a task.
#[derive(Debug, Serialize)]
struct Status {
    task: String,
    staging: String,
    /// When it was looked at.
    at: DateTime<Utc>,
    /// The last run.
    run: Option<RunDoc>,
    /// Who runs it now.
    runner: Option<String>,
    /// The last words of each job's process.
    processes: Vec<Process>,
    /// Dumps that are complete.
    dumps: Vec<Dump>,
}

#[derive(Debug, Serialize)]
struct Process {
    #[serde(flatten)]
    heartbeat: Heartbeat,
    /// Seconds since the last heartbeat.
    age_seconds: f64,
    /// It says that it runs, but was not heard for long.
    silent: bool,
}

#[derive(Debug, Serialize)]
struct Dump {
    source: String,
    tables: usize,
    rows: u64,
    bytes: u64,
    stored_bytes: u64,
    exact: bool,
    finished_at: DateTime<Utc>,
}

/// Prints how far the task has come.
///
/// # Errors
/// Wrong files, or staging that cannot be read.
pub async fn run(args: &StatusArgs) -> Result<(), JobError> {
    let of = &args.of;
    let files = task_files::find(
        of.workflow.as_deref(),
        of.task.as_deref(),
        &[],
        of.staging.as_deref(),
    )
    .await?;
    let task = configuration::task_name(&files.task).await?;
    let staging = Staging::open(&files.staging).await?;
    let workflow = files
        .workflow
        .as_ref()
        .map(|workflow| workflow.name.as_str());
    let status = read(&staging, &task, workflow).await?;
    match args.output {
        Output::Json => {
            let text = serde_json::to_string_pretty(&status)
                .map_err(|error| JobError::failed(format!("writing JSON: {error}")))?;
            println!("{text}");
        }
        Output::Text => print!("{}", status.text()),
    }
    Ok(())
}

async fn read(staging: &Staging, task: &str, workflow: Option<&str>) -> Result<Status, JobError> {
    let keys = TaskKeys::new(task);
    let at = Utc::now();
    let run = match state::last_run(staging, &keys, workflow).await? {
        Some(run) => Some(run),
        None => state::last_run(staging, &keys, None).await?,
    };
    let runner = lease::current(staging, &keys, lock::NAME)
        .await?
        .filter(|(_, record)| record.is_live(at))
        .map(|(_, record)| record.owner);
    let beats = heartbeat::read_all(staging, &keys).await?;
    let mut processes: Vec<Process> = beats
        .into_iter()
        .map(|heartbeat| Process::of(heartbeat, at))
        .collect();
    processes.sort_by(|a, b| {
        let key = |process: &Process| {
            let beat = &process.heartbeat;
            (
                beat.started_at,
                beat.job.clone(),
                beat.source.clone(),
                beat.worker,
            )
        };
        key(a).cmp(&key(b))
    });
    let mut sources: Vec<String> = processes
        .iter()
        .map(|process| process.heartbeat.source.clone())
        .chain(run.iter().flat_map(|run| run.sources.clone()))
        .collect();
    sources.sort();
    sources.dedup();
    let mut dumps = Vec::new();
    for source in sources {
        let key = keys.source(&source).manifest();
        if let Some(manifest) = staging.get_json::<Manifest>(&key).await? {
            dumps.push(Dump::of(source, &manifest));
        }
    }
    Ok(Status {
        task: task.to_owned(),
        staging: staging.url().to_owned(),
        at,
        run,
        runner,
        processes,
        dumps,
    })
}

impl Process {
    fn of(heartbeat: Heartbeat, now: DateTime<Utc>) -> Self {
        let age_seconds = (now - heartbeat.updated_at).as_seconds_f64();
        Self {
            silent: heartbeat.state == "running" && age_seconds > SILENT,
            heartbeat,
            age_seconds,
        }
    }
}

impl Dump {
    fn of(source: String, manifest: &Manifest) -> Self {
        Self {
            source,
            tables: manifest.tables.len(),
            rows: manifest.rows,
            bytes: manifest.raw_bytes,
            stored_bytes: manifest.stored_bytes,
            exact: manifest.exact,
            finished_at: manifest.finished_at,
        }
    }
}

impl Status {
    fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{text}");
        };
        line(&format!("task {} in {}", self.task, self.staging));
        if self.run.is_none() && self.processes.is_empty() && self.dumps.is_empty() {
            line("nothing was done yet");
            return out;
        }
        if let Some(run) = &self.run {
            line("");
            line(&self.run_line(run));
            line(summary::stages_text(run).trim_end());
            for stage in &run.stages {
                if let Some(error) = &stage.error {
                    line(&format!("{}: {error}", stage.name));
                }
            }
        }
        if !self.processes.is_empty() {
            line("");
            line(self.processes_text().trim_end());
        }
        for process in &self.processes {
            let beat = &process.heartbeat;
            if let Some(sync) = &beat.sync {
                line(&format!(
                    "{} {}: {}{}",
                    beat.job,
                    beat.source,
                    human::sync(sync),
                    place(sync)
                ));
            }
        }
        for process in &self.processes {
            if let Some(error) = &process.heartbeat.error {
                line(&format!("{}: {error}", name(&process.heartbeat)));
            }
        }
        if !self.dumps.is_empty() {
            line("");
        }
        for dump in &self.dumps {
            line(&format!(
                "dump of {} complete: {} tables, {} rows, {} ({} in staging){}",
                dump.source,
                dump.tables,
                human::count(dump.rows),
                human::bytes(dump.bytes),
                human::bytes(dump.stored_bytes),
                if dump.exact {
                    ""
                } else {
                    ", not one consistent state by itself"
                }
            ));
        }
        out
    }

    fn run_line(&self, run: &RunDoc) -> String {
        let since = |time: DateTime<Utc>| human::seconds((self.at - time).as_seconds_f64());
        let state = match (run.state, &self.runner) {
            (State::Running, Some(runner)) => format!("running ({runner})"),
            (State::Running, None) => {
                "interrupted; run it again to go on from what is committed".to_owned()
            }
            (state, _) => state.name().to_owned(),
        };
        let times = match run.finished_at {
            Some(end) => format!("ended {} ago", since(end)),
            None => format!("started {} ago", since(run.started_at)),
        };
        format!("run {} of {}: {state}, {times}", run.run_id, run.workflow)
    }

    fn processes_text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .processes
            .iter()
            .map(|process| {
                let beat = &process.heartbeat;
                let state = match (process.silent, beat.state.as_str(), beat.stage.as_str()) {
                    (true, ..) => "silent".to_owned(),
                    (false, "running", _) if beat.paused => "paused".to_owned(),
                    (false, "running", stage) if !stage.is_empty() => stage.to_owned(),
                    (false, state, _) => state.to_owned(),
                };
                vec![
                    name(beat),
                    state,
                    human::count(beat.rows),
                    human::bytes(beat.bytes),
                    rate(beat),
                    format!("{}/{}", beat.done_units, beat.total_units),
                    human::seconds(process.age_seconds),
                ]
            })
            .collect();
        human::table(
            &[
                ("process", Align::Left),
                ("state", Align::Left),
                ("rows", Align::Right),
                ("bytes", Align::Right),
                ("rate", Align::Right),
                ("chunks", Align::Right),
                ("heard before", Align::Right),
            ],
            &rows,
        )
    }
}

fn name(beat: &Heartbeat) -> String {
    format!("{} {} #{}", beat.job, beat.source, beat.worker)
}

/// Up to where, where that is known.
fn place(sync: &SyncState) -> String {
    match (sync.syncer_binlog.as_str(), sync.master_binlog.as_str()) {
        ("", _) => String::new(),
        (done, "") => format!(", at {done}"),
        (done, source) => format!(", at {done} of {source}"),
    }
}

/// Bytes a second since its start.
fn rate(beat: &Heartbeat) -> String {
    let seconds = (beat.updated_at - beat.started_at).as_seconds_f64();
    if seconds <= 0.0 || beat.bytes == 0 {
        return String::new();
    }
    // For people: rates are far below 2^53 and not negative.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    let rate = (beat.bytes as f64 / seconds) as u64;
    format!("{}/s", human::bytes(rate))
}
