//! Flags of `tideway staging`.

use clap::{Args, Subcommand};
use tideway_job::Output;

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
