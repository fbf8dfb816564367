//! The tables that apply knows: their definitions at the place where it stands, and up to where the
//! dump has them already.
//!
//! For a table that was dumped, its definition was read at S_t, and what happened to it before is in
//! its chunks or brought by safe mode:
//!
//! - **a DDL before S_t** is in the definition, and is not run again;
//! - **rows before the last such DDL** have another shape. They are in the chunks, for these were all
//!   read behind S_t: they are left out. [`Known::ignore`] is the place of that DDL;
//! - **rows of a table without a key before E_t** are in its chunk, exactly: left out.
//!
//! A table that neither the dump nor a DDL told of was there when capture began and was gone when the
//! dump looked. So a DDL that removes it must come before the dump's last position; its rows until then
//! are left out, and if no such DDL comes, that is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tideway_mysql::schema::{TableDef, TableName};

use super::place::Place;
use super::table::Table;
use tideway_mysql::mark::{Mark, Spot};

/// A table that apply knows.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its definition at the source.
    pub def: Arc<TableDef>,
    /// S_t: nothing of its DDL before this is to be run.
    pub defined: Option<Mark>,
    /// Rows of transactions that begin at or before it are left out.
    pub ignore: Option<Place>,
    /// E_t: nothing of it before this is to be applied.
    pub dumped: Option<Mark>,
    /// How it is written, once it was asked for.
    pub plan: Option<Arc<Table>>,
}

impl Known {
    /// A table that a DDL made.
    #[must_use]
    pub fn new(def: TableDef) -> Self {
        Self {
            def: Arc::new(def),
            defined: None,
            ignore: None,
            dumped: None,
            plan: None,
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Catalog {
    tables: BTreeMap<TableName, Known>,
    /// Tables whose rows came although nothing told of them.
    vanished: BTreeSet<TableName>,
}

impl Catalog {
    /// Adds or replaces a table.
    pub fn insert(&mut self, known: Known) {
        self.vanished.remove(&known.def.name);
        self.tables.insert(known.def.name.clone(), known);
    }

    /// A table.
    #[must_use]
    pub fn get(&self, name: &TableName) -> Option<&Known> {
        self.tables.get(name)
    }

    /// A table, to be changed.
    pub fn get_mut(&mut self, name: &TableName) -> Option<&mut Known> {
        self.tables.get_mut(name)
    }

    /// Forgets a table that is gone.
    pub fn remove(&mut self, name: &TableName) -> Option<Known> {
        self.vanished.remove(name);
        self.tables.remove(name)
    }

    /// All tables, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.tables.values()
    }

    /// The tables of a schema.
    #[must_use]
    pub fn of_schema(&self, schema: &str) -> Vec<TableName> {
        self.tables
            .keys()
            .filter(|name| name.schema == schema)
            .cloned()
            .collect()
    }

    /// Notes rows of a table that nothing told of; whether they are its first.
    pub fn vanish(&mut self, name: &TableName) -> bool {
        self.vanished.insert(name.clone())
    }

    /// A table whose rows came although nothing told of it, and which no DDL removed since.
    #[must_use]
    pub fn unexplained(&self) -> Option<&TableName> {
        self.vanished.first()
    }

    /// How tables are written is planned anew: a definition changed, here or at the target.
    pub fn replan(&mut self) {
        for known in self.tables.values_mut() {
            known.plan = None;
        }
    }

    /// The time of the dump is over.
    pub fn forget_marks(&mut self) {
        for known in self.tables.values_mut() {
            known.defined = None;
            known.dumped = None;
        }
    }

    /// Whether the definition of a table already has what a DDL at this spot does.
    #[must_use]
    pub fn has_ddl(&self, name: &TableName, spot: &Spot) -> bool {
        self.get(name)
            .and_then(|known| known.defined.as_ref())
            .is_some_and(|mark| mark.covers(spot))
    }
}
