//! A value in a row, as the server packed it.
//!
//! Nothing is converted that the definition of the table is needed for: the sign of whole numbers
//! (see [`Value::Int`]), the character set of texts, the names of members.

use super::cursor::{Broken, Cursor, Read};
use super::table_map::Layout;

/// A moment without a zone, or a part of one, as MySQL keeps it: parts may be zero, and the day may be
/// one that its month does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)] // The names say it.
pub struct DateTime {
    pub year: u16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub micros: u32,
}

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Not in the row's image: the source does not run with `binlog_row_image=FULL`.
    Absent,
    /// NULL.
    Null,
    /// A whole number of so many bytes, as if it were signed; see [`unsigned`].
    Int {
        /// The number.
        value: i64,
        /// Bytes of its type: 1, 2, 3, 4 or 8.
        bytes: u8,
    },
    /// FLOAT.
    Float(f32),
    /// DOUBLE.
    Double(f64),
    /// DECIMAL, packed; see [`decimal`].
    Decimal {
        /// The bytes.
        packed: &'a [u8],
        /// Digits in all.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// YEAR; 0 is 0000.
    Year(u16),
    /// DATE.
    Date(DateTime),
    /// TIME.
    Time {
        /// Before midnight, so to speak.
        negative: bool,
        /// Up to 838.
        hours: u16,
        /// Minutes.
        minutes: u8,
        /// Seconds.
        seconds: u8,
        /// Millionths of a second.
        micros: u32,
    },
    /// DATETIME.
    DateTime(DateTime),
    /// TIMESTAMP, since 1970 in UTC; `0, 0` is the zero date.
    Timestamp {
        /// Seconds.
        seconds: u32,
        /// Millionths of a second.
        micros: u32,
    },
    /// CHAR, VARCHAR, BINARY, VARBINARY, in the column's character set. Trailing spaces of CHAR and
    /// zero bytes of BINARY are cut.
    Text(&'a [u8]),
    /// TEXT, BLOB, GEOMETRY (SRID, then WKB), VECTOR.
    Blob(&'a [u8]),
    /// MySQL's binary JSON.
    Json(&'a [u8]),
    /// What changed in a JSON document (`binlog_row_value_options=PARTIAL_JSON`), as a sequence of
    /// packed differences to the value before.
    JsonDiff(&'a [u8]),
    /// Number of the member from 1 on; 0 is the empty text of a bad value.
    Enum(u16),
    /// A bit for each member.
    Set(u64),
    /// Bits, big-endian, in as many bytes as they need.
    Bit(&'a [u8]),
}

/// The same bits as a number without a sign.
#[must_use]
pub fn unsigned(value: i64, bytes: u8) -> u64 {
    let kept = u32::from(bytes.clamp(1, 8)) * 8;
    value.cast_unsigned() & (u64::MAX >> (64 - kept))
}

/// Reads the next value of a row.
#[inline]
pub(crate) fn read<'a>(layout: Layout, cursor: &mut Cursor<'a>) -> Read<Value<'a>> {
    Ok(match layout {
        Layout::Int(bytes) => int(cursor, bytes)?,
        Layout::Float => Value::Float(f32::from_le_bytes(cursor.array()?)),
        Layout::Double => Value::Double(f64::from_le_bytes(cursor.array()?)),
        Layout::Decimal { precision, scale } => Value::Decimal {
            packed: cursor.take(decimal_bytes(precision, scale))?,
            precision,
            scale,
        },
        Layout::Text { length } => Value::Text(sized(cursor, length)?),
        Layout::Blob { length } => Value::Blob(sized(cursor, length)?),
        Layout::Json { length } => Value::Json(sized(cursor, length)?),
        Layout::DateTime(digits) => datetime(cursor, digits)?,
        Layout::Timestamp(digits) => Value::Timestamp {
            seconds: u32::from_be_bytes(cursor.array()?),
            micros: fraction(cursor, digits)?,
        },
        Layout::Time(digits) => time(cursor, digits)?,
        Layout::Date => date(cursor.uint(3)?),
        Layout::Year => match cursor.u8()? {
            0 => Value::Year(0),
            since => Value::Year(1900 + u16::from(since)),
        },
        Layout::Enum(bytes) => Value::Enum(match bytes {
            1 => u16::from(cursor.u8()?),
            _ => cursor.u16()?,
        }),
        Layout::Set(bytes) => Value::Set(cursor.uint(usize::from(bytes))?),
        Layout::Bit(width) => Value::Bit(cursor.take(usize::from(width).div_ceil(8))?),
        Layout::OldTimestamp => Value::Timestamp {
            seconds: cursor.u32()?,
            micros: 0,
        },
        Layout::OldDateTime => old_datetime(cursor.uint(8)?)?,
        Layout::OldTime => old_time(cursor)?,
        Layout::Compressed { .. } => {
            return Err(Broken::new(
                "it has a COMPRESSED column of MariaDB, which cannot be read: ALTER TABLE … MODIFY it \
                 without COMPRESSED and take a new dump, or leave the table out",
            ));
        }
        Layout::OldDecimal => return Err(Broken::new("a DECIMAL of before MySQL 5.0 has no rows")),
    })
}

fn int<'a>(cursor: &mut Cursor<'a>, bytes: u8) -> Read<Value<'a>> {
    let value = match bytes {
        1 => i64::from(i8::from_le_bytes(cursor.array()?)),
        2 => i64::from(i16::from_le_bytes(cursor.array()?)),
        3 => {
            let [a, b, c] = cursor.array()?;
            // The sign comes down with the highest byte.
            i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)
        }
        4 => i64::from(i32::from_le_bytes(cursor.array()?)),
        _ => i64::from_le_bytes(cursor.array()?),
    };
    Ok(Value::Int { value, bytes })
}

fn sized<'a>(cursor: &mut Cursor<'a>, length: u8) -> Read<&'a [u8]> {
    let bytes = cursor.uint(usize::from(length))?;
    // More than usize holds is more than is left.
    cursor.take(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Bytes of the fraction of a second with so many digits.
fn fraction_bytes(digits: u8) -> usize {
    usize::from(digits.div_ceil(2))
}

/// Millionths of a second, from as many bytes as the digits need.
fn fraction(cursor: &mut Cursor<'_>, digits: u8) -> Read<u32> {
    let bytes = fraction_bytes(digits);
    micros(cursor.uint_be(bytes)?, bytes)
}

/// Millionths of a second, from a fraction that lay in so many bytes.
fn micros(fraction: u64, bytes: usize) -> Read<u32> {
    let micros = match bytes {
        0 => 0,
        1 => fraction * 10_000,
        2 => fraction * 100,
        _ => fraction,
    };
    match u32::try_from(micros) {
        Ok(micros @ ..1_000_000) => Ok(micros),
        _ => Err(Broken(format!("a second has {micros} millionths"))),
    }
}

/// The lowest `bits` of a number, which is then without them.
fn low(number: &mut u64, bits: u32) -> u64 {
    let part = *number & ((1 << bits) - 1);
    *number >>= bits;
    part
}

/// Parts that the bits of the format keep small enough for their types.
#[expect(
    clippy::cast_possible_truncation,
    reason = "each part is masked to fewer bits than its type has, or is a quotient of five bytes"
)]
fn date<'a>(mut number: u64) -> Value<'a> {
    let day = low(&mut number, 5) as u8;
    let month = low(&mut number, 4) as u8;
    Value::Date(DateTime {
        year: number as u16,
        month,
        day,
        ..DateTime::default()
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "each part is masked to fewer bits than its type has"
)]
fn datetime<'a>(cursor: &mut Cursor<'a>, digits: u8) -> Read<Value<'a>> {
    // Kept with an offset, so that bytes compare as times do; below it are no times.
    let Some(mut number) = cursor.uint_be(5)?.checked_sub(0x80_0000_0000) else {
        return Err(Broken::new("a DATETIME is negative"));
    };
    let second = low(&mut number, 6) as u8;
    let minute = low(&mut number, 6) as u8;
    let hour = low(&mut number, 5) as u8;
    let day = low(&mut number, 5) as u8;
    let months = number as u32;
    Ok(Value::DateTime(DateTime {
        year: (months / 13) as u16,
        month: (months % 13) as u8,
        day,
        hour,
        minute,
        second,
        micros: fraction(cursor, digits)?,
    }))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "each part is masked to fewer bits than its type has"
)]
fn time<'a>(cursor: &mut Cursor<'a>, digits: u8) -> Read<Value<'a>> {
    // Whole and fraction are one number, whose offset makes bytes compare as times do: a negative time
    // borrows from the whole.
    let bytes = fraction_bytes(digits);
    let number = cursor.uint_be(3 + bytes)?;
    let offset = 1_u64 << (23 + 8 * bytes);
    let negative = number < offset;
    let mut size = number.abs_diff(offset);
    let micros = micros(low(&mut size, 8 * bytes as u32), bytes)?;
    let seconds = low(&mut size, 6) as u8;
    let minutes = low(&mut size, 6) as u8;
    Ok(Value::Time {
        negative,
        hours: low(&mut size, 10) as u16,
        minutes,
        seconds,
        micros,
    })
}

/// `YYYYMMDDhhmmss` as a number.
fn old_datetime<'a>(number: u64) -> Read<Value<'a>> {
    let part = |below: u64| (number / below % 100) as u8;
    let Ok(year) = u16::try_from(number / 10_000_000_000) else {
        return Err(Broken(format!("{number} is no DATETIME")));
    };
    Ok(Value::DateTime(DateTime {
        year,
        month: part(100_000_000),
        day: part(1_000_000),
        hour: part(10_000),
        minute: part(100),
        second: part(1),
        micros: 0,
    }))
}

/// `hhmmss` as a number with a sign.
#[expect(
    clippy::cast_possible_truncation,
    reason = "three bytes / 10,000 and remainders below 100"
)]
fn old_time<'a>(cursor: &mut Cursor<'a>) -> Read<Value<'a>> {
    let Value::Int { value, .. } = int(cursor, 3)? else {
        return Err(Broken::new("a TIME is no number"));
    };
    let size = value.unsigned_abs();
    Ok(Value::Time {
        negative: value < 0,
        hours: (size / 10_000) as u16,
        minutes: (size / 100 % 100) as u8,
        seconds: (size % 100) as u8,
        micros: 0,
    })
}

/// Bytes of so many digits, of which nine lie in four bytes.
const DIGIT_BYTES: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

fn digit_bytes(digits: u8) -> usize {
    usize::from(digits / 9) * 4 + DIGIT_BYTES[usize::from(digits % 9)]
}

fn decimal_bytes(precision: u8, scale: u8) -> usize {
    digit_bytes(precision.saturating_sub(scale)) + digit_bytes(scale)
}

/// Writes a packed DECIMAL as its text: no leading zeros, all digits behind the point.
///
/// # Errors
/// In words, when the bytes are no such number.
pub fn decimal(packed: &[u8], precision: u8, scale: u8, out: &mut String) -> Result<(), String> {
    write_decimal(packed, precision, scale, out).map_err(|broken| broken.0)
}

fn write_decimal(packed: &[u8], precision: u8, scale: u8, out: &mut String) -> Read<()> {
    use std::fmt::Write as _;
    // Positive numbers have the highest bit set; of negative ones all bits are turned round.
    let mut bytes = packed.to_vec();
    let Some(first) = bytes.first_mut() else {
        return Err(Broken::new("a DECIMAL has no bytes"));
    };
    let negative = *first & 0x80 == 0;
    *first ^= 0x80;
    if negative {
        for byte in &mut bytes {
            *byte = !*byte;
        }
        out.push('-');
    }
    let mut cursor = Cursor::new(&bytes);
    let mut group = |digits: u8, bytes: usize| -> Read<u64> {
        let value = cursor.uint_be(bytes)?;
        if value >= 10_u64.pow(u32::from(digits)) {
            return Err(Broken(format!("{value} has more than {digits} digits")));
        }
        Ok(value)
    };
    let whole = precision.saturating_sub(scale);
    let mut begun = false;
    let first = whole % 9;
    for digits in std::iter::once(first).chain((0..whole / 9).map(|_| 9)) {
        let value = group(digits, DIGIT_BYTES[usize::from(digits)])?;
        // Writing to a String cannot fail.
        if begun {
            let _ = write!(out, "{value:09}");
        } else if value > 0 {
            let _ = write!(out, "{value}");
            begun = true;
        }
    }
    if !begun {
        out.push('0');
    }
    if scale > 0 {
        out.push('.');
    }
    for digits in (0..scale / 9)
        .map(|_| 9)
        .chain(Some(scale % 9).filter(|rest| *rest > 0))
    {
        let value = group(digits, DIGIT_BYTES[usize::from(digits)])?;
        let _ = write!(out, "{value:0width$}", width = usize::from(digits));
    }
    Ok(())
}
