//! What each event of the stream means for capture: whether it belongs into a segment, where the
//! stream is behind it, and whether a transaction is open there.
//!
//! No row is decoded here; of a transaction only its begin and its end are recognised, and of a
//! statement the maps of its tables, which a segment that begins in its middle must repeat.

use tideway_mysql::binlog;
use tideway_mysql::binlog::frame::{Checker, Event, artificial_copy};
use tideway_mysql::binlog::gtid_event::{Begin, previous};
use tideway_mysql::binlog::header::{FLAG_ARTIFICIAL, Kind};
use tideway_mysql::binlog::query::Query;
use tideway_mysql::binlog::transaction::Rotate;
use tideway_mysql::gtid::Gtid;

use super::error::{Error, Result};
use super::place::{Place, at_or_behind};

/// The flag of a row event behind which its statement has no further rows.
const LAST_OF_STATEMENT: u8 = 1;
/// Bytes of a row event before its flags: the number of the table.
const TABLE_ID: usize = 6;
/// The same in binlogs of the first 5.1.
const OLD_TABLE_ID: usize = 4;

/// From where on events are taken, after a stream began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// From the place itself.
    Here,
    /// From behind the place: what the server sends of before was received already. It does when it
    /// finds the beginning by GTIDs, or when the offset does not fit the request.
    Behind,
    /// From the first transaction, wherever the server finds it: file and offset are not known yet.
    FirstTransaction,
}

/// A transaction that a place lies in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Its GTID, where it has one.
    pub gtid: Option<Gtid>,
    /// Copies of the table maps of its open statement.
    pub maps: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Transaction {
    gtid: Option<Gtid>,
    /// Its end is told by an event; otherwise the next statement is all of it.
    begun: bool,
    /// It was received before.
    known: bool,
}

/// What an event came to.
#[derive(Debug)]
pub struct Taken {
    /// The event.
    pub event: Event,
    /// Whether it belongs into a segment.
    pub keep: bool,
    /// Whether a transaction ended with it.
    pub transaction_ended: bool,
    /// Whether the file ended: with it, or before it.
    pub file_ended: bool,
}

/// Follows the stream.
#[derive(Debug)]
pub struct Tracker {
    /// Behind the last event received.
    pub place: Place,
    checker: Checker,
    limit: u32,
    /// Where the stream is, which may be before the place.
    file: String,
    pos: u64,
    from: From,
    description: Option<Vec<u8>>,
    transaction: Option<Transaction>,
    /// Whether a transaction was open before the last event.
    was_open: bool,
    maps: Vec<Vec<u8>>,
    new_map: Option<Vec<u8>>,
    statement_ended: bool,
}

impl Tracker {
    /// At a place, with what is open there. No event may be larger than `limit` bytes.
    #[must_use]
    pub fn new(place: Place, open: Option<Open>, limit: u32) -> Self {
        let (gtid, maps) = match &open {
            Some(open) => (open.gtid.clone(), open.maps.clone()),
            None => (None, Vec::new()),
        };
        Self {
            file: place.file.clone(),
            pos: place.pos,
            place,
            checker: Checker::new(limit),
            limit,
            from: From::Here,
            description: None,
            was_open: open.is_some(),
            // What was begun is in an earlier segment: its end is told.
            transaction: open.map(|_| Transaction {
                gtid,
                begun: true,
                known: false,
            }),
            maps,
            new_map: None,
            statement_ended: false,
        }
    }

    /// A new stream begins. What is known of the open transaction stays.
    pub fn begin(&mut self, from: From) {
        self.checker = Checker::new(self.limit);
        self.file.clone_from(&self.place.file);
        self.pos = self.place.pos;
        self.from = from;
    }

    /// Whether a transaction is open.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether a transaction was open before the last event.
    #[must_use]
    pub fn was_in_transaction(&self) -> bool {
        self.was_open
    }

    /// The last format description; `None` before the first.
    #[must_use]
    pub fn description(&self) -> Option<&[u8]> {
        self.description.as_deref()
    }

    /// Copies of the table maps of the statement that was open before the last event.
    #[must_use]
    pub fn maps(&self) -> &[Vec<u8>] {
        &self.maps
    }

    /// What is open behind the last event.
    #[must_use]
    pub fn open(mut self) -> Option<Open> {
        self.settle_maps();
        let transaction = self.transaction?;
        Some(Open {
            gtid: transaction.gtid,
            maps: self.maps,
        })
    }

    /// Takes the next event of the stream.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn take(&mut self, bytes: Vec<u8>) -> Result<Taken> {
        self.settle_maps();
        self.was_open = self.in_transaction();
        let event = self
            .checker
            .check(bytes, self.pos)
            .map_err(|error| self.damaged(error))?;
        let mut taken = Taken {
            event,
            keep: false,
            transaction_ended: false,
            file_ended: false,
        };
        let header = taken.event.header;
        let artificial = header.next == 0 || header.flags & FLAG_ARTIFICIAL != 0;
        match header.kind {
            Kind::HEARTBEAT => self.heartbeat(&taken.event),
            // Its position is in its body; it is sent only to who asks for it.
            Kind::HEARTBEAT_V2 => {}
            Kind::ROTATE if artificial => self.file_begins(&mut taken)?,
            Kind::FORMAT_DESCRIPTION => {
                if !artificial {
                    self.advance(header.size, header.next);
                    self.follow();
                }
                self.description = Some(taken.event.bytes.clone());
            }
            // Of a segment that is read again: a server makes none.
            Kind::TABLE_MAP if artificial => self.new_map = Some(taken.event.bytes.clone()),
            _ if artificial => {}
            _ => self.real(&mut taken)?,
        }
        Ok(taken)
    }

    /// An event that stands in the file.
    fn real(&mut self, taken: &mut Taken) -> Result<()> {
        let header = taken.event.header;
        self.advance(header.size, header.next);
        if !self.arrived(header.kind) {
            if header.kind == Kind::ROTATE {
                let rotate = self.rotate(&taken.event)?;
                (self.file, self.pos) = (rotate.file, rotate.position);
            }
            return Ok(());
        }
        taken.keep = true;
        let known = self.transaction.as_ref().is_some_and(|open| open.known);
        match header.kind {
            Kind::ROTATE => {
                let rotate = self.rotate(&taken.event)?;
                (self.file, self.pos) = (rotate.file, rotate.position);
                taken.file_ended = true;
            }
            Kind::STOP => taken.file_ended = true,
            Kind::PREVIOUS_GTIDS | Kind::MARIADB_GTID_LIST => {
                if self.place.gtids.is_none() {
                    let found = previous(&taken.event).map_err(|error| self.damaged(error))?;
                    self.place.gtids = Some(found);
                }
            }
            kind if kind.begins_transaction() => {
                self.begins(&taken.event)?;
                taken.keep = !self.transaction.as_ref().is_some_and(|open| open.known);
                self.follow();
                return Ok(());
            }
            Kind::TABLE_MAP => self.new_map = Some(artificial_copy(&taken.event)),
            kind if has_rows(kind) => self.statement_ended = self.ends_statement(&taken.event),
            kind => taken.transaction_ended = self.ends_transaction(kind, &taken.event)?,
        }
        if known {
            taken.keep = false;
        }
        if taken.transaction_ended {
            self.end_transaction()?;
        }
        self.follow();
        Ok(())
    }

    /// Whether events are taken from here on; `self.pos` is behind the event.
    fn arrived(&mut self, kind: Kind) -> bool {
        let arrived = match &self.from {
            From::Here => return true,
            From::Behind => {
                // At least one byte further.
                let place = (self.place.file.as_str(), self.place.pos + 1);
                at_or_behind((&self.file, self.pos), place)
            }
            From::FirstTransaction => kind.begins_transaction(),
        };
        if arrived {
            self.from = From::Here;
        }
        arrived
    }

    fn rotate(&self, event: &Event) -> Result<Rotate> {
        Rotate::parse(event).map_err(|error| self.damaged(error))
    }

    /// The artificial event that names the file which the next events are of.
    fn file_begins(&mut self, taken: &mut Taken) -> Result<()> {
        let rotate = self.rotate(&taken.event)?;
        if rotate.file == self.file {
            // At the beginning of a stream: the place that was asked for.
            self.pos = rotate.position.max(4);
            return Ok(());
        }
        (self.file, self.pos) = (rotate.file, rotate.position);
        if self.from == From::Here {
            if self.transaction.take().is_some() {
                tracing::warn!(
                    "{} ends within a transaction: the server was killed there and rolled it back",
                    self.place.file
                );
                self.maps.clear();
            }
            taken.file_ended = true;
            self.follow();
        }
        Ok(())
    }

    /// The server is alive, and has sent all that is before this offset.
    fn heartbeat(&mut self, event: &Event) {
        let same_file = event.body() == self.file.as_bytes();
        if !same_file || self.in_transaction() || event.header.next == 0 {
            return;
        }
        match self.from {
            From::Here => {
                let pos = widened(self.pos, event.header.next);
                // Never backwards: what looks like 4 GiB ahead is a heartbeat of before.
                if pos - self.pos < 1 << 31 {
                    self.pos = pos;
                    self.follow();
                }
            }
            From::FirstTransaction => {
                self.pos = widened(self.pos, event.header.next);
                self.from = From::Here;
                self.follow();
            }
            From::Behind => {}
        }
    }

    fn advance(&mut self, size: u32, next: u32) {
        self.pos = widened(self.pos + u64::from(size), next);
    }

    /// Moves the place to where the stream is, unless that is before it.
    fn follow(&mut self) {
        if self.from == From::Here {
            self.place.file.clone_from(&self.file);
            self.place.pos = self.pos;
        }
    }

    fn begins(&mut self, event: &Event) -> Result<()> {
        let begin = Begin::parse(event).map_err(|error| self.damaged(error))?;
        let known = match (&begin.gtid, &self.place.gtids) {
            // MariaDB's numbers may run backwards within a domain.
            (Some(gtid @ Gtid::MySql { .. }), Some(set)) => set.has(gtid),
            _ => false,
        };
        self.transaction = Some(Transaction {
            begun: begin.mariadb.as_ref().is_some_and(|more| !more.standalone),
            gtid: begin.gtid,
            known,
        });
        self.maps.clear();
        Ok(())
    }

    /// Whether an event that is neither rows nor a map ends the open transaction.
    fn ends_transaction(&mut self, kind: Kind, event: &Event) -> Result<bool> {
        Ok(match kind {
            Kind::XID | Kind::XA_PREPARE | Kind::TRANSACTION_PAYLOAD => true,
            Kind::INCIDENT => self.in_transaction(),
            Kind::QUERY => {
                let query = Query::parse(event, self.limit).map_err(|error| self.damaged(error))?;
                self.statement(&query.text)
            }
            // Short statements such as BEGIN and COMMIT are never compressed.
            Kind::QUERY_COMPRESSED => self.statement(b""),
            // Of the statement that follows.
            Kind::INTVAR | Kind::RAND | Kind::USER_VAR => {
                self.transaction.get_or_insert(Transaction {
                    gtid: None,
                    begun: false,
                    known: false,
                });
                false
            }
            _ => false,
        })
    }

    fn statement(&mut self, text: &[u8]) -> bool {
        let text = text.trim_ascii();
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        let begins = |words: &str| {
            text.get(..words.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(words.as_bytes()))
        };
        if is("BEGIN") || begins("XA START") || begins("XA BEGIN") {
            let open = self.transaction.get_or_insert(Transaction {
                gtid: None,
                begun: true,
                known: false,
            });
            open.begun = true;
            return false;
        }
        if is("COMMIT") || is("ROLLBACK") {
            return true;
        }
        // DDL, and what is not transactional, is a transaction by itself.
        !self.transaction.as_ref().is_some_and(|open| open.begun)
    }

    fn end_transaction(&mut self) -> Result<()> {
        let ended = self.transaction.take();
        self.statement_ended = true;
        if let Some(gtid) = ended.and_then(|ended| ended.gtid)
            && let Some(set) = &mut self.place.gtids
        {
            set.add(&gtid).map_err(Error::Gtid)?;
        }
        Ok(())
    }

    fn ends_statement(&self, event: &Event) -> bool {
        let post_header = self.checker.format().post_header(event.header.kind);
        let at = if post_header == Some(TABLE_ID) {
            OLD_TABLE_ID
        } else {
            TABLE_ID
        };
        let flags = event.body().get(at..);
        flags
            .and_then(|flags| flags.first())
            .is_some_and(|flags| flags & LAST_OF_STATEMENT != 0)
    }

    /// What the last event said of maps holds from the next one on: a segment that begins with the
    /// last event needs those from before it.
    fn settle_maps(&mut self) {
        self.maps.extend(self.new_map.take());
        if std::mem::take(&mut self.statement_ended) {
            self.maps.clear();
        }
    }

    fn damaged(&self, error: binlog::Error) -> Error {
        Error::Event {
            file: self.file.clone(),
            error,
        }
    }
}

fn has_rows(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::WRITE_ROWS_V1
            | Kind::UPDATE_ROWS_V1
            | Kind::DELETE_ROWS_V1
            | Kind::WRITE_ROWS
            | Kind::UPDATE_ROWS
            | Kind::DELETE_ROWS
            | Kind::PARTIAL_UPDATE_ROWS
            | Kind::WRITE_ROWS_COMPRESSED
            | Kind::UPDATE_ROWS_COMPRESSED
            | Kind::DELETE_ROWS_COMPRESSED
    )
}

/// The first offset at or behind `from` whose lower 32 bits are these: a header holds no more, and a
/// large transaction makes a file of more than 4 GiB.
fn widened(from: u64, low: u32) -> u64 {
    let candidate = (from & !u64::from(u32::MAX)) | u64::from(low);
    if candidate < from {
        candidate + (1 << 32)
    } else {
        candidate
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;
