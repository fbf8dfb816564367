//! AUTO_INCREMENT at the target, raised beyond that of the sources.

use std::collections::BTreeMap;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde::Serialize;
use tideway_config::ResolvedTask;
use tideway_job::JobError;
use tideway_mysql::schema::{TableName, list_schemas};
use tideway_mysql::{Server, sql};

/// No such variable: an older server, which caches nothing.
const UNKNOWN_VARIABLE: u16 = 1193;

/// A table whose next number is beyond that of all its sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Raised {
    /// The table at the target.
    pub table: String,
    /// The number that the next row gets, at the least.
    pub next: u64,
}

/// Raises AUTO_INCREMENT of each table of the target that has such a column to the largest among the
/// tables that go there.
///
/// # Errors
/// A server that cannot be read, or a target that refuses.
pub async fn raise(
    task: &ResolvedTask,
    sources: &[Server],
    target: &Server,
) -> Result<Vec<Raised>, JobError> {
    let mut wanted: BTreeMap<TableName, u64> = BTreeMap::new();
    for (config, server) in task.sources.iter().zip(sources) {
        for (name, next) in at_source(server).await? {
            if !config.filter.includes(&name.schema, &name.table) {
                continue;
            }
            let (schema, table) = config
                .router
                .route(&name.schema, &name.table)
                .map_err(JobError::config)?;
            let at = wanted.entry(TableName::new(schema, table)).or_default();
            *at = next.max(*at);
        }
    }
    let mut conn = target.conn().await?;
    let mut raised = Vec::new();
    for (table, next) in wanted {
        if has_such_column(target, &mut conn, &table).await? {
            // Where it is beyond that already, both MySQL and TiDB leave it there.
            conn.query_drop(format!("ALTER TABLE {table} AUTO_INCREMENT = {next}"))
                .await
                .map_err(|error| target.error(format!("raise AUTO_INCREMENT of {table}"), error))?;
            raised.push(Raised {
                table: table.to_string(),
                next,
            });
        }
    }
    Ok(raised)
}

/// The next number of each table of a source that has one.
async fn at_source(server: &Server) -> Result<Vec<(TableName, u64)>, JobError> {
    let what = "read the next AUTO_INCREMENT of the tables";
    let mut conn = server.conn().await?;
    // MySQL 8 shows a number of up to a day ago otherwise.
    match conn
        .query_drop("SET SESSION information_schema_stats_expiry = 0")
        .await
    {
        Err(mysql_async::Error::Server(error)) if error.code == UNKNOWN_VARIABLE => {}
        Err(error) => return Err(server.error(what, error).into()),
        Ok(()) => {}
    }
    let mut found = Vec::new();
    for schema in list_schemas(&mut conn).await? {
        let rows: Vec<(String, u64)> = conn
            .query(format!(
                "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES \
                 WHERE TABLE_SCHEMA = {} AND AUTO_INCREMENT IS NOT NULL",
                sql::literal(&schema)
            ))
            .await
            .map_err(|error| server.error(what, error))?;
        found.extend(
            rows.into_iter()
                .map(|(table, next)| (TableName::new(&schema, table), next)),
        );
    }
    Ok(found)
}

/// Whether the target numbers rows of this table. One that is missing there is validation's to tell.
async fn has_such_column(
    target: &Server,
    conn: &mut Conn,
    table: &TableName,
) -> Result<bool, JobError> {
    let found: Option<u8> = conn
        .query_first(format!(
            "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} \
             AND EXTRA LIKE '%auto_increment%' LIMIT 1",
            sql::literal(&table.schema),
            sql::literal(&table.table)
        ))
        .await
        .map_err(|error| target.error(format!("look at the columns of {table}"), error))?;
    Ok(found.is_some())
}
