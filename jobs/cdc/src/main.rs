//! `tideway-cdc`: the changes of a source into staging, and from there into the target.

use std::process::ExitCode;

fn main() -> ExitCode {
    tideway_job::main("cdc", tideway_cdc::run)
}
