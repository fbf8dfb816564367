//! What can be wrong with a binlog.

use std::io;

use super::header::Kind;

/// Why a binlog, or an event of it, cannot be read. `offset` is that of the event's first byte in its
/// file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes could not be read.
    #[error("byte {offset}: {source}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// It is no binlog.
    #[error("it is no binlog: it begins with {found:02x?}, not with fe 62 69 6e (\"\\xfebin\")")]
    NoBinlog {
        /// The first bytes.
        found: Vec<u8>,
    },
    /// It is encrypted.
    #[error(
        "it is an encrypted binlog (it begins with fd 62 69 6e); a file on disk cannot be read, the \
         server sends its events decrypted"
    )]
    Encrypted,
    /// The file ends within an event.
    #[error("byte {offset}: cut off: the event needs {needed} bytes and {found} are there")]
    CutOff {
        /// Where the event begins.
        offset: u64,
        /// Bytes that its header asks for.
        needed: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// An event says that it is shorter than its own header.
    #[error("byte {offset}: damaged: an event of {size} bytes is shorter than its header")]
    TooShort {
        /// Where the event begins.
        offset: u64,
        /// Its size as its header has it.
        size: u32,
    },
    /// An event is larger than the memory allows.
    #[error(
        "byte {offset}: an event of {size} bytes, and {limit} are allowed: raise --memory, or look \
         whether the binlog is damaged here"
    )]
    TooLarge {
        /// Where the event begins.
        offset: u64,
        /// Its size as its header has it.
        size: u32,
        /// The limit.
        limit: u32,
    },
    /// The checksum is another.
    #[error("byte {offset}: damaged: its CRC32 is {found:08x}, the event says {written:08x}")]
    Checksum {
        /// Where the event begins.
        offset: u64,
        /// What its bytes give.
        found: u32,
        /// What stands behind them.
        written: u32,
    },
    /// A checksum algorithm that nobody knows.
    #[error("byte {offset}: checksum algorithm {algorithm} is not known")]
    UnknownChecksum {
        /// Where the format description begins.
        offset: u64,
        /// Its number.
        algorithm: u8,
    },
    /// The file does not begin with a format description.
    #[error(
        "byte {offset}: it begins with {kind:?} instead of a format description: damaged, or of \
         before MySQL 5.0"
    )]
    NoDescription {
        /// Where the first event begins.
        offset: u64,
        /// What it is.
        kind: Kind,
    },
    /// A binlog older than version 4, which MySQL 5.0 brought.
    #[error(
        "byte {offset}: binlog version {version}; only 4 is read, which MySQL 5.0 and later write"
    )]
    OldVersion {
        /// Where the format description begins.
        offset: u64,
        /// The version.
        version: u16,
    },
    /// The body of an event is not what its kind should be.
    #[error("byte {offset}: damaged {kind}: {what}")]
    Body {
        /// Where the event begins.
        offset: u64,
        /// Which kind of event.
        kind: &'static str,
        /// What is wrong.
        what: String,
    },
}

/// Result of this module.
pub type Result<T> = std::result::Result<T, Error>;
