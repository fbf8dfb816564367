//! Values of keys, and ranges over them.
//!
//! A chunk of a table is the range between two key values. Its predicate must choose exactly the
//! same rows on every server, let each use the key's index, and compare as the *column* does:
//!
//! - values are literals with an introducer, in hexadecimal, so neither `sql_mode` nor the session's
//!   character set changes them. A literal gives way to a column when collations meet, so the
//!   column's own governs, the one that orders its index;
//! - tuples are written out, `a >= x AND (a > x OR (a = x AND b >= y))`: no server ranges over
//!   `(a, b) >= (x, y)` with an upper bound well, and all of them take the first term for the
//!   index's range.
//!
//! Ranges are half-open, `[lower, upper)`; an open end takes what is beyond. So neighbouring ranges
//! neither overlap nor leave a gap, whatever is inserted meanwhile.

use std::fmt::Write as _;

use mysql_async::Value;
use serde::{Deserialize, Serialize};

use crate::schema::ColumnDef;
use crate::sql;
use crate::types::column_type::ColumnType;

/// A value of a key column, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyValue {
    /// A whole number.
    Int(i64),
    /// A whole number above [`i64::MAX`].
    #[serde(rename = "uint")]
    UInt(u64),
    /// Text; decimals, dates and times too.
    Text(String),
    /// Bytes.
    #[serde(with = "hex::serde")]
    Bytes(Vec<u8>),
}

/// A value that cannot bound a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column} of the key holds {what}, which cannot bound a chunk")]
pub struct KeyError {
    /// The column.
    pub column: String,
    /// What it holds.
    pub what: String,
}

impl KeyError {
    /// The same value gives the same error.
    #[must_use]
    pub fn retryable(&self) -> bool {
        false
    }
}

/// The expression to SELECT for a key column so that [`KeyValue::from_value`] reads it exactly, by
/// the text as by the binary protocol.
#[must_use]
pub fn select_expr(column: &ColumnDef) -> String {
    sql::ident(&column.name)
}

impl KeyValue {
    /// Reads a value of `column` as the driver gave it.
    ///
    /// # Errors
    /// It is NULL, or not of the column's type.
    pub fn from_value(column: &ColumnDef, value: &Value) -> Result<Self, KeyError> {
        let wrong = |what: &str| KeyError {
            column: column.name.clone(),
            what: what.to_owned(),
        };
        match value {
            Value::NULL => Err(wrong("NULL")),
            Value::Int(n) => Ok(Self::Int(*n)),
            Value::UInt(n) => Ok(i64::try_from(*n).map_or(Self::UInt(*n), Self::Int)),
            Value::Bytes(bytes) if column.ty.is_binary() => Ok(Self::Bytes(padded(column, bytes))),
            Value::Bytes(bytes) => {
                let text =
                    std::str::from_utf8(bytes).map_err(|_| wrong("text that is not UTF-8"))?;
                if column.ty.is_integer() {
                    // The text protocol.
                    return text
                        .parse()
                        .map(Self::Int)
                        .or_else(|_| text.parse().map(Self::UInt))
                        .map_err(|_| wrong("what is no whole number"));
                }
                Ok(Self::Text(text.to_owned()))
            }
            Value::Date(year, month, day, hour, minute, second, micros) => {
                let mut text = format!("{year:04}-{month:02}-{day:02}");
                let fsp = match column.ty {
                    ColumnType::DateTime { fsp } | ColumnType::Timestamp { fsp } => Some(fsp),
                    _ => None,
                };
                // Writing to a String cannot fail.
                if let Some(fsp) = fsp {
                    let _ = write!(text, " {hour:02}:{minute:02}:{second:02}");
                    if fsp > 0 {
                        let _ = write!(text, ".{micros:06}");
                        text.truncate(text.len() - usize::from(6 - fsp.min(6)));
                    }
                }
                Ok(Self::Text(text))
            }
            Value::Float(_) | Value::Double(_) => Err(wrong("a floating-point number")),
            Value::Time(..) => Err(wrong("a time")),
        }
    }

    /// The value as a literal to compare `column` with.
    #[must_use]
    pub fn literal(&self, column: &ColumnDef) -> String {
        match self {
            Self::Int(n) => n.to_string(),
            Self::UInt(n) => n.to_string(),
            Self::Bytes(bytes) => sql::binary(bytes),
            Self::Text(text) => match column.ty {
                // As a string a decimal would be compared as a floating-point number.
                ColumnType::Decimal { .. } if is_decimal(text) => text.clone(),
                // Its own characters only, and a plain literal is what servers turn into a date.
                ColumnType::Date | ColumnType::DateTime { .. } | ColumnType::Timestamp { .. } => {
                    sql::quoted(text)
                }
                _ => sql::literal(text),
            },
        }
    }
}

/// What a column is compared by: BINARY(n) as stored, with its trailing zero bytes.
fn padded(column: &ColumnDef, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let ColumnType::Binary { len } = column.ty {
        let len = usize::try_from(len).unwrap_or(bytes.len());
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
    }
    bytes
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.matches('.').count() <= 1
}

/// The predicate of `[lower, upper)` over the columns of a key; `None` when both ends are open.
///
/// Bounds may have fewer values than the key has columns: they then bound its prefix.
#[must_use]
pub fn range_predicate(
    key: &[&ColumnDef],
    lower: Option<&[KeyValue]>,
    upper: Option<&[KeyValue]>,
) -> Option<String> {
    let lower = lower.and_then(|bound| tuple(key, bound, ">", ">="));
    let upper = upper.and_then(|bound| tuple(key, bound, "<", "<"));
    match (lower, upper) {
        (Some(lower), Some(upper)) => Some(format!("{lower} AND {upper}")),
        (one, None) | (None, one) => one,
    }
}

/// The predicate of one row's key.
#[must_use]
pub fn equals(key: &[&ColumnDef], values: &[KeyValue]) -> String {
    let terms: Vec<String> = key
        .iter()
        .zip(values)
        .map(|(column, value)| format!("{} = {}", sql::ident(&column.name), value.literal(column)))
        .collect();
    terms.join(" AND ")
}

/// `(key) op (bound)` written out: `strict` for all columns but the last, `last` for that one.
fn tuple(key: &[&ColumnDef], bound: &[KeyValue], strict: &str, last: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = key
        .iter()
        .zip(bound)
        .map(|(column, value)| (sql::ident(&column.name), value.literal(column)))
        .collect();
    let (name, value) = pairs.last()?;
    let mut text = format!("{name} {last} {value}");
    for (name, value) in pairs.iter().rev().skip(1) {
        text = format!("({name} {strict} {value} OR ({name} = {value} AND {text}))");
    }
    if pairs.len() == 1 {
        return Some(text);
    }
    let (first, value) = pairs.first()?;
    Some(format!("{first} {strict}= {value} AND {text}"))
}

#[cfg(test)]
mod tests;
