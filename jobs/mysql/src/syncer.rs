//! How far apply is, as the other jobs see it: the global row of its checkpoint at the target.
//!
//! The table is `meta-schema`.`<task>_syncer_checkpoint`; the global row of a source has empty `db` and
//! `tbl`. Everything before its position is committed at the target. Apply owns the table: here it is
//! only read.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::error::{Error, Result};
use crate::position::BinlogPosition;
use crate::sql;

/// What reading fails with while the table, its database, or a column of this version is not there.
const NOT_THERE: &[u16] = &[1146, 1049, 1054];

/// Name of the table, without its schema.
#[must_use]
pub fn table(task: &str) -> String {
    format!("{task}_syncer_checkpoint")
}

/// Its quoted name.
#[must_use]
pub fn qualified(meta_schema: &str, task: &str) -> String {
    format!("{}.{}", sql::ident(meta_schema), sql::ident(&table(task)))
}

/// The checkpoint of one source.
#[derive(Clone, Debug)]
pub struct Syncer {
    name: String,
    source: String,
}

impl Syncer {
    /// Names the table.
    #[must_use]
    pub fn new(meta_schema: &str, task: &str, source: &str) -> Self {
        Self {
            name: qualified(meta_schema, task),
            source: source.to_owned(),
        }
    }

    /// Its quoted name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The position up to which everything is applied; `None` when this source was never applied (the
    /// table may be missing, or be one of another program).
    ///
    /// # Errors
    /// The server's refusal; a retry helps where [`Error::retryable`] says so.
    pub async fn read(&self, conn: &mut Conn) -> Result<Option<BinlogPosition>> {
        let row: Result<Option<(String, u64, Option<String>)>, _> = conn
            .exec_first(
                format!(
                    "SELECT binlog_name, binlog_pos, binlog_gtid FROM {} \
                     WHERE source = ? AND db = '' AND tbl = ''",
                    self.name
                ),
                (&self.source,),
            )
            .await;
        let row = match row {
            Ok(row) => row,
            Err(mysql_async::Error::Server(error)) if NOT_THERE.contains(&error.code) => None,
            Err(error) => return Err(Error::query(conn, format!("read {}", self.name), error)),
        };
        Ok(row.map(|(file, pos, gtids)| BinlogPosition {
            file,
            pos,
            gtid_set: gtids.filter(|set| !set.is_empty()),
        }))
    }
}

/// Whether a position that was applied lies at or behind one of the source: by their GTIDs where both
/// have them, else by file and offset.
///
/// The GTIDs of a start that is a file and an offset have gaps: what was written before it, and was not
/// yet visible, is in neither set of that moment. With the last GTID of each server reached, and file and
/// offset as well, gaps are of no account.
#[must_use]
pub fn reached(applied: &BinlogPosition, wanted: &BinlogPosition) -> bool {
    match (applied.some_gtids(), wanted.some_gtids()) {
        (Some(gtids), Some(others)) => {
            gtids.contains(&others) || gtids.reaches(&others) && applied.reached(wanted)
        }
        _ => applied.reached(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gtids_count_where_both_sides_have_them() {
        let at = |pos, set: Option<&str>| BinlogPosition {
            file: "binlog.000003".into(),
            pos,
            gtid_set: set.map(str::to_owned),
        };
        let uuid = "ea2c5f47-e8d3-11f1-a3da-02fc00000001";
        let set = |to: u32| format!("{uuid}:1-{to}");
        // After a fail-over the new server's offsets say nothing.
        assert!(reached(&at(4, Some(&set(9))), &at(900, Some(&set(9)))));
        assert!(!reached(&at(900, Some(&set(8))), &at(4, Some(&set(9)))));
        assert!(reached(&at(900, None), &at(900, Some(&set(9)))));
        assert!(!reached(&at(899, Some(&set(9))), &at(900, None)));
        // Written before the start, visible after it.
        let gap = format!("{uuid}:1-3:7-9");
        assert!(reached(&at(900, Some(&gap)), &at(900, Some(&set(9)))));
        assert!(!reached(&at(899, Some(&gap)), &at(900, Some(&set(9)))));
        assert!(!reached(&at(900, Some(&gap)), &at(900, Some(&set(10)))));
    }

    #[test]
    fn names_are_quoted() {
        let syncer = Syncer::new("dm`meta", "orders", "s1");
        assert_eq!(syncer.name(), "`dm``meta`.`orders_syncer_checkpoint`");
    }
}
