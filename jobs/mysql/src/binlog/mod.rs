//! Binlog events as the server wrote them: framing, checksums, table maps, rows.
//!
//! All of this reads bytes that may be cut, damaged or made by somebody else, so nothing here
//! indexes, allocates or loops by what a length in an event says before the length is checked against
//! what is there. [`frame`] hands out whole events whose checksum is verified; the other modules read
//! from the body of one event and never beyond it.
//!
//! The format is described in MySQL's source documentation, "Replication: binary log" (`libs/
//! mysql/binlog/event`), and in MariaDB's knowledge base, "Replication protocol".

mod cursor;
pub mod error;
pub mod frame;
pub mod header;
pub mod json;
pub mod json_diff;
pub mod rows;
pub mod table_map;
pub mod value;

pub use error::Error;
pub use frame::{Event, Frames};
pub use header::{Header, Kind};
