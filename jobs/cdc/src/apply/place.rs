//! Places in what was captured.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in the chain of segments: the number of a segment and the offset of an event in its
/// unpacked content.
///
/// Places are in the order in which the source wrote, across its files, restarts and fail-overs, so
/// apply compares them and not binlog positions, which begin anew on another server.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Place {
    /// Number of the segment, from 1.
    pub segment: u64,
    /// Offset in it.
    pub offset: u64,
}

impl Place {
    /// The beginning of a segment.
    #[must_use]
    pub const fn start_of(segment: u64) -> Self {
        Self { segment, offset: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} byte {}", self.segment, self.offset)
    }
}
