//! One side of a comparison: a table on a server, and what is asked of it.

use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use tideway_mysql::checksum::{self, Compared, Hash};
use tideway_mysql::connect::Server;
use tideway_mysql::key::range_predicate;
use tideway_mysql::schema::{ColumnDef, TableDef};
use tideway_mysql::sql;
use tokio_util::sync::CancellationToken;

use crate::columns::Columns;
use crate::error::{Error, Result};
use crate::literal;
use crate::ranges::Range;

/// How rows are told apart within one comparison: the first half of their hash.
pub type RowId = [u8; 16];

/// Into how many parts the rows of a range can be split by their hash: three hexadecimal digits.
pub const BUCKETS: usize = 4096;

/// Count and sum of the hashes of some rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Number of rows.
    pub rows: u64,
    /// Exact sum of the first 64 bits of their hashes.
    pub hashes: u128,
}

impl Sum {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            hashes: self.hashes + other.hashes,
        }
    }
}

/// A row of which only the hash and the key were read.
#[derive(Debug, Clone)]
pub struct RowSeen {
    /// Hash over all columns.
    pub id: RowId,
    /// Hash over the columns that the server hashes.
    pub server: Hash,
    /// The key as SQL literals; empty unless asked for.
    pub key: Vec<String>,
}

/// A table on one side.
pub struct SideTable {
    /// Its server.
    pub server: Server,
    /// How errors and reports call the server.
    pub label: String,
    /// Its definition.
    pub def: TableDef,
    /// What is compared.
    pub columns: Arc<Columns>,
    /// The compared columns as this side defines them.
    pub own: Vec<ColumnDef>,
    /// Which rows take part (`--where` of the dump), at the source.
    pub filter: Option<String>,
    /// The SQL expression of a row's hash.
    row: String,
}

impl SideTable {
    /// The side of `columns` that `def` on `server` is.
    #[must_use]
    pub fn new(
        server: Server,
        label: String,
        def: TableDef,
        columns: Arc<Columns>,
        filter: Option<String>,
    ) -> Self {
        let own: Vec<ColumnDef> = columns
            .shared
            .iter()
            .filter_map(|c| def.column(&c.name).cloned())
            .collect();
        let compared: Vec<Compared<'_>> = columns
            .shared
            .iter()
            .zip(&own)
            .map(|(c, column)| Compared {
                column,
                compare: c.compare,
                nullable: c.nullable,
            })
            .collect();
        let row = checksum::row_expr(&compared);
        Self {
            server,
            label,
            def,
            columns,
            own,
            filter,
            row,
        }
    }

    /// The SQL expression of a row's hash, 64 hexadecimal digits.
    #[must_use]
    pub fn row_expr(&self) -> &str {
        &self.row
    }

    /// Indexes of the columns that are compared on the client.
    pub fn client_columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns
            .shared
            .iter()
            .enumerate()
            .filter(|(_, c)| c.compare.on_client())
            .map(|(i, _)| i)
    }

    /// The key's columns as this side defines them.
    #[must_use]
    pub fn key_columns(&self) -> Vec<&ColumnDef> {
        let key = self.columns.key.as_deref().unwrap_or_default();
        key.iter()
            .filter_map(|name| self.def.column(name))
            .collect()
    }

    /// A connection inside a transaction that sees one state of the table throughout.
    ///
    /// # Errors
    /// As [`Server::conn`].
    pub async fn begin(&self) -> Result<Conn> {
        let mut conn = self.server.conn().await?;
        for statement in [
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        ] {
            conn.query_drop(statement).await.map_err(|e| {
                self.server
                    .error(format!("begin reading {}", self.def.name), e)
            })?;
        }
        Ok(conn)
    }

    /// ` FROM table WHERE …` for a range, with a further condition.
    #[must_use]
    pub fn from_where(&self, range: &Range, condition: Option<&str>) -> String {
        let key: Option<Vec<&ColumnDef>> =
            range.key.iter().map(|name| self.def.column(name)).collect();
        let predicate = key
            .and_then(|key| range_predicate(&key, range.lower.as_deref(), range.upper.as_deref()));
        let all: Vec<String> = [self.filter.clone(), predicate, condition.map(str::to_owned)]
            .into_iter()
            .flatten()
            .map(|condition| format!("({condition})"))
            .collect();
        let mut text = format!(" FROM {}", sql::qualified(&self.def.name));
        if !all.is_empty() {
            text += " WHERE ";
            text += &all.join(" AND ");
        }
        text
    }

    /// Count and sum of a range: computed by the server, or, where columns must be compared on the
    /// client, from rows that stream by.
    ///
    /// # Errors
    /// Those of the server, or a stop.
    pub async fn sum(
        &self,
        conn: &mut Conn,
        range: &Range,
        stop: &CancellationToken,
    ) -> Result<Sum> {
        if self.client_columns().next().is_some() {
            let mut sum = Sum::default();
            self.rows(conn, range, None, false, stop, |row| {
                sum = sum.plus(one(&row.id));
            })
            .await?;
            return Ok(sum);
        }
        let statement = format!(
            "SELECT COUNT(*),CAST({} AS CHAR){}",
            checksum::sum_expr(&self.row),
            self.from_where(range, None)
        );
        let what = || format!("sum the rows of {}", self.def.name);
        let found: Option<(u64, Option<String>)> = conn
            .exec_first(statement, ())
            .await
            .map_err(|e| self.server.error(what(), e))?;
        let (rows, hashes) = found.unwrap_or_default();
        Ok(Sum {
            rows,
            hashes: self.number(hashes.as_deref(), &what())?,
        })
    }

    /// Count and sum of a range by the first three hexadecimal digits of the server's hash.
    ///
    /// # Errors
    /// Those of the server, or a stop.
    pub async fn buckets(
        &self,
        conn: &mut Conn,
        range: &Range,
        stop: &CancellationToken,
    ) -> Result<Vec<Sum>> {
        let mut sums = vec![Sum::default(); BUCKETS];
        if self.client_columns().next().is_some() {
            self.rows(conn, range, None, false, stop, |row| {
                let bucket = &mut sums[bucket(&row.server)];
                *bucket = bucket.plus(one(&row.id));
            })
            .await?;
            return Ok(sums);
        }
        let statement = format!(
            "SELECT SUBSTRING({row},1,3) AS bucket,COUNT(*),CAST({} AS CHAR){} GROUP BY bucket",
            checksum::sum_expr(&self.row),
            self.from_where(range, None),
            row = self.row,
        );
        let what = || format!("sum the rows of {} by their hash", self.def.name);
        let found: Vec<(String, u64, Option<String>)> = conn
            .exec(statement, ())
            .await
            .map_err(|e| self.server.error(what(), e))?;
        for (digits, rows, hashes) in found {
            let index = usize::from_str_radix(&digits, 16)
                .ok()
                .filter(|i| *i < BUCKETS);
            let Some(index) = index else {
                return Err(self.answer(&what(), format!("`{digits}` is no part of a hash")));
            };
            sums[index] = Sum {
                rows,
                hashes: self.number(hashes.as_deref(), &what())?,
            };
        }
        Ok(sums)
    }

    /// Streams the rows of a range, with their keys as literals when asked for. Holds one row.
    ///
    /// # Errors
    /// Those of the server, or a stop.
    pub async fn rows(
        &self,
        conn: &mut Conn,
        range: &Range,
        condition: Option<&str>,
        with_key: bool,
        stop: &CancellationToken,
        mut each: impl FnMut(RowSeen),
    ) -> Result<()> {
        let client: Vec<usize> = self.client_columns().collect();
        let keys = if with_key {
            self.key_columns()
        } else {
            Vec::new()
        };
        let mut list = vec![format!("UNHEX({})", self.row)];
        list.extend(client.iter().map(|i| sql::ident(&self.own[*i].name)));
        list.extend(keys.iter().map(|column| literal::select(column)));
        let statement = format!(
            "SELECT {}{}",
            list.join(","),
            self.from_where(range, condition)
        );
        let flavor = self.server.info().flavor;
        self.stream(conn, &statement, stop, |row| {
            let mut values = row.unwrap().into_iter();
            let server = self.hash(values.next().as_ref())?;
            let mut id = server;
            if !client.is_empty() {
                let digests = client.iter().map(|i| {
                    let value = values.next().unwrap_or(Value::NULL);
                    self.columns.shared[*i].compare.digest(flavor, &value)
                });
                id = checksum::row_hash(&server, digests);
            }
            let key = keys
                .iter()
                .zip(values)
                .map(|(column, value)| literal::write(column, flavor, &value))
                .collect();
            each(RowSeen {
                id: short(&id),
                server,
                key,
            });
            Ok(())
        })
        .await
    }

    /// Runs a statement by the binary protocol and hands over row after row.
    pub(crate) async fn stream(
        &self,
        conn: &mut Conn,
        statement: &str,
        stop: &CancellationToken,
        mut each: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        let error = |e| self.server.error(format!("read {}", self.def.name), e);
        let mut result = conn.exec_iter(statement, ()).await.map_err(error)?;
        while let Some(row) = result.next().await.map_err(error)? {
            if stop.is_cancelled() {
                return Err(Error::Stopped);
            }
            each(row)?;
        }
        Ok(())
    }

    /// A hash as the server sent it.
    pub(crate) fn hash(&self, value: Option<&Value>) -> Result<Hash> {
        if let Some(Value::Bytes(bytes)) = value
            && let Ok(hash) = Hash::try_from(bytes.as_slice())
        {
            return Ok(hash);
        }
        Err(self.answer(
            &format!("read {}", self.def.name),
            format!("{value:?} is no hash; is a row longer than max_allowed_packet?"),
        ))
    }

    fn number(&self, text: Option<&str>, what: &str) -> Result<u128> {
        checksum::read_sum(text).ok_or_else(|| {
            let found = text.unwrap_or_default();
            self.answer(
                what,
                format!(
                    "the sum of its hashes is {found}: some row is longer than the server's \
                     max_allowed_packet of {}; raise it",
                    self.server.info().max_allowed_packet
                ),
            )
        })
    }

    fn answer(&self, what: &str, message: String) -> Error {
        Error::Answer {
            at: self.label.clone(),
            what: what.to_owned(),
            message,
        }
    }
}

/// The first half of a hash.
#[must_use]
pub fn short(hash: &Hash) -> RowId {
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    id
}

/// Which of the [`BUCKETS`] a row lies in.
#[must_use]
pub fn bucket(server: &Hash) -> usize {
    usize::from(server[0]) << 4 | usize::from(server[1] >> 4)
}

fn one(id: &RowId) -> Sum {
    let mut first = [0; 8];
    first.copy_from_slice(&id[..8]);
    Sum {
        rows: 1,
        hashes: u128::from(u64::from_be_bytes(first)),
    }
}
