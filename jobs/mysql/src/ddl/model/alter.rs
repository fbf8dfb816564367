//! `ALTER TABLE`, `CREATE INDEX` and `DROP INDEX`, in the order in which servers do their parts: the
//! old columns that stay, with their changes; then new columns and those that move, as written; then
//! the old keys; then the new ones, which name columns by their new names.

use super::super::Context;
use super::super::cursor::Cursor;
use super::super::statement::{AlterSpec, Kind, PartitionOp, SpecKind, Statement};
use super::Why;
use super::charset::{self, Charset};
use super::column::{self, ColumnSpec, Place};
use super::create::{Elements, keeps_foreign_keys};
use super::key::{self, KeyKind, same};
use super::options::{self, Options};
use super::types;
use crate::schema::{ColumnDef, KeyDef, TableDef};

/// What an `ALTER TABLE` asks for, gathered.
#[derive(Debug, Default)]
struct Plan {
    drops: Vec<String>,
    /// Old name and new definition.
    changes: Vec<(String, ColumnSpec)>,
    renames: Vec<(String, String)>,
    visible: Vec<(String, bool)>,
    defaults: Vec<(String, Option<String>)>,
    /// What takes a place, in the order of the statement.
    placed: Vec<ColumnSpec>,
    elements: Elements,
    drop_keys: Vec<String>,
    rename_keys: Vec<(String, String)>,
    drop_foreign: Vec<String>,
    options: Options,
    convert: Option<charset::Wanted>,
    unpartition: bool,
}

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
        plan.old_keys(table, &[]);
        return Ok(());
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

fn name(cursor: &mut Cursor<'_>, what: &str) -> Result<String, Why> {
    cursor
        .ident()
        .ok_or_else(|| Why::new(format!("{what} without a name")))
}

impl Plan {
    fn read(
        &mut self,
        kind: SpecKind,
        cursor: &mut Cursor<'_>,
        table: &TableDef,
    ) -> Result<(), Why> {
        match kind {
            SpecKind::AddColumn => {
                cursor.step();
                cursor.eat("COLUMN");
                let if_not_exists = cursor.eat_all(&["IF", "NOT", "EXISTS"]);
                let list = cursor
                    .clone()
                    .parens()
                    .filter(|_| cursor.is_punct('('))
                    .map(|inside| cursor.within(inside).pieces());
                let pieces = list.unwrap_or_else(|| vec![cursor.at()..cursor.len()]);
                for piece in pieces {
                    let mut cursor = cursor.within(piece);
                    let mut elements = Elements::default();
                    elements.read(&mut cursor)?;
                    let exists = elements
                        .columns
                        .iter()
                        .any(|column| table.column(&column.name).is_some());
                    if if_not_exists && exists {
                        continue;
                    }
                    self.placed.append(&mut elements.columns);
                    self.elements.keys.append(&mut elements.keys);
                    self.elements.foreign.append(&mut elements.foreign);
                }
            }
            SpecKind::DropColumn => {
                cursor.step();
                cursor.eat("COLUMN");
                let if_exists = cursor.eat_all(&["IF", "EXISTS"]);
                let name = name(cursor, "DROP COLUMN")?;
                if let Some(column) = existing(table, &name, if_exists)? {
                    self.drops.push(column.name.clone());
                }
            }
            SpecKind::ModifyColumn | SpecKind::ChangeColumn => {
                cursor.step();
                cursor.eat("COLUMN");
                let if_exists = cursor.eat_all(&["IF", "EXISTS"]);
                let old = name(cursor, "MODIFY or CHANGE")?;
                let new = if kind == SpecKind::ChangeColumn {
                    name(cursor, "CHANGE")?
                } else {
                    old.clone()
                };
                let mut spec = column::read_named(cursor, new)?;
                let Some(column) = existing(table, &old, if_exists)? else {
                    return Ok(());
                };
                self.elements.keys_of(&mut spec);
                if spec.place.is_some() {
                    self.placed.push(spec.clone());
                }
                self.changes.push((column.name.clone(), spec));
            }
            SpecKind::RenameColumn => {
                cursor.step();
                cursor.eat("COLUMN");
                let if_exists = cursor.eat_all(&["IF", "EXISTS"]);
                let old = name(cursor, "RENAME COLUMN")?;
                cursor.eat_any(&["TO", "AS"]);
                let new = name(cursor, "RENAME COLUMN")?;
                if let Some(column) = existing(table, &old, if_exists)? {
                    self.renames.push((column.name.clone(), new));
                }
            }
            SpecKind::AlterColumn => {
                cursor.step();
                cursor.eat("COLUMN");
                let if_exists = cursor.eat_all(&["IF", "EXISTS"]);
                let name = name(cursor, "ALTER COLUMN")?;
                let Some(column) = existing(table, &name, if_exists)? else {
                    return Ok(());
                };
                let name = column.name.clone();
                if cursor.eat_all(&["SET", "DEFAULT"]) {
                    let default = column::default(cursor)?;
                    self.defaults.push((name, default));
                } else if cursor.eat_all(&["DROP", "DEFAULT"]) {
                    self.defaults.push((name, None));
                } else if cursor.eat_all(&["SET", "INVISIBLE"]) {
                    self.visible.push((name, false));
                } else if cursor.eat_all(&["SET", "VISIBLE"]) {
                    self.visible.push((name, true));
                } else {
                    return Err(Why::new(format!("`{}` of ALTER COLUMN", cursor.current())));
                }
            }
            SpecKind::AddPrimaryKey
            | SpecKind::AddUnique
            | SpecKind::AddIndex
            | SpecKind::AddForeignKey
            | SpecKind::AddCheck => {
                cursor.step();
                self.elements.read(cursor)?;
            }
            SpecKind::DropPrimaryKey => {
                cursor.step();
                cursor.eat_all(&["PRIMARY", "KEY"]);
                let if_exists = cursor.eat_all(&["IF", "EXISTS"]);
                self.drop_key("PRIMARY".to_owned(), if_exists, table)?;
            }
            SpecKind::DropIndex => {
                cursor.step();
                cursor.eat_any(&["INDEX", "KEY"]);
                let if_exists = cursor.eat_all(&["IF", "EXISTS"]);
                let name = name(cursor, "DROP INDEX")?;
                self.drop_key(name, if_exists, table)?;
            }
            SpecKind::DropForeignKey => {
                cursor.step();
                cursor.eat_all(&["FOREIGN", "KEY"]);
                cursor.eat_all(&["IF", "EXISTS"]);
                self.drop_foreign.push(name(cursor, "DROP FOREIGN KEY")?);
            }
            SpecKind::DropConstraint => {
                cursor.step();
                cursor.eat("CONSTRAINT");
                cursor.eat_all(&["IF", "EXISTS"]);
                let name = name(cursor, "DROP CONSTRAINT")?;
                let unique = |key: &KeyDef| key.unique && same(&key.name, &name);
                if table.foreign_keys.iter().any(|key| same(&key.name, &name)) {
                    self.drop_foreign.push(name);
                } else if table.keys.iter().any(unique) {
                    self.drop_keys.push(name);
                }
                // Otherwise it is a CHECK, which is not in the model.
            }
            SpecKind::RenameIndex => {
                cursor.step();
                cursor.eat_any(&["INDEX", "KEY"]);
                cursor.eat_all(&["IF", "EXISTS"]);
                let old = name(cursor, "RENAME INDEX")?;
                cursor.eat("TO");
                let new = name(cursor, "RENAME INDEX")?;
                self.rename_keys.push((old, new));
            }
            SpecKind::Convert => {
                cursor.step();
                cursor.eat("TO");
                let mut wanted = charset::Wanted::default();
                while !cursor.done() {
                    if !charset::option(cursor, &mut wanted)
                        .ok_or_else(|| Why::new("a character set without a name"))?
                    {
                        return Err(Why::new(format!("`{}` of CONVERT TO", cursor.current())));
                    }
                }
                self.convert = Some(wanted);
            }
            SpecKind::Options => options::read(cursor, &mut self.options)?,
            SpecKind::Partition(PartitionOp::By) => self.options.partitioned = true,
            SpecKind::Partition(PartitionOp::Remove) => self.unpartition = true,
            SpecKind::Partition(PartitionOp::Convert) => {
                return Err(Why::new("CONVERT of a partition and a table"));
            }
            SpecKind::Partition(_)
            | SpecKind::AlterIndex
            | SpecKind::AlterCheck
            | SpecKind::DropCheck
            | SpecKind::OrderBy
            | SpecKind::Force
            | SpecKind::Keys
            | SpecKind::Tablespace
            | SpecKind::Modifier
            | SpecKind::RenameTable => {}
            SpecKind::Other => {
                return Err(Why::new(format!(
                    "`{}`",
                    cursor.slice(&(cursor.at()..cursor.len()))
                )));
            }
        }
        Ok(())
    }

    fn drop_key(&mut self, name: String, if_exists: bool, table: &TableDef) -> Result<(), Why> {
        if !table.keys.iter().any(|key| same(&key.name, &name)) {
            if if_exists {
                return Ok(());
            }
            return Err(Why::new(format!("the unknown key `{name}`")));
        }
        self.drop_keys.push(name);
        Ok(())
    }

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

        let renamed = self.columns(table, context, &charset, convert.as_ref())?;
        self.old_keys(table, &renamed);
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
                let new = spec.resolve(context, charset)?;
                if old.name != new.name {
                    renamed.push((old.name.clone(), new.name.clone()));
                }
                if spec.place.is_none() {
                    columns.push(new);
                }
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
            let column = spec.resolve(context, charset)?;
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
    fn old_keys(&self, table: &mut TableDef, renamed: &[(String, String)]) {
        let mut keys = Vec::new();
        for mut key in std::mem::take(&mut table.keys) {
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
                if self.changes.iter().any(|(changed, _)| *changed == old)
                    && let Some(column) = table.column(&name)
                {
                    part.prefix = part.prefix.filter(|len| key::fits(*len, &column.ty));
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
    }
}

/// The column; `None` when there is none and the statement says that this is well.
fn existing<'a>(
    table: &'a TableDef,
    name: &str,
    if_exists: bool,
) -> Result<Option<&'a ColumnDef>, Why> {
    match table.column(name) {
        None if !if_exists => Err(Why::new(format!("the unknown column `{name}`"))),
        found => Ok(found),
    }
}

fn convert_column(
    column: &mut ColumnDef,
    from: &str,
    to: &Charset,
    context: &Context,
) -> Result<(), Why> {
    let members = column.raw_type.starts_with("enum(") || column.raw_type.starts_with("set(");
    if !members {
        column.raw_type = types::converted(&column.raw_type, from, to)?;
        column.ty = crate::types::column_type::ColumnType::parse(&column.raw_type);
    }
    let none = to.charset == "binary" && !(members && context.is_maria());
    column.charset = (!none).then(|| to.charset.clone());
    column.collation = (!none).then(|| to.collation.clone());
    Ok(())
}
