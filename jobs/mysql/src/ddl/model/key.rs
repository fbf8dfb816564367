//! Definitions of keys and foreign keys, and the names that servers give them.

use super::super::cursor::Cursor;
use super::Why;
use super::foreign::{self, NewForeignKey};
use crate::schema::{ColumnDef, KeyDef, KeyPart, TableDef};
use crate::translate::collation::bytes_per_character;
use crate::types::column_type::ColumnType;

/// Kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Primary,
    Unique,
    Index,
    Fulltext,
    Spatial,
}

/// A key as a statement defines it.
#[derive(Debug, Clone)]
pub(super) struct NewKey {
    pub(super) kind: KeyKind,
    pub(super) name: Option<String>,
    pub(super) parts: Vec<NewPart>,
    /// Made by the server for a foreign key; it goes when another key begins with its columns.
    pub(super) generated: bool,
    pub(super) if_not_exists: bool,
}

/// A part of such a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewPart {
    pub(super) column: Option<String>,
    pub(super) prefix: Option<u32>,
    pub(super) expression: Option<String>,
}

impl NewPart {
    pub(super) fn column(name: &str) -> Self {
        Self {
            column: Some(name.to_owned()),
            prefix: None,
            expression: None,
        }
    }

    fn same_as(&self, other: &Self) -> bool {
        match (&self.column, &other.column) {
            (Some(a), Some(b)) => same(a, b) && self.prefix == other.prefix,
            _ => false,
        }
    }
}

/// A key, a foreign key, or a CHECK.
#[derive(Debug, Clone)]
pub(super) enum Constraint {
    Key(NewKey),
    Foreign(NewForeignKey),
    Check,
}

/// Names of columns and keys do not distinguish cases.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// Reads a key or a constraint, if one is here.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Option<Constraint>, Why> {
    let mut ahead = cursor.clone();
    let mut symbol = None;
    let mut if_not_exists = false;
    let constraint = ahead.eat("CONSTRAINT");
    if constraint && !ahead.is_any(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
        if_not_exists = ahead.eat_all(&["IF", "NOT", "EXISTS"]);
        symbol = ahead.ident();
    }
    let found = if ahead.eat_all(&["PRIMARY", "KEY"]) {
        KeyKind::Primary
    } else if ahead.eat("UNIQUE") {
        ahead.eat_any(&["KEY", "INDEX"]);
        KeyKind::Unique
    } else if ahead.eat_all(&["FOREIGN", "KEY"]) {
        if_not_exists |= ahead.eat_all(&["IF", "NOT", "EXISTS"]);
        let index = if ahead.is_punct('(') {
            None
        } else {
            ahead.ident()
        };
        let columns = columns(&mut ahead)?;
        let mut foreign = foreign::references(&mut ahead, symbol, columns)?;
        foreign.index = index;
        foreign.if_not_exists = if_not_exists;
        *cursor = ahead;
        return Ok(Some(Constraint::Foreign(foreign)));
    } else if ahead.is("CHECK") && (constraint || ahead.is_punct_at(1, '(')) {
        ahead.step();
        if !ahead.skip_parens() {
            return Err(Why::new("CHECK without an expression"));
        }
        let _ = ahead.eat_all(&["NOT", "ENFORCED"]) || ahead.eat("ENFORCED");
        *cursor = ahead;
        return Ok(Some(Constraint::Check));
    } else if constraint {
        return Err(Why::new("a CONSTRAINT of an unknown kind"));
    } else if ahead.eat("FULLTEXT") {
        ahead.eat_any(&["KEY", "INDEX"]);
        KeyKind::Fulltext
    } else if ahead.eat("SPATIAL") {
        ahead.eat_any(&["KEY", "INDEX"]);
        KeyKind::Spatial
    } else if ahead.eat_any(&["KEY", "INDEX"]) {
        KeyKind::Index
    } else if ahead.are(&["VECTOR", "INDEX"]) || ahead.are(&["VECTOR", "KEY"]) {
        return Err(Why::new("a VECTOR index"));
    } else {
        return Ok(None);
    };
    if_not_exists |= ahead.eat_all(&["IF", "NOT", "EXISTS"]);
    let mut name = None;
    let method = ["BTREE", "HASH", "RTREE"]
        .into_iter()
        .any(|method| ahead.is_at(1, method));
    let unnamed = method && ahead.is_any(&["USING", "TYPE"]);
    if !unnamed && !ahead.is_punct('(') {
        name = ahead.ident();
    }
    let key = finish(&mut ahead, found, name.or(symbol), if_not_exists)?;
    *cursor = ahead;
    Ok(Some(Constraint::Key(key)))
}

/// `[USING x] (parts) …` of a key.
pub(super) fn finish(
    cursor: &mut Cursor<'_>,
    kind: KeyKind,
    name: Option<String>,
    if_not_exists: bool,
) -> Result<NewKey, Why> {
    if cursor.eat_any(&["USING", "TYPE"]) {
        cursor.step();
    }
    let parts = parts(cursor)?;
    let mut rest = cursor.clone();
    while !rest.done() {
        if rest.are(&["WITHOUT", "OVERLAPS"]) {
            return Err(Why::new("WITHOUT OVERLAPS"));
        }
        rest.step();
    }
    // What follows says how the key is kept: USING, COMMENT, KEY_BLOCK_SIZE, PARSER, VISIBLE.
    *cursor = rest;
    Ok(NewKey {
        kind,
        name,
        parts,
        generated: false,
        if_not_exists,
    })
}

fn parts(cursor: &mut Cursor<'_>) -> Result<Vec<NewPart>, Why> {
    let Some(inside) = cursor.parens() else {
        return Err(Why::new("a key without columns"));
    };
    let list = cursor.within(inside);
    let mut out = Vec::new();
    for piece in list.pieces() {
        let mut part = cursor.within(piece);
        let found = if part.is_punct('(') {
            let inside = part.parens().unwrap_or_default();
            NewPart {
                column: None,
                prefix: None,
                expression: Some(part.slice(&inside).to_owned()),
            }
        } else {
            let mut column = NewPart::column(
                &part
                    .ident()
                    .ok_or_else(|| Why::new("a part of a key without a column"))?,
            );
            if part.eat_punct('(') {
                let length = part.number().and_then(|n| u32::try_from(n).ok());
                column.prefix = Some(length.ok_or_else(|| Why::new("the length in a key"))?);
                part.eat_punct(')');
            }
            column
        };
        part.eat_any(&["ASC", "DESC"]);
        if !part.done() {
            return Err(Why::new(format!("`{}` in a key", part.current())));
        }
        out.push(found);
    }
    if out.is_empty() {
        return Err(Why::new("a key without columns"));
    }
    Ok(out)
}

pub(super) fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Why> {
    parts(cursor)?
        .into_iter()
        .map(|part| {
            part.column
                .ok_or_else(|| Why::new("an expression in a foreign key"))
        })
        .collect()
}

/// Whether of two keys one was made for a foreign key and the other begins with its columns: the
/// server then keeps the other only.
fn serves(a: &NewKey, b: &NewKey) -> bool {
    let (own, other) = match (a.generated, b.generated) {
        (true, true) if a.parts.len() > b.parts.len() => (b, a),
        (true, _) => (a, b),
        (false, true) => (b, a),
        (false, false) => return false,
    };
    own.parts.len() <= other.parts.len()
        && own
            .parts
            .iter()
            .zip(&other.parts)
            .all(|(x, y)| x.same_as(y))
}

/// Adds keys to a table as the server does: without those that other keys make superfluous, each
/// without a name under the first free one.
pub(super) fn add(table: &mut TableDef, new: Vec<NewKey>, maria: bool) -> Result<(), Why> {
    let mut all: Vec<(NewKey, bool)> = table.keys.iter().map(|key| (old(key), true)).collect();
    let count = all.len();
    all.extend(new.into_iter().map(|key| (key, true)));
    for here in 0..all.len() {
        for before in 0..here {
            let (Some((a, true)), Some((b, true))) = (all.get(here), all.get(before)) else {
                continue;
            };
            if !serves(a, b) {
                continue;
            }
            let drops_here = !b.generated || a.generated && a.parts.len() < b.parts.len();
            let gone = if drops_here { here } else { before };
            if let Some((_, kept)) = all.get_mut(gone) {
                *kept = false;
            }
        }
    }
    for (key, kept) in all.into_iter().skip(count) {
        if kept {
            add_one(table, &key, maria)?;
        }
    }
    sort(table);
    Ok(())
}

fn old(key: &KeyDef) -> NewKey {
    NewKey {
        kind: if key.unique {
            KeyKind::Unique
        } else {
            KeyKind::Index
        },
        name: Some(key.name.clone()),
        parts: key
            .parts
            .iter()
            .map(|part| NewPart {
                column: part.column.clone(),
                prefix: part.prefix,
                expression: part.expression.clone(),
            })
            .collect(),
        generated: false,
        if_not_exists: false,
    }
}

fn add_one(table: &mut TableDef, key: &NewKey, maria: bool) -> Result<(), Why> {
    let mut parts = Vec::new();
    for part in &key.parts {
        let Some(name) = &part.column else {
            parts.push(KeyPart {
                column: None,
                prefix: None,
                expression: part.expression.clone(),
            });
            continue;
        };
        let column = table
            .column(name)
            .ok_or_else(|| Why::new(format!("a key over the unknown column `{name}`")))?;
        if maria && key.kind != KeyKind::Spatial && matches!(column.ty, ColumnType::Geometry { .. })
        {
            return Err(Why::new("a key over a geometry that is not SPATIAL"));
        }
        parts.push(KeyPart {
            column: Some(column.name.clone()),
            prefix: match (key.kind, prefix(key.kind, part.prefix, column)) {
                (KeyKind::Index, prefix) => cut(table.engine.as_deref(), column, prefix, maria),
                (_, prefix) => prefix,
            },
            expression: None,
        });
    }
    let name = if key.kind == KeyKind::Primary {
        "PRIMARY".to_owned()
    } else if let Some(name) = &key.name {
        name.clone()
    } else {
        automatic(table, parts.first())
    };
    if let Some(at) = table.keys.iter().position(|old| same(&old.name, &name)) {
        if key.if_not_exists {
            return Ok(());
        }
        // A key that was made for a foreign key is gone when this one begins with its columns;
        // nothing tells such a key from another, so it is still here.
        let leftover = table.keys.get(at).is_some_and(|old| {
            !old.unique
                && old.parts.len() <= parts.len()
                && old.parts.iter().zip(&parts).all(|(a, b)| a == b)
        });
        if !leftover {
            return Err(Why::new(format!("a second key of the name `{name}`")));
        }
        table.keys.remove(at);
    }
    table.keys.push(KeyDef {
        primary: key.kind == KeyKind::Primary,
        unique: matches!(key.kind, KeyKind::Primary | KeyKind::Unique),
        name,
        parts,
    });
    Ok(())
}

/// The length of a part as the server keeps it: none when it is the whole column.
fn prefix(kind: KeyKind, wanted: Option<u32>, column: &ColumnDef) -> Option<u32> {
    match kind {
        KeyKind::Fulltext => return None,
        // The size of a bounding box.
        KeyKind::Spatial => return Some(32),
        _ => {}
    }
    wanted.filter(|wanted| fits(*wanted, &column.ty))
}

/// The length that a part of an ordinary key has in the end: what is longer than the engine takes is
/// cut by the server, with a warning (in unique keys it is refused). MariaDB takes a TEXT or BLOB
/// without a length by the same rule.
pub(super) fn cut(
    engine: Option<&str>,
    column: &ColumnDef,
    prefix: Option<u32>,
    maria: bool,
) -> Option<u32> {
    let most: u64 = match engine {
        Some("InnoDB") => 3072,
        Some("MyISAM") => 1000,
        _ => return prefix,
    };
    let charset = column.charset.as_deref().unwrap_or("binary");
    let width = u64::from(bytes_per_character(charset));
    let (length, bytes) = match &column.ty {
        ColumnType::Char { len }
        | ColumnType::Varchar { len }
        | ColumnType::Binary { len }
        | ColumnType::Varbinary { len } => (None, u64::from(*len).saturating_mul(width)),
        // The server takes the bytes of a TEXT for characters here.
        ColumnType::Text { max_bytes } | ColumnType::Blob { max_bytes } if maria => {
            let bytes = max_bytes.saturating_mul(width);
            (u32::try_from(bytes.min(most) / width).ok(), bytes)
        }
        ColumnType::Text { max_bytes } | ColumnType::Blob { max_bytes } => (None, *max_bytes),
        // Only a SPATIAL key is over a whole geometry, written or not.
        ColumnType::Geometry { .. } => return prefix.or(Some(32)),
        _ => return prefix,
    };
    let bytes = prefix.map_or(bytes, |prefix| u64::from(prefix).saturating_mul(width));
    if prefix.is_some() && bytes <= most || prefix.is_none() && length.is_none() && bytes <= most {
        return prefix;
    }
    if prefix.is_none() && length.is_none() && is_long(&column.ty) {
        return None;
    }
    length
        .filter(|_| prefix.is_none())
        .or_else(|| u32::try_from(most / width).ok())
}

/// Whether it is a TEXT or a BLOB.
pub(super) fn is_long(ty: &ColumnType) -> bool {
    matches!(ty, ColumnType::Text { .. } | ColumnType::Blob { .. })
}

/// Whether a part of this length is less than the whole column.
pub(super) fn fits(wanted: u32, ty: &ColumnType) -> bool {
    match ty {
        ColumnType::Char { len }
        | ColumnType::Varchar { len }
        | ColumnType::Binary { len }
        | ColumnType::Varbinary { len } => wanted < *len,
        ColumnType::Text { .. } | ColumnType::Blob { .. } => true,
        ColumnType::Geometry { .. } => true,
        _ => false,
    }
}

/// The first free name: the first column's, then with `_2` and so on.
fn automatic(table: &TableDef, first: Option<&KeyPart>) -> String {
    let base = first
        .and_then(|part| part.column.as_deref())
        .unwrap_or("functional_index");
    let taken =
        |name: &str| same(name, "PRIMARY") || table.keys.iter().any(|key| same(&key.name, name));
    if !taken(base) {
        return base.to_owned();
    }
    (2..)
        .map(|n| format!("{base}_{n}"))
        .find(|name| !taken(name))
        .unwrap_or_default()
}

/// As servers list them: PRIMARY, then unique ones, then the rest, each by name.
pub(super) fn sort(table: &mut TableDef) {
    table
        .keys
        .sort_by_cached_key(|key| (!key.primary, !key.unique, key.name.to_lowercase()));
}

/// Columns of the primary key take no NULL.
pub(super) fn close_primary(table: &mut TableDef) {
    let names: Vec<String> = table
        .keys
        .iter()
        .filter(|key| key.primary)
        .flat_map(|key| &key.parts)
        .filter_map(|part| part.column.clone())
        .collect();
    for column in &mut table.columns {
        if names.contains(&column.name) {
            column.nullable = false;
        }
    }
}
