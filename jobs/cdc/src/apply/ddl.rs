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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tideway_config::ResolvedSource;
use tideway_mysql::Error as ServerError;
use tideway_mysql::binlog::query::Query;
use tideway_mysql::charset::Charset;
use tideway_mysql::ddl::{Context, Kind, SqlMode, Statement, model};
use tideway_mysql::info::Flavor;
use tideway_mysql::schema::{self, TableDef, TableName};
use tideway_mysql::sql;
use tideway_staging::ddl_orders;

use super::applier::Applier;
use super::catalog::Known;
use super::checkpoint::Pending;
use super::error::{Error, Result};
use super::filters::Verdict;
use super::place::Place;
use super::session;
use super::shortened;
use super::steps::{Planned, Scope, Step};

/// How often the target is asked whether a DDL still runs.
const POLL: Duration = Duration::from_millis(500);

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
        let steps = self.ordered_steps(statement, order, planned.steps);
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
        for name in statement.touched() {
            let verdict =
                self.filters
                    .statement(&name.schema, Some(&name.table), &events, &statement.text);
            if filter.includes(&name.schema, &name.table) && verdict == Verdict::Stop {
                return Err(self.ddl_error(statement, "a filter stops the task here".to_owned()));
            }
        }
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

    /// What a person ordered for the statement at this position.
    async fn order(&self) -> Result<Option<ddl_orders::Order>> {
        let at = &self.position;
        Ok(ddl_orders::read(&self.set.job.staging, &self.set.keys, &at.file, at.pos).await?)
    }

    /// The steps, or those that a person ordered in their place.
    fn ordered_steps(
        &self,
        statement: &Statement,
        order: Option<ddl_orders::Order>,
        steps: Vec<Step>,
    ) -> Vec<Step> {
        let Some(order) = order else {
            return steps;
        };
        tracing::warn!(
            source = self.id(),
            position = %self.position,
            "{} by order of {}: {}",
            order.action.name(),
            order.by,
            shortened(&statement.text, 200)
        );
        let ordered = order.statements.iter().map(|sql| plain_step(sql));
        match order.action {
            ddl_orders::Action::Skip => Vec::new(),
            ddl_orders::Action::Replace => ordered.collect(),
            ddl_orders::Action::Inject => ordered.chain(steps).collect(),
        }
    }

    /// Runs the steps, from the one that a former process had begun.
    async fn run_steps(
        &mut self,
        statement: &Statement,
        query: &Query<'_>,
        steps: &[Step],
        begin: Place,
        former: Option<Pending>,
    ) -> Result<()> {
        for (number, step) in steps.iter().enumerate() {
            if let Some(pending) = &former {
                if number < pending.step {
                    continue;
                }
                if number == pending.step && !pending.refused {
                    self.wait_for_running(step).await?;
                    if self.hashes(step).await? != pending.before {
                        tracing::info!(
                            source = self.id(),
                            "done already, before this process began: {}",
                            shortened(&step.sql, 200)
                        );
                        continue;
                    }
                }
            }
            let mut saved = self.saved.clone();
            saved.state.pending = Some(Pending {
                place: begin,
                position: self.position.clone(),
                statement: statement.text.clone(),
                step: number,
                before: self.hashes(step).await?,
                done: false,
                refused: false,
            });
            self.store(saved, &[]).await?;
            tideway_job::failpoint::hit("apply.ddl.pending");
            let result = self.run_step(statement, query, step).await;
            if matches!(result, Err(Error::Ddl { .. })) {
                // A table that a person changes now would look as if the statement had run.
                let mut saved = self.saved.clone();
                if let Some(pending) = &mut saved.state.pending {
                    pending.refused = true;
                }
                self.store(saved, &[]).await?;
            }
            result?;
            tideway_job::failpoint::hit("apply.ddl.run");
        }
        Ok(())
    }

    async fn run_step(
        &mut self,
        statement: &Statement,
        query: &Query<'_>,
        step: &Step,
    ) -> Result<()> {
        self.progress
            .message(format!("running {}", shortened(&step.sql, 200)));
        let fence = self.set.fence.clone();
        let flavor = self.set.target.info().flavor;
        let source_flavor = self.set.flavor;
        let settings = session::for_statement(query, source_flavor, flavor);
        let schema = if query.schema.is_empty() {
            None
        } else {
            Some(self.set.source.router.route_schema(&query.schema)?)
        };
        let conn = self.control_conn().await?;
        // A DDL commits by itself, so the check cannot be in its transaction: a new owner waits for
        // what the former one's connection runs.
        fence.check(conn).await?;
        let doing = "run a DDL of the source";
        for setting in settings {
            conn.query_drop(&setting)
                .await
                .map_err(|error| ServerError::query(conn, doing, error))?;
        }
        if let Some(schema) = schema {
            match conn
                .query_drop(format!("USE {}", sql::ident(&schema)))
                .await
            {
                Ok(()) => {}
                // It may be one that the task does not want; all names are written with theirs.
                Err(mysql_async::Error::Server(error)) if error.code == 1049 => {}
                Err(error) => return Err(ServerError::query(conn, doing, error).into()),
            }
        }
        let result = conn.query_drop(&step.sql).await;
        let result = result.map_err(|error| ServerError::query(conn, doing, error));
        // Its session is another one now.
        self.drop_control();
        match result {
            Ok(()) => Ok(()),
            Err(error) if error.retryable() => Err(error.into()),
            Err(error) if self.is_there(&error, step) => {
                tracing::info!(
                    source = self.id(),
                    "another source made it already: {}",
                    shortened(&step.sql, 200)
                );
                Ok(())
            }
            Err(error) => Err(self.ddl_error(
                statement,
                format!(
                    "the target refuses it: {error}. It was sent as: {}",
                    step.sql
                ),
            )),
        }
    }

    /// Whether a table that is to be made is there already because another source table goes there too.
    fn is_there(&self, error: &ServerError, step: &Step) -> bool {
        let exists = error.code() == Some(1050);
        let own = &self.set.source.id;
        exists
            && step.touched.iter().any(|target| {
                self.set
                    .job
                    .task
                    .sources
                    .iter()
                    .any(|source| &source.id != own && goes_to(source, &target.schema))
                    || self.catalog.iter().any(|known| {
                        let name = &known.def.name;
                        let to = self.set.source.router.route(&name.schema, &name.table);
                        to.is_ok_and(|(schema, table)| {
                            schema == target.schema && table == target.table
                        })
                    })
            })
    }

    /// Hashes of the definitions of a step's tables at the target.
    async fn hashes(&mut self, step: &Step) -> Result<BTreeMap<String, Option<String>>> {
        let mut hashes = BTreeMap::new();
        let conn = self.control_conn().await?;
        for table in &step.touched {
            let text = schema::show_create_table(conn, table).await?;
            let hash = text.map(|text| {
                let text = schema::without_auto_increment(&text);
                super::keys::sha256(text.as_bytes())
            });
            hashes.insert(table.to_string(), hash);
        }
        if let Some(database) = &step.database {
            let text = schema::show_create_database(conn, database).await?;
            let hash = text.map(|text| super::keys::sha256(text.as_bytes()));
            hashes.insert(sql::ident(database), hash);
        }
        Ok(hashes)
    }

    /// Waits until no connection of the target runs this statement.
    async fn wait_for_running(&mut self, step: &Step) -> Result<()> {
        let flavor = self.set.target.info().flavor;
        let mut told = false;
        loop {
            let conn = self.control_conn().await?;
            let running: Option<u64> = conn
                .exec_first(
                    "SELECT 1 FROM information_schema.processlist \
                     WHERE info = ? AND id <> CONNECTION_ID() LIMIT 1",
                    (&step.sql,),
                )
                .await
                .map_err(|error| ServerError::query(conn, "look for a running DDL", error))?;
            // The parts of an ALTER of several changes stay `done` for ever; the whole is `synced`.
            let job: Option<u64> = if flavor == Flavor::TiDb && running.is_none() {
                conn.exec_first(
                    "SELECT 1 FROM information_schema.ddl_jobs WHERE query = ? AND state NOT IN \
                     ('synced', 'cancelled', 'rollback done', 'none') AND \
                     job_type NOT LIKE '%subjob%' LIMIT 1",
                    (&step.sql,),
                )
                .await
                .map_err(|error| ServerError::query(conn, "look for a running DDL job", error))?
            } else {
                None
            };
            if running.is_none() && job.is_none() {
                return Ok(());
            }
            if !told {
                told = true;
                self.progress.message(format!(
                    "the target still runs {}, waiting for it",
                    shortened(&step.sql, 200)
                ));
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = self.set.job.stop.cancelled() => return Err(Error::Stopped),
            }
        }
    }

    /// Moves the definitions over a statement; those that changed.
    async fn new_definitions(
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

/// The defaults of all databases.
fn databases(model: &model::Catalog) -> BTreeMap<String, model::Database> {
    model
        .databases()
        .map(|(name, database)| (name.to_owned(), database.clone()))
        .collect()
}

/// A statement that a person wrote: it is run as it is, and again after a kill.
fn plain_step(sql: &str) -> Step {
    Step {
        sql: sql.to_owned(),
        touched: Vec::new(),
        database: None,
    }
}
