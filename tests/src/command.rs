//! Running the binaries as a person does.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Asserts the exit code, showing what the command said otherwise.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "unexpected end\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that the command was killed by SIGKILL.
    pub fn expect_killed(self) -> Self {
        assert_eq!(
            self.code, None,
            "was not killed\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Asserts that standard error says each of `parts`.
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(
                self.stderr.contains(part) || self.stdout.contains(part),
                "does not say `{part}`\n--- stdout\n{}\n--- stderr\n{}",
                self.stdout,
                self.stderr
            );
        }
        self
    }
}

/// The path of one of Tideway's binaries: beside the folder of the test's own.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("own path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push(name);
    assert!(
        path.exists(),
        "{} is not built: `cargo build --workspace --all-targets` in the same profile first",
        path.display()
    );
    path
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ended {
    ended(&command.stdin(Stdio::null()).output().expect("start"))
}

/// Starts a command and kills it (SIGKILL) after `delay`, unless it ended before.
pub fn run_and_kill(command: &mut Command, delay: Duration) -> Ended {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start");
    let start = Instant::now();
    while start.elapsed() < delay {
        if child.try_wait().expect("wait").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    // Fails only when it has ended already.
    let _ = child.kill();
    ended(&child.wait_with_output().expect("wait"))
}

fn ended(output: &Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
