//! Types of columns as `information_schema` prints them, once their character sets are known.

use super::super::Context;
use super::Why;
use super::charset::{Charset, Wanted, binary_collation};
use crate::translate::collation::bytes_per_character;

/// A type, before its character set is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypeSpec {
    pub(super) shape: Shape,
    pub(super) wanted: Wanted,
    /// SERIAL: also NOT NULL, AUTO_INCREMENT and UNIQUE.
    pub(super) serial: bool,
    /// MariaDB's COMPRESSED, which stands behind the type.
    pub(super) compressed: bool,
}

impl TypeSpec {
    /// The same in the character set of a `CONVERT TO`.
    pub(super) fn converted(&self, to: &Charset) -> Self {
        let mut out = self.clone();
        out.wanted = Wanted {
            charset: Some(to.charset.clone()),
            // BINARY holds, in the new character set.
            collation: Some(if self.wanted.binary {
                binary_collation(&to.charset)
            } else {
                to.collation.clone()
            }),
            ..Wanted::default()
        };
        out
    }
}

/// What the character set decides about a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing: this is how it is printed.
    Plain(String),
    /// TIMESTAMP, which is NOT NULL by itself on old servers.
    Timestamp(String),
    Char(u64),
    Varchar(u64),
    /// TINYTEXT to LONGTEXT by number, and the length that was asked for.
    Text(usize, Option<u64>),
    /// ENUM or SET, with its members as they are printed.
    Members(&'static str, Vec<String>),
}

const TEXTS: [&str; 4] = ["tinytext", "text", "mediumtext", "longtext"];
pub(super) const BLOBS: [&str; 4] = ["tinyblob", "blob", "mediumblob", "longblob"];

/// The smallest of the four sizes that holds so many bytes.
pub(super) fn size(bytes: u64) -> usize {
    match bytes {
        0..=0xff => 0,
        0x100..=0xffff => 1,
        0x1_0000..=0xff_ffff => 2,
        _ => 3,
    }
}

/// A type as the server prints it, and its character set.
pub(super) fn resolve(
    spec: &TypeSpec,
    context: &Context,
    table: &Charset,
) -> Result<(String, Option<Charset>), Why> {
    let charset = spec.wanted.resolve(context, table);
    let width = u64::from(bytes_per_character(&charset.charset));
    let binary = charset.charset == "binary";
    let raw = match &spec.shape {
        Shape::Plain(raw) | Shape::Timestamp(raw) => return Ok((raw.clone(), None)),
        Shape::Char(len) if *len > 255 => {
            return Err(Why::new("a CHAR of more than 255 characters"));
        }
        Shape::Char(len) if binary => format!("binary({len})"),
        Shape::Char(len) => format!("char({len})"),
        Shape::Varchar(len) if len * width > 65_535 => {
            return Err(Why::new(
                "a VARCHAR of more than 65535 bytes, which becomes a TEXT",
            ));
        }
        Shape::Varchar(len) if binary => format!("varbinary({len})"),
        Shape::Varchar(len) => format!("varchar({len})"),
        Shape::Text(number, len) => {
            let number = len.map_or(*number, |len| size(len * width));
            let names = if binary { BLOBS } else { TEXTS };
            names.get(number).copied().unwrap_or("longtext").to_owned()
        }
        Shape::Members(kind, members) => format!("{kind}({})", printed(members, binary)),
    };
    let members = matches!(spec.shape, Shape::Members(..));
    let charset = if binary && !(members && context.is_maria()) {
        None
    } else {
        Some(charset)
    };
    Ok((raw, charset))
}

/// The same type in another character set, as `CONVERT TO` makes it: a TEXT grows when its
/// characters would need more bytes than before.
pub(super) fn converted(raw: &str, from: &str, to: &Charset) -> Result<String, Why> {
    let Some(number) = TEXTS.iter().position(|name| raw == *name) else {
        if to.charset == "binary" {
            if let Some(rest) = raw.strip_prefix("varchar") {
                return Ok(format!("varbinary{rest}"));
            }
            if let Some(rest) = raw.strip_prefix("char") {
                return Ok(format!("binary{rest}"));
            }
        }
        if let Some(len) = raw
            .strip_prefix("varchar(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|len| len.parse::<u64>().ok())
            && len * u64::from(bytes_per_character(&to.charset)) > 65_535
        {
            return Err(Why::new("a VARCHAR that becomes a TEXT by CONVERT TO"));
        }
        return Ok(raw.to_owned());
    };
    let bytes: u64 = [0xff, 0xffff, 0xff_ffff, 0xffff_ffff]
        .get(number)
        .copied()
        .unwrap_or(0xffff_ffff);
    let characters = bytes / u64::from(bytes_per_character(from));
    let number = if number == 3 {
        3
    } else {
        size(characters * u64::from(bytes_per_character(&to.charset)))
    };
    let names = if to.charset == "binary" { BLOBS } else { TEXTS };
    Ok(names.get(number).copied().unwrap_or("longtext").to_owned())
}

/// The list as the server prints it. Blanks at the end are cut off when the table is made, but for
/// binary ones.
fn printed(members: &[String], binary: bool) -> String {
    let mut out = String::new();
    for member in members {
        if !out.is_empty() {
            out.push(',');
        }
        out.push('\'');
        let member = if binary {
            member.as_str()
        } else {
            member.trim_end_matches(' ')
        };
        for c in member.chars() {
            match c {
                '\'' => out.push_str("''"),
                '\\' => out.push_str("\\\\"),
                '\0' => out.push_str("\\0"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                _ => out.push(c),
            }
        }
        out.push('\'');
    }
    out
}
