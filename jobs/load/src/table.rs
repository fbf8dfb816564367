//! A table that is being loaded: its names, and the statements made once for all its chunks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tideway_mysql::info::Flavor;
use tideway_mysql::schema::{ColumnDef, TableDef, TableName};
use tideway_mysql::sql;
use tideway_mysql::types::load_text::LoadText;

/// What becomes of a row whose key another row has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// It is an error: the dump is exact, or the task wants it so.
    Error,
    /// It is an error although the dump is not exact: the target table may hold rows of others.
    ErrorForOthers,
    /// It replaces the other, as long as the target table holds rows of this source table only.
    Replace,
}

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
    /// `LOAD DATA LOCAL …`, plain and with REPLACE.
    load_sql: [String; 2],
    /// `INSERT INTO … VALUES ` and `REPLACE INTO … VALUES `.
    insert_sql: [String; 2],
    /// What becomes of a row whose key another row has.
    pub duplicates: Duplicates,
    /// Rows that others replaced in this run, as the target counts them.
    pub replaced: AtomicU64,
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
        duplicates: Duplicates,
        by_insert: bool,
    ) -> Self {
        let columns: Vec<&ColumnDef> = definition.stored_columns().collect();
        let text = LoadText::new(&columns, flavor);
        let clauses = text.clauses();
        let load_sql = ["", "REPLACE "].map(|word| {
            format!(
                "LOAD DATA LOCAL INFILE 'tideway' {word}INTO TABLE {target} CHARACTER SET utf8mb4 \
                 FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' \
                 LINES STARTING BY '' TERMINATED BY '\\n' {}{}",
                clauses.columns, clauses.set
            )
        });
        let names: Vec<String> = columns
            .iter()
            .map(|column| sql::ident(&column.name))
            .collect();
        let insert_sql = ["INSERT", "REPLACE"]
            .map(|word| format!("{word} INTO {target} ({}) VALUES ", names.join(",")));
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
            duplicates,
            replaced: AtomicU64::new(0),
            // A table whose columns are all generated has no fields that a line could hold.
            by_insert: AtomicBool::new(by_insert || names.is_empty()),
            definition,
        }
    }

    /// `LOAD DATA LOCAL …`.
    #[must_use]
    pub fn load_sql(&self, replace: bool) -> &str {
        &self.load_sql[usize::from(replace)]
    }

    /// `INSERT INTO … VALUES `.
    #[must_use]
    pub fn insert_sql(&self, replace: bool) -> &str {
        &self.insert_sql[usize::from(replace)]
    }

    /// Whether to insert instead of `LOAD DATA`.
    pub fn inserts(&self) -> bool {
        self.by_insert.load(Ordering::Relaxed)
    }
}
