//! Rows, bytes and time to expect.
//!
//! Rows and bytes are the servers' own estimates (`information_schema.tables`, which InnoDB
//! samples). The rates are those of one process on two cores beside its servers; a network in
//! between, or a loaded source, makes it slower, so the report names them.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::survey::Table;

/// Bytes a second that a dump reads.
const DUMP_BYTES: u64 = 60 << 20;
/// Rows a second that a dump reads.
const DUMP_ROWS: u64 = 300_000;
/// Bytes a second that a load writes.
const LOAD_BYTES: u64 = 20 << 20;
/// Rows a second that a load writes.
const LOAD_ROWS: u64 = 60_000;
/// Staged Parquet is about this part of the rows in a server's pages: one in so many.
const STAGED_PART: u64 = 3;

/// What to expect of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// The source.
    pub source: String,
    /// Tables in scope.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes in the source's pages.
    pub bytes: u64,
    /// Bytes in staging.
    pub staged_bytes: u64,
    /// Seconds of the dump.
    pub dump_seconds: u64,
    /// Seconds of the load.
    pub load_seconds: u64,
}

impl Estimate {
    /// Adds up the tables of a source.
    pub fn new(source: &str, tables: &[Table]) -> Self {
        let rows = tables
            .iter()
            .fold(0u64, |sum, t| sum.saturating_add(t.rows));
        let bytes = tables
            .iter()
            .fold(0u64, |sum, t| sum.saturating_add(t.bytes));
        let seconds = |bytes_rate: u64, rows_rate: u64| {
            (bytes / bytes_rate)
                .max(rows / rows_rate)
                .max(u64::from(!tables.is_empty()))
        };
        Self {
            source: source.to_owned(),
            tables: tables.len() as u64,
            rows,
            bytes,
            staged_bytes: bytes / STAGED_PART,
            dump_seconds: seconds(DUMP_BYTES, DUMP_ROWS),
            load_seconds: seconds(LOAD_BYTES, LOAD_ROWS),
        }
    }

    /// Time of dump and load.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.dump_seconds.saturating_add(self.load_seconds))
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |seconds| humantime::format_duration(Duration::from_secs(seconds));
        write!(
            f,
            "{}: {} tables, about {} rows, {} at the source, {} staged; dump about {}, load about \
             {} (at {}/s and {}/s)",
            self.source,
            self.tables,
            self.rows,
            ByteSize(self.bytes).display().iec(),
            ByteSize(self.staged_bytes).display().iec(),
            time(self.dump_seconds),
            time(self.load_seconds),
            ByteSize(DUMP_BYTES).display().iec(),
            ByteSize(LOAD_BYTES).display().iec(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tideway_mysql::schema::TableName;

    #[test]
    fn sums_and_times() {
        let table = |rows, bytes| Table {
            name: TableName::new("s", "t"),
            target: TableName::new("s", "t"),
            rule: None,
            rows,
            bytes,
            keyless: false,
        };
        let estimate = Estimate::new("a", &[table(3_000_000, 600 << 20), table(0, 0)]);
        assert_eq!((estimate.tables, estimate.rows), (2, 3_000_000));
        assert_eq!(estimate.staged_bytes, 200 << 20);
        assert_eq!(estimate.dump_seconds, 10);
        assert_eq!(estimate.load_seconds, 50);
        assert!(
            estimate
                .to_string()
                .contains("about 3000000 rows, 600.0 MiB"),
            "{estimate}"
        );
        assert_eq!(Estimate::new("a", &[]).dump_seconds, 0);
        assert_eq!(
            Estimate::new("a", &[table(u64::MAX, 1), table(u64::MAX, 1)]).rows,
            u64::MAX
        );
    }
}
