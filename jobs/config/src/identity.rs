//! A task's fingerprint and its document without secrets.
//!
//! `task.json` in staging holds both. The fingerprint is taken over what changes *which data is
//! migrated and what becomes of it*: name, mode, filters, routes, row conditions, start positions,
//! consistency. What changes only how fast (threads, pool sizes, chunk sizes) or through which
//! door (hosts, users, TLS) may differ from one run to the next: a source that is another server
//! is noticed by its UUID, a target that is another one by its own `meta-schema`.
//!
//! The document is an object with `identity`, over which the fingerprint is taken, and `settings`,
//! which is there for people. Keys are sorted, so that equal tasks give equal bytes.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::resolved::{Consistency, Database, ResolvedSource, ResolvedTask};

impl ResolvedTask {
    /// SHA-256 in hex over everything that changes what is migrated; no secrets in it.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        canonical(&self.identity(), &mut text);
        hex::encode(Sha256::digest(text.as_bytes()))
    }

    /// The task as a document without secrets.
    pub fn resolved_json(&self) -> Value {
        json!({ "identity": self.identity(), "settings": self.settings() })
    }

    fn identity(&self) -> Value {
        let sources: Map<String, Value> = self
            .sources
            .iter()
            .map(|source| (source.id.clone(), source.identity()))
            .collect();
        json!({
            "name": self.name,
            "task-mode": self.mode.as_str(),
            "shard-mode": self.shard_mode.as_str(),
            "meta-schema": self.meta_schema,
            "timezone": self.timezone,
            "case-sensitive": self.case_sensitive,
            "collation_compatible": self.collation_compatible.as_str(),
            "online-ddl": self.online_ddl,
            "sources": sources,
        })
    }

    fn settings(&self) -> Value {
        let sources: Map<String, Value> = self
            .sources
            .iter()
            .map(|source| (source.id.clone(), source.settings()))
            .collect();
        json!({
            "ignore-checking-items": self.ignore_checking_items,
            "clean-dump-file": self.clean_dump_file,
            "target-database": database(&self.target),
            "sources": sources,
        })
    }
}

impl ResolvedSource {
    fn identity(&self) -> Value {
        json!({
            "enable-gtid": self.enable_gtid,
            "filter": self.filter.describe(),
            "routes": self.router.describe(),
            "event-filters": self.event_filters.iter().map(|rule| json!({
                "schema-pattern": rule.schema_pattern,
                "table-pattern": rule.table_pattern,
                "events": rule.events,
                "sql-pattern": rule.sql_pattern,
                "action": rule.action.as_str(),
            })).collect::<Vec<_>>(),
            "expression-filters": self.expression_filters.iter().map(|rule| json!({
                "schema": rule.schema,
                "table": rule.table,
                "insert-value-expr": rule.insert_value_expr,
                "update-old-value-expr": rule.update_old_value_expr,
                "update-new-value-expr": rule.update_new_value_expr,
                "delete-value-expr": rule.delete_value_expr,
            })).collect::<Vec<_>>(),
            "consistency": match self.dump.consistency {
                Consistency::Auto => "auto",
                Consistency::Flush => "flush",
                Consistency::Snapshot => "snapshot",
                Consistency::Lock => "lock",
                Consistency::None => "none",
            },
            "where": self.dump.where_clause,
            "no-data": self.dump.no_data,
            "no-schemas": self.dump.no_schemas,
            "no-views": self.dump.no_views,
            "on-duplicate-logical": self.load.on_duplicate.as_str(),
            "meta": self.meta.as_ref().map(|meta| json!({
                "binlog-name": meta.binlog_name,
                "binlog-pos": meta.binlog_pos,
                "binlog-gtid": meta.binlog_gtid,
            })),
        })
    }

    fn settings(&self) -> Value {
        json!({
            "from": database(&self.from),
            "flavor": self.flavor,
            "server-id": self.server_id,
            "threads": self.dump.threads,
            "chunk-bytes": self.dump.chunk_bytes,
            "rows": self.dump.rows,
            "pool-size": self.load.pool_size,
            "import-mode": self.load.import_mode.as_str(),
        })
    }
}

/// A server without password and key material.
fn database(database: &Database) -> Value {
    json!({
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "session": database.session,
        "tls": database.security.is_some(),
        "max-allowed-packet": database.max_allowed_packet,
    })
}

/// JSON with sorted keys, whatever order the map type keeps in this build.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                canonical(&map[key], out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// Where the identities of two documents of [`ResolvedTask::resolved_json`] differ, one line each:
/// `task-mode: "full" -> "all"`. Empty when their fingerprints are equal.
pub fn differences(before: &Value, after: &Value) -> Vec<String> {
    let mut out = Vec::new();
    compare("", &before["identity"], &after["identity"], &mut out);
    out
}

fn compare(path: &str, before: &Value, after: &Value, out: &mut Vec<String>) {
    if let (Value::Object(a), Value::Object(b)) = (before, after) {
        let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            compare(&path, &before[key], &after[key], out);
        }
    } else if before != after {
        out.push(format!("{path}: {before} -> {after}"));
    }
}
