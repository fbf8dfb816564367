//! Which statements a DDL of the source becomes at the target.
//!
//! Per table it is asked whether the task wants it and whether the dump's definition has the change
//! already (see [`super::catalog`]); what is left is rewritten to the target's names. A statement about
//! several tables becomes one for each: each is done or not done, which is what a restart looks for.

use std::collections::BTreeMap;

use tideway_config::Router;
use tideway_mysql::ddl::{Kind, NameRole, Split, Statement};
use tideway_mysql::schema::TableName;
use tideway_mysql::sql;

use super::catalog::Catalog;
use super::error::{Error, Result};
use tideway_mysql::mark::Spot;

/// A statement for the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its text.
    pub sql: String,
    /// The tables of the target whose definitions tell whether it was run.
    pub touched: Vec<TableName>,
    /// The target's database that it makes or removes: whether that exists tells it.
    pub database: Option<String>,
    /// The table of the source whose rows are gone with it.
    pub empties: Option<TableName>,
}

/// What of a statement is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Statements for the target, in order.
    pub steps: Vec<Step>,
    /// The tables of the source whose definitions change with it.
    pub changes: Vec<TableName>,
    /// Tables of the source that have another name now, and so at the target.
    pub renamed: Vec<(TableName, TableName)>,
    /// Tables of which nothing is known, while the dump ran.
    pub vanished: Vec<TableName>,
    /// Tables whose rows are in no chunk and come by no row event: it cannot be gone on with.
    pub lost: Option<(TableName, String)>,
}

/// What planning needs to know.
pub struct Scope<'a> {
    /// Whether a table is wanted.
    pub includes: &'a dyn Fn(&TableName) -> bool,
    /// Whether a database is wanted.
    pub includes_schema: &'a dyn Fn(&str) -> bool,
    /// Where it goes.
    pub router: &'a Router,
    /// What is known.
    pub catalog: &'a Catalog,
    /// Where the statement stands.
    pub spot: &'a Spot,
    /// Whether it may lie before something that the dump noted.
    pub in_window: bool,
    /// The target takes a new name of a table only by itself (TiDB).
    pub rename_apart: bool,
    /// Whether other sources' tables go to a database of the target too.
    pub shared_schema: &'a dyn Fn(&str) -> bool,
}

impl Scope<'_> {
    /// Plans a DDL.
    ///
    /// # Errors
    /// Two routes claim a table.
    pub fn plan(&self, statement: &Statement) -> Result<Planned> {
        match &statement.kind {
            Kind::CreateDatabase { .. } | Kind::AlterDatabase | Kind::DropDatabase { .. } => {
                self.database(statement)
            }
            Kind::DropTable { .. } => self.drop_tables(statement),
            Kind::RenameTable(pairs) => {
                let pairs = pairs.iter();
                let pairs: Vec<_> = pairs
                    .filter_map(|(from, to)| Some((from.table()?, to.table()?)))
                    .collect();
                self.renames(&pairs)
            }
            _ => self.one_table(statement),
        }
    }

    fn route(&self, name: &TableName) -> Result<TableName> {
        let (schema, table) = self.router.route(&name.schema, &name.table)?;
        Ok(TableName::new(schema, table))
    }

    /// Whether the change is to be made to a table: wanted, and not in the dump's definition.
    fn active(&self, name: &TableName) -> bool {
        (self.includes)(name) && !self.catalog.has_ddl(name, self.spot)
    }

    fn rewritten(&self, statement: &Statement) -> Result<String> {
        // A name that two routes claim is an error, not a name.
        let failed = std::cell::RefCell::new(None);
        let sql = statement.rewrite(
            |name| match self.route(name) {
                Ok(target) => target,
                Err(error) => {
                    failed.borrow_mut().get_or_insert(error);
                    name.clone()
                }
            },
            |schema| match self.router.route_schema(schema) {
                Ok(target) => target,
                Err(error) => {
                    failed.borrow_mut().get_or_insert(Error::Route(error));
                    schema.to_owned()
                }
            },
        );
        match failed.into_inner() {
            Some(error) => Err(error),
            None => Ok(sql),
        }
    }

    /// CREATE, ALTER, TRUNCATE, CREATE INDEX, DROP INDEX.
    fn one_table(&self, statement: &Statement) -> Result<Planned> {
        let mut planned = Planned::default();
        let role = |wanted: NameRole| {
            let found = statement.names.iter().find(|name| name.role == wanted);
            found.and_then(tideway_mysql::ddl::NameRef::table)
        };
        let Some(table) = role(NameRole::Table) else {
            return Ok(planned);
        };
        let renamed = role(NameRole::NewName).filter(|new| *new != table);
        if !self.active(&table) {
            if let Some(new) = renamed
                && self.active(&new)
            {
                self.arrives(&table, &new, &mut planned);
            }
            return Ok(planned);
        }
        // One that is wanted, but was gone when the dump looked, has nothing to be changed at the target.
        let creates = matches!(statement.kind, Kind::CreateTable(_));
        if !creates && self.catalog.get(&table).is_none() {
            return Ok(planned);
        }
        let mut touched = vec![self.route(&table)?];
        planned.changes.push(table.clone());
        if let Some(new) = renamed {
            if !self.active(&new) && (self.includes)(&new) {
                // The dump has it under its new name.
                planned.steps.push(self.drop_step(&table)?);
                return Ok(planned);
            }
            touched.push(self.route(&new)?);
            planned.changes.push(new);
        }
        if let Some(other) = role(NameRole::Exchange) {
            touched.push(self.route(&other)?);
            planned.changes.push(other);
        }
        let mut sql = vec![self.rewritten(statement)?];
        if creates {
            sql = sql.into_iter().map(without_start_transaction).collect();
        } else if self.rename_apart && touched.len() > 1 {
            let split = Split {
                alter: true,
                rename: false,
            };
            sql = statement.rewrite_split(
                split,
                |name| self.route(name).unwrap_or_else(|_| name.clone()),
                str::to_owned,
            );
        }
        let empties = matches!(statement.kind, Kind::Truncate).then_some(table);
        planned.steps.extend(sql.into_iter().map(|sql| Step {
            sql,
            touched: touched.clone(),
            database: None,
            empties: empties.clone(),
        }));
        Ok(planned)
    }

    fn drop_tables(&self, statement: &Statement) -> Result<Planned> {
        let mut planned = Planned::default();
        for name in statement.tables() {
            if !self.active(&name) {
                continue;
            }
            if self.catalog.get(&name).is_some() {
                planned.steps.push(self.drop_step(&name)?);
            }
            planned.changes.push(name);
        }
        Ok(planned)
    }

    fn drop_step(&self, name: &TableName) -> Result<Step> {
        let target = self.route(name)?;
        Ok(Step {
            sql: format!("DROP TABLE IF EXISTS {target}"),
            touched: vec![target],
            database: None,
            empties: Some(name.clone()),
        })
    }

    /// `RENAME TABLE`: what becomes of each table when all pairs are done.
    fn renames(&self, pairs: &[(TableName, TableName)]) -> Result<Planned> {
        let mut planned = Planned::default();
        // By the name that it has by now, the name that it had.
        let mut origins: BTreeMap<TableName, TableName> = BTreeMap::new();
        for (from, to) in pairs {
            let origin = origins.remove(from).unwrap_or_else(|| from.clone());
            origins.insert(to.clone(), origin);
        }
        origins.retain(|to, from| from != to);
        let moves = origins.len();
        let mut kept = Vec::new();
        for (to, from) in origins {
            let leaves = self.active(&from) && self.catalog.get(&from).is_some();
            let wanted = (self.includes)(&to);
            let comes = self.active(&to);
            if leaves && (comes || !wanted) {
                kept.push((from.clone(), to.clone()));
            } else if leaves {
                // The dump has it under its new name.
                planned.steps.push(self.drop_step(&from)?);
            } else if comes {
                self.arrives(&from, &to, &mut planned);
            }
            let wanted = |name: &TableName| (self.includes)(name);
            planned
                .changes
                .extend([from, to].into_iter().filter(wanted));
        }
        if kept.len() == 1 || kept.len() == moves {
            // The pairs as they were written, which go round where names are exchanged.
            let pairs = if kept.len() == 1 { &kept[..] } else { pairs };
            for (from, to) in pairs {
                planned.steps.push(self.rename_step(from, to)?);
            }
        } else {
            // One by one they could meet a name that is still taken.
            let aside = |name: &TableName| {
                let hash = super::keys::hash_of(name.table.as_bytes());
                TableName::new(name.schema.clone(), format!("_tideway_{hash:016x}"))
            };
            for (from, _) in &kept {
                planned.steps.push(self.rename_step(from, &aside(from))?);
            }
            for (from, to) in &kept {
                planned.steps.push(self.rename_step(&aside(from), to)?);
            }
        }
        planned.renamed = kept;
        Ok(planned)
    }

    fn rename_step(&self, from: &TableName, to: &TableName) -> Result<Step> {
        let (old, new) = (self.route(from)?, self.route(to)?);
        Ok(Step {
            sql: format!("RENAME TABLE {old} TO {new}"),
            touched: vec![old, new],
            database: None,
            empties: None,
        })
    }

    /// A table comes under a name that is wanted, from one whose rows are not at the target.
    fn arrives(&self, from: &TableName, to: &TableName, planned: &mut Planned) {
        if self.in_window {
            // The dump found it under yet another name, or not at all: another DDL is to come.
            planned.vanished.push(to.clone());
            return;
        }
        let why = if (self.includes)(from) {
            "was renamed while the source was dumped, and its former name is another table's by now, so \
             its rows are in no chunk"
        } else {
            "came by a rename from a table that the task leaves out, so its rows are not at the target"
        };
        planned.lost = Some((
            to.clone(),
            format!(
                "{to} {why} (it was {from}). Dump the source again (`tideway cleanup` first), or let the \
                 block-allow-list take in {from} too"
            ),
        ));
    }

    /// Whether tables of other databases go to this one of the target too.
    fn is_shared(&self, schema: &str, target: &str) -> bool {
        let mut others = self.catalog.iter().map(|known| &known.def.name);
        (self.shared_schema)(target)
            || others.any(|name| {
                name.schema != schema && self.route(name).is_ok_and(|to| to.schema == target)
            })
    }

    fn database(&self, statement: &Statement) -> Result<Planned> {
        let mut planned = Planned::default();
        let Some(schema) = statement.database() else {
            return Ok(planned);
        };
        if !(self.includes_schema)(schema) {
            return Ok(planned);
        }
        let target = self.router.route_schema(schema)?;
        match &statement.kind {
            Kind::CreateDatabase { .. } => {
                let sql = self.rewritten(statement)?;
                planned.steps.push(Step {
                    // The dump may have made it, or another source.
                    sql: if_not_exists(&sql),
                    touched: Vec::new(),
                    database: Some(target),
                    empties: None,
                });
            }
            Kind::DropDatabase { .. } => {
                let tables = self.catalog.of_schema(schema);
                let (gone, kept): (Vec<_>, Vec<_>) =
                    tables.into_iter().partition(|name| self.active(name));
                if kept.is_empty() && !self.is_shared(schema, &target) {
                    planned.steps.push(Step {
                        sql: format!("DROP DATABASE IF EXISTS {}", sql::ident(&target)),
                        touched: Vec::new(),
                        database: Some(target),
                        empties: None,
                    });
                } else {
                    for name in &gone {
                        planned.steps.push(self.drop_step(name)?);
                    }
                }
                planned.changes = gone;
            }
            _ => planned.steps.push(Step {
                sql: self.rewritten(statement)?,
                touched: Vec::new(),
                database: Some(target),
                empties: None,
            }),
        }
        Ok(planned)
    }
}

/// `CREATE DATABASE x` → `CREATE DATABASE IF NOT EXISTS x`.
fn if_not_exists(sql: &str) -> String {
    let lower = sql.to_ascii_lowercase();
    if lower.contains("if not exists") {
        return sql.to_owned();
    }
    for word in ["database", "schema"] {
        if let Some(at) = lower.find(word) {
            let behind = at + word.len();
            let (head, tail) = sql.split_at(behind);
            return format!("{head} IF NOT EXISTS{tail}");
        }
    }
    sql.to_owned()
}

/// Takes `START TRANSACTION` from a `CREATE TABLE`: it is how MySQL writes a `CREATE TABLE … SELECT`, and
/// would open a transaction here.
fn without_start_transaction(sql: String) -> String {
    // MySQL's own text: the columns end on a line of their own, options follow. Line ends in comments
    // are escaped there.
    const OWN: &str = "\n) START TRANSACTION ";
    let trimmed = sql.trim_end();
    if let Some(at) = trimmed.rfind(OWN)
        && let (Some(head), Some(options)) = (trimmed.get(..at), trimmed.get(at + OWN.len()..))
    {
        return format!("{head}\n) {options}");
    }
    let Some(head) = cut_word(trimmed, "transaction").and_then(|head| cut_word(head, "start"))
    else {
        return sql;
    };
    head.to_owned()
}

/// The text before its last word, when that is this one.
fn cut_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(word.len())?;
    let (head, tail) = (text.get(..at)?, text.get(at..)?);
    (tail.eq_ignore_ascii_case(word) && head.ends_with(|c: char| c.is_whitespace() || c == ')'))
        .then(|| head.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_transaction_is_cut_behind_the_columns_only() {
        assert_eq!(
            without_start_transaction("CREATE TABLE t (a int) START TRANSACTION".into()),
            "CREATE TABLE t (a int)"
        );
        assert_eq!(
            without_start_transaction(
                "CREATE TABLE `t` (\n  `a` int\n) START TRANSACTION DEFAULT CHARSET=utf8mb4".into()
            ),
            "CREATE TABLE `t` (\n  `a` int\n) DEFAULT CHARSET=utf8mb4"
        );
        let other = "CREATE TABLE t (a int) COMMENT 'START TRANSACTION'";
        assert_eq!(without_start_transaction(other.into()), other);
    }

    #[test]
    fn a_database_is_made_when_it_is_missing() {
        assert_eq!(
            if_not_exists("CREATE SCHEMA `a` COLLATE utf8mb4_bin"),
            "CREATE SCHEMA IF NOT EXISTS `a` COLLATE utf8mb4_bin"
        );
        let as_it_is = "create database if not exists `a`";
        assert_eq!(if_not_exists(as_it_is), as_it_is);
    }
}
