//! A statement for other names, and in smaller steps.

use std::ops::Range;

use super::lexer::{Lexer, TokenKind};
use super::names::{NameRef, NameRole};
use super::statement::{Kind, SpecKind, Statement};
use crate::schema::TableName;
use crate::sql;

/// Into what [`Statement::rewrite_split`] cuts a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Split {
    /// An `ALTER TABLE` into one for each change, for targets that take one at a time (TiDB before
    /// 6.2). `ALGORITHM` and `LOCK` are left out, a new name of the table comes last. Changes that
    /// only work together (two columns that swap their names) fail at the target.
    pub alter: bool,
    /// A `RENAME TABLE` into one for each pair.
    pub rename: bool,
}

impl Statement {
    /// The statement with its names mapped, always quoted and with their database. Every other byte
    /// is as it was, version comments too. A name whose database is not known stays as it was
    /// written.
    ///
    /// `table` gives the target's name of a table, `schema` the target's name of a database, for
    /// statements about databases.
    #[must_use]
    pub fn rewrite(
        &self,
        table: impl Fn(&TableName) -> TableName,
        schema: impl Fn(&str) -> String,
    ) -> String {
        self.piece(0..self.text.len(), &table, &schema)
    }

    /// Like [`Statement::rewrite`], cut into several statements that have the same effect one after
    /// the other.
    #[must_use]
    pub fn rewrite_split(
        &self,
        split: Split,
        table: impl Fn(&TableName) -> TableName,
        schema: impl Fn(&str) -> String,
    ) -> Vec<String> {
        match &self.kind {
            Kind::RenameTable(pairs) if split.rename && pairs.len() > 1 => pairs
                .iter()
                .map(|(from, to)| {
                    let name = |name: &NameRef| self.piece(name.range.clone(), &table, &schema);
                    format!("RENAME TABLE {} TO {}", name(from), name(to))
                })
                .collect(),
            Kind::AlterTable(specs) if split.alter && specs.len() > 1 => {
                let Some(name) = self.names.iter().find(|name| name.role == NameRole::Table) else {
                    return vec![self.rewrite(table, schema)];
                };
                let name = self.piece(name.range.clone(), &table, &schema);
                let mut specs: Vec<_> = specs
                    .iter()
                    .filter(|spec| spec.kind != SpecKind::Modifier)
                    .collect();
                specs.sort_by_key(|spec| spec.kind == SpecKind::RenameTable);
                specs
                    .into_iter()
                    .map(|spec| {
                        let change = self.piece(spec.range.clone(), &table, &schema);
                        format!("ALTER TABLE {name} {change}")
                    })
                    .collect()
            }
            _ => vec![self.rewrite(table, schema)],
        }
    }

    /// A part of the text with its names mapped. Version comments that it cuts are closed or opened.
    fn piece(
        &self,
        range: Range<usize>,
        table: &impl Fn(&TableName) -> TableName,
        schema: &impl Fn(&str) -> String,
    ) -> String {
        let mut out = String::with_capacity(range.len() + 32);
        let whole = range == (0..self.text.len());
        let (opened, closed) = if whole {
            (0, 0)
        } else {
            self.version_marks(&range)
        };
        if closed > opened {
            out.push_str("/*! ");
        }
        let mut at = range.start;
        for name in &self.names {
            if name.range.start < at || name.range.end > range.end {
                continue;
            }
            let mapped = match (name.role, name.table()) {
                (NameRole::Database, _) => sql::ident(&schema(&name.name)),
                (_, Some(full)) => sql::qualified(&table(&full)),
                (_, None) => continue,
            };
            out.push_str(self.text.get(at..name.range.start).unwrap_or_default());
            out.push_str(&mapped);
            at = name.range.end;
        }
        out.push_str(self.text.get(at..range.end).unwrap_or_default());
        if opened > closed {
            out.push_str(" */");
        }
        out
    }

    fn version_marks(&self, range: &Range<usize>) -> (usize, usize) {
        let mut marks = (0, 0);
        for token in Lexer::new(&self.text, &self.context) {
            if token.range.start < range.start || token.range.end > range.end {
                continue;
            }
            match token.kind {
                TokenKind::VersionOpen => marks.0 += 1,
                TokenKind::VersionClose => marks.1 += 1,
                _ => {}
            }
        }
        marks
    }
}
