//! `DROP TABLE` and `TRUNCATE` of one of several tables that go to one table of the target.
//!
//! There they would take the rows of the others too. In a shard mode they are left out, as DM does;
//! without one a person decides. Which tables go there is told by the definitions that apply has, for
//! other sources by those in their checkpoint (their manifest while they have none).

use std::collections::BTreeSet;

use tideway_config::{ResolvedSource, Router, ShardMode};
use tideway_mysql::ddl::Statement;
use tideway_mysql::schema::TableName;
use tideway_staging::document::read_manifest;

use super::super::applier::Applier;
use super::super::checkpoint::Checkpoint;
use super::super::error::Result;
use super::super::shortened;
use super::super::steps::Step;

impl Applier<'_> {
    /// The steps that take no rows of other tables.
    pub(super) async fn sparing_shards(
        &mut self,
        statement: &Statement,
        steps: Vec<Step>,
    ) -> Result<Vec<Step>> {
        let emptied: BTreeSet<TableName> = steps.iter().filter_map(|s| s.empties.clone()).collect();
        let mut spared = Vec::new();
        for step in steps {
            if step.empties.is_some()
                && let Some(target) = step.touched.first()
                && let Some(other) = self.other_shard(target, &emptied).await?
            {
                if self.set.job.task.shard_mode == ShardMode::None {
                    return Err(self.ddl_error(
                        statement,
                        format!(
                            "it would take the rows of {other} too, which go to {target} as well. It was \
                             not run. `binlog skip` leaves it out; to remove its own rows alone, `binlog \
                             replace` it by a DELETE. With a shard-mode in the task file all such \
                             statements are left out"
                        ),
                    ));
                }
                tracing::warn!(
                    source = self.id(),
                    position = %self.position,
                    "left out, for {other} goes to {target} too: {}",
                    shortened(&statement.text, 200)
                );
                continue;
            }
            spared.push(step);
        }
        Ok(spared)
    }

    /// A table that goes to this one of the target and is not among those that are emptied.
    async fn other_shard(
        &mut self,
        target: &TableName,
        emptied: &BTreeSet<TableName>,
    ) -> Result<Option<String>> {
        let (job, own) = (self.set.job, self.set.source);
        let found = self.catalog.iter().find_map(|known| {
            let name = &known.def.name;
            let other = !emptied.contains(name) && goes(&own.router, name, target);
            other.then(|| name.to_string())
        });
        if found.is_some() {
            return Ok(found);
        }
        let others = job.task.sources.iter().filter(|s| s.id != own.id);
        for source in others {
            let tables = self.tables_of(source).await?;
            let mut names = tables.iter();
            if let Some(name) = names.find(|name| {
                source.filter.includes(&name.schema, &name.table)
                    && goes(&source.router, name, target)
            }) {
                return Ok(Some(format!("{name} of source {}", source.id)));
            }
        }
        Ok(None)
    }

    /// The tables of another source, as far as it is known here.
    async fn tables_of(&mut self, source: &ResolvedSource) -> Result<Vec<TableName>> {
        let job = self.set.job;
        let checkpoint = Checkpoint::new(&job.task.meta_schema, &job.task.name, &source.id);
        let definitions = checkpoint.definitions(self.control_conn().await?).await?;
        if !definitions.is_empty() {
            return Ok(definitions.into_iter().map(|def| def.name).collect());
        }
        let manifest = read_manifest(&job.staging, &job.keys.source(&source.id)).await?;
        let tables = manifest.map(|manifest| manifest.tables).unwrap_or_default();
        let names = tables.into_iter().map(|t| TableName::new(t.db, t.table));
        Ok(names.collect())
    }
}

/// Whether a table goes to this one.
fn goes(router: &Router, name: &TableName, target: &TableName) -> bool {
    let to = router.route(&name.schema, &name.table);
    to.is_ok_and(|(schema, table)| schema == target.schema && table == target.table)
}
