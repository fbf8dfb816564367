//! `LOAD DATA LOCAL` as one call: what was sent in, what the server counted out.

use std::fmt;
use std::io;

use bytes::Bytes;
use futures::stream::BoxStream;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// What the server says of a `LOAD DATA`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines read.
    pub records: u64,
    /// Rows that gave way to others of the same key (REPLACE).
    pub deleted: u64,
    /// Rows left out because their key existed.
    pub skipped: u64,
    /// Values bent, and rows left out.
    pub warnings: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records, {} deleted, {} skipped, {} warnings",
            self.records, self.deleted, self.skipped, self.warnings
        )
    }
}

impl Counts {
    /// Reads `Records: 4  Deleted: 0  Skipped: 1  Warnings: 3`.
    #[must_use]
    pub fn parse(info: &str) -> Option<Self> {
        let mut counts = [None; 4];
        let mut words = info.split_whitespace();
        while let Some(word) = words.next() {
            let place = match word {
                "Records:" => 0,
                "Deleted:" => 1,
                "Skipped:" => 2,
                "Warnings:" => 3,
                _ => continue,
            };
            counts[place] = words.next()?.parse().ok();
        }
        Some(Self {
            records: counts[0]?,
            deleted: counts[1]?,
            skipped: counts[2]?,
            warnings: counts[3]?,
        })
    }
}

/// How a `LOAD DATA LOCAL` ended.
#[derive(Debug)]
pub enum Outcome {
    /// The server took it all and counted.
    Loaded(Counts),
    /// The server does not allow LOCAL.
    NoLocal(String),
    /// The transaction is too large for TiDB.
    TooLarge(mysql_async::Error),
    /// Anything else.
    Failed(mysql_async::Error),
}

/// `The used command is not allowed`, `Loading local data is disabled`, and MariaDB's.
const NO_LOCAL: &[u16] = &[1148, 3948, 4166];
/// TiDB: the transaction as a whole is too large, or takes too much memory.
const TOO_LARGE: &[u16] = &[8004, 8176];

/// Runs the statement on a stream of packets.
pub async fn load_data(
    conn: &mut Conn,
    sql: &str,
    text: BoxStream<'static, io::Result<Bytes>>,
) -> Outcome {
    // The handler must be Sync, which the stream need not be: it is handed over only once.
    let text = std::sync::Mutex::new(Some(text));
    conn.set_infile_handler(async move {
        let text = text
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        text.ok_or_else(|| mysql_async::Error::Other("the text was taken already".into()))
    });
    match conn.query_drop(sql).await {
        Ok(()) => {
            let info = conn.info();
            match Counts::parse(&info) {
                Some(counts) => Outcome::Loaded(counts),
                None => Outcome::Failed(mysql_async::Error::Other(
                    format!("the server's answer to LOAD DATA has no counts: {info:?}").into(),
                )),
            }
        }
        Err(mysql_async::Error::Server(error)) if NO_LOCAL.contains(&error.code) => {
            Outcome::NoLocal(error.message)
        }
        Err(error) => match &error {
            mysql_async::Error::Server(server) if TOO_LARGE.contains(&server.code) => {
                Outcome::TooLarge(error)
            }
            _ => Outcome::Failed(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read() {
        assert_eq!(
            Counts::parse("Records: 4  Deleted: 0  Skipped: 1  Warnings: 70000"),
            Some(Counts {
                records: 4,
                deleted: 0,
                skipped: 1,
                warnings: 70_000
            })
        );
        assert_eq!(Counts::parse("Rows matched: 1"), None);
    }
}
