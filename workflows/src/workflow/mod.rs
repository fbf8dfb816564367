//! The workflow file: which job runs after which, how often it is tried, by how many processes.
//!
//! [`parse`] turns the text into a [`Workflow`] that is known to be sound: every job and stage that
//! is named exists, no two stages share a name, nothing waits for itself, every duration and size is
//! read. Whatever is wrong is a [`Problem`] with file, line and a hint; all of them are reported at
//! once, so that a person mends the file in one go.

mod check;
pub mod error;
mod file;
pub mod graph;
pub mod paths;
pub mod schema;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::parse;
pub use error::{Problem, Problems};

/// A workflow that is known to be sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// Its name.
    pub name: String,
    /// The file that it was read from.
    pub file: String,
    /// DM task file, resolved against the workflow file's folder.
    pub task: String,
    /// DM source files, resolved against the workflow file's folder.
    pub sources: Vec<String>,
    /// Staging, resolved against the workflow file's folder when it is a relative path.
    pub staging: Option<String>,
    /// Task mode for all jobs, in place of the task file's.
    pub mode: Option<Mode>,
    /// Stages in dependency order; among equals the file's order.
    pub stages: Vec<Stage>,
}

impl Workflow {
    /// The stage of that name.
    #[must_use]
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }
}

/// One stage: a job, and when and how it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Unique within the workflow.
    pub name: String,
    /// What runs.
    pub job: JobKind,
    /// Stages that must be done before (a background stage: started before).
    pub needs: Vec<String>,
    /// Runs alongside the stages that follow, until these are done.
    pub background: bool,
    /// Processes that share the work: of each source, or of all where the job takes all.
    pub workers: u32,
    /// How often and when it is tried again.
    pub retry: Retry,
    /// What one process asks for where something enforces it (AWS Batch).
    pub resources: Resources,
    /// Subcommand of the job: `capture`, `plan`, …
    pub verb: Option<String>,
    /// Further flags of the job, in the order of their names.
    pub args: Vec<(String, ArgValue)>,
    /// Where the stage stands in the file.
    pub line: u64,
}

impl Stage {
    /// Under which name its processes leave their heartbeats: each half of cdc has its own.
    #[must_use]
    pub fn beats_as(&self) -> &str {
        match (self.job, &self.verb) {
            (JobKind::Cdc, Some(verb)) => verb,
            _ => self.job.name(),
        }
    }
}

/// The jobs that a stage can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Checks sources, target and staging before anything moves.
    Precheck,
    /// Reads the sources into Parquet chunks in staging.
    Dump,
    /// Loads the chunks into the target.
    Load,
    /// Captures and applies changes.
    Cdc,
    /// Compares source and target.
    Validate,
}

impl JobKind {
    /// All jobs.
    pub const ALL: [Self; 5] = [
        Self::Precheck,
        Self::Dump,
        Self::Load,
        Self::Cdc,
        Self::Validate,
    ];

    /// As it is written in the workflow file and in heartbeats.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Precheck => "precheck",
            Self::Dump => "dump",
            Self::Load => "load",
            Self::Cdc => "cdc",
            Self::Validate => "validate",
        }
    }

    /// The executable's file name.
    #[must_use]
    pub fn binary(self) -> String {
        format!("tideway-{}", self.name())
    }

    /// The subcommands that the job has.
    #[must_use]
    pub fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Dump => &["plan", "run", "finish"],
            Self::Cdc => &["capture", "apply", "wait"],
            Self::Precheck | Self::Load | Self::Validate => &[],
        }
    }

    /// Whether a process works on all sources: the precheck compares them with each other, and the
    /// validation must see every source that has rows in a table of the target.
    #[must_use]
    pub fn takes_all_sources(self) -> bool {
        matches!(self, Self::Precheck | Self::Validate)
    }

    /// Whether several processes can share the work. A source's log is captured and applied by one:
    /// its order is kept.
    #[must_use]
    pub fn is_shared(self) -> bool {
        !matches!(self, Self::Precheck | Self::Cdc)
    }
}

/// Task modes that a workflow may set for all its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Dump and load only.
    Full,
    /// Changes only.
    Incremental,
    /// Dump, load, then changes.
    All,
}

impl Mode {
    /// As `--task-mode` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::All => "all",
        }
    }
}

/// How often a process is tried. Only an exit code of 1 (or a death by signal) is tried again:
/// the other codes say that the same attempt would end in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries in all, the first one included.
    pub attempts: u32,
    /// Wait before the second try; doubled before each further one.
    pub backoff: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 1,
            backoff: Duration::from_secs(10),
        }
    }
}

/// What one process asks for. `tideway run` leaves this to the operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Resources {
    /// Virtual CPUs.
    pub vcpu: Option<f64>,
    /// Memory in bytes.
    pub memory: Option<u64>,
}

/// The value of one of the job's flags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ArgValue {
    /// One value; `true` gives the flag alone, `false` leaves it out.
    One(Scalar),
    /// The flag is repeated for each value.
    Many(Vec<Scalar>),
}

/// A single value of a flag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text.
    Text(String),
}

impl ArgValue {
    /// The command-line arguments that give `--name` this value.
    #[must_use]
    pub fn arguments(&self, name: &str) -> Vec<String> {
        let scalars = match self {
            Self::One(scalar) => std::slice::from_ref(scalar),
            Self::Many(scalars) => scalars.as_slice(),
        };
        let mut arguments = Vec::new();
        for scalar in scalars {
            // `--name=value`, so that a value may begin with a dash.
            arguments.push(match scalar {
                Scalar::Flag(true) => format!("--{name}"),
                Scalar::Flag(false) => continue,
                Scalar::Integer(number) => format!("--{name}={number}"),
                Scalar::Number(number) => format!("--{name}={number}"),
                Scalar::Text(text) => format!("--{name}={text}"),
            });
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_flags() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        assert_eq!(ArgValue::One(text("5s")).arguments("lag"), ["--lag=5s"]);
        assert_eq!(ArgValue::One(text("-1")).arguments("rate"), ["--rate=-1"]);
        assert_eq!(
            ArgValue::One(Scalar::Flag(true)).arguments("follow"),
            ["--follow"]
        );
        assert!(
            ArgValue::One(Scalar::Flag(false))
                .arguments("follow")
                .is_empty()
        );
        assert_eq!(
            ArgValue::Many(vec![text("a"), Scalar::Integer(2)]).arguments("x"),
            ["--x=a", "--x=2"]
        );
    }
}
