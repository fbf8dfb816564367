//! The flags that all jobs share. Each has a `TIDEWAY_…` variable of the same name.

use std::net::SocketAddr;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use sha2::{Digest as _, Sha256};

/// Implemented by each job's own argument struct, so that [`crate::main`] can set up logging
/// before the job runs.
pub trait JobArgs: clap::Parser {
    /// The flags that all jobs share.
    fn common(&self) -> &CommonArgs;
}

/// Flags that all jobs share.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Common options")]
pub struct CommonArgs {
    /// DM task file: a path or an s3:// URL
    #[arg(long, env = "TIDEWAY_TASK", value_name = "FILE")]
    pub task: String,

    /// DM source file: a path or an s3:// URL; repeat it (or separate by commas) for several
    #[arg(
        long,
        env = "TIDEWAY_SOURCE",
        value_name = "FILE",
        value_delimiter = ',',
        required = true
    )]
    pub source: Vec<String>,

    /// Where jobs hand work to each other: a folder, file://, s3://bucket/prefix, memory://
    #[arg(
        long,
        env = "TIDEWAY_STAGING",
        value_name = "URL",
        default_value = "./tideway-staging"
    )]
    pub staging: String,

    /// Work on these sources only (default: every source of the task)
    #[arg(
        long,
        env = "TIDEWAY_SOURCE_ID",
        value_name = "ID",
        value_delimiter = ','
    )]
    pub source_id: Vec<String>,

    /// Connections that work in parallel in this process (default: from the task file)
    #[arg(long, env = "TIDEWAY_WORKERS", value_name = "N", value_parser = parse_workers)]
    pub workers: Option<usize>,

    /// Which of the worker processes this is, from 0 (default: AWS_BATCH_JOB_ARRAY_INDEX, else 0)
    #[arg(long, env = "TIDEWAY_WORKER_INDEX", value_name = "I")]
    pub worker_index: Option<u32>,

    /// How many worker processes share the work (default: AWS_BATCH_JOB_ARRAY_SIZE, else 1)
    #[arg(long, env = "TIDEWAY_WORKER_COUNT", value_name = "N")]
    pub worker_count: Option<u32>,

    /// Memory that readers, encoders and loaders of this process share
    #[arg(
        long,
        env = "TIDEWAY_MEMORY",
        value_name = "SIZE",
        default_value = "384MiB"
    )]
    pub memory: ByteSize,

    /// How results are printed on standard output
    #[arg(long, env = "TIDEWAY_OUTPUT", value_enum, default_value = "text")]
    pub output: Output,

    /// How the log is written on standard error
    #[arg(long, env = "TIDEWAY_LOG_FORMAT", value_enum, default_value = "auto")]
    pub log_format: LogFormat,

    /// Serve Prometheus metrics on this address, such as 127.0.0.1:9100
    #[arg(long, env = "TIDEWAY_METRICS_ADDR", value_name = "ADDR")]
    pub metrics_addr: Option<SocketAddr>,

    /// Use this task mode instead of the task file's: full, incremental or all
    #[arg(long, env = "TIDEWAY_TASK_MODE", value_name = "MODE")]
    pub task_mode: Option<String>,

    /// Name of the workflow run that this job belongs to (set by `tideway run`)
    #[arg(long, env = "TIDEWAY_RUN_ID", value_name = "ID", hide = true)]
    pub run_id: Option<String>,

    /// Go on although the task file differs from the one that this staging was begun with
    #[arg(long, env = "TIDEWAY_ACCEPT_CHANGES", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub accept_changes: bool,
}

impl CommonArgs {
    /// Which share of the work this process has.
    ///
    /// # Errors
    /// When the index does not lie below the count, or a variable of AWS Batch is no number.
    pub fn worker(&self) -> Result<Worker, String> {
        let index = match self.worker_index {
            Some(index) => index,
            None => batch_variable("AWS_BATCH_JOB_ARRAY_INDEX")?.unwrap_or(0),
        };
        let count = match self.worker_count {
            Some(count) => count,
            None => batch_variable("AWS_BATCH_JOB_ARRAY_SIZE")?.unwrap_or(1),
        };
        if index >= count {
            return Err(format!(
                "--worker-index {index} is not below --worker-count {count}: \
                 with {count} workers the indexes are 0 to {}",
                count.saturating_sub(1)
            ));
        }
        Ok(Worker { index, count })
    }
}

fn parse_workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err(format!("`{text}` is not a number from 1 to 1024")),
    }
}

fn batch_variable(name: &str) -> Result<Option<u32>, String> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text
            .parse()
            .map(Some)
            .map_err(|_| format!("{name}={text} is not a number")),
        _ => Ok(None),
    }
}

/// Which share of the work a process has: chunks are dealt to workers by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// From 0, below [`Worker::count`].
    pub index: u32,
    /// How many worker processes share the work; at least 1.
    pub count: u32,
}

impl Worker {
    /// Whether a unit of work is this worker's, by a running number or by [`Worker::unit`].
    #[must_use]
    pub fn owns(&self, unit: u64) -> bool {
        unit % u64::from(self.count) == u64::from(self.index)
    }

    /// The number by which part `number` of a table is dealt.
    ///
    /// It depends on the table's name and the part's number alone: a table that is planned anew, or
    /// comes, or goes, or is not seen by every process, moves no part of another from one worker to
    /// another, so none is left over. Within a table the parts go round, and where they begin is spread
    /// by a hash.
    #[must_use]
    pub fn unit(db: &str, table: &str, number: u64) -> u64 {
        let mut hash = Sha256::new();
        hash.update(db.as_bytes());
        hash.update([0]);
        hash.update(table.as_bytes());
        let begin = hash
            .finalize()
            .iter()
            .take(4)
            .fold(0, |begin, byte| begin << 8 | u64::from(*byte));
        begin + number
    }
}

/// How results are printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Tables and sentences for a person.
    Text,
    /// One JSON document, stable for scripts.
    Json,
}

/// How the log is written on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON lines elsewhere.
    Auto,
    /// Text lines.
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_has_exactly_one_owner() {
        for count in 1..7 {
            for unit in 0..50 {
                let owners = (0..count)
                    .filter(|&index| Worker { index, count }.owns(unit))
                    .count();
                assert_eq!(owners, 1, "unit {unit} of {count} workers");
            }
        }
    }
}
