//! Row events: which table, whether its rows are wanted, and each row to the workers.

use std::sync::Arc;

use mysql_async::Conn;
use tideway_mysql::binlog::frame::Format;
use tideway_mysql::binlog::metadata::Metadata;
use tideway_mysql::binlog::rows::{self, Row, RowsEvent};
use tideway_mysql::binlog::table_map::TableMap;
use tideway_mysql::binlog::value::Value;
use tideway_mysql::binlog::{Event, Kind, compressed, definition, json_diff};
use tideway_mysql::row::ValueError;
use tideway_mysql::schema::{self, ColumnDef, TableDef, TableName};

use super::applier::{Applier, Mapped};
use super::checkpoint::Keyless;
use super::error::{Error, Result};
use super::filters::Verdict;
use super::table::{Table, logs_cascades};

impl Applier<'_> {
    /// Whether [`Applier::rows_event`] is for events of this kind.
    pub(super) fn is_of_rows(&self, kind: Kind) -> bool {
        kind == Kind::TABLE_MAP || rows::has_rows(kind) || is_compressed(kind)
    }

    /// Applies a table map or rows. Rows of an XA transaction wait for its commit.
    pub(super) async fn rows_event(&mut self, event: &Event, format: &Format) -> Result<()> {
        if self
            .transaction
            .as_ref()
            .is_some_and(|t| t.xa.is_some() || t.dumped)
        {
            return Ok(());
        }
        if event.header.kind == Kind::TABLE_MAP {
            let map = TableMap::parse(event, format).map_err(|error| self.damaged(error))?;
            let table = match self.wanted(&map).await? {
                Some(table) => {
                    self.check_map(&map, &table, event, format)?;
                    Some(table)
                }
                None => None,
            };
            let history = table
                .as_ref()
                .and_then(|table| definition::history_column(&map, &table.def));
            let mapped = Mapped {
                table,
                history,
                map,
            };
            self.maps.insert(mapped.map.id, mapped);
            return Ok(());
        }
        if is_compressed(event.header.kind) {
            let limit = self.set.event_limit;
            let unpacked = compressed::unpack_rows(event, format, limit)
                .map_err(|error| self.damaged(error))?;
            return match unpacked {
                Some(unpacked) => self.rows(&unpacked, format).await,
                None => Ok(()),
            };
        }
        self.rows(event, format).await
    }

    async fn rows(&mut self, event: &Event, format: &Format) -> Result<()> {
        let mut rows = RowsEvent::parse(event, format).map_err(|error| self.damaged(error))?;
        let Some(mapped) = self.maps.remove(&rows.table_id) else {
            return Err(self.unsupported(format!(
                "rows of table {} without its table map: a segment is damaged",
                rows.table_id
            )));
        };
        let result = self.each_row(&mapped, &mut rows).await;
        let last = rows.last;
        self.maps.insert(rows.table_id, mapped);
        result?;
        if last {
            // Numbers of tables are given anew by each statement.
            self.maps.clear();
        }
        Ok(())
    }

    async fn each_row<'e>(&mut self, mapped: &Mapped, rows: &mut RowsEvent<'e>) -> Result<()> {
        let Some(table) = &mapped.table else {
            return Ok(());
        };
        match self.filters.rows(&table.source, rows.change) {
            Verdict::Pass => {}
            Verdict::Leave => return Ok(()),
            Verdict::Stop => {
                let what = format!("a filter stops the task at {:?} rows", rows.change);
                return Err(self.table_error(&table.source, what));
            }
        }
        let mut row = Row::default();
        let mut count = 0;
        while rows
            .next(&mapped.map, &mut row)
            .map_err(|error| self.damaged(error))?
        {
            count += 1;
            if mapped.is_history(&row) {
                continue;
            }
            self.one_row(table, rows.change, &row).await?;
        }
        self.totals().rows += count;
        self.progress.add_rows(count);
        Ok(())
    }

    async fn one_row(
        &mut self,
        table: &Arc<Table>,
        kind: rows::Change,
        row: &Row<'_>,
    ) -> Result<()> {
        let (at, safe) = match &mut self.transaction {
            Some(transaction) => {
                transaction.rows += 1;
                transaction.sent += 1;
                let at = Keyless {
                    place: transaction.begin,
                    rows: transaction.rows,
                };
                (at, transaction.safe)
            }
            None => {
                return Err(self.unsupported(
                    "rows outside of a transaction: a segment is damaged".to_owned(),
                ));
            }
        };
        if table.keyless() && at <= self.keyless {
            return Ok(());
        }
        let mut documents = Vec::new();
        let rebuilt = rebuild(table, row, &mut documents);
        let mut change = match &rebuilt {
            Ok(None) => self.encoder.change(table, kind, row, safe),
            Ok(Some(after)) => {
                let row = Row {
                    before: row.before.clone(),
                    after: after.iter().map(|part| part.value(&documents)).collect(),
                };
                self.encoder.change(table, kind, &row, safe)
            }
            Err(error) => Err(error.clone()),
        }
        .map_err(|error| self.bad_value(&table.source, &error))?;
        change.at = at;
        self.dispatcher.send(change).await
    }

    fn bad_value(&self, table: &TableName, error: &ValueError) -> Error {
        self.table_error(table, error.to_string())
    }

    pub(super) fn table_error(&self, table: &TableName, what: String) -> Error {
        Error::Table {
            source_id: self.id().to_owned(),
            at: Box::new(self.position.clone()),
            table: Box::new(table.clone()),
            what,
        }
    }

    /// How the rows of a table map are written; `None` when they are not wanted.
    async fn wanted(&mut self, map: &TableMap) -> Result<Option<Arc<Table>>> {
        let name = &map.name;
        if !self.set.source.filter.includes(&name.schema, &name.table) {
            return Ok(None);
        }
        let Some(transaction) = &self.transaction else {
            return Ok(None);
        };
        let Some(known) = self.catalog.get(name) else {
            // Whether the dump may have been looking is settled when its time is over.
            if self.in_dump_window() {
                if self.catalog.vanish(name) {
                    tracing::info!(
                        source = self.id(),
                        "{name} has rows here and was gone when the dump looked: left out"
                    );
                }
                return Ok(None);
            }
            return Err(self.table_error(
                name,
                "neither the dump nor a DDL of the binlog told of it. Was it made while \
                 sql_log_bin was off? Create it at the target, and dump the source again"
                    .to_owned(),
            ));
        };
        let old = known.ignore.is_some_and(|last| transaction.begin <= last);
        let dumped = known
            .dumped
            .as_ref()
            .is_some_and(|mark| mark.covers(&transaction.spot));
        if old || dumped {
            return Ok(None);
        }
        let table = match &known.plan {
            Some(plan) => Arc::clone(plan),
            None => self.plan_table(name).await?,
        };
        Ok(Some(table))
    }

    /// Checks a table map against the definition, unless it equals the last one that was.
    fn check_map(
        &mut self,
        map: &TableMap,
        table: &Arc<Table>,
        event: &Event,
        format: &Format,
    ) -> Result<()> {
        if let Some(former) = self.checked.get(&table.id)
            && former.columns == map.columns
            && former.types == map.types
            && former.metadata == map.metadata
        {
            return Ok(());
        }
        let metadata = Metadata::parse(map, event, format).map_err(|error| self.damaged(error))?;
        definition::matches(map, &metadata, &table.def).map_err(|mismatch| {
            self.table_error(
                &table.source,
                format!(
                    "{mismatch}. A DDL may have run while sql_log_bin was off: dump the source again \
                     (`tideway cleanup` first)"
                ),
            )
        })?;
        self.checked.insert(table.id, map.clone());
        Ok(())
    }

    /// Whether what comes now may lie before something that the dump noted.
    pub(super) fn in_dump_window(&self) -> bool {
        let spot = self.transaction.as_ref().map(|t| &t.spot);
        spot.is_some_and(|spot| {
            self.catalog
                .iter()
                .filter_map(|known| known.defined.as_ref())
                .chain(self.dump.end.as_ref())
                .chain(self.dump.exact.as_ref())
                .any(|mark| mark.may_cover(spot))
        })
    }

    /// Reads the target's table and plans how rows go there.
    async fn plan_table(&mut self, name: &TableName) -> Result<Arc<Table>> {
        let router = &self.set.source.router;
        let (schema, table) = router.route(&name.schema, &name.table)?;
        let target = TableName::new(schema, table);
        let info = self.set.target.info().clone();
        let conn = self.control_conn().await?;
        let at_target = read_target(conn, &info, &target).await?;
        let Some(at_target) = at_target else {
            return Err(self.table_error(
                name,
                format!("the target has no table {target}. Create it there, and run this again"),
            ));
        };
        let ordered = self.cascades(&at_target).await?;
        let id = self.next_table;
        self.next_table += 1;
        let Some(known) = self.catalog.get_mut(name) else {
            return Err(Error::Stopped);
        };
        let def = Arc::clone(&known.def);
        let images: Vec<&ColumnDef> = def.columns.iter().collect();
        let planned = Table::plan(id, &def, &at_target, &images, ordered);
        match planned {
            Ok(planned) => {
                let planned = Arc::new(planned);
                known.plan = Some(Arc::clone(&planned));
                Ok(planned)
            }
            Err(what) => Err(self.table_error(name, what)),
        }
    }

    /// Whether foreign keys change rows of a target table, or rows of others through it, in ways that the
    /// source's binlog does not tell.
    async fn cascades(&mut self, at_target: &TableDef) -> Result<bool> {
        let version = (self.version.major, self.version.minor);
        if logs_cascades(self.set.flavor, version) {
            return Ok(false);
        }
        if at_target.foreign_keys.iter().any(acts) {
            return Ok(true);
        }
        let name = at_target.name.clone();
        let conn = self.control_conn().await?;
        schema::acts_on_others(conn, &name)
            .await
            .map_err(Error::Server)
    }
}

/// The ends of the lives of rows that live: the largest TIMESTAMP before MariaDB 11.5, and since.
const ALIVE: [u32; 2] = [0x7fff_ffff, 0xffff_ffff];

impl Mapped {
    /// Whether a row is the history of another one, which the target does not have.
    fn is_history(&self, row: &Row<'_>) -> bool {
        let image = if row.after.is_empty() {
            &row.before
        } else {
            &row.after
        };
        match self.history.and_then(|end| image.get(end)) {
            Some(Value::Timestamp { seconds, .. }) => !ALIVE.contains(seconds),
            _ => false,
        }
    }
}

/// Whether a foreign key changes rows by itself.
fn acts(key: &schema::ForeignKey) -> bool {
    [&key.on_delete, &key.on_update]
        .iter()
        .any(|rule| matches!(rule.to_ascii_uppercase().as_str(), "CASCADE" | "SET NULL"))
}

async fn read_target(
    conn: &mut Conn,
    info: &tideway_mysql::info::ServerInfo,
    name: &TableName,
) -> Result<Option<TableDef>> {
    Ok(schema::read_table(conn, info, name).await?)
}

fn is_compressed(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::WRITE_ROWS_COMPRESSED | Kind::UPDATE_ROWS_COMPRESSED | Kind::DELETE_ROWS_COMPRESSED
    )
}

/// A value of a row, or the number of a document that was made for it.
enum Part<'a> {
    As(Value<'a>),
    Made(usize),
}

impl<'a> Part<'a> {
    fn value(&self, documents: &'a [Vec<u8>]) -> Value<'a> {
        match self {
            Self::As(value) => *value,
            Self::Made(number) => Value::Json(
                documents
                    .get(*number)
                    .map(Vec::as_slice)
                    .unwrap_or_default(),
            ),
        }
    }
}

/// The after-image with its JSON differences applied to the documents before; `None`: there are none.
fn rebuild<'a>(
    table: &Table,
    row: &Row<'a>,
    documents: &mut Vec<Vec<u8>>,
) -> Result<Option<Vec<Part<'a>>>, ValueError> {
    if !row.after.iter().any(|v| matches!(v, Value::JsonDiff(_))) {
        return Ok(None);
    }
    let mut parts = Vec::with_capacity(row.after.len());
    for (index, value) in row.after.iter().enumerate() {
        parts.push(match value {
            Value::JsonDiff(diff) => {
                let before = row.before.get(index).unwrap_or(&Value::Absent);
                let column = table.def.columns.get(index);
                let column = column.map_or("?", |column| column.name.as_str());
                let Value::Json(before) = before else {
                    return Err(ValueError::Difference {
                        column: column.to_owned(),
                    });
                };
                let document =
                    json_diff::apply(before, diff).map_err(|what| ValueError::Damaged {
                        column: column.to_owned(),
                        what,
                    })?;
                documents.push(document);
                Part::Made(documents.len() - 1)
            }
            value => Part::As(*value),
        });
    }
    Ok(Some(parts))
}
