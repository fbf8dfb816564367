//! Flags of the commands that look at a run and tell it what is wanted.

use clap::{Args, Subcommand};
use tideway_job::Output;

use super::ServersOf;

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
    /// Which task, and its servers.
    #[command(flatten)]
    pub of: ServersOf,

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
