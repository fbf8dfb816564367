//! Positions in a server's binary log.

use std::fmt;

use mysql_async::Conn;
use serde::{Deserialize, Serialize};

use crate::answer::{self, Answer};
use crate::error::Result;
use crate::gtid::GtidSet;
use crate::info::{Flavor, ServerInfo, Version};
use crate::sql;

/// A place in the binary log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BinlogPosition {
    /// The log file.
    pub file: String,
    /// The offset in it; for TiDB the timestamp of its oracle.
    pub pos: u64,
    /// The GTIDs executed up to there, where the server has them.
    #[serde(default)]
    pub gtid_set: Option<String>,
}

/// As DM shows it: `(binlog.000001, 154)`, with the GTID set behind.
impl fmt::Display for BinlogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())?;
        match &self.gtid_set {
            Some(gtids) if !gtids.is_empty() => write!(f, " gtid {gtids}"),
            _ => Ok(()),
        }
    }
}

impl BinlogPosition {
    /// File and offset as DM shows them: `(binlog.000001, 154)`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("({}, {})", self.file, self.pos)
    }

    /// The GTIDs executed up to there; `None` where there are none, or they are no set.
    #[must_use]
    pub fn gtids(&self) -> Option<GtidSet> {
        GtidSet::parse(self.gtid_set.as_deref()?).ok()
    }

    /// As [`BinlogPosition::gtids`], but `None` also for the empty set: nothing can be told by it.
    #[must_use]
    pub fn some_gtids(&self) -> Option<GtidSet> {
        self.gtids().filter(|set| !set.is_empty())
    }

    /// The number of the log file: 7 of `binlog.000007`.
    #[must_use]
    pub fn file_number(&self) -> Option<u64> {
        self.file.rsplit_once('.')?.1.parse().ok()
    }

    /// Whether this place lies at or behind `other` of the same server, by file and offset. Files
    /// are compared by number: `binlog.1000000` comes after `binlog.999999`.
    #[must_use]
    pub fn reached(&self, other: &Self) -> bool {
        (self.file_number(), &self.file, self.pos) >= (other.file_number(), &other.file, other.pos)
    }
}

/// Whether a server that stands at `now` took the place of the one that stood at `recorded`, by its
/// history: every transaction that had been executed there was executed here. Without GTIDs this
/// cannot be known.
///
/// It is what a fail-over looks like: another UUID, the same transactions.
#[must_use]
pub fn continues(recorded: Option<&BinlogPosition>, now: Option<&BinlogPosition>) -> bool {
    let set = |position: Option<&BinlogPosition>| position?.some_gtids();
    match (set(recorded), set(now)) {
        (Some(recorded), Some(now)) => now.contains(&recorded),
        _ => false,
    }
}

/// What names for a statement fail with when the server does not know it.
const SYNTAX: u16 = 1064;

/// The server's position now; `None` when it writes no binary log.
///
/// File, offset and GTID set belong to one instant: MySQL answers them in one row, and on MariaDB
/// the GTIDs are asked for by that file and offset.
///
/// # Errors
/// The statement fails; it needs REPLICATION CLIENT (BINLOG MONITOR on MariaDB).
pub async fn current(conn: &mut Conn, info: &ServerInfo) -> Result<Option<BinlogPosition>> {
    let what = "read the position of the binary log";
    let Some(row) = status(conn, info, what).await? else {
        return Ok(None);
    };
    let (Some(file), pos) = (
        row.text("File").filter(|f| !f.is_empty()),
        row.number("Position"),
    ) else {
        return Ok(None);
    };
    let gtid_set = match info.flavor {
        Flavor::MySql | Flavor::Aurora => row
            .text("Executed_Gtid_Set")
            // The server breaks long sets into lines.
            .map(|set| set.replace(['\n', '\r', ' '], ""))
            .filter(|set| !set.is_empty()),
        Flavor::MariaDb => mariadb_gtids(conn, what, &file, pos).await?,
        Flavor::TiDb => None,
    };
    Ok(Some(BinlogPosition {
        file,
        pos,
        gtid_set,
    }))
}

/// The row of SHOW BINARY LOG STATUS, or of SHOW MASTER STATUS where that is not known.
async fn status(conn: &mut Conn, info: &ServerInfo, what: &str) -> Result<Option<Answer>> {
    let (new, old) = ("SHOW BINARY LOG STATUS", "SHOW MASTER STATUS");
    let is_mysql = matches!(info.flavor, Flavor::MySql | Flavor::Aurora);
    let order = if is_mysql && info.version >= Version::new(8, 2, 0) {
        [new, old]
    } else {
        [old, new]
    };
    match answer::first(conn, what, order[0]).await {
        Err(error) if error.code() == Some(SYNTAX) => answer::first(conn, what, order[1]).await,
        other => other,
    }
}

/// MariaDB's GTIDs at a place in its log.
async fn mariadb_gtids(
    conn: &mut Conn,
    what: &str,
    file: &str,
    pos: u64,
) -> Result<Option<String>> {
    let sql = format!("SELECT BINLOG_GTID_POS({}, {pos})", sql::quoted(file));
    let row = answer::first(conn, what, &sql).await?;
    // NULL when the place is no longer known; the variable is later by no more than what was
    // written since.
    match row.and_then(|row| row.text_at(0)) {
        Some(set) => Ok(Some(set).filter(|set| !set.is_empty())),
        None => {
            let row = answer::first(conn, what, "SELECT @@global.gtid_binlog_pos").await?;
            Ok(row
                .and_then(|row| row.text_at(0))
                .filter(|set| !set.is_empty()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: &str, pos: u64) -> BinlogPosition {
        BinlogPosition {
            file: file.into(),
            pos,
            gtid_set: None,
        }
    }

    #[test]
    fn a_server_took_the_place_when_it_holds_all_transactions() {
        let with = |set: &str| BinlogPosition {
            gtid_set: Some(set.to_owned()),
            ..at("binlog.000001", 4)
        };
        let uuid = "ea2c5f47-e8d3-11f1-a3da-02fc00000001";
        let other = "ea36728f-e8d3-11f1-b038-02fc00000001";
        let start = with(&format!("{uuid}:1-10"));
        let continued = |now: &str| continues(Some(&start), Some(&with(now)));
        assert!(continued(&format!("{uuid}:1-10")));
        assert!(continued(&format!("{uuid}:1-12,{other}:1-3")));
        assert!(!continued(&format!("{uuid}:1-9,{other}:1-3")));
        assert!(!continued(&format!("{other}:1-100")));
        assert!(!continued("") && !continued("0-1-100"));
        assert!(!continues(Some(&start), None));
        // A start without transactions says nothing about the server.
        assert!(!continues(Some(&with("")), Some(&start)));
        assert!(!continues(Some(&at("binlog.000001", 4)), Some(&start)));
        assert!(continues(Some(&with("0-1-5")), Some(&with("0-2-7"))));
        assert!(!continues(Some(&with("0-1-5,1-1-2")), Some(&with("0-2-7"))));
    }

    #[test]
    fn places_compare_by_the_number_of_the_file() {
        assert!(at("binlog.1000000", 4).reached(&at("binlog.999999", 900)));
        assert!(!at("binlog.000002", 154).reached(&at("binlog.000002", 155)));
        assert!(at("binlog.000002", 155).reached(&at("binlog.000002", 155)));
        assert_eq!(at("binlog.000007", 4).to_string(), "(binlog.000007, 4)");
    }
}
