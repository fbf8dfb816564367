//! One connection that loads chunks: transaction by transaction, each exactly once.
//!
//! A transaction holds, in this order: the fence (our row of the owner table, locked), the chunk's
//! checkpoint row (locked, and compared with what we think is done), the rows, the new count in the
//! checkpoint row, the commit. Whatever happens at whatever moment:
//!
//! - killed before the commit, nothing of it is there, neither rows nor count;
//! - killed after, both are there, and the next run skips just these rows;
//! - when the answer to the commit is lost, the count tells which of the two it was, read in the
//!   next transaction under the row's lock (so after the lost one has ended either way);
//! - when two processes load one chunk, the second waits for the row's lock, finds another count
//!   than it thought, gives up what it had read and goes on from there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_job::failpoint;
use tideway_mysql::connect::Server;
use tideway_mysql::fence::Fence;
use tideway_mysql::info::Flavor;
use tideway_staging::Staging;
use tideway_staging::document::ChunkMarker;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::error::{LoadError, Result};
use crate::feed::{Feed, Sent};
use crate::insert;
use crate::rows::Rows;
use crate::statement::{Counts, Outcome, load_data};
use crate::table::{Duplicates, TableTask};

/// Bytes of text in a transaction. TiDB counts keys of every index too and takes 100 MiB by
/// default, so a transaction stays well below.
const TRANSACTION: u64 = 63 << 20;
/// The same for TiDB, which keeps a transaction's writes in memory, once for each index.
const TRANSACTION_TIDB: u64 = 24 << 20;
/// The smallest that a transaction is made when the target finds it too large.
const SMALLEST: u64 = 1 << 20;
/// How often a transaction is tried.
const ATTEMPTS: u32 = 12;

/// What all connections of a process share.
pub struct Shared {
    /// The target.
    pub server: Server,
    /// The store.
    pub staging: Staging,
    /// The checkpoint table.
    pub checkpoint: Checkpoint,
    /// Bytes decoded at a time.
    pub batch_bytes: usize,
    /// Bytes of text in a transaction, at most; `None`: what suits the target.
    pub transaction: Option<u64>,
    /// Cancelled when no new transaction shall begin.
    pub stop: CancellationToken,
    /// Told of rows and bytes that are committed.
    pub progress: tideway_job::Progress,
}

/// One connection to the target and its fence.
pub struct Loader {
    shared: Arc<Shared>,
    fence: Fence,
    conn: Option<Conn>,
    limit: u64,
}

/// How one transaction ended.
enum Step {
    /// Committed; so many rows of the chunk are done now.
    Done(u64),
    /// Rolled back: the checkpoint row holds another count than we thought.
    Elsewhere(u64),
    /// Rolled back: the target finds the transaction too large.
    TooLarge(LoadError),
    /// Rolled back: this many rows must be inserted one by one.
    Strict(u64),
    /// The server refuses LOCAL.
    NoLocal(String),
}

/// What a transaction is begun for.
#[derive(Clone, Copy)]
enum Begin {
    /// `LOAD DATA`, which looks for duplicates itself.
    Load,
    /// INSERT, whose refusals shall come with the statement and not with the commit.
    Insert,
}

impl Loader {
    /// A loader that connects when it has something to do.
    #[must_use]
    pub fn new(shared: Arc<Shared>, fence: Fence) -> Self {
        let most = if shared.server.info().flavor == Flavor::TiDb {
            TRANSACTION_TIDB
        } else {
            TRANSACTION
        };
        let limit = shared
            .transaction
            .map_or(most, |limit| limit.min(TRANSACTION));
        Self {
            shared,
            fence,
            conn: None,
            limit,
        }
    }

    /// Loads what is missing of a chunk.
    ///
    /// # Errors
    /// A row is refused, the dump is damaged, another process took over, the target or the store
    /// failed for longer than we try, or a stop was asked for.
    pub async fn load(
        &mut self,
        table: &TableTask,
        marker: &ChunkMarker,
        mut done: u64,
    ) -> Result<()> {
        let chunk = marker.chunk;
        let mut attempt = 0;
        let mut strict = 0;
        let mut feed: Option<Feed> = None;
        loop {
            if self.shared.stop.is_cancelled() {
                return Err(LoadError::Stopped);
            }
            let step = if strict > 0 || table.inserts() {
                feed = None;
                self.insert(table, marker, done, std::mem::take(&mut strict))
                    .await
            } else {
                let feed = feed.get_or_insert_with(|| self.feed(table, marker, done));
                self.load_data(table, marker, feed, done).await
            };
            match step {
                Ok(Step::Done(now)) => {
                    self.count(marker, now - done);
                    done = now;
                    attempt = 0;
                    if done == marker.rows {
                        return Ok(());
                    }
                    continue;
                }
                Ok(Step::Elsewhere(now)) => {
                    if now < done {
                        return Err(self.went_back(table, chunk, done, now));
                    }
                    tracing::info!(
                        "{}: chunk {chunk}: {now} rows are done already, not {done}; going on there",
                        table.source
                    );
                    done = now;
                    if done == marker.rows {
                        return Ok(());
                    }
                }
                Ok(Step::Strict(rows)) => strict = rows,
                Ok(Step::TooLarge(error)) => {
                    if self.limit <= SMALLEST {
                        return Err(error);
                    }
                    self.limit = (self.limit / 2).max(SMALLEST);
                    tracing::info!(
                        "{}: {error}; going on with transactions of {}",
                        table.target,
                        self.limit
                    );
                }
                Ok(Step::NoLocal(message)) => {
                    if !table.by_insert.swap(true, Ordering::Relaxed) {
                        tracing::warn!(
                            "{}: the target refuses LOAD DATA LOCAL ({message}), inserting instead, \
                             which is slower; SET GLOBAL local_infile = ON would allow it",
                            table.target
                        );
                    }
                }
                Err(error) => {
                    self.conn = None;
                    attempt += 1;
                    if !error.retryable() || attempt >= ATTEMPTS {
                        return Err(error);
                    }
                    let wait = pause(attempt);
                    tracing::warn!(
                        attempt,
                        "{}: chunk {chunk}: {error}; trying again in {wait:.1?}",
                        table.source
                    );
                    tokio::time::sleep(wait).await;
                }
            }
            feed = None;
        }
    }

    fn feed(&self, table: &TableTask, marker: &ChunkMarker, done: u64) -> Feed {
        Feed::start(
            self.rows(marker, done),
            Arc::clone(&table.text),
            table.source.clone(),
        )
    }

    fn rows(&self, marker: &ChunkMarker, done: u64) -> Rows {
        Rows::start(&self.shared.staging, marker, done, self.shared.batch_bytes)
    }

    fn count(&self, marker: &ChunkMarker, rows: u64) {
        self.shared.progress.add_rows(rows);
        let share =
            u128::from(marker.raw_bytes) * u128::from(rows) / u128::from(marker.rows.max(1));
        self.shared
            .progress
            .add_bytes(u64::try_from(share).unwrap_or(u64::MAX));
    }

    fn went_back(&self, table: &TableTask, chunk: u32, done: u64, now: u64) -> LoadError {
        LoadError::Counts {
            table: table.target.clone(),
            chunk,
            what: format!(
                "{} says that {now} rows are done, and {done} were: the target went back in time \
                 (restored from a backup, or failed over to a replica behind)",
                self.shared.checkpoint.name()
            ),
        }
    }

    /// Connects when needed, begins a transaction, and locks fence and checkpoint row; rows done, and
    /// whether rows may be replaced. The connection is taken out, so that an error on the way drops
    /// it with its transaction.
    ///
    /// On TiDB `LOAD DATA` runs optimistically: no row waits for a lock, nor does a new owner for a
    /// process that hangs, and the commit fails when fence or checkpoint row changed meanwhile.
    async fn begin(
        &mut self,
        table: &TableTask,
        chunk: u32,
        how: Begin,
    ) -> Result<(Conn, u64, bool)> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect().await?,
        };
        let statement = match (self.shared.server.info().flavor, how) {
            (Flavor::TiDb, Begin::Load) => "BEGIN OPTIMISTIC",
            (Flavor::TiDb, Begin::Insert) => "BEGIN PESSIMISTIC",
            _ => "BEGIN",
        };
        conn.query_drop(statement)
            .await
            .map_err(|error| self.shared.server.error("begin", error))?;
        self.fence.check(&mut conn).await?;
        let checkpoint = &self.shared.checkpoint;
        let (done, alone) = checkpoint.lock(&mut conn, &table.source, chunk).await?;
        let replace = table.duplicates == Duplicates::Replace && alone;
        Ok((conn, done, replace))
    }

    async fn connect(&self) -> Result<Conn> {
        let mut conn = self.shared.server.conn().await?;
        self.fence.record_connection(&mut conn).await?;
        Ok(conn)
    }

    async fn rollback(&mut self, mut conn: Conn) {
        if conn.query_drop("ROLLBACK").await.is_ok() {
            self.conn = Some(conn);
        }
    }

    async fn commit(
        &mut self,
        mut conn: Conn,
        table: &TableTask,
        marker: &ChunkMarker,
        done: u64,
    ) -> Result<Step> {
        failpoint::hit("load.rows.sent");
        let last = done == marker.rows;
        self.shared
            .checkpoint
            .advance(&mut conn, &table.source, marker.chunk, done, last)
            .await?;
        conn.query_drop("COMMIT")
            .await
            .map_err(|error| self.shared.server.error("commit", error))?;
        failpoint::hit("load.rows.committed");
        self.conn = Some(conn);
        Ok(Step::Done(done))
    }

    /// One transaction by `LOAD DATA LOCAL`.
    async fn load_data(
        &mut self,
        table: &TableTask,
        marker: &ChunkMarker,
        feed: &Feed,
        done: u64,
    ) -> Result<Step> {
        let (mut conn, found, replace) = self.begin(table, marker.chunk, Begin::Load).await?;
        if found != done {
            self.rollback(conn).await;
            return Ok(Step::Elsewhere(found));
        }
        if done == marker.rows {
            return self.commit(conn, table, marker, done).await;
        }
        let sent = Arc::new(Sent::default());
        let outcome = load_data(
            &mut conn,
            table.load_sql(replace),
            feed.statement(self.limit, Arc::clone(&sent)),
        )
        .await;
        if let Some(error) = feed.failure() {
            // The connection is closed by now, or we close it: the transaction is gone.
            return Err(error);
        }
        let rows = sent.rows();
        match outcome {
            Outcome::Loaded(counts) => {
                let expected = Counts {
                    records: rows,
                    deleted: if replace { counts.deleted } else { 0 },
                    skipped: 0,
                    warnings: sent.warnings(),
                };
                if counts != expected {
                    tracing::info!(
                        "{}: chunk {}: sent {rows} rows, the target counts {counts}; inserting \
                         them one by one",
                        table.target,
                        marker.chunk
                    );
                    self.rollback(conn).await;
                    return Ok(Step::Strict(rows));
                }
                if rows == 0 || done + rows > marker.rows {
                    return Err(count_of_marker(table, marker, done + rows));
                }
                let ended = self.commit(conn, table, marker, done + rows).await;
                if ended.is_ok() {
                    table.replaced.fetch_add(counts.deleted, Ordering::Relaxed);
                }
                match ended {
                    Err(LoadError::Server(error))
                        if error.code().is_some() && !error.retryable() =>
                    {
                        // An optimistic transaction learns of some duplicates only here.
                        tracing::info!("{error}; inserting the rows one by one to find which");
                        Ok(Step::Strict(rows))
                    }
                    ended => ended,
                }
            }
            Outcome::NoLocal(message) => {
                self.rollback(conn).await;
                Ok(Step::NoLocal(message))
            }
            Outcome::TooLarge(error) => {
                let error = self
                    .shared
                    .server
                    .error(format!("load into {}", table.target), error);
                self.rollback(conn).await;
                Ok(Step::TooLarge(error.into()))
            }
            Outcome::Failed(error) => {
                let refused = matches!(error, mysql_async::Error::Server(_));
                let error = self
                    .shared
                    .server
                    .error(format!("load into {}", table.target), error);
                if refused && !error.retryable() && rows > 0 {
                    tracing::info!("{error}; inserting the rows one by one to find which");
                    self.rollback(conn).await;
                    return Ok(Step::Strict(rows));
                }
                Err(error.into())
            }
        }
    }

    /// One transaction by strict INSERT: of `rows` rows, or of as many as fit when that is 0.
    async fn insert(
        &mut self,
        table: &TableTask,
        marker: &ChunkMarker,
        done: u64,
        rows: u64,
    ) -> Result<Step> {
        let (mut conn, found, replace) = self.begin(table, marker.chunk, Begin::Insert).await?;
        if found != done {
            self.rollback(conn).await;
            return Ok(Step::Elsewhere(found));
        }
        let mut reader = self.rows(marker, done);
        let limits = insert::Limits {
            rows: if rows == 0 { u64::MAX } else { rows },
            bytes: self.limit,
            packet: self.shared.server.info().max_allowed_packet,
            replace,
        };
        let flavor = self.shared.server.info().flavor;
        match insert::insert(&mut conn, table, marker.chunk, &mut reader, flavor, &limits).await {
            Ok((0, _)) if done < marker.rows => Err(count_of_marker(table, marker, done)),
            Ok((inserted, replaced)) => {
                let step = self.commit(conn, table, marker, done + inserted).await?;
                table.replaced.fetch_add(replaced, Ordering::Relaxed);
                Ok(step)
            }
            Err(error) => {
                self.rollback(conn).await;
                Err(error)
            }
        }
    }
}

fn count_of_marker(table: &TableTask, marker: &ChunkMarker, rows: u64) -> LoadError {
    LoadError::Damaged {
        key: format!("marker of {}, chunk {}", table.source, marker.chunk),
        what: format!("it counts {} rows, its files hold {rows}", marker.rows),
    }
}

fn pause(attempt: u32) -> Duration {
    Duration::from_millis(200).saturating_mul(1 << attempt.min(6))
}
