//! From "a row with this hash differs" to "this row, in these columns": each listed row is read again
//! from both sides, told apart, and its repair written.
//!
//! The rows are read as they are now, after the comparison. A row that is equal by now (somebody wrote
//! meanwhile) is no difference any more; it is counted as settled. Memory holds one row of each side.

use std::collections::{BTreeMap, BTreeSet};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use tideway_mysql::schema::Generated;
use tideway_mysql::sql;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::literal;
use crate::repair::Repair;
use crate::report::{ColumnDifference, Counts, RowDifference, RowKind, STILL_CHANGING};
use crate::side::SideTable;
use crate::unit::{Entry, Sides};

/// Longer values are cut in reports.
const SHOWN_CHARACTERS: usize = 200;

/// What became of the listed rows of a table.
#[derive(Debug, Default)]
pub struct Details {
    /// How many rows are missing, extra and different.
    pub counts: Counts,
    /// The rows.
    pub rows: Vec<RowDifference>,
    /// Rows on the source and on the target that are equal by now.
    pub settled: (u64, u64),
}

/// A row as it was read again: its values in the order of the compared columns, and what they are
/// compared by.
pub(crate) struct FullRow {
    pub(crate) values: Vec<Value>,
    pub(crate) compared: Vec<Option<Vec<u8>>>,
}

/// Reads the listed rows of a table with a key again, and tells them apart. Rows whose keys are in
/// `changing` get a note, and no repair: it would be outdated when it is run.
///
/// # Errors
/// Those of the servers and of staging.
pub async fn by_key(
    sides: &Sides,
    missing: &[Entry],
    extra: &[Entry],
    limit: usize,
    changing: &BTreeSet<Vec<String>>,
    repair: &mut Repair<'_>,
    stop: &CancellationToken,
) -> Result<Details> {
    let mut details = Details::default();
    let mut sources = Vec::with_capacity(sides.sources.len());
    for side in &sides.sources {
        sources.push(side.server.conn().await?);
    }
    let mut target = sides.target.server.conn().await?;
    // Rows that only the target has come first: their DELETE must stand before every REPLACE.
    let first: BTreeSet<&Vec<String>> = extra.iter().map(|entry| &entry.key).collect();
    let mut later: BTreeSet<&Vec<String>> = missing.iter().map(|entry| &entry.key).collect();
    let only_extra: Vec<&Vec<String>> = first
        .iter()
        .copied()
        .filter(|key| !later.contains(*key))
        .collect();
    let mut listed = 0;
    for key in only_extra {
        if listed >= limit {
            break;
        }
        crate::check(stop)?;
        if !read_sources(sides, &mut sources, key).await?.is_empty() {
            later.insert(key);
            continue;
        }
        let from = details.rows.len();
        for row in read(&sides.target, &mut target, key).await? {
            listed += 1;
            details.counts.extra += 1;
            details
                .rows
                .push(difference(sides, RowKind::Extra, 1, key, None, Some(&row)));
        }
        if changing.contains(key) {
            note(&mut details, from);
        } else {
            repair.statement(&delete_by_key(&sides.target, key)).await?;
        }
    }
    for key in later {
        if listed >= limit {
            break;
        }
        crate::check(stop)?;
        let mut ours = read_sources(sides, &mut sources, key).await?;
        let mut theirs = read(&sides.target, &mut target, key).await?;
        let before = (ours.len() as u64, theirs.len() as u64);
        // Rows that both sides have as they are, one for one.
        ours.retain(|(_, row)| {
            match theirs
                .iter()
                .position(|other| other.compared == row.compared)
            {
                Some(index) => {
                    theirs.swap_remove(index);
                    false
                }
                None => true,
            }
        });
        details.settled.0 += before.0 - ours.len() as u64;
        details.settled.1 += before.1 - theirs.len() as u64;
        let put: Vec<String> = ours
            .iter()
            .map(|(source, row)| {
                put(
                    "REPLACE",
                    &sides.sources[*source],
                    &sides.target,
                    &row.values,
                )
            })
            .collect();
        let mut theirs = theirs.into_iter();
        let from = details.rows.len();
        for (_, row) in &ours {
            listed += 1;
            let other = theirs.next();
            let kind = if other.is_some() {
                RowKind::Different
            } else {
                RowKind::Missing
            };
            match kind {
                RowKind::Different => details.counts.different += 1,
                _ => details.counts.missing += 1,
            }
            details
                .rows
                .push(difference(sides, kind, 1, key, Some(row), other.as_ref()));
        }
        for row in theirs {
            listed += 1;
            details.counts.extra += 1;
            details
                .rows
                .push(difference(sides, RowKind::Extra, 1, key, None, Some(&row)));
        }
        if changing.contains(key) {
            note(&mut details, from);
            continue;
        }
        for statement in put {
            repair.statement(&statement).await?;
        }
    }
    Ok(details)
}

/// Says of the rows from this one on that they are still changing.
fn note(details: &mut Details, from: usize) {
    for row in details.rows.iter_mut().skip(from) {
        row.note = Some(STILL_CHANGING.to_owned());
    }
}

async fn read_sources(
    sides: &Sides,
    conns: &mut [Conn],
    key: &[String],
) -> Result<Vec<(usize, FullRow)>> {
    let mut rows = Vec::new();
    for (index, (side, conn)) in sides.sources.iter().zip(conns).enumerate() {
        rows.extend(
            read(side, conn, key)
                .await?
                .into_iter()
                .map(|row| (index, row)),
        );
    }
    Ok(rows)
}

/// The rows with this key: one, none, or two where a collation takes two keys for one.
async fn read(side: &SideTable, conn: &mut Conn, key: &[String]) -> Result<Vec<FullRow>> {
    let mut condition = key_condition(side, key);
    if let Some(filter) = &side.filter {
        condition = format!("({filter}) AND {condition}");
    }
    let statement = format!(
        "SELECT {} FROM {} WHERE {condition} LIMIT 2",
        select_list(side),
        sql::qualified(&side.def.name)
    );
    let rows: Vec<Row> = conn.exec(statement, ()).await.map_err(|e| {
        side.server
            .error(format!("read a row of {}", side.def.name), e)
    })?;
    Ok(rows.into_iter().map(|row| full_row(side, row, 0)).collect())
}

/// What [`full_row`] reads: for each compared column its value, and the text that it is compared by
/// where the server makes it.
pub(crate) fn select_list(side: &SideTable) -> String {
    let mut list = Vec::new();
    for (shared, own) in side.columns.shared.iter().zip(&side.own) {
        list.push(literal::select(own));
        list.extend(shared.compare.text(own));
    }
    list.join(",")
}

/// Takes a row apart that begins with `skip` other values.
pub(crate) fn full_row(side: &SideTable, row: Row, skip: usize) -> FullRow {
    let flavor = side.server.info().flavor;
    let mut cells = row
        .unwrap_raw()
        .into_iter()
        .skip(skip)
        .map(|cell| cell.unwrap_or(Value::NULL));
    let mut full = FullRow {
        values: Vec::new(),
        compared: Vec::new(),
    };
    for shared in &side.columns.shared {
        let value = cells.next().unwrap_or(Value::NULL);
        full.compared.push(if shared.compare.on_client() {
            shared.compare.digest(flavor, &value).map(Vec::from)
        } else {
            match cells.next() {
                Some(Value::Bytes(text)) => Some(text),
                _ => None,
            }
        });
        full.values.push(value);
    }
    full
}

pub(crate) fn difference(
    sides: &Sides,
    kind: RowKind,
    rows: u64,
    key: &[String],
    source: Option<&FullRow>,
    target: Option<&FullRow>,
) -> RowDifference {
    let columns = &sides.target.columns;
    let names = columns.key.as_deref().unwrap_or_default();
    let key: BTreeMap<String, String> = names
        .iter()
        .zip(key)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let shown = |side: &SideTable, row: Option<&FullRow>, index: usize| {
        literal::shown(
            side.own.get(index)?,
            row?.values.get(index)?,
            SHOWN_CHARACTERS,
        )
    };
    let mut found = Vec::new();
    for (index, column) in columns.shared.iter().enumerate() {
        if let (Some(a), Some(b)) = (source, target)
            && a.compared.get(index) == b.compared.get(index)
        {
            continue;
        }
        found.push(ColumnDifference {
            column: column.name.clone(),
            source: sides
                .sources
                .first()
                .and_then(|side| shown(side, source, index)),
            target: shown(&sides.target, target, index),
        });
    }
    RowDifference {
        kind,
        rows,
        key,
        columns: found,
        note: None,
    }
}

pub(crate) fn key_condition(side: &SideTable, key: &[String]) -> String {
    let parts: Vec<String> = side
        .key_columns()
        .iter()
        .zip(key)
        .map(|(column, value)| format!("{}={value}", sql::ident(&column.name)))
        .collect();
    parts.join(" AND ")
}

fn delete_by_key(target: &SideTable, key: &[String]) -> String {
    format!(
        "DELETE FROM {} WHERE {}",
        sql::qualified(&target.def.name),
        key_condition(target, key)
    )
}

/// A statement that puts a row of the source into the target.
pub(crate) fn put(verb: &str, source: &SideTable, target: &SideTable, values: &[Value]) -> String {
    let flavor = target.server.info().flavor;
    let mut names = String::new();
    let mut literals = String::new();
    for ((ours, theirs), value) in source.own.iter().zip(&target.own).zip(values) {
        // What the target computes itself takes no value.
        if theirs.generated == Generated::None {
            let comma = if names.is_empty() { "" } else { "," };
            names += comma;
            names += &sql::ident(&theirs.name);
            literals += comma;
            literals += &literal::write(ours, flavor, value);
        }
    }
    format!(
        "{verb} INTO {} ({names}) VALUES ({literals})",
        sql::qualified(&target.def.name)
    )
}
