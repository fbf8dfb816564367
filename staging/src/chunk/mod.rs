//! Parquet objects: written as a stream, checksummed as the bytes go out, verified before a byte of
//! them is decoded.
//!
//! A writer holds one row group (closed by its bytes, not by its rows) and a few parts that are on
//! their way; a reader holds one compressed row group and one batch. Both are independent of how
//! many rows there are and of how large a single value is, except that a single value must fit.

mod read;
mod sink;
mod upload;
mod write;

pub use read::ChunkReader;
pub(crate) use read::read_block;
pub(crate) use sink::PART;
pub(crate) use upload::Upload;
pub use write::{ChunkWriter, ChunkWriterOptions};
