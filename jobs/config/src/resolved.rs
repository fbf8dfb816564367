//! A task with everything looked up: what the jobs work from.
//!
//! Names of sections are gone (each source holds its own filter, routes, dump and load options),
//! defaults are filled in and passwords are readable. Nothing here prints a secret: passwords are
//! [`SecretString`], and `Debug` of [`Security`] leaves out key material.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::event_filter::EventFilterRule;
use crate::filter::TableFilter;
use crate::route::Router;
use crate::task_file::ExpressionFilter;
use crate::units::{OnDuplicatePhysical, SyncerConfig, ValidatorConfig};

pub use crate::task_file::{CollationCompatible, ShardMode, TaskMode};
pub use crate::units::{ImportMode, OnDuplicateLogical};

/// A task file and its source files, resolved.
#[derive(Debug, Clone)]
pub struct ResolvedTask {
    /// The task's name; the first folder in staging.
    pub name: String,
    /// What is done: full, incremental, all …
    pub mode: TaskMode,
    /// Schema at the target that holds checkpoints.
    pub meta_schema: String,
    /// Session time zone for statements, where the file gives one.
    pub timezone: Option<String>,
    /// Whether names in filters and routes are compared with regard to case.
    pub case_sensitive: bool,
    /// How collations of the source become ones of the target.
    pub collation_compatible: CollationCompatible,
    /// How sharded tables are merged.
    pub shard_mode: ShardMode,
    /// Whether the dumped files go once they are loaded.
    pub clean_dump_file: bool,
    /// Whether DDL of online schema change tools is recognised.
    pub online_ddl: bool,
    /// The target.
    pub target: Database,
    /// The sources, in the order of `mysql-instances`.
    pub sources: Vec<ResolvedSource>,
    /// Check items that precheck leaves out, by their DM names; all of them known.
    pub ignore_checking_items: Vec<String>,
}

/// A server to connect to.
#[derive(Debug, Clone)]
pub struct Database {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Password, readable; empty when the file gives none.
    pub password: SecretString,
    /// Session variables to set.
    pub session: BTreeMap<String, String>,
    /// TLS; `None`: used when the server offers it, unverified.
    pub security: Option<Security>,
    /// Largest packet to send, when the file limits it.
    pub max_allowed_packet: Option<usize>,
}

/// TLS material. Files and inline (base64) forms exclude each other.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Security {
    /// File of the certificate authorities.
    pub ca: Option<PathBuf>,
    /// File of the client's certificate.
    pub cert: Option<PathBuf>,
    /// File of the client's key.
    pub key: Option<PathBuf>,
    /// Common names that the server's certificate may carry.
    pub allowed_cn: Vec<String>,
    /// Certificate authorities, PEM, from `ssl-ca-base64`.
    pub ca_pem: Option<Vec<u8>>,
    /// Client certificate, PEM, from `ssl-cert-base64`.
    pub cert_pem: Option<Vec<u8>>,
    /// Client key, PEM, from `ssl-key-base64`.
    pub key_pem: Option<Vec<u8>>,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("ca", &self.ca)
            .field("cert", &self.cert)
            .field("key", &self.key)
            .field("allowed_cn", &self.allowed_cn)
            .field("ca_pem", &self.ca_pem.is_some())
            .field("cert_pem", &self.cert_pem.is_some())
            .field("key_pem", &self.key_pem.is_some())
            .finish()
    }
}

/// One source of the task with all that concerns it.
#[derive(Debug, Clone)]
pub struct ResolvedSource {
    /// `source-id`.
    pub id: String,
    /// The server.
    pub from: Database,
    /// Whether the binlog is followed by GTID sets.
    pub enable_gtid: bool,
    /// `mysql` or `mariadb`, where the file says so; otherwise the server is asked.
    pub flavor: Option<String>,
    /// Id that a replica announces, where the file gives one.
    pub server_id: Option<u32>,
    /// Which tables are migrated.
    pub filter: TableFilter,
    /// Where they go.
    pub router: Router,
    /// Which binlog events are left out.
    pub event_filters: Vec<EventFilterRule>,
    /// Which rows are left out.
    pub expression_filters: Vec<ExpressionFilter>,
    /// How the source is dumped.
    pub dump: DumpOptions,
    /// How it is loaded.
    pub load: LoadOptions,
    /// How its binlog is applied.
    pub sync: SyncerConfig,
    /// How it is validated while it replicates.
    pub validator: ValidatorConfig,
    /// Where an incremental task begins.
    pub meta: Option<Meta>,
}

/// A position in the binlog that the user gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Binlog file.
    pub binlog_name: Option<String>,
    /// Position in it.
    pub binlog_pos: u64,
    /// GTID set.
    pub binlog_gtid: Option<String>,
}

/// How a dump sees one state of the source: Dumpling's `--consistency`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Consistency {
    /// `flush` where the server allows it, `lock` otherwise, `snapshot` on TiDB.
    #[default]
    Auto,
    /// `FLUSH TABLES WITH READ LOCK`.
    Flush,
    /// A past snapshot; TiDB only.
    Snapshot,
    /// `LOCK TABLES … READ`.
    Lock,
    /// Nothing: right only together with cdc's safe mode.
    None,
}

/// How a source is dumped: a `mydumpers` section with its `extra-args` read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpOptions {
    /// Connections.
    pub threads: usize,
    /// Bytes of a chunk to aim at.
    pub chunk_bytes: u64,
    /// Rows of a chunk to aim at, where given; it then governs instead of the bytes.
    pub rows: Option<u64>,
    /// How the dump sees one state.
    pub consistency: Consistency,
    /// Condition that rows of every table must meet.
    pub where_clause: Option<String>,
    /// Dump definitions only.
    pub no_data: bool,
    /// Dump rows only.
    pub no_schemas: bool,
    /// Leave views out (the default).
    pub no_views: bool,
    /// `skip-tz-utc`: false asks for DM's old behaviour, which has no effect here.
    pub skip_tz_utc: bool,
}

/// How a source is loaded: a `loaders` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadOptions {
    /// Connections.
    pub pool_size: usize,
    /// Statements, or the target's own bulk import.
    pub import_mode: ImportMode,
    /// What to do with a row whose key exists, in logical mode.
    pub on_duplicate: OnDuplicateLogical,
    /// The same in physical mode.
    pub on_duplicate_physical: OnDuplicatePhysical,
    /// Folder of the dump, where the file gives one.
    pub dir: String,
}
