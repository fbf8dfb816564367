//! Asking for metadata: bounded in time, rows read by name without panics.

use mysql_async::prelude::{FromValue, Queryable};
use mysql_async::{Conn, Row, Value};

use crate::connect::{METADATA_LIMIT, within};
use crate::error::{self, Error, Result};

/// One row of an answer.
pub(crate) struct Answer {
    row: Row,
}

/// All rows of `sql`.
pub(crate) async fn all(conn: &mut Conn, what: &str, sql: &str) -> Result<Vec<Answer>> {
    let at = error::label(conn);
    within(&at, METADATA_LIMIT, what, async {
        let rows: Vec<Row> = conn
            .query(sql)
            .await
            .map_err(|e| Error::classify(at.clone(), what, e))?;
        Ok(rows.into_iter().map(|row| Answer { row }).collect())
    })
    .await
}

/// The first row of `sql`, if there is one.
pub(crate) async fn first(conn: &mut Conn, what: &str, sql: &str) -> Result<Option<Answer>> {
    Ok(all(conn, what, sql).await?.into_iter().next())
}

/// The first row of `sql`, or `None` when the server refuses it with one of `codes` (an unknown
/// variable, no such table).
pub(crate) async fn first_unless(
    conn: &mut Conn,
    what: &str,
    sql: &str,
    codes: &[u16],
) -> Result<Option<Answer>> {
    match first(conn, what, sql).await {
        Err(error) if error.code().is_some_and(|code| codes.contains(&code)) => Ok(None),
        other => other,
    }
}

impl Answer {
    /// The value of a column, as text; `None` for NULL and for a column that is not there.
    pub(crate) fn text(&self, column: &str) -> Option<String> {
        self.row
            .columns_ref()
            .iter()
            .position(|c| c.name_str().eq_ignore_ascii_case(column))
            .and_then(|index| self.text_at(index))
    }

    /// The value at a place, as text.
    pub(crate) fn text_at(&self, index: usize) -> Option<String> {
        match self.row.as_ref(index)? {
            Value::NULL => None,
            // Names are UTF-8 in our sessions; a byte that is not is shown, not hidden.
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            other => Some(String::from_value(Value::Bytes(
                other.as_sql(true).trim_matches('\'').as_bytes().to_vec(),
            ))),
        }
    }

    /// The value of a column as text, empty for NULL.
    pub(crate) fn text_or_empty(&self, column: &str) -> String {
        self.text(column).unwrap_or_default()
    }

    /// The value of a column as a number; 0 for NULL and for what is no whole number from 0 on.
    pub(crate) fn number(&self, column: &str) -> u64 {
        self.text(column)
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    }

    /// Whether a value is `1`, `ON`, `YES` or `TRUE`.
    pub(crate) fn flag(&self, column: &str) -> bool {
        self.text(column).is_some_and(|text| {
            ["1", "on", "yes", "true"]
                .iter()
                .any(|yes| text.eq_ignore_ascii_case(yes))
        })
    }
}
