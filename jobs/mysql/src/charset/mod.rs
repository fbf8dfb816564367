//! Text in any of MySQL's character sets → UTF-8.
//!
//! Rows of a binlog hold text in the character set of its column; the target gets it as utf8mb4. The
//! dump has the source convert its text (`SET NAMES utf8mb4`), so what is done here is what the source
//! does: a byte that begins no character of the set becomes `?`, and the bytes behind it are read anew.
//! Two things the server sends as they are, so that the dump gets bytes that are no UTF-8 and stops
//! there by name: damaged bytes of utf8mb4 columns, which are not converted at all, and surrogates by
//! themselves, which `ucs2` takes for characters. These are [`Invalid`] here.

use std::borrow::Cow;

mod fold;
mod fold_table;
mod multi;
mod multi_tables;
mod single;
mod single_tables;
mod unicode;

pub use fold::Fold;
pub use multi::Multi;
pub use single::Single;

/// A character set.
#[derive(Debug, Clone, Copy)]
pub enum Charset {
    /// utf8mb4: bytes are text as they are.
    Utf8mb4,
    /// utf8mb3, utf8: UTF-8 without characters of four bytes.
    Utf8mb3,
    /// One byte a character.
    Single(&'static Single),
    /// Two bytes a character, big-endian.
    Ucs2,
    /// UTF-16, big-endian.
    Utf16,
    /// UTF-16, little-endian.
    Utf16le,
    /// Four bytes a character, big-endian.
    Utf32,
    /// Several bytes a character.
    Multi(Multi),
}

/// Text that the server itself could not send as UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("text whose bytes mean no character from byte {at} of {length} on")]
pub struct Invalid {
    /// How many bytes are text.
    pub at: usize,
    /// How many bytes there are.
    pub length: usize,
}

impl Charset {
    /// The set of this name, in lower case as the server writes it.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Some(match name {
            "utf8mb4" => Self::Utf8mb4,
            "utf8mb3" | "utf8" => Self::Utf8mb3,
            "ucs2" => Self::Ucs2,
            "utf16" => Self::Utf16,
            "utf16le" => Self::Utf16le,
            "utf32" => Self::Utf32,
            _ => match single::find(name) {
                Some(set) => Self::Single(set),
                None => Self::Multi(Multi::find(name)?),
            },
        })
    }

    /// Whether bytes below 128 are ASCII's characters wherever they stand alone, so that pure ASCII
    /// is the same text in UTF-8.
    fn keeps_ascii(self) -> bool {
        match self {
            Self::Utf8mb4 | Self::Utf8mb3 | Self::Multi(_) => true,
            Self::Single(set) => set.ascii,
            Self::Ucs2 | Self::Utf16 | Self::Utf16le | Self::Utf32 => false,
        }
    }

    /// The text as UTF-8; borrowed when its bytes are that already.
    ///
    /// # Errors
    /// [`Invalid`] where the server would send what is no UTF-8.
    #[inline]
    pub fn to_utf8(self, bytes: &[u8]) -> Result<Cow<'_, str>, Invalid> {
        match (self, std::str::from_utf8(bytes)) {
            (Self::Utf8mb4, Err(error)) => {
                return Err(Invalid {
                    at: error.valid_up_to(),
                    length: bytes.len(),
                });
            }
            (Self::Utf8mb4, Ok(text)) => return Ok(Cow::Borrowed(text)),
            // Four bytes begin with f0 or more.
            (Self::Utf8mb3, Ok(text)) if bytes.iter().all(|&byte| byte < 0xF0) => {
                return Ok(Cow::Borrowed(text));
            }
            (set, Ok(text)) if set.keeps_ascii() && bytes.is_ascii() => {
                return Ok(Cow::Borrowed(text));
            }
            _ => {}
        }
        let mut out = String::with_capacity(bytes.len() * 2);
        let read = match self {
            Self::Utf8mb4 => Ok(()),
            Self::Utf8mb3 => unicode::utf8mb3(bytes, &mut out),
            Self::Ucs2 => unicode::ucs2(bytes, &mut out),
            Self::Utf16 => unicode::utf16(bytes, u16::from_be_bytes, &mut out),
            Self::Utf16le => unicode::utf16(bytes, u16::from_le_bytes, &mut out),
            Self::Utf32 => unicode::utf32(bytes, &mut out),
            Self::Single(set) => {
                set.decode(bytes, &mut out);
                Ok(())
            }
            Self::Multi(set) => {
                set.decode(bytes, &mut out);
                Ok(())
            }
        };
        read.map_err(|at| Invalid {
            at,
            length: bytes.len(),
        })?;
        Ok(Cow::Owned(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(set: &str, bytes: &[u8]) -> String {
        Charset::find(set)
            .unwrap()
            .to_utf8(bytes)
            .unwrap()
            .into_owned()
    }

    #[test]
    fn every_table_is_whole() {
        for &(name, first, chars) in single_tables::TABLES {
            assert_eq!(usize::from(first) + chars.chars().count(), 256, "{name}");
        }
        assert_eq!(single::all().len(), single_tables::TABLES.len());
    }

    #[test]
    fn text_is_what_the_server_says() {
        // latin1 is cp1252 with the five bytes that it leaves open.
        assert_eq!(text("latin1", b"\x80\x81\xe9z"), "€\u{81}éz");
        assert_eq!(text("cp1251", b"\xcf\xf0\xe8"), "При");
        assert_eq!(text("ascii", b"a\x80\xffb"), "a??b");
        assert_eq!(text("swe7", b"[a]"), "ÄaÅ");
        assert_eq!(text("ucs2", b"\x00a\x20\xac"), "a€");
        assert_eq!(text("utf16", b"\xd8\x3d\xde\x00"), "😀");
        assert_eq!(text("utf16", b"\xdc\0\0a"), "?\0?");
        assert_eq!(text("utf16le", b"\x3d\xd8\x00\xde"), "😀");
        assert_eq!(text("utf32", b"\x00\x01\xf6\x00"), "😀");
        assert_eq!(text("gbk", b"a\xc4\xe3\xbaz\xff"), "a你簔?");
        assert_eq!(text("sjis", b"\x83\\\xb1|"), "ソｱ|");
        assert_eq!(text("sjis", b"\x81\x60"), "〜");
        assert_eq!(text("cp932", b"\x81\x60"), "～");
        assert_eq!(text("gb18030", b"\x94\x39\xfc\x36\xa6\xd9"), "😀\u{e78d}");
        assert_eq!(text("utf8mb3", "é€".as_bytes()), "é€");
        assert_eq!(text("utf8mb3", b"a\xe9b\xf0\x9f\x98\x80"), "a?b????");
    }

    #[test]
    fn ascii_is_borrowed_and_damaged_utf8mb4_refused() {
        let latin1 = Charset::find("latin1").unwrap();
        assert!(matches!(latin1.to_utf8(b"abc"), Ok(Cow::Borrowed("abc"))));
        let found = Charset::Utf8mb4.to_utf8(b"ab\xff");
        assert_eq!(found, Err(Invalid { at: 2, length: 3 }));
        let found = Charset::Ucs2.to_utf8(b"\0a\xd8\0\0b");
        assert_eq!(found, Err(Invalid { at: 2, length: 6 }));
        assert!(Charset::find("klingon").is_none());
    }
}
