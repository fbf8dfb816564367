//! Character sets and collations that the target lacks.
//!
//! The load gives such a column the nearest that the target has and keeps every character; what
//! changes is how text compares. So that is a warning. A character set that nobody knows cannot be
//! converted, and fails.

use std::collections::{BTreeMap, BTreeSet};

use tideway_mysql::info::Flavor;
use tideway_mysql::schema::{TableDef, TableName};

use crate::report::{Check, CheckResult, State};

/// Character sets of MySQL and MariaDB; each converts to utf8mb4.
const KNOWN: &[&str] = &[
    "armscii8", "ascii", "big5", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "cp850",
    "cp852", "cp866", "cp932", "dec8", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "geostd8",
    "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5", "latin7",
    "macce", "macroman", "sjis", "swe7", "tis620", "ucs2", "ujis", "utf16", "utf16le", "utf32",
    "utf8", "utf8mb3", "utf8mb4",
];

/// On TiDB the others exist in name only: its latin1 stores UTF-8.
const TIDB: &[&str] = &[
    "utf8mb4", "utf8", "utf8mb3", "ascii", "binary", "gbk", "gb18030",
];

/// Where a character set with a collation is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// One of the tables.
    pub example: TableName,
    /// How many tables use it.
    pub tables: u64,
}

/// Uses by character set and collation. Few, whatever the number of tables.
pub type Uses = BTreeMap<(String, String), Use>;

/// Adds what a table uses.
pub fn collect(table: &TableDef, uses: &mut Uses) {
    let default = table.charset.as_deref().zip(table.collation.as_deref());
    let columns = table
        .columns
        .iter()
        .filter_map(|c| c.charset.as_deref().zip(c.collation.as_deref()));
    let pairs: BTreeSet<(&str, &str)> = columns.chain(default).collect();
    for (charset, collation) in pairs {
        let key = (charset.to_ascii_lowercase(), collation.to_ascii_lowercase());
        let entry = uses.entry(key).or_insert_with(|| Use {
            example: table.name.clone(),
            tables: 0,
        });
        entry.tables += 1;
    }
}

/// What the target has, in lower case.
#[derive(Debug, Clone, Default)]
pub struct TargetText {
    /// Character sets.
    pub charsets: BTreeSet<String>,
    /// Collations.
    pub collations: BTreeSet<String>,
}

impl TargetText {
    fn has_charset(&self, charset: &str, flavor: Flavor) -> bool {
        let names = [
            charset,
            if charset == "utf8mb3" {
                "utf8"
            } else {
                "utf8mb3"
            },
        ];
        let names = if charset.starts_with("utf8") && charset != "utf8mb4" {
            &names[..]
        } else {
            &names[..1]
        };
        names.iter().any(|n| self.charsets.contains(*n))
            && (flavor != Flavor::TiDb || TIDB.contains(&charset))
    }

    fn has_collation(&self, collation: &str) -> bool {
        let other = match collation.split_once('_') {
            Some(("utf8mb3", rest)) => format!("utf8_{rest}"),
            Some(("utf8", rest)) => format!("utf8mb3_{rest}"),
            // MariaDB lists `uca1400_ai_ci` once for all its character sets.
            Some((_, rest)) if rest.starts_with("uca1400") => rest.to_owned(),
            _ => String::new(),
        };
        self.collations.contains(collation) || self.collations.contains(&other)
    }
}

/// `character set and collation check`.
pub fn check(uses: &Uses, target: &TargetText, flavor: Flavor, source: &str) -> CheckResult {
    let name = "character set and collation check";
    let desc = "check whether the target has the character sets and collations in use";
    let mut check = Check::new("charset", name, desc, source);
    for ((charset, collation), used) in uses {
        let (severity, what, way_out) = if !KNOWN.contains(&charset.as_str()) {
            let what = format!("the character set {charset} is not known");
            (
                State::Fail,
                what,
                "convert the tables to utf8mb4 at the source",
            )
        } else if !target.has_charset(charset, flavor) {
            let what = format!("{flavor} has no {charset} ({collation}): it becomes utf8mb4");
            (
                State::Warn,
                what,
                "nothing; text is kept, but may compare and sort differently",
            )
        } else if !target.has_collation(collation) {
            let what = format!("{flavor} has no {collation}: the nearest is taken");
            (
                State::Warn,
                what,
                "nothing; text is kept, but may compare and sort differently",
            )
        } else {
            continue;
        };
        let this = match used.tables {
            1 => used.example.to_string(),
            n => format!("{} and {} more", used.example, n - 1),
        };
        check.add(severity, what, way_out, &this);
    }
    check.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(charset: &str, collation: &str, flavor: Flavor) -> State {
        let names = |list: &str| list.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
        let target = TargetText {
            charsets: names("utf8mb4 utf8 latin1 binary"),
            collations: names(
                "utf8mb4_bin utf8mb4_0900_ai_ci utf8_general_ci latin1_swedish_ci latin1_bin \
                 uca1400_ai_ci binary",
            ),
        };
        let used = Use {
            example: TableName::new("s", "t"),
            tables: 1,
        };
        let uses = Uses::from([((charset.to_owned(), collation.to_owned()), used)]);
        check(&uses, &target, flavor, "a").state
    }

    #[test]
    fn what_is_lacking_is_translated_or_fails() {
        assert_eq!(
            judge("utf8mb4", "utf8mb4_0900_ai_ci", Flavor::TiDb),
            State::Success
        );
        assert_eq!(
            judge("utf8mb3", "utf8mb3_general_ci", Flavor::TiDb),
            State::Success
        );
        assert_eq!(
            judge("utf8mb4", "utf8mb4_0900_as_cs", Flavor::TiDb),
            State::Warn
        );
        assert_eq!(
            judge("latin1", "latin1_swedish_ci", Flavor::TiDb),
            State::Warn
        );
        assert_eq!(
            judge("latin1", "latin1_swedish_ci", Flavor::MySql),
            State::Success
        );
        assert_eq!(judge("koi8r", "koi8r_bin", Flavor::MySql), State::Warn);
        assert_eq!(judge("klingon", "klingon_bin", Flavor::MySql), State::Fail);
        assert_eq!(
            judge("utf8mb4", "utf8mb4_uca1400_ai_ci", Flavor::MariaDb),
            State::Success
        );
        assert_eq!(judge("binary", "binary", Flavor::TiDb), State::Success);
    }
}
