//! How a process ended, and whether it is tried again.

use std::fmt;
use std::process::ExitStatus;
use std::time::Duration;

use tideway_job::error::{EXIT_CONFIG, EXIT_DIFFERENCES, EXIT_FAILED, EXIT_PRECHECK, EXIT_STOPPED};

use crate::workflow::Retry;

/// The longest wait between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Code(u8),
    /// By this signal.
    Signal(i32),
}

impl Ending {
    /// From what the operating system reports.
    #[must_use]
    pub fn of(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(u8::try_from(code).unwrap_or(EXIT_FAILED)),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Code(EXIT_FAILED),
        }
    }

    /// All work is done.
    #[must_use]
    pub fn is_done(self) -> bool {
        self == Self::Code(0)
    }

    /// The exit code that says the same: a process that was killed was interrupted.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(_) => EXIT_FAILED,
        }
    }

    /// Whether running it again as it is may help.
    #[must_use]
    pub fn worth_retrying(self) -> bool {
        // A code that is none of ours (127 of a shell, 101 of a panic) is a failure as well.
        !matches!(
            self.exit_code(),
            0 | EXIT_CONFIG | EXIT_PRECHECK | EXIT_DIFFERENCES | EXIT_STOPPED
        )
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::Code(0) => write!(f, "done"),
            Self::Code(EXIT_FAILED) => write!(f, "failed (exit code 1)"),
            Self::Code(EXIT_CONFIG) => write!(f, "wrong configuration or usage (exit code 2)"),
            Self::Code(EXIT_PRECHECK) => write!(f, "precheck failed (exit code 3)"),
            Self::Code(EXIT_DIFFERENCES) => {
                write!(f, "validation found differences (exit code 4)")
            }
            Self::Code(EXIT_STOPPED) => write!(f, "stopped on request (exit code 5)"),
            Self::Code(code) => write!(f, "failed (exit code {code})"),
        }
    }
}

impl Retry {
    /// How long to wait before the next try, or `None` when there is none.
    #[must_use]
    pub fn next(&self, tries: u32, ending: Ending) -> Option<Duration> {
        if !ending.worth_retrying() || tries >= self.attempts {
            return None;
        }
        let doublings = tries.saturating_sub(1).min(16);
        Some(
            self.backoff
                .saturating_mul(1 << doublings)
                .min(MAX_BACKOFF.max(self.backoff)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(attempts: u32, seconds: u64) -> Retry {
        Retry {
            attempts,
            backoff: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn only_what_a_rerun_may_overcome_is_tried_again() {
        let retry = retry(3, 1);
        for code in [0, 2, 3, 4, 5] {
            assert_eq!(retry.next(1, Ending::Code(code)), None, "code {code}");
        }
        for ending in [Ending::Code(1), Ending::Code(101), Ending::Signal(9)] {
            assert!(retry.next(1, ending).is_some(), "{ending}");
        }
    }

    #[test]
    fn the_wait_doubles_up_to_a_limit_and_tries_are_counted() {
        let retry = retry(10, 100);
        let waits: Vec<u64> = (1..5)
            .map(|tries| retry.next(tries, Ending::Code(1)).unwrap().as_secs())
            .collect();
        assert_eq!(waits, [100, 200, 300, 300]);
        assert!(retry.next(9, Ending::Code(1)).is_some());
        assert_eq!(retry.next(10, Ending::Code(1)), None);
        assert_eq!(Retry::default().next(1, Ending::Code(1)), None);
    }
}
