//! Whole events, one after another, from a binlog file or a staged segment.
//!
//! Of each event the header is read first, its size is held against the limit, then its body is read
//! and its checksum compared. Only then is it handed out: whoever decodes it sees the bytes that the
//! server wrote, or nothing.

use std::io::{self, Read};

use super::cursor::Cursor;
use super::error::{Error, Result};
use super::header::{FLAG_ARTIFICIAL, FLAG_IN_USE, HEADER, Header, Kind};

/// What a binlog file begins with.
pub const MAGIC: [u8; 4] = *b"\xfebin";
const MAGIC_ENCRYPTED: [u8; 4] = *b"\xfdbin";

/// The checksum behind an event's body.
const CHECKSUM: usize = 4;
/// Where the flags begin, which end a header.
const FLAGS: usize = 17;

/// How many kinds of events the last servers without checksums had, and some.
const OLD_KINDS: usize = 32;

/// What a format description says about the events that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The server's version, as it prints it.
    pub server_version: String,
    /// Whether a CRC32 stands behind each event.
    pub checksums: bool,
    /// Bytes between header and body, by kind from 1 on.
    pub post_header: Vec<u8>,
}

impl Format {
    /// Before any format description: no checksums, and post-headers of nobody knows what.
    pub(crate) fn unknown() -> Self {
        Self {
            server_version: String::new(),
            checksums: false,
            post_header: Vec::new(),
        }
    }

    /// Bytes between the header and the body of a kind of events, where the description says so.
    #[must_use]
    pub fn post_header(&self, kind: Kind) -> Option<usize> {
        let index = usize::from(kind.0).checked_sub(1)?;
        self.post_header.get(index).map(|len| usize::from(*len))
    }
}

/// An event, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where its first byte lies in the file.
    pub offset: u64,
    /// Its header.
    pub header: Header,
    /// All its bytes, header and checksum too, as they were read.
    pub bytes: Vec<u8>,
    /// Bytes of the checksum at its end: 4 or 0.
    checksum: usize,
}

impl Event {
    /// What lies between header and checksum.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes
            .get(HEADER..self.bytes.len() - self.checksum)
            .unwrap_or_default()
    }

    /// An event that was unpacked from another, without a checksum of its own. The offset is the
    /// other's: that is what can be found in the file.
    pub(crate) fn bare(offset: u64, header: Header, bytes: Vec<u8>) -> Self {
        Self {
            offset,
            header,
            bytes,
            checksum: 0,
        }
    }

    /// An error about its body.
    pub(crate) fn broken(&self, what: impl Into<String>) -> Error {
        Error::Body {
            offset: self.offset,
            kind: self.header.kind.name(),
            what: what.into(),
        }
    }
}

/// Reads events.
#[derive(Debug)]
pub struct Frames<R> {
    input: R,
    offset: u64,
    limit: u32,
    format: Format,
}

impl<R: Read> Frames<R> {
    /// Reads the magic bytes of a file. No event may be larger than `limit` bytes.
    ///
    /// # Errors
    /// When it is no binlog, is encrypted, or cannot be read.
    pub fn open(mut input: R, limit: u32) -> Result<Self> {
        let mut magic = [0; MAGIC.len()];
        let found = fill(&mut input, &mut magic, 0)?;
        match magic.get(..found).unwrap_or_default() {
            found if found == MAGIC => Ok(Self {
                input,
                offset: MAGIC.len() as u64,
                limit,
                format: Format::unknown(),
            }),
            found if found == MAGIC_ENCRYPTED => Err(Error::Encrypted),
            found => Err(Error::NoBinlog {
                found: found.to_vec(),
            }),
        }
    }

    /// What the last format description said.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Where the next event begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next event; `None` at the end of the file.
    ///
    /// # Errors
    /// When the event is cut off, too large, or not what its checksum says.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would go on behind an error"
    )]
    pub fn next(&mut self) -> Result<Option<Event>> {
        let offset = self.offset;
        let mut head = [0; HEADER];
        let found = fill(&mut self.input, &mut head, offset)?;
        if found == 0 {
            return Ok(None);
        }
        let cut_off = |needed: u64, found: usize| Error::CutOff {
            offset,
            needed,
            found: found as u64,
        };
        if found < HEADER {
            return Err(cut_off(HEADER as u64, found));
        }
        let header = Header::parse(&head);
        let size = header.size;
        if (size as usize) < HEADER {
            return Err(Error::TooShort { offset, size });
        }
        if size > self.limit {
            let limit = self.limit;
            return Err(Error::TooLarge {
                offset,
                size,
                limit,
            });
        }
        // Grows with what comes, not with what the header claims.
        let mut bytes = head.to_vec();
        let rest = u64::from(size) - HEADER as u64;
        self.input
            .by_ref()
            .take(rest)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Read { offset, source })?;
        if bytes.len() < size as usize {
            return Err(cut_off(u64::from(size), bytes.len()));
        }
        self.offset += u64::from(size);
        let mut event = Event {
            offset,
            header,
            bytes,
            checksum: 0,
        };
        if offset == MAGIC.len() as u64 && header.kind != Kind::FORMAT_DESCRIPTION {
            let kind = header.kind;
            return Err(Error::NoDescription { offset, kind });
        }
        if header.kind == Kind::FORMAT_DESCRIPTION {
            (self.format, event.checksum) = describe(&event)?;
        } else if self.format.checksums {
            event.checksum = CHECKSUM;
        }
        verify(&event, self.format.checksums)?;
        Ok(Some(event))
    }
}

/// Checks events one at a time, as a server sends them: without a file around them, and with some
/// that stand in no file.
#[derive(Debug, Clone)]
pub struct Checker {
    limit: u32,
    format: Format,
}

impl Checker {
    /// Before the first event. No event may be larger than `limit` bytes.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            format: Format::unknown(),
        }
    }

    /// What the last format description said.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// The event in these bytes, verified. `offset` is for messages.
    ///
    /// The artificial `ROTATE` that a stream begins with comes before anything tells whether it ends
    /// in a checksum: one that is right is taken for a checksum.
    ///
    /// # Errors
    /// When the event is cut off, too large, or not what its checksum says.
    pub fn check(&mut self, bytes: Vec<u8>, offset: u64) -> Result<Event> {
        let Some(head) = bytes.first_chunk::<HEADER>() else {
            return Err(Error::CutOff {
                offset,
                needed: HEADER as u64,
                found: bytes.len() as u64,
            });
        };
        let header = Header::parse(head);
        let size = header.size;
        if (size as usize) < HEADER {
            return Err(Error::TooShort { offset, size });
        }
        if size as usize != bytes.len() {
            return Err(Error::CutOff {
                offset,
                needed: u64::from(size),
                found: bytes.len() as u64,
            });
        }
        if size > self.limit {
            let limit = self.limit;
            return Err(Error::TooLarge {
                offset,
                size,
                limit,
            });
        }
        let mut event = Event {
            offset,
            header,
            bytes,
            checksum: 0,
        };
        if header.kind == Kind::FORMAT_DESCRIPTION {
            (self.format, event.checksum) = describe(&event)?;
        } else if self.format.post_header.is_empty() {
            let artificial = header.next == 0 || header.flags & FLAG_ARTIFICIAL != 0;
            if header.kind != Kind::ROTATE || !artificial {
                let kind = header.kind;
                return Err(Error::NoDescription { offset, kind });
            }
            if verify(&event, true).is_ok() {
                event.checksum = CHECKSUM;
            }
            return Ok(event);
        } else if self.format.checksums {
            event.checksum = CHECKSUM;
        }
        verify(&event, self.format.checksums)?;
        Ok(event)
    }
}

/// A copy of an event, flagged as artificial and without a place in a file: what a reader needs to
/// know that begins in the middle.
#[must_use]
pub fn artificial_copy(event: &Event) -> Vec<u8> {
    let mut bytes = event.bytes.clone();
    let flags = (event.header.flags | FLAG_ARTIFICIAL).to_le_bytes();
    if let Some(next_and_flags) = bytes.get_mut(FLAGS - 4..HEADER) {
        next_and_flags.copy_from_slice(&[0, 0, 0, 0, flags[0], flags[1]]);
    }
    if event.checksum == CHECKSUM
        && let Some((covered, written)) = bytes.split_last_chunk_mut::<CHECKSUM>()
    {
        *written = crc32fast::hash(covered).to_le_bytes();
    }
    bytes
}

/// Reads until `into` is full or the input ends; how much.
fn fill(input: &mut impl Read, into: &mut [u8], offset: u64) -> Result<usize> {
    let mut found = 0;
    while let Some(rest) = into.get_mut(found..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(count) => found += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Read { offset, source }),
        }
    }
    Ok(found)
}

fn verify(event: &Event, checksums: bool) -> Result<()> {
    if !checksums {
        return Ok(());
    }
    let split = event.bytes.split_last_chunk::<CHECKSUM>();
    let Some((covered, written)) = split.filter(|(covered, _)| covered.len() >= HEADER) else {
        return Err(event.broken("it has no room for its checksum"));
    };
    let written = u32::from_le_bytes(*written);
    let (head, body) = covered.split_at(HEADER);
    let (head, flags) = head.split_at(FLAGS);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    if event.header.kind == Kind::FORMAT_DESCRIPTION {
        // This one is set and cleared in the file without a new checksum.
        hasher.update(&(event.header.flags & !FLAG_IN_USE).to_le_bytes());
    } else {
        hasher.update(flags);
    }
    hasher.update(body);
    let found = hasher.finalize();
    if found == written {
        return Ok(());
    }
    Err(Error::Checksum {
        offset: event.offset,
        found,
        written,
    })
}

/// Reads a format description, and how many bytes of checksum it ends with itself.
fn describe(event: &Event) -> Result<(Format, usize)> {
    let offset = event.offset;
    let body = event.bytes.get(HEADER..).unwrap_or_default();
    let mut cursor = Cursor::new(body);
    let mut read = || -> super::cursor::Read<_> {
        let version = cursor.u16()?;
        let name: [u8; 50] = cursor.array()?;
        let _created = cursor.u32()?;
        let header = cursor.u8()?;
        Ok((version, name, header))
    };
    let (version, name, header) = read().map_err(|broken| event.broken(broken.0))?;
    if version != 4 {
        return Err(Error::OldVersion { offset, version });
    }
    if usize::from(header) != HEADER {
        return Err(event.broken(format!("it says that headers have {header} bytes")));
    }
    let end = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    let server_version = String::from_utf8_lossy(&name[..end]).into_owned();
    let mut lengths = cursor.rest();
    let (mut checksums, mut own) = (false, 0);
    if knows_checksums(&server_version) {
        // The lengths, the algorithm, and four bytes of checksum whatever the algorithm.
        let split = lengths.len().checked_sub(1 + CHECKSUM);
        let Some((before, behind)) = split.and_then(|at| lengths.split_at_checked(at)) else {
            return Err(event.broken("it ends before its checksum"));
        };
        lengths = before;
        checksums = match behind.first() {
            Some(0) => false,
            Some(1) => true,
            other => {
                return Err(Error::UnknownChecksum {
                    offset,
                    algorithm: other.copied().unwrap_or_default(),
                });
            }
        };
        own = CHECKSUM;
    } else if lengths.len() > OLD_KINDS {
        // Without this a damaged version would turn the checksums off unseen.
        let what = format!("server version {server_version:?} does not have so many kinds");
        return Err(event.broken(what));
    }
    let format = Format {
        server_version,
        checksums,
        post_header: lengths.to_vec(),
    };
    Ok((format, own))
}

/// Whether a server of this version writes the checksum algorithm into its format description: MySQL
/// from 5.6.1 on, MariaDB from 5.3.
fn knows_checksums(server_version: &str) -> bool {
    let mut numbers = server_version
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let mut number = || numbers.next().unwrap_or(0);
    let version = (number(), number(), number());
    if server_version.contains("MariaDB") {
        version >= (5, 3, 0)
    } else {
        version >= (5, 6, 1)
    }
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
