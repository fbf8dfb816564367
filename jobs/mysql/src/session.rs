//! How sessions are set up so that values stay exact.
//!
//! | what | why |
//! | --- | --- |
//! | `utf8mb4` | every character of every column's set comes and goes as it is |
//! | `time_zone '+00:00'` | TIMESTAMP has no hour twice and none missing |
//! | `sql_mode` | at the source nothing pads, rounds or forbids what is stored; at the target strict, but zero and invalid dates and the AUTO_INCREMENT value 0 go in as they are |
//! | REPEATABLE READ | the snapshot of a chunk holds whatever the server's default is |
//! | `sql_select_limit`, `sql_auto_is_null`, `sql_quote_show_create` | a server's odd default would lose rows, find other rows, or write names bare |
//! | time-outs | a writer that waits for staging for minutes keeps its connection |
//! | `foreign_key_checks 0` | tables are loaded in any order |
//! | `unique_checks 1` | with 0, InnoDB may let duplicates in unseen |
//! | `sql_notes 1` (MySQL, MariaDB target) | the rounding of a decimal is told by a note only |
//!
//! `session` in the file overrides all but what exactness rests on; that is left out with a warning.

use std::fmt::Write as _;

use mysql_async::OptsBuilder;

use crate::connect::Role;
use crate::endpoint::Endpoint;
use crate::info::{Flavor, ServerInfo, Version};
use crate::sql;

/// `sql_mode` of a session at a source.
pub const SOURCE_SQL_MODE: &str = "ALLOW_INVALID_DATES";

/// `sql_mode` of a session at a target.
pub const TARGET_SQL_MODE: &str =
    "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION";

/// `sql_mode` of a session at a target in which strict mode refuses nothing: an invalid member of ENUM
/// is stored as it is.
pub const LENIENT_SQL_MODE: &str = "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES";

/// Variables that a file cannot override: values would change on their way.
const PROTECTED: &[&str] = &[
    "autocommit",
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
    "sql_auto_is_null",
    "sql_mode",
    "sql_notes",
    "sql_quote_show_create",
    "sql_select_limit",
    "time_zone",
    "tidb_snapshot",
    "transaction_isolation",
    "tx_isolation",
];

/// The same at a target only: duplicates would come in unseen, and tables in any order would not.
const PROTECTED_AT_TARGET: &[&str] = &["foreign_key_checks", "unique_checks"];

/// Adds the set-up of a session to the options of connections.
pub(crate) fn apply(
    opts: OptsBuilder,
    endpoint: &Endpoint,
    role: Role,
    info: &ServerInfo,
) -> OptsBuilder {
    // The driver runs these last to first; none depends on another.
    let mut statements = vec![set_statement(endpoint, role, info)];
    if role == Role::Source {
        statements.push("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ".to_owned());
    }
    opts.setup(statements)
}

/// The one SET with all variables.
fn set_statement(endpoint: &Endpoint, role: Role, info: &ServerInfo) -> String {
    let mut text = "SET NAMES utf8mb4".to_owned();
    for (name, value) in variables(role, info) {
        // Writing to a String cannot fail.
        let _ = write!(text, ", {name} = {value}");
    }
    for (name, value) in overrides(endpoint, role) {
        let _ = write!(text, ", {name} = {value}");
    }
    text
}

/// Our variables, those that this server knows.
fn variables(role: Role, info: &ServerInfo) -> Vec<(&'static str, String)> {
    let is_mysql = matches!(info.flavor, Flavor::MySql | Flavor::Aurora);
    let since = |major, minor, patch| is_mysql && info.version >= Version::new(major, minor, patch);
    let mode = match role {
        Role::Source => SOURCE_SQL_MODE,
        Role::Target => TARGET_SQL_MODE,
    };
    let mut set: Vec<(&'static str, String)> = vec![
        ("time_zone", "'+00:00'".into()),
        ("sql_mode", format!("'{mode}'")),
        ("autocommit", "1".into()),
        ("sql_select_limit", "18446744073709551615".into()),
        ("sql_quote_show_create", "1".into()),
        ("net_write_timeout", "3600".into()),
        ("net_read_timeout", "3600".into()),
        ("wait_timeout", "86400".into()),
        ("group_concat_max_len", "4294967295".into()),
    ];
    if info.flavor == Flavor::TiDb {
        set.push(("tidb_txn_mode", "'pessimistic'".into()));
    } else {
        set.push(("sql_auto_is_null", "0".into()));
        set.push(("sql_big_selects", "1".into()));
    }
    // TiDB counts its limit for every statement, MySQL for SELECT, MariaDB in seconds.
    match info.flavor {
        Flavor::MariaDb => set.push(("max_statement_time", "0".into())),
        Flavor::TiDb => set.push(("max_execution_time", "0".into())),
        Flavor::MySql | Flavor::Aurora if since(5, 7, 8) => {
            set.push(("max_execution_time", "0".into()));
        }
        Flavor::MySql | Flavor::Aurora => {}
    }
    match role {
        Role::Source => {
            if since(8, 0, 3) {
                // Estimates as of now instead of up to a day ago.
                set.push(("information_schema_stats_expiry", "0".into()));
            }
            if since(8, 0, 30) {
                // Generated invisible primary keys belong to the definition.
                set.push((
                    "show_gipk_in_create_table_and_information_schema",
                    "1".into(),
                ));
            }
        }
        Role::Target => {
            set.push(("foreign_key_checks", "0".into()));
            set.push(("unique_checks", "1".into()));
            if info.flavor != Flavor::TiDb {
                set.push(("sql_notes", "1".into()));
            }
        }
    }
    set
}

/// What the file overrides.
fn overrides(endpoint: &Endpoint, role: Role) -> Vec<(&str, String)> {
    let at_target = match role {
        Role::Target => PROTECTED_AT_TARGET,
        Role::Source => &[],
    };
    let mut found = Vec::new();
    for (name, value) in &endpoint.session {
        let plain = name
            .trim()
            .trim_start_matches("@@")
            .trim_start_matches("session.");
        let mut protected = PROTECTED.iter().chain(at_target);
        if protected.any(|p| plain.eq_ignore_ascii_case(p)) {
            tracing::warn!(
                "{endpoint}: `session.{name}` is left out: values would not stay exact with another"
            );
            continue;
        }
        if plain.is_empty() || !plain.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            tracing::warn!("{endpoint}: `session.{name}` is no name of a variable, left out");
            continue;
        }
        let number = value.parse::<i64>().is_ok() || value.parse::<u64>().is_ok();
        found.push((
            plain,
            if number {
                value.clone()
            } else {
                sql::quoted(value)
            },
        ));
    }
    found
}
