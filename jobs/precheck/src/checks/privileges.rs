//! Privileges at the sources and at the target.
//!
//! They come from `SHOW GRANTS FOR CURRENT_USER()` with roles followed. A privilege that this code
//! does not know (`INVOKE LAMBDA` of Aurora, a dynamic one of a newer server) is never asked for,
//! so it never fails.

use std::collections::BTreeSet;

use tideway_config::Consistency;
use tideway_mysql::grants::Grants;
use tideway_mysql::info::Flavor;

use crate::facts::{Context, ServerFacts, SourceFacts};
use crate::report::{Check, CheckResult, State};
use crate::survey::Table;

/// What the dump may lock the source by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locks {
    /// `FLUSH TABLES WITH READ LOCK` is allowed.
    Flush,
    /// `LOCK TABLES` is allowed on every schema of the task.
    Tables,
    /// Neither.
    Neither,
}

fn locks(server: &ServerFacts, schemas: &BTreeSet<String>) -> Locks {
    let privileges = &server.privileges;
    let reload = privileges.has("RELOAD", None, None) || privileges.has("FLUSH_TABLES", None, None);
    // Aurora and RDS refuse the statement even to users who hold RELOAD.
    if reload && !server.is_rds() {
        Locks::Flush
    } else if schemas
        .iter()
        .all(|s| privileges.has("LOCK TABLES", Some(s), None))
    {
        Locks::Tables
    } else {
        Locks::Neither
    }
}

/// `source db dump privilege checker`.
pub fn dump(
    facts: &SourceFacts<'_>,
    tables: &[Table],
    schemas: &BTreeSet<String>,
    context: Context,
) -> CheckResult {
    let name = "source db dump privilege checker";
    let desc = "check dump privileges of source DB";
    let mut check = Check::new("dump_privilege", name, desc, facts.id());
    let privileges = &facts.server.privileges;
    if !privileges.unknown().is_empty() {
        check.note(format!(
            "{} grants of a shape not known, left alone",
            privileges.unknown().len()
        ));
    }
    for table in tables {
        let (schema, name) = (&table.name.schema, &table.name.table);
        if !privileges.has("SELECT", Some(schema), Some(name)) {
            let grant = format!("GRANT SELECT ON `{schema}`.* TO the user of the source file");
            check.add(State::Fail, "lacks SELECT", &grant, &table.name.to_string());
        }
    }
    if !facts.source.dump.no_views {
        for schema in schemas
            .iter()
            .filter(|s| !privileges.has("SHOW VIEW", Some(s), None))
        {
            check.fail(
                format!("lacks SHOW VIEW on `{schema}`"),
                "GRANT SHOW VIEW, or --no-views",
            );
        }
    }
    consistency(&mut check, facts, schemas, context);
    keyless(&mut check, facts, tables, context);
    check.finish()
}

/// What `--consistency` needs.
fn consistency(
    check: &mut Check,
    facts: &SourceFacts<'_>,
    schemas: &BTreeSet<String>,
    context: Context,
) {
    let tidb = facts.server.info.flavor == Flavor::TiDb;
    let locks = locks(&facts.server, schemas);
    let none = "set extra-args: \"--consistency none\" in the mydumpers section";
    match facts.source.dump.consistency {
        Consistency::None => {
            if !context.mode.follows_binlog() && !tidb {
                check.warn(
                    "--consistency none without cdc: tables are read at different moments",
                    "stop writes during the dump, or use task-mode: all",
                );
            }
        }
        Consistency::Snapshot => {
            if !tidb {
                let what = format!(
                    "--consistency snapshot is for TiDB, this is {}",
                    facts.server.info.flavor
                );
                check.fail(what, none);
            }
        }
        Consistency::Auto if tidb => {}
        Consistency::Auto => match locks {
            Locks::Flush => {}
            Locks::Tables => check.note("FLUSH TABLES WITH READ LOCK is not allowed: LOCK TABLES"),
            Locks::Neither => {
                let what = "lacks RELOAD for FLUSH TABLES WITH READ LOCK, and LOCK TABLES for the \
                            fall-back";
                check.fail(
                    what,
                    &format!("GRANT LOCK TABLES on the schemas of the task, or {none}"),
                );
            }
        },
        Consistency::Flush => {
            if locks != Locks::Flush {
                let what = if facts.server.is_rds() {
                    "FLUSH TABLES WITH READ LOCK is refused on Aurora and RDS"
                } else {
                    "lacks RELOAD for FLUSH TABLES WITH READ LOCK"
                };
                check.fail(what, &format!("GRANT RELOAD, or {none}"));
            }
        }
        Consistency::Lock => {
            for schema in schemas {
                if !facts
                    .server
                    .privileges
                    .has("LOCK TABLES", Some(schema), None)
                {
                    let grant = format!("GRANT LOCK TABLES on the schemas of the task, or {none}");
                    check.fail(format!("lacks LOCK TABLES on `{schema}`"), &grant);
                }
            }
        }
    }
}

/// Tables without a key are exact under cdc only when they can be locked for a moment; a dump that
/// sees one state of the whole source needs no lock of its own for them.
fn keyless(check: &mut Check, facts: &SourceFacts<'_>, tables: &[Table], context: Context) {
    let one_state = facts.source.dump.consistency != Consistency::None;
    if !context.mode.follows_binlog() || one_state {
        return;
    }
    for table in tables.iter().filter(|table| table.keyless) {
        if facts
            .server
            .privileges
            .has("LOCK TABLES", Some(&table.name.schema), None)
        {
            continue;
        }
        let severity = if context.allow_inexact {
            State::Warn
        } else {
            State::Fail
        };
        check.add(
            severity,
            "has no key and cannot be locked for its moment: changes during the dump may be \
             applied twice",
            "GRANT LOCK TABLES on its schema, give it a primary key, or go on with --allow-inexact",
            &table.name.to_string(),
        );
    }
}

/// `source db replication privilege checker`.
pub fn replication(facts: &SourceFacts<'_>, context: Context) -> CheckResult {
    let name = "source db replication privilege checker";
    let desc = "check replication privileges of source DB";
    let mut check = Check::new("replication_privilege", name, desc, facts.id());
    let privileges = &facts.server.privileges;
    let any = |names: &[&str]| names.iter().any(|name| privileges.has(name, None, None));
    let follows = context.mode.follows_binlog();
    if !any(&["REPLICATION SLAVE"]) {
        let grant = "GRANT REPLICATION SLAVE ON *.* TO the user of the source file";
        check.need(follows, "lacks REPLICATION SLAVE", grant);
    }
    // MariaDB 10.5 renamed it.
    if !any(&["REPLICATION CLIENT", "BINLOG MONITOR", "SUPER"]) {
        let grant = "GRANT REPLICATION CLIENT ON *.* TO the user of the source file";
        check.need(follows, "lacks REPLICATION CLIENT", grant);
    }
    check.finish()
}

/// What a load needs on every schema that it writes to.
const TARGET: &[&str] = &[
    "CREATE", "SELECT", "INSERT", "UPDATE", "DELETE", "ALTER", "DROP", "INDEX",
];

/// `target db privilege checker`.
pub fn target(privileges: &Grants, schemas: &BTreeSet<String>, meta_schema: &str) -> CheckResult {
    let name = "target db privilege checker";
    let desc = "check privileges of target DB";
    let mut check = Check::new("target_privilege", name, desc, "");
    for schema in schemas.iter().map(String::as_str).chain([meta_schema]) {
        let missing: Vec<&str> = TARGET
            .iter()
            .copied()
            .filter(|privilege| !privileges.has(privilege, Some(schema), None))
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            let grant = format!("GRANT {missing} ON `{schema}`.* TO the user of target-database");
            check.fail(format!("lacks {missing} on `{schema}`"), &grant);
        }
    }
    check.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fake::{self, granted};
    use tideway_config::TaskMode;
    use tideway_mysql::schema::TableName;

    fn table(keyless: bool) -> Table {
        Table {
            name: TableName::new("shop", "orders"),
            target: TableName::new("shop", "orders"),
            rule: None,
            rows: 1,
            bytes: 1,
            keyless,
        }
    }

    fn check(
        args: &str,
        flavor: Flavor,
        grants: &[&str],
        keyless: bool,
        context: Context,
    ) -> CheckResult {
        let yaml = format!("mydumper: {{extra-args: \"{args}\"}}");
        let source = fake::source(&yaml);
        let mut server = fake::server(flavor, (8, 0, 36));
        server.privileges = granted(grants);
        let facts = fake::facts(&source, server);
        dump(
            &facts,
            &[table(keyless)],
            &BTreeSet::from(["shop".to_owned()]),
            context,
        )
    }

    #[test]
    fn auto_falls_back_to_lock_tables_and_says_when_it_cannot() {
        let all = fake::context(TaskMode::All);
        let state = |grants: &[&str], flavor| check("", flavor, grants, false, all).state;
        assert_eq!(state(&["SELECT", "RELOAD"], Flavor::MySql), State::Success);
        assert_eq!(
            state(&["SELECT", "FLUSH_TABLES"], Flavor::MySql),
            State::Success
        );
        assert_eq!(
            state(&["SELECT", "LOCK TABLES ON shop"], Flavor::MySql),
            State::Success
        );
        assert_eq!(state(&["SELECT"], Flavor::MySql), State::Fail);
        assert_eq!(state(&["SELECT", "RELOAD"], Flavor::Aurora), State::Fail);
        assert_eq!(state(&["SELECT"], Flavor::TiDb), State::Success);
        assert_eq!(state(&["RELOAD"], Flavor::MySql), State::Fail);
        assert_eq!(
            state(&["SELECT ON shop.orders", "RELOAD"], Flavor::MySql),
            State::Success
        );
    }

    #[test]
    fn each_consistency_asks_for_its_own() {
        let all = fake::context(TaskMode::All);
        let full = fake::context(TaskMode::Full);
        let mysql = |args, grants: &[&str], context| {
            check(args, Flavor::MySql, grants, false, context).state
        };
        assert_eq!(
            mysql("--consistency none", &["SELECT"], all),
            State::Success
        );
        assert_eq!(mysql("--consistency none", &["SELECT"], full), State::Warn);
        assert_eq!(
            mysql("--consistency flush", &["SELECT", "LOCK TABLES"], all),
            State::Fail
        );
        assert_eq!(
            mysql("--consistency lock", &["SELECT", "RELOAD"], all),
            State::Fail
        );
        assert_eq!(
            mysql("--consistency lock", &["SELECT", "LOCK TABLES"], all),
            State::Success
        );
        assert_eq!(
            mysql("--consistency snapshot", &["SELECT"], all),
            State::Fail
        );
        assert_eq!(
            mysql("--consistency none --no-views=false", &["SELECT"], all),
            State::Fail
        );
    }

    #[test]
    fn a_table_without_key_must_be_lockable_under_cdc() {
        let none = "--consistency none";
        let all = fake::context(TaskMode::All);
        let state =
            |grants: &[&str], context| check(none, Flavor::MySql, grants, true, context).state;
        assert_eq!(state(&["SELECT"], all), State::Fail);
        assert_eq!(
            state(&["SELECT", "LOCK TABLES ON shop"], all),
            State::Success
        );
        assert_eq!(
            state(
                &["SELECT"],
                Context {
                    allow_inexact: true,
                    ..all
                }
            ),
            State::Warn
        );
    }

    /// The line that made DM's precheck fail on Aurora.
    #[test]
    fn privileges_of_aurora_and_of_tomorrow_never_fail() {
        let source = fake::source("mydumper: {extra-args: \"--consistency none\"}");
        let mut server = fake::server(Flavor::Aurora, (5, 7, 12));
        server.privileges = Grants::parse([
            "GRANT SELECT, RELOAD, PROCESS, LOCK TABLES, REPLICATION SLAVE, REPLICATION CLIENT, \
             LOAD FROM S3, SELECT INTO S3, INVOKE LAMBDA, INVOKE SAGEMAKER, INVOKE COMPREHEND \
             ON *.* TO 'root'@'%' WITH GRANT OPTION",
            "GRANT TELEPORT_ADMIN,AWS_LAMBDA_ACCESS ON *.* TO `root`@`%`",
            "GRANT something of another shape",
        ]);
        let facts = fake::facts(&source, server);
        let context = fake::context(TaskMode::All);
        let schemas = BTreeSet::from(["shop".to_owned()]);
        let result = dump(&facts, &[table(true)], &schemas, context);
        assert_eq!(
            (result.state, result.errors.len()),
            (State::Success, 0),
            "{result:?}"
        );
        assert_eq!(replication(&facts, context).state, State::Success);
    }

    #[test]
    fn replication_needs_both_under_cdc() {
        let source = fake::source("");
        let mut server = fake::server(Flavor::MySql, (8, 0, 36));
        server.privileges = granted(&["REPLICATION CLIENT"]);
        let facts = fake::facts(&source, server);
        assert_eq!(
            replication(&facts, fake::context(TaskMode::All)).state,
            State::Fail
        );
        let full = replication(&facts, fake::context(TaskMode::Full));
        assert_eq!(full.state, State::Success);
        assert!(
            full.extra.contains("lacks REPLICATION SLAVE"),
            "{}",
            full.extra
        );
    }

    #[test]
    fn the_target_lists_what_is_missing() {
        let some = granted(&TARGET[..TARGET.len() - 1]);
        let schemas = BTreeSet::from(["shop".to_owned()]);
        let result = target(&some, &schemas, "dm_meta");
        assert_eq!(result.state, State::Fail);
        assert_eq!(result.errors[0].short_error, "lacks INDEX on `shop`");
        assert_eq!(result.errors[1].short_error, "lacks INDEX on `dm_meta`");
        let all = granted(TARGET);
        assert_eq!(target(&all, &schemas, "dm_meta").state, State::Success);
    }
}
