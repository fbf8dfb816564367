//! Which columns a table can be cut by.

use super::{ColumnDef, KeyDef, TableDef};
use crate::types::column_type::ColumnType;

impl TableDef {
    /// The columns to cut the table by: the longest usable prefix of the primary key, or else of a
    /// unique key over whole columns without NULL. `None` when there is none.
    ///
    /// A prefix of the key is enough: ranges over it are ranges of the key, only rows that share
    /// the prefix stay together.
    #[must_use]
    pub fn chunk_key(&self) -> Option<Vec<&ColumnDef>> {
        let primary = self.keys.iter().filter(|key| key.primary);
        let unique = self.keys.iter().filter(|key| key.unique && !key.primary);
        primary
            .chain(unique)
            .find_map(|key| self.usable_prefix(key))
    }

    fn usable_prefix<'a>(&'a self, key: &'a KeyDef) -> Option<Vec<&'a ColumnDef>> {
        if !key.primary && !self.tells_rows_apart(key) {
            return None;
        }
        let columns: Vec<&ColumnDef> = key
            .parts
            .iter()
            .map_while(|part| match (&part.column, part.prefix, &part.expression) {
                (Some(name), None, None) => self.column(name),
                _ => None,
            })
            .take_while(|column| !column.nullable && can_be_cut(&column.ty))
            .collect();
        (!columns.is_empty()).then_some(columns)
    }
}

/// Types whose order in the index is the order of `<`, and whose values as literals compare exactly.
///
/// Left out: ENUM and SET compare by name but are ordered by number; BIT literals have a charset
/// of their own; FLOAT and DOUBLE do not survive as text; TIME, YEAR and JSON have several texts
/// for one value.
fn can_be_cut(ty: &ColumnType) -> bool {
    ty.is_integer()
        || matches!(
            ty,
            ColumnType::Decimal { .. }
                | ColumnType::Char { .. }
                | ColumnType::Varchar { .. }
                | ColumnType::Binary { .. }
                | ColumnType::Varbinary { .. }
                | ColumnType::Date
                | ColumnType::DateTime { .. }
                | ColumnType::Timestamp { .. }
        )
}

#[cfg(test)]
mod tests {
    use super::super::{KeyPart, TableName};
    use super::*;

    fn column(name: &str, raw: &str) -> ColumnDef {
        ColumnDef {
            nullable: name.starts_with("null"),
            ..ColumnDef::new(name, raw)
        }
    }

    fn key(name: &str, parts: &[&str]) -> KeyDef {
        KeyDef {
            name: name.into(),
            primary: name == "PRIMARY",
            unique: name != "plain",
            parts: parts
                .iter()
                .map(|part| {
                    let (column, prefix) = match part.split_once(':') {
                        Some((column, prefix)) => (column, prefix.parse().ok()),
                        None => (*part, None),
                    };
                    let expression = column.starts_with('(').then(|| column.to_owned());
                    KeyPart {
                        column: expression.is_none().then(|| column.to_owned()),
                        prefix,
                        expression,
                    }
                })
                .collect(),
        }
    }

    fn table(keys: Vec<KeyDef>) -> TableDef {
        TableDef {
            name: TableName::new("s", "t"),
            create_sql: String::new(),
            columns: vec![
                column("id", "bigint"),
                column("code", "varchar(20)"),
                column("kind", "enum('a','b')"),
                column("day", "date"),
                column("amount", "double"),
                column("null_id", "int"),
            ],
            keys,
            engine: None,
            charset: None,
            collation: None,
            foreign_keys: vec![],
            partitioned: false,
        }
    }

    fn chunk_key(keys: Vec<KeyDef>) -> Option<Vec<String>> {
        table(keys)
            .chunk_key()
            .map(|columns| columns.iter().map(|c| c.name.clone()).collect())
    }

    fn names(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|n| (*n).to_owned()).collect())
    }

    #[test]
    fn the_longest_usable_prefix() {
        assert_eq!(
            chunk_key(vec![key("PRIMARY", &["id", "code"])]),
            names(&["id", "code"])
        );
        assert_eq!(
            chunk_key(vec![key("PRIMARY", &["id", "kind", "code"])]),
            names(&["id"])
        );
        assert_eq!(
            chunk_key(vec![key("PRIMARY", &["id", "code:5"])]),
            names(&["id"])
        );
        assert_eq!(
            chunk_key(vec![key("PRIMARY", &["day", "amount"])]),
            names(&["day"])
        );
    }

    #[test]
    fn another_key_when_the_primary_one_is_of_no_use() {
        let keys = vec![key("PRIMARY", &["kind"]), key("u", &["code", "id"])];
        assert_eq!(chunk_key(keys), names(&["code", "id"]));
    }

    #[test]
    fn keys_that_do_not_tell_rows_apart_are_none() {
        for parts in [
            &["null_id"][..],
            &["code:3"],
            &["(lower(code))"],
            &["id", "null_id"],
        ] {
            assert_eq!(chunk_key(vec![key("u", parts)]), None, "{parts:?}");
            assert_eq!(table(vec![key("u", parts)]).row_key(), None, "{parts:?}");
        }
        assert_eq!(chunk_key(vec![key("plain", &["id"])]), None);
        assert_eq!(chunk_key(vec![]), None);
    }

    #[test]
    fn a_row_key_may_be_of_any_type() {
        let enums = table(vec![key("PRIMARY", &["kind"])]);
        assert_eq!(enums.row_key().map(|k| k.name.as_str()), Some("PRIMARY"));
        assert_eq!(enums.row_key_columns().map(|c| c.len()), Some(1));
        let prefix = table(vec![key("PRIMARY", &["code:3"])]);
        assert!(prefix.row_key().is_some() && prefix.row_key_columns().is_none());
    }
}
