//! Statements of MySQL and MariaDB as a binlog carries them: what kind they are, which tables they
//! name and where, and what they do to a table's definition.
//!
//! No grammar for Rust knows MySQL's DDL, so nothing here tries to read a whole statement. The
//! [`lexer`] cuts the text into tokens, [`Statement::parse`] finds the kind, the names and the
//! places of the names, and [`Statement::rewrite`] replaces just those bytes: what no rule knows
//! reaches the target as it was written. The [`model`] alone reads definitions of columns and keys,
//! and it says [`model::NotUnderstood`] rather than guess.
//!
//! All of this is pure: nothing here talks to a server or makes anything durable, so a kill at any
//! point loses nothing but the work of one call.

use std::collections::BTreeMap;

use crate::info::{Flavor, Version};

mod alter;
mod cursor;
mod events;
pub mod lexer;
pub mod model;
mod names;
mod parse;
mod rewrite;
mod statement;
#[cfg(test)]
mod tests;
mod words;

pub use names::{NameRef, NameRole};
pub use rewrite::Split;
pub use statement::{
    AlterSpec, CreateTable, DmlKind, Kind, PartitionOp, SpecKind, Statement, TransactionWord,
};

/// The bits of a session's `sql_mode` that change how its statements read, as a query event's
/// status variables give them. The numbers are the same in MySQL and MariaDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SqlMode(pub u64);

impl SqlMode {
    /// `REAL` means `FLOAT`.
    pub const REAL_AS_FLOAT: u64 = 1;
    /// `"` quotes names, not strings.
    pub const ANSI_QUOTES: u64 = 1 << 2;
    /// MariaDB's Oracle mode (MySQL 5.7 has the bit too, there it changes no grammar).
    pub const ORACLE: u64 = 1 << 9;
    /// A backslash in a string is a character like any other.
    pub const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;

    /// Whether `"` quotes names.
    #[must_use]
    pub fn ansi_quotes(self) -> bool {
        self.0 & Self::ANSI_QUOTES != 0
    }

    /// Whether backslashes in strings escape nothing.
    #[must_use]
    pub fn no_backslash_escapes(self) -> bool {
        self.0 & Self::NO_BACKSLASH_ESCAPES != 0
    }

    /// Whether `REAL` means `FLOAT`.
    #[must_use]
    pub fn real_as_float(self) -> bool {
        self.0 & Self::REAL_AS_FLOAT != 0
    }

    /// Whether MariaDB reads the statement by Oracle's rules.
    #[must_use]
    pub fn oracle(self) -> bool {
        self.0 & Self::ORACLE != 0
    }
}

/// Under what a statement ran: the server that ran it, and the session variables of its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The source's family. It decides which version comments were read.
    pub flavor: Flavor,
    /// The source's version.
    pub version: Version,
    /// The session's `sql_mode`.
    pub sql_mode: SqlMode,
    /// The session's current database.
    pub default_schema: Option<String>,
    /// The session's `collation_server`: what a `CREATE DATABASE` without a collation gets.
    pub server_collation: String,
    /// Default collations of character sets that differ from the ones of the server's version
    /// (`default_collation_for_utf8mb4`, MariaDB's `character_set_collations`).
    pub default_collations: BTreeMap<String, String>,
    /// `explicit_defaults_for_timestamp`; when off, a TIMESTAMP without NULL takes none.
    pub explicit_defaults_for_timestamp: bool,
    /// `default_storage_engine`.
    pub default_engine: String,
}

impl Context {
    /// The defaults of a server of this family and version; no current database.
    #[must_use]
    pub fn new(flavor: Flavor, version: Version) -> Self {
        let maria = flavor == Flavor::MariaDb;
        let collation = if maria && version >= Version::new(11, 6, 0) {
            "utf8mb4_uca1400_ai_ci"
        } else if maria {
            "latin1_swedish_ci"
        } else if version >= Version::new(8, 0, 0) {
            "utf8mb4_0900_ai_ci"
        } else {
            "latin1_swedish_ci"
        };
        Self {
            flavor,
            version,
            sql_mode: SqlMode::default(),
            default_schema: None,
            server_collation: collation.to_owned(),
            default_collations: BTreeMap::new(),
            explicit_defaults_for_timestamp: if maria {
                version >= Version::new(10, 10, 0)
            } else {
                version >= Version::new(8, 0, 0)
            },
            default_engine: "InnoDB".to_owned(),
        }
    }

    /// The same with a current database.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<String>) -> Self {
        self.default_schema = Some(schema.into());
        self
    }

    /// The same with a `sql_mode`.
    #[must_use]
    pub fn with_sql_mode(mut self, bits: u64) -> Self {
        self.sql_mode = SqlMode(bits);
        self
    }

    fn is_maria(&self) -> bool {
        self.flavor == Flavor::MariaDb
    }
}
