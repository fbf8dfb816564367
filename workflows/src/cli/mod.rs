//! The command line of `tideway`.

mod control;
mod staging;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tideway_job::Output;

pub use control::{
    BinlogArgs, BinlogCommand, BinlogSqlArgs, CutoverArgs, QueryStatusArgs, TaskRef, WishArgs,
};
pub use staging::{GcArgs, LsArgs, ShowArgs, StagingCommand, StagingUrl, VerifyArgs};

/// Headings stand out, nothing else is coloured.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());

/// Migrates MySQL-compatible databases to TiDB or MySQL, as batch jobs over object storage.
///
/// A workflow file says which job runs after which. `tideway run` runs it here; it can be stopped or
/// killed at any moment, and the next `tideway run` goes on from what is committed.
#[derive(Parser, Debug)]
#[command(name = "tideway", version, styles = STYLES, max_term_width = 100, after_help = "\
Examples:
  tideway config check --task task.yaml --source source1.yaml --source source2.yaml
  tideway run workflows/full-only.yaml
  tideway status workflows/full-only.yaml
  tideway staging ls

Exit codes:
  0  done
  1  failed or interrupted, worth running again
  2  wrong configuration or usage
  3  precheck failed
  4  validation found differences
  5  stopped on request, work remains

Every flag can also be given by a TIDEWAY_… variable of its name.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run a workflow here, or go on with it
    Run(Box<RunArgs>),
    /// Show how far a task has come
    Status(StatusArgs),
    /// Show the same as DM's `query-status` does: its JSON
    QueryStatus(QueryStatusArgs),
    /// Have the jobs of a run commit what is in hand and wait
    Pause(WishArgs),
    /// Have a paused run go on
    Resume(WishArgs),
    /// Have the jobs of a run commit what is in hand and leave
    Stop(WishArgs),
    /// Have what follows changes apply them up to now, and leave
    Finish(WishArgs),
    /// Say what becomes of a DDL statement that the target refuses
    #[command(subcommand)]
    Binlog(BinlogCommand),
    /// Tell whether it is safe to switch to the target, and prepare it
    Cutover(CutoverArgs),
    /// Look at task and source files
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at what lies in staging, verify it, tidy it up
    #[command(subcommand)]
    Staging(StagingCommand),
    /// End a task: remove its staging prefix and its meta tables at the target
    Cleanup(CleanupArgs),
    /// Print the JSON Schema of a file, for editors
    Schema(SchemaArgs),
}

/// Flags of `tideway run`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  # Everything; a second time goes on where the first stopped.
  tideway run workflows/full-only.yaml

  # The same stages with other files and another staging.
  tideway run workflows/full-only.yaml --task my/task.yaml --source my/source.yaml \\
      --staging s3://bucket/migrations

  # One stage, or a stage and all that follow it.
  tideway run workflows/full-only.yaml --stage precheck
  tideway run workflows/full-only.yaml --from load

  # Validate once more.
  tideway run workflows/full-only.yaml --stage validate --rerun

Ctrl-C (or SIGTERM) asks the jobs to commit what is in hand and leave, the last started first;
a second Ctrl-C kills them, which loses no committed work either.")]
pub struct RunArgs {
    /// The workflow file: a path or an s3:// URL
    #[arg(value_name = "FILE")]
    pub workflow: String,

    /// Run this stage only
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    pub stage: Option<String>,

    /// Run this stage and everything that need not be done before it
    #[arg(long, value_name = "NAME")]
    pub from: Option<String>,

    /// Run stages again that are done
    #[arg(long)]
    pub rerun: bool,

    /// Leave background stages running when the others are done, until `tideway finish` or Ctrl-C
    #[arg(long)]
    pub follow: bool,

    /// DM task file in place of the workflow's
    #[arg(long, env = "TIDEWAY_TASK", value_name = "FILE")]
    pub task: Option<String>,

    /// DM source files in place of the workflow's; repeat it (or separate by commas)
    #[arg(
        long,
        env = "TIDEWAY_SOURCE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub source: Vec<String>,

    /// Staging in place of the workflow's
    #[arg(long, env = "TIDEWAY_STAGING", value_name = "URL")]
    pub staging: Option<String>,

    /// Go on although the task file differs from the one that this staging was begun with
    #[arg(long)]
    pub accept_changes: bool,

    /// Begin anew: first remove the task's prefix in staging and its meta tables at the target, as
    /// `tideway cleanup --yes` does. The migrated tables stay: empty them, or load --into-existing
    #[arg(long)]
    pub remove_meta: bool,

    /// Folder for the logs of the jobs
    #[arg(
        long,
        env = "TIDEWAY_LOGS",
        value_name = "DIR",
        default_value = "tideway-logs"
    )]
    pub logs: std::path::PathBuf,

    /// Show every log line of the jobs, also beside the bars
    #[arg(long, short)]
    pub verbose: bool,

    /// How the result is printed on standard output
    #[arg(long, env = "TIDEWAY_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,

    /// Folder of the jobs' executables (default: where this one is)
    #[arg(long, env = "TIDEWAY_JOBS", value_name = "DIR", hide = true)]
    pub jobs: Option<std::path::PathBuf>,
}

/// Flags of `tideway status`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  tideway status workflows/full-only.yaml
  tideway status --task task.yaml --staging s3://bucket/migrations
  tideway status workflows/full-only.yaml --output json | jq .run.state")]
pub struct StatusArgs {
    /// Which task.
    #[command(flatten)]
    pub of: TaskOf,

    /// How it is printed
    #[arg(long, env = "TIDEWAY_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

/// Which task is meant: by a workflow file, or by a task file and a staging.
#[derive(Args, Debug, Clone)]
pub struct TaskOf {
    /// The workflow file
    #[arg(value_name = "FILE", required_unless_present = "task")]
    pub workflow: Option<String>,

    /// DM task file (default: the workflow's)
    #[arg(long, env = "TIDEWAY_TASK", value_name = "FILE")]
    pub task: Option<String>,

    /// Staging (default: the workflow's, else ./tideway-staging)
    #[arg(long, env = "TIDEWAY_STAGING", value_name = "URL")]
    pub staging: Option<String>,
}

/// Which task is meant, with the files that name its servers.
#[derive(Args, Debug, Clone)]
pub struct ServersOf {
    /// The workflow file
    #[arg(value_name = "FILE", required_unless_present = "task")]
    pub workflow: Option<String>,

    /// DM task file (default: the workflow's)
    #[arg(long, env = "TIDEWAY_TASK", value_name = "FILE")]
    pub task: Option<String>,

    /// DM source files (default: the workflow's)
    #[arg(
        long,
        env = "TIDEWAY_SOURCE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub source: Vec<String>,

    /// Staging (default: the workflow's, else ./tideway-staging)
    #[arg(long, env = "TIDEWAY_STAGING", value_name = "URL")]
    pub staging: Option<String>,
}

/// Commands over task and source files.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Read the files as the jobs do; tell what is wrong, what to know, and what would be migrated
    Check(ConfigCheckArgs),
}

/// Flags of `tideway config check`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  tideway config check --task task.yaml --source source1.yaml --source source2.yaml
  tideway config check workflows/full-only.yaml

Connects to no server. Exit code 0: the files are right; 2: they are not.")]
pub struct ConfigCheckArgs {
    /// A workflow file that names task and sources
    #[arg(value_name = "FILE", required_unless_present = "task")]
    pub workflow: Option<String>,

    /// DM task file
    #[arg(long, env = "TIDEWAY_TASK", value_name = "FILE")]
    pub task: Option<String>,

    /// DM source file; repeat it (or separate by commas) for several
    #[arg(
        long,
        env = "TIDEWAY_SOURCE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub source: Vec<String>,

    /// How it is printed
    #[arg(long, env = "TIDEWAY_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,
}

/// Flags of `tideway cleanup`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  tideway cleanup workflows/full-only.yaml
  tideway cleanup --task task.yaml --source source1.yaml --staging s3://bucket/migrations --yes

The migrated tables at the target are not touched.")]
pub struct CleanupArgs {
    /// Which task, and its servers.
    #[command(flatten)]
    pub of: ServersOf,

    /// Do not ask
    #[arg(long)]
    pub yes: bool,

    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Flags of `tideway schema`.
#[derive(Args, Debug, Clone)]
pub struct SchemaArgs {
    /// Which file's schema
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// Files that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The workflow file
    Workflow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
