//! The order of stages: dependencies, circles, and which stages a selection means.

use std::collections::BTreeSet;

use super::{Stage, Workflow};

/// Stages that wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// Along the `needs`; the first name is repeated at the end.
    pub names: Vec<String>,
    /// Where the first one stands in the file.
    pub line: u64,
}

/// Puts stages into dependency order; among those that could go next, the file's order holds.
///
/// Needs that name no stage are passed over (they are reported elsewhere).
///
/// # Errors
/// The first circle that is found.
pub fn order(stages: Vec<Stage>) -> Result<Vec<Stage>, Circle> {
    let names: Vec<String> = stages.iter().map(|stage| stage.name.clone()).collect();
    let mut waiting = stages;
    let mut ordered: Vec<Stage> = Vec::new();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|stage| {
            stage.needs.iter().all(|need| {
                !names.contains(need) || ordered.iter().any(|stage| &stage.name == need)
            })
        });
        match ready {
            Some(index) => ordered.push(waiting.remove(index)),
            None => return Err(circle(&waiting)),
        }
    }
    Ok(ordered)
}

/// Walks from need to need among stages of which each waits for another one, until it comes back.
fn circle(waiting: &[Stage]) -> Circle {
    let find = |name: &str| waiting.iter().find(|stage| stage.name == name);
    let mut path: Vec<&Stage> = vec![&waiting[0]];
    loop {
        let last = path[path.len() - 1];
        // Each stage here waits for at least one other stage here: otherwise it would be ready.
        let Some(next) = last.needs.iter().find_map(|need| find(need)) else {
            break;
        };
        if let Some(start) = path.iter().position(|stage| stage.name == next.name) {
            path.drain(..start);
            break;
        }
        path.push(next);
    }
    let mut names: Vec<String> = path.iter().map(|stage| stage.name.clone()).collect();
    names.push(path[0].name.clone());
    Circle {
        names,
        line: path[0].line,
    }
}

/// Which stages of a workflow a person asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All.
    All,
    /// This one only.
    Only(String),
    /// This one and all that need not be done before it.
    From(String),
}

impl Selection {
    /// The stage that it names.
    #[must_use]
    pub fn stage(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Only(name) | Self::From(name) => Some(name),
        }
    }

    /// Names of the selected stages.
    #[must_use]
    pub fn names(&self, workflow: &Workflow) -> BTreeSet<String> {
        let all = workflow.stages.iter().map(|stage| stage.name.clone());
        match self {
            Self::All => all.collect(),
            Self::Only(name) => all.filter(|stage| stage == name).collect(),
            Self::From(name) => {
                let before = ancestors(workflow, name);
                all.filter(|stage| !before.contains(stage)).collect()
            }
        }
    }
}

/// All stages that must be done before `name`.
#[must_use]
pub fn ancestors(workflow: &Workflow, name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![name.to_owned()];
    while let Some(name) = next.pop() {
        for need in workflow.stage(&name).map_or(&[][..], |stage| &stage.needs) {
            if found.insert(need.clone()) {
                next.push(need.clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::{JobKind, Resources, Retry};

    fn stage(name: &str, needs: &[&str]) -> Stage {
        Stage {
            name: name.to_owned(),
            job: JobKind::Dump,
            needs: needs.iter().map(|&need| need.to_owned()).collect(),
            background: false,
            workers: 1,
            retry: Retry::default(),
            resources: Resources::default(),
            verb: None,
            args: Vec::new(),
            line: u64::try_from(name.len()).unwrap(),
        }
    }

    fn names(stages: &[Stage]) -> Vec<&str> {
        stages.iter().map(|stage| stage.name.as_str()).collect()
    }

    #[test]
    fn order_follows_needs_and_then_the_file() {
        let ordered = order(vec![
            stage("validate", &["load"]),
            stage("load", &["dump"]),
            stage("capture", &["precheck"]),
            stage("dump", &["precheck"]),
            stage("precheck", &[]),
        ])
        .unwrap();
        assert_eq!(
            names(&ordered),
            ["precheck", "capture", "dump", "load", "validate"]
        );
    }

    #[test]
    fn a_circle_is_told_without_the_stages_that_only_lead_to_it() {
        let found = order(vec![
            stage("first", &[]),
            stage("after", &["a"]),
            stage("a", &["first", "b"]),
            stage("b", &["c"]),
            stage("c", &["a"]),
        ])
        .unwrap_err();
        assert_eq!(found.names, ["a", "b", "c", "a"]);
        assert_eq!(found.line, 1);
    }

    #[test]
    fn a_stage_that_needs_itself_is_a_circle() {
        let found = order(vec![stage("a", &["a"])]).unwrap_err();
        assert_eq!(found.names, ["a", "a"]);
    }

    #[test]
    fn from_takes_everything_but_what_comes_before() {
        let workflow = Workflow {
            name: "w".to_owned(),
            file: String::new(),
            task: String::new(),
            sources: Vec::new(),
            staging: None,
            mode: None,
            stages: order(vec![
                stage("precheck", &[]),
                stage("capture", &["precheck"]),
                stage("dump", &["precheck"]),
                stage("load", &["dump"]),
                stage("validate", &["load"]),
            ])
            .unwrap(),
        };
        let picked = |selection: Selection| {
            selection
                .names(&workflow)
                .into_iter()
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            picked(Selection::From("load".to_owned())),
            "capture load validate"
        );
        assert_eq!(picked(Selection::Only("load".to_owned())), "load");
        assert_eq!(
            picked(Selection::All),
            "capture dump load precheck validate"
        );
    }
}
