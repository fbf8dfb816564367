//! The flags of `tideway-load`.

use std::time::Duration;

use bytesize::ByteSize;
use clap::Parser;
use tideway_job::{CommonArgs, JobArgs};

/// Loads a finished dump from staging into the target, exactly once however often it is killed and
/// run again.
#[derive(Parser, Clone, Debug)]
#[command(name = "tideway-load", version)]
pub struct Args {
    /// The flags that all jobs share.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Add to target tables that hold other rows already
    #[arg(long, env = "TIDEWAY_INTO_EXISTING", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub into_existing: bool,

    /// How long to wait for the dump to be finished, such as 30m
    #[arg(long, env = "TIDEWAY_WAIT", value_name = "TIME", value_parser = humantime::parse_duration, default_value = "0s")]
    pub wait: Duration,

    /// Bytes of rows in a transaction, at most (default: 63 MiB, 24 MiB into TiDB)
    #[arg(long, env = "TIDEWAY_TRANSACTION", value_name = "SIZE")]
    pub transaction: Option<ByteSize>,
}

impl JobArgs for Args {
    fn common(&self) -> &CommonArgs {
        &self.common
    }
}
