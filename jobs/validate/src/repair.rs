//! SQL that would make the target equal, for a person to read and run.
//!
//! The statements of a table come in this order: rows that only the target has are deleted first, so
//! that no unique key of theirs is in the way; then each row of the source is put with REPLACE, which
//! also removes what else holds its unique values. Such a row differs too, so it is put in its turn.
//! Where only a part of the differences is listed, the file says so. Rows of a table without a key
//! are deleted by their hash, which the target computes, and inserted as often as they lack.
//!
//! Written in objects of a few MiB, each a file that runs by itself, so that memory holds one such
//! object or one row, whichever is larger.

use bytes::Bytes;
use tideway_mysql::info::{Flavor, ServerInfo, Version};
use tideway_mysql::schema::TableName;
use tideway_mysql::sql;
use tideway_staging::Staging;
use tideway_staging::layout::SourceKeys;

use crate::error::Result;

/// An object is closed when it has reached this size.
const PART_BYTES: usize = 8 << 20;

/// What each file sets up: values are written as they are, whatever they are.
const HEADER: &str = "SET NAMES utf8mb4;\n\
SET time_zone = '+00:00';\n\
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';\n\
SET foreign_key_checks = 0;\n\
SET unique_checks = 1;\n";

/// What it sets up for TiDB, from the version that knows it: rows of more than 6 MiB.
const HEADER_TIDB: &str = "SET tidb_txn_entry_size_limit = 125829120;\n";
const TIDB_ENTRY_SIZE: Version = Version::new(7, 6, 0);

/// Writes the repair of one report.
pub struct Repair<'a> {
    staging: &'a Staging,
    keys: &'a SourceKeys,
    stem: String,
    target: &'a ServerInfo,
    text: String,
    table: Option<TableName>,
    written: Vec<String>,
}

impl<'a> Repair<'a> {
    /// A repair without statements. Nothing is written until there is one.
    #[must_use]
    pub fn new(
        staging: &'a Staging,
        keys: &'a SourceKeys,
        stem: String,
        target: &'a ServerInfo,
    ) -> Self {
        let (text, table, written) = (String::new(), None, Vec::new());
        Self {
            staging,
            keys,
            stem,
            target,
            text,
            table,
            written,
        }
    }

    /// Names the table that the next statements are for.
    pub fn table(&mut self, name: &TableName) {
        self.table = Some(name.clone());
    }

    /// Adds a remark for the reader. Line breaks in it cannot end the comment.
    pub fn remark(&mut self, text: &str) {
        self.begin();
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.text += &format!("-- {text}\n");
    }

    /// Adds a statement, without its semicolon.
    ///
    /// # Errors
    /// Those of staging.
    pub async fn statement(&mut self, statement: &str) -> Result<()> {
        self.begin();
        if statement.len() as u64 > self.target.max_allowed_packet {
            self.remark(&format!(
                "The next statement has {} bytes, more than the target's max_allowed_packet of {}: \
                 raise it there and in the client first",
                statement.len(),
                self.target.max_allowed_packet
            ));
        }
        self.text += statement;
        self.text += ";\n";
        if self.text.len() >= PART_BYTES {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Writes what is left, and returns the keys of all objects. Objects that a former run left
    /// behind are removed.
    ///
    /// # Errors
    /// Those of staging.
    pub async fn finish(mut self) -> Result<Vec<String>> {
        if !self.text.is_empty() {
            self.flush().await?;
        }
        let mut stale = self.written.len() + 1;
        loop {
            let key = self.keys.validate_file(&part(&self.stem, stale));
            if self.staging.head(&key).await?.is_none() {
                return Ok(self.written);
            }
            self.staging.delete(&key).await?;
            stale += 1;
        }
    }

    fn begin(&mut self) {
        if self.text.is_empty() {
            self.text.push_str(HEADER);
            if self.target.flavor == Flavor::TiDb && self.target.version >= TIDB_ENTRY_SIZE {
                self.text.push_str(HEADER_TIDB);
            }
        }
        if let Some(name) = self.table.take() {
            self.text += &format!(
                "\n-- {}\n",
                sql::qualified(&name).replace(['\n', '\r'], " ")
            );
        }
    }

    async fn flush(&mut self) -> Result<()> {
        let key = self
            .keys
            .validate_file(&part(&self.stem, self.written.len() + 1));
        let text = std::mem::take(&mut self.text);
        self.staging.put_bytes(&key, Bytes::from(text)).await?;
        self.written.push(key.to_string());
        Ok(())
    }
}

fn part(stem: &str, number: usize) -> String {
    format!("{stem}-{number:06}.sql")
}
