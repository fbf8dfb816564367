//! A table that is being loaded: its names, and the statements made once for all its chunks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tideway_mysql::info::Flavor;
use tideway_mysql::schema::{ColumnDef, TableDef, TableName};
use tideway_mysql::sql;
use tideway_mysql::types::load_text::LoadText;

/// A table of the dump and where it goes.
#[derive(Debug)]
pub struct TableTask {
    /// The source's table.
    pub source: TableName,
    /// The target's.
    pub target: TableName,
    /// The definition that its chunks were written by.
    pub definition: TableDef,
    /// Hash of that definition, which every marker repeats.
    pub definition_hash: String,
    /// Its chunks.
    pub chunks: Vec<u32>,
    /// Rows of them all.
    pub rows: u64,
    /// Bytes of them all, before compression.
    pub raw_bytes: u64,
    /// Writes its rows as text.
    pub text: Arc<LoadText>,
    /// `LOAD DATA LOCAL …`.
    pub load_sql: String,
    /// `INSERT INTO … VALUES `.
    pub insert_sql: String,
    /// Whether a row replaces another with the same key.
    pub replace: bool,
    /// Whether to insert instead of `LOAD DATA`.
    pub by_insert: AtomicBool,
}

impl TableTask {
    /// Makes the statements.
    #[must_use]
    pub fn new(
        definition: TableDef,
        definition_hash: String,
        target: TableName,
        chunks: (Vec<u32>, u64, u64),
        flavor: Flavor,
        replace: bool,
        by_insert: bool,
    ) -> Self {
        let columns: Vec<&ColumnDef> = definition.stored_columns().collect();
        let text = LoadText::new(&columns, flavor);
        let clauses = text.clauses();
        let load_sql = format!(
            "LOAD DATA LOCAL INFILE 'tideway' {}INTO TABLE {target} CHARACTER SET utf8mb4 \
             FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' \
             LINES STARTING BY '' TERMINATED BY '\\n' {}{}",
            if replace { "REPLACE " } else { "" },
            clauses.columns,
            clauses.set
        );
        let names: Vec<String> = columns
            .iter()
            .map(|column| sql::ident(&column.name))
            .collect();
        let insert_sql = format!(
            "{} INTO {target} ({}) VALUES ",
            if replace { "REPLACE" } else { "INSERT" },
            names.join(",")
        );
        let (chunks, rows, raw_bytes) = chunks;
        Self {
            source: definition.name.clone(),
            target,
            definition_hash,
            chunks,
            rows,
            raw_bytes,
            text: Arc::new(text),
            load_sql,
            insert_sql,
            replace,
            // A table whose columns are all generated has no fields that a line could hold.
            by_insert: AtomicBool::new(by_insert || names.is_empty()),
            definition,
        }
    }

    /// Whether to insert instead of `LOAD DATA`.
    pub fn inserts(&self) -> bool {
        self.by_insert.load(Ordering::Relaxed)
    }
}
