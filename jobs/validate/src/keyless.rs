//! The listed rows of a table without a key: found again by their hash.
//!
//! They are read in one pass over the ranges, filtered by the server's hash, so memory holds one row
//! and the list of hashes.

use std::collections::HashMap;

use mysql_async::Value;
use mysql_async::prelude::Queryable;
use tideway_mysql::checksum::{self, Compare, Hash};
use tideway_mysql::sql;
use tokio_util::sync::CancellationToken;

use crate::details::{self, Details, FullRow};
use crate::error::Result;
use crate::literal;
use crate::ranges::Range;
use crate::repair::Repair;
use crate::report::RowKind;
use crate::side::{RowId, SideTable, short};
use crate::unit::{Entry, Sides};

/// As many hashes as go into one statement.
const HASHES: usize = 500;

/// Reads the listed rows of a table without a key again.
///
/// # Errors
/// Those of the servers and of staging.
pub async fn by_hash(
    sides: &Sides,
    missing: &[Entry],
    extra: &[Entry],
    limit: usize,
    repair: &mut Repair<'_>,
    stop: &CancellationToken,
) -> Result<Details> {
    let mut found = Details::default();
    let mut free = limit as u64;
    for entries in extra.chunks(HASHES) {
        let mut wanted = by_id(entries);
        read(&sides.target, &mut wanted, stop, async |entry, row| {
            found.counts.extra += entry.rows;
            let row = &row;
            let kind = RowKind::Extra;
            found.rows.push(details::difference(
                sides,
                kind,
                entry.rows,
                &[],
                None,
                Some(row),
            ));
            repair.statement(&delete(&sides.target, &entry, row)).await
        })
        .await?;
        found.settled.1 += wanted.values().map(|entry| entry.rows).sum::<u64>();
    }
    for entries in missing.chunks(HASHES) {
        let mut wanted = by_id(entries);
        for side in &sides.sources {
            read(side, &mut wanted, stop, async |entry, row| {
                found.counts.missing += entry.rows;
                let kind = RowKind::Missing;
                let difference =
                    details::difference(sides, kind, entry.rows, &[], Some(&row), None);
                found.rows.push(difference);
                // A row may be missing a million times.
                let times = entry.rows.min(free);
                free -= times;
                let statement = details::put("INSERT", side, &sides.target, &row.values);
                for _ in 0..times {
                    repair.statement(&statement).await?;
                }
                if times < entry.rows {
                    let left = entry.rows - times;
                    repair.remark(&format!(
                        "{left} times more: validate again after this repair"
                    ));
                }
                Ok(())
            })
            .await?;
        }
        found.settled.0 += wanted.values().map(|entry| entry.rows).sum::<u64>();
    }
    Ok(found)
}

/// Streams the rows whose hash is wanted, each once, and takes them from `wanted`.
async fn read(
    side: &SideTable,
    wanted: &mut HashMap<RowId, Entry>,
    stop: &CancellationToken,
    mut each: impl AsyncFnMut(Entry, FullRow) -> Result<()>,
) -> Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    let hashes: Vec<String> = wanted
        .values()
        .map(|entry| format!("'{}'", hex::encode(entry.server)))
        .collect();
    let condition = format!("{} IN ({})", side.row_expr(), hashes.join(","));
    let statement = format!(
        "SELECT UNHEX({}),{}{}",
        side.row_expr(),
        details::select_list(side),
        side.from_where(&Range::default(), Some(&condition))
    );
    let mut conn = side.server.conn().await?;
    let error = |e| side.server.error(format!("read {}", side.def.name), e);
    let mut result = conn.exec_iter(statement, ()).await.map_err(error)?;
    while let Some(row) = result.next().await.map_err(error)? {
        crate::check(stop)?;
        let server: Hash = side.hash(row.as_ref(0))?;
        let row = details::full_row(side, row, 1);
        let mut id = server;
        if side.client_columns().next().is_some() {
            let digests = side.client_columns().map(|i| {
                let digest = row.compared.get(i).cloned().flatten()?;
                Hash::try_from(digest).ok()
            });
            id = checksum::row_hash(&server, digests);
        }
        if let Some(entry) = wanted.remove(&short(&id)) {
            each(entry, row).await?;
        }
    }
    Ok(())
}

/// Deletes as many rows equal to this one as are too many. The target itself computes the hash;
/// columns outside of it are compared beside it.
fn delete(target: &SideTable, entry: &Entry, row: &FullRow) -> String {
    let mut conditions = vec![format!(
        "{}='{}'",
        target.row_expr(),
        hex::encode(entry.server)
    )];
    let flavor = target.server.info().flavor;
    for index in target.client_columns() {
        let (Some(own), Some(value)) = (target.own.get(index), row.values.get(index)) else {
            continue;
        };
        let name = sql::ident(&own.name);
        conditions.push(match (target.columns.shared[index].compare, value) {
            (_, Value::NULL) => format!("{name} IS NULL"),
            (Compare::Json, Value::Bytes(text)) => {
                // As digits, for two texts of different collations cannot be compared.
                format!("HEX(CAST({name} AS CHAR))='{}'", hex::encode_upper(text))
            }
            // A FLOAT and a DOUBLE of the very same value are equal.
            (_, value) => format!("{name}={}", literal::write(own, flavor, value)),
        });
    }
    format!(
        "DELETE FROM {} WHERE {} LIMIT {}",
        sql::qualified(&target.def.name),
        conditions.join(" AND "),
        entry.rows
    )
}

fn by_id(entries: &[Entry]) -> HashMap<RowId, Entry> {
    entries
        .iter()
        .map(|entry| (entry.id, entry.clone()))
        .collect()
}
