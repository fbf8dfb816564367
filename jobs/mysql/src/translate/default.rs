//! Default values that are expressions, which each server allows in its own way.

use super::Context;
use super::column::{clear, closing};
use super::lexer::{Kind, Token};

/// Functions that TiDB takes in a default.
const TIDB_DEFAULTS: &[&str] = &[
    "uuid",
    "rand",
    "json_object",
    "json_array",
    "json_quote",
    "date_format",
    "str_to_date",
    "upper",
    "uuid_to_bin",
    "replace",
];

/// Edits the `DEFAULT` of one column's definition.
pub(super) fn translate(item: &mut [Token], name: &str, context: &mut Context<'_>) {
    if context.target.is_mariadb() {
        return;
    }
    let Some(at) = default_word(item) else {
        return;
    };
    let Some(value) = (at + 1..item.len()).find(|&i| item[i].significant()) else {
        return;
    };
    if item[value].is_punct('(') {
        if context.target.is_tidb()
            && let Some(close) = closing(item, value)
            && !tidb_takes(&item[value + 1..close])
        {
            leave_out(item, at, close, name, context);
        }
        return;
    }
    // MariaDB prints calls without parentheses around them.
    let call = (value + 1..item.len())
        .find(|&i| item[i].significant())
        .filter(|&open| item[value].kind == Kind::Word && item[open].is_punct('('));
    let Some(close) = call.and_then(|open| closing(item, open)) else {
        return;
    };
    if is_now(&item[value].text) {
        return;
    }
    if context.target.is_tidb() && !tidb_takes(&item[value..=close]) {
        leave_out(item, at, close, name, context);
        return;
    }
    item[value].text.insert(0, '(');
    item[close].text.push(')');
}

fn leave_out(item: &mut [Token], at: usize, close: usize, name: &str, context: &mut Context<'_>) {
    let text: String = item[at..=close].iter().map(|t| t.text.as_str()).collect();
    clear(&mut item[at..=close]);
    context.note(format!(
        "column {name}: {text} left out, TiDB has no such default"
    ));
}

/// The word `DEFAULT` outside parentheses.
fn default_word(item: &[Token]) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in item.iter().enumerate() {
        if token.is_punct('(') {
            depth += 1;
        } else if token.is_punct(')') {
            depth -= 1;
        } else if depth == 0 && token.is("DEFAULT") {
            return Some(at);
        }
    }
    None
}

fn is_now(word: &str) -> bool {
    ["current_timestamp", "now", "localtime", "localtimestamp"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name))
}

/// Whether the outermost thing is a call of a function that TiDB takes.
fn tidb_takes(expression: &[Token]) -> bool {
    expression
        .iter()
        .find(|t| t.significant())
        .is_some_and(|first| TIDB_DEFAULTS.iter().any(|name| first.is(name)))
}
