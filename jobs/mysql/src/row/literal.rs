//! Values of row events as SQL literals.
//!
//! | type | literal | why |
//! | --- | --- | --- |
//! | whole numbers | digits, signed by the definition | a row event has no sign |
//! | FLOAT, DOUBLE | digits of the double with an exponent | without it they are decimals, and -0.0 loses its sign; a FLOAT's own shortest text would be rounded twice |
//! | YEAR | four digits in quotes | `'0'` is 2000, `'0000'` is 0000 |
//! | TIMESTAMP | the moment in UTC, the session's time zone | the event holds seconds |
//! | text | in quotes, UTF-8 | the session speaks utf8mb4 |
//! | BINARY | hexadecimal, padded with zero bytes | the event has them cut |
//! | ENUM, SET | names of members | the target may have them in another order |
//! | BIT | a number | |
//! | GEOMETRY | hexadecimal, SRID and WKB | the server's own form, as in the dump |
//! | VECTOR | hexadecimal; on TiDB a list of numbers | TiDB takes no bytes |
//! | JSON | the text that the source prints | as in the dump: a date in a document becomes a text |

use crate::binlog::json;
use crate::binlog::value::{self, Value};
use crate::charset::Charset;
use crate::info::Flavor;
use crate::schema::ColumnDef;
use crate::types::column_type::ColumnType;
use crate::types::format;
use crate::types::literal::write_double;
use crate::types::load_text::{bits, write_hex, write_vector};

use super::text::{write_escaped, write_quoted};
use super::{ValueError, number, time, uuid};

/// Appends the literal of a value of `column` for a target of this flavour.
///
/// # Errors
/// [`ValueError`], which names the column. `out` may then hold a part of the literal.
pub fn write_literal(
    column: &ColumnDef,
    value: &Value<'_>,
    flavor: Flavor,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    match (*value, &column.ty) {
        (Value::Null, _) => out.extend_from_slice(b"NULL"),
        (Value::Int { value, bytes }, ty) if ty.is_integer() => {
            if is_unsigned(ty) {
                format::write_uint(value::unsigned(value, bytes), out);
            } else {
                format::write_int(value, out);
            }
        }
        (Value::Text(bytes), ColumnType::Char { .. } | ColumnType::Varchar { .. })
        | (Value::Blob(bytes), ColumnType::Text { .. }) => write_text(column, bytes, out)?,
        (Value::DateTime(moment), ColumnType::DateTime { fsp }) => {
            quoted(out, |out| time::write_datetime(moment, *fsp, out));
        }
        (Value::Timestamp { seconds, micros }, ColumnType::Timestamp { fsp }) => {
            quoted(out, |out| time::write_timestamp(seconds, micros, *fsp, out));
        }
        (
            Value::Decimal {
                packed,
                precision,
                scale,
            },
            ColumnType::Decimal { .. },
        ) => number::write_decimal(packed, precision, scale, out).map_err(damaged(column))?,
        (Value::Float(value), ColumnType::Float { .. }) => write_double(f64::from(value), out),
        (Value::Double(value), ColumnType::Double { .. }) => write_double(value, out),
        (Value::Date(date), ColumnType::Date) => quoted(out, |out| time::write_date(date, out)),
        (
            Value::Time {
                negative,
                hours,
                minutes,
                seconds,
                micros,
            },
            ColumnType::Time { fsp },
        ) => quoted(out, |out| {
            time::write_time(negative, (hours, minutes, seconds), micros, *fsp, out);
        }),
        (Value::Year(year), ColumnType::Year) => quoted(out, |out| time::four_digits(year, out)),
        (Value::Text(bytes), ColumnType::Binary { len }) => write_padded(bytes, *len, out),
        (Value::Text(bytes), ColumnType::Varbinary { .. })
        | (Value::Blob(bytes), ColumnType::Blob { .. } | ColumnType::Geometry { .. }) => {
            write_padded(bytes, 0, out);
        }
        (Value::Blob(bytes) | Value::Text(bytes), ColumnType::Vector { .. }) => {
            if flavor == Flavor::TiDb {
                quoted(out, |out| write_vector(bytes, out));
            } else {
                write_padded(bytes, 0, out);
            }
        }
        (Value::Enum(found), ColumnType::Enum { members }) => {
            let name = match usize::from(found).checked_sub(1) {
                None => "",
                Some(at) => members
                    .get(at)
                    .ok_or_else(|| no_member(column, members, found.into()))?,
            };
            write_quoted(name.as_bytes(), out);
        }
        (Value::Set(found), ColumnType::Set { members }) => write_set(column, members, found, out)?,
        (Value::Bit(bytes), ColumnType::Bit { .. }) => format::write_uint(bits(bytes), out),
        (Value::Json(bytes), ColumnType::Json) => {
            let mut text = Vec::with_capacity(bytes.len() + bytes.len() / 4);
            json::write_text(bytes, &mut text).map_err(damaged(column))?;
            write_quoted(&text, out);
        }
        (Value::Text(bytes), ColumnType::Other(ty)) if uuid::is(ty) => {
            quoted(out, |out| uuid::write(ty, bytes, out));
        }
        (Value::Absent, _) => {
            return Err(ValueError::Absent {
                column: column.name.clone(),
            });
        }
        (Value::JsonDiff(_), _) => {
            return Err(ValueError::Difference {
                column: column.name.clone(),
            });
        }
        (value, _) => {
            return Err(ValueError::Type {
                column: column.name.clone(),
                ty: column.raw_type.clone(),
                found: kind(&value),
            });
        }
    }
    Ok(())
}

/// Whether the value is the invalid member 0 of an ENUM that has no empty member. Strict mode refuses
/// it whatever the literal; a session without `STRICT_TRANS_TABLES` stores it, with one warning.
#[must_use]
pub fn is_invalid_member(column: &ColumnDef, value: &Value<'_>) -> bool {
    match (value, &column.ty) {
        (Value::Enum(0), ColumnType::Enum { members }) => !members.iter().any(String::is_empty),
        _ => false,
    }
}

/// Whether whole numbers of this type have no sign.
pub(super) fn is_unsigned(ty: &ColumnType) -> bool {
    matches!(
        ty,
        ColumnType::TinyInt { unsigned: true }
            | ColumnType::SmallInt { unsigned: true }
            | ColumnType::MediumInt { unsigned: true }
            | ColumnType::Int { unsigned: true }
            | ColumnType::BigInt { unsigned: true }
    )
}

/// The character set of a text column.
pub(super) fn charset(column: &ColumnDef) -> Result<Charset, ValueError> {
    let name = column.charset.as_deref().unwrap_or("(none)");
    Charset::find(name).ok_or_else(|| ValueError::Charset {
        column: column.name.clone(),
        charset: name.to_owned(),
    })
}

/// The text of a value in UTF-8.
pub(super) fn utf8<'a>(
    column: &ColumnDef,
    bytes: &'a [u8],
) -> Result<std::borrow::Cow<'a, str>, ValueError> {
    charset(column)?
        .to_utf8(bytes)
        .map_err(|source| ValueError::Text {
            column: column.name.clone(),
            charset: column.charset.clone().unwrap_or_default(),
            source,
        })
}

#[inline]
fn write_text(column: &ColumnDef, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    write_quoted(utf8(column, bytes)?.as_bytes(), out);
    Ok(())
}

#[inline]
fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'\'');
    write(out);
    out.push(b'\'');
}

/// Bytes, with as many zero bytes behind them as the length asks for.
pub(super) fn write_padded(bytes: &[u8], length: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(b"X'");
    write_hex(bytes, out);
    // BINARY has at most 255 bytes; a longer one is a definition that nobody has.
    let missing = usize::try_from(length).map_or(0, |length| length.saturating_sub(bytes.len()));
    out.extend(std::iter::repeat_n(b'0', missing * 2));
    out.push(b'\'');
}

fn write_set(
    column: &ColumnDef,
    members: &[String],
    found: u64,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let known = match members.len() {
        0 => 0,
        count @ 1..=63 => u64::MAX >> (64 - count),
        _ => u64::MAX,
    };
    if found & !known != 0 {
        return Err(no_member(column, members, found));
    }
    out.push(b'\'');
    let mut first = true;
    for (at, member) in members.iter().take(64).enumerate() {
        if found >> at & 1 == 0 {
            continue;
        }
        if !first {
            out.push(b',');
        }
        first = false;
        write_escaped(member.as_bytes(), out);
    }
    out.push(b'\'');
    Ok(())
}

#[cold]
pub(super) fn no_member(column: &ColumnDef, members: &[String], found: u64) -> ValueError {
    ValueError::Member {
        column: column.name.clone(),
        members: members.len(),
        found,
    }
}

/// Names the column of what is damaged.
pub(super) fn damaged(column: &ColumnDef) -> impl FnOnce(String) -> ValueError {
    |what| ValueError::Damaged {
        column: column.name.clone(),
        what,
    }
}

/// In words.
fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::Absent => "nothing",
        Value::Null => "NULL",
        Value::Int { .. } => "a whole number",
        Value::Float(_) => "a FLOAT",
        Value::Double(_) => "a DOUBLE",
        Value::Decimal { .. } => "a DECIMAL",
        Value::Year(_) => "a YEAR",
        Value::Date(_) => "a DATE",
        Value::Time { .. } => "a TIME",
        Value::DateTime(_) => "a DATETIME",
        Value::Timestamp { .. } => "a TIMESTAMP",
        Value::Text(_) => "a short text",
        Value::Blob(_) => "a BLOB or TEXT",
        Value::Json(_) | Value::JsonDiff(_) => "a JSON document",
        Value::Enum(_) => "a member of an ENUM",
        Value::Set(_) => "members of a SET",
        Value::Bit(_) => "bits",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(raw: &str) -> ColumnDef {
        let mut column = ColumnDef::new("c", raw);
        column.charset = Some("latin1".into());
        column
    }

    fn literal(raw: &str, value: Value<'_>, flavor: Flavor) -> Result<String, ValueError> {
        let mut out = Vec::new();
        write_literal(&column(raw), &value, flavor, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_become_literals() {
        let int = |value| Value::Int { value, bytes: 3 };
        for (raw, value, expected) in [
            ("mediumint", int(-1), "-1"),
            ("mediumint unsigned", int(-1), "16777215"),
            ("float", Value::Float(0.1), "0.10000000149011612e0"),
            ("double", Value::Double(-0.0), "-0.0e0"),
            ("year", Value::Year(0), "'0000'"),
            ("varchar(9)", Value::Text(b"it's \xe9"), "'it\\'s é'"),
            ("text", Value::Blob(b"\\"), "'\\\\'"),
            ("binary(4)", Value::Text(b"a"), "X'61000000'"),
            ("varbinary(4)", Value::Text(b"a"), "X'61'"),
            ("blob", Value::Blob(b""), "X''"),
            ("enum('a','b')", Value::Enum(2), "'b'"),
            ("enum('a','b')", Value::Enum(0), "''"),
            ("set('a','b','c')", Value::Set(5), "'a,c'"),
            ("set('a','b','c')", Value::Set(0), "''"),
            ("bit(9)", Value::Bit(&[1, 0]), "256"),
            ("int", Value::Null, "NULL"),
            ("point", Value::Blob(&[0, 1]), "X'0001'"),
            ("inet4", Value::Text(&[10, 0, 0, 1]), "'10.0.0.1'"),
            ("inet6", Value::Text(&[]), "'::'"),
        ] {
            assert_eq!(
                literal(raw, value, Flavor::MySql).unwrap(),
                expected,
                "{raw}"
            );
        }
        let vector = 1.5_f32.to_le_bytes();
        let vector = |flavor| literal("vector(1)", Value::Blob(&vector), flavor).unwrap();
        assert_eq!(vector(Flavor::MySql), "X'0000C03F'");
        assert_eq!(vector(Flavor::TiDb), "'[1.5]'");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = |raw, value| literal(raw, value, Flavor::MySql).unwrap_err().to_string();
        assert!(error("int", Value::Absent).contains("binlog_row_image=FULL"));
        assert!(error("int", Value::Year(1)).contains("`c` is int"));
        assert!(error("enum('a')", Value::Enum(2)).contains("has 1 members"));
        assert!(error("set('a')", Value::Set(2)).contains("has 1 members"));
        assert!(error("json", Value::JsonDiff(b"")).contains("difference"));
        assert!(error("json", Value::Json(b"\x0c")).contains("damaged"));
        let mut klingon = column("char(3)");
        klingon.charset = Some("klingon".into());
        let written = write_literal(&klingon, &Value::Text(b"a"), Flavor::MySql, &mut Vec::new());
        assert!(written.unwrap_err().to_string().contains("klingon"));
    }

    #[test]
    fn an_invalid_member_is_told() {
        assert!(is_invalid_member(&column("enum('a')"), &Value::Enum(0)));
        assert!(!is_invalid_member(&column("enum('a','')"), &Value::Enum(0)));
        assert!(!is_invalid_member(&column("enum('a')"), &Value::Enum(1)));
    }
}
