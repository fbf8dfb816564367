//! The text of numbers, dates and times as every server reads it back to the same value; written to
//! a byte buffer without allocating.

use std::io::Write;

use arrow::datatypes::i256;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// An integer.
pub fn write_int(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// An unsigned integer.
pub fn write_uint(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The shortest text that reads back as the same `f64`. (A `FLOAT` is widened first: its own
/// shortest text would be read as another double, and rounded twice.)
pub fn write_float(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(ryu::Buffer::new().format(value).as_bytes());
}

/// A decimal with exactly `scale` digits behind the point.
pub fn write_decimal(value: i128, scale: i8, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    write_scaled(buffer.format(value.unsigned_abs()).as_bytes(), scale, out);
}

/// A decimal of up to 76 digits. Rare (the dump writes those beyond 38 digits as text), so it may
/// allocate.
pub fn write_wide_decimal(value: i256, scale: i8, out: &mut Vec<u8>) {
    let text = value.to_string();
    let digits = match text.strip_prefix('-') {
        Some(digits) => {
            out.push(b'-');
            digits
        }
        None => &text,
    };
    write_scaled(digits.as_bytes(), scale, out);
}

/// Puts the point into the digits of an unscaled value.
fn write_scaled(digits: &[u8], scale: i8, out: &mut Vec<u8>) {
    let Ok(scale) = usize::try_from(scale) else {
        out.extend_from_slice(digits);
        out.extend(std::iter::repeat_n(b'0', usize::from(scale.unsigned_abs())));
        return;
    };
    if scale == 0 {
        out.extend_from_slice(digits);
    } else if digits.len() > scale {
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', scale - digits.len()));
        out.extend_from_slice(digits);
    }
}

/// `YYYY-MM-DD hh:mm:ss[.ffffff]` in UTC with `fsp` digits of the fraction; with all six where
/// fewer would lose something, so that the server says so instead of us rounding in silence.
pub fn write_datetime(micros: i64, fsp: u8, out: &mut Vec<u8>) {
    let days = micros.div_euclid(DAY);
    let of_day = micros.rem_euclid(DAY);
    write_date(days, out);
    let seconds = of_day / 1_000_000;
    let mut text = *b" 00:00:00";
    two_digits(seconds / 3600, &mut text[1..3]);
    two_digits(seconds / 60 % 60, &mut text[4..6]);
    two_digits(seconds % 60, &mut text[7..9]);
    out.extend_from_slice(&text);
    let fraction = of_day % 1_000_000;
    let mut digits = *b".000000";
    two_digits(fraction / 10_000, &mut digits[1..3]);
    two_digits(fraction / 100 % 100, &mut digits[3..5]);
    two_digits(fraction % 100, &mut digits[5..7]);
    let wanted = usize::from(fsp.min(6));
    let used = if digits[wanted + 1..].iter().all(|&digit| digit == b'0') {
        wanted
    } else {
        6
    };
    if used > 0 {
        out.extend_from_slice(&digits[..=used]);
    }
}

/// `YYYY-MM-DD` of a day counted from 1970 in the proleptic Gregorian calendar, MySQL's own.
pub fn write_date(days: i64, out: &mut Vec<u8>) {
    // Howard Hinnant's civil_from_days: eras of 400 years that begin on the 1st of March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if (0..=9999).contains(&year) {
        let mut text = *b"0000-00-00";
        two_digits(year / 100, &mut text[0..2]);
        two_digits(year % 100, &mut text[2..4]);
        two_digits(month, &mut text[5..7]);
        two_digits(day, &mut text[8..10]);
        out.extend_from_slice(&text);
    } else {
        // No MySQL date: written as it is, so that the server refuses it by name.
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{year}-{month:02}-{day:02}");
    }
}

/// Writes a number below 100.
fn two_digits(value: i64, out: &mut [u8]) {
    // Both are below 10, as the callers' moduli say.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    {
        out[0] = b'0' + (value / 10) as u8;
        out[1] = b'0' + (value % 10) as u8;
    }
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
    fn decimals_keep_every_digit() {
        let decimal = |value, scale| text(|out| write_decimal(value, scale, out));
        assert_eq!(decimal(0, 2), "0.00");
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(12345, 2), "123.45");
        assert_eq!(decimal(-100, 2), "-1.00");
        assert_eq!(
            decimal(18_446_744_073_709_551_615, 0),
            "18446744073709551615"
        );
        assert_eq!(decimal(7, -2), "700");
        assert_eq!(
            decimal(i128::MIN, 38),
            "-1.70141183460469231731687303715884105728"
        );
        assert_eq!(
            text(|out| write_wide_decimal(i256::from_i128(-12), 3, out)),
            "-0.012"
        );
    }

    #[test]
    fn times_have_the_digits_of_their_column() {
        let time = |micros, fsp| text(|out| write_datetime(micros, fsp, out));
        assert_eq!(time(0, 0), "1970-01-01 00:00:00");
        assert_eq!(time(1_500_000, 1), "1970-01-01 00:00:01.5");
        assert_eq!(time(1_500_000, 3), "1970-01-01 00:00:01.500");
        assert_eq!(time(-1, 6), "1969-12-31 23:59:59.999999");
        assert_eq!(time(1, 0), "1970-01-01 00:00:00.000001");
        assert_eq!(
            time(253_402_300_799_999_999, 6),
            "9999-12-31 23:59:59.999999"
        );
    }

    #[test]
    fn dates_agree_with_chrono() {
        use chrono::{Datelike, Duration, NaiveDate};
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for days in (-719_528..2_932_896)
            .step_by(97)
            .chain([-719_528, 2_932_896])
        {
            let date = epoch + Duration::days(days);
            let expected = format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
            assert_eq!(text(|out| write_date(days, out)), expected);
        }
    }

    #[test]
    fn floats_round_trip() {
        for value in [
            0.1,
            -0.0,
            1e300,
            5e-324,
            f64::MAX,
            f64::from(0.1f32),
            1e16,
            123.0,
        ] {
            let written = text(|out| write_float(value, out));
            assert_eq!(
                written.parse::<f64>().unwrap().to_bits(),
                value.to_bits(),
                "{written}"
            );
        }
    }
}
