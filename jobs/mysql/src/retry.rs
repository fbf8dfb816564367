//! What is worth trying again, and how often.
//!
//! [`TRANSIENT`] is the one list of server errors that pass by themselves: deadlocks and lock waits,
//! connections cut by a fail-over or a restart, an Aurora or RDS writer that has become a reader,
//! and TiDB's conflicts, schema changes and regions on the move. Trying again is only right for
//! what may be done twice: a whole transaction, or a read from its beginning.

use std::future::Future;
use std::io;
use std::time::Duration;

use mysql_async::{DriverError, IoError};
use tokio::time::Instant;

use crate::error::Error;

/// Server errors that pass by themselves.
pub const TRANSIENT: &[(u16, &str)] = &[
    (1040, "too many connections"),
    (1053, "server shutdown in progress"),
    (1077, "normal shutdown"),
    (1078, "the server got a signal"),
    (1079, "shutdown complete"),
    (1080, "forcing close of thread"),
    (1152, "connection aborted"),
    (
        1153,
        "packet larger than max_allowed_packet, cut connections only (see is_transient_code)",
    ),
    (1158, "error reading communication packets"),
    (1159, "time-out reading communication packets"),
    (1160, "error writing communication packets"),
    (1161, "time-out writing communication packets"),
    (1184, "connection aborted"),
    (1203, "the user has too many connections"),
    (1205, "lock wait time-out"),
    (1206, "lock table is full"),
    (1213, "deadlock"),
    (1226, "the user has exceeded a resource"),
    (1290, "read-only (see is_transient_code)"),
    (1317, "query interrupted"),
    (1412, "definition has changed, start the transaction again"),
    (1429, "cannot connect to foreign data source"),
    (1614, "XA transaction was rolled back: deadlock"),
    (1637, "too many active concurrent transactions"),
    (
        1792,
        "cannot execute in a read-only transaction: a reader after an Aurora fail-over",
    ),
    (1836, "running in read-only mode"),
    (1927, "MariaDB: connection was killed"),
    (2002, "cannot connect by socket"),
    (2003, "cannot connect"),
    (2006, "server has gone away"),
    (2012, "error in server handshake"),
    (2013, "lost connection during query"),
    (2055, "lost connection at reading"),
    (
        3024,
        "query execution was interrupted, maximum time exceeded",
    ),
    (
        3101,
        "the group replication plugin rolled the transaction back",
    ),
    (3168, "server is not available"),
    (3169, "session was killed"),
    (3572, "lock not available at once (NOWAIT)"),
    (4031, "disconnected for inactivity"),
    (
        8001,
        "TiDB: memory of the query exceeded (others may leave room)",
    ),
    (8002, "TiDB: write conflict, cannot retry by itself"),
    (8005, "TiDB: write conflict"),
    (8022, "TiDB: commit failed, was rolled back"),
    (8027, "TiDB: information schema is out of date"),
    (8028, "TiDB: information schema is changed"),
    (8141, "TiDB: assertion failed, regions on the move"),
    (
        8175,
        "TiDB: the instance is short of memory and ended this query",
    ),
    (8229, "TiDB: transaction was aborted for its age"),
    (9001, "TiDB: PD server time-out"),
    (9002, "TiDB: TiKV server time-out"),
    (9003, "TiDB: TiKV server is busy"),
    (9004, "TiDB: resolve lock time-out"),
    (9005, "TiDB: region is unavailable"),
    (9006, "TiDB: GC life time is shorter than the transaction"),
    (9007, "TiDB: write conflict"),
    (9008, "TiDB: too many concurrent requests"),
    (9010, "TiDB: TiKV cannot process the request"),
    (9011, "TiDB: TiKV memory lock error"),
    (9012, "TiDB: TiFlash server time-out"),
    (9013, "TiDB: TiFlash server is busy"),
    (9500, "TiDB: TiKV is not ready"),
];

/// Whether a server error of this code and text passes by itself.
#[must_use]
pub fn is_transient_code(code: u16, message: &str) -> bool {
    match code {
        // One code for all "the server runs with --option": only read-only ends with a fail-over.
        1290 => {
            let message = message.to_ascii_lowercase();
            ["read-only", "read_only", "innodb-read-only"]
                .iter()
                .any(|w| message.contains(w))
        }
        // A packet that is too large is as large next time.
        1153 => false,
        // TiDB answers 1105 for what has no code of its own; only cut regions and time-outs pass.
        1105 => {
            let message = message.to_ascii_lowercase();
            [
                "region unavailable",
                "region is unavailable",
                "tikv server timeout",
                "pd server timeout",
                "server is busy",
                "information schema is changed",
                "information schema is out of date",
                "connection refused",
                "mvcc conflict",
                "context deadline exceeded",
            ]
            .iter()
            .any(|w| message.contains(w))
        }
        _ => TRANSIENT.iter().any(|&(known, _)| known == code),
    }
}

/// Whether what the driver reports passes by itself: a transient code of the server, or a
/// connection that was cut.
#[must_use]
pub fn is_transient(error: &mysql_async::Error) -> bool {
    match error {
        mysql_async::Error::Server(server) => is_transient_code(server.code, &server.message),
        mysql_async::Error::Io(IoError::Io(error)) => is_transient_io(error),
        mysql_async::Error::Driver(error) => {
            matches!(
                error,
                DriverError::ConnectionClosed
                    | DriverError::PacketOutOfOrder
                    | DriverError::PoolDisconnected
            )
        }
        mysql_async::Error::Io(IoError::Tls(_))
        | mysql_async::Error::Other(_)
        | mysql_async::Error::Url(_) => false,
    }
}

/// Whether an I/O error is a connection that was cut or could not be made just now.
fn is_transient_io(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::NotConnected
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::TimedOut
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Interrupted
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown
    )
}

/// An error that knows whether trying again may help.
pub trait Retryable: std::fmt::Display {
    /// Whether the same may succeed when tried again.
    fn retryable(&self) -> bool;
}

impl Retryable for Error {
    fn retryable(&self) -> bool {
        Self::retryable(self)
    }
}

/// How often to try again, and how long to wait between.
///
/// The wait doubles from `first` up to `longest`, each time anew somewhere between its half and its
/// whole, so that the workers that failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first wait.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
    /// Attempts in all; at least one is made.
    pub attempts: u32,
    /// No new attempt is made after this time.
    pub give_up: Duration,
}

impl RetryPolicy {
    /// For work on a server that may fail over, which takes up to a minute or two.
    pub const DEFAULT: Self = Self {
        first: Duration::from_millis(200),
        longest: Duration::from_secs(10),
        attempts: 24,
        give_up: Duration::from_secs(180),
    };

    /// For the first connection of a job: a wrong port should be told soon.
    pub const CONNECT: Self = Self {
        first: Duration::from_millis(200),
        longest: Duration::from_secs(2),
        attempts: 6,
        give_up: Duration::from_secs(30),
    };

    /// No second attempt.
    pub const NEVER: Self = Self {
        first: Duration::ZERO,
        longest: Duration::ZERO,
        attempts: 1,
        give_up: Duration::ZERO,
    };

    /// The wait before attempt `next` (the second attempt is 1).
    fn wait(&self, next: u32) -> Duration {
        let whole = self
            .first
            .saturating_mul(
                1_u32
                    .checked_shl(next.saturating_sub(1))
                    .unwrap_or(u32::MAX),
            )
            .min(self.longest);
        whole.mul_f64(rand::random_range(0.5..=1.0))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Runs `op` until it succeeds, fails for good, or the policy is used up; the last error is
/// returned as it is. Each failure that is tried again is logged with `what`.
///
/// # Errors
/// The last error of `op`.
pub async fn with_retry<T, E, F, Fut>(policy: &RetryPolicy, what: &str, mut op: F) -> Result<T, E>
where
    E: Retryable,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let begun = Instant::now();
    let mut attempt = 1;
    loop {
        let error = match op().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let wait = policy.wait(attempt);
        if !error.retryable()
            || attempt >= policy.attempts
            || begun.elapsed() + wait > policy.give_up
        {
            return Err(error);
        }
        tracing::warn!(attempt, "{what}: {error}; trying again in {wait:.1?}");
        tokio::time::sleep(wait).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// As [`RetryPolicy::CONNECT`], a hundred times faster.
    const QUICK: RetryPolicy = RetryPolicy {
        first: Duration::from_millis(2),
        longest: Duration::from_millis(20),
        attempts: 6,
        give_up: Duration::from_secs(30),
    };

    #[derive(Debug, PartialEq)]
    struct Failure(bool);

    impl std::fmt::Display for Failure {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "failure {}", self.0)
        }
    }

    impl Retryable for Failure {
        fn retryable(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn the_list_is_sorted_and_without_doubles() {
        assert!(TRANSIENT.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn read_only_passes_other_options_do_not() {
        let aurora = "The MySQL server is running with the --read-only option so it cannot \
                      execute this statement";
        assert!(is_transient_code(1290, aurora));
        assert!(!is_transient_code(
            1290,
            "running with the --secure-file-priv option"
        ));
        assert!(!is_transient_code(
            1153,
            "Got a packet bigger than 'max_allowed_packet' bytes"
        ));
        assert!(is_transient_code(1105, "rpc error: Region is unavailable"));
        assert!(!is_transient_code(1105, "unknown: something else"));
        assert!(!is_transient_code(1062, "Duplicate entry"));
        assert!(is_transient_code(9007, "Write conflict"));
    }

    #[tokio::test]
    async fn what_passes_is_tried_until_it_succeeds() {
        let calls = Cell::new(0);
        let policy = QUICK;
        let result = with_retry(&policy, "test", || async {
            calls.set(calls.get() + 1);
            if calls.get() < 4 {
                Err(Failure(true))
            } else {
                Ok(calls.get())
            }
        });
        assert_eq!(result.await, Ok(4));
    }

    #[tokio::test]
    async fn what_does_not_pass_is_not_tried_again() {
        let calls = Cell::new(0);
        let result: Result<(), _> = with_retry(&RetryPolicy::DEFAULT, "test", || async {
            calls.set(calls.get() + 1);
            Err(Failure(false))
        })
        .await;
        assert_eq!((result, calls.get()), (Err(Failure(false)), 1));
    }

    #[tokio::test]
    async fn attempts_and_time_are_bounded() {
        let calls = Cell::new(0);
        let result: Result<(), _> = with_retry(&QUICK, "test", || async {
            calls.set(calls.get() + 1);
            Err(Failure(true))
        })
        .await;
        assert_eq!((result, calls.get()), (Err(Failure(true)), 6));
        let calls = Cell::new(0);
        let policy = RetryPolicy {
            give_up: Duration::ZERO,
            ..QUICK
        };
        let result: Result<(), _> = with_retry(&policy, "test", || async {
            calls.set(calls.get() + 1);
            Err(Failure(true))
        })
        .await;
        assert_eq!((result, calls.get()), (Err(Failure(true)), 1));
    }

    #[test]
    fn waits_grow_and_stay_below_the_longest() {
        let policy = RetryPolicy::DEFAULT;
        for next in 1..80 {
            let wait = policy.wait(next);
            assert!(wait <= policy.longest);
            assert!(wait >= (policy.first / 2).min(policy.longest / 2));
        }
    }
}
