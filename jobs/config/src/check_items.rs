//! The names that `ignore-checking-items` takes.

/// Every check item that DM knows, with those that Tideway adds after them.
pub const CHECK_ITEMS: &[&str] = &[
    "all",
    "dump_privilege",
    "replication_privilege",
    "version",
    "server_id",
    "binlog_enable",
    "binlog_format",
    "binlog_row_image",
    "table_schema",
    "schema_of_shard_tables",
    "auto_increment_ID",
    "online_ddl",
    "binlog_db",
    "meta_position",
    "conn_number",
    "target_privilege",
    "primary_key",
    "empty_region",
    "region_distribution",
    "downstream_version",
    "free_space",
    "downstream_mutex_features",
    "downstream_table_empty",
    // Tideway's own.
    "staging",
    "charset",
    "target_conflict",
    "binlog_retention",
    "source_role",
    "estimate",
];

/// The known name of `item`, compared without regard to case.
pub fn check_item(item: &str) -> Option<&'static str> {
    CHECK_ITEMS
        .iter()
        .copied()
        .find(|known| known.eq_ignore_ascii_case(item))
}
