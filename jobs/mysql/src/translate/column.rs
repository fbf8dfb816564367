//! A column of a `CREATE TABLE` for the target.

use crate::schema::ColumnDef;

use super::collation::bytes_per_character;
use super::key::NO_CHECKS;
use super::lexer::{Kind, Token};
use super::{Context, default, same_utf8};

/// Edits the tokens of one column's definition.
pub(super) fn translate(item: &mut [Token], context: &mut Context<'_>) {
    let Some(name_at) = item.iter().position(Token::significant) else {
        return;
    };
    let name = item[name_at].unquoted();
    let definition = context.definition;
    let column = definition.columns.iter().find(|c| c.name == name);
    if !context.target.checks {
        checks(item, &name, context);
    }
    version_comments(item, &name, context);
    mariadb_words(item, &name, context);
    let Some((type_at, type_end)) = data_type(item, name_at) else {
        return;
    };
    mariadb_type(item, type_at, type_end, &name, context);
    if let Some(column) = column {
        character_set(item, type_at, type_end, column, context);
    }
    default::translate(item, &name, context);
}

/// Leaves out what a column's own `[CONSTRAINT name] CHECK (…) [[NOT] ENFORCED]` demands.
fn checks(item: &mut [Token], name: &str, context: &mut Context<'_>) {
    let mut depth = 0;
    for at in 0..item.len() {
        if item[at].is_punct('(') {
            depth += 1;
        } else if item[at].is_punct(')') {
            depth -= 1;
        }
        let open = (at + 1..item.len()).find(|&i| item[i].significant());
        let Some(open) = open.filter(|&i| item[i].is_punct('(')) else {
            continue;
        };
        if depth != 0 || !item[at].is("CHECK") {
            continue;
        }
        let Some(close) = closing(item, open) else {
            return;
        };
        let text: String = item[at..=close].iter().map(|t| t.text.as_str()).collect();
        let before: Vec<usize> = (0..at).rev().filter(|&i| item[i].significant()).collect();
        let start = match before.as_slice() {
            [word, ..] if item[*word].is("CONSTRAINT") => *word,
            [_, word, ..] if item[*word].is("CONSTRAINT") => *word,
            _ => at,
        };
        clear(&mut item[start..=close]);
        enforcement(&mut item[close + 1..]);
        context.note(format!("column {name}: {text} left out, {NO_CHECKS}"));
    }
}

/// Removes `[NOT] ENFORCED` at the beginning, in a version comment or bare.
fn enforcement(rest: &mut [Token]) {
    let words: Vec<usize> = (0..rest.len()).filter(|&i| rest[i].significant()).collect();
    let word = |i: usize| words.get(i).map(|&at| &rest[at]);
    let opened = usize::from(word(0).is_some_and(|t| t.kind == Kind::VersionOpen));
    let negated = usize::from(word(opened).is_some_and(|t| t.is("NOT")));
    let last = opened + negated;
    if word(last).is_some_and(|t| t.is("ENFORCED"))
        && let Some(&end) = words.get(last + opened)
    {
        clear(&mut rest[..=end]);
    }
}

/// The tokens of the data type: its word, and what stands in parentheses behind it.
fn data_type(item: &[Token], name_at: usize) -> Option<(usize, usize)> {
    let type_at = (name_at + 1..item.len()).find(|&i| item[i].kind == Kind::Word)?;
    let next = (type_at + 1..item.len()).find(|&i| item[i].significant());
    match next {
        Some(open) if item[open].is_punct('(') => Some((type_at, closing(item, open)? + 1)),
        _ => Some((type_at, type_at + 1)),
    }
}

/// The parenthesis that closes the one at `open`.
pub(super) fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.is_punct('(') {
            depth += 1;
        } else if token.is_punct(')') {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// Comments for certain versions: TiDB reads all of them and does not know some.
fn version_comments(item: &mut [Token], name: &str, context: &mut Context<'_>) {
    let mut at = 0;
    while at < item.len() {
        let open = item[at].kind;
        if !matches!(open, Kind::VersionOpen | Kind::MariaOpen) {
            at += 1;
            continue;
        }
        let end = (at..item.len())
            .find(|&i| item[i].kind == Kind::VersionClose)
            .unwrap_or(item.len() - 1);
        let body = item[at + 1..end]
            .iter()
            .find(|t| t.significant())
            .map(|t| t.text.clone());
        let word = body.unwrap_or_default().to_ascii_uppercase();
        let note = match (open, word.as_str()) {
            (Kind::MariaOpen, _) if !context.target.is_mariadb() => Some(format!(
                "column {name}: {word} left out, MariaDB alone has it"
            )),
            (Kind::VersionOpen, "INVISIBLE") if context.target.is_tidb() => Some(format!(
                "column {name}: visible at the target, TiDB has no invisible columns"
            )),
            (Kind::VersionOpen, "SRID" | "STORAGE" | "COLUMN_FORMAT" | "ENGINE_ATTRIBUTE")
                if context.target.is_tidb() =>
            {
                Some(format!(
                    "column {name}: {word} left out, TiDB does not know it"
                ))
            }
            _ => None,
        };
        if let Some(note) = note {
            clear(&mut item[at..=end]);
            context.note(note);
        }
        at = end + 1;
    }
}

/// Words that MariaDB prints bare.
fn mariadb_words(item: &mut [Token], name: &str, context: &mut Context<'_>) {
    if context.target.is_mariadb() {
        return;
    }
    let mut depth = 0;
    for at in 0..item.len() {
        if item[at].is_punct('(') {
            depth += 1;
        } else if item[at].is_punct(')') {
            depth -= 1;
        }
        if depth > 0 {
            continue;
        }
        if item[at].is("INVISIBLE") && context.target.is_tidb() {
            clear(&mut item[at..=at]);
            context.note(format!(
                "column {name}: visible at the target, TiDB has no invisible columns"
            ));
        } else if item[at].is("PERSISTENT") {
            item[at].text = "STORED".to_owned();
        } else if item[at].is("WITHOUT") || item[at].is("WITH") {
            let end = (at..item.len()).find(|&i| item[i].is("VERSIONING"));
            if let Some(end) = end {
                clear(&mut item[at..=end]);
                context.note(format!("column {name}: SYSTEM VERSIONING left out"));
            }
        } else if item[at].is("REF_SYSTEM_ID")
            && let Some(end) = (at..item.len()).find(|&i| item[i].kind == Kind::Number)
        {
            clear(&mut item[at..=end]);
        }
    }
}

/// Types that MariaDB alone has, as text that holds their printed form.
fn mariadb_type(
    item: &mut [Token],
    type_at: usize,
    type_end: usize,
    name: &str,
    context: &mut Context<'_>,
) {
    if context.target.is_mariadb() {
        return;
    }
    let stand_in = match item[type_at].text.to_ascii_lowercase().as_str() {
        "uuid" => "char(36)",
        "inet6" => "varchar(39)",
        "inet4" => "varchar(15)",
        _ => return,
    };
    context.note(format!(
        "column {name}: {} → {stand_in}, MariaDB alone has the type",
        item[type_at].text
    ));
    clear(&mut item[type_at..type_end]);
    item[type_at].text = format!("{stand_in} CHARACTER SET ascii");
}

/// Character set and collation as the target has them, always both, for the default collation of a
/// character set differs among servers and versions.
fn character_set(
    item: &mut [Token],
    type_at: usize,
    type_end: usize,
    column: &ColumnDef,
    context: &mut Context<'_>,
) {
    let (Some(charset), Some(collation)) = (&column.charset, &column.collation) else {
        return;
    };
    let mapped = context.target.collations.map(charset, collation);
    if bytes_per_character(&mapped.charset) > bytes_per_character(charset) {
        widen(item, type_at, type_end, column, context);
    }
    if remove_character_set(item, type_end) {
        item[type_end - 1].text.push_str(&format!(
            " CHARACTER SET {} COLLATE {}",
            mapped.charset, mapped.collation
        ));
    }
    if mapped.collation != *collation && !same_utf8(&mapped.collation, collation) {
        context.note(format!(
            "column {}: {charset} {collation} → {} {}, {} lacks it{}",
            column.name,
            mapped.charset,
            mapped.collation,
            context.target.name(),
            if in_unique_key(column, context) {
                "; values of a unique key that were different may be equal there"
            } else {
                ""
            }
        ));
    }
}

/// Removes `CHARACTER SET x` and `COLLATE y` behind the type; whether there were any.
fn remove_character_set(item: &mut [Token], type_end: usize) -> bool {
    let mut found = false;
    let mut depth = 0;
    let mut at = type_end;
    while at < item.len() {
        if item[at].is_punct('(') {
            depth += 1;
        } else if item[at].is_punct(')') {
            depth -= 1;
        }
        let set = item[at].is("CHARACTER") || item[at].is("CHARSET") || item[at].is("COLLATE");
        if depth == 0 && set {
            let mut end = at;
            if item[at].is("CHARACTER") {
                end = (at..item.len()).find(|&i| item[i].is("SET")).unwrap_or(at);
            }
            let end = (end + 1..item.len())
                .find(|&i| item[i].significant())
                .unwrap_or(end);
            // The space before goes too.
            let from = if at > 0 && item[at - 1].kind == Kind::Space {
                at - 1
            } else {
                at
            };
            clear(&mut item[from..=end]);
            found = true;
            at = end;
        }
        at += 1;
    }
    found
}

/// Makes room where the same characters take more bytes: the TEXT types count bytes, and a VARCHAR
/// may not take more than 65535 of them.
fn widen(
    item: &mut [Token],
    type_at: usize,
    type_end: usize,
    column: &ColumnDef,
    context: &mut Context<'_>,
) {
    let ty = item[type_at].text.to_ascii_lowercase();
    let wider = match ty.as_str() {
        "tinytext" => "text",
        "text" => "mediumtext",
        "mediumtext" => "longtext",
        "varchar" => {
            let length = item[type_at..type_end]
                .iter()
                .find(|t| t.kind == Kind::Number)
                .and_then(|t| t.text.parse::<u64>().ok());
            match length {
                Some(length) if length > 16_383 => "mediumtext",
                _ => return,
            }
        }
        _ => return,
    };
    context.note(format!(
        "column {}: {} → {wider}, the target's character set takes more bytes",
        column.name, column.raw_type
    ));
    clear(&mut item[type_at..type_end]);
    wider.clone_into(&mut item[type_at].text);
}

fn in_unique_key(column: &ColumnDef, context: &Context<'_>) -> bool {
    context.definition.keys.iter().any(|key| {
        (key.primary || key.unique)
            && key
                .parts
                .iter()
                .any(|part| part.column.as_deref() == Some(&column.name))
    })
}

/// Removes tokens.
pub(super) fn clear(tokens: &mut [Token]) {
    for token in tokens {
        token.text.clear();
    }
}
