//! Dates and times as MySQL prints them, without allocating, and as microseconds since 1970.
//!
//! Hand-made rather than by `chrono`: MySQL's dates include `0000-00-00`, `2024-02-00` and (with
//! `ALLOW_INVALID_DATES`) `2024-02-31`, its times reach ±838:59:59, and this runs once per value.

/// Microseconds of a second.
const MICROS: i64 = 1_000_000;

/// Days since 1970-01-01 of a date that exists in the proleptic Gregorian calendar from year 1 on;
/// `None` for zero, partial and invalid ones.
///
/// Year 0 counts as partial: MySQL stores `0000-01-01`, but calls it no valid date either.
#[must_use]
pub fn days(year: u16, month: u8, day: u8) -> Option<i64> {
    if year == 0 || year > 9999 || day == 0 || day > days_in_month(year, month)? {
        return None;
    }
    // Days from civil: years begin in March, so that the leap day is the last of a year.
    let (y, m, d) = (i64::from(year), i64::from(month), i64::from(day));
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((m + 9) % 12) + 2) / 5 + d - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn days_in_month(year: u16, month: u8) -> Option<u8> {
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => return None,
    })
}

/// Microseconds since midnight, `None` when it is no time of a day.
#[must_use]
pub fn micros_of_day(hour: u8, minute: u8, second: u8, micros: u32) -> Option<i64> {
    if hour > 23 || minute > 59 || second > 59 || micros > 999_999 {
        return None;
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(seconds * MICROS + i64::from(micros))
}

/// A short text on the stack.
pub struct Buffer {
    bytes: [u8; 40],
    len: usize,
}

impl Buffer {
    fn new() -> Self {
        Self {
            bytes: [0; 40],
            len: 0,
        }
    }

    /// `YYYY-MM-DD`.
    #[must_use]
    pub fn date(year: u16, month: u8, day: u8) -> Self {
        let mut buffer = Self::new();
        buffer.push_date(year, month, day);
        buffer
    }

    /// `YYYY-MM-DD hh:mm:ss[.ffffff]` with `fsp` digits after the point.
    #[must_use]
    pub fn date_time(date: (u16, u8, u8), clock: (u8, u8, u8, u32), fsp: u8) -> Self {
        let mut buffer = Self::new();
        buffer.push_date(date.0, date.1, date.2);
        buffer.push(b' ');
        buffer.push_number(u64::from(clock.0), 2);
        buffer.push_clock(clock.1, clock.2, clock.3, fsp);
        buffer
    }

    /// `[-]hh:mm:ss[.ffffff]`, with three digits for hours from 100 on.
    #[must_use]
    pub fn time(negative: bool, hours: u64, rest: (u8, u8, u32), fsp: u8) -> Self {
        let mut buffer = Self::new();
        if negative {
            buffer.push(b'-');
        }
        let width = if hours < 100 {
            2
        } else {
            hours.ilog10() as usize + 1
        };
        buffer.push_number(hours, width);
        buffer.push_clock(rest.0, rest.1, rest.2, fsp);
        buffer
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII was pushed, so this never takes the default.
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    fn push_date(&mut self, year: u16, month: u8, day: u8) {
        self.push_number(u64::from(year), 4);
        self.push(b'-');
        self.push_number(u64::from(month), 2);
        self.push(b'-');
        self.push_number(u64::from(day), 2);
    }

    fn push_clock(&mut self, minute: u8, second: u8, micros: u32, fsp: u8) {
        self.push(b':');
        self.push_number(u64::from(minute), 2);
        self.push(b':');
        self.push_number(u64::from(second), 2);
        let fsp = fsp.min(6);
        if fsp > 0 {
            self.push(b'.');
            let shown = micros / 10_u32.pow(6 - u32::from(fsp));
            self.push_number(u64::from(shown), usize::from(fsp));
        }
    }

    /// `number` with leading zeros to `width` digits (at most 20, all of them fit the buffer).
    fn push_number(&mut self, mut number: u64, width: usize) {
        let end = self.len + width;
        for place in self.bytes[self.len..end].iter_mut().rev() {
            // A remainder of 10 fits a byte.
            *place = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.len = end;
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_agree_with_chrono_on_every_day() {
        let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        let mut date = chrono::NaiveDate::from_ymd_opt(1, 1, 1).unwrap();
        let end = chrono::NaiveDate::from_ymd_opt(9999, 12, 31).unwrap();
        use chrono::Datelike;
        while date <= end {
            let ours = days(date.year() as u16, date.month() as u8, date.day() as u8);
            assert_eq!(ours, Some((date - epoch).num_days()), "{date}");
            date = date.succ_opt().unwrap();
        }
    }

    #[test]
    fn zero_partial_and_invalid_dates_are_none() {
        for (y, m, d) in [
            (0, 0, 0),
            (0, 1, 1),
            (2024, 0, 0),
            (2024, 2, 0),
            (2024, 0, 5),
            (2024, 2, 30),
            (2023, 2, 29),
            (1900, 2, 29),
            (2024, 13, 1),
            (2024, 4, 31),
        ] {
            assert_eq!(days(y, m, d), None, "{y}-{m}-{d}");
        }
    }

    #[test]
    fn texts_are_those_that_mysql_prints() {
        assert_eq!(Buffer::date(0, 0, 0).as_str(), "0000-00-00");
        assert_eq!(
            Buffer::date_time((2024, 2, 0), (1, 2, 3, 4500), 6).as_str(),
            "2024-02-00 01:02:03.004500"
        );
        assert_eq!(
            Buffer::date_time((2024, 2, 0), (1, 2, 3, 4500), 0).as_str(),
            "2024-02-00 01:02:03"
        );
        assert_eq!(
            Buffer::time(true, 838, (59, 59, 0), 0).as_str(),
            "-838:59:59"
        );
        assert_eq!(
            Buffer::time(false, 1, (2, 3, 100_000), 1).as_str(),
            "01:02:03.1"
        );
        assert_eq!(
            Buffer::time(false, 100, (0, 0, 10), 6).as_str(),
            "100:00:00.000010"
        );
    }
}
