//! Types of columns: from all their spellings to the one that `information_schema` prints.

use super::super::Context;
use super::super::cursor::Cursor;
use super::Why;
use super::charset::{self, Charset, Wanted};
use crate::info::Version;
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
    Members(&'static str, String),
}

const TEXTS: [&str; 4] = ["tinytext", "text", "mediumtext", "longtext"];
const BLOBS: [&str; 4] = ["tinyblob", "blob", "mediumblob", "longblob"];

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
        Shape::Members(kind, members) => format!("{kind}({members})"),
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

/// Reads a type.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<TypeSpec, Why> {
    let Some(word) = cursor.word() else {
        return Err(Why::new(format!(
            "`{}` where a type should be",
            cursor.current()
        )));
    };
    let context = cursor.context;
    let word = word.to_ascii_lowercase();
    cursor.step();
    let mut spec = TypeSpec {
        shape: Shape::Plain(String::new()),
        wanted: Wanted::default(),
        serial: false,
        compressed: false,
    };
    let national = |spec: &mut TypeSpec| {
        spec.wanted.charset = Some(charset::canonical(context, "utf8mb3"));
    };
    spec.shape = match word.as_str() {
        "tinyint" | "int1" => integer(cursor, "tinyint")?,
        "smallint" | "int2" => integer(cursor, "smallint")?,
        "mediumint" | "middleint" | "int3" => integer(cursor, "mediumint")?,
        "int" | "integer" | "int4" => integer(cursor, "int")?,
        "bigint" | "int8" => integer(cursor, "bigint")?,
        "bool" | "boolean" => Shape::Plain("tinyint(1)".to_owned()),
        "serial" => {
            spec.serial = true;
            let width = if modern(context) { "" } else { "(20)" };
            Shape::Plain(format!("bigint{width} unsigned"))
        }
        "decimal" | "dec" | "numeric" | "fixed" => decimal(cursor)?,
        "float" | "float4" => float(cursor)?,
        "double" | "float8" => {
            cursor.eat("PRECISION");
            real(cursor, "double")?
        }
        "real" if context.sql_mode.real_as_float() => real(cursor, "float")?,
        "real" => real(cursor, "double")?,
        "bit" => match numbers(cursor)?.first() {
            None | Some(0) => Shape::Plain("bit(1)".to_owned()),
            Some(width) => Shape::Plain(format!("bit({width})")),
        },
        "date" if context.is_maria() && context.sql_mode.oracle() => {
            return Err(Why::new("sql_mode=ORACLE, where DATE means DATETIME"));
        }
        "date" => Shape::Plain("date".to_owned()),
        "time" | "datetime" => Shape::Plain(fraction(cursor, &word)?),
        "timestamp" => Shape::Timestamp(fraction(cursor, &word)?),
        "year" => {
            let digits = numbers(cursor)?;
            if digits.first() == Some(&2) {
                return Err(Why::new("YEAR(2)"));
            }
            number_attributes(cursor);
            Shape::Plain(if modern(context) { "year" } else { "year(4)" }.to_owned())
        }
        "char" | "character" => {
            if cursor.eat("VARYING") {
                Shape::Varchar(length(cursor)?.ok_or_else(|| Why::new("a VARCHAR without length"))?)
            } else {
                Shape::Char(length(cursor)?.unwrap_or(1))
            }
        }
        "varchar" | "varcharacter" => {
            Shape::Varchar(length(cursor)?.ok_or_else(|| Why::new("a VARCHAR without length"))?)
        }
        "nchar" => {
            national(&mut spec);
            if cursor.eat_any(&["VARYING", "VARCHAR", "VARCHARACTER"]) {
                Shape::Varchar(length(cursor)?.unwrap_or(1))
            } else {
                Shape::Char(length(cursor)?.unwrap_or(1))
            }
        }
        "nvarchar" => {
            national(&mut spec);
            Shape::Varchar(length(cursor)?.unwrap_or(1))
        }
        "national" => {
            national(&mut spec);
            let varies = cursor.eat_any(&["VARCHAR", "VARCHARACTER"]);
            if !varies && !cursor.eat_any(&["CHAR", "CHARACTER"]) {
                return Err(Why::new("a type that begins with NATIONAL"));
            }
            if varies || cursor.eat("VARYING") {
                Shape::Varchar(length(cursor)?.unwrap_or(1))
            } else {
                Shape::Char(length(cursor)?.unwrap_or(1))
            }
        }
        "binary" => Shape::Plain(format!("binary({})", length(cursor)?.unwrap_or(1))),
        "varbinary" => {
            let len = length(cursor)?.ok_or_else(|| Why::new("a VARBINARY without length"))?;
            if len > 65_535 {
                return Err(Why::new("a VARBINARY that becomes a BLOB"));
            }
            Shape::Plain(format!("varbinary({len})"))
        }
        "tinytext" => Shape::Text(0, None),
        "text" => Shape::Text(1, length(cursor)?),
        "mediumtext" => Shape::Text(2, None),
        "longtext" => Shape::Text(3, None),
        "tinyblob" | "mediumblob" | "longblob" => Shape::Plain(word.clone()),
        "blob" => {
            let number = length(cursor)?.map_or(1, size);
            Shape::Plain(BLOBS.get(number).copied().unwrap_or("longblob").to_owned())
        }
        "long" => {
            if cursor.eat("VARBINARY") {
                Shape::Plain("mediumblob".to_owned())
            } else {
                if cursor.eat_any(&["CHAR", "CHARACTER"]) {
                    cursor.eat("VARYING");
                }
                cursor.eat_any(&["VARCHAR", "VARCHARACTER"]);
                Shape::Text(2, None)
            }
        }
        "enum" => Shape::Members("enum", members(cursor)?),
        "set" => Shape::Members("set", members(cursor)?),
        "json" if context.is_maria() => {
            spec.wanted.charset = Some("utf8mb4".to_owned());
            spec.wanted.binary = true;
            Shape::Text(3, None)
        }
        "json" => Shape::Plain(word.clone()),
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
        | "multipolygon" => Shape::Plain(word.clone()),
        "geometrycollection" | "geomcollection" => {
            let short = !context.is_maria() && context.version.major >= 8;
            let name = if short {
                "geomcollection"
            } else {
                "geometrycollection"
            };
            Shape::Plain(name.to_owned())
        }
        "vector" => {
            let len = length(cursor)?.unwrap_or(2048);
            Shape::Plain(format!("vector({len})"))
        }
        "inet4" | "inet6" | "uuid" if context.is_maria() => Shape::Plain(word.clone()),
        _ => return Err(Why::new(format!("the type `{word}`"))),
    };
    let text = matches!(
        spec.shape,
        Shape::Char(_) | Shape::Varchar(_) | Shape::Text(..) | Shape::Members(..)
    );
    if text {
        text_attributes(cursor, &mut spec)?;
    }
    if cursor.context.is_maria() && cursor.eat("COMPRESSED") {
        if cursor.eat_punct('=') {
            cursor.step();
        }
        spec.compressed = true;
    }
    Ok(spec)
}

/// Whether the server prints integers without their display width.
fn modern(context: &Context) -> bool {
    !context.is_maria() && context.version >= Version::new(8, 0, 19)
}

/// `(1)`, `(1, 2)`, or nothing.
fn numbers(cursor: &mut Cursor<'_>) -> Result<Vec<u64>, Why> {
    let mut out = Vec::new();
    if !cursor.eat_punct('(') {
        return Ok(out);
    }
    loop {
        match cursor.number() {
            Some(number) => out.push(number),
            None if out.is_empty() && cursor.is_punct(')') => {}
            None => {
                return Err(Why::new(format!(
                    "`{}` where a length should be",
                    cursor.current()
                )));
            }
        }
        if cursor.eat_punct(')') {
            return Ok(out);
        }
        if !cursor.eat_punct(',') {
            return Err(Why::new(format!("`{}` in a length", cursor.current())));
        }
    }
}

fn length(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Why> {
    Ok(numbers(cursor)?.first().copied())
}

/// `(6)` of a time; none for `(0)`.
fn fraction(cursor: &mut Cursor<'_>, name: &str) -> Result<String, Why> {
    Ok(match length(cursor)? {
        None | Some(0) => name.to_owned(),
        Some(digits) => format!("{name}({digits})"),
    })
}

/// SIGNED, UNSIGNED and ZEROFILL: whether the second and the third were there.
fn number_attributes(cursor: &mut Cursor<'_>) -> (bool, bool) {
    let (mut unsigned, mut zerofill) = (false, false);
    loop {
        if cursor.eat("UNSIGNED") {
            unsigned = true;
        } else if cursor.eat("ZEROFILL") {
            zerofill = true;
        } else if !cursor.eat("SIGNED") {
            return (unsigned || zerofill, zerofill);
        }
    }
}

fn suffix(cursor: &mut Cursor<'_>) -> &'static str {
    match number_attributes(cursor) {
        (_, true) => " unsigned zerofill",
        (true, false) => " unsigned",
        (false, false) => "",
    }
}

fn integer(cursor: &mut Cursor<'_>, name: &str) -> Result<Shape, Why> {
    let width = length(cursor)?;
    let attributes = suffix(cursor);
    let unsigned = !attributes.is_empty();
    let zerofill = attributes.ends_with("zerofill");
    let default = match (name, unsigned) {
        ("tinyint", true) => 3,
        ("tinyint", false) => 4,
        ("smallint", true) => 5,
        ("smallint", false) => 6,
        ("mediumint", true) => 8,
        ("mediumint", false) => 9,
        ("int", true) => 10,
        ("int", false) => 11,
        _ => 20,
    };
    let width = width.filter(|width| *width > 0);
    let shown = if modern(cursor.context) {
        let boolean = name == "tinyint" && width == Some(1) && !unsigned;
        (zerofill || boolean).then(|| width.unwrap_or(default))
    } else {
        Some(width.unwrap_or(default))
    };
    Ok(Shape::Plain(match shown {
        Some(width) => format!("{name}({width}){attributes}"),
        None => format!("{name}{attributes}"),
    }))
}

fn decimal(cursor: &mut Cursor<'_>) -> Result<Shape, Why> {
    let digits = numbers(cursor)?;
    let precision = digits.first().copied().filter(|n| *n > 0);
    let scale = digits.get(1).copied().unwrap_or(0);
    // decimal(0,0) is the default; decimal(0,5) no server takes.
    let precision = precision.unwrap_or(10);
    Ok(Shape::Plain(format!(
        "decimal({precision},{scale}){}",
        suffix(cursor)
    )))
}

fn float(cursor: &mut Cursor<'_>) -> Result<Shape, Why> {
    let digits = numbers(cursor)?;
    let name = match *digits.as_slice() {
        [] => "float".to_owned(),
        [bits] if bits <= 24 => "float".to_owned(),
        [_] => "double".to_owned(),
        [all, after, ..] => format!("float({all},{after})"),
    };
    Ok(Shape::Plain(format!("{name}{}", suffix(cursor))))
}

fn real(cursor: &mut Cursor<'_>, name: &str) -> Result<Shape, Why> {
    let digits = numbers(cursor)?;
    let digits = match *digits.as_slice() {
        [all, after] => format!("({all},{after})"),
        _ => String::new(),
    };
    Ok(Shape::Plain(format!("{name}{digits}{}", suffix(cursor))))
}

/// The list of an ENUM or SET as the server prints it.
fn members(cursor: &mut Cursor<'_>) -> Result<String, Why> {
    if !cursor.eat_punct('(') {
        return Err(Why::new("an ENUM or SET without members"));
    }
    let mut out = String::new();
    loop {
        let Some(member) = cursor.string() else {
            return Err(Why::new(format!("`{}` as a member", cursor.current())));
        };
        if !out.is_empty() {
            out.push(',');
        }
        out.push('\'');
        // Blanks at the end are cut off when the table is made.
        for c in member.trim_end_matches(' ').chars() {
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
        if cursor.eat_punct(')') {
            return Ok(out);
        }
        if !cursor.eat_punct(',') {
            return Err(Why::new(format!("`{}` among members", cursor.current())));
        }
    }
}

/// Character set, BINARY, ASCII, UNICODE and BYTE behind a text type.
fn text_attributes(cursor: &mut Cursor<'_>, spec: &mut TypeSpec) -> Result<(), Why> {
    loop {
        if cursor.eat("BINARY") {
            spec.wanted.binary = true;
        } else if cursor.eat("ASCII") {
            spec.wanted.charset = Some("latin1".to_owned());
        } else if cursor.eat("UNICODE") {
            spec.wanted.charset = Some("ucs2".to_owned());
        } else if cursor.eat("BYTE") {
            spec.wanted.charset = Some("binary".to_owned());
        } else if cursor.is("DEFAULT") || cursor.is("COLLATE") {
            // DEFAULT begins the column's default here; COLLATE is an attribute of the column.
            return Ok(());
        } else if !charset::option(cursor, &mut spec.wanted)
            .ok_or_else(|| Why::new("a character set without a name"))?
        {
            return Ok(());
        }
    }
}
