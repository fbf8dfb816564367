//! The flags of `tideway-cdc`, over those that all jobs share.

use std::time::Duration;

use bytesize::ByteSize;
use clap::{Parser, ValueEnum};
use tideway_job::{CommonArgs, JobArgs};

/// Follows the changes of MySQL-compatible sources: captures their binlog into staging, and applies
/// it to the target.
///
/// Without a verb: capture and apply in one process. Run it again after any interruption; it goes on
/// from what is committed.
#[derive(Parser, Clone, Debug)]
#[command(name = "tideway-cdc", version)]
pub struct Args {
    /// Do one half only (default: capture and apply)
    #[arg(value_enum)]
    pub verb: Option<Verb>,

    /// The flags that all jobs share.
    #[command(flatten)]
    pub common: CommonArgs,

    /// End (with exit code 0) when this is reached: now, FILE:OFFSET, a GTID set, or a time such
    /// as 2026-01-31T12:00:00Z
    #[arg(
        long,
        env = "TIDEWAY_UNTIL",
        value_name = "WHERE",
        conflicts_with = "follow"
    )]
    pub until: Option<String>,

    /// Stay until told to finish (the default without --until)
    #[arg(long, env = "TIDEWAY_FOLLOW", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub follow: bool,

    /// Capture: begin here when nothing was captured yet: FILE:OFFSET or a GTID set
    #[arg(long, env = "TIDEWAY_FROM", value_name = "WHERE")]
    pub from: Option<String>,

    /// Capture: size of a segment, before compression
    #[arg(
        long,
        env = "TIDEWAY_SEGMENT_SIZE",
        value_name = "SIZE",
        default_value = "64MiB"
    )]
    pub segment_size: ByteSize,

    /// Capture: a segment with data in it is committed after this time at the latest
    #[arg(long, env = "TIDEWAY_SEGMENT_INTERVAL", value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    pub segment_interval: Duration,

    /// Capture: zstd level of the segments, from 1 to 19; 0 stores them uncompressed
    #[arg(long, env = "TIDEWAY_SEGMENT_ZSTD", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(0..=19))]
    pub segment_zstd: i32,

    /// Wait: how far the target may lie behind the source
    #[arg(long, env = "TIDEWAY_LAG", value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub lag: Duration,

    /// How long to wait for what must be there first (the load, another process's lease), such as 30m
    #[arg(long, env = "TIDEWAY_WAIT", value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s")]
    pub wait: Duration,
}

/// One half of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verb {
    /// Stream the binlog of each source into segments in staging
    Capture,
    /// Replay the segments into the target
    Apply,
    /// End when the target has caught up with the sources
    Wait,
}

impl JobArgs for Args {
    fn common(&self) -> &CommonArgs {
        &self.common
    }
}
