//! MySQL's binary JSON → the text that the server prints for it.
//!
//! The format is described in MySQL's `sql-common/json_binary.h`: a byte for the type, then the value.
//! Objects and arrays begin with how many members and how many bytes they have, then a table of where
//! each name and value lies, counted from the object's own begin; the small form has offsets of two
//! bytes, the large one of four. Whatever MySQL has a type for and JSON has not (dates, decimals,
//! bytes) is *opaque*: its field type, then its bytes.
//!
//! The text is the one that `SELECT` gives, so it is also what a dump holds: in it a date is a text
//! and bytes are base64, and the target has them as texts, as after dump and load.
//!
//! Offsets of a damaged document may point anywhere, also to where something was read before. So
//! besides the depth, which MySQL itself bounds, all bytes that are read are counted: a document
//! cannot have more of them than it has.

use std::io::Write;

use super::cursor::{Broken, Cursor, Read};
use super::value::DateTime;
use crate::row::{write_date, write_datetime, write_decimal, write_time};

/// Deepest document that MySQL stores.
const MAX_DEPTH: usize = 100;

const SMALL_OBJECT: u8 = 0x00;
pub(super) const LARGE_OBJECT: u8 = 0x01;
const SMALL_ARRAY: u8 = 0x02;
pub(super) const LARGE_ARRAY: u8 = 0x03;
pub(super) const LITERAL: u8 = 0x04;
const INT16: u8 = 0x05;
const UINT16: u8 = 0x06;
const INT32: u8 = 0x07;
const UINT32: u8 = 0x08;
const INT64: u8 = 0x09;
const UINT64: u8 = 0x0a;
const DOUBLE: u8 = 0x0b;
const STRING: u8 = 0x0c;
const OPAQUE: u8 = 0x0f;

/// MySQL's numbers of field types inside opaque values.
mod field {
    pub const TIMESTAMP: u8 = 7;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const NEWDECIMAL: u8 = 246;
}

/// Appends the text of a document as the server prints it. A value of no bytes is `null` (what
/// `INSERT IGNORE` leaves in a column that takes no NULL).
///
/// # Errors
/// In words, when the bytes are no document.
pub fn write_text(document: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let Some((&ty, data)) = document.split_first() else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let mut printer = Printer {
        left: document.len(),
        out,
    };
    let printed = printer.value(Raw { ty, data }, 1);
    printed.map_err(|broken| format!("a JSON document: {}", broken.0))
}

/// A value in its place: its type and all bytes from its begin on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Raw<'a> {
    pub(super) ty: u8,
    pub(super) data: &'a [u8],
}

impl Raw<'_> {
    /// Whether it fits into an entry of four bytes.
    pub(super) fn is_short(self) -> bool {
        matches!(self.ty, LITERAL | INT16 | UINT16 | INT32 | UINT32)
    }
}

/// The same value with just its own bytes, without those that follow it.
pub(super) fn own_bytes(raw: Raw<'_>) -> Read<Raw<'_>> {
    let length = match raw.ty {
        LITERAL => 1,
        INT16 | UINT16 => 2,
        INT32 | UINT32 => 4,
        INT64 | UINT64 | DOUBLE => 8,
        STRING | OPAQUE => {
            let mut cursor = Cursor::new(raw.data);
            if raw.ty == OPAQUE {
                cursor.u8()?;
            }
            sized(&mut cursor)?;
            raw.data.len() - cursor.left()
        }
        _ => match Container::open(raw)? {
            Some(container) => container.bytes.len(),
            None => return Err(Broken(format!("a value of the type {}", raw.ty))),
        },
    };
    let data = Cursor::new(raw.data).take(length)?;
    Ok(Raw { ty: raw.ty, data })
}

/// An object or array.
#[derive(Debug, Clone, Copy)]
pub(super) struct Container<'a> {
    pub(super) count: usize,
    /// Its own bytes.
    bytes: &'a [u8],
    /// Bytes of an offset: 2 or 4.
    width: usize,
    object: bool,
}

impl<'a> Container<'a> {
    /// The container that a value is; `None` for others.
    pub(super) fn open(raw: Raw<'a>) -> Read<Option<Self>> {
        let (object, width) = match raw.ty {
            SMALL_OBJECT => (true, 2),
            LARGE_OBJECT => (true, 4),
            SMALL_ARRAY => (false, 2),
            LARGE_ARRAY => (false, 4),
            _ => return Ok(None),
        };
        let mut cursor = Cursor::new(raw.data);
        let count = size(cursor.uint(width)?);
        let bytes = size(cursor.uint(width)?);
        let Some(bytes) = raw.data.get(..bytes) else {
            return Err(Broken(format!(
                "an object or array of {bytes} bytes where {} are left",
                raw.data.len()
            )));
        };
        let entry = width + 1 + if object { width + 2 } else { 0 };
        if count.saturating_mul(entry) > bytes.len() {
            return Err(Broken(format!("{count} members in {} bytes", bytes.len())));
        }
        Ok(Some(Self {
            count,
            bytes,
            width,
            object,
        }))
    }

    pub(super) fn is_object(&self) -> bool {
        self.object
    }

    fn at(&self, offset: usize) -> Read<Cursor<'a>> {
        match self.bytes.get(offset..) {
            Some(rest) => Ok(Cursor::new(rest)),
            None => Err(Broken(format!(
                "an offset of {offset} in {} bytes",
                self.bytes.len()
            ))),
        }
    }

    /// The name of a member of an object.
    pub(super) fn name(&self, index: usize) -> Read<&'a [u8]> {
        let mut entry = self.at(2 * self.width + index * (self.width + 2))?;
        let offset = size(entry.uint(self.width)?);
        let length = entry.u16()?;
        self.at(offset)?.take(length.into())
    }

    /// The value of a member. One that is kept within the table has just the bytes there.
    pub(super) fn value(&self, index: usize) -> Read<Raw<'a>> {
        let names = if self.object {
            self.count * (self.width + 2)
        } else {
            0
        };
        let mut entry = self.at(2 * self.width + names + index * (self.width + 1))?;
        let ty = entry.u8()?;
        let inlined = match ty {
            LITERAL | INT16 | UINT16 => true,
            INT32 | UINT32 => self.width == 4,
            _ => false,
        };
        let data = if inlined {
            entry.take(self.width)?
        } else {
            let offset = size(entry.uint(self.width)?);
            self.at(offset)?.rest()
        };
        Ok(Raw { ty, data })
    }

    /// Bytes of a member's entries in the tables.
    fn entry_bytes(&self) -> usize {
        self.width + 1
    }
}

/// More than usize holds is more than is left.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A length of seven bits a byte, lowest first, then so many bytes.
fn sized<'a>(cursor: &mut Cursor<'a>) -> Read<&'a [u8]> {
    let mut length = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = cursor.u8()?;
        length |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return cursor.take(size(length));
        }
    }
    Err(Broken::new("a length of more than five bytes"))
}

struct Printer<'o> {
    /// Bytes that may still be read.
    left: usize,
    out: &'o mut Vec<u8>,
}

impl Printer<'_> {
    fn spend(&mut self, bytes: usize) -> Read<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Broken::new("its parts lie one upon the other")),
        }
    }

    fn value(&mut self, raw: Raw<'_>, depth: usize) -> Read<()> {
        if let Some(container) = Container::open(raw)? {
            return self.container(&container, depth);
        }
        let mut cursor = Cursor::new(raw.data);
        match raw.ty {
            LITERAL => self.out.extend_from_slice(match cursor.u8()? {
                0 => b"null",
                1 => b"true",
                2 => b"false",
                other => return Err(Broken(format!("a literal of the kind {other}"))),
            }),
            INT16 => self.int(i16::from_le_bytes(cursor.array()?).into()),
            INT32 => self.int(i32::from_le_bytes(cursor.array()?).into()),
            INT64 => self.int(i64::from_le_bytes(cursor.array()?)),
            UINT16 => self.uint(cursor.uint(2)?),
            UINT32 => self.uint(cursor.uint(4)?),
            UINT64 => self.uint(cursor.uint(8)?),
            DOUBLE => double(f64::from_le_bytes(cursor.array()?), self.out)?,
            STRING => {
                let text = sized(&mut cursor)?;
                self.spend(text.len())?;
                string(text, self.out)?;
            }
            OPAQUE => {
                let ty = cursor.u8()?;
                let bytes = sized(&mut cursor)?;
                self.spend(bytes.len())?;
                opaque(ty, bytes, self.out)?;
            }
            other => return Err(Broken(format!("a value of the type {other}"))),
        }
        Ok(())
    }

    fn container(&mut self, container: &Container<'_>, depth: usize) -> Read<()> {
        if depth > MAX_DEPTH {
            return Err(Broken(format!("deeper than {MAX_DEPTH} levels")));
        }
        let (open, close) = if container.is_object() {
            (b'{', b'}')
        } else {
            (b'[', b']')
        };
        self.out.push(open);
        for index in 0..container.count {
            if index > 0 {
                self.out.extend_from_slice(b", ");
            }
            self.spend(container.entry_bytes())?;
            if container.is_object() {
                let name = container.name(index)?;
                self.spend(name.len())?;
                string(name, self.out)?;
                self.out.extend_from_slice(b": ");
            }
            self.value(container.value(index)?, depth + 1)?;
        }
        self.out.push(close);
        Ok(())
    }

    fn int(&mut self, number: i64) {
        self.out
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    fn uint(&mut self, number: u64) {
        self.out
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// A text in double quotes with JSON's escapes, those that the server writes.
fn string(text: &[u8], out: &mut Vec<u8>) -> Read<()> {
    if std::str::from_utf8(text).is_err() {
        return Err(Broken::new("a text that is no UTF-8"));
    }
    out.push(b'"');
    let mut written = 0;
    for (at, &byte) in text.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(text.get(written..at).unwrap_or_default());
        written = at + 1;
        let short = match byte {
            b'"' | b'\\' => byte,
            8 => b'b',
            9 => b't',
            10 => b'n',
            12 => b'f',
            13 => b'r',
            _ => {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "\\u{byte:04x}");
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(text.get(written..).unwrap_or_default());
    out.push(b'"');
    Ok(())
}

/// The shortest digits that read back as the same number, with a point or an exponent, so that it
/// stays a double.
fn double(number: f64, out: &mut Vec<u8>) -> Read<()> {
    if !number.is_finite() {
        return Err(Broken::new("a number that is not finite"));
    }
    // `d.ddde±x` or `de±x`.
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-15..15).contains(&exponent) {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{number}");
        if number.fract() == 0.0 {
            out.extend_from_slice(b".0");
        }
    } else {
        let _ = write!(out, "{digits}e{exponent}");
    }
    Ok(())
}

fn opaque(ty: u8, bytes: &[u8], out: &mut Vec<u8>) -> Read<()> {
    let mut cursor = Cursor::new(bytes);
    match ty {
        field::NEWDECIMAL => {
            let (precision, scale) = (cursor.u8()?, cursor.u8()?);
            write_decimal(cursor.rest(), precision, scale, out).map_err(Broken)?;
        }
        field::DATE | field::DATETIME | field::TIMESTAMP => {
            let date = datetime(i64::from_le_bytes(cursor.array()?))?;
            out.push(b'"');
            if ty == field::DATE {
                write_date(date, out);
            } else {
                write_datetime(date, 6, out);
            }
            out.push(b'"');
        }
        field::TIME => {
            let packed = i64::from_le_bytes(cursor.array()?);
            let size = packed.unsigned_abs();
            let part = |shift: u32, bits: u32| size >> shift & ((1 << bits) - 1);
            let small = |part: u64| u8::try_from(part).unwrap_or(u8::MAX);
            let hours = u16::try_from(part(36, 10)).unwrap_or(u16::MAX);
            let micros = u32::try_from(part(0, 24)).unwrap_or(u32::MAX);
            let clock = (hours, small(part(30, 6)), small(part(24, 6)));
            out.push(b'"');
            write_time(packed < 0, clock, micros, 6, out);
            out.push(b'"');
        }
        _ => {
            let _ = write!(out, "\"base64:type{ty}:");
            base64(bytes, out);
            out.push(b'"');
        }
    }
    Ok(())
}

/// A moment as MySQL packs it into a number: months, days, hours, minutes, seconds from 24 bits up.
fn datetime(packed: i64) -> Read<DateTime> {
    let Ok(size) = u64::try_from(packed) else {
        return Err(Broken::new("a moment before the year 0"));
    };
    let part = |shift: u32, bits: u32| u8::try_from(size >> shift & ((1 << bits) - 1)).unwrap_or(0);
    let months = size >> 46;
    Ok(DateTime {
        year: u16::try_from(months / 13).unwrap_or(u16::MAX),
        month: u8::try_from(months % 13).unwrap_or(0),
        day: part(41, 5),
        hour: part(36, 5),
        minute: part(30, 6),
        second: part(24, 6),
        micros: u32::try_from(size & 0xFF_FFFF).unwrap_or(0),
    })
}

/// Base64 as the server writes it inside JSON: a line feed, escaped, after every 76 characters.
fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (at, chunk) in bytes.chunks(3).enumerate() {
        if at > 0 && at % 19 == 0 {
            out.extend_from_slice(b"\\n");
        }
        let part = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let bits = part(0) << 16 | part(1) << 8 | part(2);
        for digit in 0..4 {
            let index = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap_or(0);
            out.push(if digit as usize > chunk.len() {
                b'='
            } else {
                DIGITS.get(index).copied().unwrap_or(b'=')
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(document: &[u8]) -> Result<String, String> {
        let mut out = Vec::new();
        write_text(document, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// `{"a": -1}` as the server keeps it.
    const OBJECT: &[u8] = b"\x00\x01\x00\x0c\x00\x0b\x00\x01\x00\x05\xff\xffa";

    #[test]
    fn a_document_is_printed() {
        assert_eq!(text(OBJECT).unwrap(), r#"{"a": -1}"#);
        assert_eq!(text(b"").unwrap(), "null");
        assert_eq!(
            text(b"\x0c\x06a\"\\\n\x01\x7f").unwrap(),
            "\"a\\\"\\\\\\n\\u0001\x7f\""
        );
        assert_eq!(
            text(b"\x0f\xfc\x02\x00\xff").unwrap(),
            r#""base64:type252:AP8=""#
        );
    }

    #[test]
    fn doubles_stay_doubles() {
        let of = |number: f64| {
            let mut document = vec![DOUBLE];
            document.extend(number.to_le_bytes());
            text(&document)
        };
        assert_eq!(of(1.0).unwrap(), "1.0");
        assert_eq!(of(-0.0).unwrap(), "-0.0");
        assert_eq!(of(1e14).unwrap(), "100000000000000.0");
        assert_eq!(of(1e15).unwrap(), "1e15");
        assert_eq!(of(1.5e-16).unwrap(), "1.5e-16");
        assert!(of(f64::NAN).is_err());
    }

    #[test]
    fn damage_neither_panics_nor_takes_for_ever() {
        // An array of two values, both of which are the array itself.
        let itself = b"\x02\x02\x00\x0a\x00\x02\x00\x00\x02\x00\x00";
        assert!(text(itself).unwrap_err().contains("one upon the other"));
        for end in 1..OBJECT.len() {
            assert!(text(&OBJECT[..end]).is_err(), "{end}");
        }
        assert!(text(b"\x0c\xff\xff\xff\xff\xffa").is_err());
        assert!(text(b"\x0c\x01\xff").unwrap_err().contains("UTF-8"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(0_u8.., 0..200), ty in 0_u8..16) {
            let mut document = vec![ty];
            document.extend(bytes);
            let _ = text(&document);
        }
    }
}
