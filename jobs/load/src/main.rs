//! `tideway-load`: a finished dump from staging into the target.

use std::process::ExitCode;

fn main() -> ExitCode {
    tideway_job::main("load", tideway_load::run)
}
