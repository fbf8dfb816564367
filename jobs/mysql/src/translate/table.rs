//! `CREATE TABLE` for the target.

use crate::schema::{TableDef, TableName};
use crate::sql;

use super::lexer::{Kind, Token, join, tokens};
use super::{Context, Target, Translated, column, key, options};

/// Translates a table's definition; the new statement creates `name` if it does not exist.
///
/// `route` says where the tables that foreign keys name are at the target. Without
/// `keep_partitions` a `PARTITION BY` is left out.
///
/// # Errors
/// The text is no `CREATE TABLE`.
pub fn translate_table(
    definition: &TableDef,
    name: &TableName,
    target: &Target,
    route: &dyn Fn(&str, &str) -> (String, String),
    keep_partitions: bool,
) -> Result<Translated, String> {
    let mut tokens = tokens(&definition.create_sql);
    let parts = Parts::find(&tokens).ok_or_else(|| {
        format!(
            "the definition of {} is no CREATE TABLE statement: {}",
            definition.name,
            definition.create_sql.chars().take(60).collect::<String>()
        )
    })?;
    let mut context = Context {
        definition,
        target,
        route,
        notes: Vec::new(),
    };
    tokens[parts.name].text = format!(
        "IF NOT EXISTS {}.{}",
        sql::ident(&name.schema),
        sql::ident(&name.table)
    );
    let mut removed = vec![false; parts.items.len()];
    for (index, &(start, end)) in parts.items.iter().enumerate() {
        let item = &mut tokens[start..end];
        removed[index] = match item.iter().find(|t| t.significant()) {
            Some(first) if first.kind == Kind::Ident => {
                column::translate(item, &mut context);
                false
            }
            _ => !key::translate(item, &mut context),
        };
    }
    remove_items(&mut tokens, &parts, &removed);
    options::translate(
        &mut tokens[parts.body_end + 1..],
        keep_partitions,
        &mut context,
    );
    if let Some(more) = key::missing_auto_increment_key(&context) {
        tokens[parts.body_end]
            .text
            .insert_str(0, &format!(",\n  {more}\n"));
    }
    let partitioned = keep_partitions
        && tokens[parts.body_end + 1..]
            .iter()
            .any(|t| t.is("PARTITION"));
    Ok(Translated {
        sql: join(&tokens),
        notes: context.notes,
        partitioned,
    })
}

/// Where the parts of a `CREATE TABLE` stand among its tokens.
struct Parts {
    name: usize,
    /// The parts of the body, without their commas.
    items: Vec<(usize, usize)>,
    body_end: usize,
}

impl Parts {
    fn find(tokens: &[Token]) -> Option<Self> {
        let mut significant = (0..tokens.len()).filter(|&i| tokens[i].significant());
        significant.next().filter(|&i| tokens[i].is("CREATE"))?;
        let name = significant
            .skip_while(|&i| tokens[i].kind != Kind::Ident)
            .take(1)
            .next()?;
        let open = (name + 1..tokens.len()).find(|&i| tokens[i].is_punct('('))?;
        let mut depth = 1;
        let mut items = Vec::new();
        let mut start = open + 1;
        for (at, token) in tokens.iter().enumerate().skip(open + 1) {
            if token.is_punct('(') {
                depth += 1;
            } else if token.is_punct(')') {
                depth -= 1;
                if depth == 0 {
                    items.push((start, at));
                    return Some(Self {
                        name,
                        items,
                        body_end: at,
                    });
                }
            } else if token.is_punct(',') && depth == 1 {
                items.push((start, at));
                start = at + 1;
            }
        }
        None
    }
}

/// Removes items of the body with the comma that stood before them (or behind, for a first one).
fn remove_items(tokens: &mut [Token], parts: &Parts, removed: &[bool]) {
    let mut kept_before = false;
    for (index, &(start, end)) in parts.items.iter().enumerate() {
        if removed[index] {
            let from = if kept_before { start - 1 } else { start };
            // The first kept item keeps no comma before it.
            let to = if kept_before || end == parts.body_end {
                end
            } else {
                end + 1
            };
            for token in &mut tokens[from..to] {
                token.text.clear();
            }
        } else {
            kept_before = true;
        }
    }
}
