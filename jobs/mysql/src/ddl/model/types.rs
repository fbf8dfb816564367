//! Reading types of columns in all their spellings.

use super::super::Context;
use super::super::cursor::Cursor;
use super::Why;
use super::charset::{self, Wanted};
use super::shape::{BLOBS, Shape, TypeSpec, size};
use crate::info::Version;

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
        "text" => Shape::Text(1, blob_length(cursor)?),
        "mediumtext" => Shape::Text(2, None),
        "longtext" => Shape::Text(3, None),
        "tinyblob" | "mediumblob" | "longblob" => Shape::Plain(word.clone()),
        "blob" => {
            let number = blob_length(cursor)?.map_or(1, size);
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

/// The length of a TEXT or BLOB; MariaDB takes 0 for none.
fn blob_length(cursor: &mut Cursor<'_>) -> Result<Option<u64>, Why> {
    let maria = cursor.context.is_maria();
    Ok(length(cursor)?.filter(|length| *length > 0 || !maria))
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

/// The list of an ENUM or SET.
fn members(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Why> {
    if !cursor.eat_punct('(') {
        return Err(Why::new("an ENUM or SET without members"));
    }
    let mut out = Vec::new();
    loop {
        let Some(member) = cursor.string() else {
            return Err(Why::new(format!("`{}` as a member", cursor.current())));
        };
        out.push(member);
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
