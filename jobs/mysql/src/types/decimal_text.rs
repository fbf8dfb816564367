//! A decimal's text as an integer, without allocating.

/// A decimal's text (`-12.50`) as an integer of `scale` decimal places; `None` when it is no
/// decimal, has more places, or does not fit 38 digits.
#[must_use]
pub fn parse(text: &[u8], scale: u32) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (whole, fraction) = match digits.iter().position(|&byte| byte == b'.') {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &[][..]),
    };
    let places = u32::try_from(fraction.len()).ok()?;
    if digits.is_empty() || places > scale {
        return None;
    }
    // Leading zeros (ZEROFILL) count for nothing.
    let zeros = whole.iter().take_while(|&&byte| byte == b'0').count();
    let significant = &whole[zeros..];
    let number = if significant.len() + fraction.len() <= 18 {
        // Fits 64 bits, where arithmetic is cheap.
        let mut number = 0_i64;
        for &byte in significant.iter().chain(fraction) {
            number = number * 10 + i64::from(digit(byte)?);
        }
        i128::from(number)
    } else {
        let mut number = 0_i128;
        for &byte in significant.iter().chain(fraction) {
            number = number
                .checked_mul(10)?
                .checked_add(i128::from(digit(byte)?))?;
        }
        number
    };
    let number = number.checked_mul(10_i128.checked_pow(scale - places)?)?;
    Some(if negative { -number } else { number })
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::parse;

    #[test]
    fn texts_of_a_server() {
        assert_eq!(parse(b"0", 0), Some(0));
        assert_eq!(parse(b"-0.50", 2), Some(-50));
        assert_eq!(parse(b"12.5", 3), Some(12_500));
        assert_eq!(parse(b"00000012.50", 2), Some(1250));
        assert_eq!(
            parse(b"18446744073709551615", 0),
            Some(i128::from(u64::MAX))
        );
        let nines = "9".repeat(38);
        assert_eq!(parse(nines.as_bytes(), 0), nines.parse().ok());
    }

    #[test]
    fn what_is_no_decimal() {
        for wrong in ["", "-", "1e5", "1.234", "1.2.3", " 1", "+1", "NaN"] {
            assert_eq!(parse(wrong.as_bytes(), 2), None, "{wrong}");
        }
        assert_eq!(parse("9".repeat(40).as_bytes(), 0), None);
    }

    proptest! {
        #[test]
        fn reads_what_was_written(number in any::<i64>(), scale in 0_usize..10) {
            let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let sign = if number < 0 { "-" } else { "" };
            let text = format!("{sign}{whole}.{fraction}");
            let text = text.trim_end_matches('.');
            prop_assert_eq!(parse(text.as_bytes(), scale as u32), Some(i128::from(number)));
        }
    }
}
