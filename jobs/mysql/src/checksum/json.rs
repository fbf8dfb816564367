//! JSON by its meaning: the digest of a document that all flavours' ways of printing it share.
//!
//! What is no difference, because a server that stores JSON in binary cannot keep it or prints it in
//! its own way:
//! - white space, the order of an object's members (MySQL sorts by length first, TiDB by bytes,
//!   MariaDB keeps what was written), how characters are escaped;
//! - of members with the same name the last counts (MariaDB keeps all; MySQL and TiDB the last);
//! - how a number is written: `1`, `1.0`, `1e0` and `10e-1` are one number (MySQL prints the double
//!   `1.0`, TiDB prints it `1`), so are `-0` and `0`.
//!
//! What is: everything else, to the last digit. Whole numbers within 64 bits are exact. Other numbers
//! of up to 17 significant digits are doubles, for which servers may choose other digits: they are
//! compared as doubles. With more digits MySQL holds a DECIMAL, and the digits are compared: TiDB,
//! which makes a double of it, has lost some. MariaDB keeps the text as it was written; there more
//! digits say nothing that another server could hold, and a number is what such a server makes of it.
//!
//! The digest is a tree of SHA-256: an object is hashed from the digests of its members in the order of
//! their names. So memory is bounded by the widest path of the document, not by a second copy of it.

use sha2::{Digest, Sha256};

use super::Hash;
use crate::info::Flavor;

/// Deeper documents are compared as text. MySQL and TiDB refuse more than 100 levels.
const MAX_DEPTH: usize = 512;

/// The digest of a document as a server of this flavour printed it. What is no JSON (a TEXT column
/// beside a JSON column) has the digest of its bytes.
#[must_use]
pub fn digest(text: &[u8], flavor: Flavor) -> Hash {
    let mut parser = Parser {
        text,
        at: 0,
        written: flavor == Flavor::MariaDb,
    };
    match parser.document() {
        Some(hash) => hash,
        None => tagged(b'!', text),
    }
}

fn tagged(tag: u8, bytes: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([tag]);
    hasher.update(bytes);
    hasher.finalize().into()
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    /// The text is as a person wrote it, not as a server printed a stored value.
    written: bool,
}

impl Parser<'_> {
    fn document(&mut self) -> Option<Hash> {
        let hash = self.value(0)?;
        self.space();
        (self.at == self.text.len()).then_some(hash)
    }

    fn space(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let is = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is);
        is
    }

    fn word(&mut self, word: &[u8]) -> Option<Hash> {
        if !self.text[self.at..].starts_with(word) {
            return None;
        }
        self.at += word.len();
        Some(tagged(b'w', word))
    }

    fn value(&mut self, depth: usize) -> Option<Hash> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        match *self.text.get(self.at)? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => Some(tagged(b's', &self.string()?)),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            b'-' | b'0'..=b'9' => {
                let written = self.written;
                Some(tagged(b'n', number(self.digits()?, written)?.as_bytes()))
            }
            _ => None,
        }
    }

    fn array(&mut self, depth: usize) -> Option<Hash> {
        let mut hasher = Sha256::new();
        hasher.update([b'[']);
        self.at += 1;
        if self.take(b']') {
            return Some(hasher.finalize().into());
        }
        loop {
            hasher.update(self.value(depth + 1)?);
            if self.take(b']') {
                return Some(hasher.finalize().into());
            }
            if !self.take(b',') {
                return None;
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Hash> {
        let mut members: Vec<(Hash, Hash)> = Vec::new();
        self.at += 1;
        if !self.take(b'}') {
            loop {
                self.space();
                if self.text.get(self.at) != Some(&b'"') {
                    return None;
                }
                let name = tagged(b'k', &self.string()?);
                if !self.take(b':') {
                    return None;
                }
                members.push((name, self.value(depth + 1)?));
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
            }
        }
        // Stable, so that of equal names the last written one stays last.
        members.sort_by_key(|member| member.0);
        let mut hasher = Sha256::new();
        hasher.update([b'{']);
        for (index, (name, value)) in members.iter().enumerate() {
            if members.get(index + 1).is_some_and(|next| next.0 == *name) {
                continue;
            }
            hasher.update(name);
            hasher.update(value);
        }
        Some(hasher.finalize().into())
    }

    /// The characters of a string without their escapes, as UTF-8 (a lone surrogate as its three
    /// bytes, which no character has).
    fn string(&mut self) -> Option<Vec<u8>> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let start = self.at;
            while !matches!(self.text.get(self.at)?, b'"' | b'\\') {
                self.at += 1;
            }
            out.extend_from_slice(&self.text[start..self.at]);
            self.at += 1;
            if self.text[self.at - 1] == b'"' {
                return Some(out);
            }
            let escape = *self.text.get(self.at)?;
            self.at += 1;
            match escape {
                b'"' | b'\\' | b'/' => out.push(escape),
                b'b' => out.push(8),
                b'f' => out.push(12),
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                b't' => out.push(b'\t'),
                b'u' => self.unicode(&mut out)?,
                _ => return None,
            }
        }
    }

    fn unicode(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let mut code = self.hex4()?;
        if (0xD800..0xDC00).contains(&code) && self.text[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xDC00..0xE000).contains(&low) {
                code = 0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            } else {
                self.at = back;
            }
        }
        if let Some(c) = char::from_u32(code) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            let [_, _, high, low] = code.to_be_bytes();
            out.extend_from_slice(&[0xFF, high, low]);
        }
        Some(())
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = std::str::from_utf8(self.text.get(self.at..self.at + 4)?).ok()?;
        self.at += 4;
        if digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            u32::from_str_radix(digits, 16).ok()
        } else {
            None
        }
    }

    fn digits(&mut self) -> Option<&str> {
        let start = self.at;
        while matches!(
            self.text.get(self.at),
            Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
        ) {
            self.at += 1;
        }
        std::str::from_utf8(&self.text[start..self.at]).ok()
    }
}

/// The one way to write a number: significant digits without zeros at either end, and the exponent of
/// the last of them.
fn number(text: &str, written: bool) -> Option<String> {
    let exact = normal(text)?;
    let whole = !text.contains(['.', 'e', 'E']);
    if whole && (text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok()) {
        return Some(exact);
    }
    let significant = exact
        .bytes()
        .take_while(|b| *b != b'e')
        .filter(u8::is_ascii_digit)
        .count();
    if significant > 17 && !written {
        return Some(exact);
    }
    let double: f64 = text.parse().ok()?;
    if double.is_infinite() {
        return Some(exact);
    }
    normal(&format!("{double:e}"))
}

fn normal(text: &str) -> Option<String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let stripped = digits.trim_end_matches('0');
    let exponent = exponent.checked_add(i64::try_from(digits.len() - stripped.len()).ok()?)?;
    let stripped = stripped.trim_start_matches('0');
    if stripped.is_empty() {
        return Some("0e0".to_owned());
    }
    Some(format!("{sign}{stripped}e{exponent}"))
}
