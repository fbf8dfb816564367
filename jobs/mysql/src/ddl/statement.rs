//! What a statement is.

use std::ops::Range;

use super::lexer::Token;
use super::names::{NameRef, NameRole};
use super::{Context, cursor::Cursor, parse};
use crate::schema::TableName;

/// A statement, read as far as its kind and its names go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it is.
    pub kind: Kind,
    /// Its text. MariaDB's `SET STATEMENT … FOR` before it is left out: the values that it sets
    /// are in the event already, and MySQL does not know it.
    pub text: String,
    /// Names of tables and databases in it, in their order.
    pub names: Vec<NameRef>,
    pub(super) tokens: Vec<Token>,
    pub(super) context: Context,
}

/// Kinds of statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `CREATE DATABASE`.
    CreateDatabase {
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
        /// MariaDB's `OR REPLACE`.
        or_replace: bool,
    },
    /// `ALTER DATABASE`.
    AlterDatabase,
    /// `DROP DATABASE`.
    DropDatabase {
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `CREATE TABLE`, but for a `CREATE TABLE … SELECT`, which is [`Kind::Dml`].
    CreateTable(CreateTable),
    /// `ALTER TABLE`, cut at its commas.
    AlterTable(Vec<AlterSpec>),
    /// `DROP TABLE`.
    DropTable {
        /// `IF EXISTS`.
        if_exists: bool,
        /// `TEMPORARY`.
        temporary: bool,
    },
    /// `RENAME TABLE`: the tables and their new names.
    RenameTable(Vec<(NameRef, NameRef)>),
    /// `TRUNCATE TABLE`.
    Truncate,
    /// `CREATE INDEX`.
    CreateIndex,
    /// `DROP INDEX`.
    DropIndex,
    /// What is not carried over, as in `view`, `trigger`, `user`, `ANALYZE`.
    LeftOut(&'static str),
    /// Where a transaction begins or ends, or a place in it.
    Transaction(TransactionWord),
    /// Rows in statement format. In what a source with `binlog_format=ROW` writes there is none: a
    /// session changed its format.
    Dml(DmlKind),
    /// Nothing that is known.
    Unknown,
}

/// What a `CREATE TABLE` says beside columns and keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateTable {
    /// `TEMPORARY`: no other session sees it, and no row of it is in the binlog.
    pub temporary: bool,
    /// `IF NOT EXISTS`.
    pub if_not_exists: bool,
    /// MariaDB's `OR REPLACE`.
    pub or_replace: bool,
    /// `LIKE`: a name of role [`NameRole::Like`] is among the names.
    pub like: bool,
    /// A query follows; only with `temporary`.
    pub select: bool,
    /// `START TRANSACTION`: rows follow in the same transaction (MySQL 8.0.21's form of
    /// `CREATE TABLE … SELECT`).
    pub start_transaction: bool,
    /// The tokens in the parentheses: columns and keys.
    pub(super) body: Range<usize>,
    /// The tokens behind them.
    pub(super) options: Range<usize>,
}

/// One of the changes of an `ALTER TABLE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterSpec {
    /// What it is.
    pub kind: SpecKind,
    /// Its bytes in the statement's text.
    pub range: Range<usize>,
    pub(super) tokens: Range<usize>,
}

/// Kinds of changes of an `ALTER TABLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // They say what they are.
pub enum SpecKind {
    AddColumn,
    DropColumn,
    ModifyColumn,
    ChangeColumn,
    RenameColumn,
    /// `ALTER COLUMN … SET DEFAULT | DROP DEFAULT | SET VISIBLE | SET INVISIBLE`.
    AlterColumn,
    AddPrimaryKey,
    AddUnique,
    /// Ordinary, FULLTEXT and SPATIAL ones.
    AddIndex,
    AddForeignKey,
    AddCheck,
    DropPrimaryKey,
    DropIndex,
    DropForeignKey,
    DropCheck,
    /// `DROP CONSTRAINT`, of any kind.
    DropConstraint,
    AlterIndex,
    AlterCheck,
    RenameIndex,
    RenameTable,
    /// `CONVERT TO CHARACTER SET`.
    Convert,
    /// Options of the table, several perhaps.
    Options,
    OrderBy,
    Force,
    /// `ENABLE KEYS`, `DISABLE KEYS`.
    Keys,
    /// `DISCARD TABLESPACE`, `IMPORT TABLESPACE`.
    Tablespace,
    Partition(PartitionOp),
    /// `ALGORITHM`, `LOCK`, `WITH VALIDATION`: how, and not what.
    Modifier,
    Other,
}

/// What is done to partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // They say what they are.
pub enum PartitionOp {
    /// `PARTITION BY`.
    By,
    /// `REMOVE PARTITIONING`.
    Remove,
    Add,
    Drop,
    Truncate,
    Reorganize,
    Exchange,
    Coalesce,
    Rebuild,
    /// MariaDB's `CONVERT TABLE … TO PARTITION` and back.
    Convert,
    /// ANALYZE, CHECK, OPTIMIZE, REPAIR, DISCARD and IMPORT, which change no row and no definition.
    Maintain,
}

/// What a statement says to the transaction. Names of savepoints are unquoted; an `xid` is the text
/// between the verb and the words behind it, as in `X'6162',X'',1`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // They say what they are.
pub enum TransactionWord {
    Begin,
    Commit,
    Rollback,
    RollbackTo(String),
    Savepoint(String),
    Release(String),
    XaStart(String),
    XaEnd(String),
    XaPrepare(String),
    XaCommit { xid: String, one_phase: bool },
    XaRollback(String),
}

/// How a statement writes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // They say what they are.
pub enum DmlKind {
    Insert,
    Replace,
    Update,
    Delete,
    LoadData,
    CreateSelect,
    /// `SELECT f()`, `CALL`, `DO`: what they call may write.
    Call,
}

impl Statement {
    /// Reads a statement. Never fails: what no rule knows is [`Kind::Unknown`].
    #[must_use]
    pub fn parse(text: &str, context: &Context) -> Self {
        parse::statement(text, context)
    }

    /// The tables that it names, in all roles but views', each once.
    #[must_use]
    pub fn tables(&self) -> Vec<TableName> {
        self.named(|role| role != NameRole::View)
    }

    /// The tables whose definition or existence it changes: made, altered, dropped, emptied, renamed
    /// (under both names), or given away as a partition. None for temporary tables and for what is
    /// left out. Of a `DROP DATABASE` the tables are not in the statement.
    #[must_use]
    pub fn touched(&self) -> Vec<TableName> {
        match &self.kind {
            Kind::CreateTable(create) if create.temporary => Vec::new(),
            Kind::DropTable {
                temporary: true, ..
            } => Vec::new(),
            Kind::CreateTable(_)
            | Kind::AlterTable(_)
            | Kind::DropTable { .. }
            | Kind::RenameTable(_)
            | Kind::Truncate
            | Kind::CreateIndex
            | Kind::DropIndex
            | Kind::Dml(DmlKind::CreateSelect) => self.named(|role| {
                matches!(
                    role,
                    NameRole::Table | NameRole::NewName | NameRole::Exchange
                )
            }),
            _ => Vec::new(),
        }
    }

    /// The database that a statement about databases is about.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        match self.kind {
            Kind::CreateDatabase { .. } | Kind::AlterDatabase | Kind::DropDatabase { .. } => self
                .names
                .iter()
                .find(|name| name.role == NameRole::Database)
                .map(|name| name.name.as_str())
                .or(self.context.default_schema.as_deref()),
            _ => None,
        }
    }

    /// Whether it is about a table that only its session sees.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match &self.kind {
            Kind::CreateTable(create) => create.temporary,
            Kind::DropTable { temporary, .. } => *temporary,
            _ => false,
        }
    }

    fn named(&self, takes: impl Fn(NameRole) -> bool) -> Vec<TableName> {
        let mut out: Vec<TableName> = Vec::new();
        for name in self.names.iter().filter(|name| takes(name.role)) {
            if let Some(table) = name.table().filter(|table| !out.contains(table)) {
                out.push(table);
            }
        }
        out
    }

    /// A cursor at the beginning.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor::new(&self.text, &self.tokens, &self.context)
    }
}
