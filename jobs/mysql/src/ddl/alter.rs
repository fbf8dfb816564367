//! The changes of an `ALTER TABLE`.

use super::cursor::Cursor;
use super::names::NameRole;
use super::parse::Parser;
use super::statement::{AlterSpec, PartitionOp, SpecKind};

/// Cuts what follows the table's name at its commas, and notes the names in it.
pub(super) fn specs(parser: &mut Parser<'_>) -> Vec<AlterSpec> {
    // MariaDB: WAIT n | NOWAIT.
    if parser.cursor.eat("WAIT") {
        parser.cursor.step();
    }
    parser.cursor.eat("NOWAIT");
    parser.union();
    let mut out = Vec::new();
    while !parser.cursor.done() {
        let start = parser.cursor.at();
        let kind = kind(&parser.cursor);
        let end = end(&parser.cursor, kind);
        let tokens = start..end;
        let cursor = &parser.cursor;
        let rest = cursor.within(end..cursor.len());
        if !tokens.is_empty() {
            out.push(AlterSpec {
                kind,
                range: cursor.bytes(&tokens),
                tokens: tokens.clone(),
            });
            parser.cursor = cursor.within(tokens);
            names(parser, kind);
        }
        parser.cursor = rest;
        parser.cursor.eat_punct(',');
        if parser.cursor.at() == start {
            parser.cursor.step();
        }
    }
    out
}

/// Where a change that begins here ends, as the number of a token.
fn end(cursor: &Cursor<'_>, kind: SpecKind) -> usize {
    // Names of partitions and of columns to sort by have commas between them; nothing can follow.
    if matches!(kind, SpecKind::Partition(_) | SpecKind::OrderBy) {
        return if kind == SpecKind::OrderBy {
            clause(cursor)
        } else {
            cursor.len()
        };
    }
    let mut ahead = cursor.clone();
    ahead.step();
    while !ahead.done() {
        if ahead.skip_parens() {
            continue;
        }
        if ahead.is_punct(',') || ahead.is_punct(';') || partitions(&ahead) {
            break;
        }
        ahead.step();
    }
    ahead.at()
}

/// To the clause of partitions, or to the end.
fn clause(cursor: &Cursor<'_>) -> usize {
    let mut ahead = cursor.clone();
    while !ahead.done() && !partitions(&ahead) {
        if !ahead.skip_parens() {
            ahead.step();
        }
    }
    ahead.at()
}

/// These stand behind the last change without a comma.
fn partitions(cursor: &Cursor<'_>) -> bool {
    cursor.are(&["PARTITION", "BY"]) || cursor.are(&["REMOVE", "PARTITIONING"])
}

fn kind(cursor: &Cursor<'_>) -> SpecKind {
    let mut c = cursor.clone();
    let Some(verb) = c.word() else {
        return SpecKind::Other;
    };
    c.step();
    match verb.to_ascii_uppercase().as_str() {
        "ADD" => added(&mut c),
        "DROP" => dropped(&mut c),
        "MODIFY" => SpecKind::ModifyColumn,
        "CHANGE" => SpecKind::ChangeColumn,
        "RENAME" => match () {
            () if c.eat_any(&["TO", "AS"]) || c.is_punct('=') => SpecKind::RenameTable,
            () if c.eat("COLUMN") => SpecKind::RenameColumn,
            () if c.eat_any(&["INDEX", "KEY"]) => SpecKind::RenameIndex,
            () => SpecKind::RenameTable,
        },
        "ALTER" => match () {
            () if c.eat_any(&["INDEX", "KEY"]) => SpecKind::AlterIndex,
            () if c.eat_any(&["CHECK", "CONSTRAINT"]) => SpecKind::AlterCheck,
            () => SpecKind::AlterColumn,
        },
        "CONVERT" if c.is("TO") => SpecKind::Convert,
        "CONVERT" => SpecKind::Partition(PartitionOp::Convert),
        "ORDER" => SpecKind::OrderBy,
        "FORCE" => SpecKind::Force,
        "ENABLE" | "DISABLE" => SpecKind::Keys,
        "ALGORITHM" | "LOCK" | "WITHOUT" => SpecKind::Modifier,
        "WITH" if c.is("VALIDATION") => SpecKind::Modifier,
        "DISCARD" | "IMPORT" if c.is("TABLESPACE") => SpecKind::Tablespace,
        "TRUNCATE" => SpecKind::Partition(PartitionOp::Truncate),
        "REORGANIZE" => SpecKind::Partition(PartitionOp::Reorganize),
        "EXCHANGE" => SpecKind::Partition(PartitionOp::Exchange),
        "COALESCE" => SpecKind::Partition(PartitionOp::Coalesce),
        "REBUILD" => SpecKind::Partition(PartitionOp::Rebuild),
        "ANALYZE" | "CHECK" | "OPTIMIZE" | "REPAIR" | "DISCARD" | "IMPORT" => {
            SpecKind::Partition(PartitionOp::Maintain)
        }
        "PARTITION" if c.is("BY") => SpecKind::Partition(PartitionOp::By),
        "REMOVE" => SpecKind::Partition(PartitionOp::Remove),
        _ if is_option(cursor) => SpecKind::Options,
        _ => SpecKind::Other,
    }
}

fn added(c: &mut Cursor<'_>) -> SpecKind {
    if c.is("PARTITION") {
        return SpecKind::Partition(PartitionOp::Add);
    }
    if c.is_any(&["SYSTEM", "PERIOD"]) && (c.is_at(1, "VERSIONING") || c.is_at(1, "FOR")) {
        return SpecKind::Other;
    }
    if c.eat("CONSTRAINT") && !c.is_any(&["PRIMARY", "UNIQUE", "FOREIGN", "CHECK"]) {
        c.eat_all(&["IF", "NOT", "EXISTS"]);
        c.ident();
    }
    match () {
        () if c.is("COLUMN") => SpecKind::AddColumn,
        () if c.is("PRIMARY") => SpecKind::AddPrimaryKey,
        () if c.is("UNIQUE") => SpecKind::AddUnique,
        () if c.is("FOREIGN") => SpecKind::AddForeignKey,
        () if c.is("CHECK") => SpecKind::AddCheck,
        () if c.is_any(&["INDEX", "KEY", "FULLTEXT", "SPATIAL"]) => SpecKind::AddIndex,
        // VECTOR is no reserved word.
        () if c.are(&["VECTOR", "INDEX"]) || c.are(&["VECTOR", "KEY"]) => SpecKind::AddIndex,
        () => SpecKind::AddColumn,
    }
}

fn dropped(c: &mut Cursor<'_>) -> SpecKind {
    match () {
        () if c.is("PARTITION") => SpecKind::Partition(PartitionOp::Drop),
        () if c.are(&["PRIMARY", "KEY"]) => SpecKind::DropPrimaryKey,
        () if c.is_any(&["INDEX", "KEY"]) => SpecKind::DropIndex,
        () if c.is("FOREIGN") => SpecKind::DropForeignKey,
        () if c.is("CHECK") => SpecKind::DropCheck,
        () if c.is("CONSTRAINT") => SpecKind::DropConstraint,
        () if c.are(&["SYSTEM", "VERSIONING"]) || c.are(&["PERIOD", "FOR"]) => SpecKind::Other,
        () => SpecKind::DropColumn,
    }
}

/// Whether an option of a table begins here.
pub(super) fn is_option(cursor: &Cursor<'_>) -> bool {
    const OPTIONS: &[&str] = &[
        "ENGINE",
        "TYPE",
        "AUTO_INCREMENT",
        "AVG_ROW_LENGTH",
        "CHECKSUM",
        "TABLE_CHECKSUM",
        "PAGE_CHECKSUM",
        "COMMENT",
        "COMPRESSION",
        "CONNECTION",
        "DATA",
        "INDEX",
        "DELAY_KEY_WRITE",
        "ENCRYPTION",
        "ENGINE_ATTRIBUTE",
        "SECONDARY_ENGINE_ATTRIBUTE",
        "SECONDARY_ENGINE",
        "INSERT_METHOD",
        "KEY_BLOCK_SIZE",
        "MAX_ROWS",
        "MIN_ROWS",
        "PACK_KEYS",
        "PASSWORD",
        "ROW_FORMAT",
        "STATS_AUTO_RECALC",
        "STATS_PERSISTENT",
        "STATS_SAMPLE_PAGES",
        "TABLESPACE",
        "STORAGE",
        "UNION",
        "TRANSACTIONAL",
        "AUTOEXTEND_SIZE",
        "START",
        "DEFAULT",
        "CHARACTER",
        "CHARSET",
        "COLLATE",
        "PAGE_COMPRESSED",
        "PAGE_COMPRESSION_LEVEL",
        "ENCRYPTED",
        "ENCRYPTION_KEY_ID",
        "IETF_QUOTES",
        "NODEGROUP",
        "RAID_TYPE",
    ];
    cursor.is_any(OPTIONS)
}

/// Notes the tables that a change names, beside those of foreign keys.
fn names(parser: &mut Parser<'_>, kind: SpecKind) {
    match kind {
        SpecKind::RenameTable => {
            parser.cursor.step();
            parser.cursor.eat_any(&["TO", "AS"]);
            parser.cursor.eat_punct('=');
            parser.name(NameRole::NewName);
        }
        SpecKind::Partition(PartitionOp::Exchange) => {
            while !parser.cursor.done() && !parser.cursor.eat_all(&["WITH", "TABLE"]) {
                parser.cursor.step();
            }
            parser.name(NameRole::Exchange);
        }
        SpecKind::Partition(PartitionOp::Convert) => {
            // CONVERT TABLE t TO PARTITION p …; CONVERT PARTITION p TO TABLE t.
            let to_partition = parser.cursor.is_at(1, "TABLE");
            while !parser.cursor.done() && !parser.cursor.eat("TABLE") {
                parser.cursor.step();
            }
            let role = if to_partition {
                NameRole::Exchange
            } else {
                NameRole::NewName
            };
            parser.name(role);
        }
        _ => {}
    }
}
