//! The `main` of every job: parse the flags, start the log, run, turn the end into an exit code.

use std::process::ExitCode;

use crate::args::JobArgs;
use crate::error::{EXIT_CONFIG, EXIT_FAILED, JobError};
use crate::logging;

/// Runs a job and returns its exit code.
///
/// The error goes to the log on standard error; standard output is the job's alone.
pub fn main<A, F, R>(name: &'static str, run: F) -> ExitCode
where
    A: JobArgs,
    F: FnOnce(A) -> R,
    R: Future<Output = Result<(), JobError>>,
{
    crate::allocator::return_large_blocks();
    // clap prints usage and version itself: code 0 for help, 2 for wrong usage.
    let args = A::parse();
    logging::start(args.common().log_format);
    if let Some(addr) = args.common().metrics_addr {
        // The exporter starts its own thread and runtime when there is none yet.
        if let Err(error) = crate::metrics::serve(addr) {
            tracing::error!("{error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start the runtime: {error}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    match runtime.block_on(run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match &error {
                JobError::Stopped => tracing::warn!("{name}: {error}"),
                _ => tracing::error!("{name}: {error}"),
            }
            ExitCode::from(error.exit_code())
        }
    }
}
