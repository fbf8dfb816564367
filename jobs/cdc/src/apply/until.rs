//! Where a finite apply ends.

use chrono::{DateTime, Utc};
use tideway_mysql::gtid::GtidSet;
use tideway_mysql::position::BinlogPosition;
use tideway_staging::Staging;
use tideway_staging::layout::SourceKeys;
use tideway_staging::segment;

use super::error::{Error, Result};
use super::place::Place;

/// Where to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// Nowhere.
    Never,
    /// Behind what was captured when this began.
    Place(Place),
    /// At a position of the source.
    Position(BinlogPosition),
    /// When a set of transactions is applied.
    Gtids(GtidSet),
    /// Before the first transaction that was committed later, µs since 1970.
    Time(u64),
}

impl Until {
    /// Reads `--until`: `now`, `FILE:OFFSET`, a GTID set, or a time.
    ///
    /// # Errors
    /// The text is none of them; staging fails.
    pub async fn of(
        text: Option<&str>,
        staging: &Staging,
        keys: &SourceKeys,
        source_id: &str,
    ) -> Result<Self> {
        let Some(text) = text else {
            return Ok(Self::Never);
        };
        if text == "now" {
            let last = segment::last(staging, keys).await?;
            let next = last.map_or(1, |(marker, _)| marker.number + 1);
            return Ok(Self::Place(Place::start_of(next)));
        }
        Self::parse(text).ok_or_else(|| Error::Mismatch {
            source_id: source_id.to_owned(),
            what: format!(
                "--until {text}: neither `now`, nor <file>:<offset> as in binlog.000007:154, nor a GTID \
                 set, nor a time as in 2026-01-31T12:00:00Z"
            ),
        })
    }

    fn parse(text: &str) -> Option<Self> {
        if let Ok(time) = text.parse::<DateTime<Utc>>() {
            return Some(Self::Time(u64::try_from(time.timestamp_micros()).ok()?));
        }
        if let Some((file, offset)) = text.rsplit_once(':')
            && let Ok(pos) = offset.parse()
            && file
                .rsplit_once('.')
                .is_some_and(|(_, n)| n.parse::<u64>().is_ok())
        {
            return Some(Self::Position(BinlogPosition {
                file: file.to_owned(),
                pos,
                gtid_set: None,
            }));
        }
        GtidSet::parse(text)
            .ok()
            .filter(|set| !set.is_empty())
            .map(Self::Gtids)
    }

    /// Whether it lies at or before where apply is: the end of the last transaction.
    #[must_use]
    pub fn reached(&self, at: (Place, &BinlogPosition, Option<&GtidSet>)) -> bool {
        let (place, position, gtids) = at;
        match self {
            // What ends it is no end of a transaction.
            Self::Never | Self::Time(_) => false,
            Self::Place(wanted) => place >= *wanted,
            Self::Position(wanted) => position.reached(wanted),
            Self::Gtids(wanted) => gtids.is_some_and(|set| set.contains(wanted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read() {
        assert!(matches!(
            Until::parse("binlog.000007:154"),
            Some(Until::Position(BinlogPosition { pos: 154, .. }))
        ));
        assert!(matches!(
            Until::parse("ea2c5f47-e8d3-11f1-a3da-02fc00000001:1-7"),
            Some(Until::Gtids(_))
        ));
        assert!(matches!(Until::parse("0-1-7"), Some(Until::Gtids(_))));
        assert!(matches!(
            Until::parse("2026-01-31T12:00:00Z"),
            Some(Until::Time(_))
        ));
        assert_eq!(Until::parse("tomorrow"), None);
    }
}
