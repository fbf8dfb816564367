//! The `tideway` executable.

use std::process::ExitCode;

use clap::Parser;
use tideway::cli::{Cli, Command, ConfigCommand, SchemaOf};
use tideway::{
    binlog, cleanup, config_check, cutover, query_status, run, staging_cmd, status, wish, workflow,
};
use tideway_job::error::EXIT_FAILED;
use tideway_job::{JobError, LogFormat, logging};
use tideway_staging::control::What;

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(LogFormat::Text);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tideway: cannot start the runtime: {error}");
            return ExitCode::from(EXIT_FAILED);
        }
    };
    match runtime.block_on(command(cli.command)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("tideway: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn command(command: Command) -> Result<u8, JobError> {
    match command {
        Command::Run(args) => return run::run(&args).await,
        Command::Status(args) => status::run(&args).await?,
        Command::QueryStatus(args) => return query_status::run(&args).await,
        Command::Pause(args) => wish::run(&args, What::Pause).await?,
        Command::Resume(args) => wish::run(&args, What::Resume).await?,
        Command::Stop(args) => wish::run(&args, What::Stop).await?,
        Command::Finish(args) => wish::run(&args, What::Finish).await?,
        Command::Binlog(command) => binlog::run(&command).await?,
        Command::Cutover(args) => return cutover::run(&args).await,
        Command::Config(ConfigCommand::Check(args)) => config_check::run(&args).await?,
        Command::Staging(command) => staging_cmd::run(&command).await?,
        Command::Cleanup(args) => cleanup::run(&args).await?,
        Command::Schema(args) => match args.of {
            SchemaOf::Workflow => print!("{}", workflow::schema::text()),
        },
    }
    Ok(0)
}
