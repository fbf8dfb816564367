//! Events about GTIDs: which transaction begins, and which stand in the files before.

use super::cursor::{Broken, Cursor, Read};
use super::error::Result;
use super::frame::Event;
use super::header::Kind;
use super::transaction::{XaId, xid_short};
use crate::gtid::{Gtid, GtidSet, MariaDbGtids, MySqlGtids};

/// MySQL: it may hold changes as statements.
const MAY_HAVE_STATEMENTS: u64 = 0x1;
/// The logical clock follows (5.7 and later).
const CLOCK: u8 = 2;
/// In the immediate timestamp: the original one follows.
const TWO_TIMES: u64 = 1 << 55;
/// The longest tag.
const TAG: u64 = 32;

/// MariaDB: no event ends it (`FL_STANDALONE`).
const STANDALONE: u8 = 0x1;
/// MariaDB: the number of its group commit follows (`FL_GROUP_COMMIT_ID`).
const GROUP: u8 = 0x2;
/// MariaDB: `FL_TRANSACTIONAL`.
const TRANSACTIONAL: u8 = 0x4;
/// MariaDB: `FL_DDL`.
const DDL: u8 = 0x20;
/// MariaDB: `FL_PREPARED_XA`.
const PREPARED: u8 = 0x40;
/// MariaDB: `FL_COMPLETED_XA`.
const COMPLETED: u8 = 0x80;

/// A transaction, or one DDL, begins: `GTID`, `ANONYMOUS_GTID`, `GTID_TAGGED` and MariaDB's `GTID`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Begin {
    /// Its GTID; `None` for MySQL's anonymous ones.
    pub gtid: Option<Gtid>,
    /// When it was committed where it happened first, millionths of a second since 1970 (MySQL 8).
    pub original_commit: Option<u64>,
    /// When it was committed at the server that wrote this binlog, the same.
    pub immediate_commit: Option<u64>,
    /// Bytes of the whole transaction in the file, this event too (MySQL 8).
    pub length: Option<u64>,
    /// The transaction that must be committed before this one, as a number of this file (MySQL 5.7).
    pub last_committed: u64,
    /// Its own number in this file.
    pub sequence_number: u64,
    /// MySQL: it may hold changes as statements. MySQL before 5.7.19 always says so.
    pub may_have_statements: bool,
    /// What MariaDB tells beside.
    pub mariadb: Option<MariaDbBegin>,
}

/// What MariaDB's GTID event tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MariaDbBegin {
    /// The one statement behind it is all of it: no `COMMIT` or `XID` comes.
    pub standalone: bool,
    /// It is a DDL.
    pub ddl: bool,
    /// It can be rolled back as a whole.
    pub transactional: bool,
    /// Number of its group commit.
    pub group: Option<u64>,
    /// The rows behind it are prepared under this name and take effect with its `XA COMMIT` only.
    pub prepared: Option<XaId>,
    /// It is the `XA COMMIT` or `XA ROLLBACK` of this name.
    pub completed: Option<XaId>,
}

impl Begin {
    /// Reads any of the four kinds.
    ///
    /// # Errors
    /// When the event is damaged, or of another kind.
    pub fn parse(event: &Event) -> Result<Self> {
        let body = event.body();
        let begin = match event.header.kind {
            Kind::GTID => plain(body, true),
            Kind::ANONYMOUS_GTID => plain(body, false),
            Kind::GTID_TAGGED => tagged(body),
            Kind::MARIADB_GTID => mariadb(body, event.header.server_id),
            _ => Err(Broken::new("no transaction begins with it")),
        };
        begin.map_err(|broken| event.broken(broken.0))
    }
}

/// What `PREVIOUS_GTIDS` of MySQL and `GTID_LIST` of MariaDB say: the transactions of all files
/// before. MariaDB's set has the last one of each domain, also where several servers wrote to one.
///
/// # Errors
/// When the event is damaged, or of another kind.
pub fn previous(event: &Event) -> Result<GtidSet> {
    let body = event.body();
    let set = match event.header.kind {
        Kind::PREVIOUS_GTIDS => mysql_set(body).map(GtidSet::MySql),
        Kind::MARIADB_GTID_LIST => mariadb_set(body).map(GtidSet::MariaDb),
        _ => Err(Broken::new("it holds no set of GTIDs")),
    };
    set.map_err(|broken| event.broken(broken.0))
}

/// MySQL's own layout (`Gtid_event` of `control_events.h`), which grew at its end from version to
/// version.
fn plain(body: &[u8], named: bool) -> Read<Begin> {
    let mut cursor = Cursor::new(body);
    let flags = cursor.u8()?;
    let uuid = uuid(cursor.array()?);
    let number = cursor.uint(8)?;
    let mut begin = Begin {
        may_have_statements: u64::from(flags) & MAY_HAVE_STATEMENTS != 0,
        ..Begin::default()
    };
    if named {
        begin.gtid = Some(mysql_gtid(uuid, String::new(), number)?);
    }
    // 5.6 ends here, the first of 5.7 have another clock.
    if cursor.is_empty() || cursor.u8()? != CLOCK {
        return Ok(begin);
    }
    begin.last_committed = cursor.uint(8)?;
    begin.sequence_number = cursor.uint(8)?;
    // 5.7 ends here.
    if cursor.is_empty() {
        return Ok(begin);
    }
    let time = cursor.uint(7)?;
    begin.immediate_commit = Some(time & !TWO_TIMES);
    begin.original_commit = Some(match time & TWO_TIMES {
        0 => time,
        _ => cursor.uint(7)?,
    });
    // 8.0.1 ends here.
    if !cursor.is_empty() {
        begin.length = Some(cursor.packed()?);
    }
    Ok(begin)
}

/// The layout of MySQL's serialization library: fields with their numbers, of which those with
/// default values are left out.
fn tagged(body: &[u8]) -> Read<Begin> {
    let mut cursor = Cursor::new(body);
    let version = cursor.varlen()?;
    if version != 1 {
        return Err(Broken(format!(
            "version {version} of its serialization is not known"
        )));
    }
    // It counts the bytes before it, too.
    let size = usize::try_from(cursor.varlen()?).unwrap_or(usize::MAX);
    let before = body.len() - cursor.left();
    let Some(rest) = size.checked_sub(before) else {
        return Err(Broken::new(
            "it is shorter than what stands before its fields",
        ));
    };
    let mut cursor = Cursor::new(cursor.take(rest)?);
    let last_needed = cursor.varlen()?;
    let mut begin = Begin::default();
    let (mut uuid, mut number, mut tag) = (None, 0, String::new());
    while !cursor.is_empty() {
        match cursor.varlen()? {
            0 => begin.may_have_statements = cursor.varlen()? & MAY_HAVE_STATEMENTS != 0,
            1 => {
                let mut bytes = [0; 16];
                for byte in &mut bytes {
                    *byte = u8::try_from(cursor.varlen()?)
                        .map_err(|_| Broken::new("a byte of its UUID is none"))?;
                }
                uuid = Some(self::uuid(bytes));
            }
            2 => number = cursor.varlen_signed()?,
            3 => tag = self::tag(&mut cursor)?,
            4 => begin.last_committed = cursor.varlen_signed()?.cast_unsigned(),
            5 => begin.sequence_number = cursor.varlen_signed()?.cast_unsigned(),
            6 => begin.immediate_commit = Some(cursor.varlen()?),
            7 => begin.original_commit = Some(cursor.varlen()?),
            8 => begin.length = Some(cursor.varlen()?),
            // The versions of the servers, and the ticket of the group commit.
            9..=11 => drop(cursor.varlen()?),
            // How long a field is, only who knows it can tell: those of later versions end the event.
            field if field > last_needed => break,
            field => return Err(Broken(format!("its field {field} is not known"))),
        }
    }
    let Some(uuid) = uuid else {
        return Err(Broken::new("it has no UUID"));
    };
    let number = u64::try_from(number).unwrap_or(0);
    begin.gtid = Some(mysql_gtid(uuid, tag, number)?);
    begin.original_commit = begin.original_commit.or(begin.immediate_commit);
    Ok(begin)
}

/// MariaDB's `Gtid_log_event`; `server_id` stands in the header.
fn mariadb(body: &[u8], server: u32) -> Read<Begin> {
    let mut cursor = Cursor::new(body);
    let number = cursor.uint(8)?;
    let domain = cursor.u32()?;
    let flags = cursor.u8()?;
    let set = |flag: u8| flags & flag != 0;
    let group = if set(GROUP) {
        Some(cursor.uint(8)?)
    } else {
        None
    };
    let mut more = MariaDbBegin {
        standalone: set(STANDALONE),
        ddl: set(DDL),
        transactional: set(TRANSACTIONAL),
        group,
        ..MariaDbBegin::default()
    };
    if set(PREPARED | COMPLETED) {
        let xid = xid_short(&mut cursor)?;
        if set(PREPARED) {
            more.prepared = Some(xid);
        } else {
            more.completed = Some(xid);
        }
    }
    Ok(Begin {
        gtid: Some(Gtid::MariaDb {
            domain,
            server,
            number,
        }),
        mariadb: Some(more),
        ..Begin::default()
    })
}

/// `Gtid_set::encode` of MySQL. With tags (8.3 and later) the first eight bytes hold the format twice
/// around the count, and each server has its tag behind.
fn mysql_set(body: &[u8]) -> Read<MySqlGtids> {
    let mut cursor = Cursor::new(body);
    let first = cursor.uint(8)?;
    let (count, tags) = match first >> 56 {
        0 => (first, false),
        1 => (first << 8 >> 16, true),
        format => return Err(Broken(format!("its set has the unknown format {format}"))),
    };
    let mut all = Vec::new();
    for _ in 0..count {
        let uuid = uuid(cursor.array()?);
        let tag = if tags {
            tag(&mut cursor)?
        } else {
            String::new()
        };
        let mut ranges = Vec::new();
        for _ in 0..cursor.uint(8)? {
            let (from, behind) = (cursor.uint(8)?, cursor.uint(8)?);
            if from == 0 || behind <= from {
                return Err(Broken(format!("its range {from} to {behind} is none")));
            }
            ranges.push((from, behind - 1));
        }
        all.push(((uuid, tag), ranges));
    }
    Ok(MySqlGtids::from_ranges(all))
}

/// MariaDB's `Gtid_list_log_event`: the highest four bits of the count are flags.
fn mariadb_set(body: &[u8]) -> Read<MariaDbGtids> {
    let mut cursor = Cursor::new(body);
    let count = cursor.u32()? & 0x0fff_ffff;
    let mut set = MariaDbGtids::default();
    for _ in 0..count {
        let (domain, server) = (cursor.u32()?, cursor.u32()?);
        set.advance(domain, server, cursor.uint(8)?);
    }
    Ok(set)
}

fn mysql_gtid(uuid: String, tag: String, number: u64) -> Read<Gtid> {
    if number == 0 || number > i64::MAX.cast_unsigned() {
        return Err(Broken(format!("{number} is no number of a transaction")));
    }
    Ok(Gtid::MySql { uuid, tag, number })
}

/// A tag with its length before.
fn tag(cursor: &mut Cursor<'_>) -> Read<String> {
    let length = cursor.varlen()?;
    if length > TAG {
        return Err(Broken(format!("its tag has {length} bytes")));
    }
    let bytes = cursor.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    if !bytes
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || *b == b'_')
    {
        return Err(Broken::new("its tag is none"));
    }
    Ok(String::from_utf8_lossy(bytes).to_ascii_lowercase())
}

fn uuid(bytes: [u8; 16]) -> String {
    let mut text = hex::encode(bytes);
    for at in [20, 16, 12, 8] {
        text.insert(at, '-');
    }
    text
}

#[cfg(test)]
#[path = "gtid_event_tests.rs"]
mod tests;
