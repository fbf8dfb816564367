//! `filters`: binlog events to leave out.

use crate::error::{Error, Place, Result};
use crate::scalar::words;
use crate::yaml::{nearest, section};

words! {
    /// What a matching rule does.
    Action {
        /// Only what is named passes.
        Do = "Do" | "do" | "DO",
        /// What is named is left out.
        Ignore = "Ignore" | "ignore" | "IGNORE",
        /// What is named stops the task.
        Error = "Error" | "error" | "ERROR",
    }
}

section! {
    /// A rule over binlog events.
    "filters" EventFilterRule {
        /// Schemas.
        "schema-pattern" => schema_pattern: String = String::new();
        /// Tables.
        "table-pattern" => table_pattern: String = String::new();
        /// Names of events, see [`EVENTS`].
        "events" => events: Vec<String> = Vec::new();
        /// Regular expressions over statements.
        "sql-pattern" => sql_pattern: Vec<String> = Vec::new();
        /// What is done.
        "action" => action: Action = Action::Do;
    }
}

/// Every event name that DM knows.
pub const EVENTS: &[&str] = &[
    "all",
    "all dml",
    "all ddl",
    "incompatible ddl changes",
    "none",
    "none dml",
    "none ddl",
    "insert",
    "update",
    "delete",
    "create database",
    "drop database",
    "create table",
    "drop table",
    "truncate table",
    "rename table",
    "create index",
    "drop index",
    "alter table",
    "create view",
    "drop view",
    "value range decrease",
    "precision decrease",
    "modify column",
    "rename column",
    "rename index",
    "drop column",
    "truncate table partition",
    "drop primary key",
    "drop unique key",
    "modify default value",
    "modify constraint",
    "modify columns order",
    "modify charset",
    "modify collation",
    "remove auto increment",
    "modify storage engine",
    "reorganize table partition",
    "rebuild table partition",
    "exchange table partition",
    "coalesce table partition",
];

impl EventFilterRule {
    /// Checks names of events and regular expressions; `name` is the rule's.
    pub(crate) fn check(&self, name: &str, file: &str) -> Result<()> {
        let place = |key: &str| Place::new(file, self.given.at(key).unwrap_or_default());
        for event in &self.events {
            let known = event.to_lowercase();
            if !EVENTS.contains(&known.as_str()) {
                let way_out = match nearest(event, EVENTS.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("known are: {}", EVENTS.join(", ")),
                };
                let what = format!("filter `{name}`: unknown event `{event}`");
                return Err(Error::invalid(place("events"), what, way_out));
            }
        }
        for pattern in &self.sql_pattern {
            if let Err(error) = regex::Regex::new(pattern) {
                let what = format!("filter `{name}`: the sql-pattern `{pattern}` is not valid");
                return Err(Error::invalid(
                    place("sql-pattern"),
                    what,
                    error.to_string(),
                ));
            }
        }
        for (key, pattern) in [
            ("schema-pattern", &self.schema_pattern),
            ("table-pattern", &self.table_pattern),
        ] {
            crate::pattern::Pattern::new(pattern, false).map_err(|error| {
                Error::invalid(
                    place(key),
                    format!("filter `{name}`: {error}"),
                    "mend the pattern",
                )
            })?;
        }
        Ok(())
    }
}
