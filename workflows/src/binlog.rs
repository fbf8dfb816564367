//! `tideway binlog skip | replace | inject | list | revert`: what becomes of a DDL statement that the
//! target refuses, told through staging as an order ([`tideway_staging::ddl_orders`]).

use tideway_job::JobError;
use tideway_staging::ddl_orders::{self, Action, Order};
use tideway_staging::heartbeat::{self, Heartbeat};
use tideway_staging::layout::{SourceKeys, TaskKeys};
use tideway_staging::{Create, Staging};

use crate::cli::{BinlogArgs, BinlogCommand};
use crate::human::{self, Align};
use crate::{task_ref, wish};

/// Runs one of the commands.
///
/// # Errors
/// Staging that cannot be reached; no place, or none that can be found; an order that is there already.
pub async fn run(command: &BinlogCommand) -> Result<(), JobError> {
    let (args, action, sql) = match command {
        BinlogCommand::Skip(args) => (args, Some(Action::Skip), None),
        BinlogCommand::Replace(args) => (&args.at, Some(Action::Replace), Some(&args.sql)),
        BinlogCommand::Inject(args) => (&args.at, Some(Action::Inject), Some(&args.sql)),
        BinlogCommand::List(args) | BinlogCommand::Revert(args) => (args, None, None),
    };
    let named = task_ref::find(&args.of).await?;
    let staging = Staging::open(&named.staging).await?;
    let keys = TaskKeys::new(&named.task);
    let beats = heartbeat::read_all(&staging, &keys).await?;
    let source = source(args, &beats)?;
    let source_keys = keys.source(&source);
    if matches!(command, BinlogCommand::List(_)) {
        print!(
            "{}",
            listed(&ddl_orders::list(&staging, &source_keys).await?)
        );
        return Ok(());
    }
    let (file, pos) = match &args.binlog_pos {
        Some(place) => place.clone(),
        None => held_up_at(&source, &beats)?,
    };
    match action {
        None => {
            let order = ddl_orders::revert(&staging, &source_keys, &file, pos).await?;
            println!("source {source}: taken back: {}", line(&order));
        }
        Some(action) => {
            let statements = sql.map_or_else(Vec::new, |sql| split(sql));
            if action != Action::Skip && statements.is_empty() {
                return Err(JobError::config(format!(
                    "give the statements to {} as an argument, separated by `;`",
                    action.name()
                )));
            }
            let order = Order::new(&file, pos, action, statements, &wish::person());
            give(&staging, &source_keys, &source, &order).await?;
        }
    }
    Ok(())
}

async fn give(
    staging: &Staging,
    keys: &SourceKeys,
    source: &str,
    order: &Order,
) -> Result<(), JobError> {
    match ddl_orders::give(staging, keys, order).await? {
        Create::Won => {
            println!(
                "source {source}: {}. Apply reads it when it comes to that place; one \
                 that has ended is to be run again",
                line(order)
            );
            Ok(())
        }
        Create::Exists(former) => Err(JobError::config(format!(
            "source {source} has an order for that place already: {}. Take it back first: `tideway \
             binlog revert --source-id {source} --binlog-pos {}:{} …`",
            line(&former),
            former.file,
            former.pos
        ))),
    }
}

/// The source that is meant; where there is one only, it need not be named.
fn source(args: &BinlogArgs, beats: &[Heartbeat]) -> Result<String, JobError> {
    if let Some(source) = &args.source_id {
        return Ok(source.clone());
    }
    let mut sources: Vec<&str> = beats.iter().map(|beat| beat.source.as_str()).collect();
    sources.sort_unstable();
    sources.dedup();
    match sources.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(JobError::config("name the source with --source-id")),
        several => Err(JobError::config(format!(
            "name one of the sources with --source-id: {}",
            several.join(", ")
        ))),
    }
}

/// Where apply says that a statement holds it up.
fn held_up_at(source: &str, beats: &[Heartbeat]) -> Result<(String, u64), JobError> {
    beats
        .iter()
        .filter(|beat| beat.source == source)
        .filter_map(|beat| beat.sync.as_ref())
        .find(|sync| !sync.blocking_file.is_empty())
        .map(|sync| (sync.blocking_file.clone(), sync.blocking_pos))
        .ok_or_else(|| {
            JobError::config(format!(
                "no statement holds up source {source} now, as far as staging shows: name the place \
                 with --binlog-pos FILE:OFFSET, as the error of apply names it"
            ))
        })
}

/// The statements of a text, separated by semicolons outside of quotes and comments.
fn split(sql: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    let mut chars = sql.chars().peekable();
    // What ends the part in which a semicolon is none: a quote, a comment's end, a line's end.
    let mut within: Option<char> = None;
    while let Some(c) = chars.next() {
        match within {
            Some('/') if c == '*' && chars.peek() == Some(&'/') => {
                statement.push(c);
                statement.extend(chars.next());
                within = None;
                continue;
            }
            // A backslash takes what follows with it, but not in a name.
            Some(quote @ ('\'' | '"')) if c == '\\' || c == quote => {
                if c == quote {
                    within = None;
                } else {
                    statement.push(c);
                    statement.extend(chars.next());
                    continue;
                }
            }
            Some(end) if end != '/' && c == end => within = None,
            Some(_) => {}
            None => match (c, chars.peek()) {
                (';', _) => {
                    statements.push(std::mem::take(&mut statement));
                    continue;
                }
                ('\'' | '"' | '`', _) => within = Some(c),
                ('/', Some('*')) => {
                    statement.push(c);
                    statement.extend(chars.next());
                    within = Some('/');
                    continue;
                }
                ('#', _) | ('-', Some('-')) => within = Some('\n'),
                _ => {}
            },
        }
        statement.push(c);
    }
    statements.push(statement);
    statements
        .into_iter()
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

fn line(order: &Order) -> String {
    let mut text = format!("{} at {}:{}", order.action.name(), order.file, order.pos);
    if !order.statements.is_empty() {
        text.push_str(&format!(": {}", order.statements.join("; ")));
    }
    text
}

fn listed(orders: &[Order]) -> String {
    if orders.is_empty() {
        return "no orders\n".to_owned();
    }
    let rows: Vec<Vec<String>> = orders
        .iter()
        .map(|order| {
            vec![
                format!("{}:{}", order.file, order.pos),
                order.action.name().to_owned(),
                order.statements.join("; "),
                order.by.clone(),
                order.at.format("%Y-%m-%d %H:%M:%S").to_string(),
            ]
        })
        .collect();
    human::table(
        &[
            ("place", Align::Left),
            ("order", Align::Left),
            ("statements", Align::Left),
            ("by", Align::Left),
            ("at (UTC)", Align::Left),
        ],
        &rows,
    )
}

/// Reads `FILE:OFFSET`.
///
/// # Errors
/// What is wrong with it.
pub fn place(text: &str) -> Result<(String, u64), String> {
    text.rsplit_once(':')
        .and_then(|(file, pos)| Some((file.to_owned(), pos.parse().ok()?)))
        .filter(|(file, _)| !file.is_empty())
        .ok_or_else(|| {
            format!("`{text}` is no place: write FILE:OFFSET, such as mysql-bin.000003:3270")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_split_at_semicolons_that_are_none_of_a_text() {
        assert_eq!(split("a; b ;; c;"), ["a", "b", "c"]);
        assert_eq!(
            split("a ';' \"x\\\";\" `;`; b"),
            ["a ';' \"x\\\";\" `;`", "b"]
        );
        assert_eq!(split("a 'it''s;'; b"), ["a 'it''s;'", "b"]);
        assert_eq!(
            split("a /* ; */ x; b -- ; \n y"),
            ["a /* ; */ x", "b -- ; \n y"]
        );
        assert_eq!(split("a /* * / ; */; b"), ["a /* * / ; */", "b"]);
        assert_eq!(split(" ; "), Vec::<String>::new());
    }

    #[test]
    fn places_are_a_file_and_an_offset() {
        assert_eq!(
            place("mysql-bin.000003:3270"),
            Ok(("mysql-bin.000003".to_owned(), 3270))
        );
        for wrong in ["3270", "mysql-bin.000003", ":4", "a:b"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
