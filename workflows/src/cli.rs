//! The command line of `tideway`.

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tideway_job::Output;

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

/// Which task is meant, where its name and its staging are enough.
#[derive(Args, Debug, Clone)]
pub struct TaskRef {
    /// A workflow file, a DM task file, or the name of a task
    #[arg(value_name = "TASK")]
    pub task: String,

    /// Staging (default: the workflow's, else ./tideway-staging)
    #[arg(long, env = "TIDEWAY_STAGING", value_name = "URL")]
    pub staging: Option<String>,
}

/// Flags of `tideway query-status`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  tideway query-status --staging s3://bucket/migrations          # all tasks there
  tideway query-status workflows/aurora-to-tidb.yaml
  tideway query-status test | jq '.sources[].subTaskStatus[].sync.secondsBehindMaster'

Exit code 0; 1 when there is no such task.")]
pub struct QueryStatusArgs {
    /// A workflow file, a DM task file, or the name of a task (default: list all tasks)
    #[arg(value_name = "TASK")]
    pub task: Option<String>,

    /// This source only
    #[arg(long, short, value_name = "ID")]
    pub source: Option<String>,

    /// Staging (default: the workflow's, else ./tideway-staging)
    #[arg(long, env = "TIDEWAY_STAGING", value_name = "URL")]
    pub staging: Option<String>,
}

/// Flags of `tideway pause`, `resume`, `stop` and `finish`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  tideway pause workflows/aurora-to-tidb.yaml
  tideway pause test --staging s3://bucket/migrations --stage apply --source-id aurora-replica-01
  tideway finish workflows/aurora-to-tidb.yaml      # ends a `tideway run --follow` with everything applied

The wish lies in staging, and whatever runs there hears it within seconds, on whichever machine.")]
pub struct WishArgs {
    /// Which task.
    #[command(flatten)]
    pub of: TaskRef,

    /// This stage only
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,

    /// This job only: dump, load, capture, apply, …
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,

    /// The processes of this source only
    #[arg(long, value_name = "ID")]
    pub source_id: Option<String>,

    /// This run (default: what runs now)
    #[arg(long, value_name = "ID")]
    pub run_id: Option<String>,
}

/// Commands about DDL statements.
#[derive(Subcommand, Debug)]
pub enum BinlogCommand {
    /// Leave the statement out at the target
    #[command(after_help = "\
Examples:
  tideway binlog skip test --source-id aurora-replica-01
  tideway binlog skip test --source-id aurora-replica-01 --binlog-pos mysql-bin.000003:3270")]
    Skip(BinlogArgs),
    /// Run other statements in its place
    #[command(after_help = "\
Example:
  tideway binlog replace test 'ALTER TABLE a.t ADD c INT; ALTER TABLE a.t ADD UNIQUE (c)' \\
      --source-id aurora-replica-01")]
    Replace(BinlogSqlArgs),
    /// Run other statements before it
    Inject(BinlogSqlArgs),
    /// Show the orders that were given
    List(BinlogArgs),
    /// Take an order back
    Revert(BinlogArgs),
}

/// Which statement.
#[derive(Args, Debug, Clone)]
pub struct BinlogArgs {
    /// Which task.
    #[command(flatten)]
    pub of: TaskRef,

    /// The source (default: the only one)
    #[arg(long, short, value_name = "ID")]
    pub source_id: Option<String>,

    /// Where the statement ends in the source's binary log, as apply's error says (default: the
    /// statement that holds up apply now)
    #[arg(long, short, value_name = "FILE:OFFSET", value_parser = crate::binlog::place)]
    pub binlog_pos: Option<(String, u64)>,
}

/// Which statement, and what instead.
#[derive(Args, Debug, Clone)]
pub struct BinlogSqlArgs {
    /// Which statement.
    #[command(flatten)]
    pub at: BinlogArgs,

    /// Statements for the target, separated by `;`
    #[arg(value_name = "SQL")]
    pub sql: String,
}

/// Flags of `tideway cutover`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Example:
  # The applications are stopped; on each source: SET GLOBAL read_only = ON
  tideway finish workflows/aurora-to-tidb.yaml
  tideway run workflows/aurora-to-tidb.yaml --stage validate --rerun
  tideway cutover workflows/aurora-to-tidb.yaml

It is safe when each source refuses writes, everything in its binary log is applied, no statement is
held up, and a validation that began after the last change found no differences. Then the AUTO_INCREMENT
of the target's tables is set beyond that of the sources. Exit code 0: safe; 1: not yet.")]
pub struct CutoverArgs {
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

    /// The applications are stopped, although the sources would take writes
    #[arg(long)]
    pub assume_stopped: bool,

    /// How long to wait for the last changes to arrive
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub wait: std::time::Duration,

    /// Look only: leave AUTO_INCREMENT as it is
    #[arg(long)]
    pub dry_run: bool,

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

/// Commands over staging.
#[derive(Subcommand, Debug)]
pub enum StagingCommand {
    /// Show what lies in staging as a tree with sizes
    #[command(after_help = "\
Examples:
  tideway staging ls
  tideway staging ls test/aurora-replica-01/dump --staging s3://bucket/migrations
  tideway staging ls test --files")]
    Ls(LsArgs),
    /// Print a document, or a Parquet chunk's columns and first rows
    #[command(after_help = "\
Examples:
  tideway staging show test/task.json
  tideway staging show test/aurora-replica-01/dump/migrate_me.t1.000000000123456.parquet --rows 5")]
    Show(ShowArgs),
    /// Read every committed block of the dumps and compare its checksum
    #[command(after_help = "\
Examples:
  tideway staging verify
  tideway staging verify test --staging s3://bucket/migrations

Exit code 0: all is as it was committed; 1: something is damaged or missing.")]
    Verify(VerifyArgs),
    /// Remove data objects that no marker names
    #[command(after_help = "\
Examples:
  tideway staging gc --dry-run
  tideway staging gc test

What killed attempts left behind is never read; this only gives the space back. Objects younger
than --min-age stay, and so does everything of a source that a job works on now.")]
    Gc(GcArgs),
}

/// Where staging is.
#[derive(Args, Debug, Clone)]
pub struct StagingUrl {
    /// Staging: a folder, file://, s3://bucket/prefix
    #[arg(
        long,
        env = "TIDEWAY_STAGING",
        value_name = "URL",
        default_value = "./tideway-staging"
    )]
    pub staging: String,
}

/// Flags of `tideway staging ls`.
#[derive(Args, Debug, Clone)]
pub struct LsArgs {
    /// Show this part only: TASK, TASK/SOURCE, TASK/SOURCE/dump, …
    #[arg(value_name = "PREFIX", default_value = "")]
    pub prefix: String,

    /// Name every object, not only tables and folders
    #[arg(long)]
    pub files: bool,

    /// Where staging is.
    #[command(flatten)]
    pub at: StagingUrl,
}

/// Flags of `tideway staging show`.
#[derive(Args, Debug, Clone)]
pub struct ShowArgs {
    /// The object, as `tideway staging ls --files` names it
    #[arg(value_name = "KEY")]
    pub key: String,

    /// How many rows of a chunk are shown
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub rows: usize,

    /// Where staging is.
    #[command(flatten)]
    pub at: StagingUrl,
}

/// Flags of `tideway staging verify`.
#[derive(Args, Debug, Clone)]
pub struct VerifyArgs {
    /// Name of the task (default: every task in staging)
    #[arg(value_name = "TASK")]
    pub task: Option<String>,

    /// How it is printed
    #[arg(long, env = "TIDEWAY_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,

    /// Where staging is.
    #[command(flatten)]
    pub at: StagingUrl,
}

/// Flags of `tideway staging gc`.
#[derive(Args, Debug, Clone)]
pub struct GcArgs {
    /// Name of the task (default: every task in staging)
    #[arg(value_name = "TASK")]
    pub task: Option<String>,

    /// Show what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Leave objects that are younger
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub min_age: std::time::Duration,

    /// Where staging is.
    #[command(flatten)]
    pub at: StagingUrl,
}

/// Flags of `tideway cleanup`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  tideway cleanup workflows/full-only.yaml
  tideway cleanup --task task.yaml --source source1.yaml --staging s3://bucket/migrations --yes

The migrated tables at the target are not touched.")]
pub struct CleanupArgs {
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
