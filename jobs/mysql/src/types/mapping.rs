//! MySQL types → Arrow types, and what to SELECT for them.
//!
//! The mapping is the one that Aurora's snapshot export to S3 uses, widened where that one loses
//! information: DECIMAL above 38 digits is text as there; DATETIME and TIMESTAMP are timestamps
//! unless the chunk holds zero, partial or invalid dates, which no timestamp can express: then the
//! column is text *in that chunk* (see [`EncodeError::NeedsText`](super::encode::EncodeError)).
//!
//! | MySQL | Arrow | Parquet |
//! | --- | --- | --- |
//! | TINYINT, SMALLINT (signed or not), MEDIUMINT, INT, YEAR | Int32 | INT32 |
//! | MEDIUMINT UNSIGNED, INT UNSIGNED, BIGINT | Int64 | INT64 |
//! | BIGINT UNSIGNED | Decimal128(20,0) | FIXED_LEN_BYTE_ARRAY(9) DECIMAL(20,0) |
//! | DECIMAL(p ≤ 38, s) | Decimal128(p,s) | INT32, INT64 or FIXED_LEN_BYTE_ARRAY DECIMAL(p,s) |
//! | DECIMAL(p > 38, s) | Utf8 | BYTE_ARRAY STRING |
//! | FLOAT, DOUBLE | Float64 | DOUBLE |
//! | DATETIME, TIMESTAMP | Timestamp(µs, UTC) | INT64 TIMESTAMP(MICROS, adjusted to UTC) |
//! | DATE, TIME, CHAR, VARCHAR, TEXT, JSON, ENUM, SET, types we do not know | Utf8 | BYTE_ARRAY STRING |
//! | BIT, BINARY, VARBINARY, BLOB, GEOMETRY, VECTOR | Binary | BYTE_ARRAY |
//!
//! All columns are optional, as in Aurora's export: readers then need not know the definition.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::column_type::ColumnType;
use crate::schema::ColumnDef;
use crate::sql;

/// Digits that Decimal128 holds.
pub const MAX_DECIMAL128_PRECISION: u32 = 38;

/// The Arrow type of a column; `as_text` for a DATETIME or TIMESTAMP in a chunk with dates that no
/// timestamp can express.
#[must_use]
pub fn arrow_type(ty: &ColumnType, as_text: bool) -> DataType {
    match ty {
        ColumnType::TinyInt { .. } | ColumnType::SmallInt { .. } | ColumnType::Year => {
            DataType::Int32
        }
        ColumnType::MediumInt { unsigned } | ColumnType::Int { unsigned } => {
            if *unsigned {
                DataType::Int64
            } else {
                DataType::Int32
            }
        }
        ColumnType::BigInt { unsigned: false } => DataType::Int64,
        ColumnType::BigInt { unsigned: true } => DataType::Decimal128(20, 0),
        ColumnType::Decimal {
            precision, scale, ..
        } => match decimal128(*precision, *scale) {
            Some((precision, scale)) => DataType::Decimal128(precision, scale),
            None => DataType::Utf8,
        },
        ColumnType::Float { .. } | ColumnType::Double { .. } => DataType::Float64,
        ColumnType::DateTime { .. } | ColumnType::Timestamp { .. } if !as_text => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        ColumnType::Bit { .. }
        | ColumnType::Binary { .. }
        | ColumnType::Varbinary { .. }
        | ColumnType::Blob { .. }
        | ColumnType::Geometry { .. }
        | ColumnType::Vector { .. } => DataType::Binary,
        ColumnType::DateTime { .. }
        | ColumnType::Timestamp { .. }
        | ColumnType::Date
        | ColumnType::Time { .. }
        | ColumnType::Char { .. }
        | ColumnType::Varchar { .. }
        | ColumnType::Text { .. }
        | ColumnType::Enum { .. }
        | ColumnType::Set { .. }
        | ColumnType::Json
        | ColumnType::Other(_) => DataType::Utf8,
    }
}

/// Precision and scale as Arrow wants them, or `None` when 38 digits are not enough.
#[must_use]
pub fn decimal128(precision: impl Into<u32>, scale: impl Into<u32>) -> Option<(u8, i8)> {
    let (precision, scale) = (precision.into(), scale.into());
    if precision > MAX_DECIMAL128_PRECISION {
        return None;
    }
    Some((u8::try_from(precision).ok()?, i8::try_from(scale).ok()?))
}

/// The Arrow schema of `cols`; those named in `text_columns` are text (see the module).
#[must_use]
pub fn arrow_schema(cols: &[&ColumnDef], text_columns: &BTreeSet<String>) -> SchemaRef {
    let fields: Vec<Field> = cols
        .iter()
        .map(|col| {
            let ty = arrow_type(&col.ty, text_columns.contains(&col.name));
            Field::new(&col.name, ty, true)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// What to SELECT so that [`BatchBuilder`](super::encode::BatchBuilder) gets exact values.
///
/// Plain column names: with the binary protocol (a prepared statement) FLOAT comes as its bits,
/// dates and times as their parts, text in the session's utf8mb4. A literal `1` where a table has
/// no stored column, so that its rows still count.
#[must_use]
pub fn select_list(cols: &[&ColumnDef]) -> String {
    if cols.is_empty() {
        return "1".to_owned();
    }
    let names: Vec<String> = cols.iter().map(|col| sql::ident(&col.name)).collect();
    names.join(",")
}
