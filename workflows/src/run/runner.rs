//! Runs the stages in their order: starts what is ready, notes what happened, stops in order.
//!
//! | phase | entered when | starts stages | running foreground stages | background stages |
//! | --- | --- | --- | --- | --- |
//! | `Go` | at first | yes, unless paused | run | run; told to finish when the foreground is done |
//! | `Fail` | a foreground stage failed | no | run to their end | then stopped |
//! | `Stop` | a stop was asked for, or a background stage failed | no | stopped | stopped |
//! | `Kill` | a second time | no | killed | killed |
//!
//! Stopping goes against the order of starting, one stage after the other: what consumes goes before
//! what it consumes. Finishing goes with it: what produces ends first, what consumes when it has
//! drained. To stop is a signal, for a person waits. To finish is a wish in staging
//! ([`tideway_staging::control`]) that names the run and the stage: a process that dies and is started
//! again still finds it, and so does the stage of a run that is continued. The runner then waits for as
//! long as the stage takes; a person who does not want to wait interrupts.

mod steer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tideway_job::error::EXIT_STOPPED;
use tideway_staging::Staging;
use tideway_staging::control::What;
use tideway_staging::layout::TaskKeys;
use tokio::sync::{mpsc, watch};

use super::log_line::Level;
use super::plan::{Action, Decision, lanes};
use super::process::Wanted;
use super::stage::{self, Event, Shared, UnitEnd};
use super::state::{RunDoc, StageDoc, State};
use crate::human;
use crate::workflow::{Stage, Workflow};

/// After which time the state is looked at although nothing happened.
const AGAIN: Duration = Duration::from_secs(5);

/// Asked for from outside while the stages run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Stop in order; a second time: kill.
    Stop(String),
    /// The lease went to another runner: stop and write nothing more.
    Lost(String),
    /// Wanted of the whole run by an object in staging: what, and by whom.
    Wanted(What, String),
}

/// How far the run has come to its end. It only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Go,
    Fail,
    Stop,
    Kill,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The document as it was written last.
    pub run: RunDoc,
    /// The exit code of the whole.
    pub code: u8,
    /// What failed.
    pub errors: Vec<String>,
}

/// A stage that was started and has not ended.
struct Running {
    order: usize,
    background: bool,
    wanted: watch::Sender<Wanted>,
}

/// Runs stages.
pub struct Runner {
    workflow: Workflow,
    actions: BTreeMap<String, Action>,
    shared: Arc<Shared>,
    staging: Staging,
    keys: TaskKeys,
    follow: bool,
    paused: bool,
    run: RunDoc,
    running: BTreeMap<String, Running>,
    started: Vec<String>,
    phase: Phase,
    /// Exit code of what failed first.
    failure: Option<u8>,
    errors: Vec<String>,
    owner: bool,
}

impl Runner {
    /// A runner of what was decided.
    #[must_use]
    pub fn new(
        workflow: Workflow,
        decision: Decision,
        shared: Arc<Shared>,
        staging: Staging,
        keys: TaskKeys,
        follow: bool,
    ) -> Self {
        Self {
            workflow,
            actions: decision.actions,
            shared,
            staging,
            keys,
            follow,
            paused: false,
            run: decision.run,
            running: BTreeMap::new(),
            started: Vec::new(),
            phase: Phase::Go,
            failure: None,
            errors: Vec::new(),
            owner: true,
        }
    }

    /// Runs everything to its end.
    pub async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) -> Outcome {
        let (send, mut events) = mpsc::unbounded_channel();
        self.save().await;
        loop {
            if self.phase == Phase::Go && !self.paused {
                self.start_ready(&send);
            }
            if self.running.is_empty() && !(self.paused && self.phase == Phase::Go && self.waits())
            {
                break;
            }
            self.steer().await;
            tokio::select! {
                Some(event) = events.recv() => {
                    self.apply(event);
                    while let Ok(event) = events.try_recv() {
                        self.apply(event);
                    }
                    self.save().await;
                }
                Some(request) = requests.recv() => self.obey(request),
                // A wish could not be posted, or nothing happens: look again.
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
        let code = self.finish();
        self.save().await;
        Outcome {
            run: self.run,
            code,
            errors: self.errors,
        }
    }

    /// Whether a stage is still to be started.
    fn waits(&self) -> bool {
        self.workflow.stages.iter().any(|stage| {
            self.actions.get(&stage.name) == Some(&Action::Run)
                && !self.started.contains(&stage.name)
                && self.is_ready(stage)
        })
    }

    /// Starts each stage whose needs are met.
    fn start_ready(&mut self, events: &mpsc::UnboundedSender<Event>) {
        for stage in self.workflow.stages.clone() {
            let to_run = self.actions.get(&stage.name) == Some(&Action::Run);
            if to_run && !self.started.contains(&stage.name) && self.is_ready(&stage) {
                self.start(stage, events.clone());
            }
        }
    }

    /// Needs outside the selection were left to the person who selected; needs in the background are
    /// met when they run.
    fn is_ready(&self, stage: &Stage) -> bool {
        stage.needs.iter().all(|need| {
            let background = self
                .workflow
                .stage(need)
                .is_some_and(|need| need.background);
            match self.actions.get(need) {
                Some(Action::Run) if background => self.started.contains(need),
                Some(Action::Run) => self.state(need) == State::Done,
                Some(Action::Done | Action::Outside) | None => true,
            }
        })
    }

    fn state(&self, stage: &str) -> State {
        self.run
            .stage(stage)
            .map_or(State::Pending, |stage| stage.state)
    }

    fn start(&mut self, stage: Stage, events: mpsc::UnboundedSender<Event>) {
        let lanes = lanes(&stage, &self.run.sources);
        let (send, wanted) = watch::channel(Wanted::Run);
        if let Some(doc) = self.run.stage_mut(&stage.name) {
            doc.state = State::Running;
            doc.started_at = Some(Utc::now());
            doc.finished_at = None;
        }
        let beside = if stage.background {
            " in the background"
        } else {
            ""
        };
        self.note(&format!("stage {}{beside}", stage.name));
        self.running.insert(
            stage.name.clone(),
            Running {
                order: self.started.len(),
                background: stage.background,
                wanted: send,
            },
        );
        self.started.push(stage.name.clone());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(stage::run(shared, Arc::new(stage), lanes, wanted, events));
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Started {
                stage,
                unit,
                attempt,
                at,
            } => self.note_unit(&stage, &unit, |doc| {
                doc.state = State::Running;
                doc.attempts = attempt;
                doc.started_at = Some(at);
                doc.finished_at = None;
                doc.ending = None;
            }),
            Event::Ended {
                stage,
                unit,
                end,
                at,
            } => self.note_unit(&stage, &unit, |doc| {
                doc.state = end.state();
                doc.finished_at = Some(at);
                doc.ending = Some(match end {
                    UnitEnd::Failed { error, .. } => error,
                    end => end.state().name().to_owned(),
                });
            }),
            Event::StageEnded { stage, end } => self.stage_ended(&stage, end),
        }
    }

    fn note_unit(
        &mut self,
        stage: &str,
        unit: &super::plan::Unit,
        change: impl FnOnce(&mut super::state::UnitDoc),
    ) {
        let Some(doc) = self.run.stage_mut(stage) else {
            return;
        };
        if !doc.units.iter().any(|doc| unit.is(doc)) {
            doc.units.push(unit.document());
        }
        if let Some(doc) = doc.units.iter_mut().find(|doc| unit.is(doc)) {
            change(doc);
        }
    }

    fn stage_ended(&mut self, name: &str, end: UnitEnd) {
        let Some(running) = self.running.remove(name) else {
            return;
        };
        let mut took = String::new();
        if let Some(doc) = self.run.stage_mut(name) {
            note_end(doc, &end);
            took = human::seconds(doc.seconds().unwrap_or(0.0));
        }
        match end {
            UnitEnd::Done => self.note(&format!("stage {name} done in {took}")),
            UnitEnd::Stopped => {
                self.note(&format!("stage {name} stopped after {took}"));
                // Someone stopped the process behind our back: the rest cannot go on without it.
                self.phase = self.phase.max(Phase::Fail);
            }
            UnitEnd::Failed { code, error } => {
                let text = format!("stage {name} failed after {took}\n  {error}");
                self.shared.screen.say(Level::Error, "tideway", &text);
                self.fail(code, error);
                self.phase = self.phase.max(if running.background {
                    Phase::Stop
                } else {
                    Phase::Fail
                });
            }
        }
    }

    fn fail(&mut self, code: u8, error: String) {
        self.failure.get_or_insert(code);
        self.errors.push(error);
    }

    /// Notes how the run ended, and returns its exit code.
    fn finish(&mut self) -> u8 {
        let done = |stage: &StageDoc| stage.state == State::Done;
        let chosen = |stage: &&StageDoc| self.actions.get(&stage.name) == Some(&Action::Run);
        let all_chosen = self.run.stages.iter().filter(chosen).all(done);
        let code = match self.failure {
            Some(code) => code,
            // A stop that came when everything was done changed nothing.
            None if all_chosen => 0,
            None => EXIT_STOPPED,
        };
        self.run.state = match self.failure {
            Some(_) => State::Failed,
            None if self.run.stages.iter().all(done) => State::Done,
            // Stopped, or only a part of the workflow was to be run.
            None => State::Stopped,
        };
        self.run.finished_at = Some(Utc::now());
        code
    }

    fn note(&self, text: &str) {
        self.shared.screen.note(text);
    }

    /// Writes the document. When that fails the stages go on: it is a note (see `state`).
    async fn save(&mut self) {
        if !self.owner {
            return;
        }
        self.run.updated_at = Utc::now();
        let key = self.keys.run(&self.run.run_id);
        if let Err(error) = self.staging.put_json(&key, &self.run).await {
            let text = format!("cannot note the state of the run in {key}: {error}");
            self.shared.screen.say(Level::Warn, "tideway", &text);
        }
    }
}

fn note_end(doc: &mut StageDoc, end: &UnitEnd) {
    doc.state = end.state();
    doc.finished_at = Some(Utc::now());
    (doc.exit_code, doc.error) = match end {
        UnitEnd::Failed { code, error } => (Some(*code), Some(error.clone())),
        UnitEnd::Done | UnitEnd::Stopped => (None, None),
    };
}
