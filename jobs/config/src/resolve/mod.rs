//! A task file and its source files put together.

mod source;
mod tables;
mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::check_items::{CHECK_ITEMS, check_item};
use crate::error::{At, Error, Place, Result, Warning};
use crate::password::{self, Keys};
use crate::resolved::{Database, ResolvedTask};
use crate::security;
use crate::source_file::{DatabaseConfig, MAX_SOURCE_ID, SourceFile};
use crate::task_file::{MysqlInstance, RouteRule, ShardMode, TaskFile, TaskMode};
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
            let place = Place::new(&path.display().to_string(), At::default());
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

impl ResolvedTask {
    /// [`resolve`] with the options of the environment; what it warns of is logged.
    // The files are used up: what counts from here on is the resolved task.
    #[allow(clippy::needless_pass_by_value)]
    pub fn resolve(task: TaskFile, sources: Vec<SourceFile>) -> Result<Self> {
        let (resolved, warnings) = resolve(&task, &sources, &Options::from_env())?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Ok(resolved)
    }
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
            max_allowed_packet: config
                .max_allowed_packet
                .filter(|size| *size > 0)
                .and_then(|size| usize::try_from(size).ok()),
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
