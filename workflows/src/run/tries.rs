//! One process of a stage, tried as often as the workflow says.
//!
//! Nothing of what a process did is known here but how it ended: what it committed is in staging and
//! at the target, and the next try finds it there.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tideway_job::error::{EXIT_CONFIG, EXIT_FAILED, EXIT_STOPPED};
use tideway_staging::layout;
use tokio::sync::{mpsc, watch};

use super::log_line::{self, Level};
use super::plan::Unit;
use super::process::{self, Spec, Wanted};
use super::retry::Ending;
use super::stage::{Event, Shared, UnitEnd};
use crate::human;
use crate::workflow::{JobKind, Stage};

/// A process of a background stage that ran for so long before it failed has its tries anew: it may run
/// for weeks, and a store that was away on three days of them is no reason to give up.
const LONG: Duration = Duration::from_secs(600);
/// How many of the last lines are shown when a process fails.
const LAST_WORDS: usize = 5;

/// One process with its tries.
pub(super) struct Process {
    pub(super) shared: Arc<Shared>,
    pub(super) stage: Arc<Stage>,
    pub(super) unit: Unit,
    pub(super) wanted: watch::Receiver<Wanted>,
    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl Process {
    /// Tries until it is done, stopped, or failed for good.
    pub(super) async fn run(mut self) -> UnitEnd {
        let mut attempt = 0;
        // Those that count against the limit.
        let mut tries = 0;
        let end = loop {
            if self.is_stopping() {
                break UnitEnd::Stopped;
            }
            attempt += 1;
            tries += 1;
            self.send(Event::Started {
                stage: self.stage.name.clone(),
                unit: self.unit.clone(),
                attempt,
                at: Utc::now(),
            });
            self.shared.live.unit_started(&self.stage, &self.unit);
            let begun = Instant::now();
            match self.attempt(attempt, &mut tries, begun).await {
                Ok(end) => break end,
                Err(wait) => {
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        // One that is to finish is tried again: it has work left.
                        _ = self.wanted.wait_for(|wanted| *wanted >= Wanted::Stop) => {
                            break UnitEnd::Stopped;
                        }
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

    fn is_stopping(&self) -> bool {
        *self.wanted.borrow() >= Wanted::Stop
    }

    fn send(&self, event: Event) {
        // The receiver is gone only when the whole run is being dropped.
        let _ = self.events.send(event);
    }

    /// One try: how the process ended for good, or how long to wait before the next try.
    async fn attempt(
        &self,
        attempt: u32,
        tries: &mut u32,
        begun: Instant,
    ) -> Result<UnitEnd, Duration> {
        let (shared, who) = (&self.shared, self.label());
        let spec = self.spec(attempt);
        let printed = std::fs::metadata(&spec.out).map_or(0, |out| out.len());
        let mut last = LastWords::default();
        let ended = process::run(
            &spec,
            self.wanted.clone(),
            |line| {
                let line = log_line::read(line);
                last.keep(line.level, &line.text);
                if shared.shows(&line) {
                    shared.screen.say(line.level, &who, &line.text);
                }
            },
            |error| {
                let text = format!("{error}; the job goes on");
                shared.screen.say(Level::Warn, &who, &text);
            },
        )
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
        let stopping = self.is_stopping();
        // A job that dies of the signal that it was sent, or fails in its haste, was stopped.
        if ending == Ending::Code(EXIT_STOPPED) || stopping && ending.worth_retrying() {
            return Ok(UnitEnd::Stopped);
        }
        if self.stage.background && begun.elapsed() >= LONG {
            *tries = 1;
        }
        if let Some(wait) = self.stage.retry.next(*tries, ending) {
            shared.screen.say(
                Level::Warn,
                &who,
                &format!(
                    "{ending}; try {} of {} in {}{}",
                    *tries + 1,
                    self.stage.retry.attempts,
                    human::seconds(wait.as_secs_f64()),
                    last.text()
                ),
            );
            return Err(wait);
        }
        let tries = match *tries {
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
            stage: stage.name.clone(),
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
    if stage.job == JobKind::Precheck {
        flag("dump-processes", &shared.processes.dump.to_string());
        flag("load-processes", &shared.processes.load.to_string());
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
