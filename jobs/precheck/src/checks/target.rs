//! Tables at the target: those that are there already, and those that several sources fill.

use std::collections::BTreeMap;

use tideway_config::ShardMode;
use tideway_mysql::schema::TableName;

use crate::facts::Context;
use crate::report::{Check, CheckResult, Finding, State};
use crate::survey::Table;

/// A target table that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// The table.
    pub name: TableName,
    /// The source's table that goes there.
    pub from: TableName,
    /// Whether it holds a row.
    pub has_rows: bool,
    /// Columns of the source's table that it lacks.
    pub missing: Vec<String>,
}

/// `target table empty check`. `begun` tells that a load of this task has been here before.
pub fn existing(tables: &[Existing], begun: bool, context: Context, source: &str) -> CheckResult {
    let name = "target table empty check";
    let desc = "check whether target tables that exist are empty and fit";
    let mut check = Check::new("downstream_table_empty", name, desc, source);
    for table in tables {
        let this = table.name.to_string();
        if !table.missing.is_empty() {
            check.push(
                Finding {
                    severity: State::Fail,
                    short_error: format!(
                        "exists and lacks the columns {}",
                        table.missing.join(", ")
                    ),
                    this: this.clone(),
                    other: table.from.to_string(),
                },
                "drop the target's table, or add the columns",
            );
        }
        if table.has_rows {
            let (severity, way_out) = if begun {
                (
                    State::Warn,
                    "nothing: a load of this task goes on from its checkpoint",
                )
            } else if context.into_existing {
                (State::Warn, "nothing: --into-existing is given")
            } else {
                (
                    State::Fail,
                    "empty or drop the table, or load into it with --into-existing",
                )
            };
            check.add(severity, "exists and holds rows", way_out, &this);
        }
    }
    check.finish()
}

/// `target table conflict check` over the tables of all sources.
///
/// Tables that meet in one target table are meant to where a route sends each of them there;
/// anything else is two tables that bear one name by accident.
pub fn conflicts(
    sources: &[(&str, &[Table])],
    fold_case: bool,
    shard_mode: ShardMode,
) -> CheckResult {
    let name = "target table conflict check";
    let desc = "check whether several source tables meet in one target table";
    let mut check = Check::new("target_conflict", name, desc, "");
    let mut targets: BTreeMap<(String, String), Vec<(&str, &Table)>> = BTreeMap::new();
    for (id, tables) in sources {
        for table in *tables {
            let fold = |name: &str| {
                if fold_case {
                    name.to_lowercase()
                } else {
                    name.to_owned()
                }
            };
            let key = (fold(&table.target.schema), fold(&table.target.table));
            targets.entry(key).or_default().push((id, table));
        }
    }
    for meeting in targets.into_values().filter(|tables| tables.len() > 1) {
        let from = |(id, table): &(&str, &Table)| format!("{id} {}", table.name);
        let others: Vec<String> = meeting.iter().skip(1).take(10).map(from).collect();
        let mut finding = Finding {
            severity: State::Fail,
            short_error: format!("{} source tables meet here", meeting.len()),
            this: meeting[0].1.target.to_string(),
            other: format!("{}, {}", from(&meeting[0]), others.join(", ")),
        };
        if meeting.iter().any(|(_, table)| table.rule.is_none()) {
            let way_out = "give each a route of its own, or a route that says that they are merged";
            check.push(finding, way_out);
        } else if shard_mode == ShardMode::None {
            finding.severity = State::Warn;
            let way_out = "nothing, if they are merged on purpose and their keys do not collide; \
                           DDL on them is nobody's to coordinate without shard-mode";
            check.push(finding, way_out);
        } else {
            check.note(format!("{} is merged from {}", finding.this, finding.other));
        }
    }
    check.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::fake;
    use tideway_config::TaskMode;

    fn table(name: &str, target: &str, rule: Option<&str>) -> Table {
        Table {
            name: TableName::new("shop", name),
            target: TableName::new("shop", target),
            rule: rule.map(str::to_owned),
            rows: 0,
            bytes: 0,
            keyless: false,
        }
    }

    #[test]
    fn tables_that_meet() {
        let a = [table("t", "t", None)];
        let b = [table("t", "t", None)];
        let routed = [table("t_1", "t", Some("r"))];
        let more = [table("t_2", "t", Some("r"))];
        let state = |sources: &[(&str, &[Table])], mode| conflicts(sources, false, mode).state;
        assert_eq!(state(&[("a", &a)], ShardMode::None), State::Success);
        assert_eq!(state(&[("a", &a), ("b", &b)], ShardMode::None), State::Fail);
        assert_eq!(
            state(&[("a", &a), ("b", &routed)], ShardMode::Optimistic),
            State::Fail
        );
        assert_eq!(
            state(&[("a", &more), ("b", &routed)], ShardMode::None),
            State::Warn
        );
        assert_eq!(
            state(&[("a", &more), ("b", &routed)], ShardMode::Pessimistic),
            State::Success
        );
    }

    #[test]
    fn names_that_differ_in_case_meet_where_case_is_folded() {
        let tables = [table("T", "T", None), table("t", "t", None)];
        assert_eq!(
            conflicts(&[("a", &tables)], false, ShardMode::None).state,
            State::Success
        );
        assert_eq!(
            conflicts(&[("a", &tables)], true, ShardMode::None).state,
            State::Fail
        );
    }

    #[test]
    fn tables_that_are_there() {
        let there = |has_rows, missing: &[&str]| Existing {
            name: TableName::new("shop", "t"),
            from: TableName::new("shop", "t"),
            has_rows,
            missing: missing.iter().map(|m| (*m).to_owned()).collect(),
        };
        let context = fake::context(TaskMode::Full);
        let state = |t, begun, context| existing(&[t], begun, context, "a").state;
        assert_eq!(state(there(false, &[]), false, context), State::Success);
        assert_eq!(state(there(true, &[]), false, context), State::Fail);
        assert_eq!(state(there(true, &[]), true, context), State::Warn);
        let into = Context {
            into_existing: true,
            ..context
        };
        assert_eq!(state(there(true, &[]), false, into), State::Warn);
        assert_eq!(state(there(false, &["c"]), true, into), State::Fail);
    }
}
