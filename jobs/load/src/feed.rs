//! The rows of a chunk as pieces of `LOAD DATA` text, made by a task of its own while the target
//! takes the pieces before: a bounded channel between them is the back-pressure.
//!
//! One feed serves all transactions of a chunk: each takes pieces until it has enough, and the next
//! goes on from there. When a transaction fails the feed is dropped and a new one begins at the
//! rows that are committed.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tideway_mysql::types::load_text::LoadText;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::error::{LoadError, Result};
use crate::rows::Rows;
use tideway_mysql::schema::TableName;

/// Bytes of text that go through the channel at a time.
const PIECE: usize = 1 << 20;

/// Bytes of a packet. The driver copies each into a buffer of a pool that keeps up to 128 of them
/// for the whole process, as large as the largest packet was: small packets, small pool.
const PACKET: usize = 64 << 10;

/// Pieces that may wait in the channel.
const WAITING: usize = 2;

/// Some text. The rows are counted in the piece that ends them.
struct Piece {
    text: Bytes,
    rows: u64,
    warnings: u64,
}

/// What was handed to the server for one statement.
#[derive(Debug, Default)]
pub struct Sent {
    rows: AtomicU64,
    bytes: AtomicU64,
    warnings: AtomicU64,
}

impl Sent {
    /// Rows.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Acquire)
    }

    /// Bytes of text.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Warnings that the server rightly counts for them.
    pub fn warnings(&self) -> u64 {
        self.warnings.load(Ordering::Acquire)
    }
}

/// Makes the pieces of one chunk.
pub struct Feed {
    pieces: Arc<Mutex<mpsc::Receiver<Piece>>>,
    failure: Arc<StdMutex<Option<LoadError>>>,
    task: JoinHandle<()>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Feed {
    /// Starts to encode.
    #[must_use]
    pub fn start(rows: Rows, text: Arc<LoadText>, table: TableName) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let failure = Arc::new(StdMutex::new(None));
        let task = tokio::spawn({
            let failure = Arc::clone(&failure);
            async move {
                if let Err(error) = produce(rows, &text, &table, &sender).await {
                    // Stored before the channel closes, so whoever sees the end finds it.
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        });
        Self {
            pieces: Arc::new(Mutex::new(receiver)),
            failure,
            task,
        }
    }

    /// What the task failed with, if it did.
    pub fn failure(&self) -> Option<LoadError> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// The text of one statement: pieces until `limit` bytes are passed or the chunk ends. `sent`
    /// counts what was handed out. A failure of the task ends the stream with an error, on which
    /// the driver closes the connection and thereby the transaction.
    pub fn statement(&self, limit: u64, sent: Arc<Sent>) -> BoxStream<'static, io::Result<Bytes>> {
        let pieces = Arc::clone(&self.pieces);
        let failure = Arc::clone(&self.failure);
        // What is left of a piece, and whether it ends a row.
        let begin = (Bytes::new(), true);
        stream::unfold(begin, move |(mut rest, mut whole)| {
            let (pieces, failure, sent) =
                (Arc::clone(&pieces), Arc::clone(&failure), Arc::clone(&sent));
            async move {
                if rest.is_empty() {
                    if whole && sent.bytes() >= limit {
                        return None;
                    }
                    let Some(piece) = pieces.lock().await.recv().await else {
                        let failed = failure
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .is_some();
                        let error = io::Error::other("the rows cannot be read");
                        return failed.then(|| (Err(error), (rest, true)));
                    };
                    sent.rows.fetch_add(piece.rows, Ordering::AcqRel);
                    sent.bytes
                        .fetch_add(piece.text.len() as u64, Ordering::AcqRel);
                    sent.warnings.fetch_add(piece.warnings, Ordering::AcqRel);
                    whole = piece.rows > 0;
                    rest = piece.text;
                }
                let packet = rest.split_to(rest.len().min(PACKET));
                Some((Ok(packet), (rest, whole)))
            }
        })
        .boxed()
    }
}

async fn produce(
    mut rows: Rows,
    text: &LoadText,
    table: &TableName,
    pieces: &mpsc::Sender<Piece>,
) -> Result<()> {
    let mut out = Vec::with_capacity(PIECE + PIECE / 8);
    let (mut count, mut warnings) = (0, 0);
    while let Some(batch) = rows.next().await? {
        let mut row = 0;
        while row < batch.num_rows() {
            {
                let bound = text.bind(&batch).map_err(|source| LoadError::Text {
                    table: table.clone(),
                    source,
                })?;
                while row < batch.num_rows() && out.len() < PIECE {
                    warnings += bound.write_row(row, &mut out);
                    count += 1;
                    row += 1;
                }
            }
            if out.len() >= PIECE {
                let text = std::mem::replace(&mut out, Vec::with_capacity(PIECE + PIECE / 8));
                let (rows, warnings) = (std::mem::take(&mut count), std::mem::take(&mut warnings));
                if !send(pieces, text, rows, warnings).await {
                    return Ok(());
                }
            }
        }
    }
    if count > 0 {
        send(pieces, out, count, warnings).await;
    }
    Ok(())
}

/// Sends text in parts, so that a long row is not waited for as a whole; `false` when nobody
/// listens any more, as the transaction failed.
async fn send(pieces: &mpsc::Sender<Piece>, text: Vec<u8>, rows: u64, warnings: u64) -> bool {
    let mut rest = Bytes::from(text);
    while !rest.is_empty() {
        let text = rest.split_to(rest.len().min(PIECE + PIECE / 2));
        let last = rest.is_empty();
        let piece = Piece {
            text,
            rows: if last { rows } else { 0 },
            warnings: if last { warnings } else { 0 },
        };
        if pieces.send(piece).await.is_err() {
            return false;
        }
    }
    true
}
