//! `table structure compatibility check`: what a table's definition means for its migration.

use tideway_mysql::info::{Flavor, Version};
use tideway_mysql::schema::{ColumnDef, TableDef, TableName};
use tideway_mysql::types::column_type::ColumnType;

use crate::checks::cascades::cascading;
use crate::report::{Check, CheckResult, State};

/// Name that MySQL gives the column of a generated invisible primary key.
const GENERATED_KEY: &str = "my_row_id";

/// Something about a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// How bad it is.
    pub severity: State,
    /// What it is.
    pub what: String,
    /// What to do.
    pub way_out: &'static str,
}

fn warn(what: impl Into<String>, way_out: &'static str) -> Remark {
    Remark {
        severity: State::Warn,
        what: what.into(),
        way_out,
    }
}

fn fail(what: impl Into<String>, way_out: &'static str) -> Remark {
    Remark {
        severity: State::Fail,
        what: what.into(),
        way_out,
    }
}

/// What is to be said of a table that goes to a target of this flavour and version.
pub fn remarks(table: &TableDef, flavor: Flavor, version: Version) -> Vec<Remark> {
    let mut out = Vec::new();
    keys(table, &mut out);
    foreign_keys(table, &mut out);
    for column in &table.columns {
        self::column(column, flavor, version, &mut out);
    }
    if flavor == Flavor::TiDb {
        tidb_indexes(table, &mut out);
    }
    let engine = table.engine.as_deref().unwrap_or("InnoDB");
    let kept = ["innodb", "rocksdb", "tokudb"].contains(&engine.to_ascii_lowercase().as_str());
    if !kept {
        out.push(warn(
            format!("is stored by {engine}"),
            "nothing, or ALTER TABLE … ENGINE = InnoDB: other engines give no consistent reads",
        ));
    }
    out
}

fn keys(table: &TableDef, out: &mut Vec<Remark>) {
    let generated = table
        .columns
        .iter()
        .any(|c| c.name == GENERATED_KEY && c.invisible && c.auto_increment);
    if table.row_key().is_none() {
        out.push(warn(
            "has no primary key and no unique key over NOT NULL columns",
            "give it a primary key if you can: without one it is read in one piece, under a short \
             lock, and its changes are applied one after another",
        ));
    } else if generated {
        out.push(warn(
            "has a generated invisible primary key (my_row_id)",
            "nothing: the column is migrated as an ordinary invisible column",
        ));
    }
}

fn foreign_keys(table: &TableDef, out: &mut Vec<Remark>) {
    // Those that change rows by themselves are judged by themselves.
    if !table.foreign_keys.is_empty() && cascading(table).is_empty() {
        out.push(warn(
            format!("has {} foreign keys", table.foreign_keys.len()),
            "nothing: the load runs with foreign_key_checks = 0",
        ));
    }
}

fn column(column: &ColumnDef, flavor: Flavor, version: Version, out: &mut Vec<Remark>) {
    let name = &column.name;
    match &column.ty {
        ColumnType::Geometry { kind } if flavor == Flavor::TiDb => out.push(fail(
            format!("column `{name}` is {kind}, which TiDB does not have"),
            "leave the table out by block-allow-list, or keep the value as text or WKB",
        )),
        ColumnType::Vector { .. } if !has_vector(flavor, version) => out.push(fail(
            format!("column `{name}` is VECTOR, which {flavor} {version} does not have"),
            "upgrade the target, or leave the table out by block-allow-list",
        )),
        ColumnType::Other(raw) => out.push(fail(
            format!("column `{name}` is of the type {raw}, which Tideway does not know"),
            "leave the table out by block-allow-list",
        )),
        ColumnType::Date | ColumnType::DateTime { .. } | ColumnType::Timestamp { .. } => {
            if let Some(default) = column.default.as_deref().filter(|d| is_zero_date(d)) {
                out.push(warn(
                    format!("column `{name}` has the zero date {default} as default"),
                    "mind that applications need a sql_mode without NO_ZERO_DATE at the target too",
                ));
            }
        }
        _ => {}
    }
}

/// `primary key check`, of the tables that have none.
pub fn primary_key<'a>(
    source: &str,
    without: impl IntoIterator<Item = &'a TableName>,
) -> CheckResult {
    let desc = "check whether every table has a primary key";
    let mut check = Check::new("primary_key", "primary key check", desc, source);
    for table in without {
        check.add(
            State::Fail,
            "has no primary key",
            "give it a primary key, leave it out by block-allow-list, or run without \
             --require-primary-key",
            &table.to_string(),
        );
    }
    check.finish()
}

fn has_vector(flavor: Flavor, version: Version) -> bool {
    match flavor {
        Flavor::MySql | Flavor::Aurora => version >= Version::new(9, 0, 0),
        Flavor::MariaDb => version >= Version::new(11, 7, 0),
        Flavor::TiDb => version >= Version::new(8, 4, 0),
    }
}

/// Whether a default is a date with year, month or day zero.
pub fn is_zero_date(default: &str) -> bool {
    let text = default.trim().trim_matches('\'');
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    let mut zero = |digits: usize| {
        parts
            .next()
            .filter(|p| p.len() == digits)
            .map(|p| p.bytes().all(|b| b == b'0'))
    };
    matches!(
        (zero(4), zero(2), zero(2)),
        (Some(year), Some(month), Some(day)) if year || month || day
    )
}

/// Indexes that TiDB does not have. The definition's own text is looked at, for keys carry no kind.
fn tidb_indexes(table: &TableDef, out: &mut Vec<Remark>) {
    let has = |word: &str| {
        table
            .create_sql
            .lines()
            .any(|line| line.trim_start().starts_with(word))
    };
    if has("FULLTEXT KEY") {
        out.push(warn(
            "has a FULLTEXT index, which TiDB does not use",
            "nothing: it is left out",
        ));
    }
    if has("SPATIAL KEY") {
        out.push(warn(
            "has a SPATIAL index, which TiDB does not have",
            "nothing: it is left out",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tideway_mysql::schema::{ForeignKey, KeyDef, KeyPart};

    fn column_of(name: &str, raw: &str) -> ColumnDef {
        ColumnDef {
            nullable: false,
            ..ColumnDef::new(name, raw)
        }
    }

    fn table(columns: Vec<ColumnDef>) -> TableDef {
        let part = KeyPart {
            column: Some(columns[0].name.clone()),
            prefix: None,
            expression: None,
        };
        TableDef {
            name: TableName::new("s", "t"),
            create_sql: "CREATE TABLE `t` (\n  FULLTEXT KEY `f` (`x`)\n)".into(),
            columns,
            keys: vec![KeyDef {
                name: "PRIMARY".into(),
                primary: true,
                unique: true,
                parts: vec![part],
            }],
            engine: Some("InnoDB".into()),
            charset: None,
            collation: None,
            foreign_keys: vec![],
            partitioned: false,
        }
    }

    fn said(table: &TableDef, flavor: Flavor) -> Vec<(State, String)> {
        remarks(table, flavor, Version::new(8, 0, 36))
            .into_iter()
            .map(|r| (r.severity, r.what))
            .collect()
    }

    #[test]
    fn an_ordinary_table_has_no_remark() {
        assert_eq!(
            said(&table(vec![column_of("id", "bigint")]), Flavor::MySql),
            []
        );
    }

    #[test]
    fn what_the_target_lacks() {
        let mut t = table(vec![column_of("id", "bigint"), column_of("g", "point")]);
        assert_eq!(said(&t, Flavor::MySql), []);
        let tidb = said(&t, Flavor::TiDb);
        assert_eq!(tidb[0].0, State::Fail);
        assert!(tidb[1].1.contains("FULLTEXT"), "{tidb:?}");
        t.columns[1] = column_of("v", "vector(3)");
        assert_eq!(said(&t, Flavor::MySql)[0].0, State::Fail);
        t.columns[1] = column_of("i", "inet6");
        assert!(said(&t, Flavor::MySql)[0].1.contains("inet6"));
        t.columns.truncate(1);
        t.engine = Some("MyISAM".into());
        assert_eq!(said(&t, Flavor::MySql)[0].1, "is stored by MyISAM");
    }

    #[test]
    fn keys_of_all_kinds() {
        let mut t = table(vec![column_of(GENERATED_KEY, "bigint unsigned")]);
        t.columns[0].invisible = true;
        t.columns[0].auto_increment = true;
        assert!(said(&t, Flavor::MySql)[0].1.contains("generated invisible"));
        t.keys.clear();
        assert!(said(&t, Flavor::MySql)[0].1.contains("has no primary key"));
        let mut t = table(vec![column_of("id", "int")]);
        let mut key = ForeignKey {
            name: "fk".into(),
            columns: vec!["id".into()],
            references: TableName::new("s", "p"),
            referenced_columns: vec!["id".into()],
            on_delete: "NO ACTION".into(),
            on_update: "RESTRICT".into(),
        };
        t.foreign_keys = vec![key.clone()];
        assert_eq!(said(&t, Flavor::MySql)[0].1, "has 1 foreign keys");
        key.on_delete = "CASCADE".into();
        t.foreign_keys = vec![key];
        assert_eq!(said(&t, Flavor::MySql), []);
    }

    #[test]
    fn zero_dates_among_defaults() {
        for zero in [
            "0000-00-00",
            "0000-00-00 00:00:00",
            "'2024-00-10'",
            "2024-01-00 00:00:00.000",
        ] {
            assert!(is_zero_date(zero), "{zero}");
        }
        for fine in [
            "2024-01-10",
            "CURRENT_TIMESTAMP",
            "",
            "0",
            "2000-10-20 00:00:00",
        ] {
            assert!(!is_zero_date(fine), "{fine}");
        }
        let mut t = table(vec![column_of("id", "int"), column_of("d", "datetime")]);
        t.columns[1].default = Some("0000-00-00 00:00:00".into());
        assert!(said(&t, Flavor::MySql)[0].1.contains("zero date"));
    }
}
