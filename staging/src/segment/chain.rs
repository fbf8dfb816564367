//! Whether a marker follows the one before it.

use super::marker::{SegmentMarker, start_hash};
use crate::error::ChainHashes;
use crate::layout::SourceKeys;
use crate::{Error, Result, Staging};

/// Where a reader is in the chain of segments. It moves only over markers that belong there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    next: u64,
    previous: String,
}

impl Chain {
    /// Before the first segment: at `start.json`.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no `start.json`; when the store fails.
    pub async fn start(staging: &Staging, keys: &SourceKeys) -> Result<Self> {
        match start_hash(staging, keys).await? {
            Some((_, hash)) => Ok(Self::after(0, hash)),
            None => Err(Error::NotFound {
                url: staging.url().to_owned(),
                key: keys.start().to_string(),
                what: "the chain of segments begins with it: start `tideway-cdc capture`"
                    .to_owned(),
            }),
        }
    }

    /// Behind segment `number` (0: `start.json`), whose marker has this hash.
    #[must_use]
    pub fn after(number: u64, hash: String) -> Self {
        Self {
            next: number + 1,
            previous: hash,
        }
    }

    /// Number of the segment that comes next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Hash of the marker before it.
    #[must_use]
    pub fn previous(&self) -> &str {
        &self.previous
    }

    /// Moves behind `marker`, the hash of whose bytes is `hash`, when it is the one that comes next.
    ///
    /// # Errors
    /// [`Error::Chain`] when it is not; the chain then stays where it is.
    pub fn accept(
        &mut self,
        staging: &Staging,
        keys: &SourceKeys,
        marker: &SegmentMarker,
        hash: &str,
    ) -> Result<()> {
        let what = if marker.number > self.next {
            "segments between them are missing"
        } else if marker.number < self.next {
            "it was read before"
        } else if marker.previous != self.previous {
            "it was captured behind another segment than the one that is there: one of the two was \
             replaced, or put back from another copy"
        } else {
            hash.clone_into(&mut self.previous);
            self.next += 1;
            return Ok(());
        };
        Err(Error::Chain {
            url: staging.url().to_owned(),
            key: keys.segment_marker(marker.number).to_string(),
            found: marker.number,
            expected: self.next,
            hashes: Box::new(ChainHashes {
                names: marker.previous.clone(),
                previous: self.previous.clone(),
            }),
            what: format!("{what}. {}", super::WAY_OUT),
        })
    }
}
