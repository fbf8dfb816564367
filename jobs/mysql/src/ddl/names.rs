//! Names of tables and databases in a statement.

use std::ops::Range;

use crate::schema::TableName;

/// What a name is in its statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRole {
    /// A database that is made, altered or dropped. Its `name` is the database.
    Database,
    /// A table that the statement makes, changes, drops or writes.
    Table,
    /// The new name of a table.
    NewName,
    /// The table that `CREATE TABLE … LIKE` copies.
    Like,
    /// The table that a foreign key refers to.
    Reference,
    /// The table that changes places with a partition.
    Exchange,
    /// One of the tables of a MERGE table.
    Union,
    /// A view.
    View,
}

/// A name, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRef {
    /// What it is.
    pub role: NameRole,
    /// Its database: as written, or else the one that the server takes. `None` when it was not
    /// written and the session had none, and of databases.
    pub schema: Option<String>,
    /// Its own name.
    pub name: String,
    /// The bytes of the statement's text that it takes up, its database and quotes included.
    pub range: Range<usize>,
}

impl NameRef {
    /// The table that it names; `None` of a database, and where no database is known.
    #[must_use]
    pub fn table(&self) -> Option<TableName> {
        if self.role == NameRole::Database {
            return None;
        }
        Some(TableName::new(self.schema.clone()?, self.name.clone()))
    }
}
