//! Row changes as the workers carry them: already text of SQL, so that a worker only joins them.

use std::sync::Arc;

use tideway_mysql::binlog::rows;
use tideway_mysql::binlog::value::Value;
use tideway_mysql::info::Flavor;
use tideway_mysql::row::{self, ValueError};
use tokio::sync::OwnedSemaphorePermit;

use super::checkpoint::Keyless;
use super::keys;
use super::table::Table;

/// A change of one row.
#[derive(Debug)]
pub struct Change {
    /// Its table.
    pub table: Arc<Table>,
    /// What to do.
    pub op: Op,
    /// Numbers of the key values that it touches.
    pub keys: Vec<u64>,
    /// Whether it may have been applied before.
    pub safe: bool,
    /// Whether strict mode refuses a value of it (an invalid member of ENUM).
    pub lenient: bool,
    /// Where it stands; only asked for in tables without a key.
    pub at: Keyless,
    /// Its share of the memory, given back when it is committed.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// What is to be done with a row; all values are literals.
#[derive(Debug, PartialEq, Eq)]
pub enum Op {
    /// Insert `(…)`.
    Insert(Vec<u8>),
    /// Write `(…)` over the row of the same key.
    Update(Vec<u8>),
    /// The row of this key becomes `(…)`, which has another key. `ends` are where the values end.
    Move {
        /// The former key.
        key: Vec<u8>,
        /// The row.
        tuple: Vec<u8>,
        /// Where each value of the row ends.
        ends: Vec<usize>,
    },
    /// Delete the row of this key.
    Delete(Vec<u8>),
    /// A whole statement that must touch one row: of a table without a key.
    Statement(Vec<u8>),
}

impl Change {
    /// Bytes that it holds, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let text = match &self.op {
            Op::Insert(text) | Op::Update(text) | Op::Delete(text) | Op::Statement(text) => {
                text.len()
            }
            Op::Move { key, tuple, ends } => key.len() + tuple.len() + ends.len() * 8,
        };
        text + self.keys.len() * 8 + 160
    }
}

/// Makes changes out of rows; what it allocates is used again.
#[derive(Debug)]
pub struct Encoder {
    flavor: Flavor,
    ends: Vec<usize>,
    former: Vec<u8>,
    former_ends: Vec<usize>,
    scratch: Vec<u8>,
}

impl Encoder {
    /// For a target of this flavour.
    #[must_use]
    pub fn new(flavor: Flavor) -> Self {
        Self {
            flavor,
            ends: Vec::new(),
            former: Vec::new(),
            former_ends: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The change that a row event tells of. `at` and `permit` are the caller's to fill in.
    ///
    /// # Errors
    /// When a value cannot be written; the error names the column.
    pub fn change(
        &mut self,
        table: &Arc<Table>,
        kind: rows::Change,
        images: &rows::Row<'_>,
        safe: bool,
    ) -> Result<Change, ValueError> {
        let mut keys = Vec::with_capacity(table.unique.len());
        for image in [&images.before, &images.after] {
            if !image.is_empty() {
                keys::of_row(table, image, &mut self.scratch, &mut keys)?;
            }
        }
        let op = if table.keyless() && kind != rows::Change::Insert {
            Op::Statement(self.statement(table, kind, images)?)
        } else {
            match kind {
                rows::Change::Insert => Op::Insert(self.tuple(table, &images.after)?),
                rows::Change::Delete => {
                    self.former_key(table, &images.before)?;
                    Op::Delete(key_text(table, &self.former, &self.former_ends))
                }
                rows::Change::Update => self.update(table, images)?,
            }
        };
        Ok(Change {
            table: Arc::clone(table),
            op,
            keys,
            safe,
            lenient: images
                .after
                .iter()
                .any(|value| matches!(value, Value::Enum(0)))
                && table.columns.iter().any(|column| {
                    images
                        .after
                        .get(column.image)
                        .is_some_and(|value| row::is_invalid_member(&column.def, value))
                }),
            at: Keyless::default(),
            permit: None,
        })
    }

    fn update(&mut self, table: &Table, row: &rows::Row<'_>) -> Result<Op, ValueError> {
        let tuple = self.tuple(table, &row.after)?;
        self.former_key(table, &row.before)?;
        let same = table.key.iter().enumerate().all(|(number, &column)| {
            piece(&tuple, &self.ends, 1, column)
                == piece(&self.former, &self.former_ends, 0, number)
        });
        Ok(if same {
            Op::Update(tuple)
        } else {
            Op::Move {
                key: key_text(table, &self.former, &self.former_ends),
                tuple,
                ends: self.ends.clone(),
            }
        })
    }

    /// `(…)`: the row; `self.ends` says where its values end.
    fn tuple(&mut self, table: &Table, image: &[Value<'_>]) -> Result<Vec<u8>, ValueError> {
        let mut text = Vec::with_capacity(table.columns.len() * 12);
        self.ends.clear();
        text.push(b'(');
        for column in &table.columns {
            let value = image.get(column.image).unwrap_or(&Value::Absent);
            row::write_literal(&column.def, value, self.flavor, &mut text)?;
            self.ends.push(text.len());
            text.push(b',');
        }
        text.pop();
        text.push(b')');
        Ok(text)
    }

    /// The values of the row's key, one after another, in `self.former`.
    fn former_key(&mut self, table: &Table, image: &[Value<'_>]) -> Result<(), ValueError> {
        self.former.clear();
        self.former_ends.clear();
        for column in table.key.iter().filter_map(|&i| table.columns.get(i)) {
            let value = image.get(column.image).unwrap_or(&Value::Absent);
            row::write_literal(&column.def, value, self.flavor, &mut self.former)?;
            self.former_ends.push(self.former.len());
            self.former.push(b',');
        }
        Ok(())
    }

    /// `UPDATE … LIMIT 1` or `DELETE … LIMIT 1` of a row that is found by all its values.
    fn statement(
        &mut self,
        table: &Table,
        kind: rows::Change,
        row: &rows::Row<'_>,
    ) -> Result<Vec<u8>, ValueError> {
        let mut text = Vec::new();
        if kind == rows::Change::Update {
            text.extend_from_slice(format!("UPDATE {} SET ", table.target_name()).as_bytes());
            for (number, column) in table.columns.iter().enumerate() {
                if number > 0 {
                    text.push(b',');
                }
                text.extend_from_slice(column.target.as_bytes());
                text.push(b'=');
                let value = row.after.get(column.image).unwrap_or(&Value::Absent);
                row::write_literal(&column.def, value, self.flavor, &mut text)?;
            }
        } else {
            text.extend_from_slice(format!("DELETE FROM {}", table.target_name()).as_bytes());
        }
        for (number, column) in table.columns.iter().enumerate() {
            text.extend_from_slice(if number == 0 { b" WHERE " } else { b" AND " });
            let value = row.before.get(column.image).unwrap_or(&Value::Absent);
            row::write_equals(&column.def, &column.name, value, self.flavor, &mut text)?;
        }
        text.extend_from_slice(b" LIMIT 1");
        Ok(text)
    }
}

/// The key as the right side of a comparison.
fn key_text(table: &Table, former: &[u8], ends: &[usize]) -> Vec<u8> {
    let values = former.get(..ends.last().copied().unwrap_or(0));
    let values = values.unwrap_or_default();
    if table.key.len() == 1 {
        return values.to_vec();
    }
    let mut text = Vec::with_capacity(values.len() + 2);
    text.push(b'(');
    text.extend_from_slice(values);
    text.push(b')');
    text
}

/// The value of this number, in text whose first value begins at `begin`; a byte lies between two.
#[must_use]
pub fn piece<'a>(text: &'a [u8], ends: &[usize], begin: usize, number: usize) -> &'a [u8] {
    let from = match number.checked_sub(1) {
        Some(before) => ends.get(before).map_or(begin, |end| end + 1),
        None => begin,
    };
    let to = ends.get(number).copied().unwrap_or(from);
    text.get(from..to).unwrap_or_default()
}
