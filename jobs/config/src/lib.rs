//! DM's configuration files: `source.yaml` and `task.yaml`.
//!
//! [`parse_source`] and [`parse_task`] read one file each into typed sections with DM's defaults;
//! [`resolve`] puts a task and its sources together into a [`ResolvedTask`], in which every name
//! is looked up, every pattern compiled and every password readable. What DM knows and Tideway
//! does without is accepted with one [`Warning`]; what DM does not know is an [`Error`] with file,
//! line, column and the nearest known key.
//!
//! Reading touches no network and no file but those that a password or an environment variable
//! names, so `tideway config check` does just this.

mod check_items;
mod dump_args;
mod error;
mod event_filter;
mod filter;
mod identity;
pub mod password;
mod pattern;
mod resolve;
mod resolved;
mod route;
mod scalar;
mod security;
mod source_file;
mod task_file;
mod units;
mod yaml;

pub use check_items::{CHECK_ITEMS, check_item};
pub use error::{At, EXIT_CODE, Error, Place, Result, Warning};
pub use event_filter::{Action, EVENTS, EventFilterRule};
pub use filter::{SYSTEM_SCHEMAS, TableFilter, is_system_schema};
pub use identity::differences;
pub use pattern::{Pattern, PatternError};
pub use resolve::{Options, resolve};
pub use resolved::{
    Consistency, Database, DumpOptions, LoadOptions, Meta, ResolvedSource, ResolvedTask, Security,
};
pub use route::{RouteError, Router};
pub use scalar::{Anything, GoDuration};
pub use source_file::{
    CheckerConfig, DatabaseConfig, PurgeConfig, Secret, SecurityConfig, SourceFile, parse_source,
};
pub use task_file::{
    BlockAllowList, CollationCompatible, ExperimentalConfig, ExpressionFilter, ExtractRule,
    MetaConfig, MysqlInstance, Named, RouteRule, ShardMode, TableRule, TaskFile, TaskMode,
    parse_task,
};
pub use units::{
    Checksum, ImportMode, LoaderConfig, MydumperConfig, OnDuplicateLogical, OnDuplicatePhysical,
    SyncerConfig, ValidatorConfig, ValidatorMode,
};
pub use yaml::{Given, KeyDoc};

/// All sections, so that a message can name the one that a key stands in.
const SECTIONS: &[(&str, &[&str])] = &[
    (SourceFile::WHAT, SourceFile::KEYS),
    (DatabaseConfig::WHAT, DatabaseConfig::KEYS),
    (SecurityConfig::WHAT, SecurityConfig::KEYS),
    (PurgeConfig::WHAT, PurgeConfig::KEYS),
    (CheckerConfig::WHAT, CheckerConfig::KEYS),
    (TaskFile::WHAT, TaskFile::KEYS),
    (MysqlInstance::WHAT, MysqlInstance::KEYS),
    (MetaConfig::WHAT, MetaConfig::KEYS),
    (TableRule::WHAT, TableRule::KEYS),
    (BlockAllowList::WHAT, BlockAllowList::KEYS),
    (RouteRule::WHAT, RouteRule::KEYS),
    (ExtractRule::WHAT, ExtractRule::KEYS),
    (EventFilterRule::WHAT, EventFilterRule::KEYS),
    (ExpressionFilter::WHAT, ExpressionFilter::KEYS),
    (MydumperConfig::WHAT, MydumperConfig::KEYS),
    (LoaderConfig::WHAT, LoaderConfig::KEYS),
    (SyncerConfig::WHAT, SyncerConfig::KEYS),
    (ValidatorConfig::WHAT, ValidatorConfig::KEYS),
    (ExperimentalConfig::WHAT, ExperimentalConfig::KEYS),
];

/// All sections with what each key means, for `docs/configuration.md`.
pub const DOCUMENTED: &[(&str, &[KeyDoc])] = &[
    (SourceFile::WHAT, SourceFile::DOCS),
    (DatabaseConfig::WHAT, DatabaseConfig::DOCS),
    (SecurityConfig::WHAT, SecurityConfig::DOCS),
    (PurgeConfig::WHAT, PurgeConfig::DOCS),
    (CheckerConfig::WHAT, CheckerConfig::DOCS),
    (TaskFile::WHAT, TaskFile::DOCS),
    (MysqlInstance::WHAT, MysqlInstance::DOCS),
    (MetaConfig::WHAT, MetaConfig::DOCS),
    (TableRule::WHAT, TableRule::DOCS),
    (BlockAllowList::WHAT, BlockAllowList::DOCS),
    (RouteRule::WHAT, RouteRule::DOCS),
    (ExtractRule::WHAT, ExtractRule::DOCS),
    (EventFilterRule::WHAT, EventFilterRule::DOCS),
    (ExpressionFilter::WHAT, ExpressionFilter::DOCS),
    (MydumperConfig::WHAT, MydumperConfig::DOCS),
    (LoaderConfig::WHAT, LoaderConfig::DOCS),
    (SyncerConfig::WHAT, SyncerConfig::DOCS),
    (ValidatorConfig::WHAT, ValidatorConfig::DOCS),
    (ExperimentalConfig::WHAT, ExperimentalConfig::DOCS),
];
