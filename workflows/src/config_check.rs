//! `tideway config check`: reads the files as the jobs do and says what they mean. Connects to
//! nothing.

use std::fmt::Write;

use serde_json::json;
use tideway_config::{
    BlockAllowList, Consistency, Database, MysqlInstance, ResolvedSource, RouteRule, TaskFile,
    TaskMode,
};
use tideway_job::{JobError, Output};

use crate::cli::ConfigCheckArgs;
use crate::configuration::{self, Configuration};
use crate::workflow::Mode;
use crate::{human, task_files};

/// Checks the files and prints what they mean.
///
/// # Errors
/// What is wrong in the files.
pub async fn run(args: &ConfigCheckArgs) -> Result<(), JobError> {
    let files = task_files::find(
        args.workflow.as_deref(),
        args.task.as_deref(),
        &args.source,
        None,
    )
    .await?;
    if files.sources.is_empty() {
        return Err(JobError::config(
            "name the task's source files with --source, once for each",
        ));
    }
    let mode = files.workflow.as_ref().and_then(|workflow| workflow.mode);
    let read = configuration::read(&files.task, &files.sources, mode.map(Mode::name)).await?;
    match args.output {
        Output::Json => {
            let document = json!({
                "task": read.task.name,
                "fingerprint": read.task.fingerprint(),
                "resolved": read.task.resolved_json(),
                "warnings": read.warnings,
            });
            println!("{document:#}");
        }
        Output::Text => print!("{}", text(&read)),
    }
    Ok(())
}

/// What the files mean, for a person.
fn text(read: &Configuration) -> String {
    let task = &read.task;
    let mut out = String::new();
    for warning in &read.warnings {
        line(&mut out, &format!("warning: {warning}"));
    }
    if !read.warnings.is_empty() {
        line(&mut out, "");
    }
    line(
        &mut out,
        &format!("task {} ({})", task.name, mode_text(task.mode)),
    );
    line(&mut out, &format!("target {}", database(&task.target)));
    line(
        &mut out,
        &format!("checkpoints in schema {}", task.meta_schema),
    );
    for source in &task.sources {
        line(&mut out, "");
        source_text(&mut out, source, &read.file);
    }
    line(&mut out, "");
    line(&mut out, "The files are right.");
    out
}

fn line(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn source_text(out: &mut String, source: &ResolvedSource, file: &TaskFile) {
    line(
        out,
        &format!("source {}: {}", source.id, database(&source.from)),
    );
    let instance = file
        .mysql_instances
        .iter()
        .find(|instance| instance.source_id == source.id);
    let list = instance.and_then(|instance| allow_list(file, instance));
    line(out, "  migrated:");
    for rule in filter_rules(list) {
        line(out, &format!("    {rule}"));
    }
    let routes = instance.map_or(&[][..], |instance| instance.route_rules.as_slice());
    if routes.is_empty() {
        line(out, "  routes: none; every table keeps its name");
    } else {
        line(out, "  routes:");
        for rule in routes.iter().filter_map(|name| file.routes.get(name)) {
            line(out, &format!("    {}", route(rule)));
        }
    }
    let dump = &source.dump;
    let chunk = match dump.rows {
        Some(rows) => format!("{} rows", human::count(rows)),
        None => human::bytes(dump.chunk_bytes),
    };
    let mut words = vec![
        format!("{} connections", dump.threads),
        format!("chunks of {chunk}"),
        consistency(dump.consistency).to_owned(),
    ];
    if let Some(condition) = &dump.where_clause {
        words.push(format!("only rows WHERE {condition}"));
    }
    if dump.no_data {
        words.push("definitions only".to_owned());
    }
    if dump.no_schemas {
        words.push("rows only".to_owned());
    }
    line(out, &format!("  dump: {}", words.join(", ")));
    line(
        out,
        &format!("  load: {} connections", source.load.pool_size),
    );
}

fn allow_list<'a>(file: &'a TaskFile, instance: &MysqlInstance) -> Option<&'a BlockAllowList> {
    let of = |name: &str, lists: &'a std::collections::BTreeMap<String, BlockAllowList>| {
        (!name.is_empty()).then(|| lists.get(name)).flatten()
    };
    of(&instance.block_allow_list, &file.block_allow_list)
        .or_else(|| of(&instance.black_white_list, &file.black_white_list))
        .or_else(|| of(&instance.block_allow_list, &file.black_white_list))
}

/// The rules in the order in which they are asked.
fn filter_rules(list: Option<&BlockAllowList>) -> Vec<String> {
    let mut rules = Vec::new();
    if let Some(list) = list {
        let tables = |rules: &[tideway_config::TableRule]| {
            let names: Vec<String> = rules
                .iter()
                .map(|rule| format!("{}.{}", rule.db_name, rule.tbl_name))
                .collect();
            names.join(", ")
        };
        // As DM does it: what is named to be done makes the other list of the same level void.
        if !list.do_dbs.is_empty() {
            rules.push(format!("schemas {} only", list.do_dbs.join(", ")));
        } else if !list.ignore_dbs.is_empty() {
            rules.push(format!("no schemas {}", list.ignore_dbs.join(", ")));
        }
        if !list.do_tables.is_empty() {
            rules.push(format!("of these, tables {} only", tables(&list.do_tables)));
        } else if !list.ignore_tables.is_empty() {
            rules.push(format!(
                "of these, no tables {}",
                tables(&list.ignore_tables)
            ));
        }
    }
    if rules.is_empty() {
        rules.push("every table of every schema that is not the system's".to_owned());
    }
    rules
}

fn route(rule: &RouteRule) -> String {
    let from = match rule.table_pattern.as_str() {
        "" => format!("schema {}", rule.schema_pattern),
        table => format!("{}.{table}", rule.schema_pattern),
    };
    let to = match rule.target_table.as_str() {
        "" => rule.target_schema.clone(),
        table => format!("{}.{table}", rule.target_schema),
    };
    format!("{from} → {to}")
}

fn database(database: &Database) -> String {
    let tls = match &database.security {
        Some(security) if security.ca.is_some() || security.ca_pem.is_some() => {
            "TLS, server verified"
        }
        Some(_) | None => "TLS when the server offers it, unverified",
    };
    format!(
        "{}@{}:{} ({tls})",
        database.user, database.host, database.port
    )
}

fn mode_text(mode: TaskMode) -> String {
    let mut words = Vec::new();
    for (word, does) in [
        ("dump", mode.dumps()),
        ("load", mode.loads()),
        ("follow changes", mode.follows_binlog()),
    ] {
        if does {
            words.push(word);
        }
    }
    format!("task-mode {mode}: {}", words.join(", "))
}

fn consistency(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Auto => "consistency auto",
        Consistency::Flush => "consistency flush (FLUSH TABLES WITH READ LOCK)",
        Consistency::Snapshot => "consistency snapshot (TiDB only)",
        Consistency::Lock => "consistency lock (LOCK TABLES)",
        Consistency::None => "consistency none (exact only without writers, or with cdc)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(do_dbs: &[&str], ignore_dbs: &[&str]) -> BlockAllowList {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        BlockAllowList {
            do_dbs: names(do_dbs),
            ignore_dbs: names(ignore_dbs),
            ..BlockAllowList::default()
        }
    }

    #[test]
    fn rules_are_told_as_dm_asks_them() {
        assert_eq!(
            filter_rules(Some(&list(&["a", "b*"], &["c"]))),
            ["schemas a, b* only"]
        );
        assert_eq!(filter_rules(Some(&list(&[], &["c"]))), ["no schemas c"]);
        assert_eq!(filter_rules(None).len(), 1);
    }
}
