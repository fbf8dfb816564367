//! Definitions of foreign keys.

use super::super::cursor::{Cursor, Name};
use super::Why;
use super::key::{KeyKind, NewKey, NewPart, columns};
use crate::schema::{ForeignKey, TableDef, TableName};

/// A foreign key as a statement defines it.
#[derive(Debug, Clone)]
pub(super) struct NewForeignKey {
    pub(super) name: Option<String>,
    /// The name behind FOREIGN KEY.
    pub(super) index: Option<String>,
    pub(super) columns: Vec<String>,
    to: Name,
    to_columns: Vec<String>,
    on_delete: Option<String>,
    on_update: Option<String>,
    pub(super) if_not_exists: bool,
}

/// `REFERENCES t (…) …`.
pub(super) fn references(
    cursor: &mut Cursor<'_>,
    name: Option<String>,
    columns_here: Vec<String>,
) -> Result<NewForeignKey, Why> {
    if !cursor.eat("REFERENCES") {
        return Err(Why::new("a foreign key without REFERENCES"));
    }
    let to = cursor
        .name()
        .ok_or_else(|| Why::new("REFERENCES without a table"))?;
    let to_columns = if cursor.is_punct('(') {
        columns(cursor)?
    } else {
        Vec::new()
    };
    let mut foreign = NewForeignKey {
        name,
        index: None,
        columns: columns_here,
        to,
        to_columns,
        on_delete: None,
        on_update: None,
        if_not_exists: false,
    };
    loop {
        if cursor.eat("MATCH") {
            cursor.step();
        } else if cursor.eat_all(&["ON", "DELETE"]) {
            foreign.on_delete = Some(action(cursor)?);
        } else if cursor.is("ON")
            && cursor.is_at(1, "UPDATE")
            && !cursor.is_at(2, "CURRENT_TIMESTAMP")
        {
            cursor.eat_all(&["ON", "UPDATE"]);
            foreign.on_update = Some(action(cursor)?);
        } else {
            return Ok(foreign);
        }
    }
}

fn action(cursor: &mut Cursor<'_>) -> Result<String, Why> {
    for words in [
        &["CASCADE"][..],
        &["RESTRICT"],
        &["SET", "NULL"],
        &["SET", "DEFAULT"],
        &["NO", "ACTION"],
    ] {
        if cursor.eat_all(words) {
            return Ok(words.join(" "));
        }
    }
    Err(Why::new(format!("`{}` as an action", cursor.current())))
}

impl NewForeignKey {
    /// The key that the server makes for it unless another one serves.
    pub(super) fn own_key(&self) -> NewKey {
        NewKey {
            kind: KeyKind::Index,
            name: self.name.clone().or_else(|| self.index.clone()),
            parts: self
                .columns
                .iter()
                .map(|name| NewPart::column(name))
                .collect(),
            generated: true,
            if_not_exists: false,
        }
    }

    /// Adds it to a table.
    pub(super) fn add_to(self, table: &mut TableDef, maria: bool) {
        let name = self
            .name
            .or_else(|| self.index.filter(|_| maria))
            .unwrap_or_else(|| automatic_foreign(table));
        let rule = if maria { "RESTRICT" } else { "NO ACTION" };
        let schema = self.to.schema.unwrap_or_else(|| table.name.schema.clone());
        let columns = self
            .columns
            .into_iter()
            .map(|name| table.column(&name).map_or(name, |found| found.name.clone()))
            .collect();
        table.foreign_keys.push(ForeignKey {
            name,
            columns,
            references: TableName::new(schema, self.to.name),
            referenced_columns: self.to_columns,
            on_delete: self.on_delete.unwrap_or_else(|| rule.to_owned()),
            on_update: self.on_update.unwrap_or_else(|| rule.to_owned()),
        });
    }
}

/// `t_ibfk_3`, where 2 is the highest number so far.
fn automatic_foreign(table: &TableDef) -> String {
    let prefix = format!("{}_ibfk_", table.name.table);
    let highest = table
        .foreign_keys
        .iter()
        .filter_map(|key| key.name.strip_prefix(&prefix)?.parse::<u64>().ok())
        .max()
        .unwrap_or(0);
    format!("{prefix}{}", highest.saturating_add(1))
}
