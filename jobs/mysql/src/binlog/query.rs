//! `QUERY`: a statement, with what of the session it ran in decides its meaning.
//!
//! In a binlog of rows these are DDL, `BEGIN` and `COMMIT`, `SAVEPOINT`, `XA …`, and, where a session
//! left the row format, data as statements. A DDL means what it means only under the `sql_mode`, the
//! character sets and the current database of its event: they stand in the *status variables* before
//! the text.

use std::borrow::Cow;

use super::compressed;
use super::cursor::{Broken, Cursor, Read};
use super::error::Result;
use super::frame::Event;
use super::header::Kind;

/// `foreign_key_checks` was off (`OPTION_NO_FOREIGN_KEY_CHECKS`).
const NO_FOREIGN_KEY_CHECKS: u32 = 1 << 26;
/// `unique_checks` was off (`OPTION_RELAXED_UNIQUE_CHECKS`).
const NO_UNIQUE_CHECKS: u32 = 1 << 27;
/// `sql_auto_is_null` was on (`OPTION_AUTO_IS_NULL`).
const AUTO_IS_NULL: u32 = 1 << 14;
/// More databases than a server lists (`OVER_MAX_DBS_IN_EVENT_MTS`).
const MANY_DATABASES: u8 = 254;
/// MariaDB: the second or third event of a two-phase ALTER (`FL_COMMIT_ALTER_E1`,
/// `FL_ROLLBACK_ALTER_E1`).
const TWO_PHASE_END: u8 = 0x0c;

/// A statement and its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// The connection at the source: temporary tables belong to it.
    pub thread_id: u32,
    /// The current database; empty for none.
    pub schema: String,
    /// The statement, in the character set of [`Status::client_collation`].
    pub text: Cow<'a, [u8]>,
    /// The error that it ended with at the source; 0 for none.
    pub error_code: u16,
    /// What of the session the event tells.
    pub status: Status,
}

/// What of the session a statement's event tells. Servers write only what they know and what differs
/// from a fixed default, so each may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Status {
    /// `foreign_key_checks`.
    pub foreign_key_checks: Option<bool>,
    /// `unique_checks`.
    pub unique_checks: Option<bool>,
    /// `sql_auto_is_null`.
    pub auto_is_null: Option<bool>,
    /// `sql_mode` as bits, whose meaning is the source's flavour's.
    pub sql_mode: Option<u64>,
    /// Number of the collation of `character_set_client`: the text is written in it.
    pub client_collation: Option<u16>,
    /// Number of `collation_connection`: literals have it.
    pub connection_collation: Option<u16>,
    /// Number of `collation_server`: CREATE DATABASE without one takes it.
    pub server_collation: Option<u16>,
    /// Number of `collation_database`, where it is not the database's own (of old servers).
    pub database_collation: Option<u16>,
    /// Number of `default_collation_for_utf8mb4`: `CHARACTER SET utf8mb4` without a collation means
    /// it.
    pub utf8mb4_collation: Option<u16>,
    /// MariaDB 11: `character_set_collations`, as pairs of a character set's default collation and
    /// the one that stands for it.
    pub charset_collations: Vec<(u16, u16)>,
    /// `time_zone`.
    pub time_zone: Option<String>,
    /// `auto_increment_increment` and `auto_increment_offset`.
    pub auto_increment: Option<(u16, u16)>,
    /// Number of `lc_time_names`.
    pub lc_time_names: Option<u16>,
    /// `explicit_defaults_for_timestamp`.
    pub explicit_defaults_for_timestamp: Option<bool>,
    /// `sql_require_primary_key`.
    pub sql_require_primary_key: Option<bool>,
    /// `default_table_encryption`.
    pub default_table_encryption: Option<bool>,
    /// Number of the transaction of an atomic DDL (MySQL 8), or of MariaDB's DDL log.
    pub ddl_xid: Option<u64>,
    /// User and host of the account in whose name it ran, where it says so.
    pub invoker: Option<(String, String)>,
    /// Databases that it touches; empty also for more than 16.
    pub databases: Vec<String>,
    /// Millionths of a second of the event's time.
    pub micros: Option<u32>,
    /// Flags of MariaDB's two-phase ALTER (`FL_START_ALTER_E1` 2, `FL_COMMIT_ALTER_E1` 4,
    /// `FL_ROLLBACK_ALTER_E1` 8); 0 for none.
    pub alter_phase: u8,
}

impl<'a> Query<'a> {
    /// Reads a `QUERY`, or MariaDB's `QUERY_COMPRESSED`, whose text may unpack to `limit` bytes.
    ///
    /// # Errors
    /// When the event is damaged, is of another kind, or its text is larger than the limit.
    pub fn parse(event: &'a Event, limit: u32) -> Result<Self> {
        read(event.header.kind, event.body(), limit).map_err(|broken| event.broken(broken.0))
    }
}

fn read(kind: Kind, body: &[u8], limit: u32) -> Read<Query<'_>> {
    let mut cursor = Cursor::new(body);
    let thread_id = cursor.u32()?;
    let _seconds = cursor.u32()?;
    let schema_bytes = cursor.u8()?;
    let error_code = cursor.u16()?;
    let status_bytes = cursor.u16()?;
    let status = status(cursor.take(usize::from(status_bytes))?);
    let schema = cursor.take(usize::from(schema_bytes))?;
    if cursor.u8()? != 0 {
        return Err(Broken::new("its database does not end in a zero byte"));
    }
    let schema = std::str::from_utf8(schema)
        .map_err(|_| Broken::new("its database is not UTF-8"))?
        .to_owned();
    let text = match kind {
        Kind::QUERY => Cow::Borrowed(cursor.rest()),
        Kind::QUERY_COMPRESSED => {
            Cow::Owned(compressed::inflate(cursor.rest(), limit, Vec::new())?)
        }
        _ => return Err(Broken::new("it is no statement")),
    };
    Ok(Query {
        thread_id,
        schema,
        text,
        error_code,
        status,
    })
}

/// Reads the variables up to the first that nobody knows: their lengths are not told, so what stands
/// behind it cannot be read. Servers do the same.
fn status(bytes: &[u8]) -> Status {
    let mut status = Status::default();
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_empty() {
        match variable(&mut cursor, &mut status) {
            Ok(true) => {}
            Ok(false) | Err(_) => break,
        }
    }
    status
}

/// Reads one variable; `false` for one that is not known. The numbers are `Q_…_CODE` of the servers.
fn variable(cursor: &mut Cursor<'_>, status: &mut Status) -> Read<bool> {
    match cursor.u8()? {
        0 => {
            let flags = cursor.u32()?;
            status.foreign_key_checks = Some(flags & NO_FOREIGN_KEY_CHECKS == 0);
            status.unique_checks = Some(flags & NO_UNIQUE_CHECKS == 0);
            status.auto_is_null = Some(flags & AUTO_IS_NULL != 0);
        }
        1 => status.sql_mode = Some(cursor.uint(8)?),
        2 => {
            // The catalog, with a zero behind it in the oldest binlogs of version 4.
            cursor.short_bytes()?;
            cursor.u8()?;
        }
        3 => status.auto_increment = Some((cursor.u16()?, cursor.u16()?)),
        4 => {
            let (client, connection) = (cursor.u16()?, cursor.u16()?);
            let server = cursor.u16()?;
            status.client_collation = Some(client);
            status.connection_collation = Some(connection);
            status.server_collation = Some(server);
        }
        5 => status.time_zone = Some(text(cursor.short_bytes()?)),
        6 => drop(cursor.short_bytes()?),
        7 => status.lc_time_names = Some(cursor.u16()?),
        8 => status.database_collation = Some(cursor.u16()?).filter(|number| *number != 0),
        9 => drop(cursor.uint(8)?),
        10 => drop(cursor.u32()?),
        11 => {
            let user = text(cursor.short_bytes()?);
            status.invoker = Some((user, text(cursor.short_bytes()?)));
        }
        12 => match cursor.u8()? {
            MANY_DATABASES => {}
            count => {
                for _ in 0..count {
                    status.databases.push(text(cursor.until_zero()?));
                }
            }
        },
        // MySQL's and MariaDB's number for the same.
        13 | 128 => status.micros = u32::try_from(cursor.uint(3)?).ok(),
        14 | 15 => drop(cursor.uint(8)?),
        16 => status.explicit_defaults_for_timestamp = Some(cursor.u8()? != 0),
        17 | 129 => status.ddl_xid = Some(cursor.uint(8)?),
        18 => status.utf8mb4_collation = Some(cursor.u16()?),
        19 => status.sql_require_primary_key = Some(cursor.u8()? != 0),
        20 => status.default_table_encryption = Some(cursor.u8()? != 0),
        130 => {
            status.alter_phase = cursor.u8()?;
            if status.alter_phase & TWO_PHASE_END != 0 {
                // The number of the transaction that began it.
                cursor.uint(8)?;
            }
        }
        131 => {
            for _ in 0..cursor.u8()? {
                let pair = (cursor.u16()?, cursor.u16()?);
                status.charset_collations.push(pair);
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// A name out of the status: of accounts, zones and databases, all of which servers keep in UTF-8.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
