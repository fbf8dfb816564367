//! XA transactions: their rows stand in the binlog where they were prepared, and take effect where they
//! are committed, perhaps hours later, or never.
//!
//! Where they are prepared, only the place of the rows is noted, in the checkpoint. `XA COMMIT` reads them
//! again from staging, which keeps segments as long as a prepared transaction needs them. Nothing is
//! held in memory, and a restart between the two finds the place in the checkpoint. The tables' definitions
//! cannot have changed in between: a prepared transaction keeps its metadata locks.

use tideway_staging::segment::{Chain, read_marker};

use super::applier::Applier;
use super::checkpoint::Prepared;
use super::error::{Error, Result};
use super::feed::{Feed, Item};
use super::place::Place;

impl Applier<'_> {
    /// Applies the rows of a prepared transaction, which commits here.
    pub(super) async fn xa_commit(&mut self, xid: &str) -> Result<()> {
        let Some(range) = self.prepared().get(xid).cloned() else {
            return Err(self.unsupported(format!(
                "XA COMMIT {xid} of a transaction that was prepared before capture began, so its rows \
                 were never captured. Begin anew after `tideway cleanup`: capture refuses to start while a \
                 transaction is prepared"
            )));
        };
        self.xa_replay(xid, range).await?;
        self.prepared().remove(xid);
        Ok(())
    }

    /// Applies the rows in a range of places, as part of the transaction that is open.
    pub(super) async fn xa_replay(&mut self, xid: &str, range: Prepared) -> Result<()> {
        if let Some(transaction) = &mut self.transaction {
            // From here on rows are to be applied.
            transaction.xa = None;
        }
        let (staging, keys) = (&self.set.job.staging, &self.set.keys);
        let Some((marker, _)) = read_marker(staging, keys, range.from.segment).await? else {
            return Err(Error::Mismatch {
                source_id: self.id().to_owned(),
                what: format!(
                    "segment {} with the rows of XA transaction {xid} is gone from {}. Begin anew after \
                     `tideway cleanup`",
                    range.from.segment,
                    staging.url()
                ),
            });
        };
        let chain = Chain::after(range.from.segment - 1, marker.previous.clone());
        let limit = self.set.event_limit;
        let mut feed = Feed::start(self.id(), staging, keys, chain, range.from, limit);
        let mut segment = range.from.segment;
        self.maps.clear();
        loop {
            match feed.next().await? {
                Item::Segment(marker) => segment = marker.number,
                Item::Events(events, format) => {
                    for event in events {
                        let at = Place {
                            segment,
                            offset: event.offset,
                        };
                        if at >= range.to {
                            self.maps.clear();
                            return Ok(());
                        }
                        self.replayed(&event, &format).await?;
                    }
                }
                Item::End(_) => {
                    if Place::start_of(segment + 1) >= range.to {
                        self.maps.clear();
                        return Ok(());
                    }
                }
                Item::Idle => return Err(Error::Stopped),
            }
        }
    }
}
