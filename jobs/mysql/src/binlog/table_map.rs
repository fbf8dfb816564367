//! `TABLE_MAP`: which table the rows behind it belong to, and how its columns lie in them.

use super::cursor::{Broken, Cursor, Read};
use super::error::Result;
use super::frame::{Event, Format};
use super::header::Kind;
use crate::schema::TableName;

/// More columns than a table can have (4096) are damage.
const MOST_COLUMNS: u64 = 4096;

/// The servers' numbers of some types (`enum_field_types`).
pub(crate) const VARCHAR: u8 = 15;
pub(crate) const BLOB_COMPRESSED: u8 = 140;
pub(crate) const VARCHAR_COMPRESSED: u8 = 141;
pub(crate) const VECTOR: u8 = 242;
pub(crate) const ENUM: u8 = 247;
pub(crate) const SET: u8 = 248;
pub(crate) const BLOB: u8 = 252;
pub(crate) const VAR_STRING: u8 = 253;
pub(crate) const STRING: u8 = 254;
pub(crate) const GEOMETRY: u8 = 255;

/// How a column lies in the rows: the server's own numbers of types (`enum_field_types`), with what
/// they need to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Whole number of so many bytes; the sign is not told here.
    Int(u8),
    /// 4 bytes.
    Float,
    /// 8 bytes.
    Double,
    /// Digits packed by nine into four bytes.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// Of old MySQL: never written by rows; carried to be refused by name.
    OldDecimal,
    /// Years since 1900; 0 is the year 0000.
    Year,
    /// Three bytes.
    Date,
    /// Three bytes, as digits; of columns made before 5.6.4.
    OldTime,
    /// Eight bytes, as digits; of columns made before 5.6.4.
    OldDateTime,
    /// Four bytes; of columns made before 5.6.4.
    OldTimestamp,
    /// With so many digits of fractional seconds.
    Time(u8),
    /// The same.
    DateTime(u8),
    /// The same.
    Timestamp(u8),
    /// A length of one or two bytes, then so many bytes.
    Text {
        /// Bytes of the length.
        length: u8,
    },
    /// A length of one to four bytes, then so many bytes: TEXT, BLOB, GEOMETRY, VECTOR.
    Blob {
        /// Bytes of the length.
        length: u8,
    },
    /// A length of so many bytes, then so many bytes, packed: MariaDB's `COMPRESSED` columns. They
    /// are carried to be refused by name where a row has one.
    Compressed {
        /// Bytes of the length.
        length: u8,
    },
    /// The same as a BLOB, with MySQL's binary JSON.
    Json {
        /// Bytes of the length.
        length: u8,
    },
    /// Number of the member, in one or two bytes.
    Enum(u8),
    /// A bit for each member, in one to eight bytes.
    Set(u8),
    /// So many bits, big-endian.
    Bit(u8),
}

/// A table map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableMap {
    /// The number by which rows name it, until the next map of the same number.
    pub id: u64,
    /// The table at the source.
    pub name: TableName,
    /// Its columns.
    pub columns: Vec<Layout>,
    /// The servers' numbers of their types (`enum_field_types`), of ENUM and SET the real ones.
    pub types: Vec<u8>,
    /// Whether each of them takes NULL.
    pub nullable: Vec<bool>,
    /// `binlog_row_metadata`, as it was sent.
    pub metadata: Vec<u8>,
}

impl TableMap {
    /// Reads the body of a table map.
    ///
    /// # Errors
    /// When it is damaged, or has a type that nobody knows.
    pub fn parse(event: &Event, format: &Format) -> Result<Self> {
        read(event.body(), table_id_bytes(format, Kind::TABLE_MAP))
            .map_err(|broken| event.broken(broken.0))
    }
}

/// Bytes of a table's number: four in binlogs of the first 5.1.
pub(crate) fn table_id_bytes(format: &Format, kind: Kind) -> usize {
    if format.post_header(kind) == Some(6) {
        4
    } else {
        6
    }
}

fn read(body: &[u8], id_bytes: usize) -> Read<TableMap> {
    let mut cursor = Cursor::new(body);
    let id = cursor.uint(id_bytes)?;
    let _flags = cursor.u16()?;
    let schema = name(&mut cursor)?;
    let table = name(&mut cursor)?;
    let count = cursor.packed()?;
    if count > MOST_COLUMNS {
        return Err(Broken(format!(
            "it says that the table has {count} columns"
        )));
    }
    // At most 4096.
    let types = cursor.take(usize::try_from(count).unwrap_or(usize::MAX))?;
    let mut layouts = Cursor::new(cursor.packed_bytes()?);
    let columns: Vec<Layout> = types
        .iter()
        .map(|number| layout(*number, &mut layouts))
        .collect::<Read<_>>()?;
    if !layouts.is_empty() {
        return Err(Broken::new("the description of its columns is too long"));
    }
    let bits = cursor.take(types.len().div_ceil(8))?;
    let nullable = (0..types.len()).map(|column| bit(bits, column)).collect();
    let types = types.iter().zip(&columns);
    let types = types
        .map(|(number, layout)| real_type(*number, *layout))
        .collect();
    Ok(TableMap {
        id,
        name: TableName::new(schema, table),
        columns,
        types,
        nullable,
        metadata: cursor.rest().to_vec(),
    })
}

/// A name with its length before and a zero behind.
fn name(cursor: &mut Cursor<'_>) -> Read<String> {
    let length = cursor.u8()?;
    let bytes = cursor.take(usize::from(length))?;
    if cursor.u8()? != 0 {
        return Err(Broken::new("a name does not end in a zero byte"));
    }
    // Names are utf8mb3 in the server.
    let text = std::str::from_utf8(bytes).map_err(|_| Broken::new("a name is not UTF-8"))?;
    Ok(text.to_owned())
}

/// Whether bit `index` is set, counted from the lowest bit of the first byte.
#[inline]
pub(crate) fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// ENUM and SET come as CHAR.
fn real_type(number: u8, layout: Layout) -> u8 {
    match layout {
        Layout::Enum(_) => ENUM,
        Layout::Set(_) => SET,
        _ => number,
    }
}

fn layout(number: u8, cursor: &mut Cursor<'_>) -> Read<Layout> {
    Ok(match number {
        0 => Layout::OldDecimal,
        1 => Layout::Int(1),
        2 => Layout::Int(2),
        3 => Layout::Int(4),
        4 => checked(cursor.u8()?, 4..=4, Layout::Float, "FLOAT")?,
        5 => checked(cursor.u8()?, 8..=8, Layout::Double, "DOUBLE")?,
        7 => Layout::OldTimestamp,
        8 => Layout::Int(8),
        9 => Layout::Int(3),
        10 | 14 => Layout::Date,
        11 => Layout::OldTime,
        12 => Layout::OldDateTime,
        13 => Layout::Year,
        15 | 253 => {
            let longest = cursor.u16()?;
            Layout::Text {
                length: if longest > 255 { 2 } else { 1 },
            }
        }
        16 => {
            let [bits, bytes] = cursor.array()?;
            let width = u16::from(bytes) * 8 + u16::from(bits);
            match u8::try_from(width) {
                Ok(width @ 1..=64) if bits < 8 => Layout::Bit(width),
                _ => return Err(Broken(format!("it has a BIT({width})"))),
            }
        }
        17 => fractional(cursor.u8()?, Layout::Timestamp)?,
        18 => fractional(cursor.u8()?, Layout::DateTime)?,
        19 => fractional(cursor.u8()?, Layout::Time)?,
        BLOB_COMPRESSED => {
            let length = cursor.u8()?;
            checked(length, 1..=4, Layout::Compressed { length }, "BLOB")?
        }
        VARCHAR_COMPRESSED => {
            let longest = cursor.u16()?;
            Layout::Compressed {
                length: if longest > 255 { 2 } else { 1 },
            }
        }
        242 | 249..=252 | 255 => {
            let length = cursor.u8()?;
            checked(length, 1..=4, Layout::Blob { length }, "BLOB")?
        }
        245 => {
            let length = cursor.u8()?;
            checked(length, 1..=4, Layout::Json { length }, "JSON")?
        }
        246 => {
            let [precision, scale] = cursor.array()?;
            if !(1..=65).contains(&precision) || scale > 30 || scale > precision {
                return Err(Broken(format!("it has a DECIMAL({precision},{scale})")));
            }
            Layout::Decimal { precision, scale }
        }
        247 => {
            let bytes = cursor.u8()?;
            checked(bytes, 1..=2, Layout::Enum(bytes), "ENUM")?
        }
        248 => {
            let bytes = cursor.u8()?;
            checked(bytes, 1..=8, Layout::Set(bytes), "SET")?
        }
        254 => string(cursor.array()?)?,
        other => return Err(Broken(format!("column type {other} is not known"))),
    })
}

/// CHAR, BINARY, ENUM and SET share a number. The real one is in the first byte, whose bits 4 and 5
/// are also, turned round, bits 8 and 9 of a CHAR's length (bug 37426 of MySQL).
fn string([real, length]: [u8; 2]) -> Read<Layout> {
    if real & 0x30 != 0x30 {
        let longest = u16::from(length) | u16::from((real & 0x30) ^ 0x30) << 4;
        return Ok(Layout::Text {
            length: if longest > 255 { 2 } else { 1 },
        });
    }
    match real {
        247 => checked(length, 1..=2, Layout::Enum(length), "ENUM"),
        248 => checked(length, 1..=8, Layout::Set(length), "SET"),
        253 | 254 => Ok(Layout::Text { length: 1 }),
        other => Err(Broken(format!("column type {other} is not known"))),
    }
}

fn fractional(digits: u8, layout: fn(u8) -> Layout) -> Read<Layout> {
    checked(
        digits,
        0..=6,
        layout(digits),
        "time with fractional seconds",
    )
}

fn checked(
    value: u8,
    allowed: std::ops::RangeInclusive<u8>,
    layout: Layout,
    what: &str,
) -> Read<Layout> {
    if allowed.contains(&value) {
        Ok(layout)
    } else {
        Err(Broken(format!("it has a {what} of {value}")))
    }
}
