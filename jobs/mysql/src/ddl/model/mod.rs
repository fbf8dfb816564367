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
//! - A part of a FULLTEXT key has no length; a key that is not unique may have one here that it has
//!   not there, when its column was changed to a type that is too long for other keys.
//! - CHECK constraints are not in it.

use super::statement::{CreateTable, DmlKind, Kind, Statement};
use super::{Context, NameRef, NameRole};
use crate::schema::{TableDef, TableName};
use catalog::rename;
pub use catalog::{Catalog, Database};
use charset::{Charset, Wanted};

mod alter;
mod catalog;
mod charset;
mod column;
mod create;
mod foreign;
mod key;
mod options;
mod plan;
mod shape;
#[cfg(test)]
mod tests;
mod types;

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
            // Of several new names the last one counts.
            let to = statement
                .names
                .iter()
                .rfind(|name| name.role == NameRole::NewName);
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
        let charset = charset::charset_of(&collation).unwrap_or_default();
        wanted.resolve(context, &Charset { charset, collation })
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
