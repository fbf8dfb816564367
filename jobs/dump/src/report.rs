//! What a dump tells at its end, on standard output.

use bytesize::ByteSize;
use serde_json::json;
use tideway_job::Output;
use tideway_staging::document::{EffectivePlan, Manifest};

/// Prints what was planned.
pub fn plan(output: Output, source: &str, plan: &EffectivePlan) {
    let chunks: u64 = plan.tables.iter().map(|t| u64::from(t.chunk_count())).sum();
    let rows: u64 = plan.tables.iter().map(|t| t.estimated_rows).sum();
    let bytes: u64 = plan.tables.iter().map(|t| t.estimated_bytes).sum();
    match output {
        Output::Json => println!(
            "{}",
            json!({
                "job": "dump", "verb": "plan", "source": source, "tables": plan.tables.len(),
                "chunks": chunks, "estimated_rows": rows, "estimated_bytes": bytes,
                "consistency": plan.consistency,
            })
        ),
        Output::Text => println!(
            "source {source}: {} tables in {chunks} chunks, about {rows} rows and {}",
            plan.tables.len(),
            ByteSize::b(bytes)
        ),
    }
}

/// Prints what was dumped.
pub fn manifest(output: Output, manifest: &Manifest) {
    match output {
        Output::Json => {
            let tables: Vec<_> = manifest
                .tables
                .iter()
                .map(|t| {
                    json!({
                        "db": t.db, "table": t.table, "rows": t.rows, "chunks": t.chunks.len(),
                        "raw_bytes": t.raw_bytes, "stored_bytes": t.stored_bytes,
                    })
                })
                .collect();
            println!(
                "{}",
                json!({
                    "job": "dump", "source": manifest.source, "rows": manifest.rows,
                    "raw_bytes": manifest.raw_bytes, "stored_bytes": manifest.stored_bytes,
                    "consistency": manifest.consistency, "exact": manifest.exact,
                    "tables": tables,
                })
            );
        }
        Output::Text => {
            let names: Vec<String> = manifest
                .tables
                .iter()
                .map(|t| format!("{}.{}", t.db, t.table))
                .collect();
            let width = names.iter().map(String::len).max().unwrap_or(0).max(5);
            println!(
                "source {}: {} rows of {} tables, {} in {} of Parquet, consistency {}{}",
                manifest.source,
                manifest.rows,
                manifest.tables.len(),
                ByteSize::b(manifest.raw_bytes),
                ByteSize::b(manifest.stored_bytes),
                manifest.consistency,
                if manifest.exact {
                    ""
                } else {
                    " (exact only together with cdc)"
                },
            );
            println!(
                "  {:width$}  {:>12}  {:>6}  {:>10}",
                "table", "rows", "chunks", "stored"
            );
            for (table, name) in manifest.tables.iter().zip(&names) {
                println!(
                    "  {name:width$}  {:>12}  {:>6}  {:>10}",
                    table.rows,
                    table.chunks.len(),
                    ByteSize::b(table.stored_bytes).to_string()
                );
            }
        }
    }
}
