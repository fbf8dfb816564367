//! What a comparison says: the document that is stored, and from which the page for people and the
//! table on the terminal are made.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The report of one source (of the part that one worker process compared).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// 1.
    pub version: u32,
    /// Name of the task.
    pub task: String,
    /// The source.
    pub source: String,
    /// Index of the worker process; it compared its share of the ranges.
    pub worker: u32,
    /// How many worker processes shared the work.
    pub workers: u32,
    /// The two servers, for people: name, flavour and version.
    pub servers: Servers,
    /// Whether all is equal.
    pub equal: bool,
    /// All differences of all tables.
    pub differences: u64,
    /// The tables.
    pub tables: Vec<TableReport>,
    /// Where the SQL that would repair the target is, relative to the staging URL.
    pub repair: Vec<String>,
    /// When the comparison began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
}

/// The servers that were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Servers {
    /// The source.
    pub source: String,
    /// The target.
    pub target: String,
}

/// What was found in a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableReport {
    /// The tables of the source, `source-id: schema.table` (several when shards meet).
    pub sources: Vec<String>,
    /// Database at the target.
    pub schema: String,
    /// Table at the target.
    pub table: String,
    /// Rows at the source.
    pub rows_source: u64,
    /// Rows at the target.
    pub rows_target: u64,
    /// Differences of the definition: what makes values get lost.
    pub findings: Vec<Finding>,
    /// What is worth knowing but no difference.
    pub notes: Vec<String>,
    /// How many rows differed at first and were compared again after apply had passed them.
    #[serde(default)]
    pub rechecked: u64,
    /// How many rows differ.
    pub counts: Counts,
    /// The first of these rows.
    pub rows: Vec<RowDifference>,
}

/// A difference of a table as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// The target has no such table.
    TableMissing,
    /// The target has a table (or rows) of which the source has no more.
    TableGone,
    /// The target's table lacks this column.
    ColumnMissing {
        /// The column.
        column: String,
    },
    /// Not every table that meets here has this column, so it was not compared: whether its values
    /// arrived is not known.
    ColumnNotCompared {
        /// The column.
        column: String,
        /// The source's tables that lack it, `source-id: schema.table`.
        lacking: Vec<String>,
    },
    /// The number of rows differs.
    RowCount,
}

/// How many rows differ, listed or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that only the source has.
    pub missing: u64,
    /// Rows that only the target has.
    pub extra: u64,
    /// Rows whose key both have, with other values.
    pub different: u64,
    /// Rows that differ but are not listed; of these it is not known which of the three they are.
    pub unlisted: u64,
}

impl Counts {
    /// All together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.missing + self.extra + self.different + self.unlisted
    }
}

/// How a row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowKind {
    /// Only the source has it.
    Missing,
    /// Only the target has it.
    Extra,
    /// Both have its key, with other values.
    Different,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDifference {
    /// How.
    pub kind: RowKind,
    /// How many times (more than once only in tables without a key).
    pub rows: u64,
    /// Its key as SQL literals; empty for a table without one.
    pub key: BTreeMap<String, String>,
    /// Columns that differ; of a missing or extra row all of them. Long values are cut.
    pub columns: Vec<ColumnDifference>,
    /// What is to be known of it: that it is [`STILL_CHANGING`], or its [`TABLE_CHANGING`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The note of a row that its source changed each time it was compared again.
pub const STILL_CHANGING: &str = "still changing";

/// The note of a row of a table without a key that was found in every round, while its source wrote to
/// the table: such a row may be written again and again.
pub const TABLE_CHANGING: &str = "found in every round, its table is still changing";

/// A column of a row that differs. No value is NULL, or no row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDifference {
    /// The column.
    pub column: String,
    /// Its value at the source.
    pub source: Option<String>,
    /// Its value at the target.
    pub target: Option<String>,
}

impl TableReport {
    /// How many differences: rows, and findings of the definition. A different number of rows is
    /// in the rows already.
    #[must_use]
    pub fn differences(&self) -> u64 {
        let own = self
            .findings
            .iter()
            .filter(|finding| **finding != Finding::RowCount)
            .count();
        self.counts.total() + own as u64
    }

    /// The result in a few words.
    #[must_use]
    pub fn result(&self) -> String {
        let mut parts = Vec::new();
        for finding in &self.findings {
            match finding {
                Finding::TableMissing => parts.push("missing on the target".to_owned()),
                Finding::TableGone => parts.push("gone from the source".to_owned()),
                Finding::ColumnMissing { column } => {
                    parts.push(format!("column {column} missing on the target"));
                }
                Finding::ColumnNotCompared { column, lacking } => {
                    let more = match lacking.len() {
                        0 | 1 => String::new(),
                        n => format!(" and {} more", n - 1),
                    };
                    parts.push(format!(
                        "column {column} not compared: {}{more} lacks it",
                        lacking.first().map_or("", String::as_str)
                    ));
                }
                Finding::RowCount => {}
            }
        }
        let counts = self.counts;
        for (n, what) in [
            (counts.different, "different"),
            (counts.missing, "missing"),
            (counts.extra, "extra"),
            (counts.unlisted, "more differ"),
        ] {
            if n > 0 {
                parts.push(format!("{n} {what}"));
            }
        }
        if parts.is_empty() {
            "equal".to_owned()
        } else {
            parts.join(", ")
        }
    }
}

/// `no differences` or `N differences in M tables`, over several reports.
#[must_use]
pub fn conclusion(reports: &[Report]) -> (u64, String) {
    let tables = || reports.iter().flat_map(|report| &report.tables);
    let differences: u64 = tables().map(TableReport::differences).sum();
    let in_tables = tables().filter(|table| table.differences() > 0).count();
    let plural = |n: u64| if n == 1 { "" } else { "s" };
    if differences == 0 {
        return (0, "no differences".to_owned());
    }
    let text = format!(
        "{differences} difference{} in {in_tables} table{}",
        plural(differences),
        plural(in_tables as u64)
    );
    (differences, text)
}
