//! What an `ALTER TABLE` asks for.

use super::super::cursor::Cursor;
use super::super::statement::{PartitionOp, SpecKind};
use super::Why;
use super::charset;
use super::column::{self, ColumnSpec};
use super::create::Elements;
use super::key::same;
use super::options::{self, Options};
use crate::schema::{ColumnDef, KeyDef, TableDef};

/// What an `ALTER TABLE` asks for, gathered.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) drops: Vec<String>,
    /// Old name and new definition.
    pub(super) changes: Vec<(String, ColumnSpec)>,
    pub(super) renames: Vec<(String, String)>,
    pub(super) visible: Vec<(String, bool)>,
    pub(super) defaults: Vec<(String, Option<String>)>,
    /// What takes a place, in the order of the statement.
    pub(super) placed: Vec<ColumnSpec>,
    pub(super) elements: Elements,
    pub(super) drop_keys: Vec<String>,
    pub(super) rename_keys: Vec<(String, String)>,
    pub(super) drop_foreign: Vec<String>,
    pub(super) options: Options,
    pub(super) convert: Option<charset::Wanted>,
    pub(super) unpartition: bool,
}

impl Plan {
    /// Takes in one change.
    pub(super) fn read(
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
                let pieces =
                    list.unwrap_or_else(|| std::iter::once(cursor.at()..cursor.len()).collect());
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
                if self.convert.replace(wanted).is_some() {
                    return Err(Why::new("a second CONVERT TO"));
                }
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

    /// Takes in the end of a key.
    pub(super) fn drop_key(
        &mut self,
        name: String,
        if_exists: bool,
        table: &TableDef,
    ) -> Result<(), Why> {
        if !table.keys.iter().any(|key| same(&key.name, &name)) {
            if if_exists {
                return Ok(());
            }
            return Err(Why::new(format!("the unknown key `{name}`")));
        }
        self.drop_keys.push(name);
        Ok(())
    }
}

/// A name.
pub(super) fn name(cursor: &mut Cursor<'_>, what: &str) -> Result<String, Why> {
    cursor
        .ident()
        .ok_or_else(|| Why::new(format!("{what} without a name")))
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
