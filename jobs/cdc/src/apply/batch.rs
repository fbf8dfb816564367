//! A worker's batch of changes as few statements.
//!
//! Changes that share a key value keep their order; all others may go in any order within a
//! transaction. So each change gets a level, one above the highest of the earlier changes that it
//! shares a value with, and the changes of one level that do the same to the same table become one
//! statement with many rows. A batch in which no row is touched twice is one level.
//!
//! What is written how:
//!
//! | change | as it is | in safe mode |
//! | --- | --- | --- |
//! | insert | INSERT | write over |
//! | update, key unchanged | write over | write over |
//! | update, key changed | DELETE, then INSERT | DELETE, then write over |
//! | delete | DELETE | DELETE |
//!
//! *Write over* is `INSERT … ON DUPLICATE KEY UPDATE` where the target's only unique key is the one that
//! tells the rows apart, which keeps columns that the target alone has; elsewhere REPLACE, which also
//! removes the rows that stand in the way by another key. Where the target has columns of its own, or
//! foreign keys that act there, an update that changes the key is an UPDATE.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::change::{Change, Op, piece};
use super::table::Table;

/// Bytes of a statement, beyond which another one is begun.
const STATEMENT: usize = 1 << 20;

/// A statement.
#[derive(Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its text.
    pub sql: Vec<u8>,
    /// The number of its table.
    pub table: u64,
    /// Whether foreign keys must act.
    pub foreign_keys: bool,
    /// Whether it must run outside strict mode.
    pub lenient: bool,
    /// How many rows it must touch, where that is known.
    pub must_touch: Option<u64>,
}

/// What statements of one table and level do, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Delete,
    Insert,
    Replace,
    Upsert,
    One,
}

/// How a batch is put together.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether rows share statements.
    pub multiple_rows: bool,
    /// Whether several changes of a row become one.
    pub compact: bool,
    /// Treat every change as one that may have been applied before.
    pub safe: bool,
}

#[derive(Default)]
struct Group {
    table: Option<Arc<Table>>,
    rows: Vec<Vec<u8>>,
}

/// The statements of a batch, in order.
#[must_use]
pub fn statements(changes: &[Change], style: Style) -> Vec<Statement> {
    let mut levels: HashMap<u64, u32> = HashMap::with_capacity(changes.len());
    let mut groups: BTreeMap<(u32, Kind, bool, u64), Group> = BTreeMap::new();
    let (mut highest, mut floor) = (0, 0);
    let fates = fates(changes, style.compact);
    for (change, fate) in changes.iter().zip(fates) {
        if fate == Fate::Dropped {
            continue;
        }
        let table = &change.table;
        let mut level = change
            .keys
            .iter()
            .filter_map(|key| levels.get(key))
            .map(|level| level + 1)
            .max()
            .unwrap_or(0)
            .max(floor);
        if table.pinned() {
            level = level.max(highest + 1);
            floor = level;
        }
        highest = highest.max(level);
        for key in &change.keys {
            levels.insert(*key, level);
        }
        let mut add = |kind: Kind, row: Vec<u8>| {
            let group = groups
                .entry((level, kind, change.lenient, table.id))
                .or_default();
            group.table.get_or_insert_with(|| Arc::clone(table));
            group.rows.push(row);
        };
        let safe = (style.safe || change.safe || fate == Fate::Folded) && !table.keyless();
        let over = if table.upsert || table.ordered {
            Kind::Upsert
        } else {
            Kind::Replace
        };
        match &change.op {
            Op::Insert(tuple) if safe => add(over, tuple.clone()),
            Op::Insert(tuple) => add(Kind::Insert, tuple.clone()),
            Op::Update(tuple) => add(over, tuple.clone()),
            Op::Delete(key) => add(Kind::Delete, key.clone()),
            Op::Move { key, tuple, ends } => {
                if table.extra_columns || table.ordered {
                    let ignore = if safe { "IGNORE " } else { "" };
                    add(Kind::One, update(table, key, tuple, ends, ignore));
                    if safe {
                        // Moved before: it is there under its new key, and what has its former key is
                        // another row, which comes again behind this.
                        highest = highest.max(level) + 1;
                        let mut add = |kind: Kind, row: Vec<u8>| {
                            let key = (highest, kind, change.lenient, table.id);
                            let group = groups.entry(key).or_default();
                            group.table.get_or_insert_with(|| Arc::clone(table));
                            group.rows.push(row);
                        };
                        add(Kind::Delete, key.clone());
                        add(over, tuple.clone());
                        for key in &change.keys {
                            levels.insert(*key, highest);
                        }
                        if table.pinned() {
                            floor = highest;
                        }
                    }
                } else {
                    add(Kind::Delete, key.clone());
                    add(if safe { over } else { Kind::Insert }, tuple.clone());
                }
            }
            Op::Statement(sql) => add(Kind::One, sql.clone()),
        }
    }
    let mut out = Vec::new();
    for ((_, kind, lenient, _), group) in groups {
        if let Some(table) = group.table {
            join(&table, kind, &group.rows, (style, lenient), &mut out);
        }
    }
    out
}

/// What becomes of a change when several changes of a row become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is done.
    Kept,
    /// It is done in place of earlier ones, so the row may be there or not.
    Folded,
    /// A later one says what the row becomes.
    Dropped,
}

/// The last change of a row stands for those before it, where the row is known by one key alone: what
/// it writes is the whole row. A change of the key itself is not folded, nor anything over it.
fn fates(changes: &[Change], compact: bool) -> Vec<Fate> {
    let mut fates = vec![Fate::Kept; changes.len()];
    if !compact {
        return fates;
    }
    let mut last: HashMap<u64, usize> = HashMap::new();
    for (number, change) in changes.iter().enumerate() {
        let plain = matches!(change.op, Op::Insert(_) | Op::Update(_) | Op::Delete(_));
        match change.keys.as_slice() {
            [key] if plain && change.table.upsert && !change.table.pinned() => {
                if let Some(former) = last.insert(*key, number) {
                    if let Some(fate) = fates.get_mut(former) {
                        *fate = Fate::Dropped;
                    }
                    if let Some(fate) = fates.get_mut(number) {
                        *fate = Fate::Folded;
                    }
                }
            }
            keys => {
                for key in keys {
                    last.remove(key);
                }
            }
        }
    }
    fates
}

/// The rows of one group as statements of bounded size.
fn join(
    table: &Table,
    kind: Kind,
    rows: &[Vec<u8>],
    (style, lenient): (Style, bool),
    out: &mut Vec<Statement>,
) {
    if kind == Kind::One {
        out.extend(rows.iter().map(|sql| Statement {
            sql: sql.clone(),
            table: table.id,
            foreign_keys: table.ordered,
            lenient,
            must_touch: table.keyless().then_some(1),
        }));
        return;
    }
    let head = match kind {
        Kind::Insert | Kind::Upsert => "INSERT INTO ",
        Kind::Replace => "REPLACE INTO ",
        _ => "DELETE FROM ",
    };
    let mut head = format!("{head}{}", table.target_name());
    let tail = match kind {
        Kind::Delete => {
            head.push_str(&format!(" WHERE {} IN (", table.key_list()));
            ")".to_owned()
        }
        Kind::Upsert => {
            let sets: Vec<String> = table
                .columns
                .iter()
                .map(|c| format!("{}=VALUES({})", c.target, c.target))
                .collect();
            format!(" ON DUPLICATE KEY UPDATE {}", sets.join(","))
        }
        _ => String::new(),
    };
    if kind != Kind::Delete {
        head.push_str(&format!(" ({}) VALUES ", table.column_list()));
    }
    let mut sql: Vec<u8> = Vec::new();
    let mut finish = |sql: &mut Vec<u8>| {
        if !sql.is_empty() {
            sql.extend_from_slice(tail.as_bytes());
            out.push(Statement {
                sql: std::mem::take(sql),
                table: table.id,
                foreign_keys: table.ordered,
                lenient,
                must_touch: None,
            });
        }
    };
    for row in rows {
        if !sql.is_empty() && (!style.multiple_rows || sql.len() + row.len() > STATEMENT) {
            finish(&mut sql);
        }
        if sql.is_empty() {
            sql.extend_from_slice(head.as_bytes());
        } else {
            sql.push(b',');
        }
        sql.extend_from_slice(row);
    }
    finish(&mut sql);
}

/// `UPDATE t SET … WHERE key = …`.
fn update(table: &Table, key: &[u8], tuple: &[u8], ends: &[usize], ignore: &str) -> Vec<u8> {
    let mut sql = format!("UPDATE {ignore}{} SET ", table.target_name()).into_bytes();
    for (number, column) in table.columns.iter().enumerate() {
        if number > 0 {
            sql.push(b',');
        }
        sql.extend_from_slice(column.target.as_bytes());
        sql.push(b'=');
        sql.extend_from_slice(piece(tuple, ends, 1, number));
    }
    sql.extend_from_slice(format!(" WHERE {} = ", table.key_list()).as_bytes());
    sql.extend_from_slice(key);
    sql
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
