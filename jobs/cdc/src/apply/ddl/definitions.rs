//! What a DDL does to the definitions that apply knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use tideway_mysql::ddl::{Kind, Statement, model};
use tideway_mysql::schema::{TableDef, TableName};

use super::super::applier::Applier;
use super::super::catalog::Known;
use super::super::error::Result;

impl Applier<'_> {
    /// Moves the definitions over a statement; those that changed.
    pub(super) async fn new_definitions(
        &mut self,
        statement: &Statement,
        changes: &[TableName],
        renamed: &[(TableName, TableName)],
    ) -> Result<Vec<(TableName, Option<Arc<TableDef>>)>> {
        if matches!(statement.kind, Kind::RenameTable(_)) {
            return Ok(self.renamed_definitions(changes, renamed));
        }
        let mut model = self.model(statement);
        let unknown = match model::apply(statement, &mut model) {
            Ok(_) => {
                self.saved.state.databases = databases(&model);
                None
            }
            Err(error) => Some(error.to_string()),
        };
        let mut changed = Vec::new();
        for name in changes {
            let in_dump = self
                .transaction
                .as_ref()
                .is_some_and(|t| self.catalog.has_ddl(name, &t.spot));
            if in_dump {
                // The dump's definition is a later one.
                continue;
            }
            let def = match (&unknown, &statement.kind) {
                (None, _) => model.table(name).cloned(),
                // The model asks for all tables that a statement names; these need no knowledge.
                (Some(_), Kind::DropTable { .. } | Kind::DropDatabase { .. }) => None,
                (Some(what), _) => self.definition_at_source(statement, name, what).await?,
            };
            match def {
                Some(def) => {
                    let mut known = Known::new(def);
                    // A table that took another's name keeps none of its marks.
                    if let Some(former) = self.catalog.get(name)
                        && !matches!(statement.kind, Kind::RenameTable(_) | Kind::CreateTable(_))
                    {
                        known.defined.clone_from(&former.defined);
                        known.dumped.clone_from(&former.dumped);
                    }
                    changed.push((name.clone(), Some(Arc::clone(&known.def))));
                    self.catalog.insert(known);
                }
                None => {
                    self.catalog.remove(name);
                    changed.push((name.clone(), None));
                }
            }
        }
        Ok(changed)
    }

    /// Definitions under their new names; those that changed. What the dump defined behind the statement
    /// stays as it is.
    fn renamed_definitions(
        &mut self,
        changes: &[TableName],
        renamed: &[(TableName, TableName)],
    ) -> Vec<(TableName, Option<Arc<TableDef>>)> {
        let mut changed: BTreeMap<TableName, Option<Arc<TableDef>>> = BTreeMap::new();
        let mut moved = Vec::new();
        for name in changes {
            let in_dump = self
                .transaction
                .as_ref()
                .is_some_and(|t| self.catalog.has_ddl(name, &t.spot));
            if in_dump {
                continue;
            }
            if let Some(known) = self.catalog.remove(name) {
                let to = renamed.iter().find(|(from, _)| from == name);
                moved.extend(to.map(|(_, to)| (to.clone(), known.def)));
            }
            changed.insert(name.clone(), None);
        }
        for (name, def) in moved {
            let def = TableDef {
                name: name.clone(),
                ..TableDef::clone(&def)
            };
            // One that the task leaves out under its new name is nobody's any more.
            if self.set.source.filter.includes(&name.schema, &name.table) {
                let known = Known::new(def);
                changed.insert(name, Some(Arc::clone(&known.def)));
                self.catalog.insert(known);
            }
        }
        changed.into_iter().collect()
    }

    /// What the model needs: the tables that the statement names, and the defaults of databases.
    fn model(&self, statement: &Statement) -> model::Catalog {
        let mut model = model::Catalog::default();
        for name in statement.tables() {
            if let Some(known) = self.catalog.get(&name) {
                model.insert(TableDef::clone(&known.def));
            }
        }
        for (name, database) in &self.saved.state.databases {
            model.insert_database(name, database.clone());
        }
        model
    }
}

/// The defaults of all databases.
fn databases(model: &model::Catalog) -> BTreeMap<String, model::Database> {
    model
        .databases()
        .map(|(name, database)| (name.to_owned(), database.clone()))
        .collect()
}
