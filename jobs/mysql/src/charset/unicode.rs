//! The Unicode sets. Damaged bytes are `?` one by one, and what follows is read anew, as the servers'
//! conversion does. A surrogate by itself the servers pass on as it is, so that the dump gets bytes
//! that are no UTF-8: it is an error, with its place.

/// A surrogate by itself at this byte.
pub(super) type Surrogate = usize;

/// UTF-8 of up to three bytes a character.
pub(super) fn utf8mb3(bytes: &[u8], out: &mut String) -> Result<(), Surrogate> {
    decode(bytes, out, |rest| {
        let length = match *rest {
            [0..=0x7F, ..] => 1,
            [0xC2..=0xDF, ..] => 2,
            [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..] => return Next::Surrogate,
            [0xE0..=0xEF, ..] => 3,
            _ => return Next::Damaged,
        };
        let text = rest.get(..length).map(std::str::from_utf8);
        match text {
            Some(Ok(text)) => Next::from(text.chars().next(), length),
            _ => Next::Damaged,
        }
    })
}

/// Two bytes a character.
pub(super) fn ucs2(bytes: &[u8], out: &mut String) -> Result<(), Surrogate> {
    decode(bytes, out, |rest| match *rest {
        [a, b, ..] => match char::from_u32(u16::from_be_bytes([a, b]).into()) {
            Some(char) => Next::Char(char, 2),
            None => Next::Surrogate,
        },
        _ => Next::Damaged,
    })
}

/// UTF-16 in either order of bytes.
pub(super) fn utf16(
    bytes: &[u8],
    unit: fn([u8; 2]) -> u16,
    out: &mut String,
) -> Result<(), Surrogate> {
    decode(bytes, out, |rest| {
        let Some(&first) = rest.first_chunk() else {
            return Next::Damaged;
        };
        let first = unit(first);
        if let Some(char) = char::from_u32(first.into()) {
            return Next::Char(char, 2);
        }
        match *rest {
            [_, _, a, b, ..] => {
                let pair = [first, unit([a, b])];
                Next::from(char::decode_utf16(pair).next().and_then(Result::ok), 4)
            }
            _ => Next::Damaged,
        }
    })
}

/// Four bytes a character.
pub(super) fn utf32(bytes: &[u8], out: &mut String) -> Result<(), Surrogate> {
    decode(bytes, out, |rest| {
        let Some(&four) = rest.first_chunk() else {
            return Next::Damaged;
        };
        match u32::from_be_bytes(four) {
            0xD800..=0xDFFF => Next::Surrogate,
            code => Next::from(char::from_u32(code), 4),
        }
    })
}

/// What bytes begin with.
enum Next {
    /// A character of so many bytes.
    Char(char, usize),
    /// No character of this set.
    Damaged,
    /// A surrogate by itself.
    Surrogate,
}

impl Next {
    fn from(char: Option<char>, length: usize) -> Self {
        char.map_or(Self::Damaged, |char| Self::Char(char, length))
    }
}

fn decode(bytes: &[u8], out: &mut String, next: impl Fn(&[u8]) -> Next) -> Result<(), Surrogate> {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        at += match next(rest) {
            Next::Char(char, length) => {
                out.push(char);
                length
            }
            Next::Damaged => {
                out.push('?');
                1
            }
            Next::Surrogate => return Err(at),
        };
    }
    Ok(())
}
