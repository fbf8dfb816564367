//! Definitions where a task without a dump begins.
//!
//! Such a task begins at a position of the past, and nobody noted the definitions there. The source tells
//! those of now. For a table that no DDL touched since, as far as was captured, they are the same. For one
//! that was made since, there is none at the start. For one that was altered, renamed or dropped since, the
//! target's definition is taken, as DM does: it was made to be like the source's at the position that the
//! task begins at. Each table map is held against what was taken, so a wrong one is found before any row of
//! it is used.

use std::collections::BTreeMap;

use mysql_async::Conn;
use tideway_config::ResolvedSource;
use tideway_mysql::info::{Flavor, ServerInfo};
use tideway_mysql::schema::{self, TableDef, TableName};

use super::begin::Begin;
use super::catalog::Known;
use super::error::Result;
use super::feed::Feed;
use super::scan;

/// Takes the definitions of the source, as they are now, back to where the task begins.
///
/// # Errors
/// Staging or the target fail; two routes claim a table.
pub async fn take_back(
    source: &ResolvedSource,
    flavor: Flavor,
    begin: &mut Begin,
    feed: &mut Feed,
    conn: &mut Conn,
    info: &ServerInfo,
) -> Result<()> {
    let mut first: BTreeMap<TableName, bool> = BTreeMap::new();
    scan::ddl(
        source,
        flavor,
        feed,
        |_| false,
        true,
        |found| {
            for table in found.tables {
                first.entry(table).or_insert(found.creates);
            }
        },
    )
    .await?;
    for (name, creates) in first {
        if !source.filter.includes(&name.schema, &name.table) {
            continue;
        }
        begin.catalog.remove(&name);
        if creates {
            continue;
        }
        let (schema, table) = source.router.route(&name.schema, &name.table)?;
        let target = TableName::new(schema, table);
        if let Some(def) = schema::read_table(conn, info, &target).await? {
            tracing::info!(
                source = source.id,
                "{name} was changed since the start: its definition there is taken from {target}"
            );
            begin.catalog.insert(Known::new(TableDef { name, ..def }));
        }
    }
    Ok(())
}
