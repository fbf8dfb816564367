//! Keys and constraints of a `CREATE TABLE` for the target.

use crate::sql;

use super::Context;
use super::column::clear;
use super::lexer::{Kind, Token};

/// Functions that TiDB allows in an index on an expression without an experimental setting.
const TIDB_INDEXABLE: &[&str] = &[
    "cast",
    "json_array",
    "json_contains",
    "json_contains_path",
    "json_depth",
    "json_extract",
    "json_keys",
    "json_length",
    "json_object",
    "json_pretty",
    "json_quote",
    "json_search",
    "json_type",
    "json_unquote",
    "json_valid",
    "lower",
    "md5",
    "reverse",
    "upper",
    "char",
    "signed",
    "unsigned",
    "binary",
    "decimal",
];

/// Why a CHECK is left out.
pub(super) const NO_CHECKS: &str = "tidb_enable_check_constraint is not ON at the target";

/// Edits a key or constraint; `false` when the target cannot have it and it must go.
pub(super) fn translate(item: &mut [Token], context: &mut Context<'_>) -> bool {
    let words: Vec<usize> = (0..item.len()).filter(|&i| item[i].significant()).collect();
    let Some(&first) = words.first() else {
        return true;
    };
    let name = item
        .iter()
        .find(|t| t.kind == Kind::Ident)
        .map_or_else(|| "PRIMARY".to_owned(), Token::unquoted);
    if item[first].is("PERIOD") && !context.target.is_mariadb() {
        context.note("PERIOD FOR SYSTEM_TIME left out");
        return false;
    }
    if is_check(item) && !context.target.checks {
        let name = if item[first].is("CONSTRAINT") {
            format!("CHECK {name}")
        } else {
            "a CHECK".to_owned()
        };
        context.note(format!("{name} left out, {NO_CHECKS}"));
        return false;
    }
    if context.target.is_tidb() {
        if item[first].is("SPATIAL") || item[first].is("FULLTEXT") {
            let kind = item[first].text.to_ascii_uppercase();
            context.note(format!(
                "{kind} KEY {name} left out, TiDB does not have the kind"
            ));
            return false;
        }
        let unique = item[first].is("UNIQUE");
        let key = unique || item[first].is("KEY") || item[first].is("INDEX");
        if key && !expression_allowed(item) {
            context.note(format!(
                "{}KEY {name} left out, TiDB does not index such an expression",
                if unique { "UNIQUE " } else { "" }
            ));
            return false;
        }
    }
    if !context.target.is_mariadb() {
        for token in item.iter_mut().filter(|t| t.is("IGNORED")) {
            token.text.clear();
            context.note(format!(
                "KEY {name}: IGNORED left out, the key is in use at the target"
            ));
        }
    }
    if let Some(at) = item.iter().position(|t| t.is("REFERENCES")) {
        references(&mut item[at + 1..], context);
    }
    true
}

/// Whether it is `[CONSTRAINT [name]] CHECK (…)`.
fn is_check(item: &[Token]) -> bool {
    item.iter()
        .filter(|t| t.significant())
        .take(3)
        .find(|t| !t.is("CONSTRAINT") && t.kind != Kind::Ident)
        .is_some_and(|t| t.is("CHECK"))
}

/// Whether every expression among the parts of a key is one that TiDB indexes.
fn expression_allowed(item: &[Token]) -> bool {
    let significant: Vec<&Token> = item.iter().filter(|t| t.significant()).collect();
    let mut depth = 0;
    for (at, token) in significant.iter().enumerate() {
        if token.is_punct('(') {
            depth += 1;
        } else if token.is_punct(')') {
            depth -= 1;
        }
        if depth < 2 {
            continue;
        }
        let next_is = |c| {
            significant
                .get(at + 1)
                .is_some_and(|t: &&Token| t.is_punct(c))
        };
        let called = token.kind == Kind::Word && next_is('(');
        if called && !TIDB_INDEXABLE.iter().any(|name| token.is(name)) {
            return false;
        }
        let arrow = token.is_punct('-') && next_is('>');
        if "+-*/%&|^~<=!".chars().any(|c| token.is_punct(c)) && !arrow {
            return false;
        }
    }
    true
}

/// Sends a foreign key to where its table is at the target.
fn references(tokens: &mut [Token], context: &Context<'_>) {
    let names: Vec<usize> = (0..tokens.len())
        .filter(|&i| tokens[i].significant())
        .take_while(|&i| tokens[i].kind == Kind::Ident || tokens[i].is_punct('.'))
        .collect();
    let (schema, table) = match names.as_slice() {
        [table] => (
            context.definition.name.schema.clone(),
            tokens[*table].unquoted(),
        ),
        [schema, _, table] => (tokens[*schema].unquoted(), tokens[*table].unquoted()),
        _ => return,
    };
    let (schema, table) = (context.route)(&schema, &table);
    let (first, last) = (names[0], names[names.len() - 1]);
    clear(&mut tokens[first..=last]);
    tokens[first].text = format!("{}.{}", sql::ident(&schema), sql::ident(&table));
}

/// A key for a counter that was the second column of one: MyISAM allows that, InnoDB does not.
pub(super) fn missing_auto_increment_key(context: &Context<'_>) -> Option<String> {
    if context.target.is_tidb() {
        return None;
    }
    let counter = context
        .definition
        .columns
        .iter()
        .find(|c| c.auto_increment)?;
    let leads = context.definition.keys.iter().any(|key| {
        key.parts.first().and_then(|part| part.column.as_deref()) == Some(&counter.name)
    });
    (!leads).then(|| format!("KEY ({})", sql::ident(&counter.name)))
}
