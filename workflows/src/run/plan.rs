//! What is to be done: which stages run, which count as done, and of which processes each consists.
//! Pure: decided from the workflow, the selection and the last run's document alone.
//!
//! A stage counts as done when the last run says so, of the same task with the same definition of the
//! stage, and everything it needs counts as done too: what builds on something that is done anew is
//! itself to be done anew. The jobs make that cheap, for they find what is committed.
//!
//! A background stage is done only together with the stages beside which it runs: while one of those is
//! still to be done, changes must be captured and applied, also by a stage that had finished before.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{Definition, RunDoc, StageDoc, State, UnitDoc};
use crate::workflow::graph::Selection;
use crate::workflow::{JobKind, Stage, Workflow};

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unit {
    /// Its source; `None`: it works on all.
    pub source: Option<String>,
    /// Subcommand in place of the stage's own, where the runner splits the job into steps.
    pub step: Option<&'static str>,
    /// Its index among the workers.
    pub worker: u32,
    /// How many workers share the work.
    pub workers: u32,
}

impl Unit {
    /// Whether the document speaks of this process.
    #[must_use]
    pub fn is(&self, doc: &UnitDoc) -> bool {
        doc.source == self.source && doc.step.as_deref() == self.step && doc.worker == self.worker
    }

    /// A document of this process before its start.
    #[must_use]
    pub fn document(&self) -> UnitDoc {
        UnitDoc {
            source: self.source.clone(),
            step: self.step.map(str::to_owned),
            worker: self.worker,
            state: State::Pending,
            attempts: 0,
            ending: None,
            started_at: None,
            finished_at: None,
        }
    }
}

/// The work of a stage on one source (or on all): steps one after the other, the processes of a step
/// side by side. Lanes of a stage run independently of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its source; `None`: all.
    pub source: Option<String>,
    /// The steps.
    pub steps: Vec<Vec<Unit>>,
}

/// The lanes of a stage.
///
/// Several dump workers share one plan, and the manifest says that all of them are done; so with
/// more than one, `plan` is a first and `finish` a last step of a single process.
#[must_use]
pub fn lanes(stage: &Stage, sources: &[String]) -> Vec<Lane> {
    if stage.job.takes_all_sources() {
        return vec![lane(None, &[(None, stage.workers)])];
    }
    let split = stage.job == JobKind::Dump && stage.verb.is_none() && stage.workers > 1;
    let steps = if split {
        vec![
            (Some("plan"), 1),
            (Some("run"), stage.workers),
            (Some("finish"), 1),
        ]
    } else {
        vec![(None, stage.workers)]
    };
    sources
        .iter()
        .map(|source| lane(Some(source.clone()), &steps))
        .collect()
}

fn lane(source: Option<String>, steps: &[(Option<&'static str>, u32)]) -> Lane {
    let steps = steps
        .iter()
        .map(|&(step, workers)| {
            (0..workers)
                .map(|worker| Unit {
                    source: source.clone(),
                    step,
                    worker,
                    workers,
                })
                .collect()
        })
        .collect();
    Lane { source, steps }
}

/// What happens to a stage in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It runs.
    Run,
    /// It counts as done.
    Done,
    /// It was not selected.
    Outside,
}

/// A planned run.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The document to begin with.
    pub run: RunDoc,
    /// What happens to each stage.
    pub actions: BTreeMap<String, Action>,
    /// An unfinished run is continued.
    pub continues: bool,
    /// Stages that were done, and why they run again.
    pub again: Vec<(String, &'static str)>,
}

impl Decision {
    /// Whether nothing is to be run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.values().all(|action| *action != Action::Run)
    }
}

/// Decides what runs. `fresh` is a document of a run of which nothing is done.
#[must_use]
pub fn decide(
    workflow: &Workflow,
    selection: &Selection,
    rerun: bool,
    former: Option<&RunDoc>,
    fresh: RunDoc,
) -> Decision {
    let selected = selection.names(workflow);
    let former =
        former.filter(|run| run.fingerprint == fresh.fingerprint && run.sources == fresh.sources);
    let mut valid: BTreeSet<&str> = BTreeSet::new();
    // What is done anew now, and all that builds on it.
    let mut anew: BTreeSet<&str> = BTreeSet::new();
    let mut actions = BTreeMap::new();
    let mut again = Vec::new();
    let mut stages = Vec::new();
    for stage in &workflow.stages {
        let former = former.and_then(|run| run.stage(&stage.name));
        let same =
            former.is_some_and(|former| former.definition == Definition::of(stage, workflow.mode));
        let built_on = stage.needs.iter().all(|need| {
            valid.contains(need.as_str())
                || workflow.stage(need).is_some_and(|need| need.background)
        });
        let done = former.is_some_and(|former| former.state == State::Done);
        let chosen = selected.contains(&stage.name);
        let counts = done && same && built_on && !(rerun && chosen);
        if counts {
            valid.insert(&stage.name);
        }
        let action = match (chosen, counts) {
            (true, true) => Action::Done,
            (true, false) => Action::Run,
            (false, _) => Action::Outside,
        };
        if action == Action::Run && done && !rerun {
            again.push((
                stage.name.clone(),
                if same {
                    "what it needs is done anew"
                } else {
                    "the workflow file changed it"
                },
            ));
        }
        actions.insert(stage.name.clone(), action);
        let on_anew = stage.needs.iter().any(|need| anew.contains(need.as_str()));
        if action == Action::Run || on_anew {
            anew.insert(&stage.name);
        }
        // The notes of an unselected stage stay, even when it was started by hand out of order: the
        // next full run decides by them.
        let keep = if chosen {
            same && built_on && !rerun
        } else {
            same && !on_anew
        };
        stages.push(match former {
            Some(former) if keep => carried_over(former, counts),
            _ => StageDoc::new(stage, workflow.mode),
        });
    }
    let foreground_runs = workflow
        .stages
        .iter()
        .any(|stage| !stage.background && actions.get(&stage.name) == Some(&Action::Run));
    for stage in workflow.stages.iter().filter(|stage| stage.background) {
        if foreground_runs && actions.get(&stage.name) == Some(&Action::Done) {
            actions.insert(stage.name.clone(), Action::Run);
            again.push((
                stage.name.clone(),
                "the stages that it runs beside are not done",
            ));
            if let Some(doc) = stages.iter_mut().find(|doc| doc.name == stage.name) {
                *doc = StageDoc::new(stage, workflow.mode);
            }
        }
    }
    let continues = former.is_some_and(|run| run.state != State::Done) && !rerun;
    let mut run = fresh;
    if let Some(former) = former
        && continues
    {
        run.run_id.clone_from(&former.run_id);
        run.started_at = former.started_at;
    }
    run.stages = stages;
    Decision {
        run,
        actions,
        continues,
        again,
    }
}

/// The former notes of a stage. Of one that is not done no process counts as done either: what it
/// worked on may have been planned anew since (a table that changed, a target made anew), and only the
/// job itself knows. It finds what is committed, so starting it again is cheap.
fn carried_over(former: &StageDoc, counts: bool) -> StageDoc {
    let mut stage = former.clone();
    if counts || stage.state == State::Done {
        return stage;
    }
    stage.state = State::Pending;
    stage.exit_code = None;
    stage.error = None;
    stage.units.clear();
    stage
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::parse;

    const FILE: &str = "
name: w
task: task.yaml
sources: [a.yaml]
stages:
  - {name: precheck, job: precheck}
  - {name: dump, job: dump, needs: [precheck], workers: 2}
  - {name: load, job: load, needs: [dump]}
  - {name: validate, job: validate, needs: [load]}
";

    fn workflow() -> Workflow {
        parse(FILE, "w.yaml").unwrap()
    }

    fn fresh() -> RunDoc {
        RunDoc::new(&workflow(), "t", "f1", &["a".to_owned()])
    }

    /// A former run in which these stages are done and the run itself is `state`.
    fn former(done: &[&str], state: State) -> RunDoc {
        let mut run = fresh();
        run.run_id = "former".to_owned();
        run.state = state;
        for stage in &mut run.stages {
            if done.contains(&stage.name.as_str()) {
                stage.state = State::Done;
            }
        }
        run
    }

    fn running(decision: &Decision) -> Vec<&str> {
        // In the order of the names.
        decision
            .actions
            .iter()
            .filter(|(_, action)| **action == Action::Run)
            .map(|(name, _)| name.as_str())
            .collect()
    }

    #[test]
    fn a_second_run_goes_on_where_the_first_stopped() {
        let former = former(&["precheck", "dump"], State::Failed);
        let decision = decide(&workflow(), &Selection::All, false, Some(&former), fresh());
        assert_eq!(running(&decision), ["load", "validate"]);
        assert!(decision.continues);
        assert_eq!(decision.run.run_id, "former");
    }

    #[test]
    fn no_process_of_an_unfinished_stage_counts_as_done() {
        let mut former = former(&["precheck"], State::Failed);
        let units = &lanes(&workflow().stages[1], &["a".to_owned()])[0].steps[1];
        for (unit, state) in units.iter().zip([State::Done, State::Failed]) {
            let mut document = unit.document();
            document.state = state;
            former.stages[1].units.push(document);
        }
        former.stages[1].state = State::Failed;
        let decision = decide(&workflow(), &Selection::All, false, Some(&former), fresh());
        let dump = decision.run.stage("dump").unwrap();
        assert_eq!(dump.state, State::Pending);
        assert_eq!(dump.units, []);
    }

    #[test]
    fn a_finished_run_is_not_repeated_without_rerun() {
        let all = ["precheck", "dump", "load", "validate"];
        let former = former(&all, State::Done);
        let decision = decide(&workflow(), &Selection::All, false, Some(&former), fresh());
        assert!(decision.is_empty());
        let decision = decide(&workflow(), &Selection::All, true, Some(&former), fresh());
        assert_eq!(running(&decision).len(), 4);
        assert_ne!(decision.run.run_id, "former");
    }

    #[test]
    fn another_task_begins_anew() {
        let mut former = former(&["precheck", "dump"], State::Failed);
        former.fingerprint = "f0".to_owned();
        let decision = decide(&workflow(), &Selection::All, false, Some(&former), fresh());
        assert_eq!(running(&decision).len(), 4);
        assert!(!decision.continues);
    }

    #[test]
    fn a_changed_stage_and_what_builds_on_it_run_again() {
        let former = former(&["precheck", "dump", "load"], State::Failed);
        let text = FILE.replace("workers: 2", "workers: 3");
        let changed = parse(&text, "w.yaml").unwrap();
        let decision = decide(&changed, &Selection::All, false, Some(&former), fresh());
        assert_eq!(running(&decision), ["dump", "load", "validate"]);
        assert_eq!(
            decision.again,
            [
                ("dump".to_owned(), "the workflow file changed it"),
                ("load".to_owned(), "what it needs is done anew")
            ]
        );
    }

    #[test]
    fn one_stage_again_voids_what_builds_on_it() {
        let all = ["precheck", "dump", "load", "validate"];
        let finished = former(&all, State::Done);
        let only = Selection::Only("dump".to_owned());
        let decision = decide(&workflow(), &only, true, Some(&finished), fresh());
        assert_eq!(running(&decision), ["dump"]);
        assert_eq!(decision.run.stage("precheck").unwrap().state, State::Done);
        for name in ["load", "validate"] {
            assert_eq!(decision.run.stage(name).unwrap().state, State::Pending);
        }

        // The next full run picks up from there.
        let mut next = decision.run;
        next.stage_mut("dump").unwrap().state = State::Done;
        let decision = decide(&workflow(), &Selection::All, false, Some(&next), fresh());
        assert_eq!(running(&decision), ["load", "validate"]);
    }

    #[test]
    fn dump_workers_share_one_plan_and_one_end() {
        let workflow = workflow();
        let sources = ["a".to_owned(), "b".to_owned()];
        let lanes_of = |name: &str| lanes(workflow.stage(name).unwrap(), &sources);
        let dump = lanes_of("dump");
        assert_eq!(dump.len(), 2);
        let shape: Vec<_> = dump[0]
            .steps
            .iter()
            .map(|units| (units[0].step, units.len()))
            .collect();
        assert_eq!(
            shape,
            [(Some("plan"), 1), (Some("run"), 2), (Some("finish"), 1)]
        );
        for name in ["precheck", "validate"] {
            assert_eq!(lanes_of(name).len(), 1, "one process for all sources");
            assert_eq!(lanes_of(name)[0].source, None);
        }
        assert_eq!(lanes_of("load")[1].steps[0][0].source.as_deref(), Some("b"));
    }
}
