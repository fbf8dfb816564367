//! Packed decimals.

use std::io::Write;

/// Bytes of so many digits, of which nine lie in four bytes.
const DIGIT_BYTES: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// Appends a packed DECIMAL as its text: no leading zeros, all digits behind the point. (As
/// [`decimal`](crate::binlog::value::decimal), without an allocation.)
pub(crate) fn write_decimal(
    packed: &[u8],
    precision: u8,
    scale: u8,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let Some(&first) = packed.first() else {
        return Err("a DECIMAL has no bytes".into());
    };
    // Positive numbers have the highest bit set; of negative ones all bits are turned round.
    let negative = first & 0x80 == 0;
    let turn = if negative { 0xFF } else { 0 };
    let mut bytes = packed.iter().enumerate().map(|(at, byte)| {
        if at == 0 {
            byte ^ 0x80 ^ turn
        } else {
            byte ^ turn
        }
    });
    let mut group = |digits: u8| -> Result<u32, String> {
        let mut value = 0_u32;
        let count = DIGIT_BYTES.get(usize::from(digits)).copied().unwrap_or(0);
        for _ in 0..count {
            let Some(byte) = bytes.next() else {
                return Err(format!(
                    "a DECIMAL({precision},{scale}) has only {} bytes",
                    packed.len()
                ));
            };
            value = value << 8 | u32::from(byte);
        }
        if value >= 10_u32.pow(u32::from(digits)) {
            return Err(format!("{value} has more than {digits} digits"));
        }
        Ok(value)
    };
    if negative {
        out.push(b'-');
    }
    let whole = precision.saturating_sub(scale);
    let mut begun = false;
    for digits in std::iter::once(whole % 9).chain((0..whole / 9).map(|_| 9)) {
        let value = group(digits)?;
        // Writing to a Vec cannot fail.
        if begun {
            let _ = write!(out, "{value:09}");
        } else if value > 0 {
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
            begun = true;
        }
    }
    if !begun {
        out.push(b'0');
    }
    if scale > 0 {
        out.push(b'.');
    }
    for digits in (0..scale / 9)
        .map(|_| 9)
        .chain(Some(scale % 9).filter(|rest| *rest > 0))
    {
        let value = group(digits)?;
        let _ = write!(out, "{value:0width$}", width = usize::from(digits));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn as_the_other_reader(bytes in proptest::collection::vec(0_u8.., 0..32), precision in 1_u8..=65, scale in 0_u8..=30) {
            let scale = scale.min(precision);
            let mut expected = String::new();
            let other = crate::binlog::value::decimal(&bytes, precision, scale, &mut expected);
            let mut out = Vec::new();
            let found = write_decimal(&bytes, precision, scale, &mut out);
            proptest::prop_assert_eq!(found.is_ok(), other.is_ok());
            if other.is_ok() {
                proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
            }
        }
    }
}
