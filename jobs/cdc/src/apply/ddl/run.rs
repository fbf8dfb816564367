//! The steps of a DDL at the target: in order, from the one that a former process had begun.

use std::collections::BTreeMap;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use tideway_mysql::Error as ServerError;
use tideway_mysql::binlog::query::Query;
use tideway_mysql::ddl::Statement;
use tideway_mysql::info::Flavor;
use tideway_mysql::schema;
use tideway_mysql::sql;
use tideway_staging::ddl_orders;

use super::super::applier::Applier;
use super::super::checkpoint::Pending;
use super::super::error::{Error, Result};
use super::super::place::Place;
use super::super::steps::Step;
use super::super::{keys, session, shortened};
use super::goes_to;

/// How often the target is asked whether a DDL still runs.
const POLL: Duration = Duration::from_millis(500);

impl Applier<'_> {
    /// What a person ordered for the statement at this position.
    pub(super) async fn order(&self) -> Result<Option<ddl_orders::Order>> {
        let at = &self.position;
        Ok(ddl_orders::read(&self.set.job.staging, &self.set.keys, &at.file, at.pos).await?)
    }

    /// What a person ordered in place of the steps, or before them.
    pub(super) fn ordered_steps(
        &self,
        statement: &Statement,
        order: &ddl_orders::Order,
        steps: Vec<Step>,
    ) -> Vec<Step> {
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
    pub(super) async fn run_steps(
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
                keys::sha256(text.as_bytes())
            });
            hashes.insert(table.to_string(), hash);
        }
        if let Some(database) = &step.database {
            let text = schema::show_create_database(conn, database).await?;
            let hash = text.map(|text| keys::sha256(text.as_bytes()));
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
}

/// A statement that a person wrote: it is run as it is, and again after a kill.
pub(super) fn plain_step(sql: &str) -> Step {
    Step {
        sql: sql.to_owned(),
        touched: Vec::new(),
        database: None,
        empties: None,
    }
}
