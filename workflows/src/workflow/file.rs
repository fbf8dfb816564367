//! The shape of the workflow file as it is written, with the place of every value.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::{ArgValue, JobKind, Mode};

/// A Tideway workflow: jobs, and which of them runs after which.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Tideway workflow")]
pub(super) struct WorkflowFile {
    /// Name of the workflow: letters, digits, `-` and `_`.
    #[schemars(with = "String", regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"))]
    pub name: Spanned<String>,
    /// DM task file; a relative path starts at this file's folder.
    #[schemars(with = "String")]
    pub task: Spanned<String>,
    /// DM source files; relative paths start at this file's folder.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub sources: Spanned<Vec<Spanned<String>>>,
    /// Where jobs hand work to each other: a folder or a URL such as s3://bucket/prefix.
    /// Default: the folder ./tideway-staging where the command runs.
    #[schemars(with = "Option<String>")]
    pub staging: Option<Spanned<String>>,
    /// Task mode for all jobs, in place of the task file's `task-mode`.
    #[schemars(with = "Option<Mode>")]
    pub mode: Option<Spanned<String>>,
    /// The stages. What they need decides their order.
    #[schemars(with = "Vec<StageFile>", length(min = 1))]
    pub stages: Spanned<Vec<Spanned<StageFile>>>,
}

/// One stage: a job, and when and how it runs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Stage")]
pub(super) struct StageFile {
    /// Unique name of the stage: letters, digits, `-` and `_`.
    #[schemars(with = "String", regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"))]
    pub name: Spanned<String>,
    /// The job that runs.
    #[schemars(with = "JobKind")]
    pub job: Spanned<String>,
    /// Stages that must be done before this one starts (a background stage: started).
    #[schemars(with = "Option<Vec<String>>")]
    pub needs: Option<Vec<Spanned<String>>>,
    /// Runs alongside the other stages, and is told to finish when these are done.
    #[schemars(with = "Option<bool>")]
    pub background: Option<bool>,
    /// Processes that share the work of each source (of all sources: validate). Default: 1.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1000))]
    pub workers: Option<Spanned<u32>>,
    /// Try again after a failure that a rerun may overcome (exit code 1).
    pub retry: Option<RetryFile>,
    /// What one process asks for on AWS Batch; not enforced by `tideway run`.
    pub resources: Option<ResourcesFile>,
    /// Flags of the job by their long names without `--`; `verb` is the job's subcommand.
    #[schemars(with = "Option<BTreeMap<String, ArgValue>>")]
    pub args: Option<BTreeMap<String, Spanned<ArgValue>>>,
}

/// How often a process is tried.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Retry")]
pub(super) struct RetryFile {
    /// Tries in all, the first one included. Default: 3.
    #[schemars(with = "Option<u32>", range(min = 1, max = 100))]
    pub attempts: Option<Spanned<u32>>,
    /// Wait before the second try, such as 30s; doubled before each further one, at most 5 minutes.
    /// Default: 10s.
    #[schemars(with = "Option<String>")]
    pub backoff: Option<Spanned<String>>,
}

/// What one process asks for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Resources")]
pub(super) struct ResourcesFile {
    /// Virtual CPUs, such as 2 or 0.5.
    #[schemars(with = "Option<f64>")]
    pub vcpu: Option<Spanned<f64>>,
    /// Memory, such as 4GiB.
    #[schemars(with = "Option<String>")]
    pub memory: Option<Spanned<String>>,
}
