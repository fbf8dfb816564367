//! The flags of `tideway-precheck`.

use bytesize::ByteSize;
use tideway_job::{CommonArgs, JobArgs};

use crate::checks::connections::Processes;

/// Check sources, target and staging before a migration.
///
/// Exit code 0: nothing fails (warnings may be there); 3: something does, and the report says what
/// to do. A check is left out by its name in `ignore-checking-items` of the task file.
#[derive(clap::Parser, Clone, Debug)]
#[command(name = "tideway-precheck", version)]
pub struct Args {
    /// Flags that all jobs share.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Warn instead of failing where tables without a key cannot be locked for their moment
    #[arg(long, env = "TIDEWAY_ALLOW_INEXACT", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub allow_inexact: bool,

    /// Warn instead of failing where target tables already hold rows
    #[arg(long, env = "TIDEWAY_INTO_EXISTING", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub into_existing: bool,

    /// Fail where a table has no primary key (DM's check `primary_key`)
    #[arg(long, env = "TIDEWAY_REQUIRE_PRIMARY_KEY", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub require_primary_key: bool,

    /// Processes that dump a source side by side (`tideway run` knows)
    #[arg(long, value_name = "N", default_value_t = 1, hide = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub dump_processes: u32,

    /// Processes that load a source side by side (`tideway run` knows)
    #[arg(long, value_name = "N", default_value_t = 1, hide = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub load_processes: u32,

    /// Look into the rows of tables up to this size (longest row, zero dates); 0 looks into none
    #[arg(
        long,
        env = "TIDEWAY_SCAN_LIMIT",
        value_name = "SIZE",
        default_value = "64MiB"
    )]
    pub scan_limit: ByteSize,
}

impl Args {
    /// How many processes open how many connections.
    #[must_use]
    pub fn processes(&self) -> Processes {
        Processes {
            connections: self.common.workers,
            dump: self.dump_processes,
            load: self.load_processes,
        }
    }
}

impl JobArgs for Args {
    fn common(&self) -> &CommonArgs {
        &self.common
    }
}
