//! A task file and its source files put together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::check_items::{CHECK_ITEMS, check_item};
use crate::dump_args;
use crate::error::{Error, Place, Result, Warning};
use crate::filter::TableFilter;
use crate::password::{self, Keys};
use crate::resolved::{
    Consistency, Database, DumpOptions, LoadOptions, Meta, ResolvedSource, ResolvedTask,
};
use crate::route::Router;
use crate::scalar::parse_file_size;
use crate::security;
use crate::source_file::{DatabaseConfig, MAX_SOURCE_ID, SourceFile};
use crate::task_file::{MysqlInstance, Named, RouteRule, ShardMode, TaskFile, TaskMode};
use crate::units::{LoaderConfig, MydumperConfig, SyncerConfig, ValidatorConfig};
use crate::yaml::nearest;

/// What does not stand in the files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Beats `task-mode` of the file (`--task-mode`).
    pub mode: Option<TaskMode>,
    /// DM's `secret-key-path`: a file with the key of ciphertexts, 64 hex digits.
    pub secret_key_file: Option<PathBuf>,
}

impl Options {
    /// Options from the environment: `TIDEWAY_SECRET_KEY_FILE`.
    pub fn from_env() -> Self {
        let file = std::env::var_os("TIDEWAY_SECRET_KEY_FILE").filter(|path| !path.is_empty());
        Self {
            mode: None,
            secret_key_file: file.map(PathBuf::from),
        }
    }
}

/// Puts a task and its sources together.
///
/// An instance without source file is an error, a source file that no instance uses a warning.
pub fn resolve(
    task: &TaskFile,
    sources: &[SourceFile],
    options: &Options,
) -> Result<(ResolvedTask, Vec<Warning>)> {
    let keys = match &options.secret_key_file {
        Some(path) => Keys::with_file(path).map_err(|error| {
            let place = Place::new(&path.display().to_string(), Default::default());
            Error::invalid(place, error.to_string(), "name another file, or none")
        })?,
        None => Keys::default(),
    };
    let mut resolver = Resolver {
        task,
        keys,
        warnings: Vec::new(),
        used: BTreeSet::new(),
    };
    let resolved = resolver.task(sources, options)?;
    resolver.unused();
    Ok((resolved, resolver.warnings))
}

struct Resolver<'a> {
    task: &'a TaskFile,
    keys: Keys,
    warnings: Vec<Warning>,
    /// Named sections that some instance uses: key of the file and name.
    used: BTreeSet<(&'static str, String)>,
}

impl Resolver<'_> {
    fn task(&mut self, sources: &[SourceFile], options: &Options) -> Result<ResolvedTask> {
        let task = self.task;
        let place = |key: &str| task.given.place(key);
        if task.name.trim().is_empty() {
            let way_out = "give the task a name of its own, for instance name: \"orders\"";
            return Err(Error::invalid(place("name"), "`name` is missing", way_out));
        }
        let mode = options.mode.or(task.task_mode).ok_or_else(|| {
            let way_out = "give one of full, incremental, all";
            Error::invalid(place("task-mode"), "`task-mode` is missing", way_out)
        })?;
        if task.mysql_instances.is_empty() {
            let what = "`mysql-instances` names no source";
            return Err(Error::invalid(
                place("mysql-instances"),
                what,
                "add one with `source-id`",
            ));
        }
        let mut ignored = Vec::new();
        for item in &task.ignore_checking_items {
            let known = check_item(item).ok_or_else(|| {
                let what = format!("unknown check item `{item}` in `ignore-checking-items`");
                let known = CHECK_ITEMS.join(", ");
                let way_out = match nearest(item, CHECK_ITEMS.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`? Known are: {known}"),
                    None => format!("known are: {known}"),
                };
                Error::invalid(place("ignore-checking-items"), what, way_out)
            })?;
            ignored.push(known.to_owned());
        }
        let by_id = self.source_files(sources)?;
        let mut seen = BTreeSet::new();
        let mut resolved = Vec::new();
        for instance in &task.mysql_instances {
            let at = self.instance_place(instance, "source-id");
            let id = &instance.source_id;
            if id.is_empty() {
                let what = "an entry of `mysql-instances` has no `source-id`";
                return Err(Error::invalid(
                    at,
                    what,
                    "name the source file's `source-id`",
                ));
            }
            if !seen.insert(id.as_str()) {
                let what = format!("`mysql-instances` names the source `{id}` twice");
                return Err(Error::invalid(at, what, "keep one of the two entries"));
            }
            let source = by_id.get(id.as_str()).ok_or_else(|| {
                let have = by_id.keys().copied().collect::<Vec<_>>().join(", ");
                let have = if have.is_empty() {
                    "none".to_owned()
                } else {
                    have
                };
                Error::invalid(
                    at,
                    format!("no source file has the source-id `{id}`"),
                    format!("give it by --source; the files given have: {have}"),
                )
            })?;
            resolved.push(self.source(instance, source, mode)?);
        }
        for (id, source) in &by_id {
            if !seen.contains(id) {
                let message = format!("the source `{id}` is not used by any entry of the task");
                self.warnings
                    .push(Warning::new(source.given.place("source-id"), message));
            }
        }
        let file = task.given.file();
        Ok(ResolvedTask {
            name: task.name.clone(),
            mode,
            meta_schema: task.meta_schema.clone(),
            timezone: Some(task.timezone.clone()).filter(|zone| !zone.is_empty()),
            case_sensitive: task.case_sensitive,
            collation_compatible: task.collation_compatible,
            shard_mode: match (task.shard_mode, task.is_sharding) {
                (ShardMode::None, true) => ShardMode::Pessimistic,
                (mode, _) => mode,
            },
            clean_dump_file: task.clean_dump_file,
            online_ddl: task.online_ddl || !task.online_ddl_scheme.is_empty(),
            target: self.database(&task.target_database, file, "target-database", 4000)?,
            sources: resolved,
            ignore_checking_items: ignored,
        })
    }

    fn source_files<'s>(
        &self,
        sources: &'s [SourceFile],
    ) -> Result<BTreeMap<&'s str, &'s SourceFile>> {
        let mut by_id: BTreeMap<&str, &SourceFile> = BTreeMap::new();
        for source in sources {
            let id = source.source_id.as_str();
            let place = source.given.place("source-id");
            if id.is_empty() {
                let way_out = "give the source a name, for instance source-id: \"aurora-1\"";
                return Err(Error::invalid(place, "`source-id` is missing", way_out));
            }
            if id.chars().count() > MAX_SOURCE_ID {
                let what = format!("`source-id` is longer than {MAX_SOURCE_ID} characters");
                return Err(Error::invalid(place, what, "shorten it"));
            }
            if let Some(other) = by_id.insert(id, source) {
                let what = format!("`{}` has the same source-id `{id}`", other.given.file());
                return Err(Error::invalid(place, what, "give each source its own"));
            }
        }
        Ok(by_id)
    }

    fn source(
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

    fn filter(&mut self, instance: &MysqlInstance, case_sensitive: bool) -> Result<TableFilter> {
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

    fn router(&mut self, instance: &MysqlInstance, case_sensitive: bool) -> Result<Router> {
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

    fn dump(
        &mut self,
        instance: &MysqlInstance,
    ) -> Result<(DumpOptions, BTreeMap<String, String>)> {
        let config: MydumperConfig = self.unit(
            "mydumpers",
            &self.task.mydumpers,
            instance,
            ("mydumper-config-name", &instance.mydumper_config_name),
            ("mydumper", instance.mydumper.as_ref()),
        )?;
        let file = self.task.given.file();
        let place = |key: &str| Place::new(file, config.given.at(key).unwrap_or_default());
        let args = dump_args::parse(&config.extra_args).map_err(|error| {
            let what = format!("`extra-args`: {}", error.what);
            Error::invalid(place("extra-args"), what, error.way_out)
        })?;
        for warning in &args.warnings {
            self.warn_once(Warning::new(place("extra-args"), warning.clone()));
        }
        let chunk_bytes = parse_file_size(&config.chunk_filesize)
            .map_err(|error| Error::invalid(place("chunk-filesize"), error, "mend the size"))?;
        let section_where =
            Some(config.where_clause.clone()).filter(|clause| !clause.trim().is_empty());
        if section_where.is_some()
            && args.where_clause.is_some()
            && section_where != args.where_clause
        {
            let what = "`where` and `--where` in `extra-args` differ";
            return Err(Error::invalid(place("where"), what, "keep one of them"));
        }
        let threads = match (instance.mydumper_thread, args.threads) {
            (0, Some(threads)) => threads,
            (0, None) => count(config.threads, "threads", || place("threads"))?,
            (n, _) => count(n, "mydumper-thread", || {
                self.instance_place(instance, "mydumper-thread")
            })?,
        };
        let options = DumpOptions {
            threads,
            chunk_bytes: args.chunk_bytes.unwrap_or(chunk_bytes),
            rows: args.rows.or(Some(config.rows).filter(|rows| *rows > 0)),
            consistency: args.consistency.unwrap_or(Consistency::Auto),
            where_clause: args.where_clause.or(section_where),
            no_data: args.no_data,
            no_schemas: args.no_schemas,
            no_views: args.no_views.unwrap_or(true),
            skip_tz_utc: config.skip_tz_utc,
        };
        Ok((options, args.session))
    }

    fn load(&mut self, instance: &MysqlInstance) -> Result<LoadOptions> {
        let config: LoaderConfig = self.unit(
            "loaders",
            &self.task.loaders,
            instance,
            ("loader-config-name", &instance.loader_config_name),
            ("loader", instance.loader.as_ref()),
        )?;
        let file = self.task.given.file();
        let pool_size = if instance.loader_thread > 0 {
            count(instance.loader_thread, "loader-thread", || {
                self.instance_place(instance, "loader-thread")
            })?
        } else {
            count(config.pool_size, "pool-size", || {
                Place::new(file, config.given.at("pool-size").unwrap_or_default())
            })?
        };
        Ok(LoadOptions {
            pool_size,
            import_mode: config.import_mode,
            on_duplicate: config.on_duplicate_logical,
            on_duplicate_physical: config.on_duplicate_physical,
            dir: config.dir,
        })
    }

    /// The section of one instance: inline, by name, or all defaults.
    fn unit<T: Clone + Default>(
        &mut self,
        section: &'static str,
        all: &Named<T>,
        instance: &MysqlInstance,
        (name_key, name): (&'static str, &str),
        (inline_key, inline): (&'static str, Option<&T>),
    ) -> Result<T> {
        match (name, inline) {
            ("", Some(inline)) => Ok(inline.clone()),
            ("", None) => Ok(T::default()),
            (_, Some(_)) => {
                let what = format!("both `{name_key}` and an inline `{inline_key}` are given");
                let place = self.instance_place(instance, inline_key);
                Err(Error::invalid(place, what, "keep one of them"))
            }
            (name, None) => self.named(section, all, instance, name_key, name).cloned(),
        }
    }

    /// A named section that `key` of an instance refers to.
    fn named<'t, T>(
        &mut self,
        section: &'static str,
        all: &'t Named<T>,
        instance: &MysqlInstance,
        key: &str,
        name: &str,
    ) -> Result<&'t T> {
        let Some(found) = all.get(name) else {
            let what = format!("`{key}` names `{name}`, which `{section}` does not hold");
            let way_out = match nearest(name, all.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if all.is_empty() => format!("add it under `{section}:`"),
                None => {
                    let known = all
                        .keys()
                        .map(String::as_str)
                        .collect::<Vec<_>>()
                        .join(", ");
                    format!("it holds: {known}")
                }
            };
            return Err(Error::invalid(
                self.instance_place(instance, key),
                what,
                way_out,
            ));
        };
        self.used.insert((section, name.to_owned()));
        Ok(found)
    }

    fn database(
        &mut self,
        config: &DatabaseConfig,
        file: &str,
        section: &str,
        default_port: u16,
    ) -> Result<Database> {
        let place = |key: &str| Place::new(file, config.given.at(key).unwrap_or_default());
        if config.host.is_empty() {
            let what = format!("`host` in `{section}` is missing");
            return Err(Error::invalid(place("host"), what, "name the server"));
        }
        let decoded = password::decode(&config.password.0, &self.keys).map_err(|error| {
            let what = format!("`password` in `{section}`: {error}");
            Error::invalid(place("password"), what, "set or create it, or name another")
        })?;
        if decoded.odd_ciphertext {
            let message = format!(
                "`password` in `{section}` has the form of a DM ciphertext, but the key does not \
                 fit; it is used as it stands (key files: TIDEWAY_SECRET_KEY_FILE)"
            );
            self.warnings.push(Warning::new(place("password"), message));
        }
        let security = match &config.security {
            Some(security) => security::resolve(security, file)?,
            None => None,
        };
        Ok(Database {
            host: config.host.clone(),
            port: config
                .port
                .filter(|port| *port != 0)
                .unwrap_or(default_port),
            user: config.user.clone(),
            password: decoded.password,
            session: config.session.clone(),
            security,
            max_allowed_packet: config.max_allowed_packet.filter(|size| *size > 0),
        })
    }

    /// Warns of named sections that no instance uses.
    fn unused(&mut self) {
        let task = self.task;
        let names: [(&'static str, Vec<&String>); 6] = [
            ("block-allow-list", task.block_allow_list.keys().collect()),
            ("black-white-list", task.black_white_list.keys().collect()),
            ("routes", task.routes.keys().collect()),
            ("filters", task.filters.keys().collect()),
            ("mydumpers", task.mydumpers.keys().collect()),
            ("loaders", task.loaders.keys().collect()),
        ];
        for (section, names) in names {
            for name in names {
                if !self.used.contains(&(section, name.clone())) {
                    let message = format!("`{name}` in `{section}` is not used by any source");
                    self.warnings
                        .push(Warning::new(task.given.place(section), message));
                }
            }
        }
    }

    fn warn_once(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn instance_place(&self, instance: &MysqlInstance, key: &str) -> Place {
        let at = instance
            .given
            .at(key)
            .or_else(|| instance.given.at("source-id"));
        Place::new(self.task.given.file(), at.unwrap_or_default())
    }

    fn rule_place(&self, rule: &RouteRule, key: &str) -> Place {
        let at = rule
            .given
            .at(key)
            .or_else(|| rule.given.at("schema-pattern"));
        Place::new(self.task.given.file(), at.unwrap_or_default())
    }
}

/// A number of connections.
fn count(n: u64, key: &str, place: impl FnOnce() -> Place) -> Result<usize> {
    match usize::try_from(n) {
        Ok(n @ 1..=4096) => Ok(n),
        _ => {
            let what = format!("`{key}` cannot be {n}");
            Err(Error::invalid(place(), what, "give between 1 and 4096"))
        }
    }
}
