//! The sections that say how data is moved: `mydumpers`, `loaders`, `syncers`, `validators`.

use crate::scalar::{Anything, GoDuration, words};
use crate::yaml::section;

section! {
    /// How a source is dumped.
    "mydumpers" MydumperConfig {
        /// Path of a mydumper binary in very old DM.
        "mydumper-path" => mydumper_path: String = "./bin/mydumper".into(), no effect "has no effect: Tideway dumps by itself";
        /// Connections.
        "threads" => threads: u64 = 4;
        /// Size of a chunk; a bare number counts MiB.
        "chunk-filesize" => chunk_filesize: String = "64".into();
        /// Size of an INSERT statement in Dumpling's SQL files.
        "statement-size" => statement_size: u64 = 0, no effect "has no effect: Tideway writes Parquet";
        /// Rows of a chunk.
        "rows" => rows: u64 = 0;
        /// Condition that rows must meet.
        "where" => where_clause: String = String::new();
        /// Whether Dumpling leaves the session's time zone alone.
        "skip-tz-utc" => skip_tz_utc: bool = true, no effect "has no effect: Tideway always reads in UTC";
        /// Dumpling's flags.
        "extra-args" => extra_args: String = String::new();
    }
}

words! {
    /// How rows reach the target.
    ImportMode {
        /// By statements.
        Logical = "logical" | "sql" | "loader",
        /// By TiDB's physical import.
        Physical = "physical",
        /// By `IMPORT INTO` from staged files.
        ImportInto = "import-into",
    }
}

words! {
    /// What a logical load does with a row whose key exists.
    OnDuplicateLogical {
        /// The new row wins.
        Replace = "replace",
        /// The old row wins.
        Ignore = "ignore",
        /// The load stops.
        Error = "error",
    }
}

words! {
    /// What a physical load does with conflicting rows.
    OnDuplicatePhysical {
        /// Nothing.
        None = "none",
        /// Keep them aside.
        Manual = "manual",
    }
}

words! {
    /// Whether a physical import compares checksums.
    Checksum {
        /// It must.
        Required = "required",
        /// It tries.
        Optional = "optional",
        /// It does not.
        Off = "off",
    }
}

section! {
    /// How a dump is loaded.
    "loaders" LoaderConfig {
        /// Connections.
        "pool-size" => pool_size: u64 = 16;
        /// Folder of the dump.
        "dir" => dir: String = "./dumped_data".into(), no effect "has no effect: the dump lies in staging, see --staging";
        /// Statements or physical import.
        "import-mode" => import_mode: ImportMode = ImportMode::Logical;
        /// What to do with a row whose key exists.
        "on-duplicate-logical" | "on-duplicate" => on_duplicate_logical: OnDuplicateLogical = OnDuplicateLogical::Replace;
        /// The same for physical import.
        "on-duplicate-physical" => on_duplicate_physical: OnDuplicatePhysical = OnDuplicatePhysical::None, no effect "has no effect yet";
        /// Folder that a physical import sorts in.
        "sorting-dir-physical" => sorting_dir_physical: String = String::new(), no effect "has no effect: nothing is sorted on this machine";
        /// Disk that it may use.
        "disk-quota-physical" => disk_quota_physical: String = String::new(), no effect "has no effect: nothing is sorted on this machine";
        /// Whether it compares checksums.
        "checksum-physical" => checksum_physical: Checksum = Checksum::Required, no effect "has no effect yet";
        /// Whether statistics are gathered afterwards.
        "analyze" => analyze: String = String::new(), no effect "has no effect yet";
        /// Parallel ranges of a physical import.
        "range-concurrency" => range_concurrency: u64 = 0, no effect "has no effect yet";
        /// Compression of a physical import.
        "compress-kv-pairs" => compress_kv_pairs: String = String::new(), no effect "has no effect yet";
        /// Address of TiDB's PD.
        "pd-addr" => pd_addr: String = String::new(), no effect "has no effect yet";
        /// TLS towards PD.
        "security" => security: Anything = Anything::default(), no effect "has no effect yet";
    }
}

section! {
    /// How the binlog is applied.
    "syncers" SyncerConfig {
        /// File of the position in very old DM.
        "meta-file" => meta_file: String = String::new(), no effect "has no effect: checkpoints lie in the target";
        /// Parallel appliers.
        "worker-count" => worker_count: u64 = 16;
        /// Row changes of a transaction.
        "batch" => batch: u64 = 100;
        /// Row changes that may wait.
        "queue-size" => queue_size: u64 = 1024;
        /// Seconds between checkpoints.
        "checkpoint-flush-interval" => checkpoint_flush_interval: u64 = 30, no effect "has no effect: the checkpoint is stored about twice a second";
        /// Fold several changes of a row into one.
        "compact" => compact: bool = false;
        /// Several rows in a statement.
        "multiple-rows" => multiple_rows: bool = false;
        /// Attempts after a transient error.
        "max-retry" => max_retry: u64 = 0, no effect "has no effect: the workflow's retry governs";
        /// Always in safe mode.
        "safe-mode" => safe_mode: bool = false;
        /// How long safe mode lasts after a start.
        "safe-mode-duration" => safe_mode_duration: GoDuration = GoDuration::seconds(60);
        /// Whether `"` quotes names.
        "enable-ansi-quotes" => enable_ansi_quotes: bool = false, no effect "has no effect: each statement of the binlog tells its sql_mode";
        /// No conflict detection between workers.
        "disable-detect" | "disable-causality" => disable_detect: bool = false;
        /// Mend GTIDs when the source changed.
        "auto-fix-gtid" => auto_fix_gtid: bool = false, no effect "has no effect: a server that is not the one that was dumped is refused";
        /// Follow by GTID.
        "enable-gtid" => enable_gtid: bool = false;
    }
}

impl SyncerConfig {
    /// How long safe mode lasts after a start, where the file says so. DM's default stands for a position
    /// that it does not know; here it is known, so the default adds nothing.
    #[must_use]
    pub fn safe_mode_duration_given(&self) -> Option<std::time::Duration> {
        self.given
            .at("safe-mode-duration")
            .map(|_| self.safe_mode_duration.0)
    }

    /// Whether several rows go into one statement. DM's templates say so, its code's default is not to;
    /// the outcome is the same, so only a file that says no is obeyed.
    #[must_use]
    pub fn groups_rows(&self) -> bool {
        self.multiple_rows || self.given.at("multiple-rows").is_none()
    }
}

words! {
    /// How DM's continuous validation compares.
    ValidatorMode {
        /// Not at all.
        None = "none",
        /// Existence of rows.
        Fast = "fast",
        /// Every column.
        Full = "full",
    }
}

section! {
    /// How data is validated while it replicates.
    "validators" ValidatorConfig {
        /// Whether and how.
        "mode" => mode: ValidatorMode = ValidatorMode::None;
        /// Parallel validators.
        "worker-count" => worker_count: u64 = 4;
        /// How often rows are looked at.
        "validate-interval" => validate_interval: GoDuration = GoDuration::seconds(10);
        /// How often it checks.
        "check-interval" => check_interval: GoDuration = GoDuration::seconds(5);
        /// After which time a differing row is an error.
        "row-error-delay" => row_error_delay: GoDuration = GoDuration::seconds(30 * 60);
        /// How often its state is stored.
        "meta-flush-interval" => meta_flush_interval: GoDuration = GoDuration::seconds(5 * 60);
        /// Rows of a query.
        "batch-query-size" => batch_query_size: u64 = 100;
        /// Bytes of rows that may wait.
        "max-pending-row-size" => max_pending_row_size: String = "500m".into();
        /// Rows that may wait.
        "max-pending-row-count" => max_pending_row_count: u64 = 2_147_483_647;
    }
}
