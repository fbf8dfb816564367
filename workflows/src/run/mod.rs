//! `tideway run`: runs a workflow here, one process per job, source and worker.
//!
//! What holds at any moment: jobs commit their work themselves, in staging and at the target, and find
//! it again. The runner only decides what is started when, and notes what happened in the run's
//! document (see `state`). Killing the runner, the jobs, or both, loses nothing that was committed; the
//! next `tideway run` takes the lease, ends what is left of the former jobs on this machine, and goes
//! on.

mod live;
pub(crate) mod lock;
mod log_line;
mod meter;
pub(crate) mod orphans;
mod plan;
mod process;
mod retry;
mod runner;
pub(crate) mod screen;
mod stage;
pub mod state;
pub mod summary;
mod tries;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tideway_job::{JobError, Output};
use tideway_staging::Staging;
use tideway_staging::layout::{self, TaskKeys};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cleanup;
use crate::cli::RunArgs;
use crate::configuration::{self, Configuration};
use crate::task_files::{self, TaskFiles};
use crate::workflow::error::hint_of_names;
use crate::workflow::graph::Selection;
use crate::workflow::{Mode, Workflow};
use live::{Live, Seen};
use log_line::Level;
use plan::{Action, Decision};
use runner::{Outcome, Request, Runner};
use screen::Screen;
use stage::{Processes, Shared};
use state::RunDoc;

/// Runs a workflow and returns the exit code of the whole.
///
/// # Errors
/// What keeps it from starting: wrong files, a missing executable, staging that cannot be reached,
/// another runner of the same task.
pub async fn run(args: &RunArgs) -> Result<u8, JobError> {
    let screen = Screen::new(args.verbose, args.output == Output::Json);
    let files = files(args).await?;
    let workflow = files
        .workflow
        .clone()
        .ok_or_else(|| JobError::config("name a workflow file"))?;
    let selection = selection(args, &workflow)?;
    let mode = workflow.mode.map(Mode::name);
    let Configuration { task, warnings, .. } =
        configuration::read(&files.task, &files.sources, mode).await?;
    for warning in &warnings {
        screen.say(Level::Warn, "tideway", warning);
    }
    let jobs = executables(args, &workflow, &selection)?;
    let staging = Staging::open(&files.staging).await?;
    let keys = TaskKeys::new(&task.name);
    let requests = mpsc::unbounded_channel();
    // From here on a signal stops in order.
    listen(&requests.0)?;
    let lock = lock::acquire(&staging, &keys, &screen).await?;
    cleanup::stop_orphans(&staging, &keys, &screen).await?;
    if args.remove_meta {
        cleanup::forget(&staging, &keys, &task, &screen).await?;
    }

    let former = state::last_run(&staging, &keys, Some(&workflow.name)).await?;
    let sources: Vec<String> = task
        .sources
        .iter()
        .map(|source| source.id.clone())
        .collect();
    let fresh = RunDoc::new(&workflow, &task.name, &task.fingerprint(), &sources);
    let mut decision = plan::decide(&workflow, &selection, args.rerun, former.as_ref(), fresh);
    let logs = log_folder(args, &decision.run)?;
    decision.run.logs = logs.display().to_string();
    announce(&screen, &workflow, &decision, &files, former.as_ref());

    let outcome = if decision.is_empty() {
        Outcome {
            run: former.unwrap_or(decision.run),
            code: 0,
            errors: Vec::new(),
        }
    } else {
        std::fs::create_dir_all(&logs).map_err(|error| {
            JobError::config(format!(
                "cannot make the folder {} for the logs: {error}; give another with --logs",
                logs.display()
            ))
        })?;
        let labels = workflow.stages.iter().flat_map(|stage| {
            let lengths = sources.iter().map(|source| source.chars().count());
            lengths.map(|length| stage.name.len() + 1 + length)
        });
        let seen = Seen {
            run_id: decision.run.run_id.clone(),
            width: labels.max().unwrap_or(0),
            sources: sources.clone(),
        };
        let live = Live::new(staging.clone(), keys.clone(), seen, screen);
        let shared = Shared {
            run_id: decision.run.run_id.clone(),
            task: files.task,
            sources: files.sources,
            staging: files.staging,
            mode: workflow.mode,
            accept_changes: args.accept_changes,
            processes: Processes::of(&workflow),
            jobs,
            logs,
            screen,
            live: Arc::new(live),
            said: std::sync::Mutex::default(),
        };
        let heard = wishes::take_back(&staging, &keys, &decision.run.run_id).await?;
        let place = (staging.clone(), keys.clone(), heard);
        run_stages(
            workflow,
            decision,
            shared,
            place,
            args.follow,
            lock.lost(),
            requests,
        )
        .await
    };
    let summary = summary::collect(&staging, &keys, &outcome.run, &task).await;
    match args.output {
        Output::Json => println!("{:#}", summary.json(&outcome.run, outcome.code)),
        Output::Text => print!("{}", summary.text(&outcome.run, &outcome.errors)),
    }
    lock.release().await;
    Ok(outcome.code)
}

async fn files(args: &RunArgs) -> Result<TaskFiles, JobError> {
    let files = task_files::find(
        Some(&args.workflow),
        args.task.as_deref(),
        &args.source,
        args.staging.as_deref(),
    )
    .await?;
    if files.staging.starts_with("memory:") {
        return Err(JobError::config(format!(
            "staging {}: jobs are processes of their own and do not see each other's memory; \
             take a folder or a bucket",
            files.staging
        )));
    }
    Ok(files)
}

fn selection(args: &RunArgs, workflow: &Workflow) -> Result<Selection, JobError> {
    let selection = match (&args.stage, &args.from) {
        (Some(name), _) => Selection::Only(name.clone()),
        (None, Some(name)) => Selection::From(name.clone()),
        (None, None) => Selection::All,
    };
    if let Some(name) = selection.stage()
        && workflow.stage(name).is_none()
    {
        let names: Vec<&str> = workflow.stages.iter().map(|s| s.name.as_str()).collect();
        return Err(JobError::config(format!(
            "{} has no stage `{name}`: {}",
            workflow.file,
            hint_of_names(name, &names)
        )));
    }
    Ok(selection)
}

/// The folder of the jobs' executables, after a look whether all that are needed are there: better
/// now than after hours of dumping.
fn executables(
    args: &RunArgs,
    workflow: &Workflow,
    selection: &Selection,
) -> Result<PathBuf, JobError> {
    let folder = match &args.jobs {
        Some(folder) => folder.clone(),
        None => std::env::current_exe()
            .map_err(|error| JobError::failed(format!("where this executable is: {error}")))?
            .parent()
            .map_or_else(|| Path::new(".").to_owned(), Path::to_owned),
    };
    let selected = selection.names(workflow);
    let mut missing = BTreeSet::new();
    for stage in &workflow.stages {
        if selected.contains(&stage.name) && !folder.join(stage.job.binary()).is_file() {
            missing.insert(stage.job.binary());
        }
    }
    if missing.is_empty() {
        return Ok(folder);
    }
    let missing: Vec<String> = missing.into_iter().collect();
    Err(JobError::config(format!(
        "{} not in {}: build or install all of Tideway's executables into one folder",
        missing.join(", "),
        folder.display()
    )))
}

/// `<logs>/<task>/<run>`: runs of several tasks may share the folder.
fn log_folder(args: &RunArgs, run: &RunDoc) -> Result<PathBuf, JobError> {
    let folder = std::path::absolute(&args.logs)
        .map_err(|error| JobError::config(format!("--logs {}: {error}", args.logs.display())))?;
    Ok(folder
        .join(layout::encode_name(&run.task))
        .join(&run.run_id))
}

fn announce(
    screen: &Screen,
    workflow: &Workflow,
    decision: &Decision,
    files: &TaskFiles,
    former: Option<&RunDoc>,
) {
    let run = &decision.run;
    let names = |wanted: Action| -> Vec<&str> {
        let of = |name: &str| decision.actions.get(name) == Some(&wanted);
        let stages = workflow.stages.iter().map(|stage| stage.name.as_str());
        stages.filter(|name| of(name)).collect()
    };
    if decision.is_empty() {
        screen.note(&format!(
            "{} is done already (run {}): nothing to do; --rerun does it again",
            names(Action::Done).join(", "),
            former.map_or("", |run| run.run_id.as_str())
        ));
        return;
    }
    let verb = if decision.continues {
        "going on with run"
    } else {
        "run"
    };
    screen.note(&format!(
        "{verb} {} of {}: task {}, sources {}, staging {}",
        run.run_id,
        workflow.name,
        run.task,
        run.sources.join(", "),
        files.staging
    ));
    let done = names(Action::Done);
    if !done.is_empty() {
        screen.note(&format!(
            "done already: {} (--rerun does them again)",
            done.join(", ")
        ));
    }
    for (stage, why) in &decision.again {
        screen.note(&format!("stage {stage} was done and runs again: {why}"));
    }
    screen.note(&format!("logs of the jobs: {}", run.logs));
}

/// Runs what was decided, with the live view beside it, until all is done or stopped.
async fn run_stages(
    workflow: Workflow,
    decision: Decision,
    shared: Shared,
    (staging, keys, heard): (Staging, TaskKeys, u64),
    follow: bool,
    lost: CancellationToken,
    (send, requests): (
        mpsc::UnboundedSender<Request>,
        mpsc::UnboundedReceiver<Request>,
    ),
) -> Outcome {
    let shared = Arc::new(shared);
    let end = CancellationToken::new();
    let view = tokio::spawn({
        let (live, end) = (Arc::clone(&shared.live), end.clone());
        async move { live.watch(end).await }
    });
    let ear = tokio::spawn(wishes::listen(
        staging.clone(),
        keys.clone(),
        decision.run.run_id.clone(),
        heard,
        send.clone(),
    ));
    let guard = tokio::spawn(async move {
        lost.cancelled().await;
        let why = "another `tideway run` took over this task: stopping".to_owned();
        // The receiver is gone when the run has ended.
        let _ = send.send(Request::Lost(why));
    });
    let runner = Runner::new(workflow, decision, shared, staging, keys, follow);
    let outcome = runner.run(requests).await;
    guard.abort();
    ear.abort();
    end.cancel();
    // A view that panicked is no reason to lose the outcome.
    let _ = view.await;
    outcome
}

/// Turns signals into requests for as long as the process lives.
fn listen(requests: &mpsc::UnboundedSender<Request>) -> Result<(), JobError> {
    let kinds = BTreeMap::from([
        ("Ctrl-C", SignalKind::interrupt()),
        ("SIGTERM", SignalKind::terminate()),
        ("SIGHUP", SignalKind::hangup()),
    ]);
    for (name, kind) in kinds {
        let mut signals = signal(kind)
            .map_err(|error| JobError::failed(format!("cannot listen for {name}: {error}")))?;
        let requests = requests.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if requests.send(Request::Stop(name.to_owned())).is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}
