//! DDL: in its order, once, whatever is killed.
//!
//! Before a DDL all workers have committed what came before it, and the checkpoint stands right before
//! its transaction. Each statement for the target ([`super::steps`]) then goes so:
//!
//! 1. Its place, its text and the hashes of its tables' definitions at the target are stored.
//! 2. It is run, after the fence was checked.
//! 3. The next one; after the last, checkpoint and new definitions are stored in one transaction, which
//!    also forgets step 1.
//!
//! Killed between 1 and 3, a restart finds the stored statement at the place where it begins. It waits
//! until the target runs no such statement any more, then compares the definitions: as they were, the
//! statement did not run, and is run; different, it did. A statement that changes no definition (TRUNCATE, a
//! rebuild) is run again, which is harmless, for nothing behind it was applied. So a `RENAME a TO b, b TO
//! a` is done once, and an index without a name is added once.
//!
//! What a statement does to the source's definitions is the model's to say; where it does not
//! understand, the definition is read from the source, if nothing in the binlog touched the table
//! since.

mod definitions;
mod run;
mod shards;

use std::collections::BTreeMap;
use std::sync::Arc;

use tideway_config::ResolvedSource;
use tideway_mysql::binlog::query::Query;
use tideway_mysql::charset::Charset;
use tideway_mysql::ddl::{Context, Kind, SqlMode, Statement};
use tideway_mysql::info::Flavor;
use tideway_mysql::schema::{TableDef, TableName};

use self::run::plain_step;
use super::applier::Applier;
use super::checkpoint::Pending;
use super::error::{Error, Result};
use super::filters::Verdict;
use super::place::Place;
use super::session;
use super::shortened;
use super::steps::{Planned, Scope, Step};

impl Applier<'_> {
    /// The text of a statement, and under what it ran.
    pub(super) fn statement_context(&self, query: &Query<'_>) -> Result<(String, Context)> {
        let collation = |id: u16| session::collation(id);
        let charset = query
            .status
            .client_collation
            .and_then(|id| collation(id).map(|(charset, _)| charset));
        let charset = charset
            .as_deref()
            .and_then(Charset::find)
            .unwrap_or(Charset::Utf8mb4);
        let text = match charset.to_utf8(&query.text) {
            Ok(text) => text.into_owned(),
            Err(error) => return Err(self.unsupported(format!("a statement is no text: {error}"))),
        };
        let mut context = Context::new(self.set.flavor, self.version);
        context.sql_mode = SqlMode(query.status.sql_mode.unwrap_or(0));
        context.default_schema = Some(query.schema.clone()).filter(|s| !s.is_empty());
        if let Some((_, name)) = query.status.server_collation.and_then(collation) {
            context.server_collation = name;
        }
        if let Some((charset, name)) = query.status.utf8mb4_collation.and_then(collation) {
            context.default_collations.insert(charset, name);
        }
        for (_, chosen) in &query.status.charset_collations {
            if let Some((charset, name)) = collation(*chosen) {
                context.default_collations.insert(charset, name);
            }
        }
        if let Some(explicit) = query.status.explicit_defaults_for_timestamp {
            context.explicit_defaults_for_timestamp = explicit;
        }
        Ok((text, context))
    }

    /// Does what a statement asks for, which is no word to the transaction.
    pub(super) async fn statement(
        &mut self,
        statement: &Statement,
        query: &Query<'_>,
        at: Place,
    ) -> Result<Outcome> {
        let explicit = self.transaction.as_ref().is_some_and(|t| t.explicit);
        let nothing = Outcome {
            goes_on: explicit,
            done: None,
        };
        let dumped = self.transaction.as_ref().is_some_and(|t| t.dumped);
        match &statement.kind {
            Kind::LeftOut(what) => {
                tracing::info!(
                    source = self.id(),
                    position = %self.position,
                    "left out, a {what} is not migrated: {}",
                    shortened(&statement.text, 200)
                );
                return Ok(nothing);
            }
            _ if dumped || statement.is_temporary() => return Ok(nothing),
            Kind::Dml(_) | Kind::Unknown => {
                self.not_ddl(statement, query).await?;
                return Ok(nothing);
            }
            _ => {}
        }
        let follows = matches!(&statement.kind, Kind::CreateTable(c) if c.start_transaction);
        let goes_on = follows || explicit;
        let nothing = Outcome {
            goes_on,
            done: None,
        };
        self.stopped_by_filter(statement).await?;
        let planned = self.planned(statement)?;
        if let Some((table, what)) = planned.lost {
            return Err(self.table_error(&table, what));
        }
        if planned.steps.is_empty() && planned.changes.is_empty() {
            return Ok(nothing);
        }
        self.drain().await?;
        let begin = self.transaction.as_ref().map_or(at, |t| t.begin);
        let former = self.saved.state.pending.clone();
        let former = former.filter(|pending| pending.place == begin);
        if former.as_ref().is_some_and(|pending| pending.done) {
            // Done before a kill in what follows; the definitions were stored with it.
            return Ok(nothing);
        }
        let order = self.order().await?;
        // It stands in place of what was refused, with steps of its own.
        let former = former.filter(|pending| !pending.refused || order.is_none());
        let steps = match order {
            Some(order) => self.ordered_steps(statement, &order, planned.steps),
            None => self.sparing_shards(statement, planned.steps).await?,
        };
        self.run_steps(statement, query, &steps, begin, former)
            .await?;
        let definitions = self
            .new_definitions(statement, &planned.changes, &planned.renamed)
            .await?;
        for name in &planned.vanished {
            self.catalog.remove(name);
            self.catalog.vanish(name);
        }
        self.catalog.replan();
        let pending = Pending {
            place: begin,
            position: self.position.clone(),
            statement: statement.text.clone(),
            step: steps.len(),
            before: BTreeMap::new(),
            done: true,
            refused: false,
        };
        Ok(Outcome {
            goes_on,
            done: Some((pending, definitions)),
        })
    }

    /// Stores that a DDL is done. The transaction that it stands in goes on, or was finished.
    pub(super) async fn ddl_done(
        &mut self,
        goes_on: bool,
        pending: Pending,
        definitions: &[(TableName, Option<Arc<TableDef>>)],
    ) -> Result<()> {
        let mut saved = if goes_on {
            self.saved.clone()
        } else {
            self.saved_here()
        };
        saved
            .state
            .databases
            .clone_from(&self.saved.state.databases);
        saved.state.pending = goes_on.then_some(pending);
        self.store(saved, definitions).await?;
        tideway_job::failpoint::hit("apply.ddl.stored");
        Ok(())
    }

    /// An error where a filter stops the task, unless a person ordered what is to be done.
    async fn stopped_by_filter(&self, statement: &Statement) -> Result<()> {
        let (filter, events) = (&self.set.source.filter, statement.events());
        let stops = statement.touched().into_iter().any(|name| {
            let (schema, table) = (&name.schema, Some(name.table.as_str()));
            let verdict = self
                .filters
                .statement(schema, table, &events, &statement.text);
            filter.includes(schema, &name.table) && verdict == Verdict::Stop
        });
        if stops && self.order().await?.is_none() {
            return Err(self.ddl_error(statement, "a filter stops the task here".to_owned()));
        }
        Ok(())
    }

    /// Plans a DDL by what the task wants and the dump has.
    fn planned(&self, statement: &Statement) -> Result<Planned> {
        let filter = &self.set.source.filter;
        let events = statement.events();
        let wanted = |name: &TableName| {
            filter.includes(&name.schema, &name.table)
                && self
                    .filters
                    .statement(&name.schema, Some(&name.table), &events, &statement.text)
                    != Verdict::Leave
        };
        let wanted_schema = |schema: &str| {
            filter.includes_schema(schema)
                && self
                    .filters
                    .statement(schema, None, &events, &statement.text)
                    != Verdict::Leave
        };
        let Some(transaction) = &self.transaction else {
            return Ok(Planned::default());
        };
        let own = &self.set.source.id;
        let shared = |target: &str| {
            self.set
                .job
                .task
                .sources
                .iter()
                .any(|source| &source.id != own && goes_to(source, target))
        };
        Scope {
            includes: &wanted,
            includes_schema: &wanted_schema,
            router: &self.set.source.router,
            catalog: &self.catalog,
            spot: &transaction.spot,
            in_window: self.in_dump_window(),
            rename_apart: self.set.target.info().flavor == Flavor::TiDb,
            shared_schema: &shared,
        }
        .plan(statement)
    }

    /// Rows as a statement, or what nobody knows.
    async fn not_ddl(&mut self, statement: &Statement, query: &Query<'_>) -> Result<()> {
        let filter = &self.set.source.filter;
        let tables = statement.tables();
        let concerns = if tables.is_empty() {
            filter.includes_schema(&query.schema)
        } else {
            tables
                .iter()
                .any(|name| filter.includes(&name.schema, &name.table))
        };
        if !concerns {
            return Ok(());
        }
        if let Some(order) = self.order().await? {
            let steps: Vec<Step> = order.statements.iter().map(|sql| plain_step(sql)).collect();
            if !steps.is_empty() {
                self.drain().await?;
                let begin = self
                    .transaction
                    .as_ref()
                    .map_or(self.saved.place, |t| t.begin);
                self.run_steps(statement, query, &steps, begin, None)
                    .await?;
            }
            return Ok(());
        }
        Err(match statement.kind {
            Kind::Dml(kind) => self.ddl_error(
                statement,
                format!(
                    "rows were changed by a statement ({kind:?}) instead of row events: a session of the \
                     source runs with another binlog_format than ROW. Its effect cannot be told from the \
                     binlog. Set binlog_format=ROW there, compare the table by `tideway-validate` and \
                     repair it"
                ),
            ),
            _ => self.ddl_error(
                statement,
                "this statement is not known, and it may concern tables of the task".to_owned(),
            ),
        })
    }

    pub(super) fn ddl_error(&self, statement: &Statement, what: String) -> Error {
        Error::Ddl {
            source_id: self.id().to_owned(),
            task: self.set.job.task.name.clone(),
            at: Box::new(self.position.clone()),
            statement: statement.text.clone(),
            what,
        }
    }
}

/// What became of a statement.
pub(super) struct Outcome {
    /// The transaction that it stands in goes on: rows follow.
    pub goes_on: bool,
    /// It was a DDL that was done here: what to store when the transaction's end is known.
    #[expect(
        clippy::type_complexity,
        reason = "a name for a pair that two functions share"
    )]
    pub done: Option<(Pending, Vec<(TableName, Option<Arc<TableDef>>)>)>,
}

/// Whether tables of a source may go to a database of the target.
fn goes_to(source: &ResolvedSource, target: &str) -> bool {
    source.router.targets(target) || source.filter.includes_schema(target)
}
