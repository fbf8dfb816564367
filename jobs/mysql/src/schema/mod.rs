//! Definitions of tables: what a table is made of, as far as moving its rows needs it.
//!
//! [`read_table`] reads a definition from `information_schema` and `SHOW CREATE TABLE`. The two are
//! not read at one instant: whoever needs a definition that belongs to a position holds the table's
//! metadata lock meanwhile (open a transaction, `SELECT … LIMIT 0`).

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::sql;
use crate::types::column_type::ColumnType;

mod chunk_key;
mod create_text;
mod list;
mod read;

pub use create_text::without_auto_increment;
pub use list::{Kind, Listing, SYSTEM_SCHEMAS, is_system_schema, list, list_schemas};
pub use read::{
    acts_on_others, read_table, show_create_database, show_create_table, show_create_view,
};

/// Name of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    /// Its database.
    pub schema: String,
    /// Its own name.
    pub table: String,
}

impl TableName {
    /// The name of `table` in `schema`.
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            schema: schema.into(),
            table: table.into(),
        }
    }
}

/// Quoted: `` `a`.`b` ``.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sql::qualified(self))
    }
}

/// The definition of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDef {
    /// Its name.
    pub name: TableName,
    /// The statement that makes it, as SHOW CREATE TABLE gives it.
    pub create_sql: String,
    /// All columns in their order, generated and invisible ones too.
    pub columns: Vec<ColumnDef>,
    /// All keys, PRIMARY first.
    pub keys: Vec<KeyDef>,
    /// Storage engine.
    pub engine: Option<String>,
    /// Default character set.
    pub charset: Option<String>,
    /// Default collation.
    pub collation: Option<String>,
    /// Foreign keys of this table.
    pub foreign_keys: Vec<ForeignKey>,
    /// Whether it has partitions.
    pub partitioned: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDef {
    /// Its name.
    pub name: String,
    /// Its type as the server writes it.
    pub raw_type: String,
    /// Its type.
    pub ty: ColumnType,
    /// Whether it takes NULL.
    pub nullable: bool,
    /// Character set, of text columns.
    pub charset: Option<String>,
    /// Collation, of text columns.
    pub collation: Option<String>,
    /// Whether the server computes it.
    pub generated: Generated,
    /// Whether `SELECT *` leaves it out (MySQL's generated invisible primary key among them).
    pub invisible: bool,
    /// Whether it is the AUTO_INCREMENT column.
    pub auto_increment: bool,
    /// Its default, as the server writes it.
    pub default: Option<String>,
}

impl ColumnDef {
    /// A column of this type that takes NULL and has nothing special.
    #[must_use]
    pub fn new(name: impl Into<String>, raw_type: impl Into<String>) -> Self {
        let raw_type = raw_type.into();
        Self {
            name: name.into(),
            ty: ColumnType::parse(&raw_type),
            raw_type,
            nullable: true,
            charset: None,
            collation: None,
            generated: Generated::None,
            invisible: false,
            auto_increment: false,
            default: None,
        }
    }
}

/// Whether and how a column is computed by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Generated {
    /// An ordinary column.
    None,
    /// Computed when read.
    Virtual,
    /// Computed when written, and stored.
    Stored,
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDef {
    /// Its name.
    pub name: String,
    /// Whether it is the primary key.
    pub primary: bool,
    /// Whether it is unique (the primary key is).
    pub unique: bool,
    /// Its parts in their order.
    pub parts: Vec<KeyPart>,
}

/// A part of a key: a column, the beginning of one, or an expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPart {
    /// The column.
    pub column: Option<String>,
    /// How many characters or bytes of it are indexed, when not all.
    pub prefix: Option<u32>,
    /// The expression, of a functional part.
    pub expression: Option<String>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// Columns of this table.
    pub columns: Vec<String>,
    /// The table that they refer to.
    pub references: TableName,
    /// The columns there.
    pub referenced_columns: Vec<String>,
    /// What a DELETE there does here: `CASCADE`, `NO ACTION`, …
    pub on_delete: String,
    /// What an UPDATE there does here.
    pub on_update: String,
}

impl TableDef {
    /// SHA-256, in hexadecimal, of the definition without `AUTO_INCREMENT=n`, which changes with
    /// each insert.
    #[must_use]
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(
            without_auto_increment(&self.create_sql).as_bytes(),
        ))
    }

    /// The column of this name. Names of columns do not distinguish cases.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnDef> {
        self.columns.iter().find(|c| c.name == name).or_else(|| {
            let name = name.to_lowercase();
            self.columns.iter().find(|c| c.name.to_lowercase() == name)
        })
    }

    /// The columns that hold data of their own: all but the generated ones. Invisible ones are
    /// among them, so never `SELECT *`.
    pub fn stored_columns(&self) -> impl Iterator<Item = &ColumnDef> {
        self.columns
            .iter()
            .filter(|c| c.generated == Generated::None)
    }

    /// The primary key, or else the first unique key over whole columns that take no NULL: what
    /// tells one row from all others. Unlike [`TableDef::chunk_key`] it may be of any type.
    #[must_use]
    pub fn row_key(&self) -> Option<&KeyDef> {
        self.keys
            .iter()
            .find(|k| k.primary)
            .or_else(|| self.keys.iter().find(|k| self.tells_rows_apart(k)))
    }

    /// The columns of [`TableDef::row_key`], when each part of it is a whole column.
    #[must_use]
    pub fn row_key_columns(&self) -> Option<Vec<&ColumnDef>> {
        let key = self.row_key()?;
        if !self.tells_rows_apart(key) {
            return None;
        }
        key.parts
            .iter()
            .map(|p| self.column(p.column.as_deref()?))
            .collect()
    }

    /// Whether a key is unique over whole columns, none of which takes NULL.
    fn tells_rows_apart(&self, key: &KeyDef) -> bool {
        key.unique
            && !key.parts.is_empty()
            && key.parts.iter().all(|part| {
                part.prefix.is_none()
                    && part
                        .column
                        .as_deref()
                        .and_then(|name| self.column(name))
                        .is_some_and(|column| !column.nullable)
            })
    }
}
