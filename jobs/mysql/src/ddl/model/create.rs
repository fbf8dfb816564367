//! `CREATE TABLE`.

use super::super::Context;
use super::super::cursor::Cursor;
use super::super::statement::{CreateTable, Statement};
use super::Why;
use super::charset::Charset;
use super::column::{self, ColumnSpec};
use super::foreign::NewForeignKey;
use super::key::{self, Constraint, NewKey};
use super::options::{self, Options};
use crate::schema::{TableDef, TableName};

/// Columns, keys and foreign keys of a list, in their order.
#[derive(Debug, Default)]
pub(super) struct Elements {
    pub(super) columns: Vec<ColumnSpec>,
    pub(super) keys: Vec<NewKey>,
    pub(super) foreign: Vec<NewForeignKey>,
}

impl Elements {
    /// Reads one element: a column or a key.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Why> {
        if cursor.are(&["PERIOD", "FOR"]) {
            return Err(Why::new("PERIOD FOR"));
        }
        match key::read(cursor)? {
            Some(constraint) => self.constraint(constraint),
            None => {
                let column = column::read(cursor)?;
                self.column(column);
            }
        }
        if cursor.done() {
            Ok(())
        } else {
            Err(Why::new(format!("`{}`", cursor.current())))
        }
    }

    pub(super) fn constraint(&mut self, constraint: Constraint) {
        match constraint {
            Constraint::Key(key) => self.keys.push(key),
            Constraint::Foreign(foreign) => {
                self.keys.push(foreign.own_key());
                self.foreign.push(foreign);
            }
            Constraint::Check => {}
        }
    }

    /// Takes a column's keys; the column itself is the caller's when it is not a new one.
    pub(super) fn keys_of(&mut self, column: &mut ColumnSpec) {
        self.keys.append(&mut column.keys);
        if let Some(foreign) = column.foreign.take() {
            self.constraint(Constraint::Foreign(foreign));
        }
    }

    fn column(&mut self, mut column: ColumnSpec) {
        self.keys_of(&mut column);
        self.columns.push(column);
    }
}

/// Whether an engine keeps foreign keys.
pub(super) fn keeps_foreign_keys(table: &TableDef) -> bool {
    table.engine.as_deref().is_none_or(|engine| {
        engine.eq_ignore_ascii_case("innodb") || engine.eq_ignore_ascii_case("ndbcluster")
    })
}

/// The table that a `CREATE TABLE` with columns makes, in a database of this character set.
pub(super) fn table(
    statement: &Statement,
    create: &CreateTable,
    name: &TableName,
    database: &Charset,
) -> Result<TableDef, Why> {
    let context: &Context = &statement.context;
    let cursor = statement.cursor();
    let mut options = Options::default();
    options::read(&mut cursor.within(create.options.clone()), &mut options)?;
    let charset = options.wanted.resolve(context, database);
    let mut elements = Elements::default();
    for piece in cursor.within(create.body.clone()).pieces() {
        elements.read(&mut cursor.within(piece))?;
    }
    if elements.columns.is_empty() {
        return Err(Why::new("a table without columns"));
    }
    let mut table = TableDef {
        name: name.clone(),
        create_sql: statement.text.clone(),
        columns: Vec::new(),
        keys: Vec::new(),
        engine: Some(
            options
                .engine
                .unwrap_or_else(|| options::engine(&context.default_engine)),
        ),
        charset: Some(charset.charset.clone()),
        collation: Some(charset.collation.clone()),
        foreign_keys: Vec::new(),
        partitioned: options.partitioned,
    };
    for column in &elements.columns {
        table.columns.push(column.resolve(context, &charset, None)?);
    }
    key::add(&mut table, elements.keys, context.is_maria())?;
    key::close_primary(&mut table);
    if keeps_foreign_keys(&table) {
        for foreign in elements.foreign {
            foreign.add_to(&mut table, context.is_maria());
        }
    }
    Ok(table)
}
