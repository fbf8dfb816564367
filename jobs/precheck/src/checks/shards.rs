//! Tables that meet in one target table: whether they hold the same columns, and whether numbers
//! that each of them counts up for itself may collide.
//!
//! Of the tables that meet only the first's columns are kept; each other one is compared as it comes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tideway_mysql::schema::{TableDef, TableName};
use tideway_mysql::types::column_type::ColumnType;

use crate::report::{Check, CheckResult, Finding, State};

/// Differences that are named of one table.
const NAMED: usize = 3;

/// What of a table must agree where tables meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    columns: Vec<Column>,
    /// The AUTO_INCREMENT column, where it alone tells rows apart.
    numbered: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    name: String,
    ty: ColumnType,
    /// For people.
    raw: String,
}

impl Shape {
    /// The shape of a table.
    #[must_use]
    pub fn of(def: &TableDef) -> Self {
        let columns = def.columns.iter().map(|column| Column {
            name: column.name.to_lowercase(),
            // Without what a server writes by its version only: `int(11)` is `int`.
            ty: column.ty.clone(),
            raw: column.raw_type.clone(),
        });
        let alone = |name: &str| {
            def.keys
                .iter()
                .filter(|key| key.unique)
                .any(|key| key.parts.len() == 1 && key.parts[0].column.as_deref() == Some(name))
        };
        let mut numbered = def.columns.iter().filter(|column| column.auto_increment);
        Self {
            columns: columns.collect(),
            numbered: numbered
                .find(|column| alone(&column.name))
                .map(|column| column.name.clone()),
        }
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// How this table differs from the first that it meets.
    fn differences(&self, first: &Self) -> Vec<String> {
        let mut out = Vec::new();
        for ours in &self.columns {
            match first.column(&ours.name) {
                None => out.push(format!("column `{}` is in this one only", ours.name)),
                Some(theirs) if theirs.ty != ours.ty => out.push(format!(
                    "column `{}` is {}, there {}",
                    ours.name, ours.raw, theirs.raw
                )),
                Some(_) => {}
            }
        }
        let lacking = first
            .columns
            .iter()
            .filter(|theirs| self.column(&theirs.name).is_none());
        out.extend(lacking.map(|theirs| format!("column `{}` is missing", theirs.name)));
        out
    }
}

/// The tables that meet.
pub struct Shards {
    meeting: Arc<BTreeSet<TableName>>,
    first: BTreeMap<TableName, (String, Shape)>,
    structure: Check,
    numbered: Check,
}

impl Shards {
    /// Of the target tables of all tables of all sources, named as the target folds names, those that
    /// come more than once.
    pub fn of(targets: impl IntoIterator<Item = TableName>) -> Self {
        let (mut seen, mut meeting) = (BTreeSet::new(), BTreeSet::new());
        for target in targets {
            if !seen.insert(target.clone()) {
                meeting.insert(target);
            }
        }
        Self {
            meeting: Arc::new(meeting),
            first: BTreeMap::new(),
            structure: Check::new(
                "schema_of_shard_tables",
                "sharding table consistency check",
                "check consistency of the structures of tables that meet in one target table",
                "",
            ),
            numbered: Check::new(
                "auto_increment_ID",
                "sharding table auto-increment check",
                "check whether tables that meet in one target table have an auto-increment key",
                "",
            ),
        }
    }

    /// Where tables meet.
    #[must_use]
    pub fn meeting(&self) -> Arc<BTreeSet<TableName>> {
        Arc::clone(&self.meeting)
    }

    /// Judges one of the tables that meet in `target`.
    pub fn add(&mut self, source: &str, table: &TableName, target: &TableName, shape: Shape) {
        let who = format!("{source} {table}");
        if let Some(column) = &shape.numbered {
            self.numbered.push(
                Finding {
                    severity: State::Warn,
                    short_error: format!("column `{column}` counts up by itself (AUTO_INCREMENT)"),
                    this: who.clone(),
                    other: target.to_string(),
                },
                "make sure that the tables that meet give out different numbers; a number that \
                 two of them have is one row at the target",
            );
        }
        let Some((first, other)) = self.first.get(target) else {
            self.first.insert(target.clone(), (who, shape));
            return;
        };
        let found = shape.differences(other);
        if found.is_empty() {
            return;
        }
        let more = match found.len() {
            0..=NAMED => String::new(),
            n => format!(" and {} more differences", n - NAMED),
        };
        let named: Vec<&str> = found.iter().take(NAMED).map(String::as_str).collect();
        self.structure.push(
            Finding {
                severity: State::Fail,
                short_error: format!("{}{more}", named.join(", ")),
                this: who,
                other: first.clone(),
            },
            "give the tables that meet the same columns, or each a target table of its own by a \
             route",
        );
    }

    /// The results; none where no tables meet.
    #[must_use]
    pub fn finish(self) -> Vec<CheckResult> {
        if self.meeting.is_empty() {
            return Vec::new();
        }
        vec![self.structure.finish(), self.numbered.finish()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(columns: &[(&str, &str)], numbered: Option<&str>) -> Shape {
        let column = |(name, raw): &(&str, &str)| Column {
            name: (*name).into(),
            ty: ColumnType::parse(raw),
            raw: (*raw).into(),
        };
        Shape {
            columns: columns.iter().map(column).collect(),
            numbered: numbered.map(str::to_owned),
        }
    }

    fn judge(a: Shape, b: Shape) -> Vec<CheckResult> {
        let target = TableName::new("shop", "t");
        let mut shards = Shards::of([target.clone(), TableName::new("shop", "u"), target.clone()]);
        assert_eq!(*shards.meeting(), BTreeSet::from([target.clone()]));
        shards.add("a", &TableName::new("shop", "t1"), &target, a);
        shards.add("b", &TableName::new("shop", "t2"), &target, b);
        shards.finish()
    }

    #[test]
    fn tables_that_meet_have_the_same_columns_and_types() {
        let one = shape(&[("id", "int(11)"), ("v", "varchar(10)")], None);
        // Another order and another server's spelling are the same.
        let other = shape(&[("v", "varchar(10)"), ("id", "int")], None);
        let results = judge(one.clone(), other);
        assert_eq!(results[0].state, State::Success, "{results:?}");
        assert_eq!(results[1].state, State::Success);
        let other = shape(&[("id", "bigint"), ("w", "int")], None);
        let result = &judge(one, other)[0];
        assert_eq!(result.state, State::Fail);
        assert_eq!(result.item, "schema_of_shard_tables");
        assert_eq!(
            result.errors[0].short_error,
            "column `id` is bigint, there int(11), column `w` is in this one only, column `v` is \
             missing"
        );
        assert!(result.errors[0].this.starts_with("b "), "{result:?}");
    }

    #[test]
    fn numbers_that_both_count_up_are_warned_of() {
        let one = shape(&[("id", "int")], Some("id"));
        let result = &judge(one.clone(), one)[1];
        assert_eq!((result.state, result.errors.len()), (State::Warn, 2));
        assert_eq!(result.item, "auto_increment_ID");
        assert!(Shards::of([TableName::new("a", "b")]).finish().is_empty());
    }
}
