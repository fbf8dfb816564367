//! `tideway-validate`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tideway_job::main("validate", tideway_validate::run)
}
