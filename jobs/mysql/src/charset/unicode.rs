//! The Unicode sets, with `?` for what is damaged, as the server's own conversion has it.

/// UTF-8 of up to three bytes a character.
pub(super) fn utf8mb3(mut bytes: &[u8], out: &mut String) {
    while let Some((&first, rest)) = bytes.split_first() {
        let length = match first {
            0..=0x7F => 1,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            _ => 0,
        };
        let text = bytes
            .get(..length)
            .and_then(|taken| std::str::from_utf8(taken).ok());
        match text {
            Some(text) if length > 0 => {
                out.push_str(text);
                bytes = bytes.get(length..).unwrap_or_default();
            }
            _ => {
                out.push('?');
                bytes = rest;
            }
        }
    }
}

/// Two bytes a character, surrogates are none.
pub(super) fn ucs2(bytes: &[u8], out: &mut String) {
    let (pairs, rest) = bytes.as_chunks::<2>();
    for &pair in pairs {
        out.push(char::from_u32(u16::from_be_bytes(pair).into()).unwrap_or('?'));
    }
    out.extend(rest.iter().map(|_| '?'));
}

/// UTF-16 in either order of bytes.
pub(super) fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16, out: &mut String) {
    let (pairs, rest) = bytes.as_chunks::<2>();
    for char in char::decode_utf16(pairs.iter().map(|&pair| unit(pair))) {
        out.push(char.unwrap_or('?'));
    }
    out.extend(rest.iter().map(|_| '?'));
}

/// Four bytes a character.
pub(super) fn utf32(bytes: &[u8], out: &mut String) {
    let (fours, rest) = bytes.as_chunks::<4>();
    for &four in fours {
        out.push(char::from_u32(u32::from_be_bytes(four)).unwrap_or('?'));
    }
    out.extend(rest.iter().map(|_| '?'));
}
