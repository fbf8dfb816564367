//! Row events: which rows of a table were inserted, updated, deleted.
//!
//! A statement's rows come in one or more events behind the table maps of the tables that it touches;
//! the last of them says that it is the last. The rows are read one at a time into a [`Row`] that is
//! used again, so nothing is allocated by a row.

use super::cursor::{Broken, Cursor, Read};
use super::error::Result;
use super::frame::{Event, Format};
use super::header::Kind;
use super::table_map::{Layout, TableMap, bit, table_id_bytes};
use super::value::{self, Value};

/// The statement has no further rows.
const FLAG_END: u16 = 0x1;
/// The after-image has JSON columns as differences.
const PARTIAL_JSON: u64 = 0x1;

/// What happened to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// They were inserted: each has an after-image.
    Insert,
    /// They were updated: each has both images.
    Update,
    /// They were deleted: each has a before-image.
    Delete,
}

/// The images of one row, a value for each column of the table map.
#[derive(Debug, Default)]
pub struct Row<'a> {
    /// The row as it was; empty for an insert.
    pub before: Vec<Value<'a>>,
    /// The row as it is now; empty for a delete.
    pub after: Vec<Value<'a>>,
}

/// A row event whose rows are read one by one.
#[derive(Debug, Clone)]
pub struct RowsEvent<'a> {
    /// What happened.
    pub change: Change,
    /// The number of the table map that the rows belong to.
    pub table_id: u64,
    /// Whether the statement has no further rows.
    pub last: bool,
    event: &'a Event,
    columns: usize,
    /// Columns that the before-image (of an insert: the only image) has.
    first: &'a [u8],
    /// Columns that the after-image of an update has.
    second: &'a [u8],
    partial: bool,
    rows: Cursor<'a>,
}

/// Whether an event of this kind has rows that [`RowsEvent::parse`] reads.
#[must_use]
pub fn has_rows(kind: Kind) -> bool {
    change(kind).is_some()
}

fn change(kind: Kind) -> Option<Change> {
    match kind {
        Kind::WRITE_ROWS | Kind::WRITE_ROWS_V1 => Some(Change::Insert),
        Kind::UPDATE_ROWS | Kind::UPDATE_ROWS_V1 | Kind::PARTIAL_UPDATE_ROWS => {
            Some(Change::Update)
        }
        Kind::DELETE_ROWS | Kind::DELETE_ROWS_V1 => Some(Change::Delete),
        _ => None,
    }
}

impl<'a> RowsEvent<'a> {
    /// Reads what stands before the rows.
    ///
    /// # Errors
    /// When the event is damaged, or has no rows.
    pub fn parse(event: &'a Event, format: &Format) -> Result<Self> {
        read(event, format).map_err(|broken| event.broken(broken.0))
    }

    /// Reads the next row; `false` behind the last one.
    ///
    /// # Errors
    /// When the row is damaged, or the table map is another table's.
    pub fn next(&mut self, map: &TableMap, row: &mut Row<'a>) -> Result<bool> {
        self.read_row(map, row)
            .map_err(|broken| self.event.broken(broken.0))
    }

    fn read_row(&mut self, map: &TableMap, row: &mut Row<'a>) -> Read<bool> {
        row.before.clear();
        row.after.clear();
        if self.rows.is_empty() {
            return Ok(false);
        }
        if map.columns.len() != self.columns || map.id != self.table_id {
            return Err(Broken(format!(
                "its rows are of table {} with {} columns, the table map before it is of table {} \
                 with {}",
                self.table_id,
                self.columns,
                map.id,
                map.columns.len()
            )));
        }
        let left = self.rows.left();
        let rows = &mut self.rows;
        match self.change {
            Change::Insert => image(&map.columns, self.first, None, rows, &mut row.after)?,
            Change::Delete => image(&map.columns, self.first, None, rows, &mut row.before)?,
            Change::Update => {
                image(&map.columns, self.first, None, rows, &mut row.before)?;
                let partial = if self.partial {
                    differences(&map.columns, rows)?
                } else {
                    None
                };
                image(&map.columns, self.second, partial, rows, &mut row.after)?;
            }
        }
        if self.rows.left() == left {
            return Err(Broken::new("a row has no bytes"));
        }
        Ok(true)
    }
}

fn read<'a>(event: &'a Event, format: &Format) -> Read<RowsEvent<'a>> {
    let kind = event.header.kind;
    let Some(change) = change(kind) else {
        return Err(Broken::new("it has no rows"));
    };
    let mut cursor = Cursor::new(event.body());
    let table_id = cursor.uint(table_id_bytes(format, kind))?;
    let flags = cursor.u16()?;
    let old = matches!(
        kind,
        Kind::WRITE_ROWS_V1 | Kind::UPDATE_ROWS_V1 | Kind::DELETE_ROWS_V1
    );
    if !old {
        // Of NDB and of partitions; the length counts itself.
        let Some(extra) = cursor.u16()?.checked_sub(2) else {
            return Err(Broken::new("its extra data is shorter than its own length"));
        };
        cursor.take(usize::from(extra))?;
    }
    let columns = usize::try_from(cursor.packed()?).unwrap_or(usize::MAX);
    let first = cursor.take(columns.div_ceil(8))?;
    let second = if change == Change::Update {
        cursor.take(columns.div_ceil(8))?
    } else {
        &[]
    };
    Ok(RowsEvent {
        change,
        table_id,
        last: flags & FLAG_END != 0,
        event,
        columns,
        first,
        second,
        partial: kind == Kind::PARTIAL_UPDATE_ROWS,
        rows: cursor,
    })
}

/// Which JSON columns of an after-image are differences: a bit for each JSON column of the table.
fn differences<'a>(columns: &[Layout], rows: &mut Cursor<'a>) -> Read<Option<&'a [u8]>> {
    if rows.packed()? & PARTIAL_JSON == 0 {
        return Ok(None);
    }
    let is_json = |column: &&Layout| matches!(column, Layout::Json { .. });
    let documents = columns.iter().filter(is_json).count();
    rows.take(documents.div_ceil(8)).map(Some)
}

/// Reads one image: a bit for each column that is there and NULL, then the values of the others.
fn image<'a>(
    columns: &[Layout],
    present: &[u8],
    partial: Option<&[u8]>,
    rows: &mut Cursor<'a>,
    into: &mut Vec<Value<'a>>,
) -> Read<()> {
    let there = (0..columns.len())
        .filter(|column| bit(present, *column))
        .count();
    let nulls = rows.take(there.div_ceil(8))?;
    let (mut index, mut documents) = (0, 0);
    for (column, layout) in columns.iter().enumerate() {
        let document = matches!(layout, Layout::Json { .. });
        let difference = document && partial.is_some_and(|partial| bit(partial, documents));
        documents += usize::from(document);
        if !bit(present, column) {
            into.push(Value::Absent);
            continue;
        }
        let null = bit(nulls, index);
        index += 1;
        into.push(if null {
            Value::Null
        } else {
            match value::read(*layout, rows)? {
                Value::Json(bytes) if difference => Value::JsonDiff(bytes),
                value => value,
            }
        });
    }
    Ok(())
}
