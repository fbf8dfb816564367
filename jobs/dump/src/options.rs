//! The flags of `tideway-dump`, over those that all jobs share.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use tideway_job::{CommonArgs, JobArgs};

use crate::throttle::Rate;

/// Dumps the tables of MySQL-compatible sources to staging, as Parquet.
///
/// Without a verb: plan, run and finish. Run it again after any interruption; it continues from the
/// chunks that are committed.
#[derive(Parser, Clone, Debug)]
#[command(name = "tideway-dump", version)]
pub struct Args {
    /// Do one step only (default: all three)
    #[arg(value_enum)]
    pub verb: Option<Verb>,

    /// The flags that all jobs share.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Read at most this much per second from each source and process: 50MiB, or 20000rows
    #[arg(long, env = "TIDEWAY_RATE", value_name = "RATE")]
    pub rate: Option<Rate>,

    /// Begin no chunk while the source has more running threads than this (ours are among them)
    #[arg(long, env = "TIDEWAY_MAX_THREADS_RUNNING", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_threads_running: Option<u64>,

    /// Without GTID in task mode `all`: how long after the start the first read comes at the
    /// earliest, so that transactions in the binlog have become visible
    #[arg(long, env = "TIDEWAY_SETTLE", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub settle: Duration,

    /// Dump tables without a key even where LOCK TABLES is refused, as an inexact copy
    #[arg(long, env = "TIDEWAY_ALLOW_INEXACT", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub allow_inexact: bool,

    /// Compression level of zstd in the Parquet files, from 1 to 19
    #[arg(long, env = "TIDEWAY_ZSTD_LEVEL", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=19))]
    pub zstd_level: i32,
}

/// One step of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verb {
    /// Read the definitions and divide the tables into chunks
    Plan,
    /// Read the chunks of this worker
    Run,
    /// Check that all chunks are there, tidy up, and write the manifest
    Finish,
}

impl Args {
    /// Whether this process plans.
    #[must_use]
    pub fn plans(&self) -> bool {
        matches!(self.verb, None | Some(Verb::Plan))
    }

    /// Whether this process reads chunks.
    #[must_use]
    pub fn runs(&self) -> bool {
        matches!(self.verb, None | Some(Verb::Run))
    }

    /// Whether this process finishes the dump.
    #[must_use]
    pub fn finishes(&self) -> bool {
        matches!(self.verb, None | Some(Verb::Finish))
    }
}

impl JobArgs for Args {
    fn common(&self) -> &CommonArgs {
        &self.common
    }
}

/// `10s`, `1500ms`, `0s`; a bare number is seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit() && c != '.') {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not a time such as 10s, 500ms or 2m"))?;
    let seconds = match unit.trim() {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        other => return Err(format!("`{other}` is not a unit of time: ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("`{text}`: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("3"), Ok(Duration::from_secs(3)));
        assert!(parse_duration("soon").is_err());
        assert!(parse_duration("3 fortnights").is_err());
    }

    #[test]
    fn verbs_stand_before_or_behind_the_flags() {
        for line in [
            "tideway-dump plan --task t --source s",
            "tideway-dump --task t --source s plan",
        ] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(args.verb, Some(Verb::Plan));
            assert!(args.plans() && !args.runs() && !args.finishes());
        }
        let args = Args::try_parse_from(["tideway-dump", "--task", "t", "--source", "s"]).unwrap();
        assert!(args.plans() && args.runs() && args.finishes());
    }
}
