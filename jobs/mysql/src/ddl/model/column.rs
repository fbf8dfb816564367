//! Definitions of columns.

use super::super::Context;
use super::super::cursor::Cursor;
use super::Why;
use super::charset::{self, Charset};
use super::foreign::{self, NewForeignKey};
use super::key::{KeyKind, NewKey, NewPart};
use super::shape::{self, Shape, TypeSpec};
use super::types;
use crate::info::Version;
use crate::schema::{ColumnDef, Generated};
use crate::types::column_type::ColumnType;

/// Where a column goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    First,
    After(String),
}

/// A column as a statement defines it.
#[derive(Debug, Clone)]
pub(super) struct ColumnSpec {
    pub(super) name: String,
    ty: TypeSpec,
    nullable: Option<bool>,
    auto_increment: bool,
    generated: Generated,
    invisible: bool,
    default: Option<String>,
    pub(super) keys: Vec<NewKey>,
    pub(super) foreign: Option<NewForeignKey>,
    pub(super) place: Option<Place>,
}

impl ColumnSpec {
    /// The column in a table of this character set. `convert` is that of a `CONVERT TO` in the same
    /// statement, which holds for the statement's own columns too, whatever they name.
    pub(super) fn resolve(
        &self,
        context: &Context,
        table: &Charset,
        convert: Option<&Charset>,
    ) -> Result<ColumnDef, Why> {
        let (mut raw_type, mut charset) = shape::resolve(&self.ty, context, table)?;
        if let (Some(convert), Some(own)) = (convert, &charset)
            && own.charset != "binary"
        {
            if matches!(self.ty.shape, Shape::Text(..)) {
                // MySQL 9.7 makes a TINYTEXT of a MEDIUMTEXT by this.
                return Err(Why::new("a TEXT that is defined beside CONVERT TO"));
            }
            let ty = self.ty.converted(convert);
            (raw_type, charset) = shape::resolve(&ty, context, convert)?;
        }
        let ty = ColumnType::parse(&raw_type);
        if self.ty.compressed {
            raw_type.push_str(" /*M!100301 COMPRESSED*/");
        }
        let timestamp = matches!(self.ty.shape, Shape::Timestamp(_));
        let by_itself = self.ty.serial
            || self.auto_increment
            || timestamp
                && !context.explicit_defaults_for_timestamp
                && self.generated == Generated::None;
        let nullable = match self.nullable {
            // AUTO_INCREMENT wins over a NULL that is written.
            Some(nullable) => nullable && !self.auto_increment,
            None => !by_itself,
        };
        Ok(ColumnDef {
            name: self.name.clone(),
            raw_type,
            ty,
            nullable,
            charset: charset.as_ref().map(|c| c.charset.clone()),
            collation: charset.map(|c| c.collation),
            generated: self.generated,
            invisible: self.invisible,
            auto_increment: self.auto_increment || self.ty.serial,
            default: self.default.clone(),
        })
    }
}

/// Reads `name type …`.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<ColumnSpec, Why> {
    let name = cursor
        .ident()
        .ok_or_else(|| Why::new(format!("`{}` where a column should be", cursor.current())))?;
    read_named(cursor, name)
}

/// Reads `type …` of a column that has its name already, to the end.
pub(super) fn read_named(cursor: &mut Cursor<'_>, name: String) -> Result<ColumnSpec, Why> {
    let ty = types::read(cursor)?;
    let mut spec = ColumnSpec {
        name,
        ty,
        nullable: None,
        auto_increment: false,
        generated: Generated::None,
        invisible: false,
        default: None,
        keys: Vec::new(),
        foreign: None,
        place: None,
    };
    if spec.ty.serial {
        spec.keys.push(own_key(&spec.name, KeyKind::Unique));
    }
    while !cursor.done() {
        attribute(cursor, &mut spec)?;
    }
    if cursor.context.is_maria() {
        // A column of MariaDB has one key of its own, the primary one when it is said.
        let primary = spec.keys.iter().any(|key| key.kind == KeyKind::Primary);
        spec.keys
            .retain(|key| !primary || key.kind == KeyKind::Primary);
        spec.keys.truncate(1);
    }
    Ok(spec)
}

fn own_key(column: &str, kind: KeyKind) -> NewKey {
    NewKey {
        kind,
        name: None,
        parts: vec![NewPart::column(column)],
        generated: false,
        if_not_exists: false,
    }
}

fn attribute(cursor: &mut Cursor<'_>, spec: &mut ColumnSpec) -> Result<(), Why> {
    let maria = cursor.context.is_maria();
    if cursor.eat_all(&["NOT", "NULL"]) {
        spec.nullable = Some(false);
    } else if cursor.eat("NULL") {
        spec.nullable = Some(true);
    } else if cursor.eat_all(&["NOT", "SECONDARY"]) || cursor.eat("VISIBLE") {
    } else if cursor.eat("DEFAULT") {
        spec.default = default(cursor)?;
    } else if cursor.eat_all(&["ON", "UPDATE"]) {
        cursor.step();
        cursor.skip_parens();
    } else if cursor.eat("AUTO_INCREMENT") {
        spec.auto_increment = true;
    } else if cursor.eat_all(&["SERIAL", "DEFAULT", "VALUE"]) {
        spec.auto_increment = true;
        spec.nullable = Some(false);
        spec.keys.push(own_key(&spec.name, KeyKind::Unique));
    } else if cursor.eat_all(&["PRIMARY", "KEY"]) || cursor.eat("KEY") || cursor.eat("PRIMARY") {
        spec.keys.push(own_key(&spec.name, KeyKind::Primary));
    } else if cursor.eat("UNIQUE") {
        cursor.eat("KEY");
        spec.keys.push(own_key(&spec.name, KeyKind::Unique));
    } else if cursor.eat("COMMENT") {
        cursor.eat_punct('=');
        cursor
            .string()
            .ok_or_else(|| Why::new("COMMENT without a text"))?;
    } else if cursor.is("COLLATE") {
        charset::option(cursor, &mut spec.ty.wanted)
            .ok_or_else(|| Why::new("COLLATE without a name"))?;
    } else if cursor.eat_any(&["COLUMN_FORMAT", "STORAGE"]) {
        cursor.step();
    } else if cursor.eat_any(&["ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE"]) {
        cursor.eat_punct('=');
        cursor.string();
    } else if cursor.eat_any(&["SRID", "REF_SYSTEM_ID"]) {
        cursor.eat_punct('=');
        cursor.step();
    } else if cursor.eat("INVISIBLE") {
        spec.invisible = true;
    } else if cursor.are(&["GENERATED", "ALWAYS", "AS"]) || cursor.is("AS") {
        cursor.eat_all(&["GENERATED", "ALWAYS"]);
        cursor.step();
        if cursor.is_any(&["ROW", "IDENTITY"]) || !cursor.skip_parens() {
            return Err(Why::new("a generated column without an expression"));
        }
        spec.generated = Generated::Virtual;
        if cursor.eat_any(&["STORED", "PERSISTENT"]) {
            spec.generated = Generated::Stored;
        } else {
            cursor.eat("VIRTUAL");
        }
    } else if cursor.is("REFERENCES") {
        let foreign = foreign::references(cursor, None, vec![spec.name.clone()])?;
        let honoured = if maria {
            cursor.context.version >= Version::new(10, 5, 0)
        } else {
            cursor.context.version.major >= 9
        };
        if honoured {
            spec.foreign = Some(foreign);
        }
    } else if cursor.is_any(&["CONSTRAINT", "CHECK"]) {
        if cursor.eat("CONSTRAINT") && !cursor.is("CHECK") {
            cursor.ident();
        }
        if !cursor.eat("CHECK") || !cursor.skip_parens() {
            return Err(Why::new("a CONSTRAINT of a column that is no CHECK"));
        }
        let _ = cursor.eat_all(&["NOT", "ENFORCED"]) || cursor.eat("ENFORCED");
    } else if cursor.eat("FIRST") {
        spec.place = Some(Place::First);
    } else if cursor.eat("AFTER") {
        let column = cursor
            .ident()
            .ok_or_else(|| Why::new("AFTER without a column"))?;
        spec.place = Some(Place::After(column));
    } else {
        return Err(Why::new(format!(
            "`{}` in the definition of column `{}`",
            cursor.current(),
            spec.name
        )));
    }
    Ok(())
}

/// A default: a string's meaning, and the text of anything else.
pub(super) fn default(cursor: &mut Cursor<'_>) -> Result<Option<String>, Why> {
    let start = cursor.at();
    if cursor.eat("NULL") {
        return Ok(None);
    }
    if cursor.are(&["NEXT", "VALUE"]) {
        return Err(Why::new("a sequence as a default"));
    }
    operand(cursor)?;
    while ['+', '-', '*', '/', '|', '&', '%', '^', '<', '>', '=']
        .into_iter()
        .any(|c| cursor.is_punct(c))
    {
        cursor.step();
        operand(cursor)?;
    }
    let range = start..cursor.at();
    let mut literal = cursor.within(range.clone());
    if let Some(text) = literal.string().filter(|_| literal.done()) {
        return Ok(Some(text));
    }
    Ok(Some(cursor.slice(&range).to_owned()))
}

/// One value of an expression.
fn operand(cursor: &mut Cursor<'_>) -> Result<(), Why> {
    while cursor.eat_punct('-') || cursor.eat_punct('+') || cursor.eat_punct('~') {}
    if cursor.skip_parens() {
        return Ok(());
    }
    if cursor.string().is_some() {
        return Ok(());
    }
    if cursor.done() || cursor.is_any(&["INTERVAL", "NOT", "CASE"]) {
        return Err(Why::new(format!("the default `{}`", cursor.current())));
    }
    let introduces = cursor.word().is_some();
    cursor.step();
    if introduces {
        // uuid(), d.f(), DATE '2020-01-01', _latin1'x', _latin1 x'61'.
        while cursor.is_punct('.') {
            cursor.step();
            cursor.step();
        }
        if !cursor.skip_parens() {
            use super::super::lexer::TokenKind;
            if cursor.peek().is_some_and(|t| t.kind == TokenKind::Text) {
                cursor.step();
            }
        }
    }
    Ok(())
}
