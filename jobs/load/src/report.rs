//! What the load did, for people: a document in staging and a table on standard output.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tideway_job::Output;

/// What one worker did for one source. Nothing depends on it: the checkpoint at the target governs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Version of this document.
    pub version: u32,
    /// The source.
    pub source: String,
    /// Index of the worker process.
    pub worker: u32,
    /// Hash of the manifest that was loaded.
    pub manifest: String,
    /// The target's family and version.
    pub target: String,
    /// The tables.
    pub tables: Vec<TableReport>,
    /// What was changed in the definitions of databases.
    pub notes: Vec<String>,
    /// Rows that this run loaded (a rerun loads what is missing only).
    pub rows: u64,
    /// Views of the source, which are not loaded.
    pub views: Vec<String>,
    /// When this run began.
    pub started_at: DateTime<Utc>,
    /// When it was done.
    pub finished_at: DateTime<Utc>,
}

/// What became of one table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableReport {
    /// The source's table.
    pub source: String,
    /// The target's table.
    pub target: String,
    /// Rows in the dump.
    pub rows: u64,
    /// Bytes in the dump, before compression.
    pub bytes: u64,
    /// Its chunks.
    pub chunks: usize,
    /// How: `LOAD DATA` or `INSERT`.
    pub method: String,
    /// Rows that this run replaced by others with the same key, as the target counts them (a row
    /// that moved while a dump with consistency `none` read it).
    #[serde(default)]
    pub replaced: u64,
    /// What was translated in its definition when this run created it, and what else to know.
    pub notes: Vec<String>,
}

/// Prints reports.
pub fn print(reports: &[Report], output: Output) {
    match output {
        Output::Json => {
            // Strings, numbers and lists only: nothing of it can fail to be JSON.
            println!(
                "{}",
                serde_json::to_string_pretty(reports).unwrap_or_default()
            );
        }
        Output::Text => {
            for report in reports {
                print_text(report);
            }
        }
    }
}

fn print_text(report: &Report) {
    println!("source {}: loaded into {}", report.source, report.target);
    let width = report
        .tables
        .iter()
        .map(|t| t.source.len())
        .max()
        .unwrap_or(0);
    for table in &report.tables {
        let to = if table.target == table.source {
            String::new()
        } else {
            format!(" → {}", table.target)
        };
        println!(
            "  {:width$}  {:>12} rows  {:>10} KiB  {:>5} chunks  {}{to}",
            table.source,
            table.rows,
            table.bytes / 1024,
            table.chunks,
            table.method,
        );
        for note in &table.notes {
            println!("  {:width$}    {note}", "");
        }
    }
    for note in &report.notes {
        println!("  {note}");
    }
}
