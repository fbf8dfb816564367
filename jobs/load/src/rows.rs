//! The rows of a chunk from one on, across its files.
//!
//! Decoding Parquet is work, not waiting, so it has a thread of its own and leaves the runtime's
//! threads to the connections. The thread asks for room before it decodes: beside the batch that is
//! in use there is one that waits, and the compressed row group that it comes from.

use std::collections::VecDeque;

use arrow::record_batch::RecordBatch;
use tideway_staging::Staging;
use tideway_staging::chunk::ChunkReader;
use tideway_staging::document::{ChunkMarker, DataFile};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::error::Result;

/// Reads the rows of a chunk in order.
pub struct Rows {
    batches: mpsc::Receiver<Result<RecordBatch>>,
}

impl Rows {
    /// Begins behind the first `skip` rows, with batches of about `max_bytes`. Files that lie
    /// before them are not opened. Dropping it ends the reading.
    #[must_use]
    pub fn start(staging: &Staging, marker: &ChunkMarker, mut skip: u64, max_bytes: usize) -> Self {
        let mut files: VecDeque<DataFile> = marker.files.iter().cloned().collect();
        while let Some(first) = files.front()
            && first.rows <= skip
        {
            skip -= first.rows;
            files.pop_front();
        }
        let (sender, batches) = mpsc::channel(1);
        let staging = staging.clone();
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            runtime.block_on(async move {
                if let Err(error) = read(&staging, files, skip, max_bytes, &sender).await {
                    // Nobody listens any more when the transaction failed.
                    let _ = sender.send(Err(error)).await;
                }
            });
        });
        Self { batches }
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// An object is missing or damaged, or the store failed.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.batches.recv().await.transpose()
    }
}

async fn read(
    staging: &Staging,
    files: VecDeque<DataFile>,
    mut skip: u64,
    max_bytes: usize,
    batches: &mpsc::Sender<Result<RecordBatch>>,
) -> Result<()> {
    for file in files {
        let mut reader = ChunkReader::open(staging, &file).await?;
        if skip > 0 {
            reader.skip_rows(std::mem::take(&mut skip)).await?;
        }
        loop {
            let Ok(room) = batches.reserve().await else {
                return Ok(());
            };
            match reader.next_batch(max_bytes).await? {
                Some(batch) if batch.num_rows() > 0 => room.send(Ok(batch)),
                Some(_) => {}
                None => break,
            }
        }
    }
    Ok(())
}
