//! Binlog segments: runs of whole events, committed one after another as a chain.
//!
//! A segment is an object `<nnnnnnnnnnnn>-<attempt>.binlog[.zst]` and a marker `<nnnnnnnnnnnn>.json`.
//! The object, decompressed, is a binlog file; what is in it is nobody's business here. It is stored
//! as blocks of at most [`BLOCK`] bytes, each a zstd frame of its own (so `zstd -d` unpacks the whole),
//! whose places and checksums stand in the marker: a reader verifies and unpacks block by block, in
//! bounded memory. An event may lie across two blocks.
//!
//! **The chain.** Each marker carries the SHA-256 of the bytes of the one before it, the first that of
//! `start.json`. Markers are created if absent, number by number. So from the last marker that a
//! reader applied, exactly one sequence goes on; what was lost, swapped, put back from another copy or
//! written by a capture that did not know the one before is found by [`Chain`], never passed over.
//!
//! **Two captures at once** (one suspended while its lease lapsed): both may write data for number n,
//! under keys of their own; one marker wins. The loser reads the winner's and must stop. Had it not
//! stopped, its marker n + 1 would carry the hash of a marker that is not there, and meet the winner's
//! n + 1, or be refused by every reader.
//!
//! **Killed at any point:** data without a marker does not exist and is collected later; a marker
//! exists only for data that is complete. The next capture reads the last marker and goes on behind it.

mod chain;
mod marker;
mod read;
mod verify;
mod write;

pub use chain::Chain;
pub use marker::{Compression, SegmentBlock, SegmentMarker, commit, last, read_marker, start_hash};
pub use read::SegmentReader;
pub use verify::{SegmentsReport, verify_segments};
pub use write::{SegmentData, SegmentWriter};

pub(crate) mod clean;

/// Bytes of a block before compression.
pub const BLOCK: usize = 1 << 20;

/// What to do about a segment that is damaged or missing.
pub(crate) const WAY_OUT: &str = "Restore it from a copy (a version of the bucket). Without it the \
     changes that follow cannot be applied: begin anew after `tideway cleanup`. `tideway staging \
     verify` lists all that is damaged";
