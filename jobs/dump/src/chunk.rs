//! One chunk: rows of one range, read in one transaction, as Parquet files, then the marker.
//!
//! | killed | what lies there | what a rerun does |
//! | --- | --- | --- |
//! | while reading | perhaps an unfinished upload, which no list shows | reads the chunk again |
//! | after the data (`dump.chunk.data`) | files that no marker names | reads the chunk again under new keys; `finish` deletes the orphans |
//! | after the marker (`dump.chunk.marker`) | a committed chunk | leaves it alone |
//!
//! Two processes on the same chunk: both write data under keys of their own; the marker is created
//! if absent, so one wins, and the other deletes its own data.
//!
//! Reading, building the batch and encoding happen in one task: while it encodes, the socket's
//! buffers fill and the server waits, so a slow store slows the source down instead of filling
//! memory. Four such tasks keep two cores busy.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use tideway_job::failpoint;
use tideway_mysql::types::encode::{BatchBuilder, EncodeError};
use tideway_staging::chunk::{ChunkWriter, ChunkWriterOptions};
use tideway_staging::document::{ChunkMarker, DataFile};
use tideway_staging::layout::{random_attempt, stored_key};
use tideway_staging::{Create, Path, Staging};

use crate::error::{Error, Result};
use crate::markers;
use crate::source::{Source, now};
use crate::table::Table;
use crate::{memory, too_large};

/// Rows of a batch at most: enough that the cost of a batch vanishes, few enough to stay in cache.
const BATCH_ROWS: usize = 4096;
/// Bytes of a batch at which it is encoded.
const BATCH_BYTES: usize = 1 << 20;
/// Row groups close at this size at the latest.
const MAX_ROW_GROUP: usize = 64 << 20;
/// How often a file's key is drawn. With a thousand files of a chunk lying there already, one draw in
/// a thousand meets one of them.
const DRAWS: u32 = 16;
/// A file is followed by another when it holds this many bytes of values: readers want files of up
/// to 256 MiB, and values compress.
const MAX_FILE: u64 = 256 << 20;

/// What one reader's share of the memory budget allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a row group.
    pub row_group_bytes: usize,
    /// Bytes of a batch.
    pub batch_bytes: usize,
}

impl Limits {
    /// Divides a reader's share: a row group is held once as encoded pages and once more while it is
    /// uploaded in parts; batches and the driver's packets take the rest.
    #[must_use]
    pub fn of(share: usize) -> Self {
        Self {
            row_group_bytes: (share / 4).clamp(1 << 20, MAX_ROW_GROUP),
            batch_bytes: (share / 64).clamp(64 << 10, BATCH_BYTES),
        }
    }
}

/// The files of a chunk while it is read.
pub struct Files<'a> {
    source: &'a Source,
    table: &'a Table,
    number: u32,
    limits: Limits,
    text_columns: &'a BTreeSet<String>,
    open: Option<(ChunkWriter, u64)>,
    done: Vec<DataFile>,
}

impl Files<'_> {
    async fn write(&mut self, batch: &RecordBatch, bytes: u64) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let (mut writer, held) = match self.open.take() {
            Some((writer, held)) if held >= MAX_FILE => {
                self.done.push(writer.finish().await?);
                (self.create(batch).await?, 0)
            }
            Some(open) => open,
            None => (self.create(batch).await?, 0),
        };
        writer.write(batch).await?;
        self.open = Some((writer, held + bytes));
        Ok(())
    }

    async fn create(&mut self, batch: &RecordBatch) -> Result<ChunkWriter> {
        let plan = &self.table.plan;
        let (keys, number) = (&self.source.keys, self.number);
        let drawn = (0..DRAWS)
            .map(|_| keys.chunk_data(&plan.db, &plan.table, number, random_attempt()))
            .collect();
        let mut metadata = vec![
            ("tideway.database".to_owned(), plan.db.clone()),
            ("tideway.table".to_owned(), plan.table.clone()),
            ("tideway.chunk".to_owned(), self.number.to_string()),
        ];
        if !self.text_columns.is_empty() {
            let names: Vec<&str> = self.text_columns.iter().map(String::as_str).collect();
            metadata.push(("tideway.text_columns".to_owned(), names.join(",")));
        }
        let options = ChunkWriterOptions {
            row_group_bytes: self.limits.row_group_bytes,
            zstd_level: self.source.args.zstd_level,
            metadata,
            dictionary_columns: self.table.dictionary_columns(),
        };
        create_under_new_key(&self.source.job.staging, drawn, &batch.schema(), &options).await
    }

    async fn finish(mut self) -> Result<Vec<DataFile>> {
        if let Some((writer, _)) = self.open.take() {
            self.done.push(writer.finish().await?);
        }
        Ok(self.done)
    }

    /// Leaves nothing behind that a list would show.
    async fn discard(mut self) {
        if let Some((writer, _)) = self.open.take() {
            writer.abort().await;
        }
        delete(self.source, &self.done).await;
    }
}

/// Why reading a chunk ended early.
pub enum Failure {
    /// A column must be text: the chunk is to be read again.
    NeedsText(String),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<tideway_staging::Error> for Failure {
    fn from(error: tideway_staging::Error) -> Self {
        Self::Other(error.into())
    }
}

/// Reads chunk `number` in the transaction that is open on `conn`, and writes its files.
///
/// # Errors
/// [`Failure`]; no file is left then. Rows may be left unread on the connection.
pub async fn read(
    source: &Source,
    conn: &mut Conn,
    table: &Table,
    number: u32,
    text_columns: &BTreeSet<String>,
) -> Result<Vec<DataFile>, Failure> {
    let mut files = Files {
        source,
        table,
        number,
        limits: Limits::of(source.job.memory.share(source.workers)),
        text_columns,
        open: None,
        done: Vec::new(),
    };
    match read_into(conn, &mut files).await {
        Ok(()) => Ok(files.finish().await?),
        Err(failure) => {
            files.discard().await;
            Err(failure)
        }
    }
}

/// Begins a file under the first of the `drawn` keys that nothing has: of the files of one large
/// chunk two may well draw the same digits.
async fn create_under_new_key(
    staging: &Staging,
    mut drawn: VecDeque<Path>,
    schema: &SchemaRef,
    options: &ChunkWriterOptions,
) -> Result<ChunkWriter> {
    loop {
        let key = drawn.pop_front().unwrap_or_default();
        match ChunkWriter::create(staging, key, Arc::clone(schema), options.clone()).await {
            Err(tideway_staging::Error::Conflict { .. }) if !drawn.is_empty() => {}
            created => return Ok(created?),
        }
    }
}

async fn read_into(conn: &mut Conn, files: &mut Files<'_>) -> Result<(), Failure> {
    let (source, table, limits) = (files.source, files.table, files.limits);
    let columns = table.columns();
    let mut builder = BatchBuilder::new(&columns, files.text_columns);
    let doing = format!("reading chunk {} of {}", files.number, table.name);
    let mut rows = conn
        .exec_iter(table.query(files.number), ())
        .await
        .map_err(source.doing(&doing))?;
    while let Some(row) = rows.next().await.map_err(source.doing(&doing))? {
        // A row that outgrows this reader's share waits for its turn, and goes alone.
        let turn = source.large.turn(memory::bytes_of(&row)).await;
        if turn.is_some() {
            flush(&mut builder, files).await?;
        }
        if let Err(error) = builder.push(row) {
            return Err(match error {
                EncodeError::NeedsText { column } => Failure::NeedsText(column),
                error => Failure::Other(encode_error(files, error)),
            });
        }
        if turn.is_some() || builder.rows() >= BATCH_ROWS || builder.bytes() >= limits.batch_bytes {
            flush(&mut builder, files).await?;
        }
    }
    flush(&mut builder, files).await
}

async fn flush(builder: &mut BatchBuilder, files: &mut Files<'_>) -> Result<(), Failure> {
    let source = files.source;
    let (rows, bytes) = (builder.rows() as u64, builder.bytes() as u64);
    let largest = builder.largest_value();
    let batch = builder
        .finish()
        .map_err(|error| encode_error(files, error))?;
    if !source.job.memory.holds_value(largest) {
        return Err(too_large::describe(files.table, &batch, largest).into());
    }
    files.write(&batch, bytes).await?;
    source.progress.add_rows(rows);
    source.progress.add_bytes(bytes);
    source.limiter.spend(rows, bytes, &source.job.stop).await;
    Ok(())
}

fn encode_error(files: &Files<'_>, error: EncodeError) -> Error {
    Error::Encode {
        table: files.table.name.clone(),
        chunk: files.number,
        error,
    }
}

/// What a chunk's marker says beside its files.
pub struct Facts {
    /// Columns kept as text.
    pub text_columns: BTreeSet<String>,
    /// E_t of a table without a key, else null.
    pub position: Value,
    /// When reading began.
    pub started_at: chrono::DateTime<chrono::Utc>,
}

/// Commits a chunk: creates its marker. When another process was faster, its chunk stands and our
/// files go.
///
/// # Errors
/// When staging fails; whether the marker stands is then unknown, and a rerun finds out.
pub async fn commit(
    source: &Source,
    table: &Table,
    number: u32,
    files: Vec<DataFile>,
    facts: Facts,
) -> Result<()> {
    failpoint::hit("dump.chunk.data");
    let marker = ChunkMarker {
        version: 1,
        db: table.plan.db.clone(),
        table: table.plan.table.clone(),
        chunk: number,
        definition_hash: table.plan.definition_hash.clone(),
        attempt: format!("{:06}", random_attempt()),
        rows: files.iter().map(|file| file.rows).sum(),
        raw_bytes: files.iter().map(|file| file.raw_bytes).sum(),
        files,
        text_columns: facts.text_columns.into_iter().collect(),
        position: facts.position,
        started_at: facts.started_at,
        finished_at: now(),
    };
    let key = markers::marker(source, &table.plan, number);
    match source.job.staging.create_json(&key, &marker).await? {
        Create::Won => {}
        Create::Exists(_) => {
            tracing::info!("{key} was committed by another process: dropping ours");
            delete(source, &marker.files).await;
        }
    }
    failpoint::hit("dump.chunk.marker");
    Ok(())
}

/// Deletes files that nothing names. Failing is harmless: `finish` deletes what is left.
async fn delete(source: &Source, files: &[DataFile]) {
    for file in files {
        if let Err(error) = source.job.staging.delete(&stored_key(&file.key)).await {
            tracing::warn!("{}: not deleted now, `finish` will: {error}", file.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn digits_that_are_taken_are_drawn_again() {
        let staging = Staging::open("memory:///draws").await.unwrap();
        let key = |attempt| Path::from(format!("t.{attempt:06}.parquet"));
        staging
            .put_bytes(&key(7), bytes::Bytes::from_static(b"earlier"))
            .await
            .unwrap();
        let schema: SchemaRef = Arc::new(arrow::datatypes::Schema::empty());
        let begin = |drawn: Vec<u32>| {
            let (staging, schema) = (&staging, &schema);
            let drawn = drawn.into_iter().map(key).collect();
            async move {
                let options = ChunkWriterOptions::default();
                create_under_new_key(staging, drawn, schema, &options).await
            }
        };
        assert!(begin(vec![7, 7, 8]).await.is_ok());
        let Err(error) = begin(vec![7]).await else {
            panic!("nothing else is drawn")
        };
        assert!(matches!(
            error,
            Error::Staging(tideway_staging::Error::Conflict { .. })
        ));
    }

    #[test]
    fn limits_follow_the_share() {
        let usual = Limits::of((384 << 20) / 4);
        assert_eq!(usual.row_group_bytes, 24 << 20);
        assert_eq!(usual.batch_bytes, 1 << 20);
        let large = Limits::of(1 << 30);
        assert_eq!(large.row_group_bytes, MAX_ROW_GROUP);
        let small = Limits::of(1 << 20);
        assert_eq!(small.row_group_bytes, 1 << 20);
    }
}
