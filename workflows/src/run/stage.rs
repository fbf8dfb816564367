//! One stage: its lanes side by side, the steps of a lane one after the other, each process tried as
//! often as the workflow says.
//!
//! A process that fails for good ends its lane; the other lanes go on to their end, for what they do
//! is committed and counts on the next run.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tideway_job::error::{EXIT_CONFIG, EXIT_FAILED};
use tideway_staging::layout;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::live::Live;
use super::log_line::{self, Level, LogLine};
use super::plan::{Lane, Unit};
use super::process::{self, Spec, Wanted};
use super::retry::Ending;
use super::screen::Screen;
use super::state::State;
use crate::human;
use crate::workflow::{Mode, Stage};

/// How many of the last lines are shown when a process fails.
const LAST_WORDS: usize = 5;

/// What all stages of a run share.
pub struct Shared {
    /// Name of the run; the jobs put it into their heartbeats.
    pub run_id: String,
    /// DM task file.
    pub task: String,
    /// DM source files.
    pub sources: Vec<String>,
    /// Staging URL.
    pub staging: String,
    /// Task mode in place of the task file's.
    pub mode: Option<Mode>,
    /// A changed task is accepted.
    pub accept_changes: bool,
    /// Folder of the jobs' executables.
    pub jobs: PathBuf,
    /// Folder of the logs.
    pub logs: PathBuf,
    /// Where a person reads.
    pub screen: Screen,
    /// The bars.
    pub live: Arc<Live>,
    /// Warnings that were shown: each job warns of the same task file.
    pub said: Mutex<BTreeSet<String>>,
}

/// How many different warnings are remembered.
const REMEMBERED: usize = 1000;

impl Shared {
    /// Whether a line of a job is shown now. A warning is shown once in a run, whoever gives it.
    fn shows(&self, line: &LogLine) -> bool {
        if line.progress || line.text.is_empty() || !self.screen.shows(line.level) {
            return false;
        }
        if line.level != Level::Warn {
            return true;
        }
        // Half an insertion does not exist: after a panic the set is as good as before.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.len() >= REMEMBERED || said.insert(line.text.clone())
    }
}

/// What happens while a stage runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A process starts.
    Started {
        /// Its stage.
        stage: String,
        /// Which process of the stage.
        unit: Unit,
        /// Which try.
        attempt: u32,
        /// When.
        at: DateTime<Utc>,
    },
    /// A process ended, and is not tried again.
    Ended {
        /// Its stage.
        stage: String,
        /// Which process of the stage.
        unit: Unit,
        /// What became of it.
        end: UnitEnd,
        /// When.
        at: DateTime<Utc>,
    },
    /// The whole stage ended.
    StageEnded {
        /// The stage.
        stage: String,
        /// What became of it.
        end: UnitEnd,
    },
}

/// What became of a process or a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitEnd {
    /// All its work is done.
    Done,
    /// It was stopped; work remains.
    Stopped,
    /// It failed for the last time.
    Failed {
        /// The exit code that tells why.
        code: u8,
        /// Which process, how it ended, its last words.
        error: String,
    },
}

impl UnitEnd {
    /// As the run's document says it.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self::Done => State::Done,
            Self::Stopped => State::Stopped,
            Self::Failed { .. } => State::Failed,
        }
    }

    /// A failure outweighs a stop, a stop outweighs the rest; the first failure stays.
    fn and(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Failed { .. }, _) | (Self::Stopped, Self::Done | Self::Stopped) => self,
            _ => other,
        }
    }
}

/// Runs a stage to its end. `done` are the processes that a former run finished.
pub async fn run(
    shared: Arc<Shared>,
    stage: Arc<Stage>,
    lanes: Vec<Lane>,
    done: Vec<Unit>,
    wanted: watch::Receiver<Wanted>,
    events: mpsc::UnboundedSender<Event>,
) {
    let done = Arc::new(done);
    let mut running = JoinSet::new();
    for lane in lanes {
        let (shared, stage, done) = (Arc::clone(&shared), Arc::clone(&stage), Arc::clone(&done));
        let (wanted, events) = (wanted.clone(), events.clone());
        running.spawn(async move {
            let end = run_lane(&shared, &stage, &lane, &done, &wanted, &events).await;
            let source = lane.source.as_deref();
            shared.live.lane_ended(&stage, source, end.state()).await;
            end
        });
    }
    let end = join(running).await;
    // The receiver is gone only when the whole run is being dropped.
    let _ = events.send(Event::StageEnded {
        stage: stage.name.clone(),
        end,
    });
}

async fn run_lane(
    shared: &Arc<Shared>,
    stage: &Arc<Stage>,
    lane: &Lane,
    done: &[Unit],
    wanted: &watch::Receiver<Wanted>,
    events: &mpsc::UnboundedSender<Event>,
) -> UnitEnd {
    for step in &lane.steps {
        let mut running = JoinSet::new();
        for unit in step.iter().filter(|unit| !done.contains(unit)) {
            let process = Process {
                shared: Arc::clone(shared),
                stage: Arc::clone(stage),
                unit: unit.clone(),
                wanted: wanted.clone(),
                events: events.clone(),
            };
            running.spawn(process.run());
        }
        match join(running).await {
            UnitEnd::Done => {}
            end => return end,
        }
    }
    UnitEnd::Done
}

/// Waits for all; the outcome is that of the first that failed.
async fn join(mut running: JoinSet<UnitEnd>) -> UnitEnd {
    let mut end = UnitEnd::Done;
    while let Some(joined) = running.join_next().await {
        end = end.and(joined.unwrap_or_else(|error| UnitEnd::Failed {
            code: EXIT_FAILED,
            error: format!("the runner itself failed: {error}"),
        }));
    }
    end
}

/// One process with its tries.
struct Process {
    shared: Arc<Shared>,
    stage: Arc<Stage>,
    unit: Unit,
    wanted: watch::Receiver<Wanted>,
    events: mpsc::UnboundedSender<Event>,
}

impl Process {
    async fn run(mut self) -> UnitEnd {
        let mut attempt = 0;
        let end = loop {
            if *self.wanted.borrow() != Wanted::Run {
                break UnitEnd::Stopped;
            }
            attempt += 1;
            self.send(Event::Started {
                stage: self.stage.name.clone(),
                unit: self.unit.clone(),
                attempt,
                at: Utc::now(),
            });
            self.shared.live.unit_started(&self.stage, &self.unit);
            match self.attempt(attempt).await {
                Ok(end) => break end,
                Err(wait) => {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        // Whatever else is wanted now, it is not another try.
                        _ = self.wanted.changed() => break UnitEnd::Stopped,
                    }
                }
            }
        };
        if attempt > 0 {
            self.send(Event::Ended {
                stage: self.stage.name.clone(),
                unit: self.unit.clone(),
                end: end.clone(),
                at: Utc::now(),
            });
        }
        end
    }

    fn send(&self, event: Event) {
        // The receiver is gone only when the whole run is being dropped.
        let _ = self.events.send(event);
    }

    /// One try: how the process ended for good, or how long to wait before the next try.
    async fn attempt(&self, attempt: u32) -> Result<UnitEnd, std::time::Duration> {
        let (shared, who) = (&self.shared, self.label());
        let spec = self.spec(attempt);
        let printed = std::fs::metadata(&spec.out).map_or(0, |out| out.len());
        let mut last = LastWords::default();
        let ended = process::run(&spec, self.wanted.clone(), |line| {
            let line = log_line::read(line);
            last.keep(line.level, &line.text);
            if shared.shows(&line) {
                shared.screen.say(line.level, &who, &line.text);
            }
        })
        .await;
        shared.screen.show_output(&spec.out, printed);
        let ending = match ended {
            Ok(ending) => ending,
            Err(error) => {
                let code = match error {
                    process::Error::Start { .. } | process::Error::Log { .. } => EXIT_CONFIG,
                    process::Error::Wait { .. } => EXIT_FAILED,
                };
                let error = format!("{who}: {error}");
                return Ok(UnitEnd::Failed { code, error });
            }
        };
        if ending.is_done() {
            return Ok(UnitEnd::Done);
        }
        let stopping = *self.wanted.borrow() != Wanted::Run;
        // A job that dies of the signal that it was sent, or fails in its haste, was stopped.
        if ending == Ending::Code(tideway_job::error::EXIT_STOPPED)
            || stopping && ending.worth_retrying()
        {
            return Ok(UnitEnd::Stopped);
        }
        if let Some(wait) = self.stage.retry.next(attempt, ending) {
            shared.screen.say(
                Level::Warn,
                &who,
                &format!(
                    "{ending}; try {} of {} in {}{}",
                    attempt + 1,
                    self.stage.retry.attempts,
                    human::seconds(wait.as_secs_f64()),
                    last.text()
                ),
            );
            return Err(wait);
        }
        let tries = match attempt {
            1 => String::new(),
            tries => format!(" at the last of {tries} tries"),
        };
        Ok(UnitEnd::Failed {
            code: exit_code(ending),
            error: format!(
                "{who}: {ending}{tries}{}\n    log: {}",
                last.text(),
                spec.log.display()
            ),
        })
    }

    fn spec(&self, attempt: u32) -> Spec {
        let (shared, stage, unit) = (&self.shared, &self.stage, &self.unit);
        let file = |ending: &str| {
            let mut name = stage.name.clone();
            for part in [unit.source.as_deref(), unit.step].into_iter().flatten() {
                name.push('.');
                // A source's name may hold a slash.
                name.push_str(&layout::encode_name(part));
            }
            if unit.workers > 1 {
                name.push_str(&format!(".{}", unit.worker));
            }
            shared.logs.join(format!("{name}.{ending}"))
        };
        Spec {
            program: shared.jobs.join(stage.job.binary()),
            arguments: arguments(shared, stage, unit),
            attempt,
            log: file("log"),
            out: file("out"),
        }
    }

    /// `dump aurora-replica-01 run 2/4`.
    fn label(&self) -> String {
        let mut label = self.stage.name.clone();
        for part in [self.unit.source.as_deref(), self.unit.step]
            .into_iter()
            .flatten()
        {
            label.push(' ');
            label.push_str(part);
        }
        if self.unit.workers > 1 {
            label.push_str(&format!(" {}/{}", self.unit.worker + 1, self.unit.workers));
        }
        label
    }
}

/// One of our codes: what a shell or a panic ends with is a failure.
fn exit_code(ending: Ending) -> u8 {
    if ending.worth_retrying() {
        EXIT_FAILED
    } else {
        ending.exit_code()
    }
}

/// The arguments of a job's process.
fn arguments(shared: &Shared, stage: &Stage, unit: &Unit) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    arguments.extend(unit.step.map(str::to_owned).or_else(|| stage.verb.clone()));
    let mut flag = |name: &str, value: &str| {
        arguments.push(format!("--{name}"));
        arguments.push(value.to_owned());
    };
    flag("task", &shared.task);
    for source in &shared.sources {
        flag("source", source);
    }
    flag("staging", &shared.staging);
    if let Some(source) = &unit.source {
        flag("source-id", source);
    }
    flag("worker-index", &unit.worker.to_string());
    flag("worker-count", &unit.workers.to_string());
    if let Some(mode) = shared.mode {
        flag("task-mode", mode.name());
    }
    flag("run-id", &shared.run_id);
    flag("log-format", "json");
    if shared.accept_changes {
        arguments.push("--accept-changes".to_owned());
    }
    for (name, value) in &stage.args {
        arguments.extend(value.arguments(name));
    }
    arguments
}

/// The last lines of a process: its errors, or whatever came last when there were none.
#[derive(Default)]
struct LastWords {
    errors: VecDeque<String>,
    lines: VecDeque<String>,
}

impl LastWords {
    fn keep(&mut self, level: Level, text: &str) {
        let list = if level == Level::Error {
            &mut self.errors
        } else {
            &mut self.lines
        };
        if list.len() == LAST_WORDS {
            list.pop_front();
        }
        // One line may be 64 KiB long.
        list.push_back(text.chars().take(2000).collect());
    }

    fn text(&self) -> String {
        let lines = if self.errors.is_empty() {
            &self.lines
        } else {
            &self.errors
        };
        lines.iter().map(|line| format!("\n    | {line}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stays() {
        let failed = |code| UnitEnd::Failed {
            code,
            error: String::new(),
        };
        assert_eq!(failed(3).and(failed(1)), failed(3));
        assert_eq!(UnitEnd::Stopped.and(failed(1)), failed(1));
        assert_eq!(UnitEnd::Stopped.and(UnitEnd::Done), UnitEnd::Stopped);
        assert_eq!(UnitEnd::Done.and(UnitEnd::Stopped), UnitEnd::Stopped);
    }

    #[test]
    fn errors_are_the_last_words_even_when_more_was_said_after() {
        let mut last = LastWords::default();
        last.keep(Level::Info, "one");
        assert_eq!(last.text(), "\n    | one");
        last.keep(Level::Error, "no such table");
        for _ in 0..10 {
            last.keep(Level::Info, "closing");
        }
        assert_eq!(last.text(), "\n    | no such table");
    }
}
