//! Whether the rows behind a table map are rows of the definition that is known of their table.
//!
//! Rows have no names: a value is what the column at its place says. With a definition of another
//! moment (a DDL was missed, or done twice) values would go into wrong columns unseen, so every new
//! table map is held against the definition before its rows are used.
//!
//! **Which columns stand in rows** (tried on MySQL 9.7 and MariaDB 10.11 with full images): all of the
//! definition, in its order: stored and virtual generated ones, invisible ones and MySQL's generated
//! invisible primary key too, all with their values. MySQL's hidden columns of functional keys do not
//! stand there. MariaDB's hidden columns do, behind all others: `row_start` and `row_end` of
//! `WITH SYSTEM VERSIONING`, and `DB_ROW_HASH_n` of unique keys over long columns. [`matches()`] lets
//! them pass; whoever uses rows takes the first values, as many as the definition has columns. A
//! change of a versioned table comes with the INSERT of its history row, whose `row_end` lies in the
//! past (the others' is the largest TIMESTAMP): [`history_column`] tells where to look.

use mysql_common::collations::{Collation, CollationId};

use super::metadata::{ColumnMetadata, Metadata};
use super::table_map::{GEOMETRY, Layout, STRING, TableMap, VAR_STRING, VARCHAR};
use crate::schema::{ColumnDef, TableDef, TableName};
use crate::types::column_type::ColumnType;

/// The collation of plain bytes.
const BINARY: u32 = 63;

/// The rows are not of the definition that is known. A retry does not help: the definition must be
/// brought to the position first, or the table dumped again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// They are of another table.
    #[error("the rows are of table {found}, the definition is of {expected}")]
    Table {
        /// The table of the definition.
        expected: TableName,
        /// The table of the map.
        found: TableName,
    },
    /// There are more or fewer columns.
    #[error(
        "table {table} has {found} columns in the binlog and {expected} in the definition known for \
         this position: a change of the definition was missed"
    )]
    Columns {
        /// The table.
        table: TableName,
        /// Columns in the definition.
        expected: usize,
        /// Columns in the map.
        found: usize,
    },
    /// A column is another one.
    #[error(
        "column {column} of table {table} is {found} in the binlog and {expected} in the definition \
         known for this position: a change of the definition was missed"
    )]
    Column {
        /// The table.
        table: TableName,
        /// The column by the definition.
        column: String,
        /// What the definition says.
        expected: String,
        /// What the map says.
        found: String,
    },
}

/// Holds a table map and its metadata (of [`Metadata::default`] when there is none) against a
/// definition: how many columns, and of each the type on the wire, and as far as they were sent its
/// sign, character set, name and how many members it has.
///
/// # Errors
/// The first difference.
pub fn matches(map: &TableMap, metadata: &Metadata, def: &TableDef) -> Result<(), Mismatch> {
    if map.name != def.name {
        return Err(Mismatch::Table {
            expected: def.name.clone(),
            found: map.name.clone(),
        });
    }
    let visible = def.columns.len();
    if map.columns.len() < visible || !hidden_only(map, metadata, def) {
        return Err(Mismatch::Columns {
            table: def.name.clone(),
            expected: visible,
            found: map.columns.len(),
        });
    }
    let none = ColumnMetadata::default();
    for (index, column) in def.columns.iter().enumerate() {
        let (Some(layout), Some(number)) = (map.columns.get(index), map.types.get(index)) else {
            continue;
        };
        let sent = metadata.columns.get(index).unwrap_or(&none);
        compare(column, *layout, *number, sent).map_err(|(expected, found)| Mismatch::Column {
            table: def.name.clone(),
            column: column.name.clone(),
            expected,
            found,
        })?;
    }
    Ok(())
}

/// Where in a row of this map the end of the row's life stands, when its table is one of MariaDB's
/// `WITH SYSTEM VERSIONING` and hides it. A row whose value there is not the largest TIMESTAMP
/// (2038-01-19 03:14:07.999999 UTC, of MariaDB 11.5 and later 2106-02-07 06:28:15.999999) is history,
/// which the target does not have.
#[must_use]
pub fn history_column(map: &TableMap, def: &TableDef) -> Option<usize> {
    let hidden = map.columns.get(def.columns.len()..)?;
    match (versioned(def), hidden) {
        (true, [Layout::Timestamp(6), Layout::Timestamp(6), ..]) => Some(def.columns.len() + 1),
        _ => None,
    }
}

fn versioned(def: &TableDef) -> bool {
    let sql = def.create_sql.to_ascii_uppercase();
    sql.contains("WITH SYSTEM VERSIONING")
}

/// Whether the columns behind those of the definition are ones that MariaDB hides.
fn hidden_only(map: &TableMap, metadata: &Metadata, def: &TableDef) -> bool {
    let visible = def.columns.len();
    let mut hidden = map.columns.get(visible..).unwrap_or_default();
    if hidden.is_empty() {
        return true;
    }
    if let [Layout::Timestamp(6), Layout::Timestamp(6), rest @ ..] = hidden
        && versioned(def)
    {
        hidden = rest;
    }
    let long = |name: &Option<String>| {
        let column = name.as_deref().and_then(|name| def.column(name));
        column.is_some_and(|column| {
            matches!(column.ty, ColumnType::Text { .. } | ColumnType::Blob { .. })
        })
    };
    let by_hash = def.create_sql.contains("USING HASH");
    let hashed = def.keys.iter().filter(|key| {
        let whole = |part: &&crate::schema::KeyPart| part.prefix.is_none();
        let mut parts = key.parts.iter().filter(whole);
        key.unique && (by_hash || parts.any(|part| long(&part.column)))
    });
    let hashes = map.columns.len() - hidden.len()..map.columns.len();
    let named = |index: usize| {
        let sent = metadata.columns.get(index).and_then(|c| c.name.as_deref());
        sent.is_none_or(|name| name.starts_with("DB_ROW_HASH"))
    };
    hidden.len() <= hashed.count()
        && hidden.iter().all(|layout| *layout == Layout::Int(8))
        && hashes.into_iter().all(named)
}

/// What is expected and what is found, when they differ.
fn compare(
    column: &ColumnDef,
    layout: Layout,
    number: u8,
    sent: &ColumnMetadata,
) -> Result<(), (String, String)> {
    let differ = |expected: String, found: String| Err((expected, found));
    if let Some(name) = &sent.name
        && !same_name(name, &column.name)
    {
        return differ("of this name".into(), format!("named {name:?}"));
    }
    if matches!(layout, Layout::Compressed { .. }) {
        // Its definition can be read; its values cannot.
        return differ(
            column.raw_type.clone(),
            "COMPRESSED, which is not read".into(),
        );
    }
    if !fits(&column.ty, layout, number) {
        return differ(column.raw_type.clone(), wire(layout, number));
    }
    if let (Some(found), Some(expected)) = (sent.unsigned, unsigned(&column.ty))
        && found != expected
    {
        let sign = |unsigned| if unsigned { "UNSIGNED" } else { "signed" };
        return differ(sign(expected).into(), sign(found).into());
    }
    if let Some(number) = sent.collation {
        charset(column, number)?;
    }
    let members = match &column.ty {
        ColumnType::Enum { members } | ColumnType::Set { members } => Some(members.len()),
        _ => None,
    };
    if let (Some(expected), Some(found)) = (members, sent.members.as_ref().map(Vec::len))
        && expected != found
    {
        return differ(
            format!("of {expected} members"),
            format!("of {found} members"),
        );
    }
    Ok(())
}

/// Names of columns do not distinguish cases.
fn same_name(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

fn unsigned(ty: &ColumnType) -> Option<bool> {
    match ty {
        ColumnType::TinyInt { unsigned }
        | ColumnType::SmallInt { unsigned }
        | ColumnType::MediumInt { unsigned }
        | ColumnType::Int { unsigned }
        | ColumnType::BigInt { unsigned }
        | ColumnType::Float { unsigned }
        | ColumnType::Double { unsigned }
        | ColumnType::Decimal { unsigned, .. } => Some(*unsigned),
        _ => None,
    }
}

/// The character set, not the collation: only the former decides what the bytes mean.
fn charset(column: &ColumnDef, number: u32) -> Result<(), (String, String)> {
    let expected = match column.charset.as_deref() {
        Some(name) if column.ty.is_text() => name,
        None if column.ty.is_binary() => "binary",
        _ => return Ok(()),
    };
    let id = u16::try_from(number).map_or(CollationId::UNKNOWN_COLLATION_ID, CollationId::from);
    let collation = Collation::resolve(id);
    // Collations of tomorrow, and MariaDB's beyond 2048, are not in the list.
    if id == CollationId::UNKNOWN_COLLATION_ID && number != BINARY {
        return Ok(());
    }
    // Both names stand for the same.
    let plain = |name: &str| match name {
        "utf8" => "utf8mb3".to_owned(),
        name => name.to_ascii_lowercase(),
    };
    let (expected, found) = (plain(expected), plain(collation.charset()));
    if expected == found {
        Ok(())
    } else {
        let of = |name: &str| format!("of character set {name}");
        Err((of(&expected), of(&found)))
    }
}

/// Whether a column of this type lies so on the wire.
fn fits(ty: &ColumnType, layout: Layout, number: u8) -> bool {
    let sized = |bytes: u32| Layout::Text {
        length: if bytes > 255 { 2 } else { 1 },
    };
    let varying = matches!(number, VARCHAR | VAR_STRING);
    match ty {
        ColumnType::TinyInt { .. } => layout == Layout::Int(1),
        ColumnType::SmallInt { .. } => layout == Layout::Int(2),
        ColumnType::MediumInt { .. } => layout == Layout::Int(3),
        ColumnType::Int { .. } => layout == Layout::Int(4),
        ColumnType::BigInt { .. } => layout == Layout::Int(8),
        ColumnType::Decimal {
            precision, scale, ..
        } => {
            layout
                == Layout::Decimal {
                    precision: *precision,
                    scale: *scale,
                }
        }
        ColumnType::Float { .. } => layout == Layout::Float,
        ColumnType::Double { .. } => layout == Layout::Double,
        ColumnType::Bit { width } => layout == Layout::Bit(*width),
        ColumnType::Year => layout == Layout::Year,
        ColumnType::Date => layout == Layout::Date,
        // The old forms have no fraction; MariaDB's old ones with a fraction have another length,
        // which the map does not tell.
        ColumnType::Time { fsp } => {
            layout == Layout::Time(*fsp) || *fsp == 0 && layout == Layout::OldTime
        }
        ColumnType::DateTime { fsp } => {
            layout == Layout::DateTime(*fsp) || *fsp == 0 && layout == Layout::OldDateTime
        }
        ColumnType::Timestamp { fsp } => {
            layout == Layout::Timestamp(*fsp) || *fsp == 0 && layout == Layout::OldTimestamp
        }
        // Their length in bytes depends on the character set.
        ColumnType::Char { len } => {
            number == STRING
                && matches!(layout, Layout::Text { .. })
                && (*len <= 255 || layout == sized(*len))
        }
        ColumnType::Varchar { len } => {
            varying
                && matches!(layout, Layout::Text { .. })
                && (*len <= 255 || layout == sized(*len))
        }
        ColumnType::Binary { len } => number == STRING && layout == sized(*len),
        ColumnType::Varbinary { len } => varying && layout == sized(*len),
        ColumnType::Text { max_bytes } | ColumnType::Blob { max_bytes } => {
            number != GEOMETRY
                && layout
                    == Layout::Blob {
                        length: bytes_of(*max_bytes),
                    }
        }
        ColumnType::Enum { members } => {
            layout == Layout::Enum(if members.len() > 255 { 2 } else { 1 })
        }
        ColumnType::Set { members } => {
            layout
                == Layout::Set(match members.len() {
                    ..=8 => 1,
                    9..=16 => 2,
                    17..=24 => 3,
                    25..=32 => 4,
                    _ => 8,
                })
        }
        // MariaDB's is a LONGTEXT.
        ColumnType::Json => matches!(
            layout,
            Layout::Json { length: 4 } | Layout::Blob { length: 4 }
        ),
        ColumnType::Geometry { .. } => number == GEOMETRY,
        // MariaDB's is a VARBINARY.
        ColumnType::Vector { .. } => {
            matches!(layout, Layout::Blob { .. } | Layout::Text { .. })
        }
        ColumnType::Other(name) => match name.to_ascii_lowercase().as_str() {
            "uuid" | "inet6" | "inet4" => layout == Layout::Text { length: 1 },
            // Nobody knows.
            _ => true,
        },
    }
}

/// Bytes of a length up to this.
fn bytes_of(most: u64) -> u8 {
    match most {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xff_ffff => 3,
        _ => 4,
    }
}

/// A type on the wire, in words.
fn wire(layout: Layout, number: u8) -> String {
    let kind = match layout {
        Layout::Int(1) => "TINYINT".into(),
        Layout::Int(2) => "SMALLINT".into(),
        Layout::Int(3) => "MEDIUMINT".into(),
        Layout::Int(4) => "INT".into(),
        Layout::Int(_) => "BIGINT".into(),
        Layout::Float => "FLOAT".into(),
        Layout::Double => "DOUBLE".into(),
        Layout::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
        Layout::Year => "YEAR".into(),
        Layout::Date => "DATE".into(),
        Layout::Time(digits) => format!("TIME({digits})"),
        Layout::DateTime(digits) => format!("DATETIME({digits})"),
        Layout::Timestamp(digits) => format!("TIMESTAMP({digits})"),
        Layout::Text { length } if number == STRING => format!("CHAR (length of {length} bytes)"),
        Layout::Text { length } => format!("VARCHAR (length of {length} bytes)"),
        Layout::Blob { .. } if number == GEOMETRY => "GEOMETRY".into(),
        Layout::Blob { length } => format!("TEXT or BLOB (length of {length} bytes)"),
        Layout::Json { .. } => "JSON".into(),
        Layout::Enum(bytes) => format!("ENUM of {bytes} bytes"),
        Layout::Set(bytes) => format!("SET of {bytes} bytes"),
        Layout::Bit(width) => format!("BIT({width})"),
        other => format!("{other:?}"),
    };
    format!("{kind} (type {number})")
}

#[cfg(test)]
#[path = "definition_tests.rs"]
mod tests;
