//! Rows by multi-row INSERT in strict mode: where `LOAD DATA` is refused, and where its counts do
//! not agree with what was sent. A statement that fails is repeated row by row, so that the error
//! names the row.

use arrow::record_batch::RecordBatch;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_mysql::info::Flavor;
use tideway_mysql::schema::ColumnDef;
use tideway_mysql::session::LENIENT_SQL_MODE;
use tideway_mysql::types::cells::Cells;
use tideway_mysql::types::literal::write_literal;
use tideway_mysql::types::load_text::LoadTextError;
use tideway_mysql::{Error, sql};

use crate::error::{LoadError, Result};
use crate::rows::Rows;
use crate::table::{Duplicates, TableTask};

/// Bytes of a statement to aim at.
const STATEMENT: usize = 1 << 20;

/// How much one transaction takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows.
    pub rows: u64,
    /// Bytes of statements.
    pub bytes: u64,
    /// The target's `max_allowed_packet`.
    pub packet: u64,
    /// Whether a row replaces another with the same key.
    pub replace: bool,
}

/// Inserts rows into the open transaction; how many, and how many others they replaced.
///
/// # Errors
/// The row that was refused, or a failure of target or store.
pub async fn insert(
    conn: &mut Conn,
    table: &TableTask,
    chunk: u32,
    rows: &mut Rows,
    flavor: Flavor,
    limits: &Limits,
) -> Result<(u64, u64)> {
    let (mut inserted, mut bytes, mut replaced) = (0, 0, 0);
    while inserted < limits.rows && bytes < limits.bytes {
        let Some(batch) = rows.next().await? else {
            break;
        };
        let mut writer = Writer {
            table,
            chunk,
            flavor,
            packet: limits.packet,
            replace: limits.replace,
            replaced: 0,
            batch: &batch,
        };
        let mut row = 0;
        while row < batch.num_rows() && inserted < limits.rows {
            let left = usize::try_from(limits.rows - inserted).unwrap_or(usize::MAX);
            let end = row.saturating_add(left).min(batch.num_rows());
            let (next, length) = writer.statement(conn, row, end).await?;
            inserted += (next - row) as u64;
            bytes += length as u64;
            row = next;
        }
        replaced += writer.replaced;
    }
    Ok((inserted, replaced))
}

struct Writer<'a> {
    table: &'a TableTask,
    chunk: u32,
    flavor: Flavor,
    packet: u64,
    replace: bool,
    replaced: u64,
    batch: &'a RecordBatch,
}

impl Writer<'_> {
    /// One INSERT of rows from `row` on, at most to `end`; where it stopped and its length.
    async fn statement(
        &mut self,
        conn: &mut Conn,
        row: usize,
        end: usize,
    ) -> Result<(usize, usize)> {
        let (text, next, invalid) = self.write(row, end)?;
        let length = text.len();
        if length as u64 >= self.packet {
            return Err(LoadError::Packet {
                table: self.table.target.clone(),
                chunk: self.chunk,
                key: self.key(row)?,
                bytes: length,
                limit: self.packet,
            });
        }
        if invalid > 0 {
            self.lenient(conn, &text, row, invalid).await?;
            return Ok((next, length));
        }
        match conn.query_drop(text).await {
            Ok(()) => self.check(conn, row, next).await?,
            Err(error) => {
                let error = Error::query(conn, format!("insert into {}", self.table.target), error);
                if error.retryable() {
                    return Err(error.into());
                }
                if next - row == 1 {
                    return Err(self.refused(row, error.to_string())?);
                }
                for single in row..next {
                    Box::pin(self.statement(conn, single, single + 1)).await?;
                }
            }
        }
        Ok((next, length))
    }

    /// Every row must have arrived, and no value bent: strict mode turns most bending into errors,
    /// but not the rounding of a decimal or the cutting of spaces.
    async fn check(&mut self, conn: &mut Conn, row: usize, next: usize) -> Result<()> {
        let affected = conn.affected_rows();
        let rows = (next - row) as u64;
        if self.replace {
            // A row that replaces others counts once for itself and once for each of them.
            self.replaced += affected.saturating_sub(rows);
        } else if affected != rows {
            return Err(LoadError::Counts {
                table: self.table.target.clone(),
                chunk: self.chunk,
                what: format!("{rows} rows were inserted and the target counts {affected}"),
            });
        }
        if conn.get_warnings() == 0 {
            return Ok(());
        }
        let warnings = self.warnings(conn).await?;
        match warnings.first() {
            Some((_, message)) => Err(self.refused(row, message.clone())?),
            None => Ok(()),
        }
    }

    /// Warnings that say that a value was changed.
    async fn warnings(&self, conn: &mut Conn) -> Result<Vec<(u16, String)>> {
        /// Truncated, out of range, incorrect value, data too long, invalid JSON and the like; what
        /// is deprecated or ignored is none of them.
        const BENT: &[u16] = &[
            1262, 1263, 1264, 1265, 1292, 1366, 1406, 1411, 1416, 1426, 3140,
        ];
        let all: Vec<(String, u16, String)> = conn
            .query("SHOW WARNINGS")
            .await
            .map_err(|error| Error::query(conn, "read warnings", error))?;
        Ok(all
            .into_iter()
            .filter(|(_, code, _)| BENT.contains(code))
            .map(|(_, code, message)| (code, message))
            .collect())
    }

    /// One row with invalid values of ENUM, which strict mode refuses: stored as they were outside
    /// it, if these are the only warnings.
    async fn lenient(&self, conn: &mut Conn, text: &str, row: usize, invalid: u64) -> Result<()> {
        let doing = format!("insert into {}", self.table.target);
        let lenient = format!(
            "SET @tideway_mode = @@SESSION.sql_mode, SESSION sql_mode = '{LENIENT_SQL_MODE}'"
        );
        let statements = [lenient.as_str(), text];
        for statement in statements {
            if let Err(error) = conn.query_drop(statement).await {
                let error = Error::query(conn, &doing, error);
                if error.retryable() {
                    return Err(error.into());
                }
                return Err(self.refused(row, error.to_string())?);
            }
        }
        let warnings = self.warnings(conn).await?;
        if warnings.len() as u64 != invalid {
            let message = warnings.first().map_or_else(
                || "counts of warnings differ".to_owned(),
                |(_, m)| m.clone(),
            );
            return Err(self.refused(row, message)?);
        }
        conn.query_drop("SET SESSION sql_mode = @tideway_mode")
            .await
            .map_err(|error| Error::query(conn, doing, error).into())
    }

    /// The statement's text, where its rows end, and how many invalid values of ENUM it holds (then
    /// it is of one row).
    fn write(&self, row: usize, end: usize) -> Result<(String, usize, u64)> {
        let bound = self
            .table
            .text
            .bind(self.batch)
            .map_err(|source| self.text(source))?;
        let columns = self.columns()?;
        let mut out = self.table.insert_sql(self.replace).to_owned().into_bytes();
        let mut at = row;
        let mut invalid = 0;
        while at < end && out.len() < STATEMENT {
            let warnings = bound.expected_warnings(at);
            if warnings > 0 && at > row {
                break;
            }
            if at > row {
                out.push(b',');
            }
            out.push(b'(');
            for (index, (column, cells)) in columns.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_literal(&column.ty, cells.get(at), self.flavor, &mut out);
            }
            out.push(b')');
            at += 1;
            if warnings > 0 {
                invalid = warnings;
                break;
            }
        }
        let text = String::from_utf8(out)
            .map_err(|error| LoadError::Internal(format!("INSERT is no UTF-8: {error}")))?;
        Ok((text, at, invalid))
    }

    fn columns(&self) -> Result<Vec<(&ColumnDef, Cells<'_>)>> {
        self.table
            .definition
            .stored_columns()
            .map(|column| {
                let array = self.batch.column_by_name(&column.name).ok_or_else(|| {
                    self.text(LoadTextError::MissingColumn {
                        column: column.name.clone(),
                    })
                })?;
                let cells = Cells::new(array.as_ref()).ok_or_else(|| {
                    self.text(LoadTextError::UnknownType {
                        column: column.name.clone(),
                        arrow_type: array.data_type().to_string(),
                    })
                })?;
                Ok((column, cells))
            })
            .collect()
    }

    fn text(&self, source: LoadTextError) -> LoadError {
        LoadError::Text {
            table: self.table.source.clone(),
            source,
        }
    }

    /// The key of a row, or the whole beginning of it where the table has none.
    fn key(&self, row: usize) -> Result<String> {
        let key = self.table.definition.row_key_columns();
        let columns = self.columns()?;
        let mut parts = Vec::new();
        for (column, cells) in &columns {
            let wanted = match &key {
                Some(key) => key.iter().any(|k| k.name == column.name),
                None => parts.len() < 8,
            };
            if wanted {
                let mut out = Vec::new();
                write_literal(&column.ty, cells.get(row), self.flavor, &mut out);
                let mut text = String::from_utf8_lossy(&out).into_owned();
                if text.len() > 120 {
                    text = text.chars().take(100).chain("…".chars()).collect();
                }
                parts.push(format!("{} = {text}", sql::ident(&column.name)));
            }
        }
        Ok(parts.join(", "))
    }

    fn refused(&self, row: usize, message: String) -> Result<LoadError> {
        let duplicate = message.contains("Duplicate") || message.contains("1062");
        let hint = if duplicate && self.table.duplicates != Duplicates::Error {
            "The dump was made with consistency none, so the row may have moved while it was read; \
             but the target table has, or had, rows of others too (another source table, \
             --into-existing), and REPLACE could overwrite those. Load into an empty table of its \
             own, or dump again with --consistency lock or flush"
        } else if duplicate {
            "Another row of the target has that key: find where it came from (two source tables in \
             one target table? a collation that finds the two equal?), mend it and run the load \
             again"
        } else if message.contains("8025") {
            "The row is larger than the target takes: raise tidb_txn_entry_size_limit (up to 120 \
             MiB) there and run the load again"
        } else {
            "Mend the target's definition so that it can hold the value, and run the load again"
        };
        Ok(LoadError::Row {
            table: self.table.target.clone(),
            chunk: self.chunk,
            key: self.key(row)?,
            message,
            hint,
        })
    }
}
