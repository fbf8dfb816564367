//! East Asian character sets of several bytes a character.
//!
//! Which bytes make a character is the servers' own rule; which character they make, `encoding_rs`
//! knows but for the exceptions in the tables. Bytes that make none are `?` one by one, and what
//! follows is read anew, as the servers do.

use encoding_rs::Encoding;

use super::multi_tables::{self as tables, Runs};

/// Such a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The servers' names.
pub enum Multi {
    Gbk,
    Gb2312,
    Gb18030,
    Big5,
    Sjis,
    Cp932,
    Ujis,
    Eucjpms,
    Euckr,
}

impl Multi {
    pub(super) fn find(name: &str) -> Option<Self> {
        Some(match name {
            "gbk" => Self::Gbk,
            "gb2312" => Self::Gb2312,
            "gb18030" => Self::Gb18030,
            "big5" => Self::Big5,
            "sjis" => Self::Sjis,
            "cp932" => Self::Cp932,
            "ujis" => Self::Ujis,
            "eucjpms" => Self::Eucjpms,
            "euckr" => Self::Euckr,
            _ => return None,
        })
    }

    fn encoding(self) -> (&'static Encoding, Runs) {
        match self {
            Self::Gbk => (encoding_rs::GBK, tables::GBK),
            Self::Gb2312 => (encoding_rs::GBK, tables::GB2312),
            Self::Gb18030 => (encoding_rs::GB18030, tables::GB18030),
            Self::Big5 => (encoding_rs::BIG5, tables::BIG5),
            Self::Sjis => (encoding_rs::SHIFT_JIS, tables::SJIS),
            Self::Cp932 => (encoding_rs::SHIFT_JIS, &[]),
            Self::Ujis => (encoding_rs::EUC_JP, tables::UJIS),
            Self::Eucjpms => (encoding_rs::EUC_JP, tables::EUCJPMS),
            Self::Euckr => (encoding_rs::EUC_KR, &[]),
        }
    }

    /// How many of these bytes, of which the first is not ASCII, make a character; 0 when they make
    /// none.
    fn length(self, bytes: &[u8]) -> usize {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let (first, second) = (byte(0), byte(1));
        let pair = match self {
            Self::Gbk => gbk(first, second),
            Self::Gb2312 => matches!((first, second), (0xA1..=0xF7, 0xA1..=0xFE)),
            Self::Gb18030 => {
                let low = |byte: u8| byte.is_ascii_digit();
                if (0x81..=0xFE).contains(&first)
                    && low(second)
                    && (0x81..=0xFE).contains(&byte(2))
                    && low(byte(3))
                {
                    return 4;
                }
                gbk(first, second)
            }
            Self::Big5 => matches!((first, second), (0xA1..=0xF9, 0x40..=0x7E | 0xA1..=0xFE)),
            Self::Sjis | Self::Cp932 => {
                if matches!(first, 0xA1..=0xDF) {
                    return 1;
                }
                matches!(
                    (first, second),
                    (0x81..=0x9F | 0xE0..=0xFC, 0x40..=0x7E | 0x80..=0xFC)
                )
            }
            Self::Ujis | Self::Eucjpms => match first {
                0x8E => matches!(second, 0xA1..=0xDF),
                0x8F if matches!((second, byte(2)), (0xA1..=0xFE, 0xA1..=0xFE)) => return 3,
                _ => matches!((first, second), (0xA1..=0xFE, 0xA1..=0xFE)),
            },
            Self::Euckr => matches!(
                (first, second),
                (0x81..=0xFE, 0x41..=0x5A | 0x61..=0x7A | 0x81..=0xFE)
            ),
        };
        if pair { 2 } else { 0 }
    }

    pub(super) fn decode(self, mut bytes: &[u8], out: &mut String) {
        let (encoding, runs) = self.encoding();
        while let Some((&first, rest)) = bytes.split_first() {
            if first.is_ascii() {
                out.push(char::from(first));
                bytes = rest;
                continue;
            }
            let length = self.length(bytes);
            let (taken, after) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
            if length == 0 {
                out.push('?');
                bytes = rest;
                continue;
            }
            bytes = after;
            let code = taken
                .iter()
                .fold(0, |code, byte| code << 8 | u32::from(*byte));
            if let Some(char) = exception(runs, code) {
                out.push(char);
            } else {
                match encoding.decode_without_bom_handling_and_without_replacement(taken) {
                    Some(text) => out.push_str(&text),
                    None => out.push('?'),
                }
            }
        }
    }
}

fn gbk(first: u8, second: u8) -> bool {
    matches!((first, second), (0x81..=0xFE, 0x40..=0x7E | 0x80..=0xFE))
}

fn exception(runs: Runs, code: u32) -> Option<char> {
    let at = runs.partition_point(|run| run.1 < code);
    let &(from, _, first) = runs.get(at).filter(|run| run.0 <= code)?;
    Some(match first {
        0 => '?',
        _ => char::from_u32(first + (code - from)).unwrap_or('?'),
    })
}
