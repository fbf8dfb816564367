//! The job's flags.

use std::time::Duration;

use clap::Parser;
use tideway_job::{CommonArgs, JobArgs};

/// Compares source and target table by table, row by row, and says where they differ.
///
/// Exit code 0: no differences; 4: differences, named in the report.
#[derive(Parser, Clone, Debug)]
#[command(name = "tideway-validate", version)]
pub struct Args {
    /// The flags that all jobs share.
    #[command(flatten)]
    pub common: CommonArgs,

    /// List at most this many rows that differ, for each table (all are counted)
    #[arg(
        long,
        env = "TIDEWAY_MAX_DIFFERENCES",
        value_name = "N",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub max_differences: u32,

    /// Compare so many rows of a table at a time (default: as the dump cut it, else about 64 MiB)
    #[arg(
        long,
        env = "TIDEWAY_RANGE_ROWS",
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub range_rows: Option<u64>,

    /// While the sources are written: fail when apply's checkpoint has stood still for so long and
    /// rows wait for it
    #[arg(long, env = "TIDEWAY_WAIT", value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub wait: Duration,
}

impl JobArgs for Args {
    fn common(&self) -> &CommonArgs {
        &self.common
    }
}
