//! Reading from the body of one event, never beyond its end.

/// The body ended too early, or holds what cannot be: in words, to which the caller adds where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

impl Broken {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Result of reading a body.
pub(crate) type Read<T> = Result<T, Broken>;

/// What is left of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    /// All that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Broken(format!(
                "{count} bytes are wanted where {} are left",
                self.rest.len()
            ))),
        }
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        match self.rest.split_first_chunk() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(Broken(format!(
                "{N} bytes are wanted where {} are left",
                self.rest.len()
            ))),
        }
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Read<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Read<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Read<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A little-endian number of up to eight bytes.
    #[inline]
    pub(crate) fn uint(&mut self, bytes: usize) -> Read<u64> {
        Ok(self
            .take(bytes)?
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// A big-endian number of up to eight bytes.
    #[inline]
    pub(crate) fn uint_be(&mut self, bytes: usize) -> Read<u64> {
        Ok(self
            .take(bytes)?
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// The protocol's length-encoded integer.
    pub(crate) fn packed(&mut self) -> Read<u64> {
        match self.u8()? {
            small @ ..=250 => Ok(u64::from(small)),
            252 => self.uint(2),
            253 => self.uint(3),
            254 => self.uint(8),
            other => Err(Broken(format!("{other} begins no length"))),
        }
    }

    /// A length-encoded number of bytes that must be there.
    pub(crate) fn packed_bytes(&mut self) -> Read<&'a [u8]> {
        let count = self.packed()?;
        // More than usize holds is more than is left.
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }
}

impl<'a> Cursor<'a> {
    /// The integer of MySQL's serialization library: the ones that the first byte ends with, in
    /// bits, are how many bytes follow it.
    pub(crate) fn varlen(&mut self) -> Read<u64> {
        let [first] = *self.peek::<1>()?;
        let bytes = first.trailing_ones() + 1;
        if bytes == 9 {
            self.u8()?;
            return self.uint(8);
        }
        Ok(self.uint(bytes as usize)? >> bytes)
    }

    /// The same, of a number that may be negative: its sign is the lowest bit.
    pub(crate) fn varlen_signed(&mut self) -> Read<i64> {
        let value = self.varlen()?;
        let size = (value >> 1).cast_signed();
        Ok(if value & 1 == 1 { !size } else { size })
    }

    /// The next bytes, which stay where they are.
    fn peek<const N: usize>(&self) -> Read<&'a [u8; N]> {
        self.rest.first_chunk().ok_or_else(|| {
            Broken(format!(
                "{N} bytes are wanted where {} are left",
                self.rest.len()
            ))
        })
    }

    /// What stands before the next zero byte, which is taken too.
    pub(crate) fn until_zero(&mut self) -> Read<&'a [u8]> {
        let Some(at) = memchr::memchr(0, self.rest) else {
            return Err(Broken::new("a text does not end in a zero byte"));
        };
        let text = self.take(at)?;
        self.u8()?;
        Ok(text)
    }

    /// An array of bytes with its length in one byte before.
    pub(crate) fn short_bytes(&mut self) -> Read<&'a [u8]> {
        let count = self.u8()?;
        self.take(usize::from(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_the_serialization_library() {
        let read = |bytes: &[u8]| Cursor::new(bytes).varlen();
        assert_eq!(read(&[0x78]), Ok(60));
        assert_eq!(read(&[0x05, 0x65]), Ok(0x6505 >> 2));
        assert_eq!(
            read(&[255, 1, 0, 0, 0, 0, 0, 0, 0x80]),
            Ok(0x8000_0000_0000_0001)
        );
        assert_eq!(read(&[127, 0, 0, 0, 0, 0, 0, 1]), Ok(1 << 48));
        assert!(read(&[]).is_err() && read(&[1]).is_err() && read(&[255, 1]).is_err());
        let signed = |bytes: &[u8]| Cursor::new(bytes).varlen_signed();
        assert_eq!(
            (signed(&[4]), signed(&[6]), signed(&[2])),
            (Ok(1), Ok(-2), Ok(-1))
        );
    }

    #[test]
    fn texts_end_somewhere() {
        let mut cursor = Cursor::new(b"ab\0\x02cdx");
        assert_eq!(cursor.until_zero(), Ok(&b"ab"[..]));
        assert_eq!(cursor.short_bytes(), Ok(&b"cd"[..]));
        assert!(cursor.until_zero().is_err());
        assert_eq!(cursor.left(), 1);
    }

    #[test]
    fn nothing_is_read_beyond_the_end() {
        let mut cursor = Cursor::new(&[1, 2, 3]);
        assert_eq!(cursor.u16(), Ok(0x0201));
        assert!(cursor.u16().is_err());
        assert_eq!(cursor.left(), 1, "a failed read takes nothing");
        assert_eq!(cursor.u8(), Ok(3));
        assert!(cursor.is_empty() && cursor.u8().is_err());
    }

    #[test]
    fn packed_lengths() {
        let read = |bytes: &[u8]| Cursor::new(bytes).packed();
        assert_eq!(read(&[250]), Ok(250));
        assert_eq!(read(&[252, 1, 1]), Ok(257));
        assert_eq!(read(&[253, 0, 0, 1]), Ok(1 << 16));
        assert_eq!(read(&[254, 0, 0, 0, 0, 1, 0, 0, 0]), Ok(1 << 32));
        assert!(read(&[251]).is_err() && read(&[252, 1]).is_err());
        let huge = [254, 255, 255, 255, 255, 255, 255, 255, 255, 7];
        assert!(Cursor::new(&huge).packed_bytes().is_err());
    }
}
