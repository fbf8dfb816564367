//! Predicates for rows of tables without a key: true for the same value and no other.
//!
//! A row of such a table is found by all its values. Comparisons of the server are coarser than that:
//! collations take `a` for `A`, `0.0` is `-0.0`, a JSON `1` is a JSON `1.0`. So texts are compared as
//! bytes of utf8mb4, and a zero by its sign. What the target stores is what it made of
//! [`write_literal`](super::write_literal)'s text, so a JSON document is compared with what the same
//! server prints of the same text. Of `DOUBLE(m,d)` each server rounds in its own way, to doubles that
//! lie closely beside one another: these count as the same.

use crate::binlog::value::Value;
use crate::info::Flavor;
use crate::schema::ColumnDef;
use crate::sql;
use crate::types::column_type::ColumnType;

use super::ValueError;
use super::literal::{write_literal, write_padded};

/// Appends a predicate that is true where the column of this name at the target holds this value.
/// It is never true by NULL, nor an error by what other rows hold.
///
/// # Errors
/// [`ValueError`], which names the column. `out` may then hold a part of the predicate.
pub fn write_equals(
    column: &ColumnDef,
    target_column: &str,
    value: &Value<'_>,
    flavor: Flavor,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let name = sql::ident(target_column);
    let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
    match (value, &column.ty) {
        (Value::Null, _) => {
            put(&name);
            put(" IS NULL");
        }
        (Value::Float(_) | Value::Double(_), _) => {
            let zero = matches!(value, Value::Float(zero) if *zero == 0.0)
                || matches!(value, Value::Double(zero) if *zero == 0.0);
            let minus = matches!(value, Value::Float(zero) if zero.is_sign_negative())
                || matches!(value, Value::Double(zero) if zero.is_sign_negative());
            if let Some(digits) = decimals(&column.raw_type) {
                put(&format!("(ABS({name} - "));
                write_literal(column, value, flavor, out)?;
                out.extend_from_slice(format!(") < 5e-{}", digits + 1).as_bytes());
            } else {
                put(&format!("({name} = "));
                write_literal(column, value, flavor, out)?;
            }
            if zero {
                let is = if minus { "=" } else { "<>" };
                let sign = format!(" AND LEFT(CAST({name} AS CHAR), 1) {is} '-'");
                out.extend_from_slice(sign.as_bytes());
            }
            out.push(b')');
        }
        // Compared with a constant, 0 is the year 2000.
        (Value::Year(year), _) => put(&format!("{name} + 0 = {year}")),
        (
            Value::Text(_) | Value::Blob(_),
            ColumnType::Char { .. } | ColumnType::Varchar { .. } | ColumnType::Text { .. },
        )
        | (Value::Set(_), _) => {
            put(&format!(
                "CAST(CONVERT({name} USING utf8mb4) AS BINARY) = CAST("
            ));
            write_literal(column, value, flavor, out)?;
            out.extend_from_slice(b" AS BINARY)");
        }
        (Value::Enum(member), _) => {
            // The invalid value 0 is an empty text too.
            put(&format!(
                "(CAST(CONVERT({name} USING utf8mb4) AS BINARY) = CAST("
            ));
            write_literal(column, value, flavor, out)?;
            let zero = if *member == 0 { "=" } else { "<>" };
            let number = format!(" AS BINARY) AND {name} + 0 {zero} 0)");
            out.extend_from_slice(number.as_bytes());
        }
        (Value::Json(_), _) if flavor == Flavor::MariaDb => {
            put(&format!(
                "CAST(CONVERT({name} USING utf8mb4) AS BINARY) = CAST("
            ));
            write_literal(column, value, flavor, out)?;
            out.extend_from_slice(b" AS BINARY)");
        }
        (Value::Json(_), _) => {
            put(&format!(
                "CAST(CAST({name} AS CHAR) AS BINARY) = CAST(CAST(CAST("
            ));
            write_literal(column, value, flavor, out)?;
            out.extend_from_slice(b" AS JSON) AS CHAR) AS BINARY)");
        }
        (Value::Blob(bytes), ColumnType::Geometry { .. }) => {
            // Servers do not compare geometries with bytes.
            put(&format!("CAST(HEX({name}) AS BINARY) = HEX("));
            write_padded(bytes, 0, out);
            out.push(b')');
        }
        (Value::Blob(_) | Value::Text(_), ColumnType::Vector { .. }) if flavor != Flavor::TiDb => {
            put(&format!("CAST(HEX({name}) AS BINARY) = HEX("));
            write_literal(column, value, flavor, out)?;
            out.push(b')');
        }
        _ => {
            put(&name);
            put(" = ");
            write_literal(column, value, flavor, out)?;
        }
    }
    Ok(())
}

/// The digits behind the point that a `FLOAT(m,d)` or `DOUBLE(m,d)` has.
fn decimals(raw_type: &str) -> Option<u8> {
    let (_, digits) = raw_type.split_once(')')?.0.split_once(',')?;
    digits.trim().parse().ok()
}
