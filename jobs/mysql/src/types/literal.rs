//! Values as SQL literals that every server reads back exactly, whatever its `sql_mode`.
//!
//! Text is quoted when no character of it could be read otherwise (no apostrophe, backslash or control
//! character); else it goes as hexadecimal digits, converted to `utf8mb4`. (`_utf8mb4 X'…'` would do
//! on MySQL and MariaDB, but TiDB then refuses it for a JSON column.) Numbers of `DOUBLE` and `FLOAT`
//! carry an exponent, for without it they would be decimals, and `-0.0` would lose its sign.

use arrow::array::Array;

use crate::info::Flavor;
use crate::schema::ColumnDef;
use crate::types::cells::{Cells, Value};
use crate::types::column_type::ColumnType;
use crate::types::format;
use crate::types::load_text::{bits, write_hex, write_vector};

/// The literal of one cell. A column whose Arrow type no MySQL type is written as gives `NULL`
/// with a comment that says so, which no caller of the jobs reaches: they bind batches first.
#[must_use]
pub fn sql_literal(column: &ColumnDef, array: &dyn Array, row: usize) -> String {
    let Some(cells) = Cells::new(array) else {
        return format!("NULL /* unknown Arrow type {} */", array.data_type());
    };
    let mut out = Vec::new();
    write_literal(&column.ty, cells.get(row), Flavor::MySql, &mut out);
    // Only text of `str` origin, digits and ASCII are written, so nothing is replaced here.
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends the literal of one value of a column of type `ty` for a server of this flavour.
pub fn write_literal(ty: &ColumnType, value: Value<'_>, flavor: Flavor, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"NULL"),
        Value::Int(value) => format::write_int(value, out),
        Value::UInt(value) => format::write_uint(value, out),
        Value::Float(value) => write_double(value, out),
        Value::Decimal(value, scale) => format::write_decimal(value, scale, out),
        Value::WideDecimal(value, scale) => format::write_wide_decimal(value, scale, out),
        Value::Micros(micros) => {
            let fsp = match ty {
                ColumnType::DateTime { fsp } | ColumnType::Timestamp { fsp } => *fsp,
                _ => 6,
            };
            out.push(b'\'');
            format::write_datetime(micros, fsp, out);
            out.push(b'\'');
        }
        Value::Days(days) => {
            out.push(b'\'');
            format::write_date(days.into(), out);
            out.push(b'\'');
        }
        Value::Text(text) => match ty {
            ColumnType::Binary { .. } | ColumnType::Varbinary { .. } | ColumnType::Blob { .. } => {
                write_bytes(text.as_bytes(), out);
            }
            // DECIMAL of more digits than Arrow's decimals of 128 bits hold.
            ColumnType::Decimal { .. } if is_number(text) => out.extend_from_slice(text.as_bytes()),
            _ => write_text(text, out),
        },
        Value::Bytes(bytes) => match ty {
            ColumnType::Bit { .. } => format::write_uint(bits(bytes), out),
            ColumnType::Vector { .. } if flavor == Flavor::TiDb => {
                out.push(b'\'');
                write_vector(bytes, out);
                out.push(b'\'');
            }
            _ => write_bytes(bytes, out),
        },
    }
}

/// A literal of type DOUBLE.
pub(crate) fn write_double(value: f64, out: &mut Vec<u8>) {
    let start = out.len();
    format::write_float(value, out);
    if value.is_finite() && !out[start..].contains(&b'e') {
        out.extend_from_slice(b"e0");
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    // Quoted even when empty: X'' is an empty string everywhere.
    out.extend_from_slice(b"X'");
    write_hex(bytes, out);
    out.push(b'\'');
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let hazard = |byte: u8| byte < 0x20 || matches!(byte, b'\'' | b'\\' | 0x7F);
    if text.bytes().any(hazard) {
        out.extend_from_slice(b"CONVERT(X'");
        write_hex(text.as_bytes(), out);
        out.extend_from_slice(b"' USING utf8mb4)");
    } else {
        out.push(b'\'');
        out.extend_from_slice(text.as_bytes());
        out.push(b'\'');
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && digits.bytes().filter(|&b| b == b'.').count() <= 1
        && digits.bytes().any(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBLE: ColumnType = ColumnType::Double { unsigned: false };

    fn literal(ty: &ColumnType, value: Value<'_>) -> String {
        let mut out = Vec::new();
        write_literal(ty, value, Flavor::MySql, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn doubles_are_doubles() {
        assert_eq!(literal(&DOUBLE, Value::Float(0.1)), "0.1e0");
        assert_eq!(literal(&DOUBLE, Value::Float(-0.0)), "-0.0e0");
        assert_eq!(literal(&DOUBLE, Value::Float(1e300)), "1e300");
    }

    #[test]
    fn text_that_quoting_could_hurt_is_hex() {
        assert_eq!(literal(&ColumnType::Json, Value::Text("é😀")), "'é😀'");
        assert_eq!(
            literal(&ColumnType::Json, Value::Text("a'b")),
            "CONVERT(X'612762' USING utf8mb4)"
        );
        assert_eq!(
            literal(&ColumnType::Json, Value::Text("\\")),
            "CONVERT(X'5C' USING utf8mb4)"
        );
    }

    #[test]
    fn a_wide_decimal_is_a_number_and_nothing_else_is() {
        assert!(is_number("-12.5"));
        assert!(!is_number("1.2.3"));
        assert!(!is_number("1 OR 1"));
        assert!(!is_number("-"));
        assert!(!is_number("."));
    }
}
