//! Under what a DDL of the source runs at the target.

use mysql_common::collations::{Collation, CollationId};
use tideway_mysql::binlog::query::Query;
use tideway_mysql::info::Flavor;
use tideway_mysql::sql;

/// Character set and name of a collation by its number in the protocol; `None` for numbers that nobody
/// gave a name here.
#[must_use]
pub fn collation(id: u16) -> Option<(String, String)> {
    let id = CollationId::from(id);
    if id == CollationId::UNKNOWN_COLLATION_ID {
        return None;
    }
    let collation = Collation::resolve(id);
    Some((
        collation.charset().to_owned(),
        collation.collation().to_owned(),
    ))
}

/// Names of the bits of MySQL's and MariaDB's `sql_mode` that every target knows and that change what a
/// DDL means. Bits that forbid (`STRICT_…`, `NO_ZERO_DATE`) are left out: what the source took, the target
/// is to take.
const MODES: &[(u64, &str)] = &[
    (1, "REAL_AS_FLOAT"),
    (1 << 1, "PIPES_AS_CONCAT"),
    (1 << 2, "ANSI_QUOTES"),
    (1 << 3, "IGNORE_SPACE"),
    (1 << 20, "NO_BACKSLASH_ESCAPES"),
];

/// The statements that make the session of the target what the source's was.
#[must_use]
pub fn for_statement(query: &Query<'_>, source: Flavor, target: Flavor) -> Vec<String> {
    let bits = query.status.sql_mode.unwrap_or(0);
    let mut modes = vec!["NO_AUTO_VALUE_ON_ZERO", "ALLOW_INVALID_DATES"];
    modes.extend(
        MODES
            .iter()
            .filter(|(bit, _)| bits & bit != 0)
            .map(|(_, name)| *name),
    );
    let mut set = vec![
        format!("SET SESSION sql_mode = '{}'", modes.join(",")),
        "SET SESSION foreign_key_checks = 0".to_owned(),
    ];
    if target != Flavor::TiDb
        && let Some((_, name)) = query.status.server_collation.and_then(collation)
        && (source == target || !name.contains("uca1400"))
    {
        set.push(format!(
            "SET SESSION collation_server = {}",
            sql::quoted(&name)
        ));
    }
    if let Some((_, name)) = query.status.utf8mb4_collation.and_then(collation)
        && matches!(target, Flavor::MySql | Flavor::Aurora | Flavor::TiDb)
        && matches!(
            name.as_str(),
            "utf8mb4_0900_ai_ci" | "utf8mb4_general_ci" | "utf8mb4_bin"
        )
        && (target == Flavor::TiDb || name != "utf8mb4_bin")
    {
        set.push(format!(
            "SET SESSION default_collation_for_utf8mb4 = {}",
            sql::quoted(&name)
        ));
    }
    if target != Flavor::TiDb
        && let Some(explicit) = query.status.explicit_defaults_for_timestamp
    {
        set.push(format!(
            "SET SESSION explicit_defaults_for_timestamp = {}",
            u8::from(explicit)
        ));
    }
    set
}
