//! One stage: its lanes side by side, the steps of a lane one after the other, each process tried as
//! often as the workflow says.
//!
//! A process that fails for good ends its lane; the other lanes go on to their end, for what they do
//! is committed and counts on the next run.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tideway_job::error::EXIT_FAILED;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::live::Live;
use super::log_line::{Level, LogLine};
use super::plan::{Lane, Unit};
use super::process::Wanted;
use super::screen::Screen;
use super::state::State;
use super::tries::Process;
use crate::workflow::{JobKind, Mode, Stage, Workflow};

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
    /// How many processes dump and load, for precheck.
    pub processes: Processes,
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

/// How many processes of a source dump and load: each opens connections of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processes {
    /// Those that dump.
    pub dump: u32,
    /// Those that load.
    pub load: u32,
}

impl Processes {
    /// Those of the workflow's largest stages.
    #[must_use]
    pub fn of(workflow: &Workflow) -> Self {
        let most = |job: JobKind| {
            let stages = workflow.stages.iter().filter(|stage| stage.job == job);
            stages.map(|stage| stage.workers).max().unwrap_or(1)
        };
        Self {
            dump: most(JobKind::Dump),
            load: most(JobKind::Load),
        }
    }
}

/// How many different warnings are remembered.
const REMEMBERED: usize = 1000;

impl Shared {
    /// Whether a line of a job is shown now. A warning is shown once in a run, whoever gives it.
    pub(super) fn shows(&self, line: &LogLine) -> bool {
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

/// Runs a stage to its end.
pub async fn run(
    shared: Arc<Shared>,
    stage: Arc<Stage>,
    lanes: Vec<Lane>,
    wanted: watch::Receiver<Wanted>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut running = JoinSet::new();
    for lane in lanes {
        let (shared, stage) = (Arc::clone(&shared), Arc::clone(&stage));
        let (wanted, events) = (wanted.clone(), events.clone());
        running.spawn(async move {
            let end = run_lane(&shared, &stage, &lane, &wanted, &events).await;
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
    wanted: &watch::Receiver<Wanted>,
    events: &mpsc::UnboundedSender<Event>,
) -> UnitEnd {
    for step in &lane.steps {
        let mut running = JoinSet::new();
        for unit in step {
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
}
