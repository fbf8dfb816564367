//! Binlog events as the server wrote them: framing, checksums, table maps, rows.
//!
//! All of this reads bytes that may be cut, damaged or made by somebody else, so nothing here
//! indexes, allocates or loops by what a length in an event says before the length is checked against
//! what is there. [`frame`] hands out whole events whose checksum is verified; the other modules read
//! from the body of one event and never beyond it.
//!
//! A transaction is a GTID event ([`gtid_event`]), then statements ([`query`]) and rows behind the maps
//! of their tables, then what ends it ([`transaction`]); or all of that packed into one event
//! ([`payload`]). MariaDB packs single events instead ([`compressed`]). Whether rows are what the
//! known definition of their table says is for [`definition`] to tell.
//!
//! The format is described in MySQL's source documentation, "Replication: binary log" (`libs/
//! mysql/binlog/event`), and in MariaDB's knowledge base, "Replication protocol".

pub mod compressed;
mod cursor;
pub mod definition;
pub mod error;
pub mod frame;
pub mod gtid_event;
pub mod header;
pub mod json;
pub mod json_diff;
pub mod metadata;
pub mod payload;
pub mod query;
pub mod rows;
pub mod statements;
pub mod table_map;
pub mod transaction;
pub mod value;

pub use error::Error;
pub use frame::{Event, Frames};
pub use header::{Header, Kind};
