//! The definitions as files, under Dumpling's names, for people and for other loaders. Our own load
//! reads the definitions from the plan.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tideway_mysql::schema::TableDef;
use tideway_staging::Path;
use tideway_staging::document::{EffectivePlan, Plan};
use tideway_staging::layout::SourceKeys;

use crate::error::{Error, Result};
use crate::source::{Source, from_json};

/// Dumpling's head of a schema file, with the character set that ours are in.
const HEAD: &str = "/*!40014 SET FOREIGN_KEY_CHECKS=0*/;\n/*!40101 SET NAMES utf8mb4*/;\n";
/// Objects written at a time.
const PARALLEL: usize = 16;

/// Writes the files of what `plan` names. They are overwritten: until the plan stands nobody reads
/// them, and afterwards a later generation means just that.
///
/// # Errors
/// When staging fails.
pub async fn write(source: &Source, plan: &Plan) -> Result<()> {
    let keys = &source.keys;
    let mut files: Vec<(Path, String)> = Vec::new();
    for database in &plan.databases {
        files.push((
            keys.schema_create(&database.db),
            database.create_sql.clone(),
        ));
    }
    for table in &plan.tables {
        let key = keys.table_schema(&table.db, &table.table);
        let def: TableDef = from_json(&table.definition, &key)?;
        files.push((key, def.create_sql));
    }
    for view in &plan.views {
        files.push((
            keys.view_schema(&view.db, &view.view),
            view.create_sql.clone(),
        ));
    }
    stream::iter(files)
        .map(|(key, sql)| async move {
            let text = format!("{HEAD}{sql};\n");
            source.job.staging.put_bytes(&key, Bytes::from(text)).await
        })
        .buffer_unordered(PARALLEL)
        .try_collect::<()>()
        .await
        .map_err(Error::from)
}

/// The schema files that a plan calls for.
#[must_use]
pub fn keys(keys: &SourceKeys, plan: &EffectivePlan) -> Vec<Path> {
    let databases = plan.databases.iter().map(|d| keys.schema_create(&d.db));
    let tables = plan
        .tables
        .iter()
        .map(|t| keys.table_schema(&t.db, &t.table));
    let views = plan.views.iter().map(|v| keys.view_schema(&v.db, &v.view));
    databases.chain(tables).chain(views).collect()
}
