//! Cutting one table into chunks, by asking the server.
//!
//! Chunk i is the rows whose key lies in `[bound(i-1), bound(i))`, with the first and the last range
//! open. Bounds ascend in the order of the key's own comparison (the server gives them, in that
//! order), so every row lies in exactly one range, also one that is inserted after the cutting and
//! one with a key beyond what was there then. A bound may have fewer columns than the key: `(5)`
//! stands before every `(5, …)`.
//!
//! - An integer leading column is bisected with the server's estimates ([`crate::bounds`]): a few
//!   index dives for each chunk, no row is read. A single leading value that holds too much is cut
//!   by walking within it.
//! - Other keys are walked: `ORDER BY key LIMIT 1 OFFSET n` from the last bound, a scan of the
//!   index.
//! - A table without a usable key is one chunk.

use mysql_async::Conn;
use mysql_async::Row;
use mysql_async::prelude::Queryable;
use tideway_mysql::key::{self, KeyValue};
use tideway_mysql::schema::{ColumnDef, TableDef};
use tideway_mysql::sql;

use crate::bounds::{Bisection, Span, merge};
use crate::error::{Error, Result};
use crate::source::Source;

/// Bytes of a row when neither statistics nor rows tell.
const UNKNOWN_ROW: u64 = 256;

/// The cut of one table.
#[derive(Debug, Default)]
pub struct Cut {
    /// The columns of the bounds; empty for a table without a usable key.
    pub key: Vec<String>,
    /// Ascending bounds.
    pub bounds: Vec<Vec<KeyValue>>,
}

/// Rows that a chunk should hold.
#[must_use]
pub fn rows_per_chunk(rows: u64, bytes: u64, chunk_bytes: u64, asked: Option<u64>) -> u64 {
    let per_row = bytes.checked_div(rows).unwrap_or(UNKNOWN_ROW);
    asked.unwrap_or(chunk_bytes / per_row.max(16)).max(1)
}

/// Cuts `def` into chunks of about `target` rows.
///
/// # Errors
/// When the source cannot be read.
pub async fn cut(
    source: &Source,
    conn: &mut Conn,
    def: &TableDef,
    expected_rows: u64,
    target: u64,
) -> Result<Cut> {
    let Some(key) = def.chunk_key().filter(|key| !key.is_empty()) else {
        return Ok(Cut::default());
    };
    let cutter = Cutter {
        source,
        table: sql::qualified(&def.name),
        index: index_name(def, &key),
        key: &key,
        target,
    };
    let bounds = if key[0].ty.is_integer() {
        cutter.bisect(conn, expected_rows).await
    } else {
        cutter.walk(conn, None, None).await
    };
    let bounds = match bounds {
        // Dropped, renamed or altered since its definition was read: who reads the chunk finds that by
        // the definition's hash, and plans the table anew.
        Err(error) if is_changed(&error) => Vec::new(),
        bounds => bounds?,
    };
    Ok(Cut {
        key: key.iter().map(|col| col.name.clone()).collect(),
        bounds,
    })
}

/// Whether the server says that the table, a column or an index of the definition is not there.
fn is_changed(error: &Error) -> bool {
    const NO_DATABASE: u16 = 1049;
    const NO_COLUMN: u16 = 1054;
    const NO_TABLE: u16 = 1146;
    const NO_INDEX: u16 = 1176;
    let Error::Mysql(error) = error else {
        return false;
    };
    matches!(
        error.code(),
        Some(NO_DATABASE | NO_COLUMN | NO_TABLE | NO_INDEX)
    )
}

/// The index that the key's columns lead, for FORCE INDEX; the primary key when it does.
#[must_use]
pub fn index_name(def: &TableDef, key: &[&ColumnDef]) -> Option<String> {
    let leads = |parts: &[tideway_mysql::schema::KeyPart]| {
        parts.len() >= key.len()
            && parts
                .iter()
                .zip(key)
                .all(|(part, col)| part.column.as_deref() == Some(&col.name))
    };
    let mut keys: Vec<_> = def
        .keys
        .iter()
        .filter(|k| (k.primary || k.unique) && leads(&k.parts))
        .collect();
    keys.sort_by_key(|k| !k.primary);
    keys.first().map(|k| {
        if k.primary {
            "PRIMARY".to_owned()
        } else {
            k.name.clone()
        }
    })
}

struct Cutter<'a> {
    source: &'a Source,
    table: String,
    index: Option<String>,
    key: &'a [&'a ColumnDef],
    target: u64,
}

impl Cutter<'_> {
    fn force(&self) -> String {
        match &self.index {
            Some(index) => format!(" FORCE INDEX ({})", sql::ident(index)),
            None => String::new(),
        }
    }

    /// Bisects the leading integer column.
    async fn bisect(&self, conn: &mut Conn, expected_rows: u64) -> Result<Vec<Vec<KeyValue>>> {
        let column = sql::ident(&self.key[0].name);
        let range: Option<(Option<String>, Option<String>)> = conn
            .query_first(format!(
                "SELECT CAST(MIN({column}) AS CHAR), CAST(MAX({column}) AS CHAR) FROM {}",
                self.table
            ))
            .await
            .map_err(self.source.doing("reading the range of a key"))?;
        let Some((Some(min), Some(max))) = range else {
            return Ok(Vec::new());
        };
        let (Ok(min), Ok(max)) = (min.parse::<i128>(), max.parse::<i128>()) else {
            return self.walk(conn, None, None).await;
        };
        let mut bisection = Bisection::new(min, max, self.target, expected_rows);
        while let Some((low, high)) = bisection.question() {
            self.source.check_stop()?;
            let rows = self.estimate(conn, &column, low, high).await?;
            bisection.answer(rows);
        }
        let spans = merge(bisection.spans(), self.target);
        let mut bounds = Vec::new();
        for (index, span) in spans.iter().enumerate() {
            if index > 0 {
                bounds.push(vec![integer(span.low)]);
            }
            if span.low == span.high && self.key.len() > 1 && span.rows > self.target * 2 {
                bounds.extend(self.walk_within(conn, span).await?);
            }
        }
        Ok(bounds)
    }

    /// Bounds within one value of the leading column.
    async fn walk_within(&self, conn: &mut Conn, span: &Span) -> Result<Vec<Vec<KeyValue>>> {
        let lower = vec![integer(span.low)];
        let column = sql::ident(&self.key[0].name);
        let within = format!("{column} = {}", span.low);
        self.walk(conn, Some(lower), Some(&within)).await
    }

    /// Rows of an interval, by the optimizer's dives into the index. (USE INDEX, not FORCE: where
    /// an index is forced, MySQL does not dive.)
    async fn estimate(&self, conn: &mut Conn, column: &str, low: i128, high: i128) -> Result<u64> {
        let index = match &self.index {
            Some(index) => format!(" USE INDEX ({})", sql::ident(index)),
            None => String::new(),
        };
        let row: Option<Row> = conn
            .query_first(format!(
                "EXPLAIN FORMAT=TRADITIONAL SELECT 1 FROM {}{index} \
                 WHERE {column} >= {low} AND {column} <= {high}",
                self.table,
            ))
            .await
            .map_err(self.source.doing("estimating the rows of a range"))?;
        Ok(row.as_ref().map_or(0, estimated_rows))
    }

    /// Bounds every `target` rows from `from` on, in the order of the key, among the rows that meet
    /// `within`.
    async fn walk(
        &self,
        conn: &mut Conn,
        from: Option<Vec<KeyValue>>,
        within: Option<&str>,
    ) -> Result<Vec<Vec<KeyValue>>> {
        let columns: Vec<String> = self.key.iter().map(|col| key::select_expr(col)).collect();
        let order: Vec<String> = self.key.iter().map(|col| sql::ident(&col.name)).collect();
        let mut bounds: Vec<Vec<KeyValue>> = Vec::new();
        let mut last = from;
        let mut step = self.target;
        loop {
            self.source.check_stop()?;
            let mut conditions: Vec<String> =
                within.iter().map(|text| format!("({text})")).collect();
            if let Some(text) = key::range_predicate(self.key, last.as_deref(), None) {
                conditions.push(format!("({text})"));
            }
            let condition = match conditions.is_empty() {
                true => String::new(),
                false => format!(" WHERE {}", conditions.join(" AND ")),
            };
            let row: Option<Row> = conn
                .query_first(format!(
                    "SELECT {} FROM {}{}{condition} ORDER BY {} LIMIT 1 OFFSET {step}",
                    columns.join(","),
                    self.table,
                    self.force(),
                    order.join(","),
                ))
                .await
                .map_err(self.source.doing("walking along a key"))?;
            let Some(row) = row else {
                return Ok(bounds);
            };
            let bound = self.bound(row)?;
            if last.as_ref() == Some(&bound) {
                // The key is only a prefix of a unique one and this value has more rows than a
                // step: look further.
                step = step.saturating_mul(2);
                continue;
            }
            step = self.target;
            bounds.push(bound.clone());
            last = Some(bound);
        }
    }

    fn bound(&self, row: Row) -> Result<Vec<KeyValue>> {
        let values = self.key.iter().zip(row.unwrap());
        let bound: Result<Vec<KeyValue>, _> = values
            .map(|(col, value)| KeyValue::from_value(col, &value))
            .collect();
        bound.map_err(|error| Error::Key {
            table: self.table.clone(),
            error,
        })
    }
}

/// A value between -2^63 and 2^64: it came from the column, or from between two of its values.
fn integer(value: i128) -> KeyValue {
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => KeyValue::Int(value),
        (_, Ok(value)) => KeyValue::UInt(value),
        (Err(_), Err(_)) => KeyValue::Int(i64::MIN),
    }
}

/// The row estimate of an EXPLAIN: `rows` on MySQL and MariaDB, `estRows` on TiDB. NULL, as for an
/// impossible condition, is none.
fn estimated_rows(row: &Row) -> u64 {
    let column = row
        .columns_ref()
        .iter()
        .position(|col| matches!(col.name_str().as_ref(), "rows" | "estRows"));
    let text = column
        .and_then(|index| row.get_opt::<Option<String>, _>(index))
        .and_then(std::result::Result::ok)
        .flatten();
    let number = text
        .and_then(|text| text.parse::<f64>().ok())
        .unwrap_or(0.0);
    // Estimates lie far below 2^53; a float saturates when it is turned into an integer.
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_chunk() {
        assert_eq!(
            rows_per_chunk(1000, 200_000, 64 << 20, None),
            (64 << 20) / 200
        );
        assert_eq!(rows_per_chunk(0, 0, 64 << 20, None), (64 << 20) / 256);
        assert_eq!(rows_per_chunk(10, 80 << 20, 64 << 20, None), 8);
        assert_eq!(rows_per_chunk(1, 1 << 30, 64 << 20, None), 1);
        assert_eq!(rows_per_chunk(1000, 200_000, 64 << 20, Some(50)), 50);
    }
}
