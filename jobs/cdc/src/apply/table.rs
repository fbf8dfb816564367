//! A table as apply writes it: which columns of the row images go where, what tells its rows apart,
//! and which changes of it must keep their order.

use std::collections::BTreeSet;
use std::sync::Arc;

use tideway_mysql::info::Flavor;
use tideway_mysql::row::KeyColumn;
use tideway_mysql::schema::{ColumnDef, Generated, KeyDef, TableDef, TableName};
use tideway_mysql::sql;

/// A table of the source and where its rows go.
#[derive(Debug)]
pub struct Table {
    /// Its number, by which changes of one table are found together.
    pub id: u64,
    /// Its name at the source.
    pub source: TableName,
    /// Its name at the target.
    pub target: TableName,
    /// Its definition at the source.
    pub def: Arc<TableDef>,
    /// The columns that are written, in the order of the images.
    pub columns: Vec<Column>,
    /// What tells one row from all others: indexes into `columns`. Empty: nothing does.
    pub key: Vec<usize>,
    /// The unique keys of source and target: two changes that share a value of one keep their order.
    pub unique: Vec<Unique>,
    /// Whether `INSERT … ON DUPLICATE KEY UPDATE` finds the row by `key` and by nothing else.
    pub upsert: bool,
    /// Whether the target has columns of its own, which a REPLACE would empty.
    pub extra_columns: bool,
    /// All changes of all such tables keep their order: foreign keys that act at the target.
    pub ordered: bool,
}

/// A column that is written.
#[derive(Debug)]
pub struct Column {
    /// Where its value stands in an image.
    pub image: usize,
    /// Its definition at the source.
    pub def: ColumnDef,
    /// Its name at the target.
    pub name: String,
    /// The same, quoted.
    pub target: String,
}

/// A unique key, as far as values of it can be compared here.
#[derive(Debug, PartialEq, Eq)]
pub struct Unique {
    /// Tells the key from others of the table: a hash of its columns' names.
    pub id: u64,
    /// Its parts. One that is an expression is left out, which makes more rows look alike, never fewer.
    pub parts: Vec<Part>,
}

/// A part of a unique key.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Index into `columns`.
    pub column: usize,
    /// How its values compare.
    pub as_key: KeyColumn,
}

/// Why a table cannot be written to.
pub type Unfit = String;

impl Table {
    /// Plans how rows of `def` go into `at_target`, whose images have the columns `images`.
    ///
    /// # Errors
    /// In words, when the target lacks a column.
    pub fn plan(
        id: u64,
        def: &Arc<TableDef>,
        at_target: &TableDef,
        images: &[&ColumnDef],
        ordered: bool,
    ) -> Result<Self, Unfit> {
        let mut columns = Vec::new();
        for (image, column) in images.iter().enumerate() {
            if column.generated != Generated::None {
                continue;
            }
            let Some(found) = at_target.column(&column.name) else {
                return Err(format!(
                    "the target table {} has no column `{}`. Add it there, and run this again",
                    at_target.name, column.name
                ));
            };
            if found.generated != Generated::None {
                // The target computes it.
                continue;
            }
            columns.push(Column {
                image,
                def: (*column).clone(),
                name: found.name.clone(),
                target: sql::ident(&found.name),
            });
        }
        let index = |name: &str| {
            columns
                .iter()
                .position(|c: &Column| c.def.name.eq_ignore_ascii_case(name))
        };
        let key: Option<Vec<usize>> = def
            .row_key_columns()
            .and_then(|of| of.iter().map(|c| index(&c.name)).collect());
        let key = key.unwrap_or_default();
        let mut unique = Vec::new();
        for one in def.keys.iter().chain(&at_target.keys).filter(|k| k.unique) {
            let planned = plan_unique(one, &columns, at_target, &index);
            if !unique.contains(&planned) {
                unique.push(planned);
            }
        }
        let at_target_unique: Vec<&KeyDef> = at_target.keys.iter().filter(|k| k.unique).collect();
        let upsert = at_target_unique.len() == 1
            && at_target_unique
                .iter()
                .all(|k| names(k) == names_of(&columns, &key));
        let written: BTreeSet<String> = columns.iter().map(|c| c.def.name.to_lowercase()).collect();
        let extra_columns = at_target
            .stored_columns()
            .any(|c| !written.contains(&c.name.to_lowercase()));
        Ok(Self {
            id,
            source: def.name.clone(),
            target: at_target.name.clone(),
            def: Arc::clone(def),
            columns,
            key,
            unique,
            upsert,
            extra_columns,
            ordered,
        })
    }

    /// Whether nothing tells its rows apart.
    #[must_use]
    pub fn keyless(&self) -> bool {
        self.key.is_empty()
    }

    /// Whether all its changes go through one worker.
    #[must_use]
    pub fn pinned(&self) -> bool {
        self.keyless() || self.ordered
    }

    /// `` `db`.`table` `` at the target.
    #[must_use]
    pub fn target_name(&self) -> String {
        sql::qualified(&self.target)
    }

    /// `` `a`, `b` ``: the columns that are written.
    #[must_use]
    pub fn column_list(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|c| c.target.as_str()).collect();
        names.join(",")
    }

    /// The key's columns, as the left side of a comparison: `` `a` `` or `` (`a`,`b`) ``.
    #[must_use]
    pub fn key_list(&self) -> String {
        let names: Vec<&str> = self
            .key
            .iter()
            .filter_map(|&i| self.columns.get(i))
            .map(|c| c.target.as_str())
            .collect();
        match names.as_slice() {
            [one] => (*one).to_owned(),
            several => format!("({})", several.join(",")),
        }
    }
}

fn plan_unique(
    key: &KeyDef,
    columns: &[Column],
    at_target: &TableDef,
    index: &impl Fn(&str) -> Option<usize>,
) -> Unique {
    let mut parts = Vec::new();
    for part in &key.parts {
        let found = part.column.as_deref().and_then(index);
        let Some((number, column)) = found.and_then(|n| Some((n, columns.get(n)?))) else {
            continue;
        };
        let there = at_target.column(&column.def.name);
        let collation = there.and_then(|c| c.collation.as_deref());
        parts.push(Part {
            column: number,
            as_key: KeyColumn::new(&column.def, collation, part.prefix),
        });
    }
    Unique {
        id: super::keys::hash_of(names(key).join("\0").as_bytes()),
        parts,
    }
}

fn names(key: &KeyDef) -> Vec<String> {
    key.parts
        .iter()
        .map(|part| match (&part.column, &part.expression) {
            (Some(column), _) => column.to_lowercase(),
            (None, Some(expression)) => format!("({expression})"),
            (None, None) => "?".to_owned(),
        })
        .collect()
}

fn names_of(columns: &[Column], key: &[usize]) -> Vec<String> {
    key.iter()
        .filter_map(|&i| columns.get(i))
        .map(|c| c.def.name.to_lowercase())
        .collect()
}

/// Whether the changes that foreign keys make by themselves are in the binlog of this server. MySQL
/// logs them since 9.6; before, and in MariaDB and Aurora, InnoDB makes them below the binlog.
#[must_use]
pub fn logs_cascades(flavor: Flavor, version: (u16, u16)) -> bool {
    flavor == Flavor::MySql && version >= (9, 6)
}

#[cfg(test)]
mod tests {
    use tideway_mysql::schema::KeyPart;

    use super::*;

    fn key(name: &str, unique: bool, columns: &[&str]) -> KeyDef {
        KeyDef {
            name: name.to_owned(),
            primary: name == "PRIMARY",
            unique,
            parts: columns
                .iter()
                .map(|c| KeyPart {
                    column: Some((*c).to_owned()),
                    prefix: None,
                    expression: None,
                })
                .collect(),
        }
    }

    fn def(columns: &[&str], keys: Vec<KeyDef>) -> TableDef {
        TableDef {
            name: TableName::new("d", "t"),
            create_sql: String::new(),
            columns: columns
                .iter()
                .map(|name| {
                    let mut column = ColumnDef::new(*name, "int");
                    column.nullable = *name != "id";
                    column
                })
                .collect(),
            keys,
            engine: None,
            charset: None,
            collation: None,
            foreign_keys: vec![],
            partitioned: false,
        }
    }

    fn plan(source: &TableDef, target: &TableDef) -> Result<Table, Unfit> {
        let images: Vec<&ColumnDef> = source.columns.iter().collect();
        Table::plan(1, &Arc::new(source.clone()), target, &images, false)
    }

    #[test]
    fn a_column_that_the_target_lacks_is_named() {
        let source = def(&["id", "a"], vec![key("PRIMARY", true, &["id"])]);
        let target = def(&["id"], vec![key("PRIMARY", true, &["id"])]);
        let error = plan(&source, &target).unwrap_err();
        assert!(error.contains("no column `a`"), "{error}");
    }

    #[test]
    fn an_upsert_needs_the_same_key_and_no_other() {
        let source = def(&["id", "a"], vec![key("PRIMARY", true, &["id"])]);
        assert!(plan(&source, &source).unwrap().upsert);
        let mut target = source.clone();
        target.keys.push(key("u", true, &["a"]));
        let planned = plan(&source, &target).unwrap();
        assert!(!planned.upsert);
        assert_eq!(planned.unique.len(), 2, "the target's own key counts too");
        target.keys.remove(0);
        assert!(!plan(&source, &target).unwrap().upsert);
    }

    #[test]
    fn a_column_of_the_target_alone_is_seen() {
        let source = def(&["id"], vec![key("PRIMARY", true, &["id"])]);
        let target = def(&["id", "more"], vec![key("PRIMARY", true, &["id"])]);
        assert!(plan(&source, &target).unwrap().extra_columns);
        assert!(!plan(&source, &source).unwrap().extra_columns);
    }

    #[test]
    fn without_a_key_that_takes_no_null_nothing_tells_rows_apart() {
        let source = def(&["a"], vec![key("u", true, &["a"])]);
        let planned = plan(&source, &source).unwrap();
        assert!(planned.keyless() && planned.pinned());
    }
}
