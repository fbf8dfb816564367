//! Telling running stages to finish, to stop, to be gone; and what the runner itself is told.

use tideway_job::error::EXIT_FAILED;
use tideway_staging::control::{self, Scope, What};

use super::{Phase, Request, Runner, Running};
use crate::run::log_line::Level;
use crate::run::process::Wanted;

impl Runner {
    /// Tells running stages to stop or finish, as the phase asks for.
    pub(super) async fn steer(&mut self) {
        match self.phase {
            Phase::Kill => {
                for running in self.running.values() {
                    running.wanted.send_replace(Wanted::Kill);
                }
            }
            Phase::Stop => self.stop_one(),
            Phase::Fail if self.only_background_runs() => self.stop_one(),
            Phase::Go if self.only_background_runs() && !self.follow && !self.paused => {
                self.finish_one().await;
            }
            Phase::Fail | Phase::Go => {}
        }
    }

    fn only_background_runs(&self) -> bool {
        self.running.values().all(|running| running.background)
    }

    /// Stops the stage that was started last, unless one is being stopped already.
    fn stop_one(&self) {
        let stopping = |running: &Running| *running.wanted.borrow() >= Wanted::Stop;
        if self.running.values().any(stopping) {
            return;
        }
        if let Some((name, running)) = self.running.iter().max_by_key(|(_, stage)| stage.order) {
            self.note(&format!("stopping stage {name}"));
            running.wanted.send_replace(Wanted::Stop);
        }
    }

    /// Tells the stage that was started first to finish, unless one is finishing already.
    async fn finish_one(&self) {
        let finishing = |running: &Running| *running.wanted.borrow() != Wanted::Run;
        if self.running.values().any(finishing) {
            return;
        }
        let Some((name, running)) = self.running.iter().min_by_key(|(_, stage)| stage.order) else {
            return;
        };
        let scope = Scope {
            stage: Some(name.clone()),
            ..Scope::run(&self.run.run_id)
        };
        let by = format!("the runner on {}", self.run.host);
        match control::post(&self.staging, &self.keys, What::Finish, scope, &by).await {
            Ok(_) => {
                self.note(&format!(
                    "the other stages are done: stage {name} is to finish"
                ));
                running.wanted.send_replace(Wanted::Finish);
            }
            Err(error) => {
                let text = format!("cannot tell stage {name} to finish, trying again: {error}");
                self.shared.screen.say(Level::Warn, "tideway", &text);
            }
        }
    }

    pub(super) fn obey(&mut self, request: Request) {
        let why = match request {
            Request::Stop(why) if self.phase >= Phase::Stop => {
                self.phase = Phase::Kill;
                format!("{why} again: killing the jobs (what they committed stays)")
            }
            Request::Stop(why) => {
                self.phase = Phase::Stop;
                format!("{why}: stopping in order; again to kill")
            }
            Request::Lost(why) => {
                self.phase = self.phase.max(Phase::Stop);
                self.owner = false;
                self.fail(EXIT_FAILED, why.clone());
                why
            }
            Request::Wanted(what, by) => self.heed(what, &by),
        };
        self.shared.screen.say(Level::Warn, "tideway", &why);
    }

    /// What is wanted of the whole run. The jobs hear it too, but for `finish`.
    fn heed(&mut self, what: What, by: &str) -> String {
        match what {
            What::Pause => {
                self.paused = true;
                format!("{by} wants a pause: jobs wait at their next safe point, no stage starts")
            }
            What::Resume => {
                self.paused = false;
                format!("{by} wants it to go on")
            }
            What::Stop => {
                self.phase = self.phase.max(Phase::Stop);
                format!("{by} wants it to stop: stopping in order")
            }
            What::Finish => {
                self.follow = false;
                self.paused = false;
                format!("{by} wants it to finish: background stages end when the others are done")
            }
        }
    }
}
