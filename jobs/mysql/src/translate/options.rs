//! What stands behind the body of a `CREATE TABLE`: table options and partitions.

use super::column::{clear, closing};
use super::lexer::{Kind, Token};
use super::{Context, same_utf8};

/// Options that mean something on every target.
const ALWAYS: &[&str] = &["ENGINE", "AUTO_INCREMENT", "COMMENT"];
/// Options that MySQL has and TiDB does not need.
const MYSQL: &[&str] = &[
    "ROW_FORMAT",
    "AVG_ROW_LENGTH",
    "MAX_ROWS",
    "MIN_ROWS",
    "CHECKSUM",
    "DELAY_KEY_WRITE",
    "PACK_KEYS",
    "STATS_PERSISTENT",
    "STATS_AUTO_RECALC",
    "STATS_SAMPLE_PAGES",
    "KEY_BLOCK_SIZE",
    "COMPRESSION",
    "ENCRYPTION",
    "AUTOEXTEND_SIZE",
];
/// Options of no consequence, left out without a note.
const SILENT: &[&str] = &[
    "ROW_FORMAT",
    "AVG_ROW_LENGTH",
    "MAX_ROWS",
    "MIN_ROWS",
    "CHECKSUM",
    "DELAY_KEY_WRITE",
    "PACK_KEYS",
    "STATS_PERSISTENT",
    "STATS_AUTO_RECALC",
    "STATS_SAMPLE_PAGES",
    "KEY_BLOCK_SIZE",
    "PAGE_CHECKSUM",
    "TRANSACTIONAL",
];

/// One option: its tokens, its name in capitals, and where its value stands.
struct Assignment {
    start: usize,
    end: usize,
    name: String,
    value: usize,
}

/// Edits the tokens behind the body.
pub(super) fn translate(tail: &mut [Token], keep_partitions: bool, context: &mut Context<'_>) {
    let partitions = partition_clause(tail);
    let options_end = partitions.map_or(tail.len(), |(start, _)| start);
    let foreign_engine = engines(tail, context);
    table_options(&mut tail[..options_end], foreign_engine, context);
    if let Some((start, end)) = partitions {
        directories(&mut tail[start..end]);
        if !keep_partitions {
            clear(&mut tail[start..end]);
            context.note(format!(
                "PARTITION BY left out, {} refused it; the rows are all there",
                context.target.name()
            ));
        }
    }
}

/// From the comment or word that begins `PARTITION BY` to its end.
fn partition_clause(tail: &[Token]) -> Option<(usize, usize)> {
    let at = tail.iter().position(|t| t.is("PARTITION"))?;
    let before = (0..at).rev().find(|&i| tail[i].significant());
    let start = match before {
        Some(open) if tail[open].kind == Kind::VersionOpen => open,
        _ => at,
    };
    Some((start, tail.len()))
}

/// Makes every storage engine InnoDB, those of partitions too: exactly-once needs transactions.
/// Whether there was another.
fn engines(tail: &mut [Token], context: &mut Context<'_>) -> bool {
    let mut foreign = false;
    for at in 0..tail.len() {
        if !tail[at].is("ENGINE") {
            continue;
        }
        let value = (at + 1..tail.len()).find(|&i| tail[i].significant() && !tail[i].is_punct('='));
        if let Some(value) = value
            && !tail[value].is("InnoDB")
        {
            let engine = tail[value].text.clone();
            tail[value].text = "InnoDB".to_owned();
            context.note(format!(
                "ENGINE {engine} → InnoDB, loading needs transactions"
            ));
            foreign = true;
        }
    }
    foreign
}

fn table_options(tail: &mut [Token], foreign_engine: bool, context: &mut Context<'_>) {
    let mut has_collation = None;
    let mut charset_value = None;
    for option in assignments(tail) {
        let name = option.name.strip_prefix("DEFAULT ").unwrap_or(&option.name);
        match name {
            "CHARSET" | "CHARACTER SET" => charset_value = Some(option.value),
            "COLLATE" => has_collation = Some((option.start, option.end)),
            _ if ALWAYS.contains(&name) => {}
            _ if keeps(name, &tail[option.value], foreign_engine, context) => {}
            _ => {
                let text: String = tail[option.start..option.end]
                    .iter()
                    .map(|t| t.text.as_str())
                    .collect();
                clear(&mut tail[option.start..option.end]);
                if !SILENT.contains(&name) {
                    context.note(format!("table option {} left out", text.trim()));
                }
            }
        }
    }
    for (start, end) in bare_options(tail) {
        let text: String = tail[start..end].iter().map(|t| t.text.as_str()).collect();
        clear(&mut tail[start..end]);
        context.note(format!("table option {} left out", text.trim()));
    }
    empty_comments(tail);
    default_character_set(tail, charset_value, has_collation, context);
}

fn keeps(name: &str, value: &Token, foreign_engine: bool, context: &Context<'_>) -> bool {
    if context.target.is_tidb() {
        return false;
    }
    if context.target.is_mariadb() {
        return !name.ends_with("DIRECTORY");
    }
    let row_format =
        name == "ROW_FORMAT" && (foreign_engine || value.is("PAGE") || value.is("FIXED"));
    MYSQL.contains(&name) && !row_format
}

/// The default character set and collation of the table, always both.
fn default_character_set(
    tail: &mut [Token],
    charset_value: Option<usize>,
    collation: Option<(usize, usize)>,
    context: &mut Context<'_>,
) {
    let definition = context.definition;
    let (Some(value), charset, from) = (charset_value, &definition.charset, &definition.collation)
    else {
        return;
    };
    let (Some(charset), Some(from)) = (charset, from) else {
        return;
    };
    let mapped = context.target.collations.map(charset, from);
    if let Some((start, end)) = collation {
        let start = if start > 0 && tail[start - 1].kind == Kind::Space {
            start - 1
        } else {
            start
        };
        clear(&mut tail[start..end]);
    }
    tail[value].text = format!("{} COLLATE={}", mapped.charset, mapped.collation);
    if mapped.collation != *from && !same_utf8(&mapped.collation, from) {
        context.note(format!(
            "default character set {charset} {from} → {} {}, {} lacks it",
            mapped.charset,
            mapped.collation,
            context.target.name()
        ));
    }
}

/// All `NAME = value`.
fn assignments(tail: &[Token]) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut start = None;
    let mut name: Vec<String> = Vec::new();
    let mut at = 0;
    while at < tail.len() {
        let token = &tail[at];
        if token.is_punct('=') {
            let value = (at + 1..tail.len()).find(|&i| tail[i].significant());
            let (Some(value), Some(first)) = (value, start) else {
                break;
            };
            let end = if tail[value].is_punct('(') {
                closing(tail, value).map_or(value + 1, |close| close + 1)
            } else {
                value + 1
            };
            found.push(Assignment {
                start: first,
                end,
                name: name.join(" "),
                value,
            });
            (start, at) = (None, end);
            name.clear();
            continue;
        }
        match token.kind {
            Kind::Word | Kind::Ident => {
                start.get_or_insert(at);
                name.push(token.unquoted().to_ascii_uppercase());
            }
            Kind::Space | Kind::Comment => {}
            // Nothing before a comment's border or a comma belongs to what comes behind.
            _ => {
                start = None;
                name.clear();
            }
        }
        // Options without `=`: what comes behind begins anew.
        if token.is("VERSIONING") || name.len() == 2 && name[0] == "TABLESPACE" {
            start = None;
            name.clear();
        }
        at += 1;
    }
    found
}

/// `TABLESPACE x` and `WITH SYSTEM VERSIONING`, which have no `=`.
fn bare_options(tail: &[Token]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for at in 0..tail.len() {
        let end = if tail[at].is("TABLESPACE") {
            (at + 1..tail.len()).find(|&i| tail[i].significant() && !tail[i].is_punct('='))
        } else if tail[at].is("WITH") {
            (at + 1..tail.len()).find(|&i| tail[i].is("VERSIONING"))
        } else {
            None
        };
        if let Some(end) = end {
            // A memory of where the table was stored goes with it.
            let storage = (end + 1..tail.len())
                .find(|&i| tail[i].significant())
                .filter(|&i| tail[i].is("STORAGE"))
                .and_then(|i| (i + 1..tail.len()).find(|&i| tail[i].significant()));
            found.push((at, storage.unwrap_or(end) + 1));
        }
    }
    found
}

/// Version comments that hold nothing any more.
fn empty_comments(tail: &mut [Token]) {
    let mut open = None;
    for at in 0..tail.len() {
        match tail[at].kind {
            Kind::VersionOpen | Kind::MariaOpen => open = Some(at),
            Kind::VersionClose => {
                if let Some(start) = open.take()
                    && !tail[start + 1..at].iter().any(Token::significant)
                {
                    clear(&mut tail[start..=at]);
                }
            }
            _ => {}
        }
    }
}

/// Folders of the source's machine, which partitions may name.
fn directories(partitions: &mut [Token]) {
    for at in 0..partitions.len() {
        if !(partitions[at].is("DATA") || partitions[at].is("INDEX")) {
            continue;
        }
        let mut next = (at + 1..partitions.len()).filter(|&i| partitions[i].significant());
        if next.next().is_some_and(|i| partitions[i].is("DIRECTORY"))
            && let Some(end) = next.find(|&i| partitions[i].kind == Kind::Text)
        {
            clear(&mut partitions[at..=end]);
        }
    }
}
