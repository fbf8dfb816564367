//! What there is on a server.

use mysql_async::Conn;
use serde::{Deserialize, Serialize};

use super::TableName;
use crate::answer;
use crate::error::Result;

/// Databases of the server itself; never migrated.
pub const SYSTEM_SCHEMAS: &[&str] = &[
    "information_schema",
    "metrics_schema",
    "mysql",
    "ndbinfo",
    "performance_schema",
    "sys",
];

/// Whether a database is the server's own.
#[must_use]
pub fn is_system_schema(schema: &str) -> bool {
    SYSTEM_SCHEMAS
        .iter()
        .any(|system| system.eq_ignore_ascii_case(schema))
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A table with rows of its own.
    BaseTable,
    /// A view.
    View,
    /// A sequence of MariaDB or TiDB.
    Sequence,
    /// A table of MariaDB that keeps its history; its current rows are read as of a base table.
    SystemVersioned,
    /// Anything else, by the server's name for it.
    Other(String),
}

/// A table, view or sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Its name.
    pub name: TableName,
    /// What it is.
    pub kind: Kind,
    /// Rows by the server's estimate, which may be far off.
    pub estimated_rows: u64,
    /// Bytes of its data by the server's estimate, indexes left out.
    pub data_bytes: u64,
    /// Storage engine.
    pub engine: Option<String>,
}

/// All databases but the server's own, sorted.
///
/// # Errors
/// The statement fails.
pub async fn list_schemas(conn: &mut Conn) -> Result<Vec<String>> {
    let sql = "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA";
    let rows = answer::all(conn, "list databases", sql).await?;
    let mut names: Vec<String> = rows.iter().filter_map(|row| row.text("name")).collect();
    names.retain(|name| !is_system_schema(name));
    names.sort();
    Ok(names)
}

/// All tables, views and sequences that the user may see, without the server's own, sorted.
///
/// # Errors
/// The statement fails.
pub async fn list(conn: &mut Conn) -> Result<Vec<Listing>> {
    let sql = "SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, \
               TABLE_TYPE AS table_type, TABLE_ROWS AS table_rows, DATA_LENGTH AS data_length, \
               ENGINE AS engine FROM information_schema.TABLES \
               WHERE LOWER(TABLE_SCHEMA) NOT IN ('information_schema', 'metrics_schema', 'mysql', \
               'ndbinfo', 'performance_schema', 'sys')";
    let rows = answer::all(conn, "list tables", sql).await?;
    let mut found: Vec<Listing> = rows
        .iter()
        .filter_map(|row| {
            Some(Listing {
                name: TableName::new(row.text("table_schema")?, row.text("table_name")?),
                kind: match row
                    .text_or_empty("table_type")
                    .to_ascii_uppercase()
                    .as_str()
                {
                    "BASE TABLE" => Kind::BaseTable,
                    "VIEW" => Kind::View,
                    "SEQUENCE" => Kind::Sequence,
                    "SYSTEM VERSIONED" => Kind::SystemVersioned,
                    other => Kind::Other(other.to_owned()),
                },
                estimated_rows: row.number("table_rows"),
                data_bytes: row.number("data_length"),
                engine: row.text("engine"),
            })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}
