//! Where a table goes: DM's routes.
//!
//! A rule without table pattern is a schema rule, with one a table rule. A table rule beats a
//! schema rule. Two table rules, or two schema rules without a table rule, that match one table
//! are an error that names both, for the order of rules in a file decides nothing in DM.

use crate::pattern::{Pattern, PatternError};

/// One table that two rules send somewhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{schema}`.`{table}` matches two {level} routes, {first} and {second}; \
     narrow one of the patterns so that one rule is left"
)]
pub struct RouteError {
    /// Schema of the source table.
    pub schema: String,
    /// The source table.
    pub table: String,
    /// `table` or `schema`.
    pub level: &'static str,
    /// The first rule.
    pub first: String,
    /// The second.
    pub second: String,
}

#[derive(Debug, Clone)]
struct Rule {
    name: String,
    schema: Pattern,
    table: Option<Pattern>,
    target_schema: String,
    target_table: Option<String>,
}

/// The compiled routes of one source. The default leaves every name as it is.
#[derive(Debug, Clone, Default)]
pub struct Router {
    rules: Vec<Rule>,
}

impl Router {
    /// Adds a rule under its `name` in the file. An empty `table_pattern` makes a schema rule, an
    /// empty `target_table` keeps the table's name.
    pub fn add(
        &mut self,
        name: &str,
        schema_pattern: &str,
        table_pattern: &str,
        target_schema: &str,
        target_table: &str,
        case_sensitive: bool,
    ) -> Result<(), PatternError> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.rules.push(Rule {
            name: name.to_owned(),
            schema: Pattern::new(schema_pattern, case_sensitive)?,
            table: some(table_pattern)
                .map(|p| Pattern::new(&p, case_sensitive))
                .transpose()?,
            target_schema: target_schema.to_owned(),
            target_table: some(target_table),
        });
        Ok(())
    }

    /// The name of the rule that decides where a table goes; `None` when it keeps its name.
    pub fn rule(&self, schema: &str, table: &str) -> Result<Option<&str>, RouteError> {
        let rule = match self.table_rule(schema, table)? {
            Some(rule) => Some(rule),
            None => self.schema_rule(schema, table)?,
        };
        Ok(rule.map(|rule| rule.name.as_str()))
    }

    /// Schema and table at the target.
    pub fn route(&self, schema: &str, table: &str) -> Result<(String, String), RouteError> {
        if let Some(rule) = self.table_rule(schema, table)? {
            let target = rule.target_table.as_deref().unwrap_or(table);
            return Ok((rule.target_schema.clone(), target.to_owned()));
        }
        let rule = self.schema_rule(schema, table)?;
        Ok((
            rule.map_or(schema, |rule| &rule.target_schema).to_owned(),
            table.to_owned(),
        ))
    }

    /// The schema at the target, by schema rules alone (as for `CREATE DATABASE`).
    pub fn route_schema(&self, schema: &str) -> Result<String, RouteError> {
        Ok(self
            .schema_rule(schema, "*")?
            .map_or(schema, |rule| &rule.target_schema)
            .to_owned())
    }

    /// Whether some rule sends tables to this schema of the target.
    pub fn targets(&self, schema: &str) -> bool {
        self.rules.iter().any(|rule| rule.target_schema == schema)
    }

    /// The rules as written, for the task's fingerprint.
    pub(crate) fn describe(&self) -> serde_json::Value {
        let rules = self.rules.iter().map(|rule| {
            serde_json::json!({
                "schema-pattern": rule.schema.as_str(),
                "table-pattern": rule.table.as_ref().map(Pattern::as_str),
                "target-schema": rule.target_schema,
                "target-table": rule.target_table,
            })
        });
        serde_json::Value::Array(rules.collect())
    }

    fn table_rule(&self, schema: &str, table: &str) -> Result<Option<&Rule>, RouteError> {
        let rules = self.rules.iter().filter(|rule| {
            rule.schema.matches(schema) && rule.table.as_ref().is_some_and(|p| p.matches(table))
        });
        only(rules, "table", schema, table)
    }

    fn schema_rule(&self, schema: &str, table: &str) -> Result<Option<&Rule>, RouteError> {
        let rules = self
            .rules
            .iter()
            .filter(|r| r.table.is_none() && r.schema.matches(schema));
        only(rules, "schema", schema, table)
    }
}

fn only<'a>(
    mut rules: impl Iterator<Item = &'a Rule>,
    level: &'static str,
    schema: &str,
    table: &str,
) -> Result<Option<&'a Rule>, RouteError> {
    let first = rules.next();
    if let (Some(first), Some(second)) = (first, rules.next()) {
        return Err(RouteError {
            schema: schema.to_owned(),
            table: table.to_owned(),
            level,
            first: first.name.clone(),
            second: second.name.clone(),
        });
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(rules: &[(&str, &str, &str, &str)]) -> Router {
        let mut router = Router::default();
        for (i, (schema, table, to_schema, to_table)) in rules.iter().enumerate() {
            router
                .add(&format!("r{i}"), schema, table, to_schema, to_table, false)
                .unwrap();
        }
        router
    }

    #[test]
    fn a_table_rule_beats_a_schema_rule() {
        let r = router(&[
            ("shop_*", "", "shop", ""),
            ("shop_*", "orders_*", "shop", "orders"),
        ]);
        assert_eq!(
            r.route("shop_1", "orders_7").unwrap(),
            ("shop".into(), "orders".into())
        );
        assert_eq!(
            r.route("shop_1", "users").unwrap(),
            ("shop".into(), "users".into())
        );
        assert_eq!(
            r.route("other", "users").unwrap(),
            ("other".into(), "users".into())
        );
        assert_eq!(r.route_schema("shop_9").unwrap(), "shop");
        assert_eq!(r.rule("shop_1", "orders_7").unwrap(), Some("r1"));
        assert_eq!(r.rule("shop_1", "users").unwrap(), Some("r0"));
        assert_eq!(r.rule("other", "users").unwrap(), None);
    }

    #[test]
    fn a_table_rule_without_target_table_keeps_the_name() {
        let r = router(&[("a", "t*", "b", "")]);
        assert_eq!(r.route("a", "t1").unwrap(), ("b".into(), "t1".into()));
    }

    #[test]
    fn two_rules_on_one_table_are_an_error_that_names_both() {
        let r = router(&[("a", "t*", "b", "t"), ("a", "*1", "c", "t")]);
        let error = r.route("a", "t1").unwrap_err().to_string();
        assert!(
            error.contains("`a`.`t1` matches two table routes, r0 and r1"),
            "{error}"
        );
        assert!(r.route("a", "t2").is_ok());
        let r = router(&[("a*", "", "b", ""), ("*b", "", "c", "")]);
        assert!(r.route("ab", "t").is_err());
        assert!(r.route_schema("ab").is_err());
    }
}
