//! Everything about the object store through which Tideway's jobs hand work to each other.
//!
//! What holds, whoever is killed at whatever instant:
//!
//! - **What has no marker does not exist.** Data objects have a key of their own for every attempt
//!   and are never overwritten; a marker ([`document::ChunkMarker`]) is created only after the data
//!   it names is complete, by create-if-absent ([`Staging::create_json`]). So a reader that starts
//!   at markers never sees half an object, and of two racing writers exactly one is seen.
//! - **A marker proves its data.** It carries size and checksums of each block, so a reader
//!   ([`chunk::ChunkReader`], [`segment::SegmentReader`]) finds damage before it decodes a byte, in bounded memory.
//! - **Nothing is overwritten** but heartbeats and reports, on which nothing depends.
//! - **Every key is made in [`layout`]**, so that two parts cannot disagree on where a thing lies.
//!
//! The stores: a folder, S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage,
//! and memory for tests; see [`Staging::open`].

pub mod chunk;
pub mod control;
pub mod ddl_orders;
pub mod document;
pub mod gc;
pub mod heartbeat;
pub mod layout;
pub mod lease;
pub mod probe;
pub mod segment;
pub mod verify;

mod aws;
mod commit;
mod error;
mod local;
mod open;
mod range;
mod store;

pub use bytes::Bytes;
pub use commit::Create;
pub use error::{ChainHashes, Error};
pub use object_store::ObjectMeta;
pub use object_store::path::Path;
pub use probe::Probe;
pub use store::Staging;

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
