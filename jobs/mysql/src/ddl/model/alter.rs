//! `ALTER TABLE`, `CREATE INDEX` and `DROP INDEX`, in the order in which servers do their parts: the
//! old columns that stay, with their changes; then new columns and those that move, as written; then
//! the old keys; then the new ones, which name columns by their new names.

use super::super::Context;
use super::super::statement::{AlterSpec, Kind, Statement};
use super::Why;
use super::charset::Charset;
use super::column::Place;
use super::create::keeps_foreign_keys;
use super::key::{self, KeyKind, same};
use super::plan::{Plan, name};
use super::shape;
use crate::schema::{ColumnDef, TableDef};
use crate::types::column_type::ColumnType;

/// Renames of columns of a table: others may refer to them.
pub(super) type Renamed = Vec<(String, String)>;

/// Changes `table`; gives the columns that have other names now.
pub(super) fn table(
    statement: &Statement,
    specs: &[AlterSpec],
    table: &mut TableDef,
    database: &Charset,
) -> Result<Renamed, Why> {
    let mut plan = Plan::default();
    for spec in specs {
        let mut cursor = statement.cursor().within(spec.tokens.clone());
        plan.read(spec.kind, &mut cursor, table)?;
    }
    plan.apply(table, &statement.context, database)
}

/// `CREATE INDEX` and `DROP INDEX`.
pub(super) fn index(statement: &Statement, table: &mut TableDef) -> Result<(), Why> {
    let mut cursor = statement.cursor();
    cursor.step();
    cursor.eat_any(&["ONLINE", "OFFLINE"]);
    if statement.kind == Kind::DropIndex {
        cursor.eat("INDEX");
        let mut plan = Plan::default();
        let if_exists = cursor.eat_all(&["IF", "EXISTS"]);
        let name = name(&mut cursor, "DROP INDEX")?;
        plan.drop_key(name, if_exists, table)?;
        return plan.old_keys(table, &[], &[], false);
    }
    let or_replace = cursor.eat_all(&["OR", "REPLACE"]);
    let kind = match () {
        () if cursor.eat("UNIQUE") => KeyKind::Unique,
        () if cursor.eat("FULLTEXT") => KeyKind::Fulltext,
        () if cursor.eat("SPATIAL") => KeyKind::Spatial,
        () if cursor.eat("VECTOR") => return Err(Why::new("a VECTOR index")),
        () => KeyKind::Index,
    };
    cursor.eat("INDEX");
    let if_not_exists = cursor.eat_all(&["IF", "NOT", "EXISTS"]);
    let key_name = name(&mut cursor, "CREATE INDEX")?;
    while !cursor.done() && !cursor.eat("ON") {
        cursor.step();
    }
    cursor.name();
    if or_replace {
        table.keys.retain(|key| !same(&key.name, &key_name));
    }
    let key = key::finish(&mut cursor, kind, Some(key_name), if_not_exists)?;
    key::add(table, vec![key], statement.context.is_maria())
}

impl Plan {
    fn apply(
        self,
        table: &mut TableDef,
        context: &Context,
        database: &Charset,
    ) -> Result<Renamed, Why> {
        let before = Charset {
            charset: table.charset.clone().unwrap_or_default(),
            collation: table.collation.clone().unwrap_or_default(),
        };
        let mut charset = before;
        if !self.options.wanted.says_nothing() {
            let from = if self.options.wanted.default {
                database
            } else {
                &charset
            };
            charset = self.options.wanted.resolve(context, from);
        }
        if self.convert.is_some() && !self.options.wanted.says_nothing() {
            return Err(Why::new(
                "CONVERT TO beside another character set of the table",
            ));
        }
        let convert = self.convert.as_ref().map(|wanted| {
            let from = if wanted.default { database } else { &charset };
            wanted.resolve(context, from)
        });
        if let Some(convert) = &convert {
            charset = convert.clone();
        }
        table.charset = Some(charset.charset.clone());
        table.collation = Some(charset.collation.clone());
        if let Some(engine) = &self.options.engine {
            table.engine = Some(engine.clone());
        }
        table.partitioned = (table.partitioned || self.options.partitioned) && !self.unpartition;

        let before_columns = table.columns.clone();
        let renamed = self.columns(table, context, &charset, convert.as_ref())?;
        self.old_keys(table, &renamed, &before_columns, context.is_maria())?;
        table
            .foreign_keys
            .retain(|key| !self.drop_foreign.iter().any(|name| same(name, &key.name)));
        for name in table
            .foreign_keys
            .iter_mut()
            .flat_map(|key| &mut key.columns)
        {
            if let Some((_, new)) = renamed.iter().find(|(old, _)| old == name) {
                name.clone_from(new);
            }
        }
        let maria = context.is_maria();
        let mut new_keys = self.elements.keys;
        let mut foreign = self.elements.foreign;
        foreign.retain(|new| {
            let known = new
                .name
                .as_deref()
                .is_some_and(|name| table.foreign_keys.iter().any(|key| same(&key.name, name)));
            !(new.if_not_exists && known)
        });
        if !keeps_foreign_keys(table) {
            foreign.clear();
        }
        new_keys.retain(|key| !key.parts.is_empty());
        key::add(table, new_keys, maria)?;
        key::close_primary(table);
        for foreign in foreign {
            foreign.add_to(table, maria);
        }
        Ok(renamed)
    }

    /// The columns; gives the renamed ones.
    fn columns(
        &self,
        table: &mut TableDef,
        context: &Context,
        charset: &Charset,
        convert: Option<&Charset>,
    ) -> Result<Renamed, Why> {
        let mut renamed = Renamed::new();
        let mut columns: Vec<ColumnDef> = Vec::new();
        for old in std::mem::take(&mut table.columns) {
            if self.drops.contains(&old.name) {
                continue;
            }
            if let Some((_, spec)) = self.changes.iter().find(|(name, _)| *name == old.name) {
                let new = spec.resolve(context, charset, convert)?;
                if old.name != new.name {
                    renamed.push((old.name.clone(), new.name.clone()));
                }
                columns.push(new);
                continue;
            }
            let mut column = old;
            if let Some((_, new)) = self.renames.iter().find(|(name, _)| *name == column.name) {
                renamed.push((column.name.clone(), new.clone()));
                column.name.clone_from(new);
            }
            let original = renamed
                .iter()
                .find(|(_, new)| *new == column.name)
                .map_or(&column.name, |(old, _)| old);
            let visible = self.visible.iter().rfind(|(name, _)| name == original);
            let default = self.defaults.iter().rfind(|(name, _)| name == original);
            if let Some((_, visible)) = visible {
                column.invisible = !visible;
            }
            if let Some((_, default)) = default {
                column.default.clone_from(default);
            }
            if let (Some(to), Some(from)) = (convert, column.charset.clone())
                && from != "binary"
            {
                convert_column(&mut column, &from, to, context)?;
            }
            columns.push(column);
        }
        for spec in &self.placed {
            let column = spec.resolve(context, charset, convert)?;
            // A column that moves stands at its old place until its turn comes.
            if self
                .changes
                .iter()
                .any(|(_, moved)| moved.name == spec.name)
            {
                columns.retain(|column| !same(&column.name, &spec.name));
            }
            let at = match &spec.place {
                None => columns.len(),
                Some(Place::First) => 0,
                Some(Place::After(name)) => {
                    let found = columns.iter().position(|column| same(&column.name, name));
                    1 + found
                        .ok_or_else(|| Why::new(format!("AFTER the unknown column `{name}`")))?
                }
            };
            columns.insert(at, column);
        }
        for (number, column) in columns.iter().enumerate() {
            if columns
                .iter()
                .take(number)
                .any(|before| same(&before.name, &column.name))
            {
                return Err(Why::new(format!("a second column `{}`", column.name)));
            }
        }
        table.columns = columns;
        Ok(renamed)
    }

    /// The old keys: without dropped ones, over the columns that are left, under their new names.
    /// `before` are the columns as they were.
    fn old_keys(
        &self,
        table: &mut TableDef,
        renamed: &[(String, String)],
        before: &[ColumnDef],
        maria: bool,
    ) -> Result<(), Why> {
        let mut keys = Vec::new();
        let old = std::mem::take(&mut table.keys);
        let engine = table.engine.as_deref();
        for mut key in old {
            if self.drop_keys.iter().any(|name| same(name, &key.name)) {
                continue;
            }
            key.parts.retain(|part| {
                !part
                    .column
                    .as_ref()
                    .is_some_and(|name| self.drops.contains(name))
            });
            if key.parts.is_empty() {
                continue;
            }
            for part in &mut key.parts {
                let Some(old) = part.column.clone() else {
                    continue;
                };
                let new = renamed.iter().find(|(name, _)| *name == old);
                let name = new.map_or(old.clone(), |(_, new)| new.clone());
                let was = before.iter().find(|column| column.name == old);
                if let (Some(was), Some(column)) = (was, table.column(&name))
                    && (was.ty != column.ty || was.charset != column.charset)
                {
                    if matches!(column.ty, ColumnType::Geometry { .. }) {
                        return Err(Why::new("a column of a key that becomes a geometry"));
                    }
                    part.prefix = part.prefix.filter(|len| key::fits(*len, &column.ty));
                    // A whole TEXT is in FULLTEXT keys only.
                    let fulltext = part.prefix.is_none() && key::is_long(&was.ty);
                    if !fulltext && !key.unique {
                        part.prefix = key::cut(engine, column, part.prefix, maria);
                    }
                }
                part.column = Some(name);
            }
            if let Some((_, new)) = self
                .rename_keys
                .iter()
                .find(|(old, _)| same(old, &key.name))
            {
                key.name.clone_from(new);
            }
            keys.push(key);
        }
        table.keys = keys;
        key::sort(table);
        Ok(())
    }
}

fn convert_column(
    column: &mut ColumnDef,
    from: &str,
    to: &Charset,
    context: &Context,
) -> Result<(), Why> {
    let members = column.raw_type.starts_with("enum(") || column.raw_type.starts_with("set(");
    // MySQL reads the bytes of old members as characters of the new set, which makes others of them.
    let wide = |charset: &str| matches!(charset, "ucs2" | "utf16" | "utf16le" | "utf32");
    if members && wide(from) != wide(&to.charset) {
        return Err(Why::new(
            "CONVERT TO of an ENUM or SET between wide and other characters",
        ));
    }
    if !members {
        column.raw_type = shape::converted(&column.raw_type, from, to)?;
        column.ty = ColumnType::parse(&column.raw_type);
    }
    let none = to.charset == "binary" && !(members && context.is_maria());
    column.charset = (!none).then(|| to.charset.clone());
    column.collation = (!none).then(|| to.collation.clone());
    Ok(())
}
