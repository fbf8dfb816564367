//! Which character sets and collations the target has, and what stands in for one that it lacks.
//!
//! The target is asked (`information_schema`), never guessed. A stand-in keeps every character; what
//! may differ is how text compares: a coarser collation can make two values of a unique key equal,
//! which the load then reports as the duplicate that it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::info::Flavor;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// The character sets and collations of a target.
#[derive(Clone, Debug, Default)]
pub struct Collations {
    charsets: BTreeSet<String>,
    collations: BTreeSet<String>,
    restricted: bool,
}

/// A character set and a collation as the target has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Character set.
    pub charset: String,
    /// Collation.
    pub collation: String,
}

/// On TiDB the other character sets exist in name only: its `latin1` stores UTF-8 and has no
/// case-insensitive collation.
const TIDB_CHARSETS: &[&str] = &[
    "utf8mb4", "utf8", "utf8mb3", "ascii", "binary", "gbk", "gb18030",
];

impl Collations {
    /// Asks the target.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn read(conn: &mut Conn, flavor: Flavor) -> Result<Self, mysql_async::Error> {
        let charsets: Vec<String> = conn
            .query("SELECT character_set_name FROM information_schema.character_sets")
            .await?;
        let collations: Vec<String> = conn
            .query("SELECT collation_name FROM information_schema.collations")
            .await?;
        Ok(Self::new(charsets, collations, flavor))
    }

    /// From lists of names.
    pub fn new(
        charsets: impl IntoIterator<Item = String>,
        collations: impl IntoIterator<Item = String>,
        flavor: Flavor,
    ) -> Self {
        let lower = |name: String| name.to_ascii_lowercase();
        let mut collations: BTreeSet<String> = collations.into_iter().map(lower).collect();
        // MariaDB lists `uca1400_ai_ci` once, for all the character sets that it serves.
        let general: Vec<String> = collations
            .iter()
            .filter(|name| name.starts_with("uca1400_"))
            .map(|name| format!("utf8mb4_{name}"))
            .collect();
        collations.extend(general);
        Self {
            charsets: charsets.into_iter().map(lower).collect(),
            collations,
            restricted: flavor == Flavor::TiDb,
        }
    }

    /// The target's name of a character set that it has.
    fn charset(&self, charset: &str) -> Option<String> {
        if self.restricted && !TIDB_CHARSETS.contains(&charset) {
            return None;
        }
        synonyms(charset)
            .into_iter()
            .find(|name| self.charsets.contains(name))
    }

    /// What `charset` and `collation` of the source become.
    #[must_use]
    pub fn map(&self, charset: &str, collation: &str) -> Mapped {
        let charset = charset.to_ascii_lowercase();
        let collation = collation.to_ascii_lowercase();
        let target = self
            .charset(&charset)
            .unwrap_or_else(|| "utf8mb4".to_owned());
        let same = if synonyms(&charset).contains(&target) {
            synonyms(&collation)
        } else {
            Vec::new()
        };
        let collation = same
            .into_iter()
            .chain(stand_ins(&target, &charset, &collation))
            .find(|name| self.collations.contains(name))
            .unwrap_or_else(|| format!("{target}_bin"));
        Mapped {
            charset: target,
            collation,
        }
    }
}

/// `utf8` and `utf8mb3` are two names of one character set; so are the collations' prefixes.
fn synonyms(name: &str) -> Vec<String> {
    let other = match name.split_once('_').unwrap_or((name, "")) {
        ("utf8", rest) => Some(["utf8mb3", rest]),
        ("utf8mb3", rest) => Some(["utf8", rest]),
        _ => None,
    };
    let mut names = vec![name.to_owned()];
    if let Some([prefix, rest]) = other {
        names.push(if rest.is_empty() {
            prefix.to_owned()
        } else {
            format!("{prefix}_{rest}")
        });
    }
    names
}

/// Collations of `target` that compare most like `collation`, the nearest first.
fn stand_ins(target: &str, charset: &str, collation: &str) -> Vec<String> {
    let rest = collation
        .strip_prefix(charset)
        .unwrap_or(collation)
        .trim_start_matches('_');
    let suffixes: &[&str] = if rest == "nopad_bin" || rest.ends_with("_bin") && rest != "bin" {
        &["0900_bin", "bin"]
    } else if rest.ends_with("bin") || rest.ends_with("_cs") || collation == "binary" {
        if rest.contains("as_cs") {
            &["0900_as_cs", "uca1400_as_cs", "bin"]
        } else {
            &["bin"]
        }
    } else if rest.ends_with("as_ci") {
        &[
            "0900_as_ci",
            "uca1400_as_ci",
            "0900_ai_ci",
            "unicode_520_ci",
            "general_ci",
        ]
    } else if rest.starts_with("unicode") {
        &["unicode_ci", "unicode_520_ci", "0900_ai_ci", "general_ci"]
    } else if rest.contains("0900") || rest.contains("1400") || rest.contains("_ai_") {
        &[
            "0900_ai_ci",
            "uca1400_ai_ci",
            "unicode_520_ci",
            "unicode_ci",
            "general_ci",
        ]
    } else {
        &["general_ci", "unicode_ci"]
    };
    suffixes
        .iter()
        .map(|suffix| format!("{target}_{suffix}"))
        .collect()
}

/// How many bytes a character of a character set takes at most.
pub(crate) fn bytes_per_character(charset: &str) -> u32 {
    let widths: BTreeMap<&str, u32> = [
        ("utf8mb4", 4),
        ("utf16", 4),
        ("utf16le", 4),
        ("utf32", 4),
        ("gb18030", 4),
        ("utf8", 3),
        ("utf8mb3", 3),
        ("ujis", 3),
        ("eucjpms", 3),
        ("big5", 2),
        ("gbk", 2),
        ("gb2312", 2),
        ("sjis", 2),
        ("cp932", 2),
        ("euckr", 2),
        ("ucs2", 2),
    ]
    .into();
    widths.get(charset).copied().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        list.split_whitespace().map(str::to_owned).collect()
    }

    fn tidb() -> Collations {
        Collations::new(
            names("utf8 utf8mb4 ascii latin1 binary gbk"),
            names(
                "utf8mb4_bin latin1_bin binary ascii_bin utf8_bin utf8_general_ci utf8_unicode_ci \
                 utf8mb4_general_ci utf8mb4_unicode_ci utf8mb4_0900_ai_ci utf8mb4_0900_bin gbk_bin \
                 gbk_chinese_ci",
            ),
            Flavor::TiDb,
        )
    }

    #[test]
    fn what_tidb_lacks_becomes_the_nearest() {
        let tidb = tidb();
        let map = |charset, collation| {
            let mapped = tidb.map(charset, collation);
            format!("{} {}", mapped.charset, mapped.collation)
        };
        assert_eq!(
            map("utf8mb4", "utf8mb4_0900_ai_ci"),
            "utf8mb4 utf8mb4_0900_ai_ci"
        );
        assert_eq!(map("utf8mb3", "utf8mb3_general_ci"), "utf8 utf8_general_ci");
        assert_eq!(
            map("latin1", "latin1_swedish_ci"),
            "utf8mb4 utf8mb4_general_ci"
        );
        assert_eq!(map("latin1", "latin1_bin"), "utf8mb4 utf8mb4_bin");
        assert_eq!(map("utf8mb4", "utf8mb4_0900_as_cs"), "utf8mb4 utf8mb4_bin");
        assert_eq!(
            map("utf8mb4", "utf8mb4_ja_0900_as_cs"),
            "utf8mb4 utf8mb4_bin"
        );
        assert_eq!(
            map("utf8mb4", "utf8mb4_uca1400_ai_ci"),
            "utf8mb4 utf8mb4_0900_ai_ci"
        );
        assert_eq!(
            map("utf8mb4", "utf8mb4_unicode_520_ci"),
            "utf8mb4 utf8mb4_unicode_ci"
        );
        assert_eq!(map("binary", "binary"), "binary binary");
        assert_eq!(map("ascii", "ascii_general_ci"), "ascii ascii_bin");
    }

    #[test]
    fn an_old_mysql_gets_what_it_has() {
        let old = Collations::new(
            names("utf8 utf8mb4 latin1"),
            names(
                "utf8mb4_general_ci utf8mb4_unicode_520_ci utf8mb4_bin latin1_swedish_ci utf8_bin",
            ),
            Flavor::MySql,
        );
        assert_eq!(
            old.map("utf8mb4", "utf8mb4_0900_ai_ci").collation,
            "utf8mb4_unicode_520_ci"
        );
        assert_eq!(old.map("latin1", "latin1_swedish_ci").charset, "latin1");
    }
}
