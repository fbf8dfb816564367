//! `TRANSACTION_PAYLOAD`: a transaction in one event, packed with zstd
//! (`binlog_transaction_compression` of MySQL 8.0.20 and later).
//!
//! The events within are unpacked as a stream, one at a time: neither the packed size nor the size that
//! the event claims decides how much memory is taken, but only the largest event within, which is held
//! against the same limit as those of a file, and the window of zstd, which is bounded. The event's own
//! checksum covers all of it, so those within have none, and their `next` is 0.

use std::io::{self, BufReader, Read};

use super::cursor::{Broken, Cursor, Read as Parsed};
use super::error::Result;
use super::frame::Event;
use super::header::{HEADER, Header, Kind};

/// The largest window that is unpacked with, as a power of two: 128 MiB, which level 22 asks for, and
/// zstd's own limit. The server's default level asks for 2 MiB.
const WINDOW: u32 = 27;

/// How a payload is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// With zstd.
    Zstd,
    /// Not at all.
    None,
}

/// What a payload says of itself, and its packed bytes.
#[derive(Debug, Clone)]
pub struct Payload<'a> {
    /// How it is packed.
    pub compression: Compression,
    /// How many bytes it says that it has unpacked.
    pub size: u64,
    event: &'a Event,
    packed: &'a [u8],
}

impl<'a> Payload<'a> {
    /// Reads what stands before the packed bytes.
    ///
    /// # Errors
    /// When the event is damaged, packed in another way, or of another kind.
    pub fn parse(event: &'a Event) -> Result<Self> {
        if event.header.kind != Kind::TRANSACTION_PAYLOAD {
            return Err(event.broken("it is no payload"));
        }
        let (compression, size, packed) =
            read(event.body()).map_err(|broken| event.broken(broken.0))?;
        Ok(Self {
            compression,
            size,
            event,
            packed,
        })
    }

    /// Begins to unpack. No event within may be larger than `limit` bytes.
    ///
    /// # Errors
    /// When the unpacker cannot be made.
    pub fn events(&self, limit: u32) -> Result<Inner<'a>> {
        let event = self.event;
        let wrong = |error: io::Error| event.broken(format!("it does not unpack: {error}"));
        let input = match self.compression {
            Compression::None => Input::Plain(self.packed),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(self.packed).map_err(wrong)?;
                decoder.window_log_max(WINDOW).map_err(wrong)?;
                // Headers are read by 19 bytes: not each a call of zstd.
                Input::Zstd(Box::new(BufReader::new(decoder)))
            }
        };
        Ok(Inner {
            event,
            input,
            limit,
            size: self.size,
            position: 0,
        })
    }
}

/// The events of a payload, one by one.
#[derive(Debug)]
pub struct Inner<'a> {
    event: &'a Event,
    input: Input<'a>,
    limit: u32,
    size: u64,
    position: u64,
}

enum Input<'a> {
    Plain(&'a [u8]),
    Zstd(Box<BufReader<zstd::Decoder<'a, &'a [u8]>>>),
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Zstd(_) => "Zstd",
        })
    }
}

impl Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(rest) => rest.read(into),
            Self::Zstd(decoder) => decoder.read(into),
        }
    }
}

impl Inner<'_> {
    /// How many bytes were unpacked so far: where in the payload the next event begins.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next event; `None` behind the last. Its offset is the payload's.
    ///
    /// # Errors
    /// When the payload does not unpack, or holds something else than whole events of the size that it
    /// says. The message tells where, in bytes unpacked.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would go on behind an error"
    )]
    pub fn next(&mut self) -> Result<Option<Event>> {
        let position = self.position;
        self.read().map_err(|broken| {
            self.event
                .broken(format!("unpacked byte {position}: {}", broken.0))
        })
    }

    fn read(&mut self) -> Parsed<Option<Event>> {
        let mut bytes = Vec::with_capacity(HEADER);
        self.fill(&mut bytes, HEADER as u64)?;
        if bytes.is_empty() {
            return match self.position == self.size {
                true => Ok(None),
                false => Err(Broken(format!(
                    "it ends here, and {} bytes are announced",
                    self.size
                ))),
            };
        }
        let Some(head) = bytes.first_chunk::<HEADER>() else {
            return Err(Broken::new("it ends within a header"));
        };
        let header = Header::parse(head);
        let size = header.size;
        if (size as usize) < HEADER {
            return Err(Broken(format!(
                "an event of {size} bytes is shorter than its header"
            )));
        }
        if size > self.limit {
            return Err(Broken(format!(
                "an event of {size} bytes, and {} are allowed: raise --memory",
                self.limit
            )));
        }
        if header.kind == Kind::TRANSACTION_PAYLOAD {
            return Err(Broken::new("a payload within a payload"));
        }
        let end = self.position + u64::from(size);
        if end > self.size {
            return Err(Broken(format!(
                "an event ends at {end}, and {} bytes are announced",
                self.size
            )));
        }
        self.fill(&mut bytes, u64::from(size))?;
        if bytes.len() < size as usize {
            return Err(Broken(format!(
                "an event of {size} bytes is cut off behind {}",
                bytes.len()
            )));
        }
        self.position = end;
        Ok(Some(Event::bare(self.event.offset, header, bytes)))
    }

    /// Reads until there are so many bytes. It grows with what comes, not with what is claimed.
    fn fill(&mut self, bytes: &mut Vec<u8>, to: u64) -> Parsed<()> {
        let wanted = to.saturating_sub(bytes.len() as u64);
        let read = self.input.by_ref().take(wanted).read_to_end(bytes);
        read.map_err(|error| Broken(format!("it does not unpack: {error}")))?;
        Ok(())
    }
}

/// The fields before the packed bytes: each a number, its length, its value; number 0 ends them.
fn read(body: &[u8]) -> Parsed<(Compression, u64, &[u8])> {
    let mut cursor = Cursor::new(body);
    let (mut packed, mut compression, mut size) = (None, None, None);
    loop {
        let field = cursor.packed()?;
        if field == 0 {
            break;
        }
        let mut value = Cursor::new(cursor.packed_bytes()?);
        match field {
            1 => packed = Some(value.packed()?),
            2 => {
                compression = Some(match value.packed()? {
                    0 => Compression::Zstd,
                    255 => Compression::None,
                    other => return Err(Broken(format!("compression {other} is not known"))),
                });
            }
            3 => size = Some(value.packed()?),
            // Later servers may say more.
            _ => {}
        }
    }
    let bytes = cursor.rest();
    if packed != Some(bytes.len() as u64) {
        return Err(Broken(format!(
            "it says that it has {packed:?} packed bytes, and {} are there",
            bytes.len()
        )));
    }
    let Some(compression) = compression else {
        return Err(Broken::new("it does not say how it is packed"));
    };
    let size = match compression {
        Compression::None => size.unwrap_or(bytes.len() as u64),
        Compression::Zstd => match size {
            Some(size) => size,
            None => return Err(Broken::new("it does not say how large it is unpacked")),
        },
    };
    Ok((compression, size, bytes))
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
