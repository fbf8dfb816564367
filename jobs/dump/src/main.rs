//! `tideway-dump`: see the library's documentation.

use std::process::ExitCode;

fn main() -> ExitCode {
    tideway_job::main("dump", tideway_dump::run)
}
