//! One instance of the task with its source file.

use super::Resolver;
use crate::error::{Error, Result, Warning};
use crate::resolved::{Meta, ResolvedSource};
use crate::source_file::SourceFile;
use crate::task_file::{MysqlInstance, TaskMode};
use crate::units::{SyncerConfig, ValidatorConfig};

impl Resolver<'_> {
    pub(super) fn source(
        &mut self,
        instance: &MysqlInstance,
        source: &SourceFile,
        mode: TaskMode,
    ) -> Result<ResolvedSource> {
        let case_sensitive = self.task.case_sensitive || source.case_sensitive;
        let file = source.given.file();
        let flavor = match source.flavor.as_str() {
            "" => None,
            "mysql" | "mariadb" => Some(source.flavor.clone()),
            other => {
                let what = format!("`flavor` cannot be `{other}`");
                let way_out = "give mysql or mariadb, or leave it out: the server is asked";
                return Err(Error::invalid(source.given.place("flavor"), what, way_out));
            }
        };
        let filter = self.filter(instance, case_sensitive)?;
        let router = self.router(instance, case_sensitive)?;
        let mut event_filters = source.filters.clone();
        for rule in &source.filters {
            rule.check("of the source", file)?;
        }
        for name in &instance.filter_rules {
            let rule = self.named(
                "filters",
                &self.task.filters,
                instance,
                "filter-rules",
                name,
            )?;
            rule.check(name, self.task.given.file())?;
            event_filters.push(rule.clone());
        }
        let mut expression_filters = Vec::new();
        for name in &instance.expression_filters {
            let all = &self.task.expression_filter;
            let key = "expression-filter";
            let rule = self.named(key, all, instance, "expression-filters", name)?;
            expression_filters.push(rule.clone());
        }
        let mut from = self.database(&source.from, file, "from", 3306)?;
        let (dump, session) = self.dump(instance)?;
        from.session.extend(session);
        let load = self.load(instance)?;
        let mut sync: SyncerConfig = self.unit(
            "syncers",
            &self.task.syncers,
            instance,
            ("syncer-config-name", &instance.syncer_config_name),
            ("syncer", instance.syncer.as_ref()),
        )?;
        if instance.syncer_thread > 0 {
            sync.worker_count = instance.syncer_thread;
        }
        let validator: ValidatorConfig = self.unit(
            "validators",
            &self.task.validators,
            instance,
            ("validator-config-name", &instance.validator_config_name),
            ("validator", None),
        )?;
        Ok(ResolvedSource {
            id: source.source_id.clone(),
            from,
            enable_gtid: source.enable_gtid,
            flavor,
            server_id: (source.server_id != 0).then_some(source.server_id),
            filter,
            router,
            event_filters,
            expression_filters,
            dump,
            load,
            sync,
            validator,
            meta: self.meta(instance, mode)?,
        })
    }

    fn meta(&mut self, instance: &MysqlInstance, mode: TaskMode) -> Result<Option<Meta>> {
        let place = self.instance_place(instance, "meta");
        let Some(meta) = &instance.meta else {
            if mode == TaskMode::Incremental {
                let id = &instance.source_id;
                let message = format!("`{id}` has no `meta`: it starts from the source's present");
                self.warnings.push(Warning::new(place, message));
            }
            return Ok(None);
        };
        let some = |text: &str| (!text.trim().is_empty()).then(|| text.trim().to_owned());
        let (name, gtid) = (some(&meta.binlog_name), some(&meta.binlog_gtid));
        if name.is_none() && gtid.is_none() {
            let what = "`meta` gives neither `binlog-name` nor `binlog-gtid`";
            return Err(Error::invalid(
                place,
                what,
                "give one of them, or leave `meta` out",
            ));
        }
        if mode != TaskMode::Incremental {
            let message = format!("`meta` has no effect in task-mode {mode}");
            self.warnings.push(Warning::new(place, message));
        }
        Ok(Some(Meta {
            binlog_name: name,
            binlog_pos: meta.binlog_pos,
            binlog_gtid: gtid,
        }))
    }
}
