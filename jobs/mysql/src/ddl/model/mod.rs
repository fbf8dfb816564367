//! What a statement does to the definitions of tables.
//!
//! [`apply`] moves a [`Catalog`] over one statement, as the server that ran it did. It is right about
//! what rows and keys need: columns (names, order, types as `information_schema` prints them,
//! character sets, nullability, generated, invisible) and keys (names, parts, uniqueness). A
//! statement that it does not understand changes nothing and is [`NotUnderstood`]; it never guesses.
//! The oracle of its tests is a real server.
//!
//! What it does not keep as the server does:
//!
//! - `create_sql` of a changed table stays the last known text; of a new one it is the statement.
//! - `default` is a default as it was written, the expression of a key's part likewise.
//! - A key that the server made for a foreign key goes when a new key begins with its columns.
//!   Nothing tells such a key from one that a person made, so the model keeps it. It is not unique,
//!   so no row is judged by it.
//! - CHECK constraints are not in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::statement::{CreateTable, DmlKind, Kind, Statement};
use super::{Context, NameRef, NameRole};
use crate::schema::{TableDef, TableName};
use charset::{Charset, Wanted};

mod alter;
mod charset;
mod column;
mod create;
mod key;
mod options;
#[cfg(test)]
mod tests;
mod types;

/// Definitions of tables and databases at one position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    tables: BTreeMap<TableName, TableDef>,
    databases: BTreeMap<String, Database>,
    lower_case_table_names: u8,
}

/// The defaults of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Default character set of its tables.
    pub charset: String,
    /// Default collation of its tables.
    pub collation: String,
}

/// What a statement did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A table is new (`OR REPLACE`: or it is another one now).
    Created(TableName),
    /// A table's definition may be another one now.
    Altered(TableName),
    /// A table is gone.
    Dropped(TableName),
    /// A table has another name.
    Renamed {
        /// Its name before.
        from: TableName,
        /// Its name now.
        to: TableName,
    },
    /// A table is empty.
    Truncated(TableName),
    /// A database is new.
    DatabaseCreated(String),
    /// A database has other defaults.
    DatabaseAltered(String),
    /// A database is gone, with its tables.
    DatabaseDropped(String),
}

/// A statement that the model does not understand. The same statement is not understood again: read
/// the table's definition from the source, if nothing touched it since.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no rule says what {what} does to a table's definition, in the statement: {statement}")]
pub struct NotUnderstood {
    /// The statement.
    pub statement: String,
    /// What in it, or what is missing to know.
    pub what: String,
}

/// Why a part of a statement is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Why(String);

impl Why {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl Catalog {
    /// An empty one, of a server with this `lower_case_table_names` (0: names distinguish cases).
    #[must_use]
    pub fn new(lower_case_table_names: u8) -> Self {
        Self {
            lower_case_table_names,
            ..Self::default()
        }
    }

    /// The definition of a table.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&TableDef> {
        self.tables.get(&self.folded(name))
    }

    /// All definitions, by name.
    pub fn tables(&self) -> impl Iterator<Item = &TableDef> {
        self.tables.values()
    }

    /// Takes in a definition, in place of one of the same name.
    pub fn insert(&mut self, table: TableDef) {
        self.tables.insert(self.folded(&table.name), table);
    }

    /// Forgets a table.
    pub fn remove(&mut self, name: &TableName) -> Option<TableDef> {
        self.tables.remove(&self.folded(name))
    }

    /// The defaults of a database.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.get(&self.folded_schema(name))
    }

    /// The defaults of all databases, by name.
    pub fn databases(&self) -> impl Iterator<Item = (&str, &Database)> {
        self.databases
            .iter()
            .map(|(name, database)| (name.as_str(), database))
    }

    /// Takes in the defaults of a database.
    pub fn insert_database(&mut self, name: &str, database: Database) {
        self.databases.insert(self.folded_schema(name), database);
    }

    fn folded_schema(&self, name: &str) -> String {
        if self.lower_case_table_names == 0 {
            name.to_owned()
        } else {
            name.to_lowercase()
        }
    }

    fn folded(&self, name: &TableName) -> TableName {
        if self.lower_case_table_names == 0 {
            return name.clone();
        }
        TableName::new(name.schema.to_lowercase(), name.table.to_lowercase())
    }

    /// A name as the server keeps it.
    fn kept(&self, name: &TableName) -> TableName {
        if self.lower_case_table_names == 1 {
            self.folded(name)
        } else {
            name.clone()
        }
    }

    fn defaults(&self, schema: &str) -> Result<Charset, Why> {
        let found = self.database(schema).ok_or_else(|| {
            Why::new(format!(
                "the defaults of database `{schema}`, not known here,"
            ))
        })?;
        Ok(Charset {
            charset: found.charset.clone(),
            collation: found.collation.clone(),
        })
    }

    fn known(&self, name: &TableName) -> Result<TableDef, Why> {
        self.table(name)
            .cloned()
            .ok_or_else(|| Why::new(format!("a change of the table {name}, not known here,")))
    }
}

/// Moves `catalog` over a statement that the server has run, and says what changed. Statements
/// about temporary tables and what is left out change nothing. After an error the catalog is as it
/// was before.
///
/// # Errors
/// [`NotUnderstood`], when no rule says what the statement does; also for a table or a database that
/// the catalog does not have.
pub fn apply(statement: &Statement, catalog: &mut Catalog) -> Result<Vec<Change>, NotUnderstood> {
    run(statement, catalog).map_err(|why| NotUnderstood {
        statement: statement.text.clone(),
        what: why.0,
    })
}

fn run(statement: &Statement, catalog: &mut Catalog) -> Result<Vec<Change>, Why> {
    match &statement.kind {
        Kind::CreateDatabase { .. } | Kind::AlterDatabase | Kind::DropDatabase { .. } => {
            database(statement, catalog)
        }
        Kind::CreateTable(create) if create.temporary => Ok(Vec::new()),
        Kind::CreateTable(create) => create_table(statement, create, catalog),
        Kind::DropTable {
            temporary: true, ..
        } => Ok(Vec::new()),
        Kind::DropTable { .. } => {
            let names = resolved(statement, NameRole::Table)?;
            let gone = |name: TableName| {
                catalog
                    .remove(&name)
                    .map(|table| Change::Dropped(table.name))
            };
            Ok(names.into_iter().filter_map(gone).collect())
        }
        Kind::RenameTable(pairs) => {
            let mut after = catalog.clone();
            let mut changes = Vec::new();
            for (from, to) in pairs {
                changes.push(rename(&mut after, &full(from)?, &full(to)?)?);
            }
            *catalog = after;
            Ok(changes)
        }
        Kind::Truncate => Ok(resolved(statement, NameRole::Table)?
            .into_iter()
            .map(Change::Truncated)
            .collect()),
        Kind::AlterTable(specs) => {
            let name = subject(statement)?;
            let mut table = catalog.known(&name)?;
            let database = catalog
                .defaults(&name.schema)
                .unwrap_or_else(|_| own_charset(&table));
            let renamed = alter::table(statement, specs, &mut table, &database)?;
            let to = statement
                .names
                .iter()
                .find(|name| name.role == NameRole::NewName);
            let to = to.map(full).transpose()?;
            if let Some(to) = to.filter(|to| catalog.folded(to) != catalog.folded(&name)) {
                let mut after = catalog.clone();
                after.replace(table, &renamed);
                let change = rename(&mut after, &name, &to)?;
                *catalog = after;
                return Ok(vec![Change::Altered(name), change]);
            }
            catalog.replace(table, &renamed);
            Ok(vec![Change::Altered(name)])
        }
        Kind::CreateIndex | Kind::DropIndex => {
            let name = subject(statement)?;
            let mut table = catalog.known(&name)?;
            alter::index(statement, &mut table)?;
            catalog.replace(table, &[]);
            Ok(vec![Change::Altered(name)])
        }
        Kind::Dml(DmlKind::CreateSelect) => Err(Why::new("a query")),
        Kind::LeftOut(_) | Kind::Transaction(_) | Kind::Dml(_) => Ok(Vec::new()),
        Kind::Unknown => Err(Why::new("a statement of an unknown kind")),
    }
}

impl Catalog {
    /// Takes in a changed table; foreign keys that refer to its columns follow their names.
    fn replace(&mut self, table: TableDef, renamed: &[(String, String)]) {
        let name = self.folded(&table.name);
        self.insert(table);
        if renamed.is_empty() {
            return;
        }
        let fold = self.lower_case_table_names != 0;
        for key in self.tables.values_mut().flat_map(|t| &mut t.foreign_keys) {
            if !same_table(&key.references, &name, fold) {
                continue;
            }
            for column in &mut key.referenced_columns {
                if let Some((_, new)) = renamed.iter().find(|(old, _)| key::same(old, column)) {
                    column.clone_from(new);
                }
            }
        }
    }
}

fn same_table(a: &TableName, b: &TableName, fold: bool) -> bool {
    a == b || fold && key::same(&a.schema, &b.schema) && key::same(&a.table, &b.table)
}

fn own_charset(table: &TableDef) -> Charset {
    Charset {
        charset: table.charset.clone().unwrap_or_default(),
        collation: table.collation.clone().unwrap_or_default(),
    }
}

fn full(name: &NameRef) -> Result<TableName, Why> {
    name.table()
        .ok_or_else(|| Why::new(format!("the table `{}` of no known database", name.name)))
}

fn resolved(statement: &Statement, role: NameRole) -> Result<Vec<TableName>, Why> {
    let names = statement.names.iter().filter(|name| name.role == role);
    names.map(full).collect()
}

/// The table that the statement is about.
fn subject(statement: &Statement) -> Result<TableName, Why> {
    resolved(statement, NameRole::Table)?
        .into_iter()
        .next()
        .ok_or_else(|| Why::new("a statement without a table"))
}

fn rename(catalog: &mut Catalog, from: &TableName, to: &TableName) -> Result<Change, Why> {
    let mut table = catalog.known(from)?;
    if catalog.table(to).is_some() {
        return Err(Why::new(format!("a new name {to} that another table has")));
    }
    catalog.remove(from);
    let to = catalog.kept(to);
    let fold = catalog.lower_case_table_names != 0;
    // Names that the server made follow the table's.
    let prefix = format!("{}_ibfk_", table.name.table);
    for key in &mut table.foreign_keys {
        if let Some(number) = key.name.strip_prefix(&prefix) {
            key.name = format!("{}_ibfk_{number}", to.table);
        }
    }
    table.name = to.clone();
    catalog.insert(table);
    for key in catalog
        .tables
        .values_mut()
        .flat_map(|t| &mut t.foreign_keys)
    {
        if same_table(&key.references, from, fold) {
            key.references = to.clone();
        }
    }
    Ok(Change::Renamed {
        from: from.clone(),
        to,
    })
}

fn create_table(
    statement: &Statement,
    create: &CreateTable,
    catalog: &mut Catalog,
) -> Result<Vec<Change>, Why> {
    let name = catalog.kept(&subject(statement)?);
    if create.if_not_exists && catalog.table(&name).is_some() {
        return Ok(Vec::new());
    }
    if !create.or_replace && catalog.table(&name).is_some() {
        return Err(Why::new(format!("a second table {name}")));
    }
    let table = if create.like {
        let source = resolved(statement, NameRole::Like)?
            .into_iter()
            .next()
            .ok_or_else(|| Why::new("LIKE without a table"))?;
        let mut copy = catalog.known(&source)?;
        copy.name = name.clone();
        copy.foreign_keys.clear();
        copy
    } else {
        // The character set of the database counts only where the table's options name none, but
        // then it must be known.
        let defaults = catalog.defaults(&name.schema);
        match defaults {
            Ok(defaults) => create::table(statement, create, &name, &defaults)?,
            Err(why) => {
                let nothing = Charset {
                    charset: String::new(),
                    collation: String::new(),
                };
                let table = create::table(statement, create, &name, &nothing)?;
                if table.charset.as_deref().is_none_or(str::is_empty) {
                    return Err(why);
                }
                table
            }
        }
    };
    catalog.insert(table);
    Ok(vec![Change::Created(name)])
}

fn database(statement: &Statement, catalog: &mut Catalog) -> Result<Vec<Change>, Why> {
    let context: &Context = &statement.context;
    let Some(name) = statement.database() else {
        return Err(Why::new("a database without a name"));
    };
    let name = if catalog.lower_case_table_names == 1 {
        name.to_lowercase()
    } else {
        name.to_owned()
    };
    let drop_tables = |catalog: &mut Catalog| {
        let folded = catalog.folded_schema(&name);
        catalog.databases.remove(&folded);
        catalog.tables.retain(|table, _| table.schema != folded);
    };
    let (before, change) = match statement.kind {
        Kind::DropDatabase { .. } => {
            drop_tables(catalog);
            return Ok(vec![Change::DatabaseDropped(name)]);
        }
        Kind::CreateDatabase {
            if_not_exists: true,
            ..
        } if catalog.database(&name).is_some() => return Ok(Vec::new()),
        Kind::AlterDatabase => (
            catalog.defaults(&name)?,
            Change::DatabaseAltered(name.clone()),
        ),
        _ => {
            let collation = charset::canonical(context, &context.server_collation);
            let charset = charset::charset_of(&collation)
                .ok_or_else(|| Why::new("the server's collation"))?;
            (
                Charset { charset, collation },
                Change::DatabaseCreated(name.clone()),
            )
        }
    };
    let mut cursor = statement.cursor();
    let mut wanted = Wanted::default();
    while !cursor.done() {
        if !charset::option(&mut cursor, &mut wanted)
            .ok_or_else(|| Why::new("a character set without a name"))?
        {
            cursor.step();
        }
    }
    let after = if wanted.default {
        let collation = charset::canonical(context, &context.server_collation);
        Charset {
            charset: charset::charset_of(&collation).unwrap_or_default(),
            collation,
        }
    } else {
        wanted.resolve(context, &before)
    };
    if matches!(
        statement.kind,
        Kind::CreateDatabase {
            or_replace: true,
            ..
        }
    ) {
        drop_tables(catalog);
    }
    catalog.insert_database(
        &name,
        Database {
            charset: after.charset,
            collation: after.collation,
        },
    );
    Ok(vec![change])
}
