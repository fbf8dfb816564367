//! Definitions at one position.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::charset::Charset;
use super::{Change, Why, key};
use crate::schema::{TableDef, TableName};

/// Definitions of tables and databases at one position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    pub(super) tables: BTreeMap<TableName, TableDef>,
    pub(super) databases: BTreeMap<String, Database>,
    pub(super) lower_case_table_names: u8,
}

/// The defaults of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Default character set of its tables.
    pub charset: String,
    /// Default collation of its tables.
    pub collation: String,
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

    pub(super) fn folded_schema(&self, name: &str) -> String {
        if self.lower_case_table_names == 0 {
            name.to_owned()
        } else {
            name.to_lowercase()
        }
    }

    pub(super) fn folded(&self, name: &TableName) -> TableName {
        if self.lower_case_table_names == 0 {
            return name.clone();
        }
        TableName::new(name.schema.to_lowercase(), name.table.to_lowercase())
    }

    /// A name as the server keeps it.
    pub(super) fn kept(&self, name: &TableName) -> TableName {
        if self.lower_case_table_names == 1 {
            self.folded(name)
        } else {
            name.clone()
        }
    }

    pub(super) fn defaults(&self, schema: &str) -> Result<Charset, Why> {
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

    pub(super) fn known(&self, name: &TableName) -> Result<TableDef, Why> {
        self.table(name)
            .cloned()
            .ok_or_else(|| Why::new(format!("a change of the table {name}, not known here,")))
    }
}

impl Catalog {
    /// Takes in a changed table; foreign keys that refer to its columns follow their names.
    pub(super) fn replace(&mut self, table: TableDef, renamed: &[(String, String)]) {
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

/// Gives a table another name.
pub(super) fn rename(
    catalog: &mut Catalog,
    from: &TableName,
    to: &TableName,
) -> Result<Change, Why> {
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
