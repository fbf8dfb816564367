//! DM's `filters`: events that are left out, or stop the task.
//!
//! Ignore beats Error beats Do; with a Do rule for a table, what no Do rule names is left out.

use regex::{Regex, RegexBuilder};
use tideway_config::{Action, EventFilterRule, Pattern};
use tideway_mysql::binlog::rows::Change;
use tideway_mysql::schema::TableName;

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is applied.
    Pass,
    /// It is left out.
    Leave,
    /// It stops the task.
    Stop,
}

/// The compiled rules of a source.
#[derive(Debug, Default)]
pub struct EventFilters {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    schema: Pattern,
    table: Option<Pattern>,
    events: Vec<String>,
    statements: Vec<Regex>,
    action: Action,
}

impl EventFilters {
    /// Compiles rules, which were checked when the task file was read.
    ///
    /// # Errors
    /// In words, when a pattern is not valid after all.
    pub fn new(rules: &[EventFilterRule], case_sensitive: bool) -> Result<Self, String> {
        let mut compiled = Vec::new();
        for rule in rules {
            let pattern =
                |text: &str| Pattern::new(text, case_sensitive).map_err(|error| error.to_string());
            compiled.push(Rule {
                schema: pattern(&rule.schema_pattern)?,
                table: if rule.table_pattern.is_empty() {
                    None
                } else {
                    Some(pattern(&rule.table_pattern)?)
                },
                events: rule.events.iter().map(|e| e.to_lowercase()).collect(),
                statements: rule
                    .sql_pattern
                    .iter()
                    .map(|text| {
                        RegexBuilder::new(text)
                            .case_insensitive(true)
                            .build()
                            .map_err(|error| error.to_string())
                    })
                    .collect::<Result<_, _>>()?,
                action: rule.action,
            });
        }
        Ok(Self { rules: compiled })
    }

    /// Whether row changes of this kind are applied.
    #[must_use]
    pub fn rows(&self, table: &TableName, change: Change) -> Verdict {
        let event = match change {
            Change::Insert => "insert",
            Change::Update => "update",
            Change::Delete => "delete",
        };
        self.judge(&table.schema, Some(&table.table), |rule| {
            rule.names(&[event], "all dml", "none dml")
        })
    }

    /// Whether a DDL is applied; `events` are DM's names of what it does.
    #[must_use]
    pub fn statement(
        &self,
        schema: &str,
        table: Option<&str>,
        events: &[&str],
        text: &str,
    ) -> Verdict {
        self.judge(schema, table, |rule| {
            rule.names(events, "all ddl", "none ddl")
                || rule.statements.iter().any(|pattern| pattern.is_match(text))
        })
    }

    fn judge(&self, schema: &str, table: Option<&str>, names: impl Fn(&Rule) -> bool) -> Verdict {
        let (mut stop, mut only, mut done) = (false, false, false);
        for rule in self.rules.iter().filter(|rule| rule.matches(schema, table)) {
            match rule.action {
                Action::Ignore if names(rule) => return Verdict::Leave,
                Action::Error if names(rule) => stop = true,
                Action::Do => {
                    only = true;
                    done |= names(rule);
                }
                _ => {}
            }
        }
        if stop {
            Verdict::Stop
        } else if only && !done {
            Verdict::Leave
        } else {
            Verdict::Pass
        }
    }
}

impl Rule {
    fn matches(&self, schema: &str, table: Option<&str>) -> bool {
        self.schema.matches(schema)
            && match (&self.table, table) {
                (None, _) => true,
                (Some(pattern), Some(table)) => pattern.matches(table),
                (Some(_), None) => false,
            }
    }

    fn names(&self, events: &[&str], all: &str, none: &str) -> bool {
        let given = |name: &str| self.events.iter().any(|event| event == name);
        if given("none") || given(none) {
            return false;
        }
        given("all") || given(all) || events.iter().any(|event| given(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Given<'a> = (&'a str, &'a str, &'a [&'a str], &'a [&'a str], Action);

    fn filters(rules: &[Given<'_>]) -> EventFilters {
        let rules: Vec<EventFilterRule> = rules
            .iter()
            .map(
                |(schema, table, events, patterns, action)| EventFilterRule {
                    schema_pattern: (*schema).to_owned(),
                    table_pattern: (*table).to_owned(),
                    events: events.iter().map(|e| (*e).to_owned()).collect(),
                    sql_pattern: patterns.iter().map(|p| (*p).to_owned()).collect(),
                    action: *action,
                    ..EventFilterRule::default()
                },
            )
            .collect();
        EventFilters::new(&rules, false).unwrap()
    }

    #[test]
    fn ignore_beats_error_and_do_leaves_out_what_it_does_not_name() {
        let log = TableName::new("shop", "log");
        let f = filters(&[("shop", "log", &["delete"], &[], Action::Ignore)]);
        assert_eq!(f.rows(&log, Change::Delete), Verdict::Leave);
        assert_eq!(f.rows(&log, Change::Insert), Verdict::Pass);
        let f = filters(&[
            ("shop", "log", &["delete"], &[], Action::Error),
            ("shop", "*", &["all dml"], &[], Action::Ignore),
        ]);
        assert_eq!(f.rows(&log, Change::Delete), Verdict::Leave);
        let f = filters(&[("shop", "log", &["insert"], &[], Action::Do)]);
        assert_eq!(f.rows(&log, Change::Insert), Verdict::Pass);
        assert_eq!(f.rows(&log, Change::Update), Verdict::Leave);
        assert_eq!(
            f.rows(&TableName::new("shop", "t"), Change::Update),
            Verdict::Pass
        );
    }

    #[test]
    fn statements_match_by_event_or_by_text() {
        let f = filters(&[("shop", "", &["drop column"], &["^truncate"], Action::Ignore)]);
        let verdict = |events: &[&str], text: &str| f.statement("shop", Some("t"), events, text);
        assert_eq!(
            verdict(&["alter table", "drop column"], "x"),
            Verdict::Leave
        );
        assert_eq!(verdict(&["alter table"], "ALTER …"), Verdict::Pass);
        assert_eq!(verdict(&["truncate table"], "TRUNCATE t"), Verdict::Leave);
    }
}
