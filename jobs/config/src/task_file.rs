//! `task.yaml`: what is migrated, from which sources, where to and how.

use std::collections::BTreeMap;

use crate::error::{Result, Warning};
use crate::event_filter::EventFilterRule;
use crate::scalar::{Anything, words};
use crate::source_file::DatabaseConfig;
use crate::units::{LoaderConfig, MydumperConfig, SyncerConfig, ValidatorConfig};
use crate::yaml::{self, section};

words! {
    /// What a task does.
    TaskMode {
        /// Dump and load.
        Full = "full",
        /// Follow the binlog from a given place.
        Incremental = "incremental",
        /// Dump, load, then follow the binlog.
        All = "all",
        /// Dump only.
        Dump = "dump",
        /// Load an existing dump, then follow the binlog.
        LoadSync = "load&sync",
    }
}

impl TaskMode {
    /// Whether the source is dumped.
    pub fn dumps(self) -> bool {
        matches!(self, Self::Full | Self::All | Self::Dump)
    }

    /// Whether a dump is loaded.
    pub fn loads(self) -> bool {
        matches!(self, Self::Full | Self::All | Self::LoadSync)
    }

    /// Whether the binlog is followed.
    pub fn follows_binlog(self) -> bool {
        matches!(self, Self::Incremental | Self::All | Self::LoadSync)
    }
}

words! {
    /// How sharded tables are merged.
    ShardMode {
        /// They are not.
        None = "",
        /// DDL waits until every shard has it.
        Pessimistic = "pessimistic",
        /// DDL is applied as it comes.
        Optimistic = "optimistic",
    }
}

words! {
    /// How collations of the source become ones of the target.
    CollationCompatible {
        /// The default collation of a character set stays the target's.
        Loose = "loose",
        /// The source's default collation is written out.
        Strict = "strict",
    }
}

section! {
    /// One table pattern of a block-allow-list.
    "a table of the block-allow-list" TableRule {
        /// Schema.
        "db-name" => db_name: String = String::new();
        /// Table.
        "tbl-name" => tbl_name: String = String::new();
    }
}

section! {
    /// Which tables are migrated.
    "block-allow-list" BlockAllowList {
        /// Schemas that are migrated.
        "do-dbs" => do_dbs: Vec<String> = Vec::new();
        /// Schemas that are not.
        "ignore-dbs" => ignore_dbs: Vec<String> = Vec::new();
        /// Tables that are migrated.
        "do-tables" => do_tables: Vec<TableRule> = Vec::new();
        /// Tables that are not.
        "ignore-tables" => ignore_tables: Vec<TableRule> = Vec::new();
    }
}

section! {
    /// A column filled from a table's, schema's or source's name.
    "extract" ExtractRule {
        /// Regular expression over the table.
        "table-regexp" => table_regexp: String = String::new();
        /// Regular expression over the schema.
        "schema-regexp" => schema_regexp: String = String::new();
        /// Regular expression over the source's id.
        "source-regexp" => source_regexp: String = String::new();
        /// The column.
        "target-column" => target_column: String = String::new();
    }
}

section! {
    /// Where tables go.
    "routes" RouteRule {
        /// Schemas.
        "schema-pattern" => schema_pattern: String = String::new();
        /// Tables; empty makes a schema rule.
        "table-pattern" => table_pattern: String = String::new();
        /// Schema at the target.
        "target-schema" => target_schema: String = String::new();
        /// Table at the target.
        "target-table" => target_table: String = String::new();
        /// Column from the table's name.
        "extract-table" => extract_table: Option<ExtractRule> = None;
        /// Column from the schema's name.
        "extract-schema" => extract_schema: Option<ExtractRule> = None;
        /// Column from the source's id.
        "extract-source" => extract_source: Option<ExtractRule> = None;
    }
}

section! {
    /// Rows to leave out.
    "expression-filter" ExpressionFilter {
        /// Schema, exactly.
        "schema" => schema: String = String::new();
        /// Table, exactly.
        "table" => table: String = String::new();
        /// An inserted row for which it is true is left out.
        "insert-value-expr" => insert_value_expr: String = String::new();
        /// The same for the old row of an update.
        "update-old-value-expr" => update_old_value_expr: String = String::new();
        /// The same for its new row.
        "update-new-value-expr" => update_new_value_expr: String = String::new();
        /// The same for a deleted row.
        "delete-value-expr" => delete_value_expr: String = String::new();
    }
}

section! {
    /// Where an incremental task begins.
    "meta" MetaConfig {
        /// Binlog file.
        "binlog-name" => binlog_name: String = String::new();
        /// Position in it.
        "binlog-pos" => binlog_pos: u64 = 4;
        /// GTID set.
        "binlog-gtid" => binlog_gtid: String = String::new();
    }
}

section! {
    /// What the task does with one source.
    "mysql-instances" MysqlInstance {
        /// The source.
        "source-id" => source_id: String = String::new();
        /// Where an incremental task begins.
        "meta" => meta: Option<MetaConfig> = None;
        /// Names under `filters`.
        "filter-rules" => filter_rules: Vec<String> = Vec::new();
        /// Names under `routes`.
        "route-rules" => route_rules: Vec<String> = Vec::new();
        /// Names under `expression-filter`.
        "expression-filters" => expression_filters: Vec<String> = Vec::new(), no effect "has no effect yet";
        /// Column mappings of old DM.
        "column-mapping-rules" => column_mapping_rules: Vec<String> = Vec::new(), no effect "has no effect: DM removed it, use extract-table of routes";
        /// Name under `block-allow-list`.
        "block-allow-list" => block_allow_list: String = String::new();
        /// The old name of `block-allow-list`.
        "black-white-list" => black_white_list: String = String::new();
        /// Name under `mydumpers`.
        "mydumper-config-name" => mydumper_config_name: String = String::new();
        /// The section itself.
        "mydumper" => mydumper: Option<MydumperConfig> = None;
        /// Beats `threads` of the section.
        "mydumper-thread" => mydumper_thread: u64 = 0;
        /// Name under `loaders`.
        "loader-config-name" => loader_config_name: String = String::new();
        /// The section itself.
        "loader" => loader: Option<LoaderConfig> = None;
        /// Beats `pool-size` of the section.
        "loader-thread" => loader_thread: u64 = 0;
        /// Name under `syncers`.
        "syncer-config-name" => syncer_config_name: String = String::new();
        /// The section itself.
        "syncer" => syncer: Option<SyncerConfig> = None;
        /// Beats `worker-count` of the section.
        "syncer-thread" => syncer_thread: u64 = 0;
        /// Name under `validators`.
        "validator-config-name" => validator_config_name: String = String::new(), no effect "has no effect: run tideway-validate";
    }
}

section! {
    /// DM's experimental keys.
    "experimental" ExperimentalConfig {
        /// Checkpoints beside the work.
        "async-checkpoint-flush" => async_checkpoint_flush: bool = false;
    }
}

/// A named section that may be empty (`global:`).
pub type Named<T> = BTreeMap<String, T>;

section! {
    /// A task file.
    "the task file" TaskFile {
        /// Name of the task.
        "name" => name: String = String::new();
        /// What is done.
        "task-mode" => task_mode: Option<TaskMode> = None;
        /// How shards are merged.
        "shard-mode" => shard_mode: ShardMode = ShardMode::None, no effect "DDL is not coordinated yet: a DROP or TRUNCATE of one shard is left out, other DDL runs as it comes";
        /// The old form of `shard-mode: pessimistic`.
        "is-sharding" => is_sharding: bool = false, no effect "has no effect yet";
        /// Optimistic sharding that refuses what it cannot order.
        "strict-optimistic-shard-mode" => strict_optimistic_shard_mode: bool = false, no effect "has no effect yet";
        /// Check items to leave out.
        "ignore-checking-items" => ignore_checking_items: Vec<String> = Vec::new();
        /// Schema of the checkpoints.
        "meta-schema" => meta_schema: String = "dm_meta".into();
        /// Forget the old checkpoints.
        "remove-meta" => remove_meta: bool = false, no effect "has no effect: run `tideway cleanup`, or `tideway run --remove-meta`";
        /// DM's heartbeat.
        "enable-heartbeat" => enable_heartbeat: bool = false, no effect "has no effect: DM deprecated it";
        /// Seconds between heartbeats.
        "heartbeat-update-interval" => heartbeat_update_interval: u64 = 1, no effect "has no effect: DM deprecated it";
        /// Seconds between their reports.
        "heartbeat-report-interval" => heartbeat_report_interval: u64 = 10, no effect "has no effect: DM deprecated it";
        /// Session time zone.
        "timezone" => timezone: String = String::new(), no effect "has no effect yet: sessions run in UTC";
        /// Whether names are compared with regard to case.
        "case-sensitive" => case_sensitive: bool = false;
        /// How collations are taken over.
        "collation_compatible" => collation_compatible: CollationCompatible = CollationCompatible::Loose;
        /// Recognise online schema changes.
        "online-ddl" => online_ddl: bool = false, no effect "has no effect yet";
        /// Their tool in old DM.
        "online-ddl-scheme" => online_ddl_scheme: String = String::new(), no effect "has no effect yet";
        /// Their ghost tables.
        "shadow-table-rules" => shadow_table_rules: Vec<String> = vec!["^_(.+)_(?:new|gho)$".into()], no effect "has no effect yet";
        /// Their trash tables.
        "trash-table-rules" => trash_table_rules: Vec<String> = vec!["^_(.+)_(?:ghc|del|old)$".into()], no effect "has no effect yet";
        /// Whether the dump goes once it is loaded.
        "clean-dump-file" => clean_dump_file: bool = true, no effect "has no effect: staged dumps stay until `tideway cleanup`";
        /// Whether `"` quotes names.
        "ansi-quotes" => ansi_quotes: bool = false, no effect "has no effect: each statement of the binlog tells its sql_mode";
        /// The target.
        "target-database" => target_database: DatabaseConfig = DatabaseConfig::default();
        /// The sources.
        "mysql-instances" => mysql_instances: Vec<MysqlInstance> = Vec::new();
        /// Lists of tables by name.
        "block-allow-list" => block_allow_list: Named<BlockAllowList> = Named::new();
        /// The old name of `block-allow-list`.
        "black-white-list" => black_white_list: Named<BlockAllowList> = Named::new();
        /// Event filters by name.
        "filters" => filters: Named<EventFilterRule> = Named::new();
        /// Routes by name.
        "routes" => routes: Named<RouteRule> = Named::new();
        /// Expression filters by name.
        "expression-filter" => expression_filter: Named<ExpressionFilter> = Named::new(), no effect "has no effect yet";
        /// Column mappings of old DM.
        "column-mappings" => column_mappings: Anything = Anything::default(), no effect "has no effect: DM removed it, use extract-table of routes";
        /// Dump sections by name.
        "mydumpers" => mydumpers: Named<MydumperConfig> = Named::new();
        /// Load sections by name.
        "loaders" => loaders: Named<LoaderConfig> = Named::new();
        /// Replication sections by name.
        "syncers" => syncers: Named<SyncerConfig> = Named::new();
        /// Validation sections by name.
        "validators" => validators: Named<ValidatorConfig> = Named::new(), no effect "has no effect: run tideway-validate";
        /// Experimental keys.
        "experimental" => experimental: ExperimentalConfig = ExperimentalConfig::default(), no effect "has no effect";
    }
}

/// Reads a task file. `file` is its name in messages.
pub fn parse_task(text: &str, file: &str) -> Result<(TaskFile, Vec<Warning>)> {
    let mut task: TaskFile = yaml::parse(text, file, crate::SECTIONS)?;
    task.given.set_file(file);
    let warnings = yaml::warnings(&task, file);
    Ok((task, warnings))
}
