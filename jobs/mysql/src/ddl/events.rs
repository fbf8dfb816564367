//! What DM's event filters call a statement.

use super::cursor::Cursor;
use super::statement::{AlterSpec, Kind, PartitionOp, SpecKind, Statement};

impl Statement {
    /// The events of DM's `filters` that a statement is, the coarse one first: `alter table`, then
    /// what it changes. Empty for what DM has no name for, transactions and rows in statement format
    /// among them.
    ///
    /// What depends on the old definition (`value range decrease`, `precision decrease`,
    /// `drop unique key` of a `DROP INDEX`, `remove auto increment`) is not in a statement's text;
    /// whoever needs these compares two definitions.
    #[must_use]
    pub fn events(&self) -> Vec<&'static str> {
        match &self.kind {
            Kind::CreateDatabase { .. } => vec!["create database"],
            Kind::AlterDatabase => vec!["alter database"],
            Kind::DropDatabase { .. } => vec!["drop database"],
            Kind::CreateTable(_) => vec!["create table"],
            Kind::DropTable { .. } => vec!["drop table"],
            Kind::RenameTable(_) => vec!["rename table"],
            Kind::Truncate => vec!["truncate table"],
            Kind::CreateIndex => vec!["create index"],
            Kind::DropIndex => vec!["drop index"],
            Kind::LeftOut("view") if self.cursor().is("DROP") => vec!["drop view"],
            Kind::LeftOut("view") if self.cursor().is("CREATE") => vec!["create view"],
            Kind::AlterTable(specs) => {
                let mut out = vec!["alter table"];
                for event in specs.iter().flat_map(|spec| self.spec_events(spec)) {
                    if !out.contains(&event) {
                        out.push(event);
                    }
                }
                out
            }
            _ => Vec::new(),
        }
    }

    fn spec_events(&self, spec: &AlterSpec) -> Vec<&'static str> {
        let cursor = self.cursor().within(spec.tokens.clone());
        match spec.kind {
            SpecKind::DropColumn => vec!["drop column"],
            SpecKind::RenameColumn => vec!["rename column"],
            SpecKind::RenameIndex => vec!["rename index"],
            SpecKind::RenameTable => vec!["rename table"],
            SpecKind::AddIndex | SpecKind::AddUnique => vec!["create index"],
            SpecKind::DropIndex => vec!["drop index"],
            SpecKind::DropPrimaryKey => vec!["drop primary key"],
            SpecKind::AlterColumn if cursor_has(&cursor, "DEFAULT") => vec!["modify default value"],
            SpecKind::DropForeignKey
            | SpecKind::DropCheck
            | SpecKind::DropConstraint
            | SpecKind::AlterCheck => vec!["modify constraint"],
            SpecKind::ModifyColumn | SpecKind::ChangeColumn => {
                let mut out = vec!["modify column"];
                if spec.kind == SpecKind::ChangeColumn && renames(&cursor) {
                    out.push("rename column");
                }
                let placed = cursor_has(&cursor, "AFTER") || cursor_has(&cursor, "FIRST");
                for (found, event) in [
                    (placed, "modify columns order"),
                    (cursor_has(&cursor, "DEFAULT"), "modify default value"),
                    (charset(&cursor), "modify charset"),
                    (cursor_has(&cursor, "COLLATE"), "modify collation"),
                ] {
                    if found {
                        out.push(event);
                    }
                }
                out
            }
            SpecKind::Convert => vec!["modify charset", "modify collation"],
            SpecKind::Options => {
                let mut out = Vec::new();
                for (found, event) in [
                    (cursor_has(&cursor, "ENGINE"), "modify storage engine"),
                    (charset(&cursor), "modify charset"),
                    (cursor_has(&cursor, "COLLATE"), "modify collation"),
                ] {
                    if found {
                        out.push(event);
                    }
                }
                out
            }
            SpecKind::Partition(op) => match op {
                PartitionOp::Truncate => vec!["truncate table partition"],
                PartitionOp::Reorganize => vec!["reorganize table partition"],
                PartitionOp::Rebuild => vec!["rebuild table partition"],
                PartitionOp::Exchange => vec!["exchange table partition"],
                PartitionOp::Coalesce => vec!["coalesce table partition"],
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

/// Whether a keyword stands outside of parentheses.
fn cursor_has(cursor: &Cursor<'_>, word: &str) -> bool {
    let mut ahead = cursor.clone();
    while !ahead.done() {
        if ahead.skip_parens() {
            continue;
        }
        if ahead.is(word) {
            return true;
        }
        ahead.step();
    }
    false
}

fn charset(cursor: &Cursor<'_>) -> bool {
    cursor_has(cursor, "CHARSET") || cursor_has(cursor, "CHARACTER")
}

/// Whether `CHANGE [COLUMN] [IF EXISTS] a b …` gives another name.
fn renames(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.step();
    ahead.eat("COLUMN");
    ahead.eat_all(&["IF", "EXISTS"]);
    let from = ahead.ident();
    let to = ahead.ident();
    from.map(|name| name.to_lowercase()) != to.map(|name| name.to_lowercase())
}
