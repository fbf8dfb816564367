//! Which tables of a source are migrated, and where they go.

use super::Resolver;
use crate::error::{Error, Place, Result};
use crate::filter::TableFilter;
use crate::route::Router;
use crate::task_file::{MysqlInstance, RouteRule};

impl Resolver<'_> {
    pub(super) fn filter(
        &mut self,
        instance: &MysqlInstance,
        case_sensitive: bool,
    ) -> Result<TableFilter> {
        // As in DM the new name wins, and each name looks under both keys of the file.
        let (key, name) = if instance.block_allow_list.is_empty() {
            ("black-white-list", &instance.black_white_list)
        } else {
            ("block-allow-list", &instance.block_allow_list)
        };
        if name.is_empty() {
            return Ok(TableFilter::default());
        }
        let (section, lists) = if self.task.block_allow_list.contains_key(name)
            || !self.task.black_white_list.contains_key(name)
        {
            ("block-allow-list", &self.task.block_allow_list)
        } else {
            ("black-white-list", &self.task.black_white_list)
        };
        let list = self.named(section, lists, instance, key, name)?;
        let file = self.task.given.file();
        for (key, rules) in [
            ("do-tables", &list.do_tables),
            ("ignore-tables", &list.ignore_tables),
        ] {
            if rules
                .iter()
                .any(|rule| rule.db_name.is_empty() || rule.tbl_name.is_empty())
            {
                let place = Place::new(file, list.given.at(key).unwrap_or_default());
                let what = format!("an entry of `{key}` lacks `db-name` or `tbl-name`");
                return Err(Error::invalid(place, what, "give both; \"*\" matches any"));
            }
        }
        TableFilter::new(list, case_sensitive).map_err(|error| {
            let at = ["do-dbs", "do-tables", "ignore-dbs", "ignore-tables"]
                .into_iter()
                .find_map(|key| list.given.at(key))
                .unwrap_or_default();
            let what = format!("block-allow-list `{name}`: {error}");
            Error::invalid(Place::new(file, at), what, "mend the pattern")
        })
    }

    pub(super) fn router(
        &mut self,
        instance: &MysqlInstance,
        case_sensitive: bool,
    ) -> Result<Router> {
        let mut router = Router::default();
        for name in &instance.route_rules {
            let rule = self.named("routes", &self.task.routes, instance, "route-rules", name)?;
            self.check_route(name, rule)?;
            let place = self.rule_place(rule, "schema-pattern");
            router
                .add(
                    name,
                    &rule.schema_pattern,
                    &rule.table_pattern,
                    &rule.target_schema,
                    &rule.target_table,
                    case_sensitive,
                )
                .map_err(|error| {
                    Error::invalid(
                        place,
                        format!("route `{name}`: {error}"),
                        "mend the pattern",
                    )
                })?;
        }
        Ok(router)
    }

    fn check_route(&self, name: &str, rule: &RouteRule) -> Result<()> {
        for (key, value) in [
            ("schema-pattern", &rule.schema_pattern),
            ("target-schema", &rule.target_schema),
        ] {
            if value.is_empty() {
                let what = format!("route `{name}` has no `{key}`");
                return Err(Error::invalid(self.rule_place(rule, key), what, "give it"));
            }
        }
        if rule.table_pattern.is_empty() && !rule.target_table.is_empty() {
            let what = format!("route `{name}` has `target-table` without `table-pattern`");
            let place = self.rule_place(rule, "target-table");
            return Err(Error::invalid(place, what, "give the pattern too"));
        }
        for (key, given) in [
            ("extract-table", rule.extract_table.is_some()),
            ("extract-schema", rule.extract_schema.is_some()),
            ("extract-source", rule.extract_source.is_some()),
        ] {
            if given {
                return Err(Error::NotYet {
                    place: self.rule_place(rule, key),
                    what: format!("`{key}` in route `{name}`"),
                    way_out: "leave it out, or fill the column by a generated expression".into(),
                });
            }
        }
        Ok(())
    }
}
