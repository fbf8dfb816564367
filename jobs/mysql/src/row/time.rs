//! Dates and times as text.

use std::io::Write;

use crate::binlog::value::DateTime;
use crate::types::format;

/// `YYYY-MM-DD`, with whatever parts are zero.
pub(crate) fn write_date(date: DateTime, out: &mut Vec<u8>) {
    four_digits(date.year, out);
    out.push(b'-');
    two_digits(date.month, out);
    out.push(b'-');
    two_digits(date.day, out);
}

/// `YYYY-MM-DD hh:mm:ss` and the fraction.
pub(crate) fn write_datetime(time: DateTime, fsp: u8, out: &mut Vec<u8>) {
    write_date(time, out);
    out.push(b' ');
    two_digits(time.hour, out);
    out.push(b':');
    two_digits(time.minute, out);
    out.push(b':');
    two_digits(time.second, out);
    write_fraction(time.micros, fsp, out);
}

/// A moment since 1970 in UTC; none at all is the zero date.
pub(super) fn write_timestamp(seconds: u32, micros: u32, fsp: u8, out: &mut Vec<u8>) {
    if seconds == 0 && micros == 0 {
        out.extend_from_slice(b"0000-00-00 00:00:00");
        return;
    }
    let since = i64::from(seconds) * 1_000_000 + i64::from(micros);
    format::write_datetime(since, fsp, out);
}

/// `[-]hh:mm:ss` and the fraction; hours may have three digits.
pub(crate) fn write_time(
    negative: bool,
    (hours, minutes, seconds): (u16, u8, u8),
    micros: u32,
    fsp: u8,
    out: &mut Vec<u8>,
) {
    if negative {
        out.push(b'-');
    }
    match u8::try_from(hours) {
        Ok(hours @ ..=99) => two_digits(hours, out),
        _ => format::write_uint(hours.into(), out),
    }
    out.push(b':');
    two_digits(minutes, out);
    out.push(b':');
    two_digits(seconds, out);
    write_fraction(micros, fsp, out);
}

/// The digits of the column; all six where fewer would lose something, so that the server says so.
fn write_fraction(micros: u32, fsp: u8, out: &mut Vec<u8>) {
    if fsp == 0 && micros == 0 {
        return;
    }
    let start = out.len();
    // Writing to a Vec cannot fail.
    let _ = write!(out, ".{micros:06}");
    let shorter = start + 1 + usize::from(fsp.min(6));
    if out.iter().skip(shorter).all(|&digit| digit == b'0') {
        out.truncate(shorter);
    }
}

/// A year.
pub(super) fn four_digits(number: u16, out: &mut Vec<u8>) {
    if number > 9999 {
        // No year of MySQL's: the server refuses it by name.
        format::write_uint(number.into(), out);
        return;
    }
    for part in [
        number / 1000,
        number / 100 % 10,
        number / 10 % 10,
        number % 10,
    ] {
        out.push(digit(part));
    }
}

fn two_digits(number: u8, out: &mut Vec<u8>) {
    if number > 99 {
        format::write_uint(number.into(), out);
        return;
    }
    out.push(digit((number / 10).into()));
    out.push(digit((number % 10).into()));
}

fn digit(number: u16) -> u8 {
    b'0' + u8::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn zero_and_partial_dates_stay() {
        assert_eq!(
            text(|out| write_date(DateTime::default(), out)),
            "0000-00-00"
        );
        let partial = DateTime {
            year: 2024,
            micros: 500_000,
            ..DateTime::default()
        };
        assert_eq!(
            text(|out| write_datetime(partial, 1, out)),
            "2024-00-00 00:00:00.5"
        );
        assert_eq!(
            text(|out| write_datetime(partial, 0, out)),
            "2024-00-00 00:00:00.500000"
        );
        assert_eq!(
            text(|out| write_timestamp(0, 0, 6, out)),
            "0000-00-00 00:00:00"
        );
        assert_eq!(
            text(|out| write_timestamp(1, 0, 3, out)),
            "1970-01-01 00:00:01.000"
        );
    }

    #[test]
    fn times_have_their_sign() {
        assert_eq!(
            text(|out| write_time(true, (838, 59, 59), 0, 6, out)),
            "-838:59:59.000000"
        );
        assert_eq!(
            text(|out| write_time(false, (1, 2, 3), 0, 0, out)),
            "01:02:03"
        );
        assert_eq!(
            text(|out| write_time(true, (0, 0, 0), 1, 6, out)),
            "-00:00:00.000001"
        );
    }
}
