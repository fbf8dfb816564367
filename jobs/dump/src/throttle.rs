//! Keeping the source well: a rate that this process does not exceed, and a pause between chunks
//! while the source has too much to do.

use std::str::FromStr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use bytesize::ByteSize;
use mysql_async::prelude::Queryable;
use tideway_mysql::connect::Server;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How much to read per second at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Rows per second.
    Rows(u64),
    /// Bytes of values per second.
    Bytes(u64),
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let trimmed = text.trim().trim_end_matches("/s");
        let rate = match trimmed.strip_suffix("rows") {
            Some(rows) => rows.trim().parse().ok().map(Self::Rows),
            None => trimmed
                .parse::<ByteSize>()
                .ok()
                .map(|size| Self::Bytes(size.as_u64())),
        };
        match rate {
            Some(Self::Rows(0) | Self::Bytes(0)) | None => Err(format!(
                "`{text}` is no rate: give bytes per second such as 50MiB, or rows per second \
                 such as 20000rows"
            )),
            Some(rate) => Ok(rate),
        }
    }
}

/// Spreads what is read over time: whoever has read something waits until the rate allows more.
pub struct Limiter {
    rate: Option<Rate>,
    /// When what was read so far would have been read at exactly the rate.
    free_at: Mutex<Option<Instant>>,
}

impl Limiter {
    /// A limiter for one source; `None` limits nothing.
    #[must_use]
    pub fn new(rate: Option<Rate>) -> Self {
        Self {
            rate,
            free_at: Mutex::new(None),
        }
    }

    /// Accounts for what was read and waits as long as the rate asks for, or until `stop`.
    pub async fn spend(&self, rows: u64, bytes: u64, stop: &CancellationToken) {
        let Some(until) = self.reserve(rows, bytes, Instant::now()) else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = stop.cancelled() => {}
        }
    }

    fn reserve(&self, rows: u64, bytes: u64, now: Instant) -> Option<Instant> {
        let (amount, per_second) = match self.rate? {
            Rate::Rows(rate) => (rows, rate),
            Rate::Bytes(rate) => (bytes, rate),
        };
        // Rates are far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        let cost = Duration::from_secs_f64(amount as f64 / per_second as f64);
        // The guarded value is one instant: no panic can leave it half written.
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let until = free_at.map_or(now, |free| free.max(now)) + cost;
        *free_at = Some(until);
        Some(until)
    }
}

/// Whether the source has capacity for another chunk.
///
/// Only the beginning of a chunk waits: a chunk that paused in the middle would keep its own thread
/// on the server running, count among the running ones, and hold its snapshot for longer.
#[derive(Clone)]
pub struct Gate {
    busy: Option<watch::Receiver<bool>>,
}

impl Gate {
    /// Watches `Threads_running` of the source, until the last gate is dropped. Without a ceiling
    /// the gate is always open.
    #[must_use]
    pub fn watch(server: &Server, ceiling: Option<u64>, source: &str) -> Self {
        let Some(ceiling) = ceiling else {
            return Self { busy: None };
        };
        // Closed until the first answer.
        let (tx, rx) = watch::channel(true);
        let (server, source) = (server.clone(), source.to_owned());
        tokio::spawn(async move {
            let mut told = false;
            while !tx.is_closed() {
                match threads_running(&server).await {
                    Ok(running) => {
                        let busy = running > ceiling;
                        let changed = std::mem::replace(&mut told, busy) != busy;
                        tx.send_replace(busy);
                        if changed && busy {
                            tracing::info!(
                                source,
                                "{running} threads run on the source, more than \
                                 --max-threads-running {ceiling}: no new chunk until that falls"
                            );
                        } else if changed {
                            tracing::info!(source, "{running} threads run on the source: going on");
                        }
                    }
                    Err(error) => {
                        // Not knowing must not stop the dump for good.
                        tracing::warn!(source, "cannot read Threads_running: {error}");
                        tx.send_replace(false);
                    }
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        Self { busy: Some(rx) }
    }

    /// Waits until the source has capacity, or until `stop`.
    pub async fn pass(&self, stop: &CancellationToken) {
        let Some(mut busy) = self.busy.clone() else {
            return;
        };
        tokio::select! {
            // An error means that the watching task is gone: then nobody would ever open the gate.
            _ = busy.wait_for(|busy| !busy) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn threads_running(server: &Server) -> anyhow::Result<u64> {
    let mut conn = server.conn().await?;
    let row: Option<(String, String)> = conn
        .query_first("SHOW GLOBAL STATUS LIKE 'Threads_running'")
        .await?;
    let (_, value) = row.ok_or_else(|| anyhow::anyhow!("the server has no such status"))?;
    Ok(value.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        assert_eq!("50MiB".parse(), Ok(Rate::Bytes(50 << 20)));
        assert_eq!("50MiB/s".parse(), Ok(Rate::Bytes(50 << 20)));
        assert_eq!("20000rows".parse(), Ok(Rate::Rows(20_000)));
        assert_eq!("20000 rows/s".parse(), Ok(Rate::Rows(20_000)));
        for wrong in ["", "0", "0rows", "fast", "-1rows"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_read_is_spread_over_time() {
        let limiter = Limiter::new(Some(Rate::Rows(100)));
        let now = Instant::now();
        let first = limiter.reserve(50, 0, now).unwrap();
        let second = limiter.reserve(50, 0, now).unwrap();
        assert_eq!(first - now, Duration::from_millis(500));
        assert_eq!(second - now, Duration::from_secs(1));
        // Time that passed unused is not saved up.
        let later = now + Duration::from_secs(60);
        assert_eq!(
            limiter.reserve(10, 0, later).unwrap() - later,
            Duration::from_millis(100)
        );
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        assert!(
            Limiter::new(None)
                .reserve(1 << 40, 1 << 40, Instant::now())
                .is_none()
        );
    }
}
