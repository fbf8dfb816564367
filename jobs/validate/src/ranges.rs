//! Ranges of a key: the units in which a table is compared.
//!
//! The bounds of the dump's plan are used when they are there and still fit the table; otherwise the
//! source's index is walked, unless several processes share the work: a table without a plan is one
//! range then. First and last range are open, so every row lies in exactly one range, also rows that
//! came later. Where the key is text that source and target sort differently, the table is one range.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use tideway_mysql::connect::Server;
use tideway_mysql::key::{KeyValue, range_predicate, select_expr};
use tideway_mysql::schema::TableDef;
use tideway_mysql::sql;
use tideway_staging::document::TablePlan;

use crate::error::{Error, Result};

/// Rows from `lower` (inclusive) to `upper` (exclusive) of a key; open where there is no bound.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// Names of the key's columns; empty for a whole table.
    pub key: Vec<String>,
    /// The first key of the range.
    pub lower: Option<Vec<KeyValue>>,
    /// The first key after the range.
    pub upper: Option<Vec<KeyValue>>,
}

/// How much of a table a range should hold, in bytes.
const RANGE_BYTES: u64 = 64 << 20;
/// At least and at most so many rows make a range.
const RANGE_ROWS: (u64, u64) = (1_000, 200_000);

/// How large a table is, by the server's estimate, and a range should be.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Rows of the table.
    pub rows: u64,
    /// Bytes of the table.
    pub bytes: u64,
    /// Rows of a range, when somebody said so.
    pub per_range: Option<u64>,
}

impl Size {
    fn rows_per_range(self) -> u64 {
        self.per_range.unwrap_or_else(|| {
            let row = (self.bytes / self.rows.max(1)).max(1);
            (RANGE_BYTES / row).clamp(RANGE_ROWS.0, RANGE_ROWS.1)
        })
    }
}

/// The ranges between `bounds`.
#[must_use]
pub fn between(key: &[String], bounds: Vec<Vec<KeyValue>>) -> Vec<Range> {
    let mut ranges = Vec::with_capacity(bounds.len() + 1);
    let mut lower = None;
    for bound in bounds {
        ranges.push(Range {
            key: key.to_vec(),
            lower,
            upper: Some(bound.clone()),
        });
        lower = Some(bound);
    }
    ranges.push(Range {
        key: key.to_vec(),
        lower,
        upper: None,
    });
    ranges
}

/// The ranges of the dump's plan, when its key still is a key of the table.
///
/// # Errors
/// Bounds in the plan that are none.
pub fn of_plan(plan: &TablePlan, def: &TableDef) -> Result<Option<Vec<Range>>> {
    let still = def.chunk_key().is_some_and(|key| {
        key.len() >= plan.key.len() && key.iter().zip(&plan.key).all(|(c, name)| c.name == *name)
    });
    if !still || plan.bounds.is_empty() {
        return Ok(None);
    }
    let bounds: Result<Vec<Vec<KeyValue>>, _> = plan
        .bounds
        .iter()
        .map(|bound| {
            bound
                .iter()
                .map(|v| serde_json::from_value(v.clone()))
                .collect()
        })
        .collect();
    let bounds = bounds.map_err(|error| Error::Document {
        what: format!("the plan of the dump, bounds of {}", def.name),
        message: error.to_string(),
    })?;
    Ok(Some(between(&plan.key, bounds)))
}

/// Walks the source's index and cuts it into ranges of about the same number of rows. Holds the
/// bounds only.
///
/// # Errors
/// Those of the server.
pub async fn walk(
    server: &Server,
    conn: &mut Conn,
    def: &TableDef,
    size: Size,
) -> Result<Vec<Range>> {
    let Some(key) = def.chunk_key() else {
        return Ok(vec![Range::default()]);
    };
    let names: Vec<String> = key.iter().map(|column| column.name.clone()).collect();
    let per_range = size.rows_per_range();
    let list: Vec<String> = key.iter().map(|column| select_expr(column)).collect();
    let order: Vec<String> = names.iter().map(|name| sql::ident(name)).collect();
    let mut bounds: Vec<Vec<KeyValue>> = Vec::new();
    let mut offset = per_range;
    // The estimate may be far off (a table never analysed says 0): only the walk itself knows.
    loop {
        let lower = bounds.last().map(Vec::as_slice);
        let condition = match range_predicate(&key, lower, None) {
            Some(predicate) => format!(" WHERE {predicate}"),
            None => String::new(),
        };
        let statement = format!(
            "SELECT {} FROM {}{condition} ORDER BY {} LIMIT 1 OFFSET {offset}",
            list.join(","),
            sql::qualified(&def.name),
            order.join(",")
        );
        let row: Option<Row> = conn
            .exec_first(statement, ())
            .await
            .map_err(|e| server.error(format!("find ranges of {}", def.name), e))?;
        let Some(row) = row else {
            return Ok(between(&names, bounds));
        };
        let values: Option<Vec<KeyValue>> = key
            .iter()
            .zip(row.unwrap())
            .map(|(column, value)| KeyValue::from_value(column, &value).ok())
            .collect();
        match values {
            // The key may be the beginning of one, with more equal values than a range holds.
            Some(values) if bounds.last() == Some(&values) => offset = offset.saturating_mul(2),
            Some(values) => {
                bounds.push(values);
                offset = per_range;
            }
            // A key value that no literal can name exactly: what is left is one range.
            None => return Ok(between(&names, bounds)),
        }
    }
}
