//! Events that end a transaction, or a file, and those that say that something is lost.

use std::fmt;

use super::cursor::{Broken, Cursor, Read};
use super::error::Result;
use super::frame::Event;
use super::header::Kind;

/// The longest part of an XA name that a server takes.
const XA_PART: u64 = 64;

/// The name of an XA transaction. Two of them are the same when all three parts are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct XaId {
    /// `gtrid`.
    pub global: Vec<u8>,
    /// `bqual`.
    pub branch: Vec<u8>,
    /// `formatID`.
    pub format: u32,
}

/// As the servers write it into the `XA …` statements of a binlog: `X'6162',X'63',1`.
impl fmt::Display for XaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (global, branch) = (hex::encode(&self.global), hex::encode(&self.branch));
        write!(f, "X'{global}',X'{branch}',{}", self.format)
    }
}

/// The number of the transaction that an `XID` event commits. It means nothing outside its server.
///
/// # Errors
/// When the event is damaged, or of another kind.
pub fn xid(event: &Event) -> Result<u64> {
    of_kind(event, Kind::XID, |cursor| cursor.uint(8))
}

/// An `XA_PREPARE`: the rows before it wait for `XA COMMIT` or `XA ROLLBACK` of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XaPrepare {
    /// It was committed at once (`XA COMMIT … ONE PHASE`): nothing waits.
    pub one_phase: bool,
    /// The name.
    pub name: XaId,
}

impl XaPrepare {
    /// Reads the event.
    ///
    /// # Errors
    /// When it is damaged, or of another kind.
    pub fn parse(event: &Event) -> Result<Self> {
        of_kind(event, Kind::XA_PREPARE, |cursor| {
            let one_phase = cursor.u8()? != 0;
            let format = cursor.u32()?;
            let (global, branch) = (cursor.u32()?, cursor.u32()?);
            let name = xa_name(cursor, format, global.into(), branch.into())?;
            Ok(Self { one_phase, name })
        })
    }
}

/// The name of an XA transaction as MariaDB's GTID event has it.
pub(super) fn xid_short(cursor: &mut Cursor<'_>) -> Read<XaId> {
    let format = cursor.u32()?;
    let [global, branch] = cursor.array()?;
    xa_name(cursor, format, global.into(), branch.into())
}

fn xa_name(cursor: &mut Cursor<'_>, format: u32, global: u64, branch: u64) -> Read<XaId> {
    let mut part = |length: u64| match usize::try_from(length) {
        Ok(bytes) if length <= XA_PART => cursor.take(bytes).map(<[u8]>::to_vec),
        _ => Err(Broken(format!("a part of its XA name has {length} bytes"))),
    };
    Ok(XaId {
        global: part(global)?,
        branch: part(branch)?,
        format,
    })
}

/// A `ROTATE`: the binlog goes on in another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotate {
    /// The file.
    pub file: String,
    /// Where its next event begins.
    pub position: u64,
}

impl Rotate {
    /// Reads the event. The artificial one that a stream begins with may carry a checksum that
    /// nothing before it announced (MariaDB): whoever reads a stream cuts it off.
    ///
    /// # Errors
    /// When it is damaged, or of another kind.
    pub fn parse(event: &Event) -> Result<Self> {
        of_kind(event, Kind::ROTATE, |cursor| {
            let position = cursor.uint(8)?;
            let file = std::str::from_utf8(cursor.rest())
                .map_err(|_| Broken::new("the name of the next file is not UTF-8"))?;
            if file.is_empty() || file.contains('\0') {
                return Err(Broken::new("the name of the next file is none"));
            }
            Ok(Self {
                file: file.to_owned(),
                position,
            })
        })
    }
}

/// An `INCIDENT`: events are missing from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Its number; 1 is `LOST_EVENTS`, the only one that servers write.
    pub number: u16,
    /// What the server says about it.
    pub message: String,
}

impl Incident {
    /// Reads the event.
    ///
    /// # Errors
    /// When it is damaged, or of another kind.
    pub fn parse(event: &Event) -> Result<Self> {
        of_kind(event, Kind::INCIDENT, |cursor| {
            let number = cursor.u16()?;
            let message = String::from_utf8_lossy(cursor.short_bytes()?).into_owned();
            Ok(Self { number, message })
        })
    }
}

/// The statement whose rows follow, as its client sent it: `ROWS_QUERY` of MySQL and `ANNOTATE_ROWS`
/// of MariaDB. For logs only: the rows are what counts.
///
/// # Errors
/// When the event is damaged, or of another kind.
pub fn statement_of_rows(event: &Event) -> Result<&[u8]> {
    let body = event.body();
    match event.header.kind {
        Kind::ANNOTATE_ROWS => Ok(body),
        // The one byte before it holds too little of its length to be of use.
        Kind::ROWS_QUERY => match body.split_first() {
            Some((_, text)) => Ok(text),
            None => Err(event.broken("it is empty")),
        },
        _ => Err(event.broken("it is no text of a statement")),
    }
}

fn of_kind<T>(
    event: &Event,
    kind: Kind,
    read: impl FnOnce(&mut Cursor<'_>) -> Read<T>,
) -> Result<T> {
    if event.header.kind != kind {
        return Err(event.broken(format!("it is no {}", kind.name())));
    }
    read(&mut Cursor::new(event.body())).map_err(|broken| event.broken(broken.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::binlog::header::{HEADER, Header};

    fn event(kind: Kind, body: &[u8]) -> Event {
        let mut bytes = vec![0; HEADER];
        bytes[4] = kind.0;
        bytes.extend_from_slice(body);
        let header = Header::parse(bytes.first_chunk().unwrap());
        Event::bare(4, header, bytes)
    }

    #[test]
    fn each_kind() {
        assert_eq!(
            xid(&event(Kind::XID, &[3, 0, 0, 0, 0, 0, 0, 1])).unwrap(),
            (1 << 56) + 3
        );
        let prepare = b"\0\x07\0\0\0\x02\0\0\0\x01\0\0\0abc";
        let prepare = XaPrepare::parse(&event(Kind::XA_PREPARE, prepare)).unwrap();
        assert!(!prepare.one_phase);
        assert_eq!(prepare.name.to_string(), "X'6162',X'63',7");
        let rotate =
            Rotate::parse(&event(Kind::ROTATE, b"\x04\0\0\0\0\0\0\0binlog.000043")).unwrap();
        assert_eq!((&rotate.file[..], rotate.position), ("binlog.000043", 4));
        let incident = Incident::parse(&event(Kind::INCIDENT, b"\x01\0\x04lost")).unwrap();
        assert_eq!((incident.number, &incident.message[..]), (1, "lost"));
        assert_eq!(
            statement_of_rows(&event(Kind::ANNOTATE_ROWS, b"a")).unwrap(),
            b"a"
        );
        assert_eq!(
            statement_of_rows(&event(Kind::ROWS_QUERY, b"\x01a")).unwrap(),
            b"a"
        );
    }

    #[test]
    fn what_is_damaged_is_named_with_its_place() {
        for (kind, body) in [
            (Kind::XID, &b"\0\0"[..]),
            (Kind::XA_PREPARE, b"\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0"),
            (Kind::ROTATE, b"\x04\0\0\0\0\0\0\0"),
            (Kind::INCIDENT, b"\x01\0\x05lost"),
        ] {
            let event = event(kind, body);
            let error = match kind {
                Kind::XID => xid(&event).map(drop),
                Kind::XA_PREPARE => XaPrepare::parse(&event).map(drop),
                Kind::ROTATE => Rotate::parse(&event).map(drop),
                _ => Incident::parse(&event).map(drop),
            };
            let text = error.unwrap_err().to_string();
            assert!(text.starts_with("byte 4: damaged "), "{text}");
        }
        assert!(xid(&event(Kind::QUERY, &[0; 8])).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = xid(&event(Kind::XID, &bytes));
            let _ = XaPrepare::parse(&event(Kind::XA_PREPARE, &bytes));
            let _ = Rotate::parse(&event(Kind::ROTATE, &bytes));
            let _ = Incident::parse(&event(Kind::INCIDENT, &bytes));
            let _ = statement_of_rows(&event(Kind::ROWS_QUERY, &bytes));
        }
    }
}
