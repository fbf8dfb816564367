//! Foreign keys whose rows change by themselves: `ON DELETE` and `ON UPDATE` with `CASCADE`, `SET NULL`
//! or `SET DEFAULT`.
//!
//! What InnoDB changes in the child because of the parent is not in the binary log (MySQL before 9.6 or
//! with `innodb_native_foreign_keys`, Aurora, MariaDB): the log has the parent's change only. Replayed,
//! the child follows where the target has the same constraint and the parent too. Anywhere else its
//! rows would stay behind, silently, so that is an error with the table's name.

use tideway_config::TableFilter;
use tideway_mysql::info::{Flavor, Version};
use tideway_mysql::schema::{ForeignKey, TableDef};

use crate::checks::structure::Remark;
use crate::facts::ServerFacts;
use crate::report::State;

/// From this version on MySQL changes the children by statements of its own, which are logged.
const LOGGED: Version = Version::new(9, 6, 0);
/// From this version on TiDB has foreign keys.
const TIDB: Version = Version::new(6, 6, 0);

/// What is known of source and target.
#[derive(Clone, Copy)]
pub struct Cascades<'a> {
    /// Changes are followed at all.
    pub follows: bool,
    /// The source's log has the changes of the children.
    pub logged: bool,
    /// Which tables are migrated.
    pub filter: &'a TableFilter,
}

impl<'a> Cascades<'a> {
    /// Of a source.
    pub fn of(source: &ServerFacts, filter: &'a TableFilter, follows: bool) -> Self {
        Self {
            follows,
            logged: source.info.flavor == Flavor::MySql
                && source.info.version >= LOGGED
                && !source.is_on("innodb_native_foreign_keys"),
            filter,
        }
    }
}

/// Why a target lets no children follow; `None` where it does.
pub fn lacking(target: &ServerFacts) -> Option<String> {
    if target.info.flavor != Flavor::TiDb {
        return None;
    }
    if target.info.version < TIDB {
        return Some(format!("TiDB {} has no foreign keys", target.info.version));
    }
    let off = target
        .variable("tidb_enable_foreign_key")
        .is_some_and(|_| !target.is_on("tidb_enable_foreign_key"));
    off.then(|| "tidb_enable_foreign_key is OFF at the target".to_owned())
}

/// Whether an action changes rows of the child.
fn changes(action: &str) -> bool {
    ["CASCADE", "SET NULL", "SET DEFAULT"]
        .iter()
        .any(|name| action.eq_ignore_ascii_case(name))
}

/// The foreign keys of a table whose rows change by themselves.
pub fn cascading(table: &TableDef) -> Vec<&ForeignKey> {
    table
        .foreign_keys
        .iter()
        .filter(|key| changes(&key.on_delete) || changes(&key.on_update))
        .collect()
}

/// What is to be said of a table. `lacking` tells why the target lets no children follow; `at_target` is
/// the table that is there already.
pub fn remark(
    table: &TableDef,
    facts: &Cascades<'_>,
    lacking: Option<&str>,
    at_target: Option<&TableDef>,
) -> Option<Remark> {
    let keys = cascading(table);
    if keys.is_empty() {
        return None;
    }
    let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    let has = format!("has foreign keys with cascades ({})", names.join(", "));
    let warn = |way_out| {
        Some(Remark {
            severity: State::Warn,
            what: has.clone(),
            way_out,
        })
    };
    if !facts.follows {
        return warn("nothing: the load runs with foreign_key_checks = 0");
    }
    if facts.logged {
        return warn("nothing: the source's binary log has what the cascades change");
    }
    let fail = |why: String, way_out| {
        Some(Remark {
            severity: State::Fail,
            what: format!(
                "{has}, the source's binary log does not have what these change, and {why}"
            ),
            way_out,
        })
    };
    if let Some(why) = lacking {
        return fail(
            why.to_owned(),
            "take a target with foreign keys (TiDB 6.6 and later, with tidb_enable_foreign_key = ON), \
             drop the foreign key at the source and let the application delete, or leave the table out",
        );
    }
    let outside = keys.iter().find(|key| {
        !facts
            .filter
            .includes(&key.references.schema, &key.references.table)
    });
    if let Some(key) = outside {
        return fail(
            format!("the parent {} is not migrated", key.references),
            "take the parent into block-allow-list too, or leave the table out",
        );
    }
    let missing = |key: &&&ForeignKey| {
        at_target.is_some_and(|target| !target.foreign_keys.iter().any(|own| same(own, key)))
    };
    if let Some(key) = keys.iter().find(missing) {
        return fail(
            format!("the table at the target lacks {}", key.name),
            "add the constraint to the table at the target, or drop that table and let the load make it",
        );
    }
    warn(
        "nothing: the target has the constraint, and changes of parent and child are kept in order",
    )
}

/// Whether both do the same to the same columns. The name may differ, and a route may give the parent
/// another one.
fn same(one: &ForeignKey, other: &ForeignKey) -> bool {
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b) || !changes(a) && !changes(b);
    let columns = |a: &[String], b: &[String]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    columns(&one.columns, &other.columns)
        && columns(&one.referenced_columns, &other.referenced_columns)
        && same(&one.on_delete, &other.on_delete)
        && same(&one.on_update, &other.on_update)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fake;
    use tideway_mysql::schema::TableName;

    fn table(action: &str) -> TableDef {
        TableDef {
            name: TableName::new("shop", "child"),
            create_sql: String::new(),
            columns: Vec::new(),
            keys: Vec::new(),
            engine: None,
            charset: None,
            collation: None,
            foreign_keys: vec![ForeignKey {
                name: "fk".into(),
                columns: vec!["p".into()],
                references: TableName::new("shop", "parent"),
                referenced_columns: vec!["id".into()],
                on_delete: action.into(),
                on_update: "RESTRICT".into(),
            }],
            partitioned: false,
        }
    }

    #[test]
    fn only_some_sources_log_what_cascades_change() {
        let source = fake::source("");
        let logged = |flavor, version, native: bool| {
            let mut server = fake::server(flavor, version);
            if native {
                let name = "innodb_native_foreign_keys".to_owned();
                server.variables.insert(name, "ON".to_owned());
            }
            Cascades::of(&server, &source.filter, true).logged
        };
        assert!(logged(Flavor::MySql, (9, 6, 0), false));
        assert!(!logged(Flavor::MySql, (9, 6, 0), true));
        assert!(!logged(Flavor::MySql, (9, 5, 0), false));
        assert!(!logged(Flavor::MariaDb, (11, 4, 0), false));
        assert!(!logged(Flavor::Aurora, (8, 0, 39), false));
    }

    #[test]
    fn only_some_targets_let_children_follow() {
        let mut tidb = fake::server(Flavor::TiDb, (8, 4, 0));
        assert_eq!(lacking(&tidb), None);
        let name = "tidb_enable_foreign_key".to_owned();
        tidb.variables.insert(name, "OFF".to_owned());
        assert!(lacking(&tidb).is_some_and(|why| why.contains("OFF")));
        assert!(lacking(&fake::server(Flavor::TiDb, (6, 5, 9))).is_some());
        assert_eq!(lacking(&fake::server(Flavor::MySql, (5, 7, 0))), None);
    }

    #[test]
    fn children_that_would_stay_behind_are_an_error() {
        let source = fake::source("");
        let server = fake::server(Flavor::MySql, (8, 0, 39));
        let facts = |follows| Cascades::of(&server, &source.filter, follows);
        let state = |table: &TableDef, lacking, at: Option<&TableDef>| {
            remark(table, &facts(true), lacking, at).map(|remark| remark.severity)
        };
        let child = table("CASCADE");
        assert_eq!(state(&table("NO ACTION"), None, None), None);
        assert_eq!(state(&child, None, None), Some(State::Warn));
        assert_eq!(state(&child, Some("no keys"), None), Some(State::Fail));
        assert_eq!(state(&child, None, Some(&child)), Some(State::Warn));
        let other = table("NO ACTION");
        assert_eq!(state(&child, None, Some(&other)), Some(State::Fail));
        let set_null = table("SET NULL");
        assert_eq!(state(&child, None, Some(&set_null)), Some(State::Fail));
        let full = remark(&child, &facts(false), Some("no keys"), None);
        assert_eq!(full.map(|remark| remark.severity), Some(State::Warn));
    }
}
