//! GTID sets of MySQL (with tags) and MariaDB.
//!
//! MySQL numbers transactions per server and tag, with gaps: `uuid:1-5:7:tag:1-3`. MariaDB numbers
//! them per domain, without: `0-1-5` stands for all of domain 0 up to 5, by whichever server.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod sets;

/// A text that is no GTID set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no GTID set: {what}")]
pub struct GtidError {
    /// The text.
    pub text: String,
    /// What is wrong.
    pub what: String,
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gtid {
    /// Of MySQL.
    MySql {
        /// UUID of the server where it was committed first, in lower case with dashes.
        uuid: String,
        /// Its tag, in lower case; empty for none.
        tag: String,
        /// Its number there, from 1 on.
        number: u64,
    },
    /// Of MariaDB.
    MariaDb {
        /// Its domain.
        domain: u32,
        /// `server_id` of the server where it was committed first.
        server: u32,
        /// Its number in the domain, from 1 on.
        number: u64,
    },
}

/// As the server prints it: `uuid:7`, `uuid:tag:7`, `0-1-7`.
impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql { uuid, tag, number } if tag.is_empty() => write!(f, "{uuid}:{number}"),
            Self::MySql { uuid, tag, number } => write!(f, "{uuid}:{tag}:{number}"),
            Self::MariaDb {
                domain,
                server,
                number,
            } => write!(f, "{domain}-{server}-{number}"),
        }
    }
}

/// A set of transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum GtidSet {
    /// Of MySQL.
    MySql(MySqlGtids),
    /// Of MariaDB.
    MariaDb(MariaDbGtids),
}

/// MySQL's: for each server and tag (empty for none) the ranges, both ends included, sorted, apart
/// from each other by at least one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MySqlGtids {
    ranges: BTreeMap<(String, String), Vec<(u64, u64)>>,
}

/// MariaDB's: for each domain the last number and the server that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MariaDbGtids {
    domains: BTreeMap<u32, (u32, u64)>,
}

impl GtidSet {
    /// Reads a set; what is empty is MySQL's empty set.
    ///
    /// # Errors
    /// The text is no GTID set.
    pub fn parse(text: &str) -> Result<Self, GtidError> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let wrong = |what: String| GtidError {
            text: text.to_owned(),
            what,
        };
        if compact.contains(':') || compact.chars().all(|c| c == ',') {
            MySqlGtids::read(&compact).map(Self::MySql).map_err(wrong)
        } else {
            MariaDbGtids::read(&compact)
                .map(Self::MariaDb)
                .map_err(wrong)
        }
    }

    /// Whether there is no transaction in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::MySql(set) => set.ranges.is_empty(),
            Self::MariaDb(set) => set.domains.is_empty(),
        }
    }

    /// Whether every transaction of `other` is in this one. Sets of different kinds contain each
    /// other only when empty.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.subtract(self).is_empty()
    }

    /// Whether of each server and tag (of each domain) in `other` the last transaction is in this one,
    /// or a later one: what is missing then are gaps.
    #[must_use]
    pub fn reaches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MySql(a), Self::MySql(b)) => a.reaches(b),
            _ => self.contains(other),
        }
    }

    /// Whether this transaction is in it.
    #[must_use]
    pub fn has(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (Self::MySql(set), Gtid::MySql { uuid, tag, number }) => set.has(uuid, tag, *number),
            (Self::MariaDb(set), Gtid::MariaDb { domain, number, .. }) => {
                let last = set.domains.get(domain);
                last.is_some_and(|(_, last)| number <= last)
            }
            _ => false,
        }
    }

    /// Adds a transaction. For MariaDB all of its domain before it come with it.
    ///
    /// # Errors
    /// The set is not empty and of the other kind. A retry does not help: two sources were mixed up.
    pub fn add(&mut self, gtid: &Gtid) -> Result<(), GtidError> {
        match (&mut *self, gtid) {
            (Self::MySql(set), Gtid::MySql { uuid, tag, number }) => {
                set.add(uuid, tag, *number);
                Ok(())
            }
            (
                Self::MariaDb(set),
                Gtid::MariaDb {
                    domain,
                    server,
                    number,
                },
            ) => {
                set.advance(*domain, *server, *number);
                Ok(())
            }
            (set, gtid) if set.is_empty() => {
                *set = match gtid {
                    Gtid::MySql { .. } => Self::MySql(MySqlGtids::default()),
                    Gtid::MariaDb { .. } => Self::MariaDb(MariaDbGtids::default()),
                };
                set.add(gtid)
            }
            (set, gtid) => Err(GtidError {
                text: set.to_string(),
                what: format!("of the kind of `{gtid}`: one is MySQL's, the other MariaDB's"),
            }),
        }
    }

    /// The transactions of both. Of sets of different kinds, `self` unless it is empty.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::MySql(a), Self::MySql(b)) => Self::MySql(a.union(b)),
            (Self::MariaDb(a), Self::MariaDb(b)) => Self::MariaDb(a.union(b)),
            (a, b) => {
                if a.is_empty() {
                    b.clone()
                } else {
                    a.clone()
                }
            }
        }
    }

    /// The transactions that are not in `other`. For MariaDB, the domains in which this set is
    /// ahead.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::MySql(a), Self::MySql(b)) => Self::MySql(a.subtract(b)),
            (Self::MariaDb(a), Self::MariaDb(b)) => Self::MariaDb(a.subtract(b)),
            (a, _) => a.clone(),
        }
    }
}

impl FromStr for GtidSet {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for GtidSet {
    type Error = GtidError;

    fn try_from(text: String) -> Result<Self, GtidError> {
        Self::parse(&text)
    }
}

impl From<GtidSet> for String {
    fn from(set: GtidSet) -> Self {
        set.to_string()
    }
}

/// As the server prints it, without line breaks.
impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql(set) => set.fmt(f),
            Self::MariaDb(set) => set.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
