//! The sections that say how a source is dumped and loaded.

use std::collections::BTreeMap;

use super::Resolver;
use crate::dump_args;
use crate::error::{Error, Place, Result, Warning};
use crate::resolved::{Consistency, DumpOptions, LoadOptions};
use crate::scalar::parse_file_size;
use crate::task_file::{MysqlInstance, Named};
use crate::units::{LoaderConfig, MydumperConfig};
use crate::yaml::nearest;

impl Resolver<'_> {
    pub(super) fn dump(
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

    pub(super) fn load(&mut self, instance: &MysqlInstance) -> Result<LoadOptions> {
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
    pub(super) fn unit<T: Clone + Default>(
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
    pub(super) fn named<'t, T>(
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
