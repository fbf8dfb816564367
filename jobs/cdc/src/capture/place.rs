//! Places in a binlog: where a capture is, and those that a person gives by `--from` and `--until`.

use chrono::{DateTime, NaiveDateTime, Utc};
use tideway_mysql::gtid::{GtidError, GtidSet};
use tideway_mysql::position::BinlogPosition;

use super::error::{Error, Result};

/// A place in the binlog, with the transactions before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The log file; empty while only GTIDs are known.
    pub file: String,
    /// The offset in it.
    pub pos: u64,
    /// The transactions before it; `None` when they are not known.
    pub gtids: Option<GtidSet>,
}

impl Place {
    /// From what a document holds.
    ///
    /// # Errors
    /// When the GTID set is none.
    pub fn read(position: &BinlogPosition) -> Result<Self, GtidError> {
        Ok(Self {
            file: position.file.clone(),
            pos: position.pos,
            gtids: match &position.gtid_set {
                Some(text) => Some(GtidSet::parse(text)?),
                None => None,
            },
        })
    }

    /// Whether it lies at or behind this offset, on the same server. Where only GTIDs are known it
    /// does not.
    #[must_use]
    pub fn reached(&self, file: &str, pos: u64) -> bool {
        !self.file.is_empty() && at_or_behind((&self.file, self.pos), (file, pos))
    }

    /// For a document.
    #[must_use]
    pub fn position(&self) -> BinlogPosition {
        BinlogPosition {
            file: self.file.clone(),
            pos: self.pos,
            gtid_set: self.gtids.as_ref().map(ToString::to_string),
        }
    }
}

/// Files compare by number, as [`BinlogPosition::reached`] has it; this one copies nothing, for it is
/// asked at every event.
pub(super) fn at_or_behind(place: (&str, u64), other: (&str, u64)) -> bool {
    let number = |file: &str| -> Option<u64> { file.rsplit_once('.')?.1.parse().ok() };
    (number(place.0), place) >= (number(other.0), other)
}

/// What `--from` and `--until` take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// Where the server is now.
    Now,
    /// A file and an offset in it.
    Position {
        /// The log file.
        file: String,
        /// The offset.
        pos: u64,
    },
    /// The transactions before it.
    Gtids(GtidSet),
    /// The first event that is not before this time.
    Time(DateTime<Utc>),
}

impl Where {
    /// Reads the value of `flag`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(flag: &str, text: &str) -> Result<Self> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("now") {
            return Ok(Self::Now);
        }
        if let Some(time) = time(text) {
            return Ok(Self::Time(time));
        }
        if let Ok(set) = GtidSet::parse(text)
            && !set.is_empty()
        {
            return Ok(Self::Gtids(set));
        }
        if let Some((file, pos)) = text.rsplit_once(':')
            && let Ok(pos) = pos.parse()
            && !file.is_empty()
            && !file.contains([':', ',', '/'])
        {
            return Ok(Self::Position {
                file: file.to_owned(),
                pos,
            });
        }
        Err(Error::Usage {
            flag: flag.to_owned(),
            what: format!(
                "`{text}` is no place in a binlog: give now, <file>:<offset> (binlog.000007:154), a \
                 GTID set, or a time (2026-01-31T12:00:00Z)"
            ),
        })
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S")
        .ok()
        .map(|time| time.and_utc())
}

/// Where a capture ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goal {
    /// Reached by this file and offset, on the server of this UUID.
    pub position: Option<(BinlogPosition, String)>,
    /// Reached when these were captured.
    pub gtids: Option<GtidSet>,
    /// Reached by an event of this time, seconds since 1970, or when the server has no more and its
    /// clock is past it.
    pub time: Option<u64>,
}

impl Goal {
    /// A place of the server of this UUID.
    ///
    /// # Errors
    /// When its GTID set is none.
    pub fn at(position: BinlogPosition, uuid: String) -> Result<Self> {
        let place = Place::read(&position).map_err(Error::Gtid)?;
        Ok(Self {
            gtids: place.gtids.filter(|set| !set.is_empty()),
            position: Some((position, uuid)),
            time: None,
        })
    }

    /// Whether a capture that is at `place` of server `uuid`, and whose last event was of `time`, is
    /// there.
    #[must_use]
    pub fn reached(&self, place: &Place, uuid: &str, time: u64) -> bool {
        if let Some((goal, server)) = &self.position
            && server == uuid
            && place.reached(&goal.file, goal.pos)
        {
            return true;
        }
        if let (Some(goal), Some(have)) = (&self.gtids, &place.gtids)
            && have.contains(goal)
        {
            return true;
        }
        self.time.is_some_and(|goal| time >= goal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "ea2c5f47-e8d3-11f1-a3da-02fc00000001";

    #[test]
    fn places_are_told_apart() {
        let parse = |text: &str| Where::parse("--until", text);
        assert_eq!(parse("NOW").unwrap(), Where::Now);
        let position = |file: &str, pos| Where::Position {
            file: file.to_owned(),
            pos,
        };
        assert_eq!(
            parse("binlog.000007:154").unwrap(),
            position("binlog.000007", 154)
        );
        assert_eq!(
            parse("a-b-c.000007:4").unwrap(),
            position("a-b-c.000007", 4)
        );
        let set = format!("{UUID}:1-5");
        assert!(matches!(parse(&set).unwrap(), Where::Gtids(_)));
        assert!(matches!(parse("0-1-5,1-1-7").unwrap(), Where::Gtids(_)));
        let noon = parse("2026-01-31T12:00:00Z").unwrap();
        assert_eq!(noon, parse("2026-01-31 12:00:00").unwrap());
        assert_eq!(noon, parse("2026-01-31T13:00:00+01:00").unwrap());
        for wrong in ["", "yesterday", "binlog.000007", ":4", "binlog.000007:x"] {
            let error = parse(wrong).unwrap_err().to_string();
            assert!(
                error.contains("--until") && error.contains("GTID"),
                "{error}"
            );
        }
    }

    #[test]
    fn goals_are_reached_by_any_measure() {
        let place = |file: &str, pos, set: Option<&str>| Place {
            file: file.to_owned(),
            pos,
            gtids: set.map(|set| GtidSet::parse(set).unwrap()),
        };
        let at = |pos| {
            let position = place("b.000002", pos, None).position();
            Goal {
                position: Some((position, "u".to_owned())),
                ..Goal::default()
            }
        };
        assert!(at(100).reached(&place("b.000002", 100, None), "u", 0));
        assert!(at(100).reached(&place("b.000003", 4, None), "u", 0));
        assert!(!at(100).reached(&place("b.000002", 99, None), "u", 0));
        assert!(!at(100).reached(&place("b.000009", 100, None), "other", 0));
        let set = format!("{UUID}:1-5");
        let gtids = Goal {
            gtids: Some(GtidSet::parse(&set).unwrap()),
            ..Goal::default()
        };
        assert!(gtids.reached(&place("x.1", 4, Some(&set)), "any", 0));
        assert!(!gtids.reached(&place("x.1", 4, Some(&format!("{UUID}:1-4"))), "any", 0));
        assert!(!gtids.reached(&place("x.1", 4, None), "any", 0));
        let time = Goal {
            time: Some(50),
            ..Goal::default()
        };
        assert!(time.reached(&place("x.1", 4, None), "u", 50));
        assert!(!time.reached(&place("x.1", 4, None), "u", 49));
    }
}
