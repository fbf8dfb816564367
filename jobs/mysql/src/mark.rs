//! Positions of the source that the dump noted, and which transactions lie before them.
//!
//! With GTIDs, what was executed at a mark is in its set, and the set decides. Without, the offset in
//! the server's files decides, on the same server. A transaction of another server that has no GTID came
//! after a fail-over, and so after the dump.

use crate::gtid::{Gtid, GtidSet};
use crate::position::BinlogPosition;

/// A noted position.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The server that it is of.
    pub server_uuid: String,
    /// The position.
    pub position: BinlogPosition,
    gtids: Option<GtidSet>,
}

/// Where a transaction stands.
#[derive(Clone, Debug, Default)]
pub struct Spot {
    /// The server that was captured.
    pub server_uuid: String,
    /// Where it begins.
    pub begin: Option<BinlogPosition>,
    /// Its GTID.
    pub gtid: Option<Gtid>,
}

impl Mark {
    /// A mark at `position` of the server with this UUID.
    #[must_use]
    pub fn new(server_uuid: &str, position: BinlogPosition) -> Self {
        Self {
            server_uuid: server_uuid.to_owned(),
            gtids: position.some_gtids(),
            position,
        }
    }

    /// Whether a transaction lies before it.
    #[must_use]
    pub fn covers(&self, spot: &Spot) -> bool {
        match (&self.gtids, &spot.gtid) {
            (Some(set), Some(gtid)) => set.has(gtid),
            _ => self.covers_by_offset(spot),
        }
    }

    /// Whether a transaction may have been seen by who read before this mark: by its set *or* by its
    /// offset, for one that is being committed is in the file before it is in the set.
    #[must_use]
    pub fn may_cover(&self, spot: &Spot) -> bool {
        self.covers(spot) || self.covers_by_offset(spot)
    }

    fn covers_by_offset(&self, spot: &Spot) -> bool {
        spot.server_uuid == self.server_uuid
            && spot
                .begin
                .as_ref()
                .is_some_and(|begin| !begin.reached(&self.position))
    }

    /// Whether everything before it lies before `position` of a server: nothing that comes later is
    /// covered.
    #[must_use]
    pub fn passed(&self, server_uuid: &str, position: &BinlogPosition) -> bool {
        let by_set = || {
            match (&self.gtids, position.gtids()) {
                (Some(set), Some(reached)) => reached.contains(set),
                // Nothing of it can be told on another server.
                _ => server_uuid != self.server_uuid,
            }
        };
        if server_uuid == self.server_uuid {
            position.reached(&self.position)
        } else {
            by_set()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "ea2c5f47-e8d3-11f1-a3da-02fc00000001";

    fn at(file: &str, pos: u64, set: Option<&str>) -> BinlogPosition {
        BinlogPosition {
            file: file.to_owned(),
            pos,
            gtid_set: set.map(str::to_owned),
        }
    }

    fn spot(pos: u64, gtid: Option<u64>) -> Spot {
        Spot {
            server_uuid: UUID.to_owned(),
            begin: Some(at("b.000002", pos, None)),
            gtid: gtid.map(|number| Gtid::MySql {
                uuid: UUID.to_owned(),
                tag: String::new(),
                number,
            }),
        }
    }

    #[test]
    fn without_gtids_the_offset_decides() {
        let mark = Mark::new(UUID, at("b.000002", 400, None));
        assert!(mark.covers(&spot(399, None)));
        assert!(!mark.covers(&spot(400, None)));
        let other = Spot {
            server_uuid: "another".to_owned(),
            ..spot(4, None)
        };
        assert!(!mark.covers(&other));
    }

    #[test]
    fn with_gtids_the_set_decides_and_doubt_covers_both() {
        let mark = Mark::new(UUID, at("b.000002", 400, Some(&format!("{UUID}:1-10"))));
        assert!(mark.covers(&spot(900, Some(10))));
        let committing = spot(399, Some(11));
        assert!(!mark.covers(&committing));
        assert!(mark.may_cover(&committing));
        assert!(!mark.may_cover(&spot(400, Some(11))));
    }

    #[test]
    fn a_mark_is_passed_on_another_server_when_its_set_is_there() {
        let mark = Mark::new(UUID, at("b.000002", 400, Some(&format!("{UUID}:1-10"))));
        assert!(!mark.passed(UUID, &at("b.000002", 399, None)));
        assert!(mark.passed(UUID, &at("b.000002", 400, None)));
        assert!(!mark.passed("x", &at("z.000001", 4, Some(&format!("{UUID}:1-9")))));
        assert!(mark.passed("x", &at("z.000001", 4, Some(&format!("{UUID}:1-12")))));
    }
}
