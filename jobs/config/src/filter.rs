//! Which tables a task migrates: DM's block-allow-list with DM's order of precedence.
//!
//! For `schema`.`table`:
//! 1. system schemas are always out;
//! 2. when `do-dbs` is given, the schema must match it, otherwise the table is out; when it is
//!    not given and `ignore-dbs` matches, the table is out;
//! 3. when `do-tables` is given, the table must match it, otherwise it is out; when it is not
//!    given and `ignore-tables` matches, the table is out;
//! 4. what is left is in.

use crate::pattern::{Pattern, PatternError};
use crate::task_file::{BlockAllowList, TableRule};

/// Schemas that belong to a server and are never migrated.
pub const SYSTEM_SCHEMAS: &[&str] = &[
    "mysql",
    "information_schema",
    "performance_schema",
    "sys",
    "metrics_schema",
    "inspection_schema",
    "dm_heartbeat",
];

/// Whether `schema` is one of [`SYSTEM_SCHEMAS`], in any case.
pub fn is_system_schema(schema: &str) -> bool {
    SYSTEM_SCHEMAS
        .iter()
        .any(|system| system.eq_ignore_ascii_case(schema))
}

/// A compiled block-allow-list. The default lets everything in but system schemas.
#[derive(Debug, Clone, Default)]
pub struct TableFilter {
    do_dbs: Vec<Pattern>,
    ignore_dbs: Vec<Pattern>,
    do_tables: Vec<(Pattern, Pattern)>,
    ignore_tables: Vec<(Pattern, Pattern)>,
}

impl TableFilter {
    /// Compiles `list`; names are compared without regard to case unless `case_sensitive`.
    pub fn new(list: &BlockAllowList, case_sensitive: bool) -> Result<Self, PatternError> {
        let schemas = |patterns: &[String]| -> Result<Vec<Pattern>, PatternError> {
            patterns
                .iter()
                .map(|text| Pattern::new(text, case_sensitive))
                .collect()
        };
        let tables = |rules: &[TableRule]| -> Result<Vec<(Pattern, Pattern)>, PatternError> {
            rules
                .iter()
                .map(|rule| {
                    Ok((
                        Pattern::new(&rule.db_name, case_sensitive)?,
                        Pattern::new(&rule.tbl_name, case_sensitive)?,
                    ))
                })
                .collect()
        };
        Ok(Self {
            do_dbs: schemas(&list.do_dbs)?,
            ignore_dbs: schemas(&list.ignore_dbs)?,
            do_tables: tables(&list.do_tables)?,
            ignore_tables: tables(&list.ignore_tables)?,
        })
    }

    /// Whether the table is migrated.
    pub fn includes(&self, schema: &str, table: &str) -> bool {
        self.schema_level(schema) && self.table_level(schema, table)
    }

    /// Whether the schema itself is migrated: it passes the schema level, and, where `do-tables`
    /// is given, some entry of it can match a table there.
    pub fn includes_schema(&self, schema: &str) -> bool {
        self.schema_level(schema)
            && (self.do_tables.is_empty()
                || self.do_tables.iter().any(|(db, _)| db.matches(schema)))
    }

    /// The patterns as written, for the task's fingerprint.
    pub(crate) fn describe(&self) -> serde_json::Value {
        let schemas = |list: &[Pattern]| -> Vec<String> {
            list.iter()
                .map(|pattern| pattern.as_str().to_owned())
                .collect()
        };
        let tables = |list: &[(Pattern, Pattern)]| -> Vec<[String; 2]> {
            list.iter()
                .map(|(db, tbl)| [db.as_str().to_owned(), tbl.as_str().to_owned()])
                .collect()
        };
        serde_json::json!({
            "do-dbs": schemas(&self.do_dbs),
            "ignore-dbs": schemas(&self.ignore_dbs),
            "do-tables": tables(&self.do_tables),
            "ignore-tables": tables(&self.ignore_tables),
        })
    }

    fn schema_level(&self, schema: &str) -> bool {
        if is_system_schema(schema) {
            return false;
        }
        let any = |patterns: &[Pattern]| patterns.iter().any(|p| p.matches(schema));
        if self.do_dbs.is_empty() {
            !any(&self.ignore_dbs)
        } else {
            any(&self.do_dbs)
        }
    }

    fn table_level(&self, schema: &str, table: &str) -> bool {
        let any = |rules: &[(Pattern, Pattern)]| {
            rules
                .iter()
                .any(|(db, tbl)| db.matches(schema) && tbl.matches(table))
        };
        if self.do_tables.is_empty() {
            !any(&self.ignore_tables)
        } else {
            any(&self.do_tables)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(yaml: &str) -> TableFilter {
        let list: BlockAllowList = serde_saphyr::from_str(yaml).unwrap();
        TableFilter::new(&list, false).unwrap()
    }

    #[test]
    fn an_empty_list_lets_in_all_but_system_schemas() {
        let f = TableFilter::default();
        assert!(f.includes("shop", "orders"));
        for schema in ["mysql", "INFORMATION_SCHEMA", "sys", "performance_schema"] {
            assert!(!f.includes(schema, "t"), "{schema}");
            assert!(!f.includes_schema(schema), "{schema}");
        }
        assert!(!filter("do-dbs: ['*']").includes("mysql", "user"));
    }

    #[test]
    fn do_dbs_beats_ignore_dbs() {
        let f = filter("{do-dbs: [a*], ignore-dbs: [ab]}");
        assert!(
            f.includes("ab", "t"),
            "ignore-dbs is not looked at when do-dbs is given"
        );
        assert!(!f.includes("b", "t"));
    }

    #[test]
    fn do_tables_beats_ignore_tables() {
        let f = filter(
            "{do-tables: [{db-name: a, tbl-name: t*}], ignore-tables: [{db-name: a, tbl-name: t1}]}",
        );
        assert!(f.includes("a", "t1"));
        assert!(!f.includes("a", "u"));
        assert!(!f.includes("b", "t1"));
        assert!(f.includes_schema("a"));
        assert!(!f.includes_schema("b"));
    }

    #[test]
    fn both_levels_must_agree() {
        let f = filter("{do-dbs: [a], do-tables: [{db-name: b, tbl-name: '*'}]}");
        assert!(!f.includes("a", "t"));
        assert!(!f.includes("b", "t"));
        let f = filter("{do-dbs: [a], ignore-tables: [{db-name: a, tbl-name: log}]}");
        assert!(f.includes("a", "t"));
        assert!(!f.includes("a", "LOG"), "case does not count by default");
    }
}
