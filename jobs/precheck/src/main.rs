//! `tideway-precheck`: looks at sources, target and staging before anything moves.

use std::process::ExitCode;

fn main() -> ExitCode {
    tideway_job::main("precheck", tideway_precheck::run)
}
